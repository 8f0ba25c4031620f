//! Damaged, contradictory and hostile `.fml` files: each gets a diagnostic, none a panic.

mod common;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use miette::Diagnostic;
use radstream::network::import::{ImportError, Reason, fml};
use radstream::network::{Network, Op};
use radstream::simulate::functional::{Parameters, evaluate};
use serde_json::{Value, json};

/// The members of an archive in their order.
type Members = Vec<(String, Vec<u8>)>;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/hls4ml")
        .join(name)
        .join("model.fml")
}

fn unpack(path: &Path) -> Members {
    let bytes = std::fs::read(path).expect("a golden file");
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
    tar.entries()
        .expect("entries")
        .map(|entry| {
            let mut entry = entry.expect("an entry");
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("content");
            (name, content)
        })
        .collect()
}

fn header(name: &str, size: u64) -> tar::Header {
    let mut header = tar::Header::new_old();
    let field = &mut header.as_old_mut().name;
    field[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(size);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    header
}

fn pack(members: &Members) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in members {
        tar.append(&header(name, content.len() as u64), content.as_slice())
            .expect("a member");
    }
    compress(&tar.into_inner().expect("a tar"))
}

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).expect("compression");
    gzip.finish().expect("compression")
}

fn parse(bytes: &[u8]) -> Result<Network, ImportError> {
    fml::parse(Path::new("hostile.fml"), bytes)
}

fn member<'m>(members: &'m mut Members, name: &str) -> &'m mut Vec<u8> {
    let found = members.iter_mut().find(|(member, _)| member == name);
    &mut found.expect("the member").1
}

/// Rewrites a JSON member.
fn edit(members: &mut Members, name: &str, change: impl FnOnce(&mut Value)) {
    let content = member(members, name);
    let mut value: Value = serde_json::from_slice(content).expect("JSON");
    change(&mut value);
    *content = serde_json::to_vec(&value).expect("JSON");
}

/// The refusal of a network after a change to one attribute of a layer.
fn refused_attribute(layer: &str, path: &[&str], value: Value) -> ImportError {
    let mut members = unpack(&golden("conv1d.par_lat1"));
    edit(&mut members, "model_arch.json", |arch| {
        let mut place = &mut arch[layer]["state"]["attributes"];
        for key in path {
            place = &mut place[*key];
        }
        *place = value;
    });
    let error = refused(&pack(&members));
    assert!(error.place.contains(&format!("`{layer}`")), "{error}");
    error
}

/// The refusal, after checking that it says everything a user needs.
fn refused(bytes: &[u8]) -> ImportError {
    let error = parse(bytes).map(|_| "a network").expect_err("a refusal");
    assert_eq!(error.file, Path::new("hostile.fml"));
    for text in [&error.place, &error.problem, &error.expected, &error.repair] {
        assert!(!text.is_empty(), "{error:?}");
        assert!(text.len() < 900, "{error:?}");
    }
    assert!(Diagnostic::code(&error).is_some() && Diagnostic::help(&error).is_some());
    error
}

#[test]
fn the_unchanged_members_load() {
    for name in ["conv1d.par_lat1", "depthwise.str_res4", "acts.par_lat1"] {
        assert!(parse(&pack(&unpack(&golden(name)))).is_ok(), "{name}");
    }
}

#[test]
fn names_that_hls4ml_reserves_load_and_unresolved_types_are_refused() {
    let Some(data) = common::shared_data() else {
        return;
    };
    let network = fml::read(&data.join("hls4ml_edge/reserved_names.fml")).expect("a sound file");
    assert!(network.layers.iter().any(|layer| layer.name == "bias"));
    let input = vec![1; network.tensor(network.input).len()];
    let trace = evaluate(&network, &Parameters::of(&network), &input);
    assert_eq!(
        trace.tensor(network.output).len(),
        network.tensor(network.output).len()
    );

    let error = fml::read(&data.join("hls4ml_edge/unresolved_types.fml")).expect_err("a refusal");
    assert_eq!(error.reason, Reason::Unsupported);
    assert!(error.problem.contains("not resolved"), "{error}");
    assert!(error.place.contains("hls4ml.model.layers.Input"), "{error}");
}

#[test]
fn a_missing_file_is_refused() {
    let error = fml::read(Path::new("no/such/file.fml")).expect_err("a refusal");
    assert_eq!(error.reason, Reason::Structure);
}

#[test]
fn truncated_files_are_refused() {
    let whole = std::fs::read(golden("conv1d.par_lat1")).expect("a golden file");
    for length in (0..whole.len()).step_by(97) {
        assert_eq!(refused(&whole[..length]).reason, Reason::Structure);
    }
    assert_eq!(refused(b"no archive at all").reason, Reason::Structure);
    assert_eq!(refused(&compress(b"no tar at all")).reason, Reason::Structure);
}

#[test]
fn member_names_that_leave_the_archive_are_refused() {
    for name in [
        "../../outside.json",
        "/etc/outside.npy",
        "a/../../b.json",
        "..\\x.json",
    ] {
        let mut members = unpack(&golden("conv1d.par_lat1"));
        members.push((name.to_owned(), b"{}".to_vec()));
        assert!(
            refused(&pack(&members)).problem.contains("leaves the archive"),
            "{name}"
        );
    }
}

#[test]
fn links_and_repeated_members_are_refused() {
    let mut members = unpack(&golden("conv1d.par_lat1"));
    members.push(("config.json".to_owned(), b"{}".to_vec()));
    assert!(refused(&pack(&members)).problem.contains("twice"));

    let mut tar = tar::Builder::new(Vec::new());
    let mut link = header("config.json", 0);
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_link_name("/etc/passwd").expect("a link");
    link.set_cksum();
    tar.append(&link, std::io::empty()).expect("a link");
    let bytes = compress(&tar.into_inner().expect("a tar"));
    assert!(refused(&bytes).problem.contains("link"));
}

#[test]
fn a_member_that_claims_to_be_huge_is_refused() {
    let mut bytes = header("model_arch.json", 1 << 33).as_bytes().to_vec();
    bytes.extend([b' '; 2048]);
    assert!(
        refused(&compress(&bytes))
            .problem
            .contains("unpacks to more than")
    );
}

#[test]
fn missing_members_and_other_versions_are_refused() {
    for name in [
        "version.json",
        "config.json",
        "graph_state.json",
        "model_arch.json",
    ] {
        let mut members = unpack(&golden("conv1d.par_lat1"));
        members.retain(|(member, _)| member != name);
        assert!(refused(&pack(&members)).place.contains(name));
        members.push((name.to_owned(), b"[1, 2".to_vec()));
        assert!(refused(&pack(&members)).place.contains(name));
        members.last_mut().expect("a member").1 = b"[]".to_vec();
        assert!(refused(&pack(&members)).place.contains(name));
    }
    let changes: [(&str, Value); 4] = [
        ("version.json", json!({"model_graph": "2"})),
        (
            "config.json",
            json!({"config": {"Backend": "Quartus", "IOType": "io_parallel"}}),
        ),
        (
            "config.json",
            json!({"config": {"Backend": "Vitis", "IOType": "io_serial"}}),
        ),
        (
            "graph_state.json",
            json!({"inputs": ["inp", "inp"], "outputs": ["d"]}),
        ),
    ];
    for (name, content) in changes {
        let mut members = unpack(&golden("conv1d.par_lat1"));
        edit(&mut members, name, |value| *value = content);
        assert_eq!(refused(&pack(&members)).reason, Reason::Unsupported, "{name}");
    }
}

#[test]
fn several_outputs_and_strangers_are_refused() {
    let changes: [(&str, Value, Reason); 4] = [
        ("outputs", json!(["d_linear", "gap"]), Reason::Unsupported),
        ("outputs", json!(["nothing"]), Reason::Structure),
        ("inputs", json!(["nothing"]), Reason::Structure),
        ("inputs", json!(7), Reason::Structure),
    ];
    for (key, names, reason) in changes {
        let mut members = unpack(&golden("conv1d.par_lat1"));
        edit(&mut members, "graph_state.json", |state| state[key] = names);
        assert_eq!(refused(&pack(&members)).reason, reason);
    }
}

#[test]
fn weights_that_are_no_numbers_are_refused() {
    for poison in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut members = unpack(&golden("conv1d.par_lat1"));
        let array = member(&mut members, "c1_w3_data.npy");
        let end = array.len();
        array[end - 4..].copy_from_slice(&poison.to_le_bytes());
        let error = refused(&pack(&members));
        assert_eq!(error.reason, Reason::Inexact);
        assert!(
            error.place.contains("`c1`") && error.problem.contains("`weight`"),
            "{error}"
        );
    }
}

#[test]
fn arrays_of_other_shapes_are_refused() {
    for (from, to) in [
        ("(3, 3, 4)", "(3, 4, 3)"),
        ("(3, 3, 4)", "(3, 3,400000000000000000000)"),
        ("(3, 3, 4)", "(4294967296, 4294967296)"),
        ("'<f4'", "'>f4'"),
        ("'<f4'", "'<i4'"),
    ] {
        let mut members = unpack(&golden("conv1d.par_lat1"));
        let array = member(&mut members, "c1_w3_data.npy");
        let at = array
            .windows(from.len())
            .position(|window| window == from.as_bytes())
            .expect("the text in the header");
        array.splice(at..at + from.len(), to.bytes());
        let grown = to.len() as i64 - from.len() as i64;
        let length = (i64::from(u16::from_le_bytes([array[8], array[9]])) + grown) as u16;
        array[8..10].copy_from_slice(&length.to_le_bytes());
        assert_eq!(refused(&pack(&members)).reason, Reason::Structure, "{to}");
    }
    let mut members = unpack(&golden("conv1d.par_lat1"));
    members.retain(|(name, _)| name != "c1_w3_data.npy");
    assert!(refused(&pack(&members)).problem.contains("c1_w3_data.npy"));
}

#[test]
fn huge_and_impossible_sizes_are_refused() {
    for value in [
        json!(0),
        json!(-1),
        json!(1u64 << 40),
        json!(1e300),
        json!("eight"),
        json!([]),
    ] {
        for key in ["in_width", "n_filt", "filt_width", "stride_width", "out_width"] {
            refused_attribute("c1", &[key], value.clone());
        }
        if value != json!(0) {
            refused_attribute("c1", &["pad_left"], value.clone());
        }
        refused_attribute("c1", &["c1", "state", "shape"], json!([value]));
    }
    refused_attribute(
        "c1",
        &["c1", "state", "shape"],
        json!([1 << 20, 1 << 20, 1 << 20]),
    );
    refused_attribute("c1", &["reuse_factor"], json!(0));
    for (key, value) in [
        ("width", 0),
        ("width", 65),
        ("width", 1 << 40),
        ("integer", 5000),
        ("integer", i64::MIN),
    ] {
        let path = ["weight", "state", "type", "state", "precision", "state", key];
        refused_attribute("c1", &path, json!(value));
        let path = ["c1", "state", "type", "state", "precision", "state", key];
        refused_attribute("c1", &path, json!(value));
    }
    let path = ["accum_t", "state", "precision", "state", "width"];
    refused_attribute("c1", &path, json!(121));
}

#[test]
fn cyclic_and_dangling_graphs_are_refused() {
    for tensor in ["c1", "d_linear", "nothing", ""] {
        let mut members = unpack(&golden("conv1d.par_lat1"));
        edit(&mut members, "model_arch.json", |arch| {
            arch["c1"]["state"]["inputs"] = json!([tensor]);
        });
        let error = refused(&pack(&members));
        assert!(error.problem.contains("no earlier layer writes"), "{error}");
    }
    for inputs in [json!([]), json!(["zp", "zp"]), json!([3]), json!("zp")] {
        let mut members = unpack(&golden("conv1d.par_lat1"));
        edit(&mut members, "model_arch.json", |arch| {
            arch["c1"]["state"]["inputs"] = inputs
        });
        assert_eq!(refused(&pack(&members)).reason, Reason::Structure);
    }
}

#[test]
fn unknown_layers_and_types_name_their_domain_and_the_nearest_form() {
    for (class, hint) in [
        ("hls4ml.model.layers.LSTM", "Dense"),
        ("hls4ml.model.layers.LayerNormalization", "BatchNormalization"),
        ("hls4ml.contrib.Strange", "PointwiseConv1D"),
    ] {
        let mut members = unpack(&golden("conv1d.par_lat1"));
        edit(&mut members, "model_arch.json", |arch| {
            arch["c1"]["class_name"] = json!(class)
        });
        let error = refused(&pack(&members));
        assert_eq!(error.reason, Reason::Unsupported);
        let (domain, name) = class.rsplit_once('.').expect("a domain");
        assert!(
            error.problem.contains(domain) && error.problem.contains(name),
            "{error}"
        );
        assert!(error.repair.contains(hint), "{}", error.repair);
    }
    let precision = ["c1", "state", "type", "state", "precision", "class_name"];
    for class in [
        "XnorPrecisionType",
        "ExponentPrecisionType",
        "FloatPrecisionType",
        "StandardFloatPrecisionType",
        "UnspecifiedPrecisionType",
    ] {
        let error = refused_attribute("c1", &precision, json!(format!("hls4ml.model.types.{class}")));
        assert_eq!(error.reason, Reason::Unsupported, "{class}");
    }
    for class in ["CompressedWeightVariable", "ExponentWeightVariable"] {
        let class = json!(format!("hls4ml.model.types.{class}"));
        let error = refused_attribute("c1", &["weight", "class_name"], class);
        assert!(error.problem.contains("`weight`"), "{error}");
    }
    let error = refused_attribute("c1", &["data_format"], json!("channels_first"));
    assert_eq!(error.reason, Reason::Unsupported);
    // Without the adders there is nothing to compute.
    let error = refused_attribute("c1", &["strategy"], json!("distributed_arithmetic"));
    assert!(error.problem.contains("`da_codegen`"), "{error}");
}

/// A small deterministic generator (SplitMix64).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// A file that is accepted must also run, if it is small enough for a test.
fn run_if_small(network: &Network) {
    let sizes = |total: usize, len: usize| total.saturating_add(len);
    let elements = network.tensors.iter().map(|tensor| tensor.len()).fold(0, sizes);
    let products = network
        .nodes
        .iter()
        .map(|node| match &node.op {
            Op::Mac(mac) => network
                .tensor(node.output)
                .len()
                .saturating_mul(mac.geometry.taps(mac.groups)),
            Op::Pool(pool) => network
                .tensor(node.output)
                .len()
                .saturating_mul(pool.geometry.window.kernel[0])
                .saturating_mul(pool.geometry.window.kernel[1]),
            Op::Softmax(softmax) => network.tensor(node.output).len().saturating_mul(softmax.slice),
            _ => 0,
        })
        .fold(0, sizes);
    if elements > 100_000 || products > 1_000_000 {
        return;
    }
    let parameters = Parameters::of(network);
    let format = network.tensor(network.input).encoding;
    let length = network.tensor(network.input).len();
    for end in [format.range().0, format.range().1] {
        let trace = evaluate(network, &parameters, &vec![end as i64; length]);
        for (id, tensor) in network.tensors.iter().enumerate() {
            for &mantissa in trace.tensor(id.into()) {
                assert!(tensor.encoding.contains(mantissa.into()), "{}", tensor.name);
            }
        }
    }
}

/// The value of a JSON tree at a position in a walk.
fn at_position<'v>(value: &'v mut Value, position: &mut usize) -> Option<&'v mut Value> {
    if *position == 0 {
        return Some(value);
    }
    *position -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| at_position(item, position)),
        Value::Object(items) => items.values_mut().find_map(|item| at_position(item, position)),
        _ => None,
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(items) => items.values().map(count).sum(),
        _ => 0,
    }
}

const NETWORKS: [&str; 8] = [
    "acts.par_lat1",
    "conv1d.str_res4",
    "depthwise.str_res4",
    "merges.par_lat1",
    "padpool.par_lat1",
    "qk.par_lat1",
    "relu6.par_lat1",
    "stables.par_lat1",
];

#[test]
fn random_bytes_in_a_member_give_a_network_or_a_diagnostic() {
    let mut draws = Draws(1);
    for name in NETWORKS {
        let members = unpack(&golden(name));
        for _ in 0..40 {
            let mut damaged = members.clone();
            for _ in 0..=draws.below(3) {
                let which = draws.below(damaged.len());
                let content = &mut damaged[which].1;
                if content.is_empty() {
                    continue;
                }
                let at = draws.below(content.len());
                match draws.below(3) {
                    0 => content[at] ^= 1 << draws.below(8),
                    1 => content[at] = draws.next() as u8,
                    _ => content.truncate(at),
                }
            }
            match parse(&pack(&damaged)) {
                Ok(network) => run_if_small(&network),
                Err(error) => assert!(!error.place.is_empty() && !error.repair.is_empty(), "{error:?}"),
            }
        }
    }
}

#[test]
fn random_bytes_in_the_archive_give_a_network_or_a_diagnostic() {
    let mut draws = Draws(2);
    let whole = std::fs::read(golden("relu6.par_lat1")).expect("a golden file");
    for _ in 0..400 {
        let mut damaged = whole.clone();
        let at = draws.below(damaged.len());
        damaged[at] = draws.next() as u8;
        if let Ok(network) = parse(&damaged) {
            run_if_small(&network);
        }
    }
}

#[test]
fn random_values_in_the_graph_give_a_network_or_a_diagnostic() {
    let mut draws = Draws(3);
    let mut accepted = 0;
    for name in NETWORKS {
        let members = unpack(&golden(name));
        let arch = members.iter().find(|(member, _)| member == "model_arch.json");
        let arch: Value = serde_json::from_slice(&arch.expect("the graph").1).expect("JSON");
        let values = count(&arch);
        for _ in 0..250 {
            let mut damaged = arch.clone();
            let mut position = draws.below(values);
            let place = at_position(&mut damaged, &mut position).expect("a value");
            *place = match (draws.below(4), &*place) {
                (0, _) => Value::Null,
                (1, Value::String(_)) => {
                    json!(["SAT", "WRAP", "RND_CONV", "inp", "softmax", "elu"][draws.below(6)])
                }
                (2, Value::Bool(truth)) => json!(!truth),
                _ => json!(
                    [
                        0i64,
                        1,
                        2,
                        3,
                        5,
                        16,
                        60,
                        63,
                        64,
                        120,
                        127,
                        1024,
                        1 << 20,
                        1 << 28,
                        1 << 40,
                        -1,
                        -60,
                        -1100
                    ][draws.below(18)]
                ),
            };
            let mut changed = members.clone();
            *member(&mut changed, "model_arch.json") = serde_json::to_vec(&damaged).expect("JSON");
            match parse(&pack(&changed)) {
                Ok(network) => {
                    accepted += 1;
                    run_if_small(&network);
                }
                Err(error) => assert!(!error.place.is_empty() && !error.repair.is_empty(), "{error:?}"),
            }
        }
    }
    assert!(accepted > 0, "no changed network was accepted, so none was run");
}

/// A small archive unpacks to texts of any length; values are counted before they take memory.
#[test]
fn values_of_json_are_counted() {
    let mut members = unpack(&golden("thr.par_lat1"));
    let zeros = "0,".repeat(5_000_000);
    *member(&mut members, "model_arch.json") = format!("{{\"a\": [{zeros}0]}}").into_bytes();
    let error = refused(&pack(&members));
    assert!(error.problem.contains("beyond that of"), "{error}");
    assert!(error.place.contains("model_arch.json"), "{error}");
    // Inside a text they are none.
    *member(&mut members, "model_arch.json") = format!("{{\"a\": \"{zeros}\"}}").into_bytes();
    let error = refused(&pack(&members));
    assert!(error.place.contains("layer `a`"), "{error}");
}

#[test]
fn elements_of_all_tensors_are_counted() {
    let mut members = unpack(&golden("thr.par_lat1"));
    edit(&mut members, "model_arch.json", |arch| {
        let layers = arch.as_object_mut().expect("layers");
        let mut wide = layers["r"].clone();
        let input = layers["inp"].clone();
        layers.clear();
        layers.insert("inp".to_owned(), input);
        layers["inp"]["state"]["attributes"]["inp"]["state"]["shape"] = json!([1 << 26]);
        wide["state"]["inputs"] = json!(["inp"]);
        wide["state"]["attributes"]["r"]["state"]["shape"] = json!([1 << 26]);
        let own = wide["state"]["attributes"]["r"].clone();
        for name in ["one", "two", "three"] {
            let mut layer = wide.clone();
            layer["state"]["outputs"] = json!([name]);
            layer["state"]["attributes"][name] = own.clone();
            layers.insert(name.to_owned(), layer);
        }
    });
    let error = refused(&pack(&members));
    assert!(error.problem.contains("elements of all tensors"), "{error}");
    assert!(error.place.contains("layer `two`"), "{error}");
}

/// One line per output states a matrix of any width.
#[test]
fn coefficients_of_adder_graphs_are_counted() {
    const INPUTS: usize = 1 << 13;
    const OUTPUTS: usize = 1 << 12;
    let mut members = unpack(&golden("da.par"));
    edit(&mut members, "model_arch.json", |arch| {
        let layers = arch.as_object_mut().expect("layers");
        let mut dense = layers["d2"].clone();
        let input = layers["input_layer"].clone();
        layers.clear();
        layers.insert("input_layer".to_owned(), input);
        layers["input_layer"]["state"]["attributes"]["input_layer"]["state"]["shape"] = json!([INPUTS]);
        let lines: String = (0..OUTPUTS).map(|k| format!("model_out[{k}] = 0.0;\n")).collect();
        dense["state"]["inputs"] = json!(["input_layer"]);
        let attributes = &mut dense["state"]["attributes"];
        attributes["n_in"] = json!(INPUTS);
        attributes["n_out"] = json!(OUTPUTS);
        attributes["d2"]["state"]["shape"] = json!([OUTPUTS]);
        attributes["da_codegen"]["state"]["code"] = json!(format!("void f() {{\n{lines}}}\n"));
        layers.insert("d2".to_owned(), dense);
    });
    let error = refused(&pack(&members));
    assert!(error.problem.contains("beyond that of"), "{error}");
}

#[test]
fn windows_of_more_reads_than_any_chip_makes_are_refused_before_they_are_listed() {
    for kind in ["Conv1D", "Pooling1D"] {
        let mut members = unpack(&golden("conv1d.par_lat1"));
        let mut layer = String::new();
        edit(&mut members, "model_arch.json", |arch| {
            let layers = arch.as_object_mut().expect("layers");
            let of_kind = |entry: &Value| {
                entry["class_name"]
                    .as_str()
                    .is_some_and(|class| class.ends_with(&format!(".{kind}")))
            };
            let (name, entry) = layers
                .iter_mut()
                .find(|(_, entry)| of_kind(entry))
                .expect("a layer of the kind");
            layer = name.clone();
            let attributes = &mut entry["state"]["attributes"];
            let [size_in, size_out, window] = match kind {
                "Conv1D" => ["in_width", "out_width", "filt_width"],
                _ => ["n_in", "n_out", "pool_width"],
            };
            attributes[size_in] = json!(1 << 20);
            attributes[size_out] = json!((1 << 20) - (1 << 10) + 1);
            attributes[window] = json!(1 << 10);
            for key in ["stride_width", "pad_left", "pad_right"] {
                attributes[key] = json!(u8::from(key == "stride_width"));
            }
        });
        let error = refused(&pack(&members));
        assert!(error.place.contains(&format!("`{layer}`")), "{error}");
        assert!(error.expected.contains("reads per channel"), "{}", error.expected);
    }
}
