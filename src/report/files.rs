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
    let mut lines = vec![format!("wrote {}", report.folder.display())];
    if let Some(folding) = &report.folding {
        lines.push(format!(
            "hardware file {} with entries for: {}",
            folding.hardware.display(),
            folding.layers.join(", ")
        ));
        lines.extend(
            folding
                .assumed
                .iter()
                .map(|remark| format!("taken: {}: {}", remark.entry, remark.text)),
        );
        lines.extend(
            folding
                .unused
                .iter()
                .map(|remark| format!("not used: {}: {}", remark.entry, remark.text)),
        );
        lines.extend(
            folding
                .not_simulated
                .iter()
                .map(|reason| format!("the cycle engine does not build it: {reason}")),
        );
    }
    lines.join("\n")
}
