//! `radstream rate`.

use clap::Args;
use serde_json::json;

use super::Failure;
use super::chip::Chip;
use super::options::{Manner, Target, option_value};
use super::output;
use crate::radiation::rate::{Counts, CrossSection, FitPerMb, Flux, Hours, Megabit, UpsetRate};

/// FIT per megabit of AMD UltraScale+ block RAM at sea level in New York (UG116 v10.9, real time,
/// as transcribed by third parties).
const DEFAULT_FIT_PER_MB: f64 = 20.0;

/// How often the memory is hit.
#[derive(Debug, Args)]
pub struct RateOptions {
    /// Soft error rate in FIT per megabit [default: 20, UltraScale+ block RAM at sea level, UG116]
    #[arg(long, value_name = "FIT", allow_negative_numbers = true)]
    pub fit_per_mb: Option<f64>,
    /// Which megabit: decimal (1e6 bits) or binary (2^20 bits)
    #[arg(long, value_name = "decimal|binary", default_value = "decimal", value_parser = option_value::<Megabit>)]
    pub mb: Megabit,
    /// What the rate counts: event (strikes) or bit (flipped bits)
    #[arg(long, value_name = "event|bit", default_value = "event", value_parser = option_value::<Counts>)]
    pub counts: Counts,
    /// Cross-section of one bit in cm2, with --flux instead of --fit-per-mb
    #[arg(
        long,
        value_name = "CM2",
        requires = "flux",
        conflicts_with = "fit_per_mb",
        allow_negative_numbers = true
    )]
    pub cross_section: Option<f64>,
    /// Flux in particles per cm2 and second
    #[arg(
        long,
        value_name = "PER_CM2_S",
        requires = "cross_section",
        allow_negative_numbers = true
    )]
    pub flux: Option<f64>,
}

impl RateOptions {
    /// The rate of a memory of so many bits.
    pub fn of(&self, stored_bits: u64) -> Result<UpsetRate, Failure> {
        if let (Some(cross_section), Some(flux)) = (self.cross_section, self.flux) {
            let cross_section = CrossSection::new(cross_section)?;
            return Ok(cross_section.rate_of(Flux::from_per_cm2_s(flux)?, stored_bits, self.counts));
        }
        let fit = FitPerMb::new(
            self.fit_per_mb.unwrap_or(DEFAULT_FIT_PER_MB),
            self.mb,
            self.counts,
        )?;
        Ok(fit.rate_of(stored_bits))
    }

    /// Where the rate comes from, for people.
    pub fn source(&self) -> String {
        match (self.cross_section, self.flux) {
            (Some(cross_section), Some(flux)) => {
                format!(
                    "{cross_section:e} cm2 per bit x {flux:e} particles per cm2 and s, counting {}s",
                    self.counts
                )
            }
            _ => {
                let origin = if self.fit_per_mb.is_none() {
                    " (default: UltraScale+ block RAM, New York sea level, UG116 v10.9 as transcribed)"
                } else {
                    ""
                };
                format!(
                    "{} FIT per {} Mb counting {}s{origin}",
                    self.fit_per_mb.unwrap_or(DEFAULT_FIT_PER_MB),
                    self.mb,
                    self.counts
                )
            }
        }
    }

    /// The JSON of a rate.
    pub fn json(&self, stored_bits: u64, rate: UpsetRate) -> serde_json::Value {
        json!({
            "stored_bits": stored_bits,
            "fit_per_mb": self.cross_section.is_none().then(|| self.fit_per_mb.unwrap_or(DEFAULT_FIT_PER_MB)),
            "mb": self.mb.to_string(),
            "counts": self.counts.to_string(),
            "cross_section_cm2": self.cross_section,
            "flux_per_cm2_s": self.flux,
            "fit": rate.fit(),
            "upsets_per_hour": rate.per_hour().0,
            "upsets_per_day": rate.per_day(),
            "hours_per_upset": rate.hours_per_upset().map(|hours| hours.0),
            "source": self.source(),
        })
    }
}

/// `radstream rate`.
#[derive(Debug, Args)]
pub struct Rate {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    rate: RateOptions,
    /// Stored bits, instead of those of a network
    #[arg(long, value_name = "N", conflicts_with_all = ["network", "hardware"])]
    bits: Option<u64>,
    /// Also expect the upsets of so many hours
    #[arg(long, value_name = "H", allow_negative_numbers = true)]
    hours: Option<f64>,
    #[command(flatten)]
    manner: Manner,
}

impl Rate {
    /// Runs the command.
    pub fn run(&self) -> Result<(), Failure> {
        self.manner.apply()?;
        let bits = match self.bits {
            Some(bits) => bits,
            None => Chip::build(&self.target, None)?.accelerator.map().total_bits(),
        };
        let rate = self.rate.of(bits)?;
        let expected = self
            .hours
            .map(|hours| rate.expected_in(Hours(hours)))
            .transpose()?;
        let mut document = self.rate.json(bits, rate);
        if let Some(hours) = self.hours {
            document["hours"] = json!(hours);
            document["expected_upsets"] = json!(expected);
        }
        if self.manner.deliver("rate.json", &document)? {
            return Ok(());
        }
        output::line(&format!(
            "{} stored bits at {}",
            output::count(bits),
            self.rate.source()
        ))?;
        output::line(&lines(rate))?;
        if let (Some(hours), Some(expected)) = (self.hours, expected) {
            output::line(&format!("  in {hours} h         {expected:.6e} expected"))?;
        }
        Ok(())
    }
}

/// A rate for people.
pub fn lines(rate: UpsetRate) -> String {
    let mut text = format!(
        "  upsets per hour  {:.6e}\n  upsets per day   {:.6e}\n  FIT              {}",
        rate.per_hour().0,
        rate.per_day(),
        output::short(rate.fit())
    );
    if let Some(hours) = rate.hours_per_upset() {
        text.push_str(&format!(
            "\n  hours per upset  {} ({} years)",
            output::short(hours.0),
            output::short(hours.years())
        ));
    }
    text
}
