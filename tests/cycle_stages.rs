//! The stages of the cycle engine against plain references, under random backpressure; what a rest is;
//! that no upset makes a stage panic.

mod cycle_common;

#[path = "cycle_stages/drive.rs"]
mod drive;
#[path = "cycle_stages/hls_window.rs"]
mod hls_window;
#[path = "cycle_stages/lifetimes.rs"]
mod lifetimes;
#[path = "cycle_stages/live.rs"]
mod live;
#[path = "cycle_stages/references.rs"]
mod references;
#[path = "cycle_stages/rests.rs"]
mod rests;
#[path = "cycle_stages/specimens.rs"]
mod specimens;
#[path = "cycle_stages/upsets.rs"]
mod upsets;
