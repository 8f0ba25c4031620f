//! What resting saves.

use radstream::simulate::cycle::stages::InputBuffer;
use radstream::simulate::cycle::{Edge, Signals};

use crate::specimens::{self, MvauShape};

#[test]
fn a_unit_rests_while_it_repeats_a_vector() {
    for input in [InputBuffer::Replay, InputBuffer::Kept] {
        let (sf, nf, vectors) = (40, 10, 3);
        let shape = MvauShape {
            sf,
            nf,
            pe: 2,
            simd: 2,
            core: (1, true, true, 1),
            embedded: true,
            input,
        };
        let specimen = specimens::mvau(shape, vectors);
        let mut state = specimen.initial_state();
        let (mut taken, mut cycles, mut visits) = (0, 0, 0);
        let mut output = Vec::new();
        while output.len() < specimen.output.len() {
            let word = specimen.input.get(taken).map_or(&[][..], Vec::as_slice);
            let signals = Signals {
                valid: u32::from(!word.is_empty()),
                ready: 1,
            };
            visits += 1;
            let rest = specimen.stage.rest(&state, signals);
            assert_ne!(rest, u64::MAX, "there is work to do");
            if rest > 0 {
                specimen.stage.skip(&mut state, rest, &specimen.memories);
                cycles += rest;
                continue;
            }
            let edge = Edge {
                signals,
                taken: specimen.stage.accepts(&state, signals) & signals.valid,
                given: specimen.stage.offers(&state),
                words: &[word],
                memories: &specimen.memories,
                transients: &[],
            };
            if edge.given == 1 {
                output.push(specimen.stage.word(&state, 0).to_vec());
            }
            specimen.stage.edge(&mut state, &edge);
            taken += edge.taken as usize;
            cycles += 1;
        }
        assert_eq!(output, specimen.output);
        // Every step takes a cycle; what is visited is what goes in, and a few edges around every word
        // that goes out.
        let (words_in, words_out) = (sf * vectors as u64, nf * vectors as u64);
        assert!(cycles >= sf * nf * vectors as u64);
        assert!(
            visits <= words_in + 6 * words_out,
            "{visits} visits in {cycles} cycles"
        );
    }
}
