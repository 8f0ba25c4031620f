//! A kind of campaign of one's own, on all cores and resumable: two neighbouring stored bits flip together.
//! `cargo run --release --example own_kind`, from the root of the repository.
use std::{ops::Range, sync::Arc};

use radstream::campaign::{Bench, Kind, Monitor, Run, Silent, stream};
use radstream::study::{NetworkRequest, SamplesRequest, bench};
use radstream::{accelerator::StoredBit, fault};
use rand::RngExt;

#[derive(serde::Serialize)]
struct Pairs(Arc<Bench>);

#[rustfmt::skip]
impl Kind for Pairs {
    type Trial = (u64, f64); type Row = (u64, f64); type Sums = f64; type Report = f64;
    fn name(&self) -> &'static str { "pairs" } fn columns(&self) -> &'static str { "first,delta_loss" }
    fn trials(&self) -> u64 { 2000 } fn sums(&self) -> f64 { 0.0 }
    fn block(&self, trials: Range<u64>, monitor: &dyn Monitor) -> Option<Vec<(u64, f64)>> {
        let accelerator = self.0.accelerator();
        let last = accelerator.map().total_bits() - 1;
        let first: Vec<u64> = trials.map(|trial| stream(1, trial).random_range(0..last)).collect();
        let flips = |&bit: &u64| fault::changes(accelerator, &[StoredBit(bit), StoredBit(bit + 1)]).into();
        let scores = self.0.score(&first.iter().map(flips).collect::<Vec<_>>(), monitor)?;
        Some(first.into_iter().zip(scores.iter().map(|score| score.delta_loss)).collect())
    }
    fn rows(&self, _: u64, pair: &(u64, f64)) -> Vec<(u64, f64)> { vec![*pair] }
    fn recall(&self, _: u64, rows: Vec<(u64, f64)>) -> Result<(u64, f64), String> { Ok(rows[0]) }
    fn add(&self, sum: &mut f64, _: u64, pair: &(u64, f64)) { *sum += pair.1 }
    fn report(&self, sum: &f64) -> f64 { sum / self.trials() as f64 }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let network = NetworkRequest::of("models/digits_small_cls");
    let kind = Pairs(bench(&network, &SamplesRequest::default())?);
    let folder = std::env::temp_dir().join("own-kind");
    let run = Run::new(&kind).into_file(&folder, "records", true);
    println!("mean rise of the loss: {:.5}", run.go(&Silent)?.report(&kind));
    Ok(())
}
