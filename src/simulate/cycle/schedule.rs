//! Which stages rest, and until when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use super::pipeline::{Pipeline, Stream};
use super::stage_set::StageSet;

/// Who is awake.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    /// Stages that have to be looked at in this cycle.
    pub(super) awake: StageSet,
    /// The cycle from which on a resting stage's edges are outstanding.
    pub(super) since: Vec<u64>,
    /// The cycle in which its rest is over.
    until: Vec<u64>,
    /// The ends of rests, the first on top; some of them have been broken off since.
    ends: BinaryHeap<Reverse<(u64, usize)>>,
    pub(super) resting: Vec<bool>,
    /// Where each stage's limbs lie in the state.
    pub(super) places: Vec<Range<usize>>,
    /// What is at the other end of every input and of every output.
    pub(super) producers: Links,
    pub(super) consumers: Links,
    /// Stages that take over a stage's word even where it is not offered; none where no stage does.
    pub(super) sampled_by: Vec<Vec<usize>>,
    pub(super) input_open: bool,
    pub(super) output_open: bool,
}

/// A port of another stage; none for an end of the accelerator.
pub(super) type Link = Option<(u32, u32)>;

/// What the ports of all stages lead to, stage after stage.
#[derive(Clone, Debug)]
pub(super) struct Links {
    first: Vec<u32>,
    ends: Vec<Link>,
}

impl Links {
    fn of<'s>(
        stages: impl Iterator<Item = &'s [usize]>,
        streams: &[Stream],
        end: impl Fn(&Stream) -> Option<(usize, usize)>,
    ) -> Self {
        let mut links = Self {
            first: vec![0],
            ends: Vec::new(),
        };
        for ports in stages {
            let ends = ports.iter().map(|&stream| end(&streams[stream]));
            links
                .ends
                .extend(ends.map(|end| end.map(|(stage, port)| (stage as u32, port as u32))));
            links.first.push(links.ends.len() as u32);
        }
        links
    }

    /// Those of a stage, port after port.
    #[inline]
    pub(super) fn of_stage(&self, stage: usize) -> &[Link] {
        &self.ends[self.first[stage] as usize..self.first[stage + 1] as usize]
    }
}

impl Schedule {
    pub(super) fn new(pipeline: &Pipeline) -> Self {
        let stages = pipeline.stages.len();
        let inputs = pipeline.stages.iter().map(|placed| placed.inputs.as_slice());
        let outputs = pipeline.stages.iter().map(|placed| placed.outputs.as_slice());
        let mut schedule = Self {
            awake: StageSet::of(stages),
            since: vec![0; stages],
            until: vec![0; stages],
            ends: BinaryHeap::new(),
            resting: vec![false; stages],
            places: pipeline
                .stages
                .iter()
                .map(|placed| placed.state.clone())
                .collect(),
            producers: Links::of(inputs, &pipeline.streams, |stream| stream.from),
            consumers: Links::of(outputs, &pipeline.streams, |stream| stream.to),
            sampled_by: Vec::new(),
            input_open: false,
            output_open: false,
        };
        for (stage, placed) in pipeline.stages.iter().enumerate() {
            let samples = placed.stage.samples();
            for (port, producer) in schedule.producers.of_stage(stage).iter().enumerate() {
                if let (1, Some((producer, _))) = (samples >> port & 1, producer) {
                    schedule.sampled_by.resize(stages, Vec::new());
                    schedule.sampled_by[*producer as usize].push(stage);
                }
            }
        }
        (0..stages).for_each(|stage| schedule.wake(stage));
        schedule
    }

    /// A stage rests from a cycle on until another one.
    pub(super) fn rest(&mut self, stage: usize, since: u64, until: u64) {
        self.resting[stage] = true;
        self.since[stage] = since;
        self.until[stage] = until;
        self.awake.remove(stage);
        if until < u64::MAX {
            self.ends.push(Reverse((until, stage)));
        }
    }

    /// The cycle in which the first rest is over.
    pub(super) fn first_over(&mut self) -> Option<u64> {
        while let Some(&Reverse((until, stage))) = self.ends.peek() {
            if self.resting[stage] && self.until[stage] == until {
                return Some(until);
            }
            self.ends.pop();
        }
        None
    }

    /// A stage whose rest is over in this cycle.
    pub(super) fn next_over(&mut self, cycle: u64) -> Option<usize> {
        self.first_over().filter(|&until| until <= cycle)?;
        self.ends.pop().map(|Reverse((_, stage))| stage)
    }

    #[inline]
    pub(super) fn wake(&mut self, stage: usize) {
        self.awake.insert(stage);
    }
}
