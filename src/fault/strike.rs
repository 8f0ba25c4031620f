//! Faults on everything that the accelerator stores: memories, registers, and the wires between
//! registers.

use std::sync::Arc;

use crate::accelerator::{Accelerator, AddressError, NamedBit, StoredBit};
use crate::network::{LayerId, TensorHint};
use crate::simulate::cycle::Site;
use crate::simulate::cycle::register::RegisterClass;
use crate::simulate::cycle::{PathError, Pipeline, RegisterTable, RegisterTensor};
use crate::simulate::cycle::{Transient, Wire};

/// Wires of one kind in one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireTensor {
    /// The layer.
    pub layer: LayerId,
    /// Which kind.
    pub wire: Wire,
    /// Stage, number of wires and bits of one.
    pub parts: Vec<(usize, usize, u32)>,
}

impl WireTensor {
    /// Number of wires.
    #[must_use]
    pub fn elements(&self) -> u64 {
        self.parts.iter().map(|&(_, lanes, _)| lanes as u64).sum()
    }

    /// Number of bits.
    #[must_use]
    pub fn bits(&self) -> u64 {
        self.parts
            .iter()
            .map(|&(_, lanes, bits)| lanes as u64 * u64::from(bits))
            .sum()
    }

    fn find(&self, element: u64) -> Option<(usize, usize, u32)> {
        let mut rest = element;
        for &(stage, lanes, bits) in &self.parts {
            if rest < lanes as u64 {
                return Some((stage, rest as usize, bits));
            }
            rest -= lanes as u64;
        }
        None
    }
}

/// Everything that can be struck, by name and by number.
#[derive(Clone, Debug)]
pub struct Targets {
    accelerator: Arc<Accelerator>,
    table: RegisterTable,
    registers: Vec<RegisterTensor>,
    wires: Vec<WireTensor>,
}

impl Targets {
    /// The targets of an accelerator and its pipeline.
    #[must_use]
    pub fn of(accelerator: Arc<Accelerator>, pipeline: &Pipeline) -> Self {
        let mut wires: Vec<WireTensor> = Vec::new();
        for (index, placed) in pipeline.stages().iter().enumerate() {
            for shape in placed.stage.wires() {
                let part = (index, shape.lanes, shape.lane_bits);
                match wires
                    .iter_mut()
                    .find(|tensor| (tensor.layer, tensor.wire) == (placed.layer, shape.wire))
                {
                    Some(tensor) => tensor.parts.push(part),
                    None => wires.push(WireTensor {
                        layer: placed.layer,
                        wire: shape.wire,
                        parts: vec![part],
                    }),
                }
            }
        }
        wires.sort_by_key(|tensor| (tensor.layer, tensor.wire));
        Self {
            accelerator,
            table: pipeline.table(),
            registers: pipeline.tensors(),
            wires,
        }
    }

    /// The accelerator.
    #[must_use]
    pub fn accelerator(&self) -> &Arc<Accelerator> {
        &self.accelerator
    }

    /// All register tensors.
    #[must_use]
    pub fn registers(&self) -> &[RegisterTensor] {
        &self.registers
    }

    /// All wires.
    #[must_use]
    pub fn wires(&self) -> &[WireTensor] {
        &self.wires
    }

    /// Bits of all registers.
    #[must_use]
    pub fn register_bits(&self) -> u64 {
        self.registers.iter().map(RegisterTensor::bits).sum()
    }

    /// All registers by name.
    #[must_use]
    pub fn table(&self) -> &RegisterTable {
        &self.table
    }

    /// The site at the path of a register's lane.
    ///
    /// # Errors
    /// As [`RegisterTable::find`].
    pub fn find_register(&self, path: &str, bit: u32) -> Result<Site, PathError> {
        self.table.find(path, bit).map(Site::Register)
    }

    /// The path of the lane that a site lies in; none where it is no register.
    #[must_use]
    pub fn register_path(&self, site: Site) -> Option<String> {
        match site {
            Site::Register(bit) => self.table.path(bit),
            Site::Stored(_) | Site::Wire { .. } => None,
        }
    }

    fn layer_name(&self, layer: LayerId) -> &str {
        &self.accelerator.network().layer(layer).name
    }

    /// The site at a logical address: a stored tensor, a register class or a kind of wire.
    ///
    /// # Errors
    /// [`AddressError`] naming what is valid in the first field that is not.
    pub fn find_logical(
        &self,
        layer: &str,
        tensor: &str,
        element: u64,
        bit: u32,
    ) -> Result<Site, AddressError> {
        let place = || format!("element {element} of {layer}.{tensor}");
        let of_layer = |id: LayerId| self.layer_name(id) == layer;
        let missing = |name: &'static str, elements: u64| AddressError::Element {
            layer: layer.to_owned(),
            tensor: name,
            element,
            elements,
            padding: 0,
        };
        if let Some(found) = self
            .registers
            .iter()
            .find(|found| of_layer(found.layer) && found.class.name() == tensor)
        {
            let bits = found
                .element_bits(element)
                .ok_or_else(|| missing(found.class.name(), found.elements()))?;
            return found
                .find(element, bit)
                .map(Site::Register)
                .ok_or_else(|| AddressError::Bit {
                    place: place(),
                    bit,
                    bits: 0..bits,
                });
        }
        if let Some(found) = self
            .wires
            .iter()
            .find(|found| of_layer(found.layer) && found.wire.name() == tensor)
        {
            let (stage, lane, bits) = found
                .find(element)
                .ok_or_else(|| missing(found.wire.name(), found.elements()))?;
            if bit >= bits {
                return Err(AddressError::Bit {
                    place: place(),
                    bit,
                    bits: 0..bits,
                });
            }
            return Ok(Site::Wire {
                stage,
                transient: Transient {
                    wire: found.wire,
                    lane,
                    bit,
                },
            });
        }
        let network = self.accelerator.network();
        let has_name = |hint: &TensorHint| hint.name.as_deref() == Some(tensor);
        if let Some(id) = network.layer_named(layer)
            && Accelerator::tensor_kind(tensor).is_none()
            && !network.layer(id).hints.tensors.iter().any(has_name)
        {
            let stored = self
                .accelerator
                .map()
                .tensors()
                .iter()
                .filter(|stored| of_layer(stored.layer));
            let known = stored.map(|stored| stored.kind.name());
            let registers = self
                .registers
                .iter()
                .filter(|found| of_layer(found.layer))
                .map(|found| found.class.name());
            let wires = self
                .wires
                .iter()
                .filter(|found| of_layer(found.layer))
                .map(|found| found.wire.name());
            return Err(AddressError::Tensor {
                layer: layer.to_owned(),
                name: tensor.to_owned(),
                known: known.chain(registers).chain(wires).collect(),
            });
        }
        self.accelerator
            .find_logical(layer, tensor, element, bit)
            .map(Site::Stored)
    }

    /// The site at a physical address; registers are the memories `<layer>.<class>`, a word each per
    /// word of a register.
    ///
    /// # Errors
    /// As [`Targets::find_logical`].
    pub fn find_physical(&self, memory: &str, word: u64, bit: u32) -> Result<Site, AddressError> {
        let Some(found) = self
            .registers
            .iter()
            .find(|found| self.memory_name(found) == memory)
        else {
            return self
                .accelerator
                .find_physical(memory, word, bit)
                .map(Site::Stored);
        };
        if word >= found.words() {
            return Err(AddressError::Word {
                memory: memory.to_owned(),
                word,
                depth: found.words(),
            });
        }
        found
            .at_word(word, bit)
            .and_then(|(element, bit)| found.find(element, bit))
            .map(Site::Register)
            .ok_or_else(|| AddressError::Bit {
                place: format!("word {word} of memory `{memory}`"),
                bit,
                bits: 0..found.word_bits(word).unwrap_or(0),
            })
    }

    fn memory_name(&self, tensor: &RegisterTensor) -> String {
        format!("{}.{}", self.layer_name(tensor.layer), tensor.class.name())
    }

    /// Both addresses of a site by name. A wire has no physical address: its memory is empty.
    #[must_use]
    pub fn named(&self, site: Site) -> NamedBit {
        match site {
            Site::Stored(bit) => self.accelerator.named(bit),
            Site::Register(bit) => {
                for tensor in &self.registers {
                    let Some((element, bit)) = tensor.element_of(bit) else {
                        continue;
                    };
                    let (word, word_bit) = tensor.word_of(element, bit).unwrap_or_default();
                    return NamedBit {
                        layer: self.layer_name(tensor.layer).to_owned(),
                        tensor: tensor.class.name().to_owned(),
                        element,
                        bit,
                        memory: self.memory_name(tensor),
                        word,
                        word_bit,
                    };
                }
                unreachable!("every register bit belongs to a tensor")
            }
            Site::Wire { stage, transient } => {
                let holds = |tensor: &&WireTensor| {
                    tensor.wire == transient.wire && tensor.parts.iter().any(|&(part, ..)| part == stage)
                };
                let tensor = self
                    .wires
                    .iter()
                    .find(holds)
                    .expect("every wire belongs to a tensor");
                let before: usize = tensor
                    .parts
                    .iter()
                    .take_while(|&&(part, ..)| part != stage)
                    .map(|&(_, lanes, _)| lanes)
                    .sum();
                NamedBit {
                    layer: self.layer_name(tensor.layer).to_owned(),
                    tensor: transient.wire.name().to_owned(),
                    element: (before + transient.lane) as u64,
                    bit: transient.bit,
                    memory: String::new(),
                    word: 0,
                    word_bit: 0,
                }
            }
        }
    }

    /// Register bit number `index` of those of the given classes, in the order of the tensors.
    #[must_use]
    pub fn register_bit(&self, classes: &[RegisterClass], index: u64) -> Option<Site> {
        let mut rest = index;
        for tensor in self
            .registers
            .iter()
            .filter(|tensor| classes.contains(&tensor.class))
        {
            if rest < tensor.bits() {
                let (element, bit) = tensor.nth_bit(rest)?;
                return tensor.find(element, bit).map(Site::Register);
            }
            rest -= tensor.bits();
        }
        None
    }

    /// Stored bit number `index` of all memories.
    #[must_use]
    pub fn stored_bit(&self, index: u64) -> Option<Site> {
        (index < self.accelerator.map().total_bits()).then_some(Site::Stored(StoredBit(index)))
    }
}
