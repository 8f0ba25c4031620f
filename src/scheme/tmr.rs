//! Triple modular redundancy of single bits (R. E. Lyons, W. Vanderkulk, The Use of Triple-Modular
//! Redundancy to Improve Computer Reliability, IBM Journal of Research and Development 6, 1962).
//!
//! Three cells per bit, read through a majority voter. The voter does not write back; a scrubber writes
//! the majority into all three.

use super::{Code, Grain, Pattern, ProtectionScheme, Reading, Tolerance, Verdict};
use crate::accelerator::{Resources, Technology};

pub(super) struct Tmr;

impl ProtectionScheme for Tmr {
    fn name(&self) -> &'static str {
        "tmr"
    }

    fn about(&self) -> &'static str {
        "three cells per bit behind a majority voter"
    }

    fn grain(&self) -> Grain {
        Grain::Bit
    }

    fn copies(&self) -> u32 {
        3
    }

    fn read(&self, code: &Code, inverted: &[u32]) -> Reading {
        Reading {
            wrong: outvoted(code, inverted),
            verdict: Verdict::Corrected,
        }
    }

    fn rewrite(&self, code: &Code, inverted: &[u32]) -> Pattern {
        code.in_all_copies(&outvoted(code, inverted))
    }

    fn rewrites(&self) -> bool {
        true
    }

    fn tolerates(&self) -> Option<Tolerance> {
        Some(Tolerance::OneCopy)
    }

    fn logic(&self, technology: &Technology, _word_bits: u32, readers: u64) -> Resources {
        technology.voter * readers as f64
    }
}

/// Bits that are inverted in two copies or more.
fn outvoted(code: &Code, inverted: &[u32]) -> Pattern {
    if inverted.len() < 2 {
        return Pattern::EMPTY;
    }
    let copies = code.by_copy(inverted);
    let mut wrong = Pattern::EMPTY;
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        for &bit in copies[a].as_slice() {
            if copies[b].contains(bit) && !wrong.contains(bit) {
                wrong.toggle(bit);
            }
        }
    }
    wrong
}
