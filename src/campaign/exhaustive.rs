//! Every stored bit by itself.

use std::io;
use std::time::{Duration, Instant};

use super::{Bench, Monitor, Scenario};
use crate::accelerator::StoredBit;
use crate::fault;

/// What the flip of one stored bit did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BitRecord {
    /// The bit.
    pub bit: StoredBit,
    /// Samples with any output changed.
    pub changed: u64,
    /// Samples right without and wrong with the flip; 0 where nothing is known to be right.
    pub newly_wrong: u64,
    /// Mean loss over the samples.
    pub loss: f64,
    /// Mean loss minus the fault-free mean loss.
    pub delta_loss: f64,
}

/// Smallest rise of the mean loss that makes a bit sensitive.
pub const SENSITIVE_ABOVE: f64 = 1e-9;

impl BitRecord {
    /// Whether the flip raises the mean loss.
    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        self.delta_loss > SENSITIVE_ABOVE
    }
}

/// Bits of the first block; later ones grow and shrink with the time they take.
const FIRST_BLOCK: usize = 64;
/// Shortest and longest time that a block should take: an interruption loses one block.
const BLOCK_TIME: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(3));

/// Flips each of `bits` by itself and hands the records over in blocks, in the order of `bits`.
/// Returns whether it came to the end: `false` where the monitor stopped it, and then what was
/// handed over stands.
///
/// # Errors
/// What `sink` returns.
pub fn exhaustive(
    bench: &Bench<'_>,
    bits: &[StoredBit],
    monitor: &dyn Monitor,
    mut sink: impl FnMut(&[BitRecord]) -> io::Result<()>,
) -> io::Result<bool> {
    let mut rest = bits;
    let mut size = FIRST_BLOCK;
    while !rest.is_empty() {
        size = size.clamp(1, bench.block());
        let (block, later) = rest.split_at(size.min(rest.len()));
        let started = Instant::now();
        let scenarios: Vec<Scenario> = block
            .iter()
            .map(|&bit| fault::changes(bench.accelerator, &[bit]))
            .collect();
        let Some(scores) = bench.score(&scenarios, monitor) else {
            return Ok(false);
        };
        let records: Vec<BitRecord> = block
            .iter()
            .zip(scores)
            .map(|(&bit, score)| BitRecord {
                bit,
                changed: score.changed,
                newly_wrong: score.newly_wrong.unwrap_or(0),
                loss: score.loss,
                delta_loss: score.delta_loss,
            })
            .collect();
        sink(&records)?;
        rest = later;
        let elapsed = started.elapsed();
        if elapsed < BLOCK_TIME.0 {
            size *= 2;
        } else if elapsed > BLOCK_TIME.1 {
            size /= 2;
        }
    }
    Ok(true)
}
