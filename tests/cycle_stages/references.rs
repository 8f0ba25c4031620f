//! Random stages against what they compute.

use proptest::prelude::*;
use radstream::network::ThresholdRule;
use radstream::simulate::cycle::stages::{Dsp48Core, Dsp48Shape, Dsp58Shape, InputBuffer};

use crate::drive::{Pauses, Specimen, run};
use crate::specimens::{self, MvauShape, WindowShape};

fn pauses() -> impl Strategy<Value = Pauses> {
    let percent = || prop_oneof![Just(0u32), Just(20), Just(50), Just(90)];
    (any::<u32>(), percent(), percent(), percent()).prop_map(|(seed, source, second, sink)| Pauses {
        seed,
        source,
        second,
        sink,
    })
}

fn dsp48_core() -> impl Strategy<Value = Dsp48Core> {
    prop_oneof![
        Just(Dsp48Core::EightBit),
        Just(Dsp48Core::FourBitE1),
        any::<bool>().prop_map(|narrow| Dsp48Core::FourBitE2 { narrow }),
    ]
}

fn input_buffer() -> impl Strategy<Value = InputBuffer> {
    prop_oneof![
        Just(InputBuffer::Replay),
        Just(InputBuffer::Kept),
        Just(InputBuffer::None)
    ]
}

fn same(specimen: &Specimen, pauses: Pauses) -> Result<(), TestCaseError> {
    let output = run(specimen, pauses, 400_000);
    prop_assert_eq!(output.len(), specimen.output.len(), "words of {}", specimen.name);
    for (at, (word, expected)) in output.iter().zip(&specimen.output).enumerate() {
        prop_assert_eq!(word, expected, "word {} of {}", at, specimen.name);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_fifo_hands_on_what_it_takes(
        depth in prop_oneof![1usize..9, Just(31), Just(256), Just(300)],
        lanes in 1usize..12, lane_bits in 1u32..20, pauses in pauses(),
    ) {
        same(&specimens::fifo(depth, lanes, lane_bits, 600), pauses)?;
    }

    #[test]
    fn a_width_converter_keeps_the_elements(
        lanes_in in 1usize..10, lanes_out in 1usize..10, lane_bits in 1u32..24, pauses in pauses(),
    ) {
        prop_assume!(lanes_in != lanes_out);
        same(&specimens::converter(lanes_in, lanes_out, lane_bits), pauses)?;
    }

    #[test]
    fn padding_surrounds_every_frame(
        size in prop::array::uniform3(1usize..5), sides in prop::array::uniform4(0usize..3),
        lanes in 1usize..4, border in any::<u64>(), pauses in pauses(),
    ) {
        same(&specimens::padding(size, sides, lanes, border & 0x1f), pauses)?;
    }

    #[test]
    fn thresholding_finds_what_its_rule_finds(
        steps in 1usize..40, per_channel in any::<bool>(), folds in 1usize..5, lanes in 1usize..5,
        sorted in any::<bool>(), deep in any::<bool>(), searched in any::<bool>(), pauses in pauses(),
    ) {
        let rule = if searched { ThresholdRule::BinarySearch } else { ThresholdRule::Count };
        same(&specimens::thresholding(steps, per_channel, folds, lanes, sorted, (deep, rule)), pauses)?;
    }

    #[test]
    fn slices_multiply(
        core in dsp48_core(), fold in (1u64..7, 1u64..6), size in (1usize..10, 1usize..6), bits in (2u32..=8, 1u32..=8),
        signed in any::<bool>(), more in 0u32..9, pauses in pauses(),
    ) {
        let most = if core == Dsp48Core::EightBit { 8 } else { 4 };
        let (weight_bits, activation_bits) = (bits.0.min(most), bits.1.min(most));
        // Room for as many products as a result adds up.
        let offset = weight_bits + activation_bits;
        let terms = (fold.0 as usize * size.1).next_power_of_two().ilog2();
        let shape = Dsp48Shape {
            core,
            synapse_fold: fold.0,
            neuron_fold: fold.1,
            pe: size.0,
            simd: size.1,
            weight_bits,
            activation_bits,
            signed_activations: signed && activation_bits > 1,
            accumulator_bits: offset + terms + more,
            keeps_operands: true,
        };
        same(&specimens::dsp48(shape, 5), pauses)?;
    }

    #[test]
    fn chains_of_slices_multiply(
        fold in (1u64..7, 1u64..6), size in (1usize..5, 1usize..16), segment in 0usize..6, bits in (2u32..=8, 1u32..=9),
        signed in any::<bool>(), depthwise in any::<bool>(), pauses in pauses(),
    ) {
        let (weight_bits, activation_bits) = bits;
        let terms = (fold.0 as usize * size.1).next_power_of_two().ilog2();
        let shape = Dsp58Shape {
            synapse_fold: fold.0,
            neuron_fold: fold.1,
            pe: size.0,
            simd: size.1,
            segment: segment.min(size.1.div_ceil(3)),
            weight_bits,
            activation_bits,
            signed_activations: signed && activation_bits > 1 || activation_bits == 9,
            accumulator_bits: weight_bits + activation_bits + terms,
            depthwise,
        };
        same(&specimens::dsp58(shape, 5), pauses)?;
    }

    #[test]
    fn a_matrix_vector_unit_multiplies(
        fold in (1u64..7, 1u64..6), size in (1usize..4, 1usize..4),
        core in (1u32..4, any::<bool>(), any::<bool>(), 0u32..3),
        embedded in any::<bool>(), input in input_buffer(), pauses in pauses(),
    ) {
        let shape = MvauShape { sf: fold.0, nf: fold.1, pe: size.0, simd: size.1, core, embedded, input };
        same(&specimens::mvau(shape, 6), pauses)?;
    }

    #[test]
    fn a_weight_stream_repeats_its_memory(
        depth in 1u64..12, period in prop::option::of(1u64..9), pauses in pauses(),
    ) {
        // An access every cycle leaves the stream none.
        prop_assume!(period != Some(1));
        same(&specimens::weight_stream(depth, period), pauses)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 384, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sliding_windows_are_the_windows(
        kernel in prop::array::uniform2(1usize..4), stride in prop::array::uniform2(1usize..4),
        dilation in prop::array::uniform2(1usize..3), room in prop::array::uniform2(0usize..5),
        folds in 1usize..4, lanes in 1usize..4, style in 0usize..3, pauses in pauses(),
    ) {
        let shape = WindowShape { kernel, stride, dilation, room, folds, lanes, style };
        let Some(specimen) = specimens::window(shape) else {
            return Err(TestCaseError::reject("refused"));
        };
        same(&specimen, pauses)?;
    }

    #[test]
    fn windows_of_finn_hlslib_are_the_windows(
        stride in 1usize..3, blocks in 1usize..4, columns in (1usize..4, 1usize..3), rows in 0usize..6,
        room in 0usize..6, folds in 1usize..4, lanes in 1usize..3, pauses in pauses(),
    ) {
        let shape = WindowShape {
            kernel: [stride * blocks, columns.0],
            stride: [stride, columns.1],
            dilation: [1, 1],
            room: [stride * rows, room],
            folds,
            lanes,
            style: 3,
        };
        let Some(specimen) = specimens::window(shape) else {
            return Err(TestCaseError::reject("refused"));
        };
        same(&specimen, pauses)?;
    }
}

/// A depthwise map whose last window moves the mark of the next one beyond a power of two, fed slowly.
#[test]
fn late_words_do_not_stop_a_depthwise_window() {
    let shape = WindowShape {
        kernel: [2, 2],
        stride: [1, 1],
        dilation: [2, 2],
        room: [4, 0],
        folds: 3,
        lanes: 1,
        style: 1,
    };
    let pauses = Pauses {
        seed: 1,
        source: 90,
        second: 0,
        sink: 0,
    };
    let specimen = specimens::window(shape).expect("a shape that FINN builds");
    assert_eq!(run(&specimen, pauses, 100_000), specimen.output);
}
