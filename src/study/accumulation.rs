//! What do several flips at a time do, with a protection in force?

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::conduct::{Forecast, Workbench};
use super::one_campaign::OneCampaign;
use super::{NetworkRequest, SamplesRequest, Session, StudyError, scope};
use crate::accelerator::MemoryId;
use crate::campaign::{Accumulation, Accumulations, Kind, Shard, StopRule, TrialPlan, TrialSummary};
use crate::fault::FaultModel;
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
    /// What is struck: `stored`, `activation` (what layers hand on), `mac` (results of matrix products).
    pub from: Vec<String>,
    /// Which stored tensors: `weight`, `bias`, `threshold`, ..., or `all`.
    pub tensors: Vec<String>,
    /// Which layers; all of them where none is named.
    pub layers: Vec<String>,
    /// What a fault does.
    pub fault: FaultModel,
    /// Trials of each number of faults.
    pub trials: u64,
    /// Numbers of faults per trial, one or a list; 1 % of the stored bits where none are stated.
    pub flips: Option<Counts>,
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
            from: vec![STORED.to_owned()],
            tensors: scope::all(),
            layers: Vec::new(),
            fault: FaultModel::Flip,
            trials: 200,
            flips: None,
            map: None,
            seed: 1,
            until: None,
            shard: None,
        }
    }
}

/// One number of faults, or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Counts {
    /// One.
    One(u64),
    /// Several.
    List(Vec<u64>),
}

impl Counts {
    fn list(&self) -> Vec<u64> {
        match self {
            Self::One(count) => vec![*count],
            Self::List(counts) => counts.clone(),
        }
    }
}

impl From<u64> for Counts {
    fn from(count: u64) -> Self {
        Self::One(count)
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
    /// What is struck.
    pub from: Vec<String>,
    /// What a fault does.
    pub fault: String,
    /// How long a fault in a code lasts, where codes are struck.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codes_are_struck_in: Option<&'static str>,
    /// Stored bits that were not struck.
    pub not_examined_bits: u64,
    /// What the trials of the first number of faults come to.
    #[serde(flatten)]
    pub trials: TrialSummary,
    /// The same for each number of faults.
    pub by_flips: Vec<TrialSummary>,
    /// What is odd about the workload.
    pub warnings: Vec<String>,
    /// Where the records are.
    #[serde(skip)]
    pub folder: PathBuf,
}

pub(super) const KIND: &str = "campaign-accumulation";

/// The name of stored bits among what is struck.
const STORED: &str = scope::STORED;

/// What the trials strike.
#[derive(Clone, Copy, Default)]
struct Struck {
    protected_bits: u64,
    not_examined_bits: u64,
    codes: bool,
}

impl AccumulationRequest {
    fn kind(&self, workbench: &Workbench) -> Result<(Accumulations, Struck), StudyError> {
        scope::within(
            "trials",
            self.trials,
            1_000_000_000,
            "200 or more for a useful interval",
        )?;
        let accelerator = &workbench.design.accelerator;
        let total = accelerator.map().total_bits();
        let counts = match &self.flips {
            Some(counts) => counts.list(),
            None => vec![(total / 100).max(1)],
        };
        if counts.is_empty() {
            return Err(StudyError::refused_about(
                "flips",
                "there is no number of flips",
                "one number or several, e.g. 1, 10 and 100",
            ));
        }
        for &flips in &counts {
            scope::within(
                "flips",
                flips,
                10_000_000,
                "about 1 % of the stored bits by default",
            )?;
        }
        let fault = scope::sound(self.fault)?;
        let boundaries = scope::boundaries(accelerator.network(), &self.from, &self.layers)?;
        if !boundaries.is_empty() && matches!(fault, FaultModel::StuckAt0 | FaultModel::StuckAt1) {
            return Err(StudyError::refused_about(
                "fault",
                format!("`{fault}` is a fault of stored bits, not of codes that live for one inference"),
                "flip or burst:K, or stored bits alone",
            ));
        }
        let protection = match &self.map {
            None => Protection::none(),
            Some(file) => ProtectionMap::read(file)?.resolve(accelerator)?.protection,
        };
        let exposed = if self.from.iter().any(|from| from == STORED) {
            scope::memories(accelerator, &self.tensors, &self.layers)?
        } else {
            Vec::new()
        };
        let is_exposed = |memory: MemoryId| exposed.contains(&memory);
        let cells = Cells::new(Store::new(accelerator, is_exposed, &protection)?);
        let struck = Struck {
            protected_bits: protection.bits(),
            not_examined_bits: total - cells.store().data_bits(),
            codes: !boundaries.is_empty(),
        };
        let plan = TrialPlan {
            trials: self.trials,
            flips: counts[0],
            seed: self.seed,
        };
        let one = Accumulation::new(Arc::clone(&workbench.bench), cells, plan)
            .with_fault(fault)
            .with_codes(boundaries);
        Ok((Accumulations::new(&one, &counts), struck))
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
        let found = Cell::new(Struck::default());
        self.campaign().run(
            session,
            |workbench| {
                let (kind, struck) = self.kind(workbench)?;
                found.set(struck);
                Ok(kind)
            },
            |kind, sums, opened, folder| {
                let bench = &opened.bench;
                let struck = found.get();
                let by_flips = kind.report(sums);
                AccumulationReport {
                    network: opened.design.name.clone(),
                    hardware: bench.accelerator().name().to_owned(),
                    kind: kind.name(),
                    samples: bench.samples(),
                    loss: bench.evaluator().loss().name(),
                    fault_free_loss: bench.baseline().loss,
                    protected_bits: struck.protected_bits,
                    from: self.from.clone(),
                    fault: self.fault.to_string(),
                    codes_are_struck_in: struck.codes.then_some("every inference of a trial"),
                    not_examined_bits: struck.not_examined_bits,
                    trials: by_flips[0].clone(),
                    by_flips,
                    warnings: opened.warnings,
                    folder: folder.to_owned(),
                }
            },
        )
    }
}
