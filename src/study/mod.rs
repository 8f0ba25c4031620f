//! What a user asks: one file per question, a typed request in, a typed report out.
//!
//! A request is one serde document: the command line makes it from its options, a file holds it, another
//! program sends it. A study resolves it (files are read, the accelerator is built), runs, keeps its results in
//! an [`OutputFolder`], and returns a report, which is one serde document as well. Studies know nothing of
//! flags, terminals or text.

mod accumulation;
mod activations;
mod asked;
mod campaigns;
mod conduct;
mod convert;
mod design;
mod error;
mod exhaustive;
mod export;
mod fault_lists;
mod folder;
mod harden;
mod identity;
mod inspect;
mod manifest;
mod memory;
mod merge;
mod mission;
mod one_campaign;
mod plan;
mod plan_sample;
mod presets;
mod protect;
mod protection;
mod ranges;
mod rate;
mod rates;
mod registers;
mod regress;
mod run;
mod run_cycles;
mod run_report;
mod run_request;
mod sample;
mod samples;
mod scope;
mod session;
mod strikes;
pub mod text_form;
mod unbuilt;
mod variants;
mod warnings;

pub use accumulation::{AccumulationReport, AccumulationRequest, Counts};
pub use activations::{ActivationRequest, ActivationStudyReport};
pub use asked::{AskReport, AskRequest};
pub use campaigns::{CampaignForecast, CampaignReport};
pub use conduct::{Forecast, bench};
pub use convert::{ConvertReport, ConvertRequest, ConvertedFolding};
pub use design::{Design, NetworkRequest};
pub use error::{RequestError, StudyError};
pub use exhaustive::{ExhaustiveRequest, ExhaustiveStudyReport};
pub use export::{ExportReport, ExportRequest};
pub use fault_lists::{FaultListReport, FaultListRequest};
pub use folder::{FolderError, Opening, OutputFolder, PhasePlan, PhaseState};
pub use harden::{HardenReport, HardenRequest};
pub use identity::{Identity, NoDocument};
pub use inspect::{
    AccumulatorReport, BitsByName, CyclesReport, EndReport, FoldingReport, InspectReport, InspectRequest,
    LayerReport, NamedRegister, RegisterGroup, ScheduleReport, StageReport, StoredMemoryReport, TensorReport,
};
pub use manifest::{Manifest, OutputFile, Phase, Program, Provenance};
pub use memory::{MemoryReport, MemoryRequest, MemorySpec, MemorySpecError, ScrubReport};
pub use merge::MergeRequest;
pub use mission::{
    DesignReport, MissionForecast, MissionReport, MissionRequest, NotExamined, ShortLivedStorage,
};
pub use plan::Request;
pub use plan_sample::{PlanSampleReport, PlanSampleRequest};
pub use presets::{PresetReport, PresetsReport, presets};
pub use protect::{ProtectReport, ProtectRequest, Seed};
pub use protection::{LossRaising, ProtectOptions, ProtectionReport, Residual, Unexamined};
pub use ranges::{CastReport, RangesReport, SoftmaxReport, StoredRangeReport, TensorRangeReport};
pub use rate::{AnalyticReport, ClassReport, ClosedForm, ClosedFormError, UpsetReport, UpsetRequest};
pub use rates::{AcceleratorRates, BitRates, RateBand, RateRequest, RateSummary};
pub use registers::{
    RawRateReport, RegisterClassesRequest, RegisterClassesStudyReport, RegisterRequest, RegisterStudyReport,
    ShortLived,
};
pub use regress::{RegressReport, RegressRequest, TableSource, TableSourceError};
pub use run_report::{
    ClockReport, Drawn, FaultList, FifoUse, OutputFormat, RunFaults, RunReport, StageActivity, Struck,
    StruckBit, StruckValue,
};
pub use run_request::{DrawFrom, Edges, EdgesError, FaultCheck, RunEngine, RunRequest};
pub use sample::{SampleRequest, SampleStudyReport};
pub use samples::SamplesRequest;
pub use session::{Session, Unwatched, Watch};
pub use unbuilt::Unbuilt;
pub use variants::{ChoiceError, ProtectChoice, ScrubChoice};
