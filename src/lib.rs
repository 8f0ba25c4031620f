//! Which stored bits of a quantized network on a streaming accelerator matter under radiation,
//! which to protect, what that costs, and what it buys.
//!
//! A network file becomes integers ([`network`]), gets memories in which every stored bit has one
//! address ([`accelerator`]), and is evaluated with and without flipped bits ([`simulate`],
//! [`fault`]); an evaluator turns outputs into losses ([`outcome`]), campaigns into records
//! ([`campaign`]), and these into a choice of bits under a budget ([`protection`]) and files for RTL
//! ([`rtl`]).
//!
//! # Example
//! One bit of the embedded model is flipped. The incremental engine computes what the flip touches;
//! its plain twin computes everything anew and gives the same integers.
//!
//! ```
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! use radstream::accelerator::{Accelerator, Hardware};
//! use radstream::fault;
//! use radstream::model::{Description, Files, Settings, Workload, load_network};
//! use radstream::network::import::ImportOptions;
//! use radstream::simulate::functional::{Incremental, Parameters, Plan, evaluate};
//!
//! // `Files::Folder("models/digits_small_cls".into())` would read a model folder.
//! let files = Files::Embedded;
//! let model = Description::read(&files)?;
//! let network = load_network(&files, Path::new(&model.network), &ImportOptions::default())?;
//! let accelerator = Accelerator::build(&network, &Hardware::default())?;
//! let network = accelerator.network();
//! let workload = Workload::load(network, &Settings::of(&model, &files))?;
//!
//! // The sign bit of a weight of the dense layer, by its logical address.
//! let bit = accelerator.find_logical("matmul_1", "weight", 2027, 5)?;
//! let flips = fault::describe(&accelerator, &[bit]);
//! let (before, after) = (flips[0].value_before.unwrap(), flips[0].value_after.unwrap());
//! assert_eq!((before - after).abs(), 32);
//!
//! let plan = Arc::new(Plan::new(Arc::new(network.clone())));
//! let mut engine = Incremental::new(plan);
//! let mut flipped = Parameters::of(network);
//! let changes = fault::changes(&accelerator, &[bit]);
//! for change in &changes {
//!     flipped.replace(change.param, change.element as usize, change.mantissa);
//! }
//! let mut changed = 0;
//! for sample in workload.inputs.chunks_exact(network.tensor(network.input).len()) {
//!     engine.load(sample);
//!     let fault_free = engine.output().to_vec();
//!     changed += usize::from(engine.strike(&changes));
//!     assert_eq!(engine.output(), evaluate(network, &flipped, sample).tensor(network.output));
//!     engine.restore();
//!     assert_eq!(engine.output(), fault_free);
//! }
//! assert!(changed > 0);
//! println!("the flip changes {changed} of {} samples", workload.samples);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(missing_docs)]

pub mod accelerator;
pub mod campaign;
pub mod cli;
pub mod data;
pub mod fault;
pub mod fixed_point;
mod level;
pub mod model;
pub mod network;
pub mod outcome;
pub mod protection;
pub mod radiation;
pub mod report;
pub mod rtl;
pub mod scheme;
pub mod sensitivity;
pub mod simulate;
pub mod study;
pub mod text;

#[cfg(doctest)]
#[doc = include_str!("../docs/published-claims.md")]
struct PublishedClaims;
