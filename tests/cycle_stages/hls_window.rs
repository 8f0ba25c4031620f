//! finn-hlslib's generator in the sizes that BNN-PYNQ built.

use radstream::simulate::cycle::register::RegisterClass;
use radstream::simulate::cycle::stages::{SlidingWindow, WindowGeometry, WindowStyle};
use radstream::simulate::cycle::{Edge, Signals, Stage};

use crate::cycle_common::no_memories;

/// cnvW1A1's convolutions: size of the map, channels, SIMD, bits, and what its loop's bounds come to:
/// `IW*kh*CF + OH*OW*kw*kh*CF` iterations of which one starts per cycle, and a line buffer of four rows.
const CONVOLUTIONS: [(usize, usize, usize, u32, u64, u64); 6] = [
    (32, 3, 3, 8, 8196, 3072),
    (30, 64, 32, 1, 14292, 7680),
    (14, 64, 32, 1, 2676, 3584),
    (12, 128, 32, 1, 3744, 6144),
    (5, 128, 32, 1, 384, 2560),
    (3, 256, 32, 1, 144, 3072),
];

#[test]
fn frames_follow_each_other_after_all_iterations_of_the_loop() {
    for (size, channels, simd, bits, iterations, buffer_bits) in CONVOLUTIONS {
        let geometry = WindowGeometry {
            input: [size, size, channels],
            kernel: [3, 3],
            stride: [1, 1],
            dilation: [1, 1],
        };
        let stage = SlidingWindow::new(geometry, simd, bits, WindowStyle::Hls).unwrap();
        let registers = stage.registers();
        let buffers = registers
            .iter()
            .filter(|register| register.class == RegisterClass::LineBuffer);
        assert_eq!(buffers.map(|register| register.bits()).sum::<u64>(), buffer_bits);

        let mut state = vec![0; registers.iter().map(|register| register.limbs()).sum()];
        stage.reset(&mut state);
        let per_frame = (size - 2) * (size - 2) * 9 * channels / simd;
        let word = [0u64; 4];
        let memories = no_memories();
        let (mut now, mut given) = (0u64, 0);
        let mut ends = Vec::new();
        while ends.len() < 3 {
            now += 1;
            assert!(now < 5 * iterations);
            let signals = Signals { valid: 1, ready: 1 };
            let edge = Edge {
                signals,
                taken: stage.accepts(&state, signals),
                given: stage.offers(&state),
                words: &[&word],
                memories: &memories,
                transients: &[],
            };
            given += edge.given as usize;
            if edge.given == 1 && given.is_multiple_of(per_frame) {
                ends.push(now);
            }
            stage.edge(&mut state, &edge);
        }
        // The output register adds one cycle to the first frame's iterations.
        assert_eq!(
            ends,
            [1, 2, 3].map(|frame| frame * iterations + 1),
            "{size} {channels}"
        );
    }
}
