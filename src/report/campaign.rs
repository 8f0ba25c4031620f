//! Campaigns by the trial.

use super::{count, number, percent, range, table};
use crate::campaign::{ExhaustiveReport, RegisterReport};
use crate::study::{AccumulationReport, Forecast};

/// What a campaign would do.
#[must_use]
pub fn forecast(forecast: &Forecast, verb: &str, what: &str) -> String {
    let on = if forecast.samples == 0 {
        String::new()
    } else {
        format!(
            " on {} samples ({} evaluations)",
            count(forecast.samples as u64),
            count(forecast.evaluations)
        )
    };
    let into = if forecast.out.as_os_str().is_empty() {
        String::new()
    } else {
        format!(" and write into {}", forecast.out.display())
    };
    format!(
        "would {verb} {} {what}{on}{into}\nabout {} on this machine, by a first block",
        count(forecast.trials),
        duration(forecast.estimated_seconds)
    )
}

/// A time that people can plan with.
pub(super) fn duration(seconds: f64) -> String {
    if seconds < 120.0 {
        format!("{} s", number(seconds.round().max(1.0)))
    } else if seconds < 7200.0 {
        format!("{:.0} min", seconds / 60.0)
    } else if seconds < 172_800.0 {
        format!("{:.1} h", seconds / 3600.0)
    } else {
        format!("{:.1} days", seconds / 86_400.0)
    }
}

/// Flips one by one.
#[must_use]
pub fn exhaustive(report: &ExhaustiveReport) -> String {
    let accuracy = report.fault_free_accuracy.map_or(String::new(), |accuracy| {
        format!(", accuracy {:.2} %", accuracy * 100.0)
    });
    let left = if report.not_examined_bits > 0 {
        format!(
            "\n  {} of {} stored bits not examined",
            count(report.not_examined_bits),
            count(report.stored_bits)
        )
    } else {
        String::new()
    };
    let mut groups: Vec<_> = report.by_bit.iter().collect();
    groups.sort_by(|a, b| {
        (&a.layer, a.tensor)
            .cmp(&(&b.layer, b.tensor))
            .then(b.bit.cmp(&a.bit))
    });
    let rows: Vec<Vec<String>> = groups
        .iter()
        .map(|group| {
            let share = group.sensitive as f64 / group.bits as f64;
            vec![
                format!("{}.{}", group.layer, group.tensor),
                group.bit.to_string(),
                count(group.bits),
                format!("{:.1} %", share * 100.0),
                "#".repeat((share * 20.0).round() as usize),
                number(group.mean_abs_delta_loss),
            ]
        })
        .collect();
    let header = ["tensor", "bit", "bits", "sensitive", "", "mean |delta loss|"];
    format!(
        "{}: {} bits flipped one by one, {} samples, loss {}\n  fault-free loss {}{accuracy}\n  {} bits ({:.1} %) raise the mean loss{left}\n\n{}",
        report.network,
        count(report.bits),
        count(report.samples as u64),
        report.loss,
        number(report.fault_free_loss),
        count(report.sensitive_bits),
        100.0 * report.sensitive_share,
        table(&header, &rows)
    )
}

/// Several flips at a time.
#[must_use]
pub fn accumulation(report: &AccumulationReport) -> String {
    let trials = &report.trials;
    let interval = &trials.mean_loss_interval;
    let harmful = &trials.harmful_interval;
    let mut text = format!(
        "{}: {} trials of {} flips on {} cells ({} bits protected), {} samples, loss {}\n  fault-free loss {}\n  wrong bits as read {}\n  mean loss {} ({}, 95 %)\n  trials that raise it {} ({} .. {}, 95 %)",
        report.network,
        count(trials.plan.trials),
        count(trials.plan.flips),
        count(trials.cells),
        count(report.protected_bits),
        count(report.samples as u64),
        report.loss,
        number(report.fault_free_loss),
        number(trials.mean_wrong_bits),
        number(trials.mean_loss),
        range(interval.low, interval.high),
        percent(trials.harmful_share),
        percent(harmful.low),
        percent(harmful.high),
    );
    if let Some(assumes) = &interval.assumes {
        text.push_str(&format!("\nassumed: {assumes}"));
    }
    text
}

/// Strikes on registers.
#[must_use]
pub fn registers(report: &RegisterReport) -> String {
    register_table(&report.by_class, &report.all)
}

/// Shares of outcomes by class.
pub(super) fn register_table(
    by_class: &[crate::campaign::StrikeShares],
    all: &crate::campaign::StrikeShares,
) -> String {
    let rows: Vec<Vec<String>> = by_class
        .iter()
        .chain([all])
        .map(|shares| {
            let mut row = vec![shares.class.clone(), count(shares.bits), count(shares.strikes)];
            row.extend(shares.outcomes.iter().map(|outcome| percent(outcome.share)));
            let interval = &shares.effective_interval;
            row.push(format!(
                "{:.2} .. {:.2} %",
                100.0 * interval.low,
                100.0 * interval.high
            ));
            row
        })
        .collect();
    let header = [
        "registers",
        "bits",
        "strikes",
        "no effect",
        "output changed",
        "class changed",
        "hang",
        "stream corrupted",
        "any effect, 95 %",
    ];
    table(&header, &rows)
}
