//! Stages whose registers an upset has changed.

use radstream::network::ThresholdRule;
use radstream::simulate::cycle::register::{Register, RegisterClass, limbs};
use radstream::simulate::cycle::stages::{Dsp48Core, Dsp48Shape, Dsp58Shape, InputBuffer};

use crate::cycle_common::mix;
use crate::drive::{Pauses, Run, Specimen};
use crate::specimens::{self, MvauShape, WindowShape};

fn slices(neuron_fold: u64) -> Dsp48Shape {
    Dsp48Shape {
        core: Dsp48Core::EightBit,
        synapse_fold: 3,
        neuron_fold,
        pe: 3,
        simd: 3,
        weight_bits: 3,
        activation_bits: 2,
        signed_activations: false,
        accumulator_bits: 10,
        keeps_operands: neuron_fold == 1,
    }
}

fn four_bits() -> Dsp48Shape {
    Dsp48Shape {
        core: Dsp48Core::FourBitE2 { narrow: false },
        pe: 5,
        simd: 1,
        ..slices(2)
    }
}

fn chains(depthwise: bool) -> Dsp58Shape {
    Dsp58Shape {
        synapse_fold: 2,
        neuron_fold: 2,
        pe: 1,
        simd: 7,
        segment: 1,
        weight_bits: 5,
        activation_bits: 4,
        signed_activations: depthwise,
        accumulator_bits: 16,
        depthwise,
    }
}

/// One of every kind and style.
pub fn all() -> Vec<Specimen> {
    let mvau = |nf, core, embedded, input| {
        let shape = MvauShape {
            sf: 3,
            nf,
            pe: 2,
            simd: 2,
            core,
            embedded,
            input,
        };
        specimens::mvau(shape, 4)
    };
    let window = |style, stride| {
        let shape = WindowShape {
            kernel: [2, 2],
            stride: [stride, stride],
            dilation: if style == 3 { [1, 1] } else { [1, 2] },
            room: [2, 2],
            folds: 2,
            lanes: 2,
            style,
        };
        specimens::window(shape).expect("a shape that every style has")
    };
    vec![
        specimens::fifo(1, 2, 5, 30),
        specimens::fifo(2, 2, 5, 30),
        specimens::fifo(5, 2, 5, 30),
        specimens::converter(2, 6, 5),
        specimens::converter(6, 2, 5),
        specimens::converter(2, 3, 5),
        specimens::padding([3, 2, 3], [1, 0, 1, 2], 1, 3),
        specimens::thresholding(5, true, 3, 2, true, (false, ThresholdRule::Count)),
        specimens::thresholding(5, true, 3, 2, true, (false, ThresholdRule::BinarySearch)),
        specimens::thresholding(7, true, 1, 2, true, (false, ThresholdRule::BinarySearch)),
        specimens::thresholding(1, false, 1, 2, true, (true, ThresholdRule::BinarySearch)),
        specimens::dsp48(slices(1), 5),
        specimens::dsp48(slices(3), 5),
        specimens::dsp48(four_bits(), 5),
        specimens::dsp58(chains(false), 5),
        specimens::dsp58(chains(true), 5),
        mvau(1, (1, true, true, 1), true, InputBuffer::Replay),
        mvau(3, (1, true, true, 1), true, InputBuffer::Replay),
        mvau(3, (1, true, true, 1), true, InputBuffer::Kept),
        mvau(2, (1, true, true, 1), true, InputBuffer::None),
        mvau(3, (2, false, false, 0), false, InputBuffer::Replay),
        specimens::weight_stream(5, None),
        specimens::weight_stream(5, Some(3)),
        window(0, 1),
        window(1, 2),
        window(2, 1),
        window(2, 2),
        window(3, 1),
        window(3, 2),
    ]
}

/// Limb and bit of every stored bit.
fn stored_bits(registers: &[Register], class: impl Fn(RegisterClass) -> bool) -> Vec<(usize, u32)> {
    let mut bits = Vec::new();
    let mut at = 0;
    for register in registers {
        let word = limbs(register.lanes, register.lane_bits);
        for place in 0..register.words {
            if class(register.class) {
                let first = at + place * word;
                let count = register.lanes * register.lane_bits as usize;
                bits.extend((0..count).map(|bit| (first + bit / 64, (bit % 64) as u32)));
            }
        }
        at += register.limbs();
    }
    bits
}

/// Flips a bit at a cycle and runs on; what comes out.
fn struck(specimen: &Specimen, pauses: Pauses, cycle: u32, bit: (usize, u32)) -> Vec<Vec<u64>> {
    let mut run = Run::new(specimen, pauses, false);
    while run.now < cycle {
        run.edge();
    }
    run.state[bit.0] ^= 1 << bit.1;
    while run.now < cycle + 150 {
        run.edge();
    }
    run.output
}

#[test]
fn no_upset_of_any_register_panics_and_rests_stay_exact() {
    for (number, specimen) in all().iter().enumerate() {
        let bits = stored_bits(&specimen.stage.registers(), |class| {
            class == RegisterClass::Control
        });
        assert!(!bits.is_empty(), "{}", specimen.name);
        let pauses = Pauses {
            seed: number as u32,
            source: 10,
            second: 10,
            sink: 10,
        };
        for &bit in &bits {
            for cycle in (0..90).step_by(3) {
                struck(specimen, pauses, cycle, bit);
            }
        }
        let bits = stored_bits(&specimen.stage.registers(), |_| true);
        for draw in 0..200 {
            let bit = bits[mix(draw) as usize % bits.len()];
            struck(specimen, pauses, mix(draw + 1000) % 120, bit);
        }
    }
}
