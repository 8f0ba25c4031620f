//! What one stored bit, one voter and one memory fragment cost in a technology.

use std::ops::{Add, AddAssign, Mul, Sub};
use std::path::Path;

use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::data::{MOST_OF_NAME, RonError, SourceText, did_you_mean, parse_ron, read_ron, shortened};

/// Amounts of the things that area is made of; what a technology does not have stays 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// Gate equivalents: cell area over the area of a two-input NAND.
    pub gates: f64,
    /// Look-up tables used as logic.
    pub luts: f64,
    /// Flip-flops of an FPGA.
    pub flip_flops: f64,
    /// Look-up-table memory primitives of the technology.
    pub lut_rams: f64,
    /// Block memories of the technology's smallest size.
    pub block_rams: f64,
    /// Large block memories (UltraRAM).
    #[serde(skip_serializing_if = "is_none")]
    pub ultra_rams: f64,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_none(amount: &f64) -> bool {
    *amount == 0.0
}

impl Resources {
    /// Nothing.
    pub const ZERO: Self = Self {
        gates: 0.0,
        luts: 0.0,
        flip_flops: 0.0,
        lut_rams: 0.0,
        block_rams: 0.0,
        ultra_rams: 0.0,
    };

    /// Sum of the products of the amounts of two kinds.
    fn dot(&self, other: &Self) -> f64 {
        self.gates * other.gates
            + self.luts * other.luts
            + self.flip_flops * other.flip_flops
            + self.lut_rams * other.lut_rams
            + self.block_rams * other.block_rams
            + self.ultra_rams * other.ultra_rams
    }

    fn are_amounts(&self) -> bool {
        [
            self.gates,
            self.luts,
            self.flip_flops,
            self.lut_rams,
            self.block_rams,
            self.ultra_rams,
        ]
        .iter()
        .all(|amount| amount.is_finite() && *amount >= 0.0)
    }
}

impl Add for Resources {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            gates: self.gates + other.gates,
            luts: self.luts + other.luts,
            flip_flops: self.flip_flops + other.flip_flops,
            lut_rams: self.lut_rams + other.lut_rams,
            block_rams: self.block_rams + other.block_rams,
            ultra_rams: self.ultra_rams + other.ultra_rams,
        }
    }
}

impl AddAssign for Resources {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Resources {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + other * -1.0
    }
}

impl Mul<f64> for Resources {
    type Output = Self;

    fn mul(self, factor: f64) -> Self {
        Self {
            gates: self.gates * factor,
            luts: self.luts * factor,
            flip_flops: self.flip_flops * factor,
            lut_rams: self.lut_rams * factor,
            block_rams: self.block_rams * factor,
            ultra_rams: self.ultra_rams * factor,
        }
    }
}

/// In which unit a technology's area is one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AreaUnit {
    /// Two-input NANDs.
    GateEquivalent,
    /// Look-up tables; other resources by the technology's stated weights.
    LutEquivalent,
}

impl AreaUnit {
    /// Short name for tables.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            AreaUnit::GateEquivalent => "GE",
            AreaUnit::LutEquivalent => "LUTe",
        }
    }
}

/// Flip-flops behind a shared read port: a `D x W` file with write enable and read multiplexer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisterFile {
    /// One stored bit with its share of enable, read multiplexer and decoders.
    pub bit: Resources,
    /// One redundant copy of a stored bit.
    pub copy: Resources,
}

/// A memory that comes in whole primitives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Primitive {
    /// Depths and widths that one primitive can take.
    pub shapes: Vec<(u64, u64)>,
    /// Inputs of the multiplexer that one look-up table makes, where primitives stacked in depth are
    /// selected by logic; none where that does not count.
    #[serde(default)]
    pub mux_inputs: Option<u64>,
}

impl Primitive {
    /// Primitives of a `depth x width` memory in the best single shape: `ceil(depth/d)*ceil(width/w)`.
    #[must_use]
    pub fn fragments(&self, depth: u64, width: u64) -> u64 {
        if depth == 0 || width == 0 {
            return 0;
        }
        self.shapes
            .iter()
            .map(|&(d, w)| depth.div_ceil(d).saturating_mul(width.div_ceil(w)))
            .min()
            .unwrap_or(0)
    }

    /// Look-up tables that select one of the primitives stacked in depth, for all columns.
    #[must_use]
    pub fn mux_luts(&self, depth: u64, width: u64) -> u64 {
        let (Some(inputs), Some(&(d, _))) = (self.mux_inputs, self.shapes.first()) else {
            return 0;
        };
        let banks = depth.div_ceil(d).max(1);
        (banks - 1).div_ceil(inputs.max(2) - 1) * width
    }
}

/// What things cost in one technology.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Technology {
    /// Name for people and for the hardware file.
    pub name: String,
    /// Where the numbers come from.
    pub source: String,
    /// Unit of the one-number area.
    pub unit: AreaUnit,
    /// Weight of each resource in that unit.
    pub weights: Resources,
    /// A flip-flop.
    pub flip_flop: Resources,
    /// Majority of three bits.
    pub voter: Resources,
    /// A stored bit that is read at all times: flip-flop and write enable.
    pub register_bit: Resources,
    /// Flip-flops behind a read port, where the technology builds them.
    #[serde(default)]
    pub register_file: Option<RegisterFile>,
    /// A bit of a memory macro, periphery included, where a number is known.
    #[serde(default)]
    pub sram_bit: Option<Resources>,
    /// Memory in look-up tables.
    #[serde(default)]
    pub lut_ram: Option<Primitive>,
    /// Block memory.
    #[serde(default)]
    pub block_ram: Option<Primitive>,
    /// Large block memory (UltraRAM).
    #[serde(default)]
    pub ultra_ram: Option<Primitive>,
    /// Logic that protects whole words, where numbers are known.
    #[serde(default)]
    pub codecs: Option<Codecs>,
}

/// Logic that protects whole words, by the number of data bits. All lists are as long as `widths`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codecs {
    /// What one of the amounts below is.
    pub of: Resources,
    /// Data bits of a word, rising.
    pub widths: Vec<u32>,
    /// Parity of a word.
    pub parity: Vec<f64>,
    /// Check bits of the extended Hamming code.
    pub secded_encoder: Vec<f64>,
    /// Its decoder.
    pub secded_decoder: Vec<f64>,
    /// Voters of a word with a flag for disagreement.
    pub flagged_voter: Vec<f64>,
}

impl Codecs {
    /// An amount for words of `width` data bits: on straight lines through the known widths, through
    /// nothing at width 0.
    fn at(&self, amounts: &[f64], width: u32) -> Resources {
        let points: Vec<(f64, f64)> = std::iter::once((0.0, 0.0))
            .chain(
                self.widths
                    .iter()
                    .map(|&width| f64::from(width))
                    .zip(amounts.iter().copied()),
            )
            .collect();
        let width = f64::from(width);
        let at = points[1..points.len() - 1]
            .iter()
            .take_while(|(known, _)| *known < width)
            .count();
        let ((x0, y0), (x1, y1)) = (points[at], points[at + 1]);
        self.of * (y0 + (y1 - y0) * (width - x0) / (x1 - x0))
    }

    /// Parity of a word.
    #[must_use]
    pub fn parity(&self, width: u32) -> Resources {
        self.at(&self.parity, width)
    }

    /// Check bits of the extended Hamming code.
    #[must_use]
    pub fn secded_encoder(&self, width: u32) -> Resources {
        self.at(&self.secded_encoder, width)
    }

    /// Decoder of the extended Hamming code.
    #[must_use]
    pub fn secded_decoder(&self, width: u32) -> Resources {
        self.at(&self.secded_decoder, width)
    }

    /// Voters of a word with a flag for disagreement.
    #[must_use]
    pub fn flagged_voter(&self, width: u32) -> Resources {
        self.at(&self.flagged_voter, width)
    }

    fn is_sound(&self) -> bool {
        let lists = [
            &self.parity,
            &self.secded_encoder,
            &self.secded_decoder,
            &self.flagged_voter,
        ];
        !self.widths.is_empty()
            && self.widths[0] > 0
            && self.widths.windows(2).all(|pair| pair[0] < pair[1])
            && lists.iter().all(|list| {
                list.len() == self.widths.len()
                    && list.iter().all(|amount| amount.is_finite() && *amount >= 0.0)
            })
            && self.of.are_amounts()
    }
}

const PRESETS: [(&str, &str); 7] = [
    (
        "nangate45",
        include_str!("../../hw_configs/technologies/nangate45.ron"),
    ),
    (
        "sky130hd",
        include_str!("../../hw_configs/technologies/sky130hd.ron"),
    ),
    (
        "ihp_sg13g2",
        include_str!("../../hw_configs/technologies/ihp_sg13g2.ron"),
    ),
    ("osu018", include_str!("../../hw_configs/technologies/osu018.ron")),
    ("xc7", include_str!("../../hw_configs/technologies/xc7.ron")),
    ("xcup", include_str!("../../hw_configs/technologies/xcup.ron")),
    ("ice40", include_str!("../../hw_configs/technologies/ice40.ron")),
];

/// The technology where nothing else is said.
pub const DEFAULT_TECHNOLOGY: &str = "nangate45";

/// Why a technology cannot be used.
#[derive(Debug, Error, Diagnostic)]
pub enum TechnologyError {
    /// The file does not read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Ron(#[from] RonError),
    /// Neither a preset nor a file.
    #[error("no technology is called `{name}`")]
    #[diagnostic(
        code(radstream::technology::unknown),
        help(
            "expected one of {}, or the path of a file that ends in .ron{}",
            Technology::preset_names().join(", "),
            did_you_mean(name, Technology::preset_names())
        )
    )]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// A number that no area can be.
    #[error("technology `{}`: `{field}` is not an amount", shortened(name, MOST_OF_NAME))]
    #[diagnostic(
        code(radstream::technology::amount),
        help(
            "expected finite numbers from 0, primitive shapes of at least 1x1, and lists as long as rising `widths`; correct `{field}`"
        )
    )]
    Amount {
        /// Name of the technology.
        name: String,
        /// Where the number stands.
        field: &'static str,
    },
}

impl Technology {
    /// Names of the technologies that need no file.
    #[must_use]
    pub fn preset_names() -> Vec<&'static str> {
        PRESETS.iter().map(|(name, _)| *name).collect()
    }

    /// The technology of that name, or in the file of that path; a relative path starts at `folder`.
    ///
    /// # Errors
    /// [`TechnologyError`] where there is neither, or the file is wrong.
    pub fn find(name: &str, folder: &Path) -> Result<Self, TechnologyError> {
        const EXPECTED: &str = "a technology as in hw_configs/technologies/nangate45.ron";
        let technology: Self = if let Some((_, text)) = PRESETS.iter().find(|(preset, _)| *preset == name) {
            parse_ron(&SourceText::new(format!("{name}.ron"), *text), EXPECTED)?
        } else if name.ends_with(".ron") {
            read_ron(&folder.join(name), EXPECTED)?.0
        } else {
            return Err(TechnologyError::Unknown {
                name: name.to_owned(),
            });
        };
        technology.checked()
    }

    fn checked(self) -> Result<Self, TechnologyError> {
        let register_file = self.register_file.as_ref();
        let amounts = [
            ("weights", Some(self.weights)),
            ("flip_flop", Some(self.flip_flop)),
            ("voter", Some(self.voter)),
            ("register_bit", Some(self.register_bit)),
            ("register_file.bit", register_file.map(|file| file.bit)),
            ("register_file.copy", register_file.map(|file| file.copy)),
            ("sram_bit", self.sram_bit),
        ];
        let shapes = [
            ("lut_ram", &self.lut_ram),
            ("block_ram", &self.block_ram),
            ("ultra_ram", &self.ultra_ram),
        ];
        let wrong_amount = amounts
            .iter()
            .find(|(_, amount)| amount.is_some_and(|amount| !amount.are_amounts()))
            .map(|(field, _)| *field);
        let wrong_shape = shapes
            .iter()
            .find(|(_, primitive)| {
                primitive.as_ref().is_some_and(|primitive| {
                    primitive.shapes.is_empty() || primitive.shapes.iter().any(|&(d, w)| d == 0 || w == 0)
                })
            })
            .map(|(field, _)| *field);
        let wrong_codecs = self.codecs.as_ref().filter(|codecs| !codecs.is_sound());
        match wrong_amount.or(wrong_shape).or(wrong_codecs.map(|_| "codecs")) {
            Some(field) => Err(TechnologyError::Amount {
                name: self.name,
                field,
            }),
            None => Ok(self),
        }
    }

    /// Area as one number in the technology's unit.
    #[must_use]
    pub fn equivalents(&self, resources: &Resources) -> f64 {
        self.weights.dot(resources)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_reads_and_bears_its_name() {
        for name in Technology::preset_names() {
            let technology = Technology::find(name, Path::new("")).unwrap();
            assert_eq!(technology.name, name);
            assert!(!technology.source.is_empty());
        }
        assert!(Technology::find("no_such", Path::new("")).is_err());
    }
}
