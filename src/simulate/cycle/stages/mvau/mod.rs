//! The matrix-vector-activation unit.

mod dsp48;
mod dsp58;
mod handover;
mod options;
mod replay;
mod sliced;

use std::cell::RefCell;
use std::sync::Arc;

use super::super::arithmetic::{Arithmetic, NoLanes};
use super::super::live::{Live, Says};
use super::super::memory::Memories;
use super::super::register::{Register, RegisterClass, bits_for, limbs, mask, step_counter};
use super::super::stage::{Access, Buffer, Edge, Signals, Stage, Wire, WireShape};
use super::layout::{Control, Layout, Words, pair, split};
use super::{Unbuildable, at_least_one};
pub use dsp48::{Dsp48Core, Dsp48Mvau, Dsp48Shape};
pub use dsp58::{Dsp58Mvau, Dsp58Shape};
pub use options::{Core, InputBuffer, Weights};
use replay::Replay;

/// FINN's MVU (`mvu_vvu_axi`): input buffer, compute core, output register with a side-step register.
///
/// A vector of `sf` words comes in on input 0 and is used `nf` times; every `sf` steps one word of
/// results goes out. The core stands still while the side-step register holds a word; a step whose
/// activations or weights are missing is a bubble. A vector's last word leaves the unit
/// `sf*nf + L` cycles after its first one was taken, inclusive, where nothing stalls:
/// `L = depth + 1` for `nf` = 1, and 2 more for the RTL's replay buffer.
///
/// The RTL as measured lets a vector end where its last word is offered, even if the weights are late;
/// the wrong results that follow are a defect of that version, and a bubble here is never last.
///
/// A bubble is marked by a flag, and no register behind it takes anything over; a flip or a transient there
/// changes nothing. The DSP cores let zeros flow instead, so that what strikes an idle product is added.
///
/// The weight step and the step of the running sums are counted by registers of their own; a flip in
/// one of them reads other weights, or adds the wrong bias.
pub struct Mvau {
    arithmetic: Arc<dyn Arithmetic>,
    core: Core,
    weights: Weights,
    steps: u64,
    product_limbs: usize,
    sum_limbs: usize,
    layout: Layout,
    replay: Replay,
    activations: Words,
    weight_words: Words,
    products: Words,
    sums: Words,
    accumulators: Words,
    results: Words,
    side: Words,
    output: Words,
    weight_step: Control,
    sum_step: Control,
    fresh: Control,
    valid: Control,
    last: Control,
    free: Control,
    output_valid: Control,
    drain: Option<Drain>,
}

/// The loop of a unit that is built by high-level synthesis.
#[derive(Clone, Copy)]
struct Drain {
    /// Iterations of one call: the steps of a frame.
    iterations: u64,
    /// Cycles between the last iteration of a call and the first one of the next.
    cycles: u64,
    iteration: Control,
    wait: Control,
}

thread_local! {
    /// Words between two registers of a core that leaves some of its registers out.
    static SCRATCH: RefCell<[Vec<u64>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

impl Mvau {
    /// A unit with the RTL's replay buffer; see [`Mvau::with_input`].
    ///
    /// # Errors
    /// As [`Mvau::with_input`].
    pub fn new(
        arithmetic: Arc<dyn Arithmetic>,
        sf: u64,
        nf: u64,
        core: Core,
        weights: Weights,
    ) -> Result<Self, Unbuildable> {
        Self::with_input(arithmetic, sf, nf, core, weights, InputBuffer::Replay)
    }

    /// A unit whose vectors are `sf` words long and are used `nf` times (`SF = MW/SIMD`,
    /// `NF = MH/PE`); without a buffer, one that takes `sf` words for each of `nf` folds.
    ///
    /// # Errors
    /// [`Unbuildable`] where a fold is 0, or the core has no operand register or more than 64 registers.
    pub fn with_input(
        arithmetic: Arc<dyn Arithmetic>,
        sf: u64,
        nf: u64,
        core: Core,
        weights: Weights,
        input: InputBuffer,
    ) -> Result<Self, Unbuildable> {
        at_least_one("the synapse fold", sf as usize)?;
        at_least_one("the neuron fold", nf as usize)?;
        at_least_one("the operand registers of a core", core.operands as usize)?;
        for (what, value, most) in [
            (
                "the registers of a core",
                u64::from(core.operands) + u64::from(core.results) + 3,
                64,
            ),
            ("the synapse fold", sf, 1 << 31),
            ("the neuron fold", nf, 1 << 31),
        ] {
            if value > most {
                return Err(Unbuildable::TooLarge { what, value, most });
            }
        }
        let mut layout = Layout::default();
        let steps = sf * nf;
        let (lanes, bits) = (arithmetic.activation_lanes(), arithmetic.activation_bits());
        let replay = Replay::new(&mut layout, lanes, bits, sf, nf, input);
        let mut words = |class, name, words, lanes, bits| layout.words(class, name, words, lanes, bits);
        let (pipeline, product, sum) = (
            RegisterClass::Pipeline,
            RegisterClass::Product,
            RegisterClass::Accumulator,
        );
        let operands = core.operands as usize;
        let (out_lanes, out_bits) = (arithmetic.output_lanes(), arithmetic.output_bits());
        let product_lanes = arithmetic.product_lanes();
        let activations = words(pipeline, "activations", operands, lanes, bits);
        let weight_words = words(
            pipeline,
            "weights",
            operands,
            product_lanes,
            arithmetic.weight_bits(),
        );
        let products = words(
            product,
            "products",
            core.products.into(),
            product_lanes,
            arithmetic.product_bits(),
        );
        let sums = words(
            pipeline,
            "sums",
            core.sums.into(),
            arithmetic.sum_lanes(),
            arithmetic.sum_bits(),
        );
        let accumulators = words(
            sum,
            "accumulators",
            1,
            arithmetic.accumulator_lanes(),
            arithmetic.accumulator_bits(),
        );
        let results = words(pipeline, "results", core.results as usize, out_lanes, out_bits);
        let side = words(pipeline, "side", 1, out_lanes, out_bits);
        let output = words(pipeline, "output", 1, out_lanes, out_bits);
        let step_bits = if steps > 1 { bits_for(steps - 1) } else { 0 };
        let weight_bits = if weights == Weights::Embedded {
            step_bits
        } else {
            0
        };
        Ok(Self {
            product_limbs: limbs(product_lanes, arithmetic.product_bits()),
            sum_limbs: limbs(arithmetic.sum_lanes(), arithmetic.sum_bits()),
            weight_step: layout.control("weight_step", weight_bits),
            sum_step: layout.control("sum_step", step_bits),
            fresh: layout.control("fresh", 1),
            valid: layout.control("valid", core.before()),
            last: layout.control("last", core.depth()),
            free: layout.control("free", 1),
            output_valid: layout.control("output_valid", 1),
            drain: None,
            arithmetic,
            core,
            weights,
            steps,
            layout,
            replay,
            activations,
            weight_words,
            products,
            sums,
            accumulators,
            results,
            side,
            output,
        })
    }

    /// A unit of high-level synthesis: a function that is called once per frame of `vectors` vectors. Its loop
    /// drains before the next call, so a frame takes `iterations + latency` cycles: `(trip - 1)*II + IL - 1` for a
    /// pipelined loop of interval 1 and two more for the function, as synthesis reports have it.
    ///
    /// # Errors
    /// [`Unbuildable`] where there are no vectors.
    pub fn drained(mut self, vectors: u64, latency: u64) -> Result<Self, Unbuildable> {
        at_least_one("the vectors of a frame", vectors as usize)?;
        let iterations = self.steps.saturating_mul(vectors);
        self.drain = (latency > 0).then(|| Drain {
            iterations,
            cycles: latency,
            iteration: self.layout.control("iteration", bits_for(iterations - 1).max(1)),
            wait: self.layout.control("wait", bits_for(latency)),
        });
        Ok(self)
    }

    /// Whether a call has ended and the next one has not begun.
    #[inline]
    fn drains(&self, state: &[u64]) -> bool {
        self.drain.is_some_and(|drain| drain.wait.get(state) > 0)
    }

    /// Whether the weights of a step are there, and the loop runs.
    #[inline]
    fn has_weights(&self, state: &[u64], signals: Signals) -> bool {
        !self.drains(state) && (self.weights == Weights::Embedded || signals.valid & 2 == 2)
    }

    /// Counts an iteration, or a cycle between two calls.
    #[inline]
    fn count(&self, state: &mut [u64], fed: bool) {
        let Some(drain) = self.drain else { return };
        let wait = drain.wait.get(state);
        if wait > 0 {
            drain.wait.set(state, wait - 1);
        } else if fed {
            let iteration = drain.iteration.get(state);
            let next = step_counter(iteration, drain.iterations - 1, drain.iteration.bits());
            drain.iteration.set(state, next);
            if iteration == drain.iterations - 1 {
                drain.wait.set(state, drain.cycles);
            }
        }
    }

    /// Whether the core has taken its result off the side-step register and moves.
    #[inline]
    fn moves(&self, state: &[u64]) -> bool {
        self.free.is_set(state)
    }

    /// The step of the word in register `at` in front of the running sums: those ahead are added
    /// before it.
    fn step_of(&self, state: &[u64], at: u32) -> u64 {
        let ahead = u64::from((self.valid.get(state) >> at >> 1).count_ones());
        let sum_step = self.sum_step.get(state);
        let mut step = sum_step + ahead;
        if sum_step < self.steps {
            while step >= self.steps {
                step -= self.steps;
            }
        }
        step
    }

    /// The step that the running sums hold.
    fn finished_step(&self, state: &[u64]) -> u64 {
        let next = self.sum_step.get(state);
        if next == 0 { self.steps - 1 } else { next - 1 }
    }

    #[inline]
    fn result_is_due(&self, state: &[u64]) -> bool {
        self.last.get(state) >> (self.core.depth() - 1) & 1 == 1
    }

    /// The core's result into the output or the side-step register.
    fn write_result(&self, state: &mut [u64], to: Words) {
        match self.core.results {
            0 => {
                let step = self.finished_step(state);
                let (accumulators, result) = pair(state, self.accumulators, to);
                self.arithmetic.output(step, accumulators, result);
            }
            results => self.results.copy(state, results as usize - 1, to, 0),
        }
    }

    /// The edge of output and side-step register.
    #[inline]
    fn hand_on(&self, state: &mut [u64], ready: bool) {
        let moves = self.moves(state);
        let due = self.result_is_due(state);
        let loads = !self.output_valid.is_set(state) || ready;
        match (loads, moves) {
            (true, true) if due => self.write_result(state, self.output),
            (true, false) => self.side.copy(state, 0, self.output, 0),
            (false, true) if due => self.write_result(state, self.side),
            _ => {}
        }
        if loads {
            self.output_valid.set(state, (due || !moves).into());
        }
        self.free.set(state, (moves && !due || loads).into());
    }

    /// The products of the last operand register's word.
    fn multiply(&self, state: &[u64], step: u64, edge: &Edge<'_>, products: &mut [u64]) {
        let last = self.core.operands as usize - 1;
        let activations = self.activations.word(state, last);
        self.arithmetic
            .products(step, activations, self.weight_words.word(state, last), products);
        edge.strike(Wire::Product, products, self.arithmetic.product_bits());
    }

    /// The sums in front of the sum register, or of the running sums.
    fn add(&self, state: &[u64], step: u64, edge: &Edge<'_>, scratch: &mut Vec<u64>, sums: &mut [u64]) {
        if self.core.products {
            self.arithmetic.sums(step, self.products.word(state, 0), sums);
        } else {
            scratch.clear();
            scratch.resize(self.product_limbs, 0);
            self.multiply(state, step, edge, scratch);
            self.arithmetic.sums(step, scratch, sums);
        }
        edge.strike(Wire::Sum, sums, self.arithmetic.sum_bits());
    }

    /// The running sums and the sum register; the scratch words stand for registers that are left out.
    fn sum_up(
        &self,
        state: &mut [u64],
        edge: &Edge<'_>,
        scratch_products: &mut Vec<u64>,
        scratch_sums: &mut Vec<u64>,
    ) {
        let before = self.core.before();
        let valid = self.valid.get(state);
        if valid >> (before - 1) & 1 == 1 {
            let sum_step = self.sum_step.get(state);
            let first = self.fresh.is_set(state);
            let (earlier, accumulators) = split(state, self.accumulators);
            let sums = if self.core.sums {
                self.sums.word(earlier, 0)
            } else {
                scratch_sums.clear();
                scratch_sums.resize(self.sum_limbs, 0);
                self.add(earlier, sum_step, edge, scratch_products, scratch_sums);
                scratch_sums
            };
            self.arithmetic
                .accumulate(sum_step, first, sums, edge.memories, accumulators);
        }
        if self.core.sums && valid >> (before - 2) & 1 == 1 {
            let step = self.step_of(state, before - 2);
            let (earlier, sums) = split(state, self.sums);
            self.add(earlier, step, edge, scratch_products, sums);
        }
    }

    /// The core's edge while it moves, from its result back to its operands.
    fn advance(&self, state: &mut [u64], feed: Option<Feed<'_>>, edge: &Edge<'_>) {
        let memories = edge.memories;
        let before = self.core.before();
        let (valid, last) = (self.valid.get(state), self.last.get(state));
        let filled = |register: u32| valid >> register & 1 == 1;

        if self.computes() {
            self.move_words(state, edge);
        }
        let ends = last >> (before - 1) & 1 == 1;
        if ends || filled(before - 1) {
            self.fresh.set(state, ends.into());
        }
        if filled(before - 1) {
            let sum_step = self.sum_step.get(state);
            let next = step_counter(sum_step, self.steps - 1, self.sum_step.bits());
            self.sum_step.set(state, next);
        }

        let fed = feed.is_some();
        let ends = feed.as_ref().is_some_and(|feed| feed.last);
        if let Some(feed) = feed {
            match feed.activations {
                Activations::Buffered(register, word) => register.copy(state, word, self.activations, 0),
                Activations::Input(word) => self.activations.write(state, 0, word),
            }
            match feed.weights {
                Some(word) => self.weight_words.write(state, 0, word),
                None => {
                    let step = self.weight_step.get(state);
                    self.arithmetic
                        .weights(step, memories, self.weight_words.word_mut(state, 0));
                    let next = step_counter(step, self.steps - 1, self.weight_step.bits());
                    self.weight_step.set(state, next);
                }
            }
        }
        self.valid.set(state, valid << 1 | u64::from(fed));
        self.last.set(state, last << 1 | u64::from(ends));
    }

    /// Whether words have lanes.
    fn computes(&self) -> bool {
        self.product_limbs > 0
    }

    /// What an edge moves and computes behind the operands, from the result backwards.
    fn move_words(&self, state: &mut [u64], edge: &Edge<'_>) {
        let before = self.core.before();
        let (valid, last) = (self.valid.get(state), self.last.get(state));
        let filled = |register: u32| valid >> register & 1 == 1;
        let results = last >> before & mask(self.core.results);
        if results != 0 {
            self.results.shift_up(state);
            if results & 1 == 1 {
                let step = self.finished_step(state);
                let (accumulators, result) = pair(state, self.accumulators, self.results);
                self.arithmetic.output(step, accumulators, result);
            }
        }

        if self.core.products && self.core.sums {
            self.sum_up(state, edge, &mut Vec::new(), &mut Vec::new());
        } else {
            SCRATCH.with_borrow_mut(|[products, sums]| self.sum_up(state, edge, products, sums));
        }
        if self.core.products && filled(self.core.operands - 1) {
            let step = self.step_of(state, self.core.operands - 1);
            let (earlier, products) = split(state, self.products);
            self.multiply(earlier, step, edge, products);
        }
        if self.core.operands > 1 && valid & mask(self.core.operands - 1) != 0 {
            self.activations.shift_up(state);
            self.weight_words.shift_up(state);
        }
    }

    /// So many edges of a rest at once, at most; how many. Only of a unit without lanes whose core moves and is fed from
    /// its buffer by the words between the first and the last one of a vector.
    fn stride(&self, state: &mut [u64], edges: u64) -> u64 {
        if self.computes() || !self.moves(state) || self.weights == Weights::Decoupled || self.drain.is_some()
        {
            return 0;
        }
        let fits = u64::from(u64::BITS - self.core.depth()).min(edges);
        let Some((edges, ends)) = self.replay.stride(state, fits) else {
            return 0;
        };
        // The flags of the core with what follows them, as if no flag were dropped at the end.
        let valid = self.valid.get(state) << edges | mask(edges as u32);
        let last = self.last.get(state) << edges | u64::from(ends) << (edges - 1);
        let before = self.core.before();
        let summed = valid >> before & mask(edges as u32);
        if summed != 0 {
            let newest = last >> before >> summed.trailing_zeros() & 1;
            self.fresh.set(state, newest);
            let step = self.sum_step.get(state) + u64::from(summed.count_ones());
            self.sum_step.set(state, step % self.steps);
        }
        let step = self.weight_step.get(state) + edges;
        self.weight_step.set(state, step % self.steps);
        self.valid.set(state, valid);
        self.last.set(state, last);
        edges
    }

    /// An edge without any input.
    fn tick(&self, state: &mut [u64], memories: &Memories) {
        self.edge(
            state,
            &Edge {
                signals: Signals::default(),
                taken: 0,
                given: 0,
                words: &[],
                memories,
                transients: &[],
            },
        );
    }

    /// Whether an edge with these signals leaves everything as it is.
    #[inline]
    fn is_still(&self, state: &[u64], signals: Signals) -> bool {
        let input = signals.valid & 1 == 1;
        let output_valid = self.output_valid.is_set(state);
        let ready = signals.ready & 1 == 1;
        if output_valid && ready || self.drains(state) {
            return false;
        }
        let weights = self.has_weights(state, signals);
        if !self.moves(state) {
            return output_valid && self.replay.is_still(state, input, false);
        }
        self.valid.get(state) == 0
            && self.last.get(state) == 0
            && !(weights && self.replay.offer(state, input).valid)
            && self.replay.is_still(state, input, weights)
    }

    /// Edges that change neither what is offered nor what is accepted, where the core moves and the
    /// weights are its own.
    fn run(&self, state: &[u64]) -> u64 {
        let depth = u64::from(self.core.depth());
        let last = self.last.get(state);
        let to_result = if last == 0 {
            self.replay.advances_to_last(state) + depth
        } else {
            depth - 1 - u64::from(last.ilog2())
        };
        to_result.min(self.replay.advances_to_free(state))
    }
}

/// A unit on DSP slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slices {
    /// DSP48.
    Dsp48(Dsp48Shape),
    /// DSP58.
    Dsp58(Dsp58Shape),
}

impl Slices {
    /// Whether the core can be built.
    #[must_use]
    pub fn fits(&self) -> bool {
        match self {
            Self::Dsp48(shape) => shape.fits(),
            Self::Dsp58(shape) => shape.fits(),
        }
    }

    /// The unit.
    ///
    /// # Errors
    /// As [`Dsp48Mvau::new`] and [`Dsp58Mvau::new`].
    pub fn unit(self) -> Result<Box<dyn Stage>, Unbuildable> {
        Ok(match self {
            Self::Dsp48(shape) => Box::new(Dsp48Mvau::new(shape)?),
            Self::Dsp58(shape) => Box::new(Dsp58Mvau::new(shape)?),
        })
    }
}

/// Where a word of activations lies.
#[derive(Clone, Copy)]
enum Activations<'a> {
    Buffered(Words, usize),
    Input(&'a [u64]),
}

/// What enters the core.
struct Feed<'a> {
    activations: Activations<'a>,
    /// The weights, where they are not the unit's own.
    weights: Option<&'a [u64]>,
    last: bool,
}

impl Stage for Mvau {
    fn registers(&self) -> Vec<Register> {
        self.layout.registers.clone()
    }

    fn control(&self) -> Box<dyn Stage> {
        let (sf, nf, input) = self.replay.kind();
        let unit = Self::with_input(Arc::new(NoLanes), sf, nf, self.core, self.weights, input);
        let mut unit = unit.expect("its folds are those of the unit");
        if let Some(drain) = self.drain {
            let vectors = drain.iterations / self.steps;
            unit = (unit.drained(vectors, drain.cycles)).expect("a frame has vectors");
        }
        Box::new(unit)
    }

    fn live(&self, _: usize, register: &Register) -> Live {
        match register.name {
            "replayed" => Live::while_set("replayed_valid"),
            "activations" | "weights" => Live::when("valid", Says::BitOfWord(0)),
            "products" => Live::when("valid", Says::Bit(self.core.operands)),
            "sums" => Live::when("valid", Says::Bit(self.core.before() - 1)),
            "results" => Live::when("last", Says::BitOfWord(self.core.before() + 1)),
            "side" => Live::while_clear("free"),
            "output" => Live::while_set("output_valid"),
            _ => Live::of(register.class),
        }
    }

    fn reset(&self, state: &mut [u64]) {
        self.fresh.set(state, 1);
        self.free.set(state, 1);
    }

    fn offers(&self, state: &[u64]) -> u32 {
        self.output_valid.is_set(state).into()
    }

    fn word<'s>(&self, state: &'s [u64], _: usize) -> &'s [u64] {
        self.output.word(state, 0)
    }

    fn accepts(&self, state: &[u64], signals: Signals) -> u32 {
        let moves = self.moves(state);
        let advance = moves && self.has_weights(state, signals);
        let activations = self.replay.accepts(state, advance);
        let weights = self.weights == Weights::Decoupled
            && moves
            && !self.drains(state)
            && self.replay.offer(state, signals.valid & 1 == 1).valid;
        u32::from(activations) | u32::from(weights) << 1
    }

    fn edge(&self, state: &mut [u64], edge: &Edge<'_>) {
        let input = (edge.signals.valid & 1 == 1).then(|| edge.words[0]);
        let weights = self.has_weights(state, edge.signals);
        let mut fed = false;
        let moves = self.moves(state);
        self.hand_on(state, edge.signals.ready & 1 == 1);
        if moves {
            let offer = self.replay.offer(state, input.is_some());
            let activations = match self.replay.word(state) {
                Some((register, word)) => Some(Activations::Buffered(register, word)),
                None => input.map(Activations::Input),
            };
            let feed = activations
                .filter(|_| offer.valid && weights)
                .map(|activations| Feed {
                    activations,
                    weights: (self.weights == Weights::Decoupled).then(|| edge.words[1]),
                    last: offer.last,
                });
            fed = feed.is_some();
            self.advance(state, feed, edge);
        }
        self.count(state, fed);
        self.replay.edge(state, input, moves && weights);
    }

    fn buffers(&self) -> Vec<Buffer> {
        self.replay.buffers()
    }

    fn accesses(&self, state: &[u64], edge: &Edge<'_>, access: &mut dyn FnMut(usize, Access)) {
        let advance = self.moves(state) && self.has_weights(state, edge.signals);
        let input = edge.signals.valid & 1 == 1;
        self.replay.accesses(state, input, advance, access);
    }

    fn wires(&self) -> Vec<WireShape> {
        let arithmetic = &*self.arithmetic;
        vec![
            WireShape {
                wire: Wire::Product,
                lanes: arithmetic.product_lanes(),
                lane_bits: arithmetic.product_bits(),
            },
            WireShape {
                wire: Wire::Sum,
                lanes: arithmetic.sum_lanes(),
                lane_bits: arithmetic.sum_bits(),
            },
        ]
    }

    fn rest(&self, state: &[u64], signals: Signals) -> u64 {
        if self.is_still(state, signals) {
            return u64::MAX;
        }
        let taken = signals.valid & self.accepts(state, signals);
        let given = self.offers(state) & signals.ready;
        if taken != 0
            || given != 0
            || !self.moves(state)
            || self.weights == Weights::Decoupled
            || self.drain.is_some()
        {
            return 0;
        }
        self.run(state)
    }

    fn skip(&self, state: &mut [u64], edges: u64, memories: &Memories) {
        // What is offered is not taken and what could be taken is not offered, so that an edge without
        // any signals does the same.
        let mut left = edges;
        while left > 0 && !self.is_still(state, Signals::default()) {
            left -= match self.stride(state, left) {
                0 => {
                    self.tick(state, memories);
                    1
                }
                edges => edges,
            };
        }
    }
}
