//! Fixed-point arithmetic against the `ap_fixed` headers, row by row, and against an independent
//! model in rational numbers.

#[path = "ap_fixed/golden.rs"]
mod golden;
#[path = "ap_fixed/rational.rs"]
mod rational;
#[path = "ap_fixed/rows.rs"]
mod rows;
#[path = "ap_fixed/text.rs"]
mod text;

mod common;
