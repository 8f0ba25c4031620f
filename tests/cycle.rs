//! The cycle engine against the functional one.

mod common;
#[path = "accelerator/nets.rs"]
mod nets;

use std::path::{Path, PathBuf};

use radstream::accelerator::{
    Accelerator, DspBlock, FifoDepth, FinnVersion, Folding, Hardware, LayerHardware, LoopTiming, Packing,
    Storage, Target, WeightMemory, WindowGenerator, WindowUnit,
};
use radstream::model::{Description, Files, Settings, Workload, load_network};
use radstream::network::import::ImportOptions;
use radstream::network::{Network, TensorId, Window};
use radstream::simulate::Replay;
use radstream::simulate::cycle;
use radstream::simulate::cycle::{Clock, FreeRun, Pipeline};
use radstream::simulate::functional::{Parameters, evaluate};

/// Both engines on these inputs; `None` where the accelerator cannot be built.
fn agree(name: &str, network: &Network, hardware: &Hardware, inputs: &[i64]) {
    let accelerator = Accelerator::build(network, hardware).unwrap_or_else(|error| panic!("{name}: {error}"));
    let network = accelerator.network();
    let elements = network.tensor(network.input).len();
    let pipeline = Pipeline::new(&accelerator).unwrap_or_else(|error| panic!("{name}: {error}"));
    let started = std::time::Instant::now();
    let done = cycle::run(&pipeline, &accelerator, inputs, &[], cycle::Settings::default());
    let elapsed = started.elapsed();
    let plain = cycle::Settings {
        plain: true,
        ..cycle::Settings::default()
    };
    let started = std::time::Instant::now();
    let ticked = cycle::run(&pipeline, &accelerator, inputs, &[], plain);
    let plain_elapsed = started.elapsed();
    assert_eq!(done, ticked, "{name}: fast and tick by tick");
    let clock = FreeRun::of(&pipeline).clock((inputs.len() / elements) as u64);
    assert_eq!(clock, clock_of(&done), "{name}: control alone");
    if let Some(mut replay) = Replay::new(&pipeline, &accelerator) {
        assert_eq!(replay.run(inputs), Some(done.clone()), "{name}: replay");
    }
    let parameters = Parameters::of(network);
    let expected: Vec<i64> = inputs
        .chunks_exact(elements)
        .flat_map(|input| {
            evaluate(network, &parameters, input)
                .tensor(network.output)
                .to_vec()
        })
        .collect();
    println!(
        "{name}: {:?} {:?} {elapsed:?} {plain_elapsed:?}",
        done.timing, done.end
    );
    assert_eq!(done.end, cycle::End::Completed, "{name}");
    assert_eq!(done.outputs, expected, "{name}");
}

fn clock_of(run: &cycle::Run) -> Option<Clock> {
    (run.end == cycle::End::Completed).then(|| Clock {
        timing: run.timing,
        steady: run.steady.clone(),
        activity: run.activity.clone(),
        deepest: run.deepest.clone(),
    })
}

/// A run of more samples by the period of the control against the run itself; whether there is a period.
fn repeats(name: &str, network: &Network, hardware: &Hardware) -> bool {
    let accelerator = Accelerator::build(network, hardware).unwrap();
    let pipeline = Pipeline::new(&accelerator).unwrap();
    let network = accelerator.network();
    let mut replay = Replay::new(&pipeline, &accelerator).unwrap();
    assert_eq!(replay.run(&[]), None);
    let _ = replay.run(&any_inputs(network, 64)).unwrap();
    let Some(period) = replay.period() else {
        return false;
    };
    let (least, period) = (period.least_samples() as usize, period.length().0);
    for samples in [0, 1, 3, 2 * period as usize].map(|more| least + more) {
        let inputs = any_inputs(network, samples);
        let run = replay.run(&inputs).unwrap();
        let whole = cycle::run(&pipeline, &accelerator, &inputs, &[], cycle::Settings::default());
        assert_eq!(run, whole, "{name}: {samples} samples");
    }
    true
}

fn folder(path: &Path, samples: usize) {
    let files = Files::Folder(path.to_owned());
    let model = Description::read(&files).unwrap();
    let network = load_network(&files, Path::new(&model.network), &ImportOptions::default()).unwrap();
    let workload = Workload::load(&network, &Settings::of(&model, &files)).unwrap();
    let elements = network.tensor(network.input).len();
    agree(
        &path.display().to_string(),
        &network,
        &Hardware::default(),
        &workload.inputs[..samples * elements],
    );
}

fn read(file: &Path) -> Network {
    let parent = Files::Folder(file.parent().unwrap().to_owned());
    load_network(
        &parent,
        Path::new(file.file_name().unwrap()),
        &ImportOptions::default(),
    )
    .unwrap()
}

/// Mantissas all over the input's range.
fn any_inputs(network: &Network, samples: usize) -> Vec<i64> {
    let tensor = network.tensor(network.input);
    let (low, high) = tensor.encoding.range();
    let span = (high - low) as u64 + 1;
    (0..(samples * tensor.len()) as u64)
        .map(|at| {
            let mut x = (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x ^= x >> 31;
            (low + i128::from(x % span)) as i64
        })
        .collect()
}

fn files(parent: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(parent).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.to_str().is_some_and(|name| name.ends_with(extension)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn shipped_models() {
    for entry in std::fs::read_dir("models").unwrap() {
        let path = entry.unwrap().path();
        if path.join("model.ron").exists() {
            folder(&path, 3);
        }
    }
}

#[test]
fn hls4ml_networks() {
    let shared = common::shared_data().map(|data| data.join("hls4ml"));
    let parents = [Some(PathBuf::from("tests/golden/hls4ml")), shared];
    for file in parents
        .into_iter()
        .flatten()
        .flat_map(|parent| files(&parent, ".fml"))
    {
        let network = read(&file);
        agree(
            &file.display().to_string(),
            &network,
            &Hardware::default(),
            &any_inputs(&network, 3),
        );
    }
}

#[test]
fn econt_networks() {
    let Some(data) = common::shared_data() else { return };
    for file in files(&data.join("econt"), ".qonnx.onnx")
        .into_iter()
        .chain(files(&data.join("econt"), ".fml"))
    {
        let network = read(&file);
        agree(
            &file.display().to_string(),
            &network,
            &Hardware::default(),
            &any_inputs(&network, 3),
        );
    }
}

#[test]
fn cnv_networks_with_their_own_folding() {
    let Some(data) = common::shared_data() else { return };
    for name in ["cnvW1A1", "cnvW2A2"] {
        let network = read(&data.join(format!("cnv/{name}.qonnx.onnx")));
        let hardware = Hardware::read(Path::new(&format!("hw_configs/{name}.ron"))).unwrap();
        agree(name, &network, &hardware, &any_inputs(&network, 2));
    }
}

/// Weights that come as streams, with units that keep every step and units that can lose one.
#[test]
fn networks_whose_rtl_was_struck() {
    let Some(data) = common::shared_data() else { return };
    for name in ["p1", "p2"] {
        let network = read(&data.join(format!("rtl_faults/{name}.onnx")));
        let mut hardware = Hardware::read(&data.join(format!("rtl_faults/{name}.ron"))).unwrap();
        for version in [FinnVersion::Main, FinnVersion::Measured] {
            hardware.target = Some(Target::Finn(version));
            let name = format!("{name} {version:?}");
            agree(&name, &network, &hardware, &any_inputs(&network, 5));
            let accelerator = Accelerator::build(&network, &hardware).unwrap();
            let pipeline = Pipeline::new(&accelerator).unwrap();
            assert_eq!(pipeline.is_exact(), version == FinnVersion::Main, "{name}");
            if pipeline.is_exact() {
                assert!(repeats(&name, &network, &hardware), "{name}");
            }
        }
    }
}

/// Two convolutions and thresholds, padded and strided in any way, with any generators, widths and FIFOs.
#[test]
fn random_windows() {
    let mut numbers = nets::Numbers::new(3);
    let (mut done, mut periods) = (0, 0);
    while done < 150 {
        let channels = [1, 2, 3, 4, 6][numbers.below(5)];
        let input = numbers.pair(1, 8);
        let mut builder = nets::Builder::new(vec![input[0], input[1], channels], nets::signed(4));
        let mut hardware = Hardware::default();
        if numbers.below(4) == 0 {
            hardware.window_generator = WindowGenerator::Hls;
        }
        let mut fits = true;
        let mut inputs = channels;
        for name in ["first", "second"] {
            let outputs = [2, 4, 6][numbers.below(3)];
            let window = Window {
                kernel: numbers.pair(1, 4),
                stride: numbers.pair(1, 4),
                dilation: numbers.pair(1, 3),
                pad: numbers.pair(0, 3),
            };
            let after = numbers.pair(0, 3);
            let seed = numbers.below(1 << 20);
            let weight = |at: usize| (at * 2_654_435 + seed) as i64 % 7 - 3;
            let Some(layer) = builder.convolution(name, outputs, window, after, weight) else {
                fits = false;
                break;
            };
            let thresholds = (0..outputs * 3).map(|at| (at % 3) as i64 * 9 - 8).collect();
            builder.thresholds(layer, 3, thresholds, nets::signed(4));
            let padded = window.pad != [0, 0] || after != [0, 0];
            let generates = window.kernel != [1, 1] || window.stride != [1, 1] || padded;
            let unit = (generates && numbers.below(3) > 0).then(|| {
                let simd = numbers.divisor(inputs);
                WindowUnit {
                    simd: Some(simd),
                    parallel: Some(simd as usize == inputs && numbers.below(2) == 0),
                    padding_simd: Some(numbers.divisor(inputs)),
                    fifo: [None, Some(FifoDepth::Words(1)), Some(FifoDepth::Auto)][numbers.below(3)],
                }
            });
            hardware.layers.insert(
                name.into(),
                LayerHardware {
                    folding: Some(Folding::Finn {
                        pe: numbers.divisor(outputs),
                        simd: numbers.divisor(window.kernel[0] * window.kernel[1] * inputs),
                    }),
                    window: unit,
                    pe: (numbers.below(2) == 0).then(|| numbers.divisor(outputs)),
                    fifo: [None, Some(FifoDepth::Words(1)), Some(FifoDepth::Auto)][numbers.below(3)],
                    timing: (numbers.below(4) == 0).then_some(LoopTiming {
                        initiation_interval: 1,
                        iteration_latency: 5,
                    }),
                    weight_memory: [None, Some(WeightMemory::Decoupled)][numbers.below(2)],
                    ..LayerHardware::default()
                },
            );
            inputs = outputs;
        }
        if !fits {
            continue;
        }
        // FINN's generators do not do every geometry, finn-hlslib's still fewer.
        let accelerator = Accelerator::build(&builder.network, &hardware).unwrap();
        if let Err(error) = Pipeline::new(&accelerator) {
            let hls = hardware.window_generator == WindowGenerator::Hls;
            assert!(hls || error.to_string().contains("stride"), "{error}");
            continue;
        }
        let samples = any_inputs(&builder.network, 3);
        agree(&format!("case {done}"), &builder.network, &hardware, &samples);
        if done % 5 == 0 && repeats(&format!("case {done}"), &builder.network, &hardware) {
            periods += 1;
        }
        done += 1;
    }
    assert!(periods > 25, "{periods} of 30 repeat themselves");
}

/// A channels-first Flatten in front of a dense layer: the columns of its weights come in the order of the stream,
/// and no frame stores the map.
#[test]
fn a_transposition_in_front_of_a_dense_product_is_no_hardware() {
    let mut numbers = nets::Numbers::new(9);
    for case in 0..30 {
        let input = [1 + numbers.below(4), 1 + numbers.below(4), 1 + numbers.below(4)];
        let elements: usize = input.iter().product();
        let mut builder = nets::Builder::new(input.to_vec(), nets::signed(4));
        let perm = [vec![2, 0, 1], vec![1, 0, 2], vec![2, 1, 0]][numbers.below(3)].clone();
        builder.transposed("flatten", perm);
        let weights = (0..elements * 6).map(|_| numbers.below(7) as i64 - 3).collect();
        let geometry = radstream::network::Geometry::dense(1, elements, 6);
        builder.product("fc", geometry, nets::signed(3), weights, false);
        let mut hardware = Hardware::default();
        let folding = Folding::Finn {
            pe: numbers.divisor(6),
            simd: numbers.divisor(elements),
        };
        hardware.layers.insert(
            "fc".into(),
            LayerHardware {
                folding: Some(folding),
                weight_memory: [None, Some(WeightMemory::Decoupled)][numbers.below(2)],
                ..LayerHardware::default()
            },
        );
        let accelerator = Accelerator::build(&builder.network, &hardware).unwrap();
        let pipeline = Pipeline::new(&accelerator).unwrap();
        assert!(
            pipeline.stages().iter().all(|placed| placed.kind != "frame"),
            "case {case}"
        );
        let samples = any_inputs(&builder.network, 3);
        agree(&format!("case {case}"), &builder.network, &hardware, &samples);
        // What is traced are the tensors, whatever the order of their streams.
        let tensors: Vec<TensorId> = builder.network.nodes.iter().map(|node| node.output).collect();
        let mut engine = cycle::Engine::new(&pipeline, &samples).with_traces(&tensors);
        for _ in 0..5_000 {
            engine.tick();
        }
        let parameters = Parameters::of(&builder.network);
        for &tensor in &tensors {
            let encoding = builder.network.tensor(tensor).encoding;
            let expected: Vec<i64> = samples
                .chunks_exact(elements)
                .flat_map(|input| {
                    evaluate(&builder.network, &parameters, input)
                        .tensor(tensor)
                        .to_vec()
                })
                .collect();
            assert_eq!(engine.trace(tensor, &encoding).unwrap(), expected, "case {case}");
        }
    }
}

#[test]
fn elements_that_only_move_and_types_of_single_elements() {
    use nets::{Numbers, signed};
    use radstream::fixed_point::{Format, Overflow, Quantization};
    use radstream::network::{CastEach, Encoding, Op, Pad};

    let mut numbers = Numbers::new(5);
    for case in 0..40 {
        let shape = [1, 2, 3].map(|least| least + numbers.below(3)).to_vec();
        let mut builder = nets::Builder::new(shape.clone(), signed(9));
        let elements: usize = shape.iter().product();
        let (op, output) = match case % 5 {
            0 => {
                let perm = [[2, 0, 1], [1, 0, 2], [0, 2, 1], [2, 1, 0], [0, 1, 2]][numbers.below(5)].to_vec();
                let output = perm.iter().map(|&axis| shape[axis]).collect();
                (Op::Transpose { perm }, output)
            }
            1 => {
                let factors = numbers.pair(1, 4).to_vec();
                let output = vec![shape[0] * factors[0], shape[1] * factors[1], shape[2]];
                (Op::Upsample { factors }, output)
            }
            2 => {
                let indices: Vec<Vec<usize>> = shape
                    .iter()
                    .map(|&extent| (0..1 + numbers.below(4)).map(|_| numbers.below(extent)).collect())
                    .collect();
                let output = indices.iter().map(Vec::len).collect();
                (Op::Gather { indices }, output)
            }
            3 => {
                let [[top, bottom], [left, right]] = [numbers.pair(0, 3), numbers.pair(0, 3)];
                let pad = Pad {
                    amounts: [top, bottom, left, right],
                    value: -7,
                };
                let output = vec![shape[0] + top + bottom, shape[1] + left + right, shape[2]];
                (Op::Pad(pad), output)
            }
            _ => {
                let formats = (0..5).map(|which| {
                    let width = 1 + numbers.below(12) as u32;
                    let integer = numbers.below(14) as i32 - 2;
                    let format = Format::new(width, integer, which % 2 == 0).unwrap();
                    let format = format.with_quantization(
                        [Quantization::Trn, Quantization::Rnd, Quantization::RndConv][numbers.below(3)],
                    );
                    let overflow = [Overflow::Sat, Overflow::Wrap { saturation_bits: 0 }][numbers.below(2)];
                    (which > 0).then(|| format.with_overflow(overflow).unwrap())
                });
                let formats = formats.collect();
                let of = (0..elements).map(|_| numbers.below(5) as u32).collect();
                (Op::CastEach(CastEach { formats, of }), shape)
            }
        };
        builder.node(
            "moved",
            op,
            output,
            Encoding::Fixed(Format::new(11, 8, true).unwrap()),
        );
        let inputs = any_inputs(&builder.network, 3);
        agree(
            &format!("{case}"),
            &builder.network,
            &Hardware::default(),
            &inputs,
        );
    }
}

#[test]
fn as_many_streams_as_a_stage_can_join() {
    use nets::signed;
    use radstream::network::Op;

    for parts in [2, 16, 17, 31, 32] {
        let mut builder = nets::Builder::new(vec![parts], signed(7));
        let input = builder.network.output;
        let mut joined = Vec::new();
        for part in (0..parts).rev() {
            builder.network.output = input;
            let pick = Op::Gather {
                indices: vec![vec![part]],
            };
            joined.push(builder.node(&format!("part{part}"), pick, vec![1], signed(7)));
        }
        builder.node("join", Op::Concat { axis: 0 }, vec![parts], signed(7));
        builder.network.nodes.last_mut().unwrap().inputs = joined;
        let inputs = any_inputs(&builder.network, 2);
        agree(
            &format!("{parts}"),
            &builder.network,
            &Hardware::default(),
            &inputs,
        );
    }
}

/// What FINN's `absorb` transformations do to the weights: the memory holds the columns in the order of the stream,
/// and an address names the element of the network file.
#[test]
fn absorbed_transpositions_move_columns_in_memory_and_no_address() {
    let mut numbers = nets::Numbers::new(23);
    for case in 0..40 {
        let input = [1 + numbers.below(4), 1 + numbers.below(4), 1 + numbers.below(5)];
        let columns: usize = input.iter().product();
        let perm = [vec![2, 0, 1], vec![1, 0, 2], vec![2, 1, 0]][numbers.below(3)].clone();
        let mut builder = nets::Builder::new(input.to_vec(), nets::signed(4));
        builder.transposed("flatten", perm.clone());
        let values: Vec<i64> = (0..columns * 4).map(|_| numbers.below(7) as i64 - 3).collect();
        let geometry = radstream::network::Geometry::dense(1, columns, 4);
        builder.product("fc", geometry, nets::signed(3), values.clone(), false);
        let (pe, simd) = (numbers.divisor(4), numbers.divisor(columns));
        let packing = [Packing::Memblock, Packing::PerPe][numbers.below(2)];
        let mut hardware = Hardware::default();
        hardware.layers.insert(
            "fc".into(),
            LayerHardware {
                folding: Some(Folding::Finn { pe, simd }),
                weights: Some(Storage {
                    packing,
                    ..Storage::default()
                }),
                ..LayerHardware::default()
            },
        );
        let accelerator = Accelerator::build(&builder.network, &hardware).unwrap();
        let map = accelerator.map();
        let (pe, simd) = (pe as usize, simd as usize);
        for row in 0..4 {
            for place in 0..columns {
                // The map's element that comes at a place, and its column in the file's order.
                let at = [
                    place / (input[1] * input[2]),
                    place / input[2] % input[1],
                    place % input[2],
                ];
                let column = perm
                    .iter()
                    .fold(0, |column, &axis| column * input[axis] + at[axis]);
                let word = row / pe * (columns / simd) + place / simd;
                let (memory, lane) = match packing {
                    Packing::PerPe => (format!("fc.weight.{}", row % pe), place % simd),
                    _ => ("fc.weight".to_owned(), row % pe * simd + place % simd),
                };
                let memory = map.memory_named(&memory).expect("a memory");
                let image = accelerator.image(memory);
                let word = image.word(word);
                let bits = (0..3).fold(0, |bits, bit| bits | u128::from(word[lane * 3 + bit]) << bit);
                let value = values[row * columns + column];
                let radstream::network::Encoding::Fixed(format) = nets::signed(3) else {
                    unreachable!("a number")
                };
                assert_eq!(format.mantissa_of_bits(bits) as i64, value, "case {case}");
            }
        }
        // Both engines under flips of stored bits.
        let samples = any_inputs(&builder.network, 2);
        let pipeline = Pipeline::new(&accelerator).unwrap();
        for _ in 0..6 {
            let number = numbers.below(map.total_bits() as usize);
            let bit = map.bits().nth(number).expect("a stored bit");
            let fault = cycle::CycleFault {
                cycle: None,
                site: cycle::Site::Stored(bit),
            };
            let run = cycle::run(
                &pipeline,
                &accelerator,
                &samples,
                &[fault],
                cycle::Settings::default(),
            );
            let network = accelerator.network();
            let changed = radstream::fault::changes(&accelerator, &[bit]);
            let parameters = Parameters::under(network, &changed);
            let expected: Vec<i64> = samples
                .chunks_exact(columns)
                .flat_map(|input| {
                    evaluate(network, &parameters, input)
                        .tensor(network.output)
                        .to_vec()
                })
                .collect();
            assert_eq!(run.outputs, expected, "case {case}");
        }
    }
}

/// Depthwise convolutions as FINN builds them, with all foldings, windows and paddings.
#[test]
fn depthwise_convolutions_are_windows_and_vector_vector_units() {
    let mut numbers = nets::Numbers::new(31);
    let (mut done, mut units, mut parallel_windows) = (0, 0, 0);
    while done < 120 {
        let channels = [1, 2, 3, 4, 6][numbers.below(5)];
        let input = numbers.pair(2, 8);
        let window = Window {
            kernel: numbers.pair(1, 4),
            stride: numbers.pair(1, 3),
            dilation: numbers.pair(1, 3),
            pad: numbers.pair(0, 2),
        };
        let after = numbers.pair(0, 2);
        let mut builder = nets::Builder::new(vec![input[0], input[1], channels], nets::signed(4));
        if builder
            .depthwise("dw", window, after, |at| (at * 5 + 3) as i64 % 7 - 3)
            .is_none()
        {
            continue;
        }
        let taps = window.kernel[0] * window.kernel[1];
        let folding = Folding::Finn {
            pe: numbers.divisor(channels),
            simd: numbers.divisor(taps),
        };
        let parallel = [None, Some(true), Some(false)][numbers.below(3)];
        let unit = WindowUnit {
            parallel,
            ..WindowUnit::default()
        };
        let hardware = Hardware {
            default: LayerHardware {
                folding: Some(folding),
                weight_memory: [None, Some(WeightMemory::Decoupled)][numbers.below(2)],
                window: (channels > 1 && taps > 1).then_some(unit),
                ..LayerHardware::default()
            },
            window_generator: [WindowGenerator::Rtl, WindowGenerator::Hls]
                [usize::from(numbers.below(5) == 0)],
            ..Hardware::default()
        };
        let accelerator = Accelerator::build(&builder.network, &hardware).unwrap();
        let pipeline = match Pipeline::new(&accelerator) {
            Ok(pipeline) => pipeline,
            Err(error) => {
                let hls = hardware.window_generator == WindowGenerator::Hls;
                assert!(hls || error.to_string().contains("stride"), "{error}");
                continue;
            }
        };
        let kinds: Vec<&str> = pipeline.stages().iter().map(|placed| placed.kind).collect();
        if channels > 1 {
            let rtl = hardware.window_generator == WindowGenerator::Rtl;
            assert!(
                !rtl || kinds.contains(&"mvau") && !kinds.contains(&"product"),
                "{kinds:?}"
            );
            units += usize::from(kinds.contains(&"mvau"));
            parallel_windows += usize::from(parallel == Some(true) && kinds.contains(&"swg"));
        }
        let samples = any_inputs(&builder.network, 3);
        agree(
            &format!("depthwise {done} {window:?} {hardware:?}"),
            &builder.network,
            &hardware,
            &samples,
        );
        done += 1;
    }
    assert!(units > 60 && parallel_windows > 10, "{units} {parallel_windows}");
}

/// Deep pipelines of thresholds, which leave the order under flips: both engines search alike, and every step of the
/// search takes one cycle more.
#[test]
fn deep_pipelines_search_as_shallow_ones_do() {
    let mut numbers = nets::Numbers::new(47);
    for case in 0..25 {
        let rows = [1, 2, 4, 6][numbers.below(4)];
        let steps = [1, 3, 7, 15][numbers.below(4)];
        let mut builder = nets::Builder::new(vec![4], nets::signed(4));
        let weights = (0..rows * 4).map(|_| numbers.below(7) as i64 - 3).collect();
        let geometry = radstream::network::Geometry::dense(1, 4, rows);
        let layer = builder.product("fc", geometry, nets::signed(3), weights, false);
        let thresholds = (0..rows)
            .flat_map(|_| {
                (0..steps)
                    .map(|step| step as i64 * 3 - steps as i64)
                    .collect::<Vec<_>>()
            })
            .collect();
        builder.thresholds(layer, steps, thresholds, nets::signed(6));
        let mut hardware = Hardware::default();
        let entry = LayerHardware {
            folding: Some(Folding::Finn {
                pe: numbers.divisor(rows),
                simd: 2,
            }),
            ..LayerHardware::default()
        };
        hardware.layers.insert("fc".into(), entry);
        let samples = any_inputs(&builder.network, 4);
        let shallow = Accelerator::build(&builder.network, &hardware).unwrap();
        hardware.layers["fc"].deep_pipeline = Some(true);
        let deep = Accelerator::build(&builder.network, &hardware).unwrap();
        agree(&format!("deep {case}"), &builder.network, &hardware, &samples);
        let pipelines = [&shallow, &deep].map(|accelerator| Pipeline::new(accelerator).unwrap());
        let latencies = [(&shallow, 0), (&deep, 1)].map(|(accelerator, at)| {
            let run = cycle::run(
                &pipelines[at],
                accelerator,
                &samples,
                &[],
                cycle::Settings::default(),
            );
            run.timing.latency.unwrap()
        });
        let bits = u64::from((steps + 1).ilog2());
        assert_eq!(latencies[1], latencies[0] + bits, "case {case}");
        for bit in deep.map().bits().step_by(7) {
            let fault = cycle::CycleFault {
                cycle: None,
                site: cycle::Site::Stored(bit),
            };
            let run = cycle::run(
                &pipelines[1],
                &deep,
                &samples,
                &[fault],
                cycle::Settings::default(),
            );
            let network = deep.network();
            let parameters = Parameters::under(network, &radstream::fault::changes(&deep, &[bit]));
            let expected: Vec<i64> = samples
                .chunks_exact(4)
                .flat_map(|input| {
                    evaluate(network, &parameters, input)
                        .tensor(network.output)
                        .to_vec()
                })
                .collect();
            assert_eq!(run.outputs, expected, "case {case}");
        }
    }
}

/// Depths of the FIFOs of a pipeline, and what stands in front of each.
fn fifo_depths(pipeline: &Pipeline) -> Vec<(String, usize)> {
    let stages = pipeline.stages().iter();
    stages
        .filter_map(|placed| Some((placed.name.clone(), placed.fifo_depth?)))
        .collect()
}

/// `fifo: Auto` under FINN: a FIFO in front of every unit and at the output, as `InsertAndSetFIFODepths` has them.
#[test]
fn automatic_fifos_stand_and_are_as_deep_as_those_of_finn() {
    let automatic = |target: &str| {
        let text = format!("(target: {target}, default: (fifo: Auto, weight_memory: Decoupled))");
        Hardware::parse(radstream::data::SourceText::new("auto.ron", text)).unwrap()
    };
    // The first layer is done with a map of 20x20 pixels before the second one has taken much of it.
    let window = |kernel: usize, pad: usize| Window {
        kernel: [kernel, kernel],
        stride: [1, 1],
        dilation: [1, 1],
        pad: [pad, pad],
    };
    let mut builder = nets::Builder::new(vec![20, 20, 2], nets::signed(4));
    builder.convolution("first", 2, window(3, 1), [1, 1], |at| at as i64 % 3 - 1);
    builder.convolution("second", 3, window(3, 0), [0, 0], |at| at as i64 % 3 - 1);
    let mut hardware = automatic("Finn(Main)");
    let folding = |pe, simd| LayerHardware {
        folding: Some(Folding::Finn { pe, simd }),
        ..LayerHardware::default()
    };
    hardware.layers.insert("first".into(), folding(2, 18));
    hardware.layers.insert("second".into(), folding(1, 1));
    let accelerator = Accelerator::build(&builder.network, &hardware).unwrap();
    let pipeline = Pipeline::new(&accelerator).unwrap();
    let kinds: Vec<&str> = pipeline
        .stages()
        .iter()
        .map(|placed| placed.kind)
        .filter(|&kind| kind != "weight_stream")
        .collect();
    let expected = [
        "fifo",
        "padding",
        "fifo",
        "swg",
        "fifo",
        "mvau",
        "fifo",
        "width_converter",
        "fifo",
        "swg",
        "fifo",
        "mvau",
        "fifo",
    ];
    assert_eq!(kinds, expected);
    let depths: Vec<usize> = fifo_depths(&pipeline)
        .into_iter()
        .map(|(_, depth)| depth)
        .collect();
    // The input waits for the padding's 84 words and for the windows of two maps; behind the first layer stand 400
    // words in a memory of 512; behind its converter 800 in one of 1024; one word behind the slow product.
    let [input, padded, windows, first, converted, slow_windows, output] = depths[..] else {
        panic!("{depths:?}")
    };
    assert!((84..=400).contains(&input), "{depths:?}");
    assert_eq!((padded, windows, output), (32, 2, 2), "{depths:?}");
    assert_eq!((first, converted), (512, 1024), "{depths:?}");
    // Of 18*18 windows of 18 words each the product, which takes three times as long, has used a third when they are
    // done, and as many come from the next map.
    assert_eq!(
        slow_windows,
        (18usize * 18 * 18).next_power_of_two(),
        "{depths:?}"
    );
    let samples = any_inputs(&builder.network, 3);
    agree("automatic FIFOs", &builder.network, &hardware, &samples);
    // Elsewhere a FIFO in front of each layer is as deep as it has to be.
    let generic = Accelerator::build(
        &builder.network,
        &Hardware {
            target: Some(radstream::accelerator::Target::Generic),
            ..hardware
        },
    )
    .unwrap();
    let pipeline = Pipeline::new(&generic).unwrap();
    let names: Vec<String> = fifo_depths(&pipeline).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["first.fifo", "second.fifo"]);

    // Dense layers do not overlap, so half as many samples pass as there are units and FIFOs: two here. The replay
    // buffer holds the first vector of 64 words and the FIFO the second, but for what the first repetition has left.
    for (inputs, expected) in [(1, 2), (16, 32), (64, 64)] {
        let mut builder = nets::Builder::new(vec![inputs], nets::signed(4));
        for (name, columns, rows) in [("first", inputs, 8), ("second", 8, 4)] {
            let geometry = radstream::network::Geometry::dense(1, columns, rows);
            builder.product(name, geometry, nets::signed(3), vec![1; rows * columns], false);
        }
        let mut hardware = automatic("Finn(Main)");
        hardware.default.folding = Some(Folding::Finn { pe: 1, simd: 1 });
        let accelerator = Accelerator::build(&builder.network, &hardware).unwrap();
        let depths = fifo_depths(&Pipeline::new(&accelerator).unwrap());
        let names: Vec<&str> = depths.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["first.fifo", "second.fifo", "second.fifo_1"]);
        assert_eq!(depths[0].1, expected, "{inputs}");
        assert!(
            depths.iter().all(|(_, depth)| *depth == 2 || *depth >= 32),
            "{depths:?}"
        );
        let samples = any_inputs(&builder.network, 3);
        agree(
            "automatic FIFOs of dense layers",
            &builder.network,
            &hardware,
            &samples,
        );
    }
}

/// Dense products of all widths on every family of slices: the core is FINN's, and its integers are the network's.
#[test]
fn products_on_every_family_of_slices() {
    let mut numbers = nets::Numbers::new(17);
    let mut found = [0; 3];
    for case in 0..80 {
        let (weight_bits, activation_bits) = (2 + numbers.below(7) as u32, 2 + numbers.below(8) as u32);
        let (rows, columns) = (2 * (1 + numbers.below(4)), 2 + numbers.below(14));
        let mut builder = nets::Builder::new(vec![columns], nets::signed(activation_bits));
        let lowest = -(1i64 << (weight_bits - 1));
        // Every other case has the lowest weight of its format.
        let narrow = numbers.below(2) == 0;
        let mut weights: Vec<i64> = (0..rows * columns)
            .map(|_| lowest + 1 + numbers.below((1 << weight_bits) - 1) as i64)
            .collect();
        if !narrow {
            weights[0] = lowest;
        }
        let geometry = radstream::network::Geometry::dense(1, columns, rows);
        builder.product("fc", geometry, nets::signed(weight_bits), weights, false);
        let dsp = [
            None,
            Some(DspBlock::Dsp48E1),
            Some(DspBlock::Dsp48E2),
            Some(DspBlock::Dsp58),
        ][numbers.below(4)];
        let mut hardware = Hardware {
            dsp,
            clock_mhz: [None, Some(250.0), Some(700.0)][numbers.below(3)],
            ..Hardware::default()
        };
        let folding = Folding::Finn {
            pe: numbers.divisor(rows),
            simd: numbers.divisor(columns),
        };
        hardware.layers.insert(
            "fc".into(),
            LayerHardware {
                folding: Some(folding),
                weight_memory: Some(WeightMemory::Decoupled),
                ..LayerHardware::default()
            },
        );
        let samples = any_inputs(&builder.network, 3);
        agree(&format!("case {case}"), &builder.network, &hardware, &samples);
        let accelerator = Accelerator::build(&builder.network, &hardware).unwrap();
        let pipeline = Pipeline::new(&accelerator).unwrap();
        let has = |name: &str, lanes: usize| {
            (pipeline.stages().iter()).any(|placed| {
                let registers = placed.stage.registers();
                (registers.iter()).any(|register| register.name == name && register.lanes == lanes)
            })
        };
        let built = [has("canary_1", 1), has("canary_1", 3), has("restarts", 1)];
        let four = weight_bits <= 4 && activation_bits <= 4;
        let eight = activation_bits <= 8;
        let expected = match dsp {
            None => [eight, false, false],
            Some(DspBlock::Dsp48E1) => [narrow && eight && !four, narrow && four, false],
            Some(DspBlock::Dsp48E2) => [eight && !four, four, false],
            Some(DspBlock::Dsp58) => [false, four, !four],
        };
        assert_eq!(
            built, expected,
            "case {case}: {dsp:?} {weight_bits} {activation_bits}"
        );
        (0..3).for_each(|at| found[at] += usize::from(built[at]));
    }
    assert!(found.iter().all(|&cases| cases > 4), "{found:?}");
}
