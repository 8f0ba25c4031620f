//! All kinds of campaigns, one line each in [`kinds`].

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::conduct::Forecast;
use super::{MissionForecast, Request, Session, StudyError};

/// What a campaign would take.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum CampaignForecast {
    /// Trials of one kind.
    Trials(Forecast),
    /// Missions of several designs.
    Missions(Box<MissionForecast>),
}

impl From<Forecast> for CampaignForecast {
    fn from(forecast: Forecast) -> Self {
        Self::Trials(forecast)
    }
}

impl From<MissionForecast> for CampaignForecast {
    fn from(forecast: MissionForecast) -> Self {
        Self::Missions(Box::new(forecast))
    }
}

/// Where a report's records are.
pub(super) trait Recorded {
    /// Their folder, where there is one.
    fn folder(&self) -> Option<&Path>;
}

macro_rules! recorded {
    ($($report:ty),* $(,)?) => {
        $(impl Recorded for $report {
            fn folder(&self) -> Option<&Path> {
                Some(&self.folder)
            }
        })*
    };
}

recorded!(
    super::AccumulationReport,
    super::ActivationStudyReport,
    super::AskReport,
    super::ExhaustiveStudyReport,
    super::FaultListReport,
    super::MissionReport,
    super::RegisterClassesStudyReport,
    super::RegisterStudyReport,
    super::SampleStudyReport,
);

impl Recorded for super::MemoryReport {
    fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }
}

macro_rules! kinds {
    ($($(#[$about:meta])* $name:ident: $study:ident :: $kind:ident, $request:ident => $report:ident;)*) => {
        /// What a whole campaign came to.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum CampaignReport {
            $($(#[$about])* $name(Box<super::$report>),)*
        }

        impl CampaignReport {
            /// Where the records are, where there are some.
            #[must_use]
            pub fn folder(&self) -> Option<&Path> {
                match self {
                    $(Self::$name(report) => report.folder(),)*
                }
            }
        }

        impl Request {
            /// Whether it is one of a campaign.
            #[must_use]
            pub fn is_campaign(&self) -> bool {
                matches!(self, $(Self::$name(_))|*)
            }

            /// Runs it, or what is missing of it; none where it is no campaign.
            ///
            /// # Errors
            /// [`StudyError`].
            pub fn run_campaign(&self, session: &Session) -> Result<Option<CampaignReport>, StudyError> {
                Ok(match self {
                    $(Self::$name(request) => Some(CampaignReport::$name(Box::new(request.run(session)?))),)*
                    _ => None,
                })
            }

            /// What it would take; none where it is no campaign.
            ///
            /// # Errors
            /// [`StudyError::Request`] where the request has no meaning or a file cannot be read.
            pub fn forecast_campaign(&self, session: &Session) -> Result<Option<CampaignForecast>, StudyError> {
                Ok(match self {
                    $(Self::$name(request) => Some(request.forecast(session)?.into()),)*
                    _ => None,
                })
            }

            /// The request of a campaign whose folder is of such a kind, from its document; none where no kind of
            /// campaign is called so.
            pub(super) fn of_kind(kind: &str, document: Value) -> Result<Option<Self>, serde_json::Error> {
                Ok(match kind {
                    $(super::$study::$kind => {
                        Some(Self::$name(serde_json::from_value::<super::$request>(document)?))
                    })*
                    _ => None,
                })
            }
        }
    };
}

kinds! {
    /// Every stored bit by itself.
    Exhaustive: exhaustive::KIND, ExhaustiveRequest => ExhaustiveStudyReport;
    /// Every stored bit until a question about it is answered.
    Ask: asked::KIND, AskRequest => AskReport;
    /// Some stored bits by themselves.
    Sample: sample::KIND, SampleRequest => SampleStudyReport;
    /// Several flips at a time.
    Accumulation: accumulation::KIND, AccumulationRequest => AccumulationReport;
    /// Listed fault sets.
    Faults: fault_lists::KIND, FaultListRequest => FaultListReport;
    /// Codes that live for one inference.
    Activations: activations::KIND, ActivationRequest => ActivationStudyReport;
    /// Missions of a network.
    Mission: mission::KIND, MissionRequest => MissionReport;
    /// Missions of a memory by itself.
    Memory: memory::KIND, MemoryRequest => MemoryReport;
    /// Strikes on registers.
    Registers: registers::KIND, RegisterRequest => RegisterStudyReport;
    /// Every flip of register bits in every cycle of one sample.
    RegisterClasses: registers::CLASSES, RegisterClassesRequest => RegisterClassesStudyReport;
}
