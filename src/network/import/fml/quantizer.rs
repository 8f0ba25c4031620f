//! Widths of their own: of the elements of a tensor (`FixedPointQuantizer` of HGQ), and of parameters.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::ImportError;
use super::builder::{Builder, IoType};
use super::record::Record;
use super::weights;
use crate::fixed_point::Format;
use crate::network::{CastEach, Encoding, Note, NoteKind, Op};

/// Sign, width and integer bits of one element.
type Kbi = [i64; 3];

impl<'a> Builder<'a> {
    /// `FixedPointQuantizer`: every element is cast to a type of its own, then to that of the tensor
    /// (`generate_mask_fn` of `backends/fpga/passes/hgq_proxy_model.py`).
    pub(super) fn own_types(&mut self, record: &Record<'a>) -> Result<(), ImportError> {
        let input = self.sole_input(record)?;
        let site = self.site(record)?;
        self.expect_output(record, site, self.shape(input))?;
        if self.io == IoType::Stream {
            return Err(record
                .unsupported("gives the elements of a stream types of their own")
                .expected("io_parallel, the only one for which hls4ml builds such a quantizer")
                .help("convert for io_parallel, or give the quantizer one width for the whole tensor"));
        }
        let types = self.types(record, self.shape(input))?;
        let mut kinds: BTreeMap<Kbi, u32> = types.iter().map(|&kbi| (kbi, 0)).collect();
        for (number, kind) in kinds.values_mut().enumerate() {
            *kind = number as u32;
        }
        let formats: Result<_, _> = kinds.keys().map(|kbi| own_format(record, kbi)).collect();
        let each = CastEach {
            formats: formats?,
            of: types.iter().map(|kbi| kinds[kbi]).collect(),
        };
        self.last(record, site, Op::CastEach(each), vec![input]);
        Ok(())
    }

    /// Sign, width and integer bits of every element: `mask_kbi`, three arrays with a first axis of extent 1, spread over
    /// the tensor as numpy spreads them.
    fn types(&self, record: &Record<'a>, shape: &[usize]) -> Result<Vec<Kbi>, ImportError> {
        let key = "mask_kbi";
        let masks = record.require(key)?.as_array().filter(|masks| masks.len() == 3);
        let masks = masks.ok_or_else(|| {
            record
                .structure(format!("`{key}` is not a list of three arrays"))
                .expected("the arrays of signs, widths and integer bits")
        })?;
        let elements = shape.iter().product();
        self.archive.charge(&record.place(), elements)?;
        let mut types = vec![[0; 3]; elements];
        for (part, mask) in masks.iter().enumerate() {
            let (own, numbers) = weights::integers(self.archive, record, key, mask)?;
            let strides = spread(&own, shape).ok_or_else(|| {
                record
                    .structure(format!(
                        "`{key}` has the shape {own:?} for elements of the shape {shape:?}"
                    ))
                    .expected("a first axis of extent 1, and axes of the extent 1 or that of the tensor")
            })?;
            for (element, kbi) in types.iter_mut().enumerate() {
                let mut rest = element;
                let mut at = 0;
                for (&extent, &stride) in shape.iter().zip(&strides).rev() {
                    at += rest % extent * stride;
                    rest /= extent;
                }
                kbi[part] = numbers[at];
            }
        }
        Ok(types)
    }
}

/// Says what the parameters of HGQ2 need, each in its own width, beside the type of their tensor.
pub(super) fn remark_own_widths(builder: &mut Builder<'_>) {
    for param in &builder.params {
        let layer = &builder.layers[param.layer.index()];
        let hint = layer.hints.tensor(param.kind);
        let (Some(hint), Encoding::Fixed(format)) = (hint, param.encoding) else {
            continue;
        };
        if !hint.own_widths || hint.logic {
            continue;
        }
        let widths = param.values.iter().map(|&value| own_width(value));
        let (needed, zeros) = widths.fold((0, 0), |(needed, zeros), width| {
            (needed + u64::from(width), zeros + u64::from(width == 0))
        });
        let count = param.values.len() as u64;
        builder.notes.push(Note::new(
            NoteKind::NotStored,
            layer.name.clone(),
            format!(
                "has a {} of HGQ2, whose {count} elements have widths of their own: {zeros} are 0, the others need \
                 {needed} bits in all; registers of one element hold these bits, words of a memory hold the type \
                 {format}, {} bits in all",
                param.kind.name(),
                count * u64::from(format.width())
            ),
        ));
    }
}

/// Bits of a number without the zeros behind it; a negative one has a sign.
fn own_width(value: i64) -> u32 {
    if value == 0 {
        return 0;
    }
    let odd = value >> value.trailing_zeros();
    if odd < 0 {
        65 - (!odd).leading_zeros()
    } else {
        64 - odd.leading_zeros()
    }
}

/// The type of an element; none where it has no bits.
fn own_format(record: &Record<'_>, &[sign, width, integer]: &Kbi) -> Result<Option<Format>, ImportError> {
    if width == 0 {
        return Ok(None);
    }
    if !(0..=1).contains(&sign) {
        return Err(record
            .structure(format!("`mask_kbi` has the sign {sign}"))
            .expected("0 or 1"));
    }
    let mode = |key: &str| record.get(key).and_then(|value| value.as_str()).unwrap_or("");
    let class = |name: &str| format!("hls4ml.model.types.{name}");
    let value = json!({
        "class_name": class("NamedType"),
        "state": {"name": "", "precision": {
            "class_name": class("FixedPrecisionType"),
            "state": {"width": width, "integer": integer, "signed": sign == 1,
                "rounding_mode": mode("RND"), "saturation_mode": mode("SAT")},
        }},
    });
    Ok(Some(record.stored_type_of("mask_kbi", &value)?.format))
}

/// Distance of neighbours along each axis of `shape` in an array of the shape `own`, whose first axis has extent 1; 0
/// where the array repeats.
fn spread(own: &[usize], shape: &[usize]) -> Option<Vec<usize>> {
    let (&first, own) = own.split_first()?;
    let missing = shape.len().checked_sub(own.len())?;
    let mut strides = vec![0; shape.len()];
    let mut below = 1;
    for (axis, &extent) in own.iter().enumerate().rev() {
        match extent {
            1 => {}
            extent if extent == shape[missing + axis] => strides[missing + axis] = below,
            _ => return None,
        }
        below *= extent;
    }
    (first == 1).then_some(strides)
}
