//! Arrays in files: `.npy`, `.npz` (`FILE:KEY`) and `.csv[.gz]`.

mod array;
mod read;
mod write;

pub use array::{Array, Elements};
pub use read::{DataError, Source, read};
pub use write::{NpzWriter, write_atomically};
