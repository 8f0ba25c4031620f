//! Which stored bits a study examines.

use super::StudyError;
use crate::accelerator::{Accelerator, MemoryId, STORED_KINDS, StoredBit};
use crate::data::{MOST_OF_PROBLEM, did_you_mean, shortened};
use crate::fault::{self, Boundary, FaultModel};
use crate::network::{LayerId, Network, ParamKind};

/// Names the tensors of a request that says nothing: all of them.
pub(super) fn all() -> Vec<String> {
    vec!["all".to_owned()]
}

/// The bits of the named tensors (`weight`, `bias`, `threshold`, ..., or `all`) in the order of their physical
/// addresses.
///
/// # Errors
/// [`StudyError::Request`] where there is no such tensor, or the accelerator stores none of them.
pub(super) fn bits(accelerator: &Accelerator, tensors: &[String]) -> Result<Vec<StoredBit>, StudyError> {
    bits_of_layers(accelerator, tensors, &[])
}

/// The layers of these names; all of them where none is named.
///
/// # Errors
/// [`StudyError::Request`] where there is no such layer.
pub(super) fn layers(network: &Network, names: &[String]) -> Result<Vec<LayerId>, StudyError> {
    let all = || (0u32..).map(LayerId).take(network.layers.len());
    if names.is_empty() {
        return Ok(all().collect());
    }
    let known = || network.layers.iter().map(|layer| layer.name.as_str());
    let find = |name: &String| {
        network.layer_named(name.trim()).ok_or_else(|| {
            let hint = did_you_mean(name.trim(), known());
            let listed: Vec<&str> = known().take(MOST_LISTED).collect();
            let more = if network.layers.len() > MOST_LISTED {
                ", ..."
            } else {
                ""
            };
            StudyError::refused_about(
                "layers",
                format!(
                    "there is no layer `{}`{hint}",
                    shortened(name.trim(), MOST_OF_PROBLEM)
                ),
                format!("some of {}{more}", listed.join(", ")),
            )
        })
    };
    names.iter().map(find).collect()
}

/// Names in a message.
const MOST_LISTED: usize = 30;

/// As [`bits`], of the named layers only; of all layers where none is named.
///
/// # Errors
/// As [`bits`], and where there is no such layer.
pub(super) fn bits_of_layers(
    accelerator: &Accelerator,
    tensors: &[String],
    layer_names: &[String],
) -> Result<Vec<StoredBit>, StudyError> {
    let layers = layers(accelerator.network(), layer_names)?;
    let known: Vec<&str> = STORED_KINDS.iter().map(|kind| kind.name()).collect();
    let mut kinds = Vec::new();
    for name in tensors.iter().map(|name| name.trim()) {
        match STORED_KINDS.into_iter().find(|kind| kind.name() == name) {
            Some(kind) => kinds.push(kind),
            None if name == "all" => kinds.extend(STORED_KINDS),
            None => {
                let hint = did_you_mean(name, known.iter().copied());
                return Err(StudyError::refused_about(
                    "tensors",
                    format!("there is no tensor `{name}`{hint}"),
                    format!("all, or some of {}", known.join(", ")),
                ));
            }
        }
    }
    let map = accelerator.map();
    let bits: Vec<StoredBit> = map
        .tensors()
        .iter()
        .filter(|tensor| kinds.contains(&tensor.kind) && layers.contains(&tensor.layer))
        .flat_map(|tensor| tensor.bits.clone().map(StoredBit))
        .collect();
    if bits.is_empty() {
        let stored: Vec<&str> = STORED_KINDS
            .into_iter()
            .filter(|&kind| map.bits_of_tensor(kind) > 0)
            .map(ParamKind::name)
            .collect();
        if stored.is_empty() {
            return Err(StudyError::refused_about(
                "registers",
                "the accelerator stores no bit: all parameters of the network are logic",
                "a network with stored parameters; what can be hit here are registers",
            ));
        }
        let of = if layer_names.is_empty() {
            String::new()
        } else {
            format!(" in {}", shortened(&layer_names.join(", "), MOST_OF_PROBLEM))
        };
        return Err(StudyError::refused_about(
            "tensors",
            format!("the accelerator stores no bit of {}{of}", tensors.join(", ")),
            format!("some of what it stores: {}", stored.join(", ")),
        ));
    }
    Ok(bits)
}

/// Refuses a number that is out of range, before any work is done or memory taken.
pub(super) fn within(what: &str, value: u64, most: u64, advice: &str) -> Result<(), StudyError> {
    if (1..=most).contains(&value) {
        return Ok(());
    }
    let topic = match what {
        "strikes on registers" => "registers",
        "missions" => "repetitions",
        "trials" => "trials",
        "flips" => "flips",
        _ => "",
    };
    Err(StudyError::refused_about(
        topic,
        format!("{value} {what} are out of range"),
        format!("1 to {most}; {advice}"),
    ))
}

/// Refuses a fault model that no text names.
pub(super) fn sound(fault: FaultModel) -> Result<FaultModel, StudyError> {
    if fault.is_sound() {
        return Ok(fault);
    }
    Err(StudyError::refused_about(
        "fault",
        format!("`{fault}` is no fault"),
        "flip, stuck-at-0, stuck-at-1, or burst:K with 2 to 64 bits",
    ))
}

/// Refuses a population without a place at which such a fault can be.
pub(super) fn any_place(places: usize, fault: FaultModel) -> Result<(), StudyError> {
    if places > 0 {
        return Ok(());
    }
    Err(StudyError::refused_about(
        "fault",
        format!("no memory has a place for the fault `{fault}`"),
        "a burst that fits into a memory",
    ))
}

/// The name of stored bits among what can be struck.
pub(super) const STORED: &str = "stored";

/// The codes of the named layers among what is struck; all layers and the input where none is named.
///
/// # Errors
/// [`StudyError::Request`] where a name is unknown, or the layers have no such code.
pub(super) fn boundaries(
    network: &Network,
    from: &[String],
    layer_names: &[String],
) -> Result<Vec<Boundary>, StudyError> {
    const KNOWN: [&str; 3] = [STORED, Boundary::ACTIVATION, Boundary::MAC];
    if let Some(name) = from.iter().find(|name| !KNOWN.contains(&name.trim())) {
        let hint = did_you_mean(name, KNOWN);
        return Err(StudyError::refused_about(
            "from",
            format!("`{}` cannot be struck{hint}", shortened(name, MOST_OF_PROBLEM)),
            format!("some of {}", KNOWN.join(", ")),
        ));
    }
    let layers = layers(network, layer_names)?;
    let named = |boundary: &Boundary| match boundary.of {
        Some(layer) => layers.contains(&layer),
        None => layer_names.is_empty(),
    };
    let found: Vec<Boundary> = fault::boundaries(network)
        .into_iter()
        .filter(|boundary| from.iter().any(|name| name.trim() == boundary.tensor) && named(boundary))
        .collect();
    let wanted = from.iter().any(|name| name.trim() != STORED);
    if from.is_empty() || wanted && found.is_empty() {
        return Err(StudyError::refused_about(
            "from",
            "there is nothing to strike",
            format!("some of {}, in layers that have them", KNOWN.join(", ")),
        ));
    }
    Ok(found)
}

/// The memories that hold the named tensors of the named layers.
///
/// # Errors
/// As [`bits_of_layers`].
pub(super) fn memories(
    accelerator: &Accelerator,
    tensors: &[String],
    layer_names: &[String],
) -> Result<Vec<MemoryId>, StudyError> {
    let bits = bits_of_layers(accelerator, tensors, layer_names)?;
    let map = accelerator.map();
    let mut found: Vec<MemoryId> = Vec::new();
    for bit in bits {
        let last = found.last().map(|&id| map.memory(id));
        if last.is_some_and(|memory| bit.0 < memory.first.0 + memory.bits()) {
            continue;
        }
        found.push(map.address(bit).memory);
    }
    Ok(found)
}

/// Refuses a list of several independent sets: a run has one.
pub(super) fn one_set(
    file: &std::path::Path,
    mut lines: impl Iterator<Item = (Option<u64>, u64)>,
) -> Result<(), StudyError> {
    let Some((first, _)) = lines.next() else {
        return Ok(());
    };
    match lines.find(|(trial, _)| *trial != first) {
        None => Ok(()),
        Some((_, line)) => Err(StudyError::refused_about(
            "fault_sets",
            format!(
                "{}: line {line}: starts another set of faults, and a run has one",
                file.display()
            ),
            "one number in the column `trial`; a campaign takes several sets",
        )),
    }
}
