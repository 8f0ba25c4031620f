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
            assert_eq!(stage.window_cycles, Some(expected), "{row:?}");
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
