//! Two matrix-vector units in a row as SystemVerilog of our own, run by Verilator.
#![allow(dead_code)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use radstream::accelerator::{Accelerator, Folding, Hardware, LayerHardware};
use radstream::network::{Geometry, Network};

use super::nets::{Builder, Numbers, signed};

/// Columns, rows, PE and SIMD of the two units.
const UNITS: [[usize; 4]; 2] = [[256, 64, 16, 16], [64, 16, 4, 16]];

/// Thresholds behind the first.
const STEPS: usize = 3;

/// Bits of a sum.
const SUM: u32 = 24;

/// The chain and what it computes.
pub struct Chain {
    pub network: Network,
    pub accelerator: Accelerator,
}

/// What a simulation of the chain printed.
pub struct Simulated {
    /// Mantissas that left.
    pub outputs: Vec<i64>,
    /// Edges from the first on behind reset to that at which the last word leaves.
    pub edges: u64,
    /// Edges of all runs without strikes, and the seconds that they took.
    pub free: (u64, f64),
    /// Seconds of all runs with a strike.
    pub struck: f64,
}

impl Chain {
    pub fn new() -> Self {
        let mut numbers = Numbers::new(17);
        let mut builder = Builder::new(vec![UNITS[0][0]], signed(8));
        let mut hardware = Hardware::default();
        for (name, [columns, rows, pe, simd]) in ["first", "second"].into_iter().zip(UNITS) {
            let weights = (0..columns * rows)
                .map(|_| numbers.below(16) as i64 - 8)
                .collect();
            let geometry = Geometry::dense(1, columns, rows);
            let layer = builder.product(name, geometry, signed(4), weights, false);
            if name == "first" {
                let thresholds = (0..rows)
                    .flat_map(|row| [-900, row as i64 * 3 - 90, 800])
                    .collect();
                builder.thresholds(layer, STEPS, thresholds, signed(4));
            }
            let folding = Folding::Finn {
                pe: pe as u32,
                simd: simd as u32,
            };
            hardware.layers.insert(
                name.into(),
                LayerHardware {
                    folding: Some(folding),
                    ..LayerHardware::default()
                },
            );
        }
        Self {
            accelerator: Accelerator::build(&builder.network, &hardware).unwrap(),
            network: builder.network,
        }
    }

    /// Mantissas of so many samples.
    pub fn samples(&self, count: usize) -> Vec<i64> {
        let mut numbers = Numbers::new(23);
        (0..count * UNITS[0][0])
            .map(|_| numbers.below(256) as i64 - 128)
            .collect()
    }

    /// Builds the simulation in a folder; none where there is no Verilator.
    pub fn built(&self, folder: &Path) -> Option<PathBuf> {
        Command::new("verilator").arg("--version").output().ok()?;
        for (file, layer, [columns, _, pe, simd]) in [("first.hex", 0, UNITS[0]), ("second.hex", 1, UNITS[1])]
        {
            let param = self
                .network
                .params
                .iter()
                .filter(|param| param.shape.len() == 4)
                .nth(layer);
            let weights = &param.unwrap().values;
            let mut text = String::new();
            for rows in weights.chunks(pe * columns) {
                for fold in 0..columns / simd {
                    let lanes = rows.chunks(columns).flat_map(|row| &row[fold * simd..][..simd]);
                    text += &word(lanes.copied(), 4);
                }
            }
            std::fs::write(folder.join(file), text).unwrap();
        }
        let thresholds = self
            .network
            .params
            .iter()
            .find(|param| param.shape.len() == 2)
            .unwrap();
        let text: String = thresholds
            .values
            .iter()
            .map(|&value| word([value], SUM))
            .collect();
        std::fs::write(folder.join("thresholds.hex"), text).unwrap();
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mvu_chain");
        let done = Command::new("verilator")
            .args([
                "--cc",
                "--exe",
                "--build",
                "-O3",
                "--x-assign",
                "fast",
                "-Wno-fatal",
                "-CFLAGS",
                "-O3",
            ])
            .args(["--top-module", "mvu_chain", "--Mdir", "obj_dir"])
            .args([sources.join("mvu_chain.sv"), sources.join("harness.cpp")])
            .current_dir(folder)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{said}");
        Some(folder.join("obj_dir/Vmvu_chain"))
    }

    /// Runs the samples in the folder in which the simulation was built, once for its outputs and then again for its
    /// time.
    pub fn simulated(&self, folder: &Path, binary: &Path, samples: &[i64], runs: [usize; 2]) -> Simulated {
        let inputs: String = samples
            .chunks(16)
            .map(|lanes| word(lanes.iter().copied(), 8))
            .collect();
        std::fs::write(folder.join("inputs.hex"), inputs).unwrap();
        let count = samples.len() / UNITS[0][0];
        let done = Command::new(binary)
            .arg("inputs.hex")
            .args([count, runs[0], runs[1]].map(|number| number.to_string()))
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(done.status.success());
        let text = String::from_utf8(done.stdout).unwrap();
        let (words, last) = text.trim_end().rsplit_once('\n').unwrap();
        let outputs = words.lines().flat_map(|line| {
            let word = u128::from_str_radix(line, 16).unwrap();
            (0..4).map(move |lane| {
                let bits = (word >> (lane * SUM)) as i64 & 0xff_ffff;
                bits << 40 >> 40
            })
        });
        let numbers: Vec<f64> = last
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        Simulated {
            outputs: outputs.collect(),
            edges: numbers[1] as u64,
            free: (numbers[0] as u64, numbers[2]),
            struck: numbers[3],
        }
    }
}

/// Lanes of so many bits as a line of hexadecimal digits, the first lane lowest.
fn word(lanes: impl IntoIterator<Item = i64>, bits: u32) -> String {
    let lanes: Vec<i64> = lanes.into_iter().collect();
    let mut text = String::new();
    for lane in lanes.iter().rev() {
        let digits = bits as usize / 4;
        let _ = write!(text, "{:0digits$x}", lane & ((1 << bits) - 1));
    }
    text + "\n"
}
