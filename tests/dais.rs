//! da4ml's programs: golden vectors of da4ml's own interpreter, random programs against an interpreter on
//! rationals, registers, and hostile files.

#[path = "dais/oracle.rs"]
mod oracle;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use oracle::{Generated, random_program};
use radstream::accelerator::{Accelerator, Hardware};
use radstream::model::{Files, load_network};
use radstream::network::import::{ImportError, ImportOptions, Reason, dais};
use radstream::network::{Network, NoteKind, Op, Program, ProgramInput};
use radstream::simulate::Replay;
use radstream::simulate::cycle::register::RegisterClass;
use radstream::simulate::cycle::{self, CycleFault, End, Pipeline, RegisterTensor, Site};
use radstream::simulate::functional::fast::{FastEngine, FastPlan};
use radstream::simulate::functional::{Incremental, Parameters, Plan, evaluate};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/dais")
}

fn read(name: &str) -> Network {
    load_network(
        &Files::Folder(folder()),
        Path::new(name),
        &ImportOptions::default(),
    )
    .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Names of the cases with their registers: bits at the input and the output, stages, all of the pipeline.
fn cases() -> Vec<(String, [u64; 4])> {
    let text = std::fs::read_to_string(folder().join("registers.csv")).unwrap();
    let cases: Vec<_> = text
        .lines()
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            let number = |at: usize| fields[at].parse().unwrap();
            (fields[0].to_owned(), [number(1), number(2), number(3), number(4)])
        })
        .collect();
    assert_eq!(cases.len(), 16);
    cases
}

/// Whether a case has a file; `chained` has its pipeline only.
fn exists(name: &str) -> bool {
    folder().join(name).exists() || !name.starts_with("chained")
}

/// Real inputs and outputs of a case, sample after sample.
fn samples(case: &str, inputs: usize) -> (Vec<f64>, Vec<f64>) {
    let text = std::fs::read_to_string(folder().join(format!("{case}.csv"))).unwrap();
    let (mut given, mut expected) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let values: Vec<f64> = line.split(',').map(|value| value.parse().unwrap()).collect();
        given.extend(&values[..inputs]);
        expected.extend(&values[inputs..]);
    }
    (given, expected)
}

fn program(network: &Network) -> &Program {
    let Op::Program(program) = &network.nodes[0].op else {
        panic!("a program")
    };
    program
}

/// The output mantissas of all functional engines, which are the same.
fn functional(name: &str, network: &Network, inputs: &[i64]) -> Vec<i64> {
    let parameters = Parameters::of(network);
    let fast = FastEngine::new(&FastPlan::new(network.clone()), &parameters).run_all(inputs);
    let mut incremental = Incremental::new(Arc::new(Plan::new(network.clone())));
    let elements = network.tensor(network.input).len();
    let mut outputs = Vec::new();
    for input in inputs.chunks_exact(elements) {
        incremental.load(input);
        let trace = evaluate(network, &parameters, input);
        assert_eq!(incremental.output(), trace.tensor(network.output), "{name}");
        outputs.extend(trace.tensor(network.output));
    }
    assert_eq!(fast, outputs, "{name}");
    outputs
}

#[test]
fn programs_give_the_values_of_da4mls_interpreter() {
    for (case, _) in cases() {
        for ending in ["dais", "json", "pipeline.json"] {
            let name = format!("{case}.{ending}");
            if !exists(&name) {
                continue;
            }
            let network = read(&name);
            let (given, expected) = samples(&case, network.tensor(network.input).len());
            let inputs = network.quantize_inputs(&given).unwrap();
            let outputs = functional(&name, &network, &inputs);
            let values: Vec<f64> = network.output_values(&outputs).collect();
            assert_eq!(values, expected, "{name}");
        }
    }
}

/// The pipeline registers of a network.
fn rows(pipeline: &Pipeline) -> RegisterTensor {
    let mut tensors = pipeline.tensors().into_iter();
    let rows = tensors.find(|tensor| tensor.class == RegisterClass::Pipeline);
    rows.expect("rows of registers")
}

#[test]
fn both_engines_agree_and_registers_are_those_of_da4ml() {
    for (case, [at_input, at_output, stages, all]) in cases() {
        for (ending, stages, bits) in [
            ("dais", 1, at_input + at_output),
            ("json", 1, at_input + at_output),
            ("pipeline.json", stages, all),
        ] {
            let name = format!("{case}.{ending}");
            if !exists(&name) {
                continue;
            }
            let network = read(&name);
            let (given, _) = samples(&case, network.tensor(network.input).len());
            let inputs = network.quantize_inputs(&given).unwrap();
            let accelerator = Accelerator::build(&network, &Hardware::default()).unwrap();
            assert_eq!(accelerator.map().total_bits(), 0, "{name}");
            let pipeline = Pipeline::new(&accelerator).unwrap();
            // A binary states types and no ranges: minus the lowest value may take one more bit.
            let outputs = &program(&network).outputs;
            let open = match ending {
                "dais" => outputs.iter().filter(|output| output.negated).count() as u64,
                _ => 0,
            };
            let own = rows(&pipeline).bits();
            assert!((bits..=bits + open).contains(&own), "{name}: {own} for {bits}");
            for plain in [false, true] {
                let settings = cycle::Settings {
                    plain,
                    ..cycle::Settings::default()
                };
                let run = cycle::run(&pipeline, &accelerator, &inputs, &[], settings);
                assert_eq!(run.end, End::Completed, "{name}");
                assert_eq!(run.outputs, functional(&name, &network, &inputs), "{name}");
                assert_eq!(run.timing.initiation_interval, Some(1), "{name}");
                assert_eq!(run.timing.latency, Some(stages + 2), "{name}");
                let replayed = Replay::new(&pipeline, &accelerator).unwrap().run(&inputs);
                assert_eq!(replayed, Some(run), "{name}");
            }
        }
    }
}

/// The registers of a program in the order of their elements: row, and instruction or output.
fn held(program: &Program) -> Vec<(usize, usize)> {
    let mut held = Vec::new();
    for row in 0..program.blocks.len() {
        for at in program.block(row) {
            let instruction = &program.instructions[at];
            if instruction.is_register() && instruction.format.is_some() {
                held.push((row, at));
            }
        }
    }
    let outputs = program.outputs.iter().enumerate();
    let outputs = outputs.filter(|(_, output)| output.format.is_some());
    held.extend(outputs.map(|(at, _)| (program.blocks.len(), at)));
    held
}

/// The outputs of a sample with a bit of a register inverted.
fn struck(network: &Network, input: &[i64], (row, index): (usize, usize), bit: u32) -> Vec<i64> {
    let program = program(network);
    let input = ProgramInput {
        mantissas: input,
        frac: network.tensor(network.input).encoding.frac(),
    };
    let flip = |mantissa: i64, format: Option<radstream::fixed_point::Format>| {
        let format = format.expect("a register has bits");
        format.mantissa_of_bits(format.bits_of(i128::from(mantissa)) ^ 1 << bit) as i64
    };
    let last = row == program.blocks.len();
    let mut values = Vec::new();
    for at in 0..program.instructions.len() {
        let value = program.value(at, input, &values);
        let hit = !last && at == index;
        values.push(if hit {
            flip(value, program.instructions[at].format)
        } else {
            value
        });
    }
    let frac = network.tensor(network.output).encoding.frac();
    (0..program.outputs.len())
        .map(|at| {
            let value = program.output(at, &values);
            let hit = last && at == index;
            let value = if hit {
                flip(value, program.outputs[at].format)
            } else {
                value
            };
            program.on_grid(at, value, frac)
        })
        .collect()
}

#[test]
fn a_flip_in_a_register_is_one_bit_of_one_value_of_one_sample() {
    let mut effective = 0;
    for (case, _) in cases() {
        let name = format!("{case}.pipeline.json");
        let network = read(&name);
        let elements = network.tensor(network.input).len();
        let outputs = network.tensor(network.output).len();
        let (given, _) = samples(&case, elements);
        let inputs = network.quantize_inputs(&given[..4 * elements]).unwrap();
        let clean = functional(&name, &network, &inputs);
        let accelerator = Accelerator::build(&network, &Hardware::default()).unwrap();
        let pipeline = Pipeline::new(&accelerator).unwrap();
        let rows = rows(&pipeline);
        let held = held(program(&network));
        assert_eq!(rows.elements(), held.len() as u64, "{name}");
        for (number, (element, bit)) in rows.bits_of_elements().enumerate() {
            let sample = number % 4;
            let (row, _) = held[element as usize];
            let fault = CycleFault {
                // The edge that brings the sample into the row.
                cycle: Some((sample + row) as u64),
                site: Site::Register(rows.find(element, bit).unwrap()),
            };
            let run = cycle::run(
                &pipeline,
                &accelerator,
                &inputs,
                &[fault],
                cycle::Settings::default(),
            );
            let input = &inputs[sample * elements..][..elements];
            let mut expected = clean.clone();
            expected[sample * outputs..][..outputs].copy_from_slice(&struck(
                &network,
                input,
                held[element as usize],
                bit,
            ));
            assert_eq!(
                run.outputs, expected,
                "{name}: element {element} bit {bit} of row {row}"
            );
            effective += usize::from(expected != clean);
        }
        rows_without_a_sample_are_dead(&name, &pipeline, &accelerator, &inputs, &clean);
    }
    assert!(effective > 1000, "{effective}");
}

/// A value of a row in which no sample is matters to nothing, and its live rule says so.
fn rows_without_a_sample_are_dead(
    name: &str,
    pipeline: &Arc<Pipeline>,
    accelerator: &Accelerator,
    inputs: &[i64],
    clean: &[i64],
) {
    let table = pipeline.table();
    let rows = rows(pipeline);
    let (mut dead, mut live) = (0, 0);
    let mut engine = cycle::Engine::new(pipeline, inputs);
    for edge in 0..6 {
        engine.tick();
        for (number, (element, bit)) in rows.bits_of_elements().enumerate() {
            let bit = rows.find(element, bit).unwrap();
            if table.is_live(bit, engine.state()) {
                live += 1;
                continue;
            }
            dead += 1;
            if number % 7 != edge as usize {
                continue;
            }
            let fault = CycleFault {
                cycle: Some(edge),
                site: Site::Register(bit),
            };
            let settings = cycle::Settings::default();
            let run = cycle::run(pipeline, accelerator, inputs, &[fault], settings);
            assert_eq!(run.outputs, clean, "{name}: {:?} at {edge}", table.path(bit));
        }
    }
    assert!(live > 0 && dead > 0, "{name}: {live} {dead}");
}

#[test]
fn random_programs_agree_with_rationals() {
    let mut wrapped = 0;
    for seed in 0..600 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let Generated { words, .. } = &random_program(&mut random);
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let network = match dais::parse(Path::new("random.dais"), &bytes) {
            Ok(network) => network,
            // Nothing but constants of no bits comes out.
            Err(error) if error.problem.contains("outputs of no bits") => continue,
            Err(error) => panic!("seed {seed}: {error}: {}", error.expected),
        };
        wrapped += network
            .notes
            .iter()
            .filter(|note| note.kind == NoteKind::Flow)
            .count();
        let elements = network.tensor(network.input).len();
        let given: Vec<f64> = (0..elements * 6)
            .map(|_| f64::from(random.random_range(-4096i32..4096)) / 64.0)
            .collect();
        let inputs = network.quantize_inputs(&given).unwrap();
        let outputs = functional("random", &network, &inputs);
        let values: Vec<f64> = network.output_values(&outputs).collect();
        let expected: Vec<f64> = given
            .chunks_exact(elements)
            .flat_map(|sample| oracle::run(words, sample))
            .collect();
        assert_eq!(values, expected, "seed {seed}");
    }
    assert!(wrapped > 100, "{wrapped}");
}

/// What a flip of each register bit changes in da4ml's Verilog: per bit the outputs that differ and their values.
fn struck_in_verilog(case: &str, bits: u64) -> Vec<Vec<(usize, f64)>> {
    let mut struck = vec![Vec::new(); bits as usize];
    let text = std::fs::read_to_string(folder().join(format!("{case}.strikes.csv"))).unwrap();
    for line in text.lines() {
        let fields: Vec<&str> = line.split(',').collect();
        let number: usize = fields[0].parse().unwrap();
        struck[number].push((fields[1].parse().unwrap(), fields[2].parse().unwrap()));
    }
    struck
}

#[test]
fn flips_change_what_they_change_in_da4mls_verilog() {
    for (case, [.., bits]) in cases() {
        let name = format!("{case}.pipeline.json");
        let network = read(&name);
        let elements = network.tensor(network.input).len();
        let (given, clean) = samples(&case, elements);
        let width = network.tensor(network.output).len();
        let inputs = network.quantize_inputs(&given[..4 * elements]).unwrap();
        let accelerator = Accelerator::build(&network, &Hardware::default()).unwrap();
        let pipeline = Pipeline::new(&accelerator).unwrap();
        let rows = rows(&pipeline);
        let held = held(program(&network));
        let struck = struck_in_verilog(&case, bits);
        assert_eq!(rows.bits(), bits, "{name}");
        for (number, (element, bit)) in rows.bits_of_elements().enumerate() {
            let sample = number % 4;
            let fault = CycleFault {
                cycle: Some((sample + held[element as usize].0) as u64),
                site: Site::Register(rows.find(element, bit).unwrap()),
            };
            let settings = cycle::Settings::default();
            let run = cycle::run(&pipeline, &accelerator, &inputs, &[fault], settings);
            let values: Vec<f64> = network.output_values(&run.outputs).collect();
            let mut expected = clean[..4 * width].to_vec();
            for &(output, value) in &struck[number] {
                expected[sample * width + output] = value;
            }
            assert_eq!(values, expected, "{name}: element {element} bit {bit}");
        }
    }
}

fn words_of(name: &str) -> Vec<i32> {
    let bytes = std::fs::read(folder().join(name)).unwrap();
    bytes
        .chunks_exact(4)
        .map(|word| i32::from_le_bytes(word.try_into().unwrap()))
        .collect()
}

fn parse(words: &[i32]) -> Result<Network, ImportError> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    dais::parse(Path::new("spoilt.dais"), &bytes)
}

/// A program of one input copied by instruction 0, and further instructions.
fn small(instructions: &[[i32; 8]], tables: &[&[i32]]) -> Vec<i32> {
    let count = instructions.len() as i32 + 1;
    let mut words = vec![1, 0, 1, 1, count, tables.len() as i32, 0, count - 1, 0, 0];
    words.extend([-1, 0, -1, 0, 0, 1, 3, 2]);
    words.extend(instructions.iter().flatten());
    words.extend(tables.iter().map(|table| table.len() as i32));
    words.extend(tables.iter().copied().flatten());
    words
}

#[test]
fn programs_that_break_the_rules_are_refused_with_their_place() {
    let refused = |words: &[i32], reason: Reason, parts: &[&str]| {
        let error = parse(words).expect_err("a refusal");
        let said = format!("{error}; expected {}; {}", error.expected, error.repair);
        assert_eq!(error.reason, reason, "{said}");
        for part in parts {
            assert!(said.contains(part), "`{part}` is missing in: {said}");
        }
    };
    let good = small(&[[3, 0, -1, 0, 0, 1, 2, 1]], &[]);
    assert!(parse(&good).is_ok());
    for version in [0, 2, -1] {
        let mut words = good.clone();
        words[0] = version;
        refused(
            &words,
            Reason::Unsupported,
            &[&format!("version {version}"), "version 1"],
        );
    }
    for (at, count) in [
        (2, 1 << 30),
        (3, i32::MAX),
        (4, i32::MAX),
        (5, i32::MAX),
        (4, -1),
        (5, -7),
        (2, 0),
    ] {
        let mut words = good.clone();
        words[at] = count;
        refused(&words, Reason::Structure, &["expected"]);
    }
    refused(&good[..good.len() - 1], Reason::Structure, &["integers"]);
    refused(
        &[good.clone(), vec![0]].concat(),
        Reason::Structure,
        &["integers"],
    );
    refused(&good[..3], Reason::Structure, &["12 bytes"]);
    let one = |instruction: [i32; 8]| small(&[instruction], &[&[1, 2, 3]]);
    // Itself, a later one, none, another input, another table.
    refused(
        &one([0, 1, 0, 0, 0, 1, 5, 2]),
        Reason::Structure,
        &["instruction 1", "value 1"],
    );
    refused(&one([0, 0, 9, 0, 0, 1, 5, 2]), Reason::Structure, &["value 9"]);
    refused(&one([7, 0, -1, 0, 0, 1, 5, 4]), Reason::Structure, &["value -1"]);
    refused(&one([6, 0, 0, 1, 0, 1, 3, 2]), Reason::Structure, &["value 1"]);
    refused(&one([8, 7, -1, 0, 0, 1, 5, 4]), Reason::Structure, &["value 7"]);
    refused(&one([8, 0, -1, 1, 0, 1, 5, 4]), Reason::Structure, &["table 1"]);
    refused(&one([-1, 1, -1, 0, 0, 1, 3, 2]), Reason::Structure, &["input 1"]);
    // Opcodes and bit operations that there are not.
    refused(
        &one([11, 0, -1, 0, 0, 1, 3, 2]),
        Reason::Unsupported,
        &["opcode 11"],
    );
    refused(
        &one([-7, 0, 0, 0, 0, 1, 3, 2]),
        Reason::Unsupported,
        &["opcode -7"],
    );
    refused(
        &one([9, 0, -1, 3, 0, 1, 3, 2]),
        Reason::Structure,
        &["bit operation 3"],
    );
    refused(
        &one([10, 0, 0, 0, 3 << 24, 1, 3, 2]),
        Reason::Structure,
        &["bit operation 3"],
    );
    // Types and grids.
    refused(&one([3, 0, -1, 0, 0, 2, 3, 2]), Reason::Structure, &["sign is 2"]);
    refused(
        &one([3, 0, -1, 0, 0, 1, 3, -9]),
        Reason::Unsupported,
        &["-5 bits"],
    );
    refused(
        &one([3, 0, -1, 0, 0, 1, 60, 9]),
        Reason::Unsupported,
        &["70 bits"],
    );
    refused(
        &one([3, 0, -1, 0, 0, 1, i32::MIN, 9]),
        Reason::Unsupported,
        &["integer"],
    );
    refused(
        &one([0, 0, 0, 0, 0, 1, 4, 1]),
        Reason::Structure,
        &["1 fractional bits", "of 2"],
    );
    refused(&one([7, 0, 0, 0, 0, 1, 9, 3]), Reason::Structure, &["of 4"]);
    refused(
        &one([0, 0, 0, -70, -1, 1, 4, 2]),
        Reason::Unsupported,
        &["aligns"],
    );
    refused(
        &one([0, 0, 0, i32::MAX, 0, 1, 4, 2]),
        Reason::Structure,
        &["shifts by 2147483647"],
    );
    refused(&one([4, 0, -1, 1, 0, 1, 4, 1]), Reason::Unsupported, &["aligns"]);
    refused(&one([9, 0, -1, 0, 0, 1, 4, 1]), Reason::Unsupported, &["inverts"]);
    let mut words = good.clone();
    words[7] = 2;
    refused(&words, Reason::Structure, &["output 0", "value 2"]);
    words[7] = -1;
    refused(&words, Reason::Structure, &["no bits"]);
    words[7] = 1;
    words[8] = 1 << 20;
    refused(&words, Reason::Structure, &["output 0", "shifts"]);
    // Two grids that are too far apart for one tensor.
    let far = small(&[[3, 0, -1, 0, 0, 1, 3, 2]], &[]);
    let mut far = [&far[..6], &[0, 0, 1, 0, 60, 0, 0], &far[10..]].concat();
    far[3] = 2;
    refused(&far, Reason::Unsupported, &["outputs", "common grid"]);
}

#[test]
fn what_a_program_leaves_open_is_noted() {
    let noted = |words: &[i32], part: &str| {
        let network = parse(words).unwrap();
        let notes: Vec<&str> = network.notes.iter().map(|note| note.text.as_str()).collect();
        assert!(notes.iter().any(|note| note.contains(part)), "{notes:?}");
    };
    let sum = |integer: i32| small(&[[0, 0, 0, 0, 0, 1, integer, 2]], &[]);
    noted(&sum(3), "1 instructions can leave their types");
    assert_eq!(parse(&sum(4)).unwrap().notes.len(), 1);
    let table: Vec<i32> = (0..64).collect();
    let lookup = |entries: usize| small(&[[8, 0, -1, 0, 0, 1, 6, 0]], &[&table[..entries]]);
    noted(&lookup(63), "1 look-ups can leave their tables");
    assert_eq!(parse(&lookup(64)).unwrap().notes.len(), 1);
    noted(
        &small(&[[9, 0, -1, 0, 0, 0, 4, 2], [6, 0, 0, 1, 0, 1, 3, 2]], &[]),
        "1 choices go by the most significant bit",
    );
}

#[test]
fn stages_that_do_not_fit_each_other_are_refused() {
    let text = std::fs::read_to_string(folder().join("chained0.pipeline.json")).unwrap();
    let good: serde_json::Value = serde_json::from_str(&text).unwrap();
    let refused = |change: &dyn Fn(&mut serde_json::Value), parts: &[&str]| {
        let mut spoilt = good.clone();
        change(&mut spoilt[0]);
        let error = dais::parse_json(Path::new("spoilt.json"), spoilt.to_string().as_bytes());
        let error = error.expect_err("a refusal").to_string();
        for part in parts {
            assert!(error.contains(part), "`{part}` is missing in: {error}");
        }
    };
    // Members of a stage: shape, input shifts, outputs, their shifts, their signs, operations.
    refused(
        &|stages| stages[0][3][4] = 1.into(),
        &["stage 1, instruction 4", "reads input 4", "hands on"],
    );
    refused(
        &|stages| stages[0][4][0] = false.into(),
        &["stage 1, instruction 0"],
    );
    refused(&|stages| stages[1][1][2] = 1.into(), &["stage 1, instruction 2"]);
    refused(
        &|stages| stages[0][2][3] = 99.into(),
        &["stage 0, output 3", "value 99"],
    );
    refused(&|stages| stages[1][1][2] = 5000.into(), &["shifts by 5000"]);
    refused(
        &|stages| {
            for list in [1, 2, 3] {
                stages[0][list + 1].as_array_mut().unwrap().pop();
            }
            stages[0][0][1] = 19.into();
        },
        &["stage 1 has 20 inputs"],
    );
    refused(
        &|stages| stages[1][5][3][4][2] = 0.3.into(),
        &["stage 1, instruction 3", "0.3"],
    );
    refused(
        &|stages| stages[1][5][3] = 3.into(),
        &["stage 1, instruction 3", "no list"],
    );
}

/// Runs what is accepted, on the ends of the input's range.
fn survive(what: &str, result: Result<Network, ImportError>) -> bool {
    match result {
        Ok(network) => {
            let (low, high) = network.tensor(network.input).encoding.range();
            let parameters = Parameters::of(&network);
            for end in [low, high] {
                let input = vec![end as i64; network.tensor(network.input).len()];
                let trace = evaluate(&network, &parameters, &input);
                let output = network.tensor(network.output).encoding;
                let values = trace.tensor(network.output);
                assert!(
                    values.iter().all(|&value| output.contains(i128::from(value))),
                    "{what}: a value outside its type"
                );
            }
            true
        }
        Err(error) => {
            assert!(
                !error.expected.is_empty() && !error.repair.is_empty(),
                "{what}: {error:?}"
            );
            false
        }
    }
}

#[test]
fn damaged_files_get_a_diagnostic_or_run() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut accepted = [0; 2];
    for (case, _) in cases() {
        if !exists(&format!("{case}.dais")) {
            continue;
        }
        let words = words_of(&format!("{case}.dais"));
        for cut in 0..words.len() {
            assert!(!survive(&case, parse(&words[..cut])), "{case} cut at {cut}");
        }
        for _ in 0..300 {
            let mut spoilt = words.clone();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..spoilt.len());
                spoilt[at] = match random.random_range(0..5) {
                    0 => random.random_range(-12..12),
                    1 => spoilt[at] ^ 1 << random.random_range(0..32),
                    2 => i32::MAX,
                    3 => i32::MIN,
                    _ => spoilt[random.random_range(0..spoilt.len())],
                };
            }
            accepted[0] += usize::from(survive(&case, parse(&spoilt)));
        }
        for ending in ["json", "pipeline.json"] {
            let text = std::fs::read(folder().join(format!("{case}.{ending}"))).unwrap();
            for _ in 0..200 {
                let mut spoilt = text.clone();
                let at = random.random_range(0..spoilt.len());
                match random.random_range(0..4) {
                    0 => spoilt.truncate(at),
                    1 => spoilt[at] = b"0123456789,.-[]{}\"e "[random.random_range(0..20)],
                    2 => {
                        spoilt.remove(at);
                    }
                    _ => spoilt.insert(at, b"0123456789"[random.random_range(0..10)]),
                }
                let result = dais::parse_json(Path::new("spoilt.json"), &spoilt);
                accepted[1] += usize::from(survive(&case, result));
            }
        }
    }
    assert!(accepted.iter().all(|&accepted| accepted > 50), "{accepted:?}");
}

#[test]
fn other_json_is_refused() {
    for text in [
        "",
        "{}",
        "[]",
        "[[]]",
        "3",
        "[[[1]]]",
        "[[1,1],[0],[0],[0],[0],[],1]",
        "[1,2,3,4,5,6,7,8]",
        "nul",
    ] {
        let result = dais::parse_json(Path::new("other.json"), text.as_bytes());
        assert!(!survive(text, result), "{text}");
    }
}
