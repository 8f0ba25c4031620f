//! Arrays of rationals.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Zero;

/// A row-major array.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub values: Vec<BigRational>,
}

/// The rational of a finite float.
pub fn exact(value: f64) -> BigRational {
    BigRational::from_float(value).expect("a finite number")
}

/// The rational of an integer.
pub fn whole(value: i64) -> BigRational {
    BigRational::from_integer(BigInt::from(value))
}

/// All coordinates of a shape in row-major order.
pub fn coordinates(shape: &[usize]) -> Vec<Vec<usize>> {
    shape.iter().fold(vec![Vec::new()], |all, &extent| {
        all.iter()
            .flat_map(|front| {
                (0..extent).map(move |last| {
                    let mut at = front.clone();
                    at.push(last);
                    at
                })
            })
            .collect()
    })
}

impl Tensor {
    /// An array of zeros.
    pub fn zeros(shape: &[usize]) -> Self {
        Self {
            shape: shape.to_vec(),
            values: vec![BigRational::zero(); shape.iter().product()],
        }
    }

    /// The array whose element at each place is `element(place)`.
    pub fn from_fn(shape: &[usize], element: impl FnMut(&Vec<usize>) -> BigRational) -> Self {
        Self {
            shape: shape.to_vec(),
            values: coordinates(shape).iter().map(element).collect(),
        }
    }

    fn index(&self, at: &[usize]) -> usize {
        assert_eq!(at.len(), self.shape.len());
        at.iter().zip(&self.shape).fold(0, |index, (&at, &extent)| {
            assert!(at < extent);
            index * extent + at
        })
    }

    pub fn get(&self, at: &[usize]) -> &BigRational {
        &self.values[self.index(at)]
    }

    pub fn add(&mut self, at: &[usize], value: BigRational) {
        let index = self.index(at);
        self.values[index] += value;
    }

    /// The element that is seen at a place of a shape over which the array is spread.
    pub fn spread(&self, at: &[usize]) -> &BigRational {
        let front = at.len() - self.shape.len();
        let own: Vec<usize> = self
            .shape
            .iter()
            .enumerate()
            .map(|(axis, &extent)| if extent == 1 { 0 } else { at[front + axis] })
            .collect();
        self.get(&own)
    }

    /// Element by element with spreading.
    pub fn combine(&self, other: &Self, f: impl Fn(&BigRational, &BigRational) -> BigRational) -> Self {
        let rank = self.shape.len().max(other.shape.len());
        let extent =
            |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |own| shape[own]);
        let shape: Vec<usize> = (0..rank)
            .map(|axis| extent(&self.shape, axis).max(extent(&other.shape, axis)))
            .collect();
        Self::from_fn(&shape, |at| f(self.spread(at), other.spread(at)))
    }

    pub fn map(&self, f: impl Fn(&BigRational) -> BigRational) -> Self {
        Self {
            shape: self.shape.clone(),
            values: self.values.iter().map(f).collect(),
        }
    }

    /// Output axis `i` is input axis `perm[i]`.
    pub fn transposed(&self, perm: &[usize]) -> Self {
        let shape: Vec<usize> = perm.iter().map(|&axis| self.shape[axis]).collect();
        Self::from_fn(&shape, |at| {
            let mut from = vec![0; at.len()];
            for (axis, &source) in perm.iter().enumerate() {
                from[source] = at[axis];
            }
            self.get(&from).clone()
        })
    }

    /// The same elements under another shape.
    pub fn reshaped(self, shape: Vec<usize>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), self.values.len());
        Self { shape, ..self }
    }

    /// Axis 1 moved behind all others.
    pub fn channels_last(&self) -> Self {
        let rank = self.shape.len();
        let perm: Vec<usize> = std::iter::once(0).chain(2..rank).chain([1]).collect();
        self.transposed(&perm)
    }

    /// The last axis moved to place 1.
    pub fn channels_first(&self) -> Self {
        let rank = self.shape.len();
        let perm: Vec<usize> = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
        self.transposed(&perm)
    }
}
