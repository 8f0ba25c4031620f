//! Runs.

use super::{count, number, percent, table};
use crate::simulate::cycle::{End, Timing};
use crate::study::{ClockReport, FaultList, RunFaults, RunReport};

/// Faults that are shown one by one.
const SHOWN: usize = 40;

/// A run.
#[must_use]
pub fn run(report: &RunReport) -> String {
    let mut lines = vec![format!(
        "{}: {} samples, {} engine",
        report.network,
        count(report.samples as u64),
        report.engine.name()
    )];
    if let Some(accuracy) = report.accuracy {
        let without = report.fault_free_accuracy.map_or(String::new(), |accuracy| {
            format!(" ({:.2} % without faults)", accuracy * 100.0)
        });
        lines.push(format!("accuracy {:.2} %{without}", accuracy * 100.0));
    }
    let without = report.fault_free_loss.map_or(String::new(), |loss| {
        format!(" ({} without faults)", number(loss))
    });
    lines.push(format!(
        "mean loss ({}) {}{without}",
        report.loss_name,
        number(report.loss)
    ));
    if let Some(clock) = &report.clock {
        lines.push(clock_text(clock, report.samples));
    }
    if let Some(faults) = &report.faults {
        lines.push(faults_text(faults));
    }
    if let Some(clock) = &report.clock {
        let left_out = clock.not_modelled.iter();
        lines.extend(left_out.map(|line| format!("not modelled: {line}")));
    }
    lines.extend(
        report
            .warnings
            .iter()
            .map(|warning| format!("warning: {warning}")),
    );
    lines.extend(
        report
            .files
            .iter()
            .map(|file| format!("wrote {}", file.display())),
    );
    lines.join("\n")
}

fn clock_text(clock: &ClockReport, samples: usize) -> String {
    let cycle = |cycle: Option<u64>| cycle.map_or_else(|| "-".to_owned(), count);
    let Timing {
        first_output,
        latency,
        initiation_interval,
        total,
    } = clock.cycles;
    let mut text = format!(
        "cycles: first output {}, latency {}, initiation interval {}, total {} for {} samples\nbottleneck: {}",
        cycle(first_output),
        cycle(latency),
        cycle(initiation_interval),
        count(total),
        count(samples as u64),
        clock.bottleneck,
    );
    if samples == 1 && initiation_interval.is_none() {
        text.push_str("\none sample does not show the interval: two or more do, and so does a steady run");
    }
    let rows: Vec<Vec<String>> = clock
        .stages
        .iter()
        .map(|stage| {
            vec![
                stage.stage.clone(),
                count(stage.transfer_cycles),
                count(stage.stall_cycles),
                count(stage.idle_cycles),
            ]
        })
        .collect();
    text.push_str(&format!(
        "\n\n{}",
        table(&["stage", "words move", "stalled", "idle"], &rows)
    ));
    if !clock.fifos.is_empty() {
        let rows: Vec<Vec<String>> = clock
            .fifos
            .iter()
            .map(|fifo| {
                let smallest = fifo.smallest_without_stall;
                vec![
                    fifo.fifo.clone(),
                    count(fifo.depth as u64),
                    count(fifo.deepest),
                    smallest.map_or_else(|| "-".to_owned(), |depth| count(depth as u64)),
                ]
            })
            .collect();
        let header = ["FIFO", "depth", "most words", "smallest without a stall"];
        text.push_str(&format!("\n\n{}", table(&header, &rows)));
    }
    text.push('\n');
    text
}

fn faults_text(faults: &RunFaults) -> String {
    let from = faults.drawn.map_or(String::new(), |drawn| {
        format!(
            " from {} {}, {}",
            count(drawn.bits),
            drawn.from.bits(),
            drawn.when
        )
    });
    let verb = if faults.drawn.is_some() { "drawn" } else { "listed" };
    let mut text = format!(
        "faults: {} {verb}{from}; {} wrong bits",
        count(faults.injected as u64),
        count(faults.wrong_bits as u64),
    );
    match faults.effective {
        Some(effective) => {
            text.push_str(&format!(", {} effective", count(effective as u64)));
            if faults.wrong_bits > 0 {
                let share = effective as f64 / faults.wrong_bits as f64;
                text.push_str(&format!(" ({})", percent(share)));
            }
            text.push_str(&format!("\neffective: {}", faults.effective_counts));
        }
        None => text.push_str(&format!("\neffective faults {}", faults.effective_counts)),
    }
    if let Some(struck) = &faults.struck {
        text.push_str(&format!(
            "\ntogether: {}",
            struck.outcome.name().replace('_', " ")
        ));
        match struck.end {
            End::Completed => {}
            End::Hang { cycle } => text.push_str(&format!(
                "; the accelerator hangs: waited until cycle {}",
                count(cycle)
            )),
            End::StreamCorrupted { expected, seen } => text.push_str(&format!(
                "; the stream is corrupted: {} words came out instead of {}",
                count(seen),
                count(expected)
            )),
        }
    }
    let value = |value: Option<i64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    let bit = |address: &crate::accelerator::NamedBit| {
        format!(
            "{}.{}[{}] bit {}",
            address.layer, address.tensor, address.element, address.bit
        )
    };
    let (header, rows, all): (Vec<&str>, Vec<Vec<String>>, usize) = match &faults.list {
        FaultList::Stored(list) => (
            vec!["bit", "stored at", "word", "value", "effect"],
            list.iter()
                .take(SHOWN)
                .map(|fault| {
                    let address = &fault.address;
                    vec![
                        bit(address),
                        format!(
                            "{} word {} bit {}",
                            address.memory, address.word, address.word_bit
                        ),
                        format!("{} -> {}", fault.word_before, fault.word_after),
                        format!("{} -> {}", value(fault.value_before), value(fault.value_after)),
                        fault.effect.name().replace('_', " "),
                    ]
                })
                .collect(),
            list.len(),
        ),
        FaultList::Struck(list) => (
            vec!["bit", "cycle", "before", "after", "effect"],
            list.iter()
                .take(SHOWN)
                .map(|fault| {
                    let word = |word: &Option<String>| word.clone().unwrap_or_else(|| "-".to_owned());
                    vec![
                        bit(&fault.address),
                        fault.cycle.map_or_else(|| "-".to_owned(), count),
                        word(&fault.word_before),
                        word(&fault.word_after),
                        fault
                            .effect
                            .map_or_else(|| "-".to_owned(), |effect| effect.name().replace('_', " ")),
                    ]
                })
                .collect(),
            list.len(),
        ),
    };
    if !rows.is_empty() {
        text.push_str(&format!("\n\n{}\n", table(&header, &rows)));
    }
    if all > SHOWN {
        text.push_str(&format!(
            "{} more are in the JSON document\n",
            count((all - SHOWN) as u64)
        ));
    }
    text
}
