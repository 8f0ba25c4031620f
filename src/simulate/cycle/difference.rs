//! Strikes on a recorded run: only what differs from it is simulated.

use super::engine::{MAX_PORTS, Rate};
use super::recording::{Hints, Recording};
use super::register::RegisterBit;
use super::run::{CycleFault, End, Site};
use super::stage::{Edge, Signals, Stage, Transient};
use super::stage_set::StageSet;

/// Edges after which it is looked whether a stage is again as in the recorded run.
const LOOK_EVERY: u64 = 8;

/// What strikes came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Struck {
    /// Output mantissas, as in [`super::Run::outputs`]; none where every word leaves as it would have without them.
    pub outputs: Option<Vec<i64>>,
    /// How the run ends.
    pub end: End,
    /// The edge in front of which the accelerator is seen to be as without the strikes; none where it never is.
    pub settled: Option<u64>,
    /// Edges of single stages that were simulated, each beside the same edge without the strikes.
    pub stage_edges: u64,
}

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

/// The stages that differ from the recorded run, and how.
struct Difference<'r> {
    recording: &'r Recording,
    hints: Hints,
    cycle: u64,
    /// Stages that differ, or may.
    differs: StageSet,
    /// Where it may, the state with and without the strikes; empty before.
    state: Vec<Vec<u64>>,
    twin: Vec<Vec<u64>>,
    offered: Vec<u32>,
    accepted: Vec<u32>,
    signals: Vec<Signals>,
    transients: Vec<(usize, Transient)>,
    input: Option<Passed>,
    output: Option<Passed>,
    /// Words that left, as far as they are not those of the recorded run from here on.
    words: Option<Vec<u64>>,
    wires: Vec<u64>,
    moved: bool,
    /// Whether a memory was written, which nothing here follows.
    stored: bool,
    stage_edges: u64,
}

impl<'r> Difference<'r> {
    fn new(recording: &'r Recording) -> Self {
        let stages = recording.pipeline.stages.len();
        Self {
            recording,
            hints: recording.hints(),
            cycle: 0,
            differs: StageSet::of(stages),
            state: vec![Vec::new(); stages],
            twin: vec![Vec::new(); stages],
            offered: vec![0; stages],
            accepted: vec![0; stages],
            signals: vec![Signals::default(); stages],
            transients: Vec::new(),
            input: None,
            output: None,
            words: None,
            wires: Vec::new(),
            moved: false,
            stored: false,
            stage_edges: 0,
        }
    }

    fn stage(&self, at: usize) -> &'r dyn Stage {
        &*self.recording.pipeline.stages[at].stage
    }

    /// From now on the stage is simulated.
    fn follow(&mut self, stage: usize) {
        if self.differs.contains(stage) {
            return;
        }
        self.differs.insert(stage);
        let limbs = self.recording.pipeline.stages[stage].state.len();
        let twin = &mut self.twin[stage];
        twin.resize(limbs, 0);
        self.recording.state(stage, self.cycle, twin, &mut self.hints);
        self.state[stage].clone_from(twin);
        self.offered[stage] = self.stage(stage).offers(&self.state[stage]);
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
                self.follow(stage);
                let word = bit.word - stages[stage].state.start;
                RegisterBit { word, ..bit }.flip(&mut self.state[stage]);
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
            self.offered[stage] = self.stage(stage).offers(&self.state[stage]);
            for (port, &stream) in pipeline.stages[stage].outputs.iter().enumerate() {
                let consumer = pipeline.streams[stream].to;
                let followed = match consumer {
                    Some((consumer, _)) => self.differs.contains(consumer),
                    None => self.output.is_some(),
                };
                if followed {
                    continue;
                }
                let offers = self.offered[stage] >> port & 1 == 1;
                let samples =
                    consumer.is_some_and(|(consumer, port)| self.stage(consumer).samples() >> port & 1 == 1);
                let differs = offers != recording.valid(stream, self.cycle)
                    || (offers || samples)
                        && self.stage(stage).word(&self.state[stage], port)
                            != recording.word(stream, self.cycle, &mut self.hints);
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
                        self.offered[producer] >> port & 1 == 1
                    }
                    Some(_) => recording.valid(stream, self.cycle),
                };
                signals.valid |= u32::from(valid) << port;
            }
            for (port, &stream) in placed.outputs.iter().enumerate() {
                let ready = match pipeline.streams[stream].to {
                    None => output_open,
                    Some((consumer, port)) if self.differs.contains(consumer) => {
                        self.accepted[consumer] >> port & 1 == 1
                    }
                    Some(_) => recording.ready(stream, self.cycle),
                };
                signals.ready |= u32::from(ready) << port;
            }
            self.signals[stage] = signals;
            self.accepted[stage] = placed.stage.accepts(&self.state[stage], signals);
            for (port, &stream) in placed.inputs.iter().enumerate() {
                let accepts = self.accepted[stage] >> port & 1 == 1;
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
                Some((stage, port)) if self.differs.contains(stage) => self.accepted[stage] >> port & 1 == 1,
                _ => recording.ready(pipeline.input, self.cycle),
            };
        let mut leaves = false;
        if self.output.is_some() && self.output_is_open() {
            match output.from {
                Some((stage, port)) if self.differs.contains(stage) => {
                    if self.offered[stage] >> port & 1 == 1 {
                        leaves = true;
                        let word = self.stage(stage).word(&self.state[stage], port);
                        self.words.get_or_insert_default().extend_from_slice(word);
                    }
                }
                _ => {
                    if recording.valid(pipeline.output, self.cycle) {
                        leaves = true;
                        let word = recording.word(pipeline.output, self.cycle, &mut self.hints);
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
        self.cycle += 1;
        if self.cycle.is_multiple_of(LOOK_EVERY) {
            self.look();
        }
    }

    fn edge_of(&mut self, stage: usize, struck: &[(usize, Transient)]) {
        let recording = self.recording;
        let pipeline = &recording.pipeline;
        let placed = &pipeline.stages[stage];
        let signals = self.signals[stage];
        let (taken, given) = (
            signals.valid & self.accepted[stage],
            signals.ready & self.offered[stage],
        );
        self.wires.clear();
        let mut wire_at = [0; MAX_PORTS + 1];
        for (port, &stream) in placed.inputs.iter().enumerate() {
            let word = match pipeline.streams[stream].from {
                Some((producer, port)) if self.differs.contains(producer) => {
                    pipeline.stages[producer].stage.word(&self.state[producer], port)
                }
                None if self.input.is_some() => {
                    let limbs = pipeline.streams[stream].shape.limbs();
                    let passed = self.input.map_or(0, |passed| passed.words as usize);
                    match self.input_is_open() {
                        true => &recording.input[passed * limbs..][..limbs],
                        false => &[],
                    }
                }
                _ => recording.word(stream, self.cycle, &mut self.hints),
            };
            self.wires.extend_from_slice(word);
            self.wires
                .resize(wire_at[port] + pipeline.streams[stream].shape.limbs(), 0);
            wire_at[port + 1] = self.wires.len();
        }
        let mut words: [&[u64]; MAX_PORTS] = [&[]; MAX_PORTS];
        for (port, slot) in words[..placed.inputs.len()].iter_mut().enumerate() {
            *slot = &self.wires[wire_at[port]..wire_at[port + 1]];
        }
        let own = struck.iter().filter(|(at, _)| *at == stage);
        let transients: Vec<Transient> = own.map(|&(_, transient)| transient).collect();
        let edge = Edge {
            signals,
            taken,
            given,
            words: &words[..placed.inputs.len()],
            memories: &recording.memories,
            transients: &transients,
        };
        let state = &mut self.state[stage];
        self.stored |= placed.stage.stores(state, signals).is_some();
        placed.stage.edge(state, &edge);
        self.stored |= !recording.edge(stage, self.cycle, &mut self.twin[stage], &mut self.hints);
        self.moved |= taken | given != 0;
        self.stage_edges += 1;
    }

    /// Stops following what is again as in the recorded run.
    fn look(&mut self) {
        let mut below = self.state.len();
        while let Some(stage) = self.differs.below(below) {
            below = stage;
            let waits = self.transients.iter().any(|(at, _)| *at == stage);
            if !waits && self.state[stage] == self.twin[stage] {
                self.differs.remove(stage);
            }
        }
        let recording = self.recording;
        for (end, cycles) in [
            (&mut self.input, &recording.entered),
            (&mut self.output, &recording.left),
        ] {
            if *end == Some(Passed::of(cycles, self.cycle)) {
                *end = None;
            }
        }
    }

    fn is_settled(&self) -> bool {
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
        let mut below = self.state.len();
        while let Some(stage) = self.differs.below(below) {
            below = stage;
            let placed = &pipeline.stages[stage];
            let signals = self.signals[stage];
            if signals.valid & self.accepted[stage] | signals.ready & self.offered[stage] != 0 {
                return false;
            }
            // A stage that looks at words may rest only while nobody changes them, so their values do not matter.
            let words: Vec<Vec<u64>> = (placed.inputs.iter())
                .map(|&stream| match pipeline.streams[stream].from {
                    Some((producer, port)) if self.differs.contains(producer) => {
                        let word = pipeline.stages[producer].stage.word(&self.state[producer], port);
                        word.to_vec()
                    }
                    _ => self.recording.word(stream, self.cycle, &mut self.hints).to_vec(),
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
            if placed.stage.rest_at(&self.state[stage], &edge) != u64::MAX {
                return false;
            }
        }
        true
    }

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

impl Recording {
    /// The run with these faults, where a sample is waited for until cycle `bound`; none where they are in a memory or
    /// let a stage write into one.
    ///
    /// The outcome, the words and their number are those of the whole run ([`super::run()`]).
    #[must_use]
    pub fn strike(&self, faults: &[CycleFault], bound: u64) -> Option<Struck> {
        if faults.iter().any(|fault| matches!(fault.site, Site::Stored(_))) {
            return None;
        }
        let mut faults = faults.to_vec();
        faults.sort_by_key(CycleFault::edges_before);
        let mut faults = faults.into_iter().peekable();
        let mut run = Difference::new(self);
        let words = self.pipeline.streams[self.pipeline.output].words.max(1);
        let mut quiet = 0u32;
        let (end, settled) = loop {
            if run.is_settled() {
                // Nothing differs until the next strike.
                match faults.peek() {
                    Some(fault) => run.cycle = run.cycle.max(fault.edges_before()),
                    None => break (End::Completed, Some(run.cycle)),
                }
            }
            while let Some(fault) = faults.next_if(|fault| fault.edges_before() <= run.cycle) {
                run.strike(fault);
            }
            run.tick();
            if run.stored {
                return None;
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
        Some(Struck {
            outputs: run.outputs(),
            end,
            settled,
            stage_edges: run.stage_edges,
        })
    }
}
