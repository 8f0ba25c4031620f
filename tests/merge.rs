//! Parts of a campaign, joined, are the campaign in one piece.

use std::fs;
use std::path::{Path, PathBuf};

use radstream::campaign::{SampleDesign, Shard};
use radstream::study::{
    AccumulationRequest, ActivationRequest, CampaignReport, Counts, ExhaustiveRequest, FaultListRequest,
    MergeRequest, RegisterRequest, Request, SampleRequest, SamplesRequest, Session, StudyError,
};

const PARTS: u64 = 3;

fn session(folder: PathBuf) -> Session {
    Session {
        folder: Some(folder),
        ..Session::default()
    }
}

fn samples() -> SamplesRequest {
    SamplesRequest {
        limit: Some(2),
        ..SamplesRequest::default()
    }
}

fn exhaustive(shard: Option<Shard>) -> ExhaustiveRequest {
    ExhaustiveRequest {
        samples: samples(),
        tensors: vec!["bias".to_owned(), "threshold".to_owned()],
        shard,
        ..ExhaustiveRequest::default()
    }
}

fn accumulation(shard: Option<Shard>) -> AccumulationRequest {
    AccumulationRequest {
        samples: samples(),
        trials: 20,
        flips: Some(5.into()),
        shard,
        ..AccumulationRequest::default()
    }
}

fn shards() -> impl Iterator<Item = Shard> {
    (1..=PARTS).map(|index| Shard { index, of: PARTS })
}

fn merge(parts: &[PathBuf], out: &Path) -> Result<CampaignReport, StudyError> {
    let request = MergeRequest {
        parts: parts.to_vec(),
    };
    request.run(&session(out.to_owned()))
}

fn refusal(result: Result<CampaignReport, StudyError>) -> String {
    match result {
        Err(StudyError::Request(report)) => report.to_string(),
        Err(other) => panic!("not a refusal: {other:?}"),
        Ok(_) => panic!("merged"),
    }
}

fn assert_same_files(one: &Path, other: &Path) {
    for name in ["records.csv", "summary.json"] {
        let read = |folder: &Path| fs::read(folder.join(name)).unwrap();
        assert!(read(one) == read(other), "{name} differs");
    }
}

/// Runs the parts of an exhaustive campaign.
fn exhaustive_parts(folder: &Path) -> Vec<PathBuf> {
    shards()
        .map(|shard| {
            let path = folder.join(format!("part-{}", shard.index));
            exhaustive(Some(shard)).run(&session(path.clone())).unwrap();
            path
        })
        .collect()
}

#[test]
fn parts_of_flips_one_by_one_join_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut parts = exhaustive_parts(folder.path());
    exhaustive(None).run(&session(at("whole"))).unwrap();
    parts.rotate_left(1);
    merge(&parts, &at("merged")).unwrap();
    assert_same_files(&at("whole"), &at("merged"));
    // Once more into the same folder.
    merge(&parts, &at("merged")).unwrap();
    assert_same_files(&at("whole"), &at("merged"));
}

#[test]
fn parts_of_random_flips_join() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let parts: Vec<PathBuf> = shards()
        .map(|shard| {
            let path = at(&format!("part-{}", shard.index));
            accumulation(Some(shard)).run(&session(path.clone())).unwrap();
            path
        })
        .collect();
    accumulation(None).run(&session(at("whole"))).unwrap();
    merge(&parts, &at("merged")).unwrap();
    assert_same_files(&at("whole"), &at("merged"));
}

/// Joins three parts of a campaign and compares them with the whole.
fn joins(request: impl Fn(Option<Shard>) -> Request) {
    let folder = tempfile::tempdir().unwrap();
    let run = |shard: Option<Shard>, name: &str| {
        let path = folder.path().join(name);
        let done = request(shard).run_campaign(&session(path.clone())).unwrap();
        assert!(done.is_some(), "a campaign");
        path
    };
    let parts: Vec<PathBuf> = shards()
        .map(|shard| run(Some(shard), &shard.index.to_string()))
        .collect();
    let (whole, merged) = (run(None, "whole"), folder.path().join("merged"));
    merge(&parts, &merged).unwrap();
    assert_same_files(&whole, &merged);
}

#[test]
fn parts_of_samples_codes_and_lists_join() {
    joins(|shard| {
        Request::Sample(SampleRequest {
            samples: samples(),
            design: SampleDesign::Count(90),
            shard,
            ..SampleRequest::default()
        })
    });
    joins(|shard| {
        Request::Activations(ActivationRequest {
            samples: samples(),
            draws: Some(9),
            shard,
            ..ActivationRequest::default()
        })
    });
    let list = tempfile::NamedTempFile::new().unwrap();
    let lines = (0..20).map(|trial| format!("{trial},conv_0.weight,{},{}\n", 3 * trial, trial % 3));
    let text = format!("trial,memory,word,bit\n{}", lines.collect::<String>());
    fs::write(list.path(), text).unwrap();
    joins(|shard| {
        Request::Faults(FaultListRequest {
            samples: samples(),
            faults: list.path().to_owned(),
            shard,
            ..FaultListRequest::default()
        })
    });
    joins(|shard| {
        Request::Accumulation(AccumulationRequest {
            flips: Some(Counts::List(vec![1, 4, 9])),
            from: vec!["stored".to_owned(), "mac".to_owned()],
            ..accumulation(shard)
        })
    });
}

#[test]
fn parts_of_strikes_on_registers_join() {
    let folder = tempfile::tempdir().unwrap();
    let request = |shard: Option<Shard>| RegisterRequest {
        samples: samples(),
        strikes: 50,
        shard,
        ..RegisterRequest::default()
    };
    let parts: Vec<PathBuf> = shards()
        .map(|shard| {
            let part = folder.path().join(shard.index.to_string());
            request(Some(shard)).run(&session(part.clone())).unwrap();
            part
        })
        .collect();
    let (whole, merged) = (folder.path().join("whole"), folder.path().join("merged"));
    request(None).run(&session(whole.clone())).unwrap();
    let CampaignReport::Registers(_) = merge(&parts, &merged).unwrap() else {
        panic!("another kind")
    };
    for file in ["records.csv", "summary.json", "register_avf.csv"] {
        assert_eq!(
            fs::read(whole.join(file)).unwrap(),
            fs::read(merged.join(file)).unwrap(),
            "{file}"
        );
    }
}

#[test]
fn what_is_no_set_of_parts_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let parts = exhaustive_parts(folder.path());
    let refused = |parts: &[PathBuf], words: &str| {
        let text = refusal(merge(parts, &at("merged")));
        assert!(text.contains(words), "{text}");
        assert!(!at("merged").exists());
    };
    refused(&[], "nothing to merge");
    refused(&parts[..2], "1 of 3 parts are missing: 3/3");
    refused(&[&parts[..], &parts[..1]].concat(), "part 1/3 is there twice");
    refused(&[at("nowhere")], "no manifest");
    let other = ExhaustiveRequest {
        samples: SamplesRequest {
            limit: Some(3),
            ..SamplesRequest::default()
        },
        ..exhaustive(Some(Shard { index: 3, of: PARTS }))
    };
    other.run(&session(at("other"))).unwrap();
    let mut mixed = parts.clone();
    mixed[2] = at("other");
    refused(&mixed, "samples.limit is 3, the other's 2");
    exhaustive(None).run(&session(at("whole"))).unwrap();
    refused(&[at("whole")], "not a part");
    let text = refusal(merge(&parts, &parts[1]));
    assert!(text.contains("is part 2/3 itself"), "{text}");
    let records = parts[1].join("records.csv");
    let mut text = fs::read_to_string(&records).unwrap();
    text.push('\n');
    fs::write(&records, text).unwrap();
    refused(&parts, "was changed");
    fs::remove_file(&records).unwrap();
    refused(&parts, "cannot be read");
}
