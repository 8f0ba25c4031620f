//! Strikes of which only what differs from the recorded run is simulated, against whole runs tick by tick.

#[path = "accelerator/nets.rs"]
mod nets;
mod workload_common;

use std::path::Path;
use std::sync::Arc;

use radstream::accelerator::{
    Accelerator, FifoDepth, Folding, Hardware, LayerHardware, StoredBit, WeightMemory, WindowGenerator,
};
use radstream::campaign::{
    DecidedBy, Kind, RegisterClasses, RegisterSelection, Run, Silent, StrikeOutcome, draw_strikes,
};
use radstream::fault::Targets;
use radstream::network::Window;
use radstream::simulate::cycle::{
    self, Access, Buffer, CycleFault, Edge, End, Engine, FlipClass, Known, Pipeline, Recording, RegisterBit,
    RegisterClass, RegisterTable, Settings, Signals, Site, Transient,
};
use rayon::prelude::*;
use workload_common::{MODELS, workload_on};

fn decoupled(pe: u32, simd: u32) -> Hardware {
    Hardware {
        default: LayerHardware {
            folding: Some(Folding::Finn { pe, simd }),
            weight_memory: Some(WeightMemory::Decoupled),
            ..LayerHardware::default()
        },
        ..Hardware::default()
    }
}

fn file(name: &str) -> Hardware {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("hw_configs");
    Hardware::read(&folder.join(name)).unwrap()
}

/// Strikes to try in all, and whether on every shipped network: `RADSTREAM_STRIKES` says a number, and tries them all.
fn strikes() -> (u64, bool) {
    let said = std::env::var("RADSTREAM_STRIKES").ok();
    let number = said
        .as_deref()
        .map_or(420, |number| number.parse().expect("a number of strikes"));
    (number, said.is_some())
}

struct Chip {
    name: String,
    accelerator: Arc<Accelerator>,
    pipeline: Arc<Pipeline>,
    inputs: Vec<i64>,
}

impl Chip {
    fn run(&self, faults: &[CycleFault], settings: Settings) -> cycle::Run {
        cycle::run(&self.pipeline, &self.accelerator, &self.inputs, faults, settings)
    }
}

fn chip(model: &str, samples: usize, what: &str, hardware: &Hardware) -> Chip {
    let (accelerator, workload) = workload_on(model, samples, hardware);
    Chip {
        name: format!("{model}, {what}"),
        pipeline: Pipeline::new(&accelerator).unwrap(),
        accelerator,
        inputs: workload.inputs,
    }
}

/// The shipped networks on their own hardware files, or the smaller of them, and some more foldings.
fn chips(all: bool) -> Vec<Chip> {
    let mut chips = vec![
        chip("digits_small_cls", 2, "default", &Hardware::default()),
        chip("digits_small_cls", 3, "decoupled 1/1", &decoupled(1, 1)),
        chip("digits_small_ae", 2, "decoupled 1/1", &decoupled(1, 1)),
    ];
    let mut models = MODELS;
    models.sort_by_key(|model| !model.starts_with("digits_small"));
    for model in &models[..if all { models.len() } else { 2 }] {
        for flow in ["finn", "hls4ml"] {
            chips.push(chip(model, 1, flow, &file(&format!("{model}.{flow}.ron"))));
        }
    }
    chips
}

/// Two convolutions and thresholds each, with any folding, generator, FIFO and place of the weights.
fn random_chips(count: usize) -> Vec<Chip> {
    let mut numbers = nets::Numbers::new(17);
    let mut chips = Vec::new();
    while chips.len() < count {
        let channels = [1, 2, 3][numbers.below(3)];
        let mut builder = nets::Builder::new(vec![4, 5, channels], nets::signed(4));
        let mut hardware = Hardware::default();
        if chips.len() % 3 == 0 {
            hardware.window_generator = WindowGenerator::Hls;
        }
        let mut inputs = channels;
        for (name, outputs) in [("first", 4), ("second", 2)] {
            let window = Window {
                kernel: [2, 2],
                stride: [1, 1],
                dilation: [1, 1],
                pad: [numbers.below(2); 2],
            };
            let seed = numbers.below(1 << 20);
            let weight = |at: usize| (at * 2_654_435 + seed) as i64 % 7 - 3;
            let layer = builder.convolution(name, outputs, window, window.pad, weight);
            let thresholds = (0..outputs * 3).map(|at| (at % 3) as i64 * 9 - 8).collect();
            builder.thresholds(layer.unwrap(), 3, thresholds, nets::signed(4));
            let layer = LayerHardware {
                folding: Some(Folding::Finn {
                    pe: numbers.divisor(outputs),
                    simd: numbers.divisor(4 * inputs),
                }),
                fifo: [None, Some(FifoDepth::Words(40)), Some(FifoDepth::Auto)][numbers.below(3)],
                weight_memory: [None, Some(WeightMemory::Decoupled)][numbers.below(2)],
                ..LayerHardware::default()
            };
            hardware.layers.insert(name.into(), layer);
            inputs = outputs;
        }
        let accelerator = Accelerator::build(&builder.network, &hardware).unwrap();
        // finn-hlslib's generators do not do every geometry.
        let Ok(pipeline) = Pipeline::new(&accelerator) else {
            continue;
        };
        let mantissas = (0..2 * 4 * 5 * channels).map(|_| numbers.below(16) as i64 - 8);
        chips.push(Chip {
            name: format!("random {}", chips.len()),
            accelerator: Arc::new(accelerator),
            pipeline,
            inputs: mantissas.collect(),
        });
    }
    chips
}

/// Draws strike after strike: on registers one at a time, two at a time, and on a wire.
fn sets(chip: &Chip, total: u64, count: u64) -> Vec<Vec<CycleFault>> {
    let targets = Targets::of(Arc::clone(&chip.accelerator), &chip.pipeline);
    let drawn = draw_strikes(&targets, &RegisterClass::ALL, total, count, 7);
    let others = draw_strikes(&targets, &RegisterClass::ALL, total, count, 8);
    let wires: Vec<Site> = (chip.pipeline.stages().iter().enumerate())
        .flat_map(|(stage, placed)| {
            let shapes = placed.stage.wires();
            shapes.into_iter().flat_map(move |shape| {
                let bit = shape.lane_bits / 2;
                (0..shape.lanes).map(move |lane| Site::Wire {
                    stage,
                    transient: Transient {
                        wire: shape.wire,
                        lane,
                        bit,
                    },
                })
            })
        })
        .collect();
    let pairs = drawn.into_iter().zip(others).enumerate();
    pairs
        .map(|(at, (one, other))| match at % 8 {
            3 => vec![one, other],
            5 if !wires.is_empty() => vec![CycleFault {
                site: wires[at % wires.len()],
                ..one
            }],
            _ => vec![one],
        })
        .collect()
}

#[test]
fn strikes_on_a_recorded_run_end_as_whole_runs_do() {
    let (count, all) = strikes();
    let chips = chips(all);
    // Short runs are struck more often, so that every network takes its part of the time.
    let totals: Vec<u64> = chips
        .iter()
        .map(|chip| chip.run(&[], Settings::default()).timing.total)
        .collect();
    let shares: f64 = totals.iter().map(|&total| 1.0 / total as f64).sum();
    let (mut tried, mut settled) = (0, 0);
    let mut ends = [0; 3];
    let mut mismatches: Vec<String> = Vec::new();
    for (chip, total) in chips.iter().zip(totals) {
        let free = chip.run(&[], Settings::default());
        let each = 20 + (count as f64 / shares / total as f64) as u64;
        let bound = 2 * total + 1000;
        let recording = Recording::new(&chip.pipeline, &chip.inputs, bound).unwrap();
        let plain = Settings {
            bound: Some(bound),
            plain: true,
            ..Settings::default()
        };
        let done: Vec<_> = sets(chip, total, each)
            .into_par_iter()
            .map(|faults| {
                let whole = chip.run(&faults, plain);
                // None where a write into a memory cannot be followed.
                let Some(struck) = recording.strike(&faults, bound) else {
                    return (None, whole.end, String::new());
                };
                let outputs = struck.outputs.as_ref().unwrap_or(&free.outputs);
                let differs = (struck.end, outputs) != (whole.end, &whole.outputs);
                let mismatch = match differs {
                    true => format!("{}: {faults:?}: {:?}, but {:?}", chip.name, struck.end, whole.end),
                    false => String::new(),
                };
                (Some(struck.settled.is_some()), whole.end, mismatch)
            })
            .collect();
        for (was_settled, end, mismatch) in done {
            tried += 1;
            settled += usize::from(was_settled == Some(true));
            ends[match end {
                End::Completed => 0,
                End::Hang { .. } => 1,
                End::StreamCorrupted { .. } => 2,
            }] += 1;
            mismatches.extend(Some(mismatch).filter(|mismatch| !mismatch.is_empty()));
        }
        let stored = CycleFault {
            cycle: Some(3),
            site: Site::Stored(StoredBit(0)),
        };
        assert_eq!(recording.strike(&[stored], bound), None);
    }
    println!(
        "{tried} strikes, {settled} settle, ends {ends:?}, not matching: {}",
        mismatches.len()
    );
    assert_eq!(mismatches, Vec::<String>::new());
    assert!(2 * settled > tried, "{settled} of {tried} settle");
    assert!(ends[0] > 0 && ends[1] + ends[2] > 0, "{ends:?}");
}

/// Every register bit of a stage, or of all.
fn bits(table: &RegisterTable, stage: Option<usize>) -> Vec<RegisterBit> {
    let rows = table.rows().iter();
    rows.filter(|row| stage.is_none_or(|stage| row.stage == stage))
        .flat_map(|row| {
            let register = &row.register;
            (0..register.words).flat_map(move |word| {
                (0..register.lanes).flat_map(move |lane| {
                    (0..register.lane_bits).filter_map(move |bit| row.bit(word, lane, bit))
                })
            })
        })
        .collect()
}

/// Numbers from 0 to below a bound.
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % bound
    }
}

#[test]
fn what_is_dead_by_its_rule_matters_in_no_number() {
    let (count, all) = strikes();
    let mut draws = Draws(5);
    let (mut tried, mut flipped) = (0, 0);
    for chip in chips(all) {
        let table = chip.pipeline.table();
        let bits = bits(&table, None);
        let free = chip.run(&[], Settings::default());
        for _ in 0..(count / 100).min(40) {
            let cycle = draws.below(free.timing.total);
            let mut engine = Engine::new(&chip.pipeline, &chip.inputs);
            while engine.cycle() <= cycle {
                engine.tick();
            }
            let dead = bits.iter().filter(|&&bit| !table.is_live(bit, engine.state()));
            let faults: Vec<CycleFault> = dead
                .filter(|_| draws.below(2) == 0)
                .map(|&bit| CycleFault {
                    cycle: Some(cycle),
                    site: Site::Register(bit),
                })
                .collect();
            let bound = Some(2 * free.timing.total + 1000);
            let settings = Settings {
                bound,
                ..Settings::default()
            };
            let run = chip.run(&faults, settings);
            let same = (run.end, &run.outputs) == (End::Completed, &free.outputs);
            assert!(same, "{}, cycle {cycle}: {:?}", chip.name, run.end);
            (tried, flipped) = (tried + 1, flipped + faults.len());
        }
    }
    assert!(
        tried > 20 && flipped > 50 * tried,
        "{flipped} bits in {tried} runs"
    );
}

#[test]
fn words_of_memories_matter_to_the_edges_that_read_them() {
    let (mut draws, mut tried, mut reads, mut writes) = (Draws(9), 0, 0, 0);
    let (_, all) = strikes();
    let points = if all { 12 } else { 3 };
    // A window generator whose memory is read in another order than it is written.
    let convolution = chip("digits_medium_ae", 1, "decoupled 1/1", &decoupled(1, 1));
    for chip in chips(all).into_iter().chain([convolution]) {
        let table = chip.pipeline.table();
        let stages = chip.pipeline.stages();
        let total = chip.run(&[], Settings::default()).timing.total;
        let mut engine = Engine::new(&chip.pipeline, &chip.inputs);
        for at in 1..=points {
            // Towards the end of a step, so that an edge of every phase is seen.
            while engine.cycle() < at * total / (points + 1) + draws.below(9) {
                engine.tick();
            }
            for (number, placed) in stages
                .iter()
                .enumerate()
                .filter(|(_, placed)| !placed.stage.buffers().is_empty())
            {
                // A word of each input, as its producer holds it; the accelerator's own input gives zeros.
                let words: Vec<&[u64]> = (placed.inputs.iter())
                    .map(|stream| {
                        let mut ports = stages.iter().flat_map(|from| {
                            let port = from.outputs.iter().position(|output| output == stream);
                            port.map(|port| (from, port))
                        });
                        ports.next().map_or(&[0u64][..], |(from, port)| {
                            from.stage.word(&engine.state()[from.state.clone()], port)
                        })
                    })
                    .collect();
                let bits: Vec<RegisterBit> = bits(&table, Some(number));
                for signals in (0..16).map(|mask| Signals {
                    valid: mask & 3,
                    ready: mask >> 2,
                }) {
                    let mut full = engine.state().to_vec();
                    let before = full[placed.state.clone()].to_vec();
                    let (accepted, offered) = (
                        placed.stage.accepts(&before, signals),
                        placed.stage.offers(&before),
                    );
                    let edge = Edge {
                        signals,
                        taken: signals.valid & accepted,
                        given: signals.ready & offered,
                        words: &words,
                        memories: engine.memories(),
                        transients: &[],
                    };
                    let (mut read, mut written) = (Vec::new(), Vec::new());
                    placed
                        .stage
                        .accesses(&before, &edge, &mut |limb, access| match access {
                            Access::Reads if written.contains(&limb) => {}
                            Access::Reads => read.push(limb),
                            Access::Writes => written.push(limb),
                        });
                    let word_of = |limb: usize| {
                        placed
                            .stage
                            .buffers()
                            .into_iter()
                            .find_map(|Buffer { start, limbs, words }| {
                                let word = limb.checked_sub(start)? / limbs;
                                (word < words).then_some(start + word * limbs)
                            })
                    };
                    let unread = |bit: &RegisterBit| {
                        let limb = bit.word - placed.state.start + bit.lane * bit.lane_bits as usize / 64;
                        word_of(limb).is_some_and(|word| !read.contains(&word))
                    };
                    let mut other = full.clone();
                    for bit in bits.iter().filter(|bit| unread(bit)) {
                        if draws.below(2) == 0 {
                            bit.flip(&mut other);
                        }
                    }
                    let mut after = other[placed.state.clone()].to_vec();
                    let place = format!("{} of {}, {signals:?}", placed.name, chip.name);
                    assert_eq!(placed.stage.accepts(&after, signals), accepted, "{place}");
                    assert_eq!(placed.stage.offers(&after), offered, "{place}");
                    let changed: Vec<u64> = before.iter().zip(&after).map(|(a, b)| a ^ b).collect();
                    placed.stage.edge(&mut full[placed.state.clone()], &edge);
                    placed.stage.edge(&mut after, &edge);
                    for (limb, (own, other)) in full[placed.state.clone()].iter().zip(&after).enumerate() {
                        let kept = word_of(limb).is_some_and(|word| !written.contains(&word));
                        let expected = if kept { changed[limb] } else { 0 };
                        let dead = || {
                            let of_limb = |bit: &&RegisterBit| {
                                let mut one = vec![0; full.len()];
                                bit.flip(&mut one);
                                one[placed.state.start + limb] & (own ^ other) != 0
                            };
                            !bits.iter().filter(of_limb).any(|&bit| table.is_live(bit, &full))
                        };
                        assert!(own ^ other == expected || dead(), "{place}, limb {limb}");
                    }
                    (tried, reads, writes) = (tried + 1, reads + read.len(), writes + written.len());
                }
            }
        }
    }
    assert!(
        tried > 200 && reads > 50 && writes > 50,
        "{reads} reads, {writes} writes, {tried} edges"
    );
}

/// Flips of single bits, each run tick by tick, against one flip of their class.
#[test]
fn flips_of_one_class_come_to_the_same() {
    let (count, all) = strikes();
    let mut chips = chips(all);
    chips.extend(random_chips(if all { 24 } else { 6 }));
    let totals: Vec<u64> = chips
        .iter()
        .map(|chip| chip.run(&[], Settings::default()).timing.total)
        .collect();
    let shares: f64 = totals.iter().map(|&total| 1.0 / total as f64).sum();
    let (mut tried, mut harmless, mut longer) = (0, 0, 0);
    let mut mismatches: Vec<String> = Vec::new();
    for (chip, total) in chips.iter().zip(totals) {
        let free = chip.run(&[], Settings::default());
        let bound = 2 * total + 1000;
        let each = 20 + (count as f64 / shares / total as f64) as u64;
        let recording = Recording::new(&chip.pipeline, &chip.inputs, bound).unwrap();
        let known = Known::default();
        let targets = Targets::of(Arc::clone(&chip.accelerator), &chip.pipeline);
        let mut drawn: Vec<(usize, RegisterBit, u64)> =
            draw_strikes(&targets, &RegisterClass::ALL, total, each, 11)
                .into_iter()
                .filter_map(|fault| match (fault.site, fault.cycle) {
                    (Site::Register(bit), Some(cycle)) => {
                        let table = targets.table();
                        Some((table.rows()[table.number(bit)?].stage, bit, cycle))
                    }
                    _ => None,
                })
                .collect();
        drawn.sort_unstable();
        let of_stages: Vec<_> = drawn.chunk_by(|a, b| a.0 == b.0).collect();
        let done: Vec<_> = of_stages
            .into_par_iter()
            .flat_map_iter(|drawn| {
                let bits: Vec<RegisterBit> = drawn.iter().map(|&(_, bit, _)| bit).collect();
                let mut classes: Vec<Vec<FlipClass>> = vec![Vec::new(); bits.len()];
                recording.classes(drawn[0].0, &bits, 0..total, |at, class| classes[at].push(class));
                drawn.iter().zip(classes)
            })
            .map(|(&(_, bit, cycle), classes)| {
                let mut ends = classes.iter().map(|class| class.last + 1);
                let begins = classes.iter().map(|class| class.first);
                assert!(begins.eq([0].into_iter().chain(ends.clone().take(classes.len() - 1))));
                assert_eq!(ends.next_back(), Some(total));
                let class = classes.iter().find(|class| cycle <= class.last).unwrap();
                let flip = |cycle: u64| CycleFault {
                    cycle: Some(cycle),
                    site: Site::Register(bit),
                };
                let plain = Settings {
                    bound: Some(bound),
                    plain: true,
                    ..Settings::default()
                };
                let whole = chip.run(&[flip(cycle)], plain);
                let (end, outputs) = match class.is_harmless {
                    true => (End::Completed, None),
                    false => {
                        let struck = recording.strike_known(&[flip(class.last)], bound, &known);
                        let struck = struck.unwrap();
                        (struck.end, struck.outputs.clone())
                    }
                };
                let outputs = outputs.as_ref().unwrap_or(&free.outputs);
                let same = (end, outputs) == (whole.end, &whole.outputs);
                let path = targets.register_path(Site::Register(bit)).unwrap();
                let mismatch = (!same).then(|| format!("{}: {path}, {class:?}, {cycle}", chip.name));
                (class.is_harmless, class.weight(), mismatch)
            })
            .collect();
        for (is_harmless, weight, mismatch) in done {
            tried += 1;
            harmless += usize::from(is_harmless);
            longer += usize::from(!is_harmless && weight > 1);
            mismatches.extend(mismatch);
        }
    }
    println!(
        "{tried} flips, {harmless} harmless by rule, {longer} of longer classes, not matching: {}",
        mismatches.len()
    );
    assert_eq!(mismatches, Vec::<String>::new());
    assert!(
        4 * harmless > tried && 40 * longer > tried,
        "{harmless}, {longer} of {tried}"
    );
}

/// Every flip of some bits in every cycle, one by one and without classes, against what the classes add up to.
#[test]
fn classes_add_up_to_every_flip() {
    let (_, all) = strikes();
    let every = if all { 23 } else { 101 };
    for (model, hardware) in [
        ("digits_small_cls", decoupled(2, 2)),
        ("digits_small_ae", Hardware::default()),
    ] {
        let (accelerator, workload) = workload_on(model, 4, &hardware);
        let pipeline = Pipeline::new(&accelerator).unwrap();
        let selection = RegisterSelection {
            every,
            ..RegisterSelection::default()
        };
        let classes = RegisterClasses::new(
            Arc::clone(&accelerator),
            pipeline,
            &workload.inputs,
            Arc::new(workload.evaluator.clone()),
            (1, selection),
        )
        .unwrap();
        let done = Run::new(&classes).go(&Silent).unwrap();
        let report = done.report(&classes);
        let flips: Vec<(RegisterBit, u64)> = (classes.bits().iter())
            .flat_map(|&bit| classes.cycles().map(move |cycle| (bit, cycle)))
            .collect();
        let outcomes: Vec<StrikeOutcome> = flips
            .par_iter()
            .map(|&(bit, cycle)| {
                classes.bench().outcome(&[CycleFault {
                    cycle: Some(cycle),
                    site: Site::Register(bit),
                }])
            })
            .collect();
        println!("{model}: {} flips in {} classes", flips.len(), classes.trials());
        assert_eq!(report.all.flips, flips.len() as u64);
        assert_eq!(report.all.classes, classes.trials());
        for row in &report.all.outcomes {
            let own = outcomes.iter().filter(|&&outcome| outcome == row.outcome).count();
            assert_eq!(row.flips, own as u64, "{model}: {:?}", row.outcome);
        }
        for groups in [
            &report.by_unit,
            &report.by_class,
            &report.by_layer,
            &report.by_register,
        ] {
            let sum: u64 = groups.iter().map(|group| group.shares.flips).sum();
            assert_eq!(sum, report.all.flips);
            let effective: f64 = groups.iter().map(|group| group.shares.effective_bits).sum();
            assert!((effective - report.all.effective_bits).abs() < 1e-9 * (1.0 + effective));
        }
        assert!(report.all.classes_by_rule > 0 && report.all.avf > Some(0.0));
        // A line says what its class is, and every flip is in the class that is found for it.
        let trials = classes.block(0..classes.trials().min(500), &Silent).unwrap();
        for (number, effect) in (0..).zip(&trials) {
            let rows = classes.rows(number, effect);
            assert_eq!(classes.recall(number, rows.clone()), Ok(*effect));
            assert!(classes.recall(classes.trials() - 1 - number, rows).is_err());
            if effect.decided_by == DecidedBy::Rule {
                assert_eq!(
                    (effect.outcome, effect.wrong_values),
                    (StrikeOutcome::NoEffect, 0)
                );
            }
        }
        for (&(bit, cycle), &outcome) in flips.iter().zip(&outcomes).step_by(97) {
            let class = classes.class_of(bit, cycle).unwrap();
            let effect = classes.block(class..class + 1, &Silent).unwrap()[0];
            assert_eq!(effect.outcome, outcome, "{model}: {bit:?} behind {cycle}");
        }
    }
}
