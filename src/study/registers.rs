//! What do strikes on registers do? Each comes at a cycle of its own, in a run of the cycle engine of its own.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::conduct::{Forecast, Workbench, folder_error};
use super::one_campaign::{OneCampaign, Tables};
use super::rates::DEFAULT;
use super::unbuilt::Unbuilt;
use super::{Design, NetworkRequest, RateRequest, SamplesRequest, Session, StudyError, scope};
use crate::accelerator::{Accelerator, Style};
use crate::campaign::statistics::Interval;
use crate::campaign::{
    ClassShares, ClassesError, ClassesReport, Kind, LayerShares, RawRate, RegisterClasses, RegisterReport,
    RegisterSelection, RegisterStrikes, Shard, StopRule, StrikeShares, register_csv,
};
use crate::radiation::rate::{
    FlippedBitsPerBitHour, FlippedBitsPerHour, Quantity, StrikesPerBitHour, StrikesPerHour,
};
use crate::radiation::{Assumption, Clusters};
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
    /// How often registers are struck, for failure rates.
    pub rate: RateRequest,
    /// Inferences per second, for the time in which registers are live; one behind the other where it is not
    /// stated.
    pub inference_rate_per_s: Option<f64>,
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
            rate: RateRequest::default(),
            inference_rate_per_s: None,
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
    /// How often registers are struck, which the failure rates rest on.
    pub raw_rate: RawRateReport,
    /// What is odd about the workload.
    pub warnings: Vec<String>,
    /// Where the records are.
    #[serde(skip)]
    pub folder: std::path::PathBuf,
}

/// How often registers are struck, and what that rests on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RawRateReport {
    /// Strikes per register bit and hour.
    pub strikes_per_bit_hour: StrikesPerBitHour,
    /// Bits that these flip, per register bit and hour.
    pub flipped_bits_per_bit_hour: FlippedBitsPerBitHour,
    /// The rate is known within this factor; none where its source does not say.
    pub uncertainty_factor: Option<f64>,
    /// Inferences per second, where they are stated.
    pub inference_rate_per_s: Option<f64>,
    /// Share of the time in which a sample is on its way.
    pub live_share: f64,
    /// Name of the cluster table in force.
    pub clusters: String,
    /// Where the rate comes from.
    pub source: String,
    /// What it rests on without knowing.
    pub assumptions: Vec<Assumption>,
    /// What failure rates are.
    pub note: &'static str,
}

const FAILURE_RATES: &str = "failure FIT = raw FIT of flipped bits x AVF x share of the time with a sample on its way, per 1e9 hours; each flipped bit counts as a strike of its own; intervals are those of the sampled AVF, bands those of the raw rate";

impl RawRateReport {
    /// The rate of flip-flops under a request, in front of the hardware file, in front of the default. Its live
    /// share is known with the cycles of an inference.
    fn of(rate: &RateRequest, design: &Design, bits: u64) -> Result<Self, StudyError> {
        let exposures = rate.exposures(Some(&design.hardware), &[(Some(Style::Registers), bits)])?;
        let part = exposures.0.first();
        let clusters = part.map_or_else(Clusters::single, |part| part.assessment.clusters.clone());
        let strikes = part.map_or(Quantity::ZERO, |part| part.assessment.profile.mean());
        let mut assumptions = exposures.assumptions();
        if part.is_some_and(|part| part.technology == DEFAULT) {
            assumptions.push(Assumption {
                id: "register_rate",
                text: "no rate of flip-flops is stated: the default of block RAM stands for it".to_owned(),
            });
        }
        Ok(Self {
            strikes_per_bit_hour: strikes,
            flipped_bits_per_bit_hour: strikes.flipped_bits(&clusters),
            uncertainty_factor: part.and_then(|part| part.assessment.uncertainty_factor),
            inference_rate_per_s: None,
            live_share: 1.0,
            clusters: clusters.name().to_owned(),
            source: rate.source(&exposures),
            assumptions,
            note: FAILURE_RATES,
        })
    }

    fn raw(&self) -> RawRate {
        RawRate {
            flipped_bits: self.flipped_bits_per_bit_hour,
            uncertainty_factor: self.uncertainty_factor,
            live_share: self.live_share,
        }
    }
}

/// The table of registers beside the summary.
const TABLE: &str = "register_avf.csv";

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

    /// Runs it, or what is missing of it, and writes `records.csv`, `summary.json` and `register_avf.csv`.
    ///
    /// # Errors
    /// [`StudyError`].
    pub fn run(&self, session: &Session) -> Result<RegisterStudyReport, StudyError> {
        self.campaign().run_with(
            session,
            |workbench| strikes(workbench, self.strikes, self.seed),
            |workbench, kind| {
                let mut rate = RawRateReport::of(&self.rate, &workbench.design, kind.register_bits())?;
                rate.inference_rate_per_s = self.inference_rate_per_s;
                let accelerator = &workbench.design.accelerator;
                // What has no meaning is refused before the first strike.
                live_share(accelerator, 1, self.inference_rate_per_s)?;
                Ok(rate)
            },
            |kind, sums, opened, mut raw_rate, folder| {
                let report = kind.report(sums);
                let (cycles, inferences) = (report.cycles_per_inference, self.inference_rate_per_s);
                raw_rate.live_share = live_share(&opened.design.accelerator, cycles, inferences)?;
                Ok(RegisterStudyReport {
                    campaign: report.at_rate(&raw_rate.raw()),
                    raw_rate,
                    warnings: opened.warnings,
                    folder: folder.to_owned(),
                })
            },
            Tables {
                files: &[TABLE],
                write: |report: &RegisterStudyReport, folder| {
                    let table = register_csv(&report.campaign.by_register);
                    folder.write(TABLE, &table).map_err(folder_error)?;
                    Ok(())
                },
            },
        )
    }
}

/// Flips every register bit in every cycle of one sample, class by class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegisterClassesRequest {
    /// The network on its hardware.
    pub network: NetworkRequest,
    /// Samples and what judges their outputs.
    pub samples: SamplesRequest,
    /// Which of the samples is on its way, from 0; those beside it come before and behind it.
    pub sample: usize,
    /// Which register bits.
    pub selection: RegisterSelection,
    /// A part of the classes only.
    pub shard: Option<Shard>,
}

/// What all flips come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RegisterClassesStudyReport {
    /// What they come to.
    #[serde(flatten)]
    pub campaign: ClassesReport,
    /// What is odd about the workload.
    pub warnings: Vec<String>,
    /// Where the records are.
    #[serde(skip)]
    pub folder: std::path::PathBuf,
}

pub(super) const CLASSES: &str = "campaign-register-classes";

impl RegisterClassesRequest {
    fn campaign(&self) -> OneCampaign<'_, Self> {
        OneCampaign {
            study: CLASSES,
            request: self,
            network: &self.network,
            samples: &self.samples,
            what: "classes of flips",
            shard: self.shard,
            until: None,
        }
    }

    fn kind(&self, workbench: &Workbench) -> Result<RegisterClasses, StudyError> {
        scope::within(
            "every n-th register bit",
            self.selection.every,
            u64::from(u32::MAX),
            "1 for every bit",
        )?;
        let samples = workbench.bench.samples();
        if self.sample >= samples {
            return Err(StudyError::refused(
                format!("there is no sample {} among {samples}", self.sample),
                "a number from 0 on of a sample that is read",
            ));
        }
        let accelerator = &workbench.design.accelerator;
        let classes = RegisterClasses::new(
            Arc::clone(accelerator),
            pipeline(accelerator)?,
            workbench.bench.inputs(),
            Arc::new(workbench.bench.evaluator().clone()),
            (self.sample, self.selection.clone()),
        );
        classes.map_err(|error| {
            let expected = match &error {
                ClassesError::Empty => "paths and classes that some register has".to_owned(),
                ClassesError::Unrecorded => {
                    "a shorter run, or a number of strikes that are drawn at random".to_owned()
                }
                ClassesError::TooMany { most, .. } => {
                    format!("at most {most}: every n-th bit, or some of the registers")
                }
            };
            StudyError::refused(error.to_string(), expected)
        })
    }

    /// What it would take.
    ///
    /// # Errors
    /// [`StudyError::Request`] where the request has no meaning or a file cannot be read.
    pub fn forecast(&self, session: &Session) -> Result<Forecast, StudyError> {
        self.campaign()
            .forecast(session, |workbench| self.kind(workbench))
    }

    /// Runs it, or what is missing of it, and writes `records.csv` and `summary.json`.
    ///
    /// # Errors
    /// [`StudyError`].
    pub fn run(&self, session: &Session) -> Result<RegisterClassesStudyReport, StudyError> {
        self.campaign().run(
            session,
            |workbench| self.kind(workbench),
            |kind, sums, opened, folder| RegisterClassesStudyReport {
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
    pub by_class: Vec<ClassShares>,
    /// By layer.
    pub by_layer: Vec<LayerShares>,
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
        let wrong_per_hour = of(all.avf.unwrap_or(0.0));
        Ok(Self {
            simulated: true,
            register_bits: all.bits,
            events_per_hour,
            flipped_bits_per_hour,
            live_share,
            cycles_per_inference: report.cycles_per_inference,
            strikes: all.strikes,
            wrong_per_hour,
            wrong_per_hour_interval: all.any_effect_interval().scaled(of(1.0)),
            wrong_per_hour_band: rate
                .uncertainty_factor
                .map(|factor| [wrong_per_hour / factor, wrong_per_hour * factor]),
            wrong_fit: wrong_per_hour * 1e9,
            hangs_per_hour: of(all.hang.share),
            hangs_per_hour_interval: Some(all.hang.interval.clone().scaled(of(1.0))),
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
