//! Campaigns by the trial.

use super::rate::assumed;
use super::{count, number, percent, range, table};
use crate::campaign::statistics::Interval;
use crate::campaign::{
    ExactGroup, ExactShares, ExhaustiveReport, RegisterShares, ShareEstimate, ShareOfStrikes, StrikeOutcome,
    StrikeShares,
};
use crate::study::{
    AccumulationReport, ActivationStudyReport, AskReport, FaultListReport, Forecast,
    RegisterClassesStudyReport, RegisterStudyReport,
};

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
        "{}: {} bits {} one by one, {} samples, loss {}\n  fault-free loss {}{accuracy}\n  {} bits ({:.1} %) raise the mean loss{left}\n\n{}",
        report.network,
        count(report.bits),
        match &report.fault[..] {
            "flip" => "flipped".to_owned(),
            fault => format!("struck ({fault})"),
        },
        count(report.samples as u64),
        report.loss,
        number(report.fault_free_loss),
        count(report.sensitive_bits),
        100.0 * report.sensitive_share,
        table(&header, &rows)
    )
}

/// Which bits are a failure.
#[must_use]
pub fn asked(report: &AskReport) -> String {
    let done = &report.campaign;
    let left = if done.not_examined_bits > 0 {
        format!(
            "\n  {} of {} stored bits not examined",
            count(done.not_examined_bits),
            count(done.stored_bits)
        )
    } else {
        String::new()
    };
    let rows: Vec<Vec<String>> = done
        .by_bit
        .iter()
        .map(|group| {
            let share = group.failures as f64 / group.bits as f64;
            vec![
                format!("{}.{}", group.layer, group.tensor),
                group.bit.to_string(),
                count(group.bits),
                count(group.failures),
                percent(share),
            ]
        })
        .collect();
    format!(
        "{}: {} bits one by one (fault {}), {} samples\n  a failure: {}\n  {} bits ({}) are one{left}\n  {} of the evaluations were needed\n\n{}",
        done.network,
        count(done.bits),
        done.fault,
        count(done.samples as u64),
        done.failure_means,
        count(done.failures),
        percent(done.failure_share),
        percent(done.evaluated_share),
        table(&["tensor", "bit", "bits", "failures", "share"], &rows)
    )
}

/// Several faults at a time.
#[must_use]
pub fn accumulation(report: &AccumulationReport) -> String {
    let first = &report.trials;
    let mut text = format!(
        "{}: {} trials of each number of faults ({}) in {}, {} cells ({} bits protected), {} samples, loss {}\n  fault-free loss {}",
        report.network,
        count(first.plan.trials),
        report.fault,
        report.from.join(" and "),
        count(first.cells),
        count(report.protected_bits),
        count(report.samples as u64),
        report.loss,
        number(report.fault_free_loss),
    );
    if let Some(accuracy) = &first.accuracy {
        text.push_str(&format!(", accuracy {}", percent(accuracy.fault_free)));
    }
    if let Some(lasts) = report.codes_are_struck_in {
        text.push_str(&format!("\n  codes are struck in {lasts}"));
    }
    if report.not_examined_bits > 0 {
        text.push_str(&format!(
            "\n  {} stored bits not struck",
            count(report.not_examined_bits)
        ));
    }
    let with_accuracy = first.accuracy.is_some();
    let rows: Vec<Vec<String>> = report
        .by_flips
        .iter()
        .map(|trials| {
            let (loss, harmful) = (&trials.mean_loss_interval, &trials.harmful_interval);
            let mut row = vec![
                count(trials.plan.flips),
                number(trials.mean_wrong_bits),
                format!("{} ({})", number(trials.mean_loss), range(loss.low, loss.high)),
                format!(
                    "{} ({} .. {})",
                    percent(trials.harmful_share),
                    percent(harmful.low),
                    percent(harmful.high)
                ),
            ];
            if let Some(accuracy) = &trials.accuracy {
                row.push(format!(
                    "{} ({})",
                    percent(accuracy.mean.mean),
                    percent(accuracy.lowest)
                ));
            }
            row
        })
        .collect();
    let mut header = vec!["faults", "wrong bits", "mean loss (95 %)", "raise it (95 %)"];
    if with_accuracy {
        header.push("accuracy (worst)");
    }
    text.push_str(&format!("\n\n{}", table(&header, &rows)));
    let metrics = report.by_flips.iter().flat_map(|trials| {
        trials.metrics.iter().map(|metric| {
            let interval = &metric.mean.interval;
            vec![
                count(trials.plan.flips),
                metric.name.clone(),
                number(metric.fault_free),
                format!(
                    "{} ({})",
                    number(metric.mean.mean),
                    range(interval.low, interval.high)
                ),
                range(metric.lowest, metric.highest),
            ]
        })
    });
    let metrics: Vec<Vec<String>> = metrics.collect();
    if !metrics.is_empty() {
        let header = ["faults", "metric", "fault-free", "mean (95 %)", "seen"];
        text.push_str(&format!("\n\n{}", table(&header, &metrics)));
    }
    if let Some(assumes) = &first.mean_loss_interval.assumes {
        text.push_str(&format!("\nassumed: {assumes}"));
    }
    text
}

/// Listed fault sets.
#[must_use]
pub fn fault_lists(report: &FaultListReport) -> String {
    let done = &report.campaign;
    let worst = done.worst_trial.map_or(String::new(), |trial| {
        format!(" (trial {trial}, by {})", number(done.largest_delta_loss))
    });
    format!(
        "{}: {} fault sets ({}), {} samples, loss {}\n  fault-free loss {}\n  no output changed {}\n  raise the loss    {}{worst}\n  a right sample goes wrong {}\n  mean delta loss   {}",
        done.network,
        count(done.trials),
        done.fault,
        count(done.samples as u64),
        done.loss,
        number(done.fault_free_loss),
        count(done.harmless_trials),
        count(done.harmful_trials),
        count(done.newly_wrong_trials),
        number(done.mean_delta_loss),
    )
}

/// Codes that live for one inference.
#[must_use]
pub fn activations(report: &ActivationStudyReport) -> String {
    let done = &report.campaign;
    let drawn = match done.draws {
        Some(draws) => format!(
            "{} flips per layer, each in the inference of one sample",
            count(draws)
        ),
        None => "every bit, each in the inference of every sample".to_owned(),
    };
    let text = format!(
        "{}: {drawn}; {} samples, loss {}\n  fault-free loss {}, each flip lasts {}; intervals at 95 %",
        done.network,
        count(done.samples as u64),
        done.loss,
        number(done.fault_free_loss),
        done.lasts,
    );
    let known = done.by_layer.iter().any(|layer| layer.newly_wrong.is_some());
    let share = |estimate: &ShareEstimate| {
        let (low, high) = (estimate.interval.low, estimate.interval.high);
        if low == high {
            percent(estimate.share)
        } else {
            format!(
                "{} ({} .. {})",
                percent(estimate.share),
                percent(low),
                percent(high)
            )
        }
    };
    let rows: Vec<Vec<String>> = done
        .by_layer
        .iter()
        .map(|layer| {
            let mut row = vec![
                format!("{}.{}", layer.boundary.layer, layer.boundary.tensor),
                count(layer.flips),
                share(&layer.changed),
            ];
            row.extend(layer.newly_wrong.as_ref().map(share));
            row.push(number(layer.delta_loss.mean));
            row
        })
        .collect();
    let mut header = vec!["struck", "flips", "outputs change"];
    if known {
        header.push("right goes wrong");
    }
    header.push("mean delta loss");
    format!("{text}\n\n{}", table(&header, &rows))
}

/// Registers that are shown one by one.
const SHOWN_REGISTERS: usize = 15;

/// Strikes on registers.
#[must_use]
pub fn registers(report: &RegisterStudyReport) -> String {
    let campaign = &report.campaign;
    let all = &campaign.all;
    let mut parts = vec![format!(
        "{} on {}: {} strikes on {} register bits, seed {}, {} samples, {} cycles per inference",
        campaign.network,
        campaign.hardware,
        count(all.strikes),
        count(all.bits),
        campaign.seed,
        count(campaign.samples as u64),
        count(campaign.cycles_per_inference),
    )];
    let total = ("all".to_owned(), all);
    let units = campaign.by_unit.iter().map(|row| (row.unit.clone(), &row.shares));
    parts.push(avf_table("unit", units.chain([total.clone()]), &PARTS));
    let classes = campaign
        .by_class
        .iter()
        .map(|row| (row.class.to_owned(), &row.shares));
    parts.push(avf_table("class", classes, &PARTS));
    let outcomes = all.outcomes.iter().map(|outcome| {
        let share = share_with_interval(outcome.share, &outcome.interval);
        format!("{} {share} %", outcome.outcome.name().replace('_', " "))
    });
    parts.push(format!("outcomes: {}", outcomes.collect::<Vec<_>>().join("; ")));
    let mut registers: Vec<_> = (campaign.by_register.iter())
        .filter(|row| row.shares.strikes > 0)
        .collect();
    let effective = |row: &RegisterShares| row.shares.effective_bits.unwrap_or(0.0);
    registers.sort_by(|a, b| effective(b).total_cmp(&effective(a)));
    let shown = registers.len().min(SHOWN_REGISTERS);
    let rows = registers[..shown]
        .iter()
        .map(|row| (row.register.clone(), &row.shares));
    parts.push(avf_table("register", rows, &[]));
    let rest = campaign.by_register.len() - shown;
    if rest > 0 {
        parts.push(format!("{} more registers are in the table", count(rest as u64)));
    }
    let stratified = &campaign.post_stratified;
    if let Some(avf) = stratified.avf {
        parts.push(format!(
            "bits x AVF over the units: {} effective bits of {}, AVF {} (post-stratified; the plain share of all strikes is {})",
            number(stratified.effective_bits),
            count(stratified.bits),
            percent(avf),
            all.avf.map_or_else(|| "-".to_owned(), percent),
        ));
    }
    let left = &campaign.not_examined;
    parts.push(format!(
        "AVF counts {}\n{}\nnot examined: {} of {} registers ({} bits) were struck by nothing; {} stored bits; {}",
        campaign.avf_counts,
        campaign.sampling,
        count(left.registers_without_strikes),
        count(left.registers),
        count(left.bits_without_strikes),
        count(left.stored_bits),
        left.note,
    ));
    let raw = &report.raw_rate;
    let band = match raw.uncertainty_factor {
        Some(factor) => format!("known within a factor of {}", number(factor)),
        None => "no band is stated".to_owned(),
    };
    parts.push(format!(
        "raw rate: {} flipped bits per register bit and hour ({}; {band}; a sample is on its way {} of the time)\n{}{}",
        number(raw.flipped_bits_per_bit_hour.value()),
        raw.source,
        percent(raw.live_share),
        raw.note,
        assumed(&raw.assumptions),
    ));
    parts.extend(
        report
            .warnings
            .iter()
            .map(|warning| format!("warning: {warning}")),
    );
    parts.join("\n\n")
}

/// Every flip of register bits in every cycle of one sample.
#[must_use]
pub fn register_classes(report: &RegisterClassesStudyReport) -> String {
    let campaign = &report.campaign;
    let all = &campaign.all;
    let mut parts = vec![format!(
        "{} on {}: {} flips ({} register bits in {} cycles, {} .. {}) in {} classes, {} of them ({} flips) decided by their rule",
        campaign.network,
        campaign.hardware,
        count(all.flips),
        count(all.bits),
        count(campaign.cycles.end - campaign.cycles.start),
        count(campaign.cycles.start),
        count(campaign.cycles.end - 1),
        count(all.classes),
        count(all.classes_by_rule),
        count(all.flips_by_rule),
    )];
    let total = ExactGroup {
        name: "all".to_owned(),
        shares: all.clone(),
    };
    parts.push(exact_table("unit", campaign.by_unit.iter().chain([&total])));
    parts.push(exact_table("class", campaign.by_class.iter()));
    let mut registers: Vec<&ExactGroup> = campaign.by_register.iter().collect();
    registers.sort_by(|a, b| b.shares.effective_bits.total_cmp(&a.shares.effective_bits));
    let shown = registers.len().min(SHOWN_REGISTERS);
    parts.push(exact_table("register", registers[..shown].iter().copied()));
    let left = &campaign.not_examined;
    parts.push(format!(
        "{}\nnot examined: {} register bits; {} stored bits; {}",
        campaign.note,
        count(left.register_bits),
        count(left.stored_bits),
        left.note
    ));
    let warnings = report.warnings.iter();
    parts.extend(warnings.map(|warning| format!("warning: {warning}")));
    parts.join("\n\n")
}

fn exact_table<'a>(what: &str, groups: impl Iterator<Item = &'a ExactGroup>) -> String {
    let in_percent = |share: f64| format!("{:.3}", 100.0 * share);
    let of = |shares: &ExactShares, outcomes: &[StrikeOutcome]| {
        let listed = shares
            .outcomes
            .iter()
            .filter(|row| outcomes.contains(&row.outcome));
        in_percent(listed.map(|row| row.share).sum())
    };
    let rows: Vec<Vec<String>> = groups
        .map(|group| {
            let shares = &group.shares;
            vec![
                group.name.clone(),
                count(shares.bits),
                count(shares.classes),
                shares.avf.map_or_else(|| "-".to_owned(), in_percent),
                number(shares.effective_bits),
                of(
                    shares,
                    &[StrikeOutcome::OutputChanged, StrikeOutcome::ClassChanged],
                ),
                of(shares, &[StrikeOutcome::Hang]),
                of(shares, &[StrikeOutcome::StreamCorrupted]),
            ]
        })
        .collect();
    let header = [
        what,
        "bits",
        "classes",
        "AVF %",
        "bits x AVF",
        "silent corruption %",
        "hang %",
        "stream corrupted %",
    ];
    table(&header, &rows)
}

/// A share with its interval, in percent.
fn share_with_interval(share: f64, interval: &Interval) -> String {
    format!(
        "{:.2} ({:.2} .. {:.2})",
        100.0 * share,
        100.0 * interval.low,
        100.0 * interval.high
    )
}

/// A part of what strikes come to: its heading and its share.
type Part = (&'static str, fn(&StrikeShares) -> &ShareOfStrikes);

/// What the AVF is made of.
const PARTS: [Part; 3] = [
    ("silent corruption %", |shares| &shares.silent_corruption),
    ("hang %", |shares| &shares.hang),
    ("stream corrupted %", |shares| &shares.stream_corruption),
];

/// Vulnerability factors of groups of registers, with some of the parts of the AVF.
fn avf_table<'a>(
    what: &str,
    groups: impl Iterator<Item = (String, &'a StrikeShares)>,
    shown: &[Part],
) -> String {
    let unknown = || "-".to_owned();
    let rows: Vec<Vec<String>> = groups
        .map(|(name, shares)| {
            let avf = shares.avf.zip(shares.avf_interval.as_ref());
            let fit = shares.rates.as_ref().and_then(|rates| {
                let interval = rates.failure_fit_interval.as_ref()?;
                let fit = number(rates.failure_fit?);
                Some(format!("{fit} ({})", range(interval.low, interval.high)))
            });
            let mut row = vec![
                name,
                count(shares.bits),
                count(shares.strikes),
                avf.map_or_else(unknown, |(avf, interval)| share_with_interval(avf, interval)),
                shares.effective_bits.map_or_else(unknown, number),
                fit.unwrap_or_else(unknown),
            ];
            row.extend(
                shown
                    .iter()
                    .map(|(_, part)| match (shares.strikes, part(shares)) {
                        (0, _) => unknown(),
                        (_, part) => share_with_interval(part.share, &part.interval),
                    }),
            );
            row
        })
        .collect();
    let mut header = vec![
        what,
        "bits",
        "strikes",
        "AVF % (95 %)",
        "bits x AVF",
        "failure FIT (95 %)",
    ];
    header.extend(shown.iter().map(|(heading, _)| *heading));
    table(&header, &rows)
}

/// Shares of outcomes by class.
pub(super) fn register_table<'a>(
    by_class: impl Iterator<Item = (String, &'a StrikeShares)>,
    all: &'a StrikeShares,
) -> String {
    let rows: Vec<Vec<String>> = by_class
        .chain([("all".to_owned(), all)])
        .map(|(name, shares)| {
            let mut row = vec![name, count(shares.bits), count(shares.strikes)];
            row.extend(shares.outcomes.iter().map(|outcome| percent(outcome.share)));
            let interval = shares.any_effect_interval();
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
