//! Strikes on registers, FIFOs, line buffers and control state: `campaign --registers N`, alone or beside
//! missions.

use std::io::Write;

use serde_json::{Value, json};

use super::Failure;
use super::campaign::write_json;
use super::chip::Chip;
use super::cycle;
use super::options::Manner;
use super::output::{self, count, short};
use super::progress::{Bar, heed_interrupts};
use crate::accelerator::Accelerator;
use crate::campaign::{RegisterStrike, StrikeOutcome, StrikeShares, register_shares, strike_registers};
use crate::data::write_atomically;
use crate::fault::Targets;
use crate::outcome::Evaluator;
use crate::simulate::cycle::pipeline::Pipeline;
use crate::simulate::cycle::run::{self, Settings};

/// What strikes on registers came to.
pub struct Struck {
    all: StrikeShares,
    by_class: Vec<StrikeShares>,
    by_layer: Vec<StrikeShares>,
    /// Cycles between two samples in steady operation.
    interval: u64,
    records: Vec<(RegisterStrike, crate::accelerator::NamedBit)>,
}

/// Most strikes.
const MAX_STRIKES: u64 = 1_000_000_000;

/// Strikes registers of an accelerator that runs these samples.
pub fn strike(
    accelerator: &Accelerator,
    inputs: &[i64],
    evaluator: &Evaluator,
    strikes: u64,
    manner: &Manner,
) -> Result<Struck, Failure> {
    if strikes == 0 || strikes > MAX_STRIKES {
        return Err(Failure::refused(
            format!("--registers {strikes} is out of range"),
            format!("expected 1 to {MAX_STRIKES}; 1000 or more for a useful interval"),
        ));
    }
    let pipeline: Pipeline = cycle::pipeline(accelerator)?;
    let targets = Targets::of(accelerator, &pipeline);
    heed_interrupts();
    let bar = Bar::new("register strikes", strikes, manner.quiet);
    let plan = (strikes, manner.seed);
    let Some(records) = strike_registers(accelerator, &pipeline, &targets, inputs, evaluator, plan, &bar)
    else {
        return Err(Failure::work("stopped; strikes on registers are not kept"));
    };
    bar.finish();
    let (all, by_class, by_layer) = register_shares(accelerator, &targets, &records);
    let network = accelerator.network();
    let three = vec![0; 3 * network.tensor(network.input).len()];
    let timing = run::run(&pipeline, accelerator, &three, &[], Settings::default()).timing;
    let records = records
        .into_iter()
        .map(|record| (record, targets.named(record.fault.site)))
        .collect();
    Ok(Struck {
        all,
        by_class,
        by_layer,
        interval: timing.initiation_interval.unwrap_or(0),
        records,
    })
}

impl Struck {
    /// Share of the time in which a sample is on its way, so that a register is live at all.
    fn live_share(&self, accelerator: &Accelerator, inferences_per_s: Option<f64>) -> Result<f64, Failure> {
        let Some(rate) = inferences_per_s else {
            return Ok(1.0);
        };
        if !(rate.is_finite() && rate >= 0.0) {
            return Err(Failure::refused(
                format!("--inference-rate {rate} is no rate"),
                "expected a finite number of inferences per second from 0",
            ));
        }
        let Some(mhz) = accelerator.clock_mhz() else {
            return Err(Failure::refused(
                "--inference-rate needs a clock",
                "state `clock_mhz` in the hardware file, or leave --inference-rate out",
            ));
        };
        Ok((rate * self.interval as f64 / (mhz * 1e6)).min(1.0))
    }

    /// What the strikes mean at a rate of strikes on one register bit.
    pub fn document(
        &self,
        accelerator: &Accelerator,
        events_per_bit_hour: f64,
        inferences_per_s: Option<f64>,
    ) -> Result<Value, Failure> {
        let live = self.live_share(accelerator, inferences_per_s)?;
        let events = events_per_bit_hour * self.all.bits as f64;
        let interval = &self.all.effective_interval;
        let of = |share: f64| events * live * share;
        let hangs = self
            .all
            .outcomes
            .iter()
            .find(|share| share.outcome == StrikeOutcome::Hang);
        Ok(json!({
            "simulated": true,
            "register_bits": self.all.bits,
            "events_per_hour": events,
            "live_share": live,
            "cycles_per_inference": self.interval,
            "strikes": self.all.strikes,
            "wrong_per_hour": of(self.all.effective),
            "wrong_per_hour_interval": {
                "low": of(interval.low), "high": of(interval.high),
                "confidence": interval.confidence, "method": interval.method,
            },
            "wrong_fit": of(self.all.effective) * 1e9,
            "hangs_per_hour": of(hangs.map_or(0.0, |share| share.share)),
            "all": self.all,
            "by_class": self.by_class,
            "by_layer": self.by_layer,
            "note": "each strike in a run of the cycle engine of its own, at a cycle drawn over steady operation, on memories without upsets; a strike while no sample is on its way does nothing",
        }))
    }

    /// Shares of outcomes by class, for people.
    pub fn text(&self) -> String {
        let rows: Vec<Vec<String>> = self
            .by_class
            .iter()
            .chain([&self.all])
            .map(|shares| {
                let mut row = vec![shares.class.clone(), count(shares.bits), count(shares.strikes)];
                row.extend(
                    shares
                        .outcomes
                        .iter()
                        .map(|outcome| format!("{:.2} %", 100.0 * outcome.share)),
                );
                let interval = &shares.effective_interval;
                row.push(format!(
                    "{:.2} .. {:.2} %",
                    100.0 * interval.low,
                    100.0 * interval.high
                ));
                row
            })
            .collect();
        let header = [
            "registers",
            "bits",
            "strikes",
            "no effect",
            "output changed",
            "class changed",
            "hang",
            "stream corrupted",
            "any effect, 95 % Wilson",
        ];
        output::table(&header, &rows)
    }

    /// The records: one line per strike.
    fn csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record([
            "strike", "layer", "tensor", "element", "bit", "cycle", "window", "outcome",
        ])?;
        for (strike, (record, named)) in self.records.iter().enumerate() {
            writer.write_record([
                strike.to_string(),
                named.layer.clone(),
                named.tensor.clone(),
                named.element.to_string(),
                named.bit.to_string(),
                record
                    .fault
                    .cycle
                    .map_or_else(String::new, |cycle| cycle.to_string()),
                record.window.to_string(),
                record.outcome.name().to_owned(),
            ])?;
        }
        writer.into_inner().map_err(|error| error.into_error().into())
    }
}

/// `campaign --registers N` without a mission.
pub fn run(chip: &Chip, strikes: u64, manner: &Manner, dry_run: bool) -> Result<(), Failure> {
    let workload = chip.workload()?;
    let out = manner.folder("campaign", &chip.name);
    if dry_run {
        let document = json!({"strikes": strikes, "samples": workload.samples, "out": out});
        if manner.json {
            return output::json(&document);
        }
        return output::line(&format!(
            "would strike {} register bits, each in a run of its own, and write into {}",
            count(strikes),
            out.display()
        ));
    }
    let struck = strike(
        &chip.accelerator,
        &workload.inputs,
        &workload.evaluator,
        strikes,
        manner,
    )?;
    output::prepare_folder(&out)?;
    let records = struck.csv().map_err(|error| Failure::work(error.to_string()))?;
    let path = out.join("records.csv");
    write_atomically(&path, |file| file.write_all(&records))
        .map_err(|error| Failure::writing(&path, &error))?;
    let document = json!({
        "network": chip.name,
        "hardware": chip.accelerator.name(),
        "kind": "registers",
        "seed": manner.seed,
        "samples": workload.samples,
        "cycles_per_inference": struck.interval,
        "all": struck.all,
        "by_class": struck.by_class,
        "by_layer": struck.by_layer,
    });
    write_json(&out.join("summary.json"), &document)?;
    if manner.json {
        return output::json(&document);
    }
    output::line(&struck.text())?;
    output::line(&format!("wrote {}", path.display()))
}

/// A sentence on what the strikes mean per hour.
pub fn sentence(document: &Value) -> String {
    let number = |key: &str| document[key].as_f64().map_or_else(|| "-".to_owned(), short);
    let interval = &document["wrong_per_hour_interval"];
    let end = |key: &str| interval[key].as_f64().map_or_else(|| "-".to_owned(), short);
    format!(
        "registers: {} strikes per hour on {} bits, live {} of the time; {} wrong inferences per hour ({} .. {}, 95 % Wilson), {} hangs per hour",
        number("events_per_hour"),
        document["register_bits"],
        number("live_share"),
        number("wrong_per_hour"),
        end("low"),
        end("high"),
        number("hangs_per_hour"),
    )
}
