//! Which reuse factors hls4ml builds, and what its kernels compute with the others.
//!
//! The rule is that of `_validate_reuse_factor` and `set_closest_reuse_factor` (hls4ml 1.3,
//! `backends/fpga/fpga_backend.py`), with one condition more: the convolutions of `io_parallel`
//! (`nnet_conv{1,2}d_resource.h`) are right for factors up to the taps of one output only.

use crate::network::{Layer, Mac};

/// What a kernel of hls4ml does with a reuse factor that the rule forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Its code stops at an assertion, or is not generated.
    Stops,
    /// It pairs inputs with weights of other outputs, or reads beyond its arrays.
    OtherValues,
    /// It computes the layer; hls4ml replaces the factor when it converts a model.
    SameValues,
}

/// The loops that multiply by the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernel {
    /// `nnet_dense_resource.h`, chosen by `core_templates.py`.
    Dense,
    /// The same behind a line buffer, chosen by `convolution_templates.py`; all products of Catapult.
    Streamed,
    /// `nnet_conv{1,2}d_resource.h`; whether factors above the taps are stopped by an assertion.
    Parallel { asserts: bool },
    /// `nnet_depthwise_product.h`.
    Depthwise,
}

/// How a factor is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strategy {
    /// Any factor: it is a request for an interval.
    Latency,
    /// Words of a memory are used one after the other.
    Resource,
    /// The same, unrolled: the largest factor is left out.
    Unrolled,
    /// No multiplier is there to be used again.
    DistributedArithmetic,
}

/// The reuse factors of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReuseRule {
    strategy: Strategy,
    kernel: Kernel,
    /// Inputs of one output as hls4ml counts them: all taps of all channels where a layer is depthwise.
    inputs: u64,
    /// Outputs.
    outputs: u64,
}

impl ReuseRule {
    /// The rule for a layer's matrix product. A layer of hls4ml without a strategy has Latency; what comes
    /// from elsewhere is judged as Resource.
    pub(super) fn of(layer: &Layer, mac: &Mac) -> Self {
        let outputs = mac.geometry.output[2];
        let taps = mac.geometry.taps(mac.groups.max(1));
        let strategy = match layer.hints.strategy.as_deref() {
            Some("latency") => Strategy::Latency,
            None if layer.hints.io_type.is_some() => Strategy::Latency,
            Some("resource_unrolled") => Strategy::Unrolled,
            Some("distributed_arithmetic") => Strategy::DistributedArithmetic,
            _ => Strategy::Resource,
        };
        let depthwise = mac.groups > 1 && mac.groups == outputs;
        let is_convolution = layer.kind.contains("Conv");
        let backend = layer.hints.backend.as_deref();
        let kernel = match layer.hints.io_type.as_deref() {
            _ if depthwise => Kernel::Depthwise,
            _ if backend == Some("catapult") => Kernel::Streamed,
            Some("io_parallel") if is_convolution => Kernel::Parallel {
                asserts: layer.kind.contains("1D") || backend != Some("vitis"),
            },
            Some("io_stream") if is_convolution => Kernel::Streamed,
            _ => Kernel::Dense,
        };
        Self {
            strategy,
            kernel,
            inputs: if depthwise { taps * outputs } else { taps } as u64,
            outputs: outputs as u64,
        }
    }

    /// The same layer by the Resource or the Latency strategy.
    pub(super) fn with_resource(self, resource: bool) -> Self {
        let strategy = if resource {
            Strategy::Resource
        } else {
            Strategy::Latency
        };
        Self { strategy, ..self }
    }

    /// Whether hls4ml builds the factor.
    pub(super) fn admits(&self, factor: u64) -> bool {
        let (inputs, outputs) = (self.inputs, self.outputs);
        let weights = inputs * outputs;
        if factor == 0 {
            return false;
        }
        match self.strategy {
            Strategy::Latency => return true,
            Strategy::DistributedArithmetic => return factor == 1,
            Strategy::Unrolled if factor == weights && factor > 1 => return false,
            Strategy::Unrolled | Strategy::Resource => {}
        }
        let divides = if factor < inputs {
            (weights.div_ceil(factor)).is_multiple_of(outputs)
        } else {
            factor.is_multiple_of(inputs)
        };
        let computes = !matches!(self.kernel, Kernel::Parallel { .. }) || factor <= inputs;
        weights.is_multiple_of(factor) && divides && computes
    }

    /// The nearest factor that is built, the smaller of two.
    pub(super) fn nearest(&self, factor: u64) -> u64 {
        let of_inputs = divisors(self.inputs);
        let of_outputs = divisors(self.outputs);
        let larger = of_outputs.iter().map(|divisor| self.inputs * divisor);
        let mut candidates: Vec<u64> = of_inputs.iter().copied().chain(larger).collect();
        candidates.retain(|&candidate| self.admits(candidate));
        candidates
            .into_iter()
            .min_by_key(|&candidate| (candidate.abs_diff(factor), candidate))
            .unwrap_or(1)
    }

    /// What the kernel does with a factor that is not built.
    pub(super) fn outcome(&self, factor: u64) -> Outcome {
        let (inputs, outputs) = (self.inputs, self.outputs);
        // Rows of multipliers that take turns: those of the first input, then of the next.
        let rows_are_whole = (inputs * outputs)
            .div_ceil(factor.max(1).min(inputs))
            .is_multiple_of(outputs);
        let in_turn = inputs.is_multiple_of(factor.max(1));
        if self.strategy == Strategy::Unrolled && factor > 1 {
            // `unrolled_codegen.py` wants whole rows of the weights. It has no assertions.
            let is_generated = (inputs * outputs).is_multiple_of(factor)
                && (factor <= inputs || factor.is_multiple_of(inputs));
            if !is_generated {
                return Outcome::Stops;
            }
            if factor < inputs && !in_turn {
                return Outcome::OtherValues;
            }
        }
        match self.kernel {
            Kernel::Depthwise if factor > inputs && inputs == outputs && !factor.is_multiple_of(outputs) => {
                Outcome::Stops
            }
            Kernel::Depthwise if in_turn || factor >= inputs => Outcome::SameValues,
            Kernel::Depthwise => Outcome::OtherValues,
            _ if factor <= inputs && in_turn => Outcome::SameValues,
            _ if factor < inputs && !rows_are_whole => Outcome::Stops,
            _ if factor < inputs => Outcome::OtherValues,
            Kernel::Parallel { asserts: true } => Outcome::Stops,
            Kernel::Parallel { asserts: false } => Outcome::OtherValues,
            Kernel::Dense if !factor.is_multiple_of(inputs) => Outcome::Stops,
            Kernel::Dense | Kernel::Streamed => Outcome::SameValues,
        }
    }

    /// Which factors are built, in words.
    pub(super) fn expected(&self) -> String {
        let (inputs, outputs) = (self.inputs, self.outputs);
        match (self.strategy, self.kernel) {
            (Strategy::Latency, _) => "a factor from 1".to_owned(),
            (Strategy::DistributedArithmetic, _) => "1: distributed arithmetic reuses nothing".to_owned(),
            (Strategy::Unrolled, _) if outputs == 1 && inputs > 1 => {
                format!("a divisor of {inputs} below it")
            }
            (_, Kernel::Parallel { .. }) => format!(
                "a divisor of {inputs}, the taps of one output: the convolutions of io_parallel compute no other"
            ),
            (Strategy::Unrolled, _) => {
                format!("a divisor of {inputs}, or {inputs} times a divisor of {outputs} below it")
            }
            (Strategy::Resource, _) => {
                format!("a divisor of {inputs}, or {inputs} times a divisor of {outputs}")
            }
        }
    }

    /// What a file that carries a factor should be known for; none where hls4ml builds it.
    pub(super) fn remark(&self, factor: u64) -> Option<String> {
        if self.admits(factor) {
            return None;
        }
        let does = match self.outcome(factor) {
            Outcome::Stops => "its own code stops at it, so there is neither emulation nor hardware",
            Outcome::OtherValues => {
                "its own kernel compiles and gives other values than the layer, so no hardware can be built; the values here are those of the layer"
            }
            Outcome::SameValues => "its own kernel computes the layer, but a conversion replaces the factor",
        };
        Some(format!(
            "has the reuse factor {factor}, which hls4ml does not build for {} inputs and {} outputs; {does}; the nearest that it builds is {} (expected {})",
            self.inputs,
            self.outputs,
            self.nearest(factor),
            self.expected()
        ))
    }
}

/// The divisors of a number in order.
fn divisors(number: u64) -> Vec<u64> {
    let mut small: Vec<u64> = Vec::new();
    let mut large = Vec::new();
    let mut candidate = 1;
    while candidate * candidate <= number {
        if number.is_multiple_of(candidate) {
            small.push(candidate);
            if candidate * candidate != number {
                large.push(number / candidate);
            }
        }
        candidate += 1;
    }
    small.extend(large.into_iter().rev());
    small
}

#[cfg(test)]
mod tests;
