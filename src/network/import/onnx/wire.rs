//! How many messages a protobuf file holds, counted before any memory is taken for them.

/// What a length-delimited field holds.
#[derive(Clone, Copy)]
enum Field {
    /// A message.
    Message(&'static [(u64, Field)]),
    /// A text or bytes in a list.
    Bytes,
}

const ENTRY: &[(u64, Field)] = &[];
const SHAPE: &[(u64, Field)] = &[(1, Field::Message(&[(2, Field::Bytes)]))];
const TENSOR_TYPE: &[(u64, Field)] = &[(2, Field::Message(SHAPE))];
const VALUE_INFO: &[(u64, Field)] = &[(2, Field::Message(&[(1, Field::Message(TENSOR_TYPE))]))];
const TENSOR: &[(u64, Field)] = &[(13, Field::Message(ENTRY))];
const ATTRIBUTE: &[(u64, Field)] = &[(5, Field::Message(TENSOR)), (9, Field::Bytes)];
const NODE: &[(u64, Field)] = &[
    (1, Field::Bytes),
    (2, Field::Bytes),
    (5, Field::Message(ATTRIBUTE)),
];
const ANNOTATION: &[(u64, Field)] = &[(2, Field::Message(ENTRY))];
const GRAPH: &[(u64, Field)] = &[
    (1, Field::Message(NODE)),
    (5, Field::Message(TENSOR)),
    (11, Field::Message(VALUE_INFO)),
    (12, Field::Message(VALUE_INFO)),
    (13, Field::Message(VALUE_INFO)),
    (14, Field::Message(ANNOTATION)),
];
/// The fields of `ModelProto` that [`super::proto`] reads, by number.
const MODEL: &[(u64, Field)] = &[(7, Field::Message(GRAPH)), (8, Field::Message(ENTRY))];

/// Whether a `ModelProto` holds at most so many messages and texts in lists. Bytes that are no
/// protobuf are not judged here: what was counted so far decides.
pub fn holds_at_most(bytes: &[u8], most: usize) -> bool {
    let mut left = most;
    count(bytes, MODEL, &mut left)
}

fn count(mut bytes: &[u8], fields: &[(u64, Field)], left: &mut usize) -> bool {
    while !bytes.is_empty() {
        let Some(key) = varint(&mut bytes) else {
            return true;
        };
        let skipped = match key & 7 {
            0 => varint(&mut bytes).map(|_| &[][..]),
            1 => take(&mut bytes, 8),
            5 => take(&mut bytes, 4),
            2 => varint(&mut bytes).and_then(|len| take(&mut bytes, len)),
            // Groups are long out of use; prost reads or refuses them as unknown fields.
            3 | 4 => Some(&[][..]),
            _ => None,
        };
        let Some(inner) = skipped else {
            return true;
        };
        let known = fields
            .iter()
            .find(|&&(number, _)| key >> 3 == number && key & 7 == 2);
        if let Some((_, field)) = known {
            let Some(rest) = left.checked_sub(1) else {
                return false;
            };
            *left = rest;
            if let Field::Message(fields) = field
                && !count(inner, fields, left)
            {
                return false;
            }
        }
    }
    true
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for place in 0..10 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'b>(bytes: &mut &'b [u8], len: u64) -> Option<&'b [u8]> {
    let len = usize::try_from(len).ok()?;
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::super::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};
    use super::holds_at_most;

    fn model() -> ModelProto {
        let node = NodeProto {
            input: vec![String::new(); 3],
            output: vec!["y".into()],
            attribute: vec![AttributeProto {
                t: Some(TensorProto::default()),
                ints: vec![1; 100],
                ..AttributeProto::default()
            }],
            ..NodeProto::default()
        };
        ModelProto {
            graph: Some(GraphProto {
                node: vec![node; 5],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
    }

    #[test]
    fn every_message_and_listed_text_counts_once() {
        // A graph and 5 nodes, each with 3 inputs, 1 output, 1 attribute and its tensor.
        let bytes = model().encode_to_vec();
        let held = 1 + 5 * (1 + 3 + 1 + 1 + 1);
        assert!(holds_at_most(&bytes, held));
        assert!(!holds_at_most(&bytes, held - 1));
    }

    #[test]
    fn bytes_that_are_no_protobuf_are_left_to_the_decoder() {
        let bytes = model().encode_to_vec();
        for len in 0..bytes.len() {
            assert!(holds_at_most(&bytes[..len], 100));
        }
        assert!(holds_at_most(&[0xff; 40], 0));
    }
}
