//! Upset rates against the facts' test cases.

mod common;

use radstream::radiation::Clusters;
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

/// Strikes of a memory at a rate that counts them.
fn strikes(value: f64, megabit: Megabit, bits: u64) -> StrikesPerHour {
    match fit(value, megabit).rate_of(bits) {
        Stated::Strikes(strikes) => strikes,
        Stated::FlippedBits(_) => panic!("the rate counts strikes"),
    }
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
                    let rate = strikes(rate.as_f64().unwrap(), Megabit::Binary, bits);
                    close(rate.expected_in(Hours(hours)).unwrap().value(), expected, case);
                    if hours == 24.0 {
                        close(rate.per_day(), expected, case);
                    }
                    compared += 1;
                }
            }
            "s001_unpruned" => {
                let rate = strikes(number("fit_per_mb"), Megabit::Decimal, number("bits") as u64);
                close(rate.fit().value(), &expected["fit"], case);
                close(rate.value(), &expected["per_hour"], case);
                let thousand = rate.hours_until(1000.0).unwrap();
                close(thousand.0, &expected["hours_per_1000"], case);
                close(thousand.years(), &expected["years_8766"], case);
                compared += 4;
            }
            "s001_pruned" => {
                let rate = strikes(number("fit_per_mb"), Megabit::Decimal, number("bits") as u64);
                close(rate.fit().value(), &expected["fit"], case);
                close(rate.value(), &expected["per_hour"], case);
                close(
                    rate.hours_until(1000.0).unwrap().years(),
                    &expected["years_1000"],
                    case,
                );
                compared += 3;
            }
            "s001_p_ns" => {
                let per_bit = Stated::new(number("p_bit_ns") * 3600e9, Counts::Bit).unwrap();
                let per_mb = per_bit.fit_per_mb(Megabit::Decimal);
                close(per_mb.value(), &expected["fit_per_mb"], case);
                close(per_mb.rate_of(1).value() * 1e9, &expected["fit_per_bit"], case);
                let sigma = per_bit.cross_section_cm2(Flux::NEW_YORK_SEA_LEVEL);
                close(sigma, &expected["sigma_13"], case);
                compared += 3;
            }
            "s002" => {
                let bits = number("bits") as u64;
                let per_bit = FlippedBitsPerBitHour::of_device(number("rate"), bits).unwrap();
                close(per_bit.value() / 3600.0, &expected["lambda_bit"], case);
                let flux = Flux::from_per_cm2_s(1e8).unwrap();
                let sigma = Stated::FlippedBits(per_bit).cross_section_cm2(flux);
                close(sigma, &expected["sigma_1e8"], case);
                let span = Hours::from_seconds(number("T"));
                let in_span = |per_s: f64| {
                    let of_device = FlippedBitsPerHour::new(per_s * 3600.0).unwrap();
                    of_device.expected_in(span).unwrap().value()
                };
                close(in_span(number("rate")), &expected["flips"], case);
                close(in_span(0.06), &expected["at_0_06"], case);
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
        let sigma = CrossSection::new(sigma, Counts::Event).unwrap();
        let per_bit = sigma.per_bit(Flux::NEW_YORK_SEA_LEVEL).unwrap();
        let rate = per_bit.fit_per_mb(Megabit::Decimal).value();
        // The facts print three digits.
        assert!((rate / per_mb - 1.0).abs() < 5e-3, "{rate} {per_mb}");
        let binary = per_bit.fit_per_mb(Megabit::Binary).value();
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
        let per_bit = CrossSection::new(sigma, Counts::Bit)
            .unwrap()
            .per_bit(flux)
            .unwrap();
        let Stated::FlippedBits(per_bit) = per_bit else {
            panic!("the cross-section counts flipped bits");
        };
        let expected = per_bit.of_bits(12_720).expected_in(Hours(4.0)).unwrap().value();
        assert!((expected - flips).abs() < 0.06, "{expected} {flips}");
    }
}

#[test]
fn the_two_megabits_and_the_two_counts_differ_as_they_should() {
    let bits = 249_120_000;
    let decimal = strikes(20.0, Megabit::Decimal, bits);
    assert!((decimal.fit().value() - 4982.4).abs() < 1e-9);
    assert!((decimal.hours_per_one().unwrap().0 - 200_706.0).abs() < 1.0);
    assert!((decimal.hours_per_one().unwrap().years() - 22.9).abs() < 0.01);
    let binary = strikes(20.0, Megabit::Binary, bits);
    assert!((binary.fit().value() - 4751.59).abs() < 0.005);
    let clusters = Clusters::burst(3);
    let flips = decimal.flipped_bits(&clusters);
    assert!((flips.fit().value() / decimal.fit().value() - 3.0).abs() < 1e-12);
    let back = flips.strikes(&clusters);
    assert!((back.value() / decimal.value() - 1.0).abs() < 1e-12);
    assert!((decimal.fit().per_hour().value() / decimal.value() - 1.0).abs() < 1e-12);
    assert_eq!(strikes(0.0, Megabit::Decimal, bits).hours_per_one(), None);
    assert_eq!(strikes(20.0, Megabit::Decimal, 0).hours_per_one(), None);
    // The same number that counts flipped bits is another rate, and prints as one.
    let counting = |counts: Counts| {
        FitPerMb::new(20.0, Megabit::Decimal, counts)
            .unwrap()
            .rate_of(bits)
    };
    assert_eq!(
        counting(Counts::Bit).flipped_bits(&clusters).value(),
        decimal.value()
    );
    assert_eq!(counting(Counts::Event).strikes(&clusters), decimal);
    let third = counting(Counts::Bit).strikes(&clusters);
    assert!((3.0 * third.value() / decimal.value() - 1.0).abs() < 1e-12);
    assert_eq!(decimal.to_string(), "4.9824e-6 strikes per hour");
    assert_eq!(flips.fit().to_string(), "14,947 FIT (flipped bits)");
    assert_eq!(
        decimal.expected_in(Hours(1e7)).unwrap().to_string(),
        "49.824 strikes"
    );
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
        assert!(CrossSection::new(value, Counts::Event).is_err());
        assert!(StrikesPerBitHour::new(value).is_err());
        assert!(FlippedBitsPerBitHour::of_device(value, 10).is_err());
        assert!(FlippedBitsPerHour::new(value).is_err() && Fit::<Strikes>::new(value).is_err());
        assert!(Stated::<Hour>::new(value, Counts::Bit).is_err());
        let rate = strikes(20.0, Megabit::Decimal, 1000);
        assert!(rate.expected_in(Hours(value)).is_err());
    }
    assert!(StrikesPerBitHour::of_device(1.0, 0).is_err());
    assert!(Flux::from_per_cm2_s(f64::MAX).is_err());
    for sigma in [0.0, 9.9e-19, 1.1e-6, 3.34e-4] {
        let error = CrossSection::new(sigma, Counts::Event).unwrap_err();
        assert!(matches!(error, RateError::CrossSection { .. }), "{error}");
    }
    for sigma in [1e-18, 1e-6] {
        assert!(CrossSection::new(sigma, Counts::Bit).is_ok());
    }
    assert_eq!("decimal".parse(), Ok(Megabit::Decimal));
    assert_eq!("event".parse(), Ok(Counts::Event));
    assert!("Mib".parse::<Megabit>().is_err() && "bits".parse::<Counts>().is_err());
}
