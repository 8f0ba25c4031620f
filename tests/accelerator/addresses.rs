//! Every stored bit has one logical and one physical address.

use std::collections::HashSet;

use proptest::prelude::*;
use radstream::accelerator::*;
use radstream::network::{LayerId, Network, ParamId, ParamKind};

use crate::nets::{Builder, dense, signed};

fn hardware(folding: Option<Folding>, packing: Packing) -> Hardware {
    Hardware {
        default: LayerHardware {
            folding,
            weights: Some(Storage {
                packing,
                ..Storage::default()
            }),
            ..LayerHardware::default()
        },
        ..Hardware::default()
    }
}

/// Walks over all bits in physical order and checks the whole contract of the map.
fn check(accelerator: &Accelerator) {
    let map = accelerator.map();
    let mut seen = HashSet::new();
    let mut padding: std::collections::HashMap<ParamId, u64> = Default::default();
    let mut next = 0;
    for (index, memory) in map.memories().iter().enumerate() {
        let id = MemoryId(index as u32);
        let image = accelerator.image(id);
        assert_eq!(map.memory_named(&memory.name), Some(id));
        assert_eq!(image.depth() as u64, memory.depth);
        for word in 0..memory.depth {
            for bit in 0..memory.word_bits {
                let address = BitAddress {
                    memory: id,
                    word,
                    bit,
                };
                let stored = StoredBit(next);
                assert_eq!(map.at(address), Some(stored));
                assert_eq!(map.address(stored), address);
                let logical = map.logical(stored);
                assert_eq!(map.find(logical), Some(stored), "{logical:?}");
                assert_eq!(map.physical(logical), Some(address));
                assert!(seen.insert(logical), "{logical:?} twice");

                let tensor = map.tensor(logical.param).unwrap();
                let value = image.word(word as usize)[bit as usize];
                if map.is_padding(stored) {
                    let rank = padding.entry(logical.param).or_default();
                    assert_eq!((logical.element, logical.bit), (tensor.elements() + *rank, 0));
                    assert!(!value);
                    *rank += 1;
                } else {
                    let mantissa =
                        accelerator.network().param(logical.param).values[logical.element as usize];
                    let bits = accelerator.stored_bits(logical.param, mantissa).unwrap();
                    assert_eq!(value, bits >> logical.bit & 1 == 1);
                }
                let named = accelerator.named(stored);
                let again = accelerator
                    .find_logical(&named.layer, &named.tensor, named.element, named.bit)
                    .unwrap();
                assert_eq!(again, stored);
                let again = accelerator
                    .find_physical(&named.memory, named.word, named.word_bit)
                    .unwrap();
                assert_eq!(again, stored);
                next += 1;
            }
            let beyond = BitAddress {
                memory: id,
                word,
                bit: memory.word_bits,
            };
            assert_eq!(map.at(beyond), None);
        }
    }
    assert_eq!(next, map.total_bits());
    for tensor in map.tensors() {
        let values = &accelerator.network().param(tensor.param).values;
        assert_eq!(tensor.elements(), values.len() as u64);
        assert_eq!(
            padding.get(&tensor.param).copied().unwrap_or(0),
            tensor.padding_bits()
        );
        let of_elements: u64 = (0..tensor.elements())
            .map(|element| tensor.element_bits(element).len() as u64)
            .sum();
        if !tensor.has_own_widths() {
            assert_eq!(of_elements, tensor.elements() * u64::from(tensor.code.width()));
        }
        assert_eq!(tensor.total_bits(), of_elements + tensor.padding_bits());
        assert_eq!(map.bits_of_elements(tensor.param).count() as u64, of_elements);
        let beyond = LogicalBit {
            param: tensor.param,
            element: tensor.elements() + tensor.padding_bits(),
            bit: 0,
        };
        assert_eq!(map.find(beyond), None);
    }
}

/// A dense layer of hls4ml's Latency strategy, which takes any reuse factor.
fn unrestricted(rows: usize, columns: usize, width: u32) -> Network {
    let mut network = dense(rows, columns, width);
    network.layers[0].hints.strategy = Some("latency".to_owned());
    network
}

fn divisor(of: usize, pick: usize) -> u32 {
    let divisors: Vec<usize> = (1..=of).filter(|d| of.is_multiple_of(*d)).collect();
    divisors[pick % divisors.len()] as u32
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_map_is_one_to_one_for_every_packing(
        (rows, columns, width) in (1usize..9, 1usize..13, 1u32..8),
        (pick_pe, pick_simd, pick_reuse) in (0usize..8, 0usize..8, 0usize..1000),
        (lanes, spare) in (1u32..9, 0u32..7),
    ) {
        let network = unrestricted(rows, columns, width);
        let finn = Folding::Finn { pe: divisor(rows, pick_pe), simd: divisor(columns, pick_simd) };
        let reuse_factor = (pick_reuse % (rows * columns) + 1) as u32;
        let words = |word_bits| Packing::Words { elements_per_word: lanes, word_bits };
        let cases = [
            hardware(None, Packing::Element),
            hardware(Some(finn), Packing::PerPe),
            hardware(Some(finn), Packing::Memblock),
            hardware(Some(Folding::Hls4ml { reuse_factor }), Packing::ReuseFactor),
            hardware(None, words(None)),
            hardware(None, words(Some(lanes * width + spare))),
        ];
        for case in cases {
            check(&Accelerator::build(&network, &case).unwrap());
        }
    }

    #[test]
    fn memblock_and_reuse_words_hold_what_their_tools_put_there(
        (rows, columns, width) in (1usize..9, 1usize..13, 1u32..8),
        (pick_pe, pick_simd, pick_reuse) in (0usize..8, 0usize..8, 0usize..1000),
    ) {
        let network = unrestricted(rows, columns, width);
        let weights = &network.params[0].values;
        let field = |image: &MemoryImage, word: usize, lane: usize| -> i64 {
            let bits = &image.word(word)[lane * width as usize..][..width as usize];
            signed(width).mantissa_of_bits(bits.iter_ones().map(|bit| 1 << bit).sum())
        };

        // FINN's make_weight_file: bits [(pe*SIMD+simd)*WW +: WW] of line nf*SF+sf.
        let (pe, simd) = (divisor(rows, pick_pe) as usize, divisor(columns, pick_simd) as usize);
        let finn = Folding::Finn { pe: pe as u32, simd: simd as u32 };
        let accelerator = Accelerator::build(&network, &hardware(Some(finn), Packing::Memblock)).unwrap();
        let image = accelerator.image(MemoryId(0));
        let sfs = columns / simd;
        for nf in 0..rows / pe {
            for sf in 0..sfs {
                for p in 0..pe {
                    for s in 0..simd {
                        let weight = weights[(nf * pe + p) * columns + sf * simd + s];
                        prop_assert_eq!(field(&image, nf * sfs + sf, p * simd + s), weight);
                    }
                }
            }
        }
        prop_assert_eq!(image.depth(), rows / pe * sfs);

        // hls4ml: word r lane k = w_flat[k*RF + r].
        let reuse = pick_reuse % (rows * columns) + 1;
        let hls4ml = Folding::Hls4ml { reuse_factor: reuse as u32 };
        let accelerator = Accelerator::build(&network, &hardware(Some(hls4ml), Packing::ReuseFactor)).unwrap();
        let image = accelerator.image(MemoryId(0));
        let lanes = (rows * columns).div_ceil(reuse);
        prop_assert_eq!(image.depth(), reuse);
        prop_assert_eq!(image.word_bits(), lanes * width as usize);
        for r in 0..reuse {
            for k in 0..lanes {
                let expected = weights.get(k * reuse + r).copied().unwrap_or(0);
                prop_assert_eq!(field(&image, r, k), expected);
            }
        }
    }
}

/// The narrowest format that holds a number, by trying: whether it has a sign, its last bit, its width.
fn narrowest(number: i64) -> (bool, u32, u32) {
    let number = i128::from(number);
    for width in 0..64 {
        for last in 0..64 {
            let unit = 1i128 << last;
            let patterns = 1i128 << width;
            if number % unit == 0 && (0..patterns).contains(&(number / unit)) {
                return (false, last, width);
            }
            if width > 0 && number % unit == 0 && (-patterns / 2..patterns / 2).contains(&(number / unit)) {
                return (true, last, width);
            }
        }
    }
    unreachable!("no format holds {number}")
}

/// One dense layer of these weights, each with a width of its own.
fn own_widths(values: &[i64], width: u32) -> Network {
    let mut builder = Builder::new(vec![values.len()], signed(8));
    let geometry = radstream::network::Geometry::dense(1, values.len(), 1);
    builder.product("fc", geometry, signed(width), values.to_vec(), false);
    let hints = &mut builder.network.layers[0].hints;
    hints.tensors.push(radstream::network::TensorHint {
        kind: ParamKind::Weight,
        name: Some("w2".to_owned()),
        logic: false,
        own_widths: true,
    });
    builder.network
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Registers of one element keep the bits of its own format, and what is left in them is that format's number;
    /// words of a memory keep the tensor's type.
    #[test]
    fn widths_of_their_own_keep_their_bits_and_no_others(
        raw in proptest::collection::vec((any::<i64>(), 0u32..40, any::<bool>()), 1..30),
        width in 1u32..41,
    ) {
        let fits = |(value, shift, zero): &(i64, u32, bool)| {
            if *zero { 0 } else { signed(width).mantissa_of_bits((*value as u64) << shift) }
        };
        let values: Vec<i64> = raw.iter().map(fits).collect();
        let network = own_widths(&values, width);
        let accelerator = Accelerator::build(&network, &Hardware::default()).unwrap();
        check(&accelerator);
        let map = accelerator.map();
        let mut total = 0;
        for (element, &value) in (0u64..).zip(&values) {
            let (has_sign, last, own) = narrowest(value);
            total += u64::from(own);
            for bit in 0..64 {
                let logical = LogicalBit { param: ParamId(0), element, bit };
                let exists = (last..last + own).contains(&bit) && own > 0;
                prop_assert_eq!(map.find(logical).is_some(), exists, "{} bit {}", value, bit);
                prop_assert_eq!(accelerator.find_logical("fc", "w2", element, bit).is_ok(), exists);
                if !exists {
                    continue;
                }
                // One bit inverted adds or takes its weight; the first bit of a sign counts negative.
                let weight = if has_sign && bit + 1 == last + own { -(1i64 << bit) } else { 1i64 << bit };
                let is_set = i128::from(value) >> bit & 1 == 1;
                let expected = if is_set { value - weight } else { value + weight };
                prop_assert_eq!(accelerator.flipped_value(ParamId(0), element, 1 << bit), Some(expected));
                let changes = radstream::fault::changes(&accelerator, &[map.find(logical).unwrap()]);
                prop_assert_eq!(changes.len(), 1);
                prop_assert_eq!((changes[0].element, changes[0].mantissa), (element as u32, expected));
            }
        }
        prop_assert_eq!(map.total_bits(), total);
        for memory in map.memories() {
            let part = memory.name.strip_prefix("fc.weight").unwrap();
            prop_assert_eq!(accelerator.find_memory(&format!("w2{part}")), map.memory_named(&memory.name));
        }

        let words = Packing::Words { elements_per_word: 1, word_bits: None };
        let rest = [(Style::Registers, words), (Style::RegisterFile, Packing::Element)];
        for (style, packing) in rest {
            let mut hardware = hardware(None, packing);
            hardware.default.weights = Some(Storage { style, packing, ..Storage::default() });
            let accelerator = Accelerator::build(&network, &hardware).unwrap();
            check(&accelerator);
            prop_assert_eq!(accelerator.map().total_bits(), values.len() as u64 * u64::from(width));
        }
    }
}

#[test]
fn a_bit_beside_an_elements_own_width_is_refused_with_what_is_there() {
    let accelerator = Accelerator::build(&own_widths(&[0, 12, -4], 7), &Hardware::default()).unwrap();
    let help = |element, bit| {
        let error = accelerator
            .find_logical("fc", "weight", element, bit)
            .unwrap_err();
        miette::Diagnostic::help(&error).unwrap().to_string()
    };
    assert!(help(0, 0).contains("this one is 0"), "{}", help(0, 0));
    assert!(help(1, 1).contains("2..=3"), "{}", help(1, 1));
    assert!(help(2, 3).contains("2..=2"), "{}", help(2, 3));
    let names: Vec<_> = accelerator
        .map()
        .memories()
        .iter()
        .map(|memory| (memory.name.as_str(), memory.depth, memory.word_bits))
        .collect();
    assert_eq!(names, [("fc.weight.bits2_2", 1, 1), ("fc.weight.bits2_3", 1, 2)]);
}

#[test]
fn the_default_is_one_element_per_word() {
    let accelerator = Accelerator::build(&dense(3, 5, 6), &Hardware::default()).unwrap();
    let [memory] = accelerator.map().memories() else {
        panic!("one memory")
    };
    assert_eq!(
        (memory.name.as_str(), memory.depth, memory.word_bits),
        ("fc.weight", 15, 6)
    );
    assert_eq!(memory.style, Style::Registers);
    let named = accelerator.named(accelerator.find_logical("fc", "weight", 7, 2).unwrap());
    assert_eq!((named.word, named.word_bit), (7, 2));
    assert_eq!(accelerator.stages()[0].product_cycles, 1);
    check(&accelerator);
}

#[test]
fn several_tensors_of_several_layers_keep_their_order() {
    let mut builder = Builder::new(vec![4], signed(8));
    let geometry = radstream::network::Geometry::dense(1, 4, 6);
    let first = builder.product("b.first", geometry, signed(3), vec![1; 24], false);
    builder.thresholds(first, 2, (0..12).collect(), signed(2));
    builder.param(first, ParamKind::Bias, vec![6], signed(9), (-3..3).collect());
    let geometry = radstream::network::Geometry::dense(1, 6, 2);
    builder.product("a", geometry, signed(2), vec![-1; 12], false);
    let finn = Folding::Finn { pe: 2, simd: 2 };
    let thresholds = ThresholdStorage {
        packing: Packing::PerPe,
        width: Some(12),
        encoding: ThresholdEncoding::DoubledDot,
        ..ThresholdStorage::default()
    };
    let mut hardware = hardware(Some(finn), Packing::PerPe);
    hardware.default.thresholds = Some(thresholds);
    let accelerator = Accelerator::build(&builder.network, &hardware).unwrap();
    check(&accelerator);
    let names: Vec<_> = accelerator
        .map()
        .memories()
        .iter()
        .map(|m| m.name.as_str())
        .collect();
    let expected = [
        "b.first.weight.0",
        "b.first.weight.1",
        "b.first.bias",
        "b.first.threshold.0",
        "b.first.threshold.1",
        "a.weight.0",
        "a.weight.1",
    ];
    assert_eq!(names, expected);
    // 24 weights of 3, 6 biases of 9, 12 thresholds of 12 and 12 weights of 2 bits.
    assert_eq!(accelerator.map().total_bits(), 72 + 54 + 144 + 24);
    assert_eq!(accelerator.map().bits_of_tensor(ParamKind::Threshold), 144);
    // Row 3 is channel 1 of PE 1; its steps lie side by side.
    let named = accelerator.named(accelerator.find_logical("b.first", "threshold", 7, 4).unwrap());
    assert_eq!(
        (named.memory.as_str(), named.word, named.word_bit),
        ("b.first.threshold.1", 1, 16)
    );
    // The network's thresholds can become whatever 12 stored bits stand for.
    let param = accelerator
        .network()
        .param_of(LayerId(0), ParamKind::Threshold)
        .unwrap();
    assert!(accelerator.network().param(param).encoding.contains(-1023));
    assert_eq!(accelerator.flipped_value(param, 7, 1), Some(7));
    assert_eq!(accelerator.flipped_value(param, 7, 0x800), Some(7 - 1024));
}

#[test]
fn constants_are_not_stored() {
    let mut hardware = Hardware::default();
    hardware.default.weights = Some(Storage {
        style: Style::Constant,
        ..Storage::default()
    });
    let accelerator = Accelerator::build(&dense(3, 5, 6), &hardware).unwrap();
    assert_eq!(accelerator.map().total_bits(), 0);
    assert_eq!(accelerator.stored_bits(ParamId(0), 1), None);
    let refused = accelerator.find_logical("fc", "weight", 0, 0).unwrap_err();
    assert!(matches!(refused, AddressError::Tensor { .. }), "{refused}");
}

#[test]
fn an_address_outside_is_refused_with_what_is_valid() {
    let words = Packing::Words {
        elements_per_word: 2,
        word_bits: Some(16),
    };
    let accelerator = Accelerator::build(&dense(3, 5, 6), &hardware(None, words)).unwrap();
    let refused = |result: Result<StoredBit, AddressError>| {
        let error = result.unwrap_err();
        let help = miette::Diagnostic::help(&error).unwrap().to_string();
        (error.to_string(), help)
    };
    let (text, help) = refused(accelerator.find_logical("fd", "weight", 0, 0));
    assert!(text.contains("`fd`") && help.contains("fc"), "{text} {help}");
    let (_, help) = refused(accelerator.find_logical("fc", "bias", 0, 0));
    assert!(help.contains("weight"), "{help}");
    // 15 elements in 8 words of 16 bits: 7 words pad 4 bits, the last 10.
    let (_, help) = refused(accelerator.find_logical("fc", "weight", 53, 0));
    assert!(help.contains("0..=14") && help.contains("15..=52"), "{help}");
    assert!(accelerator.find_logical("fc", "weight", 52, 0).is_ok());
    let (_, help) = refused(accelerator.find_logical("fc", "weight", 52, 1));
    assert!(help.contains("0..=0"), "{help}");
    let (_, help) = refused(accelerator.find_logical("fc", "weight", 14, 6));
    assert!(help.contains("0..=5"), "{help}");
    let (_, help) = refused(accelerator.find_physical("fc.weight", 8, 0));
    assert!(help.contains("0..=7"), "{help}");
    let (_, help) = refused(accelerator.find_physical("fc.weight", 0, 16));
    assert!(help.contains("0..=15"), "{help}");
    let (_, help) = refused(accelerator.find_physical("fc", 0, 0));
    assert!(help.contains("fc.weight"), "{help}");
    let (text, _) = refused(accelerator.parse_logical("fc", "weight", "-1", "0"));
    assert!(text.contains("`-1`"), "{text}");
    assert!(accelerator.parse_physical(" fc.weight ", " 7 ", "15").is_ok());
}
