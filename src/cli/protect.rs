//! `radstream protect`, and what `harden` shares with it.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::Failure;
use super::campaign::{bench, write_json};
use super::chip::Chip;
use super::export::write_map;
use super::options::{Manner, Samples, Target, option_value};
use super::output::{self, count, short};
use super::progress::{Bar, heed_interrupts};
use super::rate_options::{ChipRates, RateOptions};
use crate::accelerator::StoredBit;
use crate::campaign::{
    Bench, BitRecord, SENSITIVE_ABOVE, TrialPlan, TrialSummary, random_flips, read_records,
};
use crate::protection::{Budget, Selection, select};
use crate::scheme::{Cells, Scheme};
use crate::sensitivity::by_measured_loss;
use crate::simulate::functional::Plan;

/// What to spend, and how to measure what it buys.
#[derive(Debug, Args)]
pub struct ProtectOptions {
    /// Extra area: 32%tmr of full triplication's, 10%mem of the plain memory's, 500ge
    #[arg(
        long,
        value_name = "BUDGET",
        default_value = "32%tmr",
        value_parser = option_value::<Budget>,
        allow_hyphen_values = true
    )]
    pub budget: Budget,
    /// Trials of random flips that measure the residual loss
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub trials: u64,
    /// Flips per trial over all stored bits, the copies included [default: 1 % of the stored bits]
    #[arg(long, value_name = "K")]
    pub flips: Option<u64>,
}

/// Most trials, and most flips of one trial: all of them are kept in memory.
const MAX_DRAWS: u64 = 10_000_000;

impl ProtectOptions {
    /// Refuses what measures nothing, before any work is done.
    pub fn check(&self) -> Result<(), Failure> {
        let expected = [
            ("--trials", Some(self.trials), "200 or more for a useful interval"),
            ("--flips", self.flips, "about 1 % of the stored bits by default"),
        ];
        for (option, value, advice) in expected {
            match value {
                Some(0) => {
                    return Err(Failure::refused(
                        format!("{option} 0 measures nothing"),
                        format!("expected at least 1; {advice}"),
                    ));
                }
                Some(value) if value > MAX_DRAWS => {
                    return Err(Failure::refused(
                        format!("{option} {value} is out of range"),
                        format!("expected 1 to {MAX_DRAWS}; {advice}"),
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Residual loss of one design under one exposure.
pub struct Residual {
    /// `plain`, `selective` or `full`.
    pub design: &'static str,
    /// `same_flips` (as many flips as the plain design) or `same_flux` (as many per cell).
    pub exposure: &'static str,
    /// What the trials came to.
    pub trials: TrialSummary,
}

/// A chosen protection with its measured effect.
pub struct Protected {
    /// Chosen bits and area.
    pub selection: Selection,
    /// Measured residual losses.
    pub residuals: Vec<Residual>,
    /// Bits that the campaign examined.
    examined: u64,
    /// Sensitive bits among them.
    sensitive: u64,
    /// Sensitive bits that stay unprotected.
    left: u64,
    /// Summed rise of the loss over the sensitive bits, and over those that stay unprotected.
    delta: f64,
    delta_left: f64,
    /// Flips of sensitive bits per hour, and of those that stay unprotected.
    per_hour: f64,
    per_hour_left: f64,
}

/// Chooses bits by their records and measures what is left.
pub fn protect(
    bench: &Bench<'_>,
    records: &[BitRecord],
    rates: &ChipRates,
    options: &ProtectOptions,
    manner: &Manner,
) -> Result<Protected, Failure> {
    let accelerator = bench.accelerator;
    let selection = select(
        accelerator,
        Scheme::Tmr,
        &by_measured_loss(records),
        SENSITIVE_ABOVE,
        options.budget,
    );
    let stored = accelerator.map().total_bits();
    let chosen: Vec<StoredBit> = selection.chosen.iter().map(|ranked| ranked.bit).collect();
    let all: Vec<StoredBit> = accelerator.map().bits().collect();
    let flips = options.flips.unwrap_or((stored / 100).max(1));
    heed_interrupts();
    let mut residuals = Vec::new();
    for (design, protected) in [("plain", &[][..]), ("selective", &chosen), ("full", &all)] {
        let cells = Cells::new(Scheme::Tmr, stored, protected);
        let scaled = (u128::from(flips) * u128::from(cells.total()) + u128::from(stored) / 2)
            / u128::from(stored.max(1));
        let exposures = [("same_flips", flips), ("same_flux", scaled as u64)];
        for (exposure, flips) in exposures.into_iter().take(if design == "plain" { 1 } else { 2 }) {
            let plan = TrialPlan {
                trials: options.trials,
                flips,
                seed: manner.seed,
            };
            let bar = Bar::new("trials", options.trials * bench.samples() as u64, manner.quiet);
            let trials = random_flips(bench, &cells, plan, &bar).ok_or_else(|| Failure::work("stopped"))?;
            bar.finish();
            residuals.push(Residual {
                design,
                exposure,
                trials,
            });
        }
    }
    let sensitive: Vec<&BitRecord> = records.iter().filter(|record| record.is_sensitive()).collect();
    let cells = Cells::new(Scheme::Tmr, stored, &chosen);
    let left: Vec<&&BitRecord> = sensitive
        .iter()
        .filter(|record| !cells.is_protected(record.bit))
        .collect();
    Ok(Protected {
        examined: records.len() as u64,
        sensitive: sensitive.len() as u64,
        left: left.len() as u64,
        per_hour: rates.flips_per_hour(accelerator, sensitive.iter().map(|record| record.bit)),
        per_hour_left: rates.flips_per_hour(accelerator, left.iter().map(|record| record.bit)),
        delta: sensitive.iter().fold(0.0, |sum, record| sum + record.delta_loss),
        delta_left: left.iter().fold(0.0, |sum, record| sum + record.delta_loss),
        selection,
        residuals,
    })
}

impl Protected {
    /// The JSON of a protection.
    pub fn json(&self, bench: &Bench<'_>, options: &ProtectOptions) -> Value {
        let area = &self.selection.area;
        let residuals: Vec<Value> = self
            .residuals
            .iter()
            .map(|residual| {
                let mut value = json!(residual.trials);
                value["design"] = json!(residual.design);
                value["exposure"] = json!(residual.exposure);
                value
            })
            .collect();
        json!({
            "budget": options.budget.to_string(),
            "scheme": self.selection.scheme.name(),
            "protected_bits": self.selection.chosen.len(),
            "allowed_extra_area": self.selection.allowed_area,
            "area": area,
            "area_share_of_full_tmr": area.share_of_full(),
            "examined_bits": self.examined,
            "sensitive_bits": self.sensitive,
            "sensitive_bits_unprotected": self.left,
            "delta_loss_total": self.delta,
            "delta_loss_unprotected": self.delta_left,
            "fault_free_loss": bench.baseline().loss,
            "loss_raising_upsets_per_hour": {
                "plain": self.per_hour,
                "selective": self.per_hour_left,
                "method": "rate per bit x sensitive bits that a single upset reaches; exact count over the examined bits, single upsets only",
            },
            "residual": residuals,
            "residual_method": "mean over the trials of the mean loss; flips uniform over all cells with replacement, copies included, voters in force, no scrubbing",
        })
    }

    /// The summary for people.
    pub fn text(&self, bench: &Bench<'_>, options: &ProtectOptions) -> String {
        let area = &self.selection.area;
        let unit = area.unit.symbol();
        let mut text = format!(
            "protection: {} of {} sensitive bits triplicated under {} ({} of full triplication's extra area)",
            count(self.selection.chosen.len() as u64),
            count(self.sensitive),
            options.budget,
            format_args!("{:.1} %", 100.0 * area.share_of_full()),
        );
        let row = |name: &str, bits: u64, voters: u64, size: f64| {
            let ratio = if area.plain_area > 0.0 {
                size / area.plain_area
            } else {
                1.0
            };
            vec![
                name.to_owned(),
                count(bits),
                count(voters),
                short(size),
                format!("{ratio:.3}"),
            ]
        };
        let rows = [
            row("plain", area.stored_bits, 0, area.plain_area),
            row(
                "selective",
                area.stored_bits + area.extra_bits,
                area.voters,
                area.selective_area,
            ),
            row(
                "full TMR",
                area.stored_bits + area.full_extra_bits,
                area.full_voters,
                area.full_area,
            ),
        ];
        let size = format!("area ({unit})");
        text.push_str(&format!(
            "\n\n{}",
            output::table(&["design", "cells", "voters", &size, "ratio"], &rows)
        ));
        let rows: Vec<Vec<String>> = self
            .residuals
            .iter()
            .map(|residual| {
                let trials = &residual.trials;
                let interval = &trials.mean_loss_interval;
                vec![
                    residual.design.to_owned(),
                    residual.exposure.replace('_', " "),
                    count(trials.plan.flips),
                    short(trials.mean_wrong_bits),
                    short(trials.mean_loss),
                    format!("{} .. {}", short(interval.low), short(interval.high)),
                    short(trials.mean_delta_loss),
                ]
            })
            .collect();
        let header = [
            "design",
            "exposure",
            "flips",
            "wrong as read",
            "mean loss",
            "95 % bootstrap",
            "above fault-free",
        ];
        text.push_str(&format!(
            "\n\nresidual loss over {} trials (fault-free {}):\n{}",
            count(options.trials),
            short(bench.baseline().loss),
            output::table(&header, &rows)
        ));
        text.push_str(&format!(
            "\n\nloss-raising single upsets per hour: {:.3e} plain, {:.3e} protected ({} sensitive bits stay unprotected; they carry {:.1} % of the summed loss)",
            self.per_hour,
            self.per_hour_left,
            count(self.left),
            if self.delta > 0.0 { 100.0 * self.delta_left / self.delta } else { 0.0 },
        ));
        text
    }
}

/// `radstream protect`.
#[derive(Debug, Args)]
pub struct Protect {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    samples: Samples,
    /// Records of an exhaustive campaign: records.csv or the folder that holds it
    #[arg(long, value_name = "FILE|DIR")]
    records: PathBuf,
    #[command(flatten)]
    options: ProtectOptions,
    #[command(flatten)]
    rate: RateOptions,
    #[command(flatten)]
    manner: Manner,
}

impl Protect {
    /// Runs the command.
    pub fn run(&self) -> Result<(), Failure> {
        self.manner.apply()?;
        self.options.check()?;
        let chip = Chip::build(&self.target, Some(&self.samples))?;
        let rates = self.rate.on(&chip)?;
        let file = if self.records.is_dir() {
            self.records.join("records.csv")
        } else {
            self.records.clone()
        };
        let records = read_records(&file, &chip.accelerator)?;
        let plan = Plan::new(chip.accelerator.network());
        let bench = bench(&chip, &plan, chip.workload()?)?;
        if !self.manner.quiet {
            note_other_samples(&file, &records, &bench);
        }
        let out = self.manner.folder("protect", &chip.name);
        output::prepare_folder(&out)?;
        let protected = protect(&bench, &records, &rates, &self.options, &self.manner)?;
        let document = protected.json(&bench, &self.options);
        write_map(&chip, &protected.selection, &["all".to_owned()], &out)?;
        write_json(&out.join("summary.json"), &document)?;
        if self.manner.json {
            return output::json(&document);
        }
        output::line(&protected.text(&bench, &self.options))?;
        wrote(&out)
    }
}

/// Says where the records were measured on other samples, which is sensible only on purpose.
fn note_other_samples(file: &Path, records: &[BitRecord], bench: &Bench<'_>) {
    let Some(record) = records.first() else { return };
    let (then, now) = (record.loss - record.delta_loss, bench.baseline().loss);
    if (then - now).abs() > 1e-9 * (1.0 + now.abs()) {
        eprintln!(
            "{}: the campaign's fault-free loss was {then:e}, here it is {now:e}: other samples, another readout or another network; the ranking is the campaign's",
            file.display()
        );
    }
}

/// Names the folder that was written.
pub fn wrote(out: &Path) -> Result<(), Failure> {
    output::line(&format!("\nwrote {}", out.display()))
}
