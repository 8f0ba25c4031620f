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
            taps.len()
        } else {
            inside.len()
        };
        inside.into_iter().sum::<BigRational>() / whole(divisor as i64)
    })
}

pub fn resize(call: &Call) -> Tensor {
    let x = call.operand(0);
    let scales: Vec<BigRational> = match call.optional(3) {
        Some(sizes) => sizes
            .values
            .iter()
            .zip(&x.shape)
            .map(|(size, &extent)| size / whole(extent as i64))
            .collect(),
        None => call
            .operand(if call.op() == "Upsample" { 1 } else { 2 })
            .values
            .clone(),
    };
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
    Tensor::from_fn(&shape, |at| {
        let from: Vec<usize> = at
            .iter()
            .zip(&scales)
            .zip(&x.shape)
            .map(|((&at, scale), &extent)| {
                let at = whole(at as i64);
                let place = if call.text("coordinate_transformation_mode") == "half_pixel" {
                    // round_prefer_floor
                    ((at + &half) / scale - &half - &half).ceil()
                } else {
                    (at / scale).floor()
                };
                let place = place.to_integer().to_i64().expect("a place");
                place.clamp(0, extent as i64 - 1) as usize
            })
            .collect();
        x.get(&from).clone()
    })
}
