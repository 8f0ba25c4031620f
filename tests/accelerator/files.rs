//! Hardware files: what they say, and what is refused where.

use miette::{Diagnostic, SourceSpan};
use radstream::accelerator::*;
use radstream::data::{RonError, SourceText};
use radstream::fixed_point::Overflow;
use radstream::network::{Encoding, Op, ParamKind};

use crate::nets::{Builder, dense, signed};

fn parse(text: &str) -> Result<Hardware, RonError> {
    Hardware::parse(SourceText::new("test.ron", text))
}

fn refused(text: &str) -> Box<HardwareError> {
    let mut builder = Builder::new(vec![4], signed(8));
    let geometry = radstream::network::Geometry::dense(1, 4, 6);
    let layer = builder.product("fc", geometry, signed(3), vec![1; 24], false);
    builder.thresholds(layer, 1, (0..6).collect(), signed(2));
    Accelerator::build(&builder.network, &parse(text).unwrap()).unwrap_err()
}

fn help(error: &dyn Diagnostic) -> String {
    error.help().unwrap().to_string()
}

fn marked(text: &str, span: SourceSpan) -> &str {
    &text[span.offset()..span.offset() + span.len()]
}

#[test]
fn the_commented_example_reads_and_builds() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("hw_configs/example.ron");
    let hardware = Hardware::read(&file).unwrap();
    let mut builder = Builder::new(vec![8], signed(8));
    for name in hardware.layers.keys() {
        let geometry = radstream::network::Geometry::dense(1, 8, 8);
        let layer = builder.product(name, geometry, signed(4), vec![1; 64], false);
        builder.param(layer, ParamKind::Bias, vec![8], signed(8), vec![1; 8]);
        if hardware.layers[name].thresholds.is_some() {
            builder.thresholds(layer, 1, vec![3; 8], signed(8));
        }
    }
    let accelerator = Accelerator::build(&builder.network, &hardware).unwrap();
    assert!(accelerator.map().total_bits() > 0);
}

#[test]
fn an_unknown_field_is_marked_in_the_file() {
    let text = "// größer\nHardware(\n    name: \"ü\", folds: 3,\n)";
    let error = parse(text).unwrap_err();
    let RonError::Syntax(syntax) = &error else {
        panic!("{error}")
    };
    assert_eq!(syntax.line, 3);
    let problem = &syntax.problem;
    assert!(
        problem.contains("`folds`") && problem.contains("technology"),
        "{problem}"
    );
    let end = syntax.span.offset() + syntax.span.len();
    assert!(text[..end].ends_with("folds"), "{:?}", marked(text, syntax.span));
    let rendered = format!("{:?}", miette::Report::new(error));
    assert!(rendered.contains("folds: 3"), "{rendered}");
}

#[test]
fn every_level_refuses_unknown_fields_and_variants() {
    for text in [
        "(layers: {\"fc\": (fold: None)})",
        "(layers: {\"fc\": (weights: (stile: Registers))})",
        "(layers: {\"fc\": (weights: (style: Register))})",
        "(layers: {\"fc\": (weights: (width: 3))})",
        "(layers: {\"fc\": (folding: Finn(pe: 1, simd: 1, x: 2))})",
        "(layers: {\"fc\": (folding: Finn(pe: -1, simd: 1))})",
        "(layers: {\"fc\": (), \"fc\": ()})",
        "(layers: {\"fc\": (accumulator: (width: 8, overflow: Round))})",
        "(clock_mhz: fast)",
        "(name: \"x\"",
        "",
    ] {
        let error = parse(text).unwrap_err();
        assert!(matches!(error, RonError::Syntax(_)), "{text}");
        assert!(!help(&error).is_empty());
    }
}

#[test]
fn what_does_not_fit_the_network_is_refused_with_its_repair() {
    type Expected = (&'static str, fn(&Problem) -> bool, &'static str);
    let cases: [Expected; 24] = [
        (
            "(layers: {\"fd\": ()})",
            |p| matches!(p, Problem::UnknownLayer { .. }),
            "fc",
        ),
        (
            "(layers: {\"fc\": (biases: ())})",
            |p| matches!(p, Problem::NoSuchTensor { .. }),
            "weight, threshold",
        ),
        (
            "(layers: {\"fc\": (folding: Finn(pe: 4, simd: 2))})",
            |p| matches!(p, Problem::NotDividing { what: "pe", .. }),
            "1, 2, 3, 6",
        ),
        (
            "(layers: {\"fc\": (folding: Finn(pe: 6, simd: 3))})",
            |p| matches!(p, Problem::NotDividing { what: "simd", .. }),
            "1, 2, 4",
        ),
        (
            "(layers: {\"fc\": (folding: Finn(pe: 0, simd: 3))})",
            |p| matches!(p, Problem::NotDividing { .. }),
            "divisor of 6",
        ),
        (
            "(layers: {\"fc\": (folding: Hls4ml(reuse_factor: 25))})",
            |p| matches!(p, Problem::ReuseFactor { .. }),
            "1..=24",
        ),
        (
            "(layers: {\"fc\": (folding: Hls4ml(reuse_factor: 0))})",
            |p| matches!(p, Problem::ReuseFactor { .. }),
            "1..=24",
        ),
        (
            "(layers: {\"fc\": (weights: (packing: ReuseFactor))})",
            |p| matches!(p, Problem::Packing { .. }),
            "Hls4ml",
        ),
        (
            "(default: (folding: Hls4ml(reuse_factor: 4)), layers: {\"fc\": (weights: (packing: PerPe))})",
            |p| matches!(p, Problem::Packing { .. }),
            "Finn",
        ),
        (
            "(layers: {\"fc\": (folding: Hls4ml(reuse_factor: 4), thresholds: (packing: ReuseFactor))})",
            |p| matches!(p, Problem::Packing { .. }),
            "Element",
        ),
        (
            "(layers: {\"fc\": (weights: (packing: Words(elements_per_word: 3, word_bits: 8)))})",
            |p| matches!(p, Problem::WordTooNarrow { .. }),
            "at least 9",
        ),
        (
            "(layers: {\"fc\": (weights: (packing: Words(elements_per_word: 0)))})",
            |p| matches!(p, Problem::WordTooNarrow { .. }),
            "from 1",
        ),
        (
            "(layers: {\"fc\": (weights: (packing: Words(elements_per_word: 1, word_bits: 4000000000)))})",
            |p| matches!(p, Problem::Width { .. }),
            "65536",
        ),
        (
            "(layers: {\"fc\": (thresholds: (width: 4, encoding: DoubledDot))})",
            |p| {
                matches!(
                    p,
                    Problem::WidthTooNarrow {
                        element: 5,
                        stored: 9,
                        ..
                    }
                )
            },
            "at least 5",
        ),
        (
            "(layers: {\"fc\": (thresholds: (width: 65))})",
            |p| matches!(p, Problem::Width { .. }),
            "1..=64",
        ),
        (
            "(layers: {\"fc\": (thresholds: (encoding: XnorPopcount))})",
            |p| matches!(p, Problem::Encoding { .. }),
            "DoubledDot",
        ),
        (
            "(layers: {\"fc\": (weights: (style: BlockRam))})",
            |p| matches!(p, Problem::Style { .. }),
            "RegisterFile",
        ),
        (
            "(layers: {\"fc\": (accumulator: (width: 128, overflow: Wrap))})",
            |p| matches!(p, Problem::Width { .. }),
            "1..=64",
        ),
        (
            "(clock_mhz: -3.0)",
            |p| matches!(p, Problem::Clock { .. }),
            "positive",
        ),
        (
            "(scrub: Some((period_s: 0.5, pass_s: 0.6)))",
            |p| matches!(p, Problem::ScrubPass { .. }),
            "at most 0.5",
        ),
        (
            "(scrub: Some((period_s: 0.0)))",
            |p| {
                matches!(
                    p,
                    Problem::Time {
                        field: "scrub.period_s",
                        ..
                    }
                )
            },
            "positive number of seconds",
        ),
        (
            "(scrub: Some((period_s: 1.0, pass_s: -1.0)))",
            |p| {
                matches!(
                    p,
                    Problem::Time {
                        field: "scrub.pass_s",
                        ..
                    }
                )
            },
            "may be 0",
        ),
        (
            "(scrub: Some((period_s: inf)))",
            |p| matches!(p, Problem::Time { .. }),
            "positive",
        ),
        (
            "(refresh_s: Some(-1.0))",
            |p| {
                matches!(
                    p,
                    Problem::Time {
                        field: "refresh_s",
                        ..
                    }
                )
            },
            "positive number of seconds",
        ),
    ];
    for (text, fits, expected) in cases {
        let error = refused(text);
        assert!(fits(&error.problem), "{text}: {error}");
        let help = help(error.as_ref());
        assert!(help.contains(expected), "{text}: {help}");
        assert!(error.to_string().contains("test.ron"), "{error}");
        if text.contains("scrub") || text.contains("refresh") {
            let label = error.labels().unwrap().next().unwrap();
            let field = if text.contains("scrub") {
                "scrub"
            } else {
                "refresh_s"
            };
            assert!(marked(text, *label.inner()).starts_with(field), "{text}");
        }
        if text.contains("\"f") {
            let label = error.labels().unwrap().next().unwrap();
            assert!(marked(text, *label.inner()).starts_with("\"f"), "{text}");
        }
    }
    let error = refused("(technology: \"xc9\")");
    assert!(help(error.as_ref()).contains("nangate45"), "{error}");
    let label = error.labels().unwrap().next().unwrap();
    assert_eq!(marked("(technology: \"xc9\")", *label.inner()), "\"xc9\"");
    let error = refused("(technology: \"missing/file.ron\")");
    assert!(error.to_string().contains("missing/file.ron"), "{error}");
}

#[test]
fn an_accumulator_of_the_hardware_file_reaches_the_tensor_that_carries_it() {
    let network = dense(3, 5, 6);
    let Op::Mac(before) = &network.nodes[0].op else {
        panic!()
    };
    assert!(before.accumulator.format.width() > 9);
    let hardware = parse("(default: (accumulator: (width: 9, overflow: Sat)))").unwrap();
    let built = Accelerator::build(&network, &hardware).unwrap();
    let Op::Mac(after) = &built.network().nodes[0].op else {
        panic!()
    };
    let format = after.accumulator.format;
    assert_eq!((format.width(), format.frac(), format.signed()), (9, 0, true));
    assert_eq!(format.overflow(), Overflow::Sat);
    assert!(after.accumulator.stated);
    let output = built.network().tensor(built.network().output);
    assert_eq!(output.encoding, Encoding::Fixed(format));

    // The general entry leaves what the network file states; the layer's own does not.
    let mut stated = network.clone();
    if let Op::Mac(mac) = &mut stated.nodes[0].op {
        mac.accumulator.stated = true;
    }
    let built = Accelerator::build(&stated, &hardware).unwrap();
    assert_eq!(built.network().nodes, stated.nodes);
    let own = parse("(layers: {\"fc\": (accumulator: (width: 9, overflow: Wrap))})").unwrap();
    let built = Accelerator::build(&stated, &own).unwrap();
    let Op::Mac(after) = &built.network().nodes[0].op else {
        panic!()
    };
    assert_eq!(after.accumulator.format.width(), 9);
}

#[test]
fn hints_of_the_network_file_fold_a_layer_that_has_no_entry() {
    let mut network = dense(4, 6, 3);
    network.layers[0].hints.reuse_factor = Some(5);
    let built = Accelerator::build(&network, &Hardware::default()).unwrap();
    let stage = built.stages()[0];
    assert_eq!(stage.folding, Folding::Hls4ml { reuse_factor: 5 });
    assert_eq!(
        (stage.multipliers, stage.product_cycles, stage.requested),
        (5, 5, true)
    );
    assert_eq!(built.map().memories()[0].depth, 24);
    let own = parse("(layers: {\"fc\": (folding: Finn(pe: 2, simd: 3))})").unwrap();
    let stage = Accelerator::build(&network, &own).unwrap().stages()[0];
    assert_eq!(
        (stage.multipliers, stage.product_cycles, stage.requested),
        (6, 4, false)
    );
    network.layers[0].hints.reuse_factor = None;
    network.layers[0].hints.pe = Some(3);
    let error = Accelerator::build(&network, &Hardware::default()).unwrap_err();
    assert!(matches!(error.problem, Problem::NotDividing { .. }));
}

/// FINN's `uram_estimation`: `ceil(w/72) * ceil(o/4096)` for words of `w` bits, `o` of them.
#[test]
fn ultra_ram_comes_in_whole_primitives() {
    let technology = Technology::find("xcup", std::path::Path::new("")).unwrap();
    let mut numbers = crate::nets::Numbers::new(7);
    for _ in 0..500 {
        let (depth, width) = (1 + numbers.below(20_000) as u64, 1 + numbers.below(400) as u64);
        let expected = (1..).find(|n| n * 72 >= width).unwrap() * (1..).find(|n| n * 4096 >= depth).unwrap();
        let area = area::storage(&technology, Style::UltraRam, depth, width);
        assert_eq!(area.ultra_rams, f64::from(u32::try_from(expected).unwrap()));
        let others = Resources {
            ultra_rams: 0.0,
            ..area
        };
        assert_eq!(others, Resources::ZERO);
    }
    let text = "(technology: \"xcup\", layers: {\"fc\": (weights: (style: UltraRam, packing: Memblock))})";
    let accelerator = Accelerator::build(&dense(6, 4, 3), &parse(text).unwrap()).unwrap();
    assert_eq!(accelerator.storage_area().ultra_rams, 1.0);
    let elsewhere = refused("(technology: \"xc7\", default: (weights: (style: UltraRam)))");
    assert!(elsewhere.to_string().contains("no `UltraRam`"), "{elsewhere}");
}

#[test]
fn generators_and_thresholds_that_cannot_be_are_refused() {
    let mut builder = Builder::new(vec![6, 6, 4], signed(4));
    let window = radstream::network::Window {
        kernel: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        pad: [0, 0],
    };
    let layer = builder.convolution("conv", 6, window, [0, 0], |_| 1).unwrap();
    builder.thresholds(layer, 1, (0..6).collect(), signed(2));
    builder.product(
        "fc",
        radstream::network::Geometry::dense(1, 96, 2),
        signed(2),
        vec![1; 192],
        false,
    );
    let finn = "folding: Finn(pe: 1, simd: 1)";
    for (conv, fc, words) in [
        (format!("{finn}, window: (simd: 3)"), "", "window.simd = 3"),
        (format!("{finn}, window: (simd: 0)"), "", "window.simd = 0"),
        (
            format!("{finn}, window: (padding_simd: 3)"),
            "",
            "window.padding_simd = 3",
        ),
        (
            format!("{finn}, window: (simd: 2, parallel: true)"),
            "",
            "all 4 channels",
        ),
        (format!("{finn}, window: (fifo: Words(0))"), "", "FIFO"),
        (
            "folding: Hls4ml(reuse_factor: 1), window: ()".to_owned(),
            "",
            "no window generator",
        ),
        (finn.to_owned(), "window: (simd: 1)", "no window generator"),
        ("pe: 4".to_owned(), "", "pe = 4"),
        (finn.to_owned(), "pe: 1", "no thresholds"),
        (finn.to_owned(), "deep_pipeline: true", "no `deep_pipeline`"),
    ] {
        let text = format!("(layers: {{\"conv\": ({conv}), \"fc\": ({fc})}})");
        let error = Accelerator::build(&builder.network, &parse(&text).unwrap()).unwrap_err();
        assert!(error.to_string().contains(words), "{text}: {error}");
        assert!(!help(&*error).is_empty());
    }
    let shared = "(default: (window: (simd: 2), pe: 2, folding: Finn(pe: 1, simd: 1)))";
    let accelerator = Accelerator::build(&builder.network, &parse(shared).unwrap()).unwrap();
    assert_eq!(accelerator.stages()[0].window.unwrap().simd, 2);
    assert_eq!(accelerator.threshold_stages()[0].cycles, 4 * 4 * 6 / 2);
}
