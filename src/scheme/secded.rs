//! Single error correction, double error detection: the extended Hamming code per word ([`Hamming`]).
//!
//! What cannot be corrected is reported and read as it is; a scrubber then writes nothing.

use super::{Code, Decoded, Grain, Hamming, Pattern, ProtectionScheme, Reading, Tolerance, Verdict};
use crate::accelerator::{Resources, Technology};

pub(super) struct Secded;

impl ProtectionScheme for Secded {
    fn name(&self) -> &'static str {
        "secded"
    }

    fn about(&self) -> &'static str {
        "the extended Hamming code per word: corrects one wrong cell, reports two"
    }

    fn grain(&self) -> Grain {
        Grain::Word
    }

    fn check_bits(&self, data_bits: u32) -> u32 {
        Hamming::new(data_bits).check_bits()
    }

    fn encode(&self, data: &[bool]) -> Vec<bool> {
        Hamming::new(data.len() as u32).encode(data)
    }

    fn read(&self, code: &Code, inverted: &[u32]) -> Reading {
        let mut wrong = code.data_of(inverted);
        let verdict = match Hamming::new(code.data_bits()).decode(inverted) {
            Decoded::Clean => Verdict::Clean,
            Decoded::Inverts(cell) => {
                if cell < code.data_bits() {
                    wrong.toggle(cell);
                }
                Verdict::Corrected
            }
            Decoded::Detected => Verdict::Detected,
        };
        Reading { wrong, verdict }
    }

    fn rewrite(&self, code: &Code, inverted: &[u32]) -> Pattern {
        let mut cells: Pattern = inverted.iter().copied().collect();
        if let Decoded::Inverts(cell) = Hamming::new(code.data_bits()).decode(inverted) {
            cells.toggle(cell);
        }
        cells
    }

    fn rewrites(&self) -> bool {
        true
    }

    fn tolerates(&self) -> Option<Tolerance> {
        Some(Tolerance::OneCell)
    }

    fn logic(&self, technology: &Technology, word_bits: u32, readers: u64) -> Resources {
        technology.codecs.as_ref().map_or(Resources::ZERO, |codecs| {
            codecs.secded_encoder(word_bits) + codecs.secded_decoder(word_bits) * readers as f64
        })
    }
}
