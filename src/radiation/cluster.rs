//! Which cells one strike flips.

use std::collections::BTreeMap;
use std::fmt;

use indexmap::IndexMap;
use rand::{Rng, RngExt};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::field::{MAX_EXTENT, Status, share, unique_keys};

/// How far the sum of measured shares may be from 1.
const SUM_TOLERANCE: f64 = 1e-3;

/// Place of a cell relative to the struck one: word lines and bit lines of the physical array.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Offset {
    /// Rows: physical words, or configuration frames.
    pub row: i32,
    /// Columns: bits of a physical word, or of a frame.
    pub column: i32,
}

impl Offset {
    /// The struck cell itself.
    pub const STRUCK: Self = Self { row: 0, column: 0 };
}

/// A pattern of flipped cells and how often it is what a strike of several cells leaves.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shape {
    /// Share among the strikes that flip several cells.
    pub share: f64,
    /// Flipped cells, the struck one first; it is the one in the lowest row, and in it the lowest
    /// column.
    pub cells: Vec<Offset>,
}

impl Shape {
    /// A pattern in any place.
    fn new(share: f64, cells: impl IntoIterator<Item = Offset>) -> Self {
        let mut cells: Vec<Offset> = cells.into_iter().collect();
        cells.sort_unstable();
        let struck = cells.first().copied().unwrap_or_default();
        for cell in &mut cells {
            cell.row -= struck.row;
            cell.column -= struck.column;
        }
        Self { share, cells }
    }

    fn run_along_column(size: u32) -> Self {
        Self::new(1.0, (0..size as i32).map(|row| Offset { row, column: 0 }))
    }

    fn run_along_row(size: u32) -> Self {
        Self::new(1.0, (0..size as i32).map(|column| Offset { row: 0, column }))
    }
}

/// How many cells a strike flips, and which.
///
/// The size comes first, then one of the shapes of that size in proportion to their shares; a size
/// without a shape is a run along a column: the same bit in adjacent rows.
#[derive(Clone, Debug, Serialize)]
pub struct Clusters {
    /// Says where the numbers come from, and changes none.
    #[serde(skip)]
    name: String,
    sizes: Vec<(u32, f64)>,
    shapes: BTreeMap<u32, Vec<Shape>>,
    assumed_single: bool,
}

/// Equal clusters flip the same cells, whatever table they come from.
impl PartialEq for Clusters {
    fn eq(&self, other: &Self) -> bool {
        (&self.sizes, &self.shapes, self.assumed_single)
            == (&other.sizes, &other.shapes, other.assumed_single)
    }
}

impl Clusters {
    /// Every strike flips one bit.
    #[must_use]
    pub fn single() -> Self {
        Self::burst(1)
    }

    /// As [`Clusters::single`] for a memory of which nothing is known.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            name: "unknown".to_owned(),
            assumed_single: true,
            ..Self::single()
        }
    }

    /// Every strike flips this many consecutive columns of a row, at least one.
    #[must_use]
    pub fn burst(bits: u32) -> Self {
        let bits = bits.clamp(1, MAX_EXTENT);
        Self {
            name: match bits {
                1 => "single".to_owned(),
                bits => format!("burst:{bits}"),
            },
            sizes: vec![(bits, 1.0)],
            shapes: BTreeMap::from([(bits, vec![Shape::run_along_row(bits)])]),
            assumed_single: false,
        }
    }

    fn new(name: &str, sizes: &IndexMap<u32, f64>, shapes: &[Shape]) -> Self {
        let sum: f64 = sizes.values().sum();
        let mut by_size: Vec<(u32, f64)> = sizes
            .iter()
            .filter(|(_, share)| **share > 0.0)
            .map(|(&size, &share)| (size, share / sum))
            .collect();
        by_size.sort_unstable_by_key(|(size, _)| *size);
        let mut grouped: BTreeMap<u32, Vec<Shape>> = BTreeMap::new();
        for shape in shapes.iter().filter(|shape| shape.share > 0.0) {
            let group = grouped.entry(shape.cells.len() as u32).or_default();
            group.push(shape.clone());
        }
        Self {
            name: name.to_owned(),
            sizes: by_size,
            shapes: grouped,
            assumed_single: false,
        }
    }

    /// Name of the table that they come from; `single`, `burst:K`, or `unknown` where they come from none.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sizes in rising order with their probabilities, which sum to 1.
    #[must_use]
    pub fn sizes(&self) -> &[(u32, f64)] {
        &self.sizes
    }

    /// Shapes of one size with their probabilities among strikes of that size.
    #[must_use]
    pub fn shapes(&self, size: u32) -> Vec<(f64, Vec<Offset>)> {
        match self.shapes.get(&size) {
            None => vec![(1.0, Shape::run_along_column(size).cells)],
            Some(shapes) => {
                let sum: f64 = shapes.iter().map(|shape| shape.share).sum();
                let of = |shape: &Shape| (shape.share / sum, shape.cells.clone());
                shapes.iter().map(of).collect()
            }
        }
    }

    /// Mean number of bits that one strike flips.
    #[must_use]
    pub fn mean_bits(&self) -> f64 {
        self.sizes
            .iter()
            .map(|(size, share)| f64::from(*size) * share)
            .sum()
    }

    /// The sizes are not known; strikes are simulated as single bits, and results must say so.
    #[must_use]
    pub fn is_assumed_single(&self) -> bool {
        self.assumed_single
    }

    /// Cells that one strike flips, relative to the struck one, which is the first of them.
    pub fn draw(&self, random: &mut impl Rng) -> Vec<Offset> {
        let size = self.sizes[pick(random, self.sizes.iter().map(|(_, share)| *share))].0;
        match self.shapes.get(&size) {
            None => Shape::run_along_column(size).cells,
            Some(shapes) => {
                let shape = pick(random, shapes.iter().map(|shape| shape.share));
                shapes[shape].cells.clone()
            }
        }
    }

    /// Share of the strikes that put two flips or more into one word, where `interleave` words share a
    /// physical row and take its columns in turn (1: not interleaved). Ends of rows are left out.
    #[must_use]
    pub fn share_in_one_word(&self, interleave: u32) -> f64 {
        let step = i64::from(interleave.max(1));
        let collide = |a: &Offset, b: &Offset| {
            a.row == b.row && (i64::from(a.column) - i64::from(b.column)).rem_euclid(step) == 0
        };
        let hits = |cells: &[Offset]| {
            cells
                .iter()
                .enumerate()
                .any(|(at, a)| cells[at + 1..].iter().any(|b| collide(a, b)))
        };
        let share_of = |size: u32| -> f64 {
            let shapes = self.shapes(size);
            shapes.iter().filter(|(_, cells)| hits(cells)).map(|s| s.0).sum()
        };
        self.sizes
            .iter()
            .map(|(size, share)| share * share_of(*size))
            .sum()
    }
}

impl Default for Clusters {
    fn default() -> Self {
        Self::unknown()
    }
}

/// Number of one of the weights, in proportion to them. Draws only where there is a choice.
fn pick(random: &mut impl Rng, weights: impl ExactSizeIterator<Item = f64> + Clone) -> usize {
    let last = weights.len() - 1;
    if last == 0 {
        return 0;
    }
    let sum: f64 = weights.clone().sum();
    let mut left = random.random::<f64>() * sum;
    for (number, weight) in weights.enumerate() {
        left -= weight;
        if left < 0.0 {
            return number;
        }
    }
    last
}

/// Measured share of the strikes that put two flips or more into one word.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwoInWord {
    /// The share.
    #[serde(deserialize_with = "share")]
    pub share: f64,
    /// Bits of a word, where the source says so.
    #[serde(default)]
    pub word_bits: Option<u32>,
}

/// A file of cluster sizes and shapes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClusterTable {
    /// Name for people and other files.
    pub name: String,
    /// Other names of the same.
    pub aliases: Vec<String>,
    /// Where the numbers come from.
    pub source: String,
    /// How well they are known.
    pub status: Vec<Status>,
    /// What else is to be said.
    pub note: String,
    /// Measured shares of strikes by the number of flipped cells; none where they are not known.
    pub sizes: Option<IndexMap<u32, f64>>,
    /// Most cells ever seen, where that is all that is known.
    pub max_bits: Option<u32>,
    /// Patterns among strikes of several cells.
    pub shapes: Vec<Shape>,
    /// Strikes that were measured.
    pub measured_events: Option<u64>,
    /// Measured share of two flips in one word.
    pub measured_two_in_word: Option<TwoInWord>,
}

impl ClusterTable {
    /// The distribution to draw from.
    #[must_use]
    pub fn clusters(&self) -> Clusters {
        match &self.sizes {
            None => Clusters {
                name: self.name.clone(),
                ..Clusters::unknown()
            },
            Some(sizes) => Clusters::new(&self.name, sizes, &self.shapes),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename = "ClusterTable")]
struct ClusterFile {
    name: String,
    #[serde(default)]
    aliases: Vec<String>,
    source: String,
    status: Vec<Status>,
    #[serde(default)]
    note: String,
    #[serde(default)]
    sizes: Option<Sizes>,
    #[serde(default)]
    max_bits: Option<u32>,
    #[serde(default)]
    shapes: Shapes,
    #[serde(default)]
    measured_events: Option<u64>,
    #[serde(default)]
    measured_two_in_word: Option<TwoInWord>,
}

impl<'de> Deserialize<'de> for ClusterTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let file = ClusterFile::deserialize(deserializer)?;
        let sizes = file.sizes.map(|sizes| sizes.0);
        for shape in &file.shapes.0 {
            let bits = shape.cells.len() as u32;
            let has_size = sizes.as_ref().is_some_and(|sizes| sizes.contains_key(&bits));
            if !has_size {
                return Err(D::Error::custom(format!(
                    "a shape of {bits} cells, but `sizes` gives no share of strikes of {bits} cells"
                )));
            }
        }
        Ok(Self {
            name: file.name,
            aliases: file.aliases,
            source: file.source,
            status: file.status,
            note: file.note,
            sizes,
            max_bits: file.max_bits,
            shapes: file.shapes.0,
            measured_events: file.measured_events,
            measured_two_in_word: file.measured_two_in_word,
        })
    }
}

/// Shares by size, checked.
struct Sizes(IndexMap<u32, f64>);

impl<'de> Deserialize<'de> for Sizes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(transparent)]
        struct Share(#[serde(deserialize_with = "share")] f64);
        let sizes: IndexMap<u32, Share> = unique_keys(deserializer)?;
        if let Some(size) = sizes.keys().find(|size| !(1..=MAX_EXTENT).contains(*size)) {
            return Err(D::Error::custom(format!(
                "a strike of {size} cells; expected 1 to {MAX_EXTENT}"
            )));
        }
        let sum: f64 = sizes.values().map(|share| share.0).sum();
        if (sum - 1.0).abs() > SUM_TOLERANCE {
            return Err(D::Error::custom(format!(
                "the shares of the sizes sum to {sum}, not to 1 within {SUM_TOLERANCE}"
            )));
        }
        Ok(Self(
            sizes.into_iter().map(|(size, share)| (size, share.0)).collect(),
        ))
    }
}

/// Patterns, checked: `[(share, [(row, column), ...]), ...]`.
#[derive(Default)]
struct Shapes(Vec<Shape>);

impl<'de> Deserialize<'de> for Shapes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> serde::de::Visitor<'de> for List {
            type Value = Shapes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of (share, [(row, column), ...])")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Shapes, A::Error> {
                let mut shapes = Vec::new();
                let mut sum = 0.0;
                while let Some((share, cells)) = list.next_element::<(f64, Vec<(i32, i32)>)>()? {
                    if !(0.0..=1.0).contains(&share) {
                        return Err(A::Error::custom(format!("{share} is not a share from 0 to 1")));
                    }
                    sum += share;
                    if sum > 1.0 + SUM_TOLERANCE {
                        return Err(A::Error::custom(format!(
                            "the shares of the shapes sum to {sum}, above 1"
                        )));
                    }
                    check_cells(&cells).map_err(A::Error::custom)?;
                    let offsets = cells.into_iter().map(|(row, column)| Offset { row, column });
                    shapes.push(Shape::new(share, offsets));
                }
                Ok(Shapes(shapes))
            }
        }

        deserializer.deserialize_seq(List)
    }
}

fn check_cells(cells: &[(i32, i32)]) -> Result<(), String> {
    let mut sorted = cells.to_vec();
    sorted.sort_unstable();
    if sorted.is_empty() || sorted.len() > MAX_EXTENT as usize {
        return Err(format!(
            "a shape of {} cells; expected 1 to {MAX_EXTENT}",
            sorted.len()
        ));
    }
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("cell {:?} stands twice in a shape", pair[0]));
    }
    let far =
        |&(row, column): &(i32, i32)| row.unsigned_abs() > MAX_EXTENT || column.unsigned_abs() > MAX_EXTENT;
    match sorted.iter().find(|cell| far(cell)) {
        Some(cell) => Err(format!("cell {cell:?} is farther than {MAX_EXTENT}")),
        None => Ok(()),
    }
}
