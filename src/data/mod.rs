//! Arrays in files: `.npy`, `.npz` (`FILE:KEY`) and `.csv[.gz]`; RON files.

mod array;
mod read;
mod ron_file;
mod write;

pub use array::{Array, Elements};
pub use read::{DataError, Source, read, read_bytes, read_npy};
pub use ron_file::{RonError, RonSyntaxError, SourceText, parse_ron, read_ron};
pub use write::{NpzWriter, PartialFile, write_atomically};
