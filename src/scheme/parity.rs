//! A parity bit per word. An odd number of inverted cells is reported, and the word is loaded again from
//! outside; an even number passes unseen.

use super::{Code, Grain, Pattern, ProtectionScheme, Reading, Verdict};
use crate::accelerator::{Resources, Technology};

pub(super) struct Parity;

impl ProtectionScheme for Parity {
    fn name(&self) -> &'static str {
        "parity"
    }

    fn about(&self) -> &'static str {
        "a parity bit per word, and a reload from outside where it fails"
    }

    fn grain(&self) -> Grain {
        Grain::Word
    }

    fn check_bits(&self, _data_bits: u32) -> u32 {
        1
    }

    fn encode(&self, data: &[bool]) -> Vec<bool> {
        vec![data.iter().filter(|set| **set).count() % 2 == 1]
    }

    fn read(&self, code: &Code, inverted: &[u32]) -> Reading {
        Reading {
            wrong: code.data_of(inverted),
            verdict: if is_odd(inverted) {
                Verdict::Detected
            } else {
                Verdict::Clean
            },
        }
    }

    fn rewrite(&self, _code: &Code, inverted: &[u32]) -> Pattern {
        if is_odd(inverted) {
            Pattern::EMPTY
        } else {
            inverted.iter().copied().collect()
        }
    }

    fn reloads(&self) -> bool {
        true
    }

    fn logic(&self, technology: &Technology, word_bits: u32, readers: u64) -> Resources {
        technology.codecs.as_ref().map_or(Resources::ZERO, |codecs| {
            codecs.parity(word_bits) + codecs.parity(word_bits + 1) * readers as f64
        })
    }
}

fn is_odd(inverted: &[u32]) -> bool {
    inverted.len() % 2 == 1
}
