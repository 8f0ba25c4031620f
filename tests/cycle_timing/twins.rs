//! Networks with the shapes of published hls4ml projects; their weights are made up.

use radstream::accelerator::{Accelerator, Hardware, Hls4mlBuild, HlsTool, IoType, Target};
use radstream::fixed_point::Format;
use radstream::network::{
    Affine, BuildHints, Encoding, Geometry, Layer, LayerId, Network, Node, Op, ParamKind, PoolKind, Table,
    TableIndex, Tensor, TensorId, Window,
};

use super::super::nets;

/// One layer as hls4ml has it.
#[derive(Clone, Copy)]
pub enum Piece {
    /// Filters, kernel, stride, padding in front and behind on both axes, reuse factor.
    Conv(usize, [usize; 2], usize, [usize; 4], u32),
    /// Outputs, reuse factor.
    Dense(usize, u32),
    Relu,
    Norm,
    Sigmoid,
    Softmax,
    /// Window, which is also the stride.
    Pool([usize; 2]),
    Resize([usize; 2]),
}
pub use self::Piece::{Conv, Dense, Norm, Pool, Relu, Resize, Sigmoid, Softmax as SoftMax};

/// The multilayer perceptron of hls4ml's jet tagger.
const JET_TAGGER: [Piece; 8] = [
    Dense(64, 1),
    Relu,
    Dense(32, 1),
    Relu,
    Dense(32, 1),
    Relu,
    Dense(5, 1),
    SoftMax,
];

/// A published design, and what its report says.
pub struct Design {
    pub name: &'static str,
    pub tool: HlsTool,
    pub version: (u16, u16),
    pub period_ns: f64,
    pub io_type: IoType,
    pub strategy: &'static str,
    /// Whether the part is of the 7 series.
    pub seven_series: bool,
    pub input: &'static [usize],
    pub parts: &'static [Piece],
    pub latency: u64,
    pub interval: u64,
    /// Whether its numbers were looked at when the rules were made.
    pub fitted: bool,
}

fn number(at: usize) -> i64 {
    // Odd, and no power of two in the least, so that nothing is strength-reduced.
    [3, -5, 7, -3, 5, -7][at % 6]
}

struct Twin {
    builder: nets::Builder,
    hints: BuildHints,
}

impl Twin {
    fn output(&self) -> Tensor {
        self.builder.network.tensor(self.builder.network.output).clone()
    }

    fn layer(&mut self, kind: &str, reuse_factor: Option<u32>) -> LayerId {
        let network = &mut self.builder.network;
        let layer = LayerId::from(network.layers.len());
        network.layers.push(Layer {
            name: format!("{kind}_{}", layer.index()).to_lowercase(),
            kind: kind.to_owned(),
            output: network.output,
            hints: BuildHints {
                reuse_factor,
                ..self.hints.clone()
            },
        });
        layer
    }

    fn push(&mut self, kind: &str, op: Op, shape: Vec<usize>, format: Format) {
        let layer = self.layer(kind, None);
        let network = &mut self.builder.network;
        let input = network.output;
        let output = TensorId::from(network.tensors.len());
        network.tensors.push(Tensor {
            name: format!("t{}", output.0),
            shape,
            encoding: Encoding::Fixed(format),
            scale: 1.0,
        });
        network.output = output;
        network.layers[layer.index()].output = output;
        network.nodes.push(Node {
            name: network.layers[layer.index()].name.clone(),
            layer,
            op,
            inputs: vec![input],
            output,
        });
    }

    fn product(&mut self, kind: &str, geometry: Geometry, after: [usize; 2], reuse: u32) {
        let taps = geometry.taps(1);
        let weights = (0..taps * geometry.output[2]).map(number).collect();
        let name = format!("{kind}_{}", self.builder.network.layers.len()).to_lowercase();
        let layer = self
            .builder
            .product(&name, geometry, nets::signed(4), weights, false);
        let network = &mut self.builder.network;
        let mut hints = self.hints.clone();
        hints.reuse_factor = Some(reuse);
        hints.pad_after = Some(after);
        let entry = &mut network.layers[layer.index()];
        entry.kind = kind.to_owned();
        entry.hints = hints;
        // hls4ml's sums are as wide as its types, not as wide as they can become.
        let format = Format::new(16, 16, true).unwrap();
        if let Op::Mac(mac) = &mut network.nodes.last_mut().unwrap().op {
            mac.accumulator.format = format;
        }
        let output = network.output;
        network.tensors[output.index()].encoding = Encoding::Fixed(format);
    }

    fn part(&mut self, part: Piece) {
        let from = self.output();
        let word = Format::new(16, 16, true).unwrap();
        let narrow = Format::new(6, 6, false).unwrap();
        let map = || match *from.shape {
            [height, width, channels] => [height, width, channels],
            [width, channels] => [1, width, channels],
            _ => [1, 1, from.len()],
        };
        match part {
            Conv(filters, kernel, stride, [top, left, bottom, right], reuse) => {
                let input = map();
                let extent = |axis: usize, around: usize| (input[axis] + around - kernel[axis]) / stride + 1;
                let geometry = Geometry {
                    input,
                    output: [extent(0, top + bottom), extent(1, left + right), filters],
                    window: Window {
                        kernel,
                        stride: [stride; 2],
                        dilation: [1, 1],
                        pad: [top, left],
                    },
                };
                self.product("Conv2D", geometry, [bottom, right], reuse);
            }
            Dense(outputs, reuse) => {
                if from.shape.len() > 1 {
                    let Encoding::Fixed(format) = from.encoding else {
                        unreachable!()
                    };
                    self.push("Flatten", Op::Reshape, vec![from.len()], format);
                }
                self.product("Dense", Geometry::dense(1, from.len(), outputs), [0, 0], reuse);
                let network = &mut self.builder.network;
                let output = network.output;
                network.tensors[output.index()].shape = vec![outputs];
            }
            Relu => {
                let op = Op::Relu(radstream::network::Relu {
                    slope: None,
                    threshold: 0,
                    ceiling: None,
                });
                self.push("ReLU", op, from.shape, narrow);
            }
            Norm => {
                let layer = LayerId::from(self.builder.network.layers.len());
                let channels = *from.shape.last().unwrap();
                let values = (0..channels).map(number).collect();
                let scale =
                    self.builder
                        .param(layer, ParamKind::Scale, vec![channels], nets::signed(4), values);
                self.push(
                    "BatchNorm",
                    Op::Affine(Affine { scale, bias: None }),
                    from.shape,
                    word,
                );
            }
            Sigmoid => {
                let op = Op::Table(Table {
                    function: "sigmoid".into(),
                    index: TableIndex::Scaled {
                        log2_factor: 0,
                        offset: 512,
                    },
                    entries: (0..1024).map(|at| at / 8).collect(),
                    entry_format: Format::new(8, 8, false).unwrap(),
                });
                self.push("Sigmoid", op, from.shape, Format::new(8, 8, false).unwrap());
            }
            SoftMax => {
                let table: Vec<i64> = (0..1024).map(|at| at % 200).collect();
                let op = Op::Softmax(radstream::network::Softmax {
                    slice: from.len(),
                    subtract_max: true,
                    norm_format: word,
                    exp_table: table.clone(),
                    exp_format: word,
                    inv_table: table,
                    inv_format: word,
                    inv_input: word,
                    accumulator: word,
                });
                self.push("Softmax", op, from.shape, word);
            }
            Pool(window) => {
                let input = map();
                let output = [input[0] / window[0], input[1] / window[1], input[2]];
                let geometry = Geometry {
                    input,
                    output,
                    window: Window {
                        kernel: window,
                        stride: window,
                        dilation: [1, 1],
                        pad: [0, 0],
                    },
                };
                let Encoding::Fixed(format) = from.encoding else {
                    unreachable!()
                };
                let op = Op::Pool(radstream::network::Pool {
                    kind: PoolKind::Max { through: None },
                    geometry,
                });
                self.push("Pooling2D", op, output.to_vec(), format);
            }
            Resize(factors) => {
                let Encoding::Fixed(format) = from.encoding else {
                    unreachable!()
                };
                let [height, width, channels] = map();
                let shape = vec![height * factors[0], width * factors[1], channels];
                self.push(
                    "Resize",
                    Op::Upsample {
                        factors: factors.to_vec(),
                    },
                    shape,
                    format,
                );
            }
        }
    }
}

/// A network with these layers.
pub fn network(input: &[usize], parts: &[Piece], io_type: IoType, strategy: &str) -> Network {
    let mut twin = Twin {
        builder: nets::Builder::new(input.to_vec(), nets::signed(8)),
        hints: BuildHints {
            strategy: Some(strategy.to_owned()),
            io_type: Some(
                match io_type {
                    IoType::Stream => "io_stream",
                    IoType::Parallel => "io_parallel",
                }
                .to_owned(),
            ),
            ..BuildHints::default()
        },
    };
    for &part in parts {
        twin.part(part);
    }
    twin.builder.network
}

/// Hardware of such a build.
pub fn hardware(io_type: IoType, tool: HlsTool, version: (u16, u16), period_ns: f64) -> Hardware {
    Hardware {
        target: Some(Target::Hls4ml),
        clock_mhz: Some(1000.0 / period_ns),
        hls4ml: Some(Hls4mlBuild {
            io_type: Some(io_type),
            tool: Some(tool),
            version: Some(version),
        }),
        ..Hardware::default()
    }
}

impl Design {
    pub fn network(&self) -> Network {
        network(self.input, self.parts, self.io_type, self.strategy)
    }

    pub fn hardware(&self) -> Hardware {
        Hardware {
            technology: Some(if self.seven_series { "xc7" } else { "xcup" }.to_owned()),
            ..hardware(self.io_type, self.tool, self.version, self.period_ns)
        }
    }

    /// Latency and interval by the rules, as a report counts them at most.
    pub fn analytic(&self) -> (u64, u64) {
        let accelerator = Accelerator::build(&self.network(), &self.hardware()).unwrap();
        let functions = accelerator.functions().unwrap();
        (
            functions
                .longest_latency
                .unwrap_or_else(|| panic!("{}: a chain", self.name)),
            functions.longest_interval.unwrap(),
        )
    }
}

const NONE: [usize; 4] = [0; 4];
const ROUND: [usize; 4] = [1; 4];

/// MLPerf Tiny v0.7's anomaly detection by hls4ml.
pub const ANOMALY: (&[usize], &[Piece]) = (
    &[64],
    &[
        Dense(72, 144),
        Relu,
        Dense(72, 144),
        Relu,
        Dense(8, 144),
        Relu,
        Dense(72, 144),
        Relu,
        Dense(72, 144),
        Relu,
        Dense(64, 144),
    ],
);

/// Reports of designs whose shapes are known. Of two numbers in a report it is the larger one.
pub const DESIGNS: &[Design] = &[
    Design {
        name: "SVHN CNN (alex-yang-upenn/accelerator_wrapper)",
        tool: HlsTool::Vitis,
        version: (2022, 2),
        period_ns: 3.33,
        io_type: IoType::Stream,
        strategy: "latency",
        seven_series: false,
        input: &[32, 32, 3],
        parts: &[
            Conv(16, [3, 3], 1, NONE, 1),
            Relu,
            Pool([2, 2]),
            Conv(16, [3, 3], 1, NONE, 1),
            Relu,
            Pool([2, 2]),
            Conv(24, [3, 3], 1, NONE, 1),
            Relu,
            Pool([2, 2]),
            Dense(42, 1),
            Norm,
            Relu,
            Dense(64, 1),
            Norm,
            Relu,
            Dense(10, 1),
            SoftMax,
        ],
        latency: 3099,
        interval: 3076,
        fitted: true,
    },
    Design {
        name: "MLP 16-64-32-32-5 (alex-yang-upenn/accelerator_wrapper)",
        tool: HlsTool::Vitis,
        version: (2022, 2),
        period_ns: 3.33,
        io_type: IoType::Stream,
        strategy: "latency",
        seven_series: false,
        input: &[16],
        parts: &JET_TAGGER,
        latency: 32,
        interval: 9,
        fitted: true,
    },
    Design {
        name: "dense 16-4 (camillaMiao/Hls-and-bambu)",
        tool: HlsTool::Vivado,
        version: (2019, 2),
        period_ns: 5.0,
        io_type: IoType::Parallel,
        strategy: "latency",
        seven_series: true,
        input: &[16],
        parts: &[Dense(4, 1)],
        latency: 3,
        interval: 1,
        fitted: true,
    },
    Design {
        name: "dense 16-5, ReLU (hls4ml, test_report)",
        tool: HlsTool::Vivado,
        version: (2020, 1),
        period_ns: 5.0,
        io_type: IoType::Stream,
        strategy: "latency",
        seven_series: false,
        input: &[16],
        parts: &[Dense(5, 1), Relu],
        latency: 10,
        interval: 8,
        fitted: true,
    },
    Design {
        name: "Conv1D activity (seanlipps/ECE226_CoDesign)",
        tool: HlsTool::Vitis,
        version: (2024, 1),
        period_ns: 5.0,
        io_type: IoType::Stream,
        strategy: "latency",
        seven_series: false,
        input: &[1, 128, 9],
        parts: &[
            Conv(16, [1, 3], 1, [0, 1, 0, 1], 1),
            Relu,
            Pool([1, 128]),
            Dense(6, 1),
            SoftMax,
        ],
        latency: 395,
        interval: 390,
        fitted: true,
    },
    Design {
        name: "Conv1D activity, arrays (seanlipps/ECE226_CoDesign)",
        tool: HlsTool::Vitis,
        version: (2024, 1),
        period_ns: 5.0,
        io_type: IoType::Parallel,
        strategy: "latency",
        seven_series: false,
        input: &[1, 128, 9],
        parts: &[
            Conv(16, [1, 3], 1, [0, 1, 0, 1], 1),
            Relu,
            Pool([1, 128]),
            Dense(6, 1),
            SoftMax,
        ],
        latency: 184,
        interval: 128,
        fitted: true,
    },
    Design {
        name: "pulse detection (SpAllen0726/HG-DREAM-Pulse-Detection-Project)",
        tool: HlsTool::Vitis,
        version: (2023, 1),
        period_ns: 5.0,
        io_type: IoType::Stream,
        strategy: "latency",
        seven_series: false,
        input: &[1, 80, 1],
        parts: &[
            Conv(32, [1, 3], 1, [0, 1, 0, 1], 1),
            Relu,
            Conv(32, [1, 3], 2, [0, 0, 0, 1], 1),
            Relu,
            Conv(64, [1, 3], 1, [0, 1, 0, 1], 1),
            Relu,
            Resize([1, 2]),
            Conv(32, [1, 3], 1, [0, 1, 0, 1], 1),
            Relu,
            Conv(1, [1, 1], 1, NONE, 1),
            Sigmoid,
        ],
        latency: 695,
        interval: 578,
        fitted: true,
    },
    Design {
        name: "pixel CNN, large (Alezander9/ML_FPGAonPixel)",
        tool: HlsTool::Vitis,
        version: (2023, 1),
        period_ns: 25.0,
        io_type: IoType::Stream,
        strategy: "latency",
        seven_series: false,
        input: &[13, 8, 1],
        parts: &[
            Conv(8, [3, 3], 1, ROUND, 1),
            Relu,
            Pool([2, 2]),
            Conv(13, [3, 3], 1, ROUND, 1),
            Relu,
            Pool([2, 2]),
            Dense(13, 1),
            Relu,
            Dense(1, 1),
            Sigmoid,
        ],
        latency: 311,
        interval: 303,
        fitted: true,
    },
    Design {
        name: "pixel CNN, pruned (Alezander9/ML_FPGAonPixel)",
        tool: HlsTool::Vitis,
        version: (2023, 1),
        period_ns: 5.0,
        io_type: IoType::Stream,
        strategy: "latency",
        seven_series: false,
        input: &[13, 8, 1],
        parts: &[
            Conv(2, [3, 3], 1, ROUND, 1),
            Relu,
            Pool([2, 2]),
            Conv(4, [3, 3], 1, ROUND, 1),
            Relu,
            Pool([2, 2]),
            Dense(4, 1),
            Relu,
            Dense(1, 1),
            Sigmoid,
        ],
        latency: 313,
        interval: 304,
        fitted: true,
    },
    Design {
        name: "pixel MLP, full reuse (Alezander9/ML_FPGAonPixel)",
        tool: HlsTool::Vitis,
        version: (2023, 1),
        period_ns: 5.0,
        io_type: IoType::Stream,
        strategy: "resource",
        seven_series: false,
        input: &[105],
        parts: &[
            Dense(32, 3360),
            Norm,
            Relu,
            Norm,
            Dense(16, 512),
            Norm,
            Relu,
            Norm,
            Dense(3, 48),
            Norm,
            SoftMax,
        ],
        latency: 3363,
        interval: 3360,
        fitted: true,
    },
    Design {
        name: "LArTPC CNN (jmitrevs/processADA)",
        tool: HlsTool::Vitis,
        version: (2023, 1),
        period_ns: 10.0,
        io_type: IoType::Stream,
        strategy: "resource",
        seven_series: false,
        input: &[480, 128, 1],
        parts: &[
            Conv(32, [3, 3], 1, [16, 0, 16, 0], 144),
            Pool([4, 4]),
            Conv(64, [3, 3], 1, NONE, 144),
            Pool([2, 2]),
            Conv(64, [3, 3], 1, NONE, 288),
            Pool([2, 2]),
            Conv(32, [3, 3], 1, NONE, 288),
            Pool([2, 2]),
            Dense(8, 128),
            Dense(3, 8),
            SoftMax,
        ],
        latency: 9_830_568,
        interval: 9_830_402,
        fitted: true,
    },
    Design {
        name: "autoencoder (ChiRuiChen/AutoEncoder_hls4ml)",
        tool: HlsTool::Vivado,
        version: (2019, 2),
        period_ns: 5.0,
        io_type: IoType::Stream,
        strategy: "resource",
        seven_series: true,
        input: &[32, 32, 1],
        parts: &[
            Conv(8, [3, 3], 1, ROUND, 9),
            Relu,
            Pool([2, 2]),
            Conv(4, [3, 3], 1, ROUND, 72),
            Relu,
            Pool([2, 2]),
            Conv(4, [3, 3], 1, ROUND, 36),
            Relu,
            Pool([2, 2]),
            Conv(4, [3, 3], 1, ROUND, 36),
            Relu,
            Resize([2, 2]),
            Conv(4, [3, 3], 1, ROUND, 36),
            Relu,
            Resize([2, 2]),
            Conv(8, [3, 3], 1, ROUND, 36),
            Relu,
            Resize([2, 2]),
            Conv(1, [3, 3], 1, ROUND, 72),
            Relu,
        ],
        latency: 96_165,
        interval: 95_949,
        fitted: true,
    },
    Design {
        name: "MNIST CNN, 25 ns (pominiq/DNNonSilicon)",
        tool: HlsTool::Vivado,
        version: (2020, 1),
        period_ns: 25.0,
        io_type: IoType::Stream,
        strategy: "latency",
        seven_series: true,
        input: &[28, 28, 1],
        parts: &[
            Conv(4, [3, 3], 1, NONE, 16),
            Relu,
            Pool([4, 4]),
            Conv(8, [3, 3], 1, NONE, 16),
            Relu,
            Pool([2, 2]),
            Dense(10, 16),
            SoftMax,
        ],
        latency: 10_250,
        interval: 10_195,
        fitted: true,
    },
    Design {
        name: "MNIST CNN (Spehic/Diplomska-hls4ml)",
        tool: HlsTool::Vivado,
        version: (2020, 1),
        period_ns: 5.0,
        io_type: IoType::Stream,
        strategy: "resource",
        seven_series: true,
        input: &[28, 28, 1],
        parts: &[
            Conv(32, [3, 3], 1, NONE, 72),
            Relu,
            Pool([2, 2]),
            Conv(32, [3, 3], 1, NONE, 72),
            Relu,
            Pool([2, 2]),
            Dense(32, 50),
            Relu,
            Dense(10, 64),
            SoftMax,
        ],
        latency: 63_518,
        interval: 63_506,
        fitted: true,
    },
    Design {
        name: "picar CNN (tsopeter/753-FPGA)",
        tool: HlsTool::Vitis,
        version: (2024, 2),
        period_ns: 30.0,
        io_type: IoType::Stream,
        strategy: "resource",
        seven_series: true,
        input: &[64, 64, 1],
        parts: &[
            Conv(2, [5, 5], 2, NONE, 50),
            Relu,
            Conv(4, [5, 5], 2, NONE, 50),
            Relu,
            Conv(5, [5, 5], 2, NONE, 50),
            Relu,
            Conv(6, [3, 3], 1, NONE, 45),
            Relu,
            Dense(1, 54),
        ],
        latency: 225_290,
        interval: 225_282,
        fitted: false,
    },
    Design {
        name: "jet MLP 16-64-32-32-5 (Liu-Zhiheng/hls4ml-pynqz2-vivado2019-2-results)",
        tool: HlsTool::Vivado,
        version: (2019, 2),
        period_ns: 5.0,
        io_type: IoType::Parallel,
        strategy: "latency",
        seven_series: false,
        input: &[16],
        parts: &JET_TAGGER,
        latency: 12,
        interval: 1,
        fitted: true,
    },
    Design {
        name: "jet MLP, reuse 64, pruned (Liu-Zhiheng/hls4ml-pynqz2-vivado2019-2-results)",
        tool: HlsTool::Vivado,
        version: (2019, 2),
        period_ns: 5.0,
        io_type: IoType::Parallel,
        strategy: "latency",
        seven_series: true,
        input: &[16],
        parts: &[
            Dense(64, 64),
            Relu,
            Dense(32, 64),
            Relu,
            Dense(32, 64),
            Relu,
            Dense(5, 64),
            SoftMax,
        ],
        latency: 55,
        interval: 15,
        fitted: false,
    },
    Design {
        name: "MNIST MLP 400-10-10-10 (k-diep/CE6370)",
        tool: HlsTool::Vitis,
        version: (2023, 2),
        period_ns: 5.0,
        io_type: IoType::Parallel,
        strategy: "latency",
        seven_series: false,
        input: &[400],
        parts: &[Dense(10, 1), Relu, Dense(10, 1), Relu, Dense(10, 1), SoftMax],
        latency: 10,
        interval: 1,
        fitted: true,
    },
    Design {
        name: "arrhythmia MLP 274-6-16, reuse 2 (ArgyKokk/hls4ml_MLP_estimator)",
        tool: HlsTool::Vitis,
        version: (2021, 1),
        period_ns: 3.33,
        io_type: IoType::Parallel,
        strategy: "latency",
        seven_series: true,
        input: &[274],
        parts: &[Dense(7, 2), Relu, Dense(16, 2), SoftMax],
        latency: 38,
        interval: 2,
        fitted: true,
    },
    Design {
        name: "LeNet-5, 8 bit (abdennour-GUESSOUM/Lenet5-hls4ml)",
        tool: HlsTool::Vitis,
        version: (2023, 2),
        period_ns: 5.0,
        io_type: IoType::Stream,
        strategy: "latency",
        seven_series: false,
        input: &[28, 28, 1],
        parts: &[
            Conv(6, [5, 5], 1, NONE, 1),
            Sigmoid,
            Pool([2, 2]),
            Conv(16, [5, 5], 1, NONE, 1),
            Sigmoid,
            Pool([2, 2]),
            Dense(16, 1),
            Norm,
            Sigmoid,
            Dense(16, 1),
            Norm,
            Sigmoid,
            Dense(10, 1),
            SoftMax,
        ],
        latency: 2374,
        interval: 2356,
        fitted: false,
    },
    Design {
        name: "MLP 16-64-32-32-5, 10 ns (taitashaw/hls4ml-fpga-classifier)",
        tool: HlsTool::Vitis,
        version: (2025, 2),
        period_ns: 10.0,
        io_type: IoType::Stream,
        strategy: "latency",
        seven_series: false,
        input: &[16],
        parts: &JET_TAGGER,
        latency: 20,
        interval: 7,
        fitted: false,
    },
];
