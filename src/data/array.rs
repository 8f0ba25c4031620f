//! An array of numbers with its shape.

/// A row-major array.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Extent of each axis, samples first.
    pub shape: Vec<usize>,
    /// The elements.
    pub elements: Elements,
}

/// The elements of an [`Array`], exact.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// Floating-point elements; single precision is widened exactly.
    Real(Vec<f64>),
    /// Integers and booleans.
    Integer(Vec<i64>),
}

impl Array {
    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.elements {
            Elements::Real(values) => values.len(),
            Elements::Integer(values) => values.len(),
        }
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Extent of the first axis; 1 for a scalar.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// The elements as reals; integers beyond 2^53 round.
    #[must_use]
    pub fn reals(&self) -> Vec<f64> {
        match &self.elements {
            Elements::Real(values) => values.clone(),
            Elements::Integer(values) => values.iter().map(|&value| value as f64).collect(),
        }
    }

    /// The elements as integers, or `None` where one is not an integer.
    #[must_use]
    pub fn integers(&self) -> Option<Vec<i64>> {
        match &self.elements {
            Elements::Integer(values) => Some(values.clone()),
            Elements::Real(values) => values
                .iter()
                .map(|&value| (value.fract() == 0.0 && value.abs() < 9e18).then_some(value as i64))
                .collect(),
        }
    }

    /// The first `count` samples.
    #[must_use]
    pub fn take(mut self, count: usize) -> Self {
        if count < self.samples() && !self.shape.is_empty() {
            let row: usize = self.shape[1..].iter().product();
            self.shape[0] = count;
            match &mut self.elements {
                Elements::Real(values) => values.truncate(count * row),
                Elements::Integer(values) => values.truncate(count * row),
            }
        }
        self
    }
}
