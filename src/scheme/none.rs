//! No protection: one cell per bit, read as it is.

use super::{Code, Extent, Grain, ProtectionScheme, Reading, Tolerance, Verdict};
use crate::accelerator::{Resources, Style, Technology};

pub(super) struct Unprotected;

impl ProtectionScheme for Unprotected {
    fn name(&self) -> &'static str {
        "none"
    }

    fn about(&self) -> &'static str {
        "one cell per bit, read as it is"
    }

    fn grain(&self) -> Grain {
        Grain::Bit
    }

    fn read(&self, code: &Code, inverted: &[u32]) -> Reading {
        Reading {
            wrong: code.data_of(inverted),
            verdict: Verdict::Clean,
        }
    }

    fn tolerates(&self) -> Option<Tolerance> {
        Some(Tolerance::Nothing)
    }

    fn readers(&self, _style: Style, _of: &Extent) -> u64 {
        0
    }

    fn logic(&self, _technology: &Technology, _word_bits: u32, _readers: u64) -> Resources {
        Resources::ZERO
    }
}
