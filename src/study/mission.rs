//! How many failures per hour? Hours of strikes on a network's memories, designs side by side.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::conduct::{self, Course, Opened, Workbench, conduct, folder_error};
use super::rates::reached;
use super::registers::{self, RegisterRate, ShortLived};
use super::strikes::{StrikeRequest, Strikes};
use super::variants::{ProtectChoice, ScrubChoice, Variant, VariantRequest, scheme_name};
use super::{
    Identity, NetworkRequest, PhasePlan, RateRequest, SamplesRequest, Session, StudyError, scope, text_form,
};
use crate::accelerator::{Scrub, StoredBit};
use crate::campaign::analytic::{Accumulation, Redundancy, p_wrong};
use crate::campaign::mission::{Contents, DesignSummary, Failure, MissionPlan, Missions};
use crate::campaign::{Bench, Kind, RegisterStrikes, Shard};
use crate::outcome::Loss;
use crate::radiation::Assumption;
use crate::radiation::rate::{FlippedBitsPerHour, Hours, StrikesPerHour};
use crate::scheme::{AreaReport, Protection, Scheme, Store};
use crate::text::{count, number, range};

/// Flies missions of several designs side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MissionRequest {
    /// The network on its hardware.
    pub network: NetworkRequest,
    /// Samples and what judges their outputs.
    pub samples: SamplesRequest,
    /// Which stored tensors can be hit: `weight`, `bias`, `threshold`, ..., or `all`.
    pub tensors: Vec<String>,
    /// Length of a mission in hours.
    pub mission_h: f64,
    /// Missions per design.
    pub repetitions: u64,
    /// Hours at which the workload is run; eighths of the mission where none are stated.
    pub at_h: Vec<f64>,
    /// Protection schemes.
    #[serde(with = "text_form::list")]
    pub schemes: Vec<Scheme>,
    /// What is protected: shares of the bits (`32%`), `all`, `none`, or protection maps.
    #[serde(with = "text_form::list")]
    pub protect: Vec<ProtectChoice>,
    /// Records of an exhaustive campaign that rank the bits for shares: `records.csv` or its folder.
    pub ranking: Option<PathBuf>,
    /// Whether an ideal protection flies as well: protected bits never fail and cost no cell.
    pub ideal: bool,
    /// Scrub periods in seconds, `PERIOD/PASS` where a pass takes time, or `none`; the hardware file's where
    /// none are stated.
    #[serde(with = "text_form::list")]
    pub scrub_s: Vec<ScrubChoice>,
    /// Seconds between two rewrites of all memories from outside; the hardware file's where none are stated.
    pub refresh_s: Option<f64>,
    /// How often memories are hit.
    pub rate: RateRequest,
    /// Strikes per second on all stored bits together, redundant cells not counted, instead of a rate.
    pub rate_per_s: Option<f64>,
    /// Whether only missions with at least one strike fly, and are weighed.
    pub given_strike: bool,
    /// Strikes on registers besides.
    pub registers: Option<u64>,
    /// Inferences per second, for the time in which registers are live; one behind the other where it is not
    /// stated.
    pub inference_rate_per_s: Option<f64>,
    /// Share of the strikes after which the struck cells are stuck at 0 or 1.
    pub permanent_share: f64,
    /// Whether closed forms stand beside the simulation.
    pub analytic: bool,
    /// What counts as a failure: `any`, `class`, or `loss>X`; what the loss means where it is not stated.
    #[serde(with = "text_form::option")]
    pub failure: Option<Failure>,
    /// Seed.
    pub seed: u64,
    /// A part of the missions only.
    pub shard: Option<Shard>,
}

impl Default for MissionRequest {
    fn default() -> Self {
        Self {
            network: NetworkRequest::default(),
            samples: SamplesRequest::default(),
            tensors: scope::all(),
            mission_h: 1.0,
            repetitions: 100,
            at_h: Vec::new(),
            schemes: Vec::new(),
            protect: Vec::new(),
            ranking: None,
            ideal: false,
            scrub_s: Vec::new(),
            refresh_s: None,
            rate: RateRequest::default(),
            rate_per_s: None,
            given_strike: false,
            registers: None,
            inference_rate_per_s: None,
            permanent_share: 0.0,
            analytic: false,
            failure: None,
            seed: 1,
            shard: None,
        }
    }
}

/// What one design came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DesignReport {
    /// Its name.
    pub design: String,
    /// The scheme of the protected bits; `mixed` where there are several.
    pub scheme: &'static str,
    /// Protected bits.
    pub protected_bits: u64,
    /// Their share of the exposed ones.
    pub protected_share: f64,
    /// The scrubber.
    pub scrub: Option<Scrub>,
    /// Seconds between two rewrites from outside.
    pub refresh_s: Option<f64>,
    /// Area.
    pub area: AreaReport,
    /// Closed forms, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analytic: Option<Analytic>,
    /// What its missions came to.
    #[serde(flatten)]
    pub missions: DesignSummary,
    /// Strikes per hour on all cells.
    pub events_per_hour: StrikesPerHour,
    /// The range in which the sources know them, low and high; none where they do not say.
    pub events_per_hour_band: Option<[StrikesPerHour; 2]>,
    /// Bits that they flip per hour, by the clusters in force.
    pub flipped_bits_per_hour: FlippedBitsPerHour,
    /// Failures per hour over that band, in proportion to the strikes: the interval of `failures` is that of the
    /// sample alone. Where strikes have to come together failures rise faster than that.
    pub failures_per_hour_band: Option<[f64; 2]>,
    /// Failures per hour with those of registers, where they were struck.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures_with_registers_per_hour: Option<f64>,
    /// The same per 1e9 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_fit_with_registers: Option<f64>,
}

/// Closed forms of a design.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Analytic {
    /// Bits that are read wrong at the end; none where the forms do not hold.
    pub wrong_bits_at_end: Option<f64>,
}

/// What was not examined, and how far that can change a rate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NotExamined {
    /// Stored bits that were not struck.
    pub stored_bits: u64,
    /// All stored bits.
    pub of_stored_bits: u64,
    /// Strikes per hour that flip at least one of those bits: an upper bound on the failures per hour that they add,
    /// were each harmful.
    pub at_most_per_hour: StrikesPerHour,
    /// Whether registers, FIFOs, line buffers and control state were left out.
    pub registers: bool,
    /// In a sentence.
    pub note: String,
}

/// What the missions came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MissionReport {
    /// The network.
    pub network: String,
    /// The hardware file's name.
    pub hardware: String,
    /// `mission`.
    pub kind: &'static str,
    /// Length of a mission.
    pub mission_h: f64,
    /// Missions per design.
    pub repetitions: u64,
    /// Seed.
    pub seed: u64,
    /// Samples of the workload.
    pub samples: usize,
    /// The loss.
    pub loss: &'static str,
    /// Mean loss without faults.
    pub fault_free_loss: f64,
    /// Mean share of right classes without faults, where it is known what is right.
    pub fault_free_accuracy: Option<f64>,
    /// Stored bits of the accelerator.
    pub stored_bits: u64,
    /// Stored bits that are struck.
    pub exposed_bits: usize,
    /// Whether only missions with a strike flew.
    pub given_strike: bool,
    /// Where the rate comes from.
    pub rate: String,
    /// What it rests on without knowing.
    pub assumptions: Vec<Assumption>,
    /// Strikes on registers.
    pub short_lived_storage: ShortLivedStorage,
    /// What was not examined.
    pub not_examined: NotExamined,
    /// What a wrong inference is.
    pub wrong_inference_means: &'static str,
    /// What counts as a failure: `any`, `class` or `loss>X`.
    #[serde(with = "text_form")]
    pub failure: Failure,
    /// The same in a sentence.
    pub failure_means: String,
    /// The designs.
    pub designs: Vec<DesignReport>,
    /// What is odd about the workload.
    pub warnings: Vec<String>,
    /// Where the records are.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// Storage whose flips live until the next write.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ShortLivedStorage {
    /// It was struck.
    Struck(Box<ShortLived>),
    /// It was not.
    Left {
        /// Always false.
        simulated: bool,
        /// What was left out.
        note: &'static str,
    },
}

const SHORT_LIVED: &str = "registers, FIFOs, line buffers and control state, whose flips live until the next write, were not struck";

/// What a forecast of missions says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MissionForecast {
    /// The designs.
    pub designs: Vec<String>,
    /// Missions of all designs.
    pub missions: u64,
    /// Samples of the workload.
    pub samples: usize,
    /// Runs of a sample at the stated times, at least.
    pub evaluations: u64,
    /// Expected strikes in a mission of each design.
    pub expected_events: Vec<f64>,
    /// What is to be expected, in a sentence.
    pub expectation: String,
    /// Seconds on this machine, by a first block.
    pub estimated_seconds: f64,
    /// Output folder.
    pub out: PathBuf,
}

/// Most repetitions.
pub(super) const MAX_REPETITIONS: u64 = 1_000_000_000;

/// Most times at which the workload is run.
const MAX_TIMES: usize = 10_000;

pub(super) const KIND: &str = "campaign-mission";

/// One design, laid out.
struct Laid {
    name: String,
    protection: Protection,
    plan: MissionPlan,
}

/// All that a request resolves to.
struct Prepared {
    exposed: Vec<StoredBit>,
    strikes: Strikes,
    designs: Vec<Laid>,
    kind: Missions,
    registers: Option<RegisterStrikes>,
}

/// The length of a mission and what goes with it; refuses what flies nothing.
pub(super) fn check_mission(
    mission_h: f64,
    repetitions: u64,
    refresh_s: Option<f64>,
) -> Result<Hours, StudyError> {
    scope::within(
        "missions",
        repetitions,
        MAX_REPETITIONS,
        "100 or more for a useful interval",
    )?;
    if let Some(seconds) = refresh_s.filter(|s| !(s.is_finite() && *s > 0.0)) {
        return Err(StudyError::refused_about(
            "refresh_s",
            format!("a rewrite every {seconds} s is no period"),
            "a finite number of seconds above 0, or no rewriting",
        ));
    }
    Ok(Hours(mission_h))
}

/// What counts as a failure where nothing is said: what the loss means.
pub(super) fn failure_of(loss: &Loss) -> Failure {
    if loss.fails_by_class() {
        Failure::Class
    } else {
        Failure::Any
    }
}

impl MissionRequest {
    fn times(&self) -> Vec<f64> {
        if self.at_h.is_empty() {
            return (1..=8)
                .map(|eighth| self.mission_h * f64::from(eighth) / 8.0)
                .collect();
        }
        self.at_h.clone()
    }

    fn workbench(&self, session: &Session) -> Result<Workbench, StudyError> {
        let classes = self.failure == Some(Failure::Class);
        Workbench::build(&self.network, &self.samples, classes, session)
    }

    fn prepare(&self, workbench: &Workbench) -> Result<Prepared, StudyError> {
        let duration = check_mission(self.mission_h, self.repetitions, self.refresh_s)?;
        if self.at_h.len() > MAX_TIMES {
            return Err(StudyError::refused(
                format!("the workload is to be run at {} times", self.at_h.len()),
                format!("at most {MAX_TIMES}"),
            ));
        }
        let design = &workbench.design;
        let accelerator = &design.accelerator;
        let exposed = scope::bits(accelerator, &self.tensors)?;
        let request = StrikeRequest {
            rate: &self.rate,
            rate_per_s: self.rate_per_s,
            permanent_share: self.permanent_share,
        };
        let mut strikes = Strikes::resolve(&request, Some(design), exposed.len() as u64)?;
        let variants = VariantRequest {
            schemes: &self.schemes,
            protect: &self.protect,
            ranking: self.ranking.as_deref(),
            ideal: self.ideal,
            scrub_s: &self.scrub_s,
            seed: self.seed,
        };
        let variants = variants.resolve(design, &exposed)?;
        strikes.note_copies(variants.iter().flat_map(|variant| variant.protection.schemes()));
        if self.registers.is_some() && self.rate_per_s.is_none() {
            strikes.add_registers(&self.rate, design)?;
        }
        let mut memories = vec![false; accelerator.map().memories().len()];
        for &bit in &exposed {
            memories[accelerator.map().address(bit).memory.index()] = true;
        }
        let designs = variants
            .into_iter()
            .map(|variant| self.lay_out(workbench, &strikes, &memories, variant, duration))
            .collect::<Result<Vec<Laid>, StudyError>>()?;
        let bench = &workbench.bench;
        let failure = self
            .failure
            .unwrap_or_else(|| failure_of(bench.evaluator().loss()));
        check_failure(failure, bench)?;
        let plans = designs
            .iter()
            .map(|laid| (laid.name.clone(), laid.plan.clone()))
            .collect();
        let kind = Missions::new(bench.clone(), plans, self.repetitions, failure);
        let registers = self
            .registers
            .map(|count| registers::strikes(workbench, count, self.seed))
            .transpose()?;
        Ok(Prepared {
            exposed,
            strikes,
            designs,
            kind,
            registers,
        })
    }

    fn lay_out(
        &self,
        workbench: &Workbench,
        strikes: &Strikes,
        memories: &[bool],
        variant: Variant,
        duration: Hours,
    ) -> Result<Laid, StudyError> {
        let accelerator = &workbench.design.accelerator;
        let store = Store::new(
            accelerator,
            |memory| memories[memory.index()],
            &variant.protection,
        )?;
        let exposures = strikes.on(&store, |memory| accelerator.map().memory(memory).style);
        let mut plan = MissionPlan::new(store, exposures, duration);
        plan.at = self.times();
        plan.scrub = variant.scrub;
        plan.refresh_s = self.refresh_s.or(accelerator.refresh_s());
        plan.seed = self.seed;
        plan.given_strike = self.given_strike;
        if plan.has_permanent_faults() {
            plan.contents = Contents::of(accelerator, &plan.store);
        }
        plan.check()?;
        Ok(Laid {
            name: variant.name,
            protection: variant.protection,
            plan,
        })
    }

    /// What is to be expected before anything is flown.
    fn expectation(&self, prepared: &Prepared) -> String {
        let expected = prepared.designs.iter().map(|laid| laid.plan.expected_events());
        let (least, most) = expected.fold((f64::MAX, 0.0f64), |(least, most), events| {
            (least.min(events), most.max(events))
        });
        let per_hour = least / self.mission_h;
        let mttf = if per_hour > 0.0 {
            format!("one in {} h", number(1.0 / per_hour))
        } else {
            "none".to_owned()
        };
        let in_all = if most > least {
            range(least, most)
        } else {
            number(least)
        };
        format!(
            "{} bits at {}: {} strikes per hour ({mttf}), {in_all} expected in a mission of {} h",
            count(prepared.exposed.len() as u64),
            prepared.strikes.source,
            number(per_hour),
            number(self.mission_h),
        )
    }

    /// What it would take.
    ///
    /// # Errors
    /// [`StudyError::Request`] where the request has no meaning or a file cannot be read.
    pub fn forecast(&self, session: &Session) -> Result<MissionForecast, StudyError> {
        let workbench = self.workbench(session)?;
        let prepared = self.prepare(&workbench)?;
        let samples = workbench.bench.samples();
        let out = session.folder_of(KIND, &workbench.design.name);
        let measured = conduct::forecast(&prepared.kind, self.shard.unwrap_or_default(), samples, out);
        Ok(MissionForecast {
            designs: prepared.designs.iter().map(|laid| laid.name.clone()).collect(),
            missions: measured.trials,
            samples,
            evaluations: measured.evaluations,
            expected_events: prepared
                .designs
                .iter()
                .map(|laid| laid.plan.expected_events())
                .collect(),
            expectation: self.expectation(&prepared),
            estimated_seconds: measured.estimated_seconds,
            out: measured.out,
        })
    }

    /// Runs it, or what is missing of it, and writes `records.csv`, `registers.csv` where registers are struck,
    /// and `summary.json`.
    ///
    /// # Errors
    /// [`StudyError`].
    pub fn run(&self, session: &Session) -> Result<MissionReport, StudyError> {
        let workbench = self.workbench(session)?;
        let prepared = self.prepare(&workbench)?;
        session.watch.note(&self.expectation(&prepared));
        let of_missions = Identity::of(&(&prepared.kind, self.shard))?;
        let of_registers = Identity::of(&prepared.registers)?;
        let of_all = Identity::of(&(&of_missions, &of_registers, &prepared.strikes.assumptions, self))?;
        let mut phases = Vec::new();
        if prepared.registers.is_some() {
            let stems = ["registers".to_owned()];
            phases.push(PhasePlan::of_records("registers", of_registers, &stems));
        }
        let stems = ["records".to_owned()];
        phases.push(PhasePlan::of_records("missions", of_missions, &stems));
        phases.push(PhasePlan::new("report", of_all, ["summary.json"]));
        let (opened, mut folder) = workbench.open(session, KIND, self, self.shard, phases)?;
        let mut course = Course {
            phase: "registers",
            stem: "registers",
            what: "register strikes",
            shard: Shard::WHOLE,
            stop: None,
            in_parts: false,
        };
        let short_lived = match &prepared.registers {
            None => None,
            Some(kind) => {
                let done = conduct(session, &folder, kind, &course)?;
                folder.done("registers").map_err(folder_error)?;
                let (strikes, clusters, uncertainty_factor) = prepared.strikes.register_rate();
                let rate = RegisterRate {
                    strikes,
                    clusters,
                    uncertainty_factor,
                    inferences_per_s: self.inference_rate_per_s,
                };
                let report = kind.report(&done.sums);
                Some(ShortLived::new(&opened.design.accelerator, &report, &rate)?)
            }
        };
        course = Course {
            phase: "missions",
            stem: "records",
            what: "missions",
            shard: self.shard.unwrap_or_default(),
            in_parts: true,
            ..course
        };
        let done = conduct(session, &folder, &prepared.kind, &course)?;
        folder.done("missions").map_err(folder_error)?;
        let summaries = prepared.kind.report(&done.sums);
        let report = self.report(
            &opened,
            prepared,
            summaries,
            short_lived,
            folder.path().to_owned(),
        )?;
        folder.write_json("summary.json", &report).map_err(folder_error)?;
        folder.done("report").map_err(folder_error)?;
        folder.finish().map_err(folder_error)?;
        Ok(report)
    }

    fn report(
        &self,
        opened: &Opened,
        prepared: Prepared,
        summaries: Vec<DesignSummary>,
        short_lived: Option<ShortLived>,
        folder: PathBuf,
    ) -> Result<MissionReport, StudyError> {
        let Opened { design, bench, .. } = opened;
        let accelerator = &design.accelerator;
        let of_registers = short_lived.as_ref().map(|done| done.wrong_per_hour);
        let failure = prepared.kind.failure();
        let not_examined = not_examined(opened, &prepared, of_registers.is_none());
        let designs = prepared
            .designs
            .iter()
            .zip(summaries)
            .map(|(laid, missions)| {
                let rates = prepared.strikes.per_hour(&laid.plan.store, &laid.plan.exposures);
                let failures = missions.failures.per_hour;
                let with_registers = of_registers.map(|registers| failures + registers);
                let reference = laid.protection.scheme().unwrap_or_default();
                Ok(DesignReport {
                    design: laid.name.clone(),
                    scheme: scheme_name(&laid.protection),
                    protected_bits: laid.plan.store.protected_bits(),
                    protected_share: laid.plan.store.protected_bits() as f64
                        / prepared.exposed.len().max(1) as f64,
                    scrub: laid.plan.scrub,
                    refresh_s: laid.plan.refresh_s,
                    area: AreaReport::of(accelerator, &laid.protection, reference)?,
                    analytic: self.analytic.then(|| Analytic {
                        wrong_bits_at_end: wrong_bits_at_end(laid),
                    }),
                    events_per_hour: rates.strikes,
                    events_per_hour_band: rates.band,
                    flipped_bits_per_hour: rates.flipped_bits,
                    failures_per_hour_band: rates.band.map(|band| {
                        let nominal = rates.strikes.value().max(f64::MIN_POSITIVE);
                        band.map(|strikes| failures * strikes.value() / nominal)
                    }),
                    failures_with_registers_per_hour: with_registers,
                    failure_fit_with_registers: with_registers.map(|all| all * 1e9),
                    missions,
                })
            })
            .collect::<Result<Vec<DesignReport>, StudyError>>()?;
        let baseline = bench.baseline();
        Ok(MissionReport {
            network: design.name.clone(),
            hardware: accelerator.name().to_owned(),
            kind: "mission",
            mission_h: self.mission_h,
            repetitions: self.repetitions,
            seed: self.seed,
            samples: bench.samples(),
            loss: bench.evaluator().loss().name(),
            fault_free_loss: baseline.loss,
            fault_free_accuracy: baseline.accuracy,
            stored_bits: accelerator.map().total_bits(),
            exposed_bits: prepared.exposed.len(),
            given_strike: self.given_strike,
            rate: prepared.strikes.source.clone(),
            assumptions: prepared.strikes.assumptions.clone(),
            short_lived_storage: match short_lived {
                Some(done) => ShortLivedStorage::Struck(Box::new(done)),
                None => ShortLivedStorage::Left {
                    simulated: false,
                    note: SHORT_LIVED,
                },
            },
            not_examined,
            wrong_inference_means: "any output differs from the fault-free run on the same sample",
            failure,
            failure_means: format!(
                "{}; failures are the first of each mission, per hour of operation before it",
                failure.means()
            ),
            designs,
            warnings: opened.warnings.clone(),
            folder,
        })
    }
}

/// What was left out, and how much it could add.
fn not_examined(opened: &Opened, prepared: &Prepared, registers: bool) -> NotExamined {
    let map = opened.design.accelerator.map();
    let exposed: std::collections::HashSet<StoredBit> = prepared.exposed.iter().copied().collect();
    let left: Vec<StoredBit> = map.bits().filter(|bit| !exposed.contains(bit)).collect();
    let of_style = |style| {
        let of = prepared.strikes.of_style(style);
        of.map(|(rate, clusters)| (rate, clusters, None))
    };
    let left_bits = left.iter().copied();
    let at_most_per_hour = reached(&opened.design.accelerator, left_bits, of_style)
        .strikes
        .nominal;
    let mut note = format!(
        "{} of {} stored bits not examined",
        count(left.len() as u64),
        count(map.total_bits())
    );
    if !left.is_empty() {
        note.push_str(&format!(
            "; they add at most {} failures per hour, were each flip of theirs one",
            number(at_most_per_hour.value())
        ));
    }
    if registers {
        note.push_str("; registers, FIFOs, line buffers and control state not examined");
    }
    NotExamined {
        stored_bits: left.len() as u64,
        of_stored_bits: map.total_bits(),
        at_most_per_hour,
        registers,
        note,
    }
}

/// Refuses a failure that cannot be told, or that is there from the start.
fn check_failure(failure: Failure, bench: &Bench) -> Result<(), StudyError> {
    let fault_free = bench.baseline().loss;
    match failure {
        Failure::LossAbove(loss) if fault_free > loss => Err(StudyError::refused(
            format!(
                "the fault-free loss {fault_free} is above {loss} already, so that every mission fails at once"
            ),
            "a larger loss",
        )),
        Failure::Class
            if bench
                .baseline()
                .outcomes
                .iter()
                .any(|outcome| outcome.correct.is_none()) =>
        {
            Err(StudyError::refused(
                "nothing says which class is right",
                "labels, or another meaning of a failure",
            ))
        }
        _ => Ok(()),
    }
}

/// Bits that are read wrong at the end by closed forms: those without protection, and the voted ones. None
/// where the forms do not hold.
fn wrong_bits_at_end(laid: &Laid) -> Option<f64> {
    let plan = &laid.plan;
    let [exposure] = &plan.exposures[..] else {
        return None;
    };
    let scheme = laid.protection.scheme()?;
    let holds = exposure.clusters.mean_bits() == 1.0
        && plan.refresh_s.is_none()
        && !plan.has_permanent_faults()
        && [Scheme::Ideal, Scheme::None, Scheme::Tmr].contains(&scheme);
    if !holds {
        return None;
    }
    let flips = exposure.strikes.mean().flipped_bits(&exposure.clusters);
    let protected = plan.store.protected_bits();
    let open = (plan.store.data_bits() - protected) as f64 * p_wrong(flips, plan.duration);
    let voted = Accumulation {
        scheme: Redundancy::Tmr { module_bits: 1 },
        units: protected,
        flips,
        scrub: plan.scrub.map(|scrub| Hours::from_seconds(scrub.period_s)),
        mission: plan.duration,
    };
    let of_protected = if scheme == Scheme::Tmr {
        voted.expected_failures()
    } else {
        0.0
    };
    Some(open + of_protected)
}
