//! The interval of a mean number of events that come in steps.

use super::mean::Sides;
use super::{CONFIDENCE, Interval, Moments};

/// The interval at 95 % of the mean number of events per mission, where a mission's number is a sum of steps that
/// come independently of each other, and no step brings more than `step` events at once: a compound Poisson
/// number. Strikes are such steps, and the bits that one of them flips are its events.
///
/// Gamma quantiles after Fay and Feuer (1997, Statistics in Medicine 16:791), whose weights are the steps: the upper
/// end has one more step of the largest size, the variance is the sample's, widened by the ratio of Student's
/// quantile to the normal one. Without any event the upper end is `-ln 0.025 / n` steps (Garwood's), with steps of
/// one event it is about Garwood's; missions whose numbers vary more than Poisson numbers have a wider one.
#[must_use]
pub fn count_interval(moments: &Moments, step: f64) -> Interval {
    let sides = Sides::of(moments);
    let step = step.max(0.0);
    let (low, high) = if moments.count() == 0 {
        (0.0, f64::INFINITY)
    } else {
        (
            sides.lower(moments.mean(), 0.0),
            sides.upper(moments.mean(), step),
        )
    };
    Interval {
        low: low.max(0.0),
        high,
        confidence: CONFIDENCE,
        method: "gamma_steps",
        assumes: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::garwood;
    use super::*;

    #[test]
    fn nothing_seen_is_the_rule_of_three_times_a_step() {
        for (count, step) in [(40, 1.0), (1000, 8.0)] {
            let mut moments = Moments::default();
            moments.extend(std::iter::repeat_n(0.0, count));
            let interval = count_interval(&moments, step);
            let expected = -libm::log(0.025) * step / count as f64;
            assert_eq!(interval.low, 0.0);
            assert!((interval.high / expected - 1.0).abs() < 1e-9, "{interval:?}");
        }
        assert!(count_interval(&Moments::default(), 1.0).high.is_infinite());
    }

    #[test]
    fn single_events_are_about_those_of_garwood() {
        // 1,000 missions, one in twenty with one event.
        let mut moments = Moments::default();
        moments.extend((0..1000).map(|mission| f64::from(u8::from(mission % 20 == 0))));
        let (interval, exact) = (count_interval(&moments, 1.0), garwood(50, 1000.0));
        assert!(
            (interval.low / exact.low - 1.0).abs() < 0.05,
            "{interval:?} {exact:?}"
        );
        assert!(
            (interval.high / exact.high - 1.0).abs() < 0.05,
            "{interval:?} {exact:?}"
        );
    }
}
