//! Requests as documents: what a plan file holds, and what another program sends.

use std::path::Path;

use ron::extensions::Extensions;
use ron::ser::PrettyConfig;
use serde::{Deserialize, Serialize};

use super::{
    AccumulationRequest, ActivationRequest, AskRequest, ExhaustiveRequest, ExportRequest, FaultListRequest,
    HardenRequest, InspectRequest, MemoryRequest, MissionRequest, NoDocument, PlanSampleRequest,
    ProtectRequest, RegisterClassesRequest, RegisterRequest, RegressRequest, RunRequest, SampleRequest,
    StudyError, UpsetRequest,
};
use crate::data::{MOST_OF_PROBLEM, SourceText, parse_ron, read_file, shortened};

/// Any study that has a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// The main job.
    Harden(HardenRequest),
    /// Every stored bit by itself.
    Exhaustive(ExhaustiveRequest),
    /// Every stored bit until a question about it is answered.
    Ask(AskRequest),
    /// Some stored bits by themselves.
    Sample(SampleRequest),
    /// Several flips at a time.
    Accumulation(AccumulationRequest),
    /// Listed fault sets.
    Faults(FaultListRequest),
    /// Codes that live for one inference.
    Activations(ActivationRequest),
    /// Missions of a network.
    Mission(MissionRequest),
    /// Missions of a memory by itself.
    Memory(MemoryRequest),
    /// Strikes on registers.
    Registers(RegisterRequest),
    /// Every flip of register bits in every cycle of one sample.
    RegisterClasses(RegisterClassesRequest),
    /// Bits to protect, from records.
    Protect(ProtectRequest),
    /// How many faults a sample needs.
    PlanSample(PlanSampleRequest),
    /// A linear model of records.
    Regress(RegressRequest),
    /// Upsets per hour.
    Rate(UpsetRequest),
    /// How a network is built.
    Inspect(InspectRequest),
    /// Samples through the accelerator.
    Run(RunRequest),
    /// A protection map for RTL.
    Export(ExportRequest),
}

/// What a plan file holds, for diagnostics.
const EXPECTED: &str = "a plan such as Harden((samples: (limit: 100))), with one of Harden, Exhaustive, Ask, Sample, Accumulation, Faults, Activations, Mission, Memory, Registers, RegisterClasses, Protect, PlanSample, Regress, Rate, Inspect, Run and Export";

impl Request {
    /// Reads a plan: RON, or JSON in a file that ends so.
    ///
    /// # Errors
    /// [`StudyError::Request`] with the place in the file.
    pub fn read(file: &Path) -> Result<Self, StudyError> {
        let unreadable = |problem: String| {
            StudyError::refused(
                format!("{}: cannot be read: {problem}", file.display()),
                "a plan as a RON or JSON file; check the path and its permissions",
            )
        };
        let bytes = read_file(file).map_err(|error| unreadable(error.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|error| unreadable(error.to_string()))?;
        if file.extension().is_some_and(|ending| ending == "json") {
            return serde_json::from_str(&text).map_err(|error| {
                let error = error.to_string();
                let problem = shortened(&error, MOST_OF_PROBLEM);
                StudyError::refused(format!("{}: {problem}", file.display()), EXPECTED)
            });
        }
        Ok(parse_ron(
            &SourceText::new(file.display().to_string(), text),
            EXPECTED,
        )?)
    }

    /// The plan as RON text.
    ///
    /// # Errors
    /// [`NoDocument`] where it has no such form.
    pub fn to_ron(&self) -> Result<String, StudyError> {
        let config = PrettyConfig::new().extensions(Extensions::IMPLICIT_SOME);
        Ok(ron::ser::to_string_pretty(self, config).map_err(NoDocument::of)?)
    }

    /// The command that runs it.
    #[must_use]
    pub fn command(&self) -> &'static str {
        match self {
            Self::Harden(_) => "harden",
            Self::Protect(_) => "protect",
            Self::PlanSample(_) => "plan-sample",
            Self::Regress(_) => "regress",
            Self::Rate(_) => "rate",
            Self::Inspect(_) => "inspect",
            Self::Run(_) => "run",
            Self::Export(_) => "export",
            Self::Exhaustive(_)
            | Self::Ask(_)
            | Self::Sample(_)
            | Self::Accumulation(_)
            | Self::Faults(_)
            | Self::Activations(_)
            | Self::Mission(_)
            | Self::Memory(_)
            | Self::Registers(_)
            | Self::RegisterClasses(_) => "campaign",
        }
    }
}
