//! A loss of one's own in an exhaustive campaign, on all cores and resumable: how far the winning class is ahead.
//! `cargo run --release --example own_loss`, from the root of the repository.

use std::sync::Arc;

use radstream::campaign::{Bench, Exhaustive, Run, Silent};
use radstream::outcome::{Loss, SampleLoss, SampleView};
use radstream::study::{Design, NetworkRequest, SamplesRequest};

/// By how much the best other class comes near to the right one, from 0 on.
#[derive(Debug)]
struct Margin;

impl SampleLoss for Margin {
    fn name(&self) -> &'static str {
        "margin"
    }
    fn evaluate(&self, sample: &SampleView<'_>) -> f64 {
        let right = sample.labels[0];
        let others = (0..sample.classes).filter(|&class| class != right);
        let best = others.map(|class| sample.output[class]).fold(f64::MIN, f64::max);
        (best - sample.output[right] + 1.0).max(0.0)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let network = NetworkRequest::of("models/digits_small_cls");
    let design = Design::build(&network, Some(&SamplesRequest::default()))?;
    let workload = design.workload()?;
    let evaluator = workload.evaluator.with_loss(Loss::own(Arc::new(Margin)))?;
    let accelerator = design.accelerator;
    let bits = accelerator.map().bits().collect();
    let bench = Bench::new(accelerator, workload.inputs, evaluator)?;
    let kind = Exhaustive::new(Arc::new(bench), bits);
    let folder = std::env::temp_dir().join("own-loss");
    let run = Run::new(&kind).into_file(&folder, "records", true);
    println!("{} bits raise it", run.go(&Silent)?.report(&kind).sensitive_bits);
    Ok(())
}
