//! How a long run tells what it does, and how it is told to stop.

/// Watches a run.
pub trait Monitor: Sync {
    /// `done` more units of work are finished.
    fn advance(&self, done: u64);

    /// Whether the run should stop at the next opportunity.
    fn stopped(&self) -> bool;
}

/// Says nothing and never stops.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Monitor for Silent {
    fn advance(&self, _done: u64) {}

    fn stopped(&self) -> bool {
        false
    }
}
