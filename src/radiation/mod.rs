//! Environments, rates, arrival times, cluster shapes.

pub mod rate;
