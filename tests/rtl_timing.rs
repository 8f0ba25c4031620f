//! The stages against RTL: every test bench that was simulated with FINN's RTL library, cycle for
//! cycle, and every number that it printed.

mod common;
mod cycle_common;
#[path = "rtl_timing/harness.rs"]
mod harness;
#[path = "cycle_common/rtl_core.rs"]
mod rtl_core;

#[path = "rtl_timing/chain.rs"]
mod chain;
#[path = "rtl_timing/cores.rs"]
mod cores;
#[path = "rtl_timing/fifo.rs"]
mod fifo;
#[path = "rtl_timing/memstream.rs"]
mod memstream;
#[path = "rtl_timing/mvu.rs"]
mod mvu;
#[path = "rtl_timing/pad.rs"]
mod pad;
#[path = "rtl_timing/sliding_window.rs"]
mod sliding_window;
#[path = "rtl_timing/thresholding.rs"]
mod thresholding;
#[path = "rtl_timing/width.rs"]
mod width;
