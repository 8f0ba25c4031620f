//! Records of missions on disk: one row per design, repetition and stated time.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::evaluate::Flight;
use crate::campaign::RecordError;
use crate::campaign::growing::{Growing, PARTIAL, Rows};

/// Columns of a mission's `records.csv`.
pub const MISSION_HEADER: &str = "design,repetition,time_h,events,flips,wrong_bits,detected,changed,newly_wrong,loss,delta_loss,first_wrong_h";

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
    /// When the first output of this repetition was wrong; none where none was.
    pub first_wrong_h: Option<f64>,
}

impl MissionRow {
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

/// Growing records of missions in a folder.
pub struct MissionRecords {
    file: Growing,
    finished: Vec<MissionRow>,
}

impl MissionRecords {
    /// Opens the records of a folder. Where it holds unfinished missions of the same plan, the complete
    /// repetitions at its beginning, of `times` rows each, are kept and returned by
    /// [`MissionRecords::finished`].
    ///
    /// # Errors
    /// [`RecordError`] where the system refuses, the folder holds another plan's beginning, or a line
    /// cannot be read.
    pub fn open(folder: &Path, plan: &str, times: usize) -> Result<Self, RecordError> {
        let mut finished = Vec::new();
        if let Some(text) = Growing::left(folder, plan)? {
            finished = parse(&folder.join(PARTIAL), &text)?;
            finished.truncate(finished.len() / times.max(1) * times);
        }
        let file = Growing::restart(folder, MISSION_HEADER, |rows| write(rows, &finished))?;
        Ok(Self { file, finished })
    }

    /// The rows that an earlier run left.
    #[must_use]
    pub fn finished(&self) -> &[MissionRow] {
        &self.finished
    }

    /// Appends rows and makes sure that they are on disk.
    ///
    /// # Errors
    /// The system's.
    pub fn append(&mut self, rows: &[MissionRow]) -> io::Result<()> {
        self.file.append(|file| write(file, rows))
    }

    /// Gives the complete file its name.
    ///
    /// # Errors
    /// The system's.
    pub fn finish(self) -> io::Result<PathBuf> {
        self.file.finish()
    }
}

fn write(file: &mut Rows<'_>, rows: &[MissionRow]) -> io::Result<()> {
    for row in rows {
        file.serialize(row)?;
    }
    Ok(())
}

fn parse(file: &Path, text: &str) -> Result<Vec<MissionRow>, RecordError> {
    let bad = |line: u64, reason: String| RecordError::MissionLine {
        file: file.to_owned(),
        line,
        reason,
    };
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| bad(1, error.to_string()))?;
    if header.iter().ne(MISSION_HEADER.split(',')) {
        let found: Vec<&str> = header.iter().collect();
        return Err(bad(1, format!("has the columns {found:?}")));
    }
    (2u64..)
        .zip(reader.deserialize())
        .map(|(line, row)| row.map_err(|error| bad(line, error.to_string())))
        .collect()
}
