//! What protecting some bits costs in the accelerator's technology.
//!
//! Schemes of words add their cells to each protected word, an encoder per memory, and a decoder, checker
//! or voter per read port: one per memory, in registers one per protected word. Memories in whole
//! primitives split into the words without and those with protection. Voters of words count as voters
//! with a flag, a comparator of two copies as a parity tree over both: estimates.
//!
//! Under triplication of single bits two extra cells hold the copies of a bit. Where they lie and how many voters
//! there are follows from how the memory is read:
//!
//! - registers are all read at once: a voter per protected bit;
//! - a register file is read word by word: a voter per bit column that has a protected bit, shared by
//!   all words; cells cost `A/A0 = 1 + 2f + V/(D*c)` for a share `f` of protected bits, `V` per voter,
//!   `D` words, `c` per stored bit;
//! - memories in whole primitives keep the copies of a column over its full depth, because all three
//!   share the address: the memory splits into the columns without a protected bit and three times those
//!   with one, and each part costs its own whole primitives. Cells of such a copy whose bit is not
//!   protected cost area and hold nothing.

use std::collections::HashMap;

use serde::Serialize;

use super::{Code, Scheme};
use crate::accelerator::{Accelerator, AreaUnit, Memory, Resources, StoredBit, Style, Technology, area};

/// Area of the memories plain, with the chosen bits protected, and with all bits protected.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AreaReport {
    /// Name of the technology.
    pub technology: String,
    /// Unit of the `_area` fields.
    pub unit: AreaUnit,
    /// Area without protection.
    pub plain_area: f64,
    /// Area with the chosen bits protected.
    pub selective_area: f64,
    /// Area with every stored bit protected.
    pub full_area: f64,
    /// Resources without protection.
    pub plain: Resources,
    /// Resources with the chosen bits protected.
    pub selective: Resources,
    /// Resources with every stored bit protected.
    pub full: Resources,
    /// Stored bits of the plain design.
    pub stored_bits: u64,
    /// Protected bits; under a scheme of words those of whole words.
    pub protected_bits: u64,
    /// Redundant cells of the protected bits.
    pub extra_bits: u64,
    /// Redundant cells if every stored bit were protected.
    pub full_extra_bits: u64,
    /// Voters, decoders or checkers.
    pub voters: u64,
    /// Voters, decoders or checkers if every stored bit were protected.
    pub full_voters: u64,
}

impl AreaReport {
    /// Extra area of the choice over that of protecting everything; 0 where that costs nothing.
    #[must_use]
    pub fn share_of_full(&self) -> f64 {
        let full = self.full_area - self.plain_area;
        if full > 0.0 {
            (self.selective_area - self.plain_area) / full
        } else {
            0.0
        }
    }
}

/// The cost of a growing set of protected bits, one bit at a time.
#[derive(Clone, Debug)]
pub struct Ledger<'a> {
    accelerator: &'a Accelerator,
    scheme: Scheme,
    protected: Vec<u64>,
    memories: Vec<Protected>,
    plain: Resources,
    selective: Resources,
}

/// What is protected of one memory.
#[derive(Clone, Debug)]
struct Protected {
    counts: Counts,
    of_column: Vec<u64>,
    /// Protected bits of each word with any.
    of_word: HashMap<u64, u64>,
    cost: Resources,
}

/// How much of a memory is protected.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    bits: u64,
    /// Bit columns with a protected bit.
    columns: u64,
    /// Words with a protected bit.
    words: u64,
}

impl Counts {
    fn all(memory: &Memory) -> Self {
        Self {
            bits: memory.bits(),
            columns: u64::from(memory.word_bits),
            words: memory.depth,
        }
    }

    /// Bits behind the protection: a scheme of words takes whole words.
    fn guarded(&self, scheme: Scheme, memory: &Memory) -> u64 {
        if scheme.is_of_words() {
            self.words * u64::from(memory.word_bits)
        } else {
            self.bits
        }
    }

    /// Redundant cells.
    fn extra_cells(&self, scheme: Scheme, memory: &Memory) -> u64 {
        if scheme.is_of_words() {
            let code = Code::new(scheme, memory.word_bits);
            self.words * u64::from(code.cells() - memory.word_bits)
        } else {
            self.bits * u64::from(scheme.cells_per_bit() - 1)
        }
    }
}

impl<'a> Ledger<'a> {
    /// No bit is protected yet.
    #[must_use]
    pub fn new(accelerator: &'a Accelerator, scheme: Scheme) -> Self {
        let memories: Vec<Protected> = accelerator
            .map()
            .memories()
            .iter()
            .map(|memory| Protected {
                counts: Counts::default(),
                of_column: vec![0; memory.word_bits as usize],
                of_word: HashMap::new(),
                cost: area::memory(accelerator.technology(), memory),
            })
            .collect();
        let words = accelerator.map().total_bits().div_ceil(64) as usize;
        let plain = accelerator.storage_area();
        Self {
            accelerator,
            scheme,
            protected: vec![0; words],
            memories,
            plain,
            selective: plain,
        }
    }

    /// Protects one more bit and gives the cost of the whole set so far; a bit that is protected
    /// already, or does not exist, changes nothing.
    pub fn protect(&mut self, bit: StoredBit) -> f64 {
        if bit.0 < self.accelerator.map().total_bits() && !self.is_protected(bit) {
            self.protected[(bit.0 / 64) as usize] |= 1 << (bit.0 % 64);
            let address = self.accelerator.map().address(bit);
            let memory = self.accelerator.map().memory(address.memory);
            let state = &mut self.memories[address.memory.index()];
            state.counts.bits += 1;
            let column = &mut state.of_column[address.bit as usize];
            *column += 1;
            state.counts.columns += u64::from(*column == 1);
            let word = state.of_word.entry(address.word).or_default();
            *word += 1;
            state.counts.words += u64::from(*word == 1);
            let technology = self.accelerator.technology();
            let cost = hardened(technology, self.scheme, memory, &state.counts);
            self.selective += cost - state.cost;
            state.cost = cost;
        }
        self.extra_area()
    }

    /// Takes the protection of a bit back; a bit that is not protected changes nothing.
    pub fn release(&mut self, bit: StoredBit) {
        if !self.is_protected(bit) {
            return;
        }
        self.protected[(bit.0 / 64) as usize] &= !(1 << (bit.0 % 64));
        let address = self.accelerator.map().address(bit);
        let memory = self.accelerator.map().memory(address.memory);
        let state = &mut self.memories[address.memory.index()];
        state.counts.bits -= 1;
        let column = &mut state.of_column[address.bit as usize];
        *column -= 1;
        state.counts.columns -= u64::from(*column == 0);
        let word = state.of_word.entry(address.word).or_default();
        *word -= 1;
        state.counts.words -= u64::from(*word == 0);
        let technology = self.accelerator.technology();
        let cost = hardened(technology, self.scheme, memory, &state.counts);
        self.selective += cost - state.cost;
        state.cost = cost;
    }

    /// Whether a bit is protected.
    #[must_use]
    pub fn is_protected(&self, bit: StoredBit) -> bool {
        self.protected
            .get((bit.0 / 64) as usize)
            .is_some_and(|word| word >> (bit.0 % 64) & 1 == 1)
    }

    /// Area beyond the plain design in the technology's unit.
    #[must_use]
    pub fn extra_area(&self) -> f64 {
        let technology = self.accelerator.technology();
        technology.equivalents(&(self.selective - self.plain))
    }

    /// Redundant cells of the protected bits.
    #[must_use]
    pub fn extra_bits(&self) -> u64 {
        let memories = self.accelerator.map().memories().iter().zip(&self.memories);
        memories
            .map(|(memory, state)| state.counts.extra_cells(self.scheme, memory))
            .sum()
    }

    /// Area beyond the plain design if every stored bit were protected.
    #[must_use]
    pub fn full_extra_area(&self) -> f64 {
        let technology = self.accelerator.technology();
        technology.equivalents(&(self.full() - self.plain))
    }

    fn full(&self) -> Resources {
        let technology = self.accelerator.technology();
        let memories = self.accelerator.map().memories().iter();
        memories.fold(Resources::ZERO, |sum, memory| {
            sum + hardened(technology, self.scheme, memory, &Counts::all(memory))
        })
    }

    /// The areas of the set so far.
    #[must_use]
    pub fn report(&self) -> AreaReport {
        let technology = self.accelerator.technology();
        let map = self.accelerator.map();
        // Summed again in the order of the memories, so that the report does not depend on the order in
        // which bits were protected.
        let selective = self
            .memories
            .iter()
            .fold(Resources::ZERO, |sum, state| sum + state.cost);
        let full = self.full();
        let scheme = self.scheme;
        let chosen = || map.memories().iter().zip(&self.memories);
        AreaReport {
            technology: technology.name.clone(),
            unit: technology.unit,
            plain_area: technology.equivalents(&self.plain),
            selective_area: technology.equivalents(&selective),
            full_area: technology.equivalents(&full),
            plain: self.plain,
            selective,
            full,
            stored_bits: map.total_bits(),
            protected_bits: chosen()
                .map(|(memory, state)| state.counts.guarded(scheme, memory))
                .sum(),
            extra_bits: self.extra_bits(),
            full_extra_bits: map
                .memories()
                .iter()
                .map(|memory| Counts::all(memory).extra_cells(scheme, memory))
                .sum(),
            voters: chosen()
                .map(|(memory, state)| voters(scheme, memory.style, &state.counts))
                .sum(),
            full_voters: map
                .memories()
                .iter()
                .map(|memory| voters(scheme, memory.style, &Counts::all(memory)))
                .sum(),
        }
    }
}

impl AreaReport {
    /// The areas of an accelerator with these bits protected.
    #[must_use]
    pub fn of(accelerator: &Accelerator, scheme: Scheme, protected: &[StoredBit]) -> Self {
        let mut ledger = Ledger::new(accelerator, scheme);
        for &bit in protected {
            ledger.protect(bit);
        }
        ledger.report()
    }
}

/// Units that decide about what is read: voters of bits or words, decoders, checkers.
fn voters(scheme: Scheme, style: Style, of: &Counts) -> u64 {
    match (scheme, style) {
        (Scheme::None, _) | (_, Style::Constant) => 0,
        (Scheme::Tmr, Style::Registers) => of.bits,
        (Scheme::Tmr, _) => of.columns,
        (_, Style::Registers) => of.words,
        (_, _) => u64::from(of.words > 0),
    }
}

/// Area of one memory with these protected parts.
fn hardened(technology: &Technology, scheme: Scheme, memory: &Memory, of: &Counts) -> Resources {
    let plain = area::memory(technology, memory);
    if scheme == Scheme::None || of.bits == 0 || memory.style == Style::Constant {
        return plain;
    }
    let code = Code::new(scheme, memory.word_bits);
    let extra_cells = match scheme {
        Scheme::Tmr => 2 * of.bits,
        _ => of.words * u64::from(code.cells() - memory.word_bits),
    } as f64;
    let part = |depth, columns| area::storage(technology, memory.style, depth, columns);
    let cells = match (memory.style, scheme) {
        (Style::Registers, _) => plain + technology.register_bit * extra_cells,
        (Style::RegisterFile, _) => {
            let copy = technology
                .register_file
                .as_ref()
                .map_or(Resources::ZERO, |file| file.copy);
            plain + copy * extra_cells
        }
        (_, Scheme::Tmr) => {
            let columns = u64::from(memory.word_bits) - of.columns;
            part(memory.depth, columns) + part(memory.depth, of.columns) * 3.0
        }
        _ => {
            part(memory.depth - of.words, u64::from(memory.word_bits))
                + part(of.words, u64::from(code.row_cells())) * f64::from(code.copies())
        }
    };
    let readers = voters(scheme, memory.style, of) as f64;
    let width = memory.word_bits;
    let logic = match (scheme, &technology.codecs) {
        (Scheme::Tmr, _) => technology.voter * readers,
        (Scheme::None, _) | (_, None) => Resources::ZERO,
        (Scheme::TmrWord, Some(codecs)) => codecs.flagged_voter(width) * readers,
        (Scheme::Dmr, Some(codecs)) => codecs.parity(2 * width) * readers,
        (Scheme::Parity, Some(codecs)) => codecs.parity(width) + codecs.parity(width + 1) * readers,
        (Scheme::Secded, Some(codecs)) => {
            codecs.secded_encoder(width) + codecs.secded_decoder(width) * readers
        }
    };
    cells + logic
}
