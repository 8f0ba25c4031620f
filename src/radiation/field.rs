//! Fields of radiation files that are checked while they are read, so that a refusal points at them.

use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;

use indexmap::IndexMap;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::rate::{CROSS_SECTION_RANGE_CM2, Counts, CrossSection};

/// Largest number of cells of one strike, and farthest distance of two of them.
pub(super) const MAX_EXTENT: u32 = 4096;

/// How well a number is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all(serialize = "snake_case"))]
pub enum Status {
    /// The source's own text was read.
    Source,
    /// Seen only as a third party's transcription of the source.
    Transcribed,
    /// Computed from data that the source gives.
    Computed,
    /// From memory; to be verified.
    Memory,
}

/// A finite number from 0.
pub fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(deserializer, "a finite number from 0", |value| value >= 0.0)
}

/// A finite number from 0, or none.
pub fn optional_amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Amount(#[serde(deserialize_with = "amount")] f64);
    Ok(Option::<Amount>::deserialize(deserializer)?.map(|amount| amount.0))
}

/// A finite number above 0.
pub fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(deserializer, "a finite number above 0", |value| value > 0.0)
}

/// A number from 0 to 1.
pub fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(deserializer, "a share from 0 to 1", |value| {
        (0.0..=1.0).contains(&value)
    })
}

/// A finite factor from 1, or none.
pub fn optional_factor<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Factor(#[serde(deserialize_with = "factor")] f64);
    fn factor<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        checked(deserializer, "a finite factor from 1", |value| value >= 1.0)
    }
    Ok(Option::<Factor>::deserialize(deserializer)?.map(|factor| factor.0))
}

/// A cross-section in cm2 per bit, in the range that bits have.
pub fn cross_section<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let value = f64::deserialize(deserializer)?;
    CrossSection::new(value, Counts::Event)
        .map(CrossSection::cm2_per_bit)
        .map_err(|error| {
            D::Error::custom(format!(
                "{error}; expected {:e} to {:e} cm2 per bit: divide a value per device by its bits, multiply one in um2 by 1e-8",
                CROSS_SECTION_RANGE_CM2.0, CROSS_SECTION_RANGE_CM2.1
            ))
        })
}

/// A number of bits from 1.
pub fn bits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match u64::deserialize(deserializer)? {
        0 => Err(D::Error::custom("expected at least 1 bit")),
        bits => Ok(bits),
    }
}

/// Cells of one strike.
pub fn burst_bits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        bits if (1..=MAX_EXTENT).contains(&bits) => Ok(bits),
        bits => Err(D::Error::custom(format!(
            "a burst of {bits} bits; expected 1 to {MAX_EXTENT}"
        ))),
    }
}

fn checked<'de, D: Deserializer<'de>>(
    deserializer: D,
    expected: &str,
    is_right: impl Fn(f64) -> bool,
) -> Result<f64, D::Error> {
    let value = f64::deserialize(deserializer)?;
    if value.is_finite() && is_right(value) {
        Ok(value)
    } else {
        Err(D::Error::custom(format!("{value} is not {expected}")))
    }
}

/// A map in which no key stands twice.
pub fn unique_keys<'de, D, K, V>(deserializer: D) -> Result<IndexMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Eq + Hash + fmt::Debug,
    V: Deserialize<'de>,
{
    struct Unique<K, V>(PhantomData<(K, V)>);

    impl<'de, K, V> Visitor<'de> for Unique<K, V>
    where
        K: Deserialize<'de> + Eq + Hash + fmt::Debug,
        V: Deserialize<'de>,
    {
        type Value = IndexMap<K, V>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = IndexMap::new();
            while let Some(key) = map.next_key::<K>()? {
                if entries.contains_key(&key) {
                    return Err(A::Error::custom(format!("{key:?} has two entries")));
                }
                let value = map.next_value()?;
                entries.insert(key, value);
            }
            Ok(entries)
        }
    }

    deserializer.deserialize_map(Unique(PhantomData))
}
