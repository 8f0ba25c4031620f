//! Dual modular redundancy of words: two copies that are compared. The first is read, a difference is
//! reported, and a scrubber writes nothing.

use super::{Code, Grain, ProtectionScheme, Reading, Verdict};
use crate::accelerator::{Resources, Technology};

pub(super) struct Dmr;

impl ProtectionScheme for Dmr {
    fn name(&self) -> &'static str {
        "dmr"
    }

    fn about(&self) -> &'static str {
        "two copies per word that are compared"
    }

    fn grain(&self) -> Grain {
        Grain::Word
    }

    fn copies(&self) -> u32 {
        2
    }

    fn read(&self, code: &Code, inverted: &[u32]) -> Reading {
        let [first, second, _] = code.by_copy(inverted);
        let verdict = if first == second {
            Verdict::Clean
        } else {
            Verdict::Detected
        };
        Reading {
            wrong: first,
            verdict,
        }
    }

    fn logic(&self, technology: &Technology, word_bits: u32, readers: u64) -> Resources {
        technology.codecs.as_ref().map_or(Resources::ZERO, |codecs| {
            codecs.parity(2 * word_bits) * readers as f64
        })
    }
}
