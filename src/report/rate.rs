//! Rates.

use super::{count, number, percent, range, table};
use crate::radiation::Assumption;
use crate::radiation::rate::Hours;
use crate::study::{AnalyticReport, ClassReport, PresetReport, PresetsReport, RateSummary, UpsetReport};

/// A line of a rate.
pub(super) fn row(label: &str, text: impl std::fmt::Display) -> String {
    format!("  {label:<16} {text}")
}

/// A rate with its band.
#[must_use]
pub fn rate_lines(rate: &RateSummary) -> String {
    let known = rate.band.upsets_per_hour.map_or(String::new(), |[low, high]| {
        format!(
            " ({}, as far as its sources know)",
            range(low.value(), high.value())
        )
    });
    let mut lines = vec![
        row(
            "upsets per hour",
            format!("{} strikes{known}", number(rate.upsets_per_hour.value())),
        ),
        row(
            "upsets per day",
            format!("{} strikes", number(rate.upsets_per_day)),
        ),
        row("FIT", format!("{} strikes", number(rate.fit.value()))),
    ];
    if let Some(hours) = rate.hours_per_upset {
        let years = number(Hours(hours).years());
        lines.push(row(
            "hours per upset",
            format!("{} ({years} years) per strike", number(hours)),
        ));
    }
    lines.push(row("flipped bits", flipped_bits(rate)));
    if rate.band.upsets_per_hour.is_none() {
        lines.push(row("band", "none: the source of the rate states no uncertainty"));
    }
    lines.join("\n")
}

/// The bits that the strikes flip, and by which clusters.
fn flipped_bits(rate: &RateSummary) -> String {
    let known = rate
        .band
        .flipped_bits_per_hour
        .map_or(String::new(), |[low, high]| {
            format!(" ({})", range(low.value(), high.value()))
        });
    let per_strike = rate
        .flipped_bits_per_strike
        .map_or(String::new(), |bits| format!(", {} a strike", number(bits)));
    format!(
        "{} per hour{known}, FIT {}{per_strike} (clusters: {})",
        number(rate.flipped_bits_per_hour.value()),
        number(rate.fit_flipped_bits.value()),
        rate.clusters.join(", ")
    )
}

/// What numbers rest on, a line each.
pub(super) fn assumed(assumptions: &[Assumption]) -> String {
    assumptions
        .iter()
        .map(|assumption| format!("\nassumed: {assumption}"))
        .collect()
}

/// A rate and what follows from it.
#[must_use]
pub fn rate(report: &UpsetReport) -> String {
    let rate = &report.rate;
    let mut lines = vec![
        format!("{} stored bits at {}", count(rate.stored_bits), rate.source),
        rate_lines(rate),
    ];
    let with_band =
        |band: Option<[f64; 2]>| band.map_or(String::new(), |[low, high]| format!(" ({})", range(low, high)));
    if let (Some(per_hour), Some(upsets)) = (report.inferences_per_hour, report.events_per_inference) {
        let text = format!(
            "{} strikes ({} inferences per hour)",
            number(upsets),
            number(per_hour)
        );
        lines.push(row("per inference", text));
    }
    if let Some(mission) = &report.mission {
        lines.push(row(
            &format!("in {} h", number(mission.hours)),
            format!(
                "{} expected{}",
                mission.expected_strikes,
                with_band(
                    rate.band
                        .expected_events
                        .flatten()
                        .map(|band| band.map(|end| end.value()))
                )
            ),
        ));
        lines.push(row(
            "  flipped bits",
            format!(
                "{} expected{}",
                number(mission.expected_flipped_bits.value()),
                with_band(
                    rate.band
                        .expected_flipped_bits
                        .flatten()
                        .map(|band| band.map(|end| end.value()))
                )
            ),
        ));
    }
    if let Some(dvf) = &report.dvf {
        lines.push(row(
            &format!("with DVF {}", dvf.dvf),
            format!(
                "{} failures of the design per hour",
                number(dvf.functional_failures_per_hour)
            ),
        ));
        lines.push(format!("    {}", dvf.method));
    }
    if report.classes.len() > 1 {
        lines.push(format!("\n{}", class_table(&report.classes)));
    }
    lines.extend(report.classes.iter().filter_map(explanation));
    if !rate.assumptions.is_empty() {
        lines.push("assumed:".to_owned());
        lines.extend(
            rate.assumptions
                .iter()
                .map(|assumption| format!("  {assumption}")),
        );
    }
    if let Some(analytic) = &report.analytic {
        lines.push(format!("\n{}", closed_forms(analytic)));
    }
    lines.join("\n")
}

fn class_table(classes: &[ClassReport]) -> String {
    let rows: Vec<Vec<String>> = classes
        .iter()
        .map(|class| {
            vec![
                class.class.clone(),
                class.memory_technology.clone(),
                count(class.stored_bits),
                number(class.events_per_hour.value()),
                number(class.flipped_bits_per_hour.value()),
                class.clusters.clone(),
            ]
        })
        .collect();
    table(
        &[
            "class",
            "technology",
            "bits",
            "strikes/h",
            "flipped bits/h",
            "clusters",
        ],
        &rows,
    )
}

fn explanation(class: &ClassReport) -> Option<String> {
    let steps = class.steps.as_ref()?;
    let mut lines = vec![format!("{} ({}):", class.class, class.memory_technology)];
    lines.extend(steps.iter().map(|step| format!("  {step}")));
    lines.push(format!(
        "  {:e} strikes per bit and hour x {} bits = {:e} strikes per hour",
        class.events_per_bit_hour.value(),
        class.stored_bits,
        class.events_per_hour.value()
    ));
    lines.push(format!(
        "  {:e} strikes per hour x {} flipped bits a strike ({}) = {:e} flipped bits per hour",
        class.events_per_hour.value(),
        class.bits_per_event,
        class.clusters,
        class.flipped_bits_per_hour.value()
    ));
    Some(lines.join("\n"))
}

fn closed_forms(memory: &AnalyticReport) -> String {
    let scrub = memory.scrub_hours.map_or_else(
        || "never scrubbed".to_owned(),
        |hours| format!("scrubbed every {} s", number(hours.0 * 3600.0)),
    );
    let mut lines = vec![
        format!(
            "closed forms: {} {}, {scrub}, {} h",
            count(memory.units),
            memory.unit,
            number(memory.mission_hours.0)
        ),
        format!("  P(bit wrong)       {}", number(memory.p_bit_wrong)),
        format!("  P(unit fails)      {}", number(memory.p_unit_fails)),
        format!(
            "  expected failures  {} (leading order {})",
            number(memory.expected_failures),
            number(memory.expected_failures_approximately)
        ),
    ];
    if memory.single_event_floor > 0.0 {
        lines.push(format!(
            "  single-strike floor  {} failures ({} of the strikes put two flips into one word), on top",
            number(memory.single_event_floor),
            percent(memory.share_in_one_word)
        ));
    }
    lines.push(format!("  P(any failure)     {}", number(memory.p_any)));
    if let (Some(hours), Some(method)) = (memory.mttf_hours, memory.mttf_method) {
        lines.push(format!(
            "  MTTF               {} h = {} s\n    {method}",
            number(hours.0),
            number(hours.0 * 3600.0)
        ));
    }
    lines.extend(memory.notes.iter().map(|note| format!("  {note}")));
    lines.join("\n")
}

/// The presets by kind, each under the words that head it.
#[must_use]
pub fn presets(report: &PresetsReport, headings: [&str; 3]) -> String {
    let parts = [
        &report.environments,
        &report.memory_technologies,
        &report.clusters,
    ];
    let texts: Vec<String> = headings
        .iter()
        .zip(parts)
        .map(|(heading, rows)| {
            let rows: Vec<String> = rows.iter().map(preset).collect();
            format!("{heading}\n{}", rows.join("\n"))
        })
        .collect();
    texts.join("\n\n")
}

fn preset(preset: &PresetReport) -> String {
    let aliases = if preset.aliases.is_empty() {
        String::new()
    } else {
        format!(" (also {})", preset.aliases.join(", "))
    };
    let status: Vec<String> = preset
        .status
        .iter()
        .map(|status| format!("{status:?}").to_lowercase())
        .collect();
    let status = if status.is_empty() {
        String::new()
    } else {
        format!(" [{}]", status.join(", "))
    };
    format!(
        "  {}{aliases}\n      {}{status}\n      {}",
        preset.name, preset.gives, preset.source
    )
}
