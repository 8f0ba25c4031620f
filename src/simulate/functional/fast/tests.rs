//! The element-wise pieces against their plain twins.

use proptest::prelude::*;

use super::Level;
use super::casts::{Gate, LaneCast, fixed_narrow, fixed_wide};
use super::lanes::{Kind, Store};
use super::range::Range;
use super::range::is_identity;
use super::thresholds::Thresholds;
use crate::fixed_point::{Cast, Format, Overflow, Quantization};
use crate::network::Encoding;
use crate::network::ThresholdRule;

fn formats() -> impl Strategy<Value = Format> {
    use Quantization::*;
    let quantization = prop_oneof![
        Just(Rnd),
        Just(RndZero),
        Just(RndMinInf),
        Just(RndInf),
        Just(RndConv),
        Just(Trn),
        Just(TrnZero)
    ];
    let overflow = prop_oneof![
        Just(Overflow::Sat),
        Just(Overflow::SatSym),
        Just(Overflow::SatZero),
        Just(Overflow::Wrap { saturation_bits: 0 }),
        Just(Overflow::Wrap { saturation_bits: 1 })
    ];
    (1u32..20, -4i32..12, any::<bool>(), quantization, overflow).prop_map(
        |(width, integer, signed, quantization, overflow)| {
            Format::new(width, integer, signed)
                .unwrap()
                .with_quantization(quantization)
                .with_overflow(overflow)
                .unwrap()
        },
    )
}

/// The place that halving finds in a list of `2^n - 1` numbers, which begins with these and goes on with numbers
/// above all values.
fn bisected(list: &[i64], value: i64) -> usize {
    let mut from = 0;
    let mut length = (list.len() + 1).next_power_of_two() - 1;
    while length > 0 {
        let half = length / 2;
        if list.get(from + half).is_some_and(|&middle| middle <= value) {
            from += half + 1;
        }
        length = half;
    }
    from
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lane_casts_equal_casts(to in formats(), frac in -3i32..14, bound in 1i64..3000, base in -4000i64..4000) {
        let range = Range::new(i128::from(base), i128::from(base + bound));
        let cast = Cast::new(frac, &to);
        if is_identity(frac, &range, &Encoding::Fixed(to)) {
            for x in range.low..=range.high {
                prop_assert_eq!(cast.apply(x.into()), i128::from(x));
            }
        }
        let Some((lanes, result, narrow)) = LaneCast::new(frac, &range, &to) else {
            // Rare rules are left to the plain operations; the common ones must have a form.
            let common = matches!(to.overflow(), Overflow::Sat | Overflow::SatSym | Overflow::Wrap { saturation_bits: 0 });
            prop_assert!(!common);
            return Ok(());
        };
        let wanted: Vec<i64> = (range.low..=range.high).map(|x| cast.apply(x.into()) as i64).collect();
        prop_assert!(wanted.iter().all(|&x| result.has(x)));
        for level in Level::available() {
            let mut wide: Vec<i64> = (range.low..=range.high).collect();
            fixed_wide(level, &mut wide, Gate::Open, Some(&lanes));
            prop_assert_eq!(&wide, &wanted, "{}", level);
            if narrow {
                let mut buffer: Vec<i32> = (range.low..=range.high).map(|x| x as i32).collect();
                fixed_narrow(level, &mut buffer, Gate::Open, Some(&lanes));
                prop_assert!(buffer.iter().map(|&x| i64::from(x)).eq(wanted.iter().copied()), "{}", level);
            }
        }
    }

    #[test]
    fn gates_keep_what_they_say(
        threshold in -20i64..20, ceiling in -20i64..20, low in -20i64..20, span in 0i64..20, from in -30i64..30,
    ) {
        let range = Range::new(i128::from(from), 30);
        let gates = [
            Gate::Rectify { threshold, ceiling },
            Gate::Clamp { low, high: low + span },
        ];
        for gate in gates {
            for level in Level::available() {
                let mut buffer: Vec<i32> = (from as i32..=30).collect();
                fixed_narrow(level, &mut buffer, gate, None);
                for (x, found) in (from..=30).zip(buffer) {
                    let wanted = match gate {
                        Gate::Rectify { .. } if x.min(ceiling) > threshold => x.min(ceiling),
                        Gate::Rectify { .. } => 0,
                        _ => x.clamp(low, low + span),
                    };
                    prop_assert_eq!(i64::from(found), wanted);
                    prop_assert!(gate.range(&range).has(wanted));
                }
            }
        }
    }

    #[test]
    fn thresholds_find_what_their_rule_finds(
        searched: bool, steps in 1usize..40, rows in 1usize..4, spread in 0usize..5, spacing in 1i64..30,
        base in -300i64..300, jitter in 0i64..3, seeds in proptest::collection::vec(any::<u16>(), 160),
        faults in proptest::collection::vec((0usize..160, -2000i64..2000), 0..3),
    ) {
        let range = Range::new(-700, 700);
        let channels = rows * (1 + spread);
        // Even or uneven steps, some out of order or beyond the range.
        let mut values: Vec<i64> = (0..rows * steps)
            .map(|at| base + (at % steps) as i64 * spacing + i64::from(seeds[at % seeds.len()]) % (jitter * spacing + 1))
            .collect();
        values.chunks_mut(steps).for_each(<[i64]>::sort_unstable);
        for (at, value) in faults {
            let len = values.len();
            values[at % len] = value;
        }
        let factor: Vec<i64> = (0..channels).map(|at| [1, -1, 2][at % 3]).collect();
        let offset: Vec<i64> = (0..channels).map(|at| at as i64 - 2).collect();
        let width = channels + 3;
        let rule = if searched { ThresholdRule::BinarySearch } else { ThresholdRule::Count };
        let prepared =
            Thresholds::new(&values, (rows, steps), (&factor, &offset), rule, (channels, width), &range);
        let inputs: Vec<i32> = (-700..=700).flat_map(|x| std::iter::repeat_n(x, width)).collect();
        for level in Level::available() {
            let mut narrow = inputs.clone();
            prepared.apply_narrow(level, &mut narrow);
            let mut wide: Vec<i64> = inputs.iter().map(|&x| i64::from(x)).collect();
            prepared.apply_wide(level, &mut wide);
            for (at, &x) in inputs.iter().enumerate().filter(|(at, _)| at % width < channels) {
                let channel = at % width;
                let row = &values[channel % rows * steps..][..steps];
                let count = match rule {
                    ThresholdRule::Count => row.iter().filter(|&&threshold| i64::from(x) >= threshold).count(),
                    ThresholdRule::BinarySearch => bisected(row, x.into()),
                } as i64;
                let wanted = offset[channel] + factor[channel] * count;
                prop_assert_eq!(i64::from(narrow[at]), wanted, "{} at {}", level, x);
                prop_assert_eq!(wide[at], wanted, "{} at {}", level, x);
            }
        }
    }

    #[test]
    fn stores_give_back_what_they_took(
        low in -70000i64..70000, span in 0i64..140_000, values in proptest::collection::vec(any::<u32>(), 1..200),
        row in 1usize..130, bipolar: bool,
    ) {
        let values: Vec<i64> = (values.into_iter().map(i64::from))
            .map(|value| if bipolar { 2 * (value % 2) - 1 } else { low + value % (span + 1) })
            .collect();
        let mut range = Range::new(i128::from(low), i128::from(low + span));
        if bipolar {
            range = Range { low: -1, high: 1, bipolar };
        }
        let kind = Kind::of(&range, row);
        for level in Level::available() {
            let mut store = Store::new(kind, values.len());
            let half = values.len() / 2;
            store.write(level, 0, &values[..half]);
            let narrow: Vec<i32> = values[half..].iter().map(|&value| value as i32).collect();
            store.write_narrow(level, half, &narrow);
            prop_assert_eq!(&store.mantissas(level), &values);
            let mut back = vec![0; narrow.len()];
            store.read_narrow(level, half, &mut back);
            prop_assert_eq!(&back, &narrow);
        }
    }
}

#[test]
fn evenly_spaced_thresholds_are_counted_without_a_search() {
    // Steps of a scaled and rounded activation, as a batch normalization leaves them.
    let values: Vec<i64> = (0..255)
        .map(|step| (f64::from(step) * 37.31 - 511.7).ceil() as i64)
        .collect();
    let range = Range::new(-(1 << 24), 1 << 24);
    let thresholds = Thresholds::new(
        &values,
        (1, 255),
        (&[1], &[0]),
        ThresholdRule::Count,
        (1, 1),
        &range,
    );
    assert!(thresholds.is_ramp());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counts_become_bytes(channels in 1usize..50, steps in 9usize..=255, spacing in 2.0f64..40.0, base in -500.0f64..500.0) {
        let range = Range::new(-20_000, 20_000);
        let values: Vec<i64> = (0..channels * steps)
            .map(|at| (base + (at / steps) as f64 * 3.7 + (at % steps) as f64 * spacing).ceil() as i64)
            .collect();
        let width = channels.next_multiple_of(16);
        let thresholds = Thresholds::new(&values, (channels, steps), (&[1], &[0]), ThresholdRule::Count, (channels, width), &range);
        prop_assume!(thresholds.is_byte_ramp());
        let rows = 41;
        let sums: Vec<i32> = (0..rows * width).map(|at| (at as i32 * 7919) % 20_000).collect();
        for level in Level::available() {
            let mut bytes = vec![0; rows * channels + 16];
            thresholds.count_bytes(level, &sums, channels, &mut bytes);
            for (at, &byte) in bytes[..rows * channels].iter().enumerate() {
                let (row, channel) = (at / channels, at % channels);
                let x = i64::from(sums[row * width + channel]);
                let steps = &values[channel * steps..][..steps];
                let count = steps.iter().filter(|&&threshold| x >= threshold).count();
                prop_assert_eq!(usize::from(byte), count, "{}", level);
            }
        }
    }
}
