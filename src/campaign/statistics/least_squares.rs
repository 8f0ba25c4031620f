//! Ordinary least squares.

use miette::Diagnostic;
use serde::Serialize;
use thiserror::Error;

use super::special::student_outside;

/// A coefficient of a linear model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Coefficient {
    /// The term: `1` for the constant, a factor, or several with `:` between them.
    pub term: String,
    /// Its estimate.
    pub estimate: f64,
    /// The estimate's standard error.
    pub standard_error: f64,
    /// Estimate over standard error.
    pub t: f64,
    /// How likely a value of `t` at least so far from 0 is where the coefficient is 0.
    pub p: f64,
}

/// A linear model fitted to observations.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LinearModel {
    /// The constant first.
    pub coefficients: Vec<Coefficient>,
    /// Number of observations.
    pub observations: u64,
    /// Observations less coefficients.
    pub degrees_of_freedom: u64,
    /// Share of the variance that the model explains.
    pub r_squared: f64,
    /// The same, corrected for the number of coefficients.
    pub adjusted_r_squared: f64,
    /// Standard deviation of what the model leaves.
    pub residual_standard_error: f64,
}

/// Why no model can be fitted.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq, Eq)]
pub enum LeastSquaresError {
    /// As many unknowns as observations, or more.
    #[error("{observations} observations do not determine {coefficients} coefficients and what they leave")]
    #[diagnostic(
        code(radstream::regression::few),
        help(
            "expected more observations than coefficients; use fewer factors or interactions, or more trials"
        )
    )]
    Few {
        /// Observations.
        observations: usize,
        /// Coefficients.
        coefficients: usize,
    },
    /// A term is a combination of those before it.
    #[error("the term `{term}` is a combination of those before it in these observations")]
    #[diagnostic(
        code(radstream::regression::collinear),
        help(
            "expected factors that vary independently; leave the term out, or add observations in which it differs"
        )
    )]
    Collinear {
        /// The term.
        term: String,
    },
}

/// Values of a term as small as this share of their length, once what other terms say is taken away, are rounding.
const ROUNDING: f64 = 1e-10;

/// Fits `response = sum of coefficients times terms`, with a constant, to observations: each term is its name and its
/// value in every observation.
///
/// By Householder's orthogonalization (Golub and Van Loan, Matrix Computations, 5.3) in a fixed order of operations;
/// standard errors are `s sqrt(diag (X'X)^-1)` with `s^2` the residual variance, and `p` is two-sided by Student's
/// distribution (Draper and Smith, Applied Regression Analysis, chapter 1.4 and 5). A response that does not vary has an
/// `r_squared` of 0, and a model that leaves nothing has infinite `t`.
///
/// # Errors
/// [`LeastSquaresError`] where the observations do not determine the coefficients.
///
/// # Panics
/// Where a term has not as many values as there are observations.
pub fn least_squares(
    terms: &[(String, Vec<f64>)],
    response: &[f64],
) -> Result<LinearModel, LeastSquaresError> {
    let rows = response.len();
    let mut names = vec!["1".to_owned()];
    let mut columns = vec![vec![1.0; rows]];
    for (name, values) in terms {
        assert_eq!(values.len(), rows, "a value per observation");
        names.push(name.clone());
        columns.push(values.clone());
    }
    let count = columns.len();
    if rows <= count {
        return Err(LeastSquaresError::Few {
            observations: rows,
            coefficients: count,
        });
    }
    let mut right = response.to_vec();
    let mut diagonal = Vec::with_capacity(count);
    for at in 0..count {
        let whole = norm(&columns[at]);
        let below = norm(&columns[at][at..]);
        if below <= ROUNDING * whole || below == 0.0 {
            return Err(LeastSquaresError::Collinear {
                term: names[at].clone(),
            });
        }
        let pivot = columns[at][at];
        let to = if pivot > 0.0 { -below } else { below };
        let mut mirror = columns[at][at..].to_vec();
        mirror[0] -= to;
        let square = dot(&mirror, &mirror);
        let reflect = |values: &mut [f64]| {
            let factor = 2.0 * dot(&mirror, values) / square;
            for (value, normal) in values.iter_mut().zip(&mirror) {
                *value -= factor * normal;
            }
        };
        for column in &mut columns[at + 1..] {
            reflect(&mut column[at..]);
        }
        reflect(&mut right[at..]);
        diagonal.push(to);
    }
    // R is above the diagonal in the columns; its inverse, column by column.
    let entry = |row: usize, column: usize| {
        if row == column {
            diagonal[row]
        } else {
            columns[column][row]
        }
    };
    let mut inverse = vec![vec![0.0; count]; count];
    for row in (0..count).rev() {
        let (upper, lower) = inverse.split_at_mut(row + 1);
        for (column, value) in upper[row].iter_mut().enumerate().skip(row) {
            let one = f64::from(u8::from(row == column));
            let below = (row + 1..).zip(&*lower).take(column - row);
            let sum: f64 = below.map(|(k, inverse)| entry(row, k) * inverse[column]).sum();
            *value = (one - sum) / entry(row, row);
        }
    }
    let residual = dot(&right[count..], &right[count..]);
    let free = rows - count;
    let variance = residual / free as f64;
    let mean = response.iter().sum::<f64>() / rows as f64;
    let total: f64 = response.iter().map(|value| (value - mean) * (value - mean)).sum();
    let left = if total > 0.0 { residual / total } else { 1.0 };
    let coefficients = (0..count)
        .map(|row| {
            let estimate = dot(&inverse[row][row..], &right[row..count]);
            let standard_error = (variance * dot(&inverse[row][row..], &inverse[row][row..])).sqrt();
            let t = if estimate == 0.0 {
                0.0
            } else {
                estimate / standard_error
            };
            Coefficient {
                term: names[row].clone(),
                estimate,
                standard_error,
                t,
                p: student_outside(t, free as f64),
            }
        })
        .collect();
    Ok(LinearModel {
        coefficients,
        observations: rows as u64,
        degrees_of_freedom: free as u64,
        r_squared: 1.0 - left,
        adjusted_r_squared: 1.0 - left * (rows - 1) as f64 / free as f64,
        residual_standard_error: variance.sqrt(),
    })
}

/// Factors and their products up to so many at a time, in the order of their numbers and then of the factors.
#[must_use]
pub fn interactions(factors: &[(String, Vec<f64>)], order: usize) -> Vec<(String, Vec<f64>)> {
    let mut terms = Vec::new();
    for size in 1..=order.min(factors.len()) {
        let mut chosen: Vec<usize> = (0..size).collect();
        loop {
            let name = chosen
                .iter()
                .map(|&at| factors[at].0.as_str())
                .collect::<Vec<_>>();
            let rows = factors[0].1.len();
            let product = |row: usize| chosen.iter().map(|&at| factors[at].1[row]).product();
            terms.push((name.join(":"), (0..rows).map(product).collect()));
            // The next combination.
            let Some(moves) = (0..size).rev().find(|&at| chosen[at] < factors.len() - size + at) else {
                break;
            };
            chosen[moves] += 1;
            for at in moves + 1..size {
                chosen[at] = chosen[at - 1] + 1;
            }
        }
    }
    terms
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(values: &[f64]) -> f64 {
    dot(values, values).sqrt()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Longley's employment data, and the certified values of NIST's Statistical Reference Datasets (higher level of
    /// difficulty: the columns are nearly collinear).
    #[test]
    fn certified_values_of_nist_longley() {
        let rows: [[f64; 7]; 16] = [
            [60323.0, 83.0, 234289.0, 2356.0, 1590.0, 107608.0, 1947.0],
            [61122.0, 88.5, 259426.0, 2325.0, 1456.0, 108632.0, 1948.0],
            [60171.0, 88.2, 258054.0, 3682.0, 1616.0, 109773.0, 1949.0],
            [61187.0, 89.5, 284599.0, 3351.0, 1650.0, 110929.0, 1950.0],
            [63221.0, 96.2, 328975.0, 2099.0, 3099.0, 112075.0, 1951.0],
            [63639.0, 98.1, 346999.0, 1932.0, 3594.0, 113270.0, 1952.0],
            [64989.0, 99.0, 365385.0, 1870.0, 3547.0, 115094.0, 1953.0],
            [63761.0, 100.0, 363112.0, 3578.0, 3350.0, 116219.0, 1954.0],
            [66019.0, 101.2, 397469.0, 2904.0, 3048.0, 117388.0, 1955.0],
            [67857.0, 104.6, 419180.0, 2822.0, 2857.0, 118734.0, 1956.0],
            [68169.0, 108.4, 442769.0, 2936.0, 2798.0, 120445.0, 1957.0],
            [66513.0, 110.8, 444546.0, 4681.0, 2637.0, 121950.0, 1958.0],
            [68655.0, 112.6, 482704.0, 3813.0, 2552.0, 123366.0, 1959.0],
            [69564.0, 114.2, 502601.0, 3931.0, 2514.0, 125368.0, 1960.0],
            [69331.0, 115.7, 518173.0, 4806.0, 2572.0, 127852.0, 1961.0],
            [70551.0, 116.9, 554894.0, 4007.0, 2827.0, 130081.0, 1962.0],
        ];
        let column = |at: usize| rows.iter().map(|row| row[at]).collect::<Vec<f64>>();
        let terms: Vec<(String, Vec<f64>)> = (1..7).map(|at| (format!("x{at}"), column(at))).collect();
        let model = least_squares(&terms, &column(0)).expect("a model");
        let certified = [
            (-3_482_258.634_595_82, 890_420.383_607_373),
            (15.061_872_271_373_3, 84.914_925_774_766_9),
            (-0.358_191_792_925_910e-1, 0.334_910_077_722_432e-1),
            (-2.020_229_803_816_83, 0.488_399_681_651_699),
            (-1.033_226_867_173_59, 0.214_274_163_161_675),
            (-0.511_041_056_535_807e-1, 0.226_073_200_069_370),
            (1_829.151_464_613_55, 455.478_499_142_212),
        ];
        for (found, (estimate, error)) in model.coefficients.iter().zip(certified) {
            assert!((found.estimate / estimate - 1.0).abs() < 1e-7, "{found:?}");
            assert!((found.standard_error / error - 1.0).abs() < 1e-7, "{found:?}");
        }
        assert!((model.residual_standard_error / 304.854_073_561_965 - 1.0).abs() < 1e-9);
        assert!((model.r_squared - 0.995_479_004_577_296).abs() < 1e-10);
        // t = 4.0159, 9 degrees of freedom: between 0.002 and 0.005 in printed tables.
        let year = &model.coefficients[6];
        assert!((0.002..0.005).contains(&year.p), "{year:?}");
    }

    #[test]
    fn terms_are_all_products_in_order() {
        let factors: Vec<(String, Vec<f64>)> = (1..=4)
            .map(|at| (at.to_string(), vec![f64::from(at), 1.0]))
            .collect();
        let terms = interactions(&factors, 4);
        let names: Vec<&str> = terms.iter().map(|(name, _)| name.as_str()).collect();
        let expected = "1 2 3 4 1:2 1:3 1:4 2:3 2:4 3:4 1:2:3 1:2:4 1:3:4 2:3:4 1:2:3:4";
        assert_eq!(names, expected.split(' ').collect::<Vec<_>>());
        assert_eq!(terms[14].1, [24.0, 1.0]);
        assert_eq!(interactions(&factors, 2).len(), 10);
    }

    #[test]
    fn what_does_not_determine_a_model_is_refused() {
        let one = |name: &str, values: &[f64]| (name.to_owned(), values.to_vec());
        let few = least_squares(&[one("a", &[1.0, 2.0])], &[1.0, 2.0]);
        assert!(matches!(few, Err(LeastSquaresError::Few { .. })));
        let (a, b) = ([1.0, 2.0, 5.0, 3.0, 9.0], [3.0, 5.0, 11.0, 7.0, 19.0]);
        let both = least_squares(&[one("a", &a), one("b", &b)], &[1.0, 0.0, 2.0, 1.0, 5.0]);
        assert_eq!(both, Err(LeastSquaresError::Collinear { term: "b".to_owned() }));
    }

    #[test]
    fn p_is_uniform_where_a_factor_says_nothing() {
        let mut random = ChaCha8Rng::seed_from_u64(11);
        let mut below = [0; 2];
        for _ in 0..2000 {
            let mut draw = |_| random.random_range(0..2) as f64;
            let factor: Vec<f64> = (0..12).map(&mut draw).collect();
            let noise: Vec<f64> = (0..12)
                .map(|_| (0..12).map(|_| random.random::<f64>()).sum::<f64>())
                .collect();
            if let Ok(model) = least_squares(&[("x".to_owned(), factor)], &noise) {
                below[0] += u32::from(model.coefficients[1].p < 0.05);
                below[1] += u32::from(model.coefficients[1].p < 0.5);
            }
        }
        // 100 and 1,000 of 2,000; four standard deviations are 39 and 89.
        assert!(
            below[0].abs_diff(100) < 39 && below[1].abs_diff(1000) < 89,
            "{below:?}"
        );
    }
}
