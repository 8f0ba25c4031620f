//! What protecting some bits costs in the accelerator's technology.
//!
//! Two extra cells hold the copies of a bit under triple redundancy. Where they lie and how many voters
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

use serde::Serialize;

use super::Scheme;
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
    /// Protected bits.
    pub protected_bits: u64,
    /// Redundant cells of the protected bits.
    pub extra_bits: u64,
    /// Redundant cells if every stored bit were protected.
    pub full_extra_bits: u64,
    /// Voters.
    pub voters: u64,
    /// Voters if every stored bit were protected.
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
    bits: u64,
    columns: u64,
    of_column: Vec<u64>,
    cost: Resources,
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
                bits: 0,
                columns: 0,
                of_column: vec![0; memory.word_bits as usize],
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
            state.bits += 1;
            let column = &mut state.of_column[address.bit as usize];
            *column += 1;
            state.columns += u64::from(*column == 1);
            let technology = self.accelerator.technology();
            let cost = hardened(technology, self.scheme, memory, state.bits, state.columns);
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
        state.bits -= 1;
        let column = &mut state.of_column[address.bit as usize];
        *column -= 1;
        state.columns -= u64::from(*column == 0);
        let technology = self.accelerator.technology();
        let cost = hardened(technology, self.scheme, memory, state.bits, state.columns);
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
        let bits: u64 = self.memories.iter().map(|state| state.bits).sum();
        bits * u64::from(self.scheme.cells_per_bit() - 1)
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
            let columns = u64::from(memory.word_bits);
            sum + hardened(technology, self.scheme, memory, memory.bits(), columns)
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
        let copies = u64::from(self.scheme.cells_per_bit() - 1);
        let protected_bits = self.memories.iter().map(|state| state.bits).sum();
        let chosen = map.memories().iter().zip(&self.memories);
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
            protected_bits,
            extra_bits: copies * protected_bits,
            full_extra_bits: copies * map.total_bits(),
            voters: chosen
                .map(|(memory, state)| voters(self.scheme, memory.style, state.bits, state.columns))
                .sum(),
            full_voters: map
                .memories()
                .iter()
                .map(|memory| {
                    let columns = u64::from(memory.word_bits);
                    voters(self.scheme, memory.style, memory.bits(), columns)
                })
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

fn voters(scheme: Scheme, style: Style, bits: u64, columns: u64) -> u64 {
    match (scheme, style) {
        (Scheme::None, _) | (_, Style::Constant) => 0,
        (Scheme::Tmr, Style::Registers) => bits,
        (Scheme::Tmr, _) => columns,
    }
}

/// Area of one memory with `bits` protected bits in `columns` columns.
fn hardened(technology: &Technology, scheme: Scheme, memory: &Memory, bits: u64, columns: u64) -> Resources {
    let plain = area::memory(technology, memory);
    if scheme == Scheme::None || bits == 0 {
        return plain;
    }
    let copies = 2.0 * bits as f64;
    let voters = technology.voter * voters(scheme, memory.style, bits, columns) as f64;
    let part = |columns| area::storage(technology, memory.style, memory.depth, columns);
    match memory.style {
        Style::Registers => plain + technology.register_bit * copies + voters,
        Style::RegisterFile => {
            let copy = technology
                .register_file
                .as_ref()
                .map_or(Resources::ZERO, |file| file.copy);
            plain + copy * copies + voters
        }
        Style::Sram | Style::LutRam | Style::BlockRam | Style::Rom => {
            part(u64::from(memory.word_bits) - columns) + part(columns) * 3.0 + voters
        }
        Style::Constant => plain,
    }
}
