//! Where the windows of a matrix product lie in the buffer that its kernel reads.

use super::Level;
use super::kernels::Runs;
use super::lanes::{Data, Kind, SLACK, Store, words};
use crate::network::Geometry;
use crate::simulate::functional::plan::{LinearMac, NONE};

/// How the kernel's input comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The tensor itself.
    Tensor,
    /// A copy with a border.
    Image {
        /// Rows and columns with the border.
        size: [usize; 2],
    },
    /// One copy of the window per output pixel.
    Patches,
}

/// The windows of a product, in elements (words of bits).
#[derive(Clone, Debug)]
pub struct Layout {
    /// Where the kernel reads.
    pub source: Source,
    /// Start of each output pixel.
    pub starts: Vec<usize>,
    /// The first group's window, `(offset, length)`; the next group lies `group` further.
    pub parts: Vec<(usize, usize)>,
    /// Distance of groups.
    pub group: usize,
    /// Elements of the buffer without slack.
    pub len: usize,
}

impl Layout {
    /// Where windows lie; `words` where elements are words of channels instead of channels, and
    /// `copied` where the tensor's own lanes do not serve the kernel.
    #[must_use]
    pub fn new(linear: &LinearMac, in_words: bool, copied: bool) -> Self {
        let mac = &linear.mac;
        let Geometry {
            input,
            output,
            window,
        } = mac.geometry;
        let unit = |channels: usize| if in_words { words(channels) } else { channels };
        let (channels, group) = (unit(input[2]), unit(linear.group_channels()));
        let spatial = linear.spatial_taps();
        if mac.transposed {
            let parts = (0..spatial).map(|tap| (tap * channels, group)).collect();
            return Self {
                source: Source::Patches,
                starts: (0..linear.pixels)
                    .map(|pixel| pixel * spatial * channels)
                    .collect(),
                parts: merged(parts),
                group,
                len: linear.pixels * spatial * channels,
            };
        }
        let size = [0, 1].map(|axis| {
            let reach = output[axis].saturating_sub(1) * window.stride[axis]
                + (window.kernel[axis] - 1) * window.dilation[axis]
                + 1;
            reach.max(window.pad[axis] + input[axis])
        });
        let plain = size == [input[0], input[1]] && !copied;
        let starts = (0..output[0] * output[1]).map(|pixel| {
            let (y, x) = (pixel / output[1], pixel % output[1]);
            (y * window.stride[0] * size[1] + x * window.stride[1]) * channels
        });
        let parts = (0..spatial).map(|tap| {
            let (ky, kx) = (tap / window.kernel[1], tap % window.kernel[1]);
            let place = ky * window.dilation[0] * size[1] + kx * window.dilation[1];
            (place * channels, group)
        });
        Self {
            source: if plain {
                Source::Tensor
            } else {
                Source::Image { size }
            },
            starts: starts.collect(),
            parts: merged(parts.collect()),
            group,
            len: size[0] * size[1] * channels,
        }
    }

    /// The window in steps of `step` elements, and for each step and element of it the tap (counted
    /// `[ky][kx][in]`, words for bits) that meets it.
    #[must_use]
    pub fn runs(&self, step: usize) -> (Runs, Vec<Option<usize>>) {
        let mut taps = Vec::new();
        let mut tap = 0;
        for &(_, length) in &self.parts {
            for at in 0..length.next_multiple_of(step) {
                taps.push((at < length).then_some(tap + at));
            }
            tap += length;
        }
        (Runs::new(&self.parts, step), taps)
    }

    /// Copies a tensor to where the kernel reads it. The border, and taps without an input, keep what
    /// `buffer` held.
    pub fn fill<T: Lane>(&self, level: Level, linear: &LinearMac, from: &Store, buffer: &mut [T]) {
        let geometry = &linear.mac.geometry;
        let [height, width, channels] = geometry.input;
        match self.source {
            Source::Tensor => {}
            Source::Image { size } => {
                let [top, left] = geometry.window.pad;
                for y in 0..height {
                    let to = ((y + top) * size[1] + left) * channels;
                    T::read(
                        level,
                        from,
                        y * width * channels,
                        &mut buffer[to..][..width * channels],
                    );
                }
            }
            Source::Patches => {
                for (to, &first) in buffer.chunks_exact_mut(channels).zip(&linear.window) {
                    if first != NONE {
                        T::read(level, from, first as usize, to);
                    }
                }
            }
        }
    }
}

/// Parts with those that follow each other joined.
fn merged(parts: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    let mut merged: Vec<(usize, usize)> = Vec::new();
    for (offset, length) in parts {
        match merged.last_mut() {
            Some(last) if last.0 + last.1 == offset => last.1 += length,
            _ => merged.push((offset, length)),
        }
    }
    merged
}

/// Elements of kernel inputs.
pub trait Lane: Copy {
    /// What stands for 0 where the tensor has this kind; `None` where its elements do not fit.
    fn zero(kind: Kind) -> Option<i32>;
    /// Reads elements of a tensor whose kind has a zero.
    fn read(level: Level, from: &Store, first: usize, to: &mut [Self]);
    /// A buffer's elements, where they are what a kernel reads.
    fn lanes(store: &Store) -> Option<&[Self]>;
    /// An element from its value.
    fn of(value: i32) -> Self;
}

impl Lane for u8 {
    fn zero(kind: Kind) -> Option<i32> {
        match kind {
            // A border must be able to hold what stands for 0.
            Kind::Byte { zero } if (0..=255).contains(&zero) => Some(zero),
            Kind::Bits { .. } => Some(1),
            _ => None,
        }
    }

    fn read(level: Level, from: &Store, first: usize, to: &mut [Self]) {
        if let Data::Byte(data) = &from.data {
            to.copy_from_slice(&data[first..][..to.len()]);
        } else {
            let mut buffer = [0; 64];
            for (part, to) in to.chunks_mut(64).enumerate() {
                let values = &mut buffer[..to.len()];
                from.read_narrow(level, first + part * 64, values);
                for (to, value) in to.iter_mut().zip(values) {
                    *to = (*value + 1) as u8;
                }
            }
        }
    }

    fn lanes(store: &Store) -> Option<&[Self]> {
        match &store.data {
            Data::Byte(data) => Some(data),
            _ => None,
        }
    }

    fn of(value: i32) -> Self {
        value as u8
    }
}

impl Lane for i16 {
    fn zero(kind: Kind) -> Option<i32> {
        match kind {
            Kind::Half { zero } if (-32768..=32767).contains(&zero) => Some(zero),
            // Any byte kind near zero is widened to its mantissas.
            Kind::Byte { zero } if (-32000..=32000).contains(&zero) => Some(0),
            Kind::Bits { .. } => Some(0),
            _ => None,
        }
    }

    fn read(level: Level, from: &Store, first: usize, to: &mut [Self]) {
        if let Data::Half(data) = &from.data {
            to.copy_from_slice(&data[first..][..to.len()]);
        } else {
            let mut buffer = [0; 256];
            for (part, to) in to.chunks_mut(256).enumerate() {
                let values = &mut buffer[..to.len()];
                from.read_narrow(level, first + part * 256, values);
                for (to, value) in to.iter_mut().zip(values) {
                    *to = *value as i16;
                }
            }
        }
    }

    fn lanes(store: &Store) -> Option<&[Self]> {
        match &store.data {
            Data::Half(data) => Some(data),
            _ => None,
        }
    }

    fn of(value: i32) -> Self {
        value as i16
    }
}

/// A zeroed buffer of kernel inputs with slack behind it.
#[must_use]
pub fn buffer<T: Lane>(layout: &Layout, zero: T) -> Vec<T> {
    match layout.source {
        Source::Tensor => Vec::new(),
        _ => vec![zero; layout.len + SLACK],
    }
}
