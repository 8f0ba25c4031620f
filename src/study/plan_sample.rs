//! How many faults does a sample need?

use serde::{Deserialize, Serialize};

use super::sample::sound;
use super::{Design, NetworkRequest, StudyError, scope};
use crate::campaign::statistics::Precision;
use crate::campaign::{SampleDesign, Stratum, strata};

/// Asks for the sizes of samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlanSampleRequest {
    /// The network on its hardware.
    pub network: NetworkRequest,
    /// A population of so many faults instead of a network's stored bits.
    pub population: Option<u64>,
    /// Which stored tensors: `weight`, `bias`, `threshold`, ..., or `all`.
    pub tensors: Vec<String>,
    /// Which layers; all of them where none is named.
    pub layers: Vec<String>,
    /// How the bits are drawn.
    pub design: SampleDesign,
    /// How well a share is to be known.
    pub precision: Precision,
}

impl Default for PlanSampleRequest {
    fn default() -> Self {
        Self {
            network: NetworkRequest::default(),
            population: None,
            tensors: scope::all(),
            layers: Vec::new(),
            design: SampleDesign::LayerBit,
            precision: Precision::default(),
        }
    }
}

/// How many faults a sample needs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlanSampleReport {
    /// The network; none for a stated population.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// How the bits are drawn.
    pub design: String,
    /// Half the width of the interval, as a share.
    pub margin: f64,
    /// How often an interval covers.
    pub confidence: f64,
    /// The share that is expected, where the design does not find its own.
    pub expected_share: f64,
    /// Bits or faults in all.
    pub population: u64,
    /// Faults that the sample needs.
    pub draws: u64,
    /// By stratum; none for a stated population.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub strata: Vec<Stratum>,
}

impl PlanSampleRequest {
    /// Counts.
    ///
    /// # Errors
    /// [`StudyError::Request`] where the request has no meaning or a file cannot be read.
    pub fn run(&self) -> Result<PlanSampleReport, StudyError> {
        sound(&self.precision)?;
        let report = |network, population, draws, strata| PlanSampleReport {
            network,
            design: self.design.to_string(),
            margin: self.precision.margin,
            confidence: self.precision.confidence,
            expected_share: self.precision.expected_share,
            population,
            draws,
            strata,
        };
        if let Some(population) = self.population {
            let draws = self.precision.draws(population);
            let mut one = report(None, population, draws, Vec::new());
            one.design = SampleDesign::Random.to_string();
            return Ok(one);
        }
        let design = Design::build(&self.network, None)?;
        let bits = scope::bits_of_layers(&design.accelerator, &self.tensors, &self.layers)?;
        let strata = strata(&design.accelerator, &bits, self.design, &self.precision);
        let draws = strata.iter().map(|stratum| stratum.drawn).sum();
        Ok(report(Some(design.name), bits.len() as u64, draws, strata))
    }
}
