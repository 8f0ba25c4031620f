//! `radstream plan-sample`.

use clap::Args;

use super::Failure;
use super::options::{
    LayerScope, OutputOptions, PlanOptions, PrecisionOptions, Scope, Target, option_value, whole,
};
use crate::campaign::SampleDesign;
use crate::report;
use crate::study::{PlanSampleRequest, Request};

/// `radstream plan-sample`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  radstream plan-sample models/digits_small_cls --sample layer-bit --margin 2% --confidence 99%
  radstream plan-sample --population 31e6 --margin 2.5%")]
pub struct PlanSample {
    #[command(flatten)]
    target: Target,
    /// A population of so many faults instead of a network's stored bits
    #[arg(long, value_name = "N", conflicts_with_all = ["network", "hardware", "sample", "layers"], value_parser = whole, help_heading = "Sample")]
    population: Option<u64>,
    /// How the bits are drawn: random, layer, layer-bit, data-aware
    #[arg(long, value_name = "DESIGN", default_value = "layer-bit", value_parser = option_value::<SampleDesign>, help_heading = "Sample")]
    sample: SampleDesign,
    #[command(flatten)]
    precision: PrecisionOptions,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    layers: LayerScope,
    #[command(flatten)]
    plan: PlanOptions,
    #[command(flatten)]
    output: OutputOptions,
}

impl PlanSample {
    /// Runs the command.
    pub fn run(&self) -> Result<(), Failure> {
        let of_options = self.plan.plan.is_none().then(|| {
            Request::PlanSample(PlanSampleRequest {
                network: self.target.request(),
                population: self.population,
                tensors: self.scope.tensors.clone(),
                layers: self.layers.layers.clone(),
                design: self.sample,
                precision: self.precision.precision(),
            })
        });
        let Some(Request::PlanSample(request)) = self.plan.resolve("plan-sample", of_options)? else {
            return Ok(());
        };
        let done = request.run()?;
        self.output.print(&done, || report::plan_sample(&done))
    }
}
