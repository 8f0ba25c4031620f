//! The exact interval of a share of a finite population.

use super::{CONFIDENCE, Interval};

/// The exact interval at 95 % of the share of marked members of a population, `marked` of `drawn` draws without
/// replacement being marked: a share at either end gives that many marked draws, or more extreme numbers, with a
/// probability of at least 0.025, and none beyond it does (Buonaccorsi 1987, The American Statistician 41:215). All
/// members drawn leave nothing open.
///
/// More draws than members count as all of them.
#[must_use]
pub fn hypergeometric(marked: u64, drawn: u64, population: u64) -> Interval {
    let drawn = drawn.min(population);
    let marked = marked.min(drawn);
    let tail = (1.0 - CONFIDENCE) / 2.0;
    // The largest number of marked members under which so few marked draws are not too rare.
    let most = |marked: u64| {
        let (mut holds, mut fails) = (marked, population - (drawn - marked) + 1);
        while fails - holds > 1 {
            let middle = holds.midpoint(fails);
            if at_most(marked, drawn, middle, population) >= tail {
                holds = middle;
            } else {
                fails = middle;
            }
        }
        holds
    };
    let all = population.max(1) as f64;
    // From the other side: the unmarked draws are draws of unmarked members.
    let (low, high) = if population == 0 {
        (0.0, 1.0)
    } else {
        ((population - most(drawn - marked)) as f64, most(marked) as f64)
    };
    Interval {
        low: low / all,
        high: if population == 0 { 1.0 } else { high / all },
        confidence: CONFIDENCE,
        method: "hypergeometric",
        assumes: None,
    }
}

/// The probability of at most so many marked draws where so many members are marked.
fn at_most(marked: u64, drawn: u64, members: u64, population: u64) -> f64 {
    let least = (drawn + members).saturating_sub(population);
    let most = drawn.min(members);
    if marked >= most {
        return 1.0;
    }
    if marked < least {
        return 0.0;
    }
    let of = |n: u64, k: u64| {
        let ln = |count: u64| libm::lgamma(count as f64 + 1.0);
        ln(n) - ln(k) - ln(n - k)
    };
    let exactly = |k: u64| {
        let logarithm = of(members, k) + of(population - members, drawn - k) - of(population, drawn);
        libm::exp(logarithm)
    };
    // The probability of `k` over that of `k - 1`.
    let step = |k: u64| {
        let (ways, other) = (
            (members - k + 1) * (drawn - k + 1),
            population - members + k - drawn,
        );
        ways as f64 / (k as f64 * other as f64)
    };
    // The tail on the side of the rarer numbers, outwards until what is left cannot be seen.
    let mean = drawn as f64 * members as f64 / population as f64;
    let below = marked as f64 <= mean;
    let mut k = if below { marked } else { marked + 1 };
    let mut probability = exactly(k);
    let mut sum = 0.0;
    loop {
        sum += probability;
        let end = if below { k == least } else { k == most };
        if end || probability < sum * 1e-17 {
            break;
        }
        if below {
            probability /= step(k);
            k -= 1;
        } else {
            k += 1;
            probability *= step(k);
        }
    }
    if below { sum } else { 1.0 - sum }
}

#[cfg(test)]
mod tests {
    use super::super::clopper_pearson;
    use super::*;

    /// The probability of exactly so many marked draws, by counting all samples of a small population.
    fn counted(marked: u32, drawn: u32, members: u32, population: u32) -> f64 {
        let samples = (0u32..1 << population).filter(|sample| sample.count_ones() == drawn);
        let (mut all, mut hits) = (0.0, 0.0);
        for sample in samples {
            all += 1.0;
            hits += f64::from(u8::from((sample & ((1 << members) - 1)).count_ones() == marked));
        }
        hits / all
    }

    #[test]
    fn ends_are_those_that_counting_all_samples_gives() {
        for (population, drawn) in [(1, 1), (6, 3), (9, 4), (10, 9), (12, 1), (12, 5)] {
            for marked in 0..=drawn {
                // Members that this outcome, or one as extreme, does not rule out.
                let possible: Vec<u32> = (0..=population)
                    .filter(|&members| {
                        let sum = |range: std::ops::RangeInclusive<u32>| -> f64 {
                            range.map(|k| counted(k, drawn, members, population)).sum()
                        };
                        sum(0..=marked) >= 0.025 - 1e-12 && sum(marked..=drawn) >= 0.025 - 1e-12
                    })
                    .collect();
                let interval = hypergeometric(u64::from(marked), u64::from(drawn), u64::from(population));
                let ends = [interval.low, interval.high].map(|share| (share * f64::from(population)).round());
                assert_eq!(
                    ends,
                    [f64::from(possible[0]), f64::from(possible[possible.len() - 1])],
                    "{marked} of {drawn} of {population}"
                );
            }
        }
    }

    #[test]
    fn all_members_leave_nothing_open_and_a_large_population_is_a_binomial() {
        let all = hypergeometric(3, 8, 8);
        assert_eq!((all.low, all.high), (0.375, 0.375));
        let nothing = hypergeometric(0, 0, 5);
        assert_eq!((nothing.low, nothing.high), (0.0, 1.0));
        let nobody = hypergeometric(0, 0, 0);
        assert_eq!((nobody.low, nobody.high), (0.0, 1.0));
        for (marked, drawn) in [(0, 400), (1, 400), (150, 400), (400, 400), (3, 2_000)] {
            let few = hypergeometric(marked, drawn, 20_000_000);
            let with_replacement = clopper_pearson(marked, drawn);
            assert!(
                (few.low - with_replacement.low).abs() < 1e-3 * few.low.max(1e-3),
                "{marked} of {drawn}: {few:?} {with_replacement:?}"
            );
            assert!((few.high - with_replacement.high).abs() < 1e-3 * few.high.max(1e-3));
        }
    }
}
