//! Studies that write files and find nothing out.

use crate::study::{ConvertReport, ExportReport};

/// Files for RTL.
#[must_use]
pub fn export(report: &ExportReport) -> String {
    let lines: Vec<String> = report
        .files
        .iter()
        .map(|file| format!("wrote {}", file.display()))
        .collect();
    lines.join("\n")
}

/// A model folder.
#[must_use]
pub fn convert(report: &ConvertReport) -> String {
    format!("wrote {}", report.folder.display())
}
