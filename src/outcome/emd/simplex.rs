//! The transportation problem on integers, by the network simplex method.
//!
//! Supplies and demands are perturbed (Orden, Management Science 2, 1956): every supply is scaled by
//! a power of two above the number of sources and grows by 1, and the last demand takes up the sum.
//! No proper subset of sources then balances a subset of sinks, so every basic flow is positive,
//! every pivot lowers the total and the method ends. The final basis is optimal for the unperturbed
//! problem as well, whose total follows from the potentials by duality.

/// No node.
const NONE: usize = usize::MAX;

/// One problem and its working memory. Nodes are the sources, then the sinks.
#[derive(Clone, Debug, Default)]
pub(super) struct Transport {
    sources: usize,
    sinks: usize,
    /// Exact integers below 2^53, row-major `[source][sink]`.
    costs: Vec<f64>,
    /// Unperturbed supply or demand of each node.
    amount: Vec<i64>,
    /// What the first assignment has not placed yet, perturbed.
    left: Vec<i64>,
    /// Dual value; `potential[source] + potential[sink] <= cost`, equal on the tree.
    potential: Vec<f64>,
    /// The basis as a rooted spanning tree.
    tree: Tree,
    /// Edges of the first basis: source, sink and flow.
    first_basis: Vec<(usize, usize, i64)>,
    /// First half edge at each node, and the one after each half edge.
    half_edges: Vec<usize>,
    next_half_edge: Vec<usize>,
    /// Sinks that the first assignment can still fill; nodes whose neighbours are not placed.
    open: Vec<usize>,
    /// Edges that the first basis tries first: source and sink.
    tried_first: Vec<(usize, usize)>,
    /// What the first basis takes the sinks to be worth: it fills those first whose cost is least above that.
    worth: Vec<f64>,
}

impl Transport {
    /// Bits that masses may sum to where there are that many cells, the perturbation included.
    pub(super) fn mass_bits(cells: usize) -> u32 {
        61 - Self::perturbation_bits(cells)
    }

    /// Bits by which amounts are scaled: 2^bits is above the number of sources.
    fn perturbation_bits(sources: usize) -> u32 {
        (sources + 1).next_power_of_two().trailing_zeros()
    }

    /// Prepares a problem of that size; its costs are then to be set.
    pub(super) fn reset(&mut self, sources: usize, sinks: usize) {
        self.sources = sources;
        self.sinks = sinks;
        self.costs.resize(sources * sinks, 0.0);
        self.tried_first.clear();
        self.worth.clear();
        self.worth.resize(sinks, 0.0);
    }

    /// An edge that is likely to be in the best basis. Of a tree, edges come from its leaves on.
    pub(super) fn try_first(&mut self, source: usize, sink: usize) {
        self.tried_first.push((source, sink));
    }

    /// What the sinks are likely to be worth. Neither this nor [`Transport::try_first`] changes the answer.
    pub(super) fn worth(&mut self) -> &mut [f64] {
        &mut self.worth
    }

    /// The dual values of the last solution: of the sources, then of the sinks.
    pub(super) fn potentials(&self) -> (&[f64], &[f64]) {
        self.potential.split_at(self.sources)
    }

    /// The edges of the last solution's basis, source and sink, from the leaves on.
    pub(super) fn basis(&self, edges: &mut Vec<(usize, usize)>) {
        edges.clear();
        let mut node = 0;
        while let Some(next) = self.tree.next_below(node, 0) {
            node = next;
            let parent = self.tree.parent[node];
            edges.push((node.min(parent), node.max(parent) - self.sources));
        }
        edges.reverse();
    }

    /// Costs from one source to all sinks: integers whose sums stay below 2^53.
    pub(super) fn costs_of(&mut self, source: usize) -> &mut [f64] {
        &mut self.costs[source * self.sinks..][..self.sinks]
    }

    /// The least total cost. Supplies and demands are positive and sum to the same.
    pub(super) fn solve(
        &mut self,
        supplies: impl Iterator<Item = i64>,
        demands: impl Iterator<Item = i64>,
    ) -> i128 {
        self.amount.clear();
        self.amount.extend(supplies);
        self.amount.extend(demands);
        self.assign_first();
        self.grow_tree();
        while let Some((source, sink, reduced_cost)) = self.entering() {
            self.pivot(source, sink, reduced_cost);
        }
        self.amount
            .iter()
            .zip(&self.potential)
            .map(|(&amount, &potential)| i128::from(amount) * i128::from(potential as i64))
            .sum()
    }

    /// A first basis: the edges that are tried first, then each source in turn fills the nearest sinks that are not
    /// full.
    fn assign_first(&mut self) {
        let (sources, sinks) = (self.sources, self.sinks);
        let bits = Self::perturbation_bits(sources);
        self.left.clear();
        self.left.extend(self.amount.iter().map(|&amount| amount << bits));
        for left in &mut self.left[..sources] {
            *left += 1;
        }
        self.left[sources + sinks - 1] += sources as i64;
        self.first_basis.clear();
        // The perturbed amounts never tie before the very last assignment, so each step closes
        // one node and the edges form a spanning tree.
        for &(source, sink) in &self.tried_first {
            let sink = sources + sink;
            let flow = self.left[source].min(self.left[sink]);
            if flow > 0 {
                self.left[source] -= flow;
                self.left[sink] -= flow;
                self.first_basis.push((source, sink, flow));
            }
        }
        self.open.clear();
        self.open
            .extend((0..sinks).filter(|&sink| self.left[sources + sink] > 0));
        for source in 0..sources {
            let row = &self.costs[source * sinks..][..sinks];
            while self.left[source] > 0 {
                let mut slot = 0;
                let mut nearest = f64::INFINITY;
                for (candidate, &sink) in self.open.iter().enumerate() {
                    let above = row[sink] - self.worth[sink];
                    if above < nearest {
                        nearest = above;
                        slot = candidate;
                    }
                }
                let sink = sources + self.open[slot];
                let flow = self.left[source].min(self.left[sink]);
                self.left[source] -= flow;
                self.left[sink] -= flow;
                self.first_basis.push((source, sink, flow));
                if self.left[sink] == 0 {
                    self.open.remove(slot);
                }
            }
        }
    }

    /// Roots the first basis at source 0 and derives the potentials.
    fn grow_tree(&mut self) {
        let nodes = self.sources + self.sinks;
        self.tree.clear(nodes);
        self.potential.clear();
        self.potential.resize(nodes, 0.0);
        // Half edges 2e and 2e + 1 leave the source and the sink of edge e.
        self.half_edges.clear();
        self.half_edges.resize(nodes, NONE);
        self.next_half_edge.clear();
        for (edge, &(source, sink, _)) in self.first_basis.iter().enumerate() {
            for (half, node) in [(2 * edge, source), (2 * edge + 1, sink)] {
                self.next_half_edge.push(self.half_edges[node]);
                self.half_edges[node] = half;
            }
        }
        self.open.clear();
        self.open.push(0);
        while let Some(node) = self.open.pop() {
            let mut half = self.half_edges[node];
            while half != NONE {
                let (source, sink, flow) = self.first_basis[half / 2];
                let child = source + sink - node;
                if child != self.tree.parent[node] {
                    self.tree.attach(child, node, flow);
                    self.potential[child] = self.cost(source, sink) - self.potential[node];
                    self.open.push(child);
                }
                half = self.next_half_edge[half];
            }
        }
    }

    fn cost(&self, source: usize, sink: usize) -> f64 {
        self.costs[source * self.sinks + sink - self.sources]
    }

    /// The edge whose constraint is violated most (the first of several), with its reduced cost.
    fn entering(&self) -> Option<(usize, usize, f64)> {
        let (source_potential, sink_potential) = self.potential.split_at(self.sources);
        let mut worst = 0.0;
        let mut at = None;
        for (source, (row, &own)) in self
            .costs
            .chunks_exact(self.sinks)
            .zip(source_potential)
            .take(self.sources)
            .enumerate()
        {
            let least = least_difference(row, sink_potential);
            if least - own < worst {
                worst = least - own;
                at = Some((source, least));
            }
        }
        let (source, least) = at?;
        let row = &self.costs[source * self.sinks..];
        let sink = (0..self.sinks).find(|&sink| row[sink] - sink_potential[sink] == least)?;
        Some((source, self.sources + sink, worst))
    }

    /// Sends as much as possible around the cycle that `source -> sink` closes, and exchanges the
    /// edge that empties for it.
    fn pivot(&mut self, source: usize, sink: usize, reduced_cost: f64) {
        let tree = &mut self.tree;
        let is_sink = |node: usize| node >= self.sources;
        // Flow is taken from the edges above sinks on the sink's way to the common ancestor, and
        // from those above sources on the source's way.
        let (mut flow, mut leaving, mut leaves_below_sink) = (i64::MAX, NONE, false);
        let (mut from_source, mut from_sink) = (source, sink);
        while from_source != from_sink {
            if tree.depth[from_sink] >= tree.depth[from_source] {
                if is_sink(from_sink) && tree.flow[from_sink] < flow {
                    (flow, leaving, leaves_below_sink) = (tree.flow[from_sink], from_sink, true);
                }
                from_sink = tree.parent[from_sink];
            } else {
                if !is_sink(from_source) && tree.flow[from_source] < flow {
                    (flow, leaving, leaves_below_sink) = (tree.flow[from_source], from_source, false);
                }
                from_source = tree.parent[from_source];
            }
        }
        let ancestor = from_sink;
        let mut node = sink;
        while node != ancestor {
            tree.flow[node] += if is_sink(node) { -flow } else { flow };
            node = tree.parent[node];
        }
        node = source;
        while node != ancestor {
            tree.flow[node] += if is_sink(node) { flow } else { -flow };
            node = tree.parent[node];
        }
        let (moved, new_parent) = if leaves_below_sink {
            (sink, source)
        } else {
            (source, sink)
        };
        tree.hang(moved, leaving, new_parent, flow);
        // The potentials of the moved part shift so that the new edge is tight.
        let sink_shift = if leaves_below_sink {
            reduced_cost
        } else {
            -reduced_cost
        };
        let mut node = moved;
        loop {
            tree.depth[node] = tree.depth[tree.parent[node]] + 1;
            self.potential[node] += if is_sink(node) { sink_shift } else { -sink_shift };
            match tree.next_below(node, moved) {
                Some(next) => node = next,
                None => break,
            }
        }
    }
}

/// The least `a - b` over two equally long rows.
fn least_difference(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 4;
    let mut least = [f64::INFINITY; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a_chunks.remainder().iter().zip(b_chunks.remainder());
    for (a, b) in a_chunks.zip(b_chunks) {
        for lane in 0..LANES {
            let difference = a[lane] - b[lane];
            least[lane] = if difference < least[lane] {
                difference
            } else {
                least[lane]
            };
        }
    }
    rest.map(|(a, b)| a - b).chain(least).fold(
        f64::INFINITY,
        |least, value| if value < least { value } else { least },
    )
}

/// A rooted tree with the flow on the edge above each node.
#[derive(Clone, Debug, Default)]
struct Tree {
    parent: Vec<usize>,
    depth: Vec<usize>,
    flow: Vec<i64>,
    first_child: Vec<usize>,
    next_sibling: Vec<usize>,
    previous_sibling: Vec<usize>,
}

impl Tree {
    fn clear(&mut self, nodes: usize) {
        for links in [
            &mut self.parent,
            &mut self.first_child,
            &mut self.next_sibling,
            &mut self.previous_sibling,
        ] {
            links.clear();
            links.resize(nodes, NONE);
        }
        self.depth.clear();
        self.depth.resize(nodes, 0);
        self.flow.clear();
        self.flow.resize(nodes, 0);
    }

    fn attach(&mut self, node: usize, parent: usize, flow: i64) {
        let sibling = self.first_child[parent];
        self.next_sibling[node] = sibling;
        self.previous_sibling[node] = NONE;
        if sibling != NONE {
            self.previous_sibling[sibling] = node;
        }
        self.first_child[parent] = node;
        self.parent[node] = parent;
        self.depth[node] = self.depth[parent] + 1;
        self.flow[node] = flow;
    }

    fn detach(&mut self, node: usize) {
        let (previous, next) = (self.previous_sibling[node], self.next_sibling[node]);
        if previous == NONE {
            self.first_child[self.parent[node]] = next;
        } else {
            self.next_sibling[previous] = next;
        }
        if next != NONE {
            self.previous_sibling[next] = previous;
        }
    }

    /// Cuts the edge above `cut`, turns the path from `moved` up to it over, and attaches `moved`
    /// below `new_parent`. Depths of the moved part are left to the caller.
    fn hang(&mut self, moved: usize, cut: usize, new_parent: usize, new_flow: i64) {
        let (mut node, mut parent, mut flow) = (moved, new_parent, new_flow);
        loop {
            let (old_parent, old_flow) = (self.parent[node], self.flow[node]);
            self.detach(node);
            self.attach(node, parent, flow);
            if node == cut {
                return;
            }
            (node, parent, flow) = (old_parent, node, old_flow);
        }
    }

    /// The node after `node` in the preorder of the part below `top`.
    fn next_below(&self, mut node: usize, top: usize) -> Option<usize> {
        if self.first_child[node] != NONE {
            return Some(self.first_child[node]);
        }
        while node != top {
            if self.next_sibling[node] != NONE {
                return Some(self.next_sibling[node]);
            }
            node = self.parent[node];
        }
        None
    }
}

#[cfg(test)]
impl Transport {
    /// Checks the certificate of optimality: a feasible positive flow on the tree, potentials that
    /// no cost undercuts and that are tight on the tree.
    pub(super) fn assert_optimal(&self) {
        let nodes = self.sources + self.sinks;
        let bits = Self::perturbation_bits(self.sources);
        let mut balance: Vec<i64> = self.amount.iter().map(|&amount| amount << bits).collect();
        balance[..self.sources].iter_mut().for_each(|supply| *supply += 1);
        balance[nodes - 1] += self.sources as i64;
        for node in 1..nodes {
            let parent = self.tree.parent[node];
            let (source, sink) = (node.min(parent), node.max(parent));
            assert!(source < self.sources && sink >= self.sources);
            assert!(self.tree.flow[node] > 0);
            balance[node] -= self.tree.flow[node];
            balance[parent] -= self.tree.flow[node];
            assert_eq!(
                self.potential[source] + self.potential[sink],
                self.cost(source, sink)
            );
        }
        assert!(balance.iter().all(|&left| left == 0));
        for source in 0..self.sources {
            for sink in self.sources..nodes {
                assert!(self.potential[source] + self.potential[sink] <= self.cost(source, sink));
            }
        }
    }
}
