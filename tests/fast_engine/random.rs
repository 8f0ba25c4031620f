//! Random small networks with random parameters: every tensor equals the plain engine's at every
//! level of vector instructions.

use std::collections::HashMap;

use proptest::prelude::*;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use radstream::fixed_point::{Format, Overflow, Quantization};
use radstream::network::bounds::exact_accumulator;
use radstream::network::*;
use radstream::simulate::functional::fast::{Level, Method};
use std::sync::Arc;

use radstream::simulate::functional::batch::SAMPLES;
use radstream::simulate::functional::{
    BatchEngine, BatchPlan, Change, FastEngine, FastPlan, Incremental, Parameters, Place, Plan, Transient,
    TransientError, evaluate, evaluate_struck,
};

const MODES: [Quantization; 7] = [
    Quantization::Rnd,
    Quantization::RndZero,
    Quantization::RndMinInf,
    Quantization::RndInf,
    Quantization::RndConv,
    Quantization::Trn,
    Quantization::TrnZero,
];

/// Draws networks one operation after the other.
struct Drawer {
    rng: ChaCha8Rng,
    network: Network,
    /// Tensors that later operations may read again.
    kept: Vec<TensorId>,
}

impl Drawer {
    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.rng.random_range(0..from.len())].clone()
    }

    fn format(&mut self, widths: std::ops::RangeInclusive<u32>) -> Format {
        let width = self.rng.random_range(widths);
        let overflow = [
            Overflow::Sat,
            Overflow::Wrap { saturation_bits: 0 },
            Overflow::SatSym,
            Overflow::SatZero,
        ];
        let (integer, signed) = (width as i32 - self.rng.random_range(0..4), self.rng.random());
        let (mode, overflow) = (self.pick(&MODES), self.pick(&overflow[..]));
        let format = Format::new(width, integer, signed).unwrap();
        format.with_quantization(mode).with_overflow(overflow).unwrap()
    }

    fn encoding(&mut self, widths: std::ops::RangeInclusive<u32>) -> Encoding {
        if self.rng.random_range(0..4) == 0 {
            Encoding::Bipolar {
                frac: self.rng.random_range(-1..2),
            }
        } else {
            Encoding::Fixed(self.format(widths))
        }
    }

    fn mantissa(&mut self, encoding: &Encoding) -> i64 {
        let bits = self.rng.next_u64();
        // The ends of the range show an overflow that the middle hides.
        let (low, high) = encoding.range();
        match (encoding, self.rng.random_range(0..8)) {
            (Encoding::Fixed(_), 0) => low as i64,
            (Encoding::Fixed(_), 1) => high as i64,
            _ => encoding.mantissa_of_bits(bits),
        }
    }

    fn last(&self) -> TensorId {
        self.network.output
    }

    fn shape(&self) -> Vec<usize> {
        self.network.tensor(self.last()).shape.clone()
    }

    fn add(&mut self, op: Op, inputs: Vec<TensorId>, shape: Vec<usize>, encoding: Encoding) {
        let output = TensorId::from(self.network.tensors.len());
        let name = format!("t{}", output.0);
        self.network.tensors.push(Tensor {
            name: name.clone(),
            shape,
            encoding,
            scale: 1.0,
        });
        self.network.nodes.push(Node {
            name,
            layer: LayerId(0),
            op,
            inputs,
            output,
        });
        self.network.output = output;
        if self.rng.random_range(0..3) == 0 {
            self.kept.push(output);
        }
    }

    fn param(&mut self, kind: ParamKind, shape: Vec<usize>, encoding: Encoding) -> ParamId {
        let count = shape.iter().product();
        let values = (0..count).map(|_| self.mantissa(&encoding)).collect();
        self.network.params.push(Param {
            layer: LayerId(0),
            kind,
            shape,
            encoding,
            values,
            zero_point: None,
        });
        ParamId::from(self.network.params.len() - 1)
    }

    fn product(&mut self) {
        let shape = self.shape();
        let input = self.network.tensor(self.last()).encoding;
        let (geometry, groups, transposed) = match shape[..] {
            [height, width, channels] => self.convolution([height, width, channels]),
            _ => {
                let inputs = shape.iter().product();
                let outputs = self.rng.random_range(1..40);
                (Geometry::dense(1, inputs, outputs), 1, false)
            }
        };
        let weight = match (input, self.rng.random_range(0..8)) {
            (Encoding::Bipolar { .. }, 0..=4) => Encoding::Bipolar { frac: 0 },
            (_, 0 | 1) => Encoding::Fixed(self.format(13..=22)),
            _ => self.encoding(1..=12),
        };
        let [kh, kw] = geometry.window.kernel;
        let out = geometry.output[2];
        let taps = geometry.taps(groups);
        let both_bipolar =
            matches!(weight, Encoding::Bipolar { .. }) && matches!(input, Encoding::Bipolar { .. });
        let padded = geometry.window.pad != [0, 0]
            || (0..2).any(|axis| {
                let reach = (geometry.output[axis] - 1) * geometry.window.stride[axis]
                    + (geometry.window.kernel[axis] - 1) * geometry.window.dilation[axis];
                reach >= geometry.input[axis]
            });
        let popcount = both_bipolar && !padded && !transposed && self.rng.random();
        let bias = (!popcount && self.rng.random()).then(|| {
            let widths = self.pick(&[1..=12, 24..=32]);
            let encoding = Encoding::Fixed(self.format(widths));
            self.param(ParamKind::Bias, vec![out], encoding)
        });
        let weights = self.param(ParamKind::Weight, vec![out, kh, kw, taps / kh / kw], weight);
        let exact = if popcount {
            Format::holding(0, taps as i128, 0).unwrap()
        } else {
            let bias = bias.map(|bias| self.network.param(bias).encoding);
            exact_accumulator(taps, &weight, &input, bias.as_ref()).unwrap()
        };
        let (format, order) = match self.rng.random_range(0..8) {
            // A stated accumulator that wraps, or one whose order matters.
            0 if !popcount => (
                Format::new(self.rng.random_range(8..24), 8, true).unwrap(),
                Order::Natural,
            ),
            1 if !popcount => (self.format(8..=16), Order::Strided { factor: 3 }),
            _ => (exact, Order::Natural),
        };
        let output = match self.rng.random_range(0..4) {
            0 => Encoding::Fixed(self.format(2..=16)),
            _ => Encoding::Fixed(format),
        };
        let shape = match shape.len() {
            3 => geometry.output.to_vec(),
            _ => vec![out],
        };
        let mac = Mac {
            weight: weights,
            bias,
            geometry,
            groups,
            transposed,
            accumulator: Accumulator {
                format,
                stated: format != exact,
                order,
            },
            popcount,
        };
        let last = self.last();
        self.add(Op::Mac(mac), vec![last], shape, output);
        if self.rng.random_range(0..4) > 0 {
            self.element_wise();
        }
    }

    fn convolution(&mut self, [height, width, channels]: [usize; 3]) -> (Geometry, usize, bool) {
        let groups = if self.rng.random_range(0..3) == 0 {
            let divisors: Vec<usize> = (1..=channels).filter(|&g| channels.is_multiple_of(g)).collect();
            self.pick(&divisors)
        } else {
            1
        };
        let per_group = self.pick(&[1, 2, 3, 4, 5, 16, 17, 33, 64]);
        let out = groups * per_group.min((70 / groups).max(1));
        let transposed = self.rng.random_range(0..5) == 0;
        let mut window = Window {
            kernel: [0, 0].map(|_| self.rng.random_range(1..4)),
            stride: [0, 0].map(|_| self.rng.random_range(1..3)),
            dilation: [0, 0].map(|_| self.rng.random_range(1..3)),
            pad: [0, 0],
        };
        let size = [height, width];
        let mut output = [0; 2];
        for axis in 0..2 {
            let reach = |window: &Window| (window.kernel[axis] - 1) * window.dilation[axis] + 1;
            if transposed {
                output[axis] = (size[axis] - 1) * window.stride[axis] + reach(&window);
                continue;
            }
            let before = if self.rng.random() {
                window.kernel[axis] / 2
            } else {
                0
            };
            let after = if self.rng.random() { before } else { 0 };
            if size[axis] + before + after < reach(&window) {
                (window.kernel[axis], window.dilation[axis]) = (1, 1);
            }
            window.pad[axis] = before.min(window.kernel[axis] - 1);
            let room = size[axis] + window.pad[axis] + after - reach(&window);
            output[axis] = room / window.stride[axis] + 1;
        }
        let geometry = Geometry {
            input: [height, width, channels],
            output: [output[0], output[1], out],
            window,
        };
        (geometry, groups, transposed)
    }

    fn element_wise(&mut self) {
        let (shape, last) = (self.shape(), self.last());
        let encoding = self.network.tensor(last).encoding;
        let channels = *shape.last().unwrap();
        match self.rng.random_range(0..8) {
            0..=3 => {
                let bipolar = self.rng.random_range(0..3) == 0;
                let steps = if bipolar { 1 } else { self.pick(&[1, 2, 3, 15, 31]) };
                let rows = self.pick(&[1, channels]);
                let stored = match encoding {
                    Encoding::Fixed(format) => {
                        let integer = format.integer().saturating_add(1);
                        Encoding::Fixed(Format::wide(format.width() + 1, integer, true).unwrap())
                    }
                    Encoding::Bipolar { .. } => Encoding::Fixed(Format::new(3, 3, true).unwrap()),
                };
                let thresholds = self.param(ParamKind::Threshold, vec![rows, steps], stored);
                let values = &mut self.network.params[thresholds.index()].values;
                match self.rng.random_range(0..4) {
                    0 => {}
                    1 => values.chunks_mut(steps).for_each(<[i64]>::sort_unstable),
                    // Evenly spaced, as a scaled and rounded activation has them.
                    _ => {
                        let (first, spacing) = (self.rng.random_range(-50..50), self.rng.random_range(1..40));
                        for (at, value) in values.iter_mut().enumerate() {
                            let threshold = first + spacing * (at % steps) as i64;
                            *value = if stored.contains(i128::from(threshold)) {
                                threshold
                            } else {
                                *value
                            };
                        }
                    }
                }
                let count = self.pick(&[1, channels]);
                let (factor, offset, output) = if bipolar {
                    let offset: Vec<i64> = (0..count).map(|_| self.pick(&[-1, 1])).collect();
                    let factor = offset.iter().map(|offset| -2 * offset).collect();
                    (factor, offset, Encoding::Bipolar { frac: 0 })
                } else {
                    let factor = (0..count).map(|_| self.pick(&[1, 1, -1, 3])).collect();
                    let offset = vec![self.rng.random_range(-3..3); count];
                    (factor, offset, Encoding::Fixed(Format::new(9, 9, true).unwrap()))
                };
                let op = MultiThreshold {
                    thresholds,
                    factor,
                    offset,
                    rule: if self.rng.random() {
                        ThresholdRule::Count
                    } else {
                        ThresholdRule::BinarySearch
                    },
                };
                self.add(Op::MultiThreshold(op), vec![last], shape, output);
            }
            4 | 5 => {
                let (low, high) = encoding.range();
                let mut limit = || self.rng.random_range(low.max(-500)..=high.min(500)) as i64;
                let relu = Relu {
                    slope: None,
                    threshold: if limit() > 100 { limit() } else { 0 },
                    ceiling: (limit() > 0).then(&mut limit),
                };
                let output = Encoding::Fixed(self.format(1..=12));
                self.add(Op::Relu(relu), vec![last], shape, output);
            }
            6 => {
                let wide = Encoding::Fixed(self.format(4..=16));
                let count = self.pick(&[1, channels]);
                let scale = self.param(ParamKind::Scale, vec![count], wide);
                let bias = self.rng.random::<bool>();
                let bias = bias.then(|| self.param(ParamKind::Bias, vec![count], wide));
                let output = Encoding::Fixed(self.format(4..=16));
                self.add(Op::Affine(Affine { scale, bias }), vec![last], shape, output);
            }
            _ => {
                let output = Encoding::Fixed(self.format(1..=16));
                self.add(Op::Cast, vec![last], shape, output);
            }
        }
    }

    fn moving(&mut self) {
        let (shape, last) = (self.shape(), self.last());
        let encoding = self.network.tensor(last).encoding;
        let [height, width, channels] = shape[..] else {
            return self.element_wise();
        };
        match self.rng.random_range(0..7) {
            0 | 1 if height > 1 && width > 1 => {
                // With one tap the windows on the border are empty.
                let (kernel, pad) = self.pick(&[(2, 0), (2, 1), (1, 1)]);
                let output = [height, width].map(|size| (size + 2 * pad - kernel) / 2 + 1);
                let kinds = [PoolKind::Max { through: None }, PoolKind::Sum];
                let pool = Pool {
                    kind: kinds[usize::from(self.rng.random_range(0..4) == 0)],
                    geometry: Geometry {
                        input: [height, width, channels],
                        output: [output[0], output[1], channels],
                        window: Window {
                            kernel: [kernel, kernel],
                            stride: [2, 2],
                            dilation: [1, 1],
                            pad: [pad, pad],
                        },
                    },
                };
                let output_encoding = match pool.kind {
                    PoolKind::Sum => Encoding::Fixed(self.format(4..=16)),
                    _ => encoding,
                };
                let shape = pool.geometry.output.to_vec();
                self.add(Op::Pool(pool), vec![last], shape, output_encoding);
            }
            2 => {
                let pad = Pad {
                    amounts: [0; 4].map(|_| self.rng.random_range(0..2)),
                    value: self.pick(&[0, 1]),
                };
                let [top, bottom, left, right] = pad.amounts;
                let shape = vec![height + top + bottom, width + left + right, channels];
                // A bipolar tensor has no border of zeros.
                let encoding = match encoding {
                    Encoding::Bipolar { frac } => Encoding::Fixed(Format::new(4, 4 - frac, true).unwrap()),
                    fixed => fixed,
                };
                self.add(Op::Pad(pad), vec![last], shape, encoding);
            }
            3 => self.add(
                Op::Transpose { perm: vec![1, 0, 2] },
                vec![last],
                vec![width, height, channels],
                encoding,
            ),
            5 => {
                let indices = [height, width, channels].map(|extent| {
                    (0..self.rng.random_range(1..=extent + 1))
                        .map(|_| self.rng.random_range(0..extent))
                        .collect::<Vec<usize>>()
                });
                let shape = indices.iter().map(Vec::len).collect();
                self.add(
                    Op::Gather {
                        indices: indices.into(),
                    },
                    vec![last],
                    shape,
                    encoding,
                );
            }
            4 => self.add(
                Op::Upsample { factors: vec![2, 1] },
                vec![last],
                vec![2 * height, width, channels],
                encoding,
            ),
            _ => {
                let shape = self.pick(&[vec![height * width * channels], vec![width, height, channels]]);
                self.add(Op::Reshape, vec![last], shape, encoding);
            }
        }
    }

    fn joining(&mut self) {
        let (shape, last) = (self.shape(), self.last());
        let partners: Vec<TensorId> = (self.kept.iter().copied())
            .filter(|&id| id != last && self.network.tensor(id).shape == shape)
            .collect();
        let Some(partner) = partners.last().copied() else {
            return self.moving();
        };
        let encoding = self.network.tensor(last).encoding;
        if self.rng.random() {
            let axis = shape.len() - 1;
            let mut joined = shape;
            joined[axis] *= 2;
            let both = self.network.tensor(partner).encoding == encoding;
            let output = if both {
                encoding
            } else {
                Encoding::Fixed(self.format(8..=16))
            };
            self.add(Op::Concat { axis }, vec![partner, last], joined, output);
        } else {
            let combine = Combine {
                op: self.pick(&[CombineOp::Add, CombineOp::Subtract, CombineOp::Maximum]),
                broadcast: Broadcast::None,
            };
            let output = Encoding::Fixed(self.format(4..=16));
            self.add(Op::Combine(combine), vec![last, partner], shape, output);
        }
    }

    fn draw(seed: u64) -> (Network, ChaCha8Rng) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let shape = match rng.random_range(0..4) {
            0 => vec![rng.random_range(1..140)],
            _ => {
                let channels = [1, 2, 3, 4, 6, 16, 33, 64, 64, 128][rng.random_range(0..10)];
                vec![rng.random_range(1..9), rng.random_range(1..9), channels]
            }
        };
        let mut drawer = Self {
            rng,
            network: Network {
                name: "random".into(),
                tensors: vec![],
                nodes: vec![],
                layers: vec![],
                params: vec![],
                input: TensorId(0),
                input_axes: Vec::new(),
                output_axes: Vec::new(),
                input_rule: InputRule::Raw,
                output: TensorId(0),
                off_chip: None,
                output_scales: vec![],
                output_offsets: vec![],
                notes: vec![],
            },
            kept: vec![TensorId(0)],
        };
        let encoding = drawer.encoding(1..=18);
        drawer.network.tensors.push(Tensor {
            name: "input".into(),
            shape,
            encoding,
            scale: 1.0,
        });
        for _ in 0..drawer.rng.random_range(1..7) {
            match drawer.rng.random_range(0..7) {
                0..=3 => drawer.product(),
                4 => drawer.element_wise(),
                5 => drawer.moving(),
                _ => drawer.joining(),
            }
            // Later operations may widen a tensor beyond what products of 64 bits hold.
            let last = drawer.network.tensor(drawer.last());
            if last.encoding.width() > 20 || last.len() > 20_000 {
                let encoding = Encoding::Fixed(drawer.format(1..=8));
                let (last, shape) = (drawer.last(), drawer.shape());
                drawer.add(Op::Cast, vec![last], shape, encoding);
            }
        }
        (drawer.network, drawer.rng)
    }
}

/// Flips some stored bits.
fn flip(network: &Network, parameters: &mut Parameters, rng: &mut ChaCha8Rng, count: usize) {
    let params: Vec<ParamId> = (0..network.params.len()).map(ParamId::from).collect();
    if params.is_empty() {
        return;
    }
    for _ in 0..count {
        let id = params[rng.random_range(0..params.len())];
        let encoding = network.param(id).encoding;
        let element = rng.random_range(0..network.param(id).values.len());
        let bit = rng.random_range(0..encoding.width());
        let bits = encoding.bits_of(parameters.values(id)[element]) ^ 1 << bit;
        parameters.replace(id, element, encoding.mantissa_of_bits(bits));
    }
}

/// The elements that differ from the fault-free ones.
fn differing(network: &Network, parameters: &Parameters) -> Vec<Change> {
    let params = (0..network.params.len()).map(ParamId::from);
    let differing = params.flat_map(|param| {
        let pairs = parameters.values(param).iter().zip(&network.param(param).values);
        let changed = pairs.enumerate().filter(|(_, (now, then))| now != then);
        let list: Vec<Change> = changed
            .map(|(element, (&mantissa, _))| Change {
                param,
                element: element as u32,
                mantissa,
            })
            .collect();
        list
    });
    differing.collect()
}

fn compare(seed: u64) {
    let (network, mut rng) = Drawer::draw(seed);
    let encoding = network.tensor(network.input).encoding;
    let plans: Vec<FastPlan> = Level::available()
        .into_iter()
        .map(|level| FastPlan::with_level(network.clone(), level))
        .collect();
    let mut parameters = Parameters::of(&network);
    for flips in [0, 1, 20] {
        flip(&network, &mut parameters, &mut rng, flips);
        let inputs: Vec<Vec<i64>> = (0..2)
            .map(|_| {
                let bits = (0..network.tensor(network.input).len()).map(|_| rng.next_u64());
                bits.map(|bits| encoding.mantissa_of_bits(bits)).collect()
            })
            .collect();
        let traces: Vec<_> = inputs
            .iter()
            .map(|input| evaluate(&network, &parameters, input))
            .collect();
        for plan in &plans {
            let mut engine = FastEngine::new(plan, &parameters);
            for (input, trace) in inputs.iter().zip(&traces) {
                let output = engine.run(input).to_vec();
                assert_eq!(
                    output,
                    trace.tensor(network.output),
                    "seed {seed}, {}: output",
                    plan.level()
                );
                for id in (0..network.tensors.len()).map(TensorId::from) {
                    let found = engine.tensor(id);
                    let (level, name) = (plan.level(), &network.tensor(id).name);
                    assert_eq!(found, trace.tensor(id), "seed {seed}, {level}: {name}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn random_networks_equal_the_plain_engine(seed: u64) {
        compare(seed);
    }
}

/// Random faults on random numbers of samples side by side, at every level, against one sample after the other.
/// Whether the network fits the lanes.
fn compare_batch(seed: u64) -> bool {
    let (network, mut rng) = Drawer::draw(seed);
    let network = Arc::new(network);
    let plan = Arc::new(Plan::new(Arc::clone(&network)));
    let levels = Level::available().into_iter();
    let mut engines: Vec<(Level, BatchEngine)> = levels
        .filter_map(|level| {
            let plan = BatchPlan::with_level(&plan, level)?;
            Some((level, BatchEngine::new(Arc::new(plan))))
        })
        .collect();
    let encoding = network.tensor(network.input).encoding;
    let len = network.tensor(network.input).len();
    let mut twin = Incremental::new(plan);
    for _ in 0..2 {
        let samples = [1, 3, SAMPLES][rng.random_range(0..3)];
        let inputs: Vec<i64> = (0..samples * len)
            .map(|_| match rng.random_range(0..3) {
                0 if encoding.contains(0) => 0,
                _ => encoding.mantissa_of_bits(rng.next_u64()),
            })
            .collect();
        for (_, engine) in &mut engines {
            engine.load(&inputs);
        }
        let sets: Vec<Vec<Change>> = (0..8)
            .map(|set| {
                let mut parameters = Parameters::of(&network);
                flip(
                    &network,
                    &mut parameters,
                    &mut rng,
                    [1, 1, 1, 1, 2, 5, 40, 200][set],
                );
                differing(&network, &parameters)
            })
            .collect();
        let some = if samples > 3 { 5 } else { samples };
        let chosen: Vec<usize> = (0..some)
            .map(|at| at * (samples - 1) / some.max(2).saturating_sub(1))
            .collect();
        for changes in &sets {
            let masks: Vec<u64> = engines
                .iter_mut()
                .map(|(_, engine)| engine.strike(changes))
                .collect();
            assert!(
                masks
                    .iter()
                    .all(|&mask| mask == masks[0] && (samples == SAMPLES || mask < 1 << samples))
            );
            for &sample in &chosen {
                twin.load(&inputs[sample * len..][..len]);
                let changed = twin.strike(changes);
                for ((level, engine), mask) in engines.iter().zip(&masks) {
                    let mut output = Vec::new();
                    engine.output(sample, &mut output);
                    assert_eq!(
                        output,
                        twin.output(),
                        "seed {seed}, {level}: sample {sample}, {changes:?}"
                    );
                    assert_eq!(mask >> sample & 1 != 0, changed, "seed {seed}, {level}");
                }
            }
        }
    }
    !engines.is_empty()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn samples_side_by_side_equal_one_after_the_other(seed: u64) {
        compare_batch(seed);
    }
}

/// Draws places of a network, elements and bits.
fn transients(network: &Network, rng: &mut ChaCha8Rng, count: usize) -> Vec<Transient> {
    let sums: Vec<(NodeId, u32)> = (0..network.nodes.len())
        .filter_map(|node| match &network.nodes[node].op {
            Op::Mac(mac) => Some((NodeId::from(node), mac.accumulator.format.width())),
            _ => None,
        })
        .collect();
    let list = (0..count).map(|_| {
        let (place, len, width) = if !sums.is_empty() && rng.random_range(0..3) == 0 {
            let (node, width) = sums[rng.random_range(0..sums.len())];
            let output = network.nodes[node.index()].output;
            (Place::Sum(node), network.tensor(output).len(), width)
        } else {
            let id = TensorId::from(rng.random_range(0..network.tensors.len()));
            let tensor = network.tensor(id);
            (Place::Tensor(id), tensor.len(), tensor.encoding.width())
        };
        let width = width.min(64);
        let mut flip = 1 << rng.random_range(0..width);
        if rng.random_range(0..4) == 0 {
            flip |= rng.next_u64() >> (64 - width);
        }
        Transient {
            place,
            element: rng.random_range(0..len) as u32,
            flip,
        }
    });
    list.collect()
}

/// Random transients, also together with changed parameters: the plain engine, one sample after the other, and samples
/// side by side at every level.
fn compare_transients(seed: u64) -> bool {
    let (network, mut rng) = Drawer::draw(seed);
    let network = Arc::new(network);
    let plan = Arc::new(Plan::new(Arc::clone(&network)));
    let levels = Level::available().into_iter();
    let mut engines: Vec<(Level, BatchEngine)> = levels
        .filter_map(|level| {
            let plan = BatchPlan::for_transients(&plan, level)?;
            Some((level, BatchEngine::new(Arc::new(plan))))
        })
        .collect();
    let encoding = network.tensor(network.input).encoding;
    let len = network.tensor(network.input).len();
    let samples = 3;
    let inputs: Vec<i64> = (0..samples * len)
        .map(|_| encoding.mantissa_of_bits(rng.next_u64()))
        .collect();
    for (_, engine) in &mut engines {
        engine.load(&inputs);
    }
    let mut twin = Incremental::new(plan);
    for set in 0..6 {
        let mut parameters = Parameters::of(&network);
        flip(&network, &mut parameters, &mut rng, [0, 0, 0, 1, 3, 0][set]);
        let changes = differing(&network, &parameters);
        let transients = transients(&network, &mut rng, [1, 1, 2, 1, 10, 60][set]);
        let masks: Vec<u64> = engines
            .iter_mut()
            .map(|(_, engine)| engine.strike_with(&changes, &transients))
            .collect();
        for (sample, input) in inputs.chunks(len).enumerate() {
            let trace = evaluate_struck(&network, &parameters, &transients, input);
            twin.load(input);
            let before = twin.output().to_vec();
            let changed = twin.strike_with(&changes, &transients);
            let expected = trace.tensor(network.output);
            assert_eq!(changed, before != expected, "seed {seed}, {transients:?}");
            for id in (0..network.tensors.len()).map(TensorId::from) {
                let name = &network.tensor(id).name;
                assert_eq!(
                    twin.tensor(id),
                    trace.tensor(id),
                    "seed {seed}, {name}: {transients:?}"
                );
            }
            for ((level, engine), mask) in engines.iter().zip(&masks) {
                let mut output = Vec::new();
                engine.output(sample, &mut output);
                assert_eq!(output, expected, "seed {seed}, {level}: {transients:?}");
                assert_eq!(mask >> sample & 1 != 0, changed, "seed {seed}, {level}");
            }
        }
        // What is struck lasts for one inference.
        for (_, engine) in &mut engines {
            assert_eq!(engine.strike(&[]), 0, "seed {seed}");
        }
        assert!(!twin.strike(&[]), "seed {seed}");
    }
    !engines.is_empty()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, failure_persistence: None, max_shrink_iters: 0, ..ProptestConfig::default() })]

    #[test]
    fn transients_equal_the_plain_engine(seed: u64) {
        compare_transients(seed);
    }
}

/// A struck input is another input, and a struck output another output.
#[test]
fn a_transient_is_another_code() {
    for seed in 0..40 {
        let (network, mut rng) = Drawer::draw(seed);
        let parameters = Parameters::of(&network);
        let encoding = network.tensor(network.input).encoding;
        let len = network.tensor(network.input).len();
        let mut input: Vec<i64> = (0..len)
            .map(|_| encoding.mantissa_of_bits(rng.next_u64()))
            .collect();
        let strike = |place, element: usize, bit: u32| Transient {
            place,
            element: element as u32,
            flip: 1 << bit,
        };
        let element = rng.random_range(0..len);
        let bit = rng.random_range(0..encoding.width());
        let struck = [strike(Place::Tensor(network.input), element, bit)];
        let found = evaluate_struck(&network, &parameters, &struck, &input);
        let fault_free = evaluate(&network, &parameters, &input);
        input[element] = match encoding {
            Encoding::Bipolar { .. } => -input[element],
            // Inverting a bit adds or subtracts its weight; that of the sign is negative.
            Encoding::Fixed(format) => {
                let sign = format.signed() && bit + 1 == format.width();
                let is_set = input[element] >> bit & 1 != 0;
                input[element] + if is_set == sign { 1 << bit } else { -(1 << bit) }
            }
        };
        assert_eq!(found, evaluate(&network, &parameters, &input), "seed {seed}");
        let output = network.tensor(network.output);
        let element = rng.random_range(0..output.len());
        let struck = [strike(Place::Tensor(network.output), element, 0)];
        let mut expected = fault_free.tensor(network.output).to_vec();
        if !output.encoding.contains(i128::from(expected[element])) {
            continue;
        }
        expected[element] = match output.encoding {
            Encoding::Bipolar { .. } => -expected[element],
            Encoding::Fixed(format) if format.width() == 1 && format.signed() => -1 - expected[element],
            Encoding::Fixed(_) => expected[element] ^ 1,
        };
        let found = evaluate_struck(&network, &parameters, &struck, fault_free.tensor(network.input));
        assert_eq!(found.tensor(network.output), expected, "seed {seed}");
    }
}

#[test]
fn a_transient_outside_the_network_is_refused() {
    let (network, _) = (0..)
        .map(Drawer::draw)
        .find(|(network, _)| !network.nodes.is_empty())
        .unwrap();
    let tensor = network.tensor(network.output);
    let transient = |place, element, flip| Transient { place, element, flip }.check(&network);
    let output = Place::Tensor(network.output);
    let width = tensor.encoding.width();
    assert_eq!(transient(output, 0, 1), Ok(()));
    assert_eq!(transient(output, 0, 1 << (width - 1)), Ok(()));
    for flip in [0, 1 << width] {
        assert!(matches!(
            transient(output, 0, flip),
            Err(TransientError::Bit { .. })
        ));
    }
    let element = transient(output, tensor.len() as u32, 1);
    assert!(matches!(element, Err(TransientError::Element { .. })));
    let beyond = Place::Tensor(TensorId::from(network.tensors.len()));
    assert!(matches!(
        transient(beyond, 0, 1),
        Err(TransientError::Place { .. })
    ));
    let other = network
        .nodes
        .iter()
        .position(|node| !matches!(node.op, Op::Mac(_)));
    if let Some(node) = other {
        let sum = transient(Place::Sum(NodeId::from(node)), 0, 1);
        assert!(matches!(sum, Err(TransientError::Sum { .. })));
    }
}

/// Most of the networks that are drawn fit the lanes, so that the comparison says something.
#[test]
fn most_random_networks_fit_the_lanes() {
    let fits = |&seed: &u64| {
        let (network, _) = Drawer::draw(seed);
        BatchPlan::new(&Arc::new(Plan::new(network))).is_some()
    };
    let count = (0..200).filter(fits).count();
    assert!(count > 150, "{count}");
}

/// The networks that are drawn need every method, so that the comparison says something about each.
#[test]
fn random_networks_need_every_method() {
    let mut steps = HashMap::new();
    for seed in 0..500 {
        let (network, _) = Drawer::draw(seed);
        let engine = FastEngine::new(
            &FastPlan::with_level(network.clone(), Level::scalar()),
            &Parameters::of(&network),
        );
        for (_, method) in engine.methods() {
            *steps.entry(method).or_insert(0) += 1;
        }
    }
    let all = [
        Method::BitProducts,
        Method::ByteColumns,
        Method::ByteRows,
        Method::HalfColumns,
        Method::WideProducts,
        Method::ElementWise,
        Method::Moves,
        Method::MaxPool,
        Method::Plain,
    ];
    for method in all {
        assert!(
            steps.get(&method).is_some_and(|&count| count >= 15),
            "{method:?}: {steps:?}"
        );
    }
}

#[test]
fn samples_in_parallel_equal_samples_one_by_one() {
    let mut compared = 0;
    for seed in 0..20 {
        let (network, mut rng) = Drawer::draw(seed);
        let encoding = network.tensor(network.input).encoding;
        let len = network.tensor(network.input).len();
        let inputs: Vec<i64> = (0..7 * len)
            .map(|_| encoding.mantissa_of_bits(rng.next_u64()))
            .collect();
        let mut engine = FastEngine::new(&FastPlan::new(network.clone()), &Parameters::of(&network));
        let together = engine.run_all(&inputs);
        let apart: Vec<i64> = inputs
            .chunks(len)
            .flat_map(|input| engine.run(input).to_vec())
            .collect();
        assert_eq!(together, apart, "seed {seed}");
        compared += together.len();
    }
    assert!(compared > 0);
}

#[test]
#[should_panic(expected = "mantissas of the input's type")]
fn a_mantissa_outside_the_input_type_is_refused() {
    let (network, _) = Drawer::draw(1);
    let len = network.tensor(network.input).len();
    let mut engine = FastEngine::new(&FastPlan::new(network.clone()), &Parameters::of(&network));
    engine.run(&vec![1 << 40; len]);
}
