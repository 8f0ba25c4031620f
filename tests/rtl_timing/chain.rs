//! `tb_mlp.sv`: two layers, from stage to stage.

use std::sync::Arc;

use radstream::fixed_point::Format;
use radstream::network::{Encoding, ParamId, ThresholdRule};
use radstream::simulate::cycle::Memories;
use radstream::simulate::cycle::StreamShape;
use radstream::simulate::cycle::register::{lane, mask};
use radstream::simulate::cycle::stages::{
    Dsp48Core, Dsp48Mvau, Dsp48Shape, Fifo, MemoryStream, Thresholding, ThresholdingShape, WidthConverter,
};

use crate::cycle_common::integers::{Integers, sign_extend};
use crate::harness::{Unit, mix, or_none, pack, rows};

const ACTIVATION_BITS: u32 = 8;
const SUM_BITS: u32 = 24;
const STEPS: u32 = 15;

fn weight(layer: u32, row: u32, column: u32) -> i64 {
    sign_extend(mix(layer * 7_777_777 + row * 1000 + column).into(), 8)
}

fn threshold(channel: u32, step: u32) -> i64 {
    -40000 + i64::from(step * (80000 / (STEPS + 1))) + i64::from(mix(channel * 100 + step) % 64)
}

/// A layer's unit and the stream of its weights.
fn layer(layer: u32, mw: u32, mh: u32, pe: u32, simd: u32) -> (Unit, Unit) {
    let matrix = (0..mh).map(|row| (0..mw).map(|column| weight(layer, row, column)).collect());
    let (sf, nf) = (u64::from(mw / simd), u64::from(mh / pe));
    let arithmetic = Arc::new(Integers {
        sf,
        pe: pe as usize,
        simd: simd as usize,
        activation_bits: ACTIVATION_BITS,
        signed: false,
        weight_bits: 8,
        sum_bits: SUM_BITS,
        matrix: matrix.collect(),
    });
    let stream = MemoryStream::new(arithmetic, sf * nf, None).unwrap();
    let unit = Dsp48Mvau::new(Dsp48Shape {
        core: Dsp48Core::EightBit,
        synapse_fold: sf,
        neuron_fold: nf,
        pe: pe as usize,
        simd: simd as usize,
        weight_bits: 8,
        activation_bits: ACTIVATION_BITS,
        signed_activations: false,
        accumulator_bits: SUM_BITS,
        keeps_operands: true,
    })
    .unwrap();
    (Unit::new(unit), Unit::new(stream))
}

#[test]
fn a_chain_of_two_layers_is_that_of_the_rtl() {
    let Some(rows) = rows("rtl_mlp.csv", 2) else {
        return;
    };
    for row in rows {
        let [mw1, mh1, pe1, si1] = ["MW1", "MH1", "PE1", "SI1"].map(|column| row.count(column));
        let [mh2, pe2, si2] = ["MH2", "PE2", "SI2"].map(|column| row.count(column));
        let (vectors, depth) = (row.count("NV"), row.count("FIFO_depth"));
        let name = format!("chain {mw1} {mh1} {pe1} {si1} {mh2} {pe2} {si2}");
        let (mut unit1, mut weights1) = layer(1, mw1, mh1, pe1, si1);
        let (mut unit2, mut weights2) = layer(2, mh1, mh2, pe2, si2);
        let sums = Format::new(SUM_BITS, SUM_BITS as i32, true).unwrap();
        let counts = Format::new(ACTIVATION_BITS, ACTIVATION_BITS as i32, false).unwrap();
        let values = (0..mh1).flat_map(|channel| (0..STEPS).map(move |step| threshold(channel, step)));
        let memories = Memories::of_values(vec![(Encoding::Fixed(sums), values.collect())]);
        let thresholding = Thresholding::new(ThresholdingShape {
            thresholds: ParamId(0),
            steps: STEPS as usize,
            per_channel: true,
            channels: mh1 as usize,
            lanes: pe1 as usize,
            input: Encoding::Fixed(sums),
            threshold: Encoding::Fixed(sums),
            output: Encoding::Fixed(counts),
            factor: vec![1],
            offset: vec![0],
            deep: false,
            rule: ThresholdRule::BinarySearch,
        });
        let mut thresholding = Unit::new(thresholding.unwrap());
        let narrow = StreamShape {
            lanes: pe1 as usize,
            lane_bits: ACTIVATION_BITS,
        };
        let mut fifo = Unit::new(Fifo::new(narrow, depth as usize).unwrap());
        let mut converter = Unit::new(WidthConverter::new(narrow, si2 as usize).unwrap());

        let activation = |vector: u32, column: u32| mix(vector * mw1 + column + 12345) & 255;
        let hidden = |vector: u32, channel: u32| {
            let sum: i64 = (0..mw1)
                .map(|column| i64::from(activation(vector, column)) * weight(1, channel, column))
                .sum();
            (0..STEPS).filter(|&step| threshold(channel, step) <= sum).count() as i64
        };
        let (sf1, nf2) = (mw1 / si1, mh2 / pe2);
        let input = StreamShape {
            lanes: si1 as usize,
            lane_bits: ACTIVATION_BITS,
        };
        let (mut taken, mut given) = (0, 0);
        let (mut first_in, mut first_out) = (None, None);
        let mut last_out = Vec::new();
        let mut now = 0;
        // The bench configures memories before it starts; the streams stand full meanwhile.
        let configured = 50;
        while given < vectors * nf2 {
            now += 1;
            assert!(now < 500_000, "{name} ends");
            let ready = now > configured;
            let word = (ready && taken < vectors * sf1).then(|| {
                pack(input, |at| {
                    activation(taken / sf1, taken % sf1 * si1 + at as u32).into()
                })
            });
            // What every stage offers follows from its state; what it accepts from the sink backwards.
            let offer = |unit: &Unit| unit.offers().then(|| unit.word());
            let weight_offer = |unit: &Unit| offer(unit).filter(|_| ready);
            let offers2 = [offer(&converter), weight_offer(&weights2)];
            let accepts2 = unit2.accepts(&offers2, true);
            let from_fifo = [offer(&fifo)];
            let accepts_converter = converter.accepts(&from_fifo, accepts2 & 1 == 1) == 1;
            let from_thresholding = [offer(&thresholding)];
            let accepts_fifo = fifo.accepts(&from_thresholding, accepts_converter) == 1;
            let from_unit1 = [offer(&unit1)];
            let accepts_thresholding = thresholding.accepts(&from_unit1, accepts_fifo) == 1;
            let offers1 = [word, weight_offer(&weights1)];
            let accepts1 = unit1.accepts(&offers1, accepts_thresholding);

            let tick = unit2.edge(&offers2, true, &memories);
            converter.edge(&from_fifo, accepts2 & 1 == 1, &memories);
            fifo.edge(&from_thresholding, accepts_converter, &memories);
            thresholding.edge(&from_unit1, accepts_fifo, &memories);
            let taken_now = unit1.edge(&offers1, accepts_thresholding, &memories).taken;
            weights1.edge(&[], ready && accepts1 & 2 == 2, &memories);
            weights2.edge(&[], ready && accepts2 & 2 == 2, &memories);
            if taken_now & 1 == 1 {
                first_in.get_or_insert(now);
                taken += 1;
            }
            if let Some(word) = tick.given {
                for pe in 0..pe2 {
                    let sum: i64 = (0..mh1)
                        .map(|channel| {
                            hidden(given / nf2, channel) * weight(2, given % nf2 * pe2 + pe, channel)
                        })
                        .sum();
                    let expected = sum as u64 & mask(SUM_BITS);
                    assert_eq!(
                        lane(&word, pe as usize, SUM_BITS),
                        expected,
                        "{name}, word {given}"
                    );
                }
                first_out.get_or_insert(now);
                given += 1;
                if given % nf2 == 0 {
                    last_out.push(i64::from(now));
                }
            }
        }
        let first_in = or_none(first_in);
        let vectors = vectors as usize;
        row.require(
            &name,
            &[
                ("first_out_minus_first_in", or_none(first_out) - first_in),
                ("vec0_latency", last_out[0] - first_in + 1),
                ("period", last_out[vectors - 1] - last_out[vectors - 2]),
                ("total", i64::from(now) - first_in + 1),
                ("err", 0),
            ],
        );
    }
}
