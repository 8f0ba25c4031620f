//! Which bits matter? Every stored bit is flipped by itself.

use serde::{Deserialize, Serialize};

use super::conduct::{Forecast, Workbench};
use super::one_campaign::OneCampaign;
use super::{NetworkRequest, SamplesRequest, Session, StudyError, scope};
use crate::campaign::{Exhaustive, ExhaustiveReport, Kind, Shard};
use crate::fault::FaultModel;

/// Flips every stored bit by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExhaustiveRequest {
    /// The network on its hardware.
    pub network: NetworkRequest,
    /// Samples and what judges their outputs.
    pub samples: SamplesRequest,
    /// Which stored tensors: `weight`, `bias`, `threshold`, ..., or `all`.
    pub tensors: Vec<String>,
    /// Which layers; all of them where none is named.
    pub layers: Vec<String>,
    /// What a fault does to the bits that are read.
    pub fault: FaultModel,
    /// A part of the bits only.
    pub shard: Option<Shard>,
}

impl Default for ExhaustiveRequest {
    fn default() -> Self {
        Self {
            network: NetworkRequest::default(),
            samples: SamplesRequest::default(),
            tensors: scope::all(),
            layers: Vec::new(),
            fault: FaultModel::Flip,
            shard: None,
        }
    }
}

/// What the flips come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExhaustiveStudyReport {
    /// What the flips come to.
    #[serde(flatten)]
    pub campaign: ExhaustiveReport,
    /// Which part of the bits, where it is one of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
    /// What is odd about the workload.
    pub warnings: Vec<String>,
    /// Where the records are.
    #[serde(skip)]
    pub folder: std::path::PathBuf,
}

/// Name of the study, of its folder and of its manifest.
pub(super) const KIND: &str = "campaign-exhaustive";

impl ExhaustiveRequest {
    fn kind(&self, workbench: &Workbench) -> Result<Exhaustive, StudyError> {
        let accelerator = &workbench.design.accelerator;
        let bits = scope::bits_of_layers(accelerator, &self.tensors, &self.layers)?;
        let fault = scope::sound(self.fault)?;
        let kind = Exhaustive::of(std::sync::Arc::clone(&workbench.bench), bits, fault);
        scope::any_place(kind.bits().len(), fault)?;
        Ok(kind)
    }

    fn campaign(&self) -> OneCampaign<'_, Self> {
        OneCampaign {
            study: KIND,
            request: self,
            network: &self.network,
            samples: &self.samples,
            what: "bits",
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
    pub fn run(&self, session: &Session) -> Result<ExhaustiveStudyReport, StudyError> {
        self.campaign().run(
            session,
            |workbench| self.kind(workbench),
            |kind, sums, opened, folder| ExhaustiveStudyReport {
                campaign: kind.report(sums),
                shard: self.shard.map(|shard| shard.to_string()),
                warnings: opened.warnings,
                folder: folder.to_owned(),
            },
        )
    }
}
