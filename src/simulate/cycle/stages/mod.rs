//! FINN-style stages: what its RTL library and its HLS library build, register by register.
//!
//! Timing follows the RTL cycle by cycle; behaviour under upsets follows it as far as the registers
//! are the same ones. Where a stage keeps other registers than the RTL, its documentation says so.

mod bits;
mod dwc;
mod fifo;
mod layout;
mod memstream;
mod mvau;
mod pad;
mod swg;
mod thresholding;

pub use dwc::WidthConverter;
pub use fifo::Fifo;
pub use memstream::MemoryStream;
pub use mvau::{
    Core, Dsp48Core, Dsp48Mvau, Dsp48Shape, Dsp58Mvau, Dsp58Shape, InputBuffer, Mvau, Slices, Weights,
};
pub use pad::{Padding, PaddingShape};
pub use swg::{SlidingWindow, WindowGeometry, WindowStyle};
pub use thresholding::{Thresholding, ThresholdingShape};

use thiserror::Error;

/// Why a stage cannot be built. These are requests that no design has; whoever describes an
/// accelerator refuses them before, with the place in the file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unbuildable {
    /// A count of lanes, words, rows or channels is zero.
    #[error("{what} is 0, expected at least 1")]
    Zero {
        /// Which count.
        what: &'static str,
    },
    /// One count has to be a multiple of another.
    #[error("{what} is {value}, expected a multiple of {of}")]
    NotMultiple {
        /// Which count.
        what: &'static str,
        /// The count.
        value: u64,
        /// What it has to be a multiple of.
        of: u64,
    },
    /// One count is too large.
    #[error("{what} is {value}, expected at most {most}")]
    TooLarge {
        /// Which count.
        what: &'static str,
        /// The count.
        value: u64,
        /// Its bound.
        most: u64,
    },
    /// The generator's schedule does not do what is asked.
    #[error("{what}")]
    Schedule {
        /// What does not fit.
        what: &'static str,
    },
}

/// `value` where it is not 0.
fn at_least_one(what: &'static str, value: usize) -> Result<(), Unbuildable> {
    if value == 0 {
        Err(Unbuildable::Zero { what })
    } else {
        Ok(())
    }
}

/// `value / of` where that is whole.
fn multiple(what: &'static str, value: usize, of: usize) -> Result<usize, Unbuildable> {
    if of != 0 && value.is_multiple_of(of) && value != 0 {
        Ok(value / of)
    } else {
        Err(Unbuildable::NotMultiple {
            what,
            value: value as u64,
            of: of as u64,
        })
    }
}
