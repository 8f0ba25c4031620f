//! Some of the stored bits, drawn at random, and what they say about all of them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::bit_faults::{BitFaults, sites};
use super::statistics::{
    Bounds, Drawn, Interval, Moments, Precision, hypergeometric, stratified_interval, stratified_mean,
};
use super::strata::draw;
use super::{
    Bench, BitRecord, BitRow, Kind, LargestRise, Mean, Monitor, SampleDesign, Stratum, TrialUnit, strata,
};
use crate::accelerator::StoredBit;
use crate::fault::FaultModel;

/// A fault at each of some bits that are drawn without replacement.
#[derive(Clone, Debug, Serialize)]
pub struct Sampled {
    faults: BitFaults,
    design: SampleDesign,
    strata: Vec<Stratum>,
    #[serde(skip)]
    groups: Groups,
}

/// Parts of the population of which something is said, and where each bit belongs.
#[derive(Clone, Debug, Default)]
struct Groups {
    /// Per group its layer and tensor, and its bit position, where it is bound to them.
    keys: Vec<GroupKey>,
    /// Per pair of group and stratum the two, and how many bits they share.
    domains: Vec<(u32, u32, u64)>,
    /// Per trial its domains: of all bits, of its tensor, of its position, and of both.
    of: Vec<[u32; 4]>,
}

/// Layer and tensor, and bit position.
type GroupKey = (Option<(String, &'static str)>, Option<u32>);

/// Sums over the faults of one domain.
#[derive(Clone, Debug, Default)]
struct Sums {
    /// 1 for each fault that changes an output, is sensitive, or makes a right sample wrong.
    changed: Moments,
    sensitive: Moments,
    critical: Moments,
    /// Share of the samples that go wrong.
    wrong: Moments,
    rises: Moments,
}

/// Sums over the faults.
#[derive(Clone, Debug)]
pub struct SampleSums {
    faults: u64,
    domains: Vec<Sums>,
}

/// A share of the faults with its interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ShareEstimate {
    /// The share.
    pub share: f64,
    /// Its interval.
    pub interval: Interval,
}

/// What the drawn faults say about all of a group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimates {
    /// Bits of the group at which such a fault can be.
    pub bits: u64,
    /// Those that were drawn.
    pub drawn: u64,
    /// Faults that change any output of any sample.
    pub changed: ShareEstimate,
    /// Faults that raise the mean loss.
    pub sensitive: ShareEstimate,
    /// Faults that make a right sample wrong: the critical failure rate. None where nothing is known to be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newly_wrong: Option<ShareEstimate>,
    /// Mean over the faults of the share of samples that go wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newly_wrong_samples: Option<Mean>,
    /// Largest share of samples that one of the drawn faults makes wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest_newly_wrong_samples: Option<f64>,
    /// Mean over the faults of the rise of the mean loss.
    pub delta_loss: Mean,
}

/// What is said about a layer's tensor, a bit position, or both.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DrawnGroup {
    /// The layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
    /// The tensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tensor: Option<&'static str>,
    /// Bit of the element, 0 least significant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bit: Option<u32>,
    /// What the faults say.
    #[serde(flatten)]
    pub estimates: Estimates,
}

/// What a sample comes to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SampleReport {
    /// The network.
    pub network: String,
    /// The hardware file's name.
    pub hardware: String,
    /// `sample`.
    pub kind: &'static str,
    /// How the bits are drawn: a number, `random`, `layer`, `layer-bit`, `data-aware`.
    pub design: String,
    /// What a fault does.
    pub fault: String,
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
    /// Stored bits that could not be drawn.
    pub not_examined_bits: u64,
    /// When a fault is sensitive.
    pub sensitive_means: &'static str,
    /// What the sample says about all bits that could be drawn; none without a draw.
    pub estimates: Option<Estimates>,
    /// By layer and tensor.
    pub by_layer: Vec<DrawnGroup>,
    /// By bit position over all layers.
    pub by_position: Vec<DrawnGroup>,
    /// By layer, tensor and bit position.
    pub by_bit: Vec<DrawnGroup>,
    /// Groups of which nothing was drawn.
    pub groups_not_drawn: u64,
    /// How the bits were parted.
    pub strata: Vec<Stratum>,
}

impl Sampled {
    /// Faults at some of these bits.
    #[must_use]
    pub fn new(
        bench: Arc<Bench>,
        bits: Vec<StoredBit>,
        model: FaultModel,
        design: SampleDesign,
        precision: &Precision,
        seed: u64,
    ) -> Self {
        let bits = sites(bench.accelerator(), bits, model);
        let strata = strata(bench.accelerator(), &bits, design, precision);
        let (of, drawn): (Vec<u32>, Vec<StoredBit>) = draw(&strata, seed).into_iter().unzip();
        let groups = Groups::new(&bench, &strata, &of, &drawn);
        Self {
            faults: BitFaults::new(bench, drawn, model),
            design,
            strata,
            groups,
        }
    }

    /// How many bits of which strata are drawn.
    #[must_use]
    pub fn strata(&self) -> &[Stratum] {
        &self.strata
    }

    /// The drawn bits.
    #[must_use]
    pub fn bits(&self) -> &[StoredBit] {
        self.faults.bits()
    }

    /// What is said about one group.
    fn estimates(&self, sums: &SampleSums, group: u32) -> Option<Estimates> {
        let domains: Vec<(u64, &Sums)> = self
            .groups
            .domains
            .iter()
            .zip(&sums.domains)
            .filter(|((of, ..), _)| *of == group)
            .map(|((_, _, bits), sums)| (*bits, sums))
            .collect();
        let drawn = |of: fn(&Sums) -> &Moments| -> Vec<Drawn<'_>> {
            let domains = domains.iter();
            domains
                .map(|(population, sums)| Drawn {
                    population: *population,
                    values: of(sums),
                })
                .collect()
        };
        let share = |of: fn(&Sums) -> &Moments| {
            let strata = drawn(of);
            let bounds = Bounds { low: 0.0, high: 1.0 };
            Some(ShareEstimate {
                share: stratified_mean(&strata)?,
                interval: match strata[..] {
                    [Drawn { population, values }] => {
                        hypergeometric(values.active(), values.count(), population)
                    }
                    _ => stratified_interval(&strata, bounds),
                },
            })
        };
        let mean = |of: fn(&Sums) -> &Moments, bounds: Bounds| {
            let strata = drawn(of);
            Some(Mean {
                mean: stratified_mean(&strata)?,
                interval: stratified_interval(&strata, bounds),
            })
        };
        let bench = self.faults.bench();
        let known = bench.baseline().outcomes[0].correct.is_some();
        let mut bounds = Bounds {
            low: f64::INFINITY,
            high: f64::NEG_INFINITY,
        };
        let largest = LargestRise::of_loss(bench);
        for (_, sums) in &domains {
            let one = largest.bounds(&sums.rises, bench.baseline().loss);
            bounds.low = bounds.low.min(one.low);
            bounds.high = bounds.high.max(one.high);
        }
        let most = domains.iter().filter_map(|(_, sums)| sums.wrong.max());
        Some(Estimates {
            bits: domains.iter().map(|(bits, _)| bits).sum(),
            drawn: domains.iter().map(|(_, sums)| sums.changed.count()).sum(),
            changed: share(|sums| &sums.changed)?,
            sensitive: share(|sums| &sums.sensitive)?,
            newly_wrong: known.then(|| share(|sums| &sums.critical)).flatten(),
            newly_wrong_samples: known
                .then(|| mean(|sums| &sums.wrong, Bounds { low: 0.0, high: 1.0 }))
                .flatten(),
            largest_newly_wrong_samples: known.then(|| most.fold(0.0, f64::max)),
            delta_loss: mean(|sums| &sums.rises, bounds)?,
        })
    }
}

impl Groups {
    fn new(bench: &Bench, strata: &[Stratum], of: &[u32], drawn: &[StoredBit]) -> Self {
        let accelerator = bench.accelerator();
        let map = accelerator.map();
        let mut groups = Self::default();
        let mut group_at: HashMap<(Option<u32>, Option<u32>), u32> = HashMap::new();
        let mut domain_at: HashMap<(u32, u32), u32> = HashMap::new();
        let mut domains_of = |bit: StoredBit, stratum: u32, members: u64| -> [u32; 4] {
            let logical = map.logical(bit);
            let param = logical.param.0;
            let keys = [
                (None, None),
                (Some(param), None),
                (None, Some(logical.bit)),
                (Some(param), Some(logical.bit)),
            ];
            keys.map(|key| {
                let group = *group_at.entry(key).or_insert_with(|| {
                    let named = key.0.map(|_| {
                        let param = accelerator.network().param(logical.param);
                        let layer = &accelerator.network().layer(param.layer).name;
                        (layer.clone(), param.kind.name())
                    });
                    groups.keys.push((named, key.1));
                    groups.keys.len() as u32 - 1
                });
                let domain = *domain_at.entry((group, stratum)).or_insert_with(|| {
                    groups.domains.push((group, stratum, 0));
                    groups.domains.len() as u32 - 1
                });
                groups.domains[domain as usize].2 += members;
                domain
            })
        };
        for (number, stratum) in (0u32..).zip(strata) {
            for &bit in stratum.members() {
                domains_of(bit, number, 1);
            }
        }
        groups.of = of
            .iter()
            .zip(drawn)
            .map(|(&stratum, &bit)| domains_of(bit, stratum, 0))
            .collect();
        groups
    }
}

impl Kind for Sampled {
    type Trial = BitRecord;
    type Row = BitRow;
    type Sums = SampleSums;
    type Report = SampleReport;

    fn name(&self) -> &'static str {
        "sample"
    }

    fn trial_unit(&self) -> TrialUnit {
        TrialUnit::Bit
    }

    fn columns(&self) -> &'static str {
        BitRow::COLUMNS
    }

    fn trials(&self) -> u64 {
        self.faults.bits().len() as u64
    }

    fn work_per_trial(&self) -> u64 {
        self.faults.bench().samples() as u64
    }

    fn largest_block(&self) -> u64 {
        self.faults.bench().block() as u64
    }

    fn overhead(&self) -> Duration {
        self.faults.bench().loading()
    }

    fn block(&self, numbers: Range<u64>, monitor: &dyn Monitor) -> Option<Vec<BitRecord>> {
        self.faults.block(numbers, monitor)
    }

    fn rows(&self, _number: u64, record: &BitRecord) -> Vec<BitRow> {
        vec![self.faults.row(record)]
    }

    fn recall(&self, number: u64, rows: Vec<BitRow>) -> Result<BitRecord, String> {
        self.faults.recall(number, &rows)
    }

    fn sums(&self) -> SampleSums {
        SampleSums {
            faults: 0,
            domains: vec![Sums::default(); self.groups.domains.len()],
        }
    }

    fn add(&self, sums: &mut SampleSums, number: u64, record: &BitRecord) {
        sums.faults += 1;
        let one = |yes: bool| f64::from(u8::from(yes));
        let samples = self.faults.bench().samples() as f64;
        for domain in self.groups.of[number as usize] {
            let domain = &mut sums.domains[domain as usize];
            domain.changed.add(one(record.changed > 0));
            domain.sensitive.add(one(record.is_sensitive()));
            domain.critical.add(one(record.newly_wrong > 0));
            domain.wrong.add(record.newly_wrong as f64 / samples);
            domain.rises.add(record.delta_loss);
        }
    }

    fn report(&self, sums: &SampleSums) -> SampleReport {
        let bench = self.faults.bench();
        let accelerator = bench.accelerator();
        let baseline = bench.baseline();
        let stored_bits = accelerator.map().total_bits();
        let population: u64 = self.strata.iter().map(|stratum| stratum.bits).sum();
        let mut lists = [Vec::new(), Vec::new(), Vec::new()];
        let mut not_drawn = 0;
        for (group, (named, bit)) in (0u32..).zip(&self.groups.keys) {
            let list = match (named, bit) {
                (None, None) => continue,
                (Some(_), None) => &mut lists[0],
                (None, Some(_)) => &mut lists[1],
                (Some(_), Some(_)) => &mut lists[2],
            };
            let Some(estimates) = self.estimates(sums, group) else {
                not_drawn += 1;
                continue;
            };
            let (layer, tensor) = named.clone().unzip();
            list.push(DrawnGroup {
                layer,
                tensor,
                bit: *bit,
                estimates,
            });
        }
        let [by_layer, mut by_position, by_bit] = lists;
        by_position.sort_by_key(|group| group.bit);
        SampleReport {
            network: accelerator.network().name.clone(),
            hardware: accelerator.name().to_owned(),
            kind: self.name(),
            design: self.design.to_string(),
            fault: self.faults.model().to_string(),
            samples: bench.samples(),
            loss: bench.evaluator().loss().name(),
            fault_free_loss: baseline.loss,
            fault_free_accuracy: baseline.accuracy,
            stored_bits,
            not_examined_bits: stored_bits - population,
            sensitive_means: "delta_loss > 1e-9",
            estimates: self.estimates(sums, 0),
            by_layer,
            by_position,
            by_bit,
            groups_not_drawn: not_drawn,
            strata: self.strata.clone(),
        }
    }

    fn relative_error(&self, sums: &SampleSums) -> Option<f64> {
        let sensitive = self.estimates(sums, 0)?.sensitive;
        let half = (sensitive.interval.high - sensitive.interval.low) / 2.0;
        (sensitive.share > 0.0).then(|| half / sensitive.share)
    }

    fn margin(&self, sums: &SampleSums) -> Option<f64> {
        let interval = self.estimates(sums, 0)?.sensitive.interval;
        Some((interval.high - interval.low) / 2.0)
    }
}
