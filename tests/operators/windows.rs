//! Windowed operators by their definitions, in any number of dimensions.

use num_rational::BigRational;
use num_traits::{ToPrimitive, Zero};

use super::reference::Call;
use super::tensor::{Tensor, coordinates, whole};

/// The attributes that windowed operators share.
struct Window {
    kernel: Vec<usize>,
    stride: Vec<usize>,
    dilation: Vec<usize>,
    before: Vec<usize>,
    after: Vec<usize>,
}

impl Window {
    fn of(call: &Call, kernel: Vec<usize>, input: &[usize]) -> Self {
        let rank = kernel.len();
        let list = |name: &str, otherwise: usize, len: usize| {
            call.ints(name).map_or(vec![otherwise; len], |ints| {
                ints.iter().map(|&int| int as usize).collect()
            })
        };
        let stride = list("strides", 1, rank);
        let dilation = list("dilations", 1, rank);
        let mut pads = list("pads", 0, 2 * rank);
        let auto = call.text("auto_pad");
        if auto.starts_with("SAME") {
            for axis in 0..rank {
                let steps = input[axis].div_ceil(stride[axis]);
                let reach = (steps - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1;
                let total = reach.saturating_sub(input[axis]);
                let (less, more) = (total / 2, total.div_ceil(2));
                (pads[axis], pads[rank + axis]) = if auto == "SAME_UPPER" {
                    (less, more)
                } else {
                    (more, less)
                };
            }
        }
        Self {
            kernel,
            stride,
            dilation,
            before: pads[..rank].to_vec(),
            after: pads[rank..].to_vec(),
        }
    }

    /// Extents of the output, by floor or by ceiling.
    fn slides(&self, input: &[usize], ceiling: bool) -> Vec<usize> {
        (0..input.len())
            .map(|axis| {
                let reach = (self.kernel[axis] - 1) * self.dilation[axis] + 1;
                let room = input[axis] + self.before[axis] + self.after[axis] - reach;
                if !ceiling {
                    return room / self.stride[axis] + 1;
                }
                let steps = room.div_ceil(self.stride[axis]) + 1;
                // No window starts behind the input.
                if (steps - 1) * self.stride[axis] >= input[axis] + self.before[axis] {
                    steps - 1
                } else {
                    steps
                }
            })
            .collect()
    }

    /// The input place of a tap, where it is inside.
    fn place(&self, output: &[usize], tap: &[usize], input: &[usize]) -> Option<Vec<usize>> {
        (0..input.len())
            .map(|axis| {
                let at = output[axis] * self.stride[axis] + tap[axis] * self.dilation[axis];
                at.checked_sub(self.before[axis]).filter(|&at| at < input[axis])
            })
            .collect()
    }
}

/// Adds a bias per channel.
fn biased(call: &Call, result: Tensor) -> Tensor {
    match call.optional(2) {
        None => result,
        Some(bias) => Tensor::from_fn(&result.shape, |at| result.get(at) + &bias.values[at[1]]),
    }
}

pub fn conv(call: &Call) -> Tensor {
    let (x, w) = (call.operand(0), call.operand(1));
    let groups = call.int("group", 1) as usize;
    let spatial = &x.shape[2..];
    let window = Window::of(call, w.shape[2..].to_vec(), spatial);
    let (outputs, per_group) = (w.shape[0], w.shape[1]);
    let mut shape = vec![x.shape[0], outputs];
    shape.extend(window.slides(spatial, false));
    let taps = coordinates(&window.kernel);
    let result = Tensor::from_fn(&shape, |at| {
        let first = at[1] / (outputs / groups) * per_group;
        let mut sum = BigRational::zero();
        for tap in &taps {
            let Some(place) = window.place(&at[2..], tap, spatial) else {
                continue;
            };
            for channel in 0..per_group {
                let from = [&[at[0], first + channel], place.as_slice()].concat();
                let weight = [&[at[1], channel], tap.as_slice()].concat();
                sum += x.get(&from) * w.get(&weight);
            }
        }
        sum
    });
    biased(call, result)
}

pub fn conv_transpose(call: &Call) -> Tensor {
    let (x, w) = (call.operand(0), call.operand(1));
    let groups = call.int("group", 1) as usize;
    let spatial = &x.shape[2..];
    let window = Window::of(call, w.shape[2..].to_vec(), spatial);
    let extra = call
        .ints("output_padding")
        .unwrap_or_else(|| vec![0; spatial.len()]);
    let (inputs, per_group) = (w.shape[0], w.shape[1]);
    let output: Vec<usize> = (0..spatial.len())
        .map(|axis| {
            window.stride[axis] * (spatial[axis] - 1)
                + extra[axis] as usize
                + (window.kernel[axis] - 1) * window.dilation[axis]
                + 1
                - window.before[axis]
                - window.after[axis]
        })
        .collect();
    let shape = [&[x.shape[0], per_group * groups], output.as_slice()].concat();
    let mut result = Tensor::zeros(&shape);
    for at in coordinates(&x.shape) {
        let group = at[1] / (inputs / groups);
        for tap in coordinates(&window.kernel) {
            // The roles of input and output are exchanged.
            let Some(place) = window.place(&at[2..], &tap, &output) else {
                continue;
            };
            for channel in 0..per_group {
                let to = [&[at[0], group * per_group + channel], place.as_slice()].concat();
                let weight = [&[at[1], channel], tap.as_slice()].concat();
                result.add(&to, x.get(&at) * w.get(&weight));
            }
        }
    }
    biased(call, result)
}

pub fn pool(call: &Call) -> Tensor {
    let x = call.operand(0);
    let spatial = &x.shape[2..];
    let kernel = call.ints("kernel_shape").map_or(spatial.to_vec(), |ints| {
        ints.iter().map(|&int| int as usize).collect()
    });
    let window = Window::of(call, kernel, spatial);
    let extents = window.slides(spatial, call.int("ceil_mode", 0) != 0);
    let shape = [&x.shape[..2], extents.as_slice()].concat();
    let taps = coordinates(&window.kernel);
    Tensor::from_fn(&shape, |at| {
        let inside: Vec<BigRational> = taps
            .iter()
            .filter_map(|tap| window.place(&at[2..], tap, spatial))
            .map(|place| x.get(&[&at[..2], place.as_slice()].concat()).clone())
            .collect();
        if !call.op().ends_with("AveragePool") {
            return inside.into_iter().max().expect("an element");
        }
        let divisor = if call.int("count_include_pad", 0) != 0 {
            // Taps in the padding count, taps beyond it do not.
            let counts = |tap: &&Vec<usize>| {
                (0..spatial.len()).all(|axis| {
                    let place = at[2 + axis] * window.stride[axis] + tap[axis] * window.dilation[axis];
                    place < window.before[axis] + spatial[axis] + window.after[axis]
                })
            };
            taps.iter().filter(counts).count()
        } else {
            inside.len()
        };
        inside.into_iter().sum::<BigRational>() / whole(divisor as i64)
    })
}

/// `execute_node` of qonnx's `Im2Col`: channels last, `[kernel row][kernel column][channel]` per window.
pub fn im2col(call: &Call) -> Tensor {
    let x = call.operand(0);
    let two = |name: &str| -> Vec<usize> {
        let ints = call.ints(name).unwrap_or_else(|| vec![1, 1]);
        ints.iter().map(|&int| int as usize).collect()
    };
    let (kernel, stride, dilation) = (two("kernel_size"), two("stride"), two("dilations"));
    let pads = call.ints("pad_amount").unwrap_or_else(|| vec![0; 4]);
    let border = whole(call.int("pad_value", 0));
    let extent = |axis: usize| {
        let total = pads[axis] + pads[axis + 2];
        (x.shape[1 + axis] + total as usize - dilation[axis] * (kernel[axis] - 1) - 1) / stride[axis] + 1
    };
    let channels = x.shape[3];
    let shape = [1, extent(0), extent(1), kernel[0] * kernel[1] * channels];
    Tensor::from_fn(&shape, |at| {
        let (tap, channel) = (at[3] / channels, at[3] % channels);
        let place = |axis: usize, tap: usize| {
            let place = at[1 + axis] * stride[axis] + tap * dilation[axis];
            let place = place.checked_sub(pads[axis] as usize)?;
            (place < x.shape[1 + axis]).then_some(place)
        };
        match (place(0, tap / kernel[1]), place(1, tap % kernel[1])) {
            (Some(row), Some(column)) => x.get(&[0, row, column, channel]).clone(),
            _ => border.clone(),
        }
    })
}

/// `execute_node` of qonnx's `QuantAvgPool2d`.
pub fn quantized_average(call: &Call) -> Tensor {
    let last = call.text("data_layout") == "NHWC";
    let x = call.operand(0);
    let x = if last { x.channels_first() } else { x.clone() };
    let (kernel, stride) = (call.int("kernel", 1) as usize, call.int("stride", 1) as usize);
    let largest = ((1i64 << call.int("ibits", 1)) - 1) * (kernel * kernel) as i64;
    let bits = (0..64).find(|&bits| largest >> bits == 0).expect("a length");
    let shift = (bits - call.int("obits", 1)).max(0);
    let extent = |axis: usize| (x.shape[axis] - kernel) / stride + 1;
    let result = Tensor::from_fn(&[1, x.shape[1], extent(2), extent(3)], |at| {
        let sum: BigRational = coordinates(&[kernel, kernel])
            .iter()
            .map(|tap| {
                x.get(&[0, at[1], at[2] * stride + tap[0], at[3] * stride + tap[1]])
                    .clone()
            })
            .sum();
        (sum / whole(1 << shift)).floor()
    });
    if last { result.channels_last() } else { result }
}

/// ONNX's equations of `Resize` to the nearest element; operator sets before 11 drop the fraction.
pub fn resize(call: &Call) -> Tensor {
    let x = call.operand(0);
    let rank = x.shape.len();
    let old = call.op() == "Upsample" || call.operands.len() == 2;
    let axes: Vec<usize> = call
        .ints("axes")
        .unwrap_or_else(|| (0..rank as i64).collect())
        .iter()
        .map(|&axis| axis.rem_euclid(rank as i64) as usize)
        .collect();
    let ratio = |axis: usize, size: &BigRational| size / whole(x.shape[axis] as i64);
    let sizes = call.optional(3).filter(|sizes| !sizes.values.is_empty());
    let stated: Vec<BigRational> = match sizes {
        Some(sizes) => axes
            .iter()
            .zip(&sizes.values)
            .map(|(&axis, size)| ratio(axis, size))
            .collect(),
        None => match call.floats("scales") {
            Some(scales) => scales,
            None => call.operand(if old { 1 } else { 2 }).values.clone(),
        },
    };
    let mut scales = vec![whole(1); rank];
    axes.iter()
        .zip(stated)
        .for_each(|(&axis, scale)| scales[axis] = scale);
    let shape: Vec<usize> = scales
        .iter()
        .zip(&x.shape)
        .map(|(scale, &extent)| {
            (scale * whole(extent as i64))
                .floor()
                .to_integer()
                .to_usize()
                .expect("an extent")
        })
        .collect();
    let half = BigRational::new(1.into(), 2.into());
    let mode = call.text("coordinate_transformation_mode");
    Tensor::from_fn(&shape, |at| {
        let from: Vec<usize> = (0..rank)
            .map(|axis| {
                let (scale, extent) = (&scales[axis], x.shape[axis]);
                // Executors leave an axis of scale 1 alone, whatever the convention.
                if *scale == whole(1) {
                    return at[axis];
                }
                let (x_resized, from, to) = (
                    whole(at[axis] as i64),
                    whole(extent as i64),
                    whole(shape[axis] as i64),
                );
                let place = match mode.as_str() {
                    _ if old => x_resized / scale,
                    "asymmetric" => x_resized / scale,
                    "align_corners" if shape[axis] > 1 => x_resized * (from - whole(1)) / (to - whole(1)),
                    "align_corners" => whole(0),
                    "pytorch_half_pixel" if shape[axis] == 1 => whole(0),
                    "tf_half_pixel_for_nn" => (x_resized + &half) / scale,
                    "half_pixel_symmetric" => {
                        let adjustment = to / (&from * scale);
                        let offset = from / whole(2) * (whole(1) - adjustment);
                        offset + (x_resized + &half) / scale - &half
                    }
                    _ => (x_resized + &half) / scale - &half,
                };
                let place = match call.text("nearest_mode").as_str() {
                    _ if old => place.floor(),
                    "floor" => place.floor(),
                    "ceil" => place.ceil(),
                    "round_prefer_ceil" => (place + &half).floor(),
                    _ => (place - &half).ceil(),
                };
                let place = place.to_integer().to_i64().expect("a place");
                place.clamp(0, extent as i64 - 1) as usize
            })
            .collect();
        x.get(&from).clone()
    })
}
