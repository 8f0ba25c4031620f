//! How often memories are hit, as several commands are told it.

use clap::Args;

use super::options::option_value;
use crate::radiation::RateForm;
use crate::radiation::rate::{Counts, Megabit};
use crate::study::RateRequest;

/// How often the memory is hit.
#[derive(Debug, Args)]
#[command(next_help_heading = "Rate")]
pub struct RateOptions {
    /// Soft error rate in FIT per megabit [default: 20, UltraScale+ block RAM at sea level, UG116]
    #[arg(long, value_name = "FIT", allow_negative_numbers = true)]
    pub fit_per_mb: Option<f64>,
    /// Which megabit: decimal (1e6 bits) or binary (2^20 bits) [default: decimal]
    #[arg(long, value_name = "decimal|binary", value_parser = option_value::<Megabit>)]
    pub mb: Option<Megabit>,
    /// What the rate counts: event (strikes) or bit (flipped bits) [default: event]
    #[arg(long, value_name = "event|bit", value_parser = option_value::<Counts>)]
    pub counts: Option<Counts>,
    /// Cross-section of one bit in cm2, with --flux or --environment instead of --fit-per-mb
    #[arg(
        long,
        value_name = "CM2",
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
    /// Which particles come: a preset (see `rate --list-presets`) or a RON file
    #[arg(long, value_name = "PRESET|FILE.ron", conflicts_with = "flux")]
    pub environment: Option<String>,
    /// How memories are upset: a preset (see `rate --list-presets`) or a RON file, for all memories or
    /// for one storage style; before what the hardware file says
    #[arg(
        long,
        value_name = "[STYLE=]PRESET|FILE.ron",
        conflicts_with_all = ["fit_per_mb", "cross_section", "flux", "mb", "counts"]
    )]
    pub memory_technology: Vec<String>,
    /// Which form of rate, where a memory technology has two: fit, cross-section, or auto (the
    /// cross-section with an environment, FIT without)
    #[arg(long, value_name = "auto|fit|cross-section", default_value = "auto", value_parser = option_value::<RateForm>)]
    pub rate_form: RateForm,
    /// Which bits one strike flips, instead of what the memory technology says: a preset, a RON file,
    /// single, or burst:K
    #[arg(
        long,
        visible_alias = "cluster",
        value_name = "PRESET|FILE.ron|single|burst:K"
    )]
    pub clusters: Option<String>,
}

impl RateOptions {
    /// These options as a request.
    pub fn request(&self) -> RateRequest {
        RateRequest {
            fit_per_mb: self.fit_per_mb,
            mb: self.mb,
            counts: self.counts,
            cross_section_cm2: self.cross_section,
            flux_per_cm2_s: self.flux,
            environment: self.environment.clone(),
            memory_technology: self.memory_technology.clone(),
            rate_form: self.rate_form,
            clusters: self.clusters.clone(),
        }
    }
}
