//! `radstream harden`: the main job.

use clap::Args;
use serde_json::json;

use super::Failure;
use super::campaign::{Scope, bench, dry_run, run_exhaustive, summary, text, write_json};
use super::chip::Chip;
use super::export::write_map;
use super::options::{Manner, Samples, Target};
use super::output;
use super::protect::{ProtectOptions, protect, wrote};
use super::rate::text_of;
use super::rate_options::RateOptions;
use crate::simulate::functional::Plan;

/// `radstream harden`.
#[derive(Debug, Args)]
pub struct Harden {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    samples: Samples,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    protection: ProtectOptions,
    #[command(flatten)]
    rate: RateOptions,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    manner: Manner,
}

impl Harden {
    /// Runs the command.
    pub fn run(&self) -> Result<(), Failure> {
        self.manner.apply()?;
        self.protection.check()?;
        let chip = Chip::build(&self.target, Some(&self.samples))?;
        let bits = self.scope.bits(&chip.accelerator)?;
        let rates = self.rate.on(&chip)?;
        let workload = chip.workload()?;
        let out = self.manner.folder("harden", &chip.name);
        if self.dry_run {
            return dry_run(&bits, workload.samples, &out, self.manner.json);
        }
        let plan = Plan::new(chip.accelerator.network());
        let bench = bench(&chip, &plan, workload)?;
        let records = run_exhaustive(&chip, &bench, &bits, &out, &self.manner)?;
        let protected = protect(&bench, &records, &rates, &self.protection, &self.manner)?;
        let total = chip.accelerator.map().total_bits();
        let document = json!({
            "campaign": summary(&chip, &bench, &records),
            "protection": protected.json(&bench, &self.protection),
            "rate": self.rate.json(&rates.exposures),
        });
        write_map(&chip, &protected.selection, &["all".to_owned()], &out)?;
        let text = format!(
            "{}\n\n{}\n\nupsets of all {} stored bits at {}:\n{}",
            text(&chip, &bench, &records),
            protected.text(&bench, &self.protection),
            output::count(total),
            self.rate.source(),
            text_of(&rates.exposures, &self.rate)
        );
        crate::data::write_atomically(&out.join("summary.txt"), |writer| {
            std::io::Write::write_all(writer, format!("{text}\n").as_bytes())
        })
        .map_err(|error| Failure::writing(&out, &error))?;
        write_json(&out.join("summary.json"), &document)?;
        if self.manner.json {
            return output::json(&document);
        }
        output::line(&text)?;
        wrote(&out)
    }
}
