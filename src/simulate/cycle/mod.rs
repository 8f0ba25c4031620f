//! The cycle engine: every register of the accelerator, every clock edge.

mod advance;
mod arithmetic;
mod build;
mod difference;
mod engine;
mod live;
mod matrix;
mod memory;
mod operators;
mod period;
mod pipeline;
mod recording;
pub mod register;
mod run;
mod schedule;
mod stage;
mod stage_set;
pub mod stages;
mod table;
mod watch;

pub use arithmetic::{Arithmetic, NoLanes};
pub use build::BuildError;
pub use difference::Struck;
pub use engine::{Activity, Engine, Rate};
pub use live::{Condition, Live, Says};
pub use matrix::{LaneCode, Matrix, TooWide};
pub use memory::Memories;
pub use period::{Clock, FreeRun, Period};
pub use pipeline::{Pipeline, Placed, RegisterTensor, Stream};
pub use recording::Recording;
pub use register::{Register, RegisterBit, RegisterClass};
pub use run::{CycleFault, End, Run, Settings, Site, Strike, Timing, drive, drive_watched, run};
pub use stage::{Edge, Signals, Stage, StreamShape, Transient, Wire, WireShape};
pub use table::{PathError, RegisterRow, RegisterTable};
pub use watch::{Table, Watch, Waveform};
