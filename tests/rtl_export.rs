//! Exports of protection maps: golden files, the way back, and what RTL tools read in them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use radstream::accelerator::*;
use radstream::fixed_point::Format;
use radstream::network::*;
use radstream::rtl::*;
use radstream::scheme::{Protection, Scheme};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn golden() -> PathBuf {
    root().join("rtl_export/golden/two_memories")
}

fn signed(width: u32) -> Encoding {
    Encoding::Fixed(Format::new(width, width as i32, true).unwrap())
}

/// Two layers of weights without nodes, one per entry of `shapes`.
fn network(shapes: &[(&str, usize, u32)]) -> Network {
    let encoding = signed(8);
    let tensor = Tensor {
        name: "x".into(),
        shape: vec![1],
        encoding,
        scale: 1.0,
    };
    let layers = shapes.iter().map(|(name, ..)| Layer {
        name: (*name).to_owned(),
        kind: "Dense".into(),
        output: TensorId(0),
        hints: BuildHints::default(),
    });
    let params = shapes
        .iter()
        .enumerate()
        .map(|(layer, &(_, elements, width))| Param {
            layer: LayerId::from(layer),
            kind: ParamKind::Weight,
            shape: vec![1, elements],
            encoding: signed(width),
            values: (0..elements as u64)
                .map(|index| signed(width).mantissa_of_bits(index.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11))
                .collect(),
            zero_point: None,
        });
    Network {
        name: "a net/1".into(),
        tensors: vec![tensor],
        nodes: vec![],
        layers: layers.collect(),
        params: params.collect(),
        input: TensorId(0),
        input_axes: Vec::new(),
        output_axes: Vec::new(),
        input_rule: InputRule::Raw,
        output: TensorId(0),
        off_chip: None,
        output_scales: Vec::new(),
        output_offsets: Vec::new(),
        notes: vec![],
    }
}

fn accelerator(lanes: u32, spare: u32) -> Accelerator {
    let network = network(&[("fc", 7, 6), ("fc.", 5, 3), ("deep", 40, 1)]);
    let words = |width: u32| Storage {
        style: Style::Registers,
        packing: Packing::Words {
            elements_per_word: lanes,
            word_bits: Some(lanes * width + spare),
        },
        ..Storage::default()
    };
    let mut hardware = Hardware::default();
    for (name, width) in [("fc", 6), ("deep", 1)] {
        let entry = LayerHardware {
            weights: Some(words(width)),
            ..LayerHardware::default()
        };
        hardware.layers.insert(name.to_owned(), entry);
    }
    Accelerator::build(&network, &hardware).unwrap()
}

fn map_of(accelerator: &Accelerator, picks: &[(u64, f64)]) -> (Vec<(StoredBit, f64)>, ProtectionMap) {
    let mut seen = HashSet::new();
    let bits: Vec<_> = picks
        .iter()
        .map(|&(pick, score)| (StoredBit(pick % accelerator.map().total_bits()), score))
        .filter(|(bit, _)| seen.insert(*bit))
        .collect();
    let map = ProtectionMap::new(accelerator, Scheme::Tmr, &bits).unwrap();
    (bits, map)
}

fn picks() -> Vec<(u64, f64)> {
    (0..60u64)
        .map(|index| (index * index * 31 + 7 * index, (index as f64).sin()))
        .collect()
}

#[test]
fn every_format_equals_its_golden_file() {
    let map = ProtectionMap::read(&golden().join("protection.json")).unwrap();
    assert_eq!(
        (map.network(), map.hardware(), map.scheme()),
        ("toy", "by_hand", Some(Scheme::Tmr))
    );
    let mut written = 0;
    for exporter in exporters() {
        for file in exporter.files(&map) {
            let expected = std::fs::read_to_string(golden().join(&file.path))
                .unwrap_or_else(|error| panic!("{}: {error}", file.path.display()));
            assert_eq!(file.text, expected, "{}", file.path.display());
            written += 1;
        }
        assert!(exporter_named(exporter.name()));
    }
    assert_eq!(written, 5);
    assert!(exporter("edif").is_err());
}

fn exporter_named(name: &str) -> bool {
    exporter(name).is_ok_and(|found| found.name() == name)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_map_comes_back_from_its_json_unchanged(
        picks in proptest::collection::vec((0u64..10_000, -1e9f64..1e9), 0..80),
        (lanes, spare) in (1u32..5, 0u32..40),
    ) {
        let accelerator = accelerator(lanes, spare);
        let (bits, map) = map_of(&accelerator, &picks);
        let again = ProtectionMap::from_json("again.json", &map.to_json()).unwrap();
        prop_assert_eq!(&again, &map);
        prop_assert_eq!(again.to_json(), map.to_json());
        let resolved = again.resolve(&accelerator).unwrap();
        prop_assert_eq!(&resolved.protection, &Protection::of(Scheme::Tmr, bits.iter().map(|bit| bit.0)));
        let mut resolved = resolved.scores;
        let mut expected = bits;
        expected.sort_by_key(|(bit, _)| *bit);
        resolved.sort_by_key(|(bit, _)| *bit);
        prop_assert_eq!(resolved, expected);
    }

    #[test]
    fn csv_rows_name_every_bit_by_both_addresses(
        picks in proptest::collection::vec((0u64..10_000, -1e9f64..1e9), 0..80),
        (lanes, spare) in (1u32..5, 0u32..40),
    ) {
        let accelerator = accelerator(lanes, spare);
        let (bits, map) = map_of(&accelerator, &picks);
        let text = &exporter("csv").unwrap().files(&map)[0].text;
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let mut seen = HashSet::new();
        for row in reader.records() {
            let row = row.unwrap();
            let logical = accelerator.parse_logical(&row[0], &row[1], &row[2], &row[3]).unwrap();
            let physical = accelerator.parse_physical(&row[4], &row[5], &row[6]).unwrap();
            prop_assert_eq!(logical, physical);
            let score: f64 = row[7].parse().unwrap();
            prop_assert!(bits.contains(&(logical, score)));
            seen.insert(logical);
        }
        prop_assert_eq!(seen.len(), bits.len());
    }
}

#[test]
fn files_appear_in_the_folder() {
    let accelerator = accelerator(3, 4);
    let (_, map) = map_of(&accelerator, &picks());
    let folder = tempfile::tempdir().unwrap();
    for exporter in exporters() {
        write_files(folder.path(), &exporter.files(&map)).unwrap();
    }
    let written = write_files(folder.path(), &image_files(&accelerator)).unwrap();
    assert_eq!(written.len(), 3);
    assert!(written.iter().all(|path| path.is_file()));
    assert!(folder.path().join("a_net_1_protection_pkg.sv").is_file());
    let again = ProtectionMap::read(&folder.path().join("protection.json")).unwrap();
    assert_eq!(again, map);
    // Two names that differ only where identifiers cannot.
    assert!(folder.path().join("masks/fc_weight_mask.mem").is_file());
    assert!(folder.path().join("masks/fc__weight_mask.mem").is_file());
}

#[test]
fn a_damaged_map_is_refused_where_it_is_damaged() {
    let text = std::fs::read_to_string(golden().join("protection.json")).unwrap();
    let refused = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        let changed = text.replacen(from, to, 1);
        let error = ProtectionMap::from_json("m.json", &changed).unwrap_err();
        let line = format!("{error}; {}", miette::Diagnostic::help(&error).unwrap());
        let report = format!("{line}\n{:?}", miette::Report::new(error));
        assert!(report.contains("expected"), "{report}");
        report
    };
    let report = refused("\"score\":-1.5", "\"scores\":-1.5");
    assert!(
        report.contains("`scores`") && report.contains("m.json:13:"),
        "{report}"
    );
    assert!(report.contains("\"scores\":-1.5"), "the line is quoted: {report}");
    assert!(refused("\"version\": 1", "\"version\": 7").contains("version 7"));
    assert!(refused("radstream protection map", "a map").contains("`a map`"));
    assert!(refused("\"word\":2,", "\"word\":3,").contains("0..=2"));
    assert!(refused("\"word_bit\":34", "\"word_bit\":35").contains("0..=34"));
    assert!(refused("\"word_bit\":0", "\"word_bit\":5").contains("listed twice"));
    assert!(refused("\"depth\":3", "\"depth\":0").contains("cannot be"));
    assert!(refused("\"depth\":3", "\"depth\":18446744073709551615").contains("cannot be"));
    assert!(
        refused(
            "\"memory\":\"fc.weight\",\"word\":0",
            "\"memory\":\"x\",\"word\":0"
        )
        .contains("listed memories")
    );
    assert!(refused("\"score\":0.25", "\"score\":1e999").contains("m.json:12:"));
    assert!(refused("\"tmr\"", "\"tmx\"").contains("tmx"));
    let half = &text[..text.len() / 2];
    assert!(matches!(
        ProtectionMap::from_json("m.json", half),
        Err(MapError::Syntax(_))
    ));
    let missing = ProtectionMap::read(Path::new("no/such/map.json"));
    assert!(matches!(missing, Err(MapError::Unreadable { .. })));
}

#[test]
fn a_map_of_another_accelerator_is_refused() {
    let (_, map) = map_of(&accelerator(2, 0), &picks());
    assert!(map.resolve(&accelerator(2, 0)).is_ok());
    let refused = map.resolve(&accelerator(3, 1)).unwrap_err();
    assert!(
        matches!(refused, MapError::Contradiction { .. } | MapError::Address { .. }),
        "{refused}"
    );
    let bits = [(StoredBit(1), 1.0), (StoredBit(1), 2.0)];
    let twice = ProtectionMap::new(&accelerator(2, 0), Scheme::Tmr, &bits);
    assert!(matches!(twice, Err(MapError::Duplicate { .. })));
    let score = ProtectionMap::new(&accelerator(2, 0), Scheme::Tmr, &[(StoredBit(1), f64::NAN)]);
    assert!(matches!(score, Err(MapError::Score { .. })));
}

fn tool(name: &str, version_flag: &str) -> bool {
    let found = Command::new(name).arg(version_flag).output().is_ok();
    if !found {
        eprintln!("skipped: no {name}");
    }
    found
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{command:?}\n{text}");
    text
}

/// Words that a bench printed, by number.
fn printed_words(text: &str) -> Vec<u128> {
    text.lines()
        .filter_map(|line| line.strip_prefix("word "))
        .enumerate()
        .map(|(expected, line)| {
            let (number, value) = line.split_once(' ').unwrap();
            assert_eq!(number.parse(), Ok(expected));
            u128::from_str_radix(value, 16).unwrap_or_else(|_| panic!("{line}"))
        })
        .collect()
}

/// The words that the protected bits of a memory make.
fn expected_words(accelerator: &Accelerator, memory: &Memory, bits: &[(StoredBit, f64)]) -> Vec<u128> {
    let mut words = vec![0u128; memory.depth as usize];
    for (bit, _) in bits {
        let address = accelerator.map().address(*bit);
        if accelerator.map().memory(address.memory).name == memory.name {
            words[address.word as usize] |= 1 << address.bit;
        }
    }
    words
}

#[test]
fn icarus_reads_masks_and_images_in_the_memorys_own_order() {
    if !tool("iverilog", "-V") || !tool("vvp", "-V") {
        return;
    }
    let accelerator = accelerator(5, 11);
    let (bits, map) = map_of(&accelerator, &picks());
    let folder = tempfile::tempdir().unwrap();
    let masks = write_files(folder.path(), &MaskFiles.files(&map)).unwrap();
    let images = write_files(folder.path(), &image_files(&accelerator)).unwrap();
    for (index, memory) in accelerator.map().memories().iter().enumerate() {
        let bench = folder.path().join(format!("bench{index}"));
        run(Command::new("iverilog")
            .arg("-o")
            .arg(&bench)
            .arg(format!("-Pmask_tb.DEPTH={}", memory.depth))
            .arg(format!("-Pmask_tb.WIDTH={}", memory.word_bits))
            .arg(root().join("rtl_export/bench/mask_tb.v")));
        let simulate = |file: &Path| {
            let text = run(Command::new("vvp")
                .arg(&bench)
                .arg(format!("+file={}", file.display())));
            assert!(!text.to_lowercase().contains("warning"), "{text}");
            text
        };
        let text = simulate(&masks[index]);
        let expected = expected_words(&accelerator, memory, &bits);
        assert_eq!(printed_words(&text), expected, "{}", memory.name);
        let ones: u32 = expected.iter().map(|word| word.count_ones()).sum();
        assert!(text.contains(&format!("ones {ones}\n")), "{text}");

        let text = simulate(&images[index]);
        let values = &accelerator.network().param(memory.param).values;
        let mut expected = vec![0u128; memory.depth as usize];
        for (element, &value) in values.iter().enumerate() {
            let stored = accelerator.stored_bits(memory.param, value).unwrap();
            let logical = LogicalBit {
                param: memory.param,
                element: element as u64,
                bit: 0,
            };
            let place = accelerator.map().physical(logical).unwrap();
            expected[place.word as usize] |= u128::from(stored) << place.bit;
        }
        assert_eq!(printed_words(&text), expected, "{}", memory.name);
    }
}

#[test]
fn verilator_compiles_the_package_and_finds_the_bits() {
    if !tool("verilator", "--version") {
        return;
    }
    let template = std::fs::read_to_string(root().join("rtl_export/bench/package_tb.sv.in")).unwrap();
    let lint = ["-Wall", "-Wno-UNUSED", "--top-module", "package_tb"];
    let folder = tempfile::tempdir().unwrap();
    let bench = folder.path().join("package_tb.sv");
    let fill = |package: &str, memory: &str| {
        let source = template.replace("@PACKAGE@", package).replace("@MEMORY@", memory);
        std::fs::write(&bench, source).unwrap();
    };
    fill("toy_protection_pkg", "out_1_weight_0");
    run(Command::new("verilator")
        .arg("--lint-only")
        .args(lint)
        .arg(golden().join("toy_protection_pkg.sv"))
        .arg(&bench));

    let accelerator = accelerator(5, 11);
    let (bits, map) = map_of(&accelerator, &picks());
    let package = write_files(folder.path(), &SystemVerilogPackage.files(&map))
        .unwrap()
        .remove(0);
    let memory = &accelerator.map().memories()[0];
    let names = identifiers(
        accelerator
            .map()
            .memories()
            .iter()
            .map(|memory| memory.name.as_str()),
    );
    fill(&package.file_stem().unwrap().to_string_lossy(), &names[0]);
    run(Command::new("verilator")
        .arg("--binary")
        .args(lint)
        .args(["-CFLAGS", "-O0", "--Mdir"])
        .arg(folder.path().join("obj"))
        .arg(&package)
        .arg(&bench));
    let text = run(&mut Command::new(folder.path().join("obj/Vpackage_tb")));
    let expected = expected_words(&accelerator, memory, &bits);
    assert_eq!(printed_words(&text), expected);
    let ones: u32 = expected.iter().map(|word| word.count_ones()).sum();
    assert!(text.contains(&format!("ones {ones} of {ones}\n")), "{text}");
    let columns = expected.iter().fold(0, |columns, word| columns | word);
    let column_line = text
        .lines()
        .find_map(|line| line.strip_prefix("columns "))
        .unwrap();
    assert_eq!(u128::from_str_radix(column_line, 16), Ok(columns));
    assert!(
        text.contains(&format!("size {} {}\n", memory.depth, memory.word_bits)),
        "{text}"
    );
}

#[test]
fn a_mixed_map_names_the_scheme_of_every_bit() {
    let accelerator = accelerator(2, 0);
    let map = accelerator.map();
    let first = |memory: usize| map.memories()[memory].first.0;
    let mut protection = Protection::of(Scheme::Secded, (0..3).map(|bit| StoredBit(first(0) + bit)));
    for bit in 0..5 {
        protection.protect(StoredBit(first(1) + bit), Scheme::Tmr);
    }
    let mixed = ProtectionMap::of(&accelerator, &protection, |bit| bit.0 as f64 / 4.0).unwrap();
    assert_eq!((mixed.scheme(), mixed.scheme_name()), (None, "mixed"));
    let text = mixed.to_json();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&document["version"], document.get("scheme")), (&2.into(), None));
    for entry in document["protected"].as_array().unwrap() {
        let memory = entry["memory"].as_str().unwrap();
        let expected = if memory == map.memories()[0].name {
            "secded"
        } else {
            "tmr"
        };
        assert_eq!(entry["scheme"], expected);
    }
    let again = ProtectionMap::from_json("m.json", &text).unwrap();
    assert_eq!(again, mixed);
    let resolved = again.resolve(&accelerator).unwrap();
    assert_eq!(resolved.protection, protection);
    for (bit, score) in resolved.scores {
        assert_eq!(score, bit.0 as f64 / 4.0);
    }
    let table = &exporter("csv").unwrap().files(&mixed)[0].text;
    assert!(table.starts_with("layer,tensor,element,bit,memory,word,word_bit,score,scheme\n"));
    assert_eq!(table.lines().filter(|line| line.ends_with(",tmr")).count(), 5);
    let masks = exporter("readmemh").unwrap().files(&mixed);
    assert!(masks[0].text.contains("scheme secded") && masks[1].text.contains("scheme tmr"));
    assert_eq!(masks.len(), map.memories().len());
    // Where schemes meet in one memory, each has a mask of its own, and together they are all.
    let mut meeting = protection.clone();
    for bit in 0..4 {
        meeting.protect(StoredBit(first(1) - 1 - bit), Scheme::Tmr);
    }
    let meeting = ProtectionMap::of(&accelerator, &meeting, |_| 0.0).unwrap();
    assert_eq!(meeting.schemes_of_memory(0), [Scheme::Tmr, Scheme::Secded]);
    let masks = exporter("readmemh").unwrap().files(&meeting);
    assert_eq!(masks.len(), map.memories().len() + 2);
    let words = |file: &ExportFile| -> Vec<u128> {
        let lines = file.text.lines().filter(|line| !line.starts_with("//"));
        lines
            .map(|line| u128::from_str_radix(line, 16).unwrap())
            .collect()
    };
    let of = |folder: &str| {
        let found = masks.iter().find(|file| {
            file.path.parent() == Some(Path::new(folder))
                && file.path.file_name() == masks[0].path.file_name()
        });
        words(found.unwrap())
    };
    let (all, tmr, secded) = (of("masks"), of("masks/tmr"), of("masks/secded"));
    assert_eq!(
        (tmr.iter().map(|word| word.count_ones()).sum::<u32>(), secded[0]),
        (4, 7)
    );
    for (word, mask) in all.iter().enumerate() {
        assert_eq!((tmr[word] | secded[word], tmr[word] & secded[word]), (*mask, 0));
    }
    let package = &exporter("systemverilog").unwrap().files(&meeting)[0].text;
    assert!(
        package.contains("fc_weight_WORD_MASK_TMR [0:") && package.contains("fc_weight_WORD_MASK_SECDED [0:")
    );
    // One scheme alone is the map of that scheme.
    let single = Protection::of(Scheme::Tmr, [StoredBit(1), StoredBit(0)]);
    let bits = [(StoredBit(0), 0.5), (StoredBit(1), 0.5)];
    assert_eq!(
        ProtectionMap::of(&accelerator, &single, |_| 0.5).unwrap(),
        ProtectionMap::new(&accelerator, Scheme::Tmr, &bits).unwrap()
    );
    // What cannot be.
    let none = text.replacen(",\"scheme\":\"tmr\"", "", 1);
    let refused = ProtectionMap::from_json("m.json", &none).unwrap_err();
    assert!(matches!(refused, MapError::NoScheme { .. }), "{refused}");
    let twice = text.replacen("\"scheme\":\"secded\"", "\"scheme\":\"parity\"", 1);
    let refused = ProtectionMap::from_json("m.json", &twice)
        .unwrap()
        .resolve(&accelerator)
        .unwrap_err();
    assert!(matches!(refused, MapError::Schemes { .. }), "{refused}");
    let ideal = Protection::of(Scheme::Ideal, [StoredBit(0)]);
    let refused = ProtectionMap::of(&accelerator, &ideal, |_| 0.0).unwrap_err();
    assert!(matches!(refused, MapError::Scheme { .. }), "{refused}");
    let asked = text.replacen("\"scheme\":\"tmr\"", "\"scheme\":\"ideal\"", 1);
    assert!(ProtectionMap::from_json("m.json", &asked).is_err());
}
