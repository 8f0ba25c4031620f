//! One layer as the file records it: typed access to its attributes, and diagnostics that name it.

use std::path::Path;

use serde_json::{Map, Value};

use super::super::ImportError;
use super::super::limits::MAX_ELEMENTS;

/// A layer of `model_arch.json`.
pub(super) struct Record<'a> {
    /// The file, for diagnostics.
    pub(super) file: &'a Path,
    /// Its name.
    pub(super) name: &'a str,
    /// Python path of its class, for example `hls4ml.model.layers.Dense`.
    pub(super) class: &'a str,
    /// Names of the tensors it reads.
    pub(super) inputs: Vec<&'a str>,
    /// Names of the tensors it writes.
    pub(super) outputs: Vec<&'a str>,
    attributes: &'a Map<String, Value>,
}

impl<'a> Record<'a> {
    /// Reads the outer structure of one entry of `model_arch.json`.
    pub(super) fn new(file: &'a Path, name: &'a str, value: &'a Value) -> Result<Self, ImportError> {
        let wrong = |problem: &str| {
            ImportError::structure(file, format!("layer `{name}`"), problem.to_owned())
                .expected(
                    "an object with `class_name` and `state`, which has `inputs`, `outputs` and `attributes`",
                )
                .help("write the file again with hls4ml.utils.serialization.serialize_model")
        };
        let class = value
            .get("class_name")
            .and_then(Value::as_str)
            .ok_or_else(|| wrong("has no `class_name`"))?;
        let state = value.get("state").ok_or_else(|| wrong("has no `state`"))?;
        let names = |key: &str| -> Option<Vec<&'a str>> {
            state.get(key)?.as_array()?.iter().map(Value::as_str).collect()
        };
        Ok(Self {
            file,
            name,
            class,
            inputs: names("inputs").ok_or_else(|| wrong("has no list `inputs` of tensor names"))?,
            outputs: names("outputs").ok_or_else(|| wrong("has no list `outputs` of tensor names"))?,
            attributes: state
                .get("attributes")
                .and_then(Value::as_object)
                .ok_or_else(|| wrong("has no object `attributes`"))?,
        })
    }

    /// The last part of the class, for example `Dense`.
    pub(super) fn kind(&self) -> &'a str {
        self.class.rsplit('.').next().unwrap_or(self.class)
    }

    /// Whether the layer comes from HGQ2, by the module of its class in Keras.
    pub(super) fn is_hgq(&self) -> bool {
        let module = self.get("module").and_then(Value::as_str);
        module.is_some_and(|module| module.starts_with("hgq.") || module.starts_with("hgq2."))
    }

    /// How diagnostics name the layer.
    pub(super) fn place(&self) -> String {
        format!("layer `{}` (class `{}`)", self.name, self.class)
    }

    /// The file contradicts itself.
    pub(super) fn structure(&self, problem: impl Into<String>) -> ImportError {
        ImportError::structure(self.file, self.place(), problem.into())
            .expected("a layer as hls4ml 1.3 writes it")
            .help("write the file again with hls4ml.utils.serialization.serialize_model")
    }

    /// The layer is sound but unknown here.
    pub(super) fn unsupported(&self, problem: impl Into<String>) -> ImportError {
        ImportError::unsupported(self.file, self.place(), problem.into())
    }

    /// The numbers are not exact.
    pub(super) fn inexact(&self, problem: impl Into<String>) -> ImportError {
        ImportError::inexact(self.file, self.place(), problem.into())
    }

    /// An attribute; `None` where it is missing or null.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.attributes.get(key).filter(|value| !value.is_null())
    }

    /// An attribute that must be there.
    pub(super) fn require(&self, key: &str) -> Result<&'a Value, ImportError> {
        self.get(key)
            .ok_or_else(|| self.structure(format!("has no attribute `{key}`")))
    }

    /// A count; `None` where it is missing.
    pub(super) fn optional_size(&self, key: &str) -> Result<Option<usize>, ImportError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        size_of(value).map(Some).ok_or_else(|| {
            self.structure(format!("attribute `{key}` is {}", excerpt(value)))
                .expected(format!("a whole number from 0 to {MAX_ELEMENTS}"))
        })
    }

    /// A count that must be there.
    pub(super) fn size(&self, key: &str) -> Result<usize, ImportError> {
        self.optional_size(key)?
            .ok_or_else(|| self.structure(format!("has no attribute `{key}`")))
    }

    /// A count with the value that hls4ml gives it where it is missing.
    pub(super) fn size_or(&self, key: &str, default: usize) -> Result<usize, ImportError> {
        Ok(self.optional_size(key)?.unwrap_or(default))
    }

    /// A positive count.
    pub(super) fn positive(&self, key: &str) -> Result<usize, ImportError> {
        match self.size(key)? {
            0 => Err(self.structure(format!("attribute `{key}` is 0"))),
            size => Ok(size),
        }
    }

    /// A whole number of either sign.
    pub(super) fn integer(&self, key: &str) -> Result<Option<i64>, ImportError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        value.as_i64().map(Some).ok_or_else(|| {
            self.structure(format!("attribute `{key}` is {}", excerpt(value)))
                .expected("a whole number")
        })
    }

    /// A real number.
    pub(super) fn real(&self, key: &str) -> Result<Option<f64>, ImportError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        value
            .as_f64()
            .filter(|real| real.is_finite())
            .map(Some)
            .ok_or_else(|| {
                self.structure(format!("attribute `{key}` is {}", excerpt(value)))
                    .expected("a finite number")
            })
    }

    /// A text in lower case.
    pub(super) fn word(&self, key: &str) -> Result<Option<String>, ImportError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        value
            .as_str()
            .map(|text| Some(text.to_lowercase()))
            .ok_or_else(|| {
                self.structure(format!("attribute `{key}` is {}", excerpt(value)))
                    .expected("a text")
            })
    }

    /// A truth value; false where it is missing.
    pub(super) fn flag(&self, key: &str) -> bool {
        self.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    /// A list of counts.
    pub(super) fn sizes(&self, key: &str) -> Result<Vec<usize>, ImportError> {
        let value = self.require(key)?;
        value
            .as_array()
            .and_then(|list| list.iter().map(size_of).collect())
            .ok_or_else(|| {
                self.structure(format!("attribute `{key}` is {}", excerpt(value)))
                    .expected("a list of whole numbers")
            })
    }
}

/// A bounded whole number, written with or without a point.
pub(super) fn size_of(value: &Value) -> Option<usize> {
    let size = match value.as_u64() {
        Some(size) => size,
        None => value
            .as_f64()
            .filter(|real| real.fract() == 0.0 && (0.0..=MAX_ELEMENTS as f64).contains(real))?
            as u64,
    };
    usize::try_from(size).ok().filter(|&size| size <= MAX_ELEMENTS)
}

/// The beginning of a value, for diagnostics.
pub(super) fn excerpt(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("`{}...`", &text[..end]),
        None => format!("`{text}`"),
    }
}
