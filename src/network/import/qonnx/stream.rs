//! What the importer knows of a tensor between integer operations: the integer tensor behind it
//! and the exact real function that leads from its mantissas to the value in the file.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive, Zero};

use super::exact;
use crate::network::TensorId;

/// Exact numbers, one for all channels or one per channel.
pub type PerChannel = Vec<BigRational>;

/// The element for a channel.
pub fn at(values: &PerChannel, channel: usize) -> &BigRational {
    &values[if values.len() == 1 { 0 } else { channel }]
}

/// Element-wise combination that spreads a single number over the channels.
pub fn zip(
    a: &PerChannel,
    b: &PerChannel,
    f: impl Fn(&BigRational, &BigRational) -> BigRational,
) -> PerChannel {
    (0..a.len().max(b.len()))
        .map(|channel| f(at(a, channel), at(b, channel)))
        .collect()
}

/// A step of real arithmetic that has not yet met a quantizer.
#[derive(Clone, Debug)]
pub enum Step {
    /// `factor * x + offset`.
    Affine {
        /// Factors.
        factor: PerChannel,
        /// Offsets.
        offset: PerChannel,
    },
    /// `min(max(x, low), high)`.
    Clamp {
        /// Lower bound.
        low: Option<BigRational>,
        /// Upper bound.
        high: Option<BigRational>,
    },
    /// `gamma * (x - mean) / sqrt(variance) + beta`.
    BatchNormalization {
        /// Factors.
        gamma: PerChannel,
        /// Offsets.
        beta: PerChannel,
        /// Means.
        mean: PerChannel,
        /// Variances, epsilon included, positive.
        variance: PerChannel,
    },
    /// `x > 0 ? x : slope * x` with a positive slope.
    Leaky {
        /// The slope.
        slope: BigRational,
    },
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
}

/// An integer tensor and the way from its mantissas to the values in the file.
#[derive(Clone, Debug)]
pub struct Stream {
    /// The integer tensor.
    pub tensor: TensorId,
    /// `axes[i]` is the tensor's axis for axis `i` of the file, both without the batch.
    pub axes: Vec<usize>,
    /// Value per mantissa.
    pub scale: PerChannel,
    /// Value at mantissa 0.
    pub offset: PerChannel,
    /// Steps after scale and offset.
    pub steps: Vec<Step>,
}

impl Stream {
    /// Adds `factor * x + offset`.
    pub fn affine(&mut self, factor: &PerChannel, offset: &PerChannel) {
        if self.steps.is_empty() {
            self.scale = zip(&self.scale, factor, |s, f| s * f);
            self.offset = zip(&zip(&self.offset, factor, |o, f| o * f), offset, |o, b| o + b);
        } else if let Some(Step::Affine {
            factor: f0,
            offset: o0,
        }) = self.steps.last_mut()
        {
            *o0 = zip(&zip(o0, factor, |o, f| o * f), offset, |o, b| o + b);
            *f0 = zip(f0, factor, |a, b| a * b);
        } else {
            self.steps.push(Step::Affine {
                factor: factor.clone(),
                offset: offset.clone(),
            });
        }
    }

    /// The one scale of all channels, where there is one.
    pub fn uniform_scale(&self) -> Option<&BigRational> {
        uniform(&self.scale)
    }

    /// Whether the values are the mantissas times one positive factor.
    pub fn is_plain(&self) -> bool {
        self.steps.is_empty()
            && self.offset.iter().all(Zero::is_zero)
            && self.uniform_scale().is_some_and(Signed::is_positive)
    }

    /// Exact numbers that operators compute with one by one: those of lists per channel.
    pub fn count(&self) -> usize {
        let of_list = |list: &PerChannel| if list.len() > 1 { list.len() } else { 0 };
        let of_step = |step: &Step| match step {
            Step::Affine { factor, offset } => of_list(factor) + of_list(offset),
            Step::BatchNormalization {
                gamma,
                beta,
                mean,
                variance,
            } => [gamma, beta, mean, variance].into_iter().map(of_list).sum(),
            Step::Clamp { .. } | Step::Leaky { .. } | Step::Sigmoid | Step::Tanh => 0,
        };
        of_list(&self.scale) + of_list(&self.offset) + self.steps.iter().map(of_step).sum::<usize>()
    }

    /// 64-bit words that the exact numbers take, and the longest of them in bits.
    pub fn size(&self) -> (u64, u64) {
        let steps = self.steps.iter().flat_map(|step| -> Vec<&BigRational> {
            match step {
                Step::Affine { factor, offset } => factor.iter().chain(offset).collect(),
                Step::Clamp { low, high } => low.iter().chain(high).collect(),
                Step::BatchNormalization {
                    gamma,
                    beta,
                    mean,
                    variance,
                } => [gamma, beta, mean, variance].into_iter().flatten().collect(),
                Step::Leaky { slope } => vec![slope],
                Step::Sigmoid | Step::Tanh => Vec::new(),
            }
        });
        size_of_numbers(self.scale.iter().chain(&self.offset).chain(steps))
    }

    /// For each channel of a linear stream 1 where its value rises with the mantissa, -1 where it falls, and 0 where it
    /// stays.
    pub fn signs(&self) -> PerChannel {
        let signs = |list: &PerChannel| list.iter().map(Signed::signum).collect::<PerChannel>();
        self.steps
            .iter()
            .fold(signs(&self.scale), |before, step| match step {
                Step::Affine { factor, .. } => zip(&before, factor, |sign, f| sign * f.signum()),
                Step::BatchNormalization { gamma, .. } => zip(&before, gamma, |sign, g| sign * g.signum()),
                Step::Clamp { .. } | Step::Leaky { .. } | Step::Sigmoid | Step::Tanh => before,
            })
    }

    /// Whether the value never falls where the mantissa rises.
    pub fn is_nondecreasing(&self) -> bool {
        self.scale.iter().all(|s| !s.is_negative())
            && self.steps.iter().all(|step| match step {
                Step::Affine { factor, .. } => factor.iter().all(|f| !f.is_negative()),
                Step::BatchNormalization { gamma, .. } => gamma.iter().all(|g| !g.is_negative()),
                Step::Leaky { .. } | Step::Clamp { .. } | Step::Sigmoid | Step::Tanh => true,
            })
    }
}

/// 64-bit words that exact numbers take, and the longest of them in bits.
pub fn size_of_numbers<'n>(numbers: impl IntoIterator<Item = &'n BigRational>) -> (u64, u64) {
    // A rational is two vectors of words.
    const OVERHEAD: u64 = 10;
    numbers.into_iter().fold((0, 0), |(words, longest), number| {
        let bits = exact::bits(number);
        (words + OVERHEAD + bits / 32, longest.max(bits))
    })
}

/// The one value of all channels, where there is one.
pub fn uniform(values: &PerChannel) -> Option<&BigRational> {
    let (first, rest) = values.split_first()?;
    rest.iter().all(|value| value == first).then_some(first)
}

/// What a mantissa of `factor * n + unit * m` stands for where `unit / factor` is only close to the ratio
/// of the two units: `n + ratio * m`, for the one pair `n`, `m` that gives it.
///
/// With more than `high - low` multiples per unit of the product a sum has one pair at most, and where the
/// rest of the fraction times any `m` is below a half, sums keep the order of the exact values. So each
/// level has one threshold, and it is decided on the exact value of the sum nearest to it.
#[derive(Clone, Debug)]
pub struct Pairing {
    /// Sums per unit of the product.
    factor: i128,
    /// The inverse of the bias's multiple modulo `factor`.
    inverse: i128,
    /// Smallest and largest mantissa of the bias.
    biases: (i128, i128),
    /// `ratio * factor - unit`.
    rest: BigRational,
}

impl Pairing {
    /// The pairing of `factor * n + unit * m` in lowest terms.
    pub fn new(factor: i64, unit: i64, biases: (i128, i128), rest: BigRational) -> Self {
        let (factor, unit) = (i128::from(factor), i128::from(unit));
        // Euclid's algorithm on `unit * inverse = remainder` modulo `factor`, down to the remainder 1.
        let (mut remainders, mut inverses) = ((factor, unit.rem_euclid(factor)), (0i128, 1i128));
        while remainders.1 > 1 {
            let term = remainders.0 / remainders.1;
            remainders = (remainders.1, remainders.0 - term * remainders.1);
            inverses = (inverses.1, inverses.0 - term * inverses.1);
        }
        Self {
            factor,
            inverse: inverses.1.rem_euclid(factor),
            biases,
            rest,
        }
    }

    /// The exact value of a sum in its own units; none where no pair gives it.
    pub fn value(&self, sum: &BigInt) -> Option<BigRational> {
        let remainder = sum.to_i128()?.rem_euclid(self.factor);
        let bias = remainder * self.inverse % self.factor;
        let (low, high) = self.biases;
        let bias = low + (bias - low).rem_euclid(self.factor);
        (bias <= high).then(|| {
            let bias = BigRational::from_integer(bias.into());
            BigRational::from_integer(sum.clone()) + bias * &self.rest
        })
    }
}
