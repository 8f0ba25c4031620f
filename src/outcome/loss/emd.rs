//! Earth mover's distance to the target.

use std::cell::RefCell;

use super::{Loss, NamedLoss, SampleLoss, SampleView};
use crate::outcome::emd::{EarthMover, Scratch};
use crate::outcome::{OutcomeError, OutcomePart};

pub(super) const NAMED: NamedLoss = NamedLoss {
    name: "emd",
    about: "earth mover's distance",
    takes_distance: true,
    make: |distance| {
        let Some(distance) = distance else {
            let problem = "is missing for the earth mover's distance".to_owned();
            return Err(OutcomeError::new(OutcomePart::GroundDistance, problem)
                .remedy("a square matrix", "name an array of distances between the cells"));
        };
        Ok(Loss::emd(EarthMover::new(&distance.shape, &distance.reals())?))
    },
};

/// The earth mover's distance under one ground distance.
#[derive(Clone, Debug)]
pub(super) struct Emd(pub EarthMover);

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl SampleLoss for Emd {
    fn name(&self) -> &'static str {
        NAMED.name
    }

    fn evaluate(&self, sample: &SampleView<'_>) -> f64 {
        SCRATCH.with_borrow_mut(|scratch| self.0.emd(sample.target, sample.output, scratch))
    }

    fn needs_target(&self) -> bool {
        true
    }

    fn cells(&self) -> Option<usize> {
        Some(self.0.cells())
    }

    fn parameters(&self) -> String {
        self.0.identity()
    }
}
