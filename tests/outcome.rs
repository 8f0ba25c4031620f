//! Readouts, losses and the earth mover's distance against golden data computed elsewhere.

mod common;

use std::path::{Path, PathBuf};

use common::shared_data;
use radstream::data::{Array, Source, read};
use radstream::network::import::Reason;
use radstream::outcome::emd::EarthMover;
use radstream::outcome::loss::top1;
use radstream::outcome::{Evaluator, Loss, Readout, Scratch, Setup, emd, readout};

const DIGITS: [(&str, i32); 3] = [("small", 13), ("medium", 8), ("large", 10)];

fn array(file: PathBuf, key: Option<&str>) -> Array {
    read(&Source {
        file,
        key: key.map(str::to_owned),
    })
    .unwrap()
}

/// Mantissas times 2^-frac.
fn values(mantissas: &Array, frac: i32) -> Vec<f64> {
    let unit = libm::scalbn(1.0, -frac);
    mantissas.reals().iter().map(|mantissa| mantissa * unit).collect()
}

/// Mean losses and accuracy over all samples, in order.
fn means(evaluator: &Evaluator, outputs: &[f64], samples: usize) -> (f64, Option<f64>) {
    let mut scratch = Scratch::default();
    let (mut loss, mut accuracy) = (0.0, Some(0.0));
    for (sample, values) in outputs
        .chunks_exact(evaluator.readout().input_len())
        .take(samples)
        .enumerate()
    {
        let outcome = evaluator.evaluate(sample, values, false, &mut scratch);
        loss += outcome.loss;
        accuracy = accuracy.zip(outcome.accuracy).map(|(sum, share)| sum + share);
    }
    (loss / samples as f64, accuracy.map(|sum| sum / samples as f64))
}

fn setup(readout: Readout, loss: Loss) -> Setup {
    Setup {
        order: None,
        readout,
        loss,
        gather: None,
        target: None,
        samples: None,
        stated: None,
        labels: None,
        classes: None,
        metrics: vec![],
    }
}

/// What `encoder.json` says about the trained network's quality.
fn stated(folder: &Path, key: &str) -> f64 {
    let text = std::fs::read_to_string(folder.join("encoder.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json[key].as_f64().unwrap()
}

#[test]
fn digits_readouts_agree_with_float32() {
    let Some(data) = shared_data() else { return };
    for (size, frac) in DIGITS {
        for task in ["ae", "cls"] {
            let folder = data.join(format!("digits/{size}_{task}"));
            let readout = Readout::load(&folder.join("readout.onnx")).unwrap();
            let golden = folder.join("golden_test360.npz");
            let codes = values(&array(golden.clone(), Some("z")), frac);
            let expected = array(golden, Some("out")).reals();
            let largest = expected.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
            assert_eq!(readout.input_len(), 16);
            assert_eq!(readout.output_shape(), [if task == "ae" { 64 } else { 10 }]);
            let mut scratch = readout::Scratch::default();
            let mut compared = 0;
            for (code, expected) in codes
                .chunks_exact(16)
                .zip(expected.chunks_exact(readout.output_len()))
            {
                for (got, expected) in readout.evaluate(code, &mut scratch).iter().zip(expected) {
                    // A float32 evaluation of some hundred terms.
                    assert!(
                        (got - expected).abs() < 2e-6 * largest,
                        "{size}_{task}: {got} {expected}"
                    );
                    compared += 1;
                }
            }
            assert_eq!(compared, 360 * readout.output_len());
        }
    }
}

#[test]
fn digits_losses_are_those_of_the_training() {
    let Some(data) = shared_data() else { return };
    for (size, frac) in DIGITS {
        let folder = data.join(format!("digits/{size}_ae"));
        let golden = |key: &str| array(folder.join("golden_test360.npz"), Some(key));
        let codes = values(&golden("z"), frac);
        let readout = Readout::load(&folder.join("readout.onnx")).unwrap();
        let parts = Setup {
            order: None,
            target: Some(golden("x")),
            ..setup(readout, Loss::mse())
        };
        let (mse, accuracy) = means(&Evaluator::new(parts, 360, 16).unwrap(), &codes, 360);
        let expected = stated(&folder, "test_mse");
        assert!(
            (mse - expected).abs() < 1e-6 * expected,
            "{size}: {mse} {expected}"
        );
        assert_eq!(accuracy, None);

        let folder = data.join(format!("digits/{size}_cls"));
        let golden = |key: &str| array(folder.join("golden_test360.npz"), Some(key));
        let codes = values(&golden("z"), frac);
        let logits = golden("out").reals();
        let labels = golden("y").integers().unwrap();
        let load = || Readout::load(&folder.join("readout.onnx")).unwrap();
        let expected = stated(&folder, "test_acc");
        // Float32 logits give the expected cross-entropy by the textbook formula.
        let textbook: f64 = logits
            .chunks_exact(10)
            .zip(&labels)
            .map(|(row, &label)| row.iter().map(|x| x.exp()).sum::<f64>().ln() - row[label as usize])
            .sum::<f64>()
            / 360.0;
        for (loss, mean) in [
            (Loss::misclassify(), 1.0 - expected),
            (Loss::cross_entropy(), textbook),
            (Loss::mismatch(), 0.0),
        ] {
            let parts = Setup {
                order: None,
                labels: Some(golden("y")),
                ..setup(load(), loss)
            };
            let (loss, accuracy) = means(&Evaluator::new(parts, 360, 16).unwrap(), &codes, 360);
            assert!((loss - mean).abs() < 1e-6, "{size}: {loss} {mean}");
            assert!((accuracy.unwrap() - expected).abs() < 1e-12);
        }
        // Without labels the fault-free predictions stand for them, and those of float32 agree.
        let mut evaluator = Evaluator::new(setup(load(), Loss::misclassify()), 360, 16).unwrap();
        evaluator.remember(&codes);
        assert_eq!(means(&evaluator, &codes, 360), (0.0, Some(1.0)));
        let mut scratch = readout::Scratch::default();
        for (code, row) in codes.chunks_exact(16).zip(logits.chunks_exact(10)) {
            assert_eq!(top1(load().evaluate(code, &mut scratch)), top1(row));
        }
    }
}

/// A map of classes without a readout: the predictions and the pixel accuracy of the golden file.
#[test]
fn segmentation_predicts_every_pixel() {
    let Some(data) = shared_data() else { return };
    let golden = |key: &str| array(data.join("unet/unet_digits/golden_small.npz"), Some(key));
    let outputs = golden("out20");
    assert_eq!(outputs.shape, [20, 32, 32, 5]);
    let predicted = golden("pred").integers().unwrap();
    let labels = golden("y").integers().unwrap();
    let pixels = 1024;
    for (reference, key) in [(&predicted, "pred"), (&labels, "y")] {
        let parts = Setup {
            order: None,
            labels: Some(golden(key)),
            ..setup(Readout::identity(&[32, 32, 5]), Loss::misclassify())
        };
        let evaluator = Evaluator::new(parts, 20, 5 * pixels).unwrap();
        let mut scratch = Scratch::default();
        for (sample, output) in outputs.reals().chunks_exact(5 * pixels).enumerate() {
            let outcome = evaluator.evaluate(sample, output, false, &mut scratch);
            let range = sample * pixels..(sample + 1) * pixels;
            let wrong = predicted[range.clone()]
                .iter()
                .zip(&reference[range])
                .filter(|(a, b)| a != b)
                .count();
            assert_eq!(outcome.loss, wrong as f64 / pixels as f64);
            assert_eq!(outcome.correct, Some(wrong == 0));
        }
    }
}

/// Mean EMD of the first 500 rows as `facts/networks.md` prints it.
const ECONT: [(&str, i32, &str); 3] = [
    ("small", 13, "1.4799"),
    ("medium", 8, "1.0770"),
    ("large", 10, "0.8116"),
];

fn econt(data: &Path, file: &str, key: Option<&str>) -> Array {
    array(data.join("econt").join(file), key)
}

fn cell_distance(data: &Path) -> EarthMover {
    let distance = econt(data, "hgcal_geometry.npz", Some("cell_distance"));
    EarthMover::new(&distance.shape, &distance.reals()).unwrap()
}

#[test]
fn emd_of_decoded_cells() {
    let Some(data) = shared_data() else { return };
    let mover = cell_distance(&data);
    assert!(mover.is_metric());
    let pixels = econt(&data, "hgcal_geometry.npz", Some("pixel_of_cell"))
        .integers()
        .unwrap();
    let inputs = econt(&data, "hgcal_3500.npz", Some("x")).reals();
    let charges = econt(&data, "hgcal_3500.npz", Some("calq")).reals();
    let mut scratch = emd::Scratch::default();
    for (size, _, printed) in ECONT {
        let decoded = econt(&data, "emd_first500.npz", Some(&format!("decoded_{size}"))).reals();
        let golden = econt(&data, "emd_first500.npz", Some(&format!("emd_{size}"))).reals();
        assert_eq!(golden.len(), 500);
        let mut sum = 0.0;
        for (row, &expected) in golden.iter().enumerate() {
            let cells = &decoded[row * 48..][..48];
            let target: Vec<f64> = pixels
                .iter()
                .map(|&pixel| inputs[row * 64 + pixel as usize])
                .collect();
            let got = mover.emd(&target, cells, &mut scratch);
            assert!(
                (got - expected).abs() < 1e-6,
                "{size} row {row}: {got} {expected}"
            );
            // The inputs are the charges scaled by a power of two, so nothing changes at all.
            let from_charges = mover.emd(&charges[row * 48..][..48], cells, &mut scratch);
            assert_eq!(from_charges.to_bits(), got.to_bits());
            sum += got;
        }
        assert_eq!(format!("{:.4}", sum / 500.0), printed);
    }
}

#[test]
fn emd_through_the_decoders() {
    let Some(data) = shared_data() else { return };
    for (size, frac, printed) in ECONT {
        let readout = Readout::load(&data.join(format!("econt/econt_{size}_decoder.onnx"))).unwrap();
        let parts = Setup {
            order: None,
            gather: Some(econt(&data, "hgcal_geometry.npz", Some("pixel_of_cell"))),
            target: Some(econt(&data, "hgcal_3500.npz", Some("x"))),
            ..setup(readout, Loss::emd(cell_distance(&data)))
        };
        let evaluator = Evaluator::new(parts, 500, 16).unwrap();
        let codes = values(&econt(&data, &format!("econt_{size}_golden_out.npy"), None), frac);
        let golden = econt(&data, "emd_first500.npz", Some(&format!("emd_{size}"))).reals();
        let mut scratch = Scratch::default();
        let mut sum = 0.0;
        for (row, (code, expected)) in codes.chunks_exact(16).zip(golden).enumerate() {
            let got = evaluator.evaluate(row, code, false, &mut scratch).loss;
            assert!(
                (got - expected).abs() < 1e-5,
                "{size} row {row}: {got} {expected}"
            );
            sum += got;
        }
        assert_eq!(format!("{:.4}", sum / 500.0), printed);
    }
}

/// Every prefix of a real file either is refused or (cut between two messages) still a readout.
#[test]
fn truncated_readouts_are_refused() {
    let Some(data) = shared_data() else { return };
    let bytes = std::fs::read(data.join("digits/small_ae/readout.onnx")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.onnx");
    let mut refused = 0;
    let lengths: Vec<usize> = (0..200).chain((200..bytes.len()).step_by(97)).collect();
    for &len in &lengths {
        std::fs::write(&path, &bytes[..len]).unwrap();
        if let Err(error) = Readout::load(&path) {
            assert_eq!(error.file, path);
            assert!(!error.expected.is_empty() && !error.repair.is_empty());
            refused += 1;
        }
    }
    assert_eq!(refused, lengths.len());
    let missing = Readout::load(&folder.path().join("missing.onnx")).unwrap_err();
    assert_eq!(missing.reason, Reason::Structure);
}

#[test]
fn a_quantized_network_is_no_readout() {
    let Some(data) = shared_data() else { return };
    let path = data.join("digits/medium_ae/encoder.qonnx.onnx");
    let error = Readout::load(&path).unwrap_err();
    assert_eq!(error.reason, Reason::Unsupported);
    assert!(error.problem.contains("Quant"), "{error}");
    assert!(error.repair.contains("on the chip"), "{}", error.repair);
}
