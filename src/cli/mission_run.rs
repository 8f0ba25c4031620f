//! `radstream campaign --mission`: flying the designs on a workload, and what came of it.

use std::path::Path;

use rayon::prelude::*;
use serde_json::{Value, json};

use super::Failure;
use super::campaign::{bench, plan_of, write_json};
use super::chip::Chip;
use super::mission::{Design, MissionOptions, Struck};
use super::options::Manner;
use super::output::{self, count, short};
use super::progress::{Bar, heed_interrupts};
use super::rate_options::RateOptions;
use super::register_strikes;
use crate::accelerator::StoredBit;
use crate::campaign::analytic::{Accumulation, Protected, p_wrong};
use crate::campaign::mission::{
    DesignSummary, MissionRecords, MissionRow, Tally, Timeline, Workspace, fly, simulate, summarize,
};
use crate::campaign::{Bench, RecordError, fingerprint};
use crate::radiation::rate::Hours;
use crate::scheme::{AreaReport, Scheme};
use crate::simulate::functional::Plan;

/// Missions of a network on its accelerator.
pub struct MissionRun<'a> {
    /// The accelerator with its samples.
    pub chip: &'a Chip,
    /// What is flown.
    pub options: &'a MissionOptions,
    /// How often memories are hit.
    pub rate: &'a RateOptions,
    /// How the command speaks.
    pub manner: &'a Manner,
    /// Bits that can be hit.
    pub exposed: &'a [StoredBit],
}

/// What one design came to.
struct Flown {
    summary: DesignSummary,
    area: AreaReport,
    analytic: Option<f64>,
}

/// Strikes on registers, as they are reported.
struct ShortLived {
    text: String,
    document: Value,
}

const SHORT_LIVED: &str = "registers, FIFOs, line buffers and control state, whose flips live until the next write, were not struck: add --registers N";

/// What a table over such missions shows.
pub const GIVEN_STRIKE: &str = "only missions with at least one strike were flown: numbers at a time are those of such missions, failures and wrong bits per hour those of all";

/// Missions whose records are written together.
const BLOCK: u64 = 64;

impl MissionRun<'_> {
    /// Runs the command.
    pub fn run(&self, dry_run: bool) -> Result<(), Failure> {
        let duration = self.options.duration()?;
        let bits = self.exposed.len() as u64;
        let mut struck = self.options.struck(self.rate, Some(self.chip), bits)?;
        let designs = self
            .options
            .designs(self.chip, &struck, self.exposed, duration, self.manner)?;
        let real = designs.iter().filter(|design| !design.ideal);
        struck.note_copies(real.map(|design| design.scheme));
        let workload = self.chip.workload()?;
        let out = self.manner.folder("campaign", &self.chip.name);
        if dry_run {
            return self.dry_run(&designs, &struck, workload.samples, &out);
        }
        let plan = Plan::new(self.chip.accelerator.network());
        let bench = bench(self.chip, &plan, workload)?;
        if !self.manner.quiet {
            eprintln!("{}", self.forecast(&designs, &struck));
        }
        let short_lived = self.short_lived(&bench, &struck)?;
        let flown = self.fly(&bench, &designs, &struck, &out)?;
        let document = self.document(&bench, &designs, &struck, &flown, short_lived.as_ref());
        write_json(&out.join("summary.json"), &document)?;
        if self.manner.json {
            return output::json(&document);
        }
        output::line(&self.text(&bench, &designs, &struck, &flown, short_lived.as_ref()))?;
        output::line(&format!("wrote {}", out.join("records.csv").display()))
    }

    /// What strikes on registers come to, where they were asked for.
    fn short_lived(&self, bench: &Bench<'_>, struck: &Struck) -> Result<Option<ShortLived>, Failure> {
        let Some(strikes) = self.options.registers else {
            return Ok(None);
        };
        let accelerator = &self.chip.accelerator;
        let done = register_strikes::strike(
            accelerator,
            bench.inputs(),
            bench.evaluator(),
            strikes,
            self.manner,
        )?;
        let document = done.document(accelerator, struck.register_rate(), self.options.inference_rate)?;
        Ok(Some(ShortLived {
            text: done.text(),
            document,
        }))
    }

    /// What is to be expected before anything is flown.
    fn forecast(&self, designs: &[Design], struck: &Struck) -> String {
        let expected = |design: &Design| design.plan.expected_events();
        let (least, most) = designs
            .iter()
            .map(expected)
            .fold((f64::MAX, 0.0f64), |(least, most), events| {
                (least.min(events), most.max(events))
            });
        let hours = self.options.mission.unwrap_or(0.0);
        let per_hour = if hours > 0.0 { least / hours } else { 0.0 };
        let mttf = if per_hour > 0.0 {
            format!("one in {} h", short(1.0 / per_hour))
        } else {
            "none".to_owned()
        };
        format!(
            "{} bits at {}: {} strikes per hour ({mttf}), {} to {} expected in a mission of {hours} h",
            count(self.exposed.len() as u64),
            struck.source,
            short(per_hour),
            short(least),
            short(most),
        )
    }

    fn dry_run(
        &self,
        designs: &[Design],
        struck: &Struck,
        samples: usize,
        out: &Path,
    ) -> Result<(), Failure> {
        let times = self
            .options
            .times(Hours(self.options.mission.unwrap_or(0.0)))
            .len() as u64;
        let missions = designs.len() as u64 * self.options.repetitions;
        let evaluations = missions * times * samples as u64;
        if self.manner.json {
            let names: Vec<&str> = designs.iter().map(|design| design.name.as_str()).collect();
            return output::json(&json!({
                "designs": names,
                "missions": missions,
                "samples": samples,
                "evaluations": evaluations,
                "expected_events": designs.iter().map(|design| design.plan.expected_events()).collect::<Vec<_>>(),
                "out": out,
            }));
        }
        output::line(&self.forecast(designs, struck))?;
        output::line(&format!(
            "would fly {} missions of {} designs on {} samples (at least {} evaluations) and write into {}",
            count(missions),
            designs.len(),
            count(samples as u64),
            count(evaluations),
            out.display()
        ))
    }

    fn fly(
        &self,
        bench: &Bench<'_>,
        designs: &[Design],
        struck: &Struck,
        out: &Path,
    ) -> Result<Vec<Flown>, Failure> {
        let accelerator = &self.chip.accelerator;
        let times = self
            .options
            .times(Hours(self.options.mission.unwrap_or(0.0)))
            .len();
        let repetitions = self.options.repetitions;
        let plan = self.fingerprint(bench, designs, struck)?;
        let mut file = MissionRecords::open(out, &plan, times).map_err(|error| match error {
            RecordError::Unwritable { .. } => Failure::work_of(error),
            error => error.into(),
        })?;
        let kept = file.finished().to_vec();
        if !kept.is_empty() && !self.manner.quiet {
            let missions = kept.len() / times.max(1);
            eprintln!(
                "resuming behind {} finished missions in {}",
                count(missions as u64),
                out.display()
            );
        }
        heed_interrupts();
        let pairs = designs.len() as u64 * repetitions * times as u64 * bench.samples() as u64;
        let bar = Bar::new("missions", pairs, self.manner.quiet);
        let mut flown = Vec::new();
        for (position, design) in designs.iter().enumerate() {
            let begin = position * repetitions as usize * times;
            let end = (begin + repetitions as usize * times).min(kept.len());
            let mut rows = kept.get(begin..end).unwrap_or_default().to_vec();
            let mut tally = Tally::default();
            let done = (rows.len() / times.max(1)) as u64;
            let again: Vec<Timeline> = (0..done)
                .into_par_iter()
                .map_init(Workspace::default, |workspace, trial| {
                    simulate(&design.plan, trial, workspace)
                })
                .collect();
            for (timeline, rows) in again.iter().zip(rows.chunks(times.max(1))) {
                tally.add(accelerator, &design.plan, timeline, rows[0].first_wrong_h);
            }
            let mut next = done;
            while next < repetitions {
                let last = repetitions.min(next + BLOCK);
                let flights = fly(bench, &design.plan, next..last, &bar).ok_or_else(|| {
                    Failure::work(format!(
                        "stopped after {} of {} missions of `{}`; {} keeps them, and the same command goes on from there",
                        count(next),
                        count(repetitions),
                        design.name,
                        out.join("records.partial").display()
                    ))
                })?;
                let before = rows.len();
                for (trial, flight) in (next..last).zip(&flights) {
                    tally.add_flight(accelerator, &design.plan, flight);
                    rows.extend(MissionRow::of(&design.name, trial, flight));
                }
                file.append(&rows[before..])
                    .map_err(|error| Failure::writing(out, &error))?;
                next = last;
            }
            flown.push(Flown {
                summary: summarize(accelerator, &design.plan, &tally, &rows, bench.samples()),
                area: AreaReport::of(
                    accelerator,
                    if design.ideal { Scheme::None } else { design.scheme },
                    &design.protected,
                ),
                analytic: self.options.analytic.then(|| wrong_bits_at_end(design)).flatten(),
            });
        }
        bar.finish();
        file.finish().map_err(|error| Failure::writing(out, &error))?;
        Ok(flown)
    }

    /// A fingerprint of all that determines the records.
    fn fingerprint(&self, bench: &Bench<'_>, designs: &[Design], struck: &Struck) -> Result<String, Failure> {
        let workload = plan_of(self.chip, bench, self.exposed)?;
        let mut parts = vec![
            workload,
            struck.source.clone(),
            self.options.repetitions.to_string(),
        ];
        for design in designs {
            let plan = &design.plan;
            parts.push(format!(
                "{} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {}",
                design.name,
                plan.store.scheme(),
                plan.exposures,
                plan.duration,
                plan.scrub,
                plan.refresh_s,
                plan.at,
                design.ideal,
                plan.given_strike,
                plan.seed
            ));
            let bits = design.protected.iter().map(|bit| bit.0.to_string());
            parts.push(bits.collect::<Vec<_>>().join(","));
            let geometry = plan
                .store
                .arrays()
                .iter()
                .map(|array| format!("{:?}", array.geometry));
            parts.push(geometry.collect());
        }
        Ok(fingerprint(parts.iter().map(String::as_bytes)))
    }

    fn document(
        &self,
        bench: &Bench<'_>,
        designs: &[Design],
        struck: &Struck,
        flown: &[Flown],
        short_lived: Option<&ShortLived>,
    ) -> Value {
        let all: Vec<Value> = designs
            .iter()
            .zip(flown)
            .map(|(design, flown)| {
                let protected = design.plan.store.protected_bits();
                let mut document = json!({
                    "design": design.name,
                    "scheme": if design.ideal { "ideal" } else { design.scheme.name() },
                    "protected_bits": protected,
                    "protected_share": protected as f64 / self.exposed.len().max(1) as f64,
                    "scrub": design.plan.scrub,
                    "refresh_s": design.plan.refresh_s,
                    "area": flown.area,
                });
                if self.options.analytic {
                    document["analytic"] = json!({ "wrong_bits_at_end": flown.analytic });
                }
                let summary = serde_json::to_value(&flown.summary).unwrap_or_default();
                if let (Some(document), Some(summary)) = (document.as_object_mut(), summary.as_object()) {
                    document.extend(summary.clone());
                }
                if let Some(short_lived) = short_lived {
                    let of_registers = short_lived.document["wrong_per_hour"].as_f64().unwrap_or(0.0);
                    let all = flown.summary.failures.per_hour + of_registers;
                    document["failures_with_registers_per_hour"] = json!(all);
                    document["failure_fit_with_registers"] = json!(all * 1e9);
                }
                document
            })
            .collect();
        let baseline = bench.baseline();
        json!({
            "network": self.chip.name,
            "hardware": self.chip.accelerator.name(),
            "kind": "mission",
            "mission_h": self.options.mission,
            "repetitions": self.options.repetitions,
            "seed": self.manner.seed,
            "samples": bench.samples(),
            "loss": bench.evaluator().loss().name(),
            "fault_free_loss": baseline.loss,
            "fault_free_accuracy": baseline.accuracy,
            "stored_bits": self.chip.accelerator.map().total_bits(),
            "exposed_bits": self.exposed.len(),
            "given_strike": self.options.given_strike,
            "rate": struck.source,
            "assumptions": struck.assumptions,
            "short_lived_storage": short_lived
                .map_or_else(|| json!({ "simulated": false, "note": SHORT_LIVED }), |done| done.document.clone()),
            "wrong_inference_means": "any output differs from the fault-free run on the same sample",
            "failure_means": "the first wrong output of a mission, per hour of operation before it",
            "designs": all,
        })
    }

    fn text(
        &self,
        bench: &Bench<'_>,
        designs: &[Design],
        struck: &Struck,
        flown: &[Flown],
        short_lived: Option<&ShortLived>,
    ) -> String {
        let loss = bench.evaluator().loss().name();
        let mut text = format!(
            "{}: {} missions of {} h per design, {} samples, loss {loss}, fault-free {}\n{}\n",
            self.chip.name,
            count(self.options.repetitions),
            self.options.mission.unwrap_or(0.0),
            count(bench.samples() as u64),
            short(bench.baseline().loss),
            self.forecast(designs, struck),
        );
        let rows: Vec<Vec<String>> = designs
            .iter()
            .zip(flown)
            .map(|(design, flown)| design_row(design, flown))
            .collect();
        let mut header = vec![
            "design",
            "area",
            "strikes",
            "wrong bits",
            "wrong inferences",
            "loss at end",
            "95 % bootstrap",
            "failures/h",
            "95 % Garwood",
        ];
        let mut rows = rows;
        if self.options.analytic {
            header.push("wrong bits, closed form");
            for (row, flown) in rows.iter_mut().zip(flown) {
                row.push(flown.analytic.map_or_else(|| "-".to_owned(), short));
            }
        }
        text.push_str(&format!("\n{}", output::table(&header, &rows)));
        text.push_str(&format!(
            "\n\nmean loss over time:\n{}",
            loss_table(designs, flown)
        ));
        text.push_str(&format!(
            "\n\nbits that began to be read wrong, per hour, by what it took:\n{}",
            cause_table(designs, flown)
        ));
        match short_lived {
            None => text.push_str(&format!("\n\n{SHORT_LIVED}")),
            Some(done) => {
                let sentence = register_strikes::sentence(&done.document);
                text.push_str(&format!(
                    "\n\n{}\n{sentence}, on top of the failures above",
                    done.text
                ));
            }
        }
        if self.options.given_strike {
            text.push_str(&format!("\n{GIVEN_STRIKE}"));
        } else if designs.iter().all(|design| design.plan.expected_events() < 0.1) {
            text.push_str("\nfew missions see a strike: --given-strike flies only those that do");
        }
        for assumption in &struck.assumptions {
            text.push_str(&format!("\nassumed: {assumption}"));
        }
        text
    }
}

fn design_row(design: &Design, flown: &Flown) -> Vec<String> {
    let summary = &flown.summary;
    let area = &flown.area;
    let ratio = if area.plain_area > 0.0 {
        area.selective_area / area.plain_area
    } else {
        1.0
    };
    let failures = &summary.failures;
    let interval = &failures.per_hour_interval;
    let mut row = vec![
        design.name.clone(),
        format!("{ratio:.3}"),
        short(summary.events.mean),
    ];
    match summary.at.last() {
        None => row.extend(["-", "-", "-", "-"].map(str::to_owned)),
        Some(end) => row.extend([
            short(end.wrong_bits.mean),
            format!("{:.2} %", 100.0 * end.wrong_inferences.mean),
            short(end.loss.mean),
            format!(
                "{} .. {}",
                short(end.loss.interval.low),
                short(end.loss.interval.high)
            ),
        ]),
    }
    row.extend([
        short(failures.per_hour),
        format!("{} .. {}", short(interval.low), short(interval.high)),
    ]);
    row
}

fn loss_table(designs: &[Design], flown: &[Flown]) -> String {
    let times: Vec<String> = flown
        .first()
        .map(|flown| {
            flown
                .summary
                .at
                .iter()
                .map(|at| format!("{} h", at.time_h))
                .collect()
        })
        .unwrap_or_default();
    let header: Vec<&str> = std::iter::once("design")
        .chain(times.iter().map(String::as_str))
        .collect();
    let rows: Vec<Vec<String>> = designs
        .iter()
        .zip(flown)
        .map(|(design, flown)| {
            let losses = flown.summary.at.iter().map(|at| short(at.loss.mean));
            std::iter::once(design.name.clone()).chain(losses).collect()
        })
        .collect();
    output::table(&header, &rows)
}

fn cause_table(designs: &[Design], flown: &[Flown]) -> String {
    let header = [
        "design",
        "single strike",
        "multi-bit strike",
        "accumulation",
        "stuck",
    ];
    let rows: Vec<Vec<String>> = designs
        .iter()
        .zip(flown)
        .map(|(design, flown)| {
            let of = |cause: &str| {
                let group = flown.summary.by_cause.iter().find(|group| group.group == cause);
                short(group.map_or(0.0, |group| group.wrong_bits.per_hour))
            };
            vec![
                design.name.clone(),
                of("single"),
                of("multi_bit"),
                of("accumulation"),
                of("permanent"),
            ]
        })
        .collect();
    output::table(&header, &rows)
}

/// Bits that are read wrong at the end by closed forms: those without protection, and the voted ones. None
/// where the forms do not hold.
fn wrong_bits_at_end(design: &Design) -> Option<f64> {
    let plan = &design.plan;
    let [exposure] = &plan.exposures[..] else {
        return None;
    };
    let holds = exposure.clusters.mean_bits() == 1.0
        && plan.refresh_s.is_none()
        && !plan.has_permanent_faults()
        && (design.ideal || matches!(design.scheme, Scheme::None | Scheme::Tmr));
    if !holds {
        return None;
    }
    let upsets_per_bit_h = exposure.strikes.mean_events_per_bit_hour();
    let protected = plan.store.protected_bits();
    let open = (plan.store.data_bits() - protected) as f64 * p_wrong(upsets_per_bit_h, plan.duration);
    let voted = Accumulation {
        scheme: Protected::Tmr { module_bits: 1 },
        units: protected,
        upsets_per_bit_h,
        scrub: plan.scrub.map(|scrub| Hours::from_seconds(scrub.period_s)),
        mission: plan.duration,
    };
    Some(
        open + if design.ideal {
            0.0
        } else {
            voted.expected_failures()
        },
    )
}
