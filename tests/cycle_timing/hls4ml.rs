//! hls4ml's synthesis reports against the rules, and the cycle engine against the rules.

#[path = "twins.rs"]
mod twins;

use radstream::accelerator::{Accelerator, Hardware, HlsTool, IoType, REPORT_BAND};
use radstream::simulate::Replay;
use radstream::simulate::cycle::{self, Pipeline, Settings};

use super::nets::Numbers;
use twins::{Conv, DESIGNS, Dense, Norm, Piece, Pool, Relu, Sigmoid, SoftMax};

fn percent(ours: u64, report: u64) -> f64 {
    100.0 * (ours as f64 / report as f64 - 1.0)
}

fn median(mut shares: Vec<f64>) -> f64 {
    shares.sort_by(f64::total_cmp);
    let middle = shares.len() / 2;
    if shares.len().is_multiple_of(2) {
        (shares[middle - 1] + shares[middle]) / 2.0
    } else {
        shares[middle]
    }
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap())
        .collect();
    groups.join(",")
}

/// The table of `docs/cycle-engine.md` is what the program says of twins of the reported designs, and the band that
/// `inspect` states is that of the table.
#[test]
fn reports_lie_within_the_stated_band() {
    let book = std::fs::read_to_string("docs/cycle-engine.md").unwrap();
    let (mut latencies, mut intervals) = (Vec::new(), Vec::new());
    let mut missing = Vec::new();
    for design in DESIGNS {
        let (latency, interval) = design.analytic();
        let (of_latency, of_interval) = (
            percent(latency, design.latency),
            percent(interval, design.interval),
        );
        latencies.push(of_latency);
        intervals.push(of_interval);
        let tool = match design.tool {
            HlsTool::Vivado => "Vivado",
            HlsTool::Vitis => "Vitis",
        };
        let io = match design.io_type {
            IoType::Stream => "stream",
            IoType::Parallel => "parallel",
        };
        let row = format!(
            "| {} | {tool} {}.{}, {} ns, {io}, {} | {} | {} | {of_latency:+.1} | {} | {} | {of_interval:+.1} | {} |",
            design.name,
            design.version.0,
            design.version.1,
            design.period_ns,
            design.strategy,
            thousands(design.latency),
            thousands(latency),
            thousands(design.interval),
            thousands(interval),
            if design.fitted { "yes" } else { "no" },
        );
        println!("{row}");
        if !book.contains(&row) {
            missing.push(row);
        }
    }
    let of = |shares: &[f64]| median(shares.iter().map(|share| share.abs()).collect());
    let both: Vec<f64> = latencies.iter().chain(&intervals).copied().collect();
    let band = |shares: &[f64]| {
        let mut shares = shares.to_vec();
        shares.sort_by(f64::total_cmp);
        let last = shares.len() - 1;
        [0, last / 4, last - last / 4, last].map(|at| shares[at].round() as i32)
    };
    let medians = format!(
        "median deviation {:.1} % in latency, {:.1} % in interval, {:.1} % over both",
        of(&latencies),
        of(&intervals),
        of(&both)
    );
    println!("{medians}\n{:?} {:?}", band(&latencies), band(&intervals));
    assert!(
        of(&latencies) < 10.0 && of(&intervals) < 10.0 && of(&both) < 10.0,
        "{medians}"
    );
    assert!(book.contains(&medians), "{medians}");
    assert!(missing.is_empty(), "{missing:#?}");
    assert_eq!(REPORT_BAND.reports as usize, DESIGNS.len());
    assert_eq!(REPORT_BAND.latency_percent, band(&latencies));
    assert_eq!(REPORT_BAND.interval_percent, band(&intervals));
}

/// What two of the reports say about their functions one by one; 0 where that is not known.
#[test]
fn functions_lie_as_far_off_as_stated() {
    let book = std::fs::read_to_string("docs/cycle-engine.md").unwrap();
    let reported: [(usize, &[u64]); 2] = [
        (
            0,
            &[
                3075, 903, 903, 1128, 172, 172, 183, 19, 19, 10, 0, 0, 5, 0, 0, 4, 11,
            ],
        ),
        (1, &[3, 1, 4, 1, 4, 1, 3, 8]),
    ];
    let mut missing = Vec::new();
    for (at, reported) in reported {
        let network = DESIGNS[at].network();
        let accelerator = Accelerator::build(&network, &DESIGNS[at].hardware()).unwrap();
        let functions = accelerator.functions().unwrap();
        assert_eq!(functions.timings.len(), reported.len());
        for (timing, &report) in functions.timings.iter().zip(reported) {
            if report == 0 {
                continue;
            }
            let ours = timing.latency;
            let row = format!(
                "| `{}` | {} | {} | {:+.1} |",
                network.layer(timing.layer).name,
                thousands(report),
                thousands(ours),
                percent(ours, report)
            );
            println!("{row}");
            if !book.contains(&row) {
                missing.push(row);
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The anomaly detection of MLPerf Tiny v0.7 on a Pynq-Z2: 18.75 us a sample at 100 MHz, host and memory included.
#[test]
fn a_board_takes_longer_than_the_chip() {
    let (input, parts) = twins::ANOMALY;
    let network = twins::network(input, parts, IoType::Stream, "resource");
    let hardware = Hardware {
        technology: Some("xc7".to_owned()),
        ..twins::hardware(IoType::Stream, HlsTool::Vivado, (2019, 1), 10.0)
    };
    let accelerator = Accelerator::build(&network, &hardware).unwrap();
    let latency = accelerator.functions().unwrap().latency.unwrap();
    let stated = format!("1,875 cycles against {} here", thousands(latency));
    println!("{stated}");
    assert!(latency < 1875);
    let book = std::fs::read_to_string("docs/cycle-engine.md").unwrap();
    assert!(book.contains(&stated), "{stated}");
}

/// A chain of random layers; none where the maps do not allow it.
fn chain(numbers: &mut Numbers) -> (Vec<usize>, Vec<Piece>) {
    let dense_only = numbers.below(3) == 0;
    let mut parts = Vec::new();
    let input = if dense_only {
        vec![1 + numbers.below(12)]
    } else {
        vec![3 + numbers.below(6), 3 + numbers.below(6), 1 + numbers.below(3)]
    };
    let mut map = [*input.first().unwrap(), *input.get(1).unwrap_or(&1)];
    let mut channels = *input.last().unwrap();
    if !dense_only {
        for _ in 0..1 + numbers.below(3) {
            let kernel = [1 + numbers.below(3), 1 + numbers.below(3)];
            let stride = 1 + numbers.below(2);
            let pad = [0; 4].map(|_: usize| numbers.below(2));
            let reach = [map[0] + pad[0] + pad[2], map[1] + pad[1] + pad[3]];
            if reach[0] < kernel[0] || reach[1] < kernel[1] || pad[0] >= kernel[0] || pad[1] >= kernel[1] {
                continue;
            }
            let filters = 1 + numbers.below(4);
            let taps = kernel[0] * kernel[1] * channels;
            let reuse = numbers.divisor(taps);
            parts.push(Conv(filters, kernel, stride, pad, reuse));
            map = [0, 1].map(|axis| (reach[axis] - kernel[axis]) / stride + 1);
            channels = filters;
            match numbers.below(4) {
                0 => parts.push(Relu),
                1 => parts.push(Sigmoid),
                2 if map[0] >= 2 && map[1] >= 2 => {
                    parts.extend([Relu, Pool([2, 2])]);
                    map = [map[0] / 2, map[1] / 2];
                }
                _ => {}
            }
        }
    }
    let mut inputs = if dense_only {
        input[0]
    } else {
        map[0] * map[1] * channels
    };
    for _ in 0..1 + numbers.below(3) {
        let outputs = 1 + numbers.below(6);
        parts.push(Dense(outputs, numbers.divisor(inputs)));
        inputs = outputs;
        match numbers.below(4) {
            0 => parts.push(Relu),
            1 => parts.extend([Norm, Relu]),
            2 => parts.push(Sigmoid),
            _ => {}
        }
    }
    if numbers.below(2) == 0 {
        parts.push(SoftMax);
    }
    (input, parts)
}

/// The rules and the engine are one: what the engine measures of a chain is what the rules say.
#[test]
fn the_engine_takes_the_cycles_of_the_rules() {
    let mut numbers = Numbers::new(17);
    let mut of_kind = [0; 4];
    for case in 0..240 {
        let (input, parts) = chain(&mut numbers);
        let io_type = [IoType::Stream, IoType::Parallel][numbers.below(2)];
        let strategy = ["latency", "resource"][numbers.below(2)];
        let tool = [HlsTool::Vivado, HlsTool::Vitis][numbers.below(2)];
        let version = [(2019, 2), (2023, 1), (2024, 1)][numbers.below(3)];
        let period = [3.33, 5.0, 10.0, 25.0][numbers.below(4)];
        let network = twins::network(&input, &parts, io_type, strategy);
        let hardware = twins::hardware(io_type, tool, version, period);
        let accelerator = Accelerator::build(&network, &hardware).unwrap();
        let functions = accelerator.functions().unwrap();
        let pipeline = Pipeline::new(&accelerator).unwrap_or_else(|error| panic!("case {case}: {error}"));
        let samples = 6;
        let inputs = vec![1; samples * network.tensor(network.input).len()];
        let run = cycle::run(&pipeline, &accelerator, &inputs, &[], Settings::default());
        assert_eq!(run.end, cycle::End::Completed, "case {case}");
        let what = format!(
            "case {case}: {io_type:?} {strategy} {tool:?} {version:?} {period} {input:?}\n{functions:#?}"
        );
        // Both ends are counted there.
        assert_eq!(
            run.timing.latency.map(|latency| latency - 1),
            functions.latency,
            "{what}"
        );
        assert_eq!(run.timing.initiation_interval, functions.interval, "{what}");
        let replayed = Replay::new(&pipeline, &accelerator).unwrap().run(&inputs);
        assert_eq!(replayed, Some(run), "{what}");
        let kind = usize::from(io_type == IoType::Parallel) * 2 + usize::from(strategy == "resource");
        of_kind[kind] += 1;
    }
    assert!(of_kind.iter().all(|&count| count > 30), "{of_kind:?}");
}
