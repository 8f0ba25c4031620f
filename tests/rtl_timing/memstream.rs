//! `tb_memstream.sv`.

use std::num::NonZeroU64;
use std::sync::Arc;

use radstream::simulate::cycle::StreamShape;
use radstream::simulate::cycle::stages::MemoryStream;

use crate::cycle_common::integers::Integers;
use crate::harness::{Unit, gate, mix, no_memories, or_none, pack, rows};

#[test]
fn weight_streams_are_those_of_the_rtl() {
    let Some(rows) = rows("rtl_memstream.csv", 10) else {
        return;
    };
    for row in rows {
        let (depth, width, words) = (row.count("DEPTH"), row.count("WIDTH"), row.count("words"));
        let (blocked, read_back) = (row.count("GATE"), row.count("RB"));
        let name = format!("memory stream {depth} {width} {blocked} {read_back}");
        // One weight per step, or nine of eight bits.
        let simd = if width > 32 { width / 8 } else { 1 };
        let bits = width / simd;
        let content = |step: u32| mix(step) & ((1 << bits) - 1);
        let arithmetic = Integers {
            sf: depth.into(),
            pe: 1,
            simd: simd as usize,
            activation_bits: 1,
            signed: false,
            weight_bits: bits,
            sum_bits: 32,
            matrix: vec![(0..depth * simd).map(|at| content(at).into()).collect()],
        };
        let expected = |step: u32| {
            let shape = StreamShape {
                lanes: simd as usize,
                lane_bits: bits,
            };
            pack(shape, |at| content(step % depth * simd + at as u32).into())
        };
        let arithmetic = Arc::new(arithmetic);
        let stage = || {
            MemoryStream::new(
                arithmetic.clone(),
                depth.into(),
                NonZeroU64::new(read_back.into()),
            )
            .unwrap()
        };
        let probe = stage();
        let mut unit = Unit::new(stage());
        let (mut given, mut ready_edges, mut acknowledged) = (0, 0, 0);
        let mut first = None;
        let mut now = 0;
        while given < words {
            now += 1;
            assert!(now < 100 * words, "{name} ends");
            let ready = gate(now, 0, blocked);
            ready_edges += u32::from(ready);
            let acknowledges = probe.has_read_back(unit.state());
            let tick = unit.edge(&[], ready, &no_memories());
            if let Some(word) = tick.given {
                assert_eq!(word, expected(given), "{name}, word {given}");
                first.get_or_insert(now);
                given += 1;
            }
            // The bench prints this register before its last edge.
            if given < words {
                acknowledged += u32::from(acknowledges);
            }
        }
        row.require(
            &name,
            &[
                ("first", or_none(first)),
                ("last", now.into()),
                ("span", i64::from(now) - or_none(first) + 1),
                ("rdycyc", ready_edges.into()),
                ("racks", acknowledged.into()),
                ("err", 0),
            ],
        );
    }
}
