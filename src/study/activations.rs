//! What do flips of activations and of matrix products do, each in one inference?

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::conduct::{Forecast, Workbench};
use super::one_campaign::OneCampaign;
use super::{NetworkRequest, SamplesRequest, Session, StudyError, scope};
use crate::campaign::{ActivationReport, Activations, Kind, Shard};
use crate::fault::Boundary;

/// Flips single bits of codes, each in one inference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ActivationRequest {
    /// The network on its hardware.
    pub network: NetworkRequest,
    /// Samples and what judges their outputs.
    pub samples: SamplesRequest,
    /// What is struck: `activation` (what layers hand on), `mac` (results of matrix products).
    pub from: Vec<String>,
    /// Which layers; all of them and the network's input where none is named.
    pub layers: Vec<String>,
    /// Flips per layer and place, each of one bit in the inference of one sample, drawn without replacement; every bit
    /// in the inference of every sample where no number is stated.
    pub draws: Option<u64>,
    /// Seed.
    pub seed: u64,
    /// A part of the flips only.
    pub shard: Option<Shard>,
}

impl Default for ActivationRequest {
    fn default() -> Self {
        Self {
            network: NetworkRequest::default(),
            samples: SamplesRequest::default(),
            from: vec![Boundary::ACTIVATION.to_owned()],
            layers: Vec::new(),
            draws: Some(4096),
            seed: 1,
            shard: None,
        }
    }
}

/// What the flips come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ActivationStudyReport {
    /// What the flips come to.
    #[serde(flatten)]
    pub campaign: ActivationReport,
    /// Which part of the flips, where it is one of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
    /// What is odd about the workload.
    pub warnings: Vec<String>,
    /// Where the records are.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// Name of the study, of its folder and of its manifest.
pub(super) const KIND: &str = "campaign-activations";

/// Most flips of one campaign: each is kept in memory.
const MOST: u64 = 200_000_000;

impl ActivationRequest {
    fn kind(&self, workbench: &Workbench) -> Result<Activations, StudyError> {
        let network = workbench.design.accelerator.network();
        let boundaries = scope::boundaries(network, &self.from, &self.layers)?;
        if self.from.iter().any(|from| from == scope::STORED) {
            return Err(StudyError::refused_about(
                "from",
                "stored bits do not live for one inference",
                "activation, mac, or both",
            ));
        }
        let samples = workbench.bench.samples() as u64;
        let flips: u64 = boundaries
            .iter()
            .map(|boundary| {
                let all = boundary.bits();
                self.draws
                    .map_or(all, |draws| draws.min(all.saturating_mul(samples)))
            })
            .sum();
        scope::within("flips of codes", flips, MOST, "4096 per layer by default")?;
        let bench = Arc::clone(&workbench.bench);
        Ok(Activations::new(bench, boundaries, self.draws, self.seed))
    }

    fn campaign(&self) -> OneCampaign<'_, Self> {
        OneCampaign {
            study: KIND,
            request: self,
            network: &self.network,
            samples: &self.samples,
            what: "flips",
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
    pub fn run(&self, session: &Session) -> Result<ActivationStudyReport, StudyError> {
        self.campaign().run(
            session,
            |workbench| self.kind(workbench),
            |kind, sums, opened, folder| ActivationStudyReport {
                campaign: kind.report(sums),
                shard: self.shard.map(|shard| shard.to_string()),
                warnings: opened.warnings,
                folder: folder.to_owned(),
            },
        )
    }
}
