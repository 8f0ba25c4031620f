//! What FINN's matrix-vector units on DSP slices share: everything around their cores.

use super::super::super::live::Live;
use super::super::super::register::Register;
use super::super::super::stage::{Access, Buffer, Edge, Signals, Stage, Wire, WireShape};
use super::super::layout::{Control, Layout, Words, stays};
use super::Activations;
use super::handover::Handover;
use super::replay::Replay;

/// The parts of a unit on DSP slices.
pub(super) struct Parts<'u> {
    pub(super) layout: &'u Layout,
    pub(super) replay: &'u Replay,
    pub(super) handover: &'u Handover,
    /// A flag per register of the core: whether the last step of a vector stands there.
    pub(super) last: Control,
    /// The products of the slices, and their sums.
    pub(super) products: Words,
    pub(super) sums: Words,
}

/// A unit on DSP slices: a replay buffer for activations on input 0, a core that multiplies them by the weights on
/// input 1, and output registers.
pub(super) trait Sliced: Send + Sync {
    fn parts(&self) -> Parts<'_>;

    /// When what a register of the core holds can matter.
    fn live_in_core(&self, register: &Register) -> Live;

    /// The wires behind the multipliers and the adders.
    fn core_wires(&self) -> Vec<WireShape>;

    /// Whether it has rows; without them there is nothing to compute.
    fn has_rows(&self) -> bool;

    /// The unit without rows.
    fn without_rows(&self) -> Box<dyn Stage>;

    /// As [`Stage::is_exact`].
    fn keeps_steps(&self) -> bool {
        true
    }

    /// Output register and side-step register.
    fn hand_on(&self, state: &mut [u64], ready: bool);

    /// The core's edge while it moves, from its results back to its operands. `activations` is none where there is no
    /// step.
    fn advance(&self, state: &mut [u64], activations: Option<Activations<'_>>, weights: &[u64]);

    /// The core's edge while it stands still; `step` says whether there is a step.
    fn stand(&self, state: &mut [u64], step: bool) {
        let _ = (state, step);
    }
}

impl<U: Sliced> Stage for U {
    fn registers(&self) -> Vec<Register> {
        self.parts().layout.registers.clone()
    }

    fn control(&self) -> Box<dyn Stage> {
        self.without_rows()
    }

    fn is_exact(&self) -> bool {
        self.keeps_steps()
    }

    fn live(&self, _: usize, register: &Register) -> Live {
        match register.name {
            "replayed" => Live::while_set("replayed_valid"),
            "side" => Live::while_clear("free"),
            "output" => Live::while_set("output_valid"),
            _ => self.live_in_core(register),
        }
    }

    fn reset(&self, state: &mut [u64]) {
        self.parts().handover.reset(state);
    }

    fn offers(&self, state: &[u64]) -> u32 {
        self.parts().handover.offers(state).into()
    }

    fn word<'s>(&self, state: &'s [u64], _: usize) -> &'s [u64] {
        self.parts().handover.word(state)
    }

    fn accepts(&self, state: &[u64], signals: Signals) -> u32 {
        let Parts { replay, handover, .. } = self.parts();
        let free = handover.is_free(state);
        let activations = replay.accepts(state, free && signals.valid & 2 == 2);
        let weights = free && replay.offer(state, signals.valid & 1 == 1).valid;
        u32::from(activations) | u32::from(weights) << 1
    }

    fn edge(&self, state: &mut [u64], edge: &Edge<'_>) {
        let Parts {
            replay,
            handover,
            last: flags,
            products,
            sums,
            ..
        } = self.parts();
        let input = (edge.signals.valid & 1 == 1).then(|| edge.words[0]);
        let weights = edge.signals.valid & 2 == 2;
        let free = handover.is_free(state);
        let offer = replay.offer(state, input.is_some());
        let step = offer.valid && weights;
        self.hand_on(state, edge.signals.ready & 1 == 1);
        if free {
            let activations = match replay.word(state) {
                Some((register, word)) => Some(Activations::Buffered(register, word)),
                None => input.map(Activations::Input),
            };
            self.advance(state, activations.filter(|_| step), edge.words[1]);
            for transient in edge.transients {
                let register = match transient.wire {
                    Wire::Product => products,
                    _ => sums,
                };
                state[register.start() + transient.lane] ^= 1 << transient.bit;
            }
            let last = flags.get(state);
            flags.set(state, last << 1 | u64::from(step && offer.last));
        } else {
            self.stand(state, step);
        }
        replay.edge(state, input, free && weights);
    }

    fn buffers(&self) -> Vec<Buffer> {
        self.parts().replay.buffers()
    }

    fn accesses(&self, state: &[u64], edge: &Edge<'_>, access: &mut dyn FnMut(usize, Access)) {
        let Parts { replay, handover, .. } = self.parts();
        let advance = handover.is_free(state) && edge.signals.valid & 2 == 2;
        replay.accesses(state, edge.signals.valid & 1 == 1, advance, access);
    }

    fn wires(&self) -> Vec<WireShape> {
        self.core_wires()
    }

    fn samples(&self) -> u32 {
        if self.has_rows() { 2 } else { 0 }
    }

    fn rest_at(&self, state: &[u64], edge: &Edge<'_>) -> u64 {
        let Parts { handover, last, .. } = self.parts();
        // By the flags alone it could not be still.
        if last.get(state) != 0 || handover.offers(state) && edge.signals.ready & 1 == 1 {
            return 0;
        }
        match stays(state, |next| self.edge(next, edge)) {
            true => u64::MAX,
            false => 0,
        }
    }
}
