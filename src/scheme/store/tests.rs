use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::scheme::{Cells, Reading};

/// The cells of each unit as the arrays hold them, in order.
fn by_unit(store: &Store) -> BTreeMap<(u32, u64), Vec<u32>> {
    let mut units: BTreeMap<(u32, u64), Vec<u32>> = BTreeMap::new();
    for array in store.arrays() {
        for cell in 0..array.geometry.cells() {
            let place = array.place(cell);
            units
                .entry((place.memory, place.unit))
                .or_default()
                .push(place.cell);
        }
    }
    for cells in units.values_mut() {
        cells.sort_unstable();
    }
    units
}

fn of_words(words: u64, word_bits: u32, scheme: Scheme, bits: &[u64]) -> Store {
    let protection = Protection::of(scheme, bits.iter().copied().map(StoredBit));
    Store::protected_memory(words, word_bits, 2, &protection).unwrap()
}

#[test]
fn every_cell_of_every_unit_lies_somewhere_once() {
    for scheme in Scheme::ALL.into_iter().chain([Scheme::Ideal]) {
        let store = Store::memory(5, 7, 2, scheme);
        let code = Code::new(scheme, if scheme.is_of_words() { 7 } else { 1 });
        let units = by_unit(&store);
        assert_eq!(units.len() as u64, store.units(), "{scheme}");
        for cells in units.values() {
            assert_eq!(*cells, (0..code.cells()).collect::<Vec<_>>(), "{scheme}");
        }
        assert_eq!((store.data_bits(), store.words()), (35, 5));
        let protected = if scheme == Scheme::None { 0 } else { 35 };
        assert_eq!(store.protected_bits(), protected);
        let all: Vec<u64> = (0..35).collect();
        assert_eq!(of_words(5, 7, scheme, &all), store, "{scheme}");
    }
}

#[test]
fn some_protected_words_split_a_memory() {
    for (scheme, extra) in [
        (Scheme::Secded, 2 * 5),
        (Scheme::Parity, 2),
        (Scheme::Dmr, 2 * 7),
        (Scheme::Tmr, 3 * 2),
        (Scheme::Ideal, 0),
    ] {
        // Bits of words 1 (two of them) and 3.
        let store = of_words(5, 7, scheme, &[8, 9, 22]);
        assert_eq!(store.cells(), 35 + extra, "{scheme}");
        let memory = &store.memories()[0];
        for (&(_, unit), cells) in &by_unit(&store) {
            let code = memory.code(unit);
            assert_eq!(*cells, (0..code.cells()).collect::<Vec<_>>(), "{scheme}");
            let protected = if scheme.is_of_words() {
                [1, 3].contains(&unit)
            } else {
                [8, 9, 22].contains(&unit)
            };
            assert_eq!(code.scheme() == scheme, protected);
        }
        let (unit, bit) = if scheme.is_of_words() { (1, 1) } else { (8, 0) };
        assert_eq!(memory.bit(unit, bit), StoredBit(8));
    }
}

#[test]
fn words_and_bits_are_units_side_by_side() {
    let mut protection = Protection::of(Scheme::Secded, [StoredBit(5)]);
    protection.protect(StoredBit(0), Scheme::Tmr);
    protection.protect(StoredBit(13), Scheme::Dmr);
    let store = Store::protected_memory(4, 4, 1, &protection).unwrap();
    let memory = &store.memories()[0];
    // Words 1 (from bit 4) and 3 (from bit 12) are units, and so are the bits of words 0 and 2.
    assert_eq!((memory.units(), memory.unit_numbers()), (10, 16));
    let found: Vec<(u64, Scheme)> = by_unit(&store)
        .keys()
        .map(|&(_, unit)| (unit, memory.code(unit).scheme()))
        .filter(|(_, scheme)| *scheme != Scheme::None)
        .collect();
    assert_eq!(found, [(0, Scheme::Tmr), (4, Scheme::Secded), (12, Scheme::Dmr)]);
    assert_eq!((memory.word(12), memory.bit(12, 2)), (3, StoredBit(14)));
    // SECDED of 4 data bits has 4 check bits, a second copy 4 cells, and a voted bit two more.
    assert_eq!(store.cells(), 16 + 4 + 4 + 2);
    protection.protect(StoredBit(4), Scheme::Ideal);
    assert!(Store::protected_memory(4, 4, 1, &protection).is_err());
}

/// What is read of a unit with these cells inverted, by trying: the words that a reader could have meant.
fn brute_force(code: &Code, inverted: &[u32]) -> Reading {
    let width = code.data_bits();
    let cells: u64 = inverted.iter().map(|&cell| 1u64 << cell).sum();
    let copy = |at: u32| cells >> (at * code.row_cells()) & ((1 << width) - 1);
    let reading = |wrong: u64, verdict| Reading {
        wrong: (0..width).filter(|bit| wrong >> bit & 1 == 1).collect(),
        verdict,
    };
    use crate::scheme::Verdict::{Clean, Corrected, Detected};
    // Data of zeros: a word of inverted cells is what the cells hold.
    let held: Vec<bool> = (0..code.cells()).map(|cell| cells >> cell & 1 == 1).collect();
    let is_codeword = |word: &[bool]| code.encode(&word[..width as usize]) == word;
    match code.scheme() {
        Scheme::None => reading(copy(0), Clean),
        Scheme::Ideal => Reading::RIGHT,
        Scheme::Tmr => {
            let majority = |bit: &u32| (0..3).filter(|at| copy(*at) >> bit & 1 == 1).count() >= 2;
            let wrong = (0..width).filter(majority).map(|bit| 1 << bit).sum();
            reading(wrong, Corrected)
        }
        Scheme::TmrWord => {
            let votes = |word: u64| (0..3).filter(|at| copy(*at) == word).count();
            (0..1 << width)
                .find(|word| votes(*word) >= 2)
                .map_or(reading(copy(0), Detected), |word| reading(word, Corrected))
        }
        Scheme::Dmr if copy(0) == copy(1) => reading(copy(0), Clean),
        Scheme::Parity if is_codeword(&held) => reading(copy(0), Clean),
        Scheme::Dmr | Scheme::Parity => reading(copy(0), Detected),
        Scheme::Secded if is_codeword(&held) => reading(copy(0), Clean),
        Scheme::Secded => {
            let near = (0..code.cells()).find(|&cell| {
                let mut word = held.clone();
                word[cell as usize] ^= true;
                is_codeword(&word)
            });
            near.map_or(reading(copy(0), Detected), |cell| {
                let flip = if cell < width { 1 << cell } else { 0 };
                reading(copy(0) ^ flip, Corrected)
            })
        }
    }
}

/// A scheme per word, or for some bits of it.
fn mixture() -> impl Strategy<Value = (u64, u32, Vec<(u64, Scheme)>)> {
    let schemes = Scheme::ALL.into_iter().chain([Scheme::Ideal]);
    let scheme = proptest::sample::select(schemes.collect::<Vec<_>>());
    (
        1u32..6,
        proptest::collection::vec((scheme, 0u32..64, any::<bool>()), 1..12),
    )
        .prop_map(|(word_bits, picks)| {
            let mut bits = Vec::new();
            for (word, &(scheme, mask, mixed)) in (0u64..).zip(&picks) {
                for bit in 0..word_bits {
                    // Single bits of one word may be under schemes of two kinds.
                    let scheme = if mixed && !scheme.is_of_words() && bit % 2 == 1 {
                        Scheme::Ideal
                    } else {
                        scheme
                    };
                    if mask >> bit & 1 == 1 {
                        bits.push((word * u64::from(word_bits) + u64::from(bit), scheme));
                    }
                }
            }
            (picks.len() as u64, word_bits, bits)
        })
}

fn protection(bits: &[(u64, Scheme)]) -> Protection {
    bits.iter()
        .map(|&(bit, scheme)| (StoredBit(bit), scheme))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_any_mixture_every_cell_of_every_unit_lies_somewhere_once(
        (words, word_bits, bits) in mixture(),
        interleave in 1u32..4,
    ) {
        let protection = protection(&bits);
        let store = Store::protected_memory(words, word_bits, interleave, &protection).unwrap();
        let memory = &store.memories()[0];
        let units = by_unit(&store);
        prop_assert_eq!(units.len() as u64, store.units());
        // Every stored bit is a data bit of exactly one unit, and that is under its scheme.
        let mut stored = Vec::new();
        for (&(_, unit), cells) in &units {
            let code = memory.code(unit);
            prop_assert_eq!(cells, &(0..code.cells()).collect::<Vec<_>>());
            for bit in 0..code.data_bits() {
                let bit = memory.bit(unit, bit);
                stored.push(bit.0);
                if let Some(scheme) = protection.scheme_of(bit) {
                    prop_assert_eq!(code.scheme(), scheme);
                }
                prop_assert_eq!(memory.word(unit), bit.0 / u64::from(word_bits));
            }
            let asked = (0..code.data_bits())
                .any(|bit| protection.scheme_of(memory.bit(unit, bit)).is_some());
            prop_assert_eq!(code.scheme() != Scheme::None, asked);
        }
        stored.sort_unstable();
        prop_assert_eq!(stored, (0..words * u64::from(word_bits)).collect::<Vec<_>>());
        // The same cells in one line: each once, own cells of the bits first.
        let cells = Cells::new(store.clone());
        prop_assert_eq!(cells.total(), store.cells());
        let mut line: Vec<Place> = (0..cells.total()).map(|at| cells.cell(at).unwrap()).collect();
        for (bit, place) in (0..store.data_bits()).zip(&line) {
            prop_assert_eq!(memory.bit(place.unit, place.cell), StoredBit(bit));
            prop_assert!(place.cell < memory.code(place.unit).data_bits());
        }
        line.sort_unstable();
        let placed: Vec<Place> = units
            .iter()
            .flat_map(|(&(memory, unit), cells)| {
                cells.iter().map(move |&cell| Place { memory, unit, cell })
            })
            .collect();
        prop_assert_eq!(line, placed);
        prop_assert_eq!(cells.cell(cells.total()), None);
    }

    #[test]
    fn every_unit_is_read_as_by_trying(
        (words, word_bits, bits) in mixture(),
        hits in proptest::collection::vec(any::<proptest::sample::Index>(), 0..40),
    ) {
        let store = Store::protected_memory(words, word_bits, 1, &protection(&bits)).unwrap();
        let cells = Cells::new(store.clone());
        let hits: Vec<Place> = hits
            .iter()
            .map(|hit| cells.cell(hit.index(cells.total() as usize) as u64).unwrap())
            .collect();
        let mut expected = Vec::new();
        for (memory, unit) in by_unit(&store).into_keys() {
            let code = store.memories()[0].code(unit);
            let is_odd = |cell: &u32| {
                let place = Place { memory, unit, cell: *cell };
                hits.iter().filter(|hit| **hit == place).count() % 2 == 1
            };
            let inverted: Vec<u32> = (0..code.cells()).filter(is_odd).collect();
            let reading = brute_force(code, &inverted);
            if !inverted.is_empty() {
                prop_assert_eq!(&code.read(&inverted), &reading, "{}", code.scheme());
            }
            let bits = reading.wrong.as_slice().iter();
            expected.extend(bits.map(|&bit| store.memories()[0].bit(unit, bit)));
        }
        prop_assert_eq!(cells.read_inverted(&hits), expected);
    }
}
