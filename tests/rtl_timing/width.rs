//! `tb_dwc.sv`.

use radstream::simulate::cycle::StreamShape;
use radstream::simulate::cycle::stages::{Unbuildable, WidthConverter};

use crate::harness::{Unit, gate, mix, no_memories, or_none, pack, rows};

#[test]
fn width_converters_are_those_of_the_rtl() {
    let Some(rows) = rows("rtl_dwc.csv", 10) else {
        return;
    };
    for row in rows {
        let (wide_in, wide_out) = (row.count("IBITS"), row.count("OBITS"));
        let (words_in, words_out) = (row.count("in_words"), row.count("out_words"));
        let (gi, go) = (row.count_or("GI", 0), row.count_or("GO", 0));
        let name = format!("width {wide_in} to {wide_out}");
        let shape = |bits: u32| StreamShape {
            lanes: bits as usize,
            lane_bits: 1,
        };
        let converter = WidthConverter::new(shape(wide_in), wide_out as usize);
        if wide_in == wide_out {
            // Measured as combinational wires: a design has no stage there.
            assert!(matches!(converter, Err(Unbuildable::Schedule { .. })));
            continue;
        }
        let data = |word: u32, bits: u32| pack(shape(bits), |at| u64::from(mix(word * bits + at as u32) & 1));
        let mut unit = Unit::new(converter.unwrap());
        let (mut taken, mut given) = (0, 0);
        let (mut first_in, mut first_out, mut last_in) = (None, None, None);
        let mut now = 0;
        while given < words_out {
            now += 1;
            assert!(now < 100_000, "{name} ends");
            let input = (taken < words_in && gate(now, 0, gi)).then(|| data(taken, wide_in));
            let tick = unit.edge(&[input], gate(now, 5555, go), &no_memories());
            if tick.taken == 1 {
                first_in.get_or_insert(now);
                last_in = Some(now);
                taken += 1;
            }
            if let Some(word) = tick.given {
                assert_eq!(word, data(given, wide_out), "{name}, word {given}");
                first_out.get_or_insert(now);
                given += 1;
            }
        }
        row.require(
            &name,
            &[
                ("first_in", or_none(first_in)),
                ("first_out", or_none(first_out)),
                ("last_in", or_none(last_in)),
                ("last_out", now.into()),
                ("err", 0),
            ],
        );
    }
}
