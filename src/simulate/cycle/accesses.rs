//! Which words of a stage's memories the edges of a recorded run read and overwrite.

use super::stage::Access;

/// The accesses to every word, in the order in which they come.
pub(super) struct Accesses {
    /// Where the accesses to the word at each limb begin.
    starts: Vec<u32>,
    /// Twice the edge, and one more where the word is overwritten.
    edges: Vec<u32>,
}

/// Accesses as they come.
#[derive(Default)]
pub(super) struct Listed(Vec<(u32, u32)>);

/// Edges that can be listed.
pub(super) const MOST_EDGES: u64 = 1 << 31;

impl Listed {
    pub(super) fn see(&mut self, edge: u32, limb: usize, access: Access) {
        self.0
            .push((limb as u32, edge << 1 | u32::from(access == Access::Writes)));
    }

    /// The accesses to a state of so many limbs, word by word.
    pub(super) fn sorted(self, limbs: usize) -> Accesses {
        let mut starts = vec![0u32; limbs + 1];
        for &(limb, _) in &self.0 {
            starts[limb as usize + 1] += 1;
        }
        for at in 0..limbs {
            starts[at + 1] += starts[at];
        }
        let mut next = starts.clone();
        let mut edges = vec![0; self.0.len()];
        for (limb, edge) in self.0 {
            let place = &mut next[limb as usize];
            edges[*place as usize] = edge;
            *place += 1;
        }
        Accesses { starts, edges }
    }
}

impl Accesses {
    /// The first access to the word at a limb from an edge on.
    pub(super) fn next(&self, limb: usize, edge: u64) -> Option<(u64, Access)> {
        let range = self.starts[limb] as usize..self.starts[limb + 1] as usize;
        let of_word = &self.edges[range];
        let at = of_word.partition_point(|&access| u64::from(access >> 1) < edge);
        of_word.get(at).map(|&access| {
            let kind = match access & 1 {
                0 => Access::Reads,
                _ => Access::Writes,
            };
            (u64::from(access >> 1), kind)
        })
    }
}
