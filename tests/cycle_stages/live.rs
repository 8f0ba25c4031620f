//! What a live rule calls dead never matters, and what it calls live sometimes does.

use std::collections::BTreeSet;

use radstream::simulate::cycle::{Live, RegisterBit, RegisterTable};

use crate::cycle_common::mix;
use crate::drive::{Pauses, Run, Specimen};
use crate::upsets;

/// Every bit of every register.
fn bits(table: &RegisterTable) -> Vec<(usize, RegisterBit)> {
    let rows = table.rows().iter().enumerate();
    rows.flat_map(|(number, row)| {
        let register = &row.register;
        let lanes = (0..register.words).flat_map(|word| (0..register.lanes).map(move |lane| (word, lane)));
        lanes.flat_map(move |(word, lane)| {
            (0..register.lane_bits).map(move |bit| (number, row.bit(word, lane, bit).expect("a bit")))
        })
    })
    .collect()
}

/// Edges for which a stage is watched behind a strike.
const EDGES: u32 = 80;

/// Places at which a stage is struck, an odd number of edges apart.
const PLACES: u32 = 20;

/// The words that leave, each with its edge.
fn seen(mut run: Run<'_>) -> Vec<(u32, Vec<u64>)> {
    let mut seen = Vec::new();
    let end = run.now + EDGES;
    while run.now < end {
        let before = run.output.len();
        run.edge();
        seen.extend(run.output[before..].iter().map(|word| (run.now, word.clone())));
    }
    seen
}

/// Strikes on random bits that `picks` takes in the state that they land in: which register, and whether what leaves
/// changed. Ends where `enough` says so.
fn strikes(
    specimen: &Specimen,
    bits: &[(usize, RegisterBit)],
    pauses: Pauses,
    picks: impl Fn(RegisterBit, &[u64]) -> bool,
    mut enough: impl FnMut(usize, bool) -> bool,
) {
    let mut fault_free = Run::new(specimen, pauses, false);
    fault_free.rests = false;
    for place in 0..PLACES {
        let mut expected = None;
        for draw in 0..6 {
            let at = mix((place * 6 + draw) ^ pauses.seed << 16) as usize % bits.len();
            // The next bit that is picked.
            let next = bits[at..].iter().chain(&bits[..at]).take(300);
            let Some(&(number, bit)) = next.into_iter().find(|(_, bit)| picks(*bit, &fault_free.state))
            else {
                continue;
            };
            let expected = expected.get_or_insert_with(|| seen(fault_free.clone()));
            let mut run = fault_free.clone();
            bit.flip(&mut run.state);
            if enough(number, seen(run) != *expected) {
                return;
            }
        }
        for _ in 0..3 + 2 * (place % 4) {
            fault_free.edge();
        }
    }
}

fn pauses(seed: u32) -> Pauses {
    let percent = [0, 30, 60][seed as usize % 3];
    Pauses {
        seed,
        source: percent,
        second: percent / 2,
        sink: [40, 0, 90][seed as usize / 3 % 3],
    }
}

#[test]
fn what_a_rule_calls_dead_never_matters() {
    let (mut all, mut registers) = (0, 0);
    for specimen in upsets::all() {
        let table = RegisterTable::of_stage("stage", &*specimen.stage);
        let bits = bits(&table);
        let mut struck = BTreeSet::new();
        for seed in 0..9 {
            let dead = |bit, state: &[u64]| !table.is_live(bit, state);
            strikes(&specimen, &bits, pauses(seed), dead, |number, changed| {
                let row = &table.rows()[number];
                assert!(
                    !changed,
                    "{} {} is not dead: {}",
                    specimen.name, row.path, row.live
                );
                struck.insert(number);
                all += 1;
                false
            });
        }
        registers += struck.len();
    }
    assert!(
        all > 10_000 && registers > 60,
        "{all} strikes on {registers} registers"
    );
}

/// Whatever a rule with conditions says, its contrary is wrong: a flip of what is live sometimes matters.
#[test]
fn what_a_rule_calls_live_sometimes_matters() {
    let mut without = Vec::new();
    for specimen in upsets::all() {
        let table = RegisterTable::of_stage("stage", &*specimen.stage);
        let bits = bits(&table);
        for (number, row) in table.rows().iter().enumerate() {
            // A write command comes from an upset only, and nothing is written without one.
            if row.live.conditions().is_empty() || row.register.name == "write_data" {
                continue;
            }
            let own: Vec<_> = bits.iter().copied().filter(|(of, _)| *of == number).collect();
            let mut matters = false;
            for seed in 0..9 {
                let live = |bit, state: &[u64]| table.is_live(bit, state);
                strikes(&specimen, &own, pauses(seed), live, |_, changed| {
                    matters |= changed;
                    matters
                });
                if matters {
                    break;
                }
            }
            if !matters {
                without.push(format!("{}: {} {}", specimen.name, row.path, row.live));
            }
        }
    }
    assert!(without.is_empty(), "nothing that is live matters: {without:#?}");
}

#[test]
fn rules_name_registers_of_their_stage() {
    for specimen in upsets::all() {
        let table = RegisterTable::of_stage("stage", &*specimen.stage);
        for (number, row) in table.rows().iter().enumerate() {
            for condition in row.live.conditions() {
                let flag = table.flag(number, condition.flag).expect(condition.flag);
                assert_ne!(flag.path, row.path);
            }
            assert!(!matches!(&row.live, Live::While(conditions) if conditions.is_empty()));
        }
    }
}
