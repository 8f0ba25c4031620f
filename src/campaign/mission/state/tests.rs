//! The plain twin: every cell of every word is kept, every pass goes over every word at its time, and what
//! is read comes from the cells themselves.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::accelerator::Scrub;
use crate::radiation::rate::Hours;
use crate::scheme::{Decoded, Hamming, Store};

/// One word with all its cells.
struct Word {
    golden: Vec<bool>,
    cells: Vec<bool>,
    stuck: Vec<Option<bool>>,
    found: bool,
}

struct Twin {
    code: Code,
    words: Vec<Word>,
    put_right: bool,
    continuous: bool,
    found_detected: u64,
    found_silent: u64,
    reloads: u64,
}

impl Twin {
    /// What is read, whether an error is reported, and what a scrubber writes (none: nothing).
    fn read(&self, cells: &[bool], golden: &[bool]) -> (Vec<bool>, bool, Option<Vec<bool>>) {
        let width = self.code.data_bits() as usize;
        let row = self.code.row_cells() as usize;
        let copies: Vec<&[bool]> = cells.chunks(row).collect();
        let first = copies[0][..width].to_vec();
        let encoded = |data: &[bool]| Some(self.code.encode(data));
        match self.code.scheme() {
            Scheme::None => (first, false, None),
            Scheme::Dmr => (first, copies[0] != copies[1], None),
            Scheme::Tmr => {
                let majority = |bit: usize| copies.iter().filter(|copy| copy[bit]).count() >= 2;
                let voted: Vec<bool> = (0..width).map(majority).collect();
                let written = encoded(&voted);
                (voted, false, written)
            }
            Scheme::TmrWord => {
                let agreed = copies
                    .iter()
                    .find(|a| copies.iter().filter(|b| a == b).count() >= 2);
                match agreed {
                    Some(word) => (word.to_vec(), false, encoded(word)),
                    None => (first, true, None),
                }
            }
            Scheme::Parity => {
                let odd = cells.iter().filter(|set| **set).count() % 2 == 1;
                (first, odd, odd.then(|| golden.to_vec()))
            }
            Scheme::Ideal => (golden[..width].to_vec(), false, Some(golden.to_vec())),
            Scheme::Secded => match Hamming::new(width as u32).decode_word(cells) {
                Decoded::Detected => (first, true, None),
                Decoded::Clean => (first, false, None),
                Decoded::Inverts(cell) => {
                    let mut corrected = cells.to_vec();
                    corrected[cell as usize] ^= true;
                    (corrected[..width].to_vec(), false, Some(corrected))
                }
            },
        }
    }

    /// Wrong data bits, and whether an error is reported.
    fn state(&self, word: usize) -> (Vec<u32>, bool) {
        let Word { golden, cells, .. } = &self.words[word];
        let (data, detected, _) = self.read(cells, golden);
        let wrong = (0u32..)
            .zip(data.iter().zip(golden))
            .filter(|(_, (read, held))| read != held);
        (wrong.map(|(bit, _)| bit).collect(), detected)
    }

    fn fails(&self, word: usize) -> bool {
        let (wrong, detected) = self.state(word);
        detected || !wrong.is_empty()
    }

    fn write(&mut self, word: usize, cells: &[bool]) {
        let word = &mut self.words[word];
        for (at, &cell) in cells.iter().enumerate() {
            word.cells[at] = word.stuck[at].unwrap_or(cell);
        }
    }

    fn settled(&mut self, word: usize) {
        if !self.fails(word) {
            self.words[word].found = false;
        }
    }

    fn find(&mut self, word: usize) {
        if self.words[word].found || !self.fails(word) {
            return;
        }
        self.words[word].found = true;
        let detected = self.state(word).1;
        if detected && self.code.scheme() == Scheme::Parity {
            self.reloads += 1;
        } else if detected {
            self.found_detected += 1;
        } else {
            self.found_silent += 1;
        }
        if self.put_right {
            let golden = self.words[word].golden.clone();
            self.write(word, &golden);
        }
    }

    fn pass(&mut self, word: usize) {
        self.find(word);
        let Word { golden, cells, .. } = &self.words[word];
        if let (_, _, Some(written)) = self.read(cells, golden) {
            self.write(word, &written);
        }
        self.settled(word);
    }

    fn refresh(&mut self, word: usize) {
        self.find(word);
        let golden = self.words[word].golden.clone();
        self.write(word, &golden);
        self.settled(word);
    }

    fn strike(&mut self, word: usize, cells: &[u32], values: Option<&[bool]>) {
        let state = &mut self.words[word];
        for (at, &cell) in cells.iter().enumerate() {
            let cell = cell as usize;
            if state.stuck[cell].is_some() {
                continue;
            }
            match values {
                None => state.cells[cell] ^= true,
                Some(wrong) => {
                    state.cells[cell] = state.golden[cell] ^ wrong[at];
                    state.stuck[cell] = Some(state.cells[cell]);
                }
            }
        }
        if self.continuous && self.code.scheme() == Scheme::Parity && self.state(word).1 {
            self.reloads += 1;
            let golden = self.words[word].golden.clone();
            self.write(word, &golden);
        }
        self.settled(word);
    }
}

/// What happens at a time.
enum Event {
    Strike(Vec<u32>, Option<Vec<bool>>),
    Pass,
    Refresh,
    Observe,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    scheme: Scheme,
    words: u64,
    data_bits: u32,
    strikes: usize,
    scrub: Option<(f64, f64)>,
    refresh: Option<f64>,
    put_right: bool,
    continuous: bool,
    permanent: f64,
    seed: u64,
}

fn compare(case: Case) -> Result<(), TestCaseError> {
    let mut random = ChaCha8Rng::seed_from_u64(case.seed);
    // Units of single bits are words of one bit.
    let (words, data_bits) = if case.scheme.is_of_words() {
        (case.words, case.data_bits)
    } else {
        (case.words * u64::from(case.data_bits), 1)
    };
    let code = Code::new(case.scheme, data_bits);
    let duration_s = 100.0;
    let scrub = case.scrub.map(|(period_s, share)| Scrub {
        period_s,
        pass_s: period_s * share,
    });
    let plan = MissionPlan {
        scrub,
        refresh_s: case.refresh,
        after_failure: if case.put_right {
            AfterFailure::PutRight
        } else {
            AfterFailure::AsHardware
        },
        reads_continuously: case.continuous,
        ..MissionPlan::new(
            Store::memory(case.words, case.data_bits, 1, case.scheme),
            Vec::new(),
            Hours(duration_s / 3600.0),
        )
    };
    let mut twin = Twin {
        code,
        words: (0..words)
            .map(|_| {
                let data: Vec<bool> = (0..data_bits).map(|_| random.random()).collect();
                let golden = code.encode(&data);
                Word {
                    stuck: vec![None; golden.len()],
                    cells: golden.clone(),
                    golden,
                    found: false,
                }
            })
            .collect(),
        put_right: case.put_right,
        continuous: case.continuous,
        found_detected: 0,
        found_silent: 0,
        reloads: 0,
    };
    let mut events: Vec<(f64, u64, Event)> = Vec::new();
    for _ in 0..case.strikes {
        let mut cells: Vec<u32> = (0..random.random_range(1..4u32))
            .map(|_| random.random_range(0..code.cells()))
            .collect();
        cells.sort_unstable();
        cells.dedup();
        let permanent = random.random::<f64>() < case.permanent;
        let values = permanent.then(|| cells.iter().map(|_| random.random()).collect());
        let word = random.random_range(0..words);
        events.push((
            random.random::<f64>() * duration_s,
            word,
            Event::Strike(cells, values),
        ));
    }
    for word in 0..words {
        // The word of the memory that the unit belongs to sets the time within a pass.
        let row = if case.scheme.is_of_words() {
            word
        } else {
            word / u64::from(case.data_bits)
        };
        if let Some(scrub) = scrub {
            let phase = scrub.pass_s * ((row + 1) as f64 / case.words as f64);
            let passes = (1u32..).map(|k| f64::from(k) * scrub.period_s + phase);
            for time in passes.take_while(|time| *time <= duration_s) {
                events.push((time, word, Event::Pass));
            }
        }
        if let Some(every) = case.refresh {
            let refreshes = (1u32..).map(|k| f64::from(k) * every);
            for time in refreshes.take_while(|time| *time <= duration_s) {
                events.push((time, word, Event::Refresh));
            }
        }
    }
    for _ in 0..4 {
        events.push((random.random::<f64>() * duration_s, 0, Event::Observe));
    }
    events.sort_by(|a, b| a.0.total_cmp(&b.0));

    let mut state = State::default();
    state.reset(&plan);
    let check = |state: &State, twin: &Twin| -> Result<(), TestCaseError> {
        let states: Vec<_> = (0..words as usize).map(|word| twin.state(word)).collect();
        let wrong: usize = states.iter().map(|(wrong, _)| wrong.len()).sum();
        let detected = states.iter().filter(|(_, detected)| *detected).count();
        prop_assert_eq!(state.counts.wrong_bits, wrong as u64);
        prop_assert_eq!(state.counts.detected, detected as u64);
        Ok(())
    };
    for (time_s, word, event) in &events {
        let at_h = time_s / 3600.0;
        match event {
            Event::Strike(cells, values) => {
                twin.strike(*word as usize, cells, values.as_deref());
                let places: Vec<Place> = cells
                    .iter()
                    .map(|&cell| Place {
                        memory: 0,
                        unit: *word,
                        cell,
                    })
                    .collect();
                state.strike(&plan, at_h, &places, values.as_deref());
            }
            Event::Pass => twin.pass(*word as usize),
            Event::Refresh => twin.refresh(*word as usize),
            Event::Observe => {
                state.settle_all(&plan, at_h);
                check(&state, &twin)?;
            }
        }
    }
    state.end(&plan);
    for word in 0..words as usize {
        twin.find(word);
        twin.settled(word);
    }
    check(&state, &twin)?;
    prop_assert_eq!(state.counts.found_detected, twin.found_detected);
    prop_assert_eq!(state.counts.found_silent, twin.found_silent);
    prop_assert_eq!(state.counts.reloads, twin.reloads);
    // The changes lead from no wrong bit to those that are wrong now.
    let mut wrong = Pattern::EMPTY;
    for change in &state.changes {
        wrong.toggle(change.bit.0 as u32);
    }
    let expected: Pattern = (0..words as u32)
        .flat_map(|word| {
            let bits = twin.state(word as usize).0;
            bits.into_iter().map(move |bit| word * data_bits + bit)
        })
        .collect();
    prop_assert_eq!(wrong, expected);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn strikes_passes_and_refreshes_do_what_they_do_to_every_cell(
        scheme in proptest::sample::select(Scheme::ALL.to_vec()),
        words in 1u64..4,
        data_bits in 1u32..6,
        strikes in 0usize..25,
        scrub in proptest::option::of((0.5f64..60.0, 0.0f64..=1.0)),
        refresh in proptest::option::of(3.0f64..90.0),
        (put_right, continuous) in (any::<bool>(), any::<bool>()),
        permanent in prop_oneof![Just(0.0), 0.0f64..0.5],
        seed in any::<u64>(),
    ) {
        compare(Case {
            scheme, words, data_bits, strikes, scrub, refresh, put_right, continuous, permanent, seed,
        })?;
    }
}
