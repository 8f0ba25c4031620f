//! Which bits to protect, from records that are there already.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::conduct::{Workbench, folder_error};
use super::protection::{self, ProtectOptions, ProtectionReport};
use super::{
    Identity, Manifest, NetworkRequest, PhasePlan, Provenance, RateRequest, SamplesRequest, Session,
    StudyError,
};
use crate::campaign::{Bench, BitRecord, read_bit_records};

/// Chooses bits under a budget from the records of an exhaustive campaign.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProtectRequest {
    /// The network on its hardware.
    pub network: NetworkRequest,
    /// Samples and what judges their outputs.
    pub samples: SamplesRequest,
    /// Records of an exhaustive campaign: `records.csv` or the folder that holds it.
    pub records: PathBuf,
    /// Whether the records may be of another network, other samples, another readout or another loss.
    pub other_records: bool,
    /// What to spend, and how to measure what it buys.
    pub protect: ProtectOptions,
    /// How often memories are hit.
    pub rate: RateRequest,
    /// Seed.
    pub seed: Seed,
}

/// A seed, 1 where none is stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(pub u64);

impl Default for Seed {
    fn default() -> Self {
        Self(1)
    }
}

/// What was chosen, and what it buys.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProtectReport {
    /// The choice.
    #[serde(flatten)]
    pub protection: ProtectionReport,
    /// What is odd about the records or the workload.
    pub warnings: Vec<String>,
    /// The output folder.
    #[serde(skip)]
    pub folder: PathBuf,
}

const KIND: &str = "protect";

impl ProtectRequest {
    /// Runs it into its folder.
    ///
    /// # Errors
    /// [`StudyError`]; among others where the records were measured on something else.
    pub fn run(&self, session: &Session) -> Result<ProtectReport, StudyError> {
        self.protect.check()?;
        let file = if self.records.is_dir() {
            self.records.join("records.csv")
        } else {
            self.records.clone()
        };
        // Before inputs are noted: a manifest says when it was written.
        let manifest = file.parent().and_then(Manifest::of_folder);
        let workbench = Workbench::build(&self.network, &self.samples, false, session)?;
        let accelerator = workbench.design.accelerator.clone();
        let rates = self.rate.on(&workbench.design)?;
        let read = read_bit_records(&file, &accelerator)?;
        let mut notes = Vec::new();
        if read.packed_otherwise > 0 {
            notes.push(format!(
                "{}: {} of {} bits were measured on memories with another packing; they count by their logical address",
                file.display(),
                read.packed_otherwise,
                read.records.len()
            ));
        }
        let records = read.records;
        let there = manifest.and_then(|manifest| manifest.provenance);
        let differs = what_differs(there.as_ref(), &records, &workbench.provenance, &workbench.bench);
        if !differs.is_empty() {
            let problem = format!(
                "{}: the records were measured on {}",
                file.display(),
                differs.join(" and ")
            );
            if !self.other_records {
                return Err(StudyError::refused_about(
                    "records",
                    problem,
                    "records of this very workload; run the campaign on it, or say that the records of another one are meant",
                ));
            }
            notes.push(problem);
        }
        for note in &notes {
            session.watch.note(note);
        }
        let scores: Vec<(u64, f64)> = records
            .iter()
            .map(|record| (record.bit.0, record.delta_loss))
            .collect();
        let of_records = Identity::of(&(&scores, &*workbench.bench))?;
        let of_all = Identity::of(&(
            &of_records,
            &self.protect,
            self.seed,
            &self.rate.summary(&rates.exposures),
        ))?;
        let phases = vec![
            protection::trial_phase(&of_records, &self.protect, self.seed.0)?,
            PhasePlan::new("export", of_all.clone(), protection::map_paths(&accelerator)?),
            PhasePlan::new("report", of_all, ["summary.json"]),
        ];
        let (opened, mut folder) = workbench.open(session, KIND, self, None, phases)?;
        let chosen = protection::choose(&opened.bench, &records, &self.protect, self.seed.0)?;
        let measured = chosen.measure(session, &folder, &opened.bench, &records, &rates, &self.protect)?;
        folder.done("trials").map_err(folder_error)?;
        let map = protection::map_of(&accelerator, &chosen.selection)?;
        for file in protection::map_files(&map, &accelerator) {
            folder
                .write(&file.path, file.text.as_bytes())
                .map_err(folder_error)?;
        }
        folder.done("export").map_err(folder_error)?;
        notes.extend(opened.warnings);
        let report = ProtectReport {
            protection: measured,
            warnings: notes,
            folder: folder.path().to_owned(),
        };
        folder.write_json("summary.json", &report).map_err(folder_error)?;
        folder.done("report").map_err(folder_error)?;
        folder.finish().map_err(folder_error)?;
        Ok(report)
    }
}

/// What the records were measured on that this workload is not: by their manifest, and where there is none by
/// the fault-free loss.
fn what_differs(
    there: Option<&Provenance>,
    records: &[BitRecord],
    here: &Provenance,
    bench: &Bench,
) -> Vec<&'static str> {
    if let Some(there) = there {
        let parts = [
            ("another network", there.network != here.network),
            ("other samples", there.samples != here.samples),
            (
                "another readout, loss, target or other labels",
                there.outcome != here.outcome,
            ),
        ];
        return parts
            .iter()
            .filter(|(_, is)| *is)
            .map(|(name, _)| *name)
            .collect();
    }
    let Some(record) = records.first() else {
        return Vec::new();
    };
    let (then, now) = (record.loss - record.delta_loss, bench.baseline().loss);
    if (then - now).abs() > 1e-9 * (1.0 + now.abs()) {
        vec!["another workload: its fault-free loss was another one"]
    } else {
        Vec::new()
    }
}
