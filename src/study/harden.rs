//! The main job: which bits matter, which to protect, what that costs, and what it buys.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::conduct::{self, Course, Forecast, Workbench, conduct, folder_error};
use super::protection::{self, ProtectOptions, ProtectionReport};
use super::{
    Identity, NetworkRequest, PhasePlan, RateRequest, RateSummary, SamplesRequest, Session, StudyError, scope,
};
use crate::campaign::{Exhaustive, ExhaustiveReport, Kind, Shard, read_bit_records};

/// Campaign, ranking, protection under a budget, rates and exports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HardenRequest {
    /// The network on its hardware.
    pub network: NetworkRequest,
    /// Samples and what judges their outputs.
    pub samples: SamplesRequest,
    /// Which stored tensors are examined: `weight`, `bias`, `threshold`, ..., or `all`.
    pub tensors: Vec<String>,
    /// What to spend, and how to measure what it buys.
    pub protect: ProtectOptions,
    /// How often memories are hit.
    pub rate: RateRequest,
    /// Seed.
    pub seed: u64,
}

impl Default for HardenRequest {
    fn default() -> Self {
        Self {
            network: NetworkRequest::default(),
            samples: SamplesRequest::default(),
            tensors: scope::all(),
            protect: ProtectOptions::default(),
            rate: RateRequest::default(),
            seed: 1,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HardenReport {
    /// Flips one by one.
    pub campaign: ExhaustiveReport,
    /// The choice, and what it buys.
    pub protection: ProtectionReport,
    /// How often memories are hit.
    pub rate: RateSummary,
    /// What is odd about the workload.
    pub warnings: Vec<String>,
    /// The output folder.
    #[serde(skip)]
    pub folder: PathBuf,
}

const KIND: &str = "harden";

impl HardenRequest {
    /// What it would take.
    ///
    /// # Errors
    /// [`StudyError::Request`] where the request has no meaning or a file cannot be read.
    pub fn forecast(&self, session: &Session) -> Result<Forecast, StudyError> {
        self.protect.check()?;
        let workbench = Workbench::build(&self.network, &self.samples, false, session)?;
        let bits = scope::bits(&workbench.design.accelerator, &self.tensors)?;
        self.rate.on(&workbench.design)?;
        let out = session.folder_of(KIND, &workbench.design.name);
        let kind = Exhaustive::new(workbench.bench.clone(), bits);
        Ok(conduct::forecast(
            &kind,
            Shard::WHOLE,
            workbench.bench.samples(),
            out,
        ))
    }

    /// Runs it, or what is missing of it, into its folder. `text` makes the summary for people.
    ///
    /// # Errors
    /// [`StudyError`].
    pub fn run(
        &self,
        session: &Session,
        text: impl Fn(&HardenReport) -> String,
    ) -> Result<HardenReport, StudyError> {
        self.protect.check()?;
        let workbench = Workbench::build(&self.network, &self.samples, false, session)?;
        let accelerator = workbench.design.accelerator.clone();
        let bits = scope::bits(&accelerator, &self.tensors)?;
        let rates = self.rate.on(&workbench.design)?;
        let kind = Exhaustive::new(workbench.bench.clone(), bits);
        let of_records = Identity::of(&kind)?;
        let of_all = Identity::of(&(
            &of_records,
            &self.protect,
            self.seed,
            &self.rate.summary(&rates.exposures),
        ))?;
        let phases = vec![
            PhasePlan::of_records("campaign", of_records.clone(), &["records".to_owned()]),
            protection::trial_phase(&of_records, &self.protect, self.seed)?,
            PhasePlan::new("export", of_all.clone(), protection::map_paths(&accelerator)?),
            PhasePlan::new("report", of_all, ["summary.txt", "summary.json"]),
        ];
        let (opened, mut folder) = workbench.open(session, KIND, self, None, phases)?;
        let course = Course {
            phase: "campaign",
            stem: "records",
            what: "bits",
            shard: Shard::WHOLE,
            stop: None,
            in_parts: false,
        };
        let done = conduct(session, &folder, &kind, &course)?;
        folder.done("campaign").map_err(folder_error)?;
        let records = read_bit_records(&folder.path().join("records.csv"), &accelerator)?.records;
        let chosen = protection::choose(&opened.bench, &records, &self.protect, self.seed)?;
        let measured = chosen.measure(session, &folder, &opened.bench, &records, &rates, &self.protect)?;
        folder.done("trials").map_err(folder_error)?;
        let map = protection::map_of(&accelerator, &chosen.selection)?;
        for file in protection::map_files(&map, &accelerator) {
            folder
                .write(&file.path, file.text.as_bytes())
                .map_err(folder_error)?;
        }
        folder.done("export").map_err(folder_error)?;
        let report = HardenReport {
            campaign: kind.report(&done.sums),
            protection: measured,
            rate: self.rate.summary(&rates.exposures),
            warnings: opened.warnings,
            folder: folder.path().to_owned(),
        };
        let text = format!("{}\n", text(&report));
        folder
            .write("summary.txt", text.as_bytes())
            .map_err(folder_error)?;
        folder.write_json("summary.json", &report).map_err(folder_error)?;
        folder.done("report").map_err(folder_error)?;
        folder.finish().map_err(folder_error)?;
        Ok(report)
    }
}
