//! What the commands print, and where they write.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::Failure;

/// Prints the JSON document of a command.
pub fn json(document: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(document).map_err(|error| Failure::work(error.to_string()))?;
    line(&text)
}

/// Prints text on standard output. A reader that has gone away is no failure.
pub fn line(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::work(format!(
            "standard output cannot be written: {error}"
        ))),
        _ => Ok(()),
    }
}

/// Makes a folder for output, so that a long run does not end without a place for its results.
pub fn prepare_folder(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| Failure::writing(folder, &error))
}

/// A table whose columns are as wide as their widest cell; the first and those without a heading are
/// flush left.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let columns = header.len();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .chain([header[column].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let render = |cells: Vec<&str>| {
        let mut text = String::new();
        for (column, cell) in cells.into_iter().enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            let width = widths[column];
            text.push_str(gap);
            text.push_str(&if column == 0 || header[column].is_empty() {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            });
        }
        text.trim_end().to_owned()
    };
    let mut lines = vec![
        render(header.to_vec()),
        widths
            .iter()
            .map(|&w| "-".repeat(w))
            .collect::<Vec<_>>()
            .join("  "),
    ];
    lines.extend(
        rows.iter()
            .map(|row| render(row.iter().map(String::as_str).collect())),
    );
    lines.join("\n")
}

/// A number with few digits, for people.
pub fn short(value: f64) -> String {
    if value == 0.0 {
        "0".to_owned()
    } else if (1e-3..1e6).contains(&value.abs()) {
        let digits = (4 - value.abs().log10().floor() as i32).clamp(0, 7) as usize;
        format!("{value:.digits$}")
    } else {
        format!("{value:.3e}")
    }
}

/// A whole number with thin groups, for people.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
