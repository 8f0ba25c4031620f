//! Which stages rest, and until when.

use super::pipeline::Pipeline;
use super::stage_set::StageSet;

/// Who is awake.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    /// Stages that have to be looked at in this cycle.
    pub(super) awake: StageSet,
    /// The cycle from which on a resting stage's edges are outstanding.
    pub(super) since: Vec<u64>,
    /// The cycle in which its rest is over.
    pub(super) until: Vec<u64>,
    pub(super) resting: Vec<bool>,
    /// Resting stages whose rest is over some time.
    pub(super) timed: StageSet,
    /// Producing stage and port of every input, and consuming stage and port of every output; none for
    /// an end of the accelerator.
    pub(super) producers: Vec<Vec<Option<(usize, usize)>>>,
    pub(super) consumers: Vec<Vec<Option<(usize, usize)>>>,
    /// Stages that take over a stage's word even where it is not offered.
    pub(super) sampled_by: Vec<Vec<usize>>,
    pub(super) input_open: bool,
    pub(super) output_open: bool,
}

impl Schedule {
    pub(super) fn new(pipeline: &Pipeline) -> Self {
        let stages = pipeline.stages.len();
        let ends = |streams: &[usize], of: &dyn Fn(usize) -> Option<(usize, usize)>| {
            streams.iter().map(|&stream| of(stream)).collect::<Vec<_>>()
        };
        let mut schedule = Self {
            awake: StageSet::of(stages),
            since: vec![0; stages],
            until: vec![0; stages],
            resting: vec![false; stages],
            timed: StageSet::of(stages),
            producers: pipeline
                .stages
                .iter()
                .map(|placed| ends(&placed.inputs, &|stream| pipeline.streams[stream].from))
                .collect(),
            consumers: pipeline
                .stages
                .iter()
                .map(|placed| ends(&placed.outputs, &|stream| pipeline.streams[stream].to))
                .collect(),
            sampled_by: vec![Vec::new(); stages],
            input_open: false,
            output_open: false,
        };
        for (stage, placed) in pipeline.stages.iter().enumerate() {
            let samples = placed.stage.samples();
            for (port, producer) in schedule.producers[stage].iter().enumerate() {
                if let (1, Some((producer, _))) = (samples >> port & 1, producer) {
                    schedule.sampled_by[*producer].push(stage);
                }
            }
        }
        (0..stages).for_each(|stage| schedule.wake(stage));
        schedule
    }

    #[inline]
    pub(super) fn wake(&mut self, stage: usize) {
        self.awake.insert(stage);
    }
}
