//! Whole campaigns of any kind, joined from parts or run in one piece.

use super::{
    accumulation, activations, asked, exhaustive, fault_lists, forecast, memory, mission, mission_forecast,
    register_classes, registers, sample,
};
use crate::study::{CampaignForecast, CampaignReport, Request};

/// What a campaign came to, and where its records are.
#[must_use]
pub fn campaign(report: &CampaignReport) -> String {
    let text = match report {
        CampaignReport::Exhaustive(report) => exhaustive(&report.campaign),
        CampaignReport::Ask(report) => asked(report),
        CampaignReport::Sample(report) => sample(report),
        CampaignReport::Accumulation(report) => accumulation(report),
        CampaignReport::Faults(report) => fault_lists(report),
        CampaignReport::Activations(report) => activations(report),
        CampaignReport::Mission(report) => mission(report),
        CampaignReport::Memory(report) => memory(report),
        CampaignReport::Registers(report) => registers(report),
        CampaignReport::RegisterClasses(report) => register_classes(report),
    };
    let wrote = report.folder().map_or(String::new(), |folder| {
        format!("\nwrote {}", folder.join("records.csv").display())
    });
    format!("{text}{wrote}")
}

/// What a campaign would take.
#[must_use]
pub fn campaign_forecast(request: &Request, report: &CampaignForecast) -> String {
    let (verb, what) = match request {
        Request::Exhaustive(_) | Request::Ask(_) | Request::Sample(_) => ("flip", "bits"),
        Request::Registers(_) => ("strike", "register bits"),
        Request::RegisterClasses(_) => ("strike", "classes of register flips"),
        Request::Memory(_) => ("fly", "missions"),
        Request::Activations(_) => ("make", "flips"),
        Request::Faults(_) => ("evaluate", "fault sets"),
        _ => ("run", "trials"),
    };
    match report {
        CampaignForecast::Trials(report) => forecast(report, verb, what),
        CampaignForecast::Missions(report) => mission_forecast(report),
    }
}
