//! The clock of a fault-free stream of samples: after a few of them the accelerator does the same again and again.

use std::ops::Range;
use std::sync::Arc;

use super::advance::Advance;
use super::engine::{Activity, Engine};
use super::pipeline::Pipeline;
use super::run::Timing;

/// One period of an accelerator's fault-free run, in samples and in edges.
///
/// The state behind the edge at which the last word of a sample enters comes again some samples later when all samples
/// are equal, so from there on the same edges repeat, and so does what follows the last sample. What the signals do does
/// not depend on the samples' values, so this holds for all samples.
pub struct Period {
    samples: u64,
    edges: u64,
    per_period: Vec<Activity>,
    /// Runs of as many samples in a row as a period has.
    ends: Vec<(u64, Clock)>,
}

/// When words enter and leave in a fault-free run, and what the stages do meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    /// When.
    pub timing: Timing,
    /// As [`super::Run::steady`].
    pub steady: Option<Range<u64>>,
    /// As [`super::Run::activity`].
    pub activity: Vec<Activity>,
    /// As [`super::Run::deepest`].
    pub deepest: Vec<u64>,
}

/// The accelerator behind the edge at which a sample has entered completely.
struct Fed {
    cycle: u64,
    left: u64,
    /// Cycles since the last word entered or left.
    since: [Option<u64>; 2],
    state: Vec<u64>,
    activity: Vec<Activity>,
}

impl Fed {
    fn of(engine: &mut Engine) -> Self {
        engine.wake_all();
        let last = |cycles: &[u64]| cycles.last().map(|&cycle| engine.cycle() - cycle);
        Self {
            cycle: engine.cycle(),
            left: engine.output_cycles().len() as u64,
            since: [last(engine.input_cycles()), last(engine.output_cycles())],
            state: engine.state().to_vec(),
            activity: engine.activity().to_vec(),
        }
    }

    fn is_as(&self, earlier: &Self, words: u64) -> bool {
        self.left == earlier.left + words && self.since == earlier.since && self.state == earlier.state
    }
}

/// A stream of equal samples.
struct Feed {
    engine: Engine,
    /// Words of a sample at the input and at the output.
    words: [u64; 2],
    samples: u64,
    most: u64,
}

impl Feed {
    fn new(pipeline: &Arc<Pipeline>, most: u64) -> Self {
        let shape = pipeline.streams[pipeline.input].shape;
        let words = [pipeline.input, pipeline.output].map(|stream| pipeline.streams[stream].words);
        let mantissas = (most * words[0]) as usize * shape.lanes;
        Self {
            engine: Engine::new(pipeline, &vec![0; mantissas]),
            words,
            samples: 0,
            most,
        }
    }

    /// Whether one sample at most can still follow.
    fn is_last(&self) -> bool {
        self.samples + 1 >= self.most
    }

    /// Runs until another sample has entered; none where that never happens.
    fn next(&mut self) -> Option<Fed> {
        self.samples += 1;
        let wanted = self.samples * self.words[0];
        self.until(|engine| engine.input_cycles().len() as u64 == wanted)?;
        Some(Fed::of(&mut self.engine))
    }

    fn until(&mut self, done: impl Fn(&Engine) -> bool) -> Option<()> {
        while !done(&self.engine) {
            if self.engine.advance(u64::MAX) == Advance::Stuck {
                return None;
            }
        }
        Some(())
    }

    /// What becomes of the run when one more sample follows; none where its last but one leaves before `since`.
    fn end(&self, since: u64) -> Option<Clock> {
        let samples = self.samples + 1;
        let mut rest = Self {
            engine: self.engine.with_input_cut(samples * self.words[0]),
            ..*self
        };
        let wanted = samples * self.words[1];
        rest.until(|engine| engine.output_cycles().len() as u64 == wanted)?;
        let engine = &mut rest.engine;
        engine.wake_all();
        let entered = *engine.input_cycles().first()?;
        let left = engine.output_cycles();
        let last_of = |sample: u64| Some(*left.get((sample * self.words[1]).checked_sub(1)? as usize)?);
        let before = last_of(samples - 1)?;
        (before >= since).then_some(())?;
        let (first, second, last) = (last_of(1)?, last_of(2)?, last_of(samples)?);
        Some(Clock {
            timing: Timing {
                first_output: left.first().map(|cycle| cycle + 1 - entered),
                latency: Some(first + 1 - entered),
                initiation_interval: Some(last - before),
                total: last + 1,
            },
            steady: Some(first + 1..second + 1),
            activity: engine.activity().to_vec(),
            deepest: engine.deepest().to_vec(),
        })
    }
}

impl Period {
    /// Looks for the period. None where the accelerator takes more than so many samples to repeat itself, as long as
    /// FIFOs in front of a slow stage still fill, or never finishes one.
    #[must_use]
    pub fn of(pipeline: &Arc<Pipeline>, most: u64) -> Option<Self> {
        let mut feed = Feed::new(pipeline, most);
        if feed.words.contains(&0) {
            return None;
        }
        let mut fed: Vec<Fed> = Vec::new();
        // What is extrapolated comes behind the edge from which on all repeats, and the first two samples in front of it.
        let (from, samples) = loop {
            if feed.is_last() {
                return None;
            }
            fed.push(feed.next()?);
            let (now, earlier) = fed.split_last()?;
            let words = feed.words[1];
            let repeats = (earlier.iter().rev().zip(1u64..))
                .find(|(earlier, samples)| now.is_as(earlier, samples * words));
            let two_have_left = |fed: &Fed| fed.left >= 2 * words;
            if let Some((_, samples)) = repeats.filter(|(earlier, _)| two_have_left(earlier)) {
                break (fed.len() - 1 - samples as usize, samples);
            }
        };
        let (begin, end) = (&fed[from], fed.last()?);
        let per_period = (end.activity.iter().zip(&begin.activity))
            .map(|(after, before)| Activity {
                transfers: after.transfers - before.transfers,
                blocked: after.blocked - before.blocked,
                starved: after.starved - before.starved,
            })
            .collect();
        let (since, edges) = (begin.cycle, end.cycle - begin.cycle);
        let mut ends: Vec<(u64, Clock)> = Vec::new();
        while (ends.len() as u64) < samples {
            match feed.end(since) {
                Some(clock) => ends.push((feed.samples + 1, clock)),
                None if ends.is_empty() => {}
                None => return None,
            }
            if feed.is_last() {
                break;
            }
            feed.next()?;
        }
        (ends.len() as u64 == samples).then_some(Self {
            samples,
            edges,
            per_period,
            ends,
        })
    }

    /// Samples and edges of one period.
    #[must_use]
    pub fn length(&self) -> (u64, u64) {
        (self.samples, self.edges)
    }

    /// The fewest samples that [`Period::clock`] knows.
    #[must_use]
    pub fn least_samples(&self) -> u64 {
        self.ends.first().map_or(u64::MAX, |(samples, _)| *samples)
    }

    /// The clock of so many samples; none for fewer than it takes to repeat.
    #[must_use]
    pub fn clock(&self, samples: u64) -> Option<Clock> {
        let more = samples.checked_sub(self.least_samples())?;
        let (_, clock) = &self.ends[(more % self.samples) as usize];
        let periods = more / self.samples;
        let activity = clock.activity.iter().zip(&self.per_period);
        Some(Clock {
            timing: Timing {
                total: clock.timing.total + periods * self.edges,
                ..clock.timing
            },
            activity: activity
                .map(|(once, again)| Activity {
                    transfers: once.transfers + periods * again.transfers,
                    blocked: once.blocked + periods * again.blocked,
                    starved: once.starved + periods * again.starved,
                })
                .collect(),
            ..clock.clone()
        })
    }
}
