//! Many thresholds at a time.

use super::Level;
use super::casts::Integer;
use super::level::at_level;
use super::range::Range;

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
    factor: Vec<i64>,
    offset: Vec<i64>,
    /// Whether the count itself is the output.
    plain: bool,
    how: How,
}

#[derive(Clone, Debug)]
enum How {
    /// `[step][channel]`.
    Few(Vec<i64>),
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
        let how = if steps <= FEW {
            How::Few(
                (0..steps * width)
                    .map(|at| values[at % width * steps + at / width])
                    .collect(),
            )
        } else {
            Self::ramps(&values, steps, width, range)
        };
        Self {
            width,
            steps,
            plain: factor.iter().all(|&f| f == 1) && offset.iter().all(|&o| o == 0),
            values,
            factor,
            offset,
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
            .iter()
            .zip(&self.offset)
            .all(|(&f, &o)| o.abs() == 1 && f == -2 * o);
        (self.steps == 1 && bipolar).then(|| {
            self.values
                .iter()
                .zip(&self.offset)
                .map(|(&value, &offset)| (value, offset < 0))
        })
    }

    /// Replaces each mantissa of whole rows by its output. In 32 bits the range must be narrow.
    pub fn apply_narrow(&self, level: Level, buffer: &mut [i32]) {
        few_or_ramp_narrow(level, self, buffer);
    }

    /// As [`Thresholds::apply_narrow`] in 64 bits.
    pub fn apply_wide(&self, level: Level, buffer: &mut [i64]) {
        few_or_ramp_wide(level, self, buffer);
    }

    /// Whether most channels are counted without a search.
    #[cfg(test)]
    pub fn is_ramp(&self) -> bool {
        matches!(&self.how, How::Ramp { others, .. } if others.is_empty())
    }

    /// How many thresholds of a channel a mantissa reaches.
    fn count(&self, channel: usize, x: i64) -> i64 {
        let row = &self.values[channel * self.steps..][..self.steps];
        // A fault may have put the row out of order; then each one is compared.
        let count = if row.is_sorted() {
            row.partition_point(|&threshold| threshold <= x)
        } else {
            row.iter().filter(|&&threshold| threshold <= x).count()
        };
        count as i64
    }
}

at_level!(
    fn few_or_ramp_narrow(thresholds: &Thresholds, buffer: &mut [i32]) = apply::<i32>
);
at_level!(
    fn few_or_ramp_wide(thresholds: &Thresholds, buffer: &mut [i64]) = apply::<i64>
);

#[inline(always)]
fn apply<I: Integer + Into<i64> + Ramp>(thresholds: &Thresholds, buffer: &mut [I]) {
    let width = thresholds.width;
    let finish = |row: &mut [I]| {
        if !thresholds.plain {
            for ((x, &factor), &offset) in row.iter_mut().zip(&thresholds.factor).zip(&thresholds.offset) {
                *x = x.times(I::of(factor)).plus(I::of(offset));
            }
        }
    };
    match &thresholds.how {
        How::Few(steps) => {
            let mut reached = [I::of(0); 64];
            for row in buffer.chunks_mut(width) {
                for (at, row) in row.chunks_mut(64).enumerate() {
                    let reached = &mut reached[..row.len()];
                    reached.fill(I::of(0));
                    for step in steps.chunks_exact(width) {
                        let step = &step[at * 64..][..row.len()];
                        for ((count, &x), &threshold) in reached.iter_mut().zip(&*row).zip(step) {
                            *count = count.plus(I::of(i64::from(x >= I::of(threshold))));
                        }
                    }
                    row.copy_from_slice(reached);
                }
                finish(row);
            }
        }
        How::Ramp { scale, shift, others } => {
            let last = thresholds.steps as f32;
            let mut found = Vec::with_capacity(others.len());
            for row in buffer.chunks_mut(width) {
                found.clear();
                let present = others
                    .iter()
                    .map_while(|&channel| Some((channel, *row.get(channel)?)));
                found.extend(present.map(|(channel, x)| (channel, thresholds.count(channel, x.into()))));
                for ((x, &scale), &shift) in row.iter_mut().zip(scale).zip(shift) {
                    *x = x.ramp(scale, shift, last);
                }
                for &(channel, count) in &found {
                    row[channel] = I::of(count);
                }
                finish(row);
            }
        }
        How::Search => {
            for row in buffer.chunks_mut(width) {
                for (channel, x) in row.iter_mut().enumerate() {
                    *x = I::of(thresholds.count(channel, (*x).into()));
                }
                finish(row);
            }
        }
    }
}

/// The count of evenly spaced thresholds.
trait Ramp {
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
fn ramp(thresholds: &[i64], range: &Range) -> Option<(f32, f32)> {
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
    for _ in 0..80 {
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
