//! Missions: strikes per second, without the network that reads the memories.
//!
//! The memories are those of the closed forms: 12,720 bits, one upset in 15 s, 4 hours.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use radstream::accelerator::Scrub;
use radstream::campaign::mission::{AfterFailure, Exposure, MissionPlan, Workspace, simulate};
use radstream::radiation::Clusters;
use radstream::radiation::rate::Hours;
use radstream::scheme::{Scheme, Store};

const PER_BIT_HOUR: f64 = 3600.0 / 15.0 / 12_720.0;

fn plan(store: Store, scrub_s: Option<f64>, clusters: Clusters) -> MissionPlan {
    let arrays = (0..store.arrays().len()).collect();
    let exposure = Exposure {
        clusters,
        ..Exposure::single(arrays, PER_BIT_HOUR)
    };
    MissionPlan {
        scrub: scrub_s.map(|period_s| Scrub {
            period_s,
            pass_s: 0.0,
        }),
        after_failure: AfterFailure::PutRight,
        reads_continuously: false,
        keep_changes: false,
        ..MissionPlan::new(store, vec![exposure], Hours(4.0))
    }
}

fn strikes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mission strikes, one core");
    let bits = |scheme| Store::memory(12_720, 1, 1, scheme);
    let words = || Store::memory(199, 64, 4, Scheme::Secded);
    let cases = [
        ("unprotected", plan(bits(Scheme::None), None, Clusters::single())),
        (
            "TMR, scrubbed every second",
            plan(bits(Scheme::Tmr), Some(1.0), Clusters::single()),
        ),
        (
            "SECDED, scrubbed every minute",
            plan(words(), Some(60.0), Clusters::single()),
        ),
        (
            "SECDED, bursts of 4",
            plan(words(), Some(60.0), Clusters::burst(4)),
        ),
    ];
    for (name, plan) in cases {
        let mut workspace = Workspace::default();
        group.throughput(Throughput::Elements(plan.expected_events() as u64));
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            let mut trial = 0;
            bencher.iter(|| {
                trial += 1;
                black_box(simulate(&plan, trial, &mut workspace))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, strikes);
criterion_main!(benches);
