//! How often does a memory by itself fail? Hours of strikes on words, without a network.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::conduct::{self, Course, Forecast, as_value, conduct, folder_error};
use super::mission::check_mission;
use super::strikes::{StrikeRequest, Strikes};
use super::variants::{ScrubChoice, scrub_name};
use super::{Identity, Opening, PhasePlan, RateRequest, Session, StudyError, text_form};
use crate::accelerator::{Scrub, Style};
use crate::campaign::analytic::{Accumulation, Redundancy};
use crate::campaign::mission::{AfterFailure, MissionPlan};
use crate::campaign::{Kind, MemoryMissions, MemorySummary, Run, Shard, StopRule};
use crate::data::InputLog;
use crate::radiation::Assumption;
use crate::radiation::rate::{FlippedBitsPerBitHour, FlippedBitsPerHour, Hours, StrikesPerHour};
use crate::scheme::{Code, Scheme, SchemeError, Store};

/// A memory by its size and protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemorySpec {
    /// Number of words.
    words: u64,
    /// How a word is stored.
    code: Code,
    /// Words whose bits take turns along a row.
    interleave: u32,
}

/// Why a text describes no memory.
#[derive(Clone, Debug, Error, Diagnostic, PartialEq, Eq)]
#[error("`{text}` describes no memory: {problem}")]
#[diagnostic(
    code(radstream::mission::memory),
    help(
        "expected words=N,bits=N, or bits=N for single bits, and optionally scheme=none|tmr|tmr-word|dmr|parity|secded|secded:N,K and interleave=N; e.g. words=199,bits=72,scheme=secded:72,64"
    )
)]
pub struct MemorySpecError {
    text: String,
    problem: String,
}

/// Most bits of such a memory.
const MAX_BITS: u64 = 1 << 31;

impl FromStr for MemorySpec {
    type Err = MemorySpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |problem: String| MemorySpecError {
            text: text.to_owned(),
            problem,
        };
        let number = |key: &str, value: &str| {
            value
                .parse::<u64>()
                .ok()
                .filter(|number| (1..=MAX_BITS).contains(number))
                .ok_or_else(|| wrong(format!("{key}={value} is no number from 1 to {MAX_BITS}")))
        };
        // The comma of `secded:72,64` belongs to its value.
        let mut fields: Vec<(String, String)> = Vec::new();
        for part in text.split(',') {
            match (part.split_once('='), fields.last_mut()) {
                (Some((key, value)), _) => fields.push((key.trim().to_owned(), value.trim().to_owned())),
                (None, Some((_, value))) => *value = format!("{value},{}", part.trim()),
                (None, None) => return Err(wrong(format!("`{part}` has no `=`"))),
            }
        }
        let (mut words, mut bits, mut interleave) = (None, None, None);
        let mut scheme = None;
        for (key, value) in &fields {
            let known = match key.as_str() {
                "words" => words.replace(number(key, value)?).is_some(),
                "bits" => bits.replace(number(key, value)?).is_some(),
                "interleave" => interleave.replace(number(key, value)?).is_some(),
                "scheme" => scheme.replace(value.as_str()).is_some(),
                _ => return Err(wrong(format!("there is no field `{key}`"))),
            };
            if known {
                return Err(wrong(format!("`{key}` stands twice")));
            }
        }
        let bits = bits.ok_or_else(|| wrong("`bits` is missing".to_owned()))?;
        let (scheme, n_k) = match scheme.unwrap_or("none").split_once(':') {
            None => (scheme.unwrap_or("none"), None),
            Some((name, n_k)) => (name, Some(n_k)),
        };
        let scheme: Scheme = scheme
            .parse()
            .map_err(|error: SchemeError| wrong(error.to_string()))?;
        let (words, word_bits) = match words {
            Some(words) => (words, bits),
            None if scheme.is_of_words() => return Err(wrong("`words` is missing".to_owned())),
            None => (bits, 1),
        };
        let data_bits = match n_k {
            None => word_bits,
            Some(n_k) => {
                let (n, k) = n_k
                    .split_once(',')
                    .filter(|_| scheme == Scheme::Secded)
                    .ok_or_else(|| wrong(format!("only secded takes parameters, N,K; found `{n_k}`")))?;
                let (n, k) = (number("N", n.trim())?, number("K", k.trim())?);
                if n != word_bits {
                    return Err(wrong(format!(
                        "bits={word_bits} are not the {n} bits of a codeword"
                    )));
                }
                let cells = u64::from(Code::new(Scheme::Secded, narrow(k)).cells());
                if cells != n {
                    return Err(wrong(format!(
                        "a SECDED word of {k} data bits has {cells} bits, not {n}"
                    )));
                }
                k
            }
        };
        if words.saturating_mul(data_bits) > MAX_BITS || data_bits > 1 << 20 {
            return Err(wrong(format!(
                "{words} words of {data_bits} bits are beyond {MAX_BITS} bits, or a word beyond 2^20"
            )));
        }
        Ok(Self {
            words,
            code: Code::new(scheme, narrow(data_bits)),
            interleave: interleave.map_or(1, narrow),
        })
    }
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl fmt::Display for MemorySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.code.scheme();
        let (bits, cells) = (self.code.data_bits(), self.code.cells());
        if scheme == Scheme::Secded {
            write!(
                f,
                "words={},bits={cells},scheme=secded:{cells},{bits}",
                self.words
            )?;
        } else {
            write!(f, "words={},bits={bits},scheme={scheme}", self.words)?;
        }
        write!(f, ",interleave={}", self.interleave)
    }
}

impl MemorySpec {
    fn data_bits(&self) -> u64 {
        self.words * u64::from(self.code.data_bits())
    }

    /// Its closed form, where there is one.
    fn analytic(
        &self,
        flips: FlippedBitsPerBitHour,
        scrub: Option<Scrub>,
        mission: Hours,
    ) -> Option<Accumulation> {
        let scheme = self.code.scheme();
        let unit_bits = if scheme.is_of_words() {
            self.code.data_bits()
        } else {
            1
        };
        let redundancy = Redundancy::of(&Code::new(scheme, unit_bits))?;
        Some(Accumulation {
            scheme: redundancy,
            units: redundancy.units(self.data_bits()),
            flips,
            scrub: scrub.map(|scrub| Hours::from_seconds(scrub.period_s)),
            mission,
        })
    }
}

/// Flies missions of a memory, once for every scrub period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryRequest {
    /// The memory: `words=199,bits=72,scheme=secded:72,64`.
    #[serde(with = "text_form")]
    pub memory: MemorySpec,
    /// Length of a mission in hours.
    pub mission_h: f64,
    /// Missions per scrub period.
    #[serde(default = "hundred")]
    pub repetitions: u64,
    /// Scrub periods in seconds, `PERIOD/PASS` where a pass takes time, or `none`.
    #[serde(default, with = "text_form::list")]
    pub scrub_s: Vec<ScrubChoice>,
    /// Seconds between two rewrites from outside.
    #[serde(default)]
    pub refresh_s: Option<f64>,
    /// How often the memory is hit.
    #[serde(default)]
    pub rate: RateRequest,
    /// Strikes per second on all data bits together, redundant cells not counted, instead of a rate.
    #[serde(default)]
    pub rate_per_s: Option<f64>,
    /// Whether only missions with at least one strike fly, and are weighed.
    #[serde(default)]
    pub given_strike: bool,
    /// Share of the strikes after which the struck cells are stuck at 0 or 1.
    #[serde(default)]
    pub permanent_share: f64,
    /// Whether closed forms stand beside the simulation.
    #[serde(default)]
    pub analytic: bool,
    /// Seed.
    #[serde(default = "one")]
    pub seed: u64,
    /// Ends it once the failures per mission are known so well; with a single scrub period.
    #[serde(default)]
    pub until: Option<StopRule>,
    /// A part of the missions only.
    #[serde(default)]
    pub shard: Option<Shard>,
}

fn hundred() -> u64 {
    100
}

fn one() -> u64 {
    1
}

/// The memory as reports state it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryDescription {
    /// Words.
    pub words: u64,
    /// Data bits of a word.
    pub data_bits_per_word: u32,
    /// Cells of a word.
    pub cells_per_word: u32,
    /// The scheme.
    pub scheme: Scheme,
    /// Words whose bits take turns along a row.
    pub interleave: u32,
}

/// Closed forms of one scrub period.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MemoryAnalytic {
    /// Expected failures in a mission.
    pub expected_failures: f64,
    /// Probability of any failure in a mission.
    pub p_any: f64,
    /// What they rest on.
    pub method: &'static str,
}

/// What the missions with one scrub period came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScrubReport {
    /// Name for tables and records.
    #[serde(skip)]
    pub name: String,
    /// What the missions came to.
    #[serde(flatten)]
    pub missions: MemorySummary,
    /// The scrubber.
    pub scrub: Option<Scrub>,
    /// Seconds between two rewrites from outside.
    pub refresh_s: Option<f64>,
    /// Strikes per hour on all cells.
    pub events_per_hour: StrikesPerHour,
    /// The range in which the sources know them; none where they do not say.
    pub events_per_hour_band: Option<[StrikesPerHour; 2]>,
    /// Bits that they flip per hour, by the clusters in force.
    pub flipped_bits_per_hour: FlippedBitsPerHour,
    /// Closed forms; none where they do not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analytic: Option<Option<MemoryAnalytic>>,
}

/// What the missions of a memory came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MemoryReport {
    /// `mission`.
    pub kind: &'static str,
    /// The memory.
    pub memory: MemoryDescription,
    /// Length of a mission.
    pub mission_h: f64,
    /// Missions per scrub period.
    pub repetitions: u64,
    /// What a failure is.
    pub failure_means: &'static str,
    /// Where the rate comes from.
    pub rate: String,
    /// What it rests on without knowing.
    pub assumptions: Vec<Assumption>,
    /// Whether only missions with a strike flew.
    pub given_strike: bool,
    /// Seed.
    pub seed: u64,
    /// One for each scrub period.
    pub scrubbing: Vec<ScrubReport>,
    /// Where the records are, where a folder was named.
    #[serde(skip)]
    pub folder: Option<PathBuf>,
}

const FAILURE_MEANS: &str = "a failure is a word (or a bit by itself) that is found wrong or beyond correction at the end of a scrub interval or of the mission; it is counted and put right";

pub(super) const KIND: &str = "campaign-memory";

struct Prepared {
    kind: MemoryMissions,
    plans: Vec<(Option<Scrub>, MissionPlan)>,
    strikes: Strikes,
}

impl MemoryRequest {
    fn prepare(&self) -> Result<Prepared, StudyError> {
        let duration = check_mission(self.mission_h, self.repetitions, self.refresh_s)?;
        let spec = &self.memory;
        let request = StrikeRequest {
            rate: &self.rate,
            rate_per_s: self.rate_per_s,
            permanent_share: self.permanent_share,
        };
        let mut strikes = Strikes::resolve(&request, None, spec.data_bits())?;
        strikes.note_copies(std::iter::once(spec.code.scheme()));
        let scrubs: Vec<Option<Scrub>> = if self.scrub_s.is_empty() {
            vec![None]
        } else {
            self.scrub_s.iter().map(|choice| choice.0).collect()
        };
        let mut plans = Vec::new();
        for scrub in scrubs {
            let store = Store::memory(
                spec.words,
                spec.code.data_bits(),
                spec.interleave,
                spec.code.scheme(),
            );
            let exposures = strikes.on(&store, |_| Style::Registers);
            let plan = MissionPlan {
                scrub,
                refresh_s: self.refresh_s,
                after_failure: AfterFailure::PutRight,
                reads_continuously: false,
                keep_changes: false,
                given_strike: self.given_strike,
                seed: self.seed,
                ..MissionPlan::new(store, exposures, duration)
            };
            plan.check()?;
            plans.push((scrub, plan));
        }
        let named = plans
            .iter()
            .map(|(scrub, plan)| (scrub_name(*scrub), plan.clone()));
        Ok(Prepared {
            kind: MemoryMissions::new(named.collect(), self.repetitions),
            plans,
            strikes,
        })
    }

    /// What it would take.
    ///
    /// # Errors
    /// [`StudyError::Request`] where the request has no meaning.
    pub fn forecast(&self, session: &Session) -> Result<Forecast, StudyError> {
        let prepared = self.prepare()?;
        let out = session.folder.clone().unwrap_or_default();
        Ok(conduct::forecast(
            &prepared.kind,
            self.shard.unwrap_or_default(),
            0,
            out,
        ))
    }

    /// Runs it. With a folder, or what is missing of it there, it writes `records.csv` and `summary.json`.
    ///
    /// # Errors
    /// [`StudyError`].
    pub fn run(&self, session: &Session) -> Result<MemoryReport, StudyError> {
        let log = InputLog::start();
        let prepared = self.prepare()?;
        let Some(path) = &session.folder else {
            let range = self.shard.unwrap_or_default().range(prepared.kind.trials());
            let monitor = session.watch.begin("missions", range.end - range.start);
            let done = Run::new(&prepared.kind)
                .shard(self.shard.unwrap_or_default())
                .until(self.until)
                .go(&*monitor)
                .map_err(conduct::run_error)?;
            drop(monitor);
            if !done.complete {
                return Err(StudyError::Stopped {
                    kept: "stopped; without an output folder nothing is kept".to_owned(),
                });
            }
            return Ok(self.report(&prepared, prepared.kind.report(&done.sums), None));
        };
        let fingerprint = Identity::of(&(&prepared.kind, self.until, self.shard))?;
        let opening = Opening {
            kind: KIND.to_owned(),
            name: self.memory.to_string(),
            request: as_value(self)?,
            inputs: log.finish(),
            provenance: None,
            shard: self.shard,
            phases: vec![
                PhasePlan::of_records("campaign", fingerprint.clone(), &["records".to_owned()]),
                PhasePlan::new("report", fingerprint, ["summary.json"]),
            ],
            command_line: session.command_line.clone(),
            force: session.force,
        };
        let mut folder = conduct::open(session, path, opening)?;
        let course = Course {
            phase: "campaign",
            stem: "records",
            what: "missions",
            shard: self.shard.unwrap_or_default(),
            stop: self.until,
            in_parts: true,
        };
        let done = conduct(session, &folder, &prepared.kind, &course)?;
        folder.done("campaign").map_err(folder_error)?;
        let report = self.report(&prepared, prepared.kind.report(&done.sums), Some(path.clone()));
        folder.write_json("summary.json", &report).map_err(folder_error)?;
        folder.done("report").map_err(folder_error)?;
        folder.finish().map_err(folder_error)?;
        Ok(report)
    }

    fn report(
        &self,
        prepared: &Prepared,
        summaries: Vec<MemorySummary>,
        folder: Option<PathBuf>,
    ) -> MemoryReport {
        let spec = &self.memory;
        let scrubbing = prepared
            .plans
            .iter()
            .zip(summaries)
            .map(|((scrub, plan), missions)| {
                let rates = prepared.strikes.per_hour(&plan.store, &plan.exposures);
                ScrubReport {
                    name: scrub_name(*scrub),
                    missions,
                    scrub: *scrub,
                    refresh_s: self.refresh_s,
                    events_per_hour: rates.strikes,
                    events_per_hour_band: rates.band,
                    flipped_bits_per_hour: rates.flipped_bits,
                    analytic: self.analytic.then(|| closed_form(spec, plan, *scrub)),
                }
            });
        MemoryReport {
            kind: "mission",
            memory: MemoryDescription {
                words: spec.words,
                data_bits_per_word: spec.code.data_bits(),
                cells_per_word: spec.code.cells(),
                scheme: spec.code.scheme(),
                interleave: spec.interleave,
            },
            mission_h: self.mission_h,
            repetitions: self.repetitions,
            failure_means: FAILURE_MEANS,
            rate: prepared.strikes.source.clone(),
            assumptions: prepared.strikes.assumptions.clone(),
            given_strike: self.given_strike,
            seed: self.seed,
            scrubbing: scrubbing.collect(),
            folder,
        }
    }
}

fn closed_form(spec: &MemorySpec, plan: &MissionPlan, scrub: Option<Scrub>) -> Option<MemoryAnalytic> {
    let single = plan
        .exposures
        .iter()
        .all(|exposure| exposure.clusters.mean_bits() == 1.0);
    if !single || plan.refresh_s.is_some() || plan.has_permanent_faults() {
        return None;
    }
    let [exposure] = &plan.exposures[..] else {
        return None;
    };
    let flips = exposure.strikes.mean().flipped_bits(&exposure.clusters);
    let form = spec.analytic(flips, scrub, plan.duration)?;
    Some(MemoryAnalytic {
        expected_failures: form.expected_failures(),
        p_any: form.p_any(),
        method: "independent single-bit upsets at the mean rate; every interval starts from right words",
    })
}
