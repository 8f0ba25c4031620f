//! Stored bits in strata, and how many of each are drawn.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use miette::Diagnostic;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::draws::distinct;
use super::statistics::Precision;
use super::{Stream, stream};
use crate::accelerator::{Accelerator, StoredBit};
use crate::network::ParamId;

/// How a sample of the stored bits is drawn; always without replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SampleDesign {
    /// So many of all bits.
    Count(u64),
    /// As many of all bits as the precision asks for.
    Random,
    /// As many of each stored tensor of each layer as the precision asks for.
    Layer,
    /// As many of each bit position of each stored tensor as the precision asks for.
    LayerBit,
    /// The same with an expected share of each bit position that grows with the mean distance between a value and
    /// the value with that bit flipped: over the positions of a tensor, from 0.01 to 0.99 as the distance goes from its
    /// smallest to its largest, after Pai and others; with distances all equal one half is expected.
    DataAware,
}

/// The least and the largest share that data-aware designs expect.
const EXPECTED: (f64, f64) = (0.01, 0.99);

/// A text that names no design.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq, Eq)]
#[error("`{text}` says no way to draw a sample")]
#[diagnostic(
    code(radstream::campaign::sample),
    help("expected a number of bits, random, layer, layer-bit, or data-aware")
)]
pub struct SampleDesignError {
    text: String,
}

impl FromStr for SampleDesign {
    type Err = SampleDesignError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "random" => Ok(Self::Random),
            "layer" => Ok(Self::Layer),
            "layer-bit" | "stratified" => Ok(Self::LayerBit),
            "data-aware" => Ok(Self::DataAware),
            number => match crate::text::whole(number) {
                Some(count) if count > 0 => Ok(Self::Count(count)),
                _ => Err(SampleDesignError {
                    text: text.to_owned(),
                }),
            },
        }
    }
}

impl fmt::Display for SampleDesign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Random => f.write_str("random"),
            Self::Layer => f.write_str("layer"),
            Self::LayerBit => f.write_str("layer-bit"),
            Self::DataAware => f.write_str("data-aware"),
        }
    }
}

/// Bits that are drawn from together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stratum {
    /// The layer; none where all layers are one stratum.
    pub layer: Option<String>,
    /// The stored tensor.
    pub tensor: Option<&'static str>,
    /// The bit position, 0 least significant; none where all positions are one stratum.
    pub bit: Option<u32>,
    /// Its bits.
    pub bits: u64,
    /// The share that its number of draws expects; none where that number is stated.
    pub expected_share: Option<f64>,
    /// Bits that are drawn.
    pub drawn: u64,
    #[serde(skip)]
    members: Vec<StoredBit>,
}

impl Stratum {
    /// The bits.
    pub(super) fn members(&self) -> &[StoredBit] {
        &self.members
    }

    /// The bits that are drawn, in the order of the draws: any first part of them is a simple random sample.
    fn draw(&self, random: &mut Stream) -> Vec<StoredBit> {
        distinct(self.bits, self.drawn, random)
            .into_iter()
            .map(|number| self.members[number as usize])
            .collect()
    }
}

/// Parts these bits into strata and says how many of each are drawn.
#[must_use]
pub fn strata(
    accelerator: &Accelerator,
    bits: &[StoredBit],
    design: SampleDesign,
    precision: &Precision,
) -> Vec<Stratum> {
    let map = accelerator.map();
    let name = |param: ParamId| {
        let param = accelerator.network().param(param);
        let layer = &accelerator.network().layer(param.layer).name;
        (layer.clone(), param.kind.name())
    };
    // Tensors and positions in the order in which their bits come.
    let mut order: Vec<(ParamId, u32)> = Vec::new();
    let mut members: BTreeMap<(ParamId, u32), Vec<StoredBit>> = BTreeMap::new();
    for &bit in bits {
        let logical = map.logical(bit);
        let key = (logical.param, logical.bit);
        members
            .entry(key)
            .or_insert_with(|| {
                order.push(key);
                Vec::new()
            })
            .push(bit);
    }
    order.sort_by_key(|&(param, bit)| {
        let first = order_of(map, param);
        (first, bit)
    });
    let of = |layer: Option<(String, &'static str)>, bit: Option<u32>, members: Vec<StoredBit>| {
        let (layer, tensor) = layer.unzip();
        Stratum {
            layer,
            tensor,
            bit,
            bits: members.len() as u64,
            expected_share: Some(precision.expected_share),
            drawn: precision.draws(members.len() as u64),
            members,
        }
    };
    match design {
        SampleDesign::Count(count) => {
            let mut one = of(None, None, bits.to_vec());
            one.expected_share = None;
            one.drawn = count.min(one.bits);
            vec![one]
        }
        SampleDesign::Random => vec![of(None, None, bits.to_vec())],
        SampleDesign::Layer => order
            .chunk_by(|a, b| a.0 == b.0)
            .map(|keys| {
                let mut bits: Vec<StoredBit> =
                    keys.iter().flat_map(|key| members[key].iter().copied()).collect();
                bits.sort_unstable();
                of(Some(name(keys[0].0)), None, bits)
            })
            .collect(),
        SampleDesign::LayerBit => order
            .iter()
            .map(|key| of(Some(name(key.0)), Some(key.1), members[key].clone()))
            .collect(),
        SampleDesign::DataAware => order
            .chunk_by(|a, b| a.0 == b.0)
            .flat_map(|keys| {
                let distances: Vec<f64> = keys
                    .iter()
                    .map(|key| flip_distance(accelerator, &members[key]))
                    .collect();
                let least = distances.iter().copied().fold(f64::INFINITY, f64::min);
                let most = distances.iter().copied().fold(0.0, f64::max);
                let strata: Vec<Stratum> = keys
                    .iter()
                    .zip(distances)
                    .map(|(key, distance)| {
                        let share = if most > least {
                            EXPECTED.0 + (distance - least) / (most - least) * (EXPECTED.1 - EXPECTED.0)
                        } else {
                            0.5
                        };
                        let mut one = of(Some(name(key.0)), Some(key.1), members[key].clone());
                        one.expected_share = Some(share);
                        one.drawn = precision.expecting(share).draws(one.bits);
                        one
                    })
                    .collect();
                strata
            })
            .collect(),
    }
}

/// Where a tensor's bits start.
fn order_of(map: &crate::accelerator::MemoryMap, param: ParamId) -> u64 {
    map.tensor(param).map_or(u64::MAX, |tensor| tensor.bits.start)
}

/// Mean over these bits of the distance between the stored mantissa and the one with the bit flipped: the distance
/// of flips from 0 to 1 by the share of zeros and that of flips from 1 to 0 by the share of ones. Padding is at 0.
fn flip_distance(accelerator: &Accelerator, bits: &[StoredBit]) -> f64 {
    let map = accelerator.map();
    let sum: f64 = bits
        .iter()
        .filter(|&&bit| !map.is_padding(bit))
        .filter_map(|&bit| {
            let logical = map.logical(bit);
            let value = accelerator.network().param(logical.param).values[logical.element as usize];
            let flipped = accelerator.flipped_value(logical.param, logical.element, 1 << logical.bit)?;
            Some(flipped.abs_diff(value) as f64)
        })
        .sum();
    sum / bits.len().max(1) as f64
}

/// The drawn bits of all strata with the numbers of their strata, mixed: any first part of them holds a simple random
/// sample of each stratum.
pub(super) fn draw(strata: &[Stratum], seed: u64) -> Vec<(u32, StoredBit)> {
    let mut drawn: Vec<(u32, StoredBit)> = (0u32..)
        .zip(strata)
        .flat_map(|(number, stratum)| {
            let mut random = stream(seed, u64::from(number) + 1);
            stratum
                .draw(&mut random)
                .into_iter()
                .map(move |bit| (number, bit))
        })
        .collect();
    if strata.len() > 1 {
        let mut random = stream(seed, 0);
        for at in 0..drawn.len() {
            let other = random.random_range(at..drawn.len());
            drawn.swap(at, other);
        }
    }
    drawn
}
