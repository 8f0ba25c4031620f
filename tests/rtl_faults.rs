//! Strikes on FINN's RTL, and what the cycle engine makes of them: outcome, number of words, the edge at
//! which each leaves, and every value; of flips of stored thresholds the functional engine's values, too.
//!
//! The folder is `RADSTREAM_RTL_FAULTS`, or `rtl_faults` of the shared data. Its README has the conventions.

mod common;

#[path = "rtl_faults/pipeline.rs"]
mod pipeline;
#[path = "rtl_faults/registers.rs"]
mod registers;
#[path = "cycle_common/rtl_core.rs"]
mod rtl_core;
#[path = "rtl_faults/tables.rs"]
mod tables;

use std::collections::BTreeMap;

use pipeline::Design;
use radstream::simulate::cycle::{CycleFault, Site};
use rayon::prelude::*;
use registers::Counterpart;
use tables::{Row, folder, rows};

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Equal,
    /// The values and the number of words are those of the RTL, and words leave at other edges.
    OtherEdges,
    Different,
    /// The engine has no such register.
    NoCounterpart,
}

fn site(design: &Design, row: &Row) -> Option<Site> {
    if let Some((memory, word, bit)) = &row.memory {
        return Some(
            design
                .targets
                .find_physical(memory, *word, *bit)
                .expect("a stored bit"),
        );
    }
    if let Some((layer, tensor, element, bit)) = &row.stored {
        return Some(
            design
                .targets
                .find_logical(layer, tensor, *element, *bit)
                .expect("a stored bit"),
        );
    }
    match registers::counterpart(design, &row.unit, &row.register, row.bit) {
        Counterpart::Register(bit) => Some(Site::Register(bit)),
        Counterpart::None => None,
    }
}

fn verdict(design: &Design, row: &Row) -> Verdict {
    let Some(site) = site(design, row) else {
        return Verdict::NoCounterpart;
    };
    let cycle = (!row.persistent).then_some(row.edge);
    let seen = design.run(&[CycleFault { cycle, site }], row.edges());
    let mut values = seen.words.len() == row.words && seen.words == row.outputs;
    if let (true, Site::Stored(bit)) = (row.persistent, site) {
        values &= design.evaluate(bit) == row.outputs;
    }
    match values {
        true if seen.edges == row.word_edges => Verdict::Equal,
        true => Verdict::OtherEdges,
        false => Verdict::Different,
    }
}

/// Rows of a table with their verdicts, and a line per kind of register.
fn check(design: &Design, table: &str) -> Vec<(Row, Verdict)> {
    let Some(rows) = rows(table) else {
        return Vec::new();
    };
    let done: Vec<(Row, Verdict)> = rows
        .into_par_iter()
        .map(|row| {
            let verdict = verdict(design, &row);
            (row, verdict)
        })
        .collect();
    let mut sums: BTreeMap<Verdict, usize> = BTreeMap::new();
    let mut kinds: BTreeMap<(String, Verdict), Vec<&str>> = BTreeMap::new();
    for (row, verdict) in &done {
        *sums.entry(*verdict).or_default() += 1;
        if *verdict != Verdict::Equal {
            kinds
                .entry((rtl_core::kind(&row.register), *verdict))
                .or_default()
                .push(&row.case);
        }
    }
    eprintln!("{table}: {} rows, {sums:?}", done.len());
    for ((kind, verdict), cases) in kinds {
        let some = cases.iter().take(6).copied().collect::<Vec<_>>().join(" ");
        eprintln!("  {verdict:?} {kind}: {} ({some})", cases.len());
    }
    done
}

#[test]
fn every_strike_does_what_it_does_in_the_rtl() {
    let Some(folder) = folder() else { return };
    let design = Design::read(&folder);
    let fault_free = design.run(&[], 9_000);
    assert_eq!(fault_free.words, design.expected_words, "the fault-free run");
    let mut wrong = Vec::new();
    for table in [
        "registers",
        "hand_picked",
        "idle_mvu",
        "writing_done",
        "thresholds",
        "uniform",
    ] {
        for (row, verdict) in check(&design, table) {
            if verdict != Verdict::Equal {
                wrong.push(format!(
                    "{table} {} {} {} {}: {verdict:?}",
                    row.case, row.register, row.bit, row.edge
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} rows: {:#?}", wrong.len(), wrong);
}

/// A register that its live rule calls dead is dead in the RTL.
#[test]
fn strikes_on_dead_registers_do_nothing_in_the_rtl() {
    let Some(folder) = folder() else { return };
    let design = Design::read(&folder);
    let fault_free = design.run(&[], 9_000);
    let (mut dead, mut masked, mut wrong) = (0, 0, Vec::new());
    for table in ["registers", "hand_picked", "idle_mvu", "writing_done", "uniform"] {
        let Some(rows) = rows(table) else { return };
        let struck = rows.iter().filter_map(|row| match site(&design, row) {
            Some(Site::Register(bit)) => Some((row, bit)),
            _ => None,
        });
        let struck: Vec<_> = struck.collect();
        let strikes: Vec<_> = struck.iter().map(|(row, bit)| (row.edge, *bit)).collect();
        for ((row, _), is_dead) in struck.iter().zip(design.dead(&strikes)) {
            let same = row.outputs == design.expected_words && row.word_edges == fault_free.edges;
            masked += usize::from(same);
            dead += usize::from(is_dead);
            if is_dead && !same {
                wrong.push(format!(
                    "{table} {} {} {} {}",
                    row.case, row.register, row.bit, row.edge
                ));
            }
        }
    }
    eprintln!("{masked} strikes without an effect, {dead} of them on dead registers");
    assert!(wrong.is_empty(), "{} rows: {:#?}", wrong.len(), wrong);
    assert!(dead > 100, "{dead}");
}

#[test]
fn every_unit_has_the_register_bits_of_the_rtl() {
    let Some(folder) = folder() else { return };
    let design = Design::read(&folder);
    let mut wrong = Vec::new();
    for unit in &design.units {
        let bits = design.register_bits(&unit.stage);
        if bits != Some(unit.bits) {
            wrong.push(format!("{}: {bits:?}, {} in RTL", unit.stage, unit.bits));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
