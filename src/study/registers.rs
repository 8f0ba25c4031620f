//! What do strikes on registers do? Each comes at a cycle of its own, in a run of the cycle engine of its own.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::conduct::{Forecast, Workbench};
use super::one_campaign::OneCampaign;
use super::unbuilt::Unbuilt;
use super::{NetworkRequest, SamplesRequest, Session, StudyError, scope};
use crate::accelerator::Accelerator;
use crate::campaign::statistics::Interval;
use crate::campaign::{Kind, RegisterReport, RegisterStrikes, Shard, StopRule, StrikeOutcome, StrikeShares};
use crate::radiation::Clusters;
use crate::radiation::rate::{FlippedBitsPerHour, StrikesPerBitHour, StrikesPerHour};
use crate::simulate::cycle::Pipeline;

/// Strikes registers, FIFOs, line buffers and control state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegisterRequest {
    /// The network on its hardware.
    pub network: NetworkRequest,
    /// Samples and what judges their outputs.
    pub samples: SamplesRequest,
    /// Number of strikes.
    pub strikes: u64,
    /// Seed.
    pub seed: u64,
    /// Ends it once the share of strikes with an effect is known so well.
    pub until: Option<StopRule>,
    /// A part of the strikes only.
    pub shard: Option<Shard>,
}

impl Default for RegisterRequest {
    fn default() -> Self {
        Self {
            network: NetworkRequest::default(),
            samples: SamplesRequest::default(),
            strikes: 1000,
            seed: 1,
            until: None,
            shard: None,
        }
    }
}

/// What the strikes come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RegisterStudyReport {
    /// What the strikes come to.
    #[serde(flatten)]
    pub campaign: RegisterReport,
    /// What is odd about the workload.
    pub warnings: Vec<String>,
    /// Where the records are.
    #[serde(skip)]
    pub folder: std::path::PathBuf,
}

/// Most strikes.
pub(super) const MAX_STRIKES: u64 = 1_000_000_000;

pub(super) const KIND: &str = "campaign-registers";

/// The pipeline of an accelerator.
pub(super) fn pipeline(accelerator: &Accelerator) -> Result<Arc<Pipeline>, StudyError> {
    Ok(Pipeline::new(accelerator).map_err(|error| Unbuilt::new(error, accelerator))?)
}

/// Strikes on the registers of a workbench.
pub(super) fn strikes(workbench: &Workbench, strikes: u64, seed: u64) -> Result<RegisterStrikes, StudyError> {
    scope::within(
        "strikes on registers",
        strikes,
        MAX_STRIKES,
        "1000 or more for a useful interval",
    )?;
    let accelerator = &workbench.design.accelerator;
    let pipeline = pipeline(accelerator)?;
    if pipeline.register_bits() == 0 {
        return Err(StudyError::refused(
            "the accelerator has no register to strike",
            "an accelerator with registers",
        ));
    }
    Ok(RegisterStrikes::new(
        Arc::clone(accelerator),
        pipeline,
        Arc::new(workbench.bench.inputs().to_vec()),
        Arc::new(workbench.bench.evaluator().clone()),
        (strikes, seed),
    ))
}

impl RegisterRequest {
    fn campaign(&self) -> OneCampaign<'_, Self> {
        OneCampaign {
            study: KIND,
            request: self,
            network: &self.network,
            samples: &self.samples,
            what: "register strikes",
            shard: self.shard,
            until: self.until,
        }
    }

    /// What it would take.
    ///
    /// # Errors
    /// [`StudyError::Request`] where the request has no meaning or a file cannot be read.
    pub fn forecast(&self, session: &Session) -> Result<Forecast, StudyError> {
        let kind = |workbench: &Workbench| strikes(workbench, self.strikes, self.seed);
        self.campaign().forecast(session, kind)
    }

    /// Runs it, or what is missing of it, and writes `records.csv` and `summary.json`.
    ///
    /// # Errors
    /// [`StudyError`].
    pub fn run(&self, session: &Session) -> Result<RegisterStudyReport, StudyError> {
        self.campaign().run(
            session,
            |workbench| strikes(workbench, self.strikes, self.seed),
            |kind, sums, opened, folder| RegisterStudyReport {
                campaign: kind.report(sums),
                warnings: opened.warnings,
                folder: folder.to_owned(),
            },
        )
    }
}

/// What strikes on registers mean beside a mission, at a rate of strikes on one register bit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShortLived {
    /// Whether they were struck.
    pub simulated: bool,
    /// Bits of registers.
    pub register_bits: u64,
    /// Strikes on them per hour.
    pub events_per_hour: StrikesPerHour,
    /// Bits that these strikes flip per hour, by the clusters in force.
    pub flipped_bits_per_hour: FlippedBitsPerHour,
    /// Share of the time in which a sample is on its way.
    pub live_share: f64,
    /// Cycles between two samples in steady operation.
    pub cycles_per_inference: u64,
    /// Simulated strikes.
    pub strikes: u64,
    /// Wrong inferences per hour, each flipped bit taken for a strike of its own: which registers lie beside each
    /// other is not known.
    pub wrong_per_hour: f64,
    /// Its interval, by the sampled strikes alone: the rate has a band of its own.
    pub wrong_per_hour_interval: Interval,
    /// The range that the band of the rate alone gives; none where the source states none.
    pub wrong_per_hour_band: Option<[f64; 2]>,
    /// Wrong inferences per 1e9 hours.
    pub wrong_fit: f64,
    /// Hangs per hour.
    pub hangs_per_hour: f64,
    /// Its interval, by the sampled strikes alone; none where no strike was simulated.
    pub hangs_per_hour_interval: Option<Interval>,
    /// Shares of all strikes.
    pub all: StrikeShares,
    /// By register class.
    pub by_class: Vec<StrikeShares>,
    /// By layer.
    pub by_layer: Vec<StrikeShares>,
    /// How they were struck.
    pub note: &'static str,
}

/// How often and for how long registers can be struck.
pub(super) struct RegisterRate {
    pub strikes: StrikesPerBitHour,
    /// What one of them flips.
    pub clusters: Clusters,
    /// The rate is known within this factor.
    pub uncertainty_factor: Option<f64>,
    pub inferences_per_s: Option<f64>,
}

impl ShortLived {
    pub(super) fn new(
        accelerator: &Accelerator,
        report: &RegisterReport,
        rate: &RegisterRate,
    ) -> Result<Self, StudyError> {
        let live_share = live_share(accelerator, report.cycles_per_inference, rate.inferences_per_s)?;
        let all = &report.all;
        let events_per_hour = rate.strikes.of_bits(all.bits);
        let flipped_bits_per_hour = events_per_hour.flipped_bits(&rate.clusters);
        let of = |share: f64| flipped_bits_per_hour.value() * live_share * share;
        let hangs = all
            .outcomes
            .iter()
            .find(|share| share.outcome == StrikeOutcome::Hang);
        let wrong_per_hour = of(all.effective);
        Ok(Self {
            simulated: true,
            register_bits: all.bits,
            events_per_hour,
            flipped_bits_per_hour,
            live_share,
            cycles_per_inference: report.cycles_per_inference,
            strikes: all.strikes,
            wrong_per_hour,
            wrong_per_hour_interval: all.effective_interval.clone().scaled(of(1.0)),
            wrong_per_hour_band: rate
                .uncertainty_factor
                .map(|factor| [wrong_per_hour / factor, wrong_per_hour * factor]),
            wrong_fit: wrong_per_hour * 1e9,
            hangs_per_hour: of(hangs.map_or(0.0, |share| share.share)),
            hangs_per_hour_interval: hangs.map(|share| share.interval.clone().scaled(of(1.0))),
            all: all.clone(),
            by_class: report.by_class.clone(),
            by_layer: report.by_layer.clone(),
            note: "each strike in a run of the cycle engine of its own, at a cycle drawn over steady operation, on memories without upsets; a strike while no sample is on its way does nothing; where a strike flips several bits, each counts as a strike of its own",
        })
    }
}

/// Share of the time in which a sample is on its way, so that a register is live at all.
fn live_share(
    accelerator: &Accelerator,
    interval: u64,
    inferences_per_s: Option<f64>,
) -> Result<f64, StudyError> {
    let Some(rate) = inferences_per_s else {
        return Ok(1.0);
    };
    if !(rate.is_finite() && rate >= 0.0) {
        return Err(StudyError::refused_about(
            "inference_rate",
            format!("{rate} inferences per second are no rate"),
            "a finite number of inferences per second from 0",
        ));
    }
    let Some(mhz) = accelerator.clock_mhz() else {
        return Err(StudyError::refused_about(
            "inference_rate",
            "a rate of inferences needs a clock",
            "`clock_mhz` in the hardware file, or no rate of inferences",
        ));
    };
    Ok((rate * interval as f64 / (mhz * 1e6)).min(1.0))
}
