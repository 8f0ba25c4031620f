//! `tb_pad.sv`.

use radstream::simulate::cycle::stages::{Padding, PaddingShape};

use crate::harness::{Unit, gate, mix, no_memories, or_none, rows};

#[test]
fn padding_is_that_of_the_rtl() {
    let Some(rows) = rows("rtl_pad.csv", 6) else {
        return;
    };
    for row in rows {
        let [h, w, channels, simd] = ["H", "W", "CH", "SIMD"].map(|column| row.count(column));
        let sides: Vec<u32> = row
            .text("pad")
            .chars()
            .map(|digit| digit.to_digit(10).unwrap())
            .collect();
        let [top, bottom, left, right] = sides[..] else {
            panic!("four sides")
        };
        let (gi, go) = (row.count_or("GI", 0), row.count_or("GO", 0));
        let name = format!("padding {h} {w} {sides:?} {channels} {simd}");
        let shape = PaddingShape {
            input: [h as usize, w as usize, channels as usize],
            rows: [top as usize, bottom as usize],
            columns: [left as usize, right as usize],
            border: 0,
        };
        let mut unit = Unit::new(Padding::new(shape, simd as usize, 8).unwrap());
        let (folds, frames) = (channels / simd, 3);
        let (height, width) = (h + top + bottom, w + left + right);
        let (words_in, words_out) = (h * w * folds, height * width * folds);
        // The bench's words are wider than its hash only above 32 bits, which are 0 there.
        let data = |word: u32| u64::from(mix(word) | 1) & (u64::MAX >> (64 - 8 * simd));
        let expected = |word: u32| {
            let (frame, rest) = (word / words_out, word % words_out);
            let (y, x, fold) = (rest / (width * folds), rest / folds % width, rest % folds);
            if (top..top + h).contains(&y) && (left..left + w).contains(&x) {
                data(frame * words_in + ((y - top) * w + x - left) * folds + fold)
            } else {
                0
            }
        };
        let (mut taken, mut given) = (0, 0);
        let (mut first_in, mut first_out) = (None, None);
        let mut last_out = Vec::new();
        let mut now = 0;
        while given < words_out * frames {
            now += 1;
            assert!(now < 1_000_000, "{name} ends");
            let input = (taken < words_in * frames && gate(now, 0, gi)).then(|| vec![data(taken)]);
            let tick = unit.edge(&[input], gate(now, 5555, go), &no_memories());
            if tick.taken == 1 {
                first_in.get_or_insert(now);
                taken += 1;
            }
            if let Some(word) = tick.given {
                assert_eq!(word, [expected(given)], "{name}, word {given}");
                first_out.get_or_insert(now);
                given += 1;
                if given % words_out == 0 {
                    last_out.push(i64::from(now));
                }
            }
        }
        row.require(
            &name,
            &[
                ("exp", words_out.into()),
                ("first_in", or_none(first_in)),
                ("first_out", or_none(first_out)),
                ("frame0_last", last_out[0]),
                ("frame1_last", last_out[1]),
                ("period", last_out[1] - last_out[0]),
                ("err", 0),
            ],
        );
    }
}
