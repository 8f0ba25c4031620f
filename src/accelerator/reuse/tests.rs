use super::*;

/// Inputs and weights that a kernel multiplies for each output.
type Pairs = Vec<Vec<(u64, u64)>>;

/// What the kernels' loops do, index by index; none where an assertion stops them.
fn pairs(kernel: Kernel, inputs: u64, outputs: u64, factor: u64) -> Option<Pairs> {
    let weights = if kernel == Kernel::Depthwise {
        inputs
    } else {
        inputs * outputs
    };
    let mut pairs = vec![Vec::new(); outputs as usize];
    let mut add = |output: u64, input: u64, weight: u64| {
        // What lies beyond an array is some other value.
        if let Some(list) = pairs.get_mut(output as usize) {
            list.push((input, weight));
        }
    };
    let leq = |asserts: bool, add: &mut dyn FnMut(u64, u64, u64)| {
        let block = weights.div_ceil(factor);
        if (!block.is_multiple_of(outputs) && factor < inputs) || (asserts && factor > inputs) {
            return false;
        }
        let scale = block / outputs;
        for turn in 0..factor {
            let (mut weight, mut input, mut output, mut step) = (turn, turn, 0, 0);
            for _ in 0..block {
                add(output, input, weight);
                weight += factor;
                input += factor;
                if input >= inputs {
                    input = turn;
                }
                if step + 1 >= scale {
                    step = 0;
                    output += 1;
                } else {
                    step += 1;
                }
            }
        }
        true
    };
    match kernel {
        Kernel::Dense | Kernel::Streamed if factor <= inputs => {
            if !leq(true, &mut add) {
                return None;
            }
        }
        Kernel::Parallel { asserts } => {
            if !leq(asserts, &mut add) {
                return None;
            }
        }
        Kernel::Dense | Kernel::Streamed if factor.is_multiple_of(inputs) || kernel == Kernel::Dense => {
            if !factor.is_multiple_of(inputs) {
                return None;
            }
            let (turns, block) = (factor.min(weights), weights.div_ceil(factor));
            for turn in 0..turns {
                let (mut weight, mut output) = (turn, turn / inputs);
                for _ in 0..block {
                    add(output, turn % inputs, weight);
                    weight += turns;
                    if weight >= weights {
                        break;
                    }
                    output += turns / inputs;
                }
            }
        }
        Kernel::Dense | Kernel::Streamed => {
            for turn in 0..factor {
                for block in 0..weights.div_ceil(factor) {
                    let weight = turn + factor * block;
                    if weight < weights {
                        add(weight / inputs, weight % inputs, weight);
                    }
                }
            }
        }
        Kernel::Depthwise if factor <= outputs => {
            for turn in 0..factor {
                let (mut input, mut output) = (turn, turn);
                for _ in 0..weights.div_ceil(factor) {
                    add(output, input, input);
                    input += factor;
                    output += factor;
                    if output >= outputs {
                        output -= outputs;
                    }
                }
            }
        }
        Kernel::Depthwise => {
            let turns = factor.min(inputs);
            let whole = factor.is_multiple_of(outputs);
            if !whole && turns <= outputs {
                return None;
            }
            let remainder = if whole { 0 } else { factor % outputs };
            for turn in 0..turns {
                let (mut input, mut output) = (turn, turn % outputs);
                for _ in 0..inputs.div_ceil(turns) {
                    add(output, input, input);
                    input += turns;
                    output += remainder;
                    if output >= outputs {
                        output -= outputs;
                    }
                }
            }
        }
    }
    for list in &mut pairs {
        list.sort_unstable();
    }
    Some(pairs)
}

/// The layer: every input of an output with its own weight.
fn layer(kernel: Kernel, inputs: u64, outputs: u64) -> Pairs {
    (0..outputs)
        .map(|output| match kernel {
            Kernel::Depthwise => (0..inputs / outputs)
                .map(|tap| (tap * outputs + output, tap * outputs + output))
                .collect(),
            _ => (0..inputs)
                .map(|input| (input, output * inputs + input))
                .collect(),
        })
        .collect()
}

const KERNELS: [Kernel; 5] = [
    Kernel::Dense,
    Kernel::Streamed,
    Kernel::Parallel { asserts: true },
    Kernel::Parallel { asserts: false },
    Kernel::Depthwise,
];

/// All small layers with all their factors.
fn cases() -> impl Iterator<Item = (ReuseRule, u64)> {
    KERNELS.into_iter().flat_map(|kernel| {
        (1..=12u64).flat_map(move |inputs| {
            (1..=6u64)
                .filter(move |outputs| kernel != Kernel::Depthwise || inputs.is_multiple_of(*outputs))
                .flat_map(move |outputs| {
                    let rule = ReuseRule {
                        strategy: Strategy::Resource,
                        kernel,
                        inputs,
                        outputs,
                    };
                    (1..=inputs * outputs + 3).map(move |factor| (rule, factor))
                })
        })
    })
}

/// `_validate_reuse_factor`, word for word.
fn hls4ml_validates(inputs: u64, outputs: u64, factor: u64) -> bool {
    let multfactor = inputs.min(factor);
    let multiplier_limit = (inputs * outputs).div_ceil(multfactor);
    let mut valid = multiplier_limit.is_multiple_of(outputs) || factor >= inputs;
    valid = valid && (factor.is_multiple_of(inputs) || factor < inputs);
    valid && (inputs * outputs).is_multiple_of(factor)
}

#[test]
fn what_is_built_computes_the_layer() {
    for (rule, factor) in cases().filter(|(rule, factor)| rule.admits(*factor)) {
        let computed = pairs(rule.kernel, rule.inputs, rule.outputs, factor);
        let expected = layer(rule.kernel, rule.inputs, rule.outputs);
        assert_eq!(computed, Some(expected), "{rule:?} {factor}");
    }
}

#[test]
fn the_outcome_is_what_the_loops_do() {
    for (rule, factor) in cases().filter(|(rule, factor)| !rule.admits(*factor)) {
        let expected = layer(rule.kernel, rule.inputs, rule.outputs);
        let outcome = match pairs(rule.kernel, rule.inputs, rule.outputs, factor) {
            None => Outcome::Stops,
            Some(computed) if computed == expected => Outcome::SameValues,
            Some(_) => Outcome::OtherValues,
        };
        assert_eq!(rule.outcome(factor), outcome, "{rule:?} {factor}");
    }
}

#[test]
fn the_rule_is_that_of_hls4ml() {
    for (rule, factor) in cases() {
        let validates = hls4ml_validates(rule.inputs, rule.outputs, factor);
        match rule.kernel {
            // hls4ml lets factors pass that its own kernel does not compute.
            Kernel::Parallel { .. } => {
                assert_eq!(
                    rule.admits(factor),
                    validates && factor <= rule.inputs,
                    "{rule:?} {factor}"
                );
            }
            _ => assert_eq!(rule.admits(factor), validates, "{rule:?} {factor}"),
        }
    }
}

#[test]
fn the_nearest_is_the_one_that_a_conversion_takes() {
    for (rule, factor) in cases() {
        let valid: Vec<u64> = (1..=rule.inputs * rule.outputs)
            .filter(|&candidate| rule.admits(candidate))
            .collect();
        // `get_closest_reuse_factor`: of two that are equally near, the smaller.
        let position = valid.partition_point(|&candidate| candidate < factor);
        let nearest = match (position.checked_sub(1).map(|at| valid[at]), valid.get(position)) {
            (None, Some(&after)) => after,
            (Some(before), None) => before,
            (Some(before), Some(&after)) if after - factor < factor - before => after,
            (Some(before), Some(_)) => before,
            (None, None) => unreachable!("1 is always built"),
        };
        assert_eq!(rule.nearest(factor), nearest, "{rule:?} {factor}");
    }
}

#[test]
fn other_strategies_have_their_own_factors() {
    let rule = |strategy| ReuseRule {
        strategy,
        kernel: Kernel::Dense,
        inputs: 6,
        outputs: 4,
    };
    assert!((1..100).all(|factor| rule(Strategy::Latency).admits(factor)));
    assert!(!rule(Strategy::Latency).admits(0));
    assert!(rule(Strategy::Resource).admits(24) && !rule(Strategy::Unrolled).admits(24));
    assert_eq!(rule(Strategy::Unrolled).nearest(24), 12);
    assert!(rule(Strategy::DistributedArithmetic).admits(1));
    assert_eq!(rule(Strategy::DistributedArithmetic).nearest(6), 1);
}

/// `set_closest_reuse_factor` with `include_max_rf=False`: the largest factor is taken off the list. Where there is no
/// other, hls4ml has none left and fails; 1 stays here.
#[test]
fn unrolled_leaves_out_the_largest_factor() {
    for (rule, _) in cases().filter(|(_, factor)| *factor == 1) {
        let unrolled = ReuseRule {
            strategy: Strategy::Unrolled,
            ..rule
        };
        let weights = rule.inputs * rule.outputs;
        let mut valid: Vec<u64> = (1..=weights)
            .filter(|&factor| hls4ml_validates(rule.inputs, rule.outputs, factor))
            .collect();
        assert_eq!(valid.pop(), Some(weights));
        if valid.is_empty() {
            valid.push(1);
        }
        if matches!(rule.kernel, Kernel::Parallel { .. }) {
            valid.retain(|&factor| factor <= rule.inputs);
        }
        let admitted: Vec<u64> = (0..=weights + 3).filter(|&f| unrolled.admits(f)).collect();
        assert_eq!(admitted, valid, "{rule:?}");
    }
}

/// What the code does that `unrolled_codegen.py` writes for a factor above 1, index by index; none where it writes
/// none: its weights do not fit into rows, or a case is not implemented.
fn generated(inputs: u64, outputs: u64, factor: u64) -> Option<Pairs> {
    let weights = inputs * outputs;
    let block = weights.div_ceil(factor);
    if block * factor != weights || (factor > inputs && !factor.is_multiple_of(inputs)) {
        return None;
    }
    let mut pairs = vec![Vec::new(); outputs as usize];
    for turn in 0..factor {
        let mut output = if factor <= inputs { 0 } else { turn / inputs };
        let (mut input, mut step) = (turn % inputs, 0);
        for row in 0..block {
            if let Some(list) = pairs.get_mut(output as usize) {
                list.push((input, turn + row * factor));
            }
            if factor > inputs {
                output += factor / inputs;
                continue;
            }
            input += factor;
            if input >= inputs {
                input = turn;
            }
            step += 1;
            if step >= block / outputs {
                step = 0;
                output += 1;
            }
        }
    }
    for list in &mut pairs {
        list.sort_unstable();
    }
    Some(pairs)
}

#[test]
fn the_outcome_of_unrolled_is_what_the_generated_code_does() {
    let is_dense = |rule: &ReuseRule| matches!(rule.kernel, Kernel::Dense | Kernel::Streamed);
    for (rule, factor) in cases().filter(|(rule, factor)| is_dense(rule) && *factor > 1) {
        let rule = ReuseRule {
            strategy: Strategy::Unrolled,
            ..rule
        };
        let expected = layer(rule.kernel, rule.inputs, rule.outputs);
        let outcome = match generated(rule.inputs, rule.outputs, factor) {
            None => Outcome::Stops,
            Some(computed) if computed == expected => Outcome::SameValues,
            Some(_) => Outcome::OtherValues,
        };
        if rule.admits(factor) {
            assert_eq!(outcome, Outcome::SameValues, "{rule:?} {factor}");
        } else {
            assert_eq!(rule.outcome(factor), outcome, "{rule:?} {factor}");
        }
    }
}

#[test]
fn the_words_say_what_is_built() {
    let strategies = [
        Strategy::Latency,
        Strategy::Resource,
        Strategy::Unrolled,
        Strategy::DistributedArithmetic,
    ];
    for (rule, factor) in cases() {
        for strategy in strategies {
            let rule = ReuseRule { strategy, ..rule };
            let (n, m) = (rule.inputs, rule.outputs);
            let divides = n.is_multiple_of(factor);
            let times =
                |below: u64| factor.is_multiple_of(n) && m.is_multiple_of(factor / n) && factor / n < below;
            let parallel = format!(
                "a divisor of {n}, the taps of one output: the convolutions of io_parallel compute no other"
            );
            let sentences = [
                ("a factor from 1".to_owned(), true),
                ("1: distributed arithmetic reuses nothing".to_owned(), factor == 1),
                (format!("a divisor of {n} below it"), divides && factor < n),
                (parallel, divides),
                (
                    format!("a divisor of {n}, or {n} times a divisor of {m} below it"),
                    divides || times(m),
                ),
                (
                    format!("a divisor of {n}, or {n} times a divisor of {m}"),
                    divides || times(m + 1),
                ),
            ];
            let said = rule.expected();
            let (_, is_said) = sentences.iter().find(|(words, _)| *words == said).unwrap();
            assert_eq!(rule.admits(factor), *is_said, "{rule:?} {factor}: {said}");
            match rule.remark(factor) {
                None => assert!(*is_said),
                Some(text) => {
                    assert!(!is_said);
                    let does = match rule.outcome(factor) {
                        Outcome::Stops => "its own code stops at it",
                        Outcome::OtherValues => "gives other values than the layer",
                        Outcome::SameValues => "computes the layer, but",
                    };
                    for words in [
                        format!("the reuse factor {factor},"),
                        format!("for {n} inputs and {m} outputs;"),
                        does.to_owned(),
                        format!("builds is {} (expected {said})", rule.nearest(factor)),
                    ] {
                        assert!(text.contains(&words), "{text}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_configuration_replaces_the_strategy() {
    for (rule, factor) in cases() {
        for strategy in [Strategy::Latency, Strategy::Unrolled] {
            let rule = ReuseRule { strategy, ..rule };
            let resource = ReuseRule {
                strategy: Strategy::Resource,
                ..rule
            };
            assert_eq!(rule.with_resource(true).admits(factor), resource.admits(factor));
            assert!(rule.with_resource(false).admits(factor));
        }
    }
}

/// `core_templates.py` and `convolution_templates.py` choose the kernel by type of layer, io type and backend;
/// `set_closest_reuse_factor` counts as `get_layer_mult_size` does.
#[test]
fn the_rule_of_a_layer_is_that_of_its_kernel() {
    use crate::fixed_point::Format;
    use crate::network::{Accumulator, BuildHints, Geometry, Order, ParamId, TensorId, Window};
    let window = |kernel| Window {
        kernel,
        stride: [1, 1],
        dilation: [1, 1],
        pad: [0, 0],
    };
    let rule = |kind: &str, [strategy, io, backend]: [Option<&str>; 3], channels: usize, groups, outputs| {
        let kernel = match kind {
            "Dense" => [1, 1],
            "Conv1D" | "DepthwiseConv1D" => [1, 3],
            _ => [3, 3],
        };
        let layer = Layer {
            name: "l".into(),
            kind: kind.into(),
            output: TensorId(0),
            hints: BuildHints {
                strategy: strategy.map(str::to_owned),
                io_type: io.map(str::to_owned),
                backend: backend.map(str::to_owned),
                ..BuildHints::default()
            },
        };
        let mac = Mac {
            weight: ParamId(0),
            bias: None,
            geometry: Geometry {
                input: [8, 8, channels],
                output: [6, 6, outputs],
                window: window(kernel),
            },
            groups,
            transposed: false,
            accumulator: Accumulator {
                format: Format::holding(-1, 1, 0).unwrap(),
                stated: false,
                order: Order::Natural,
            },
            popcount: false,
        };
        let rule = ReuseRule::of(&layer, &mac);
        (rule.strategy, rule.kernel, rule.inputs, rule.outputs)
    };
    let (parallel, stream) = (Some("io_parallel"), Some("io_stream"));
    let (vitis, vivado, catapult) = (Some("vitis"), Some("vivado"), Some("catapult"));
    let resource = Some("resource");
    let (assert, pass) = (
        Kernel::Parallel { asserts: true },
        Kernel::Parallel { asserts: false },
    );
    for (kind, hints, [channels, groups, outputs], expected) in [
        (
            "Dense",
            [resource, parallel, vitis],
            [5, 1, 4],
            (Strategy::Resource, Kernel::Dense, 5, 4),
        ),
        (
            "Dense",
            [resource, stream, vitis],
            [5, 1, 4],
            (Strategy::Resource, Kernel::Dense, 5, 4),
        ),
        (
            "Dense",
            [resource, parallel, catapult],
            [5, 1, 4],
            (Strategy::Resource, Kernel::Streamed, 5, 4),
        ),
        (
            "Dense",
            [None, parallel, vitis],
            [5, 1, 4],
            (Strategy::Latency, Kernel::Dense, 5, 4),
        ),
        (
            "Dense",
            [None, None, None],
            [5, 1, 4],
            (Strategy::Resource, Kernel::Dense, 5, 4),
        ),
        (
            "Dense",
            [Some("latency"), None, None],
            [5, 1, 4],
            (Strategy::Latency, Kernel::Dense, 5, 4),
        ),
        (
            "Dense",
            [Some("resource_unrolled"), parallel, vitis],
            [5, 1, 4],
            (Strategy::Unrolled, Kernel::Dense, 5, 4),
        ),
        (
            "Dense",
            [Some("distributed_arithmetic"), parallel, vitis],
            [5, 1, 4],
            (Strategy::DistributedArithmetic, Kernel::Dense, 5, 4),
        ),
        (
            "Conv1D",
            [resource, parallel, vitis],
            [2, 1, 4],
            (Strategy::Resource, assert, 6, 4),
        ),
        (
            "Conv2D",
            [resource, parallel, vitis],
            [2, 1, 4],
            (Strategy::Resource, pass, 18, 4),
        ),
        (
            "Conv2D",
            [resource, parallel, vivado],
            [2, 1, 4],
            (Strategy::Resource, assert, 18, 4),
        ),
        (
            "Conv2D",
            [resource, stream, vitis],
            [2, 1, 4],
            (Strategy::Resource, Kernel::Streamed, 18, 4),
        ),
        (
            "Conv2D",
            [resource, parallel, catapult],
            [2, 1, 4],
            (Strategy::Resource, Kernel::Streamed, 18, 4),
        ),
        (
            "DepthwiseConv2D",
            [resource, parallel, vitis],
            [4, 4, 4],
            (Strategy::Resource, Kernel::Depthwise, 36, 4),
        ),
        (
            "DepthwiseConv1D",
            [resource, stream, vitis],
            [4, 4, 4],
            (Strategy::Resource, Kernel::Depthwise, 12, 4),
        ),
        (
            "Conv2D",
            [resource, parallel, vitis],
            [4, 2, 4],
            (Strategy::Resource, pass, 18, 4),
        ),
    ] {
        assert_eq!(
            rule(kind, hints, channels, groups, outputs),
            expected,
            "{kind} {hints:?} {groups}"
        );
    }
}
