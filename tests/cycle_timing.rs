//! Cycles of whole accelerators against published figures.

mod common;
#[path = "cycle_timing/hls4ml.rs"]
mod hls4ml;
#[path = "accelerator/nets.rs"]
mod nets;
#[path = "cycle_common/word_times.rs"]
mod word_times;

use std::path::Path;

use radstream::accelerator::{Accelerator, Folding, Hardware, LayerHardware, LoopTiming, WindowUnit};
use radstream::data::SourceText;
use radstream::model::{Files, load_network};
use radstream::network::import::ImportOptions;
use radstream::network::{
    BuildHints, Encoding, Geometry, Layer, LayerId, Network, Node, Op, Relu, Tensor, TensorId, Window,
};
use radstream::simulate::cycle::Pipeline;
use radstream::simulate::cycle::{self, Run, Settings, Timing};

fn timing(network: &Network, hardware: &Hardware, samples: usize) -> (Run, Timing) {
    let accelerator = Accelerator::build(network, hardware).unwrap();
    let pipeline = Pipeline::new(&accelerator).unwrap_or_else(|error| panic!("{error}"));
    let inputs = vec![0; samples * network.tensor(network.input).len()];
    let run = cycle::run(&pipeline, &accelerator, &inputs, &[], Settings::default());
    let timing = run.timing;
    (run, timing)
}

/// BNN-PYNQ's notebooks on an Ultra96 at 300 MHz: 10,000 images in a batch, and one image
/// (`shared/facts/networks.md`).
#[test]
fn cnv_networks_take_the_published_cycles() {
    let Some(data) = common::shared_data() else { return };
    for (name, interval, published_interval, published_latency) in [
        ("cnvW1A1", 32_768, 32_787.0, 158_250.0),
        ("cnvW2A2", 115_200, 116_265.0, 486_450.0),
    ] {
        let files = Files::Folder(data.join("cnv"));
        let network = load_network(
            &files,
            Path::new(&format!("{name}.qonnx.onnx")),
            &ImportOptions::default(),
        )
        .unwrap();
        let hardware = Hardware::read(Path::new(&format!("hw_configs/{name}.ron"))).unwrap();
        let (_, timing) = timing(&network, &hardware, 3);
        // The slowest matrix product: (MH/PE)*(MW/SIMD) of layers 6 and 7, times 100 vectors of layer 3.
        assert_eq!(timing.initiation_interval, Some(interval));
        let off = |cycles: Option<u64>, published: f64| cycles.unwrap() as f64 / published - 1.0;
        // What is not modelled, memory access and the host, can only add to the simulated cycles.
        let (interval, latency) = (
            off(timing.initiation_interval, published_interval),
            off(timing.latency, published_latency),
        );
        assert!((-0.01..=0.0).contains(&interval), "{name}: {interval}");
        assert!((-0.07..=0.0).contains(&latency), "{name}: {latency}");
    }
}

fn tensor(network: &mut Network, shape: Vec<usize>, encoding: Encoding) -> TensorId {
    let id = TensorId::from(network.tensors.len());
    network.tensors.push(Tensor {
        name: format!("t{}", id.0),
        shape,
        encoding,
        scale: 1.0,
    });
    network.output = id;
    id
}

/// A rectifier as a layer of its own behind the last tensor.
fn relu(network: &mut Network) {
    let input = network.output;
    let Tensor { shape, encoding, .. } = network.tensor(input).clone();
    let output = tensor(network, shape, encoding);
    let layer = LayerId::from(network.layers.len());
    network.layers.push(Layer {
        name: "relu".into(),
        kind: "ReLU".into(),
        output,
        hints: BuildHints::default(),
    });
    let op = Op::Relu(Relu {
        slope: None,
        threshold: 0,
        ceiling: None,
    });
    network.nodes.push(Node {
        name: "relu".into(),
        layer,
        op,
        inputs: vec![input],
        output,
    });
}

fn hls(initiation_interval: u32, iteration_latency: u32) -> LayerHardware {
    LayerHardware {
        folding: Some(Folding::Hls4ml { reuse_factor: 1 }),
        timing: Some(LoopTiming {
            initiation_interval,
            iteration_latency,
        }),
        ..LayerHardware::default()
    }
}

/// hls4ml's `test/pytest/test_report` (Vivado 2020.1): dense 7 cycles, ReLU 2, top latency 10, interval 8.
#[test]
fn dense_16_to_5_of_hls4mls_own_report() {
    let mut builder = nets::Builder::new(vec![16], nets::signed(16));
    builder.product(
        "dense",
        Geometry::dense(1, 16, 5),
        nets::signed(16),
        vec![1; 80],
        false,
    );
    let mut alone = Hardware::default();
    alone.layers.insert("dense".into(), hls(8, 6));
    let (_, dense) = timing(&builder.network, &alone, 4);
    assert_eq!((dense.latency, dense.initiation_interval), (Some(7), Some(8)));

    relu(&mut builder.network);
    let mut both = alone.clone();
    both.layers.insert(
        "relu".into(),
        LayerHardware {
            folding: None,
            ..hls(1, 1)
        },
    );
    let (_, top) = timing(&builder.network, &both, 4);
    // The report's tenth cycle is the one in which the top level says that it is done.
    assert_eq!((top.latency, top.initiation_interval), (Some(9), Some(8)));
}

/// The Conv1D project of `shared/facts/hls4ml.md` (Vitis 2024.1): zero padding 132 cycles, convolution 393
/// with interval 390, ReLU 129; top 395 with interval 390.
#[test]
fn conv1d_of_the_published_project() {
    let geometry = Geometry {
        input: [1, 130, 9],
        output: [1, 128, 16],
        window: Window {
            kernel: [1, 3],
            stride: [1, 1],
            dilation: [1, 1],
            pad: [0, 0],
        },
    };
    let mut builder = nets::Builder::new(vec![1, 130, 9], nets::signed(16));
    builder.product("conv", geometry, nets::signed(16), vec![1; 16 * 27], false);
    let mut hardware = Hardware::default();
    hardware.layers.insert("conv".into(), hls(3, 5));
    let (run, conv) = timing(&builder.network, &hardware, 4);
    assert_eq!((conv.latency, conv.initiation_interval), (Some(393), Some(390)));
    assert_eq!(run.end, cycle::End::Completed);

    // A rectifier of 128 pixels alone.
    let mut alone = nets::Builder::new(vec![128, 16], nets::signed(16)).network;
    relu(&mut alone);
    let mut hardware = Hardware {
        input_stream: Default::default(),
        ..Hardware::default()
    };
    hardware.layers.insert(
        "relu".into(),
        LayerHardware {
            folding: None,
            ..hls(1, 1)
        },
    );
    let (_, relu) = timing(&alone, &hardware, 3);
    assert_eq!((relu.latency, relu.initiation_interval), (Some(129), Some(128)));
}

/// A public FINN build whose shapes, widths and folding `field/finn-parallel-window` copies. Its own simulation
/// with 1,000 inputs has an interval of 223 cycles and a latency of 798, its estimates are the cycles of layers
/// below. Its products are units of high-level synthesis, whose loops drain behind every frame. How many cycles
/// that takes no file of the build says: the interval is 216, that of the slowest product, and the iteration
/// latency, so 7 is what its 223 means. Its latency has more stages than the network file; that of the stages here
/// is computed from their words.
#[test]
fn a_build_with_parallel_windows_takes_the_cycles_of_its_stages() {
    let Some(data) = common::shared_data() else { return };
    let files = Files::Folder(data.join("field/finn-parallel-window"));
    let network = load_network(&files, Path::new("net.onnx"), &ImportOptions::default()).unwrap();
    let parse = |text: &str| Hardware::parse(SourceText::new("test.ron", text)).unwrap();
    let accelerator = Accelerator::build(&network, &parse(PARALLEL_WINDOW)).unwrap();
    let generators: Vec<u64> = (accelerator.stages().iter())
        .filter_map(|stage| Some(stage.window?.cycles))
        .collect();
    assert_eq!(generators, [198, 66, 94]);
    let products: Vec<u64> = accelerator
        .stages()
        .iter()
        .map(|stage| stage.product_cycles)
        .collect();
    assert_eq!(products, [144, 216, 216, 144, 172]);

    for iteration_latency in [1, 7, 12] {
        let stated = format!("iteration_latency: {iteration_latency}");
        let hardware = parse(&PARALLEL_WINDOW.replace("iteration_latency: 7", &stated));
        let (run, timing) = timing(&network, &hardware, 12);
        assert_eq!(run.end, cycle::End::Completed);
        assert_eq!(timing.initiation_interval, Some(216 + iteration_latency));
        assert_eq!(timing.latency, Some(latency_of_the_build(iteration_latency)));
    }
    let rtl = PARALLEL_WINDOW.replace(", timing: (initiation_interval: 1, iteration_latency: 7)", "");
    let (_, timing) = timing(&network, &parse(&rtl), 12);
    assert_eq!(timing.initiation_interval, Some(216));
}

/// From the first input to the last output of the first frame, both included, word by word. A pool is a loop of
/// the iteration latency; that of a product drains behind the frame.
fn latency_of_the_build(iteration_latency: u64) -> u64 {
    use word_times::{
        delayed, fifo, narrower, padding, parallel_windows, pool, product, serial_windows, wider,
    };
    let activated = |words: &[u64]| delayed(words, 1);

    let input: Vec<u64> = (0..144).collect();
    let padded = padding(&fifo(&input), [12, 12], 1);
    let windows = fifo(&parallel_windows(&padded, [14, 14], 3));
    let conv_0 = activated(&product(&windows, 1, 1));
    let pooled = pool(&fifo(&conv_0), [12, 12], 2, iteration_latency);

    let padded = padding(&fifo(&pooled), [6, 6], 1);
    let windows = fifo(&parallel_windows(&padded, [8, 8], 3));
    let conv_1 = activated(&product(&narrower(&windows, 6), 6, 1));
    let pooled = pool(&fifo(&conv_1), [6, 6], 2, iteration_latency);

    let padded = padding(&narrower(&fifo(&pooled), 2), [3, 3], 2);
    let windows = fifo(&serial_windows(&wider(&padded, 2), [5, 5], 3));
    let conv_2 = activated(&product(&narrower(&wider(&windows, 3), 4), 12, 2));

    // The reshape is no hardware.
    let matmul_0 = activated(&product(&fifo(&conv_2), 18, 8));
    let matmul_1 = product(&wider(&fifo(&matmul_0), 2), 4, 43);
    matmul_1[42] + 1
}

/// Words, converters and FIFOs of the build.
const PARALLEL_WINDOW: &str = r#"(
    input_stream: (lanes: 3),
    default: (weight_memory: Decoupled, timing: (initiation_interval: 1, iteration_latency: 7)),
    layers: {
        "Conv_0": (
            folding: Finn(pe: 12, simd: 27), fifo: Words(32),
            window: (simd: 3, parallel: true, fifo: Words(2)),
        ),
        "Conv_1": (
            folding: Finn(pe: 24, simd: 18), fifo: Words(2),
            window: (simd: 12, parallel: true, fifo: Words(32)),
        ),
        "Conv_2": (
            folding: Finn(pe: 18, simd: 18), fifo: Words(2),
            window: (simd: 24, parallel: false, padding_simd: 12, fifo: Words(32)),
        ),
        "MatMul_0": (folding: Finn(pe: 8, simd: 18), fifo: Words(32)),
        "MatMul_1": (folding: Finn(pe: 1, simd: 16), fifo: Words(2)),
    },
)"#;

/// RTL generators have a closed period: FINN's expectation less `kh*kw*CF - 2` where they address their buffer, the
/// expectation itself in one dimension, one or two cycles less in parallel (`shared/facts/finn.md`, C). Behind
/// a padding, and in front of a product that keeps up, the accelerator has it too.
#[test]
fn the_interval_is_the_period_of_the_slowest_generator() {
    let mut numbers = nets::Numbers::new(5);
    let mut compared = [0; 3];
    for case in 0..500 {
        let channels = [1, 2, 4, 6][numbers.below(4)];
        let input = numbers.pair(3, 8);
        let stride = numbers.pair(1, 3);
        let window = Window {
            kernel: numbers.pair(2, 4),
            stride,
            dilation: numbers.pair(1, 3),
            pad: numbers.pair(0, 2),
        };
        let after = numbers.pair(0, 3);
        let mut builder = nets::Builder::new(vec![input[0], input[1], channels], nets::signed(4));
        let Some(layer) = builder.convolution("conv", 2, window, after, |at| at as i64 % 3) else {
            continue;
        };
        let parallel = numbers.below(3) == 0;
        let lanes = if parallel {
            channels as u32
        } else {
            numbers.divisor(channels)
        };
        let taps = window.kernel[0] * window.kernel[1];
        let mut hardware = Hardware::default();
        hardware.input_stream.lanes = Some(lanes);
        hardware.layers.insert(
            "conv".into(),
            LayerHardware {
                folding: Some(Folding::Finn {
                    pe: 2,
                    simd: if parallel { (taps * channels) as u32 } else { lanes },
                }),
                window: Some(WindowUnit {
                    simd: Some(lanes),
                    parallel: Some(parallel),
                    ..WindowUnit::default()
                }),
                ..LayerHardware::default()
            },
        );
        let accelerator = Accelerator::build(&builder.network, &hardware).unwrap();
        let stage = accelerator.stage(layer).unwrap();
        let unit = stage.window.unwrap();
        let expected = unit.cycles;
        let fold = channels as u64 / u64::from(lanes);
        let (kind, period) = if parallel {
            (0, expected - 1)
        } else {
            (1, expected + 2 - taps as u64 * fold)
        };
        let (run, timing) = timing(&builder.network, &hardware, 4);
        assert_eq!(run.end, cycle::End::Completed, "case {case}");
        let measured = timing.initiation_interval.unwrap();
        let words = unit.map[0] as u64 * unit.map[1] as u64 * fold;
        if parallel {
            // One cycle less where a stride leaves the last words of a frame out.
            assert!(
                (words..=period).contains(&measured),
                "case {case}: {measured} for {expected}"
            );
        } else {
            // With a stride the expectation is only a bound.
            if window.stride != [1, 1] {
                assert!(
                    measured <= expected.max(words),
                    "case {case}: {measured} for {expected}"
                );
                compared[2] += 1;
                continue;
            }
            // A map never comes faster than a word per cycle.
            assert_eq!(
                measured,
                period.max(words),
                "case {case}: {window:?} {after:?} {input:?} {channels}/{lanes}"
            );
        }
        compared[kind] += 1;
    }
    assert!(
        compared[0] > 20 && compared[1] > 30 && compared[2] > 50,
        "{compared:?}"
    );
}

/// The windows of FINN's RTL generator behind a network file: interval of a layer whose product keeps up, for every
/// row that was simulated.
#[test]
fn layers_wait_for_their_windows_as_the_rtl_does() {
    let Some(data) = common::shared_data() else { return };
    let mut reader = csv::Reader::from_path(data.join("rtl_timing/rtl_swg.csv")).unwrap();
    let mut compared = 0;
    for row in reader.deserialize() {
        let row: std::collections::HashMap<String, String> = row.unwrap();
        let number = |key: &str| row[key].parse::<usize>().unwrap();
        let stalls = |key: &str| row.get(key).is_some_and(|value| value != "0");
        if stalls("GI") || stalls("GO") {
            continue;
        }
        let (height, width) = (number("H"), number("W"));
        let window = Window {
            kernel: [number("KH"), number("KW")],
            stride: [number("SH"), number("SW")],
            dilation: [if height == 1 { 1 } else { number("DIL") }, number("DIL")],
            pad: [0, 0],
        };
        let (channels, lanes) = (number("CH"), number("SIMD") as u32);
        let (depthwise, parallel) = (number("DW") == 1, number("MMV") > 1);
        let taps = window.kernel.iter().product::<usize>() as u32;
        let mut builder = nets::Builder::new(vec![height, width, channels], nets::signed(4));
        let folding = if depthwise {
            builder.depthwise("conv", window, [0, 0], |_| 1).unwrap();
            let simd = if parallel { taps } else { 1 };
            Folding::Finn { pe: lanes, simd }
        } else {
            builder.convolution("conv", 2, window, [0, 0], |_| 1).unwrap();
            let simd = if parallel { taps * lanes } else { lanes };
            Folding::Finn { pe: 2, simd }
        };
        let mut hardware = Hardware::default();
        hardware.default.folding = Some(folding);
        let (_, timing) = timing(&builder.network, &hardware, 3);
        let period = number("period12") as u64;
        assert_eq!(timing.initiation_interval, Some(period), "{row:?}");
        compared += 1;
    }
    assert!(compared >= 23, "{compared}");
}

/// FINN's RTL (`shared/facts/cycle.md`, E): a strided convolution with padding on all sides has its windows on the
/// whole padded map, and a depthwise one a generator of its own.
#[test]
fn padded_strides_and_depthwise_layers_take_the_cycles_of_the_rtl() {
    let window = |stride: usize, pad: usize| Window {
        kernel: [3, 3],
        stride: [stride, stride],
        dilation: [1, 1],
        pad: [pad, pad],
    };
    let mut builder = nets::Builder::new(vec![8, 8, 4], nets::signed(4));
    builder
        .convolution("conv", 2, window(2, 1), [1, 1], |_| 1)
        .unwrap();
    let mut hardware = Hardware::default();
    hardware.default.folding = Some(Folding::Finn { pe: 2, simd: 4 });
    let (_, strided) = timing(&builder.network, &hardware, 4);
    assert_eq!(strided.initiation_interval, Some(161));

    let mut builder = nets::Builder::new(vec![8, 8, 4], nets::signed(4));
    builder.depthwise("conv", window(1, 0), [0, 0], |_| 1).unwrap();
    hardware.default.folding = Some(Folding::Finn { pe: 1, simd: 1 });
    let (_, depthwise) = timing(&builder.network, &hardware, 4);
    assert_eq!(depthwise.initiation_interval, Some(1_362));
}

/// Six builds of a network of dense layers 784, 64, 64, 64, 10 with bits for weights and activations
/// (alhusseingamal/finn-brevitas-pynq-labs, `task3/results/output_*/report`).
struct DenseBuild {
    name: &'static str,
    /// PE of the thresholding of the input; a `Reshape` stands in front of it.
    input: (u32, bool),
    /// PE and SIMD of the products.
    foldings: [(u32, u32); 4],
    /// PE of the `LabelSelect`.
    label: u32,
}

const DENSE_BUILDS: [DenseBuild; 6] = {
    const FOLDINGS: [(u32, u32); 4] = [(32, 112), (32, 32), (32, 32), (10, 32)];
    const fn build(
        name: &'static str,
        input: (u32, bool),
        foldings: [(u32, u32); 4],
        label: u32,
    ) -> DenseBuild {
        DenseBuild {
            name,
            input,
            foldings,
            label,
        }
    }
    [
        build("auto", (1, true), [(2, 28), (1, 8), (1, 8), (1, 1)], 1),
        build("custom_0", (14, true), FOLDINGS, 5),
        build("custom_1", (28, true), FOLDINGS, 5),
        build("custom_2", (112, false), FOLDINGS, 5),
        build(
            "custom_3",
            (112, false),
            [(64, 112), (32, 32), (32, 32), (10, 32)],
            5,
        ),
        build("custom_4", (112, false), FOLDINGS, 1),
    ]
};

const DENSE_SIZES: [usize; 5] = [784, 64, 64, 64, 10];

fn dense_build(pe: u32, foldings: [(u32, u32); 4]) -> (Network, Hardware) {
    let bit = Encoding::Fixed(radstream::fixed_point::Format::new(1, 1, false).unwrap());
    let byte = Encoding::Fixed(radstream::fixed_point::Format::new(8, 8, false).unwrap());
    let mut builder = nets::Builder::new(vec![784], byte);
    let layer = LayerId::from(0);
    builder.network.layers.push(Layer {
        name: "input".into(),
        kind: "Quant".into(),
        output: TensorId::from(1),
        hints: BuildHints::default(),
    });
    builder.thresholds(layer, 1, vec![128], bit);
    let automatic = LayerHardware {
        fifo: Some(radstream::accelerator::FifoDepth::Auto),
        weight_memory: Some(radstream::accelerator::WeightMemory::Decoupled),
        ..LayerHardware::default()
    };
    let mut hardware = Hardware {
        default: automatic.clone(),
        ..Hardware::default()
    };
    let entry = LayerHardware {
        pe: Some(pe),
        ..LayerHardware::default()
    };
    hardware.layers.insert("input".into(), entry);
    for (at, (pe, simd)) in foldings.into_iter().enumerate() {
        let name = format!("dense_{at}");
        let (columns, rows) = (DENSE_SIZES[at], DENSE_SIZES[at + 1]);
        let geometry = Geometry::dense(1, columns, rows);
        let layer = builder.product(&name, geometry, nets::signed(2), vec![1; rows * columns], false);
        if at < 3 {
            builder.thresholds(layer, 1, vec![20], bit);
        }
        let entry = LayerHardware {
            folding: Some(Folding::Finn { pe, simd }),
            ..LayerHardware::default()
        };
        hardware.layers.insert(name, entry);
    }
    (builder.network, hardware)
}

/// Words of another width through a converter and the FIFO behind it.
fn converted(words: &[u64], from: u32, to: u32) -> Vec<u64> {
    match from.cmp(&to) {
        std::cmp::Ordering::Equal => words.to_vec(),
        std::cmp::Ordering::Less => word_times::fifo(&word_times::wider(words, (to / from) as usize)),
        std::cmp::Ordering::Greater => word_times::fifo(&word_times::narrower(words, (from / to) as usize)),
    }
}

/// From the first word of the input to the last one of the products, both included: a FIFO in front of every unit,
/// products as `product` has them, and so many registers of thresholds behind each.
fn dense_words(
    build: &DenseBuild,
    front: u64,
    product: impl Fn(&[u64], usize, usize) -> Vec<u64>,
    behind: impl Fn(&[u64]) -> Vec<u64>,
) -> Vec<u64> {
    use word_times::{delayed, fifo};
    let mut lanes = build.input.0;
    let input: Vec<u64> = (0..784 / u64::from(lanes)).collect();
    let mut words = fifo(&delayed(&delayed(&fifo(&input), front), 3));
    for (at, (pe, simd)) in build.foldings.into_iter().enumerate() {
        words = converted(&words, lanes, simd);
        let (columns, rows) = (DENSE_SIZES[at], DENSE_SIZES[at + 1]);
        words = fifo(&product(&words, columns / simd as usize, rows / pe as usize));
        if at < 3 {
            words = behind(&words);
        }
        lanes = pe;
    }
    words
}

/// The chapter's table of builds of dense layers: what the builds' own simulations of one sample report, what comes
/// out here, and what the difference consists of.
#[test]
fn dense_builds_differ_by_what_the_chapter_says() {
    let chapter = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cycle-engine.md"));
    let chapter = chapter.expect("the chapter");
    let rows: Vec<Vec<String>> = chapter
        .lines()
        .skip_while(|line| !line.starts_with("| build | reported"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            line.trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().to_owned())
                .collect()
        })
        .collect();
    assert_eq!(rows.len(), DENSE_BUILDS.len());
    for (build, row) in DENSE_BUILDS.iter().zip(&rows) {
        assert_eq!(row[0], build.name);
        let number = |at: usize| row[at].replace(',', "").parse::<i64>().expect("a number");
        let (network, hardware) = dense_build(build.input.0, build.foldings);
        let (_, one) = timing(&network, &hardware, 1);
        let latency = one.latency.expect("an output") as i64;
        assert_eq!(latency, number(2), "{row:?}");
        assert_eq!((3..7).map(number).sum::<i64>(), number(2) - number(1), "{row:?}");

        // Word by word: the units here, and those of the build, whose products compare inside and have a result 5
        // edges behind its last step, and whose labels come 3 edges behind the last of 5 lanes, 2 of one lane.
        let thresholds = |words: &[u64]| word_times::fifo(&word_times::delayed(words, 3));
        let here = dense_words(build, 0, word_times::product, thresholds);
        assert_eq!(here.last().map(|edge| *edge as i64 + 1), Some(latency), "{row:?}");
        let products =
            |words: &[u64], sf: usize, nf: usize| word_times::product_of_synthesis(words, sf, nf, 5);
        let reshape = u64::from(build.input.1);
        let built = dense_words(build, reshape, products, <[u64]>::to_vec);
        let labels = word_times::paced(converted(&built, build.foldings[3].0, build.label), 0);
        let select = if build.label == 1 { 2 } else { 3 };
        let reported = labels.last().map(|edge| (*edge + select) as i64 + 1);
        assert_eq!(reported, Some(number(1)), "{row:?}");
    }
}
