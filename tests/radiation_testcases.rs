//! Every case of the facts' `radiation/testcases.json`, to its stated tolerance.

mod common;

use radstream::campaign::analytic::*;
use radstream::radiation::Clusters;
use radstream::radiation::rate::*;
use serde_json::Value;

fn flips(per_bit_hour: f64) -> FlippedBitsPerBitHour {
    FlippedBitsPerBitHour::new(per_bit_hour).unwrap()
}

/// A case and how many of its numbers were compared.
struct Case<'a> {
    json: &'a Value,
    compared: usize,
}

impl Case<'_> {
    fn id(&self) -> &str {
        self.json["id"].as_str().unwrap()
    }

    fn has(&self, key: &str) -> bool {
        !self.json["input"][key].is_null()
    }

    fn input(&self, key: &str) -> f64 {
        self.json["input"][key]
            .as_f64()
            .unwrap_or_else(|| panic!("{}: no {key}", self.id()))
    }

    fn hours(&self, key: &str) -> Hours {
        Hours::from_seconds(self.input(key))
    }

    /// Compares with the expected number of that key, or with the only one.
    fn is(&mut self, key: &str, got: f64) {
        let expected = match &self.json["expected"] {
            Value::Object(numbers) => numbers.get(key).and_then(Value::as_f64),
            only => only.as_f64(),
        };
        let expected = expected.unwrap_or_else(|| panic!("{}: nothing expected for {key}", self.id()));
        let tolerance = self.json["rel_tol"].as_f64().unwrap();
        assert!(
            (got / expected - 1.0).abs() <= tolerance,
            "{} {key}: {got}, expected {expected}",
            self.id()
        );
        self.compared += 1;
    }

    /// How many numbers are expected.
    fn expected(&self) -> usize {
        match &self.json["expected"] {
            Value::Object(numbers) => numbers.len(),
            Value::Array(numbers) => numbers.len(),
            _ => 1,
        }
    }

    fn rate_per_mb(&self) -> StrikesPerHour {
        assert_eq!(self.input("mb"), Megabit::Decimal.bits());
        FitPerMb::new(self.input("fit_per_mb"), Megabit::Decimal, Counts::Event)
            .unwrap()
            .rate_of(self.input("bits") as u64)
            .strikes(&Clusters::single())
    }

    /// The memory of a case on accumulation; the facts give rates per second.
    fn accumulation(&self, scheme: Redundancy, units: &str) -> Accumulation {
        Accumulation {
            scheme,
            units: self.input(units) as u64,
            flips: flips(self.input("lam") * 3600.0),
            scrub: self.has("tau").then(|| self.hours("tau")),
            mission: self.hours("T"),
        }
    }
}

#[test]
fn every_case_holds() {
    let Some(folder) = common::shared_data() else {
        return;
    };
    let text = std::fs::read_to_string(folder.join("radiation/testcases.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    for json in &cases {
        let mut case = Case { json, compared: 0 };
        check(&mut case);
        assert_eq!(case.compared, case.expected(), "{}: numbers left out", case.id());
    }
    assert!(cases.len() >= 32);
}

/// Data bits of a Hamming code with an overall parity bit.
fn data_bits(n: u32) -> u32 {
    match n {
        72 => 64,
        22 => 16,
        n => panic!("no code of {n} bits"),
    }
}

fn check(case: &mut Case) {
    let id = case.id().to_owned();
    match id.as_str() {
        id if id.starts_with("s000_") => memory_of_gigabytes(case),
        "s001_unpruned" => {
            let rate = case.rate_per_mb();
            let thousand = rate.hours_until(1000.0).unwrap();
            case.is("fit", rate.fit().value());
            case.is("per_hour", rate.value());
            case.is("hours_per_1000", thousand.0);
            case.is("years_8766", thousand.years());
        }
        "s001_pruned" => {
            let rate = case.rate_per_mb();
            case.is("fit", rate.fit().value());
            case.is("per_hour", rate.value());
            case.is("years_1000", rate.hours_until(1000.0).unwrap().years());
        }
        "s001_p_ns" => {
            let per_bit = Stated::new(case.input("p_bit_ns") * 3600e9, Counts::Bit).unwrap();
            let per_mb = per_bit.fit_per_mb(Megabit::Decimal);
            case.is("fit_per_mb", per_mb.value());
            case.is("fit_per_bit", per_mb.rate_of(1).value() * 1e9);
            case.is("sigma_13", per_bit.cross_section_cm2(Flux::NEW_YORK_SEA_LEVEL));
        }
        "s002" => flips_in_four_hours(case),
        id if id.starts_with("lev_") => {
            let population = case.has("N").then(|| case.input("N"));
            let (e, t, p) = (case.input("e"), case.input("t"), case.input("p"));
            let size = sample_size(population, e, t, p);
            case.is("n", size);
            assert!((margin_of_error(population, size, t, p) / e - 1.0).abs() < 1e-9);
        }
        "s003_half_99" => {
            let margin = margin_of_error(None, case.input("n"), case.input("t"), case.input("p"));
            case.is("e", margin);
        }
        "s003_n_needed" => {
            let size = sample_size(None, case.input("e"), case.input("t"), case.input("p"));
            case.is("n", size);
        }
        "tmr_noscrub" => {
            let memory = case.accumulation(Redundancy::Tmr { module_bits: 1 }, "bits");
            case.is("p", memory.p_bit_wrong());
            case.is("wrong", memory.expected_failures());
        }
        id if id.starts_with("tmr_scrub") => {
            let memory = case.accumulation(Redundancy::Tmr { module_bits: 1 }, "bits");
            accumulated(case, &memory);
        }
        "secded72_mttf_unscrubbed" => {
            let (words, n) = (case.input("words") as u64, case.input("n") as u32);
            let mttf =
                mttf_secded_unscrubbed(words, n, flips(case.input("lam") * 3600.0), StrikesPerHour::ZERO)
                    .unwrap();
            case.is("seconds", mttf.0 * 3600.0);
        }
        id if id.starts_with("secded") => {
            let n = case.input("n") as u32;
            let scheme = Redundancy::Secded { n, k: data_bits(n) };
            let memory = case.accumulation(scheme, "words");
            accumulated(case, &memory);
        }
        id => panic!("{id}: nothing checks this case"),
    }
}

/// Upsets per hour or day of memories of so many GiB at so many FIT per 2^20 bits.
fn memory_of_gigabytes(case: &mut Case) {
    let bits = case.input("gib") as u64 * 8 * (1 << 30);
    let hours = if case.has("hours") {
        case.input("hours")
    } else {
        1.0
    };
    let tolerance = case.json["rel_tol"].as_f64().unwrap();
    let rates = case.json["input"]["fit_per_mib"].as_array().unwrap();
    for (fit, expected) in rates.iter().zip(case.json["expected"].as_array().unwrap()) {
        let rate = FitPerMb::new(fit.as_f64().unwrap(), Megabit::Binary, Counts::Event).unwrap();
        let got = rate
            .rate_of(bits)
            .strikes(&Clusters::single())
            .expected_in(Hours(hours))
            .unwrap()
            .value();
        assert!(
            (got / expected.as_f64().unwrap() - 1.0).abs() <= tolerance,
            "{}",
            case.id()
        );
        case.compared += 1;
    }
}

fn flips_in_four_hours(case: &mut Case) {
    let bits = case.input("bits") as u64;
    let mission = case.hours("T");
    let per_bit = FlippedBitsPerBitHour::of_device(case.input("rate"), bits).unwrap();
    case.is("lambda_bit", per_bit.value() / 3600.0);
    case.is(
        "sigma_1e8",
        Stated::FlippedBits(per_bit).cross_section_cm2(Flux::from_per_cm2_s(1e8).unwrap()),
    );
    let expected = |per_s: f64| {
        let rate = FlippedBitsPerHour::new(per_s * 3600.0).unwrap();
        rate.expected_in(mission).unwrap().value()
    };
    case.is("flips", expected(case.input("rate")));
    case.is("at_0_06", expected(0.06));
    let memory = Accumulation {
        scheme: Redundancy::None,
        units: bits,
        flips: per_bit,
        scrub: None,
        mission,
    };
    case.is("E_wrong_bits", memory.expected_failures());
}

fn accumulated(case: &mut Case, memory: &Accumulation) {
    case.is("failures", memory.expected_failures());
    if !case.json["expected"]["approx"].is_null() {
        case.is("approx", memory.expected_failures_approximately());
    }
    let any = memory.p_any();
    assert!(any > 0.0 && any <= memory.expected_failures(), "{}", case.id());
}

/// Rows of the facts' section 3.6 that are not among the cases.
#[test]
fn the_other_rows_on_accumulation_hold() {
    let lambda = 960.0 / 4.0 / 12_720.0;
    for (units, n, scrub_s, failures) in [
        (199, 72, 600.0, 103.758),
        (199, 72, 1.0, 0.201_145),
        (795, 22, 1.0, 0.072_635_7),
    ] {
        let memory = Accumulation {
            scheme: Redundancy::Secded { n, k: data_bits(n) },
            units,
            flips: flips(lambda),
            scrub: Some(Hours::from_seconds(scrub_s)),
            mission: Hours(4.0),
        };
        let got = memory.expected_failures();
        assert!((got / failures - 1.0).abs() < 1e-5, "{n} {scrub_s}: {got}");
    }
    let upsets = mttf_secded_unscrubbed(199, 72, flips(lambda), StrikesPerHour::ZERO)
        .unwrap()
        .0
        * lambda
        * 199.0
        * 72.0;
    assert!((upsets - 17.68).abs() < 0.005, "{upsets}");
    // 249 Mb at 20 FIT/Mb, a scrub a day: what accumulates is nothing beside 1 % of in-word events.
    let lambda = 20.0 / 1e9 / 1e6;
    let words = 249_120_000 / 64;
    let memory = Accumulation {
        scheme: Redundancy::Secded { n: 72, k: 64 },
        units: words,
        flips: flips(lambda),
        scrub: Some(Hours(24.0)),
        mission: Hours(1e9),
    };
    let fit = memory.expected_failures();
    let strikes = StrikesPerBitHour::new(lambda).unwrap().of_bits(words * 72);
    let floor = single_event_floor(strikes, 0.01);
    let floor = floor.fit().value();
    assert!((fit / 9.6e-8 - 1.0).abs() < 0.01, "{fit}");
    assert!((floor / 56.0 - 1.0).abs() < 0.01, "{floor}");
}

/// Weibull cross-sections of RT PolarFire's LSRAM, facts section 2.2, and an integral known in closed
/// form: a constant spectrum under a curve of exponent 1.
#[test]
fn heavy_ions_follow_the_weibull_curve() {
    use radstream::radiation::{LetPoint, MemoryRate, MemoryTechnology, Weibull};
    let memory = MemoryTechnology::find("rtpf_lsram", std::path::Path::new("")).unwrap();
    let MemoryRate::WeibullLet { curve, .. } = memory.rate else {
        panic!()
    };
    for (linear_energy, sigma) in [
        (1.0, 1.8937e-10),
        (10.0, 2.9094e-9),
        (30.0, 4.8725e-9),
        (60.0, 4.9994e-9),
    ] {
        let got = curve.cm2_per_bit(linear_energy);
        assert!((got / sigma - 1.0).abs() < 2e-5, "{linear_energy}: {got}");
    }
    assert_eq!(curve.cm2_per_bit(0.1), 0.0);
    let curve = Weibull {
        saturation_cm2_per_bit: 1e-8,
        threshold_mev_cm2_per_mg: 2.0,
        width_mev_cm2_per_mg: 5.0,
        shape: 1.0,
    };
    let spectrum: Vec<LetPoint> = (0..=40_000)
        .map(|step| LetPoint {
            let_mev_cm2_per_mg: f64::from(step) * 1e-3,
            per_cm2_s_per_let: 3.0,
        })
        .collect();
    // 3 * 1e-8 * integral of 1 - exp(-(L-2)/5) from 2 to 40.
    let expected = 3e-8 * (38.0 - 5.0 * (1.0 - libm::exp(-38.0 / 5.0)));
    let got = curve.upsets_per_bit_s(&spectrum);
    assert!((got / expected - 1.0).abs() < 1e-10, "{got} {expected}");
    // Its two ends say the same.
    let ends = [spectrum[0], spectrum[40_000]];
    assert!((curve.upsets_per_bit_s(&ends) / expected - 1.0).abs() < 1e-10);
}

/// The closed forms stand beside the simulation: nothing but the command line knows of them.
#[test]
fn no_simulation_calls_the_closed_forms() {
    fn sources(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else {
                found.push(path);
            }
        }
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    assert!(found.len() > 100);
    for path in found {
        let inside = path.strip_prefix(&root).unwrap();
        // Studies report closed forms beside what was simulated.
        if inside.starts_with("study") || inside == std::path::Path::new("campaign/analytic.rs") {
            continue;
        }
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let is_comment = line.trim_start().starts_with("//");
            let names_it = line.contains("analytic::") || line.contains("::analytic");
            assert!(is_comment || !names_it, "{}: {line}", path.display());
        }
    }
}
