//! Counts, times and clusters of strikes against their distributions.
//!
//! Seeds are fixed, so the outcome of each test is too. Every test rejects at a significance of
//! 1e-3: a right sampler would have failed with one seed in a thousand.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use radstream::radiation::rate::Hours;
use radstream::radiation::{ClusterTable, Clusters, Offset, RateProfile, poisson};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const SIGNIFICANCE: f64 = 1e-3;

fn random(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Probability that a chi-square variable with so many degrees of freedom exceeds a value: the
/// regularized incomplete gamma function, by its series or by its continued fraction (Abramowitz and
/// Stegun 6.5.29, 6.5.31).
fn chi_square_tail(value: f64, degrees: usize) -> f64 {
    let (a, x) = (degrees as f64 / 2.0, value / 2.0);
    let scale = libm::exp(a * libm::log(x) - x - libm::lgamma(a));
    if x < a + 1.0 {
        let (mut term, mut sum) = (1.0 / a, 1.0 / a);
        for k in 1..10_000 {
            term *= x / (a + f64::from(k));
            sum += term;
        }
        1.0 - scale * sum
    } else {
        let mut fraction = 0.0;
        for k in (1..2_000).rev() {
            let k = f64::from(k);
            fraction = k * (k - a) / (x + 2.0 * k + 1.0 - a - fraction);
        }
        scale / (x + 1.0 - a - fraction)
    }
}

#[test]
fn the_tail_of_chi_square_is_that_of_the_tables() {
    for (value, degrees, tail) in [
        (3.841_459, 1, 0.05),
        (16.918_978, 9, 0.05),
        (27.877_165, 9, 0.001),
        (59.703_064, 30, 0.001),
        (2.087_901, 9, 0.99),
    ] {
        assert!((chi_square_tail(value, degrees) / tail - 1.0).abs() < 1e-5);
    }
}

/// Pearson's test of counts against expectations, which are merged until each is at least 8.
fn fits(observed: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(observed.len(), expected.len());
    let mut bins: Vec<(f64, f64)> = Vec::new();
    let mut open = (0.0, 0.0);
    for (o, e) in observed.iter().zip(expected) {
        open = (open.0 + o, open.1 + e);
        if open.1 >= 8.0 {
            bins.push(open);
            open = (0.0, 0.0);
        }
    }
    if let Some(last) = bins.last_mut() {
        *last = (last.0 + open.0, last.1 + open.1);
    }
    assert!(bins.len() > 1, "one bin only");
    let value = bins.iter().map(|(o, e)| (o - e) * (o - e) / e).sum();
    chi_square_tail(value, bins.len() - 1)
}

/// Kolmogorov's test of times whose distribution function is given; the asymptotic law, which is
/// close for the thousands of times here.
fn kolmogorov(times: &[f64], distribution: impl Fn(f64) -> f64) -> f64 {
    let n = times.len() as f64;
    let distance = times
        .iter()
        .enumerate()
        .map(|(rank, time)| {
            let at = distribution(*time);
            (at - rank as f64 / n).max((rank + 1) as f64 / n - at)
        })
        .fold(0.0, f64::max);
    let scaled = distance * n.sqrt();
    (1..100)
        .map(|k| {
            let k = f64::from(k);
            let sign = if k % 2.0 == 1.0 { 2.0 } else { -2.0 };
            sign * libm::exp(-2.0 * k * k * scaled * scaled)
        })
        .sum()
}

/// Probabilities of Poisson counts `low..high`, by the gamma function.
fn poisson_law(mean: f64, low: u64, high: u64) -> Vec<f64> {
    (low..high)
        .map(|count| {
            let count = count as f64;
            libm::exp(count * libm::log(mean) - mean - libm::lgamma(count + 1.0))
        })
        .collect()
}

#[test]
fn counts_are_poisson_distributed() {
    // Both samplers, and both sides of the mean of 10 where one takes over from the other.
    for (seed, mean) in [0.02, 0.7, 3.3, 9.999, 10.0, 11.5, 42.0, 960.0, 31_000.0]
        .into_iter()
        .enumerate()
    {
        let mut random = random(seed as u64);
        let draws = 200_000;
        let reach = 9.0 * f64::sqrt(mean) + 6.0;
        let (low, high) = ((mean - reach).max(0.0) as u64, (mean + reach) as u64);
        let law = poisson_law(mean, low, high);
        let mut observed = vec![0.0; law.len()];
        for _ in 0..draws {
            let count = poisson(mean, &mut random);
            assert!((low..high).contains(&count), "{mean}: {count}");
            observed[(count - low) as usize] += 1.0;
        }
        let expected: Vec<f64> = law.iter().map(|p| p * f64::from(draws)).collect();
        let p = fits(&observed, &expected);
        assert!(p > SIGNIFICANCE, "mean {mean}: p = {p}");
    }
}

/// A law on a mean that no table of counts can hold: mean and variance of the standardized count.
#[test]
fn huge_means_keep_their_mean_and_variance() {
    for (seed, mean) in [1e7_f64, 1e12, 4e15].into_iter().enumerate() {
        let mut random = random(100 + seed as u64);
        let draws = 100_000;
        let standard: Vec<f64> = (0..draws)
            .map(|_| (poisson(mean, &mut random) as f64 - mean) / mean.sqrt())
            .collect();
        let n = f64::from(draws);
        let average = standard.iter().sum::<f64>() / n;
        let square = standard.iter().map(|z| z * z).sum::<f64>() / n;
        // 3.29 standard deviations: a significance of 1e-3.
        assert!(average.abs() < 3.29 / n.sqrt(), "{mean}: {average}");
        assert!((square - 1.0).abs() < 3.29 * (2.0 / n).sqrt(), "{mean}: {square}");
    }
}

#[test]
fn tiny_means_are_not_lost() {
    let (mean, draws) = (1e-6, 20_000_000_u32);
    let mut random = random(7);
    let hits: u64 = (0..draws).map(|_| poisson(mean, &mut random)).sum();
    // 20 are expected; the interval holds 99.9 % of a Poisson count of that mean.
    assert!((8..=37).contains(&hits), "{hits}");
    for nothing in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
        assert_eq!(poisson(nothing, &mut random), 0);
    }
}

#[test]
fn times_of_a_constant_rate_are_uniform() {
    let profile = RateProfile::constant(2.5e-3);
    let mut random = random(11);
    let times = profile.draw_times(1000, Hours(4000.0), &mut random);
    assert!((times.len() as f64 - 10_000.0).abs() < 3.29 * 100.0);
    assert!(times.is_sorted());
    let p = kolmogorov(&times, |time| time / 4000.0);
    assert!(p > SIGNIFICANCE, "{p}");
}

/// A satellite: quiet, a burst, nothing, quiet; 7 1/2 orbits of 8 hours.
#[test]
fn times_of_a_varying_rate_follow_it() {
    let pieces = [(3.0, 1e-3), (0.5, 4e-2), (2.0, 0.0), (2.5, 1e-3)];
    let profile = RateProfile::of_pieces(pieces.map(|(hours, rate)| (Hours(hours), rate)));
    let mission = 60.0;
    // The integral of the rate, hour by hour in steps of 1/1000.
    let rate_at = |time: f64| {
        let mut at = time % 8.0;
        for (hours, rate) in pieces {
            if at < hours {
                return rate;
            }
            at -= hours;
        }
        0.0
    };
    let steps = 60_000;
    let mut integral = vec![0.0];
    for step in 0..steps {
        let middle = (f64::from(step) + 0.5) * mission / f64::from(steps);
        integral.push(integral[integral.len() - 1] + rate_at(middle) * mission / f64::from(steps));
    }
    let total = integral[steps as usize];
    let bits = 50_000;
    let expected = profile.expected_events(bits, Hours(0.0), Hours(mission));
    assert!((expected / (total * bits as f64) - 1.0).abs() < 1e-9);
    let mut random = random(12);
    let times = profile.draw_times(bits, Hours(mission), &mut random);
    let p = kolmogorov(&times, |time| {
        let at = time / mission * f64::from(steps);
        let (low, part) = (at.floor() as usize, at.fract());
        let high = integral[(low + 1).min(steps as usize)];
        (integral[low] + part * (high - integral[low])) / total
    });
    assert!(p > SIGNIFICANCE, "{p}");
    assert!(times.iter().all(|time| rate_at(*time) > 0.0));
}

/// Counts in the pieces of a varying rate are Poisson counts of their own means.
#[test]
fn every_segment_has_poisson_counts() {
    let profile = RateProfile::of_pieces([(Hours(1.0), 2e-3), (Hours(1.0), 9e-3)]);
    let bits = 1000;
    let runs = 20_000;
    let means = [2.0, 9.0, 2.0];
    let mut observed = vec![vec![0.0; 60]; 3];
    let mut random = random(13);
    for _ in 0..runs {
        let times = profile.draw_times(bits, Hours(3.0), &mut random);
        let mut counts = [0; 3];
        for time in times {
            counts[time as usize] += 1;
        }
        for (segment, count) in counts.into_iter().enumerate() {
            observed[segment][count] += 1.0;
        }
    }
    for (counts, mean) in observed.iter().zip(means) {
        let expected: Vec<f64> = poisson_law(mean, 0, 60)
            .iter()
            .map(|p| p * f64::from(runs))
            .collect();
        let p = fits(counts, &expected);
        assert!(p > SIGNIFICANCE, "mean {mean}: {p}");
    }
}

fn table(name: &str) -> Clusters {
    ClusterTable::find(name, Path::new("")).unwrap().clusters()
}

#[test]
fn cluster_sizes_and_shapes_follow_their_tables() {
    for (seed, name) in [
        "mcu_28nm_xil7_cram",
        "mcu_28nm_xil7_cram_lowcount",
        "mcu_sram16Mb_lelape_ex1",
    ]
    .into_iter()
    .enumerate()
    {
        let clusters = table(name);
        let mut random = random(20 + seed as u64);
        let draws = 400_000;
        let mut sizes: BTreeMap<u32, f64> = BTreeMap::new();
        let mut shapes: BTreeMap<Vec<Offset>, f64> = BTreeMap::new();
        for _ in 0..draws {
            let cells = clusters.draw(&mut random);
            assert_eq!(cells[0], Offset::STRUCK);
            assert!(cells.is_sorted() && cells.windows(2).all(|pair| pair[0] != pair[1]));
            *sizes.entry(cells.len() as u32).or_default() += 1.0;
            *shapes.entry(cells).or_default() += 1.0;
        }
        let draws = f64::from(draws);
        let law: BTreeMap<u32, f64> = clusters.sizes().iter().copied().collect();
        assert!(sizes.keys().all(|size| law.contains_key(size)));
        let observed: Vec<f64> = law
            .keys()
            .map(|size| sizes.get(size).copied().unwrap_or(0.0))
            .collect();
        let expected: Vec<f64> = law.values().map(|share| share * draws).collect();
        let p = fits(&observed, &expected);
        assert!(p > SIGNIFICANCE, "{name}: sizes {p}");

        let mut shape_law: BTreeMap<Vec<Offset>, f64> = BTreeMap::new();
        for (size, share) in &law {
            for (within, cells) in clusters.shapes(*size) {
                *shape_law.entry(cells).or_default() += share * within;
            }
        }
        assert!((shape_law.values().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(shapes.keys().all(|cells| shape_law.contains_key(cells)));
        let observed: Vec<f64> = shape_law
            .keys()
            .map(|cells| shapes.get(cells).copied().unwrap_or(0.0))
            .collect();
        let expected: Vec<f64> = shape_law.values().map(|share| share * draws).collect();
        let p = fits(&observed, &expected);
        assert!(p > SIGNIFICANCE, "{name}: shapes {p}");
    }
}

/// Shares of the shapes among strikes of their size, by hand: of pairs there are the two diagonals,
/// the pair in a column and the pair in a row.
#[test]
fn a_shape_is_drawn_among_those_of_its_size() {
    let clusters = table("mcu_28nm_xil7_cram");
    let sum = 0.578 + 0.122 + 0.086 + 0.018;
    let at = |row, column| Offset { row, column };
    let expected = [
        (0.578, [at(0, 0), at(1, -1)]),
        (0.122, [at(0, 0), at(1, 1)]),
        (0.086, [at(0, 0), at(1, 0)]),
        (0.018, [at(0, 0), at(0, 1)]),
    ];
    let pairs = clusters.shapes(2);
    assert_eq!(pairs.len(), expected.len());
    for ((share, cells), (stated, pattern)) in pairs.iter().zip(expected) {
        assert!((share - stated / sum).abs() < 1e-12);
        assert_eq!(cells.as_slice(), pattern);
    }
    // No shape of five cells is listed: the same bit in five adjacent rows.
    let run: Vec<Offset> = (0..5).map(|row| at(row, 0)).collect();
    assert_eq!(clusters.shapes(5), [(1.0, run)]);
    // Pairs in a row, the two shapes of three cells, and the one of four, which has two pairs.
    let in_word = 0.1849 * 0.018 / sum + 0.0182 + 0.0172;
    let total: f64 = [
        0.7719, 0.1849, 0.0182, 0.0172, 0.0029, 0.0031, 0.0009, 0.0006, 0.0003,
    ]
    .iter()
    .sum();
    assert!((clusters.share_in_one_word(1) - in_word / total).abs() < 1e-12);
    assert_eq!(clusters.share_in_one_word(2), 0.0);
}

#[test]
fn bursts_are_rows_and_single_is_one() {
    let mut random = random(3);
    assert_eq!(Clusters::single().draw(&mut random), [Offset::STRUCK]);
    assert!(!Clusters::single().is_assumed_single());
    assert!(Clusters::unknown().is_assumed_single() && table("mcu_16nm_finfet_max3").is_assumed_single());
    let burst = Clusters::burst(8);
    let cells: Vec<Offset> = (0..8).map(|column| Offset { row: 0, column }).collect();
    assert_eq!(burst.draw(&mut random), cells);
    assert_eq!(burst.mean_bits(), 8.0);
    assert_eq!(burst.share_in_one_word(1), 1.0);
    assert_eq!(burst.share_in_one_word(7), 1.0);
    assert_eq!(burst.share_in_one_word(8), 0.0);
}

proptest! {
    /// Expectations of adjacent spans add up, and none is negative.
    #[test]
    fn expected_events_add_up(
        pieces in prop::collection::vec((0.01_f64..50.0, 0.0_f64..2.0), 1..6),
        mut cuts in prop::collection::vec(0.0_f64..1000.0, 3),
        bits in 0_u64..1_000_000_000,
    ) {
        cuts.sort_by(f64::total_cmp);
        let profile = RateProfile::of_pieces(pieces.iter().map(|(hours, rate)| (Hours(*hours), *rate)));
        let of = |from: f64, to: f64| profile.expected_events(bits, Hours(from), Hours(to));
        let (whole, parts) = (of(cuts[0], cuts[2]), of(cuts[0], cuts[1]) + of(cuts[1], cuts[2]));
        prop_assert!(of(cuts[0], cuts[1]) >= 0.0);
        prop_assert!((whole - parts).abs() <= 1e-9 * (of(0.0, cuts[2]) + 1.0));
        let period: f64 = pieces.iter().map(|(hours, _)| hours).sum();
        let mean: f64 = pieces.iter().map(|(hours, rate)| hours * rate).sum::<f64>() / period;
        prop_assert!((profile.mean().value() - mean).abs() <= 1e-12 * (mean + 1.0));
        prop_assert_eq!(of(cuts[1], cuts[0].min(cuts[1])), 0.0);
    }

    /// Times are sorted and inside the mission, whatever the profile; no rate, no strikes.
    #[test]
    fn times_lie_in_the_mission(
        pieces in prop::collection::vec((0.01_f64..50.0, 0.0_f64..2.0), 0..6),
        mission in 0.0_f64..300.0,
        seed in 0_u64..1000,
    ) {
        let profile = RateProfile::of_pieces(pieces.iter().map(|(hours, rate)| (Hours(*hours), *rate)));
        let times = profile.draw_times(2, Hours(mission), &mut random(seed));
        prop_assert!(times.is_sorted());
        prop_assert!(times.iter().all(|time| (0.0..=mission).contains(time)));
        let none = profile.scaled(0.0).draw_times(1_000_000, Hours(mission), &mut random(seed));
        prop_assert!(none.is_empty());
    }
}
