//! `tb_fifo.sv`.

use radstream::simulate::cycle::StreamShape;
use radstream::simulate::cycle::stages::Fifo;

use crate::harness::{Unit, gate, mix, no_memories, or_none, rows};

#[test]
fn fifos_are_those_of_the_rtl() {
    let Some(rows) = rows("rtl_fifo.csv", 10) else {
        return;
    };
    for row in rows {
        let (depth, width) = (row.count("DEPTH"), row.count("WIDTH"));
        let (gi, go, words) = (row.count("GI"), row.count("GO"), row.count("words"));
        // A table without a column for the bench's HOLD: those that counted words held their output for 600 cycles.
        let counted = row.count("accepted_while_held") > 0;
        let hold = row.count_or("HOLD", if counted { 600 } else { 0 });
        let name = format!("FIFO {depth} {gi} {go} {hold}");
        let shape = StreamShape {
            lanes: 1,
            lane_bits: width,
        };
        let mut unit = Unit::new(Fifo::new(shape, depth as usize).unwrap());
        let data = |at: u32| u64::from(mix(at)) & ((1 << width) - 1);
        let (mut taken, mut given, mut held, mut most) = (0, 0, 0, 0);
        let (mut first_in, mut first_out) = (None, None);
        let mut now = 0;
        while given < words {
            now += 1;
            assert!(now < 100 * words, "{name} ends");
            let occupied = taken - given;
            let valid = gate(now, 0, gi) && taken < words;
            let ready = gate(now, 77777, go) && now > hold;
            let tick = unit.edge(&[valid.then(|| vec![data(taken)])], ready, &no_memories());
            if tick.taken == 1 {
                first_in.get_or_insert(now);
                taken += 1;
            }
            if now <= hold {
                held = taken;
            }
            if let Some(word) = tick.given {
                assert_eq!(word, [data(given)], "{name}, word {given}");
                first_out.get_or_insert(now);
                given += 1;
            }
            if given < words {
                most = most.max(occupied);
            }
        }
        row.require(
            &name,
            &[
                ("first_in", or_none(first_in)),
                ("first_out", or_none(first_out)),
                ("last", now.into()),
                ("span", i64::from(now) - or_none(first_out) + 1),
                ("accepted_while_held", held.into()),
                ("maxcount", most.into()),
                ("err", 0),
            ],
        );
    }
}
