//! FINN's compute cores against the RTL, alone in `mvu_vvu_axi`: every word, fault-free and struck.

use std::collections::BTreeMap;
use std::path::PathBuf;

use radstream::simulate::cycle::StreamShape;
use radstream::simulate::cycle::register::{Register, lane, mask};
use radstream::simulate::cycle::stages::{Dsp48Core, Dsp48Mvau, Dsp48Shape, Dsp58Mvau, Dsp58Shape};

use crate::cycle_common::integers::sign_extend;
use crate::harness::{Row, Unit, gate, mix, no_memories, pack, read};
use crate::rtl_core::{self, Size};

/// The folder of tables that the environment may name.
const FOLDER: &str = "RADSTREAM_RTL_CORES";

fn folder() -> PathBuf {
    let own = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rtl_cores");
    std::env::var_os(FOLDER).map_or_else(own, PathBuf::from)
}

/// A unit, and what its test bench feeds.
struct Bench {
    core: String,
    depthwise: bool,
    mw: u32,
    mh: u32,
    pe: u32,
    simd: u32,
    segment: u32,
    activation_bits: u32,
    weight_bits: u32,
    accumulator_bits: u32,
    signed: bool,
    narrow: bool,
    vectors: u32,
    gates: [u32; 3],
    edges: u32,
}

/// What came out.
#[derive(Default, PartialEq, Eq)]
struct Outcome {
    edges: Vec<u32>,
    values: Vec<u64>,
    first_in: Option<u32>,
    last_in: Option<u32>,
    wrong: u32,
}

fn list<T: std::str::FromStr>(text: &str) -> Vec<T> {
    text.split_whitespace()
        .map(|number| number.parse().unwrap_or_else(|_| panic!("{number}")))
        .collect()
}

impl Bench {
    fn of(row: &Row) -> Self {
        Self {
            core: row.text("core").to_owned(),
            depthwise: row.count("vvu") == 1,
            mw: row.count("MW"),
            mh: row.count("MH"),
            pe: row.count("PE"),
            simd: row.count("SIMD"),
            segment: row.count("SEG"),
            activation_bits: row.count("AW"),
            weight_bits: row.count("WW"),
            accumulator_bits: row.count("ACC"),
            signed: row.count("SA") == 1,
            narrow: row.count("NARROW") == 1,
            vectors: row.count("NV"),
            gates: ["GI", "GO", "GW"].map(|gate| row.count(gate)),
            edges: row.count("edges"),
        }
    }

    fn unit(&self) -> (Unit, Vec<Register>) {
        fn unit(stage: impl radstream::simulate::cycle::Stage + 'static) -> (Unit, Vec<Register>) {
            let registers = stage.registers();
            (Unit::new(stage), registers)
        }
        let (synapse_fold, neuron_fold) = (self.synapse_fold().into(), self.neuron_fold().into());
        let (pe, simd) = (self.pe as usize, self.simd as usize);
        let core = match self.core.as_str() {
            "mvu_8sx8u_dsp48" => Dsp48Core::EightBit,
            "mvu_4sx4u_dsp48e1" => Dsp48Core::FourBitE1,
            "mvu_4sx4u_dsp48e2" => Dsp48Core::FourBitE2 { narrow: self.narrow },
            "mvu_vvu_8sx9_dsp58" => {
                let shape = Dsp58Shape {
                    synapse_fold,
                    neuron_fold,
                    pe,
                    simd,
                    segment: self.segment as usize,
                    weight_bits: self.weight_bits,
                    activation_bits: self.activation_bits,
                    signed_activations: self.signed,
                    accumulator_bits: self.accumulator_bits,
                    depthwise: self.depthwise,
                };
                return unit(Dsp58Mvau::new(shape).unwrap());
            }
            other => panic!("a core {other}"),
        };
        let shape = Dsp48Shape {
            core,
            synapse_fold,
            neuron_fold,
            pe,
            simd,
            weight_bits: self.weight_bits,
            activation_bits: self.activation_bits,
            signed_activations: self.signed,
            accumulator_bits: self.accumulator_bits,
            keeps_operands: false,
        };
        unit(Dsp48Mvau::new(shape).unwrap())
    }

    fn synapse_fold(&self) -> u32 {
        self.mw / self.simd
    }

    fn neuron_fold(&self) -> u32 {
        self.mh / self.pe
    }

    /// Activations of a vector: of a vector-vector unit every row has its own.
    fn activation(&self, vector: u32, at: u32) -> u64 {
        let length = if self.depthwise {
            self.mw * self.mh
        } else {
            self.mw
        };
        u64::from(mix(vector * length + at + 12345)) & mask(self.activation_bits)
    }

    fn weight(&self, row: u32, column: u32) -> i64 {
        let bits = self.weight_bits;
        let weight = sign_extend(mix(row * self.mw + column + 987_654).into(), bits);
        weight + i64::from(self.narrow && weight == -(1 << (bits - 1)))
    }

    fn expected(&self, word: u32, pe: u32) -> u64 {
        let row = word % self.neuron_fold() * self.pe + pe;
        let first = if self.depthwise { row * self.mw } else { 0 };
        let sum: i64 = (0..self.mw)
            .map(|column| {
                let activation = self.activation(word / self.neuron_fold(), first + column);
                let value = match self.signed {
                    true => sign_extend(activation, self.activation_bits),
                    false => activation as i64,
                };
                value * self.weight(row, column)
            })
            .sum();
        sum as u64 & mask(self.accumulator_bits)
    }

    /// Runs to the bench's last edge, a flip behind edge `at`.
    fn run(&self, strike: Option<(u32, usize, u32)>) -> Outcome {
        let (mut unit, _) = self.unit();
        let (sf, nf) = (self.synapse_fold(), self.neuron_fold());
        let simd = self.simd;
        let input = StreamShape {
            lanes: (simd * if self.depthwise { self.pe } else { 1 }) as usize,
            lane_bits: self.activation_bits,
        };
        let weights = StreamShape {
            lanes: (self.pe * simd) as usize,
            lane_bits: self.weight_bits,
        };
        let words = self.vectors * sf * if self.depthwise { nf } else { 1 };
        let memories = no_memories();
        let [gi, go, gw] = self.gates;
        let (mut taken, mut step) = (0, 0);
        let mut weight_gate = true;
        let mut outcome = Outcome::default();
        for now in 1..=self.edges {
            let word = (gate(now, 0, gi) && taken < words).then(|| {
                pack(input, |at| {
                    let at = at as u32;
                    let fold = taken % sf * simd;
                    match self.depthwise {
                        false => self.activation(taken / sf, fold + at),
                        true => {
                            let row = taken / sf % nf * self.pe + at % self.pe;
                            self.activation(taken / (sf * nf), row * self.mw + fold + at / self.pe)
                        }
                    }
                })
            });
            let weight_word = weight_gate.then(|| {
                pack(weights, |at| {
                    let (row, column) = (at as u32 / simd, at as u32 % simd);
                    self.weight(step / sf * self.pe + row, step % sf * simd + column) as u64
                })
            });
            let offered = [word, weight_word];
            let ready = gate(now, 5555, go);
            let accepts_weights = unit.accepts(&offered, ready) & 2 == 2;
            let tick = unit.edge(&offered, ready, &memories);
            if tick.taken & 1 == 1 {
                outcome.first_in.get_or_insert(now);
                outcome.last_in = Some(now);
                taken += 1;
            }
            if tick.taken & 2 == 2 {
                step = (step + 1) % (sf * nf);
            }
            weight_gate = weight_gate && !accepts_weights || gate(now + 1, 31337, gw);
            if let Some(word) = tick.given {
                let number = outcome.edges.len() as u32;
                outcome.edges.push(now - 1);
                for pe in 0..self.pe {
                    let value = lane(&word, pe as usize, self.accumulator_bits);
                    outcome.values.push(value);
                    outcome.wrong +=
                        u32::from(number < self.vectors * nf && value != self.expected(number, pe));
                }
            }
            if let Some((edge, limb, bit)) = strike
                && edge == now - 1
            {
                unit.flip(limb, bit);
            }
        }
        outcome
    }

    /// Limb and bit of a bit of the RTL.
    fn place(&self, register: &str, bit: u32) -> Option<(usize, u32)> {
        let (_, registers) = self.unit();
        let sizes = |name: &str| {
            let register = registers.iter().find(|register| register.name == name)?;
            Some(Size {
                words: register.words,
                lanes: register.lanes,
                bits: register.lane_bits,
            })
        };
        let kind = rtl_core::kind(register);
        let at = rtl_core::indices(register);
        let whole = |name| sizes(name).map(|size| size.lanes as u32 * size.bits);
        let (name, word, bit) = match kind.split_once('.') {
            Some(("core", inner)) => rtl_core::place(inner, &at, bit, &sizes)?,
            Some(("activation_replay", inner)) => {
                let name = match inner {
                    "Count" => "item",
                    "Last" => "last_item",
                    "RepCnt" => "repetition",
                    "RepLst" => "last_repetition",
                    "ODat" => "replayed",
                    "OVld" => "replayed_valid",
                    "OLst" => "replayed_last",
                    "OFin" => "replayed_final",
                    "WP" => "write_pointer",
                    "RP" => "read_pointer",
                    "FP" => "free_pointer",
                    "Mem" => "replay",
                    _ => return None,
                };
                (name, at.first().copied().unwrap_or(0), bit)
            }
            _ => match kind.as_str() {
                "A" if Some(bit) == whole("side") => ("free", 0, 0),
                "A" => ("side", 0, bit),
                "B" if Some(bit) == whole("output") => ("output_valid", 0, 0),
                "B" => ("output", 0, bit),
                _ => return None,
            },
        };
        let mut first = 0;
        for register in &registers {
            if register.name == name {
                let bits = register.lanes as u32 * register.lane_bits;
                assert!(word < register.words && bit < bits, "{name}[{word}] bit {bit}");
                let limb = first + word * register.limbs_per_word() + bit as usize / 64;
                return Some((limb, bit % 64));
            }
            first += register.limbs();
        }
        None
    }
}

/// The units of the tables, and the rows of each.
fn benches() -> BTreeMap<String, (Bench, Row)> {
    (read(&folder().join("units.csv")).into_iter())
        .map(|row| (row.text("unit").to_owned(), (Bench::of(&row), row)))
        .collect()
}

#[test]
fn cores_are_those_of_the_rtl() {
    for (name, (bench, row)) in benches() {
        let outcome = bench.run(None);
        assert_eq!(
            outcome.edges,
            list::<u32>(row.text("word_edges")),
            "{name}: edges"
        );
        assert_eq!(outcome.values, list::<u64>(row.text("outputs")), "{name}: words");
        row.require(
            &name,
            &[
                ("first_in", outcome.first_in.map_or(-1, i64::from)),
                ("last_in", outcome.last_in.map_or(-1, i64::from)),
                ("err", outcome.wrong.into()),
            ],
        );
    }
}

#[test]
fn struck_cores_give_what_the_struck_rtl_gives() {
    let benches = benches();
    let mut unequal: BTreeMap<String, (u32, u32, String)> = BTreeMap::new();
    for row in read(&folder().join("strikes.csv")) {
        let (unit, register) = (row.text("unit"), row.text("rtl_register"));
        let (bit, edge) = (row.count("rtl_bit"), row.count("rtl_edge"));
        let (bench, _) = &benches[unit];
        let entry = format!("{} {}", bench.core, rtl_core::kind(register));
        let entry = unequal.entry(entry).or_default();
        entry.1 += 1;
        let equal = bench.place(register, bit).is_some_and(|(limb, bit)| {
            let outcome = bench.run(Some((edge, limb, bit)));
            outcome.edges == list::<u32>(row.text("word_edges"))
                && outcome.values == list::<u64>(row.text("outputs"))
        });
        if !equal {
            entry.0 += 1;
            entry.2 = format!("{unit} {register} {bit} {edge}");
        }
    }
    let rows: u32 = unequal.values().map(|(_, rows, _)| rows).sum();
    unequal.retain(|_, (unequal, ..)| *unequal > 0);
    assert!(unequal.is_empty(), "of {rows} rows: {unequal:#?}");
}
