//! Missions.

use super::campaign::{duration, register_table};
use super::rate::assumed;
use super::{count, number, percent, range, table};
use crate::study::{
    DesignReport, MemoryReport, MissionForecast, MissionReport, ScrubReport, ShortLivedStorage,
};

const GIVEN_STRIKE: &str = "only missions with at least one strike were flown: numbers at a time are those of such missions, failures and wrong bits per hour those of all";

/// What missions would do.
#[must_use]
pub fn mission_forecast(forecast: &MissionForecast) -> String {
    format!(
        "{}\nwould fly {} missions of {} designs on {} samples (at least {} evaluations) and write into {}\nabout {} on this machine, by a first block",
        forecast.expectation,
        count(forecast.missions),
        forecast.designs.len(),
        count(forecast.samples as u64),
        count(forecast.evaluations),
        forecast.out.display(),
        duration(forecast.estimated_seconds),
    )
}

/// Missions of a network.
#[must_use]
pub fn mission(report: &MissionReport) -> String {
    let mut text = format!(
        "{}: {} missions of {} h per design, {} samples, loss {}, fault-free {}\n{} bits struck at {}",
        report.network,
        count(report.repetitions),
        report.mission_h,
        count(report.samples as u64),
        report.loss,
        number(report.fault_free_loss),
        count(report.exposed_bits as u64),
        report.rate,
    );
    let rows: Vec<Vec<String>> = report.designs.iter().map(design_row).collect();
    let mut header = vec![
        "design",
        "area",
        "strikes",
        "wrong bits",
        "wrong inferences",
        "loss at end",
        "loss, 95 %",
        "failures/h",
        "failures/h, 95 %",
        "failures/h, band of the rate",
    ];
    let mut rows = rows;
    if report.designs.iter().any(|design| design.analytic.is_some()) {
        header.push("wrong bits, closed form");
        for (row, design) in rows.iter_mut().zip(&report.designs) {
            let form = design.analytic.and_then(|form| form.wrong_bits_at_end);
            row.push(form.map_or_else(|| "-".to_owned(), number));
        }
    }
    text.push_str(&format!("\n\n{}", table(&header, &rows)));
    text.push_str(&format!(
        "\n\na failure ({}): {}",
        report.failure, report.failure_means
    ));
    text.push_str(&format!(
        "\n\nmean loss over time:\n{}",
        loss_table(&report.designs)
    ));
    text.push_str(&format!(
        "\n\nbits that began to be read wrong, per hour, by what it took:\n{}",
        cause_table(&report.designs)
    ));
    text.push_str(&format!("\n\n{}", report.not_examined.note));
    match &report.short_lived_storage {
        ShortLivedStorage::Left { note, .. } => text.push_str(&format!("\n{note}")),
        ShortLivedStorage::Struck(done) => {
            let interval = &done.wrong_per_hour_interval;
            text.push_str(&format!(
                "\n\n{}\nregisters: {} strikes per hour on {} bits, {} flipped bits per hour, live {} of the time; {} wrong inferences per hour ({}, 95 %), {} hangs per hour{}, on top of the failures above",
                register_table(
                    done.by_class.iter().map(|row| (row.class.to_owned(), &row.shares)),
                    &done.all
                ),
                number(done.events_per_hour.value()),
                count(done.register_bits),
                number(done.flipped_bits_per_hour.value()),
                percent(done.live_share),
                number(done.wrong_per_hour),
                range(interval.low, interval.high),
                number(done.hangs_per_hour),
                done.hangs_per_hour_interval
                    .as_ref()
                    .map_or_else(String::new, |interval| format!(" ({})", range(interval.low, interval.high))),
            ));
        }
    }
    if report.given_strike {
        text.push_str(&format!("\n{GIVEN_STRIKE}"));
    } else if report
        .designs
        .iter()
        .all(|design| design.missions.expected_events < 0.1)
    {
        text.push_str("\nfew missions see a strike: those that do can be flown alone, and weighed");
    }
    text.push_str(&assumed(&report.assumptions));
    let assumes = report.designs.iter().flat_map(|design| &design.missions.at);
    if let Some(assumes) = assumes.filter_map(|at| at.loss.interval.assumes.as_ref()).next() {
        text.push_str(&format!("\nassumed: {assumes}"));
    }
    for warning in &report.warnings {
        text.push_str(&format!("\nwarning: {warning}"));
    }
    text
}

fn design_row(design: &DesignReport) -> Vec<String> {
    let missions = &design.missions;
    let area = &design.area;
    let ratio = if area.plain_area > 0.0 {
        area.selective_area / area.plain_area
    } else {
        1.0
    };
    let failures = &missions.failures;
    let interval = &failures.per_hour_interval;
    let mut row = vec![
        design.design.clone(),
        format!("{ratio:.3}"),
        number(missions.events.mean),
    ];
    match missions.at.last() {
        None => row.extend(["-", "-", "-", "-"].map(str::to_owned)),
        Some(end) => row.extend([
            number(end.wrong_bits.mean),
            format!("{:.2} %", 100.0 * end.wrong_inferences.mean),
            number(end.loss.mean),
            range(end.loss.interval.low, end.loss.interval.high),
        ]),
    }
    row.extend([
        number(failures.per_hour),
        range(interval.low, interval.high),
        design
            .failures_per_hour_band
            .map_or_else(|| "not stated".to_owned(), |[low, high]| range(low, high)),
    ]);
    row
}

fn loss_table(designs: &[DesignReport]) -> String {
    let times: Vec<String> = designs.first().map_or_else(Vec::new, |design| {
        let at = design.missions.at.iter();
        at.map(|at| format!("{} h", number(at.time_h))).collect()
    });
    let header: Vec<&str> = std::iter::once("design")
        .chain(times.iter().map(String::as_str))
        .collect();
    let rows: Vec<Vec<String>> = designs
        .iter()
        .map(|design| {
            let losses = design.missions.at.iter().map(|at| number(at.loss.mean));
            std::iter::once(design.design.clone()).chain(losses).collect()
        })
        .collect();
    table(&header, &rows)
}

fn cause_table(designs: &[DesignReport]) -> String {
    let header = [
        "design",
        "single strike",
        "multi-bit strike",
        "accumulation",
        "stuck",
    ];
    let rows: Vec<Vec<String>> = designs
        .iter()
        .map(|design| {
            let of = |cause: &str| {
                let group = design.missions.by_cause.iter().find(|group| group.group == cause);
                number(group.map_or(0.0, |group| group.wrong_bits.per_hour))
            };
            vec![
                design.design.clone(),
                of("single"),
                of("multi_bit"),
                of("accumulation"),
                of("permanent"),
            ]
        })
        .collect();
    table(&header, &rows)
}

/// Missions of a memory by itself.
#[must_use]
pub fn memory(report: &MemoryReport) -> String {
    let memory = &report.memory;
    let (words, bits, cells) = (memory.words, memory.data_bits_per_word, memory.cells_per_word);
    let what = if bits == 1 && !memory.scheme.is_of_words() {
        format!("{} bits, {}, {cells} cells each", count(words), memory.scheme)
    } else {
        format!(
            "{} words of {bits} data bits, {}, {cells} cells each",
            count(words),
            memory.scheme
        )
    };
    let analytic = report.scrubbing.iter().any(|scrub| scrub.analytic.is_some());
    let mut header = vec![
        "scrubbing",
        "strikes",
        "wrong bits at end",
        "failures per mission",
        "95 %",
        "reported",
        "silent",
        "single strikes",
        "strikes/h, band of the rate",
    ];
    if analytic {
        header.push("closed form");
    }
    let rows: Vec<Vec<String>> = report
        .scrubbing
        .iter()
        .map(|scrub| memory_row(scrub, analytic))
        .collect();
    let mut text = format!(
        "{what}, {} missions of {} h each at {}\n\n{}\n\n{}",
        count(report.repetitions),
        report.mission_h,
        report.rate,
        table(&header, &rows),
        report.failure_means
    );
    if report.given_strike {
        text.push_str(
            "\nonly missions with at least one strike were flown; numbers are those of all missions",
        );
    }
    text.push_str(&assumed(&report.assumptions));
    text
}

fn memory_row(scrub: &ScrubReport, analytic: bool) -> Vec<String> {
    let missions = &scrub.missions;
    let interval = &missions.failures_per_mission.interval;
    let mut row = vec![
        scrub.name.clone(),
        number(missions.events.mean),
        number(missions.wrong_bits_at_end.mean),
        number(missions.failures_per_mission.mean),
        range(interval.low, interval.high),
        number(missions.detected_per_mission.mean),
        number(missions.silent_per_mission.mean),
        number(missions.single_event_per_mission.mean),
        scrub.events_per_hour_band.map_or_else(
            || "not stated".to_owned(),
            |[low, high]| range(low.value(), high.value()),
        ),
    ];
    if analytic {
        let form = scrub.analytic.iter().flatten().next();
        row.push(form.map_or_else(|| "-".to_owned(), |form| number(form.expected_failures)));
    }
    row
}
