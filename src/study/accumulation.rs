//! What do several flips at a time do, with a protection in force?

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::conduct::{Forecast, Workbench};
use super::one_campaign::OneCampaign;
use super::{NetworkRequest, SamplesRequest, Session, StudyError, scope};
use crate::campaign::{Accumulation, Kind, Shard, StopRule, TrialPlan, TrialSummary};
use crate::rtl::ProtectionMap;
use crate::scheme::{Cells, Protection, Store};

/// Draws several random flips at a time over all cells, copies included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccumulationRequest {
    /// The network on its hardware.
    pub network: NetworkRequest,
    /// Samples and what judges their outputs.
    pub samples: SamplesRequest,
    /// Trials.
    pub trials: u64,
    /// Flips per trial; 1 % of the stored bits where none are stated.
    pub flips: Option<u64>,
    /// A protection map in force; no protection without one.
    pub map: Option<PathBuf>,
    /// Seed.
    pub seed: u64,
    /// Ends it once the mean loss is known so well.
    pub until: Option<StopRule>,
    /// A part of the trials only.
    pub shard: Option<Shard>,
}

impl Default for AccumulationRequest {
    fn default() -> Self {
        Self {
            network: NetworkRequest::default(),
            samples: SamplesRequest::default(),
            trials: 200,
            flips: None,
            map: None,
            seed: 1,
            until: None,
            shard: None,
        }
    }
}

/// What the trials come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AccumulationReport {
    /// The network.
    pub network: String,
    /// The hardware file's name.
    pub hardware: String,
    /// `accumulation`.
    pub kind: &'static str,
    /// Samples of the workload.
    pub samples: usize,
    /// The loss.
    pub loss: &'static str,
    /// Mean loss without faults.
    pub fault_free_loss: f64,
    /// Protected bits.
    pub protected_bits: u64,
    /// What the trials come to.
    #[serde(flatten)]
    pub trials: TrialSummary,
    /// What is odd about the workload.
    pub warnings: Vec<String>,
    /// Where the records are.
    #[serde(skip)]
    pub folder: PathBuf,
}

pub(super) const KIND: &str = "campaign-accumulation";

impl AccumulationRequest {
    fn kind(&self, workbench: &Workbench) -> Result<(Accumulation, u64), StudyError> {
        scope::within(
            "trials",
            self.trials,
            1_000_000_000,
            "200 or more for a useful interval",
        )?;
        let accelerator = &workbench.design.accelerator;
        let stored = accelerator.map().total_bits();
        let flips = self.flips.unwrap_or((stored / 100).max(1));
        scope::within(
            "flips",
            flips,
            10_000_000,
            "about 1 % of the stored bits by default",
        )?;
        let protection = match &self.map {
            None => Protection::none(),
            Some(file) => ProtectionMap::read(file)?.resolve(accelerator)?.protection,
        };
        let cells = Cells::new(Store::new(accelerator, |_| true, &protection)?);
        let plan = TrialPlan {
            trials: self.trials,
            flips,
            seed: self.seed,
        };
        let kind = Accumulation::new(Arc::clone(&workbench.bench), cells, plan);
        Ok((kind, protection.bits()))
    }

    fn campaign(&self) -> OneCampaign<'_, Self> {
        OneCampaign {
            study: KIND,
            request: self,
            network: &self.network,
            samples: &self.samples,
            what: "trials",
            shard: self.shard,
            until: self.until,
        }
    }

    /// What it would take.
    ///
    /// # Errors
    /// [`StudyError::Request`] where the request has no meaning or a file cannot be read.
    pub fn forecast(&self, session: &Session) -> Result<Forecast, StudyError> {
        let kind = |workbench: &Workbench| Ok(self.kind(workbench)?.0);
        self.campaign().forecast(session, kind)
    }

    /// Runs it, or what is missing of it, and writes `records.csv` and `summary.json`.
    ///
    /// # Errors
    /// [`StudyError`].
    pub fn run(&self, session: &Session) -> Result<AccumulationReport, StudyError> {
        let protected_bits = Cell::new(0);
        self.campaign().run(
            session,
            |workbench| {
                let (kind, bits) = self.kind(workbench)?;
                protected_bits.set(bits);
                Ok(kind)
            },
            |kind, sums, opened, folder| {
                let bench = &opened.bench;
                AccumulationReport {
                    network: opened.design.name.clone(),
                    hardware: bench.accelerator().name().to_owned(),
                    kind: kind.name(),
                    samples: bench.samples(),
                    loss: bench.evaluator().loss().name(),
                    fault_free_loss: bench.baseline().loss,
                    protected_bits: protected_bits.get(),
                    trials: kind.report(sums),
                    warnings: opened.warnings,
                    folder: folder.to_owned(),
                }
            },
        )
    }
}
