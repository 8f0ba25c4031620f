//! What a protection scheme is.

use super::{Code, Pattern, Reading};
use crate::accelerator::{Resources, Style, Technology};

/// What a scheme protects as one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// A bit by itself.
    Bit,
    /// A whole word of a memory.
    Word,
}

/// Which errors of its cells a unit survives, where that is all that closed forms need to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tolerance {
    /// None: every wrong data bit is read wrong.
    Nothing,
    /// Any in one copy out of three.
    OneCopy,
    /// One wrong cell.
    OneCell,
}

/// How much of one memory a scheme protects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Bits that were asked for.
    pub bits: u64,
    /// Bit columns with such a bit.
    pub columns: u64,
    /// Words with such a bit.
    pub words: u64,
}

/// A protection scheme: how a unit is stored, read and scrubbed, and what logic that takes.
///
/// Every scheme treats the data's own values alike: what is read depends only on which cells of a unit
/// are inverted. The cells of a unit are its rows, one per copy; a row is the data bits and the check
/// bits behind them.
pub trait ProtectionScheme: Sync {
    /// Name for files, tables and options.
    fn name(&self) -> &'static str;

    /// What it does, in a few words.
    fn about(&self) -> &'static str;

    /// What it protects as one unit.
    fn grain(&self) -> Grain;

    /// How many times a row is stored.
    fn copies(&self) -> u32 {
        1
    }

    /// Check bits in a row of so many data bits.
    fn check_bits(&self, _data_bits: u32) -> u32 {
        0
    }

    /// The check bits of these data, one per [`ProtectionScheme::check_bits`].
    fn encode(&self, _data: &[bool]) -> Vec<bool> {
        Vec::new()
    }

    /// What is read when exactly these cells (in order, each once, at least one) are inverted.
    fn read(&self, code: &Code, inverted: &[u32]) -> Reading;

    /// The inverted cells after a scrub pass went over a unit with these inverted cells (in order, each
    /// once).
    fn rewrite(&self, _code: &Code, inverted: &[u32]) -> Pattern {
        inverted.iter().copied().collect()
    }

    /// Whether a scrub pass writes what it corrected by itself, without a source outside: a unit that is
    /// read right has no inverted cell after it.
    fn rewrites(&self) -> bool {
        false
    }

    /// Whether a unit with a reported error is loaded again from outside as soon as it is read.
    fn reloads(&self) -> bool {
        false
    }

    /// Whether nothing ever gets through to a reader.
    fn never_fails(&self) -> bool {
        false
    }

    /// Which errors of independent cells a unit survives; none where closed forms need more than that.
    fn tolerates(&self) -> Option<Tolerance> {
        None
    }

    /// Units that decide about what is read of a memory: voters of bits or words, decoders, checkers.
    /// Registers are all read at once; other memories are read word by word, by bit columns that all
    /// words share.
    fn readers(&self, style: Style, of: &Extent) -> u64 {
        match (style, self.grain()) {
            (Style::Constant, _) => 0,
            (Style::Registers, Grain::Bit) => of.bits,
            (Style::Registers, Grain::Word) => of.words,
            (_, Grain::Bit) => of.columns,
            (_, Grain::Word) => u64::from(of.words > 0),
        }
    }

    /// The logic of one memory: what writes its check bits, and so many readers.
    fn logic(&self, technology: &Technology, word_bits: u32, readers: u64) -> Resources;
}
