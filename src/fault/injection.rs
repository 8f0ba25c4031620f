//! From wrong bits to wrong values, with a report of each.

use serde::Serialize;

use crate::accelerator::{Accelerator, NamedBit, StoredBit, hex_word};
use crate::simulate::functional::Change;

/// What a flip did to the stored value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The element stands for another value.
    ValueChanged,
    /// The bits differ but stand for the same value.
    SameValue,
    /// The bit belongs to no element.
    Padding,
}

impl Effect {
    /// Name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ValueChanged => "value_changed",
            Self::SameValue => "same_value",
            Self::Padding => "padding",
        }
    }
}

/// One flipped bit with its word before and after all flips of the set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Injection {
    /// Both addresses.
    #[serde(flatten)]
    pub address: NamedBit,
    /// The memory word before, hexadecimal.
    pub word_before: String,
    /// The memory word after, hexadecimal.
    pub word_after: String,
    /// Mantissa of the element before; none for padding.
    pub value_before: Option<i64>,
    /// Mantissa of the element after; none for padding.
    pub value_after: Option<i64>,
    /// What became of it.
    pub effect: Effect,
}

/// The values that differ once these bits are wrong. Bits in padding and flips that leave a value
/// as it was yield nothing.
///
/// `wrong` holds each bit once.
///
/// # Panics
/// Where a bit is not below the map's number of bits.
#[must_use]
pub fn changes(accelerator: &Accelerator, wrong: &[StoredBit]) -> Vec<Change> {
    let map = accelerator.map();
    let mut masks: Vec<(crate::network::ParamId, u64, u64)> = wrong
        .iter()
        .filter(|&&bit| !map.is_padding(bit))
        .map(|&bit| {
            let logical = map.logical(bit);
            (logical.param, logical.element, 1u64 << logical.bit)
        })
        .collect();
    masks.sort_unstable();
    masks
        .chunk_by(|a, b| (a.0, a.1) == (b.0, b.1))
        .filter_map(|bits| {
            let (param, element, _) = bits[0];
            let mask = bits.iter().fold(0, |mask, bit| mask ^ bit.2);
            let mantissa = accelerator.flipped_value(param, element, mask)?;
            let before = accelerator.network().param(param).values[element as usize];
            (mantissa != before).then_some(Change {
                param,
                element: element as u32,
                mantissa,
            })
        })
        .collect()
}

/// What each of these wrong bits did, in their order.
///
/// # Panics
/// As [`changes`].
#[must_use]
pub fn describe(accelerator: &Accelerator, wrong: &[StoredBit]) -> Vec<Injection> {
    let map = accelerator.map();
    let mut images = std::collections::HashMap::new();
    for &bit in wrong {
        let address = map.address(bit);
        let (_, after) = images.entry(address.memory).or_insert_with(|| {
            let image = accelerator.image(address.memory);
            (image.clone(), image)
        });
        after.flip(address.word as usize, address.bit as usize);
    }
    let changed = changes(accelerator, wrong);
    wrong
        .iter()
        .map(|&bit| {
            let address = map.address(bit);
            let (before, after) = &images[&address.memory];
            let word = address.word as usize;
            let logical = map.logical(bit);
            let padding = map.is_padding(bit);
            let value_before = (!padding)
                .then(|| accelerator.network().param(logical.param).values[logical.element as usize]);
            // Changes come in the order of their elements.
            let now = changed
                .binary_search_by_key(&(logical.param, logical.element), |change| {
                    (change.param, u64::from(change.element))
                })
                .ok()
                .map(|at| changed[at]);
            let effect = match (padding, now) {
                (true, _) => Effect::Padding,
                (false, Some(_)) => Effect::ValueChanged,
                (false, None) => Effect::SameValue,
            };
            Injection {
                address: accelerator.named(bit),
                word_before: hex_word(before.word(word)),
                word_after: hex_word(after.word(word)),
                value_before,
                value_after: if padding {
                    None
                } else {
                    now.map(|change| change.mantissa).or(value_before)
                },
                effect,
            }
        })
        .collect()
}
