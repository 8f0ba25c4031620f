//! Studies that are one campaign on a workload: records and a summary.

use std::path::Path;

use serde::Serialize;

use super::conduct::{self, Course, Forecast, Opened, Workbench, conduct, folder_error};
use super::{Identity, NetworkRequest, OutputFolder, PhasePlan, SamplesRequest, Session, StudyError};
use crate::campaign::{Kind, Shard, StopRule};

/// What such studies have in common.
pub(super) struct OneCampaign<'r, R> {
    /// Name of the study, of its folder and of its manifest.
    pub study: &'static str,
    /// The request.
    pub request: &'r R,
    /// Its network.
    pub network: &'r NetworkRequest,
    /// Its samples.
    pub samples: &'r SamplesRequest,
    /// Its trials, for people who watch.
    pub what: &'static str,
    /// A part of them only.
    pub shard: Option<Shard>,
    /// When they end before their number is reached.
    pub until: Option<StopRule>,
}

/// Tables beside the summary of a campaign.
pub(super) struct Tables<Report> {
    /// Their files.
    pub files: &'static [&'static str],
    /// Writes them.
    pub write: fn(&Report, &mut OutputFolder) -> Result<(), StudyError>,
}

impl<R: Serialize> OneCampaign<'_, R> {
    /// What it would take.
    pub fn forecast<K: Kind>(
        &self,
        session: &Session,
        kind: impl FnOnce(&Workbench) -> Result<K, StudyError>,
    ) -> Result<Forecast, StudyError> {
        let workbench = Workbench::build(self.network, self.samples, false, session)?;
        let kind = kind(&workbench)?;
        let out = session.folder_of(self.study, &workbench.design.name);
        let shard = self.shard.unwrap_or_default();
        Ok(conduct::forecast(&kind, shard, workbench.bench.samples(), out))
    }

    /// Runs it, or what is missing of it, and writes `records.csv` and `summary.json`.
    pub fn run<K: Kind, Report: Serialize>(
        &self,
        session: &Session,
        kind: impl FnOnce(&Workbench) -> Result<K, StudyError>,
        report: impl FnOnce(&K, &K::Sums, Opened, &Path) -> Report,
    ) -> Result<Report, StudyError> {
        let none = Tables {
            files: &[],
            write: |_: &Report, _| Ok(()),
        };
        let report = |kind: &K, sums: &K::Sums, opened: Opened, (): (), path: &Path| {
            Ok(report(kind, sums, opened, path))
        };
        self.run_with(session, kind, |_, _| Ok(()), report, none)
    }

    /// The same with tables, and a report that rests on more than the campaign: on what `basis` finds.
    pub fn run_with<K: Kind, Basis: Serialize, Report: Serialize>(
        &self,
        session: &Session,
        kind: impl FnOnce(&Workbench) -> Result<K, StudyError>,
        basis: impl FnOnce(&Workbench, &K) -> Result<Basis, StudyError>,
        report: impl FnOnce(&K, &K::Sums, Opened, Basis, &Path) -> Result<Report, StudyError>,
        tables: Tables<Report>,
    ) -> Result<Report, StudyError> {
        let workbench = Workbench::build(self.network, self.samples, false, session)?;
        let kind = kind(&workbench)?;
        let basis = basis(&workbench, &kind)?;
        let fingerprint = Identity::of(&(&kind, self.until, self.shard))?;
        let of_report = Identity::of(&(&fingerprint, &basis))?;
        let files = ["summary.json"].into_iter().chain(tables.files.iter().copied());
        let phases = vec![
            PhasePlan::of_records("campaign", fingerprint, &["records".to_owned()]),
            PhasePlan::new("report", of_report, files),
        ];
        let (opened, mut folder) = workbench.open(session, self.study, self.request, self.shard, phases)?;
        let course = Course {
            phase: "campaign",
            stem: "records",
            what: self.what,
            shard: self.shard.unwrap_or_default(),
            stop: self.until,
            in_parts: true,
        };
        let done = conduct(session, &folder, &kind, &course)?;
        folder.done("campaign").map_err(folder_error)?;
        let report = report(&kind, &done.sums, opened, basis, folder.path())?;
        folder.write_json("summary.json", &report).map_err(folder_error)?;
        (tables.write)(&report, &mut folder)?;
        folder.done("report").map_err(folder_error)?;
        folder.finish().map_err(folder_error)?;
        Ok(report)
    }
}
