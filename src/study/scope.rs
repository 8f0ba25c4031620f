//! Which stored bits a study examines.

use super::StudyError;
use crate::accelerator::{Accelerator, STORED_KINDS, StoredBit};
use crate::data::did_you_mean;
use crate::network::ParamKind;

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
        .filter(|tensor| kinds.contains(&tensor.kind))
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
        return Err(StudyError::refused_about(
            "tensors",
            format!("the accelerator stores no bit of {}", tensors.join(", ")),
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
