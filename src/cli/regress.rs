//! `radstream regress`.

use clap::Args;

use super::Failure;
use super::options::{OutputOptions, PlanOptions, amount, option_value};
use crate::report;
use crate::study::{RegressRequest, Request, TableSource};

/// `radstream regress`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  radstream campaign models/digits_small_cls --flips 1,2,5,10 --out seu
  radstream campaign models/digits_small_cls --flips 1,2,5,10 --fault burst:8 --out mbu
  radstream regress seu/records.csv:mbu=0 mbu/records.csv:mbu=1 --response accuracy --factors mbu,flips")]
pub struct Regress {
    /// Tables of records; further columns that are the same in all rows of a table follow its name
    #[arg(value_name = "FILE.csv[:NAME=VALUE,...]", value_parser = option_value::<TableSource>)]
    tables: Vec<TableSource>,
    /// The column that is explained
    #[arg(long, value_name = "COLUMN", default_value = "accuracy")]
    response: String,
    /// The columns that explain it
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "flips")]
    factors: Vec<String>,
    /// Most factors that are multiplied with each other [default: all]
    #[arg(long, value_name = "N", value_parser = amount)]
    interactions: Option<usize>,
    #[command(flatten)]
    plan: PlanOptions,
    #[command(flatten)]
    output: OutputOptions,
}

impl Regress {
    /// Runs the command.
    pub fn run(&self) -> Result<(), Failure> {
        let of_options = self.plan.plan.is_none().then(|| {
            Request::Regress(RegressRequest {
                tables: self.tables.clone(),
                response: self.response.clone(),
                factors: self.factors.clone(),
                interactions: self.interactions,
            })
        });
        let Some(Request::Regress(request)) = self.plan.resolve("regress", of_options)? else {
            return Ok(());
        };
        let done = request.run()?;
        self.output.print(&done, || report::regress(&done))
    }
}
