//! When strikes come.

use rand::{Rng, RngExt};
use serde::Serialize;

use super::poisson::poisson;
use super::rate::{Hours, Quantity, StrikesPerBitHour};

/// A stretch of constant rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Piece {
    hours: f64,
    events_per_bit_hour: f64,
}

/// Strikes per bit and hour over time: constant pieces that repeat for as long as a mission lasts.
///
/// Strikes are a Poisson process, so their number in a time span is Poisson distributed with the
/// integral of the rate as its mean, and given that number each comes independently with a
/// probability proportional to the rate at its time.
///
/// ```
/// use radstream::radiation::{RateProfile, rate::Hours};
/// let profile = RateProfile::constant(1e-6);
/// assert!((profile.expected_events(1_000_000, Hours(0.0), Hours(2.0)) - 2.0).abs() < 1e-12);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RateProfile {
    pieces: Vec<Piece>,
}

impl RateProfile {
    /// The same rate at all times; one that is negative or not finite counts as 0.
    #[must_use]
    pub fn constant(events_per_bit_hour: f64) -> Self {
        Self::of_pieces([(Hours(1.0), events_per_bit_hour)])
    }

    /// Pieces of a constant rate that follow each other and repeat. Pieces without a length are left
    /// out; a rate that is negative or not finite counts as 0.
    #[must_use]
    pub fn of_pieces(pieces: impl IntoIterator<Item = (Hours, f64)>) -> Self {
        let sound = |value: f64| value.is_finite() && value > 0.0;
        let mut kept: Vec<Piece> = Vec::new();
        for (hours, rate) in pieces.into_iter().filter(|(hours, _)| sound(hours.0)) {
            let events_per_bit_hour = if sound(rate) { rate } else { 0.0 };
            match kept.last_mut() {
                Some(last) if last.events_per_bit_hour == events_per_bit_hour => last.hours += hours.0,
                _ => kept.push(Piece {
                    hours: hours.0,
                    events_per_bit_hour,
                }),
            }
        }
        Self { pieces: kept }
    }

    /// The same course with another scale.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        Self::of_pieces(
            self.pieces
                .iter()
                .map(|piece| (Hours(piece.hours), piece.events_per_bit_hour * factor)),
        )
    }

    /// Lengths and rates of the pieces, the first from time 0.
    pub fn pieces(&self) -> impl Iterator<Item = (Hours, f64)> + '_ {
        self.pieces
            .iter()
            .map(|piece| (Hours(piece.hours), piece.events_per_bit_hour))
    }

    /// Mean over one repetition.
    #[must_use]
    pub fn mean(&self) -> StrikesPerBitHour {
        Quantity::of(match self.pieces.as_slice() {
            [] => 0.0,
            [only] => only.events_per_bit_hour,
            _ => self.in_period(0.0, self.period()) / self.period(),
        })
    }

    /// Expected number of strikes on so many bits between two times.
    #[must_use]
    pub fn expected_events(&self, bits: u64, from: Hours, to: Hours) -> f64 {
        let (from, to) = (from.0.max(0.0), to.0.max(0.0));
        if !(from < to && to.is_finite()) {
            return 0.0;
        }
        let per_bit = match self.pieces.as_slice() {
            [] => 0.0,
            [only] => only.events_per_bit_hour * (to - from),
            _ => {
                let period = self.period();
                let (first, last) = ((from / period).floor(), (to / period).floor());
                let (from, to) = (from - first * period, to - last * period);
                if first == last {
                    self.in_period(from, to)
                } else {
                    self.in_period(from, period)
                        + (last - first - 1.0) * self.in_period(0.0, period)
                        + self.in_period(0.0, to)
                }
            }
        };
        per_bit * bits as f64
    }

    /// Times of the strikes on so many bits in hours, in rising order. Memory in proportion to
    /// [`RateProfile::expected_events`].
    pub fn draw_times(&self, bits: u64, mission: Hours, random: &mut impl Rng) -> Vec<f64> {
        let expected = self.expected_events(bits, Hours(0.0), mission);
        let count = poisson(expected, random);
        let mut times: Vec<f64> = (0..count)
            .map(|_| self.time_at(random.random::<f64>(), mission.0))
            .collect();
        times.sort_unstable_by(f64::total_cmp);
        times
    }

    /// The time of one strike that is known to come in a mission, in hours.
    pub fn draw_time(&self, mission: Hours, random: &mut impl Rng) -> f64 {
        self.time_at(random.random::<f64>(), mission.0)
    }

    /// The time before which so large a share of the expected strikes of a mission come.
    fn time_at(&self, share: f64, mission: f64) -> f64 {
        if self.pieces.len() <= 1 {
            return share * mission;
        }
        let period = self.period();
        let in_period = self.in_period(0.0, period);
        let target = share * self.expected_events(1, Hours(0.0), Hours(mission));
        let repetition = (target / in_period).floor();
        let mut left = target - repetition * in_period;
        let mut at = repetition * period;
        for piece in &self.pieces {
            let events = piece.hours * piece.events_per_bit_hour;
            if left < events {
                at += left / piece.events_per_bit_hour;
                break;
            }
            left -= events;
            at += piece.hours;
        }
        at.min(mission)
    }

    fn period(&self) -> f64 {
        self.pieces.iter().map(|piece| piece.hours).sum()
    }

    /// Expected strikes on one bit between two times of the first repetition.
    fn in_period(&self, from: f64, to: f64) -> f64 {
        let mut start = 0.0;
        let mut sum = 0.0;
        for piece in &self.pieces {
            let end = start + piece.hours;
            let overlap = to.min(end) - from.max(start);
            if overlap > 0.0 {
                sum += overlap * piece.events_per_bit_hour;
            }
            start = end;
        }
        sum
    }
}
