//! What do the fault sets of a list do, each by itself?

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::conduct::{Forecast, Workbench};
use super::one_campaign::OneCampaign;
use super::{NetworkRequest, SamplesRequest, Session, StudyError, scope};
use crate::campaign::{FaultLists, Kind, ListedReport, Shard};
use crate::fault::{self, FaultModel};

/// Evaluates the fault sets of a list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultListRequest {
    /// The network on its hardware.
    pub network: NetworkRequest,
    /// Samples and what judges their outputs.
    pub samples: SamplesRequest,
    /// The list: columns `layer,tensor,element,bit` or `memory,word,bit`, and `trial` for independent sets.
    pub faults: PathBuf,
    /// What a fault at a stored bit does.
    pub fault: FaultModel,
    /// A part of the sets only.
    pub shard: Option<Shard>,
}

/// What the sets come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FaultListReport {
    /// What the sets come to.
    #[serde(flatten)]
    pub campaign: ListedReport,
    /// Which part of the sets, where it is one of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
    /// What is odd about the workload.
    pub warnings: Vec<String>,
    /// Where the records are.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// Name of the study, of its folder and of its manifest.
pub(super) const KIND: &str = "campaign-faults";

impl FaultListRequest {
    fn kind(&self, workbench: &Workbench) -> Result<FaultLists, StudyError> {
        let fault = scope::sound(self.fault)?;
        let accelerator = &workbench.design.accelerator;
        let trials = fault::read_trials(&self.faults, accelerator)?;
        if trials.is_empty() {
            return Err(StudyError::refused_about(
                "faults",
                format!("{}: lists no fault", self.faults.display()),
                "at least one line below the header",
            ));
        }
        for trial in &trials {
            let fits = |&&bit: &&crate::accelerator::StoredBit| fault.inverted(accelerator, bit).is_none();
            if let Some(&bit) = trial.bits.iter().find(fits) {
                let name = accelerator.named(bit);
                return Err(StudyError::refused_about(
                    "fault",
                    format!(
                        "the fault `{fault}` does not fit at word {} bit {} of {} (trial {})",
                        name.word, name.word_bit, name.memory, trial.trial
                    ),
                    "a shorter burst, or one that starts where all of it fits",
                ));
            }
        }
        Ok(FaultLists::new(Arc::clone(&workbench.bench), trials, fault))
    }

    fn campaign(&self) -> OneCampaign<'_, Self> {
        OneCampaign {
            study: KIND,
            request: self,
            network: &self.network,
            samples: &self.samples,
            what: "fault sets",
            shard: self.shard,
            until: None,
        }
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
    pub fn run(&self, session: &Session) -> Result<FaultListReport, StudyError> {
        self.campaign().run(
            session,
            |workbench| self.kind(workbench),
            |kind, sums, opened, folder| FaultListReport {
                campaign: kind.report(sums),
                shard: self.shard.map(|shard| shard.to_string()),
                warnings: opened.warnings,
                folder: folder.to_owned(),
            },
        )
    }
}
