//! Faults at clock edges: where they land, how long they live, what they come to.

#[path = "accelerator/nets.rs"]
mod nets;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use radstream::accelerator::{
    Accelerator, FifoDepth, Folding, Hardware, LayerHardware, MemoryId, StoredBit, WeightMemory,
};
use radstream::campaign::{StrikeBench, StrikeOutcome, draw_strikes};
use radstream::fault::{self, Targets};
use radstream::model::{Description, Files, Settings as ModelSettings, Workload, load_network};
use radstream::network::import::ImportOptions;
use radstream::network::{Geometry, LayerId, Network, Op};
use radstream::simulate::cycle::BuildError;
use radstream::simulate::cycle::Pipeline;
use radstream::simulate::cycle::register::RegisterClass;
use radstream::simulate::cycle::{self, CycleFault, End, Settings, Site};
use radstream::simulate::cycle::{Engine, Rate};
use radstream::simulate::functional::{Parameters, evaluate};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

struct Chip {
    accelerator: Arc<Accelerator>,
    pipeline: Arc<Pipeline>,
    inputs: Vec<i64>,
    workload: Workload,
}

fn model(name: &str) -> (Network, Workload) {
    let files = Files::Folder(Path::new("models").join(name));
    let model = Description::read(&files).unwrap();
    let network = load_network(&files, Path::new(&model.network), &ImportOptions::default()).unwrap();
    let settings = ModelSettings {
        limit: Some(4),
        ..ModelSettings::of(&model, &files)
    };
    let workload = Workload::load(&network, &settings).unwrap();
    (network, workload)
}

fn chip(name: &str, samples: usize, hardware: &Hardware) -> Chip {
    let (network, workload) = model(name);
    let accelerator = Accelerator::build(&network, hardware).unwrap();
    let pipeline = Pipeline::new(&accelerator).unwrap_or_else(|error| panic!("{name}: {error}"));
    let elements = network.tensor(network.input).len();
    let inputs = workload.inputs[..samples * elements].to_vec();
    Chip {
        accelerator: Arc::new(accelerator),
        pipeline,
        inputs,
        workload,
    }
}

/// The address of every bit in the order of [`dump`]: registers as their declarations lay them out,
/// then the memories.
fn addresses(chip: &Chip) -> Vec<(String, String, u64, u32)> {
    let network = chip.accelerator.network();
    let mut addresses = Vec::new();
    let mut next: BTreeMap<(LayerId, RegisterClass), u64> = BTreeMap::new();
    for placed in chip.pipeline.stages() {
        for register in &placed.registers {
            let element = next.entry((placed.layer, register.class)).or_default();
            let layer = &network.layer(placed.layer).name;
            for _ in 0..register.words * register.lanes {
                for bit in 0..register.lane_bits {
                    addresses.push((layer.clone(), register.class.name().to_owned(), *element, bit));
                }
                *element += 1;
            }
        }
    }
    addresses.extend(chip.accelerator.map().bits().map(|bit| {
        let named = chip.accelerator.named(bit);
        (named.layer, named.tensor, named.element, named.bit)
    }));
    let unique: std::collections::HashSet<_> = addresses.iter().collect();
    assert_eq!(unique.len(), addresses.len());
    addresses
}

/// What the memories hold without upsets, bit by bit.
fn stored(accelerator: &Accelerator) -> Vec<bool> {
    let map = accelerator.map();
    let images: Vec<_> = (0..map.memories().len() as u32)
        .map(|at| accelerator.image(MemoryId(at)))
        .collect();
    map.bits()
        .map(|bit| {
            let address = map.address(bit);
            images[address.memory.index()].word(address.word as usize)[address.bit as usize]
        })
        .collect()
}

/// Every bit of the accelerator.
fn dump(chip: &Chip, stored: &[bool], engine: &Engine) -> Vec<bool> {
    let mut bits = Vec::new();
    for placed in chip.pipeline.stages() {
        let mut limb = placed.state.start;
        for register in &placed.registers {
            let word_bits = register.lanes * register.lane_bits as usize;
            for _ in 0..register.words {
                bits.extend((0..word_bits).map(|at| engine.state()[limb + at / 64] >> (at % 64) & 1 == 1));
                limb += word_bits.div_ceil(64);
            }
        }
    }
    let first = bits.len();
    bits.extend(stored);
    for bit in engine.memories().flipped() {
        bits[first + bit.0 as usize] ^= true;
    }
    bits
}

#[test]
fn every_register_bit_has_one_path() {
    let file = |name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("hw_configs");
        Hardware::read(&folder.join(name)).unwrap()
    };
    for (name, hardware) in [
        ("digits_small_cls", Hardware::default()),
        ("digits_medium_ae", file("digits_medium_ae.finn.ron")),
    ] {
        let chip = chip(name, 1, &hardware);
        let targets = Targets::of(Arc::clone(&chip.accelerator), &chip.pipeline);
        let table = targets.table();
        let mut seen = std::collections::HashSet::new();
        let mut flips = std::collections::HashSet::new();
        for row in table.rows() {
            let register = &row.register;
            for (word, lane) in
                (0..register.words).flat_map(|word| (0..register.lanes).map(move |lane| (word, lane)))
            {
                let path = row.path_of(word, lane);
                for bit in 0..register.lane_bits {
                    let found = table.find(&path, bit).unwrap();
                    assert_eq!(table.path(found).as_ref(), Some(&path));
                    let mut state = vec![0; chip.pipeline.limbs()];
                    if bit == 0 {
                        found.flip(&mut state);
                        let limb = state.iter().position(|&limb| limb != 0).unwrap();
                        assert!(flips.insert((limb, state[limb])), "{path}");
                    }
                }
                assert!(table.find(&path, register.lane_bits).is_err(), "{path}");
                assert!(seen.insert(path));
            }
        }
        let bits: u64 = table.rows().iter().map(|row| row.register.bits()).sum();
        assert_eq!(bits, chip.pipeline.register_bits());
        let index =
            [0, bits / 2, bits - 1].map(|index| targets.register_bit(&RegisterClass::ALL, index).unwrap());
        for site in index {
            let path = targets.register_path(site).unwrap();
            let Site::Register(bit) = site else {
                panic!("a register")
            };
            assert_eq!(targets.find_register(&path, bit.bit).unwrap(), site);
        }
    }
}

#[test]
fn a_flip_changes_exactly_its_bit_and_nothing_else_in_that_cycle() {
    let chip = chip("digits_small_cls", 1, &Hardware::default());
    let targets = Targets::of(Arc::clone(&chip.accelerator), &chip.pipeline);
    let total = cycle::run(
        &chip.pipeline,
        &chip.accelerator,
        &chip.inputs,
        &[],
        Settings::default(),
    )
    .timing
    .total;
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let classes: Vec<RegisterClass> = RegisterClass::ALL
        .into_iter()
        .filter(|class| targets.registers().iter().any(|tensor| tensor.class == *class))
        .collect();
    assert!(classes.len() >= 5, "{classes:?}");
    let mut flips: Vec<(u64, Site)> = (0..1000)
        .map(|at| {
            let cycle = random.random_range(0..total);
            // Every class in turn, and the memories.
            let site = match classes.get(at % (classes.len() + 1)) {
                Some(class) => {
                    let tensors = targets.registers().iter().filter(|tensor| tensor.class == *class);
                    let bits: u64 = tensors.map(|tensor| tensor.bits()).sum();
                    targets
                        .register_bit(&[*class], random.random_range(0..bits))
                        .unwrap()
                }
                None => Site::Stored(StoredBit(
                    random.random_range(0..chip.accelerator.map().total_bits()),
                )),
            };
            (cycle, site)
        })
        .collect();
    flips.sort();
    let mut engine = Engine::new(&chip.pipeline, &chip.inputs);
    let addresses = addresses(&chip);
    let stored = stored(&chip.accelerator);
    for (cycle, site) in flips {
        while engine.cycle() <= cycle {
            engine.tick();
        }
        let before = dump(&chip, &stored, &engine);
        let mut struck = engine.clone();
        let strike = struck.strike(
            &chip.accelerator,
            CycleFault {
                cycle: Some(cycle),
                site,
            },
        );
        let after = dump(&chip, &stored, &struck);
        let changed: Vec<_> = (0..before.len())
            .filter(|&at| before[at] != after[at])
            .map(|at| addresses[at].clone())
            .collect();
        let named = targets.named(site);
        assert_eq!(
            changed,
            [(named.layer, named.tensor, named.element, named.bit)],
            "cycle {cycle}"
        );
        if let Some((old, new)) = strike.lane {
            assert_eq!(old ^ new, 1 << named.bit);
        }
        assert_eq!(struck.cycle(), engine.cycle());
    }
}

#[test]
fn every_register_bit_has_two_addresses_that_lead_to_it() {
    let chip = chip("digits_medium_cls", 1, &Hardware::default());
    let targets = Targets::of(Arc::clone(&chip.accelerator), &chip.pipeline);
    let mut seen = std::collections::HashSet::new();
    for tensor in targets.registers() {
        for (element, bit) in tensor.bits_of_elements() {
            let layer = &chip.accelerator.network().layer(tensor.layer).name;
            let site = targets
                .find_logical(layer, tensor.class.name(), element, bit)
                .unwrap();
            assert!(seen.insert(site));
            let named = targets.named(site);
            assert_eq!((named.element, named.bit), (element, bit));
            assert_eq!(
                targets
                    .find_physical(&named.memory, named.word, named.word_bit)
                    .unwrap(),
                site
            );
        }
    }
    assert_eq!(seen.len() as u64, chip.pipeline.register_bits());
    for index in 0..seen.len() as u64 {
        assert!(seen.remove(&targets.register_bit(&RegisterClass::ALL, index).unwrap()));
    }
}

#[test]
fn control_faults_hang_and_corrupt_streams() {
    let chip = chip("digits_small_cls", 2, &Hardware::default());
    let targets = Targets::of(Arc::clone(&chip.accelerator), &chip.pipeline);
    let bench = StrikeBench::new(
        Arc::clone(&chip.accelerator),
        Arc::clone(&chip.pipeline),
        chip.inputs.clone(),
        Arc::new(chip.workload.evaluator.clone()),
    );
    let total = bench.fault_free().timing.total;
    let control = draw_strikes(&targets, &[RegisterClass::Control], total, 400, 9);
    let outcomes = bench.one_by_one(&control, &radstream::campaign::Silent).unwrap();
    let count = |wanted: StrikeOutcome| outcomes.iter().filter(|&&outcome| outcome == wanted).count();
    for outcome in [
        StrikeOutcome::NoEffect,
        StrikeOutcome::Hang,
        StrikeOutcome::StreamCorrupted,
    ] {
        assert!(count(outcome) > 0, "{outcome:?} of {outcomes:?}");
    }
    let data = draw_strikes(
        &targets,
        &[
            RegisterClass::Accumulator,
            RegisterClass::Pipeline,
            RegisterClass::Fifo,
        ],
        total,
        400,
        9,
    );
    for outcome in bench.one_by_one(&data, &radstream::campaign::Silent).unwrap() {
        assert!(
            !matches!(outcome, StrikeOutcome::Hang | StrikeOutcome::StreamCorrupted),
            "data do not steer"
        );
    }
}

#[test]
fn struck_runs_are_the_same_tick_by_tick() {
    for name in ["digits_small_cls", "digits_medium_ae"] {
        let chip = chip(name, 2, &Hardware::default());
        let targets = Targets::of(Arc::clone(&chip.accelerator), &chip.pipeline);
        let bench = StrikeBench::new(
            Arc::clone(&chip.accelerator),
            Arc::clone(&chip.pipeline),
            chip.inputs.clone(),
            Arc::new(chip.workload.evaluator.clone()),
        );
        let total = bench.fault_free().timing.total;
        for fault in draw_strikes(&targets, &RegisterClass::ALL, total, 300, 3) {
            let settings = Settings {
                bound: Some(bench.bound()),
                ..Settings::default()
            };
            let fast = cycle::run(
                &chip.pipeline,
                &chip.accelerator,
                &chip.inputs,
                &[fault],
                settings,
            );
            let plain = Settings {
                plain: true,
                ..settings
            };
            let ticked = cycle::run(&chip.pipeline, &chip.accelerator, &chip.inputs, &[fault], plain);
            let named = targets.named(fault.site);
            assert_eq!(
                (fast.outputs, fast.strikes),
                (ticked.outputs, ticked.strikes),
                "{named:?} {:?}",
                fault.cycle
            );
            assert_eq!(
                std::mem::discriminant(&fast.end),
                std::mem::discriminant(&ticked.end),
                "{named:?}"
            );
        }
    }
}

#[test]
fn a_weight_flip_lives_until_the_weights_are_rewritten() {
    // y = 3 x0 + 5 x1, one multiplier, so the weights are read anew for every sample.
    let mut builder = nets::Builder::new(vec![2], nets::signed(8));
    builder.product("fc", Geometry::dense(1, 2, 1), nets::signed(4), vec![3, 5], false);
    let network = builder.network;
    let hardware = Hardware {
        default: LayerHardware {
            folding: Some(Folding::Finn { pe: 1, simd: 1 }),
            ..LayerHardware::default()
        },
        ..Hardware::default()
    };
    let accelerator = Accelerator::build(&network, &hardware).unwrap();
    let pipeline = Pipeline::new(&accelerator).unwrap();
    let samples = 20;
    let inputs = [10, 1].repeat(samples);
    let fault_free = cycle::run(&pipeline, &accelerator, &inputs, &[], Settings::default());
    assert_eq!(fault_free.outputs, vec![35; samples]);
    // Bit 2 of the weight 3 makes it 7.
    let bit = accelerator.find_logical("fc", "weight", 0, 2).unwrap();
    let mut engine = Engine::new(&pipeline, &inputs);
    engine.flip_memory(&accelerator, bit);
    let mut refreshed = false;
    while engine.outputs().len() < samples {
        engine.tick();
        if engine.outputs().len() == 3 && !refreshed {
            engine.refresh(&accelerator);
            refreshed = true;
        }
    }
    let outputs = engine.outputs();
    // Samples whose weights were read before the rewrite are wrong, the ones after it right again.
    let wrong = outputs.iter().take_while(|&&output| output == 75).count();
    assert!((3..samples).contains(&wrong), "{outputs:?}");
    assert_eq!(outputs[wrong..], vec![35; samples - wrong]);
    assert!(engine.memories().flipped().is_empty());
    // Left alone it never goes away.
    let fault = CycleFault {
        cycle: None,
        site: Site::Stored(bit),
    };
    let persistent = cycle::run(&pipeline, &accelerator, &inputs, &[fault], Settings::default());
    assert_eq!(persistent.outputs, vec![75; samples]);
}

#[test]
fn a_transient_in_a_multiplier_is_gone_after_its_cycle() {
    let mut builder = nets::Builder::new(vec![2], nets::signed(8));
    builder.product("fc", Geometry::dense(1, 2, 1), nets::signed(4), vec![3, 5], false);
    let network = builder.network;
    for folding in [
        Folding::Finn { pe: 1, simd: 2 },
        Folding::Hls4ml { reuse_factor: 2 },
    ] {
        let hardware = Hardware {
            default: LayerHardware {
                folding: Some(folding),
                ..LayerHardware::default()
            },
            ..Hardware::default()
        };
        let accelerator = Arc::new(Accelerator::build(&network, &hardware).unwrap());
        let pipeline = Pipeline::new(&accelerator).unwrap();
        let targets = Targets::of(Arc::clone(&accelerator), &pipeline);
        let inputs = [10, 1].repeat(5);
        let total = cycle::run(&pipeline, &accelerator, &inputs, &[], Settings::default())
            .timing
            .total;
        let site = targets.find_logical("fc", "product_wire", 0, 4).unwrap();
        let mut struck = 0;
        for cycle in 0..total {
            let fault = CycleFault {
                cycle: Some(cycle),
                site,
            };
            let outputs = cycle::run(&pipeline, &accelerator, &inputs, &[fault], Settings::default()).outputs;
            let wrong: Vec<i64> = outputs.into_iter().filter(|&output| output != 35).collect();
            // 3 * 10 = 30 has bit 4 set and 5 * 1 has not: the product is 16 too small or too large.
            assert!(
                wrong.is_empty() || wrong == [19] || wrong == [51],
                "{folding:?} {cycle} {wrong:?}"
            );
            struck += wrong.len();
        }
        assert!(struck >= 5, "{folding:?}: {struck} of {total}");
    }
}

fn divisors(of: usize) -> Vec<u32> {
    (1..=of)
        .filter(|divisor| of.is_multiple_of(*divisor))
        .map(|divisor| divisor as u32)
        .collect()
}

/// Another folding, FIFO depth and width for every layer.
fn any_hardware(network: &Network, random: &mut ChaCha8Rng) -> Hardware {
    let mut hardware = Hardware::default();
    for node in &network.nodes {
        let Op::Mac(mac) = &node.op else { continue };
        let (rows, taps) = (mac.geometry.output[2], mac.geometry.taps(mac.groups));
        let (pes, simds) = (divisors(rows), divisors(taps));
        let mut pick = |from: &[u32]| from[random.random_range(0..from.len())];
        let folding = Folding::Finn {
            pe: pick(&pes),
            simd: pick(&simds),
        };
        let reuse = Folding::Hls4ml {
            reuse_factor: pick(&simds),
        };
        let entry = LayerHardware {
            folding: Some(if random.random_range(0..4) == 0 {
                reuse
            } else {
                folding
            }),
            fifo: match random.random_range(0..3) {
                0 => Some(FifoDepth::Auto),
                1 => Some(FifoDepth::Words(random.random_range(1..9))),
                _ => None,
            },
            weight_memory: (random.random_range(0..2) == 0).then_some(WeightMemory::Decoupled),
            ..LayerHardware::default()
        };
        hardware
            .layers
            .insert(network.layer(node.layer).name.clone(), entry);
    }
    hardware
}

/// Both engines, and the cycle engine tick by tick, on any hardware under any backpressure with any
/// persistent faults.
fn agree_on_any_hardware(name: &str, samples: usize, seed: u64, rates: [u64; 2]) {
    let (network, workload) = model(name);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let hardware = any_hardware(&network, &mut random);
    let accelerator = Accelerator::build(&network, &hardware).unwrap();
    let pipeline = match Pipeline::new(&accelerator) {
        Ok(pipeline) => pipeline,
        Err(error) => panic!("{name}, seed {seed}: {error}"),
    };
    let network = accelerator.network();
    let elements = network.tensor(network.input).len();
    let inputs = &workload.inputs[..samples * elements];
    let bits = accelerator.map().total_bits();
    let hits = random.random_range(0..20);
    let wrong = fault::wrong_bits((0..hits).map(|_| StoredBit(random.random_range(0..bits))));
    let faults: Vec<CycleFault> = wrong
        .iter()
        .map(|&bit| CycleFault {
            cycle: None,
            site: Site::Stored(bit),
        })
        .collect();
    let rate = |percent: u64, seed: u64| match percent {
        100 => Rate::Every(1),
        _ => Rate::Random { percent, seed },
    };
    let settings = Settings {
        rates: Some([rate(rates[0], seed), rate(rates[1], !seed)]),
        ..Settings::default()
    };
    let mut parameters = Parameters::of(network);
    for change in fault::changes(&accelerator, &wrong) {
        parameters.replace(change.param, change.element as usize, change.mantissa);
    }
    let expected: Vec<i64> = inputs
        .chunks_exact(elements)
        .flat_map(|input| {
            evaluate(network, &parameters, input)
                .tensor(network.output)
                .to_vec()
        })
        .collect();
    let done = cycle::run(&pipeline, &accelerator, inputs, &faults, settings);
    assert_eq!(done.end, End::Completed, "{name}, seed {seed}");
    assert_eq!(done.outputs, expected, "{name}, seed {seed}");
    let plain = Settings {
        plain: true,
        ..settings
    };
    let ticked = cycle::run(&pipeline, &accelerator, inputs, &faults, plain);
    assert_eq!(done, ticked, "{name}, seed {seed}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_engines_agree_on_any_hardware(seed in any::<u64>(), pick in 0usize..6, rates in [20u64..=100, 20u64..=100]) {
        let names = ["small_cls", "medium_ae", "medium_cls", "large_ae", "small_ae", "large_cls"];
        agree_on_any_hardware(&format!("digits_{}", names[pick]), 2, seed, rates);
    }
}

#[test]
fn both_engines_agree_on_networks_whose_streams_meet() {
    for (seed, rates) in [(1, [100, 100]), (2, [70, 100]), (3, [100, 60])] {
        agree_on_any_hardware("unet_digits_pruned", 1, seed, rates);
    }
    agree_on_any_hardware("unet_digits", 1, 4, [90, 90]);
}

#[test]
fn streams_that_meet_lock_up_where_their_fifos_are_too_shallow() {
    let (network, _) = model("unet_digits_pruned");
    let mut hardware = Hardware::default();
    for node in network.nodes.iter().filter(|node| node.inputs.len() > 1) {
        let entry = LayerHardware {
            fifo: Some(FifoDepth::Words(2)),
            ..LayerHardware::default()
        };
        hardware
            .layers
            .insert(network.layer(node.layer).name.clone(), entry);
    }
    let accelerator = Accelerator::build(&network, &hardware).unwrap();
    match Pipeline::new(&accelerator) {
        Err(BuildError::Deadlock { chain, .. }) => {
            assert!(
                chain.contains("waits for room in") && chain.contains("waits for a word of"),
                "{chain}"
            );
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("the skip connections need more than two words"),
    }
}

/// Whole accelerators: a strike on a register that its live rule calls dead in that cycle changes no output, and no
/// edge at which one leaves.
#[test]
fn what_live_rules_call_dead_never_matters() {
    let hardware = |file: &str| Hardware::read(&Path::new("hw_configs").join(file)).unwrap();
    // Cycles that are struck, and strikes in each.
    let chips = [
        ("digits_small_cls", Hardware::default(), (12, 8)),
        ("digits_small_ae", hardware("digits_small_ae.finn.ron"), (12, 8)),
        (
            "digits_small_cls",
            hardware("digits_small_cls.hls4ml.ron"),
            (12, 8),
        ),
        ("digits_medium_ae", hardware("digits_medium_ae.finn.ron"), (12, 8)),
        (
            "unet_digits_pruned",
            hardware("unet_digits_pruned.finn.ron"),
            (3, 3),
        ),
    ];
    let (mut all, mut registers) = (0, 0);
    for (number, (name, hardware, (struck_cycles, in_each))) in chips.iter().enumerate() {
        // The largest one is struck in a single sample.
        let chip = chip(name, if *in_each > 4 { 2 } else { 1 }, hardware);
        let table = chip.pipeline.table();
        let paths: std::collections::HashSet<&str> =
            table.rows().iter().map(|row| row.path.as_str()).collect();
        assert_eq!(paths.len(), table.rows().len(), "{name}: names are unique");
        let ruled: Vec<usize> = (0..table.rows().len())
            .filter(|&at| {
                let conditions = table.rows()[at].live.conditions();
                for condition in conditions {
                    assert!(
                        table.flag(at, condition.flag).is_some(),
                        "{name}: {}",
                        condition.flag
                    );
                }
                !conditions.is_empty()
            })
            .collect();
        let run = |faults: &[CycleFault], bound| {
            let settings = Settings {
                bound,
                ..Settings::default()
            };
            cycle::run(&chip.pipeline, &chip.accelerator, &chip.inputs, faults, settings)
        };
        let fault_free = run(&[], None);
        let total = fault_free.timing.total;
        let mut random = ChaCha8Rng::seed_from_u64(number as u64);
        let mut cycles: Vec<u64> = (0..*struck_cycles)
            .map(|_| random.random_range(0..total))
            .collect();
        cycles.sort_unstable();
        let mut engine = Engine::new(&chip.pipeline, &chip.inputs);
        let mut strikes = Vec::new();
        for cycle in cycles {
            while engine.cycle() <= cycle {
                engine.tick();
            }
            let wanted = strikes.len() + in_each;
            for _ in 0..400 {
                let at = ruled[random.random_range(0..ruled.len())];
                let register = &table.rows()[at].register;
                let word = random.random_range(0..register.words);
                let lane = random.random_range(0..register.lanes);
                let bit = random.random_range(0..register.lane_bits);
                let bit = table.rows()[at].bit(word, lane, bit).unwrap();
                if !table.is_live(bit, engine.state()) && strikes.len() < wanted {
                    strikes.push((cycle, at, bit));
                }
            }
        }
        let struck: std::collections::HashSet<usize> = strikes.iter().map(|&(_, at, _)| at).collect();
        registers += struck.len();
        all += strikes.len();
        eprintln!("{name}: {} strikes in {total} cycles", strikes.len());
        for (cycle, at, bit) in strikes {
            let fault = CycleFault {
                cycle: Some(cycle),
                site: Site::Register(bit),
            };
            let done = run(&[fault], Some(total + 500));
            let row = &table.rows()[at];
            let place = format!("{name} {} at {cycle}: {}", row.path, row.live);
            assert_eq!(
                (done.end, done.outputs == fault_free.outputs),
                (End::Completed, true),
                "{place}"
            );
            assert_eq!(done.timing, fault_free.timing, "{place}");
        }
    }
    assert!(
        all > 300 && registers > 60,
        "{all} strikes on {registers} registers"
    );
}
