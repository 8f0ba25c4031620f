//! `radstream campaign`.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::Failure;
use super::chip::Chip;
use super::mission::MissionOptions;
use super::mission_memory;
use super::mission_run::MissionRun;
use super::options::{Manner, Samples, Target};
use super::output::{self, count, short};
use super::progress::{Bar, heed_interrupts};
use super::rate_options::RateOptions;
use super::register_strikes;
use crate::accelerator::{Accelerator, STORED_KINDS, StoredBit};
use crate::campaign::{Bench, BitRecord, RecordError, Records, exhaustive, fingerprint};
use crate::data::write_atomically;
use crate::model::Workload;
use crate::network::ParamKind;
use crate::simulate::functional::Plan;

/// Which stored bits a campaign flips.
#[derive(Debug, Args)]
pub struct Scope {
    /// Which stored tensors: weight, bias, threshold, ..., separated by commas, or all [default: weight; all
    /// for missions]
    #[arg(long, value_name = "LIST")]
    pub tensors: Option<String>,
}

impl Scope {
    /// The bits in the order of their physical addresses; weights where nothing is said.
    pub fn bits(&self, accelerator: &Accelerator) -> Result<Vec<StoredBit>, Failure> {
        self.bits_or("weight", accelerator)
    }

    /// The bits in the order of their physical addresses; those of `otherwise` where nothing is said.
    pub fn bits_or(&self, otherwise: &str, accelerator: &Accelerator) -> Result<Vec<StoredBit>, Failure> {
        let tensors = self.tensors.as_deref().unwrap_or(otherwise);
        let known: Vec<&str> = STORED_KINDS.iter().map(|kind| kind.name()).collect();
        let mut kinds = Vec::new();
        for name in tensors.split(',').map(str::trim) {
            match STORED_KINDS.into_iter().find(|kind| kind.name() == name) {
                Some(kind) => kinds.push(kind),
                None if name == "all" => kinds.extend(STORED_KINDS),
                None => {
                    return Err(Failure::refused(
                        format!("--tensors names `{name}`"),
                        format!("expected all, or some of {}", known.join(", ")),
                    ));
                }
            }
        }
        let map = accelerator.map();
        let bits: Vec<StoredBit> = map
            .tensors()
            .iter()
            .filter(|tensor| kinds.contains(&tensor.kind))
            .flat_map(|tensor| tensor.bits.clone().map(StoredBit))
            .collect();
        if bits.is_empty() {
            let stored: Vec<&str> = STORED_KINDS
                .into_iter()
                .filter(|&kind| map.bits_of_tensor(kind) > 0)
                .map(ParamKind::name)
                .collect();
            return Err(Failure::refused(
                format!("--tensors {tensors}: the accelerator stores no such bit"),
                format!("expected some of what it stores: {}", stored.join(", ")),
            ));
        }
        Ok(bits)
    }
}

/// `radstream campaign`.
#[derive(Debug, Args)]
pub struct Campaign {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    samples: Samples,
    /// Flip every stored bit by itself
    #[arg(long, conflicts_with = "mission")]
    exhaustive: bool,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    mission: MissionOptions,
    #[command(flatten)]
    rate: RateOptions,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    manner: Manner,
}

impl Campaign {
    /// Runs the command.
    pub fn run(&self) -> Result<(), Failure> {
        self.manner.apply()?;
        if let Some(memory) = &self.mission.memory {
            return mission_memory::run(memory, &self.mission, &self.rate, &self.manner);
        }
        if !self.exhaustive && self.mission.mission.is_none() && self.mission.registers.is_none() {
            return Err(Failure::refused(
                "neither --exhaustive nor --mission nor --registers says which campaign",
                "expected --exhaustive (every stored bit by itself), --mission HOURS or --registers N",
            ));
        }
        let chip = Chip::build(&self.target, Some(&self.samples))?;
        if let (Some(strikes), None) = (self.mission.registers, self.mission.mission) {
            return register_strikes::run(&chip, strikes, &self.manner, self.dry_run);
        }
        if self.mission.mission.is_some() {
            let exposed = self.scope.bits_or("all", &chip.accelerator)?;
            let run = MissionRun {
                chip: &chip,
                options: &self.mission,
                rate: &self.rate,
                manner: &self.manner,
                exposed: &exposed,
            };
            return run.run(self.dry_run);
        }
        let bits = self.scope.bits(&chip.accelerator)?;
        let workload = chip.workload()?;
        let out = self.manner.folder("campaign", &chip.name);
        if self.dry_run {
            return dry_run(&bits, workload.samples, &out, self.manner.json);
        }
        let plan = Plan::new(chip.accelerator.network());
        let bench = bench(&chip, &plan, workload)?;
        let records = run_exhaustive(&chip, &bench, &bits, &out, &self.manner)?;
        let summary = summary(&chip, &bench, &records);
        write_json(&out.join("summary.json"), &summary)?;
        if self.manner.json {
            return output::json(&summary);
        }
        output::line(&text(&chip, &bench, &records))?;
        output::line(&format!("wrote {}", out.join("records.csv").display()))
    }
}

/// What a campaign would do.
pub fn dry_run(bits: &[StoredBit], samples: usize, out: &Path, json: bool) -> Result<(), Failure> {
    let evaluations = bits.len() as u64 * samples as u64;
    if json {
        return output::json(
            &json!({"bits": bits.len(), "samples": samples, "evaluations": evaluations, "out": out}),
        );
    }
    output::line(&format!(
        "would flip {} bits on {} samples ({} evaluations) and write into {}",
        count(bits.len() as u64),
        count(samples as u64),
        count(evaluations),
        out.display()
    ))
}

/// The workload on the accelerator, with its fault-free run.
pub fn bench<'a>(chip: &'a Chip, plan: &'a Plan<'a>, workload: Workload) -> Result<Bench<'a>, Failure> {
    Bench::new(&chip.accelerator, plan, workload.inputs, workload.evaluator)
        .map_err(|error| Failure::refused(error.to_string(), "check --inputs"))
}

/// Runs or resumes an exhaustive campaign in a folder and returns all records.
pub fn run_exhaustive(
    chip: &Chip,
    bench: &Bench<'_>,
    bits: &[StoredBit],
    out: &Path,
    manner: &Manner,
) -> Result<Vec<BitRecord>, Failure> {
    let accelerator = &chip.accelerator;
    let plan = plan_of(chip, bench, bits)?;
    let mut file = Records::open(out, &plan, accelerator, bits).map_err(|error| match error {
        RecordError::Unwritable { .. } => Failure::work_of(error),
        error => error.into(),
    })?;
    let mut records = file.finished().to_vec();
    if !records.is_empty() && !manner.quiet {
        eprintln!(
            "resuming behind {} finished bits in {}",
            count(records.len() as u64),
            out.display()
        );
    }
    heed_interrupts();
    let rest = &bits[records.len()..];
    let bar = Bar::new("campaign", (rest.len() * bench.samples()) as u64, manner.quiet);
    let complete = exhaustive(bench, rest, &bar, |block| {
        records.extend_from_slice(block);
        file.append(accelerator, block)
    })
    .map_err(|error| Failure::writing(out, &error))?;
    bar.finish();
    if !complete {
        return Err(Failure::work(format!(
            "stopped after {} of {} bits; {} keeps them, and the same command goes on from there",
            count(records.len() as u64),
            count(bits.len() as u64),
            out.join("records.partial").display()
        )));
    }
    file.finish().map_err(|error| Failure::writing(out, &error))?;
    Ok(records)
}

/// A fingerprint of all that determines the records. The fault-free losses stand for readout, loss
/// and targets.
pub fn plan_of(chip: &Chip, bench: &Bench<'_>, bits: &[StoredBit]) -> Result<String, Failure> {
    let network =
        serde_json::to_vec(chip.accelerator.network()).map_err(|error| Failure::work(error.to_string()))?;
    let memories: String = chip
        .accelerator
        .map()
        .memories()
        .iter()
        .map(|m| format!("{} {} {};", m.name, m.word_bits, m.depth))
        .collect();
    let inputs: Vec<u8> = bench
        .inputs()
        .iter()
        .flat_map(|mantissa| mantissa.to_le_bytes())
        .collect();
    let outcomes: Vec<u8> = bench
        .baseline()
        .outcomes
        .iter()
        .flat_map(|outcome| {
            outcome
                .loss
                .to_bits()
                .to_le_bytes()
                .into_iter()
                .chain([u8::from(outcome.correct == Some(true))])
        })
        .collect();
    let bits: Vec<u8> = bits.iter().flat_map(|bit| bit.0.to_le_bytes()).collect();
    let loss = bench.evaluator().loss().name().as_bytes();
    Ok(fingerprint([
        network.as_slice(),
        memories.as_bytes(),
        &inputs,
        &outcomes,
        &bits,
        loss,
    ]))
}

/// Writes a JSON document under its name when complete.
pub fn write_json(path: &Path, document: &Value) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(document).map_err(|error| Failure::work(error.to_string()))?;
    write_atomically(path, |writer| {
        std::io::Write::write_all(writer, format!("{text}\n").as_bytes())
    })
    .map_err(|error| Failure::writing(path, &error))
}

/// Records by layer, tensor and bit position.
struct Group {
    layer: String,
    tensor: &'static str,
    bit: u32,
    bits: u64,
    sensitive: u64,
    absolute: f64,
    newly_wrong: u64,
}

fn groups(accelerator: &Accelerator, records: &[BitRecord]) -> Vec<Group> {
    let map = accelerator.map();
    let mut groups: Vec<Group> = Vec::new();
    for record in records.iter().filter(|record| !map.is_padding(record.bit)) {
        let logical = map.logical(record.bit);
        let param = accelerator.network().param(logical.param);
        let layer = &accelerator.network().layer(param.layer).name;
        let tensor = param.kind.name();
        let at = groups
            .iter()
            .position(|g| g.bit == logical.bit && g.tensor == tensor && g.layer == *layer);
        let at = at.unwrap_or_else(|| {
            groups.push(Group {
                layer: layer.clone(),
                tensor,
                bit: logical.bit,
                bits: 0,
                sensitive: 0,
                absolute: 0.0,
                newly_wrong: 0,
            });
            groups.len() - 1
        });
        let group = &mut groups[at];
        group.bits += 1;
        group.sensitive += u64::from(record.is_sensitive());
        group.absolute += record.delta_loss.abs();
        group.newly_wrong += record.newly_wrong;
    }
    groups
}

/// The summary of an exhaustive campaign.
pub fn summary(chip: &Chip, bench: &Bench<'_>, records: &[BitRecord]) -> Value {
    let baseline = bench.baseline();
    let sensitive = records.iter().filter(|record| record.is_sensitive()).count();
    let raised: f64 = records
        .iter()
        .map(|record| record.delta_loss)
        .filter(|&delta| delta > 0.0)
        .fold(0.0, |sum, delta| sum + delta);
    let by_bit: Vec<Value> = groups(&chip.accelerator, records)
        .iter()
        .map(|group| {
            json!({
                "layer": group.layer,
                "tensor": group.tensor,
                "bit": group.bit,
                "bits": group.bits,
                "sensitive": group.sensitive,
                "mean_abs_delta_loss": group.absolute / group.bits as f64,
                "newly_wrong": group.newly_wrong,
            })
        })
        .collect();
    json!({
        "network": chip.name,
        "hardware": chip.accelerator.name(),
        "kind": "exhaustive",
        "samples": bench.samples(),
        "loss": bench.evaluator().loss().name(),
        "fault_free_loss": baseline.loss,
        "fault_free_accuracy": baseline.accuracy,
        "stored_bits": chip.accelerator.map().total_bits(),
        "bits": records.len(),
        "sensitive_bits": sensitive,
        "sensitive_share": sensitive as f64 / records.len().max(1) as f64,
        "sensitive_means": "delta_loss > 1e-9",
        "cumulative_delta_loss": raised,
        "harmless_bits": records.iter().filter(|record| record.changed == 0).count(),
        "newly_wrong_bits": records.iter().filter(|record| record.newly_wrong > 0).count(),
        "by_bit": by_bit,
    })
}

/// The summary for people.
pub fn text(chip: &Chip, bench: &Bench<'_>, records: &[BitRecord]) -> String {
    let baseline = bench.baseline();
    let sensitive = records.iter().filter(|record| record.is_sensitive()).count();
    let loss = bench.evaluator().loss().name();
    let mut text = format!(
        "{}: {} bits flipped one by one, {} samples, loss {loss}\n  fault-free loss {}{}\n  {} bits ({:.1} %) raise the mean loss",
        chip.name,
        count(records.len() as u64),
        count(bench.samples() as u64),
        short(baseline.loss),
        baseline.accuracy.map_or(String::new(), |accuracy| format!(
            ", accuracy {:.2} %",
            accuracy * 100.0
        )),
        count(sensitive as u64),
        100.0 * sensitive as f64 / records.len().max(1) as f64,
    );
    let mut groups = groups(&chip.accelerator, records);
    groups.sort_by(|a, b| {
        (&a.layer, a.tensor)
            .cmp(&(&b.layer, b.tensor))
            .then(b.bit.cmp(&a.bit))
    });
    let rows: Vec<Vec<String>> = groups
        .iter()
        .map(|group| {
            let share = group.sensitive as f64 / group.bits as f64;
            vec![
                format!("{}.{}", group.layer, group.tensor),
                group.bit.to_string(),
                count(group.bits),
                format!("{:.1} %", share * 100.0),
                "#".repeat((share * 20.0).round() as usize),
                short(group.absolute / group.bits as f64),
            ]
        })
        .collect();
    let header = ["tensor", "bit", "bits", "sensitive", "", "mean |delta loss|"];
    text.push_str(&format!("\n\n{}", output::table(&header, &rows)));
    text
}
