//! What strikes on a recorded run came to.

use super::run::End;

/// What strikes came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Struck {
    /// Output mantissas, as in [`super::Run::outputs`]; none where every word leaves as it would have without them.
    pub outputs: Option<Vec<i64>>,
    /// How the run ends.
    pub end: End,
    /// The edge in front of which the accelerator is seen to be as without the strikes, but for what no output depends
    /// on any more; none where it never is.
    pub settled: Option<u64>,
    /// Edges of single stages that were simulated with the strikes.
    pub stage_edges: u64,
}
