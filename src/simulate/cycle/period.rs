//! The clock of a fault-free stream of samples, from the accelerator's control alone.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use super::advance::Advance;
use super::engine::{Activity, Engine};
use super::pipeline::Pipeline;
use super::run::{End, Run, Timing, drive_free};

/// When words move in a fault-free run of any number of samples.
///
/// That does not depend on what words hold, so only the control runs ([`Pipeline::control`]): until all samples have left,
/// or until it has shown its [`Period`], which says the rest.
pub struct FreeRun {
    control: Arc<Pipeline>,
    period: Option<Period>,
}

/// One period of an accelerator's fault-free run, in samples and in edges.
///
/// The control's state behind the edge at which the last word of a sample enters comes again some samples later, so from
/// there on the same edges repeat, and so does what follows the last sample.
pub struct Period {
    samples: u64,
    edges: u64,
    per_period: Vec<Activity>,
    /// The control behind the first period.
    feed: Feed,
    /// What follows when so many more samples than one come behind that.
    ends: HashMap<u64, Clock>,
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

impl Clock {
    /// That of a run that completes.
    fn of(run: Run) -> Option<Self> {
        (run.end == End::Completed).then_some(Self {
            timing: run.timing,
            steady: run.steady,
            activity: run.activity,
            deepest: run.deepest,
        })
    }
}

/// The control behind the edge at which a sample has entered completely.
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

    /// Whether all is as before when so many words have left since.
    fn is_as(&self, earlier: &Self, words: u64) -> bool {
        self.left == earlier.left + words && self.since == earlier.since && self.state == earlier.state
    }
}

/// A stream of samples without an end.
#[derive(Clone)]
struct Feed {
    engine: Engine,
    /// Samples that have entered completely.
    samples: u64,
}

impl Feed {
    fn new(control: &Arc<Pipeline>) -> Self {
        Self {
            engine: Engine::of_control(control, u64::MAX),
            samples: 0,
        }
    }

    /// Runs until another sample has entered; none where that never happens.
    fn next(&mut self) -> Option<()> {
        self.samples += 1;
        let pipeline = self.engine.pipeline();
        let wanted = self.samples * pipeline.streams[pipeline.input].words;
        while (self.engine.input_cycles().len() as u64) < wanted {
            if self.engine.advance(u64::MAX) == Advance::Stuck {
                return None;
            }
        }
        Some(())
    }

    /// What becomes of the run when just one more sample follows; none where it does not complete.
    fn end(self) -> Option<Clock> {
        let mut engine = self.engine.in_front_of(self.samples + 1);
        Clock::of(drive_free(&mut engine))
    }
}

impl FreeRun {
    /// Samples back to which a period is looked for.
    const MEMORY: usize = 1024;

    /// The fault-free run of an accelerator.
    #[must_use]
    pub fn of(pipeline: &Pipeline) -> Self {
        Self {
            control: Arc::new(pipeline.control()),
            period: None,
        }
    }

    /// The period, where a clock has shown it.
    #[must_use]
    pub fn period(&self) -> Option<&Period> {
        self.period.as_ref()
    }

    /// The clock of so many samples; none where they do not all come out, and for no sample.
    #[must_use]
    pub fn clock(&mut self, samples: u64) -> Option<Clock> {
        let known = self.period.as_ref().is_some_and(|period| period.knows(samples));
        let control = &self.control;
        let words = [control.input, control.output].map(|stream| control.streams[stream].words);
        if words.contains(&0) || samples == 0 {
            return None;
        }
        if !known {
            let mut feed = Feed::new(control);
            let mut fed: VecDeque<Fed> = VecDeque::new();
            let period = loop {
                if feed.samples + 1 == samples {
                    return feed.end();
                }
                feed.next()?;
                let now = Fed::of(&mut feed.engine);
                let repeats = (fed.iter().rev().zip(1u64..))
                    .find(|(earlier, samples)| now.is_as(earlier, samples * words[1]));
                // The first two samples are told by their own edges, so they have left before all repeats.
                if let Some((earlier, samples)) = repeats.filter(|(earlier, _)| earlier.left >= 2 * words[1])
                {
                    break Period::between(earlier, &now, samples, feed);
                }
                fed.push_back(now);
                if fed.len() > Self::MEMORY {
                    fed.pop_front();
                }
            };
            self.period = Some(period);
        }
        self.period.as_mut()?.clock(samples)
    }
}

impl Period {
    fn between(begin: &Fed, end: &Fed, samples: u64, feed: Feed) -> Self {
        let per_period = (end.activity.iter().zip(&begin.activity))
            .map(|(after, before)| Activity {
                transfers: after.transfers - before.transfers,
                blocked: after.blocked - before.blocked,
                starved: after.starved - before.starved,
            })
            .collect();
        Self {
            samples,
            edges: end.cycle - begin.cycle,
            per_period,
            feed,
            ends: HashMap::new(),
        }
    }

    /// Samples and edges of one period.
    #[must_use]
    pub fn length(&self) -> (u64, u64) {
        (self.samples, self.edges)
    }

    /// The fewest samples whose clock it says.
    #[must_use]
    pub fn least_samples(&self) -> u64 {
        self.feed.samples + 1
    }

    fn knows(&self, samples: u64) -> bool {
        samples >= self.least_samples()
    }

    fn clock(&mut self, samples: u64) -> Option<Clock> {
        let more = samples - self.least_samples();
        let (periods, rest) = (more / self.samples, more % self.samples);
        if !self.ends.contains_key(&rest) {
            let mut feed = self.feed.clone();
            for _ in 0..rest {
                feed.next()?;
            }
            self.ends.insert(rest, feed.end()?);
        }
        let clock = &self.ends[&rest];
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
