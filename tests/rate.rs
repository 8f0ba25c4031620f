//! Upset rates against the facts' test cases.

mod common;

use radstream::radiation::rate::*;
use serde_json::Value;

fn cases() -> Option<Vec<Value>> {
    let file = common::shared_data()?.join("radiation/testcases.json");
    Some(serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap())
}

fn close(got: f64, expected: &Value, case: &Value) {
    let expected = expected.as_f64().unwrap();
    let tolerance = case["rel_tol"].as_f64().unwrap();
    assert!(
        (got / expected - 1.0).abs() <= tolerance,
        "{}: {got} {expected}",
        case["id"]
    );
}

fn fit(value: f64, megabit: Megabit) -> FitPerMb {
    FitPerMb::new(value, megabit, Counts::Event).unwrap()
}

#[test]
fn the_papers_rates_are_the_recomputed_ones() {
    let Some(cases) = cases() else { return };
    let mut compared = 0;
    for case in &cases {
        let (input, expected) = (&case["input"], &case["expected"]);
        let number = |key: &str| input[key].as_f64().unwrap();
        match case["id"].as_str().unwrap() {
            id if id.starts_with("s000") => {
                let bits = (number("gib") as u64) * 8 * (1 << 30);
                let hours = input["hours"].as_f64().unwrap_or(1.0);
                for (rate, expected) in input["fit_per_mib"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .zip(expected.as_array().unwrap())
                {
                    let rate = fit(rate.as_f64().unwrap(), Megabit::Binary).rate_of(bits);
                    close(rate.expected_in(Hours(hours)).unwrap(), expected, case);
                    if hours == 24.0 {
                        close(rate.per_day(), expected, case);
                    }
                    compared += 1;
                }
            }
            "s001_unpruned" => {
                let rate = fit(number("fit_per_mb"), Megabit::Decimal).rate_of(number("bits") as u64);
                close(rate.fit(), &expected["fit"], case);
                close(rate.per_hour().0, &expected["per_hour"], case);
                let thousand = rate.hours_until(1000.0).unwrap();
                close(thousand.0, &expected["hours_per_1000"], case);
                close(thousand.years(), &expected["years_8766"], case);
                compared += 4;
            }
            "s001_pruned" => {
                let rate = fit(number("fit_per_mb"), Megabit::Decimal).rate_of(number("bits") as u64);
                close(rate.fit(), &expected["fit"], case);
                close(rate.per_hour().0, &expected["per_hour"], case);
                close(
                    rate.hours_until(1000.0).unwrap().years(),
                    &expected["years_1000"],
                    case,
                );
                compared += 3;
            }
            "s001_p_ns" => {
                let per_bit = UpsetsPerBitHour::new(number("p_bit_ns") * 3600e9).unwrap();
                let per_mb = per_bit.fit_per_mb(Megabit::Decimal, Counts::Bit);
                close(per_mb.value(), &expected["fit_per_mb"], case);
                close(per_mb.rate_of(1).fit(), &expected["fit_per_bit"], case);
                let sigma = per_bit.cross_section_cm2(Flux::NEW_YORK_SEA_LEVEL);
                close(sigma, &expected["sigma_13"], case);
                compared += 3;
            }
            "s002" => {
                let bits = number("bits") as u64;
                let per_bit = UpsetsPerBitHour::of_device(number("rate"), bits).unwrap();
                close(per_bit.value() / 3600.0, &expected["lambda_bit"], case);
                let flux = Flux::from_per_cm2_s(1e8).unwrap();
                close(per_bit.cross_section_cm2(flux), &expected["sigma_1e8"], case);
                let span = Hours::from_seconds(number("T"));
                let of_device =
                    |per_s: f64| UpsetRate::new(UpsetsPerHour(per_s * 3600.0), Counts::Bit).unwrap();
                close(
                    of_device(number("rate")).expected_in(span).unwrap(),
                    &expected["flips"],
                    case,
                );
                close(
                    of_device(0.06).expected_in(span).unwrap(),
                    &expected["at_0_06"],
                    case,
                );
                compared += 4;
            }
            _ => {}
        }
    }
    assert_eq!(compared, 8 * 2 + 4 + 4 + 3 + 3 + 4);
}

/// UG116's pairs of cross-section and rate at 13 n/cm2/h, as recomputed in the facts, section 2.1.
#[test]
fn a_cross_section_under_the_reference_flux_is_a_rate_per_megabit() {
    for (sigma, per_mb) in [
        (3.91e-14, 508.0),
        (2.74e-14, 356.0),
        (3.96e-14, 515.0),
        (1.14e-14, 148.0),
        (5.57e-15, 72.4),
        (4.43e-15, 57.6),
        (9.82e-16, 12.8),
        (2.67e-16, 3.47),
    ] {
        let sigma = CrossSection::new(sigma).unwrap();
        let per_bit = sigma.per_bit(Flux::NEW_YORK_SEA_LEVEL);
        let rate = per_bit.fit_per_mb(Megabit::Decimal, Counts::Event).value();
        // The facts print three digits.
        assert!((rate / per_mb - 1.0).abs() < 5e-3, "{rate} {per_mb}");
        let binary = per_bit.fit_per_mb(Megabit::Binary, Counts::Event).value();
        assert!((binary / rate - 1.048_576).abs() < 1e-12);
    }
}

/// Flips of ECON-T's weight bits in four hours, facts section 2.4.
#[test]
fn cross_section_times_flux_gives_the_expected_flips() {
    for (flux, sigma, flips) in [
        (2e7, 0.4e-14, 14.7),
        (2e7, 1e-14, 36.6),
        (2e7, 2.7e-14, 98.9),
        (3e6, 1e-14, 5.5),
    ] {
        let flux = Flux::from_per_cm2_s(flux).unwrap();
        let rate = CrossSection::new(sigma)
            .unwrap()
            .rate_of(flux, 12_720, Counts::Bit);
        let expected = rate.expected_in(Hours(4.0)).unwrap();
        assert!((expected - flips).abs() < 0.06, "{expected} {flips}");
    }
}

#[test]
fn the_two_megabits_and_the_two_counts_differ_as_they_should() {
    let bits = 249_120_000;
    let decimal = fit(20.0, Megabit::Decimal).rate_of(bits);
    assert!((decimal.fit() - 4982.4).abs() < 1e-9);
    assert!((decimal.hours_per_upset().unwrap().0 - 200_706.0).abs() < 1.0);
    assert!((decimal.hours_per_upset().unwrap().years() - 22.9).abs() < 0.01);
    let binary = fit(20.0, Megabit::Binary).rate_of(bits);
    assert!((binary.fit() - 4751.59).abs() < 0.005);
    let flips = decimal.counted_as(Counts::Bit, 1.34).unwrap();
    assert_eq!(flips.counts(), Counts::Bit);
    assert!((flips.fit() / decimal.fit() - 1.34).abs() < 1e-12);
    let back = flips.counted_as(Counts::Event, 1.34).unwrap();
    assert!((back.fit() / decimal.fit() - 1.0).abs() < 1e-12);
    assert_eq!(fit(0.0, Megabit::Decimal).rate_of(bits).hours_per_upset(), None);
    assert_eq!(fit(20.0, Megabit::Decimal).rate_of(0).hours_per_upset(), None);
    let per_bit = fit(20.0, Megabit::Decimal).per_bit().value();
    // 5.556e-18 per bit and second.
    assert!((per_bit / 3600.0 / 5.556e-18 - 1.0).abs() < 1e-3);
}

#[test]
fn what_is_no_rate_is_refused() {
    for value in [-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(FitPerMb::new(value, Megabit::Decimal, Counts::Bit).is_err());
        assert!(Flux::from_per_cm2_s(value).is_err());
        assert!(Flux::from_per_cm2_h(value).is_err());
        assert!(CrossSection::new(value).is_err());
        assert!(UpsetsPerBitHour::new(value).is_err());
        assert!(UpsetsPerBitHour::of_device(value, 10).is_err());
        assert!(UpsetRate::new(UpsetsPerHour(value), Counts::Bit).is_err());
        let rate = fit(20.0, Megabit::Decimal).rate_of(1000);
        assert!(rate.expected_in(Hours(value)).is_err());
        assert!(rate.counted_as(Counts::Bit, value).is_err());
    }
    assert!(UpsetsPerBitHour::of_device(1.0, 0).is_err());
    assert!(Flux::from_per_cm2_s(f64::MAX).is_err());
    for sigma in [0.0, 9.9e-19, 1.1e-6, 3.34e-4] {
        let error = CrossSection::new(sigma).unwrap_err();
        assert!(matches!(error, RateError::CrossSection { .. }), "{error}");
    }
    assert!(CrossSection::new(1e-18).is_ok() && CrossSection::new(1e-6).is_ok());
    assert_eq!("decimal".parse(), Ok(Megabit::Decimal));
    assert_eq!("event".parse(), Ok(Counts::Event));
    assert!("Mib".parse::<Megabit>().is_err() && "bits".parse::<Counts>().is_err());
}
