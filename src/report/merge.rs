//! Joined campaigns.

use super::{accumulation, exhaustive, memory, mission, registers};
use crate::study::MergeReport;

/// The whole campaign.
#[must_use]
pub fn merge(report: &MergeReport) -> String {
    let (text, folder) = match report {
        MergeReport::Exhaustive(report) => (exhaustive(&report.campaign), Some(&report.folder)),
        MergeReport::Accumulation(report) => (accumulation(report), Some(&report.folder)),
        MergeReport::Mission(report) => (mission(report), Some(&report.folder)),
        MergeReport::Memory(report) => (memory(report), report.folder.as_ref()),
        MergeReport::Registers(report) => (registers(report), Some(&report.folder)),
    };
    let wrote = folder.map_or(String::new(), |folder| {
        format!("\nwrote {}", folder.join("records.csv").display())
    });
    format!("{text}{wrote}")
}
