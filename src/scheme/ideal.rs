//! Ideal protection: what a protection could buy at most. Protected bits never fail and cost no cell and
//! no logic. No hardware does it.

use super::{Code, Extent, Grain, Pattern, ProtectionScheme, Reading};
use crate::accelerator::{Resources, Style, Technology};

pub(super) struct Ideal;

impl ProtectionScheme for Ideal {
    fn name(&self) -> &'static str {
        "ideal"
    }

    fn about(&self) -> &'static str {
        "protected bits never fail and cost nothing; no hardware does it"
    }

    fn grain(&self) -> Grain {
        Grain::Bit
    }

    fn read(&self, _code: &Code, _inverted: &[u32]) -> Reading {
        Reading::RIGHT
    }

    fn rewrite(&self, _code: &Code, _inverted: &[u32]) -> Pattern {
        Pattern::EMPTY
    }

    fn rewrites(&self) -> bool {
        true
    }

    fn never_fails(&self) -> bool {
        true
    }

    fn readers(&self, _style: Style, _of: &Extent) -> u64 {
        0
    }

    fn logic(&self, _technology: &Technology, _word_bits: u32, _readers: u64) -> Resources {
        Resources::ZERO
    }
}
