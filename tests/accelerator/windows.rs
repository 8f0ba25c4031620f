//! Cycles of sliding window generators against FINN's own `get_exp_cycles`.

use radstream::accelerator::*;
use radstream::network::{Geometry, Window};

use crate::common::shared_data;
use crate::nets::{Builder, signed};

#[test]
fn the_rtl_generator_takes_the_cycles_that_finn_expects() {
    let Some(folder) = shared_data() else { return };
    let mut reader = csv::Reader::from_path(folder.join("rtl_timing/rtl_swg.csv")).unwrap();
    let mut compared = 0;
    for row in reader.deserialize() {
        let row: std::collections::HashMap<String, String> = row.unwrap();
        let number = |key: &str| row[key].parse::<usize>().unwrap();
        let dilation = number("DIL");
        let size =
            |input: usize, kernel: usize, stride: usize| (input - (kernel - 1) * dilation - 1) / stride + 1;
        let geometry = Geometry {
            input: [number("H"), number("W"), number("CH")],
            output: [
                size(number("H"), number("KH"), number("SH")),
                size(number("W"), number("KW"), number("SW")),
                1,
            ],
            window: Window {
                kernel: [number("KH"), number("KW")],
                stride: [number("SH"), number("SW")],
                dilation: [dilation; 2],
                pad: [0, 0],
            },
        };
        let expected = number("exp") as u64;
        if number("MMV") == 1 {
            let fold = (number("CH") / number("SIMD")) as u64;
            let cycles = window_cycles_rtl(&geometry, fold, number("DW") == 1);
            assert_eq!(cycles, expected, "{row:?}");
        } else if number("DW") == 0 {
            // The whole window in parallel: SIMD of the product spans all taps.
            let taps = geometry.taps(1);
            let mut builder = Builder::new(geometry.input.to_vec(), signed(4));
            builder.product("conv", geometry, signed(2), vec![1; taps], false);
            let accelerator = Accelerator::build(&builder.network, &Hardware::default()).unwrap();
            let [stage] = accelerator.stages() else { panic!() };
            assert_eq!(stage.finn(), Some((1, taps as u32)));
            assert_eq!(stage.window_cycles(), Some(expected), "{row:?}");
        }
        compared += 1;
    }
    assert_eq!(compared, 23);
}

/// By hand: where a row of the input takes longer to read than its windows to write, reading counts.
#[test]
fn a_stride_beyond_the_kernel_waits_for_the_input() {
    let geometry = Geometry {
        input: [8, 8, 4],
        output: [4, 4, 1],
        window: Window {
            kernel: [1, 1],
            stride: [2, 2],
            dilation: [1, 1],
            pad: [0, 0],
        },
    };
    // Two cycles per pixel, 16 for a row of the input, two rows for each of four rows of the output.
    assert_eq!(window_cycles_rtl(&geometry, 2, false), 2 + 4 * 32);
    assert_eq!(window_cycles_hls(&geometry, 2), 16 + 4 * 32);
}

/// What FINN's `get_exp_cycles` says of a generator on a map of `h` times `w` words of folded channels, written
/// from its table and not from the library.
fn expected_cycles(map: [u64; 2], output: [u64; 2], window: Window, fold: u64, parallel: bool) -> u64 {
    let [h, w] = map;
    let [kh, kw] = window.kernel.map(|k| k as u64);
    if parallel || kh * kw == 1 {
        return h * w * fold + 2;
    }
    if h == 1 || w == 1 {
        return output[0] * output[1] * kh * kw * fold + 2;
    }
    let [dh, dw] = window.dilation.map(|d| d as u64);
    let first = (kh - 1) * dh * w + (kw - 1) * dw + 1;
    let (write, read) = (output[1] * kh * kw, window.stride[1] as u64 * w);
    (first + output[0] * write.max(read)) * fold
}

/// Padding stands in front of the generator, which sees the padded map, whatever pads, strides and dilations.
#[test]
fn generators_count_the_padded_map() {
    let mut numbers = crate::nets::Numbers::new(11);
    let (mut padded_cases, mut parallel_cases, mut none, mut fallbacks) = (0, 0, 0, 0);
    for case in 0..3_000 {
        let channels = [1, 2, 3, 4, 6, 12][numbers.below(6)];
        let input = numbers.pair(1, 9);
        let mut window = Window {
            kernel: numbers.pair(1, 4),
            stride: numbers.pair(1, 4),
            dilation: numbers.pair(1, 3),
            pad: numbers.pair(0, 3),
        };
        let mut after = numbers.pair(0, 3);
        if case % 30 == 0 {
            (window.kernel, window.stride, window.pad, after) = ([1, 1], [1, 1], [0, 0], [0, 0]);
        }
        let mut builder = Builder::new(vec![input[0], input[1], channels], signed(4));
        let Some(layer) = builder.convolution("conv", 4, window, after, |_| 1) else {
            continue;
        };
        let output = builder.network.tensor(builder.network.output).shape.clone();
        let simd = numbers.divisor(window.kernel[0] * window.kernel[1] * channels);
        let taps = (window.kernel[0] * window.kernel[1] * channels) as u32;
        let single = window.kernel == [1, 1];
        let stated = [None, Some(numbers.divisor(channels))][numbers.below(2)];
        let parallel = stated == Some(channels as u32) && numbers.below(2) == 1;
        let padding_simd = stated.map(|_| numbers.divisor(channels));
        let mut hardware = Hardware::default();
        hardware.layers.insert(
            "conv".into(),
            LayerHardware {
                folding: Some(Folding::Finn { pe: 2, simd }),
                window: stated.map(|simd| WindowUnit {
                    simd: Some(simd),
                    parallel: Some(parallel),
                    padding_simd,
                    fifo: None,
                }),
                ..LayerHardware::default()
            },
        );
        let is_padded = window.pad != [0, 0] || after != [0, 0];
        let generates = !single || window.stride != [1, 1] || is_padded;
        let built = Accelerator::build(&builder.network, &hardware);
        if !generates {
            none += 1;
            assert_eq!(built.is_err(), stated.is_some(), "case {case}");
            if let Ok(accelerator) = built {
                assert_eq!(accelerator.stages()[0].window, None);
            }
            continue;
        }
        let accelerator = built.unwrap_or_else(|error| panic!("case {case}: {error}"));
        let stage = accelerator.stage(layer).unwrap();
        let gcd = |a: u32, b: u32| {
            (1..=a)
                .filter(|d| a.is_multiple_of(*d) && b.is_multiple_of(*d))
                .max()
                .unwrap()
        };
        let whole = simd == taps && !single;
        let lanes = stated.unwrap_or(if whole {
            channels as u32
        } else {
            gcd(simd, channels as u32)
        });
        let parallel = if stated.is_some() { parallel } else { whole };
        let fold = channels as u64 / u64::from(lanes);
        let map = [0, 1].map(|axis| (window.pad[axis] + input[axis] + after[axis]) as u64);
        let cycles = expected_cycles(map, [output[0] as u64, output[1] as u64], window, fold, parallel);
        assert_eq!(
            stage.window_cycles(),
            Some(cycles),
            "case {case}: {window:?} {after:?}"
        );
        let padding_lanes = u64::from(padding_simd.unwrap_or(lanes));
        let padding = is_padded.then(|| map[0] * map[1] * (channels as u64 / padding_lanes));
        assert_eq!(stage.padding_cycles(), padding, "case {case}");
        let slowest = stage.product_cycles.max(cycles).max(padding.unwrap_or(0));
        assert_eq!(accelerator.initiation_interval(), Some(slowest), "case {case}");
        let falls_back = stated.is_none() && !whole && lanes != simd;
        let said = accelerator
            .network()
            .notes
            .iter()
            .filter(|note| note.place == "conv")
            .count();
        assert_eq!(said, usize::from(falls_back), "case {case}: {:?}", stage.window);
        padded_cases += usize::from(is_padded);
        parallel_cases += usize::from(parallel);
        fallbacks += usize::from(falls_back);
    }
    for count in [padded_cases, parallel_cases, none, fallbacks] {
        assert!(count > 20, "{padded_cases} {parallel_cases} {none} {fallbacks}");
    }
}

/// `estimate_layer_cycles.json` of the build that `field/finn-parallel-window` copies.
#[test]
fn a_public_build_has_the_cycles_that_finn_estimates() {
    let Some(folder) = shared_data() else { return };
    let files = radstream::model::Files::Folder(folder.join("field/finn-parallel-window"));
    let network = radstream::model::load_network(
        &files,
        std::path::Path::new("net.onnx"),
        &radstream::network::import::ImportOptions::default(),
    )
    .unwrap();
    let hardware = Hardware::parse(radstream::data::SourceText::new("test.ron", PARALLEL_WINDOW)).unwrap();
    let accelerator = Accelerator::build(&network, &hardware).unwrap();
    let products: Vec<u64> = accelerator
        .stages()
        .iter()
        .map(|stage| stage.product_cycles)
        .collect();
    assert_eq!(products, [144, 216, 216, 144, 172]);
    let windows: Vec<u64> = accelerator
        .stages()
        .iter()
        .filter_map(Stage::window_cycles)
        .collect();
    assert_eq!(windows, [198, 66, 94]);
    assert_eq!(accelerator.initiation_interval(), Some(216));
}

const PARALLEL_WINDOW: &str = r#"(layers: {
    "Conv_0": (folding: Finn(pe: 12, simd: 27), window: (simd: 3, parallel: true)),
    "Conv_1": (folding: Finn(pe: 24, simd: 18), window: (simd: 12, parallel: true)),
    "Conv_2": (folding: Finn(pe: 18, simd: 18), window: (simd: 24, parallel: false)),
    "MatMul_0": (folding: Finn(pe: 8, simd: 18)),
    "MatMul_1": (folding: Finn(pe: 1, simd: 16)),
})"#;
