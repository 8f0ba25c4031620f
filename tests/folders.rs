//! Output folders: what a killed run left is gone on with, and nothing is mixed, lost or left behind.

mod cli_common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use cli_common::{Workplace, model};
use prost::Message;
use radstream::network::import::onnx::proto::ModelProto;
use serde_json::{Value, json};

const MANIFEST: &str = "manifest.json";

/// All files of a folder by their relative paths; the manifest without its times.
fn contents(place: &Workplace, folder: &str) -> BTreeMap<PathBuf, String> {
    let root = place.path(folder);
    let mut found = BTreeMap::new();
    for file in place.files() {
        let Ok(name) = file.strip_prefix(&root) else {
            continue;
        };
        let mut text = fs::read_to_string(&file).unwrap();
        if name == Path::new(MANIFEST) {
            let mut manifest: Value = serde_json::from_str(&text).unwrap();
            assert!(manifest["finished"].is_string(), "{manifest}");
            for time in ["started", "finished"] {
                manifest[time] = Value::Null;
            }
            text = manifest.to_string();
        }
        found.insert(name.to_owned(), text);
    }
    assert!(found.len() > 1, "{folder}: {found:?}");
    found
}

fn manifest(place: &Workplace, folder: &str) -> Value {
    serde_json::from_str(&place.read(&format!("{folder}/{MANIFEST}"))).unwrap()
}

fn start(place: &Workplace, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_radstream"))
        .current_dir(place.path("."))
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills a run (SIGKILL) as soon as `when` holds; whether it was still at work.
fn kill(place: &Workplace, arguments: &[&str], when: impl Fn() -> bool) -> bool {
    let mut child = start(place, arguments);
    let deadline = Instant::now() + Duration::from_secs(120);
    while !when() && child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "{arguments:?}: nothing to kill");
        sleep(Duration::from_micros(200));
    }
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

/// Holds once a file has this many bytes.
fn has(file: PathBuf, bytes: u64) -> impl Fn() -> bool {
    move || fs::metadata(&file).is_ok_and(|data| data.len() > bytes)
}

/// Fails with status 2, says these words, and changes no file.
fn refused(place: &Workplace, arguments: &[&str], words: &[&str]) {
    let state = || -> BTreeMap<PathBuf, Vec<u8>> {
        let lock = |file: &PathBuf| file.ends_with("manifest.lock");
        let files = place.files().into_iter().filter(|file| !lock(file));
        files
            .map(|file| (file.clone(), fs::read(file).unwrap()))
            .collect()
    };
    let before = state();
    let output = place.run(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    for word in words {
        assert!(
            said.contains(word),
            "{arguments:?}: `{word}` is missing in: {said}"
        );
    }
    assert_eq!(state(), before, "{arguments:?} changed files");
}

const HARDEN: [&str; 9] = [
    "harden", "--limit", "12", "--trials", "300", "--budget", "20%tmr", "--out", "h",
];

#[test]
fn harden_killed_in_any_phase_ends_as_if_it_never_was() {
    let whole = Workplace::new();
    let started = Instant::now();
    whole.done(&HARDEN);
    let lasted = started.elapsed();
    let expected = contents(&whole, "h");
    let cut = |when: &dyn Fn(&Workplace) -> Box<dyn Fn() -> bool>| {
        let place = Workplace::new();
        let killed = kill(&place, &HARDEN, when(&place));
        if killed {
            assert!(manifest(&place, "h")["finished"].is_null());
        }
        place.done(&HARDEN);
        assert_eq!(contents(&place, "h"), expected);
        killed
    };
    // One moment in each phase that lasts, and the first file of those that are short.
    for file in [
        "h/records.partial",
        "h/trials_plain_same_flips.partial",
        "h/trials_full_same_flux.partial",
        "h/protection.json",
        "h/summary.txt",
    ] {
        let killed = cut(&|place| Box::new(has(place.path(file), 60)));
        let short = ["h/protection.json", "h/summary.txt"].contains(&file);
        assert!(killed || short, "{file}");
    }
    for eighth in 1..8 {
        let wait = lasted * eighth / 8;
        cut(&|_| {
            let start = Instant::now();
            Box::new(move || start.elapsed() > wait)
        });
    }
}

/// What a kill leaves of a finished study: from this phase on nothing is done, and its first file is cut.
fn cut_back(place: &Workplace, folder: &str, phase: usize) {
    let mut manifest = manifest(place, folder);
    manifest["finished"] = Value::Null;
    let phases = manifest["phases"].as_array_mut().unwrap();
    for (at, left) in phases.iter_mut().enumerate().skip(phase) {
        left["done"] = Value::Bool(false);
        let grows = ["campaign", "trials"].contains(&left["name"].as_str().unwrap());
        let files = left["files"].as_array_mut().unwrap();
        let mut grown = vec![];
        for (number, file) in files.iter_mut().enumerate() {
            file["sha256"] = Value::Null;
            let name = format!("{folder}/{}", file["path"].as_str().unwrap());
            let text = place.read(&name);
            fs::remove_file(place.path(&name)).unwrap();
            let partial = name.replace(".csv", ".partial");
            if at == phase && number == 0 {
                let kept = if grows { &partial } else { &name };
                place.text(kept, &text[..text.len() / 2]);
            }
            if grows {
                let path = partial.strip_prefix(&format!("{folder}/")).unwrap();
                grown.push(json!({"path": path, "sha256": null}));
            }
        }
        files.extend(grown);
    }
    place.text(&format!("{folder}/{MANIFEST}"), &manifest.to_string());
}

#[test]
fn each_phase_of_harden_is_resumed_by_itself() {
    let place = Workplace::new();
    place.done(&HARDEN);
    let expected = contents(&place, "h");
    let phases = manifest(&place, "h")["phases"].as_array().unwrap().len();
    assert_eq!(phases, 4);
    for phase in 0..phases {
        cut_back(&place, "h", phase);
        place.done(&HARDEN);
        assert_eq!(contents(&place, "h"), expected, "phase {phase}");
    }
}

#[test]
fn every_kind_of_campaign_is_killed_and_resumed() {
    let missions = "digits_medium_ae";
    let network = model(missions).display().to_string();
    let small = model("digits_small_cls").display().to_string();
    let kinds: [&[&str]; 5] = [
        &["--exhaustive", "--limit", "60"],
        &[&network, "--trials", "6000", "--flips", "9", "--limit", "20"],
        &[
            &network,
            "--mission",
            "100",
            "--rate-per-s",
            "1e-4",
            "--repetitions",
            "4000",
            "--limit",
            "4",
        ],
        &[
            "--memory",
            "bits=4096",
            "--mission",
            "1000",
            "--rate-per-s",
            "1e-3",
            "--repetitions",
            "6000",
        ],
        &[&small, "--registers", "3000", "--limit", "2"],
    ];
    for kind in kinds {
        let command = [&["campaign", "--out", "c"], kind].concat();
        let whole = Workplace::new();
        whole.done(&command);
        let expected = contents(&whole, "c");
        assert!(expected.contains_key(Path::new("records.csv")), "{command:?}");
        let place = Workplace::new();
        for bytes in [400, 40_000] {
            let killed = kill(&place, &command, has(place.path("c/records.partial"), bytes));
            assert!(killed, "{command:?} was over too soon");
            assert!(!place.path("c/records.csv").exists());
        }
        let kept = place.read("c/records.partial");
        let whole = &expected[Path::new("records.csv")];
        let lines = kept.rfind('\n').unwrap();
        assert!(whole.starts_with(&kept[..lines]), "{command:?}");
        place.done(&command);
        assert_eq!(contents(&place, "c"), expected, "{command:?}");
    }
}

/// A campaign on flips of biases, which is soon over.
fn biases(network: &str, out: &str, more: &[&str]) -> Vec<String> {
    let limit: &[&str] = if more.contains(&"--limit") {
        &[]
    } else {
        &["--limit", "30"]
    };
    let base = [
        "campaign",
        "--exhaustive",
        network,
        "--tensors",
        "bias",
        "--out",
        out,
    ];
    [&base, limit, more]
        .concat()
        .iter()
        .map(|&word| word.to_owned())
        .collect()
}

#[test]
fn what_was_begun_otherwise_is_refused_and_what_was_finished_otherwise_starts_anew() {
    let place = Workplace::new();
    let folder = model("digits_small_cls");
    let network = folder.display().to_string();
    // Logits in another order, and a readout with another weight.
    let order: Vec<i64> = (0..10).rev().collect();
    place.vector("gather.npy", order);
    place.rows("targets.npy", 360, 10, 0.5);
    place.vector("labels.npy", (0..360).map(|at| at % 2).collect::<Vec<i64>>());
    place.text(
        "packed.ron",
        r#"Hardware(name: "packed", technology: "xc7", default: (biases: (style: LutRam, packing: PerPe)))"#,
    );
    let mut readout = ModelProto::decode(fs::read(folder.join("readout.onnx")).unwrap().as_slice()).unwrap();
    let constants = &mut readout.graph.as_mut().unwrap().initializer;
    let weights = constants
        .iter_mut()
        .max_by_key(|constant| constant.raw_data.len())
        .unwrap();
    weights.raw_data[..4].copy_from_slice(&9_f32.to_le_bytes());
    place.bytes("other.onnx", &readout.encode_to_vec());
    let changes: [&[&str]; 6] = [
        &["--classes", "2"],
        &["--readout", "other.onnx"],
        &["--gather", "gather.npy"],
        &["--loss", "mse", "--target", "targets.npy"],
        &["--hardware", "packed.ron"],
        &["--limit", "29"],
    ];
    let run = |place: &Workplace, out: &str, more: &[&str]| {
        let words = biases(&network, out, &[&["--labels", "labels.npy"], more].concat());
        let output = place.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let mut identities = vec![];
    assert_eq!(run(&place, "c", &[]).0, Some(0));
    identities.push(manifest(&place, "c")["phases"][0]["fingerprint"].clone());
    let begun = contents(&place, "c");
    for (at, change) in changes.iter().enumerate() {
        let fresh = format!("fresh{at}");
        let (status, said) = run(&place, &fresh, change);
        assert_eq!(status, Some(0), "{change:?}: {said}");
        let identity = manifest(&place, &fresh)["phases"][0]["fingerprint"].clone();
        assert!(
            !identities.contains(&identity),
            "{change:?}: the fingerprint is the same"
        );
        identities.push(identity);
        cut_back(&place, "c", 0);
        let partial = place.read("c/records.partial");
        let (status, said) = run(&place, "c", change);
        assert_eq!(status, Some(2), "{change:?}: {said}");
        assert!(said.contains("another plan") && said.contains("--out"), "{said}");
        assert_eq!(place.read("c/records.partial"), partial);
        assert_eq!(run(&place, "c", &[]).0, Some(0));
        assert_eq!(contents(&place, "c"), begun);
        // Finished, it gives way to the other one, which is as in a folder of its own.
        assert_eq!(run(&place, "c", change).0, Some(0));
        for name in ["records.csv", "summary.json"] {
            let read = |folder: &str| place.read(&format!("{folder}/{name}"));
            assert_eq!(read("c"), read(&fresh), "{change:?}: {name}");
        }
        assert_eq!(run(&place, "c", &[]).0, Some(0));
        assert_eq!(contents(&place, "c"), begun, "{change:?}");
    }
}

#[test]
fn another_content_of_an_input_file_is_another_study() {
    let place = Workplace::new();
    let folder = model("digits_small_cls");
    for name in ["model.ron", "encoder.qonnx.onnx", "readout.onnx", "data.npz"] {
        let bytes = fs::read(folder.join(name)).unwrap();
        place.bytes(&format!("net/{name}"), &bytes);
    }
    place.npy("x.npy", &[30, 64], vec![0.5_f32; 30 * 64]);
    let command = biases("net", "c", &["--inputs", "x.npy"]);
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    place.done(&command);
    let before = place.read("c/records.csv");
    cut_back(&place, "c", 0);
    place.npy("x.npy", &[30, 64], vec![0.25_f32; 30 * 64]);
    refused(&place, &command, &["another plan", "x.npy has other contents"]);
    place.npy("x.npy", &[30, 64], vec![0.5_f32; 30 * 64]);
    place.done(&command);
    assert_eq!(place.read("c/records.csv"), before);
}

#[test]
fn kinds_never_write_over_one_another() {
    let place = Workplace::new();
    place.done(&["campaign", "--exhaustive", "--tensors", "bias", "--limit", "2"]);
    place.done(&["campaign", "--trials", "5", "--flips", "2", "--limit", "2"]);
    let mission = [
        "--mission",
        "10",
        "--rate-per-s",
        "1e-4",
        "--repetitions",
        "3",
        "--limit",
        "2",
    ];
    place.done(&[&["campaign"], &mission[..]].concat());
    place.done(&["campaign", "--registers", "5", "--limit", "2"]);
    let kinds = ["exhaustive", "accumulation", "mission", "registers"];
    for kind in kinds {
        let folder = format!("campaign-{kind}-digits_medium_ae");
        assert_eq!(manifest(&place, &folder)["kind"], format!("campaign-{kind}"));
    }
    let exhaustive = format!("campaign-{}-digits_medium_ae", kinds[0]);
    let into = [
        &[
            "campaign",
            "--ranking",
            &exhaustive,
            "--protect",
            "32%",
            "--scheme",
            "tmr",
            "--out",
            &exhaustive,
        ],
        &mission[..],
    ]
    .concat();
    refused(&place, &into, &["campaign-exhaustive", "--out", "--force"]);
}

#[test]
fn strangers_files_are_in_the_way() {
    let place = Workplace::new();
    for name in [
        "records.csv",
        "summary.json",
        "protection.json",
        "masks/conv_0_weight_mask.mem",
    ] {
        let place = Workplace::new();
        place.text(&format!("h/{name}"), "mine");
        refused(&place, &HARDEN, &[name, "--force"]);
    }
    place.text("h/records.csv", "mine");
    place.text("h/notes.txt", "mine");
    place.done(&[&HARDEN[..], &["--force"]].concat());
    assert_eq!(place.read("h/notes.txt"), "mine");
    assert_ne!(place.read("h/records.csv"), "mine");
    // A file of the study that somebody changed is a stranger's.
    place.text("h/summary.txt", "mine");
    refused(&place, &HARDEN, &["summary.txt", "changed", "--force"]);
}

#[test]
fn other_hardware_leaves_no_old_masks() {
    let place = Workplace::new();
    place.done(&HARDEN);
    place.text("h/masks/mine.mem", "mine");
    let per_pe = r#"Hardware(name: "per PE", technology: "xc7", layers: {
        "conv_0": (folding: Finn(pe: 4, simd: 3), weights: (style: LutRam, packing: PerPe)),
    })"#;
    place.text("per_pe.ron", per_pe);
    let other = [&HARDEN[..], &["--hardware", "per_pe.ron"]].concat();
    place.done(&other);
    let fresh = Workplace::new();
    fresh.text("per_pe.ron", per_pe);
    fresh.done(&other);
    let mut left = contents(&place, "h");
    let expected = contents(&fresh, "h");
    assert_eq!(left.remove(Path::new("masks/mine.mem")).as_deref(), Some("mine"));
    let names = |files: &BTreeMap<PathBuf, String>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&left), names(&expected));
    let first = Workplace::new();
    first.done(&HARDEN);
    assert_ne!(
        names(&expected),
        names(&contents(&first, "h")),
        "the hardware has the same files"
    );
}

#[test]
fn a_second_process_is_refused_by_name_and_nothing_is_lost() {
    let place = Workplace::new();
    let long = ["campaign", "--exhaustive", "--limit", "60", "--out", "c"];
    let mut first = start(&place, &long);
    let records = place.path("c/records.partial");
    while !has(records.clone(), 100)() {
        assert!(first.try_wait().unwrap().is_none(), "it was over too soon");
        sleep(Duration::from_millis(1));
    }
    let output = place.run(&long);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let name = format!("{}", first.id());
    assert!(
        said.contains(&name) && said.contains("works in this folder"),
        "{said}"
    );
    assert!(first.wait().unwrap().success());
    let alone = Workplace::new();
    alone.done(&long);
    assert_eq!(contents(&place, "c"), contents(&alone, "c"));
}
