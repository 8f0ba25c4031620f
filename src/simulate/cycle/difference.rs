//! Strikes on a recorded run: only what differs from it is simulated.

use std::sync::{Arc, PoisonError};

use super::engine::{MAX_PORTS, Rate};
use super::followed::{Followed, Hints, Scratch, Sleep};
use super::known::{Folded, Key, Known};
use super::pipeline::Stream;
use super::recording::Recording;
use super::register::RegisterBit;
use super::run::{CycleFault, End, Site};
use super::stage::{Access, Edge, Signals, Stage, Transient};
use super::stage_set::StageSet;
use super::struck::Struck;

/// Edges after which it is looked whether a stage is again as in the recorded run: a power of two.
const LOOK_EVERY: u64 = 4;

/// A stage that has been followed for so many edges times this is looked at again after so many.
const PATIENCE: u64 = 4;

/// An end of the accelerator that has passed other words than in the recorded run, or at other edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Passed {
    words: u64,
    last: Option<u64>,
}

impl Passed {
    fn of(cycles: &[u64], before: u64) -> Self {
        let words = cycles.partition_point(|&cycle| cycle < before);
        Self {
            words: words as u64,
            last: words.checked_sub(1).map(|at| cycles[at]),
        }
    }

    fn pass(&mut self, cycle: u64) {
        self.words += 1;
        self.last = Some(cycle);
    }
}

impl Followed {
    /// Brings the state without the strikes in front of an edge.
    fn see_twin(&mut self, recording: &Recording, stage: usize, cycle: u64, hints: &mut Hints) {
        recording.state(stage, cycle, &mut self.twin, self.twin_at, hints);
        self.twin_at = Some(cycle);
    }
}

/// The stages that differ from the recorded run, and how.
struct Difference<'r> {
    recording: &'r Recording,
    cycle: u64,
    /// Stages that differ, or may, but for those that sleep.
    differs: StageSet,
    sleeping: Vec<usize>,
    scratch: Scratch,
    /// Whether there is no strike to come, so that what is dead remains dead.
    last: bool,
    transients: Vec<(usize, Transient)>,
    input: Option<Passed>,
    output: Option<Passed>,
    /// Words that left, as far as they are not those of the recorded run from here on.
    words: Option<Vec<u64>>,
    moved: bool,
    /// Edges without a transfer, one after the other.
    idle: u32,
    /// Whether a memory was written, which nothing here follows.
    stored: bool,
    stage_edges: u64,
}

impl<'r> Difference<'r> {
    fn new(recording: &'r Recording) -> Self {
        let stages = recording.pipeline.stages.len();
        let free = recording
            .scratch
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        Self {
            recording,
            cycle: 0,
            differs: StageSet::of(stages),
            sleeping: Vec::new(),
            scratch: free.unwrap_or_else(|| Scratch::of(&recording.pipeline)),
            last: false,
            transients: Vec::new(),
            input: None,
            output: None,
            words: None,
            moved: false,
            idle: 0,
            stored: false,
            stage_edges: 0,
        }
    }

    fn stage(&self, at: usize) -> &'r dyn Stage {
        &*self.recording.pipeline.stages[at].stage
    }

    /// From now on the stage is simulated.
    fn follow(&mut self, stage: usize) {
        self.follow_from(stage, false);
    }

    /// [`Difference::follow`]; what is struck first is found from where it was struck last.
    fn follow_from(&mut self, stage: usize, is_struck: bool) {
        if self.differs.contains(stage) {
            return;
        }
        self.differs.insert(stage);
        let recording = self.recording;
        let placed = &recording.pipeline.stages[stage];
        let followed = &mut self.scratch.stages[stage];
        let sleep = followed.sleep.take();
        followed.twin.resize(placed.state.len(), 0);
        followed.twin_at = sleep.as_ref().map(|sleep| sleep.since);
        if is_struck && sleep.is_none() {
            let Followed { base, base_at, .. } = followed;
            base.resize(placed.state.len(), 0);
            recording.state(stage, self.cycle, base, *base_at, &mut self.scratch.hints);
            *base_at = Some(self.cycle);
            followed.twin.clone_from(&followed.base);
            followed.twin_at = followed.base_at;
        }
        followed.since = self.cycle;
        followed.next_look = self.cycle;
        followed.see_twin(recording, stage, self.cycle, &mut self.scratch.hints);
        let Followed { state, twin, .. } = followed;
        state.clone_from(twin);
        if let Some(sleep) = sleep {
            self.sleeping.retain(|&sleeping| sleeping != stage);
            for (limb, bits, word) in sleep.differs {
                // The first access after falling asleep is the wake, where it is not an overwriting one.
                let next = recording.next_access(stage, word, sleep.since);
                let overwritten =
                    next.is_some_and(|(edge, access)| edge < self.cycle && access == Access::Writes);
                if !overwritten {
                    state[limb] ^= bits;
                }
            }
        }
        self.scratch.stages[stage].offered = placed.stage.offers(&self.scratch.stages[stage].state);
    }

    /// Follows the stages whose sleep is over.
    fn wake(&mut self) {
        let stages = &self.scratch.stages;
        let wakes = |stage: usize| stages[stage].sleep.as_ref().and_then(|sleep| sleep.wake);
        let woken: Vec<usize> = (self.sleeping.iter().copied())
            .filter(|&stage| wakes(stage).is_some_and(|wake| wake <= self.cycle))
            .collect();
        for stage in woken {
            self.follow(stage);
        }
    }

    /// The next edge at which a sleep is over.
    fn next_wake(&self) -> Option<u64> {
        let sleeps = self.sleeping.iter();
        sleeps
            .filter_map(|&stage| self.scratch.stages[stage].sleep.as_ref()?.wake)
            .min()
    }

    /// From now on the output's words are kept.
    fn follow_output(&mut self) {
        if self.output.is_some() {
            return;
        }
        let recording = self.recording;
        let passed = Passed::of(&recording.left, self.cycle);
        let pipeline = &recording.pipeline;
        let limbs = pipeline.streams[pipeline.output].shape.limbs();
        let words = self.words.get_or_insert_default();
        words.extend_from_slice(&recording.output[words.len()..passed.words as usize * limbs]);
        self.output = Some(passed);
    }

    fn strike(&mut self, fault: CycleFault) {
        match fault.site {
            Site::Register(bit) => {
                let stages = &self.recording.pipeline.stages;
                let stage = stages.partition_point(|placed| placed.state.end <= bit.word);
                self.follow_from(stage, true);
                let word = bit.word - stages[stage].state.start;
                RegisterBit { word, ..bit }.flip(&mut self.scratch.stages[stage].state);
            }
            Site::Wire { stage, transient } => {
                self.follow(stage);
                self.transients.push((stage, transient));
            }
            Site::Stored(_) => {}
        }
    }

    /// Whether the input offers a word.
    fn input_is_open(&self) -> bool {
        let pipeline = &self.recording.pipeline;
        match self.input {
            None => self.recording.valid(pipeline.input, self.cycle),
            Some(passed) => {
                let rate = Rate::Every(pipeline.intervals[0]);
                passed.words < self.recording.entered.len() as u64 && rate.is_open(self.cycle, passed.last)
            }
        }
    }

    fn output_is_open(&self) -> bool {
        let pipeline = &self.recording.pipeline;
        match self.output {
            None => self.recording.ready(pipeline.output, self.cycle),
            Some(passed) => Rate::Every(pipeline.intervals[1]).is_open(self.cycle, passed.last),
        }
    }

    fn settle(&mut self) {
        let recording = self.recording;
        let pipeline = &recording.pipeline;
        let stages = pipeline.stages.len();
        // What is offered follows from the state alone; who sees another word, or none, has to be followed.
        let mut below = stages;
        while let Some(stage) = self.differs.below(below) {
            below = stage;
            self.scratch.stages[stage].offered = self.stage(stage).offers(&self.scratch.stages[stage].state);
            for (port, &stream) in pipeline.stages[stage].outputs.iter().enumerate() {
                let consumer = pipeline.streams[stream].to;
                let followed = match consumer {
                    Some((consumer, _)) => self.differs.contains(consumer),
                    None => self.output.is_some(),
                };
                if followed {
                    continue;
                }
                let offers = self.scratch.stages[stage].offered >> port & 1 == 1;
                let samples = consumer.is_some_and(|(consumer, port)| {
                    let stage = self.stage(consumer);
                    let ports = match self.last {
                        true => stage.depends_on_unoffered(),
                        false => stage.samples(),
                    };
                    ports >> port & 1 == 1
                });
                let differs = offers != recording.valid(stream, self.cycle)
                    || (offers || samples)
                        && self.stage(stage).word(&self.scratch.stages[stage].state, port)
                            != recording.word(stream, self.cycle, &mut self.scratch.hints);
                match consumer {
                    Some((consumer, _)) if differs => self.follow(consumer),
                    None if differs => self.follow_output(),
                    _ => {}
                }
            }
        }
        let input_open = self.input_is_open();
        let output_open = self.output_is_open();
        let mut below = stages;
        while let Some(stage) = self.differs.below(below) {
            below = stage;
            let placed = &pipeline.stages[stage];
            let mut signals = Signals::default();
            for (port, &stream) in placed.inputs.iter().enumerate() {
                let valid = match pipeline.streams[stream].from {
                    None => input_open,
                    Some((producer, port)) if self.differs.contains(producer) => {
                        self.scratch.stages[producer].offered >> port & 1 == 1
                    }
                    Some(_) => recording.valid(stream, self.cycle),
                };
                signals.valid |= u32::from(valid) << port;
            }
            for (port, &stream) in placed.outputs.iter().enumerate() {
                let ready = match pipeline.streams[stream].to {
                    None => output_open,
                    Some((consumer, port)) if self.differs.contains(consumer) => {
                        self.scratch.stages[consumer].accepted >> port & 1 == 1
                    }
                    Some(_) => recording.ready(stream, self.cycle),
                };
                signals.ready |= u32::from(ready) << port;
            }
            self.scratch.stages[stage].signals = signals;
            self.scratch.stages[stage].accepted =
                placed.stage.accepts(&self.scratch.stages[stage].state, signals);
            for (port, &stream) in placed.inputs.iter().enumerate() {
                let accepts = self.scratch.stages[stage].accepted >> port & 1 == 1;
                if accepts == recording.ready(stream, self.cycle) {
                    continue;
                }
                match pipeline.streams[stream].from {
                    // It comes later in this pass, for it lies in front.
                    Some((producer, _)) => self.follow(producer),
                    None if self.input.is_none() => {
                        self.input = Some(Passed::of(&recording.entered, self.cycle));
                    }
                    None => {}
                }
            }
        }
    }

    /// One edge of everything that is followed.
    fn tick(&mut self) {
        self.settle();
        let recording = self.recording;
        let pipeline = &recording.pipeline;
        let stages = pipeline.stages.len();
        let (input, output) = (
            &pipeline.streams[pipeline.input],
            &pipeline.streams[pipeline.output],
        );
        let enters = self.input.is_some()
            && self.input_is_open()
            && match input.to {
                Some((stage, port)) if self.differs.contains(stage) => {
                    self.scratch.stages[stage].accepted >> port & 1 == 1
                }
                _ => recording.ready(pipeline.input, self.cycle),
            };
        let mut leaves = false;
        if self.output.is_some() && self.output_is_open() {
            match output.from {
                Some((stage, port)) if self.differs.contains(stage) => {
                    if self.scratch.stages[stage].offered >> port & 1 == 1 {
                        leaves = true;
                        let word = self.stage(stage).word(&self.scratch.stages[stage].state, port);
                        self.words.get_or_insert_default().extend_from_slice(word);
                    }
                }
                _ => {
                    if recording.valid(pipeline.output, self.cycle) {
                        leaves = true;
                        let word = recording.word(pipeline.output, self.cycle, &mut self.scratch.hints);
                        self.words.get_or_insert_default().extend_from_slice(word);
                    }
                }
            }
        }
        let struck = std::mem::take(&mut self.transients);
        self.moved = enters | leaves;
        // Consumers first: a word is read where its producer still offers it.
        let mut below = stages;
        while let Some(stage) = self.differs.below(below) {
            below = stage;
            self.edge_of(stage, &struck);
        }
        for (end, passes) in [(&mut self.input, enters), (&mut self.output, leaves)] {
            if let (Some(end), true) = (end, passes) {
                end.pass(self.cycle);
            }
        }
        self.idle = if self.moved { 0 } else { self.idle + 1 };
        self.cycle += 1;
        if self.cycle.is_multiple_of(LOOK_EVERY) {
            self.look();
        }
    }

    /// Hands what a followed stage sees at the next edge to `see`, with its state.
    fn at_edge<T>(
        &mut self,
        stage: usize,
        transients: &[Transient],
        see: impl FnOnce(&dyn Stage, &mut [u64], &Edge<'_>) -> T,
    ) -> T {
        let recording = self.recording;
        let pipeline = &recording.pipeline;
        let placed = &pipeline.stages[stage];
        let input_open = self.input_is_open();
        let Scratch {
            stages, hints, wires, ..
        } = &mut self.scratch;
        wires.clear();
        let mut wire_at = [0; MAX_PORTS + 1];
        for (port, &stream) in placed.inputs.iter().enumerate() {
            let limbs = pipeline.streams[stream].shape.limbs();
            let word = match pipeline.streams[stream].from {
                Some((producer, port)) if self.differs.contains(producer) => {
                    (pipeline.stages[producer].stage).word(&stages[producer].state, port)
                }
                None if self.input.is_some() => {
                    let passed = self.input.map_or(0, |passed| passed.words as usize);
                    match input_open {
                        true => &recording.input[passed * limbs..][..limbs],
                        false => &[],
                    }
                }
                _ => recording.word(stream, self.cycle, hints),
            };
            wires.extend_from_slice(word);
            wires.resize(wire_at[port] + limbs, 0);
            wire_at[port + 1] = wires.len();
        }
        let mut words: [&[u64]; MAX_PORTS] = [&[]; MAX_PORTS];
        for (port, slot) in words[..placed.inputs.len()].iter_mut().enumerate() {
            *slot = &wires[wire_at[port]..wire_at[port + 1]];
        }
        let followed = &mut stages[stage];
        let signals = followed.signals;
        let edge = Edge {
            signals,
            taken: signals.valid & followed.accepted,
            given: signals.ready & followed.offered,
            words: &words[..placed.inputs.len()],
            memories: &recording.memories,
            transients,
        };
        see(&*placed.stage, &mut followed.state, &edge)
    }

    fn edge_of(&mut self, stage: usize, struck: &[(usize, Transient)]) {
        let own = struck.iter().filter(|(at, _)| *at == stage);
        let transients: Vec<Transient> = own.map(|&(_, transient)| transient).collect();
        let (moved, stored) = self.at_edge(stage, &transients, |stage, state, edge| {
            let stored = stage.stores(state, edge.signals).is_some();
            stage.edge(state, edge);
            (edge.taken | edge.given != 0, stored)
        });
        self.moved |= moved;
        self.stored |= stored;
        self.stage_edges += 1;
    }

    /// Stops following what is again as in the recorded run, or will be before anything depends on it, and lets sleep
    /// what differs in memories alone.
    ///
    /// A stage is looked at the less often the longer it is followed.
    fn look(&mut self) {
        let recording = self.recording;
        let mut below = self.scratch.stages.len();
        while let Some(stage) = self.differs.below(below) {
            below = stage;
            if self.transients.iter().any(|(at, _)| *at == stage) {
                continue;
            }
            let Scratch {
                stages, hints, words, ..
            } = &mut self.scratch;
            let followed = &mut stages[stage];
            if followed.next_look > self.cycle {
                continue;
            }
            followed.next_look = self.cycle + (self.cycle - followed.since) / PATIENCE;
            followed.see_twin(recording, stage, self.cycle, hints);
            let Followed { state, twin, .. } = followed;
            if state == twin {
                self.differs.remove(stage);
            } else if self.last && recording.rules[stage].lies_still(state, twin, words) {
                self.rest(stage);
            }
        }
        for (end, cycles) in [
            (&mut self.input, &recording.entered),
            (&mut self.output, &recording.left),
        ] {
            if *end == Some(Passed::of(cycles, self.cycle)) {
                *end = None;
            }
        }
    }

    /// Stops following a stage in which only dead lanes and these words of memories differ, where that pays.
    fn rest(&mut self, stage: usize) {
        let recording = self.recording;
        let Scratch { stages, words, .. } = &mut self.scratch;
        let followed = &mut stages[stage];
        let reads = words.iter().filter_map(|&word| {
            let (edge, access) = recording.next_access(stage, word, self.cycle)?;
            (access == Access::Reads).then_some(edge)
        });
        let wake = reads.min();
        if wake.is_some_and(|wake| wake <= self.cycle + LOOK_EVERY) {
            return;
        }
        let rules = &recording.rules[stage];
        let limbs = words
            .iter()
            .flat_map(|&word| (word..word + rules.limbs_of(word)).map(move |limb| (limb, word)));
        let differs: Vec<_> = limbs
            .map(|(limb, word)| (limb, followed.state[limb] ^ followed.twin[limb], word))
            .filter(|&(_, bits, _)| bits != 0)
            .collect();
        self.differs.remove(stage);
        if !differs.is_empty() {
            self.sleeping.push(stage);
            followed.sleep = Some(Sleep {
                since: self.cycle,
                wake,
                differs,
            });
        }
    }

    /// Passes the edges, up to `limit`, at which nothing that is followed changes.
    fn jump(&mut self, limit: u64) {
        let recording = self.recording;
        let pipeline = &recording.pipeline;
        let limit = limit.min(recording.edges);
        if self.cycle >= limit
            || self.differs.is_empty()
            || self.input.is_some()
            || self.output.is_some()
            || !self.transients.is_empty()
        {
            return;
        }
        self.settle();
        if self.output.is_some() || self.input.is_some() {
            return;
        }
        let mut next = self.next_wake().map_or(limit, |wake| wake.min(limit));
        let mut below = self.scratch.stages.len();
        while let Some(stage) = self.differs.below(below) {
            below = stage;
            let rests = |stage: &dyn Stage, state: &mut [u64], edge: &Edge<'_>| {
                edge.taken | edge.given == 0 && stage.rest_at(state, edge) == u64::MAX
            };
            if !self.at_edge(stage, &[], rests) {
                return;
            }
            let placed = &pipeline.stages[stage];
            // Between two of these stages nothing changes, whatever the recorded stream does.
            for &stream in placed.inputs.iter().chain(&placed.outputs) {
                let Stream { from, to, .. } = pipeline.streams[stream];
                let rests =
                    |end: Option<(usize, usize)>| end.is_some_and(|(end, _)| self.differs.contains(end));
                if rests(from) && rests(to) {
                    continue;
                }
                let change = recording.next_change(stream, self.cycle, &mut self.scratch.hints);
                next = change.map_or(next, |change| change.min(next));
            }
        }
        let edges = next.saturating_sub(self.cycle);
        if edges == 0 {
            return;
        }
        let mut below = self.scratch.stages.len();
        while let Some(stage) = self.differs.below(below) {
            below = stage;
            let state = &mut self.scratch.stages[stage].state;
            let placed = &pipeline.stages[stage];
            placed.stage.skip(state, edges, &recording.memories);
        }
        self.cycle = next;
        self.idle = 0;
    }

    /// Whether nothing is followed.
    fn is_still(&self) -> bool {
        self.differs.is_empty() && self.input.is_none() && self.output.is_none()
    }

    /// Words that have left.
    fn seen(&self) -> u64 {
        match self.output {
            Some(passed) => passed.words,
            None => Passed::of(&self.recording.left, self.cycle).words,
        }
    }

    /// Whether nothing will ever move again, where the recorded run is at its end.
    fn is_stuck(&mut self) -> bool {
        let pipeline = &self.recording.pipeline;
        let waits = |end: Option<Passed>, interval: u64| {
            let last = end.and_then(|passed| passed.last);
            last.is_some_and(|last| self.cycle < last.saturating_add(interval))
        };
        if waits(self.input, pipeline.intervals[0]) || waits(self.output, pipeline.intervals[1]) {
            return false;
        }
        self.settle();
        let mut below = self.scratch.stages.len();
        while let Some(stage) = self.differs.below(below) {
            below = stage;
            let placed = &pipeline.stages[stage];
            let signals = self.scratch.stages[stage].signals;
            if signals.valid & self.scratch.stages[stage].accepted
                | signals.ready & self.scratch.stages[stage].offered
                != 0
            {
                return false;
            }
            // A stage that looks at words may rest only while nobody changes them, so their values do not matter.
            let words: Vec<Vec<u64>> = (placed.inputs.iter())
                .map(|&stream| match pipeline.streams[stream].from {
                    Some((producer, port)) if self.differs.contains(producer) => {
                        let word = pipeline.stages[producer]
                            .stage
                            .word(&self.scratch.stages[producer].state, port);
                        word.to_vec()
                    }
                    _ => self
                        .recording
                        .word(stream, self.cycle, &mut self.scratch.hints)
                        .to_vec(),
                })
                .collect();
            let words: Vec<&[u64]> = words.iter().map(Vec::as_slice).collect();
            let edge = Edge {
                signals,
                taken: 0,
                given: 0,
                words: &words,
                memories: &self.recording.memories,
                transients: &[],
            };
            if placed.stage.rest_at(&self.scratch.stages[stage].state, &edge) != u64::MAX {
                return false;
            }
        }
        true
    }

    /// What left, where it is not what leaves without the strikes.
    fn outputs(&mut self) -> Option<Vec<i64>> {
        let mut words = self.words.take()?;
        let recording = self.recording;
        if self.output.is_none() && words.len() < recording.output.len() {
            words.extend_from_slice(&recording.output[words.len()..]);
        }
        let pipeline = &recording.pipeline;
        let shape = pipeline.streams[pipeline.output].shape;
        let elements = words
            .chunks_exact(shape.limbs())
            .flat_map(|word| pipeline.elements(pipeline.output, pipeline.output_code, word));
        (words != recording.output).then(|| elements.collect())
    }
}

impl Drop for Difference<'_> {
    fn drop(&mut self) {
        for &stage in &self.sleeping {
            self.scratch.stages[stage].sleep = None;
        }
        let scratch = std::mem::take(&mut self.scratch);
        let mut free = self
            .recording
            .scratch
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        free.push(scratch);
    }
}

/// Edges behind a strike up to which it is looked every so many edges, a power of two, what its difference came to before.
const LOOK_UP: [(u64, u64); 3] = [(64, LOOK_EVERY), (4096, 64), (u64::MAX, 1024)];

impl Difference<'_> {
    /// All that what follows depends on, where no strike is to come.
    fn key(&self) -> Key {
        let mut folded = Folded::new();
        folded.fold(self.cycle);
        for end in [self.input, self.output] {
            match end {
                None => folded.fold(u64::MAX),
                Some(passed) => {
                    folded.fold(passed.words);
                    folded.fold(passed.last.map_or(0, |last| last + 1));
                }
            }
        }
        match &self.words {
            None => folded.fold(u64::MAX),
            Some(words) => folded.fold_all(words),
        }
        let mut below = self.scratch.stages.len();
        while let Some(stage) = self.differs.below(below) {
            below = stage;
            folded.fold(stage as u64);
            folded.fold_all(&self.scratch.stages[stage].state);
        }
        let sleeps = self.sleeping.iter();
        let sleeps = sleeps.filter_map(|&stage| Some((stage, self.scratch.stages[stage].sleep.as_ref()?)));
        // In the order of the stages, in which they need not have fallen asleep.
        let mut sleeps: Vec<_> = sleeps.collect();
        sleeps.sort_by_key(|&(stage, _)| stage);
        for (stage, sleep) in sleeps {
            folded.fold(stage as u64 | 1 << 63);
            folded.fold(sleep.since);
            folded.fold(sleep.differs.len() as u64);
            for &(limb, bits, _) in &sleep.differs {
                folded.fold(limb as u64);
                folded.fold(bits);
            }
        }
        folded.key()
    }

    /// Whether it is time to look up what the difference came to before.
    fn looks_up(&self, strike: u64) -> bool {
        let age = self.cycle.saturating_sub(strike);
        let every = LOOK_UP.iter().find(|&&(below, _)| age < below);
        every.is_some_and(|&(_, every)| self.cycle.is_multiple_of(every))
    }
}

impl Recording {
    /// The run with these faults, where a sample is waited for until cycle `bound`; none where they are in a memory or
    /// let a stage write into one.
    ///
    /// The outcome, the words and their number are those of the whole run ([`super::run()`]).
    #[must_use]
    pub fn strike(&self, faults: &[CycleFault], bound: u64) -> Option<Struck> {
        self.strike_with(faults, bound, None).map(Arc::unwrap_or_clone)
    }

    /// The same as [`Recording::strike`], but for how much was simulated and when it settled: what follows a difference
    /// that an earlier strike led to is not simulated again. `known` has to be of this recording and this bound alone.
    #[must_use]
    pub fn strike_known(&self, faults: &[CycleFault], bound: u64, known: &Known) -> Option<Arc<Struck>> {
        self.strike_with(faults, bound, Some(known))
    }

    fn strike_with(&self, faults: &[CycleFault], bound: u64, known: Option<&Known>) -> Option<Arc<Struck>> {
        if faults.iter().any(|fault| matches!(fault.site, Site::Stored(_))) {
            return None;
        }
        let mut faults = faults.to_vec();
        faults.sort_by_key(CycleFault::edges_before);
        let mut faults = faults.into_iter().peekable();
        let mut run = Difference::new(self);
        let words = self.pipeline.streams[self.pipeline.output].words.max(1);
        let mut quiet = 0u32;
        let struck_at = faults.peek().map_or(0, CycleFault::edges_before);
        let mut keys = Vec::new();
        let (end, settled) = loop {
            let still = run.is_still();
            if still {
                // Nothing happens until the next strike, or until something reads what is wrong in a memory.
                let strike = faults.peek().map(CycleFault::edges_before);
                match strike.into_iter().chain(run.next_wake()).min() {
                    Some(next) => run.cycle = run.cycle.max(next),
                    None => break (End::Completed, Some(run.cycle)),
                }
            }
            let mut struck = false;
            while let Some(fault) = faults.next_if(|fault| fault.edges_before() <= run.cycle) {
                run.strike(fault);
                struck = true;
            }
            run.last = faults.peek().is_none();
            run.wake();
            if still && struck {
                run.look();
                if run.is_still() {
                    continue;
                }
            }
            run.tick();
            if run.stored {
                return None;
            }
            if let Some(known) = known
                && run.last
                && run.looks_up(struck_at)
            {
                let key = run.key();
                if let Some(struck) = known.find(key) {
                    known.keep(&keys, &struck);
                    return Some(struck);
                }
                keys.push(key);
            }
            if run.idle.is_power_of_two() {
                let strike = faults.peek().map_or(u64::MAX, CycleFault::edges_before);
                run.jump(strike);
            }
            let seen = run.seen();
            let expected = self.expected;
            if seen > expected {
                break (End::StreamCorrupted { expected, seen }, None);
            }
            quiet = match run.moved || run.cycle < self.edges || faults.peek().is_some() {
                true => 0,
                false => quiet + 1,
            };
            let over = run.cycle > bound;
            if over || quiet >= 4 && quiet.is_power_of_two() && run.is_stuck() {
                let end = match seen == expected {
                    true => End::Completed,
                    false if seen.is_multiple_of(words) => End::Hang { cycle: bound },
                    false => End::StreamCorrupted { expected, seen },
                };
                break (end, None);
            }
        };
        let struck = Arc::new(Struck {
            outputs: run.outputs(),
            end,
            settled,
            stage_edges: run.stage_edges,
        });
        if let Some(known) = known {
            known.keep(&keys, &struck);
        }
        Some(struck)
    }
}
