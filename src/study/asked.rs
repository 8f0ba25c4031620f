//! Which bits are a failure at all? Each is asked only until the answer is known.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::conduct::{Forecast, Workbench};
use super::one_campaign::OneCampaign;
use super::{NetworkRequest, SamplesRequest, Session, StudyError, scope, text_form};
use crate::campaign::mission::Failure;
use crate::campaign::{AnswerReport, Asked, Kind, Shard};
use crate::fault::FaultModel;

/// Asks of every stored bit whether a fault there is a failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AskRequest {
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
    /// What counts as a failure: `any`, `class`, `loss>X`.
    #[serde(with = "text_form")]
    pub failure: Failure,
    /// A part of the bits only.
    pub shard: Option<Shard>,
}

impl Default for AskRequest {
    fn default() -> Self {
        Self {
            network: NetworkRequest::default(),
            samples: SamplesRequest::default(),
            tensors: scope::all(),
            layers: Vec::new(),
            fault: FaultModel::Flip,
            failure: Failure::Any,
            shard: None,
        }
    }
}

/// What the answers come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AskReport {
    /// What the answers come to.
    #[serde(flatten)]
    pub campaign: AnswerReport,
    /// Which part of the bits, where it is one of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
    /// What is odd about the workload.
    pub warnings: Vec<String>,
    /// Where the records are.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// Name of the study, of its folder and of its manifest.
pub(super) const KIND: &str = "campaign-ask";

impl AskRequest {
    fn kind(&self, workbench: &Workbench) -> Result<Asked, StudyError> {
        let accelerator = &workbench.design.accelerator;
        let bits = scope::bits_of_layers(accelerator, &self.tensors, &self.layers)?;
        let fault = scope::sound(self.fault)?;
        let bench = Arc::clone(&workbench.bench);
        if self.failure == Failure::Class && bench.baseline().outcomes[0].correct.is_none() {
            return Err(StudyError::refused_about(
                "ask",
                "no class is known to be right, so that none can go wrong",
                "labels, a loss about classes, or another failure",
            ));
        }
        let kind = Asked::new(bench, bits, fault, self.failure);
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
    pub fn run(&self, session: &Session) -> Result<AskReport, StudyError> {
        self.campaign().run(
            session,
            |workbench| self.kind(workbench),
            |kind, sums, opened, folder| AskReport {
                campaign: kind.report(sums),
                shard: self.shard.map(|shard| shard.to_string()),
                warnings: opened.warnings,
                folder: folder.to_owned(),
            },
        )
    }
}
