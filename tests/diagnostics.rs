//! Diagnostics of damaged texts stay short, whatever the text.

mod cli_common;
mod radiation_common;

use std::path::Path;

use cli_common::{Workplace, model};
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use radiation_common::{ENVIRONMENT, MEMORY, TABLE};
use radstream::accelerator::{Accelerator, Hardware, Technology};
use radstream::data::SourceText;
use radstream::model::{Description, Files, load_network};
use radstream::network::Network;
use radstream::network::import::ImportOptions;
use radstream::radiation::{ClusterTable, Environment, MemoryTechnologies, MemoryTechnology};
use radstream::rtl::ProtectionMap;
use radstream::study::{Request, StudyError};

/// Longest diagnostic in bytes.
const MOST: usize = 4096;

/// Length of a text that was blown up, in bytes.
const HUGE: usize = 100_000;

const MODEL: &str = r#"Model(
    name: "digits_small_ae",
    description: "64 inputs",
    network: "encoder.qonnx.onnx",
    inputs: "data.npz:x",
    readout: Some("readout.onnx"),
    loss: "mse",
)"#;

const HARDWARE: &str = r#"Hardware(
    name: "small",
    technology: "xc7",
    clock_mhz: 100.0,
    input_stream: (lanes: 1),
    memory_technologies: {LutRam: "kintex7_bram"},
    layers: {
        "matmul_0": (
            folding: Finn(pe: 1, simd: 16),
            weights: (style: LutRam, packing: Memblock),
        ),
        "matmul_1": (
            folding: Finn(pe: 1, simd: 4),
            weights: (style: LutRam, packing: PerPe),
        ),
    },
)"#;

const TECHNOLOGY: &str = r#"Technology(
    name: "t",
    source: "test",
    unit: LutEquivalent,
    weights: (luts: 1.0, flip_flops: 0.5),
    flip_flop: (flip_flops: 1.0),
    voter: (luts: 1.0),
    register_bit: (flip_flops: 1.0),
    lut_ram: Some((shapes: [(64, 3)], mux_inputs: Some(4))),
)"#;

const MAP: &str = r#"{
  "kind": "radstream protection map",
  "version": 1,
  "network": "n",
  "hardware": "h",
  "scheme": "tmr",
  "memories": [
    {"memory": "a", "layer": "l", "tensor": "weight", "style": "Registers", "depth": 2, "word_bits": 8}
  ],
  "protected": [
    {"layer": "l", "tensor": "weight", "element": 0, "bit": 3, "memory": "a", "word": 0, "word_bit": 3, "score": 0.5}
  ]
}"#;

const PLAN: &str = r#"Exhaustive((
    network: (network: "models/digits_small_ae"),
    tensors: ["weight"],
    samples: (limit: 10),
))"#;

fn rendered(error: &dyn Diagnostic) -> String {
    let mut text = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .render_report(&mut text, error)
        .unwrap();
    text
}

/// What reading a text says where it is refused.
fn said<T, E: Diagnostic>(read: Result<T, E>) -> Option<String> {
    read.err().map(|error| rendered(&error))
}

/// The text in one line.
fn one_line(text: &str) -> String {
    text.replace('\n', " ")
}

/// The text as it is and in one line; every seventh beginning of both; blanks up to a huge line before and after
/// the middle, with a mistake behind them; every string huge by itself; every number and string of another type.
fn mutations(text: &str) -> Vec<String> {
    let line = one_line(text);
    let mut texts = Vec::new();
    for whole in [text, &line] {
        texts.extend((0..whole.len()).step_by(7).map(|end| whole[..end].to_owned()));
        let quotes: Vec<usize> = whole.match_indices('"').map(|(at, _)| at).collect();
        for pair in quotes.chunks_exact(2) {
            for content in [&"x".repeat(HUGE), &"é ".repeat(HUGE / 3), &"\\n".repeat(HUGE / 2)] {
                let changed = format!("{}{content}{}", &whole[..=pair[0]], &whole[pair[1]..]);
                texts.push(changed.clone());
                texts.push(changed[..changed.len() - 2].to_owned());
            }
            texts.push(format!("{}7{}", &whole[..pair[0]], &whole[pair[1] + 1..]));
        }
        let digits = whole.char_indices().filter(|(at, c)| {
            c.is_ascii_digit() && !whole[..*at].ends_with(|before: char| before.is_ascii_alphanumeric())
        });
        for (at, _) in digits {
            texts.push(format!("{}\"wrong\"{}", &whole[..at], &whole[at..]));
            texts.push(format!("{}\"wrong\", {}", &whole[..at], &whole[at + 1..]));
        }
    }
    for (at, _) in line.match_indices(' ').step_by(3) {
        let blown = format!("{}{}", &line[..at], " ".repeat(HUGE));
        texts.push(format!("{blown}{}", &line[at..]));
        texts.push(format!("{blown}?{}", &line[at..]));
        texts.push(format!("{blown}{}?", &line[at..]));
        texts.push(format!("{blown}{}", &line[at..line.len() - 1]));
        texts.push(format!("{}?{}", &line[..at], "\n".repeat(HUGE)));
    }
    texts
}

/// No mutation of a sound text may be said at length, and most are refused.
fn stays_short(text: &str, mut read: impl FnMut(&str) -> Option<String>) {
    if let Some(said) = read(text) {
        panic!("refused as it is: {said}");
    }
    let mutations = mutations(text);
    let mut refused = 0;
    for mutation in &mutations {
        if let Some(said) = read(mutation) {
            refused += 1;
            let beginning: String = said.chars().take(2 * MOST).collect();
            assert!(said.len() <= MOST, "{} bytes: {beginning}", said.len());
        }
    }
    assert!(
        refused * 2 > mutations.len(),
        "{refused} of {} refused",
        mutations.len()
    );
}

/// Reads a text as a file of that name.
fn as_file<T, E: Diagnostic>(
    name: &str,
    text: &str,
    read: impl Fn(&str, &Path) -> Result<T, E>,
) -> Option<String> {
    let place = Workplace::new();
    place.text("t.ron", TABLE);
    place.text(name, text);
    said(read(name, &place.path("")))
}

fn small() -> Network {
    let files = Files::Folder(model("digits_small_ae"));
    load_network(&files, Path::new("encoder.qonnx.onnx"), &ImportOptions::default()).unwrap()
}

#[test]
fn hardware() {
    let network = small();
    stays_short(HARDWARE, |text| {
        let hardware = match Hardware::parse(SourceText::new("h.ron", text)) {
            Ok(hardware) => hardware,
            Err(error) => return Some(rendered(&error)),
        };
        said(MemoryTechnologies::of(&hardware))
            .or_else(|| said(Accelerator::build(&network, &hardware).map_err(|error| *error)))
    });
}

#[test]
fn technologies() {
    stays_short(TECHNOLOGY, |text| as_file("x.ron", text, Technology::find));
}

#[test]
fn environments_memories_and_clusters() {
    stays_short(ENVIRONMENT, |text| as_file("e.ron", text, Environment::find));
    stays_short(MEMORY, |text| as_file("m.ron", text, MemoryTechnology::find));
    stays_short(TABLE, |text| as_file("c.ron", text, ClusterTable::find));
}

#[test]
fn models() {
    stays_short(MODEL, |text| {
        as_file("model.ron", text, |_, folder| {
            Description::read(&Files::Folder(folder.to_owned()))
        })
    });
}

#[test]
fn maps() {
    stays_short(MAP, |text| said(ProtectionMap::from_json("m.json", text)));
}

#[test]
fn plans() {
    let json = serde_json::to_string_pretty(&ron_plan(PLAN)).unwrap();
    for (name, text) in [("p.ron", PLAN), ("p.json", &json)] {
        stays_short(text, |text| {
            let place = Workplace::new();
            place.text(name, text);
            match Request::read(&place.path(name)) {
                Err(StudyError::Request(report)) => Some(rendered(report.as_ref())),
                Err(error) => panic!("{error}"),
                Ok(_) => None,
            }
        });
    }
}

fn ron_plan(text: &str) -> Request {
    let place = Workplace::new();
    place.text("p.ron", text);
    Request::read(&place.path("p.ron")).unwrap()
}
