//! Differences of matrix products.

use super::difference::Difference;
use super::row::{Row, SAMPLES};
use crate::network::TensorId;
use crate::simulate::functional::Change;
use crate::simulate::functional::fast::casts::Integer;
use crate::simulate::functional::plan::{LinearMac, NONE};

/// Lanes whose sums stay in registers.
const BLOCK: usize = 32;

/// A matrix product whose sum may be taken in any order.
#[derive(Clone, Debug)]
pub struct Product {
    /// Tensor read.
    pub input: TensorId,
    /// The operation.
    pub linear: LinearMac,
}

/// A row and the tap that reads it.
pub type Term = (u32, u32);

/// Which rows of a difference each window reads. Windows are counted `pixel * groups + group`.
#[derive(Clone, Debug)]
pub struct Windows {
    terms: Vec<Vec<Term>>,
    /// Windows with any term.
    pub touched: Vec<u32>,
}

impl Windows {
    /// Empty ones of a product.
    #[must_use]
    pub fn new(linear: &LinearMac) -> Self {
        Self {
            terms: vec![Vec::new(); linear.pixels * linear.mac.groups],
            touched: Vec::new(),
        }
    }

    /// The terms of one window.
    #[must_use]
    pub fn of(&self, window: usize) -> &[Term] {
        &self.terms[window]
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        for window in self.touched.drain(..) {
            self.terms[window as usize].clear();
        }
    }

    /// Takes the elements of a difference, whose rows are numbered in their order.
    #[inline(always)]
    pub fn fill(&mut self, linear: &LinearMac, elements: &[u32]) {
        let (spatial, per_group) = (linear.spatial_taps(), linear.group_channels());
        let (channels, groups) = (linear.mac.geometry.input[2], linear.mac.groups);
        for (row, &element) in elements.iter().enumerate() {
            let (pixel, channel) = (element as usize / channels, element as usize % channels);
            let (group, channel) = (channel / per_group, channel % per_group);
            for &reader in linear.readers.of(pixel) {
                let (target, place) = (reader as usize / spatial, reader as usize % spatial);
                let window = target * groups + group;
                let terms = &mut self.terms[window];
                if terms.is_empty() {
                    self.touched.push(window as u32);
                }
                terms.push((row as u32, (place * per_group + channel) as u32));
            }
        }
    }
}

/// The sum of `weight * row` over all terms.
#[inline(always)]
pub fn accumulate<I: Integer>(terms: &[Term], weights: &[i64], rows: &[Row<i32>]) -> Row<I> {
    let mut sum = Row::of(0);
    if terms.is_empty() {
        return sum;
    }
    let mut first = 0;
    while first < SAMPLES {
        let mut part = [I::of(0); BLOCK];
        for &(row, tap) in terms {
            let weight = I::of(weights[tap as usize]);
            let row = &rows[row as usize].0;
            for lane in 0..BLOCK {
                part[lane] = part[lane].plus(I::of(i64::from(row[first + lane])).times(weight));
            }
        }
        sum.0[first..first + BLOCK].copy_from_slice(&part);
        first += BLOCK;
    }
    sum
}

/// Changes of a product's own parameters.
#[derive(Clone, Debug, Default)]
pub struct Rises {
    /// Output channel, tap or bias, and by how much, in the order of the channels.
    list: Vec<(u32, Tap, i64)>,
}

/// What a change is multiplied with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tap {
    Input { place: u32, channel: u32 },
    Bias,
}

impl Rises {
    /// Forgets all.
    pub fn clear(&mut self) {
        self.list.clear();
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds the change of a weight or a bias from its fault-free mantissa.
    #[inline(always)]
    pub fn push(&mut self, linear: &LinearMac, change: &Change, fault_free: i64) {
        let element = change.element as usize;
        let rise = change.mantissa.wrapping_sub(fault_free);
        self.list.push(if change.param == linear.mac.weight {
            let (out, tap) = (element / linear.taps, element % linear.taps);
            let per_group = linear.group_channels();
            let group = out / linear.group_outputs();
            let tap = Tap::Input {
                place: (tap / per_group) as u32,
                channel: (group * per_group + tap % per_group) as u32,
            };
            (out as u32, tap, rise)
        } else {
            (change.element, Tap::Bias, rise)
        });
    }

    /// Sorts by output channel.
    pub fn sort(&mut self) {
        if self.list.len() > 1 {
            self.list.sort_by_key(|rise| rise.0);
        }
    }

    /// The output channels with a change.
    pub fn outputs(&self) -> impl Iterator<Item = u32> + '_ {
        self.list.chunk_by(|a, b| a.0 == b.0).map(|rises| rises[0].0)
    }

    /// Adds what the changes of a channel contribute to the sum of one pixel in units of the product, and
    /// returns what they add in units of the accumulator. `input` gives the rows under the fault, none where a row
    /// is all zero.
    #[inline(always)]
    pub fn add<'a, I: Integer>(
        &self,
        linear: &LinearMac,
        pixel: usize,
        out: usize,
        input: impl Fn(usize) -> Option<&'a Row<i32>>,
        sum: &mut Row<I>,
    ) -> (bool, I) {
        let first = match self.list.len() {
            1 => usize::from(self.list[0].0 != out as u32),
            _ => self.list.partition_point(|rise| rise.0 < out as u32),
        };
        let spatial = linear.spatial_taps();
        let mut added = 0i64;
        let mut any = false;
        for (_, tap, rise) in self.list[first..].iter().take_while(|rise| rise.0 == out as u32) {
            match tap {
                Tap::Bias => {
                    added = added.wrapping_add(rise.wrapping_shl(linear.bias_shift));
                    any = true;
                }
                Tap::Input { place, channel } => {
                    let at = linear.window[pixel * spatial + *place as usize];
                    if at == NONE {
                        continue;
                    }
                    let Some(row) = input((at + channel) as usize) else {
                        continue;
                    };
                    let rise = I::of(*rise);
                    for lane in 0..SAMPLES {
                        sum.0[lane] = sum.0[lane].plus(I::of(i64::from(row.0[lane])).times(rise));
                    }
                    any = true;
                }
            }
        }
        (any, I::of(added))
    }
}

/// Exact sums of a product, in the accumulator's unit; of a bipolar product in that of the product.
#[derive(Clone, Debug)]
pub enum Sums {
    /// No product.
    None,
    /// In 32 bits.
    Narrow(Vec<Row<i32>>),
    /// In 64 bits, modulo 2^64.
    Wide(Vec<Row<i64>>),
}

/// A width in which sums are kept.
pub trait SumLane: Integer {
    /// The sums, where they are kept in this width.
    fn sums(sums: &Sums) -> &[Row<Self>];
    /// The same to write.
    fn sums_mut(sums: &mut Sums) -> &mut [Row<Self>];
}

impl SumLane for i32 {
    fn sums(sums: &Sums) -> &[Row<Self>] {
        match sums {
            Sums::Narrow(rows) => rows,
            _ => &[],
        }
    }
    fn sums_mut(sums: &mut Sums) -> &mut [Row<Self>] {
        match sums {
            Sums::Narrow(rows) => rows,
            _ => &mut [],
        }
    }
}

impl SumLane for i64 {
    fn sums(sums: &Sums) -> &[Row<Self>] {
        match sums {
            Sums::Wide(rows) => rows,
            _ => &[],
        }
    }
    fn sums_mut(sums: &mut Sums) -> &mut [Row<Self>] {
        match sums {
            Sums::Wide(rows) => rows,
            _ => &mut [],
        }
    }
}

/// The fault-free sums of all outputs.
#[inline(always)]
pub fn sum_all<I: Integer>(
    linear: &LinearMac,
    weights: &[i64],
    biases: Option<&[i64]>,
    input: &[Row<i32>],
    terms: &mut Vec<Term>,
    sums: &mut [Row<I>],
) {
    let (spatial, per_group, outputs) = (
        linear.spatial_taps(),
        linear.group_channels(),
        linear.group_outputs(),
    );
    for pixel in 0..linear.pixels {
        for group in 0..linear.mac.groups {
            terms.clear();
            for place in 0..spatial {
                let first = linear.window[pixel * spatial + place];
                if first != NONE {
                    let first = first as usize + group * per_group;
                    let own = (0..per_group).map(|channel| (first + channel, place * per_group + channel));
                    terms.extend(own.map(|(row, tap)| (row as u32, tap as u32)));
                }
            }
            for out in group * outputs..(group + 1) * outputs {
                let mut sum: Row<I> = accumulate(terms, &weights[out * linear.taps..][..linear.taps], input);
                let bias = biases.map_or(0, |biases| biases[out].wrapping_shl(linear.bias_shift));
                let bias = I::of(bias);
                for sum in &mut sum.0 {
                    *sum = sum.up(linear.product_shift).plus(bias);
                }
                sums[pixel * linear.channels + out] = sum;
            }
        }
    }
}

/// What a difference of the input and changed parameters add to one sum, in the accumulator's unit.
#[inline(always)]
pub fn rise<'a, I: Integer>(
    linear: &LinearMac,
    at: usize,
    weights: &[i64],
    (windows, difference): (&Windows, &Difference),
    rises: &Rises,
    input: impl Fn(usize) -> Option<&'a Row<i32>>,
) -> Option<Row<I>> {
    let (pixel, out) = (at / linear.channels, at % linear.channels);
    let window = pixel * linear.mac.groups + out / linear.group_outputs();
    let terms = windows.of(window);
    // Differences meet the weights as they were, changed weights the input as it is now.
    let weights = &weights[out * linear.taps..][..linear.taps];
    let mut sum: Row<I> = accumulate(terms, weights, &difference.rises);
    let (any, added) = if rises.is_empty() {
        (false, I::of(0))
    } else {
        rises.add(linear, pixel, out, input, &mut sum)
    };
    if !any && terms.is_empty() {
        return None;
    }
    for sum in &mut sum.0 {
        *sum = sum.up(linear.product_shift).plus(added);
    }
    Some(sum)
}
