//! Costs against netlists that yosys made of plain and triplicated memories.

use std::path::Path;

use proptest::prelude::*;
use radstream::accelerator::*;
use radstream::scheme::{AreaReport, Cells, Ledger, Place, Protection, Scheme, Store};

use crate::common::shared_data;
use crate::nets::{Builder, dense, signed};

type Row = std::collections::HashMap<String, String>;

fn rows(folder: &Path, name: &str) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(folder.join("area").join(name)).unwrap();
    reader.deserialize().map(Result::unwrap).collect()
}

fn number(row: &Row, key: &str) -> f64 {
    row[key].parse().unwrap_or_else(|_| panic!("{key} of {row:?}"))
}

fn technology(name: &str) -> Technology {
    Technology::find(name, Path::new("")).unwrap()
}

/// One memory of `depth x width` bits, one element per word, in a technology and style.
fn accelerator(depth: usize, width: usize, technology: &str, style: Style) -> Accelerator {
    // Elements have at most 64 bits; a wider word holds several.
    let lanes = width.div_ceil(8).max(1);
    let lanes = (lanes..=width)
        .find(|lanes| width.is_multiple_of(*lanes))
        .unwrap();
    let mut hardware = Hardware {
        technology: Some(technology.to_owned()),
        ..Hardware::default()
    };
    hardware.default.weights = Some(Storage {
        style,
        packing: Packing::Words {
            elements_per_word: lanes as u32,
            word_bits: None,
        },
        ..Storage::default()
    });
    let network = dense(depth, lanes, (width / lanes) as u32);
    let accelerator = Accelerator::build(&network, &hardware).unwrap();
    let memory = &accelerator.map().memories()[0];
    assert_eq!((memory.depth, memory.word_bits), (depth as u64, width as u32));
    accelerator
}

/// The report with these bits under a scheme, beside all of them.
fn under(accelerator: &Accelerator, scheme: Scheme, bits: &[StoredBit]) -> AreaReport {
    let protection = Protection::of(scheme, bits.iter().copied());
    AreaReport::of(accelerator, &protection, scheme).unwrap()
}

/// The report with the lowest `columns` columns protected over the full depth.
fn with_columns(accelerator: &Accelerator, columns: u32) -> AreaReport {
    let map = accelerator.map();
    let protected: Vec<StoredBit> = map.bits().filter(|bit| map.address(*bit).bit < columns).collect();
    under(accelerator, Scheme::Tmr, &protected)
}

#[test]
fn register_files_cost_what_was_synthesized() {
    let Some(folder) = shared_data() else { return };
    let mut compared = 0;
    for row in rows(&folder, "area.csv") {
        let (flow, mode) = (row["flow"].as_str(), row["mode"].as_str());
        let known = row["kind"] == "regfile" && row["feedback"] == "readvote";
        if !known || !["nangate45", "sky130hd"].contains(&flow) || !["none", "tmr", "sel"].contains(&mode) {
            continue;
        }
        let (depth, width) = (number(&row, "D") as usize, number(&row, "W") as usize);
        let columns = number(&row, "k") as u32;
        let report = with_columns(&accelerator(depth, width, flow, Style::RegisterFile), columns);
        assert_eq!(report.unit, AreaUnit::GateEquivalent);
        assert_eq!(report.extra_bits, 2 * depth as u64 * u64::from(columns));
        assert_eq!(report.voters, u64::from(columns));
        let measured = number(&row, "GE");
        let error = (report.selective_area / measured - 1.0).abs();
        // The fits' own largest residual is 4.4 %; the constants are those of 32x32; the smallest plain
        // files (8x8) carry up to a tenth more for their decoders.
        let limit = match (depth, mode) {
            (32, _) => 0.005,
            (_, "none") => 0.10,
            _ => 0.044,
        };
        assert!(
            error < limit,
            "{flow} {depth}x{width} k={columns} {mode}: {measured} {report:?}"
        );
        compared += 1;
    }
    assert_eq!(compared, 2 * (5 * 2 + 4 + 5 + 5));
}

#[test]
fn presets_hold_the_fitted_constants() {
    let Some(folder) = shared_data() else { return };
    for row in rows(&folder, "area_fit.csv") {
        if row["style"] != "readvote" || row["D"] != "32" || row["flow"] == "cmos" {
            continue;
        }
        let technology = technology(&row["flow"]);
        let file = technology.register_file.unwrap();
        let pick = |resources: Resources| match row["metric"].as_str() {
            "GE" => resources.gates,
            "LUT" => resources.luts,
            _ => resources.flip_flops,
        };
        assert_eq!(pick(file.bit), number(&row, "per_bit_base"));
        let extra = 2.0 * pick(file.copy) + pick(technology.voter) / number(&row, "D");
        let measured = number(&row, "extra_per_protected_bit");
        assert!((extra / measured - 1.0).abs() < 1e-3, "{row:?} {extra}");
    }
    let flows = [
        ("nangate45", "nangate45"),
        ("sky130hd", "sky130hd"),
        ("ihp130", "ihp_sg13g2"),
        ("osu018", "osu018"),
    ];
    for row in rows(&folder, "area.csv")
        .iter()
        .filter(|row| row["mode"] == "voter")
    {
        let width = number(row, "W");
        if let Some((_, name)) = flows.iter().find(|(flow, _)| *flow == row["flow"]) {
            let voter = technology(name).voter.gates;
            assert!((number(row, "GE") / width - voter).abs() < 0.01, "{row:?}");
        } else if ["ice40", "xilinx"].contains(&row["flow"].as_str()) {
            let name = if row["flow"] == "ice40" { "ice40" } else { "xc7" };
            assert_eq!(technology(name).voter.luts * width, number(row, "LUT"));
        }
    }
}

#[test]
fn memories_cost_the_primitives_that_were_mapped() {
    let Some(folder) = shared_data() else { return };
    let rows = rows(&folder, "area.csv");
    let mut compared = 0;
    for row in &rows {
        let (style, key) = match row["kind"].as_str() {
            "mem_block" => (Style::BlockRam, "BRAM"),
            "mem_distributed" => (Style::LutRam, "LUTRAM"),
            _ => continue,
        };
        let name = match row["flow"].as_str() {
            "xilinx" => "xc7",
            "ice40" => "ice40",
            _ => continue,
        };
        let mode = row["mode"].as_str();
        if !(mode == "none" || mode == "tmr" || mode.starts_with("sel")) {
            continue;
        }
        let (depth, width) = (number(row, "D") as usize, number(row, "W") as usize);
        let columns = number(row, "k") as u32;
        let accelerator = accelerator(depth, width, name, style);
        let report = with_columns(&accelerator, columns);
        let primitives = report.selective.block_rams + report.selective.lut_rams;
        assert_eq!(primitives, number(row, key), "{name} {} {mode}", row["name"]);
        // Beside what decodes the write address, which protection does not change.
        let plain = rows
            .iter()
            .find(|other| {
                other["mode"] == "none"
                    && ["kind", "flow", "D", "W"]
                        .iter()
                        .all(|key| other[*key] == row[*key])
            })
            .unwrap();
        if name == "xc7" {
            let extra = report.selective.luts - report.plain.luts;
            assert_eq!(
                extra,
                number(row, "LUT") - number(plain, "LUT"),
                "{}",
                row["name"]
            );
        }
        if mode == "tmr" {
            assert_eq!(report.selective, report.full);
            assert_eq!(report.share_of_full(), 1.0);
        }
        compared += 1;
    }
    assert!(compared >= 5 * 4 * 2 + 3 * 4, "{compared}");
}

#[test]
fn registers_are_voted_one_by_one() {
    let accelerator = accelerator(10, 6, "nangate45", Style::Registers);
    let report = with_columns(&accelerator, 2);
    assert_eq!(
        (report.protected_bits, report.extra_bits, report.voters),
        (20, 40, 20)
    );
    assert_eq!((report.full_extra_bits, report.full_voters), (120, 60));
    // DFF 5.67 and enable multiplexer 2.33 per bit, 3.33 per voter.
    let per_bit = 2.0 * (5.67 + 2.33) + 3.33;
    assert!((report.plain_area - 60.0 * 8.0).abs() < 1e-9);
    assert!((report.selective_area - report.plain_area - 20.0 * per_bit).abs() < 1e-9);
    assert!((report.full_area - report.plain_area - 60.0 * per_bit).abs() < 1e-9);
    assert!((report.share_of_full() - 1.0 / 3.0).abs() < 1e-12);
    let none = under(&accelerator, Scheme::None, &[StoredBit(0)]);
    assert_eq!((none.extra_bits, none.voters), (0, 0));
    assert_eq!(none.selective_area, none.plain_area);
}

#[test]
fn word_codes_on_register_files_cost_what_was_synthesized() {
    // Whole register files with parity and with SECDED over the plain one, Nangate 45 nm.
    let measured = [
        (16, 8, 1.136, 1.683),
        (16, 16, 1.083, 1.471),
        (64, 8, 1.126, 1.634),
        (32, 32, 1.042, 1.262),
    ];
    for (depth, width, parity, secded) in measured {
        let accelerator = accelerator(depth, width, "nangate45", Style::RegisterFile);
        let all: Vec<StoredBit> = accelerator.map().bits().collect();
        for (scheme, ratio) in [(Scheme::Parity, parity), (Scheme::Secded, secded)] {
            let report = under(&accelerator, scheme, &all);
            let found = report.full_area / report.plain_area;
            // As far as the law of triplication is off.
            assert!(
                (found / ratio - 1.0).abs() < 0.044,
                "{scheme} {depth}x{width}: {found} and {ratio}"
            );
            assert_eq!(report.selective_area, report.full_area);
            assert_eq!(
                (report.voters, report.protected_bits),
                (1, (depth * width) as u64)
            );
        }
    }
}

#[test]
fn a_scheme_of_words_takes_whole_words() {
    let accelerator = accelerator(10, 6, "nangate45", Style::Registers);
    // Two bits of word 0 and one of word 3.
    let some = [StoredBit(1), StoredBit(4), StoredBit(20)];
    for (scheme, extra) in [
        (Scheme::Parity, 1),
        (Scheme::Secded, 5),
        (Scheme::Dmr, 6),
        (Scheme::TmrWord, 12),
    ] {
        let report = under(&accelerator, scheme, &some);
        assert_eq!(
            (report.protected_bits, report.extra_bits, report.voters),
            (12, 2 * extra, 2),
            "{scheme}"
        );
        assert_eq!(
            (report.full_extra_bits, report.full_voters),
            (10 * extra, 10),
            "{scheme}"
        );
        assert!(
            report.plain_area + 2.0 * extra as f64 * 8.0 < report.selective_area,
            "{scheme}"
        );
        let mut ledger = Ledger::new(&accelerator, scheme);
        for bit in some {
            ledger.protect(&accelerator, bit, scheme).unwrap();
        }
        ledger.release(&accelerator, StoredBit(4));
        assert_eq!(ledger.report(&accelerator), report, "{scheme}");
        ledger.release(&accelerator, StoredBit(1));
        assert_eq!(ledger.extra_bits(&accelerator), extra, "{scheme}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_ledger_does_not_depend_on_the_order(
        picks in proptest::collection::vec(0u64..240, 1..60),
        style in prop_oneof![Just(Style::Registers), Just(Style::RegisterFile)],
    ) {
        let accelerator = accelerator(40, 6, "sky130hd", style);
        let bits: Vec<StoredBit> = picks.into_iter().map(StoredBit).collect();
        let mut ledger = Ledger::new(&accelerator, Scheme::Tmr);
        let mut before = 0.0;
        for &bit in &bits {
            let was = ledger.protection().scheme_of(bit).is_some();
            let after = ledger.protect(&accelerator, bit, Scheme::Tmr).unwrap();
            prop_assert!(after >= before && (was == (after == before)));
            before = after;
        }
        let mut reversed = bits.clone();
        reversed.reverse();
        let report = ledger.report(&accelerator);
        prop_assert_eq!(&under(&accelerator, Scheme::Tmr, &reversed), &report);
        let mut distinct = bits;
        distinct.sort();
        distinct.dedup();
        prop_assert_eq!(report.protected_bits, distinct.len() as u64);
        prop_assert!((report.selective_area - report.plain_area - before).abs() < 1e-6);
        prop_assert!(report.selective_area <= report.full_area + 1e-9);
        let refused = ledger.protect(&accelerator, StoredBit(240), Scheme::Tmr).unwrap();
        prop_assert_eq!(refused, before);
    }
}

/// Two layers whose memories hold 12 words of 5 bits and 24 words of 3 bits.
fn two_memories(technology: &str, style: Style) -> Accelerator {
    let mut builder = Builder::new(vec![2], signed(8));
    let mut layer = |name: &str, columns: usize, rows: usize, width: u32| {
        let values = vec![1; columns * rows];
        let geometry = radstream::network::Geometry::dense(1, columns, rows);
        builder.product(name, geometry, signed(width), values, false);
    };
    layer("a", 2, 6, 5);
    layer("b", 6, 4, 3);
    let mut hardware = Hardware {
        technology: Some(technology.to_owned()),
        ..Hardware::default()
    };
    hardware.default.weights = Some(Storage {
        style,
        ..Storage::default()
    });
    let accelerator = Accelerator::build(&builder.network, &hardware).unwrap();
    let sizes = accelerator.map().memories().iter();
    assert_eq!(
        sizes
            .map(|memory| (memory.depth, memory.word_bits))
            .collect::<Vec<_>>(),
        [(12, 5), (24, 3)]
    );
    accelerator
}

fn any_memory() -> impl Strategy<Value = (&'static str, Style)> {
    proptest::sample::select(vec![
        ("nangate45", Style::Registers),
        ("nangate45", Style::RegisterFile),
        ("xc7", Style::LutRam),
        ("xc7", Style::BlockRam),
    ])
}

/// A scheme that protects something.
fn any_protection() -> impl Strategy<Value = Scheme> {
    any_scheme().prop_filter("no protection", |scheme| *scheme != Scheme::None)
}

fn any_scheme() -> impl Strategy<Value = Scheme> {
    let all = Scheme::ALL.into_iter().chain([Scheme::Ideal]);
    proptest::sample::select(all.collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_mixture_counts_the_cells_that_it_lays_out(
        picks in proptest::collection::vec((0u64..132, any_scheme()), 0..60),
        (technology, style) in any_memory(),
    ) {
        let accelerator = two_memories(technology, style);
        let mut ledger = Ledger::new(&accelerator, Scheme::Tmr);
        let mut kept = Protection::none();
        for (bit, scheme) in picks {
            let before = ledger.report(&accelerator);
            let mut next = kept.clone();
            next.protect(StoredBit(bit), scheme);
            let sound = next.check(accelerator.map());
            match ledger.protect(&accelerator, StoredBit(bit), scheme) {
                Ok(_) => kept = next,
                Err(error) => {
                    let refused = sound.clone().unwrap_err();
                    prop_assert_eq!((&error.memory, error.word), (&refused.memory, refused.word));
                    prop_assert_eq!(&ledger.report(&accelerator), &before);
                    continue;
                }
            }
            prop_assert_eq!(sound, Ok(()));
            prop_assert_eq!(ledger.protection(), &kept);
        }
        let report = ledger.report(&accelerator);
        prop_assert_eq!(&AreaReport::of(&accelerator, &kept, Scheme::Tmr).unwrap(), &report);
        let store = Store::new(&accelerator, |_| true, &kept).unwrap();
        prop_assert_eq!(report.extra_bits + report.stored_bits, store.cells());
        prop_assert_eq!(report.protected_bits, store.protected_bits());
        prop_assert_eq!(Cells::new(store).extra(), report.extra_bits);
        // Registers are not shared: every scheme costs what it costs alone.
        if style == Style::Registers {
            let mut sum = (0.0, 0);
            for scheme in kept.schemes() {
                let alone = kept.iter().filter(|(_, other)| *other == scheme).collect();
                let alone = AreaReport::of(&accelerator, &alone, Scheme::Tmr).unwrap();
                sum.0 += alone.selective_area - alone.plain_area;
                sum.1 += alone.voters;
            }
            prop_assert_eq!(report.voters, sum.1);
            prop_assert!((report.selective_area - report.plain_area - sum.0).abs() < 1e-6);
        }
    }

    #[test]
    fn protections_of_different_memories_cost_and_read_as_alone(
        first in proptest::collection::vec(0u64..60, 1..20),
        second in proptest::collection::vec(60u64..132, 1..20),
        schemes in (any_protection(), any_protection()),
        (technology, style) in any_memory(),
        hits in proptest::collection::vec(any::<proptest::sample::Index>(), 0..60),
    ) {
        let accelerator = two_memories(technology, style);
        let first = Protection::of(schemes.0, first.into_iter().map(StoredBit));
        let second = Protection::of(schemes.1, second.into_iter().map(StoredBit));
        let both: Protection = first.iter().chain(second.iter()).collect();
        let report = |protection: &Protection| {
            let report = AreaReport::of(&accelerator, protection, Scheme::Tmr).unwrap();
            (report.extra_bits, report.voters, report.protected_bits, report.selective_area - report.plain_area)
        };
        let (a, b, sum) = (report(&first), report(&second), report(&both));
        prop_assert_eq!((sum.0, sum.1, sum.2), (a.0 + b.0, a.1 + b.1, a.2 + b.2));
        prop_assert!((sum.3 - a.3 - b.3).abs() < 1e-6);
        // Cells of one memory lie and read as if the other had no protection.
        let store = |protection: &Protection, memory: u32| {
            let of = |id: MemoryId| id.0 == memory;
            Cells::new(Store::new(&accelerator, of, protection).unwrap())
        };
        for (memory, alone) in [(0, &first), (1, &second)] {
            let (alone, mixed) = (store(alone, memory), store(&both, memory));
            prop_assert_eq!(&alone, &mixed);
            let total = alone.total() as usize;
            let flips: Vec<_> = hits
                .iter()
                .map(|hit| alone.cell(hit.index(total) as u64).unwrap())
                .collect();
            let whole = Cells::new(Store::new(&accelerator, |_| true, &both).unwrap());
            let in_whole: Vec<_> = flips.iter().map(|flip| Place { memory, ..*flip }).collect();
            prop_assert_eq!(alone.read_inverted(&flips), whole.read_inverted(&in_whole));
        }
    }
}
