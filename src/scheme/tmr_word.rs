//! Triple modular redundancy of whole words: the voter takes the word that two copies agree on.
//!
//! Where no two agree the first copy is read, and that is reported; a scrubber then writes nothing.

use super::{Code, Grain, Pattern, ProtectionScheme, Reading, Tolerance, Verdict};
use crate::accelerator::{Resources, Technology};

pub(super) struct TmrWord;

impl ProtectionScheme for TmrWord {
    fn name(&self) -> &'static str {
        "tmr-word"
    }

    fn about(&self) -> &'static str {
        "three copies per word behind a voter that takes the word two agree on"
    }

    fn grain(&self) -> Grain {
        Grain::Word
    }

    fn copies(&self) -> u32 {
        3
    }

    fn read(&self, code: &Code, inverted: &[u32]) -> Reading {
        match agreed(code, inverted) {
            Some(wrong) => Reading {
                wrong,
                verdict: Verdict::Corrected,
            },
            None => Reading {
                wrong: code.data_of(inverted),
                verdict: Verdict::Detected,
            },
        }
    }

    fn rewrite(&self, code: &Code, inverted: &[u32]) -> Pattern {
        agreed(code, inverted).map_or_else(
            || inverted.iter().copied().collect(),
            |wrong| code.in_all_copies(&wrong),
        )
    }

    fn rewrites(&self) -> bool {
        true
    }

    fn tolerates(&self) -> Option<Tolerance> {
        Some(Tolerance::OneCopy)
    }

    fn logic(&self, technology: &Technology, word_bits: u32, readers: u64) -> Resources {
        technology.codecs.as_ref().map_or(Resources::ZERO, |codecs| {
            codecs.flagged_voter(word_bits) * readers as f64
        })
    }
}

/// The inverted bits of the word that two copies agree on.
fn agreed(code: &Code, inverted: &[u32]) -> Option<Pattern> {
    let [a, b, c] = code.by_copy(inverted);
    if a == b || a == c {
        Some(a)
    } else {
        (b == c).then_some(b)
    }
}
