//! What the struck words of one mission hold.

use super::change::{BitChange, Cause};
use super::plan::{AfterFailure, MissionPlan};
use crate::scheme::{Code, Pattern, Place, Reading, Scheme, Verdict};

/// A word, or a bit by itself, that was struck.
struct Unit {
    memory: u32,
    unit: u64,
    code: Code,
    /// Cells that hold the opposite of what they should.
    inverted: Pattern,
    /// Cells that keep their value, and whether that is the wrong one.
    stuck: Vec<(u32, bool)>,
    reading: Reading,
    /// Up to when passes and refreshes have been applied, in seconds.
    settled_s: f64,
    /// When its part of a pass comes, after the pass starts.
    phase_s: f64,
    /// Its failure has been found.
    found: bool,
    /// What it took to make it fail.
    cause: Cause,
}

/// Counts over a mission so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Data bits that read wrong now.
    pub wrong_bits: u64,
    /// Units with a reported error now.
    pub detected: u64,
    /// Failures found that the hardware reported.
    pub found_detected: u64,
    /// Failures found that it did not.
    pub found_silent: u64,
    /// All found ones by what it took.
    pub found_by_cause: [u64; 4],
    /// Words reloaded because their parity failed.
    pub reloads: u64,
}

/// The state of one mission; its memory serves the next one.
#[derive(Default)]
pub(super) struct State {
    /// 1 + position in `units`, by number of the unit in the store.
    slots: Vec<u32>,
    units: Vec<Unit>,
    pub counts: Counts,
    pub changes: Vec<BitChange>,
}

impl State {
    /// Forgets the last mission.
    pub fn reset(&mut self, plan: &MissionPlan) {
        let units = plan.store.unit_numbers() as usize;
        if self.slots.len() == units {
            for unit in self.units.drain(..) {
                let first = plan.store.memories()[unit.memory as usize].first_unit;
                self.slots[(first + unit.unit) as usize] = 0;
            }
        } else {
            self.slots = vec![0; units];
            self.units.clear();
        }
        self.counts = Counts::default();
        self.changes.clear();
    }

    /// The struck cells of one unit. `values` says for each what it is stuck at, relative to what it
    /// should hold (`true`: wrong), where the strike is permanent.
    pub fn strike(&mut self, plan: &MissionPlan, at_h: f64, cells: &[Place], values: Option<&[bool]>) {
        let Some(&place) = cells.first() else { return };
        let Some(slot) = self.slot(plan, place) else {
            return;
        };
        self.settle(plan, slot, at_h);
        let unit = &mut self.units[slot];
        let code = unit.code;
        for (at, place) in cells.iter().enumerate() {
            let cell = place.cell;
            if unit.stuck.iter().any(|(stuck, _)| *stuck == cell) {
                continue;
            }
            match values {
                None => unit.inverted.toggle(cell),
                Some(values) => {
                    unit.stuck.push((cell, values[at]));
                    if unit.inverted.contains(cell) != values[at] {
                        unit.inverted.toggle(cell);
                    }
                }
            }
        }
        let mut reading = code.read(unit.inverted.as_slice());
        if plan.reads_continuously && reloads(&code, &reading) {
            self.counts.reloads += 1;
            unit.inverted = stuck_wrong(&unit.stuck);
            reading = code.read(unit.inverted.as_slice());
        }
        if !reading.failed() {
            self.read(plan, slot, reading, at_h, Cause::Repair);
            return;
        }
        if reading == unit.reading {
            return;
        }
        let alone: Pattern = cells
            .iter()
            .enumerate()
            .filter(|(at, _)| values.is_none_or(|values| values[*at]))
            .map(|(_, place)| place.cell)
            .collect();
        let by_itself = code.read(alone.as_slice());
        let cause = if !by_itself.failed() || reloads(&code, &by_itself) {
            Cause::Accumulation
        } else if values.is_some() {
            Cause::Permanent
        } else if alone.len() > 1 && code.scheme() != Scheme::None {
            Cause::MultiBit
        } else {
            Cause::Single
        };
        self.read(plan, slot, reading, at_h, cause);
    }

    /// Applies all passes and refreshes up to a time to every unit.
    pub fn settle_all(&mut self, plan: &MissionPlan, at_h: f64) {
        for slot in 0..self.units.len() {
            self.settle(plan, slot, at_h);
        }
    }

    /// Ends the mission: what fails now is found.
    pub fn end(&mut self, plan: &MissionPlan) {
        self.settle_all(plan, plan.duration.0);
        for slot in 0..self.units.len() {
            self.find(plan, slot, plan.duration.0);
        }
    }

    /// Position of a unit; none where nothing gets through to it.
    fn slot(&mut self, plan: &MissionPlan, place: Place) -> Option<usize> {
        let memory = &plan.store.memories()[place.memory as usize];
        let number = (memory.first_unit + place.unit) as usize;
        if self.slots[number] == 0 {
            let code = *memory.code(place.unit);
            if code.scheme().never_fails() {
                return None;
            }
            let pass_s = plan.scrub.map_or(0.0, |scrub| scrub.pass_s);
            let word = memory.first_word + memory.word(place.unit) + 1;
            self.units.push(Unit {
                memory: place.memory,
                unit: place.unit,
                code,
                inverted: Pattern::EMPTY,
                stuck: Vec::new(),
                reading: Reading::RIGHT,
                settled_s: 0.0,
                phase_s: pass_s * (word as f64 / plan.store.words() as f64),
                found: false,
                cause: Cause::Repair,
            });
            self.slots[number] = self.units.len() as u32;
        }
        Some(self.slots[number] as usize - 1)
    }

    /// Applies passes and refreshes up to a time. Nothing changes between them, and what one pass leaves
    /// the next ones leave as well, so that only the first few matter.
    fn settle(&mut self, plan: &MissionPlan, slot: usize, at_h: f64) {
        let at_s = at_h * 3600.0;
        loop {
            let unit = &self.units[slot];
            let from_s = unit.settled_s;
            if from_s >= at_s {
                return;
            }
            if unit.inverted.is_empty() {
                self.units[slot].settled_s = at_s;
                return;
            }
            let refresh_s = plan.refresh_s.and_then(|every| next(from_s, at_s, every, 0.0));
            let until_s = refresh_s.unwrap_or(at_s);
            if let Some(scrub) = plan.scrub {
                let phase_s = unit.phase_s;
                let mut at = from_s;
                while let Some(pass_s) = next(at, until_s, scrub.period_s, phase_s) {
                    at = pass_s;
                    if !self.pass(plan, slot, pass_s / 3600.0) {
                        break;
                    }
                }
            }
            match refresh_s {
                None => {
                    self.units[slot].settled_s = at_s;
                    return;
                }
                Some(refresh_s) => {
                    self.find(plan, slot, refresh_s / 3600.0);
                    let inverted = stuck_wrong(&self.units[slot].stuck);
                    self.write(plan, slot, inverted, refresh_s / 3600.0);
                    // Later ones find what this one left.
                    let every = plan.refresh_s.unwrap_or(at_s);
                    let last = (at_s / every).floor() * every;
                    self.units[slot].settled_s = last.max(refresh_s);
                }
            }
        }
    }

    /// One pass over a unit; returns whether it changed anything.
    fn pass(&mut self, plan: &MissionPlan, slot: usize, at_h: f64) -> bool {
        let put_right = self.find(plan, slot, at_h);
        let unit = &mut self.units[slot];
        let code = unit.code;
        if unit.stuck.is_empty() && !unit.reading.failed() && code.scheme().rewrites() {
            // What is read right is written right.
            let changed = !unit.inverted.is_empty();
            unit.inverted.clear();
            return changed || put_right;
        }
        let mut written = code.rewrite(unit.inverted.as_slice());
        for &(cell, wrong) in &unit.stuck {
            if written.contains(cell) != wrong {
                written.toggle(cell);
            }
        }
        let changed = written != unit.inverted;
        if changed {
            self.write(plan, slot, written, at_h);
        }
        changed || put_right
    }

    /// Counts a unit that fails and was not counted yet; returns whether it was put right.
    fn find(&mut self, plan: &MissionPlan, slot: usize, at_h: f64) -> bool {
        let unit = &mut self.units[slot];
        if unit.found || !unit.reading.failed() {
            return false;
        }
        unit.found = true;
        // A word that is reloaded because its parity failed did no harm.
        if reloads(&unit.code, &unit.reading) {
            self.counts.reloads += 1;
        } else {
            if let Some(count) = self.counts.found_by_cause.get_mut(unit.cause as usize) {
                *count += 1;
            }
            if unit.reading.verdict == Verdict::Detected {
                self.counts.found_detected += 1;
            } else {
                self.counts.found_silent += 1;
            }
        }
        if plan.after_failure == AfterFailure::AsHardware {
            return false;
        }
        let inverted = stuck_wrong(&unit.stuck);
        let changed = inverted != unit.inverted;
        self.write(plan, slot, inverted, at_h);
        changed
    }

    fn write(&mut self, plan: &MissionPlan, slot: usize, inverted: Pattern, at_h: f64) {
        let unit = &mut self.units[slot];
        unit.inverted = inverted;
        let reading = unit.code.read(unit.inverted.as_slice());
        self.read(plan, slot, reading, at_h, Cause::Repair);
    }

    /// Takes note of what is read from now on.
    fn read(&mut self, plan: &MissionPlan, slot: usize, reading: Reading, at_h: f64, cause: Cause) {
        let unit = &mut self.units[slot];
        if !reading.failed() && !unit.reading.failed() {
            return;
        }
        let counts = &mut self.counts;
        counts.wrong_bits += reading.wrong.len() as u64;
        counts.wrong_bits -= unit.reading.wrong.len() as u64;
        counts.detected += u64::from(reading.verdict == Verdict::Detected);
        counts.detected -= u64::from(unit.reading.verdict == Verdict::Detected);
        if plan.keep_changes {
            let memory = &plan.store.memories()[unit.memory as usize];
            let (old, new) = (&unit.reading.wrong, &reading.wrong);
            let healed = old.as_slice().iter().filter(|bit| !new.contains(**bit));
            let broken = new.as_slice().iter().filter(|bit| !old.contains(**bit));
            let changes = healed
                .map(|&bit| (bit, Cause::Repair))
                .chain(broken.map(|&bit| (bit, cause)));
            self.changes.extend(changes.map(|(bit, cause)| BitChange {
                time_h: at_h,
                bit: memory.bit(unit.unit, bit),
                cause,
            }));
        }
        if !reading.failed() {
            unit.found = false;
        } else if !unit.reading.failed() {
            unit.cause = cause;
        }
        unit.reading = reading;
    }
}

/// Whether the word is loaded again from outside when it is read.
fn reloads(code: &Code, reading: &Reading) -> bool {
    code.scheme().reloads() && reading.verdict == Verdict::Detected
}

/// The stuck cells that are wrong.
fn stuck_wrong(stuck: &[(u32, bool)]) -> Pattern {
    stuck
        .iter()
        .filter(|(_, wrong)| *wrong)
        .map(|(cell, _)| *cell)
        .collect()
}

/// The first of the times `k*period + phase`, `k` from 1, behind `from` and not behind `until`.
fn next(from: f64, until: f64, period: f64, phase: f64) -> Option<f64> {
    let passed = ((from - phase) / period).floor().max(0.0);
    // Rounding may put `from` itself on either side of the floor.
    let mut time = (passed + 1.0) * period + phase;
    if time <= from {
        time = (passed + 2.0) * period + phase;
    }
    (time <= until).then_some(time)
}

#[cfg(test)]
mod tests;
