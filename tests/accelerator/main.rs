//! How a network is built: addresses of every stored bit, hardware files, folding, cycles, area.

#[path = "../common/mod.rs"]
mod common;

mod addresses;
mod area;
mod cnv;
mod files;
mod flow;
mod nets;
mod windows;
