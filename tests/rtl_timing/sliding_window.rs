//! `tb_swg.sv`.

use radstream::simulate::cycle::StreamShape;
use radstream::simulate::cycle::register::mask;
use radstream::simulate::cycle::stages::{SlidingWindow, WindowGeometry, WindowStyle};

use crate::harness::{Unit, gate, mix, no_memories, or_none, pack, rows};

#[test]
fn sliding_windows_are_those_of_the_rtl() {
    let Some(rows) = rows("rtl_swg.csv", 23) else {
        return;
    };
    for row in rows {
        let name = ["H", "W", "KH", "KW", "SH", "SW", "CH", "SIMD", "DW", "MMV"]
            .map(|column| row.text(column).to_owned())
            .join(" ");
        let (gi, go) = (row.count_or("GI", 0), row.count_or("GO", 0));
        let [h, w, kh, kw] = ["H", "W", "KH", "KW"].map(|column| row.count(column));
        let [sh, sw] = ["SH", "SW"].map(|column| row.count(column));
        let both = row.count_or("DIL", 1);
        let dilation_h = row.count_or("DILH", if h == 1 { 1 } else { both });
        let dilation_w = row.count_or("DILW", both);
        let [channels, simd, depthwise, mmv] = ["CH", "SIMD", "DW", "MMV"].map(|column| row.count(column));
        let pair = |a: u32, b: u32| [a as usize, b as usize];
        let geometry = WindowGeometry {
            input: [h as usize, w as usize, channels as usize],
            kernel: pair(kh, kw),
            stride: pair(sh, sw),
            dilation: pair(dilation_h, dilation_w),
        };
        let style = match (mmv, depthwise) {
            (1, 0) => WindowStyle::Addressable,
            (1, _) => WindowStyle::Depthwise,
            _ => WindowStyle::Parallel,
        };
        let bits = row.count_or("BW", 8);
        let stage = SlidingWindow::new(geometry, simd as usize, bits, style).unwrap();
        let mut unit = Unit::new(stage);

        let folds = channels / simd;
        let [rows_out, columns_out] = geometry.output().map(|size| size as u32);
        let frames = 3;
        let (words_in, words_out) = (h * w * folds, rows_out * columns_out * kh * kw * folds / mmv);
        let data = |frame: u32, y: u32, x: u32, channel: u32| {
            u64::from(mix(((frame * h + y) * w + x) * channels + channel)) & mask(bits)
        };
        let word_in = StreamShape {
            lanes: simd as usize,
            lane_bits: bits,
        };
        let word_out = StreamShape {
            lanes: (simd * mmv) as usize,
            lane_bits: bits,
        };
        let expected = |word: u32| {
            pack(word_out, |at| {
                let element = word * mmv + at as u32 / simd;
                let (frame, rest) = (element / (words_out * mmv), element % (words_out * mmv));
                let (window, tap) = (rest / (kh * kw * folds), rest % (kh * kw * folds));
                let (fold, kx, ky) = if depthwise == 0 || folds == 1 || mmv > 1 {
                    (tap % folds, tap / folds % kw, tap / folds / kw)
                } else {
                    (tap / kw / kh, tap % kw, tap / kw % kh)
                };
                let y = window / columns_out * sh + ky * dilation_h;
                let x = window % columns_out * sw + kx * dilation_w;
                data(frame, y, x, fold * simd + at as u32 % simd)
            })
        };
        let (mut taken, mut given) = (0, 0);
        let (mut first_in, mut first_out, mut last_in_0) = (None, None, None);
        let mut last_out = Vec::new();
        let mut now = 0;
        while given < words_out * frames {
            now += 1;
            assert!(now < 2_000_000, "{name} ends");
            let input = (taken < words_in * frames && gate(now, 0, gi)).then(|| {
                let pixel = taken % words_in / folds;
                pack(word_in, |at| {
                    data(
                        taken / words_in,
                        pixel / w,
                        pixel % w,
                        taken % folds * simd + at as u32,
                    )
                })
            });
            let tick = unit.edge(&[input], gate(now, 5555, go), &no_memories());
            if tick.taken == 1 {
                first_in.get_or_insert(now);
                taken += 1;
                if taken == words_in {
                    last_in_0 = Some(now);
                }
            }
            if let Some(word) = tick.given {
                assert_eq!(word, expected(given), "{name}, word {given}");
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
                ("first_in", or_none(first_in)),
                ("first_out", or_none(first_out)),
                ("frame0_last_out", last_out[0]),
                ("latency_frame0", last_out[0] - or_none(first_in) + 1),
                ("period12", last_out[2] - last_out[1]),
                ("last_in0", or_none(last_in_0)),
                ("err", 0),
            ],
        );
    }
}
