//! Every flip of register bits in every cycle of one sample, class by class.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Kind, Monitor, Outcomes, StrikeBench, StrikeOutcome, TrialUnit};
use crate::accelerator::Accelerator;
use crate::fault::Targets;
use crate::outcome::Evaluator;
use crate::simulate::cycle::{CycleFault, Pipeline, RegisterBit, RegisterClass, RegisterRow, Site};

/// Which register bits are flipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegisterSelection {
    /// Only those whose path begins so: a layer, a unit or a register. All where there is none.
    pub paths: Vec<String>,
    /// Only those of these classes. All where there is none.
    pub classes: Vec<RegisterClass>,
    /// Of those every bit of this number, counted from the first.
    pub every: u64,
}

impl Default for RegisterSelection {
    fn default() -> Self {
        Self {
            paths: Vec::new(),
            classes: Vec::new(),
            every: 1,
        }
    }
}

impl RegisterSelection {
    fn has(&self, row: &RegisterRow) -> bool {
        let begins = |path: &String| {
            let rest = row.path.strip_prefix(path.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        (self.paths.is_empty() || self.paths.iter().any(begins))
            && (self.classes.is_empty() || self.classes.contains(&row.register.class))
    }
}

/// Every flip of the selected register bits in every cycle between the last outputs of two samples, one flip of each
/// class ([`FlipClass`](crate::simulate::cycle::FlipClass)) in a run of its own on three samples in a row. Each class
/// weighs as many cycles as it has flips, so shares are numbers of flips over numbers of flips: nothing is sampled.
#[derive(Serialize)]
pub struct RegisterClasses {
    accelerator: Arc<Accelerator>,
    /// The sample in front of the struck one, that one, and the one behind it.
    inputs: Vec<i64>,
    evaluator: Arc<Evaluator>,
    selection: RegisterSelection,
    #[serde(skip)]
    pipeline: Arc<Pipeline>,
    #[serde(skip)]
    targets: Targets,
    #[serde(skip)]
    bench: StrikeBench,
    #[serde(skip)]
    bits: Vec<RegisterBit>,
    #[serde(skip)]
    cycles: Range<u64>,
    #[serde(skip)]
    classes: Vec<Class>,
}

/// A class as it is kept.
#[derive(Clone, Copy)]
struct Class {
    /// Which of the bits.
    bit: u32,
    first: u32,
    last: u32,
    is_harmless: bool,
}

/// Why there are no classes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClassesError {
    /// No bit, or no cycle.
    #[error("no register bit is selected, or no sample is there")]
    Empty,
    /// The run cannot be recorded.
    #[error(
        "the run of three samples cannot be recorded: it is too long, or a unit writes into a memory of parameters"
    )]
    Unrecorded,
    /// There are too many.
    #[error("{bits} register bits in {cycles} cycles have {classes} classes of flips")]
    TooMany {
        /// Bits.
        bits: usize,
        /// Cycles.
        cycles: u64,
        /// Their classes.
        classes: u64,
        /// Most.
        most: u64,
    },
}

/// Most classes, a row each.
const MOST_CLASSES: u64 = 1 << 25;

/// Samples that follow each other: one in front and one behind that which is struck.
const WINDOW: usize = 3;

/// How it is known what the flips of a class come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecidedBy {
    /// The rule of the class alone: overwritten, never read, or dead.
    Rule,
    /// One of them was simulated by the cycle engine.
    Cycle,
}

/// What the flips of a class come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassEffect {
    /// The outcome of each.
    pub outcome: StrikeOutcome,
    /// Output values that differ or are missing, over all samples of the run.
    pub wrong_values: u64,
    /// How it is known.
    pub decided_by: DecidedBy,
}

/// A line of the records: one class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassRow {
    class: u64,
    layer: String,
    unit: String,
    register: String,
    bit: u32,
    first_cycle: u64,
    last_cycle: u64,
    weight: u64,
    outcome: StrikeOutcome,
    wrong_values: u64,
    decided_by: DecidedBy,
}

/// Sums over classes, for each register in the order of the table of registers.
#[derive(Clone, Debug, Default)]
pub struct ClassSums {
    by_register: Vec<Tally>,
}

/// Classes and flips of one register.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    flips: Outcomes,
    classes: u64,
    classes_by_rule: u64,
    flips_by_rule: u64,
    wrong_values: u64,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        let flips = self.flips.iter_mut().zip(other.flips);
        flips.for_each(|(sum, flips)| *sum += flips);
        self.classes += other.classes;
        self.classes_by_rule += other.classes_by_rule;
        self.flips_by_rule += other.flips_by_rule;
        self.wrong_values += other.wrong_values;
    }
}

/// Flips with one outcome.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExactOutcome {
    /// The outcome.
    pub outcome: StrikeOutcome,
    /// Flips that come to it.
    pub flips: u64,
    /// Over all flips.
    pub share: f64,
}

/// What all flips of some register bits come to: exact numbers for this sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExactShares {
    /// Bits that were flipped.
    pub bits: u64,
    /// Flips: bits times cycles.
    pub flips: u64,
    /// Their classes.
    pub classes: u64,
    /// Classes that the rule alone decides.
    pub classes_by_rule: u64,
    /// Their flips.
    pub flips_by_rule: u64,
    /// Flips with any effect over all flips; none without flips.
    pub avf: Option<f64>,
    /// The AVF times the bits.
    pub effective_bits: f64,
    /// Wrong output values of all flips over all flips.
    pub mean_wrong_values: f64,
    /// By outcome, harmless first.
    pub outcomes: Vec<ExactOutcome>,
}

impl ExactShares {
    fn new(bits: u64, tally: &Tally) -> Self {
        let flips: u64 = tally.flips.iter().sum();
        let over = |number: u64| match flips {
            0 => 0.0,
            flips => number as f64 / flips as f64,
        };
        let effective = flips - tally.flips[StrikeOutcome::NoEffect as usize];
        Self {
            bits,
            flips,
            classes: tally.classes,
            classes_by_rule: tally.classes_by_rule,
            flips_by_rule: tally.flips_by_rule,
            avf: (flips > 0).then(|| over(effective)),
            effective_bits: over(effective) * bits as f64,
            mean_wrong_values: over(tally.wrong_values),
            outcomes: StrikeOutcome::ALL
                .into_iter()
                .map(|outcome| ExactOutcome {
                    outcome,
                    flips: tally.flips[outcome as usize],
                    share: over(tally.flips[outcome as usize]),
                })
                .collect(),
        }
    }
}

/// The shares of a group of registers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExactGroup {
    /// A register's path, a unit, a layer or a class.
    pub name: String,
    /// Its shares.
    #[serde(flatten)]
    pub shares: ExactShares,
}

/// What all flips come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassesReport {
    /// The network.
    pub network: String,
    /// The hardware file's name.
    pub hardware: String,
    /// `register_classes`.
    pub kind: &'static str,
    /// Cycles of the sample, of a run of three: those between the last outputs of the first and the second.
    pub cycles: Range<u64>,
    /// What is counted, and that it is no estimate.
    pub note: &'static str,
    /// All flips.
    pub all: ExactShares,
    /// By unit.
    pub by_unit: Vec<ExactGroup>,
    /// By register class.
    pub by_class: Vec<ExactGroup>,
    /// By layer.
    pub by_layer: Vec<ExactGroup>,
    /// By register.
    pub by_register: Vec<ExactGroup>,
    /// What was left out.
    pub not_examined: NotFlipped,
}

/// What is not flipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotFlipped {
    /// Register bits that were not selected.
    pub register_bits: u64,
    /// Stored bits of weights, biases and thresholds, which are no registers.
    pub stored_bits: u64,
    /// What else is left out.
    pub note: &'static str,
}

const NOTE: &str = "every flip of the selected bits in every cycle of this one sample, one of each class simulated: shares are exact and have no interval; they say nothing of other samples, nor of bits that were not selected";
const NOT_FLIPPED: &str =
    "wires; registers while the first sample comes in and the last one goes out; one bit at a time";

impl RegisterClasses {
    /// The classes of flips while sample `sample` of these (mantissas, one after the other) is on its way.
    ///
    /// # Errors
    /// [`ClassesError`] where there is nothing to flip, the run cannot be recorded, or there are too many classes.
    pub fn new(
        accelerator: Arc<Accelerator>,
        pipeline: Arc<Pipeline>,
        inputs: &[i64],
        evaluator: Arc<Evaluator>,
        (sample, selection): (usize, RegisterSelection),
    ) -> Result<Self, ClassesError> {
        let network = accelerator.network();
        let elements = network.tensor(network.input).len().max(1);
        let samples = inputs.len() / elements;
        if samples == 0 {
            return Err(ClassesError::Empty);
        }
        let window: Vec<i64> = (0..WINDOW)
            .flat_map(|at| {
                let of_window = (sample + samples * WINDOW + at - 1) % samples;
                inputs[of_window * elements..][..elements].iter().copied()
            })
            .collect();
        let targets = Targets::of(Arc::clone(&accelerator), &pipeline);
        let bench = StrikeBench::new(
            Arc::clone(&accelerator),
            Arc::clone(&pipeline),
            window.clone(),
            Arc::clone(&evaluator),
        );
        let bits = selected(&targets, &selection);
        let cycles = bench.fault_free().steady.clone().unwrap_or_default();
        if bits.is_empty() || cycles.is_empty() {
            return Err(ClassesError::Empty);
        }
        let classes = classes(&bench, &targets, &bits, cycles.clone())?;
        Ok(Self {
            accelerator,
            inputs: window,
            evaluator,
            selection,
            pipeline,
            targets,
            bench,
            bits,
            cycles,
            classes,
        })
    }

    /// Bits that are flipped.
    #[must_use]
    pub fn bits(&self) -> &[RegisterBit] {
        &self.bits
    }

    /// Edges behind which they are flipped.
    #[must_use]
    pub fn cycles(&self) -> Range<u64> {
        self.cycles.clone()
    }

    /// The run that is struck.
    #[must_use]
    pub fn bench(&self) -> &StrikeBench {
        &self.bench
    }

    /// The number of the class that a flip of a bit behind an edge is of.
    #[must_use]
    pub fn class_of(&self, bit: RegisterBit, cycle: u64) -> Option<u64> {
        let bit = self.bits.iter().position(|&other| other == bit)? as u32;
        let holds = |class: &Class| {
            class.bit == bit && (u64::from(class.first)..=u64::from(class.last)).contains(&cycle)
        };
        self.classes.iter().position(holds).map(|at| at as u64)
    }

    fn class(&self, number: u64) -> (Class, RegisterBit) {
        let class = self.classes[number as usize];
        (class, self.bits[class.bit as usize])
    }

    fn effect(&self, number: u64) -> ClassEffect {
        let (class, bit) = self.class(number);
        if class.is_harmless {
            return ClassEffect {
                outcome: StrikeOutcome::NoEffect,
                wrong_values: 0,
                decided_by: DecidedBy::Rule,
            };
        }
        let fault = CycleFault {
            cycle: Some(class.last.into()),
            site: Site::Register(bit),
        };
        let (outcome, wrong_values) = self.bench.effect(&[fault]);
        ClassEffect {
            outcome,
            wrong_values,
            decided_by: DecidedBy::Cycle,
        }
    }

    fn shares(&self, sums: &ClassSums, bits: &[u64], of: impl Fn(&RegisterRow) -> bool) -> ExactShares {
        let mut tally = Tally::default();
        let mut of_group = 0;
        let rows = self.targets.table().rows().iter().zip(&sums.by_register);
        for ((_, own), bits) in rows.zip(bits).filter(|((row, _), _)| of(row)) {
            tally.add(own);
            of_group += bits;
        }
        ExactShares::new(of_group, &tally)
    }
}

fn selected(targets: &Targets, selection: &RegisterSelection) -> Vec<RegisterBit> {
    let rows = targets.table().rows().iter().filter(|row| selection.has(row));
    let bits = rows.flat_map(|row| {
        let register = &row.register;
        (0..register.words).flat_map(move |word| {
            (0..register.lanes)
                .flat_map(move |lane| (0..register.lane_bits).filter_map(move |bit| row.bit(word, lane, bit)))
        })
    });
    let every = selection.every.clamp(1, u32::MAX.into()) as usize;
    bits.step_by(every).collect()
}

/// Bits of one stage that are followed together.
const FOLLOWED: usize = 512;

fn classes(
    bench: &StrikeBench,
    targets: &Targets,
    bits: &[RegisterBit],
    cycles: Range<u64>,
) -> Result<Vec<Class>, ClassesError> {
    let recording = bench.recording().ok_or(ClassesError::Unrecorded)?;
    let fits = cycles.end <= u64::from(u32::MAX) && bits.len() <= u32::MAX as usize;
    let table = targets.table();
    let stage = |bit: RegisterBit| table.number(bit).map(|number| table.rows()[number].stage);
    let groups: Vec<(usize, &[RegisterBit])> = bits
        .chunk_by(|&a, &b| stage(a) == stage(b))
        .flat_map(|of_stage| of_stage.chunks(FOLLOWED))
        .scan(0, |first, group| {
            let begin = *first;
            *first += group.len();
            Some((begin, group))
        })
        .collect();
    let count = AtomicU64::new(0);
    let found: Vec<Vec<Class>> = groups
        .into_par_iter()
        .map(|(begin, group)| {
            let mut classes = Vec::new();
            let mut own = 0;
            recording.classes(
                stage(group[0]).unwrap_or(0),
                group,
                cycles.clone(),
                |at, class| {
                    own += 1;
                    if fits && own + count.load(Ordering::Relaxed) <= MOST_CLASSES {
                        classes.push(Class {
                            bit: (begin + at) as u32,
                            first: class.first as u32,
                            last: class.last as u32,
                            is_harmless: class.is_harmless,
                        });
                    }
                },
            );
            count.fetch_add(own, Ordering::Relaxed);
            // Neighbours in time are struck one after the other.
            classes.sort_by_key(|class| (class.last, class.bit));
            classes
        })
        .collect();
    let count = count.into_inner();
    if !fits || count > MOST_CLASSES {
        return Err(ClassesError::TooMany {
            bits: bits.len(),
            cycles: cycles.end - cycles.start,
            classes: count,
            most: MOST_CLASSES,
        });
    }
    Ok(found.concat())
}

impl Kind for RegisterClasses {
    type Trial = ClassEffect;
    type Row = ClassRow;
    type Sums = ClassSums;
    type Report = ClassesReport;

    fn name(&self) -> &'static str {
        "register_classes"
    }

    fn trial_unit(&self) -> TrialUnit {
        TrialUnit::Strike
    }

    fn columns(&self) -> &'static str {
        "class,layer,unit,register,bit,first_cycle,last_cycle,weight,outcome,wrong_values,decided_by"
    }

    fn trials(&self) -> u64 {
        self.classes.len() as u64
    }

    fn block(&self, numbers: Range<u64>, monitor: &dyn Monitor) -> Option<Vec<ClassEffect>> {
        numbers
            .into_par_iter()
            .map(|number| {
                if monitor.stopped() {
                    return None;
                }
                let effect = self.effect(number);
                monitor.advance(1);
                Some(effect)
            })
            .collect()
    }

    fn rows(&self, number: u64, effect: &ClassEffect) -> Vec<ClassRow> {
        let (class, bit) = self.class(number);
        let table = self.targets.table();
        let holder = table.number(bit).map(|number| &table.rows()[number]);
        vec![ClassRow {
            class: number,
            layer: holder.map_or_else(String::new, |row| self.layer_name(row)),
            unit: holder.map_or_else(String::new, |row| self.unit_name(row)),
            register: table.path(bit).unwrap_or_default(),
            bit: bit.bit,
            first_cycle: class.first.into(),
            last_cycle: class.last.into(),
            weight: u64::from(class.last - class.first) + 1,
            outcome: effect.outcome,
            wrong_values: effect.wrong_values,
            decided_by: effect.decided_by,
        }]
    }

    fn recall(&self, number: u64, mut rows: Vec<ClassRow>) -> Result<ClassEffect, String> {
        let wrong = || format!("is not the line of class {number}");
        let row = rows.pop().ok_or_else(wrong)?;
        let effect = ClassEffect {
            outcome: row.outcome,
            wrong_values: row.wrong_values,
            decided_by: row.decided_by,
        };
        match self.rows(number, &effect) == [row] {
            true => Ok(effect),
            false => Err(wrong()),
        }
    }

    fn sums(&self) -> ClassSums {
        ClassSums {
            by_register: vec![Tally::default(); self.targets.table().rows().len()],
        }
    }

    fn add(&self, sums: &mut ClassSums, number: u64, effect: &ClassEffect) {
        let (class, bit) = self.class(number);
        let weight = u64::from(class.last - class.first) + 1;
        let by_rule = effect.decided_by == DecidedBy::Rule;
        let Some(register) = self.targets.table().number(bit) else {
            return;
        };
        let mut own = Tally {
            classes: 1,
            classes_by_rule: by_rule.into(),
            flips_by_rule: u64::from(by_rule) * weight,
            wrong_values: effect.wrong_values * weight,
            ..Tally::default()
        };
        own.flips[effect.outcome as usize] = weight;
        sums.by_register[register].add(&own);
    }

    fn report(&self, sums: &ClassSums) -> ClassesReport {
        let network = self.accelerator.network();
        let table = self.targets.table();
        let mut bits = vec![0u64; table.rows().len()];
        for number in self.bits.iter().filter_map(|&bit| table.number(bit)) {
            bits[number] += 1;
        }
        let group = |name: String, of: &dyn Fn(&RegisterRow) -> bool| ExactGroup {
            name,
            shares: self.shares(sums, &bits, of),
        };
        let flipped = |groups: Vec<ExactGroup>| -> Vec<ExactGroup> {
            groups.into_iter().filter(|group| group.shares.bits > 0).collect()
        };
        let units = self.pipeline.stages().iter().enumerate();
        let by_unit = units.map(|(stage, placed)| group(placed.name.clone(), &|row| row.stage == stage));
        let by_class = RegisterClass::ALL.into_iter();
        let by_class =
            by_class.map(|class| group(class.name().to_owned(), &|row| row.register.class == class));
        let layers = network.layers.iter();
        let by_layer = layers.map(|layer| {
            group(layer.name.clone(), &|row| {
                network.layer(row.layer).name == layer.name
            })
        });
        let by_register = table.rows().iter().enumerate().map(|(number, row)| ExactGroup {
            name: row.path.clone(),
            shares: ExactShares::new(bits[number], &sums.by_register[number]),
        });
        ClassesReport {
            network: network.name.clone(),
            hardware: self.accelerator.name().to_owned(),
            kind: self.name(),
            cycles: self.cycles.clone(),
            note: NOTE,
            all: self.shares(sums, &bits, |_| true),
            by_unit: flipped(by_unit.collect()),
            by_class: flipped(by_class.collect()),
            by_layer: flipped(by_layer.collect()),
            by_register: flipped(by_register.collect()),
            not_examined: NotFlipped {
                register_bits: self.targets.register_bits() - self.bits.len() as u64,
                stored_bits: self.accelerator.map().total_bits(),
                note: NOT_FLIPPED,
            },
        }
    }
}

impl RegisterClasses {
    fn layer_name(&self, row: &RegisterRow) -> String {
        self.accelerator.network().layer(row.layer).name.clone()
    }

    fn unit_name(&self, row: &RegisterRow) -> String {
        self.pipeline.stages()[row.stage].name.clone()
    }
}
