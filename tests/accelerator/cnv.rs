//! FINN's CNV networks against the memories of their original design.

use std::path::Path;

use radstream::accelerator::{Accelerator, Hardware, Style};
use radstream::data::{Source, read};
use radstream::network::*;
use serde_json::Value;

use crate::common::shared_data;
use crate::nets::{Builder, signed};

const NETS: [&str; 2] = ["cnvW1A1", "cnvW2A2"];

fn integers(folder: &Path, net: &str, key: &str) -> (Vec<usize>, Vec<i64>) {
    let source = Source {
        file: folder.join("cnv").join(format!("{net}.npz")),
        key: Some(key.to_owned()),
    };
    let array = read(&source).unwrap();
    (array.shape.clone(), array.integers().unwrap())
}

fn number(layer: &Value, key: &str) -> usize {
    layer[key].as_u64().unwrap_or_else(|| panic!("no {key}")) as usize
}

fn layer_name(index: usize, layer: &Value) -> String {
    let operator = if layer["type"] == "conv" { "Conv" } else { "MatMul" };
    format!("{operator}_{index}")
}

fn description(folder: &Path, net: &str) -> Value {
    let text = std::fs::read_to_string(folder.join("cnv").join(format!("{net}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The network with its thresholds where the engine compares them: on the dot product, or on the count
/// of matching bits.
fn network(folder: &Path, net: &str) -> Network {
    let description = description(folder, net);
    let layers = description["layers"].as_array().unwrap();
    let bipolar = Encoding::Bipolar { frac: 0 };
    let mut builder = Builder::new(vec![32, 32, 3], signed(8));
    for (index, layer) in layers.iter().enumerate() {
        let (rows, columns) = (number(layer, "MH"), number(layer, "MW"));
        let weight = if number(layer, "weight_bits") == 1 {
            bipolar
        } else {
            signed(2)
        };
        let popcount = net == "cnvW1A1" && index > 0;
        let geometry = if layer["type"] == "conv" {
            let channels = number(layer, "ifm_ch");
            let (input, output) = (number(layer, "ifm_dim"), number(layer, "ofm_dim"));
            let kernel = number(layer, "kernel");
            Geometry {
                input: [input, input, channels],
                output: [output, output, rows],
                window: Window {
                    kernel: [kernel, kernel],
                    stride: [1, 1],
                    dilation: [1, 1],
                    pad: [0, 0],
                },
            }
        } else {
            Geometry::dense(1, columns, rows)
        };
        let (_, weights) = integers(folder, net, &format!("L{index}_W"));
        let name = layer_name(index, layer);
        let id = builder.product(&name, geometry, weight, weights, popcount);
        let steps = number(layer, "thresholds_per_row");
        if steps > 0 {
            let (shape, dots) = integers(folder, net, &format!("L{index}_Tdot"));
            assert_eq!(shape, [rows, steps]);
            let values = dots
                .into_iter()
                .map(|dot| {
                    if popcount {
                        (columns as i64 + dot).div_euclid(2) + (columns as i64 + dot).rem_euclid(2)
                    } else {
                        dot
                    }
                })
                .collect();
            let output = if net == "cnvW1A1" { bipolar } else { signed(2) };
            builder.thresholds(id, steps, values, output);
        }
    }
    builder.network
}

fn accelerator(folder: &Path, net: &str) -> Accelerator {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("hw_configs/{net}.ron"));
    let hardware = Hardware::read(&file).unwrap();
    Accelerator::build(&network(folder, net), &hardware).unwrap()
}

#[test]
fn weight_memories_equal_the_original_ones_word_by_word() {
    let Some(folder) = shared_data() else { return };
    for net in NETS {
        let accelerator = accelerator(&folder, net);
        let mut words = 0;
        for (index, layer) in description(&folder, net)["layers"]
            .as_array()
            .unwrap()
            .iter()
            .enumerate()
        {
            let (shape, original) = integers(&folder, net, &format!("L{index}_mem"));
            let [pes, depth] = shape[..] else {
                panic!("{shape:?}")
            };
            for pe in 0..pes {
                let name = format!("{}.weight.{pe}", layer_name(index, layer));
                let id = accelerator.map().memory_named(&name).expect("a memory per PE");
                let memory = accelerator.map().memory(id);
                assert_eq!(memory.depth, depth as u64, "{name}");
                assert_eq!(
                    u64::from(memory.word_bits),
                    number(layer, "weight_word_bits") as u64
                );
                let image = accelerator.image(id);
                for (word, &expected) in original[pe * depth..][..depth].iter().enumerate() {
                    let stored = image.word(word);
                    let value: u64 = stored.iter_ones().map(|bit| 1u64 << bit).sum();
                    assert_eq!(value, expected as u64, "{net} {name} word {word}");
                    words += 1;
                }
            }
        }
        // Words of all weight memories: what the original design holds.
        let expected: usize = description(&folder, net)["layers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|layer| number(layer, "PE") * number(layer, "WMEM"))
            .sum();
        assert_eq!(words, expected);
    }
}

#[test]
fn stored_thresholds_equal_the_original_ones() {
    let Some(folder) = shared_data() else { return };
    for net in NETS {
        let accelerator = accelerator(&folder, net);
        for (index, layer) in description(&folder, net)["layers"]
            .as_array()
            .unwrap()
            .iter()
            .enumerate()
        {
            let steps = number(layer, "thresholds_per_row");
            if steps == 0 {
                continue;
            }
            let (_, original) = integers(&folder, net, &format!("L{index}_T"));
            let (_, dots) = integers(&folder, net, &format!("L{index}_Tdot"));
            let (pes, width) = (number(layer, "PE"), number(layer, "threshold_bits"));
            let id = accelerator
                .network()
                .layer_named(&layer_name(index, layer))
                .unwrap();
            let param = accelerator.network().param_of(id, ParamKind::Threshold).unwrap();
            assert_eq!(accelerator.stored_width(param), Some(width as u32));
            for (element, &expected) in original.iter().enumerate() {
                let (row, step) = (element / steps, element % steps);
                let name = format!("{}.threshold.{}", layer_name(index, layer), row % pes);
                let memory = accelerator.map().memory_named(&name).unwrap();
                let image = accelerator.image(memory);
                assert_eq!(image.depth(), number(layer, "TMEM"));
                let bits = &image.word(row / pes)[step * width..][..width];
                let stored: u64 = bits.iter_ones().map(|bit| 1u64 << bit).sum();
                let mask = (1u64 << width) - 1;
                let free = if index == 0 { 1 } else { 0 };
                assert_eq!(
                    stored & !free,
                    expected as u64 & mask & !free,
                    "{net} {name} row {row}"
                );

                // The original number, too, stands for the network's threshold, and so do its
                // neighbours one flip away: `sum > stored` as the hardware compares.
                for flipped in (0..width).map(|bit| 1u64 << bit).chain([0]) {
                    let bits = (expected as u64 & mask) ^ flipped;
                    let number = ((bits << (64 - width)) as i64) >> (64 - width);
                    let threshold = accelerator.mantissa_of_stored(param, bits).unwrap();
                    let factor = if index == 0 { 2 } else { 1 };
                    for sum in [threshold - 1, threshold] {
                        assert_eq!(sum >= threshold, factor * sum > number, "{net} {name} {bits:x}");
                    }
                }
                let columns = number(layer, "MW") as i64;
                let decoded = accelerator.mantissa_of_stored(param, expected as u64).unwrap();
                let dot = if net == "cnvW1A1" && index > 0 {
                    2 * decoded - columns
                } else {
                    decoded
                };
                assert_eq!(dot, dots[element], "{net} {name} row {row} step {step}");
            }
        }
    }
}

#[test]
fn totals_and_cycles_equal_the_published_ones() {
    let Some(folder) = shared_data() else { return };
    for net in NETS {
        let accelerator = accelerator(&folder, net);
        let description = description(&folder, net);
        let total = |key: &str| description["total"][key].as_u64().unwrap();
        let map = accelerator.map();
        assert_eq!(map.bits_of_tensor(ParamKind::Weight), total("weight_mem_bits"));
        assert_eq!(
            map.bits_of_tensor(ParamKind::Threshold),
            total("threshold_mem_bits")
        );
        assert_eq!(
            map.total_bits(),
            total("weight_mem_bits") + total("threshold_mem_bits")
        );
        let products: u64 = accelerator
            .stages()
            .iter()
            .map(|stage| stage.product_cycles)
            .sum();
        assert_eq!(products, total("sum_mvau_cycles"));
        assert_eq!(
            accelerator.initiation_interval(),
            Some(total("bottleneck_cycles"))
        );
        for (stage, layer) in accelerator
            .stages()
            .iter()
            .zip(description["layers"].as_array().unwrap())
        {
            assert_eq!(stage.product_cycles, number(layer, "mvau_cycles") as u64);
            let window = layer["swg_cycles"].as_u64();
            assert_eq!(stage.window_cycles(), window, "{net}");
        }
        assert!(
            map.memories()
                .iter()
                .all(|memory| memory.style != Style::Registers)
        );
    }
}
