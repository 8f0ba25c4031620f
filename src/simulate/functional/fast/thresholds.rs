//! Many thresholds at a time.

use super::Level;
use super::casts::Integer;
use super::level::at_level;
use super::range::Range;
use crate::network::ThresholdRule;

/// Up to so many steps every threshold is compared with whole registers.
const FEW: usize = 8;

/// The thresholds of a layer, prepared for rows of `width` channels.
#[derive(Clone, Debug)]
pub struct Thresholds {
    width: usize,
    steps: usize,
    /// `[channel][step]`, clamped to the range of the input and the number above it.
    values: Vec<i64>,
    /// Output per step and where none is reached, per channel.
    factor: Table,
    offset: Table,
    /// Whether the count itself is the output.
    plain: bool,
    rule: ThresholdRule,
    how: How,
}

#[derive(Clone, Debug)]
enum How {
    /// `[step][channel]`.
    Few(Table),
    /// The count is `trunc(clamp(x * scale + shift, 0, steps))` for all channels but some.
    Ramp {
        scale: Vec<f32>,
        shift: Vec<f32>,
        /// The channels that are searched.
        others: Vec<usize>,
    },
    /// Every channel is searched.
    Search,
}

impl Thresholds {
    /// Prepares `[row][step]` thresholds: channel `c` of `channels` uses row `c % rows`, and the
    /// factors and offsets of `c` modulo their number. Channels from `channels` to `width` are free.
    #[must_use]
    pub fn new(
        values: &[i64],
        (rows, steps): (usize, usize),
        (factor, offset): (&[i64], &[i64]),
        rule: ThresholdRule,
        (channels, width): (usize, usize),
        range: &Range,
    ) -> Self {
        let above = range.high.saturating_add(1);
        let row_of = |channel: usize| &values[channel % channels % rows * steps..][..steps];
        let values: Vec<i64> = (0..width)
            .flat_map(|channel| {
                row_of(channel)
                    .iter()
                    .map(|value| (*value).clamp(range.low, above))
            })
            .collect();
        let spread =
            |list: &[i64]| -> Vec<i64> { (0..width).map(|c| list[c % channels % list.len()]).collect() };
        let (factor, offset) = (spread(factor), spread(offset));
        // A search may end elsewhere than a count where a fault has put a row out of order.
        let counted = rule == ThresholdRule::Count || values.chunks(steps.max(1)).all(<[i64]>::is_sorted);
        let how = if steps <= FEW && counted {
            How::Few(Table::new(
                (0..steps * width)
                    .map(|at| values[at % width * steps + at / width])
                    .collect(),
            ))
        } else {
            Self::ramps(&values, steps, width, range)
        };
        Self {
            width,
            steps,
            plain: factor.iter().all(|&f| f == 1) && offset.iter().all(|&o| o == 0),
            rule,
            values,
            factor: Table::new(factor),
            offset: Table::new(offset),
            how,
        }
    }

    fn ramps(values: &[i64], steps: usize, width: usize, range: &Range) -> How {
        let (mut scale, mut shift, mut others) = (vec![0.0; width], vec![0.0; width], Vec::new());
        for channel in 0..width {
            match ramp(&values[channel * steps..][..steps], range) {
                Some(found) => (scale[channel], shift[channel]) = found,
                None => others.push(channel),
            }
        }
        if others.len() * 4 > width {
            How::Search
        } else {
            How::Ramp { scale, shift, others }
        }
    }

    /// Where there is one step and the output is -1 or +1: the threshold of each channel, and whether
    /// reaching it means +1.
    pub fn single(&self) -> Option<impl Iterator<Item = (i64, bool)>> {
        let bipolar = self
            .factor
            .wide
            .iter()
            .zip(&self.offset.wide)
            .all(|(&f, &o)| o.abs() == 1 && f == -2 * o);
        (self.steps == 1 && bipolar).then(|| {
            self.values
                .iter()
                .zip(&self.offset.wide)
                .map(|(&value, &offset)| (value, offset < 0))
        })
    }

    /// Replaces each mantissa of whole rows by its output. In 32 bits the range must be narrow.
    pub fn apply_narrow(&self, level: Level, buffer: &mut [i32]) {
        all_narrow(level, self, buffer);
    }

    /// As [`Thresholds::apply_narrow`] in 64 bits.
    pub fn apply_wide(&self, level: Level, buffer: &mut [i64]) {
        all_wide(level, self, buffer);
    }

    /// Whether every channel is counted without a search.
    pub fn is_ramp(&self) -> bool {
        matches!(&self.how, How::Ramp { others, .. } if others.is_empty())
    }

    /// Whether the counts themselves are the outputs of a ramp, and fit bytes.
    pub fn is_byte_ramp(&self) -> bool {
        self.is_ramp() && self.plain && self.steps <= 255 && self.width.is_multiple_of(LANES)
    }

    /// Counts the first `channels` of each row of a byte ramp. Up to 15 bytes behind the last one are
    /// written, too.
    pub fn count_bytes(&self, level: Level, buffer: &[i32], channels: usize, to: &mut [u8]) {
        ramp_bytes(level, self, buffer, channels, to);
    }

    /// How many thresholds of a channel a mantissa reaches.
    fn count(&self, channel: usize, x: i64) -> i64 {
        let row = &self.values[channel * self.steps..][..self.steps];
        // A fault may have put the row out of order.
        let count = if row.is_sorted() {
            row.partition_point(|&threshold| threshold <= x)
        } else {
            self.rule.reached(row, x)
        };
        count as i64
    }
}

at_level!(
    fn all_narrow(thresholds: &Thresholds, buffer: &mut [i32]) = apply::<i32>
);
at_level!(
    fn all_wide(thresholds: &Thresholds, buffer: &mut [i64]) = apply::<i64>
);
at_level!(
    fn ramp_bytes(thresholds: &Thresholds, buffer: &[i32], channels: usize, to: &mut [u8]) = ramp_to_bytes
);

/// Channels that are computed together.
const LANES: usize = 16;

#[inline(always)]
fn apply<I: Lanes>(thresholds: &Thresholds, buffer: &mut [I]) {
    let (width, steps) = (thresholds.width, thresholds.steps);
    let (factor, offset) = (I::of_table(&thresholds.factor), I::of_table(&thresholds.offset));
    let finish = |x: I, channel: usize| x.times(factor[channel]).plus(offset[channel]);
    match &thresholds.how {
        How::Few(table) => {
            let table = I::of_table(table);
            for row in buffer.chunks_mut(width) {
                let (whole, rest) = row.as_chunks_mut::<LANES>();
                for (at, x) in whole.iter_mut().enumerate() {
                    let mut reached = [I::of(0); LANES];
                    for step in 0..steps {
                        let row: &[I] = &table[step * width + at * LANES..][..LANES];
                        for ((reached, &x), &threshold) in reached.iter_mut().zip(&*x).zip(row) {
                            *reached = reached.plus(I::of(i64::from(x >= threshold)));
                        }
                    }
                    let (factor, offset) = (&factor[at * LANES..][..LANES], &offset[at * LANES..][..LANES]);
                    for ((x, reached), (&factor, &offset)) in
                        x.iter_mut().zip(reached).zip(factor.iter().zip(offset))
                    {
                        *x = reached.times(factor).plus(offset);
                    }
                }
                let first = whole.len() * LANES;
                for (channel, x) in (first..).zip(rest) {
                    let reached = (0..steps)
                        .filter(|step| *x >= table[step * width + channel])
                        .count();
                    *x = finish(I::of(reached as i64), channel);
                }
            }
        }
        How::Ramp { scale, shift, others } => {
            let last = steps as f32;
            let mut found = Vec::with_capacity(others.len());
            for row in buffer.chunks_mut(width) {
                found.clear();
                let present = (others.iter()).map_while(|&channel| Some((channel, *row.get(channel)?)));
                found.extend(present.map(|(channel, x)| (channel, thresholds.count(channel, x.into()))));
                let (whole, rest) = row.as_chunks_mut::<LANES>();
                let first = whole.len() * LANES;
                let lines = scale
                    .as_chunks::<LANES>()
                    .0
                    .iter()
                    .zip(shift.as_chunks::<LANES>().0);
                for (x, (scale, shift)) in whole.iter_mut().zip(lines) {
                    for ((x, &scale), &shift) in x.iter_mut().zip(scale).zip(shift) {
                        *x = x.ramp(scale, shift, last);
                    }
                }
                for ((x, &scale), &shift) in rest.iter_mut().zip(&scale[first..]).zip(&shift[first..]) {
                    *x = x.ramp(scale, shift, last);
                }
                for &(channel, count) in &found {
                    row[channel] = I::of(count);
                }
                if !thresholds.plain {
                    for (x, (&factor, &offset)) in row.iter_mut().zip(factor.iter().zip(offset)) {
                        *x = x.times(factor).plus(offset);
                    }
                }
            }
        }
        How::Search => {
            for row in buffer.chunks_mut(width) {
                for (channel, x) in row.iter_mut().enumerate() {
                    *x = finish(I::of(thresholds.count(channel, (*x).into())), channel);
                }
            }
        }
    }
}

#[inline(always)]
fn ramp_to_bytes(thresholds: &Thresholds, buffer: &[i32], channels: usize, to: &mut [u8]) {
    let How::Ramp { scale, shift, .. } = &thresholds.how else {
        return;
    };
    let last = thresholds.steps as f32;
    let lines = scale
        .as_chunks::<LANES>()
        .0
        .iter()
        .zip(shift.as_chunks::<LANES>().0);
    // Channel by channel, so that scales and shifts stay in registers. A row's last bytes may reach into
    // the next row, so that the rows of the first channels come last.
    for ((scale, shift), at) in lines.zip((0..channels).step_by(LANES)).rev() {
        let rows = buffer.chunks_exact(thresholds.width);
        for (row, first) in rows.zip((at..).step_by(channels)) {
            let x = &row[at..][..LANES];
            let mut bytes = [0u8; LANES];
            for lane in 0..LANES {
                bytes[lane] = x[lane].ramp(scale[lane], shift[lane], last) as u8;
            }
            to[first..][..LANES].copy_from_slice(&bytes);
        }
    }
}

/// A list in both widths.
#[derive(Clone, Debug)]
struct Table {
    narrow: Vec<i32>,
    wide: Vec<i64>,
}

impl Table {
    /// Numbers that do not fit 32 bits must not be read in 32 bits.
    fn new(wide: Vec<i64>) -> Self {
        Self {
            narrow: wide.iter().map(|&value| value as i32).collect(),
            wide,
        }
    }
}

/// Mantissas of either width.
trait Lanes: Integer + Into<i64> + Ramp {
    /// The list in this width.
    fn of_table(table: &Table) -> &[Self];
}

impl Lanes for i32 {
    #[inline(always)]
    fn of_table(table: &Table) -> &[Self] {
        &table.narrow
    }
}

impl Lanes for i64 {
    #[inline(always)]
    fn of_table(table: &Table) -> &[Self] {
        &table.wide
    }
}

/// The count of evenly spaced thresholds.
pub trait Ramp {
    /// `trunc(clamp(self * scale + shift, 0, last))`, each operation rounded to 24 bits.
    fn ramp(self, scale: f32, shift: f32, last: f32) -> Self;
}

macro_rules! ramp_of {
    ($type:ty) => {
        impl Ramp for $type {
            #[inline(always)]
            fn ramp(self, scale: f32, shift: f32, last: f32) -> Self {
                let y = self as f32 * scale + shift;
                let y = if y > 0.0 { y } else { 0.0 };
                let y = if y < last { y } else { last };
                // SAFETY: not NaN, not below 0 and not above the number of steps.
                unsafe { y.to_int_unchecked() }
            }
        }
    };
}
ramp_of!(i32);
ramp_of!(i64);

/// A scale and a shift whose ramp counts these thresholds exactly for every mantissa of the range,
/// where there are some.
///
/// The ramp and the count both never fall as the mantissa grows. So they are equal everywhere where
/// they are equal at both ends of each stretch on which the count is constant.
#[must_use]
pub fn ramp(thresholds: &[i64], range: &Range) -> Option<(f32, f32)> {
    if !thresholds.is_sorted() || !range.is_narrow() {
        return None;
    }
    let (scale, shift) = line(thresholds, range)?;
    let (scale, shift) = (scale as f32, shift as f32);
    let last = thresholds.len() as f32;
    let exact = |x: i64| {
        let count = thresholds.partition_point(|&threshold| threshold <= x) as i64;
        x.ramp(scale, shift, last) == count
    };
    let ends = thresholds
        .iter()
        .flat_map(|&threshold| [threshold - 1, threshold]);
    let mut ends = ends.chain([range.low, range.high]).filter(|&x| range.has(x));
    (scale >= 0.0 && scale.is_finite() && shift.is_finite() && ends.all(exact)).then_some((scale, shift))
}

/// The line `x * scale + shift` that passes each threshold with the widest margin: at threshold `k`
/// (from 1) it is at least `k`, one below the threshold it is less than `k`.
fn line(thresholds: &[i64], range: &Range) -> Option<(f64, f64)> {
    let inner = |&&threshold: &&i64| range.low < threshold && threshold <= range.high;
    let first = *thresholds.iter().find(inner)?;
    let last = *thresholds.iter().rfind(inner)?;
    let steps = thresholds.iter().filter(inner).count();
    // Relative to the first one, so that the sums below keep their precision.
    let least = |scale: f64| {
        let shifts = thresholds
            .iter()
            .enumerate()
            .filter(|(_, threshold)| **threshold <= range.high);
        shifts.fold(f64::NEG_INFINITY, |least, (k, &threshold)| {
            least.max((k + 1) as f64 - scale * (threshold.max(range.low) - first) as f64)
        })
    };
    let most = |scale: f64| {
        let shifts = thresholds
            .iter()
            .enumerate()
            .filter(|(_, threshold)| **threshold > range.low);
        shifts.fold(f64::INFINITY, |most, (k, &threshold)| {
            most.min((k + 1) as f64 - scale * (threshold - 1 - first) as f64)
        })
    };
    // The margin is a concave function of the scale.
    let typical = steps as f64 / (last - first + 1) as f64;
    let (mut low, mut high) = (typical / 4.0, typical * 4.0);
    for _ in 0..40 {
        let third = (high - low) / 3.0;
        let (a, b) = (low + third, high - third);
        if most(a) - least(a) < most(b) - least(b) {
            low = a;
        } else {
            high = b;
        }
    }
    let scale = (low + high) / 2.0;
    let (least, most) = (least(scale), most(scale));
    (least < most).then(|| (scale, (least + most) / 2.0 - scale * first as f64))
}
