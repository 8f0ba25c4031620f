//! What strikes on registers came to: shares of outcomes, vulnerability factors and failure rates, each with its
//! interval.

use serde::Serialize;

use super::StrikeOutcome;
use super::statistics::{Interval, clopper_pearson};
use crate::radiation::rate::{Fit, FlippedBits, FlippedBitsPerBitHour};

/// Strikes by outcome, in the order of [`StrikeOutcome::ALL`].
pub type Outcomes = [u64; StrikeOutcome::ALL.len()];

/// One outcome's share.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutcomeShare {
    /// The outcome.
    pub outcome: StrikeOutcome,
    /// Strikes that came to it.
    pub strikes: u64,
    /// Share of all strikes.
    pub share: f64,
    /// Interval of the share.
    pub interval: Interval,
}

/// A share of the strikes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShareOfStrikes {
    /// Strikes that it counts.
    pub strikes: u64,
    /// Their share; 0 without strikes.
    pub share: f64,
    /// Interval of the share.
    pub interval: Interval,
}

impl ShareOfStrikes {
    fn new(count: u64, strikes: u64) -> Self {
        Self {
            strikes: count,
            share: share(count, strikes).unwrap_or(0.0),
            interval: clopper_pearson(count, strikes),
        }
    }
}

fn share(count: u64, strikes: u64) -> Option<f64> {
    (strikes > 0).then(|| count as f64 / strikes as f64)
}

/// How often the bits of registers are flipped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RawRate {
    /// Flipped bits per register bit and hour.
    pub flipped_bits: FlippedBitsPerBitHour,
    /// The rate is known within this factor; none where its source does not say.
    pub uncertainty_factor: Option<f64>,
    /// Share of the time in which a sample is on its way; a strike in the rest of it does nothing.
    pub live_share: f64,
}

/// How often strikes on some registers do harm: the raw rate times the AVF, times the share of the time in which a
/// sample is on its way. Each flipped bit counts as a strike of its own.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FailureFit {
    /// Flipped bits per 1e9 hours.
    pub raw_flipped_bits_fit: Fit<FlippedBits>,
    /// Inferences that go wrong or hang per 1e9 hours; none where nothing struck.
    pub failure_fit: Option<f64>,
    /// Its interval, by the sampled strikes alone: the raw rate has a band of its own.
    pub failure_fit_interval: Option<Interval>,
    /// The range that the band of the raw rate alone gives; none where its source states none.
    pub failure_fit_band: Option<[f64; 2]>,
    /// Those of them that are wrong without a sign of it, per 1e9 hours.
    pub silent_corruption_fit: Option<f64>,
    /// Its interval, as above.
    pub silent_corruption_fit_interval: Option<Interval>,
    /// Those of them that hang, per 1e9 hours.
    pub hang_fit: Option<f64>,
    /// Its interval, as above.
    pub hang_fit_interval: Option<Interval>,
    /// Those of them with too many or too few words, per 1e9 hours.
    pub stream_corruption_fit: Option<f64>,
    /// Its interval, as above.
    pub stream_corruption_fit_interval: Option<Interval>,
}

/// What strikes on some register bits came to.
///
/// The architectural vulnerability factor (AVF) is the probability that an upset of a random bit at a random cycle has
/// an effect that is seen (Mukherjee et al., MICRO-36, 2003), here the share of simulated strikes that have one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StrikeShares {
    /// Bits that can be struck.
    pub bits: u64,
    /// Strikes.
    pub strikes: u64,
    /// Share of strikes with any effect; none where nothing struck.
    pub avf: Option<f64>,
    /// Its interval.
    pub avf_interval: Option<Interval>,
    /// The AVF times the bits.
    pub effective_bits: Option<f64>,
    /// Strikes after which every word comes out, and a value is wrong.
    pub silent_corruption: ShareOfStrikes,
    /// Strikes after which a sample never comes out.
    pub hang: ShareOfStrikes,
    /// Strikes after which too many or too few words come out.
    pub stream_corruption: ShareOfStrikes,
    /// Strikes and share of each outcome, harmless first.
    pub outcomes: Vec<OutcomeShare>,
    /// What that means at a rate of strikes, where one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rates: Option<FailureFit>,
}

impl StrikeShares {
    /// Shares of strikes on so many bits, drawn uniformly over them and the cycles.
    #[must_use]
    pub fn new(bits: u64, outcomes: &Outcomes) -> Self {
        let strikes = outcomes.iter().sum();
        let count = |of: &[StrikeOutcome]| of.iter().map(|&outcome| outcomes[outcome as usize]).sum();
        let effective = strikes - outcomes[StrikeOutcome::NoEffect as usize];
        let avf = share(effective, strikes);
        let share_of = |of: &[StrikeOutcome]| ShareOfStrikes::new(count(of), strikes);
        let of_outcome = |outcome: StrikeOutcome| {
            let ShareOfStrikes {
                strikes,
                share,
                interval,
            } = share_of(&[outcome]);
            OutcomeShare {
                outcome,
                strikes,
                share,
                interval,
            }
        };
        Self {
            bits,
            strikes,
            avf,
            avf_interval: avf.map(|_| clopper_pearson(effective, strikes)),
            effective_bits: avf.map(|avf| avf * bits as f64),
            silent_corruption: share_of(&[StrikeOutcome::OutputChanged, StrikeOutcome::ClassChanged]),
            hang: share_of(&[StrikeOutcome::Hang]),
            stream_corruption: share_of(&[StrikeOutcome::StreamCorrupted]),
            outcomes: StrikeOutcome::ALL.into_iter().map(of_outcome).collect(),
            rates: None,
        }
    }

    /// The interval of the share of strikes with any effect; everything is possible where nothing struck.
    #[must_use]
    pub fn any_effect_interval(&self) -> Interval {
        self.avf_interval.clone().unwrap_or_else(|| clopper_pearson(0, 0))
    }

    /// States what they mean at a rate of strikes.
    pub(super) fn rate(&mut self, raw: &RawRate) {
        let flips = raw.flipped_bits.of_bits(self.bits).fit();
        let live = flips.value() * raw.live_share;
        let failure_fit = self.avf.map(|avf| avf * live);
        let struck = |part: &ShareOfStrikes| {
            let interval = part.interval.clone().scaled(live);
            self.avf.map(|_| (part.share * live, interval))
        };
        let (silent_corruption_fit, silent_corruption_fit_interval) = struck(&self.silent_corruption).unzip();
        let (hang_fit, hang_fit_interval) = struck(&self.hang).unzip();
        let (stream_corruption_fit, stream_corruption_fit_interval) = struck(&self.stream_corruption).unzip();
        self.rates = Some(FailureFit {
            raw_flipped_bits_fit: flips,
            failure_fit,
            failure_fit_interval: self.avf_interval.clone().map(|interval| interval.scaled(live)),
            failure_fit_band: failure_fit
                .zip(raw.uncertainty_factor)
                .map(|(fit, factor)| [fit / factor, fit * factor]),
            silent_corruption_fit,
            silent_corruption_fit_interval,
            hang_fit,
            hang_fit_interval,
            stream_corruption_fit,
            stream_corruption_fit_interval,
        });
    }
}

/// What strikes on the registers of a unit came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UnitShares {
    /// `<layer>.<unit>`.
    pub unit: String,
    /// The layer.
    pub layer: String,
    /// Its kind.
    pub kind: &'static str,
    /// Shares of the strikes on it.
    #[serde(flatten)]
    pub shares: StrikeShares,
}

/// What strikes on the registers of a class came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassShares {
    /// The class.
    pub class: &'static str,
    /// Shares of the strikes on it.
    #[serde(flatten)]
    pub shares: StrikeShares,
}

/// What strikes on the registers of a layer came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerShares {
    /// The layer.
    pub layer: String,
    /// Shares of the strikes on it.
    #[serde(flatten)]
    pub shares: StrikeShares,
}

/// What strikes on one register, with all its words and lanes, came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RegisterShares {
    /// Its path.
    pub register: String,
    /// `<layer>.<unit>`.
    pub unit: String,
    /// The layer.
    pub layer: String,
    /// The class.
    pub class: &'static str,
    /// Words.
    pub words: usize,
    /// Lanes of a word.
    pub lanes: usize,
    /// Bits of a lane.
    pub lane_bits: u32,
    /// When what it holds can matter.
    pub live: String,
    /// Shares of the strikes on it.
    #[serde(flatten)]
    pub shares: StrikeShares,
}

/// The AVF of all registers as the sum over groups of their bits times their AVF: the post-stratified estimate (Cochran,
/// Sampling Techniques, 1977, 5A.9). It estimates the same number as the plain share of all strikes, so that the
/// interval of that share is its interval as well; the two differ by how many strikes each group happened to get.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PostStratified {
    /// What the groups are: `unit`.
    pub by: &'static str,
    /// Bits of the groups that were struck.
    pub bits: u64,
    /// Sum of their bits times their AVF.
    pub effective_bits: f64,
    /// That over their bits; none without strikes.
    pub avf: Option<f64>,
    /// Sum of their rates of failures, where the rate of strikes is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_fit: Option<f64>,
    /// Groups that nothing struck, which are left out.
    pub without_strikes: u64,
    /// Their bits.
    pub bits_without_strikes: u64,
}

impl PostStratified {
    /// Of these units.
    pub(super) fn of(units: &[UnitShares]) -> Self {
        let (struck, others): (Vec<&StrikeShares>, Vec<&StrikeShares>) = units
            .iter()
            .map(|unit| &unit.shares)
            .partition(|shares| shares.strikes > 0);
        let bits_of = |all: &[&StrikeShares]| all.iter().map(|shares| shares.bits).sum();
        let bits: u64 = bits_of(&struck);
        let effective_bits = struck.iter().filter_map(|shares| shares.effective_bits).sum();
        let fits = struck.iter().filter_map(|shares| shares.rates.as_ref());
        let fits: Vec<f64> = fits.filter_map(|rates| rates.failure_fit).collect();
        Self {
            by: "unit",
            bits,
            effective_bits,
            avf: (bits > 0).then(|| effective_bits / bits as f64),
            failure_fit: (!fits.is_empty()).then(|| fits.iter().sum()),
            without_strikes: others.len() as u64,
            bits_without_strikes: bits_of(&others),
        }
    }
}

/// A line of the table of registers.
#[derive(Serialize)]
struct TableRow<'a> {
    register: &'a str,
    unit: &'a str,
    layer: &'a str,
    class: &'a str,
    words: usize,
    lanes: usize,
    lane_bits: u32,
    live: &'a str,
    bits: u64,
    strikes: u64,
    no_effect: u64,
    output_changed: u64,
    class_changed: u64,
    hang: u64,
    stream_corrupted: u64,
    avf: Option<f64>,
    avf_low: Option<f64>,
    avf_high: Option<f64>,
    silent_corruption: Option<f64>,
    silent_corruption_low: Option<f64>,
    silent_corruption_high: Option<f64>,
    hang_share: Option<f64>,
    hang_low: Option<f64>,
    hang_high: Option<f64>,
    interval: &'static str,
    confidence: Option<f64>,
    effective_bits: Option<f64>,
    raw_flipped_bits_fit: Option<f64>,
    failure_fit: Option<f64>,
    failure_fit_low: Option<f64>,
    failure_fit_high: Option<f64>,
}

impl<'a> TableRow<'a> {
    fn of(row: &'a RegisterShares) -> Self {
        let shares = &row.shares;
        let count = |outcome: StrikeOutcome| shares.outcomes[outcome as usize].strikes;
        let ends =
            |interval: Option<&Interval>| interval.map(|interval| (interval.low, interval.high)).unzip();
        let part = |part: &ShareOfStrikes| {
            let (low, high) = ends(shares.avf.map(|_| &part.interval));
            (shares.avf.map(|_| part.share), low, high)
        };
        let (avf_low, avf_high) = ends(shares.avf_interval.as_ref());
        let (silent_corruption, silent_corruption_low, silent_corruption_high) =
            part(&shares.silent_corruption);
        let (hang_share, hang_low, hang_high) = part(&shares.hang);
        let rates = shares.rates.as_ref();
        let (failure_fit_low, failure_fit_high) =
            ends(rates.and_then(|rates| rates.failure_fit_interval.as_ref()));
        Self {
            register: &row.register,
            unit: &row.unit,
            layer: &row.layer,
            class: row.class,
            words: row.words,
            lanes: row.lanes,
            lane_bits: row.lane_bits,
            live: &row.live,
            bits: shares.bits,
            strikes: shares.strikes,
            no_effect: count(StrikeOutcome::NoEffect),
            output_changed: count(StrikeOutcome::OutputChanged),
            class_changed: count(StrikeOutcome::ClassChanged),
            hang: count(StrikeOutcome::Hang),
            stream_corrupted: count(StrikeOutcome::StreamCorrupted),
            avf: shares.avf,
            avf_low,
            avf_high,
            silent_corruption,
            silent_corruption_low,
            silent_corruption_high,
            hang_share,
            hang_low,
            hang_high,
            interval: shares
                .avf_interval
                .as_ref()
                .map_or("", |interval| interval.method),
            confidence: shares.avf_interval.as_ref().map(|interval| interval.confidence),
            effective_bits: shares.effective_bits,
            raw_flipped_bits_fit: rates.map(|rates| rates.raw_flipped_bits_fit.value()),
            failure_fit: rates.and_then(|rates| rates.failure_fit),
            failure_fit_low,
            failure_fit_high,
        }
    }
}

/// A table of registers as CSV with a header, a line each; what is not known is empty.
#[must_use]
pub fn register_csv(registers: &[RegisterShares]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in registers {
        // Numbers and texts into memory.
        writer.serialize(TableRow::of(row)).expect("a line of a table");
    }
    writer.into_inner().expect("nothing to flush to")
}
