//! Operators that move a window over a map: convolutions and pools.

use super::builder::Builder;
use super::kernels::{self, Convolution, Pool, Reduce, Window};
use super::plan::{Action, View};
use crate::network::import::ImportError;
use crate::network::import::onnx::{Constant, OnnxNode};

type Compiled = Result<View, ImportError>;

/// Largest kernel, stride, dilation or padding: above any map that fits, and small enough that sums
/// and products of a few stay in range.
const MAX_EXTENT: i64 = 1 << 20;

/// A one- or two-dimensional map `[1][channel]([y])[x]`; a missing `y` is 1.
struct Map {
    view: View,
    channels: usize,
    extent: [usize; 2],
    /// Axes in the file: 1 or 2.
    rank: usize,
}

impl Map {
    fn read(builder: &mut Builder, node: &OnnxNode) -> Result<Self, ImportError> {
        let view = builder.tensor(node, 0)?;
        let (channels, extent, rank) = match *view.shape.as_slice() {
            [1, channels, x] => (channels, [1, x], 1),
            [1, channels, y, x] => (channels, [y, x], 2),
            _ => {
                let problem = format!("reads a tensor of shape {:?}", view.shape);
                let nearest = "one sample, channels, and one or two axes of a map";
                return Err(builder.unsupported(node, problem, nearest));
            }
        };
        Ok(Self {
            view,
            channels,
            extent,
            rank,
        })
    }

    /// A list with one entry per axis of the map, widened to two axes.
    fn list(
        &self,
        builder: &Builder,
        node: &OnnxNode,
        name: &str,
        least: i64,
        missing: i64,
    ) -> Result<Option<[usize; 2]>, ImportError> {
        let Some(values) = node.ints(name) else {
            return Ok(None);
        };
        if values.len() != self.rank || values.iter().any(|value| !(least..=MAX_EXTENT).contains(value)) {
            let problem = format!("has {name} {values:?} for {} axes", self.rank);
            let expected = format!("one number from {least} to {MAX_EXTENT} per axis of the map");
            return Err(builder.wrong(node, problem, &expected));
        }
        Ok(Some(match *values {
            [y, x] => [y as usize, x as usize],
            _ => [missing as usize, values[0] as usize],
        }))
    }

    /// Padding `[before, after]` of each axis, as the attribute says.
    fn pads(&self, builder: &Builder, node: &OnnxNode) -> Result<[[usize; 2]; 2], ImportError> {
        let Some(pads) = node.ints("pads") else {
            return Ok([[0; 2]; 2]);
        };
        if pads.len() != 2 * self.rank || pads.iter().any(|pad| !(0..=MAX_EXTENT).contains(pad)) {
            let problem = format!("has pads {pads:?} for {} axes", self.rank);
            let expected = "first all paddings before, then all after the axes, none negative";
            return Err(builder.wrong(node, problem, expected));
        }
        Ok(match *pads {
            [y0, x0, y1, x1] => [[y0 as usize, y1 as usize], [x0 as usize, x1 as usize]],
            _ => [[0, 0], [pads[0] as usize, pads[1] as usize]],
        })
    }

    /// The window as far as attributes tell; its output extent is still the input's.
    fn window(&self, builder: &Builder, node: &OnnxNode, kernel: [usize; 2]) -> Result<Window, ImportError> {
        let rank = self.rank;
        let axis_stride = |axis: usize| self.view.strides[axis];
        Ok(Window {
            kernel,
            stride: self.list(builder, node, "strides", 1, 1)?.unwrap_or([1; 2]),
            dilation: self.list(builder, node, "dilations", 1, 1)?.unwrap_or([1; 2]),
            before: [0; 2],
            input: self.extent,
            output: self.extent,
            channel_stride: if self.channels > 1 { axis_stride(1) } else { 1 },
            map_strides: [if rank == 2 { axis_stride(2) } else { 0 }, axis_stride(rank + 1)],
        })
    }

    /// Appends a step that makes a map of the window's output extent with channels last in memory.
    fn push(
        &self,
        builder: &mut Builder,
        node: &OnnxNode,
        channels: usize,
        output: [usize; 2],
        action: Action,
    ) -> Compiled {
        let [y, x] = output;
        let offset = builder.push(node, &[1, y, x, channels], action)?.offset;
        let row = x * channels;
        Ok(if self.rank == 2 {
            View {
                offset,
                shape: vec![1, channels, y, x],
                strides: vec![y * row, 1, row, channels],
            }
        } else {
            View {
                offset,
                shape: vec![1, channels, x],
                strides: vec![row, 1, channels],
            }
        })
    }
}

/// How a node's padding is given.
enum Padding {
    Given,
    /// As much as keeps the map's extent divided (or multiplied) by the stride; the odd one last.
    SameUpper,
    /// The same, the odd one first.
    SameLower,
    None,
}

fn padding(builder: &Builder, node: &OnnxNode) -> Result<Padding, ImportError> {
    match node.text("auto_pad").as_deref() {
        None | Some("" | "NOTSET") => Ok(Padding::Given),
        Some("SAME_UPPER") => Ok(Padding::SameUpper),
        Some("SAME_LOWER") => Ok(Padding::SameLower),
        Some("VALID") => Ok(Padding::None),
        Some(other) => Err(builder.wrong(
            node,
            format!("has auto_pad `{other}`"),
            "NOTSET, SAME_UPPER, SAME_LOWER or VALID",
        )),
    }
}

/// Extent of a dilated kernel.
fn reach(window: &Window, axis: usize) -> usize {
    (window.kernel[axis] - 1) * window.dilation[axis] + 1
}

/// Sets the padding and the output extent of a window that slides over its input.
fn slide(builder: &Builder, node: &OnnxNode, map: &Map, window: &mut Window) -> Result<(), ImportError> {
    let mode = padding(builder, node)?;
    let given = map.pads(builder, node)?;
    for (axis, &given) in given.iter().enumerate() {
        let (input, stride, reach) = (window.input[axis], window.stride[axis], reach(window, axis));
        let [before, after] = match mode {
            Padding::Given => given,
            Padding::None => [0, 0],
            Padding::SameUpper | Padding::SameLower => {
                let total = ((input.div_ceil(stride) - 1) * stride + reach).saturating_sub(input);
                if matches!(mode, Padding::SameUpper) {
                    [total / 2, total - total / 2]
                } else {
                    [total - total / 2, total / 2]
                }
            }
        };
        let Some(steps) = (input + before + after).checked_sub(reach) else {
            let problem = format!(
                "moves a window of extent {reach} over a map of extent {input} padded by {before} and {after}"
            );
            return Err(builder.wrong(node, problem, "a window that fits the padded map"));
        };
        window.before[axis] = before;
        window.output[axis] = steps / stride + 1;
    }
    Ok(())
}

/// The kernel's extent, from the attribute or the weights, which have to agree.
fn kernel_of(
    builder: &Builder,
    node: &OnnxNode,
    map: &Map,
    weights: &Constant,
) -> Result<[usize; 2], ImportError> {
    let stored = match *weights.shape.as_slice() {
        [_, _, x] if map.rank == 1 => [1, x],
        [_, _, y, x] if map.rank == 2 => [y, x],
        _ => {
            let problem = format!(
                "has weights of shape {:?} for a map with {} axes",
                weights.shape, map.rank
            );
            return Err(builder.wrong(node, problem, "two axes of channels, then those of the map"));
        }
    };
    let said = map.list(builder, node, "kernel_shape", 1, 1)?.unwrap_or(stored);
    if said != stored || stored.contains(&0) || stored.iter().any(|&k| k > MAX_EXTENT as usize) {
        let problem = format!(
            "has kernel_shape {said:?} and weights of shape {:?}",
            weights.shape
        );
        return Err(builder.wrong(node, problem, "one kernel extent"));
    }
    Ok(stored)
}

/// The number of groups, and the input channels per group.
fn groups(builder: &Builder, node: &OnnxNode, channels: usize) -> Result<(usize, usize), ImportError> {
    let groups = node.int("group").unwrap_or(1);
    usize::try_from(groups)
        .ok()
        .filter(|&groups| groups > 0 && channels.is_multiple_of(groups))
        .map(|groups| (groups, channels / groups))
        .ok_or_else(|| {
            let problem = format!("has {groups} groups for {channels} channels");
            builder.wrong(node, problem, "a number of groups that divides the channels")
        })
}

/// The bias, zero where there is none.
fn bias(builder: &Builder, node: &OnnxNode, channels: usize) -> Result<Vec<f64>, ImportError> {
    if node.input(2).is_none() {
        return Ok(vec![0.0; channels]);
    }
    let bias = builder.constant(node, 2)?.reals();
    if bias.len() != channels {
        let problem = format!("has {} biases for {channels} channels", bias.len());
        return Err(builder.wrong(node, problem, "one bias per output channel"));
    }
    Ok(bias)
}

fn channels_disagree(builder: &Builder, node: &OnnxNode, map: &Map, weights: &Constant) -> ImportError {
    let problem = format!(
        "has weights of shape {:?} for {} channels",
        weights.shape, map.channels
    );
    let expected = "[outputs][inputs / groups] for Conv, [inputs][outputs / groups] for ConvTranspose first";
    builder.wrong(node, problem, expected)
}

pub(super) fn conv(builder: &mut Builder, node: &OnnxNode) -> Compiled {
    let map = Map::read(builder, node)?;
    let stored = builder.constant(node, 1)?;
    let kernel = kernel_of(builder, node, &map, &stored)?;
    let (groups, inputs) = groups(builder, node, map.channels)?;
    let channels = stored.shape[0];
    if stored.shape[1] != inputs || channels == 0 || !channels.is_multiple_of(groups) {
        return Err(channels_disagree(builder, node, &map, &stored));
    }
    let mut window = map.window(builder, node, kernel)?;
    slide(builder, node, &map, &mut window)?;
    let outputs = channels / groups;
    builder.work(node, &[window.output[0], window.output[1], stored.len()])?;
    builder.store(node, &stored.shape)?;
    // Stored as [group][output][input][ky][kx].
    let taps = kernel[0] * kernel[1];
    let values = stored.reals();
    let mut weights = Vec::with_capacity(values.len());
    for group in 0..groups {
        for tap in 0..taps {
            for input in 0..inputs {
                let first = (group * outputs * inputs + input) * taps + tap;
                weights.extend((0..outputs).map(|output| values[first + output * inputs * taps]));
            }
        }
    }
    let bias = bias(builder, node, channels)?;
    let convolution = Convolution {
        groups,
        inputs,
        outputs,
        zeros_vanish: kernels::zeros_vanish(&weights, &bias),
        weights,
        bias,
        window,
    };
    let output = convolution.window.output;
    let action = Action::Convolve {
        convolution,
        from: map.view.offset,
    };
    map.push(builder, node, channels, output, action)
}

pub(super) fn conv_transpose(builder: &mut Builder, node: &OnnxNode) -> Compiled {
    let map = Map::read(builder, node)?;
    let stored = builder.constant(node, 1)?;
    let kernel = kernel_of(builder, node, &map, &stored)?;
    let (groups, inputs) = groups(builder, node, map.channels)?;
    let outputs = stored.shape[1];
    if stored.shape[0] != map.channels || outputs == 0 {
        return Err(channels_disagree(builder, node, &map, &stored));
    }
    let mut window = map.window(builder, node, kernel)?;
    spread(builder, node, &map, &mut window)?;
    builder.work(node, &[window.input[0], window.input[1], stored.len()])?;
    builder.store(node, &stored.shape)?;
    // Stored as [group][input][output][ky][kx].
    let taps = kernel[0] * kernel[1];
    let values = stored.reals();
    let mut weights = Vec::with_capacity(values.len());
    for row in values.chunks_exact(outputs * taps) {
        for tap in 0..taps {
            weights.extend((0..outputs).map(|output| row[output * taps + tap]));
        }
    }
    let channels = outputs * groups;
    let bias = bias(builder, node, channels)?;
    let convolution = Convolution {
        groups,
        inputs,
        outputs,
        zeros_vanish: kernels::zeros_vanish(&weights, &bias),
        weights,
        bias,
        window,
    };
    let patch = builder.reserve(node, &[convolution.patch_len()])?.offset;
    let output = convolution.window.output;
    let action = Action::Deconvolve {
        convolution,
        from: map.view.offset,
        patch,
    };
    map.push(builder, node, channels, output, action)
}

/// Sets the padding and the output extent of a transposed convolution.
fn spread(builder: &Builder, node: &OnnxNode, map: &Map, window: &mut Window) -> Result<(), ImportError> {
    let mode = padding(builder, node)?;
    let given = map.pads(builder, node)?;
    let extra = map.list(builder, node, "output_padding", 0, 0)?.unwrap_or([0; 2]);
    let mut wanted = map.list(builder, node, "output_shape", 1, 1)?;
    if matches!(mode, Padding::SameUpper | Padding::SameLower) && wanted.is_none() {
        wanted = Some([0, 1].map(|axis| window.input[axis] * window.stride[axis]));
    }
    for (axis, &given) in given.iter().enumerate() {
        let full = (window.input[axis] - 1) * window.stride[axis] + reach(window, axis) + extra[axis];
        let cut = match wanted {
            None if matches!(mode, Padding::None) => Some([0, 0]),
            None => Some(given),
            Some(wanted) => full.checked_sub(wanted[axis]).map(|total| {
                // The operator's rule since its set 11: the odd one last for SAME_UPPER only.
                if matches!(mode, Padding::SameUpper) {
                    [total / 2, total - total / 2]
                } else {
                    [total - total / 2, total / 2]
                }
            }),
        };
        let made = cut.and_then(|[before, after]| Some((before, full.checked_sub(before + after)?)));
        let Some((before, output)) = made.filter(|&(_, output)| output > 0) else {
            let problem = format!("makes a map of extent {full}, which padding or output_shape does not fit");
            return Err(builder.unsupported(node, problem, "padding smaller than what is made"));
        };
        window.before[axis] = before;
        window.output[axis] = output;
    }
    Ok(())
}

pub(super) fn pool(builder: &mut Builder, node: &OnnxNode) -> Compiled {
    let map = Map::read(builder, node)?;
    let is_global = node.op == "GlobalAveragePool";
    let kernel = if is_global {
        map.extent
    } else {
        map.list(builder, node, "kernel_shape", 1, 1)?.ok_or_else(|| {
            builder.wrong(node, "has no kernel_shape".to_owned(), "the extent of the window")
        })?
    };
    let mut window = map.window(builder, node, kernel)?;
    if node.int("ceil_mode").unwrap_or(0) != 0 {
        let problem = "has ceil_mode 1".to_owned();
        return Err(builder.unsupported(node, problem, "ceil_mode 0, with padding after the map instead"));
    }
    if !is_global {
        slide(builder, node, &map, &mut window)?;
    } else {
        window.output = [1, 1];
    }
    let [rows, columns] = window.output;
    builder.work(node, &[rows, columns, kernel[0], kernel[1], map.channels])?;
    let touches = (0..2).all(|axis| {
        (0..window.output[axis]).all(|step| {
            let start = step * window.stride[axis];
            let tap = window.before[axis]
                .saturating_sub(start)
                .div_ceil(window.dilation[axis]);
            let reached = start + tap * window.dilation[axis] - window.before[axis];
            tap < window.kernel[axis] && reached < window.input[axis]
        })
    });
    if !touches {
        let problem = "has a window that lies in the padding altogether".to_owned();
        return Err(builder.wrong(node, problem, "padding smaller than the window"));
    }
    let reduce = match (node.op.as_str(), node.int("count_include_pad").unwrap_or(0)) {
        ("MaxPool", _) => Reduce::Max,
        ("AveragePool", 1) => Reduce::PaddedMean,
        _ => Reduce::Mean,
    };
    let output = window.output;
    let pool = Pool {
        window,
        channels: map.channels,
        reduce,
    };
    let action = Action::Pool {
        pool,
        from: map.view.offset,
    };
    map.push(builder, node, map.channels, output, action)
}
