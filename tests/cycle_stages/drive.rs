//! Runs a stage between a source and a sink that pause at random, and watches what every stage has to
//! keep at every edge.

use std::rc::Rc;

use radstream::simulate::cycle::Memories;
use radstream::simulate::cycle::register::mask;
use radstream::simulate::cycle::{Edge, Signals, Stage, Transient};

use crate::cycle_common::{NO_WORD, mix};

/// A stage, what goes in, and what has to come out.
pub struct Specimen {
    pub name: String,
    pub stage: Box<dyn Stage>,
    /// Words of input 0.
    pub input: Vec<Vec<u64>>,
    /// Words of input 1, over and over.
    pub cyclic: Vec<Vec<u64>>,
    pub output: Vec<Vec<u64>>,
    pub memories: Memories,
    /// Whether an offer may be withdrawn, which a weight stream does to let an access through.
    pub withdraws: bool,
}

impl Specimen {
    pub fn initial_state(&self) -> Vec<u64> {
        let mut state = vec![0; self.stage.state_limbs()];
        self.stage.reset(&mut state);
        state
    }
}

/// How often source, second source and sink pause, in percent, and the draw of the pauses.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    pub seed: u32,
    pub source: u32,
    pub second: u32,
    pub sink: u32,
}

/// The control of a stage, which runs beside it.
#[derive(Clone)]
struct Control {
    stage: Rc<dyn Stage>,
    state: Vec<u64>,
}

impl Control {
    fn of(stage: &dyn Stage) -> Self {
        let stage: Rc<dyn Stage> = stage.control().into();
        let mut state = vec![0; stage.state_limbs()];
        stage.reset(&mut state);
        Self { stage, state }
    }

    /// An edge without words and memories; what is offered and accepted has to be as in the stage itself.
    fn edge(&mut self, name: &str, offers: u32, accepts: u32, edge: &Edge<'_>) {
        let memories = Memories::of_values(Vec::new());
        let edge = Edge {
            words: &[&[], &[]],
            memories: &memories,
            transients: &[],
            ..*edge
        };
        let stage = &*self.stage;
        assert_eq!(
            stage.offers(&self.state),
            offers,
            "offers of the control of {name}"
        );
        assert_eq!(
            stage.accepts(&self.state, edge.signals),
            accepts,
            "acceptances of the control of {name}"
        );
        check_rest(stage, &self.state, &edge, name);
        stage.edge(&mut self.state, &edge);
    }
}

/// A run in progress.
#[derive(Clone)]
pub struct Run<'a> {
    specimen: &'a Specimen,
    pauses: Pauses,
    pub state: Vec<u64>,
    taken: usize,
    taken_second: usize,
    offering: [bool; 2],
    pub output: Vec<Vec<u64>>,
    pub now: u32,
    /// What is struck at the next edge.
    pub transients: Vec<Transient>,
    /// Whether the rules that only hold without upsets are checked.
    strict: bool,
    /// Whether rests are checked at every edge.
    pub rests: bool,
    /// Where there are no upsets.
    control: Option<Control>,
}

impl<'a> Run<'a> {
    pub fn new(specimen: &'a Specimen, pauses: Pauses, strict: bool) -> Self {
        Self {
            specimen,
            pauses,
            state: specimen.initial_state(),
            taken: 0,
            taken_second: 0,
            offering: [false; 2],
            output: Vec::new(),
            now: 0,
            transients: Vec::new(),
            strict,
            rests: true,
            control: strict.then(|| Control::of(&*specimen.stage)),
        }
    }

    /// Pauses otherwise from now on.
    pub fn pause(&mut self, pauses: Pauses) {
        self.pauses = pauses;
    }

    fn goes(&self, which: u32, percent: u32) -> bool {
        mix(self.now.wrapping_mul(3).wrapping_add(which) ^ self.pauses.seed) % 100 >= percent
    }

    /// One clock edge.
    pub fn edge(&mut self) {
        let Self { specimen, pauses, .. } = *self;
        let stage = &*specimen.stage;
        // An offer stays until it is taken.
        let first = self.taken < specimen.input.len() && (self.offering[0] || self.goes(0, pauses.source));
        let second = !specimen.cyclic.is_empty() && (self.offering[1] || self.goes(1, pauses.second));
        let words: [&[u64]; 2] = [
            if first {
                &specimen.input[self.taken]
            } else {
                &NO_WORD
            },
            if second {
                &specimen.cyclic[self.taken_second % specimen.cyclic.len()]
            } else {
                &NO_WORD
            },
        ];
        let signals = Signals {
            valid: u32::from(first) | u32::from(second) << 1,
            ready: self.goes(2, pauses.sink).into(),
        };
        let offers = stage.offers(&self.state);
        let accepts = stage.accepts(&self.state, signals);
        let taken = accepts & signals.valid;
        let given = offers & signals.ready;
        let word = (offers == 1).then(|| stage.word(&self.state, 0).to_vec());
        let transients = std::mem::take(&mut self.transients);
        let edge = Edge {
            signals,
            taken,
            given,
            words: &words,
            memories: &specimen.memories,
            transients: &transients,
        };
        if self.rests && transients.is_empty() {
            check_rest(stage, &self.state, &edge, &specimen.name);
        }
        if let Some(control) = &mut self.control {
            control.edge(&specimen.name, offers, accepts, &edge);
        }
        stage.edge(&mut self.state, &edge);
        self.check_limbs();
        if self.strict && !specimen.withdraws && offers == 1 && given == 0 {
            assert_eq!(
                stage.offers(&self.state),
                1,
                "an offer of {} stays",
                specimen.name
            );
            assert_eq!(
                Some(stage.word(&self.state, 0)),
                word.as_deref(),
                "{}",
                specimen.name
            );
        }
        if given == 1 {
            self.output.extend(word);
        }
        self.taken += (taken & 1) as usize;
        self.taken_second += (taken >> 1) as usize;
        self.offering = [first && taken & 1 == 0, second && taken & 2 == 0];
        self.now += 1;
    }

    /// Bits beyond the lanes of a register stay 0.
    fn check_limbs(&self) {
        let mut at = 0;
        for register in self.specimen.stage.registers() {
            let limbs = register.limbs_per_word();
            let used = register.lanes * register.lane_bits as usize - 64 * (limbs - 1);
            for _ in 0..register.words {
                let top = self.state[at + limbs - 1];
                assert_eq!(
                    top & !mask(used as u32),
                    0,
                    "{} of {}",
                    register.name,
                    self.specimen.name
                );
                at += limbs;
            }
        }
    }
}

/// A rest of `n` edges is `n` edges at which nothing is taken or given and nothing that others see
/// changes; skipping them ends in the same state, bit for bit.
fn check_rest(stage: &dyn Stage, state: &[u64], edge: &Edge<'_>, name: &str) {
    let rest = stage.rest_at(state, edge);
    if rest == 0 {
        return;
    }
    assert_eq!((edge.taken, edge.given), (0, 0), "{name} rests and acts");
    let edges = rest.min(46);
    let mut ticked = state.to_vec();
    for passed in 1..=edges {
        stage.edge(&mut ticked, edge);
        assert_eq!(stage.offers(&ticked), stage.offers(state), "offers of {name}");
        let accepts = stage.accepts(&ticked, edge.signals);
        assert_eq!(
            accepts,
            stage.accepts(state, edge.signals),
            "acceptances of {name}"
        );
        if passed == edges || passed == edges / 2 {
            let mut skipped = state.to_vec();
            stage.skip(&mut skipped, passed, edge.memories);
            assert_eq!(skipped, ticked, "{passed} edges of {name}");
        }
    }
}

/// The words that come out within a bound that leaves room for every pause.
pub fn run(specimen: &Specimen, pauses: Pauses, cycles: u32) -> Vec<Vec<u64>> {
    let mut run = Run::new(specimen, pauses, true);
    while run.output.len() < specimen.output.len() && run.now < cycles {
        run.edge();
    }
    let output = run.output.clone();
    // Nothing may follow where the input has an end.
    if !specimen.input.is_empty() {
        for _ in 0..300 {
            run.edge();
        }
        assert_eq!(
            run.output.len(),
            output.len(),
            "words of {} too many",
            specimen.name
        );
    }
    output
}
