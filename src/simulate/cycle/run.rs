//! Runs of samples through the accelerator, with faults at clock edges, and what became of them.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use super::advance::Advance;
use super::build::{BuildError, Depths, Fifos, Sizing, build};
use super::engine::{Engine, Rate};
use super::pipeline::Pipeline;
use super::register::RegisterBit;
use super::stage::Transient;
use super::watch::Watch;
use crate::accelerator::{Accelerator, StoredBit};

/// Where a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Site {
    /// A bit of a weight, bias or threshold memory: wrong until it is rewritten.
    Stored(StoredBit),
    /// A bit of a register: wrong until it is overwritten.
    Register(RegisterBit),
    /// A bit of a value between two registers: wrong for one edge.
    Wire {
        /// The stage.
        stage: usize,
        /// The bit.
        transient: Transient,
    },
}

/// A flip that lands after a clock edge, or before the first one. That of a wire is there while the edge
/// comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CycleFault {
    /// Number of the edge; none for a flip that is there before edge 0.
    pub cycle: Option<u64>,
    /// The bit.
    pub site: Site,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum End {
    /// Every sample has left, and nothing else.
    Completed,
    /// A sample has not left within the bound.
    Hang {
        /// The cycle at which waiting ended: the bound, or that from which on nothing moves.
        cycle: u64,
    },
    /// Too many or too few words have left.
    StreamCorrupted {
        /// Words that should have left.
        expected: u64,
        /// Words that left.
        seen: u64,
    },
}

/// When words entered and left, in the words of DESIGN: `cycles`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Timing {
    /// From the first input handshake to the first output handshake, both included.
    pub first_output: Option<u64>,
    /// From the first input to the last output of the first sample, both included.
    pub latency: Option<u64>,
    /// Between the last outputs of the last two samples; none for fewer than two.
    pub initiation_interval: Option<u64>,
    /// Edges until the last output.
    pub total: u64,
}

/// What became of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Output mantissas of complete samples and of what follows, in order.
    pub outputs: Vec<i64>,
    /// How it ended.
    pub end: End,
    /// When.
    pub timing: Timing,
    /// What each stage did until the last output, or the end of waiting for it.
    pub activity: Vec<super::engine::Activity>,
    /// Most words that each stage held, where it is a FIFO.
    pub deepest: Vec<u64>,
    /// The flips that happened, in their order.
    pub strikes: Vec<Strike>,
    /// The edges between the last outputs of the first and the second sample, when every stage works at
    /// its own pace; none for fewer than two samples.
    pub steady: Option<std::ops::Range<u64>>,
}

impl CycleFault {
    /// Edges that come before the flip.
    pub(super) fn edges_before(&self) -> u64 {
        match (self.cycle, self.site) {
            (None, _) => 0,
            (Some(cycle), Site::Wire { .. }) => cycle,
            (Some(cycle), _) => cycle.saturating_add(1),
        }
    }
}

/// A flip as it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    /// Which.
    pub fault: CycleFault,
    /// Bits of the register's lane before and after; none for a memory and for a wire.
    pub lane: Option<(u64, u64)>,
}

impl Engine {
    /// Lets a flip happen now.
    pub fn strike(&mut self, accelerator: &Accelerator, fault: CycleFault) -> Strike {
        self.wake_all();
        let lane = match fault.site {
            Site::Stored(bit) => {
                self.flip_memory(accelerator, bit);
                None
            }
            Site::Register(bit) => {
                let before = bit.value(self.state());
                self.flip_register(bit);
                Some((before, bit.value(self.state())))
            }
            Site::Wire { stage, transient } => {
                self.strike_wire(stage, transient);
                None
            }
        };
        Strike { fault, lane }
    }
}

/// Settings of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// Last cycle to wait for; without one the run ends when nothing moves any more.
    pub bound: Option<u64>,
    /// Rates other than the hardware file's, at the input and the output.
    pub rates: Option<[Rate; 2]>,
    /// Tick every stage at every edge instead of skipping quiet stretches.
    pub plain: bool,
}

impl Pipeline {
    /// The stages of an accelerator. FIFOs whose depth is left to radstream get the depth that the
    /// fault-free stream needs.
    ///
    /// # Errors
    /// [`BuildError`] where a layer cannot be built, or the streams lock up.
    pub fn new(accelerator: &Accelerator) -> Result<Arc<Self>, BuildError> {
        let draft = build(accelerator, Fifos::Draft)?;
        // Only where streams meet can one of them wait for the other in vain.
        let joins = accelerator
            .network()
            .nodes
            .iter()
            .any(|node| node.inputs.len() > 1);
        if draft.auto.is_empty() && !joins {
            return Ok(Arc::new(draft.pipeline.packed()));
        }
        let depths = needed_depths(&draft.pipeline, &draft.auto)?;
        let built = build(accelerator, Fifos::Found(&depths))?;
        // Depths that the file states may lock up where the others do not.
        needed_depths(&built.pipeline, &[])?;
        Ok(Arc::new(built.pipeline.packed()))
    }
}

impl Pipeline {
    /// The depth of every FIFO from which on it never holds up the stream: the most words that it holds
    /// where all FIFOs are deep enough.
    ///
    /// # Errors
    /// As [`Pipeline::new`].
    pub fn needed_fifo_depths(accelerator: &Accelerator) -> Result<Depths, BuildError> {
        let deep = build(accelerator, Fifos::Deep)?;
        let stages = deep.pipeline.stages.iter();
        let all: Vec<_> = stages
            .map(|placed| (placed.name.clone(), Sizing::Needed))
            .collect();
        needed_depths(&deep.pipeline, &all)
    }
}

/// Samples that fill the pipeline while depths are found: two; as in FINN's `InsertAndSetFIFODepths` half as many as
/// there are units and FIFOs, where it sizes them and there is no window generator, so that layers do not overlap.
fn filling_samples(pipeline: &Pipeline, auto: &[(String, Sizing)]) -> usize {
    let finn = auto.iter().any(|(_, sizing)| *sizing != Sizing::Needed);
    if !finn || pipeline.stages.iter().any(|placed| placed.kind == "swg") {
        return 2;
    }
    let units = pipeline
        .stages
        .iter()
        .filter(|placed| placed.kind != "weight_stream");
    (units.count() / 2).max(1)
}

/// The depths of these FIFOs, from the most words that each holds while a few samples pass.
fn needed_depths(pipeline: &Pipeline, auto: &[(String, Sizing)]) -> Result<Depths, BuildError> {
    let samples = filling_samples(pipeline, auto) as u64;
    let mut engine =
        Engine::of_control(&Arc::new(pipeline.control()), samples).with_rates(Rate::Every(1), Rate::Every(1));
    let run = drive_free(&mut engine);
    if run.end != End::Completed {
        return Err(BuildError::Deadlock {
            cycle: engine.cycle(),
            chain: engine.waiting(),
        });
    }
    let stages = pipeline.stages.iter().zip(&run.deepest);
    let fifos = stages.filter(|(placed, _)| placed.fifo_depth.is_some());
    let deepest: HashMap<&str, u64> = fifos
        .map(|(placed, &deepest)| (placed.name.as_str(), deepest))
        .collect();
    let deepest = |name: &str| usize::try_from(*deepest.get(name)?).ok();
    Ok(auto
        .iter()
        .filter_map(|(name, sizing)| Some((name.clone(), sizing.depth(deepest(name)?))))
        .collect())
}

impl Engine {
    /// Which stage waits for which, as a text.
    #[must_use]
    pub fn waiting(&self) -> String {
        let pipeline = self.pipeline();
        let name = |stage: Option<(usize, usize)>, end: &str| {
            stage.map_or_else(
                || end.to_owned(),
                |(stage, _)| pipeline.stages[stage].name.clone(),
            )
        };
        let mut chain = Vec::new();
        for (at, placed) in pipeline.stages.iter().enumerate() {
            let (signals, offered, _) = self.signals(at);
            for (port, &stream) in placed.outputs.iter().enumerate() {
                if offered >> port & 1 == 1 && signals.ready >> port & 1 == 0 {
                    let consumer = name(pipeline.streams[stream].to, "the output");
                    chain.push(format!("`{}` waits for room in `{consumer}`", placed.name));
                }
            }
            for (port, &stream) in placed.inputs.iter().enumerate() {
                let other_waits =
                    placed.inputs.len() > 1 && signals.valid >> port & 1 == 0 && signals.valid != 0;
                if other_waits {
                    let producer = name(pipeline.streams[stream].from, "the input");
                    chain.push(format!("`{}` waits for a word of `{producer}`", placed.name));
                }
            }
        }
        if chain.is_empty() {
            "nothing moves".to_owned()
        } else {
            chain.join("; ")
        }
    }
}

/// Runs samples through an accelerator after reset.
#[must_use]
pub fn run(
    pipeline: &Arc<Pipeline>,
    accelerator: &Accelerator,
    inputs: &[i64],
    faults: &[CycleFault],
    settings: Settings,
) -> Run {
    let mut engine = Engine::new(pipeline, inputs);
    drive(&mut engine, accelerator, faults, settings)
}

/// Runs an engine to its end.
pub fn drive(
    engine: &mut Engine,
    accelerator: &Accelerator,
    faults: &[CycleFault],
    settings: Settings,
) -> Run {
    let nothing: std::io::Result<Run> = drive_watched(engine, accelerator, faults, settings, &mut []);
    nothing.expect("nobody writes")
}

/// Runs an engine to its end without faults.
pub(super) fn drive_free(engine: &mut Engine) -> Run {
    let unstruck = |_: &mut Engine, fault| Strike { fault, lane: None };
    let nothing = conducted(engine, &[], Settings::default(), &mut [], unstruck);
    nothing.expect("nobody writes")
}

/// [`drive`] under the eyes of watchers, tick by tick.
///
/// # Errors
/// Where what a watcher writes to fails.
pub fn drive_watched(
    engine: &mut Engine,
    accelerator: &Accelerator,
    faults: &[CycleFault],
    settings: Settings,
    watchers: &mut [&mut dyn Watch],
) -> std::io::Result<Run> {
    conducted(engine, faults, settings, watchers, |engine, fault| {
        engine.strike(accelerator, fault)
    })
}

fn conducted(
    engine: &mut Engine,
    faults: &[CycleFault],
    settings: Settings,
    watchers: &mut [&mut dyn Watch],
    mut strike: impl FnMut(&mut Engine, CycleFault) -> Strike,
) -> std::io::Result<Run> {
    if let Some([input, output]) = settings.rates {
        *engine = engine.clone().with_rates(input, output);
    }
    let pipeline = Arc::clone(engine.pipeline());
    let mut faults = faults.to_vec();
    faults.sort_by_key(CycleFault::edges_before);
    let mut faults = faults.into_iter().peekable();
    let mut strikes = Vec::with_capacity(faults.len());
    let samples = engine.samples();
    let words = pipeline.streams[pipeline.output].words;
    let expected = words * samples;
    let plain = settings.plain || !watchers.is_empty();
    let mut quiet = 0u32;
    let mut total = 0;
    let mut activity = None;
    let end = loop {
        while let Some(fault) = faults.next_if(|fault| fault.edges_before() <= engine.cycle()) {
            strikes.push(strike(engine, fault));
        }
        let before = engine.output_cycles().len();
        for watcher in watchers.iter_mut() {
            watcher.see(engine)?;
        }
        let mut stuck = false;
        if plain {
            quiet = if engine.tick() { 0 } else { quiet + 1 };
        } else {
            let next_fault = faults.peek().map_or(u64::MAX, CycleFault::edges_before);
            let limit = settings.bound.map_or(u64::MAX, |bound| bound + 1).min(next_fault);
            stuck = engine.advance(limit) == Advance::Stuck;
        }
        if engine.output_cycles().len() > before && engine.output_cycles().len() as u64 <= expected {
            total = engine.cycle();
            if engine.output_cycles().len() as u64 == expected {
                engine.wake_all();
                activity = Some(engine.activity().to_vec());
            }
        }
        let seen = engine.output_cycles().len() as u64;
        let over = settings.bound.is_some_and(|bound| engine.cycle() > bound);
        let pending = faults.peek().is_some();
        // Words beyond the last sample show only when the accelerator is given the time to hand them out.
        stuck |= plain && !pending && quiet >= 4 && quiet.is_power_of_two() && engine.is_stuck();
        if seen > expected {
            break End::StreamCorrupted { expected, seen };
        }
        if seen == expected && (stuck || over || settings.bound.is_none() && !pending) {
            break End::Completed;
        }
        if stuck || over {
            break if seen.is_multiple_of(words.max(1)) {
                End::Hang {
                    cycle: settings.bound.unwrap_or(engine.cycle()),
                }
            } else {
                End::StreamCorrupted { expected, seen }
            };
        }
    };
    for watcher in watchers.iter_mut() {
        watcher.see(engine)?;
        watcher.end()?;
    }
    engine.wake_all();
    let last_output = |sample: u64| engine.output_cycles().get((sample * words) as usize - 1).copied();
    let steady = last_output(1)
        .zip(last_output(2))
        .map(|(from, to)| from + 1..to + 1);
    let timing = timing(engine, total, samples, words);
    Ok(Run {
        outputs: engine.outputs(),
        end,
        timing,
        activity: activity.unwrap_or_else(|| engine.activity().to_vec()),
        deepest: engine.deepest().to_vec(),
        strikes,
        steady,
    })
}

fn timing(engine: &Engine, total: u64, samples: u64, words: u64) -> Timing {
    let entered = engine.input_cycles().first().copied();
    let left = engine.output_cycles();
    let last_of = |sample: u64| left.get(((sample + 1) * words - 1) as usize).copied();
    let since = |cycle: Option<u64>| Some(cycle? + 1 - entered?);
    let interval = if samples >= 2 {
        last_of(samples - 1).zip(last_of(samples - 2)).map(|(b, a)| b - a)
    } else {
        None
    };
    Timing {
        first_output: since(left.first().copied()),
        latency: since(last_of(0)),
        initiation_interval: interval,
        total,
    }
}
