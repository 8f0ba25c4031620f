//! The fast way through time: stages that rest are left alone until a signal at one of their ports
//! changes or their rest is over.

use super::engine::{EndOfStream, Engine, MAX_PORTS};
use super::stage::{Edge, Signals};

/// What an advance came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advance {
    /// Edges went by.
    Edges,
    /// Nothing will ever move again.
    Stuck,
}

/// The ports of a mask, in their order.
#[inline]
fn ports(mut mask: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let port = (mask != 0).then(|| mask.trailing_zeros() as usize)?;
        mask &= mask - 1;
        Some(port)
    })
}

/// What is on the inputs of a stage for words of no lanes.
static NO_WORDS: [&[u64]; MAX_PORTS] = [&[]; MAX_PORTS];

impl Engine {
    /// The edges that a resting stage has missed.
    fn catch_up(&mut self, stage: usize) {
        if !self.schedule.resting[stage] {
            return;
        }
        self.schedule.resting[stage] = false;
        let edges = self.cycle - self.schedule.since[stage];
        if edges == 0 {
            return;
        }
        let placed = &self.pipeline.stages[stage];
        placed
            .stage
            .skip(&mut self.state[placed.state.clone()], edges, &self.memories);
        let signals = self.signals[stage];
        let activity = &mut self.activity[stage];
        activity.blocked += if self.offered[stage] & !signals.ready != 0 {
            edges
        } else {
            0
        };
        activity.starved += if self.accepted[stage] & !signals.valid != 0 {
            edges
        } else {
            0
        };
    }

    /// Brings every stage up to the present, and wakes them all.
    pub(super) fn wake_all(&mut self) {
        for stage in 0..self.pipeline.stages.len() {
            self.catch_up(stage);
            self.schedule.wake(stage);
        }
    }

    fn wake_up(&mut self, stage: usize) {
        if !self.schedule.awake.contains(stage) {
            self.catch_up(stage);
            self.schedule.wake(stage);
        }
    }

    /// Wakes the stages that look at a word which may change while it is not offered, because its stage is awake.
    fn wake_samplers(&mut self) {
        let mut below = self.pipeline.stages.len();
        while let Some(stage) = self.schedule.awake.below(below) {
            below = stage;
            for at in 0..self.schedule.sampled_by[stage].len() {
                self.wake_up(self.schedule.sampled_by[stage][at]);
            }
        }
    }

    /// One edge, or the stretch until something can happen, but no edge from `limit` on.
    pub(super) fn advance(&mut self, limit: u64) -> Advance {
        let stages = self.pipeline.stages.len();
        while let Some(stage) = self.schedule.next_over(self.cycle) {
            self.wake_up(stage);
        }
        let (input, output) = (self.pipeline.input, self.pipeline.output);
        let input_open = self.stream_is_offered(input);
        let output_open = self.output.rate.is_open(self.cycle, self.output.last);
        if input_open != self.schedule.input_open {
            self.schedule.input_open = input_open;
            if let Some((stage, _)) = self.pipeline.streams[input].to {
                self.wake_up(stage);
            }
        }
        if output_open != self.schedule.output_open {
            self.schedule.output_open = output_open;
            if let Some((stage, _)) = self.pipeline.streams[output].from {
                self.wake_up(stage);
            }
        }
        if self.schedule.awake.is_empty() {
            return self.jump(limit);
        }
        if !self.schedule.sampled_by.is_empty() {
            self.wake_samplers();
        }
        // What is offered follows from the state alone; who sees a change has to look again.
        let mut below = stages;
        while let Some(stage) = self.schedule.awake.below(below) {
            below = stage;
            let own = &self.state[self.schedule.places[stage].clone()];
            let offered = self.pipeline.stages[stage].stage.offers(own);
            let changed = offered ^ self.offered[stage];
            self.offered[stage] = offered;
            for port in ports(changed) {
                if let Some(&Some((consumer, _))) = self.schedule.consumers.of_stage(stage).get(port) {
                    self.wake_up(consumer as usize);
                }
            }
        }
        // Consumers come first, so a stage that is woken here is still to come.
        let mut below = stages;
        while let Some(stage) = self.schedule.awake.below(below) {
            below = stage;
            let mut signals = Signals::default();
            for (port, producer) in self.schedule.producers.of_stage(stage).iter().enumerate() {
                let valid = producer.map_or(u32::from(input_open), |(stage, port)| {
                    self.offered[stage as usize] >> port & 1
                });
                signals.valid |= valid << port;
            }
            for (port, consumer) in self.schedule.consumers.of_stage(stage).iter().enumerate() {
                let ready = consumer.map_or(u32::from(output_open), |(stage, port)| {
                    self.accepted[stage as usize] >> port & 1
                });
                signals.ready |= ready << port;
            }
            self.signals[stage] = signals;
            let own = &self.state[self.schedule.places[stage].clone()];
            let accepted = self.pipeline.stages[stage].stage.accepts(own, signals);
            let changed = accepted ^ self.accepted[stage];
            self.accepted[stage] = accepted;
            for port in ports(changed) {
                if let Some(&Some((producer, _))) = self.schedule.producers.of_stage(stage).get(port) {
                    self.wake_up(producer as usize);
                }
            }
        }
        let enters = input_open
            && self.pipeline.streams[input]
                .to
                .is_none_or(|(stage, port)| self.accepted[stage] >> port & 1 == 1);
        let leaves = output_open
            && self.pipeline.streams[output]
                .from
                .is_none_or(|(stage, port)| self.offered[stage] >> port & 1 == 1);
        if leaves {
            self.keep_output_word();
        }
        // The edge itself, consumers first: a word is read where its producer still offers it.
        let struck = std::mem::take(&mut self.transients);
        let mut below = stages;
        while let Some(stage) = self.schedule.awake.below(below) {
            below = stage;
            self.edge_of(stage, &struck);
        }
        if enters {
            self.input.pass(self.cycle);
        }
        if leaves {
            self.output.pass(self.cycle);
        }
        self.cycle += 1;
        Advance::Edges
    }

    fn edge_of(&mut self, stage: usize, struck: &[(usize, super::stage::Transient)]) {
        let placed = &self.pipeline.stages[stage];
        let signals = self.signals[stage];
        let taken = signals.valid & self.accepted[stage];
        let given = signals.ready & self.offered[stage];
        let place = self.schedule.places[stage].clone();
        let (before, own) = self.state.split_at_mut(place.start);
        let own = &mut own[..place.len()];
        let hit = struck.iter().any(|(at, _)| *at == stage);
        let limbs = self.no_word.len();
        let is_control = limbs == 0;
        let mut filled: [&[u64]; MAX_PORTS];
        // Words of no lanes are nowhere.
        let words = if is_control {
            &NO_WORDS
        } else {
            filled = [&[]; MAX_PORTS];
            for (slot, producer) in filled.iter_mut().zip(self.schedule.producers.of_stage(stage)) {
                *slot = match producer {
                    Some((producer, port)) => {
                        let placed = &self.pipeline.stages[*producer as usize];
                        placed.stage.word(&before[placed.state.clone()], *port as usize)
                    }
                    None if self.schedule.input_open => self.input.word(limbs),
                    None => &self.no_word,
                };
            }
            &filled
        };
        let transients: Vec<_> = if hit {
            struck
                .iter()
                .filter(|(at, _)| *at == stage)
                .map(|(_, transient)| *transient)
                .collect()
        } else {
            Vec::new()
        };
        let edge = Edge {
            signals,
            taken,
            given,
            words: &words[..self.schedule.producers.of_stage(stage).len()],
            memories: &self.memories,
            transients: &transients,
        };
        if taken | given == 0 && !hit {
            let rest = placed.stage.rest_at(own, &edge);
            if rest > 0 {
                self.schedule
                    .rest(stage, self.cycle, self.cycle.saturating_add(rest));
                return;
            }
        }
        if is_control {
            placed.stage.edge(own, &edge);
            self.note(stage, taken, given);
            return;
        }
        for (port, &stream) in placed.inputs.iter().enumerate() {
            if let (1, Some(kept)) = (taken >> port & 1, self.traced[stream].as_mut()) {
                kept.extend_from_slice(words[port]);
            }
        }
        let stored = placed.stage.stores(own, signals);
        placed.stage.edge(own, &edge);
        if let Some((step, word)) = stored {
            placed.stage.store(&mut self.memories, step, &word);
        }
        self.note(stage, taken, given);
    }

    /// Passes the edges until the first rest is over or an end opens.
    fn jump(&mut self, limit: u64) -> Advance {
        let wake = self.schedule.first_over().unwrap_or(u64::MAX);
        let opens = |end: &EndOfStream, wanted: bool| match end.rate.next_open(self.cycle, end.last) {
            Some(cycle) if wanted && cycle > self.cycle => cycle,
            _ => u64::MAX,
        };
        let mut next = wake
            .min(opens(&self.input, !self.is_fed()))
            .min(opens(&self.output, true));
        if self.rates_are_random() {
            next = self.cycle + 1;
        }
        if next == u64::MAX && limit == u64::MAX {
            return Advance::Stuck;
        }
        self.cycle = next.min(limit).max(self.cycle + 1);
        Advance::Edges
    }
}
