//! Strikes on registers, FIFOs, line buffers and control state, each at a cycle of its own.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use rand::RngExt;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    ClassShares, Kind, LayerShares, Monitor, Outcomes, PostStratified, RawRate, RegisterShares, StrikeBench,
    StrikeOutcome, StrikeShares, TrialUnit, UnitShares, stream,
};
use crate::accelerator::Accelerator;
use crate::fault::Targets;
use crate::network::LayerId;
use crate::outcome::Evaluator;
use crate::simulate::cycle::{CycleFault, FreeRun, Pipeline, RegisterClass, RegisterRow, Site};

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

/// Sums over strikes: the outcomes on each register, in the order of the table of registers.
#[derive(Clone, Debug, Default)]
pub struct StrikeSums {
    by_register: Vec<Outcomes>,
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
    /// How the strikes were drawn, and what adds up to what.
    pub sampling: &'static str,
    /// What an effect is, and so what the AVF counts.
    pub avf_counts: &'static str,
    /// Of all strikes: the plain shares.
    pub all: StrikeShares,
    /// The sum over the units of their bits times their AVF.
    pub post_stratified: PostStratified,
    /// By unit.
    pub by_unit: Vec<UnitShares>,
    /// By register class.
    pub by_class: Vec<ClassShares>,
    /// By layer.
    pub by_layer: Vec<LayerShares>,
    /// By register, in the order of the units.
    pub by_register: Vec<RegisterShares>,
    /// What was left out.
    pub not_examined: NotStruck,
}

/// What a campaign on registers says nothing of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotStruck {
    /// Registers.
    pub registers: u64,
    /// Those that nothing struck: their AVF is not known.
    pub registers_without_strikes: u64,
    /// Their bits.
    pub bits_without_strikes: u64,
    /// Stored bits of weights, biases and thresholds, which are no registers.
    pub stored_bits: u64,
    /// What else is left out.
    pub note: &'static str,
}

const SAMPLING: &str = "plain sample: strikes are uniform over all register bits and the cycles of steady operation; an AVF is the share of the strikes on its own bits, `all` of all strikes; bits times AVF of the units add up to `post_stratified`";
const AVF_COUNTS: &str = "strikes after which an output differs, a sample never comes out, or too many or too few words come out, in the struck sample or one behind it";
const NOT_STRUCK: &str = "stored bits and wires are not struck, nor registers while the first sample comes in and the last one goes out; one bit at a time";

impl RegisterReport {
    /// The same report with failure rates at a raw rate of flipped register bits.
    #[must_use]
    pub fn at_rate(mut self, raw: &RawRate) -> Self {
        let units = self.by_unit.iter_mut().map(|row| &mut row.shares);
        let classes = self.by_class.iter_mut().map(|row| &mut row.shares);
        let layers = self.by_layer.iter_mut().map(|row| &mut row.shares);
        let registers = self.by_register.iter_mut().map(|row| &mut row.shares);
        let groups = units.chain(classes).chain(layers).chain(registers);
        groups.chain([&mut self.all]).for_each(|shares| shares.rate(raw));
        self.post_stratified = PostStratified::of(&self.by_unit);
        self
    }
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

    /// Bits of all registers.
    #[must_use]
    pub fn register_bits(&self) -> u64 {
        self.targets.register_bits()
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

    /// Shares of the strikes on the registers that `of` picks.
    fn shares(&self, sums: &StrikeSums, of: impl Fn(&RegisterRow) -> bool) -> StrikeShares {
        let mut outcomes = Outcomes::default();
        let mut bits = 0;
        for (row, of_row) in self.targets.table().rows().iter().zip(&sums.by_register) {
            if of(row) {
                bits += row.register.bits();
                outcomes
                    .iter_mut()
                    .zip(of_row)
                    .for_each(|(sum, count)| *sum += count);
            }
        }
        StrikeShares::new(bits, &outcomes)
    }

    fn layer_name(&self, layer: LayerId) -> String {
        self.accelerator.network().layer(layer).name.clone()
    }

    fn unit_shares(&self, sums: &StrikeSums) -> Vec<UnitShares> {
        let units = self.pipeline.stages().iter().enumerate();
        units
            .map(|(stage, placed)| UnitShares {
                unit: placed.name.clone(),
                layer: self.layer_name(placed.layer),
                kind: placed.kind,
                shares: self.shares(sums, |row| row.stage == stage),
            })
            .filter(|row| row.shares.bits > 0)
            .collect()
    }

    fn register_shares(&self, sums: &StrikeSums) -> Vec<RegisterShares> {
        let rows = self.targets.table().rows().iter().zip(&sums.by_register);
        rows.map(|(row, outcomes)| RegisterShares {
            register: row.path.clone(),
            unit: self.pipeline.stages()[row.stage].name.clone(),
            layer: self.layer_name(row.layer),
            class: row.register.class.name(),
            words: row.register.words,
            lanes: row.register.lanes,
            lane_bits: row.register.lane_bits,
            live: row.live.to_string(),
            shares: StrikeShares::new(row.register.bits(), outcomes),
        })
        .collect()
    }

    /// Cycles between two samples in steady operation; they do not depend on the data.
    fn interval(&self) -> u64 {
        let clock = FreeRun::of(&self.pipeline).clock(WINDOW as u64);
        clock
            .and_then(|clock| clock.timing.initiation_interval)
            .unwrap_or(0)
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
        StrikeSums {
            by_register: vec![Outcomes::default(); self.targets.table().rows().len()],
        }
    }

    fn add(&self, sums: &mut StrikeSums, _strike: u64, done: &Self::Trial) {
        let Some(done) = done else { return };
        let Site::Register(bit) = done.fault.site else {
            return;
        };
        if let Some(number) = self.targets.table().number(bit) {
            sums.by_register[number][done.outcome as usize] += 1;
        }
    }

    fn report(&self, sums: &StrikeSums) -> RegisterReport {
        let network = self.accelerator.network();
        let by_class = RegisterClass::ALL.into_iter().map(|class| ClassShares {
            class: class.name(),
            shares: self.shares(sums, |row| row.register.class == class),
        });
        let by_layer = network
            .layers
            .iter()
            .enumerate()
            .map(|(index, layer)| LayerShares {
                layer: layer.name.clone(),
                shares: self.shares(sums, |row| row.layer == LayerId::from(index)),
            });
        let by_unit = self.unit_shares(sums);
        let by_register = self.register_shares(sums);
        let unstruck = || by_register.iter().filter(|row| row.shares.strikes == 0);
        let not_examined = NotStruck {
            registers: by_register.len() as u64,
            registers_without_strikes: unstruck().count() as u64,
            bits_without_strikes: unstruck().map(|row| row.shares.bits).sum(),
            stored_bits: self.accelerator.map().total_bits(),
            note: NOT_STRUCK,
        };
        RegisterReport {
            network: network.name.clone(),
            hardware: self.accelerator.name().to_owned(),
            kind: self.name(),
            seed: self.seed,
            samples: self.samples(),
            cycles_per_inference: self.interval(),
            sampling: SAMPLING,
            avf_counts: AVF_COUNTS,
            all: self.shares(sums, |_| true),
            post_stratified: PostStratified::of(&by_unit),
            by_unit,
            by_class: by_class.filter(|row| row.shares.bits > 0).collect(),
            by_layer: by_layer.filter(|row| row.shares.bits > 0).collect(),
            by_register,
            not_examined,
        }
    }

    fn relative_error(&self, sums: &StrikeSums) -> Option<f64> {
        let all = self.shares(sums, |_| true);
        let (avf, interval) = all.avf.zip(all.avf_interval)?;
        (avf > 0.0).then(|| (interval.high - interval.low) / (2.0 * avf))
    }

    fn margin(&self, sums: &StrikeSums) -> Option<f64> {
        let interval = self.shares(sums, |_| true).avf_interval?;
        Some((interval.high - interval.low) / 2.0)
    }
}
