//! Arrays in files: `.npy`, `.npz` (`FILE:KEY`) and `.csv[.gz]`; RON files; one place
//! that reads files at all, and the record of what was read.

mod array;
mod excerpt;
mod input;
mod read;
mod ron_file;
mod suggest;
mod write;

pub use array::{Array, Elements};
pub use excerpt::{Excerpt, MOST_OF_NAME, MOST_OF_PROBLEM, shortened};
pub use input::{
    InputFile, InputLog, MAX_FILE_BYTES, open_file, read_beside, read_file, read_file_within, read_text,
};
pub(crate) use input::{open_written, read_written, record_embedded, sha256_of};
pub use read::{DataError, Source, read, read_bytes, read_npy};
pub use ron_file::{RonError, RonSyntaxError, SourceText, parse_ron, read_ron};
pub use suggest::{did_you_mean, suggest};
pub use write::{NpzWriter, PartialFile, write_atomically};
