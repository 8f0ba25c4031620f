//! What people read of reports: text and tables, made of typed reports only.

mod campaign;
mod campaigns;
mod files;
mod inspect;
mod mission;
mod protection;
mod rate;
mod regress;
mod run;
mod sample;

pub use crate::text::{count, number, percent, range, table};
pub use campaign::{
    accumulation, activations, asked, exhaustive, fault_lists, forecast, register_classes, registers,
};
pub use campaigns::{campaign, campaign_forecast};
pub use files::{convert, export};
pub use inspect::inspect;
pub use mission::{memory, mission, mission_forecast};
pub use protection::{harden, protection};
pub use rate::{presets, rate, rate_lines};
pub use regress::regress;
pub use run::run;
pub use sample::{plan_sample, sample};
