//! The earth mover's distance between two vectors of masses.
//!
//! With both vectors normalised to sum 1 it is the least total `mass * distance` over all ways to
//! move the one onto the other (Rubner, Tomasi, Guibas, IJCV 40, 2000). The optimum is found on
//! integers: masses are rounded to 2^-52 of the total (2^-50 beyond 511 cells), distances to 2^-44 of
//! the largest (2^-40 beyond 64 cells), so that the answer is one number whatever path the algorithm
//! takes to it: it is computed from the least total, an integer, and not from the flow that has it, of which there may
//! be several. So the search may start anywhere, and it starts from the best basis of the problem before: under faults
//! that is mostly the same target with an output that differs little.

mod simplex;

use simplex::Transport;

use super::{OutcomeError, OutcomePart};

/// Value where the target has no mass.
pub const EMPTY_TARGET: f64 = -1.0;

/// Value where the target has mass and the output has none.
pub const EMPTY_OUTPUT: f64 = -0.5;

/// Most cells of a vector: checking a larger ground distance takes minutes, and its integers would
/// leave less room for precise masses.
pub const MAX_CELLS: usize = 1 << 10;

/// A violation of the triangle inequality below this share of the largest distance is rounding.
const METRIC_SLACK: f64 = 1.0 / (1u64 << 46) as f64;

/// The earth mover's distance under one ground distance.
#[derive(Clone, Debug)]
pub struct EarthMover {
    cells: usize,
    /// Distances on the integer grid, row-major `[target cell][output cell]`.
    costs: Vec<f64>,
    /// A distance is its cost times this power of two.
    cost_unit: f64,
    /// Masses sum to two to this power.
    mass_bits: u32,
    is_metric: bool,
}

/// Working memory of one thread.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    target: Vec<i64>,
    output: Vec<i64>,
    sources: Vec<usize>,
    sinks: Vec<usize>,
    transport: Transport,
    last: Last,
}

/// What is left of the problem before.
#[derive(Clone, Debug, Default)]
struct Last {
    /// The target and its masses.
    target: Vec<f64>,
    masses: Vec<i64>,
    mass_bits: u32,
    /// Basis of the last solution: cells of source and sink, from the leaves of the tree on.
    basis: Vec<(usize, usize)>,
    /// Dual values of the cells that were sources and of those that were sinks, NaN elsewhere.
    source_potential: Vec<f64>,
    sink_potential: Vec<f64>,
    /// Number of each cell among the sources and among the sinks, or [`NONE`].
    source_of: Vec<usize>,
    sink_of: Vec<usize>,
}

/// No number.
const NONE: usize = usize::MAX;

impl EarthMover {
    /// All that determines it, as text.
    pub(super) fn identity(&self) -> String {
        let costs: Vec<String> = self.costs.iter().map(|cost| format!("{cost:e}")).collect();
        format!(
            "{} {:e} {} {} {}",
            self.cells,
            self.cost_unit,
            self.mass_bits,
            self.is_metric,
            costs.join(" ")
        )
    }

    /// Checks a ground distance: `cells * cells` values, row-major, row = cell of the target.
    ///
    /// # Errors
    /// [`OutcomeError`] where the shape is not square, a distance is negative or not finite, or
    /// there are more than [`MAX_CELLS`] cells.
    pub fn new(shape: &[usize], distances: &[f64]) -> Result<Self, OutcomeError> {
        let fail = |problem: String| {
            OutcomeError::new(OutcomePart::GroundDistance, problem).remedy(
                "a square matrix of finite distances that are not negative, one row and one column per cell",
                "name the right array of distances",
            )
        };
        let &[cells, columns] = shape else {
            return Err(fail(format!("has the shape {shape:?}")));
        };
        if cells != columns || cells == 0 || cells.checked_mul(cells) != Some(distances.len()) {
            return Err(fail(format!(
                "has the shape {shape:?} with {} values",
                distances.len()
            )));
        }
        if cells > MAX_CELLS {
            return Err(fail(format!(
                "has {cells} cells, more than the {MAX_CELLS} supported"
            )));
        }
        if let Some(at) = distances.iter().position(|d| !d.is_finite() || *d < 0.0) {
            return Err(fail(format!(
                "from cell {} to cell {} is {}",
                at / cells,
                at % cells,
                distances[at]
            )));
        }
        // A potential is a sum of at most 2 * cells costs and has to stay an exact f64 integer,
        // also while it is compared with a cost.
        let node_bits = (4 * cells).next_power_of_two().trailing_zeros();
        let largest = distances.iter().fold(0.0f64, |a, &b| a.max(b));
        let exponent = if largest > 0.0 {
            libm::ilogb(largest) + 1
        } else {
            0
        };
        let cost_unit_exponent = exponent - (53 - node_bits as i32);
        Ok(Self {
            cells,
            costs: distances
                .iter()
                .map(|&d| libm::rint(libm::scalbn(d, -cost_unit_exponent)))
                .collect(),
            cost_unit: libm::scalbn(1.0, cost_unit_exponent),
            mass_bits: Transport::mass_bits(cells).min(52),
            is_metric: is_metric(cells, distances, largest * METRIC_SLACK),
        })
    }

    /// Number of cells of a vector.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.cells
    }

    /// Whether moving over an intermediate cell never pays, so that mass which both vectors have in
    /// a cell stays there (a zero diagonal and the triangle inequality, up to rounding).
    #[must_use]
    pub fn is_metric(&self) -> bool {
        self.is_metric
    }

    /// The earth mover's distance from `target` to `output`, in the unit of the ground distance.
    ///
    /// [`EMPTY_TARGET`] where the target does not sum to a finite value above 0, [`EMPTY_OUTPUT`]
    /// where the output does not; otherwise negative entries carry no mass. A pure function of its
    /// arguments: `scratch` only lends memory.
    ///
    /// # Panics
    /// Where a vector has not [`EarthMover::cells`] entries.
    #[must_use]
    pub fn emd(&self, target: &[f64], output: &[f64], scratch: &mut Scratch) -> f64 {
        assert_eq!(target.len(), self.cells, "one target mass per cell");
        assert_eq!(output.len(), self.cells, "one output mass per cell");
        let last = &mut scratch.last;
        if last.mass_bits == self.mass_bits && last.target == target {
            scratch.target.clone_from(&last.masses);
        } else {
            last.target.clear();
            if !to_integer_masses(target, self.mass_bits, &mut scratch.target) {
                return EMPTY_TARGET;
            }
            last.mass_bits = self.mass_bits;
            last.target.extend_from_slice(target);
            last.masses.clone_from(&scratch.target);
        }
        if !to_integer_masses(output, self.mass_bits, &mut scratch.output) {
            return EMPTY_OUTPUT;
        }
        if self.is_metric {
            for (a, b) in scratch.target.iter_mut().zip(&mut scratch.output) {
                let common = (*a).min(*b);
                *a -= common;
                *b -= common;
            }
        }
        occupied(&scratch.target, &mut scratch.sources);
        occupied(&scratch.output, &mut scratch.sinks);
        if scratch.sources.is_empty() {
            return 0.0;
        }
        let transport = &mut scratch.transport;
        transport.reset(scratch.sources.len(), scratch.sinks.len());
        for (source, &i) in scratch.sources.iter().enumerate() {
            let row = &self.costs[i * self.cells..][..self.cells];
            for (cost, &j) in transport.costs_of(source).iter_mut().zip(&scratch.sinks) {
                *cost = row[j];
            }
        }
        scratch
            .last
            .begin(self, &scratch.sources, &scratch.sinks, transport);
        let supplies = scratch.sources.iter().map(|&i| scratch.target[i]);
        let demands = scratch.sinks.iter().map(|&j| scratch.output[j]);
        let total = transport.solve(supplies, demands);
        scratch.last.keep(&scratch.sources, &scratch.sinks, transport);
        libm::scalbn(total as f64, -(self.mass_bits as i32)) * self.cost_unit
    }
}

impl Last {
    /// Lets a problem start where the last one ended.
    fn begin(&mut self, mover: &EarthMover, sources: &[usize], sinks: &[usize], transport: &mut Transport) {
        if self.source_potential.len() != mover.cells {
            self.basis.clear();
            return;
        }
        self.source_of.clear();
        self.source_of.resize(mover.cells, NONE);
        self.sink_of.clear();
        self.sink_of.resize(mover.cells, NONE);
        for (number, &cell) in sources.iter().enumerate() {
            self.source_of[cell] = number;
        }
        for (number, &cell) in sinks.iter().enumerate() {
            self.sink_of[cell] = number;
        }
        for &(source, sink) in &self.basis {
            let (source, sink) = (self.source_of[source], self.sink_of[sink]);
            if source != NONE && sink != NONE {
                transport.try_first(source, sink);
            }
        }
        for (worth, &cell) in transport.worth().iter_mut().zip(sinks) {
            *worth = self.sink_potential[cell];
            if worth.is_nan() {
                // The largest value that no cost undercuts.
                let costs = mover.costs[cell..].iter().step_by(mover.cells);
                *worth = costs
                    .zip(&self.source_potential)
                    .filter(|(_, potential)| !potential.is_nan())
                    .fold(f64::INFINITY, |least, (cost, potential)| {
                        least.min(cost - potential)
                    });
            }
        }
    }

    fn keep(&mut self, sources: &[usize], sinks: &[usize], transport: &Transport) {
        let cells = self.target.len();
        for potentials in [&mut self.source_potential, &mut self.sink_potential] {
            potentials.clear();
            potentials.resize(cells, f64::NAN);
        }
        let (of_sources, of_sinks) = transport.potentials();
        for (&cell, &potential) in sources.iter().zip(of_sources) {
            self.source_potential[cell] = potential;
        }
        for (&cell, &potential) in sinks.iter().zip(of_sinks) {
            self.sink_potential[cell] = potential;
        }
        transport.basis(&mut self.basis);
        for (source, sink) in &mut self.basis {
            (*source, *sink) = (sources[*source], sinks[*sink]);
        }
    }
}

/// Whether the diagonal is zero and no way over a third cell is shorter by more than `slack`.
fn is_metric(cells: usize, distances: &[f64], slack: f64) -> bool {
    let row = |i: usize| &distances[i * cells..][..cells];
    (0..cells).all(|i| row(i)[i] == 0.0)
        && (0..cells).all(|i| {
            (0..cells).all(|j| {
                let first = row(i)[j] + slack;
                row(i)
                    .iter()
                    .zip(row(j))
                    .all(|(&direct, &second)| direct <= first + second)
            })
        })
}

/// Normalises a vector to integers that sum to 2^`bits`; `false` where it holds no mass.
///
/// What rounding leaves over goes to the largest entry (the first of several), which is far larger.
fn to_integer_masses(values: &[f64], bits: u32, masses: &mut Vec<i64>) -> bool {
    masses.clear();
    // The conventions speak of the plain sum; negative entries must not count twice.
    let plain: f64 = values.iter().sum();
    let sum: f64 = values.iter().map(|&value| value.max(0.0)).sum();
    if !(plain > 0.0 && sum.is_finite()) {
        return false;
    }
    let total = 1i64 << bits;
    let whole = total as f64;
    let mut left = total;
    let mut largest = 0;
    for (i, &value) in values.iter().enumerate() {
        let mass = libm::rint(value.max(0.0) / sum * whole) as i64;
        masses.push(mass);
        left -= mass;
        if mass > masses[largest] {
            largest = i;
        }
    }
    masses[largest] += left;
    true
}

fn occupied(masses: &[i64], cells: &mut Vec<usize>) {
    cells.clear();
    cells.extend((0..masses.len()).filter(|&i| masses[i] > 0));
}

#[cfg(test)]
mod tests;
