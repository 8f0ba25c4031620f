//! Choices of bits and what they buy.

use super::campaign::exhaustive;
use super::rate::{assumed, rate_lines};
use super::{count, number, percent, range, table};
use crate::radiation::rate::{Hour, Quantity, Strikes, Unit};
use crate::study::{HardenReport, LossRaising, ProtectionReport};

/// The main job.
#[must_use]
pub fn harden(report: &HardenReport) -> String {
    let mut text = format!(
        "{}\n\n{}\n\nupsets of all {} stored bits at {}:\n{}",
        exhaustive(&report.campaign),
        protection(&report.protection),
        count(report.rate.stored_bits),
        report.rate.source,
        rate_lines(&report.rate)
    );
    for warning in &report.warnings {
        text.push_str(&format!("\nwarning: {warning}"));
    }
    text
}

/// A choice of bits.
#[must_use]
pub fn protection(report: &ProtectionReport) -> String {
    let area = &report.area;
    let unit = area.unit.symbol();
    let mut text = format!(
        "protection: {} of {} sensitive bits triplicated under {} ({:.1} % of full triplication's extra area)",
        count(report.protected_bits),
        count(report.sensitive_bits),
        report.budget,
        100.0 * report.area_share_of_full_tmr,
    );
    let row = |name: &str, bits: u64, voters: u64, size: f64| {
        let ratio = if area.plain_area > 0.0 {
            size / area.plain_area
        } else {
            1.0
        };
        vec![
            name.to_owned(),
            count(bits),
            count(voters),
            number(size),
            format!("{ratio:.3}"),
        ]
    };
    let rows = [
        row("plain", area.stored_bits, 0, area.plain_area),
        row(
            "selective",
            area.stored_bits + area.extra_bits,
            area.voters,
            area.selective_area,
        ),
        row(
            "full TMR",
            area.stored_bits + area.full_extra_bits,
            area.full_voters,
            area.full_area,
        ),
    ];
    let size = format!("area ({unit})");
    text.push_str(&format!(
        "\n\n{}",
        table(&["design", "cells", "voters", &size, "ratio"], &rows)
    ));
    let rows: Vec<Vec<String>> = report
        .residual
        .iter()
        .map(|residual| {
            let trials = &residual.trials;
            let interval = &trials.mean_loss_interval;
            vec![
                format!("{} {}", residual.design, residual.exposure.replace('_', " ")),
                count(trials.plan.flips),
                number(trials.mean_wrong_bits),
                number(trials.mean_loss),
                range(interval.low, interval.high),
            ]
        })
        .collect();
    let header = ["design, exposure", "flips", "wrong as read", "mean loss", "95 %"];
    let trials = report
        .residual
        .first()
        .map_or(0, |residual| residual.trials.plan.trials);
    text.push_str(&format!(
        "\n\nresidual {} over {} trials (fault-free {}):\n{}",
        if report.loss.ends_with("loss") {
            report.loss.to_owned()
        } else {
            format!("loss ({})", report.loss)
        },
        count(trials),
        number(report.fault_free_loss),
        table(&header, &rows)
    ));
    let assumes = report
        .residual
        .iter()
        .find_map(|residual| residual.trials.mean_loss_interval.assumes.as_ref());
    if let Some(assumes) = assumes {
        text.push_str(&format!("\nassumed: {assumes}"));
    }
    text.push_str(&per_hour(report));
    text.push_str(&assumed(&report.assumptions));
    text
}

/// Without and with protection, a line each.
fn both<U: Unit>(rate: &LossRaising<U>) -> String {
    let bounded = |examined: Quantity<U, Hour>,
                   at_most: Option<Quantity<U, Hour>>,
                   band: Option<[Quantity<U, Hour>; 2]>| {
        let most = match at_most {
            Some(most) if most > examined => format!(" .. {}", number(most.value())),
            Some(_) => String::new(),
            None => " and an unknown number more".to_owned(),
        };
        let band = band.map_or_else(String::new, |[low, high]| {
            format!(" ({})", range(low.value(), high.value()))
        });
        format!("{}{most}{band}", number(examined.value()))
    };
    format!(
        "\n  plain      {}\n  protected  {}",
        bounded(rate.plain, rate.plain_at_most, rate.plain_band),
        bounded(rate.selective, rate.selective_at_most, rate.selective_band),
    )
}

fn per_hour(report: &ProtectionReport) -> String {
    let rate = &report.loss_raising_upsets_per_hour;
    let flips = &report.loss_raising_flipped_bits_per_hour;
    let of_flips = if flips.plain.value() == rate.plain.value() {
        String::new()
    } else {
        format!("\nflips of sensitive bits per hour:{}", both(flips))
    };
    let share = if report.delta_loss_total > 0.0 {
        report.delta_loss_unprotected / report.delta_loss_total
    } else {
        0.0
    };
    format!(
        "\n\nloss-raising single upsets (strikes) per hour:{}{}{of_flips}\n  {} sensitive bits stay unprotected; they carry {} of the summed loss\n{}",
        both(rate),
        unexamined(report, rate),
        count(report.sensitive_bits_unprotected),
        percent(share),
        if rate.plain_band.is_none() {
            "  no band: the source of the rate states no uncertainty"
        } else {
            "  in brackets: the examined bits, as far as the sources of the rate know"
        },
    )
}

/// What was left out, and how far that can move the rates.
fn unexamined(report: &ProtectionReport, rate: &LossRaising<Strikes>) -> String {
    let left = &report.not_examined;
    let mut text = String::new();
    if left.stored_bits > 0 {
        text.push_str(&format!(
            "\n  not examined: {} of {} stored bits, which add at most {}",
            count(left.stored_bits),
            count(left.of_stored_bits),
            number(rate.not_examined_at_most.value()),
        ));
    }
    match (left.register_bits, rate.registers_at_most) {
        (Some(bits), Some(most)) if bits > 0 => text.push_str(&format!(
            "\n  not examined: {} register bits, which add at most {}",
            count(bits),
            number(most.value()),
        )),
        (Some(_), _) => {}
        (None, _) => text.push_str("\n  not examined: registers, which the cycle engine does not build"),
    }
    text
}
