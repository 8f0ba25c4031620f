//! What memories hold, where that decides what a fault does.

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use crate::accelerator::{Accelerator, MemoryImage, hex_word};
use crate::scheme::{Place, Store};

/// What the memories hold, which decides whether a stuck cell is wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Contents {
    /// All data bits are 0.
    Zeros,
    /// The images of the store's memories, in the order of its memories.
    Images(#[serde(serialize_with = "words")] Vec<MemoryImage>),
}

impl Contents {
    /// What an accelerator's memories hold.
    #[must_use]
    pub fn of(accelerator: &Accelerator, store: &Store) -> Self {
        let images = store.memories().iter().map(|one| {
            one.memory
                .map_or_else(MemoryImage::default, |memory| accelerator.image(memory))
        });
        Self::Images(images.collect())
    }

    /// What a cell holds.
    pub(super) fn value(&self, store: &Store, place: Place) -> bool {
        let memory = &store.memories()[place.memory as usize];
        let code = memory.code(place.unit);
        let first = memory.bit(place.unit, 0).0 - memory.first_bit;
        let data: Vec<bool> = (first..first + u64::from(code.data_bits()))
            .map(|bit| match self {
                Contents::Zeros => false,
                Contents::Images(images) => {
                    let word_bits = u64::from(memory.word_bits);
                    let (word, bit) = (bit / word_bits, bit % word_bits);
                    images[place.memory as usize].word(word as usize)[bit as usize]
                }
            })
            .collect();
        code.encode(&data)[place.cell as usize]
    }
}

/// Each memory as one text of its words in hexadecimal.
fn words<S: Serializer>(images: &[MemoryImage], serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(images.len()))?;
    for image in images {
        // A memory described by its size has no image.
        let words: Vec<String> = if image.depth() == 0 {
            Vec::new()
        } else {
            image.words().map(hex_word).collect()
        };
        list.serialize_element(&words.join(" "))?;
    }
    list.end()
}
