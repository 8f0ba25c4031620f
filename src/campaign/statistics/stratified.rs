//! Means over finite populations that are drawn from in strata.

use super::mean::{Seen, Sides, gamma, widening};
use super::{Bounds, Interval, Moments};

/// What was drawn from one stratum, without replacement.
#[derive(Clone, Copy, Debug)]
pub struct Drawn<'a> {
    /// Members of the stratum.
    pub population: u64,
    /// Values of those that were drawn.
    pub values: &'a Moments,
}

impl Drawn<'_> {
    fn count(&self) -> u64 {
        self.values.count().min(self.population)
    }

    /// Members that were not drawn.
    fn left(&self) -> u64 {
        self.population - self.count()
    }
}

/// The mean over the populations of all strata from which something was drawn: each stratum's mean by its share of
/// them (Cochran, Sampling Techniques, 1977, 5.1). None where nothing was drawn.
#[must_use]
pub fn stratified_mean(strata: &[Drawn<'_>]) -> Option<f64> {
    let drawn = || strata.iter().filter(|stratum| stratum.count() > 0);
    let population: u64 = drawn().map(|stratum| stratum.population).sum();
    let sum: f64 = drawn()
        .map(|stratum| stratum.population as f64 * stratum.values.mean())
        .sum();
    (population > 0).then(|| sum / population as f64)
}

/// The interval at 95 % of the mean over the populations of all strata, of values between bounds.
///
/// Ends are those of [`mean_interval`](super::mean_interval) with the variance of the stratified mean, finite
/// populations corrected (Cochran 1977, 5.3 and 5.6), and with the weight of one more trial that of the stratum in
/// which a trial weighs most, as Fay and Feuer 1997 have it for weighted sums; where `n` of `N` members are drawn,
/// `f = n / N`, unseen members of number `-ln 0.025 / -ln(1 - f)` are that many of `N`, so that weight is
/// `1 / n x f / -ln(1 - f)` of the stratum's. Strata that are drawn whole add nothing to the width. Strata from which
/// nothing was drawn are anywhere between the bounds. No end is further than the members that were not drawn could
/// move it.
#[must_use]
pub fn stratified_interval(strata: &[Drawn<'_>], bounds: Bounds) -> Interval {
    let Bounds { low, high } = bounds;
    let all: u64 = strata.iter().map(|stratum| stratum.population).sum();
    let drawn: Vec<&Drawn<'_>> = strata.iter().filter(|stratum| stratum.count() > 0).collect();
    let examined: u64 = drawn.iter().map(|stratum| stratum.population).sum();
    let (Some(mean), true) = (stratified_mean(strata), examined > 0) else {
        return gamma(low, high, None);
    };
    let left: u64 = strata.iter().map(Drawn::left).sum();
    if left == 0 {
        let mut exact = gamma(mean, mean, None);
        exact.method = "exact";
        return exact;
    }
    let pooled = drawn
        .iter()
        .map(|stratum| stratum.values.variance())
        .fold(0.0, f64::max);
    let alone = if high.is_finite() {
        // The largest variance between two bounds (Popoviciu 1935).
        (high - low) * (high - low) / 4.0
    } else {
        pooled
    };
    let mut sides = Sides {
        one: 0.0,
        variance: 0.0,
    };
    for stratum in &drawn {
        let count = stratum.count() as f64;
        let share = stratum.population as f64 / examined as f64;
        let fraction = count / stratum.population as f64;
        if stratum.left() == 0 {
            continue;
        }
        let variance = if stratum.count() == 1 {
            alone
        } else {
            stratum.values.variance() * widening(count)
        };
        sides.variance += share * share * variance / count * (1.0 - fraction);
        sides.one = sides.one.max(share / count * fraction / -libm::log1p(-fraction));
    }
    let ends = drawn.iter().filter_map(|stratum| {
        let values = stratum.values;
        Some((values.min()?, values.max()?))
    });
    let (min, max) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), (low, high)| {
        (min.min(low), max.max(high))
    });
    let seen = Seen {
        mean,
        min,
        max,
        active: drawn.iter().map(|stratum| stratum.values.active()).sum(),
        leans_back: drawn.iter().any(|stratum| stratum.values.skewness() < 0.0),
    };
    let mut interval = sides.ends(seen, bounds);
    interval.method = "gamma_strata";
    // Over all members: those that were not drawn are what is open, and untouched strata are open as a whole.
    let known = examined as f64 / all as f64;
    let open = 1.0 - known;
    let sum: f64 = drawn
        .iter()
        .map(|stratum| stratum.count() as f64 * stratum.values.mean())
        .sum();
    let least = (sum + left as f64 * low) / all as f64;
    let most = (sum + left as f64 * high) / all as f64;
    let at = |end: f64, bound: f64| {
        if open > 0.0 {
            known * end + open * bound
        } else {
            end
        }
    };
    interval.low = at(interval.low, low).max(least);
    interval.high = at(interval.high, high).min(most);
    interval
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::campaign::statistics::mean_interval;

    const UNIT: Bounds = Bounds { low: 0.0, high: 1.0 };

    fn of(values: impl IntoIterator<Item = f64>) -> Moments {
        let mut moments = Moments::default();
        moments.extend(values);
        moments
    }

    /// Some members of a population, each once.
    fn some(population: &[f64], count: usize, random: &mut ChaCha8Rng) -> Moments {
        let mut members = population.to_vec();
        for at in 0..count {
            let other = random.random_range(at..members.len());
            members.swap(at, other);
        }
        of(members[..count].iter().copied())
    }

    /// How often of `repetitions` the interval holds the truth.
    fn coverage(strata: &[(Vec<f64>, usize)], bounds: Bounds, repetitions: u64) -> f64 {
        let members = strata.iter().flat_map(|(values, _)| values);
        let truth = members.clone().sum::<f64>() / members.count() as f64;
        let mut covered = 0;
        for seed in 0..repetitions {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let values: Vec<Moments> = strata
                .iter()
                .map(|(values, count)| some(values, *count, &mut random))
                .collect();
            let drawn: Vec<Drawn<'_>> = strata
                .iter()
                .zip(&values)
                .map(|((members, _), values)| Drawn {
                    population: members.len() as u64,
                    values,
                })
                .collect();
            let interval = stratified_interval(&drawn, bounds);
            covered += u64::from(interval.low <= truth + 1e-12 && truth <= interval.high + 1e-12);
        }
        covered as f64 / repetitions as f64
    }

    /// So many ones among zeros.
    fn share(ones: usize, members: usize) -> Vec<f64> {
        (0..members).map(|at| f64::from(u8::from(at < ones))).collect()
    }

    #[test]
    fn shares_of_strata_are_covered_rare_ones_and_small_strata_included() {
        let cases = [
            vec![(share(0, 900), 90), (share(9, 800), 100), (share(300, 700), 200)],
            vec![(share(3, 4000), 200), (share(2, 100), 80), (share(5, 8), 8)],
            vec![(share(390, 400), 60), (share(1990, 2000), 150)],
            vec![(share(1, 30), 20), (share(1, 5000), 300)],
            vec![(share(500, 1000), 40), (share(20, 1000), 400)],
        ];
        for strata in &cases {
            let covered = coverage(strata, UNIT, 2000);
            // Three standard deviations of 2,000 draws at 95 % are 1.5 %.
            assert!(covered >= 0.935, "{covered}");
        }
    }

    #[test]
    fn skewed_values_of_strata_are_covered() {
        let skewed = |members: usize, every: usize| -> Vec<f64> {
            (0..members)
                .map(|at| {
                    if at % every == 0 {
                        ((at % 97) as f64 / 97.0).powi(4)
                    } else {
                        0.0
                    }
                })
                .collect()
        };
        let strata = [
            (skewed(5000, 3), 200),
            (skewed(900, 40), 200),
            (skewed(3000, 1), 150),
        ];
        let covered = coverage(&strata, UNIT, 1000);
        assert!(covered >= 0.93, "{covered}");
    }

    #[test]
    fn strata_drawn_whole_are_exact_and_untouched_ones_are_open() {
        let (one, other) = (of([0.0, 1.0, 1.0]), of([0.0; 5]));
        let whole = |values| Drawn {
            population: Moments::count(values),
            values,
        };
        let exact = stratified_interval(&[whole(&one), whole(&other)], UNIT);
        assert_eq!((exact.low, exact.high, exact.method), (0.25, 0.25, "exact"));
        let nothing = of([]);
        let untouched = Drawn {
            population: 8,
            values: &nothing,
        };
        let open = stratified_interval(&[whole(&one), whole(&other), untouched], UNIT);
        assert!(
            (open.low - 0.125).abs() < 1e-12 && (open.high - 0.625).abs() < 1e-12,
            "{open:?}"
        );
        assert_eq!(stratified_mean(&[untouched]), None);
        let none = stratified_interval(&[untouched], UNIT);
        assert_eq!((none.low, none.high), (0.0, 1.0));
    }

    #[test]
    fn one_stratum_of_a_large_population_is_a_mean() {
        let values = of((0..500).map(|at| f64::from(u8::from(at % 7 == 0))));
        let drawn = Drawn {
            population: u64::MAX / 4,
            values: &values,
        };
        let (one, plain) = (stratified_interval(&[drawn], UNIT), mean_interval(&values, UNIT));
        assert!((one.low - plain.low).abs() < 1e-9 && (one.high - plain.high).abs() < 1e-9);
    }
}
