//! Samples of the stored bits.

use super::{count, number, percent, range, table};
use crate::campaign::{DrawnGroup, Estimates, ShareEstimate, Stratum};
use crate::study::{PlanSampleReport, SampleStudyReport};

fn share(estimate: &ShareEstimate) -> String {
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
}

fn name(layer: Option<&String>, tensor: Option<&str>) -> String {
    match (layer, tensor) {
        (Some(layer), Some(tensor)) => format!("{layer}.{tensor}"),
        _ => "all".to_owned(),
    }
}

/// Some of the bits by themselves.
#[must_use]
pub fn sample(report: &SampleStudyReport) -> String {
    let done = &report.campaign;
    let Some(all) = &done.estimates else {
        return format!("{}: nothing drawn", done.network);
    };
    let accuracy = done.fault_free_accuracy.map_or(String::new(), |accuracy| {
        format!(", accuracy {:.2} %", accuracy * 100.0)
    });
    let mut text = format!(
        "{}: {} of {} bits drawn ({}), fault {}, {} samples, loss {}\n  fault-free loss {}{accuracy}",
        done.network,
        count(all.drawn),
        count(all.bits),
        done.design,
        done.fault,
        count(done.samples as u64),
        done.loss,
        number(done.fault_free_loss),
    );
    if done.not_examined_bits > 0 {
        text.push_str(&format!(
            "\n  {} of {} stored bits could not be drawn",
            count(done.not_examined_bits),
            count(done.stored_bits)
        ));
    }
    if let Some(shard) = &report.shard {
        text.push_str(&format!("\n  part {shard} of the drawn bits only"));
    }
    if report.until.is_some() {
        text.push_str(
            "\n  a stop rule looks after 100, 200, 400, ... draws, which makes intervals cover a little less",
        );
    }
    text.push_str(&format!("\n  change an output  {}", share(&all.changed)));
    text.push_str(&format!("\n  raise the loss    {}", share(&all.sensitive)));
    if let Some(critical) = &all.newly_wrong {
        text.push_str(&format!(
            "\n  critical          {}  (a right sample goes wrong)",
            share(critical)
        ));
    }
    let delta = &all.delta_loss;
    text.push_str(&format!(
        "\n  mean delta loss   {} ({}); intervals at 95 %",
        number(delta.mean),
        range(delta.interval.low, delta.interval.high)
    ));
    let row = |group: &DrawnGroup| {
        let Estimates { bits, drawn, .. } = group.estimates;
        let critical = group.estimates.newly_wrong.as_ref();
        vec![
            name(group.layer.as_ref(), group.tensor),
            group.bit.map_or_else(|| "all".to_owned(), |bit| bit.to_string()),
            count(bits),
            count(drawn),
            share(critical.unwrap_or(&group.estimates.sensitive)),
        ]
    };
    let what = if all.newly_wrong.is_some() {
        "critical"
    } else {
        "raise the loss"
    };
    let rows: Vec<Vec<String>> = done.by_layer.iter().chain(&done.by_position).map(row).collect();
    let header = ["tensor", "bit", "bits", "drawn", what];
    format!("{text}\n\n{}", table(&header, &rows))
}

/// How many faults a sample needs.
#[must_use]
pub fn plan_sample(report: &PlanSampleReport) -> String {
    let of = report.network.as_deref().unwrap_or("a population");
    let text = format!(
        "{of}: {} of {} faults ({}) for a margin of {} at {} confidence, expected share {}",
        count(report.draws),
        count(report.population),
        report.design,
        percent(report.margin),
        percent(report.confidence),
        number(report.expected_share)
    );
    let row = |stratum: &Stratum| {
        vec![
            name(stratum.layer.as_ref(), stratum.tensor),
            stratum
                .bit
                .map_or_else(|| "all".to_owned(), |bit| bit.to_string()),
            count(stratum.bits),
            stratum.expected_share.map_or_else(String::new, number),
            count(stratum.drawn),
        ]
    };
    if report.strata.is_empty() {
        return text;
    }
    let rows: Vec<Vec<String>> = report.strata.iter().map(row).collect();
    format!(
        "{text}\n\n{}",
        table(&["tensor", "bit", "bits", "expected share", "draws"], &rows)
    )
}
