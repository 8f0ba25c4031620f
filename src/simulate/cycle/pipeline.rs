//! The static structure of an accelerator: stages, the streams between them, and where every register
//! bit lies.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::matrix::{LaneCode, Matrix};
use super::memory::Memories;
use super::register::{Register, RegisterBit, RegisterClass, lane};
use super::stage::{Stage, StreamShape};
use super::table::{RegisterTable, Unit};
use crate::accelerator::Accelerator;
use crate::fixed_point::Format;
use crate::network::{LayerId, ParamId, TensorId};

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

/// Words of a stream whose elements have types of their own, a limb each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Per element of the tensor its limb, its type, and the left shift to the tensor's grid; none where the element is
    /// always 0.
    pub fields: Vec<Option<(usize, Format, u32)>>,
}

impl Packed {
    /// The elements of a word, mantissas of the tensor.
    pub fn elements<'a>(&'a self, word: &'a [u64]) -> impl Iterator<Item = i64> + 'a {
        self.fields.iter().map(|field| {
            field.map_or(0, |(limb, format, raise)| {
                (format.mantissa_of_bits(u128::from(word[limb])) as i64) << raise
            })
        })
    }
}

/// The stages of an accelerator in the order of the stream, and the streams between them.
pub struct Pipeline {
    /// Stages; a stream leads from a stage to a later one.
    pub(super) stages: Vec<Placed>,
    /// Streams.
    pub(super) streams: Vec<Stream>,
    /// The stream on which inputs enter.
    pub(super) input: usize,
    /// The stream on which outputs leave.
    pub(super) output: usize,
    /// Code of the input lanes.
    pub(super) input_code: LaneCode,
    /// Code of the output lanes.
    pub(super) output_code: LaneCode,
    /// Cycles per word at the input and the output, at least.
    pub(super) intervals: [u64; 2],
    /// The stream that carries each tensor.
    pub(super) carried: Vec<(TensorId, usize)>,
    /// Elements in the order in which the stream of a tensor brings them, where that is not the tensor's own.
    pub(super) brought: HashMap<TensorId, Vec<u32>>,
    /// Streams whose words are packed in their own way.
    pub(super) packed: HashMap<usize, Packed>,
    /// The matrix products, for packing their weights.
    pub(super) matrices: Vec<Matrix>,
    /// What the simulation leaves out, in words.
    pub(super) simplifications: Vec<String>,
    memories: Memories,
    limbs: usize,
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
        Some(RegisterBit {
            word: part.limb + within / register.lanes * register.limbs_per_word(),
            lane: within % register.lanes,
            lane_bits: register.lane_bits,
            bit,
        })
    }

    /// Words of all parts, one after the other.
    #[must_use]
    pub fn words(&self) -> u64 {
        self.parts.iter().map(|part| part.register.words as u64).sum()
    }

    /// Element and bit at a physical place: bit `bit` of word `word`, lane 0 lowest.
    #[must_use]
    pub fn at_word(&self, word: u64, bit: u32) -> Option<(u64, u32)> {
        let mut rest = word;
        for part in &self.parts {
            let register = &part.register;
            if rest < register.words as u64 {
                let lane = bit / register.lane_bits;
                let inside = (lane as usize) < register.lanes;
                return inside.then(|| {
                    (
                        part.first + rest * register.lanes as u64 + u64::from(lane),
                        bit % register.lane_bits,
                    )
                });
            }
            rest -= register.words as u64;
        }
        None
    }

    /// The physical place of a bit of an element: word and bit of the word.
    #[must_use]
    pub fn word_of(&self, element: u64, bit: u32) -> Option<(u64, u32)> {
        let part = self.part(element)?;
        let before: u64 = self
            .parts
            .iter()
            .take_while(|other| other.first < part.first)
            .map(|other| other.register.words as u64)
            .sum();
        let within = element - part.first;
        let lanes = part.register.lanes as u64;
        (bit < part.register.lane_bits).then(|| {
            (
                before + within / lanes,
                (within % lanes) as u32 * part.register.lane_bits + bit,
            )
        })
    }

    /// Bits of a word.
    #[must_use]
    pub fn word_bits(&self, word: u64) -> Option<u32> {
        let mut rest = word;
        for part in &self.parts {
            if rest < part.register.words as u64 {
                return Some(part.register.lanes as u32 * part.register.lane_bits);
            }
            rest -= part.register.words as u64;
        }
        None
    }

    /// Element and bit of a place in the state; none where it is not the tensor's.
    #[must_use]
    pub fn element_of(&self, bit: RegisterBit) -> Option<(u64, u32)> {
        let part = self
            .parts
            .iter()
            .find(|part| (part.limb..part.limb + part.register.limbs()).contains(&bit.word))?;
        let word = (bit.word - part.limb) / part.register.limbs_per_word();
        Some((
            part.first + (word * part.register.lanes + bit.lane) as u64,
            bit.bit,
        ))
    }

    /// Element and bit number `index`, counted element after element.
    #[must_use]
    pub fn nth_bit(&self, index: u64) -> Option<(u64, u32)> {
        let mut rest = index;
        for part in &self.parts {
            if rest < part.register.bits() {
                let bits = u64::from(part.register.lane_bits);
                return Some((part.first + rest / bits, (rest % bits) as u32));
            }
            rest -= part.register.bits();
        }
        None
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
    /// Without stages yet.
    pub(super) fn empty(accelerator: &Accelerator) -> Self {
        let (network, dataflow) = (accelerator.network(), accelerator.dataflow());
        let code = |tensor: TensorId| LaneCode::of(&network.tensor(tensor).encoding);
        Self {
            stages: Vec::new(),
            streams: Vec::new(),
            input: 0,
            output: 0,
            input_code: code(network.input),
            output_code: code(network.output),
            intervals: [dataflow.input.interval, dataflow.output.interval].map(u64::from),
            carried: Vec::new(),
            brought: HashMap::new(),
            packed: HashMap::new(),
            matrices: Vec::new(),
            simplifications: Vec::new(),
            memories: Memories::of(accelerator),
            limbs: 0,
        }
    }

    /// Gives the registers their places, in the order of the stages.
    pub(super) fn laid_out(mut self) -> Self {
        for placed in &mut self.stages {
            placed.registers = placed.stage.registers();
            let own = placed.stage.state_limbs();
            placed.state = self.limbs..self.limbs + own;
            self.limbs += own;
        }
        self
    }

    /// With the weights packed.
    pub(super) fn packed(mut self) -> Self {
        for matrix in &self.matrices {
            let words = matrix.packed(&self.memories);
            self.memories.keep_packed(matrix.slot(), words);
        }
        self
    }

    /// The same stages between the same streams for words of no lanes: when words move, and nothing of what they
    /// hold ([`Stage::control`]).
    #[must_use]
    pub fn control(&self) -> Self {
        let stages = self.stages.iter().map(|placed| Placed {
            name: placed.name.clone(),
            stage: placed.stage.control(),
            inputs: placed.inputs.clone(),
            outputs: placed.outputs.clone(),
            registers: Vec::new(),
            state: 0..0,
            ..*placed
        });
        let shape = StreamShape::EMPTY;
        let control = Self {
            stages: stages.collect(),
            streams: (self.streams.iter().map(|stream| Stream { shape, ..*stream })).collect(),
            input: self.input,
            output: self.output,
            input_code: self.input_code,
            output_code: self.output_code,
            intervals: self.intervals,
            carried: Vec::new(),
            brought: HashMap::new(),
            packed: HashMap::new(),
            matrices: Vec::new(),
            simplifications: self.simplifications.clone(),
            memories: Memories::of_values(Vec::new()),
            limbs: 0,
        };
        control.laid_out()
    }

    /// Whether, without a fault, its words are those of the functional engine ([`Stage::is_exact`]).
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.stages.iter().all(|placed| placed.stage.is_exact())
    }

    /// The elements of a word of a stream, each lane by this code unless the words are packed in their own way.
    pub(super) fn elements<'a>(
        &'a self,
        stream: usize,
        code: LaneCode,
        word: &'a [u64],
    ) -> Box<dyn Iterator<Item = i64> + 'a> {
        match self.packed.get(&stream) {
            Some(packed) => Box::new(packed.elements(word)),
            None => {
                let StreamShape { lanes, lane_bits } = self.streams[stream].shape;
                Box::new((0..lanes).map(move |at| code.decode(lane(word, at, lane_bits))))
            }
        }
    }

    /// Its stages; a stream leads from a stage to a later one.
    #[must_use]
    pub fn stages(&self) -> &[Placed] {
        &self.stages
    }

    /// What the simulation leaves out, in words.
    #[must_use]
    pub fn simplifications(&self) -> &[String] {
        &self.simplifications
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

    /// The memories without upsets.
    #[must_use]
    pub fn memories(&self) -> &Memories {
        &self.memories
    }

    /// Packs the weights of the matrix products that read a parameter, or of all, anew.
    pub fn pack(&self, memories: &mut Memories, param: Option<ParamId>) {
        let reads = |matrix: &&Matrix| param.is_none_or(|param| matrix.weight() == param);
        for matrix in self.matrices.iter().filter(reads) {
            let words = matrix.packed(memories);
            memories.keep_packed(matrix.slot(), words);
        }
    }

    /// All registers by name.
    #[must_use]
    pub fn table(&self) -> RegisterTable {
        let units = self.stages.iter().enumerate().map(|(stage, placed)| Unit {
            stage,
            name: &placed.name,
            layer: placed.layer,
            registers: &placed.registers,
            structure: &*placed.stage,
            limb: placed.state.start,
        });
        RegisterTable::of(units)
    }

    /// All registers as tensors: layer after layer, class after class.
    #[must_use]
    pub fn tensors(&self) -> Vec<RegisterTensor> {
        let mut tensors: BTreeMap<(LayerId, RegisterClass), RegisterTensor> = BTreeMap::new();
        for row in self.table().rows() {
            let (layer, class) = (row.layer, row.register.class);
            let tensor = tensors.entry((layer, class)).or_insert_with(|| RegisterTensor {
                layer,
                class,
                parts: Vec::new(),
            });
            let first = tensor.elements();
            tensor.parts.push(RegisterPart {
                stage: row.stage,
                register: row.register.clone(),
                limb: row.limb,
                first,
            });
        }
        tensors.into_values().collect()
    }
}
