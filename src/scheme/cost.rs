//! What protecting some bits costs in the accelerator's technology.
//!
//! Schemes stand side by side: in registers and register files each adds its cells and its logic. Memories in
//! whole primitives split into one part per scheme of words, and into the rest.
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

use super::{Code, Extent, Protection, ProtectionError, Scheme};
use crate::accelerator::{Accelerator, AreaUnit, Memory, Resources, StoredBit, Style, Technology, area};

/// Area of the memories plain, with the chosen bits protected, and with all bits protected under one scheme.
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

/// The cost of a growing protection, one bit at a time.
///
/// It belongs to one accelerator, which every call has to be given.
#[derive(Clone, Debug)]
pub struct Ledger {
    reference: Scheme,
    protection: Protection,
    memories: Vec<Account>,
    plain: Resources,
    selective: Resources,
}

/// What is protected of one memory, and what it costs.
#[derive(Clone, Debug)]
struct Account {
    /// By scheme, in the order of their list.
    schemes: Vec<Entry>,
    cost: Resources,
}

/// What one scheme protects of one memory.
#[derive(Clone, Debug)]
struct Entry {
    scheme: Scheme,
    extent: Extent,
    of_column: Vec<u64>,
    /// Protected bits of each word with any.
    of_word: HashMap<u64, u64>,
}

impl Entry {
    fn new(scheme: Scheme, memory: &Memory) -> Self {
        Self {
            scheme,
            extent: Extent::default(),
            of_column: vec![0; memory.word_bits as usize],
            of_word: HashMap::new(),
        }
    }

    fn add(&mut self, word: u64, column: u32) {
        self.extent.bits += 1;
        let column = &mut self.of_column[column as usize];
        *column += 1;
        self.extent.columns += u64::from(*column == 1);
        let word = self.of_word.entry(word).or_default();
        *word += 1;
        self.extent.words += u64::from(*word == 1);
    }

    fn take(&mut self, word: u64, column: u32) {
        self.extent.bits -= 1;
        let column = &mut self.of_column[column as usize];
        *column -= 1;
        self.extent.columns -= u64::from(*column == 0);
        let word = self.of_word.entry(word).or_default();
        *word -= 1;
        self.extent.words -= u64::from(*word == 0);
    }

    fn has_word(&self, word: u64) -> bool {
        self.of_word.get(&word).is_some_and(|&bits| bits > 0)
    }
}

impl Account {
    fn parts(&self) -> Vec<Part> {
        self.schemes
            .iter()
            .map(|entry| Part {
                scheme: entry.scheme,
                extent: entry.extent,
            })
            .collect()
    }

    fn sum(&self, memory: &Memory, of: impl Fn(&Part, &Memory) -> u64) -> u64 {
        self.parts().iter().map(|part| of(part, memory)).sum()
    }
}

/// How much of one memory one scheme protects.
#[derive(Clone, Copy, Debug)]
struct Part {
    scheme: Scheme,
    extent: Extent,
}

impl Part {
    fn all(scheme: Scheme, memory: &Memory) -> Self {
        Self {
            scheme,
            extent: Extent {
                bits: memory.bits(),
                columns: u64::from(memory.word_bits),
                words: memory.depth,
            },
        }
    }

    /// How a unit is stored.
    fn code(&self, memory: &Memory) -> Code {
        let of_words = self.scheme.is_of_words();
        Code::new(self.scheme, if of_words { memory.word_bits } else { 1 })
    }

    fn units(&self) -> u64 {
        if self.scheme.is_of_words() {
            self.extent.words
        } else {
            self.extent.bits
        }
    }

    /// Bits behind the protection: a scheme of words takes whole words.
    fn protected_bits(&self, memory: &Memory) -> u64 {
        self.units() * u64::from(self.code(memory).data_bits())
    }

    /// Redundant cells.
    fn extra_cells(&self, memory: &Memory) -> u64 {
        self.units() * u64::from(self.code(memory).extra_cells())
    }

    /// Voters, decoders or checkers.
    fn readers(&self, memory: &Memory) -> u64 {
        self.scheme.definition().readers(memory.style, &self.extent)
    }
}

impl Ledger {
    /// No bit is protected yet. `reference` is the scheme that reports compare with: the one that would
    /// protect every stored bit.
    #[must_use]
    pub fn new(accelerator: &Accelerator, reference: Scheme) -> Self {
        let memories: Vec<Account> = accelerator
            .map()
            .memories()
            .iter()
            .map(|memory| Account {
                schemes: Vec::new(),
                cost: area::memory(accelerator.technology(), memory),
            })
            .collect();
        let plain = accelerator.storage_area();
        Self {
            reference,
            protection: Protection::none(),
            memories,
            plain,
            selective: plain,
        }
    }

    /// Puts one more bit under a scheme and gives the cost of all so far. A bit that is under the scheme
    /// already, or does not exist, changes nothing; one that is under another scheme leaves that.
    ///
    /// # Errors
    /// [`ProtectionError`], and nothing changes, where another bit of its word is under a scheme that
    /// cannot stand beside this one.
    pub fn protect(
        &mut self,
        accelerator: &Accelerator,
        bit: StoredBit,
        scheme: Scheme,
    ) -> Result<f64, ProtectionError> {
        let before = self.protection.scheme_of(bit);
        let exists = bit.0 < accelerator.map().total_bits();
        if exists && before.unwrap_or(Scheme::None) != scheme {
            self.release(accelerator, bit);
            if let Err(error) = self.add(accelerator, bit, scheme) {
                if let Some(before) = before {
                    self.add(accelerator, bit, before)?;
                }
                return Err(error);
            }
        }
        Ok(self.extra_area(accelerator))
    }

    /// Puts a bit that is not protected under a scheme.
    fn add(
        &mut self,
        accelerator: &Accelerator,
        bit: StoredBit,
        scheme: Scheme,
    ) -> Result<(), ProtectionError> {
        if scheme == Scheme::None {
            return Ok(());
        }
        let address = accelerator.map().address(bit);
        let memory = accelerator.map().memory(address.memory);
        let account = &mut self.memories[address.memory.index()];
        let clash = account.schemes.iter().find(|entry| {
            entry.scheme != scheme
                && (entry.scheme.is_of_words() || scheme.is_of_words())
                && entry.has_word(address.word)
        });
        if let Some(entry) = clash {
            return Err(ProtectionError {
                memory: memory.name.clone(),
                word: address.word,
                first: entry.scheme,
                second: scheme,
            });
        }
        let at = account
            .schemes
            .binary_search_by_key(&scheme, |entry| entry.scheme)
            .unwrap_or_else(|at| {
                account.schemes.insert(at, Entry::new(scheme, memory));
                at
            });
        account.schemes[at].add(address.word, address.bit);
        self.protection.protect(bit, scheme);
        self.settle(accelerator, address.memory.index());
        Ok(())
    }

    /// Takes the protection of a bit back; a bit that is not protected changes nothing.
    pub fn release(&mut self, accelerator: &Accelerator, bit: StoredBit) {
        let Some(scheme) = self.protection.release(bit) else {
            return;
        };
        let address = accelerator.map().address(bit);
        let account = &mut self.memories[address.memory.index()];
        if let Ok(at) = account
            .schemes
            .binary_search_by_key(&scheme, |entry| entry.scheme)
        {
            account.schemes[at].take(address.word, address.bit);
        }
        self.settle(accelerator, address.memory.index());
    }

    /// Counts a memory again.
    fn settle(&mut self, accelerator: &Accelerator, position: usize) {
        let memory = &accelerator.map().memories()[position];
        let account = &mut self.memories[position];
        let cost = hardened(accelerator.technology(), memory, &account.parts());
        self.selective += cost - account.cost;
        account.cost = cost;
    }

    /// What is protected so far.
    #[must_use]
    pub fn protection(&self) -> &Protection {
        &self.protection
    }

    /// Takes what is protected out.
    #[must_use]
    pub fn into_protection(self) -> Protection {
        self.protection
    }

    /// Area beyond the plain design in the technology's unit.
    #[must_use]
    pub fn extra_area(&self, accelerator: &Accelerator) -> f64 {
        let technology = accelerator.technology();
        technology.equivalents(&(self.selective - self.plain))
    }

    /// Redundant cells of the protected bits.
    #[must_use]
    pub fn extra_bits(&self, accelerator: &Accelerator) -> u64 {
        self.sum(accelerator, Part::extra_cells)
    }

    fn sum(&self, accelerator: &Accelerator, of: impl Fn(&Part, &Memory) -> u64) -> u64 {
        let memories = accelerator.map().memories().iter().zip(&self.memories);
        memories.map(|(memory, account)| account.sum(memory, &of)).sum()
    }

    /// The areas of the set so far.
    #[must_use]
    pub fn report(&self, accelerator: &Accelerator) -> AreaReport {
        let technology = accelerator.technology();
        let map = accelerator.map();
        // Summed again in the order of the memories, so that the report does not depend on the order in
        // which bits were protected.
        let selective = self
            .memories
            .iter()
            .fold(Resources::ZERO, |sum, account| sum + account.cost);
        let all = |memory| Part::all(self.reference, memory);
        let full = map.memories().iter().fold(Resources::ZERO, |sum, memory| {
            sum + hardened(technology, memory, &[all(memory)])
        });
        let of_all = |of: &dyn Fn(&Part, &Memory) -> u64| -> u64 {
            map.memories().iter().map(|memory| of(&all(memory), memory)).sum()
        };
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
            protected_bits: self.sum(accelerator, Part::protected_bits),
            extra_bits: self.extra_bits(accelerator),
            full_extra_bits: of_all(&Part::extra_cells),
            voters: self.sum(accelerator, Part::readers),
            full_voters: of_all(&Part::readers),
        }
    }
}

impl AreaReport {
    /// The areas of an accelerator under a protection, beside those with every stored bit under `reference`.
    /// Bits that the accelerator does not have are ignored.
    ///
    /// # Errors
    /// [`ProtectionError`] where bits of a word are under schemes that cannot stand side by side.
    pub fn of(
        accelerator: &Accelerator,
        protection: &Protection,
        reference: Scheme,
    ) -> Result<Self, ProtectionError> {
        let mut ledger = Ledger::new(accelerator, reference);
        for (bit, scheme) in protection.iter() {
            ledger.protect(accelerator, bit, scheme)?;
        }
        Ok(ledger.report(accelerator))
    }
}

/// Area of one memory with these protected parts.
fn hardened(technology: &Technology, memory: &Memory, parts: &[Part]) -> Resources {
    let plain = area::memory(technology, memory);
    if memory.style == Style::Constant {
        return plain;
    }
    let costly = |part: &&Part| part.extent.bits > 0 && part.code(memory).extra_cells() > 0;
    let parts: Vec<&Part> = parts.iter().filter(costly).collect();
    if parts.is_empty() {
        return plain;
    }
    let extra_cells: u64 = parts.iter().map(|part| part.extra_cells(memory)).sum();
    let extra_cells = extra_cells as f64;
    let cells = match memory.style {
        Style::Registers => plain + technology.register_bit * extra_cells,
        Style::RegisterFile => {
            let copy = technology
                .register_file
                .as_ref()
                .map_or(Resources::ZERO, |file| file.copy);
            plain + copy * extra_cells
        }
        _ => primitives(technology, memory, &parts),
    };
    parts.iter().fold(cells, |sum, part| {
        let definition = part.scheme.definition();
        sum + definition.logic(technology, memory.word_bits, part.readers(memory))
    })
}

/// Whole primitives of a memory that is split into one part per scheme of words, and into the rest: its
/// columns without a protected bit, and copies of those with one. A column with bits under two schemes
/// counts for both.
fn primitives(technology: &Technology, memory: &Memory, parts: &[&Part]) -> Resources {
    let storage = |depth, columns| area::storage(technology, memory.style, depth, columns);
    let of = |of_words: bool| {
        parts
            .iter()
            .filter(move |part| part.scheme.is_of_words() == of_words)
    };
    let words: u64 = of(true).map(|part| part.extent.words).sum();
    let columns: u64 = of(false).map(|part| part.extent.columns).sum();
    let depth = memory.depth - words;
    let rest = storage(depth, u64::from(memory.word_bits).saturating_sub(columns));
    let copied = of(false).fold(rest, |sum, part| {
        sum + storage(depth, part.extent.columns) * f64::from(part.code(memory).cells())
    });
    of(true).fold(copied, |sum, part| {
        let code = part.code(memory);
        sum + storage(part.extent.words, u64::from(code.row_cells())) * f64::from(code.copies())
    })
}
