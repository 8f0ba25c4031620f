//! Files for `$readmemh`: one word per line in hexadecimal, word 0 first.

use super::names::{comment, identifiers};
use super::{ExportFile, Exporter, MappedMemory, ProtectedBit, ProtectionMap};
use crate::accelerator::{Accelerator, MemoryId, hex_word};
use crate::scheme::Scheme;
use bitvec::prelude::{BitVec, Lsb0};

/// One mask per memory in the memory's own word order; 1 is a protected bit. Where several schemes meet in
/// a memory, one more for each of them.
pub struct MaskFiles;

impl Exporter for MaskFiles {
    fn name(&self) -> &'static str {
        "readmemh"
    }

    fn about(&self) -> &'static str {
        "mask file per memory for $readmemh, 1 = protected"
    }

    fn files(&self, map: &ProtectionMap) -> Vec<ExportFile> {
        let names = identifiers(map.memories().iter().map(|memory| memory.memory.as_str()));
        let memories = map.memories().iter().enumerate();
        memories
            .zip(names)
            .flat_map(|((position, memory), identifier)| {
                let bits = map.of_memory(position);
                let file = |folder: String, scheme: &str, bits: &[ProtectedBit]| ExportFile {
                    path: format!("{folder}/{identifier}_mask.mem").into(),
                    text: mask_text(map, memory, scheme, bits),
                };
                let mut files = vec![file(
                    "masks".to_owned(),
                    map.scheme_name_of_memory(position),
                    bits,
                )];
                let schemes = map.schemes_of_memory(position);
                if schemes.len() > 1 {
                    files.extend(
                        schemes.into_iter().map(|scheme| {
                            file(format!("masks/{scheme}"), scheme.name(), &under(bits, scheme))
                        }),
                    );
                }
                files
            })
            .collect()
    }
}

/// The bits under one of several schemes.
pub(super) fn under(bits: &[ProtectedBit], scheme: Scheme) -> Vec<ProtectedBit> {
    bits.iter().filter(|bit| bit.scheme == scheme).cloned().collect()
}

fn mask_text(map: &ProtectionMap, memory: &MappedMemory, scheme: &str, bits: &[ProtectedBit]) -> String {
    let mut text = format!(
        "// {}: protected bits of {} in {}, scheme {scheme}\n// {} words of {} bits, word 0 first, bit 0 least significant; 1 = protected ({} bits)\n",
        comment(&memory.memory),
        comment(map.network()),
        comment(map.hardware()),
        memory.depth,
        memory.word_bits,
        bits.len(),
    );
    for word in word_masks(memory.depth, memory.word_bits, bits) {
        text.push_str(&hex_word(&word));
        text.push('\n');
    }
    text
}

/// The mask of each word of a memory; `bits` in the order of words.
pub(super) fn word_masks(
    depth: u64,
    word_bits: u32,
    bits: &[ProtectedBit],
) -> impl Iterator<Item = BitVec<u64, Lsb0>> {
    let mut rest = bits;
    (0..depth).map(move |word| {
        let mut mask: BitVec<u64, Lsb0> = BitVec::repeat(false, word_bits as usize);
        let count = rest.iter().take_while(|bit| bit.word == word).count();
        let (here, after) = rest.split_at(count);
        for bit in here {
            mask.set(bit.word_bit as usize, true);
        }
        rest = after;
        mask
    })
}

/// The contents of every memory after reset, in the word order of the masks.
#[must_use]
pub fn image_files(accelerator: &Accelerator) -> Vec<ExportFile> {
    let memories = accelerator.map().memories();
    let names = identifiers(memories.iter().map(|memory| memory.name.as_str()));
    let numbered = (0u32..).map(MemoryId).zip(memories);
    numbered
        .zip(names)
        .map(|((id, memory), identifier)| {
            let mut text = format!(
                "// {}: contents after reset, {} in {}\n// {} words of {} bits, word 0 first, bit 0 least significant\n",
                comment(&memory.name),
                comment(&accelerator.network().name),
                comment(accelerator.name()),
                memory.depth,
                memory.word_bits,
            );
            for word in accelerator.image(id).words() {
                text.push_str(&hex_word(word));
                text.push('\n');
            }
            ExportFile {
                path: format!("images/{identifier}.mem").into(),
                text,
            }
        })
        .collect()
}
