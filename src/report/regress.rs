//! Linear models.

use super::{count, number, table};
use crate::study::RegressReport;

/// A fitted model.
#[must_use]
pub fn regress(report: &RegressReport) -> String {
    let model = &report.model;
    let rows: Vec<Vec<String>> = model
        .coefficients
        .iter()
        .map(|one| {
            let p = if one.p < 1e-4 {
                "< 0.0001".to_owned()
            } else {
                format!("{:.4}", one.p)
            };
            vec![
                one.term.clone(),
                number(one.estimate),
                number(one.standard_error),
                format!("{:.2}", one.t),
                p,
            ]
        })
        .collect();
    format!(
        "{} explained by {} terms, {} observations, {} degrees of freedom\n  R2 {:.4}, adjusted {:.4}, residual standard error {}\n\n{}\n{}",
        report.response,
        model.coefficients.len() - 1,
        count(model.observations),
        count(model.degrees_of_freedom),
        model.r_squared,
        model.adjusted_r_squared,
        number(model.residual_standard_error),
        table(&["term", "estimate", "standard error", "t", "p"], &rows),
        report.method,
    )
}
