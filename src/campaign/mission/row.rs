//! Records of missions: one row per design, repetition and stated time.

use serde::{Deserialize, Serialize};

use super::evaluate::Flight;

/// One row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MissionRow {
    /// Name of the design.
    pub design: String,
    /// Number of the repetition.
    pub repetition: u64,
    /// The time in hours.
    pub time_h: f64,
    /// Strikes so far.
    pub events: u64,
    /// Cells hit so far.
    pub flips: u64,
    /// Data bits that are read wrong.
    pub wrong_bits: u64,
    /// Words, or voted bits, whose error the hardware reports and cannot correct.
    pub detected: u64,
    /// Samples with any output changed.
    pub changed: u64,
    /// Samples right without and wrong with the faults; none where nothing is known to be right.
    pub newly_wrong: Option<u64>,
    /// Mean loss over the samples.
    pub loss: f64,
    /// Mean loss minus the fault-free mean loss.
    pub delta_loss: f64,
    /// When the function of this repetition first failed; none where it never did.
    pub first_wrong_h: Option<f64>,
}

impl MissionRow {
    /// The columns.
    pub const COLUMNS: &'static str = "design,repetition,time_h,events,flips,wrong_bits,detected,changed,newly_wrong,loss,delta_loss,first_wrong_h";

    /// The rows of one flight.
    #[must_use]
    pub fn of(design: &str, repetition: u64, flight: &Flight) -> Vec<Self> {
        let seen = flight.timeline.observations.iter().zip(&flight.scores);
        seen.map(|(observation, score)| Self {
            design: design.to_owned(),
            repetition,
            time_h: observation.time_h,
            events: observation.events,
            flips: observation.flips,
            wrong_bits: observation.wrong_bits,
            detected: observation.detected,
            changed: score.changed,
            newly_wrong: score.newly_wrong,
            loss: score.loss,
            delta_loss: score.delta_loss,
            first_wrong_h: flight.first_wrong.map(|first| first.time_h),
        })
        .collect()
    }
}
