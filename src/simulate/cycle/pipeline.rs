//! The static structure of an accelerator: stages, the streams between them, and where every register
//! bit lies.

use std::ops::Range;

use super::matrix::{LaneCode, Matrix};
use super::memory::Memories;
use super::register::{Register, RegisterClass};
use super::stage::{Stage, StreamShape};
use crate::network::LayerId;

/// A stage in its place.
pub struct Placed {
    /// `<layer>.<part>`.
    pub name: String,
    /// The layer that it belongs to.
    pub layer: LayerId,
    /// What kind of stage it is, in the words of the field.
    pub kind: &'static str,
    /// Its structure.
    pub stage: Box<dyn Stage>,
    /// Streams on its inputs.
    pub inputs: Vec<usize>,
    /// Streams on its outputs.
    pub outputs: Vec<usize>,
    /// Its registers.
    pub registers: Vec<Register>,
    /// Where its limbs lie in the state.
    pub state: Range<usize>,
    /// Depth, where it is a FIFO.
    pub fifo_depth: Option<usize>,
}

/// A stream between two stages, or between a stage and the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its words.
    pub shape: StreamShape,
    /// Producing stage and port; none for the input.
    pub from: Option<(usize, usize)>,
    /// Consuming stage and port; none for the output.
    pub to: Option<(usize, usize)>,
    /// Words of one sample.
    pub words: u64,
}

/// The stages of an accelerator in the order of the stream, and the streams between them.
pub struct Pipeline {
    /// Stages; a stream leads from a stage to a later one.
    pub stages: Vec<Placed>,
    /// Streams.
    pub streams: Vec<Stream>,
    /// The stream on which inputs enter.
    pub input: usize,
    /// The stream on which outputs leave.
    pub output: usize,
    /// Code of the input lanes.
    pub input_code: LaneCode,
    /// Code of the output lanes.
    pub output_code: LaneCode,
    /// Cycles per word at the input and the output, at least.
    pub intervals: [u64; 2],
    /// The matrix products, for packing their weights.
    pub matrices: Vec<Matrix>,
    /// What the simulation leaves out, in words.
    pub simplifications: Vec<String>,
    limbs: usize,
}

/// One bit of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegisterBit {
    /// Limb of the state.
    pub limb: usize,
    /// Bit of the limb.
    pub bit: u32,
}

/// All registers of one class in one layer: the tensor of an address. Its elements are the lanes of
/// its words, register after register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterTensor {
    /// The layer.
    pub layer: LayerId,
    /// The class.
    pub class: RegisterClass,
    /// Its parts in the order of their elements.
    pub parts: Vec<RegisterPart>,
}

/// One register of a stage as a part of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterPart {
    /// Stage.
    pub stage: usize,
    /// The register.
    pub register: Register,
    /// First limb of the state.
    pub limb: usize,
    /// First element.
    pub first: u64,
}

impl RegisterPart {
    /// Number of elements.
    #[must_use]
    pub fn elements(&self) -> u64 {
        (self.register.words * self.register.lanes) as u64
    }
}

impl RegisterTensor {
    /// Number of elements.
    #[must_use]
    pub fn elements(&self) -> u64 {
        self.parts.last().map_or(0, |part| part.first + part.elements())
    }

    /// Stored bits.
    #[must_use]
    pub fn bits(&self) -> u64 {
        self.parts.iter().map(|part| part.register.bits()).sum()
    }

    /// The part that holds an element.
    #[must_use]
    pub fn part(&self, element: u64) -> Option<&RegisterPart> {
        let at = self
            .parts
            .partition_point(|part| part.first <= element)
            .checked_sub(1)?;
        Some(&self.parts[at]).filter(|part| element < part.first + part.elements())
    }

    /// Bits of one element.
    #[must_use]
    pub fn element_bits(&self, element: u64) -> Option<u32> {
        Some(self.part(element)?.register.lane_bits)
    }

    /// Where a bit of an element lies.
    #[must_use]
    pub fn find(&self, element: u64, bit: u32) -> Option<RegisterBit> {
        let part = self.part(element)?;
        let register = &part.register;
        if bit >= register.lane_bits {
            return None;
        }
        let within = (element - part.first) as usize;
        let (word, lane) = (within / register.lanes, within % register.lanes);
        let at = lane * register.lane_bits as usize + bit as usize;
        let limb = part.limb + word * register.limbs_per_word() + at / 64;
        Some(RegisterBit {
            limb,
            bit: (at % 64) as u32,
        })
    }

    /// Every bit of the tensor, as element and bit.
    pub fn bits_of_elements(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.parts.iter().flat_map(|part| {
            let bits = part.register.lane_bits;
            (part.first..part.first + part.elements())
                .flat_map(move |element| (0..bits).map(move |bit| (element, bit)))
        })
    }
}

impl Pipeline {
    /// Puts stages and streams together; the registers get their places in the order of the stages.
    pub(super) fn assemble(parts: super::build::Parts) -> Self {
        let mut stages = parts.stages;
        let mut limbs = 0;
        for placed in &mut stages {
            placed.registers = placed.stage.registers();
            let own: usize = placed.registers.iter().map(Register::limbs).sum();
            placed.state = limbs..limbs + own;
            limbs += own;
        }
        Self {
            stages,
            streams: parts.streams,
            input: parts.input,
            output: parts.output,
            input_code: parts.input_code,
            output_code: parts.output_code,
            intervals: parts.intervals,
            matrices: parts.matrices,
            simplifications: parts.simplifications,
            limbs,
        }
    }

    /// Limbs of the state of all registers.
    #[must_use]
    pub fn limbs(&self) -> usize {
        self.limbs
    }

    /// Bits of all registers.
    #[must_use]
    pub fn register_bits(&self) -> u64 {
        self.stages
            .iter()
            .flat_map(|placed| &placed.registers)
            .map(Register::bits)
            .sum()
    }

    /// The state after reset.
    #[must_use]
    pub fn reset_state(&self) -> Vec<u64> {
        let mut state = vec![0; self.limbs];
        for placed in &self.stages {
            placed.stage.reset(&mut state[placed.state.clone()]);
        }
        state
    }

    /// Packs the weights of all matrix products.
    pub fn pack(&self, memories: &mut Memories) {
        for matrix in &self.matrices {
            let words = matrix.packed(memories);
            memories.keep_packed(matrix.slot(), words);
        }
    }

    /// All registers as tensors: layer after layer, class after class.
    #[must_use]
    pub fn tensors(&self) -> Vec<RegisterTensor> {
        let mut tensors: Vec<RegisterTensor> = Vec::new();
        for (index, placed) in self.stages.iter().enumerate() {
            let mut limb = placed.state.start;
            for register in &placed.registers {
                let same = |tensor: &&mut RegisterTensor| {
                    (tensor.layer, tensor.class) == (placed.layer, register.class)
                };
                let at = match tensors.iter_mut().find(same) {
                    Some(tensor) => tensor,
                    None => {
                        tensors.push(RegisterTensor {
                            layer: placed.layer,
                            class: register.class,
                            parts: Vec::new(),
                        });
                        tensors.last_mut().expect("just pushed")
                    }
                };
                let first = at.elements();
                at.parts.push(RegisterPart {
                    stage: index,
                    register: register.clone(),
                    limb,
                    first,
                });
                limb += register.limbs();
            }
        }
        tensors.sort_by_key(|tensor| (tensor.layer, tensor.class));
        tensors
    }
}
