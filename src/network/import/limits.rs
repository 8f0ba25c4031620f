//! Bounds that keep a hostile file from taking the machine's memory.

use std::path::Path;

use super::ImportError;
use crate::data;

/// Most elements of one tensor or constant.
pub const MAX_ELEMENTS: usize = 1 << 26;

/// Most elements of all tensors and all stored parameters of one network, each.
pub const MAX_TOTAL_ELEMENTS: usize = 1 << 27;

/// Elements of an array of this shape, an axis of none counted as one of one: what strides are made of, also those of
/// an array without elements. None beyond what a machine counts.
pub fn span(shape: &[usize]) -> Option<usize> {
    (shape.iter()).try_fold(1usize, |span, &extent| span.checked_mul(extent.max(1)))
}

/// Most thresholds of one activation.
pub const MAX_THRESHOLDS: usize = 1 << 22;

/// Most effort for the thresholds of one network: thresholds times steps of arithmetic and three more, times the
/// square of the numbers' length in 256 bits.
pub const MAX_THRESHOLD_EFFORT: usize = 1 << 24;

/// Effort of one threshold that neither floats nor machine integers can decide, times the square of the numbers' length
/// in 256 bits.
pub const LONG_THRESHOLD_EFFORT: usize = 320;

/// Most elements of one tensor that have each its own real function (constants that vary along several axes).
pub const MAX_ELEMENT_FUNCTIONS: usize = 1 << 18;

/// Most positions that the windows of one operation read: output pixels times taps of a channel.
pub const MAX_WINDOW_READS: usize = 1 << 27;

/// Most axes of a tensor.
pub const MAX_AXES: usize = 16;

/// Most steps of real arithmetic between two quantizers.
pub const MAX_PENDING_STEPS: usize = 16;

/// Longest numerator or denominator of an exact scale or offset, in bits.
pub const MAX_EXACT_BITS: u64 = 4096;

/// Most 64-bit words that one import keeps in exact numbers.
pub const MAX_EXACT_WORDS: u64 = 1 << 27;

/// Most effort for constants of one import, in elements that are read or folded.
pub const MAX_CONSTANT_EFFORT: usize = 1 << 27;

/// Most elements of a constant that is folded.
pub const MAX_FOLDED_ELEMENTS: usize = 1 << 24;

/// Effort of one element that a quantizer turns into an integer.
pub const QUANTIZED_ELEMENT_EFFORT: usize = 6;

/// Effort of one element that becomes an exact number.
pub const EXACT_ELEMENT_EFFORT: usize = 32;

/// Effort of one exact number of a real function per channel that an operator computes with.
pub const EXACT_FUNCTION_EFFORT: usize = 96;

/// Effort of one element that is computed exactly.
pub const EXACT_RESULT_EFFORT: usize = 320;

/// Most effort of one `.fml`: elements of arrays that are read, with the multiples below for what takes longer.
pub const MAX_ARCHIVE_EFFORT: usize = 1 << 26;

/// Effort of one value of its JSON.
pub const JSON_VALUE_EFFORT: usize = 16;

/// Effort of one weight that is read and rounded.
pub const WEIGHT_EFFORT: usize = 2;

/// Effort of one weight whose decimals have to be printed and read again.
pub const PRINTED_ELEMENT_EFFORT: usize = 60;

/// Effort of one entry of a table, and of one term or coefficient of an adder graph.
pub const TABULATED_ELEMENT_EFFORT: usize = 4;

/// Largest JSON text, in bytes: its values take a multiple of it in memory.
pub const MAX_JSON_BYTES: usize = 1 << 26;

/// Most messages (nodes, attributes, dimensions, ...) and texts of one ONNX file. An empty one takes
/// two bytes in the file and some hundred in memory.
pub const MAX_MESSAGES: usize = 1 << 21;

/// Longest name of a node, a tensor, an operator or an attribute, in bytes.
pub const MAX_NAME_BYTES: usize = 1 << 12;

/// Largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 1 << 28;

/// Most nodes or layers of one network.
pub const MAX_NODES: usize = 20_000;

/// Reads a whole file of bounded size.
///
/// # Errors
/// [`ImportError`] where it cannot be read or is larger than [`MAX_FILE_BYTES`].
pub fn read_file(path: &Path) -> Result<Vec<u8>, ImportError> {
    data::read_file_within(path, MAX_FILE_BYTES).map_err(|error| {
        if error.kind() == std::io::ErrorKind::FileTooLarge {
            return ImportError::structure(
                path,
                "the file",
                format!("is larger than {} MiB", MAX_FILE_BYTES >> 20),
            )
            .expected("a quantized network")
            .help("networks for on-chip memories are far smaller; check that this is the right file");
        }
        ImportError::structure(path, "the file", format!("cannot be read: {error}"))
            .expected("a readable network file")
            .help("check the path and its permissions")
    })
}

/// Most bytes that one archive may unpack to.
pub const MAX_UNPACKED_BYTES: u64 = 1 << 29;

/// Most entries of one look-up table.
pub const MAX_TABLE_ENTRIES: usize = 1 << 20;
