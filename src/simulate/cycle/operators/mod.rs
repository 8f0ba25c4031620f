//! Stages for the operations of a network that have no building block of their own in FINN's library:
//! hls4ml's layers, element-wise functions, joins, forks, pools, and frames for what needs a whole
//! tensor.

mod concat;
mod element_wise;
mod fork;
mod frame;
mod function;
mod join;
mod paced;
mod pipe;
mod pool;
mod program;
mod value;
mod window;
mod window_product;

pub use concat::Concat;
pub use element_wise::ElementWise;
pub use fork::Fork;
pub use frame::{Frame, FrameOp};
pub use function::Function;
pub use join::{Combination, Join};
pub use paced::{Pace, Paced};
pub use pipe::MAX_DEPTH;
pub use pool::{PoolFunction, WindowPool};
pub use program::ProgramStage;
pub use value::ToOutput;
pub use window::WindowProgram;
pub use window_product::{ProductTiming, TimingError, WindowProduct};
