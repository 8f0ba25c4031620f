//! Strikes on registers, FIFOs, line buffers and control state, each at a cycle of its own.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use rand::RngExt;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::statistics::clopper_pearson;
use super::{Kind, Monitor, OutcomeShare, StrikeBench, StrikeOutcome, StrikeShares, TrialUnit, stream};
use crate::accelerator::Accelerator;
use crate::fault::Targets;
use crate::network::LayerId;
use crate::outcome::Evaluator;
use crate::simulate::cycle::{self, CycleFault, Pipeline, RegisterClass, RegisterTensor};

/// Strikes on register bits, each another bit in another cycle of steady operation and in a run of its own on
/// three samples in a row. Bits and cycles are uniform over all registers and over the cycles between the last
/// outputs of two samples, so a storage weighs as much as the time that it is live.
#[derive(Serialize)]
pub struct RegisterStrikes {
    accelerator: Arc<Accelerator>,
    inputs: Arc<Vec<i64>>,
    evaluator: Arc<Evaluator>,
    strikes: u64,
    seed: u64,
    #[serde(skip)]
    pipeline: Arc<Pipeline>,
    #[serde(skip)]
    targets: Targets,
    /// One for each window of samples, run when the first strike comes.
    #[serde(skip)]
    benches: OnceLock<Vec<StrikeBench>>,
}

/// A strike on a register in the middle of steady operation, and what it came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterStrike {
    /// Bit and cycle.
    pub fault: CycleFault,
    /// Which of the windows of samples was running.
    pub window: usize,
    /// What it came to.
    pub outcome: StrikeOutcome,
}

/// A line of the records: one strike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrikeRow {
    strike: u64,
    layer: String,
    tensor: String,
    element: u64,
    bit: u32,
    cycle: Option<u64>,
    window: usize,
    outcome: StrikeOutcome,
    register: String,
}

/// Strikes by outcome, in the order of [`StrikeOutcome::ALL`].
type Outcomes = [u64; StrikeOutcome::ALL.len()];

/// Sums over strikes.
#[derive(Clone, Debug, Default)]
pub struct StrikeSums {
    all: Outcomes,
    by_class: BTreeMap<String, Outcomes>,
    by_layer: BTreeMap<String, Outcomes>,
}

/// What strikes on registers come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RegisterReport {
    /// The network.
    pub network: String,
    /// The hardware file's name.
    pub hardware: String,
    /// `registers`.
    pub kind: &'static str,
    /// Seed.
    pub seed: u64,
    /// Samples of the workload.
    pub samples: usize,
    /// Cycles between two samples in steady operation.
    pub cycles_per_inference: u64,
    /// Of all strikes.
    pub all: StrikeShares,
    /// By register class.
    pub by_class: Vec<StrikeShares>,
    /// By layer.
    pub by_layer: Vec<StrikeShares>,
}

/// Samples that follow each other in one window: one in front and one behind that which is struck.
const WINDOW: usize = 3;

/// Most windows: strikes take turns.
const WINDOWS: usize = 8;

impl RegisterStrikes {
    /// So many strikes on an accelerator that runs these samples (mantissas, one after the other).
    #[must_use]
    pub fn new(
        accelerator: Arc<Accelerator>,
        pipeline: Arc<Pipeline>,
        inputs: Arc<Vec<i64>>,
        evaluator: Arc<Evaluator>,
        (strikes, seed): (u64, u64),
    ) -> Self {
        Self {
            targets: Targets::of(Arc::clone(&accelerator), &pipeline),
            accelerator,
            pipeline,
            inputs,
            evaluator,
            strikes,
            seed,
            benches: OnceLock::new(),
        }
    }

    fn samples(&self) -> usize {
        let network = self.accelerator.network();
        self.inputs.len() / network.tensor(network.input).len().max(1)
    }

    fn benches(&self) -> &[StrikeBench] {
        self.benches.get_or_init(|| {
            let network = self.accelerator.network();
            let elements = network.tensor(network.input).len().max(1);
            let samples = self.samples();
            (0..samples.min(WINDOWS))
                .into_par_iter()
                .map(|first| {
                    let sample = |at: usize| &self.inputs[(first + at) % samples * elements..][..elements];
                    let inputs = (0..WINDOW).flat_map(|at| sample(at).iter().copied()).collect();
                    StrikeBench::new(
                        Arc::clone(&self.accelerator),
                        Arc::clone(&self.pipeline),
                        inputs,
                        Arc::clone(&self.evaluator),
                    )
                })
                .collect()
        })
    }

    /// Where and when a strike comes, and in which window.
    fn draw(&self, strike: u64) -> Option<(CycleFault, usize)> {
        let benches = self.benches();
        let bits = self.targets.register_bits();
        if benches.is_empty() || bits == 0 {
            return None;
        }
        let mut random = stream(self.seed, strike);
        let window = (strike % benches.len() as u64) as usize;
        let cycles = benches[window].fault_free().steady.clone()?;
        let site = self
            .targets
            .register_bit(&RegisterClass::ALL, random.random_range(0..bits))?;
        let cycle = Some(random.random_range(cycles));
        Some((CycleFault { cycle, site }, window))
    }

    fn shares(&self, class: &str, outcomes: &Outcomes, of: impl Fn(&RegisterTensor) -> bool) -> StrikeShares {
        let registers = self.targets.registers().iter();
        let bits = registers
            .filter(|tensor| of(tensor))
            .map(RegisterTensor::bits)
            .sum();
        let strikes = outcomes.iter().sum();
        let share = |count: u64| {
            if strikes == 0 {
                0.0
            } else {
                count as f64 / strikes as f64
            }
        };
        let effective = strikes - outcomes[StrikeOutcome::NoEffect as usize];
        let of_outcome = |outcome: StrikeOutcome| {
            let count = outcomes[outcome as usize];
            OutcomeShare {
                outcome,
                strikes: count,
                share: share(count),
                interval: clopper_pearson(count, strikes),
            }
        };
        StrikeShares {
            class: class.to_owned(),
            bits,
            strikes,
            outcomes: StrikeOutcome::ALL.into_iter().map(of_outcome).collect(),
            effective: share(effective),
            effective_interval: clopper_pearson(effective, strikes),
        }
    }

    /// Cycles between two samples in steady operation; they do not depend on the data.
    fn interval(&self) -> u64 {
        let network = self.accelerator.network();
        let samples = vec![0; WINDOW * network.tensor(network.input).len()];
        let run = cycle::run(
            &self.pipeline,
            &self.accelerator,
            &samples,
            &[],
            cycle::Settings::default(),
        );
        run.timing.initiation_interval.unwrap_or(0)
    }
}

impl Kind for RegisterStrikes {
    /// None where there is no register to strike.
    type Trial = Option<RegisterStrike>;
    type Row = StrikeRow;
    type Sums = StrikeSums;
    type Report = RegisterReport;

    fn name(&self) -> &'static str {
        "registers"
    }

    fn trial_unit(&self) -> TrialUnit {
        TrialUnit::Strike
    }

    fn columns(&self) -> &'static str {
        "strike,layer,tensor,element,bit,cycle,window,outcome,register"
    }

    fn trials(&self) -> u64 {
        self.strikes
    }

    fn block(&self, numbers: Range<u64>, monitor: &dyn Monitor) -> Option<Vec<Self::Trial>> {
        let benches = self.benches();
        numbers
            .into_par_iter()
            .map(|strike| {
                if monitor.stopped() {
                    return None;
                }
                let done = self.draw(strike).map(|(fault, window)| RegisterStrike {
                    fault,
                    window,
                    outcome: benches[window].outcome(&[fault]),
                });
                monitor.advance(1);
                Some(done)
            })
            .collect()
    }

    fn rows(&self, strike: u64, done: &Self::Trial) -> Vec<StrikeRow> {
        let row = |done: &RegisterStrike| {
            let named = self.targets.named(done.fault.site);
            StrikeRow {
                strike,
                layer: named.layer,
                tensor: named.tensor,
                element: named.element,
                bit: named.bit,
                cycle: done.fault.cycle,
                window: done.window,
                outcome: done.outcome,
                register: self.targets.register_path(done.fault.site).unwrap_or_default(),
            }
        };
        done.iter().map(row).collect()
    }

    fn recall(&self, strike: u64, mut rows: Vec<StrikeRow>) -> Result<Self::Trial, String> {
        let wrong = || format!("is not the line of strike {strike}");
        let row = rows.pop().ok_or_else(wrong)?;
        let (fault, window) = self.draw(strike).ok_or_else(wrong)?;
        let again = RegisterStrike {
            fault,
            window,
            outcome: row.outcome,
        };
        if self.rows(strike, &Some(again)) == [row] {
            Ok(Some(again))
        } else {
            Err(wrong())
        }
    }

    fn sums(&self) -> StrikeSums {
        StrikeSums::default()
    }

    fn add(&self, sums: &mut StrikeSums, _strike: u64, done: &Self::Trial) {
        let Some(done) = done else { return };
        let named = self.targets.named(done.fault.site);
        for outcomes in [
            &mut sums.all,
            sums.by_class.entry(named.tensor).or_default(),
            sums.by_layer.entry(named.layer).or_default(),
        ] {
            outcomes[done.outcome as usize] += 1;
        }
    }

    fn report(&self, sums: &StrikeSums) -> RegisterReport {
        let none = Outcomes::default();
        let network = self.accelerator.network();
        let by_class = RegisterClass::ALL.into_iter().map(|class| {
            let outcomes = sums.by_class.get(class.name()).unwrap_or(&none);
            self.shares(class.name(), outcomes, |tensor| tensor.class == class)
        });
        let by_layer = network.layers.iter().enumerate().map(|(index, layer)| {
            let outcomes = sums.by_layer.get(&layer.name).unwrap_or(&none);
            self.shares(&layer.name, outcomes, |tensor| {
                tensor.layer == LayerId::from(index)
            })
        });
        RegisterReport {
            network: network.name.clone(),
            hardware: self.accelerator.name().to_owned(),
            kind: self.name(),
            seed: self.seed,
            samples: self.samples(),
            cycles_per_inference: self.interval(),
            all: self.shares("all", &sums.all, |_| true),
            by_class: by_class.filter(|shares| shares.bits > 0).collect(),
            by_layer: by_layer.filter(|shares| shares.bits > 0).collect(),
        }
    }

    fn relative_error(&self, sums: &StrikeSums) -> Option<f64> {
        let all = self.shares("all", &sums.all, |_| true);
        let interval = &all.effective_interval;
        (all.effective > 0.0).then(|| (interval.high - interval.low) / (2.0 * all.effective))
    }
}
