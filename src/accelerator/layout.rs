//! Where the elements of one tensor lie in its memories, both ways in constant time.
//!
//! A word holds its elements side by side from bit 0 up; the bits above them, and the lanes that no
//! element is left for, are padding. The `j`-th padding bit of a tensor, counted over its memories,
//! words and bits in this order, is bit 0 of element `n + j`, where `n` is the number of elements.

use std::sync::Arc;

use serde::Serialize;

/// Order of the elements over memories, words and lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Arrangement {
    /// Consecutive elements side by side.
    Linear,
    /// Element `lane*factor + word` in each lane of each word.
    Strided { factor: u64 },
    /// One memory per PE: row `nf*pe + memory`, column `sf*simd + lane` in word `nf*(columns/simd) + sf`.
    PerPe { columns: u64, pe: u64, simd: u64 },
    /// All PEs in one word: row `nf*pe + lane/simd`, column `sf*simd + lane%simd`.
    Memblock { columns: u64, pe: u64, simd: u64 },
}

/// A place of one bit within a tensor's memories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub memory: u64,
    pub word: u64,
    pub bit: u64,
}

/// An order of the columns of every row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Columns {
    /// The column that lies at each place.
    at: Arc<[u32]>,
    /// Where each column lies.
    #[serde(skip)]
    place: Arc<[u32]>,
}

/// Memories of one tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Layout {
    arrangement: Arrangement,
    /// Columns of a row in another order than the network file's.
    #[serde(skip_serializing_if = "Option::is_none")]
    columns: Option<Columns>,
    elements: u64,
    element_bits: u64,
    memories: u64,
    depth: u64,
    word_bits: u64,
    /// Lanes of the words before `full_words` of each memory.
    lanes: u64,
    full_words: u64,
    /// Lanes of the words from there on.
    short_lanes: u64,
}

impl Layout {
    /// One memory of consecutive elements, `lanes` (at least 1) to a word of `word_bits`, which is at
    /// least as wide as its elements.
    pub(super) fn linear(elements: u64, element_bits: u32, lanes: u64, word_bits: Option<u64>) -> Self {
        let element_bits = u64::from(element_bits);
        Self {
            arrangement: Arrangement::Linear,
            columns: None,
            elements,
            element_bits,
            memories: 1,
            depth: elements.div_ceil(lanes),
            word_bits: word_bits.unwrap_or(lanes * element_bits),
            lanes,
            full_words: elements / lanes,
            short_lanes: elements % lanes,
        }
    }

    /// One memory of `factor` words; `factor` is at least 1.
    pub(super) fn strided(elements: u64, element_bits: u32, factor: u64) -> Self {
        let lanes = elements.div_ceil(factor);
        let full_words = elements - lanes.saturating_sub(1) * factor;
        Self {
            arrangement: Arrangement::Strided { factor },
            columns: None,
            elements,
            element_bits: u64::from(element_bits),
            memories: 1,
            depth: factor,
            word_bits: lanes * u64::from(element_bits),
            lanes,
            full_words,
            short_lanes: lanes.saturating_sub(1),
        }
    }

    /// One memory per PE; `pe` divides `rows` and `simd` divides `columns`.
    pub(super) fn per_pe(rows: u64, columns: u64, element_bits: u32, pe: u64, simd: u64) -> Self {
        let depth = (rows / pe) * (columns / simd);
        Self {
            arrangement: Arrangement::PerPe { columns, pe, simd },
            columns: None,
            elements: rows * columns,
            element_bits: u64::from(element_bits),
            memories: pe,
            depth,
            word_bits: simd * u64::from(element_bits),
            lanes: simd,
            full_words: depth,
            short_lanes: 0,
        }
    }

    /// One memory for all PEs; `pe` divides `rows` and `simd` divides `columns`.
    pub(super) fn memblock(rows: u64, columns: u64, element_bits: u32, pe: u64, simd: u64) -> Self {
        Self {
            arrangement: Arrangement::Memblock { columns, pe, simd },
            memories: 1,
            word_bits: pe * simd * u64::from(element_bits),
            lanes: pe * simd,
            ..Self::per_pe(rows, columns, element_bits, pe, simd)
        }
    }

    /// The same memories with the columns of every row in another order: column `at[place]` lies at each place.
    /// Arrangements without rows and columns stay as they are.
    pub(super) fn with_columns(self, at: &Arc<[u32]>) -> Self {
        let (Arrangement::PerPe { columns, .. } | Arrangement::Memblock { columns, .. }) = self.arrangement
        else {
            return self;
        };
        if columns != at.len() as u64 {
            return self;
        }
        let mut place = vec![0; at.len()];
        for (to, &column) in at.iter().enumerate() {
            place[column as usize] = to as u32;
        }
        Self {
            columns: Some(Columns {
                at: Arc::clone(at),
                place: place.into(),
            }),
            ..self
        }
    }

    /// Where a column of a row lies.
    fn place_of_column(&self, column: u64) -> u64 {
        match &self.columns {
            Some(columns) => columns.place[column as usize].into(),
            None => column,
        }
    }

    /// The column that lies at a place of a row.
    fn column_at(&self, place: u64) -> u64 {
        match &self.columns {
            Some(columns) => columns.at[place as usize].into(),
            None => place,
        }
    }

    pub(super) fn memories(&self) -> u64 {
        self.memories
    }

    /// Whether each PE has a memory of its own, even where there is one PE only.
    pub(super) fn is_split(&self) -> bool {
        matches!(self.arrangement, Arrangement::PerPe { .. })
    }

    pub(super) fn depth(&self) -> u64 {
        self.depth
    }

    pub(super) fn word_bits(&self) -> u64 {
        self.word_bits
    }

    pub(super) fn elements(&self) -> u64 {
        self.elements
    }

    pub(super) fn total_bits(&self) -> u64 {
        self.memories * self.depth * self.word_bits
    }

    pub(super) fn padding_bits(&self) -> u64 {
        self.total_bits() - self.elements * self.element_bits
    }

    fn lanes_of(&self, word: u64) -> u64 {
        if word < self.full_words {
            self.lanes
        } else {
            self.short_lanes
        }
    }

    /// Memory, word and lane of an element below `elements`.
    fn slot(&self, element: u64) -> (u64, u64, u64) {
        match self.arrangement {
            Arrangement::Linear => (0, element / self.lanes, element % self.lanes),
            Arrangement::Strided { factor } => (0, element % factor, element / factor),
            Arrangement::PerPe { columns, pe, simd } => {
                let (row, column) = (element / columns, self.place_of_column(element % columns));
                let word = (row / pe) * (columns / simd) + column / simd;
                (row % pe, word, column % simd)
            }
            Arrangement::Memblock { columns, pe, simd } => {
                let (row, column) = (element / columns, self.place_of_column(element % columns));
                let word = (row / pe) * (columns / simd) + column / simd;
                (0, word, (row % pe) * simd + column % simd)
            }
        }
    }

    /// The element in a lane that holds one.
    fn element_at(&self, memory: u64, word: u64, lane: u64) -> u64 {
        match self.arrangement {
            Arrangement::Linear => word * self.lanes + lane,
            Arrangement::Strided { factor } => lane * factor + word,
            Arrangement::PerPe { columns, pe, simd } => {
                let (nf, sf) = (word / (columns / simd), word % (columns / simd));
                (nf * pe + memory) * columns + self.column_at(sf * simd + lane)
            }
            Arrangement::Memblock { columns, pe, simd } => {
                let (nf, sf) = (word / (columns / simd), word % (columns / simd));
                (nf * pe + lane / simd) * columns + self.column_at(sf * simd + lane % simd)
            }
        }
    }

    /// Padding bits of one full word, and of one of the others.
    fn padding_per_word(&self) -> (u64, u64) {
        (
            self.word_bits - self.lanes * self.element_bits,
            self.word_bits - self.short_lanes * self.element_bits,
        )
    }

    fn padding_before(&self, word: u64) -> u64 {
        let (full, short) = self.padding_per_word();
        word.min(self.full_words) * full + word.saturating_sub(self.full_words) * short
    }

    /// Element and bit at a place within the memories.
    pub(super) fn logical(&self, place: Place) -> (u64, u64) {
        let lanes = self.lanes_of(place.word);
        let used = lanes * self.element_bits;
        if place.bit < used {
            let lane = place.bit / self.element_bits;
            let element = self.element_at(place.memory, place.word, lane);
            (element, place.bit % self.element_bits)
        } else {
            let rank = place.memory * self.padding_before(self.depth)
                + self.padding_before(place.word)
                + (place.bit - used);
            (self.elements + rank, 0)
        }
    }

    /// Place of a bit; none where there is no such element or bit.
    pub(super) fn place(&self, element: u64, bit: u64) -> Option<Place> {
        if element < self.elements {
            let (memory, word, lane) = self.slot(element);
            return (bit < self.element_bits).then(|| Place {
                memory,
                word,
                bit: lane * self.element_bits + bit,
            });
        }
        let rank = element - self.elements;
        if bit != 0 || rank >= self.padding_bits() {
            return None;
        }
        let per_memory = self.padding_before(self.depth);
        let (memory, rank) = (rank / per_memory, rank % per_memory);
        let (full, short) = self.padding_per_word();
        let in_full = self.full_words * full;
        let (word, offset) = if rank < in_full {
            (rank / full, rank % full)
        } else {
            let rank = rank - in_full;
            (self.full_words + rank / short, rank % short)
        };
        Some(Place {
            memory,
            word,
            bit: self.lanes_of(word) * self.element_bits + offset,
        })
    }
}
