//! `tb_thr.sv`.

use radstream::fixed_point::Format;
use radstream::network::{Encoding, ParamId, ThresholdRule};
use radstream::simulate::cycle::Memories;
use radstream::simulate::cycle::StreamShape;
use radstream::simulate::cycle::register::lane;
use radstream::simulate::cycle::stages::{Thresholding, ThresholdingShape};

use crate::harness::{Unit, gate, mix, or_none, pack, rows};

fn sign_extend(value: u32, bits: u32) -> i64 {
    i64::from((value << (32 - bits)) as i32 >> (32 - bits))
}

#[test]
fn thresholding_is_that_of_the_rtl() {
    let Some(rows) = rows("rtl_thr.csv", 7) else {
        return;
    };
    for row in rows {
        let (n, k, channels, pe) = (row.count("N"), row.count("K"), row.count("C"), row.count("PE"));
        let (deep, go, words) = (row.count("DEEP"), row.count("GO"), row.count("words"));
        let gi = row.count_or("GI", 0);
        let name = format!("thresholding {n} {k} {channels} {pe} {deep} {gi} {go}");
        let steps = (1u32 << n) - 1;
        let threshold = |channel: u32, step: u32| {
            let spread = step.wrapping_mul((1 << (k - 1)) / (steps + 1));
            let value = (1u32 << (k - 2)).wrapping_neg().wrapping_add(spread);
            sign_extend(value.wrapping_add(mix(channel * 1000 + step) % 8), k)
        };
        let input = Format::new(k, k as i32, true).unwrap();
        let output = Format::new(n, n as i32, false).unwrap();
        let values = (0..channels).flat_map(|channel| (0..steps).map(move |step| threshold(channel, step)));
        let memories = Memories::of_values(vec![(Encoding::Fixed(input), values.collect())]);
        let stage = Thresholding::new(ThresholdingShape {
            thresholds: ParamId(0),
            steps: steps as usize,
            per_channel: true,
            channels: channels as usize,
            lanes: pe as usize,
            input: Encoding::Fixed(input),
            threshold: Encoding::Fixed(input),
            output: Encoding::Fixed(output),
            factor: vec![1],
            offset: vec![0],
            deep: deep == 1,
            rule: ThresholdRule::BinarySearch,
        });
        let mut unit = Unit::new(stage.unwrap());
        let shape = StreamShape {
            lanes: pe as usize,
            lane_bits: k,
        };
        let data = |word: u32, at: u32| mix(word * pe + at + 99);
        // The bench writes the thresholds first, one per edge, and waits 21 edges.
        let configured = channels * steps + 22;
        let (mut taken, mut given) = (0, 0);
        let (mut first_in, mut first_out) = (None, None);
        let mut now = 0;
        while given < words {
            now += 1;
            assert!(now < 100_000, "{name} ends");
            let valid = now >= configured && taken < words && gate(now, 3333, gi);
            let word = valid.then(|| pack(shape, |at| data(taken, at as u32).into()));
            let tick = unit.edge(&[word], gate(now, 0, go), &memories);
            if tick.taken == 1 {
                first_in.get_or_insert(now);
                taken += 1;
            }
            if let Some(word) = tick.given {
                for at in 0..pe {
                    let value = sign_extend(data(given, at), k);
                    let channel = given % (channels / pe) * pe + at;
                    let count = (0..steps)
                        .filter(|&step| threshold(channel, step) <= value)
                        .count();
                    assert_eq!(lane(&word, at as usize, n), count as u64, "{name}, word {given}");
                }
                first_out.get_or_insert(now);
                given += 1;
            }
        }
        row.require(
            &name,
            &[
                ("exp_cycles", words.into()),
                ("first_in", or_none(first_in)),
                ("first_out", or_none(first_out)),
                ("latency", or_none(first_out) - or_none(first_in)),
                ("span_in_to_last_out", i64::from(now) - or_none(first_in) + 1),
                ("err", 0),
            ],
        );
    }
}
