//! Differences of matrix products.

use super::difference::Difference;
use super::row::{Row, SAMPLES};
use crate::network::TensorId;
use crate::simulate::functional::Change;
use crate::simulate::functional::fast::casts::Integer;
use crate::simulate::functional::fast::thresholds::Ramp;
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
    /// Number of terms.
    pub count: usize,
}

impl Windows {
    /// Empty ones of a product.
    #[must_use]
    pub fn new(linear: &LinearMac) -> Self {
        Self {
            terms: vec![Vec::new(); linear.pixels * linear.mac.groups],
            touched: Vec::new(),
            count: 0,
        }
    }

    /// The terms of one window.
    #[must_use]
    pub fn of(&self, window: usize) -> &[Term] {
        &self.terms[window]
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.count = 0;
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
                self.count += 1;
            }
        }
    }
}

/// Adds `weight * row` over all terms to the sums of one output. `columns` begin with its weight of tap 0; that of the
/// next tap lies `stride` further.
#[inline(always)]
fn accumulate<I: Integer>(
    terms: &[Term],
    columns: &[i64],
    stride: usize,
    rows: &[Row<i32>],
    sum: &mut Row<I>,
) {
    let mut first = 0;
    while first < SAMPLES {
        let mut part = [I::of(0); BLOCK];
        for &(row, tap) in terms {
            let weight = I::of(columns[tap as usize * stride]);
            let row = &rows[row as usize].0;
            for lane in 0..BLOCK {
                part[lane] = part[lane].plus(I::of(i64::from(row[first + lane])).times(weight));
            }
        }
        for lane in 0..BLOCK {
            sum.0[first + lane] = sum.0[first + lane].plus(part[lane]);
        }
        first += BLOCK;
    }
}

/// The same for two outputs next to each other, which share the rows that they read.
#[inline(always)]
fn accumulate_two<I: Integer>(
    terms: &[Term],
    columns: &[i64],
    stride: usize,
    rows: &[Row<i32>],
    sums: &mut [Row<I>; 2],
) {
    let mut first = 0;
    while first < SAMPLES {
        let (mut one, mut two) = ([I::of(0); BLOCK], [I::of(0); BLOCK]);
        for &(row, tap) in terms {
            let weights = &columns[tap as usize * stride..][..2];
            let (a, b) = (I::of(weights[0]), I::of(weights[1]));
            let row = &rows[row as usize].0;
            for lane in 0..BLOCK {
                one[lane] = one[lane].plus(I::of(i64::from(row[first + lane])).times(a));
            }
            for lane in 0..BLOCK {
                two[lane] = two[lane].plus(I::of(i64::from(row[first + lane])).times(b));
            }
        }
        for lane in 0..BLOCK {
            sums[0].0[first + lane] = sums[0].0[first + lane].plus(one[lane]);
        }
        for lane in 0..BLOCK {
            sums[1].0[first + lane] = sums[1].0[first + lane].plus(two[lane]);
        }
        first += BLOCK;
    }
}

/// Adds `weight * row` over all terms to the sums of a group's outputs, of which `columns` are the weights.
#[inline(always)]
pub fn accumulate_all<I: Integer>(terms: &[Term], columns: &[i64], rows: &[Row<i32>], sums: &mut [Row<I>]) {
    if terms.is_empty() {
        return;
    }
    let outputs = sums.len();
    let mut at = 0;
    while let Some(two) = sums[at..].first_chunk_mut::<2>() {
        accumulate_two::<I>(terms, &columns[at..], outputs, rows, two);
        at += 2;
    }
    if let Some(sum) = sums.get_mut(at) {
        accumulate::<I>(terms, &columns[at..], outputs, rows, sum);
    }
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

    /// Number of changes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Adds the changes to columns and to biases in the accumulator's unit, or takes them back.
    pub fn patch(&self, linear: &LinearMac, columns: &mut [i64], biases: &mut [i64], back: bool) {
        let per_group = linear.group_channels();
        for &(out, tap, rise) in &self.list {
            let rise = if back { rise.wrapping_neg() } else { rise };
            let (slot, rise) = match tap {
                Tap::Bias => (&mut biases[out as usize], rise.wrapping_shl(linear.bias_shift)),
                Tap::Input { place, channel } => {
                    let tap = place as usize * per_group + channel as usize % per_group;
                    let at = linear.column_at(out as usize * linear.taps + tap);
                    (&mut columns[at], rise)
                }
            };
            *slot = slot.wrapping_add(rise);
        }
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
pub trait SumLane: Integer + Ramp {
    /// The sums, where they are kept in this width.
    fn sums(sums: &Sums) -> &[Row<Self>];
    /// The same to write.
    fn sums_mut(sums: &mut Sums) -> &mut [Row<Self>];
    /// The list of this width.
    fn rows_mut(rows: &mut (Vec<Row<i32>>, Vec<Row<i64>>)) -> &mut Vec<Row<Self>>;
}

impl SumLane for i32 {
    fn rows_mut(rows: &mut (Vec<Row<i32>>, Vec<Row<i64>>)) -> &mut Vec<Row<Self>> {
        &mut rows.0
    }
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
    fn rows_mut(rows: &mut (Vec<Row<i32>>, Vec<Row<i64>>)) -> &mut Vec<Row<Self>> {
        &mut rows.1
    }
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

/// The sums of one window's outputs, in units of the product, and the lists that they take.
#[derive(Clone, Debug, Default)]
pub struct WindowSums {
    /// Terms of rows as they were loaded, and of rows that differ.
    terms: [Vec<Term>; 2],
}

impl WindowSums {
    /// Sums of the outputs of a group at one pixel: rows that differ in `difference`, the others as they are in
    /// `input`, none where `filled` says that a row is all zero.
    #[inline(always)]
    pub fn sum<I: Integer>(
        &mut self,
        linear: &LinearMac,
        (pixel, group): (usize, usize),
        columns: &[i64],
        (input, filled): (&[Row<i32>], &[bool]),
        difference: &Difference,
        sums: &mut [Row<I>],
    ) {
        let (spatial, per_group) = (linear.spatial_taps(), linear.group_channels());
        let [loaded, differing] = &mut self.terms;
        loaded.clear();
        differing.clear();
        let none = difference.is_empty();
        for place in 0..spatial {
            let first = linear.window[pixel * spatial + place];
            if first == NONE {
                continue;
            }
            let first = first as usize + group * per_group;
            for channel in 0..per_group {
                let (element, tap) = (first + channel, (place * per_group + channel) as u32);
                match if none { None } else { difference.place(element) } {
                    Some(row) => differing.push((row, tap)),
                    None if filled[element] => loaded.push((element as u32, tap)),
                    None => {}
                }
            }
        }
        let columns = &columns[group * linear.taps * sums.len()..];
        sums.fill(Row::of(0));
        accumulate_all(loaded, columns, input, sums);
        accumulate_all(differing, columns, &difference.rows, sums);
    }
}

/// From sums in units of the product to those of the accumulator.
#[inline(always)]
pub fn raise<I: Integer>(linear: &LinearMac, sum: &mut Row<I>, added: I) {
    for sum in &mut sum.0 {
        *sum = sum.up(linear.product_shift).plus(added);
    }
}
