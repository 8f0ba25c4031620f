//! How often the intervals of sampled numbers hold the truth, for laws whose mean is known.

mod coverage_common;

use coverage_common::{Coverage, Found, intervals, too_low};
use radstream::campaign::statistics::{
    Bounds, FirstFailures, Interval, Moments, clopper_pearson, failure_rate_interval, garwood, mean_interval,
    wilson,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

/// What every interval states.
const NOMINAL: f64 = 0.95;

/// The probability that a table of intervals of exactly that coverage is called too low.
const TABLE_ERROR: f64 = 1e-3;

const UNIT: Bounds = Bounds { low: 0.0, high: 1.0 };
const OPEN: Bounds = Bounds {
    low: 0.0,
    high: f64::INFINITY,
};

fn full() -> bool {
    std::env::var("RADSTREAM_FULL_GOLDEN").is_ok_and(|value| value == "1")
}

/// A law of values with a known mean.
struct Law {
    name: String,
    mean: f64,
    bounds: Bounds,
    draw: Box<dyn Fn(&mut ChaCha8Rng) -> f64>,
}

fn law(name: impl Into<String>, mean: f64, draw: impl Fn(&mut ChaCha8Rng) -> f64 + 'static) -> Law {
    Law {
        name: name.into(),
        mean,
        bounds: UNIT,
        draw: Box::new(draw),
    }
}

fn uniform(random: &mut ChaCha8Rng) -> f64 {
    random.random_range(0.0..1.0)
}

fn normal(random: &mut ChaCha8Rng) -> f64 {
    let (radius, angle) = (1.0 - uniform(random), uniform(random));
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

fn exponential(random: &mut ChaCha8Rng) -> f64 {
    -(1.0 - uniform(random)).ln()
}

/// Knuth's method, in parts of mean 20 at most.
fn poisson(random: &mut ChaCha8Rng, mean: f64) -> u64 {
    let parts = (mean / 20.0).ceil().max(1.0);
    let floor = (-mean / parts).exp();
    (0..parts as u64)
        .map(|_| {
            let (mut count, mut product) = (0, uniform(random));
            while product > floor {
                count += 1;
                product *= uniform(random);
            }
            count
        })
        .sum()
}

/// The `k`-th smallest of `n` uniform numbers, of law beta(k, n + 1 - k).
fn order_statistic(random: &mut ChaCha8Rng, k: usize, n: usize) -> f64 {
    let mut values: Vec<f64> = (0..n).map(|_| uniform(random)).collect();
    values.sort_by(f64::total_cmp);
    values[k - 1]
}

/// The mean of min(1, scale exp(sigma Z)), by the midpoint rule over Z.
fn capped_lognormal_mean(scale: f64, sigma: f64) -> f64 {
    let steps = 200_000;
    let width = 20.0 / f64::from(steps);
    (0..steps)
        .map(|i| {
            let z = -10.0 + width * (f64::from(i) + 0.5);
            (scale * (sigma * z).exp()).min(1.0) * (-z * z / 2.0).exp()
        })
        .sum::<f64>()
        * width
        / std::f64::consts::TAU.sqrt()
}

fn laws() -> Vec<Law> {
    let mut laws = Vec::new();
    for p in [0.5, 0.05, 0.002] {
        laws.push(law(format!("Bernoulli {p}"), p, move |r| {
            f64::from(u8::from(uniform(r) < p))
        }));
    }
    let (scale, sigma) = (0.03, 1.5);
    let lognormal_mean = capped_lognormal_mean(scale, sigma);
    for p in [0.005, 0.02, 0.1, 0.5, 1.0] {
        let sometimes = move |r: &mut ChaCha8Rng, value: fn(&mut ChaCha8Rng) -> f64| {
            let value = value(r);
            if uniform(r) < p { value } else { 0.0 }
        };
        laws.push(law(format!("{p} uniform"), p * 0.5, move |r| {
            sometimes(r, uniform)
        }));
        // The mean of min(1, 0.2 E) is 0.2 (1 - exp(-5)).
        laws.push(law(
            format!("{p} exponential"),
            p * 0.2 * (1.0 - (-5.0_f64).exp()),
            move |r| sometimes(r, |r| (0.2 * exponential(r)).min(1.0)),
        ));
        laws.push(law(format!("{p} lognormal"), p * lognormal_mean, move |r| {
            sometimes(r, |r| (0.03 * (1.5 * normal(r)).exp()).min(1.0))
        }));
    }
    for (p, q) in [(0.2, 0.004), (0.05, 0.01), (0.3, 0.03)] {
        laws.push(law(
            format!("0.03 x {p}, 0.6 x {q}"),
            0.03 * p + 0.6 * q,
            move |r| {
                let u = uniform(r);
                if u < q {
                    0.6
                } else if u < p + q {
                    0.03
                } else {
                    0.0
                }
            },
        ));
    }
    laws.push(law("beta 2, 8", 0.2, |r| order_statistic(r, 2, 9)));
    laws.push(law("beta 8, 2", 0.8, |r| order_statistic(r, 8, 9)));
    laws.push(law("hours to the first", 1.0 - (-1.0_f64).exp(), |r| {
        exponential(r).min(1.0)
    }));
    for mean in [0.01, 0.1, 1.0, 10.0, 100.0] {
        laws.push(Law {
            bounds: OPEN,
            ..law(format!("bursts {mean}"), 4.5 * mean, move |r| {
                let bursts = poisson(r, mean);
                (0..bursts).map(|_| r.random_range(1..=8_u64)).sum::<u64>() as f64
            })
        });
    }
    laws
}

/// A row of the table: its name, coverage, and the mean width of finite intervals over that of the normal
/// one of the same samples.
type Row = (String, Coverage, f64);

fn row(law: &Law, n: u64, replications: u64, seed: u64, method: &dyn Fn(&[f64]) -> (f64, f64)) -> Row {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (mut found, mut width, mut normal_width) = (Vec::new(), 0.0, 0.0);
    for _ in 0..replications {
        let values: Vec<f64> = (0..n).map(|_| (law.draw)(&mut random)).collect();
        let (low, high) = method(&values);
        if high.is_finite() {
            let mut moments = Moments::default();
            moments.extend(values);
            width += high - low;
            normal_width += 2.0 * 1.96 * (moments.variance() / n as f64).sqrt();
        }
        found.push((low, high));
    }
    (
        format!("{}, n {n}", law.name),
        Coverage::of(found, law.mean),
        width / normal_width,
    )
}

fn check(title: &str, rows: &[Row]) {
    println!("{title:<34} coverage  width/normal");
    for (name, coverage, width) in rows {
        println!("{name:<34} {:>8.3}  {width:>8.2}", coverage.share());
    }
    let coverages: Vec<(String, Coverage)> = rows.iter().map(|row| (row.0.clone(), row.1)).collect();
    let low = too_low(&coverages, NOMINAL, TABLE_ERROR);
    assert!(low.is_empty(), "{title}: {low:#?}");
}

fn by_moments(bounds: Bounds) -> impl Fn(&[f64]) -> (f64, f64) {
    move |values| {
        let mut moments = Moments::default();
        moments.extend(values.iter().copied());
        let interval = mean_interval(&moments, bounds);
        (interval.low, interval.high)
    }
}

#[test]
fn intervals_of_means_hold_the_mean() {
    let (sizes, replications): (&[u64], u64) = if full() {
        (&[40, 200, 1000], 600)
    } else {
        (&[40, 200], 300)
    };
    let mut rows = Vec::new();
    for (i, law) in laws().iter().enumerate() {
        for &n in sizes {
            let seed = 1000 * i as u64 + n;
            rows.push(row(law, n, replications, seed, &by_moments(law.bounds)));
        }
    }
    check("mean_interval", &rows);
}

/// The percentile bootstrap, whose failure shows that the table notices.
fn percentile_bootstrap(values: &[f64]) -> (f64, f64) {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut means: Vec<f64> = (0..200)
        .map(|_| {
            let sum: f64 = (0..values.len())
                .map(|_| values[random.random_range(0..values.len())])
                .sum();
            sum / values.len() as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    (means[5], means[194])
}

#[test]
fn the_table_notices_the_percentile_bootstrap() {
    for law in laws()
        .iter()
        .filter(|law| ["0.02 uniform", "0.1 lognormal"].contains(&&*law.name))
    {
        let (name, coverage, _) = row(law, 40, 200, 1, &percentile_bootstrap);
        assert!(
            !too_low(&[(name, coverage)], NOMINAL, TABLE_ERROR).is_empty(),
            "{}",
            law.name
        );
    }
}

/// A mission of length 1 whose first failure comes after hours of a Weibull law.
fn missions(random: &mut ChaCha8Rng, n: u64, shape: f64, scale: f64) -> FirstFailures {
    let mut sums = FirstFailures::default();
    for _ in 0..n {
        let hours = scale * exponential(random).powf(1.0 / shape);
        sums.add(hours < 1.0, hours.min(1.0));
    }
    sums
}

/// First failures per hour before them: the share that fails over the mean of the hours (the integral of
/// the survival function, by the midpoint rule).
fn true_rate(shape: f64, scale: f64) -> f64 {
    let survival = |t: f64| (-(t / scale).powf(shape)).exp();
    let steps = 2_000_000;
    let hours = (0..steps)
        .map(|i| survival((f64::from(i) + 0.5) / f64::from(steps)))
        .sum::<f64>()
        / f64::from(steps);
    (1.0 - survival(1.0)) / hours
}

fn failure_rows(interval: impl Fn(&FirstFailures) -> Interval, replications: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for shape in [0.5, 1.0, 2.0] {
        for scale in [0.02, 0.2, 1.0, 20.0] {
            let truth = true_rate(shape, scale);
            for n in [40, 200] {
                let mut random = ChaCha8Rng::seed_from_u64(n);
                let (mut width, mut exact) = (0.0, 0.0);
                let found: Vec<(f64, f64)> = (0..replications)
                    .map(|_| {
                        let sums = missions(&mut random, n, shape, scale);
                        let (this, garwood) = (interval(&sums), garwood(sums.failures(), sums.hours()));
                        width += this.high - this.low;
                        exact += garwood.high - garwood.low;
                        (this.low, this.high)
                    })
                    .collect();
                let name = format!("Weibull {shape}, scale {scale}, n {n}");
                rows.push((name, Coverage::of(found, truth), width / exact));
            }
        }
    }
    rows
}

#[test]
fn intervals_of_first_failures_hold_the_rate() {
    let rows = failure_rows(failure_rate_interval, if full() { 1000 } else { 400 });
    check("failure_rate_interval (over Garwood)", &rows);
}

#[test]
fn garwood_alone_misses_the_rate_of_a_falling_hazard() {
    let rows = failure_rows(|sums| garwood(sums.failures(), sums.hours()), 400);
    let falling: Vec<(String, Coverage)> = rows.iter().map(|row| (row.0.clone(), row.1)).collect();
    let low = too_low(&falling, NOMINAL, TABLE_ERROR);
    println!("garwood: {low:#?}");
    assert!(low.iter().any(|name| name.starts_with("Weibull 0.5")));
}

/// The probability that an interval of a share holds it, summed over the binomial law.
fn exact_coverage(method: fn(u64, u64) -> Interval, n: u64, share: f64) -> f64 {
    let mut probability = (1.0 - share).powf(n as f64);
    let mut held = 0.0;
    for count in 0..=n {
        let interval = method(count, n);
        if interval.low <= share && share <= interval.high {
            held += probability;
        }
        probability *= (n - count) as f64 / (count + 1) as f64 * share / (1.0 - share);
    }
    held
}

#[test]
fn the_exact_interval_holds_every_share() {
    let (mut lowest, mut lowest_wilson) = (1.0_f64, 1.0_f64);
    for share in (1..400).map(|i| f64::from(i) / 800.0) {
        let exact = exact_coverage(clopper_pearson, 40, share);
        assert!(exact >= NOMINAL - 1e-9, "{share}: {exact}");
        lowest = lowest.min(exact);
        lowest_wilson = lowest_wilson.min(exact_coverage(wilson, 40, share));
    }
    println!("lowest coverage of 40 trials: exact {lowest:.3}, wilson {lowest_wilson:.3}");
    assert!(lowest_wilson < NOMINAL - 0.05);
}

#[test]
fn a_table_of_stated_coverage_passes_and_one_below_it_does_not() {
    let of = |held| Coverage {
        replications: 600,
        held,
    };
    assert!((of(600).error(NOMINAL) - 1.0).abs() < 1e-9);
    assert!((of(0).error(0.5) / 0.5_f64.powi(600) - 1.0).abs() < 1e-9);
    let rows = |held| vec![("a".to_owned(), of(570)), ("b".to_owned(), of(held))];
    assert!(too_low(&rows(566), NOMINAL, TABLE_ERROR).is_empty());
    assert_eq!(too_low(&rows(540), NOMINAL, TABLE_ERROR), ["b: 0.900"]);
    // An end that is the truth holds it.
    assert_eq!(Coverage::of([(0.0, 1.0), (1.0, 2.0), (1.1, 2.0)], 1.0).held, 2);
}

#[test]
fn the_walker_pairs_every_interval_with_its_estimate() {
    let interval =
        |low: f64, high: Option<f64>| json!({"low": low, "high": high, "confidence": 0.95, "method": "m"});
    let report = |mean: f64| {
        json!({
            "loss": mean, "loss_interval": interval(0.0, Some(2.0)),
            "variants": [
                {"hours": {"mean": 2.0 * mean, "interval": interval(1.0, None)}},
                {"a/b": {"share": 3.0 * mean, "interval": interval(4.0, Some(5.0))}},
            ],
            "name": "x", "nothing": null,
        })
    };
    let found = intervals(&report(1.0), &report(10.0)).unwrap();
    let expected = |path: &str, low, high, truth| Found {
        path: path.to_owned(),
        low,
        high,
        method: "m".to_owned(),
        truth,
    };
    assert_eq!(
        found,
        [
            expected("/loss_interval", 0.0, 2.0, 10.0),
            expected("/variants/0/hours/interval", 1.0, f64::INFINITY, 20.0),
            expected("/variants/1/a~1b/interval", 4.0, 5.0, 30.0),
        ]
    );
}

#[test]
fn the_walker_refuses_intervals_without_estimate() {
    let interval = json!({"low": 0, "high": 1, "confidence": 0.95, "method": "m"});
    let refused = |small: &serde_json::Value, long: &serde_json::Value| intervals(small, long).unwrap_err();
    let alone = json!({"loss_interval": interval});
    assert!(refused(&alone, &alone).contains("/loss_interval"));
    let other = json!({"band": interval, "mean": 1.0});
    assert!(refused(&other, &other).contains("/band"));
    let two = json!({"interval": interval, "mean": 1.0, "share": 2.0});
    assert!(refused(&two, &two).contains("2 estimates"));
    let list = json!([interval]);
    assert!(refused(&list, &list).contains("/0"));
    let whole = json!({"a": {"loss": 1, "loss_interval": interval}});
    assert!(refused(&whole, &json!({"a": null})).contains("/a"));
    assert!(refused(&whole, &json!({})).contains("/a"));
    assert!(refused(&json!([1, 2]), &json!([1])).contains("2 and 1"));
}
