//! How much do bits matter, where flipping all of them takes too long? Some are drawn at random.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::conduct::{Forecast, Workbench};
use super::one_campaign::OneCampaign;
use super::{NetworkRequest, SamplesRequest, Session, StudyError, scope};
use crate::campaign::statistics::Precision;
use crate::campaign::{Kind, SampleDesign, SampleReport, Sampled, Shard, StopRule};
use crate::fault::FaultModel;

/// Puts a fault at each of some stored bits that are drawn without replacement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SampleRequest {
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
    /// How the bits are drawn.
    pub design: SampleDesign,
    /// How well a share is to be known, for designs that do not state a number.
    pub precision: Precision,
    /// Seed.
    pub seed: u64,
    /// Ends it once the share of sensitive bits is known so well.
    pub until: Option<StopRule>,
    /// A part of the drawn bits only.
    pub shard: Option<Shard>,
}

impl Default for SampleRequest {
    fn default() -> Self {
        Self {
            network: NetworkRequest::default(),
            samples: SamplesRequest::default(),
            tensors: scope::all(),
            layers: Vec::new(),
            fault: FaultModel::Flip,
            design: SampleDesign::LayerBit,
            precision: Precision::default(),
            seed: 1,
            until: None,
            shard: None,
        }
    }
}

/// What the faults come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SampleStudyReport {
    /// What the faults come to.
    #[serde(flatten)]
    pub campaign: SampleReport,
    /// Which part of the drawn bits, where it is one of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
    /// The rule that may have ended it early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<StopRule>,
    /// What is odd about the workload.
    pub warnings: Vec<String>,
    /// Where the records are.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// Name of the study, of its folder and of its manifest.
pub(super) const KIND: &str = "campaign-sample";

/// Refuses what is no precision.
pub(super) fn sound(precision: &Precision) -> Result<(), StudyError> {
    if precision.is_sound() {
        return Ok(());
    }
    let Precision {
        margin,
        confidence,
        expected_share,
    } = precision;
    Err(StudyError::refused_about(
        "precision",
        format!(
            "a margin of {margin} at a confidence of {confidence}, with an expected share of {expected_share}, says nothing"
        ),
        "all three between 0 and 1, e.g. 0.01, 0.95 and 0.5",
    ))
}

impl SampleRequest {
    fn kind(&self, workbench: &Workbench) -> Result<Sampled, StudyError> {
        sound(&self.precision)?;
        if self.design == SampleDesign::Count(0) {
            return Err(StudyError::refused_about(
                "design",
                "a sample of 0 bits says nothing",
                "1 bit or more",
            ));
        }
        let accelerator = &workbench.design.accelerator;
        let bits = scope::bits_of_layers(accelerator, &self.tensors, &self.layers)?;
        let fault = scope::sound(self.fault)?;
        let kind = Sampled::new(
            Arc::clone(&workbench.bench),
            bits,
            fault,
            self.design,
            &self.precision,
            self.seed,
        );
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
            until: self.until,
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
    pub fn run(&self, session: &Session) -> Result<SampleStudyReport, StudyError> {
        self.campaign().run(
            session,
            |workbench| self.kind(workbench),
            |kind, sums, opened, folder| SampleStudyReport {
                campaign: kind.report(sums),
                shard: self.shard.map(|shard| shard.to_string()),
                until: self.until,
                warnings: opened.warnings,
                folder: folder.to_owned(),
            },
        )
    }
}
