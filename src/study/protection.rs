//! Which bits are protected under a budget, and what that buys.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::conduct::{Course, conduct};
use super::{AcceleratorRates, Identity, NoDocument, PhasePlan, Session, StudyError, scope, text_form};
use crate::accelerator::{Accelerator, StoredBit};
use crate::campaign::{
    Accumulation, Bench, BitRecord, LargestRise, SENSITIVE_ABOVE, TrialPlan, TrialSummary, TrialSums,
};
use crate::protection::{Budget, Selection, select};
use crate::radiation::rate::{FlippedBits, Hour, Quantity, Strikes, Unit};
use crate::radiation::{Assumption, Banded};
use crate::rtl::{ExportFile, ProtectionMap, exporters, image_files};
use crate::scheme::{AreaReport, Cells, Protection, Scheme, Store};
use crate::sensitivity::by_measured_loss;
use crate::simulate::cycle::Pipeline;
use crate::text::count;

/// What to spend, and how to measure what it buys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProtectOptions {
    /// Extra area: `32%tmr` of full triplication's, `10%mem` of the plain memory's, `500ge`.
    #[serde(with = "text_form")]
    pub budget: Budget,
    /// Trials of random flips that measure the residual loss.
    pub trials: u64,
    /// Flips per trial over all stored bits, the copies included; 1 % of the stored bits where none are stated.
    pub flips: Option<u64>,
}

impl Default for ProtectOptions {
    fn default() -> Self {
        Self {
            budget: Budget::PercentOfFull(32.0),
            trials: 200,
            flips: None,
        }
    }
}

/// Most trials.
const MAX_TRIALS: u64 = 1_000_000_000;

/// Most flips of one trial: they are in memory together.
const MAX_FLIPS: u64 = 10_000_000;

impl ProtectOptions {
    /// Refuses what measures nothing, before any work is done.
    pub(super) fn check(&self) -> Result<(), StudyError> {
        scope::within(
            "trials",
            self.trials,
            MAX_TRIALS,
            "200 or more for a useful interval",
        )?;
        if let Some(flips) = self.flips {
            let advice = "about 1 % of the stored bits by default";
            scope::within("flips", flips, MAX_FLIPS, advice)?;
        }
        Ok(())
    }
}

/// One design under one exposure.
struct Arm {
    design: &'static str,
    exposure: &'static str,
    kind: Accumulation,
}

impl Arm {
    fn stem(&self) -> String {
        format!("trials_{}_{}", self.design, self.exposure)
    }
}

/// Names of the trials' records.
pub(super) fn trial_stems() -> Vec<String> {
    ARMS.iter()
        .map(|(design, exposure)| format!("trials_{design}_{exposure}"))
        .collect()
}

/// Designs and exposures: as many flips as the plain design, or as many per cell.
const ARMS: [(&str, &str); 5] = [
    ("plain", "same_flips"),
    ("selective", "same_flips"),
    ("selective", "same_flux"),
    ("full", "same_flips"),
    ("full", "same_flux"),
];

/// A choice of bits, and the trials that measure what it buys.
pub(super) struct Chosen {
    pub selection: Selection,
    arms: Vec<Arm>,
}

/// Chooses bits by their records under a budget.
pub(super) fn choose(
    bench: &Arc<Bench>,
    records: &[BitRecord],
    options: &ProtectOptions,
    seed: u64,
) -> Result<Chosen, StudyError> {
    let accelerator = bench.accelerator();
    let selection = select(
        accelerator,
        Scheme::Tmr,
        &by_measured_loss(records),
        SENSITIVE_ABOVE,
        options.budget,
    );
    let stored = accelerator.map().total_bits();
    let flips = options.flips.unwrap_or((stored / 100).max(1));
    let full = Protection::of(Scheme::Tmr, accelerator.map().bits());
    let none = Protection::none();
    let arms = ARMS
        .iter()
        .map(|&(design, exposure)| {
            let protection = match design {
                "plain" => &none,
                "full" => &full,
                _ => &selection.protection,
            };
            let cells = Cells::new(Store::new(accelerator, |_| true, protection)?);
            let scaled = (u128::from(flips) * u128::from(cells.total()) + u128::from(stored) / 2)
                / u128::from(stored.max(1));
            let plan = TrialPlan {
                trials: options.trials,
                flips: if exposure == "same_flux" {
                    scaled as u64
                } else {
                    flips
                },
                seed,
            };
            Ok(Arm {
                design,
                exposure,
                kind: Accumulation::new(Arc::clone(bench), cells, plan),
            })
        })
        .collect::<Result<Vec<Arm>, StudyError>>()?;
    Ok(Chosen { selection, arms })
}

/// The phase of the trials of a study whose choice follows from its records: what determines the records and the
/// options determines the choice.
pub(super) fn trial_phase(
    records: &Identity,
    options: &ProtectOptions,
    seed: u64,
) -> Result<PhasePlan, NoDocument> {
    let fingerprint = Identity::of(&(records, options, seed))?;
    Ok(PhasePlan::of_records("trials", fingerprint, &trial_stems()))
}

/// Residual loss of one design under one exposure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Residual {
    /// What the trials came to.
    #[serde(flatten)]
    pub trials: TrialSummary,
    /// `plain`, `selective` or `full`.
    pub design: &'static str,
    /// `same_flips` (as many flips as the plain design) or `same_flux` (as many per cell).
    pub exposure: &'static str,
}

/// A rate with all that it leaves out, of strikes or of flipped bits.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(bound = "")]
pub struct LossRaising<U> {
    /// Without protection.
    pub plain: Quantity<U, Hour>,
    /// With the chosen bits protected.
    pub selective: Quantity<U, Hour>,
    /// The range of `plain` in which the sources know the rates; none where they do not say.
    pub plain_band: Option<[Quantity<U, Hour>; 2]>,
    /// The same of `selective`.
    pub selective_band: Option<[Quantity<U, Hour>; 2]>,
    /// What stored bits that were not examined add at most, were each of them harmful.
    pub not_examined_at_most: Quantity<U, Hour>,
    /// What registers, FIFOs, line buffers and control state add at most, were each of their bits harmful all the
    /// time; none where the cycle engine does not build the accelerator, and nothing is known.
    pub registers_at_most: Option<Quantity<U, Hour>>,
    /// `plain` with both of them; none where nothing is known of the registers. A strike that reaches examined bits
    /// and others counts once.
    pub plain_at_most: Option<Quantity<U, Hour>>,
    /// `selective` with both of them.
    pub selective_at_most: Option<Quantity<U, Hour>>,
    /// How it was obtained.
    pub method: &'static str,
}

/// Stored bits and registers that were not examined.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unexamined {
    /// Stored bits that were not flipped.
    pub stored_bits: u64,
    /// All stored bits.
    pub of_stored_bits: u64,
    /// Bits of registers, none of which was flipped; none where they are not known.
    pub register_bits: Option<u64>,
    /// In a sentence.
    pub note: String,
}

/// A chosen protection with its measured effect.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProtectionReport {
    /// The budget.
    #[serde(with = "text_form")]
    pub budget: Budget,
    /// The scheme of the chosen bits.
    pub scheme: &'static str,
    /// How many there are.
    pub protected_bits: u64,
    /// Extra area that the budget allows, in the technology's unit.
    pub allowed_extra_area: f64,
    /// Areas.
    pub area: AreaReport,
    /// Extra area over that of full triplication.
    pub area_share_of_full_tmr: f64,
    /// Bits that were flipped one by one.
    pub examined_bits: u64,
    /// Sensitive ones among them.
    pub sensitive_bits: u64,
    /// Sensitive ones that stay unprotected.
    pub sensitive_bits_unprotected: u64,
    /// What was not examined.
    pub not_examined: Unexamined,
    /// Summed rise of the loss over the sensitive bits.
    pub delta_loss_total: f64,
    /// The same over those that stay unprotected.
    pub delta_loss_unprotected: f64,
    /// Mean loss without faults.
    pub fault_free_loss: f64,
    /// The loss.
    pub loss: &'static str,
    /// Upsets, which are strikes, per hour that raise the loss: those that flip at least one sensitive bit.
    pub loss_raising_upsets_per_hour: LossRaising<Strikes>,
    /// Flips of sensitive bits per hour.
    pub loss_raising_flipped_bits_per_hour: LossRaising<FlippedBits>,
    /// What the rates rest on without knowing.
    pub assumptions: Vec<Assumption>,
    /// Measured residual losses.
    pub residual: Vec<Residual>,
    /// How they were obtained.
    pub residual_method: &'static str,
}

impl Chosen {
    /// Runs the trials, or what is missing of them, and says what the choice buys.
    pub fn measure(
        &self,
        session: &Session,
        folder: &super::OutputFolder,
        bench: &Bench,
        records: &[BitRecord],
        rates: &AcceleratorRates,
        options: &ProtectOptions,
    ) -> Result<ProtectionReport, StudyError> {
        let mut sums: Vec<TrialSums> = Vec::new();
        for arm in &self.arms {
            let course = Course {
                phase: "trials",
                stem: &arm.stem(),
                what: "trials",
                shard: crate::campaign::Shard::WHOLE,
                stop: None,
                in_parts: false,
            };
            sums.push(conduct(session, folder, &arm.kind, &course)?.sums);
        }
        // A design with copies meets the same bits, so that its worst trial is at most as bad.
        let of_bits = records.iter().map(|record| record.delta_loss).fold(0.0, f64::max);
        let worst = sums.iter().map(TrialSums::largest_rise).fold(of_bits, f64::max);
        let largest = LargestRise::or_seen(bench, worst, "of any bit or trial of this study");
        let residual = self.arms.iter().zip(&sums).map(|(arm, sums)| Residual {
            trials: arm.kind.report_within(sums, &largest),
            design: arm.design,
            exposure: arm.exposure,
        });
        let accelerator = bench.accelerator();
        let protection = &self.selection.protection;
        let sensitive: Vec<&BitRecord> = records.iter().filter(|record| record.is_sensitive()).collect();
        let left: Vec<&&BitRecord> = sensitive
            .iter()
            .filter(|record| protection.scheme_of(record.bit).is_none())
            .collect();
        let rise = |sum: f64, record: &BitRecord| sum + record.delta_loss;
        let area = self.selection.area.clone();
        let (loss_raising_upsets_per_hour, loss_raising_flipped_bits_per_hour) = loss_raising(
            accelerator,
            rates,
            records,
            &sensitive.iter().map(|record| record.bit).collect::<Vec<_>>(),
            &left.iter().map(|record| record.bit).collect::<Vec<_>>(),
        );
        Ok(ProtectionReport {
            budget: options.budget,
            scheme: Scheme::Tmr.name(),
            protected_bits: self.selection.chosen.len() as u64,
            allowed_extra_area: self.selection.allowed_area,
            area_share_of_full_tmr: area.share_of_full(),
            area,
            examined_bits: records.len() as u64,
            sensitive_bits: sensitive.len() as u64,
            sensitive_bits_unprotected: left.len() as u64,
            not_examined: unexamined(accelerator, records),
            delta_loss_total: sensitive.iter().fold(0.0, |sum, record| rise(sum, record)),
            delta_loss_unprotected: left.iter().fold(0.0, |sum, record| rise(sum, record)),
            fault_free_loss: bench.baseline().loss,
            loss: bench.evaluator().loss().name(),
            loss_raising_upsets_per_hour,
            loss_raising_flipped_bits_per_hour,
            assumptions: rates.exposures.assumptions(),
            residual: residual.collect(),
            residual_method: "mean over the trials of the mean loss; flips uniform over all cells with replacement, copies included, voters in force, no scrubbing",
        })
    }
}

/// Stored bits that no record is about.
fn without_record(accelerator: &Accelerator, records: &[BitRecord]) -> Vec<StoredBit> {
    let mut examined = vec![false; accelerator.map().total_bits() as usize];
    for record in records {
        examined[record.bit.0 as usize] = true;
    }
    let bits = accelerator.map().bits();
    bits.filter(|bit| !examined[bit.0 as usize]).collect()
}

fn register_bits(accelerator: &Accelerator) -> Option<u64> {
    Pipeline::new(accelerator)
        .ok()
        .map(|pipeline| pipeline.register_bits())
}

fn unexamined(accelerator: &Accelerator, records: &[BitRecord]) -> Unexamined {
    let of_stored_bits = accelerator.map().total_bits();
    let stored_bits = without_record(accelerator, records).len() as u64;
    let registers = register_bits(accelerator);
    let of_registers = registers.map_or_else(
        || "registers are not known".to_owned(),
        |bits| format!("none of {} register bits", count(bits)),
    );
    Unexamined {
        stored_bits,
        of_stored_bits,
        register_bits: registers,
        note: format!(
            "{} of {} stored bits not examined; {of_registers} examined",
            count(stored_bits),
            count(of_stored_bits)
        ),
    }
}

const STRIKES_METHOD: &str = "strikes that flip at least one bit which raises the loss by itself, over all places where they fall in the arrays; exact count over the examined bits, what several flips do together is not counted";

const FLIPS_METHOD: &str = "flips of bits each of which raises the loss by itself, over all places where strikes fall in the arrays; exact count over the examined bits";

fn loss_raising(
    accelerator: &Accelerator,
    rates: &AcceleratorRates,
    records: &[BitRecord],
    sensitive: &[StoredBit],
    left: &[StoredBit],
) -> (LossRaising<Strikes>, LossRaising<FlippedBits>) {
    let unexamined = without_record(accelerator, records);
    let on = |bits: &[StoredBit]| rates.on_bits(accelerator, bits.iter().copied());
    let with_unexamined = |bits: &[StoredBit]| on(&[bits, &unexamined].concat());
    let known = rates.exposures.has_band();
    let of_registers = register_bits(accelerator).map(|bits| rates.on_registers(bits));
    let parts = [
        on(sensitive),
        on(left),
        on(&unexamined),
        with_unexamined(sensitive),
        with_unexamined(left),
    ];
    (
        of_one_unit(
            parts.map(|part| part.strikes),
            of_registers.map(|part| part.strikes.nominal),
            known,
            STRIKES_METHOD,
        ),
        of_one_unit(
            parts.map(|part| part.flipped_bits),
            of_registers.map(|part| part.flipped_bits.nominal),
            known,
            FLIPS_METHOD,
        ),
    )
}

fn of_one_unit<U: Unit>(
    [plain, selective, unexamined, plain_most, selective_most]: [Banded<Quantity<U, Hour>>; 5],
    registers_at_most: Option<Quantity<U, Hour>>,
    known: bool,
    method: &'static str,
) -> LossRaising<U> {
    LossRaising {
        plain: plain.nominal,
        selective: selective.nominal,
        plain_band: known.then(|| plain.range()),
        selective_band: known.then(|| selective.range()),
        not_examined_at_most: unexamined.nominal,
        registers_at_most,
        plain_at_most: registers_at_most.map(|more| plain_most.nominal + more),
        selective_at_most: registers_at_most.map(|more| selective_most.nominal + more),
        method,
    }
}

/// The files of a protection map in all formats, with the images of the memories.
pub(super) fn map_files(map: &ProtectionMap, accelerator: &Accelerator) -> Vec<ExportFile> {
    let mut files: Vec<ExportFile> = exporters()
        .iter()
        .flat_map(|exporter| exporter.files(map))
        .collect();
    files.extend(image_files(accelerator));
    files
}

/// The names of the files that a map of an accelerator is written to.
pub(super) fn map_paths(accelerator: &Accelerator) -> Result<Vec<std::path::PathBuf>, StudyError> {
    let map = ProtectionMap::new(accelerator, Scheme::Tmr, &[])?;
    Ok(map_files(&map, accelerator)
        .into_iter()
        .map(|file| file.path)
        .collect())
}

/// The map of a choice.
pub(super) fn map_of(accelerator: &Accelerator, selection: &Selection) -> Result<ProtectionMap, StudyError> {
    let scores: Vec<(StoredBit, f64)> = selection
        .chosen
        .iter()
        .map(|ranked| (ranked.bit, ranked.score))
        .collect();
    Ok(ProtectionMap::new(accelerator, selection.scheme, &scores)?)
}
