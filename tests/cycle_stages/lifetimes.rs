//! How long a flip lives, against outputs computed by hand.

use radstream::network::ThresholdRule;
use radstream::simulate::cycle::register::Register;
use radstream::simulate::cycle::stages::{Fifo, InputBuffer, SlidingWindow, WindowGeometry, WindowStyle};
use radstream::simulate::cycle::{StreamShape, Transient, Wire};

use crate::cycle_common::no_memories;
use crate::drive::{Pauses, Run, Specimen};
use crate::specimens::{self, MvauShape};

/// No pauses at all.
const STEADY: Pauses = Pauses {
    seed: 0,
    source: 0,
    second: 0,
    sink: 0,
};

/// A sink that takes nothing.
const BLOCKED: Pauses = Pauses { sink: 100, ..STEADY };

/// Place of a register's first limb.
fn place(specimen: &Specimen, name: &str) -> usize {
    let registers = specimen.stage.registers();
    let before = registers.iter().take_while(|register| register.name != name);
    before.map(Register::limbs).sum()
}

fn words(values: impl IntoIterator<Item = u64>) -> Vec<Vec<u64>> {
    values.into_iter().map(|value| vec![value]).collect()
}

const BYTE: StreamShape = StreamShape {
    lanes: 1,
    lane_bits: 8,
};

#[test]
fn a_flip_in_a_fifo_slot_lives_until_it_is_read() {
    let specimen = Specimen {
        name: "FIFO".into(),
        stage: Box::new(Fifo::new(BYTE, 4).unwrap()),
        input: words([10, 20, 30, 40, 50, 60, 70, 80, 90]),
        cyclic: Vec::new(),
        output: Vec::new(),
        memories: no_memories(),
        withdraws: false,
    };
    let slots = place(&specimen, "slots");
    let mut run = Run::new(&specimen, BLOCKED, true);
    for _ in 0..6 {
        run.edge();
    }
    // Full: the second word lies in one of the four slots, and stays there however long it waits.
    let slot = (slots..slots + 4)
        .find(|&at| run.state[at] == 20)
        .expect("the second word");
    run.state[slot] ^= 1;
    for _ in 0..10 {
        run.edge();
    }
    run.pause(STEADY);
    for _ in 0..20 {
        run.edge();
    }
    assert_eq!(run.output, words([10, 21, 30, 40, 50, 60, 70, 80, 90]));
}

#[test]
fn a_flip_in_a_line_buffer_lives_until_it_is_overwritten() {
    let geometry = WindowGeometry {
        input: [3, 3, 1],
        kernel: [2, 2],
        stride: [1, 1],
        dilation: [1, 1],
    };
    let specimen = Specimen {
        name: "window".into(),
        stage: Box::new(SlidingWindow::new(geometry, 1, 8, WindowStyle::Addressable).unwrap()),
        // Two frames: 10 to 18 and 20 to 28.
        input: words((10..19).chain(20..29)),
        cyclic: Vec::new(),
        output: Vec::new(),
        memories: no_memories(),
        withdraws: false,
    };
    let buffer = place(&specimen, "line_buffer");
    let mut run = Run::new(&specimen, BLOCKED, true);
    for _ in 0..12 {
        run.edge();
    }
    // Five words of buffer: the first window and what lies between. Its first element waits at the output,
    // and the sixth element of the frame has taken its cell. The centre of the map is in all four windows
    // of its frame, and its cell is the second frame's centre, too.
    assert_eq!(run.state[buffer..buffer + 5], [15, 11, 12, 13, 14]);
    run.state[buffer + 4] ^= 1;
    run.pause(STEADY);
    for _ in 0..80 {
        run.edge();
    }
    let first = [10, 11, 13, 15, 11, 12, 15, 15, 13, 15, 16, 17, 15, 15, 17, 18];
    let second = [20, 21, 23, 24, 21, 22, 24, 25, 23, 24, 26, 27, 24, 25, 27, 28];
    assert_eq!(run.output, words(first.into_iter().chain(second)));
}

#[test]
fn a_flip_in_a_product_register_lives_one_cycle() {
    let (sf, nf, vectors) = (3, 2, 4);
    let specimen = specimens::mvau(
        MvauShape {
            sf,
            nf,
            pe: 1,
            simd: 1,
            core: (1, true, true, 1),
            embedded: true,
            input: InputBuffer::Replay,
        },
        vectors,
    );
    let product = place(&specimen, "products");
    let cycles = 60;
    let output = |struck: Option<u32>| {
        let mut run = Run::new(&specimen, STEADY, true);
        while run.now < cycles {
            run.edge();
            if struck == Some(run.now) {
                run.state[product] ^= 1;
            }
        }
        run.output
    };
    let fault_free = output(None);
    assert_eq!(fault_free, specimen.output);
    let mut effective = 0;
    for cycle in 1..cycles {
        let flipped = output(Some(cycle));
        let differences = fault_free
            .iter()
            .zip(&flipped)
            .map(|(a, b)| b[0] as i64 - a[0] as i64);
        let changes: Vec<i64> = differences.filter(|&difference| difference != 0).collect();
        assert_eq!(flipped.len(), fault_free.len());
        assert!(matches!(changes[..], [] | [1] | [-1]), "{changes:?} at {cycle}");
        effective += changes.len();
    }
    // Every product is in its register for one cycle, and each is summed once.
    assert_eq!(effective as u64, sf * nf * vectors as u64);
}

/// Differences of the outputs' lane 0 from the fault-free ones, where a transient strikes this cycle.
fn struck(specimen: &Specimen, cycles: u32, cycle: u32, transient: Transient) -> Vec<i64> {
    let mut run = Run::new(specimen, STEADY, true);
    while run.now < cycles {
        if run.now == cycle {
            run.transients.push(transient);
        }
        run.edge();
    }
    assert_eq!(run.output.len(), specimen.output.len());
    let pairs = specimen.output.iter().zip(&run.output);
    pairs
        .map(|(expected, word)| word[0] as i64 - expected[0] as i64)
        .filter(|&change| change != 0)
        .collect()
}

#[test]
fn a_transient_in_the_datapath_changes_one_result_by_its_weight() {
    let (sf, nf, vectors) = (3, 2, 4);
    for core in [
        (1, true, true, 1),
        (1, true, false, 0),
        (2, false, true, 0),
        (1, false, false, 2),
    ] {
        let shape = MvauShape {
            sf,
            nf,
            pe: 1,
            simd: 1,
            core,
            embedded: true,
            input: InputBuffer::Replay,
        };
        let specimen = specimens::mvau(shape, vectors);
        for wire in [Wire::Product, Wire::Sum] {
            let bit = 2;
            let mut effective = 0;
            for cycle in 0..60 {
                let changes = struck(&specimen, 60, cycle, Transient { wire, lane: 0, bit });
                assert!(
                    matches!(changes[..], [] | [4] | [-4]),
                    "{changes:?} of {wire:?} at {cycle}"
                );
                effective += changes.len();
            }
            // Every product and every sum of a step passes its wire at one edge.
            assert_eq!(effective as u64, sf * nf * vectors as u64, "{wire:?} {core:?}");
        }
    }
}

#[test]
fn a_transient_comparison_changes_one_count_by_one() {
    // One channel: the factor is 2.
    let specimen = specimens::thresholding(5, true, 1, 1, true, (false, ThresholdRule::Count));
    let words = specimen.output.len();
    let mut effective = 0;
    for cycle in 0..60 {
        let transient = Transient {
            wire: Wire::Comparison,
            lane: 0,
            bit: 3,
        };
        let changes = struck(&specimen, 60, cycle, transient);
        assert!(matches!(changes[..], [] | [2] | [-2]), "{changes:?} at {cycle}");
        effective += changes.len();
    }
    assert_eq!(effective, words);
}
