//! Hardware files from the files of FINN, hls4ml and Vitis HLS.

use radstream::accelerator::*;
use radstream::data::SourceText;
use radstream::network::{Geometry, Network, Window};

use crate::nets::{Builder, signed};

/// Two convolutions with thresholds and a dense layer: the first padded, the second of stride 2.
fn network() -> Network {
    let mut builder = Builder::new(vec![6, 6, 2], signed(4));
    let mut window = Window {
        kernel: [3, 3],
        stride: [1, 1],
        dilation: [1, 1],
        pad: [1, 1],
    };
    let weight = |at: usize| at as i64 % 7 - 3;
    let layer = builder.convolution("conv_a", 4, window, [1, 1], weight).unwrap();
    builder.thresholds(layer, 3, (0..12).collect(), signed(4));
    window.kernel = [2, 2];
    window.stride = [2, 2];
    window.pad = [0, 0];
    let layer = builder.convolution("conv_b", 6, window, [0, 0], weight).unwrap();
    builder.thresholds(layer, 3, (0..18).collect(), signed(4));
    builder.product(
        "dense_c",
        Geometry::dense(1, 54, 10),
        signed(3),
        vec![1; 540],
        false,
    );
    builder.network
}

fn read(text: &str) -> Result<FlowHardware, FlowError> {
    read_flow("file", text, &network())
}

/// The hardware file says what was read, and the accelerator can be built from it.
fn written(flow: &FlowHardware) -> Accelerator {
    let text = hardware_text(flow);
    let hardware = Hardware::parse(SourceText::new("hardware.ron", text.as_str())).unwrap_or_else(|error| {
        panic!("{error}: {text}");
    });
    assert_eq!(hardware.layers, flow.hardware.layers, "{text}");
    assert_eq!(hardware.technology, flow.hardware.technology);
    assert_eq!(hardware.clock_mhz, flow.hardware.clock_mhz);
    assert_eq!(hardware.hls4ml, flow.hardware.hls4ml);
    Accelerator::build(&network(), &hardware).unwrap_or_else(|error| panic!("{error}"))
}

fn reason<'a>(flow: &'a FlowHardware, entry: &str) -> &'a str {
    let found = flow.unused.iter().find(|remark| remark.entry == entry);
    &found
        .unwrap_or_else(|| panic!("{entry} in {:#?}", flow.unused))
        .text
}

const FINAL: &str = r#"{
  "Defaults": {"mem_mode": ["internal_decoupled", ["MVAU"]], "resType": ["lut", "all"]},
  "Thresholding_rtl_0": {"PE": 2, "depth_trigger_uram": 0},
  "StreamingFIFO_rtl_0": {"depth": 3, "impl_style": "rtl"},
  "FMPadding_rtl_0": {"SIMD": 1},
  "ConvolutionInputGenerator_rtl_0": {"SIMD": 2, "parallel_window": 1, "ram_style": "distributed"},
  "StreamingFIFO_rtl_1": {"depth": 8},
  "StreamingDataWidthConverter_rtl_0": {"impl_style": "hls"},
  "MVAU_hls_0": {"PE": 2, "SIMD": 6, "ram_style": "ultra", "ram_style_thresholds": "block"},
  "StreamingFIFO_rtl_2": {"depth": 32},
  "ConvolutionInputGenerator_rtl_1": {"SIMD": 4, "parallel_window": 0},
  "MVAU_rtl_0": {"PE": 3, "SIMD": 4, "ram_style": "distributed", "mem_mode": "internal_embedded"},
  "Thresholding_rtl_1": {"PE": 2, "ram_style": "block"},
  "MVAU_rtl_1": {"PE": 5, "SIMD": 9, "ram_style": "auto", "inFIFODepths": [16], "outFIFODepths": [2]},
  "LabelSelect_hls_0": {"PE": 1}
}"#;

#[test]
fn finns_final_configuration_is_a_hardware_file() {
    let flow = read(FINAL).unwrap();
    let layers = &flow.hardware.layers;
    let finn = |pe, simd| Some(Folding::Finn { pe, simd });
    let a = &layers["conv_a"];
    assert_eq!(a.folding, finn(2, 6));
    let window = WindowUnit {
        simd: Some(2),
        parallel: Some(true),
        padding_simd: Some(1),
        fifo: Some(FifoDepth::Words(8)),
    };
    assert_eq!(a.window, Some(window));
    assert_eq!(a.fifo, Some(FifoDepth::Words(3)));
    assert_eq!(a.weight_memory, Some(WeightMemory::Decoupled));
    let stored = a.weights.unwrap();
    assert_eq!(
        (stored.style, stored.packing),
        (Style::UltraRam, Packing::Memblock)
    );
    assert_eq!(a.thresholds.unwrap().style, Style::BlockRam);
    let b = &layers["conv_b"];
    assert_eq!(b.folding, finn(3, 4));
    assert_eq!(b.fifo, Some(FifoDepth::Words(32)));
    assert_eq!((b.pe, b.thresholds.unwrap().style), (Some(2), Style::BlockRam));
    assert_eq!(b.weight_memory, Some(WeightMemory::Embedded));
    assert_eq!(b.weights.unwrap().style, Style::LutRam);
    let c = &layers["dense_c"];
    assert_eq!((c.folding, c.fifo), (finn(5, 9), Some(FifoDepth::Words(16))));
    assert_eq!(c.weights.unwrap().style, Style::BlockRam);
    assert!(
        flow.assumed
            .iter()
            .any(|remark| remark.entry == "MVAU_rtl_1.ram_style")
    );
    assert_eq!(flow.hardware.technology.as_deref(), Some("xcup"));
    for (entry, word) in [
        ("Thresholding_rtl_0", "input"),
        ("StreamingDataWidthConverter_rtl_0", "widths"),
        ("LabelSelect_hls_0", "no part"),
        ("ConvolutionInputGenerator_rtl_0.ram_style", "line buffers"),
        ("MVAU_hls_0.resType", "arithmetic"),
        ("StreamingFIFO_rtl_0.impl_style", "implementations"),
    ] {
        assert!(
            reason(&flow, entry).contains(word),
            "{entry}: {}",
            reason(&flow, entry)
        );
    }
    let accelerator = written(&flow);
    let map = accelerator.map();
    assert!(
        map.memory_named("conv_b.threshold.1").is_some() && map.memory_named("conv_b.threshold.2").is_none()
    );
    assert_eq!(accelerator.threshold_stages()[0].cycles, 3 * 3 * 6 / 2);
}

/// FINN's numbers say the order of nodes of one operator wherever they stand; places of FIFOs are lost.
#[test]
fn numbers_are_the_order_where_the_file_has_none() {
    let text = r#"{
      "MVAU_2": {"PE": 5, "SIMD": 9}, "MVAU_0": {"PE": 2, "SIMD": 6}, "MVAU_1": {"PE": 3, "SIMD": 4},
      "StreamingFIFO_0": {"depth": 9},
      "ConvolutionInputGenerator_1": {"SIMD": 4}, "ConvolutionInputGenerator_0": {"SIMD": 1, "parallel_window": 0},
      "Thresholding_1": {"PE": 3}, "Thresholding_0": {"PE": 4}
    }"#;
    let flow = read(text).unwrap();
    let folding = |layer: &str| flow.hardware.layers[layer].folding;
    assert_eq!(folding("conv_a"), Some(Folding::Finn { pe: 2, simd: 6 }));
    assert_eq!(folding("conv_b"), Some(Folding::Finn { pe: 3, simd: 4 }));
    assert_eq!(folding("dense_c"), Some(Folding::Finn { pe: 5, simd: 9 }));
    assert_eq!(flow.hardware.layers["conv_a"].window.unwrap().simd, Some(1));
    assert_eq!(flow.hardware.layers["conv_b"].pe, Some(3));
    assert!(reason(&flow, "StreamingFIFO_0").contains("order"));
    written(&flow);
}

#[test]
fn older_names_of_nodes_are_read() {
    let text = r#"{"Defaults": {}, "MatrixVectorActivation_0": {"PE": 4, "SIMD": 18, "mem_mode": "const"},
      "StreamingFCLayer_Batch_1": {"PE": 6, "SIMD": 4}, "StreamingFCLayer_Batch_2": {"PE": 1, "SIMD": 54, "mem_mode": "decoupled"}}"#;
    let flow = read(text).unwrap();
    assert_eq!(
        flow.hardware.layers["conv_a"].weight_memory,
        Some(WeightMemory::Embedded)
    );
    assert_eq!(
        flow.hardware.layers["dense_c"].folding,
        Some(Folding::Finn { pe: 1, simd: 54 })
    );
    written(&flow);
}

#[test]
fn what_is_not_this_network_is_refused() {
    let two = r#"{"MVAU_0": {"PE": 1, "SIMD": 1}, "MVAU_1": {"PE": 1, "SIMD": 1}}"#;
    let error = read(two).unwrap_err();
    assert!(
        matches!(
            error,
            FlowError::Count {
                found: 2,
                expected: 3,
                ..
            }
        ),
        "{error}"
    );
    let apart = r#"{"MVAU_rtl_1": {"PE": 1, "SIMD": 1}, "MVAU_hls_0": {"PE": 1, "SIMD": 1}, "MVAU_rtl_0": {"PE": 1, "SIMD": 1}}"#;
    assert!(matches!(read(apart).unwrap_err(), FlowError::Order { .. }));
    for value in ["0", "-1", "\"x\"", "1.5", "5000000000", "null", "[1]"] {
        let text = format!(r#"{{"MVAU_0": {{"PE": {value}, "SIMD": 1}}, "MVAU_1": {{}}, "MVAU_2": {{}}}}"#);
        assert!(
            matches!(read(&text).unwrap_err(), FlowError::Value { .. }),
            "{value}"
        );
    }
    for text in [
        "",
        "{",
        "{}x",
        "[1]",
        "1",
        "<a>",
        "<a/>",
        "{\"a\": 1}",
        "a: [",
        "- 1",
        "====\nno table",
        "{\"Defaults\": {\"PE\": 1}, \"MVAU_0\": {}}",
        "<!DOCTYPE x [<!ENTITY a \"&a;\">]><x>&a;</x>",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

const CONFIG: &str = r"
Backend: Vitis
ClockPeriod: 5
IOType: io_stream
OutputDir: out
Part: xcu250-figd2104-2L-e
ProjectName: project
KerasModel: !keras_model 'model.h5'
HLSConfig:
  Model:
    Precision:
      default: ap_fixed<16,6>
    ReuseFactor: 1
    Strategy: Latency
  LayerName:
    conv_a:
      ReuseFactor: 6
      Strategy: Resource
      Precision: {weight: 'ap_fixed<3,3>'}
    conv_a_relu:
      Precision: ap_fixed<8,2>
    dense_c:
      ReuseFactor: 7
      Strategy: Resource
      Trace: true
";

#[test]
fn hls4mls_configuration_is_a_hardware_file() {
    let flow = read(CONFIG).unwrap();
    let hardware = &flow.hardware;
    assert_eq!(hardware.clock_mhz, Some(200.0));
    assert_eq!(hardware.technology.as_deref(), Some("xcup"));
    let build = Hls4mlBuild {
        io_type: Some(IoType::Stream),
        tool: Some(HlsTool::Vitis),
        version: None,
    };
    assert_eq!(hardware.hls4ml, Some(build));
    for (entry, value) in [("io_stream", "io_wire"), ("io_stream", "3")] {
        assert!(matches!(
            read(&CONFIG.replace(entry, value)).unwrap_err(),
            FlowError::Value { .. }
        ));
    }
    let other = read(&CONFIG.replace("Backend: Vitis", "Backend: Catapult")).unwrap();
    assert_eq!(other.hardware.hls4ml.unwrap().tool, None);
    assert!(reason(&other, "Backend").contains("neither"));
    let reuse = |layer: &str| hardware.layers[layer].folding;
    assert_eq!(reuse("conv_a"), Some(Folding::Hls4ml { reuse_factor: 6 }));
    assert_eq!(reuse("conv_b"), Some(Folding::Hls4ml { reuse_factor: 1 }));
    // 54 inputs of 10 outputs: 7 divides neither, 6 is the nearest that the Resource strategy builds.
    assert_eq!(reuse("dense_c"), Some(Folding::Hls4ml { reuse_factor: 6 }));
    assert!(
        flow.assumed
            .iter()
            .any(|remark| remark.entry == "dense_c.ReuseFactor")
    );
    let stored = hardware.layers["conv_a"].weights.unwrap();
    assert_eq!((stored.style, stored.packing), (Style::Rom, Packing::ReuseFactor));
    for (entry, word) in [
        ("LayerName.conv_a_relu", "no layer"),
        ("LayerName.conv_a.Precision", "formats"),
        ("LayerName.dense_c.Trace", "simulation"),
        ("Model.Precision", "formats"),
        ("KerasModel", "files"),
    ] {
        assert!(
            reason(&flow, entry).contains(word),
            "{entry}: {}",
            reason(&flow, entry)
        );
    }
    written(&flow);
    let other = "HLSConfig:\n  Model: {ReuseFactor: 1}\n  LayerName:\n    fc9: {ReuseFactor: 2}\n";
    assert!(matches!(read(other).unwrap_err(), FlowError::Count { .. }));
    for value in ["0", "-3", "many", "1.5", "[]"] {
        let text = format!("HLSConfig:\n  Model: {{ReuseFactor: {value}}}\n");
        assert!(
            matches!(read(&text).unwrap_err(), FlowError::Value { .. }),
            "{value}"
        );
    }
    assert!(read("ClockPeriod: .nan\nHLSConfig:\n  Model: {ReuseFactor: 1}\n").is_err());
    for value in ["0", "fast", "-1"] {
        let text = format!("ClockPeriod: {value}\nHLSConfig:\n  Model: {{ReuseFactor: 1}}\n");
        assert!(
            matches!(read(&text).unwrap_err(), FlowError::Value { .. }),
            "{value}"
        );
    }
}

/// Aliases that grow without end, and depth without end, take neither memory nor time.
#[test]
fn hostile_documents_are_refused() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let alias = format!("*a{}", level - 1);
        let list = vec![alias; 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{list}]\n"));
    }
    assert!(read(&bomb).is_err());
    for open in ["[", "{\"a\":", "- ", "<a>"] {
        assert!(read(&open.repeat(100_000)).is_err(), "{open}");
    }
}

const XML: &str = r"<?xml version='1.0'?>
<profile>
  <UserAssignments><TargetClockPeriod>4.00</TargetClockPeriod><TopModelName>project</TopModelName></UserAssignments>
  <PerformanceEstimates><SummaryOfOverallLatency>
    <Best-caseLatency>70</Best-caseLatency><Worst-caseLatency>71</Worst-caseLatency><Interval-max>70</Interval-max>
  </SummaryOfOverallLatency></PerformanceEstimates>
  <ModuleInformation>
    <Module><Name>dense_latency_wrapper_ap_fixed_ap_fixed_config2_s</Name><PerformanceEstimates>
      <SummaryOfOverallLatency><Worst-caseLatency>2</Worst-caseLatency><PipelineInitiationInterval>1</PipelineInitiationInterval></SummaryOfOverallLatency>
    </PerformanceEstimates></Module>
    <Module><Name>conv_2d_cl_array_array_ap_fixed_4u_config2_s</Name><PerformanceEstimates>
      <SummaryOfOverallLatency><Worst-caseLatency>198</Worst-caseLatency><PipelineInitiationInterval>198</PipelineInitiationInterval></SummaryOfOverallLatency>
      <SummaryOfLoopLatency><ReadInputHeight><Name>ReadInputHeight</Name><TripCount>64</TripCount><PipelineII>3</PipelineII><PipelineDepth>5</PipelineDepth></ReadInputHeight></SummaryOfLoopLatency>
    </PerformanceEstimates></Module>
    <Module><Name>conv_2d_cl_array_array_ap_fixed_6u_config5_s</Name><PerformanceEstimates>
      <SummaryOfLoopLatency><L><PipelineII>4</PipelineII><PipelineDepth>6</PipelineDepth></L></SummaryOfLoopLatency>
    </PerformanceEstimates></Module>
    <Module><Name>dense_array_array_ap_fixed_10u_config11_s</Name><PerformanceEstimates>
      <SummaryOfOverallLatency><Worst-caseLatency>10</Worst-caseLatency><PipelineInitiationInterval>9</PipelineInitiationInterval></SummaryOfOverallLatency>
    </PerformanceEstimates></Module>
    <Module><Name>relu_array_array_ap_fixed_4u_relu_config4_s</Name><PerformanceEstimates/></Module>
  </ModuleInformation>
</profile>";

const REPORT: &str = "
================================================================
== Synthesis Summary Report of 'project'
================================================================
+ Performance & Resource Estimates:
    +---------------------------+------+------+---------+---------+----------+---------+------+----------+
    |          Modules          | Issue|      | Latency | Latency | Iteration|         | Trip |          |
    |          & Loops          | Type | Slack| (cycles)|   (ns)  |  Latency | Interval| Count| Pipelined|
    +---------------------------+------+------+---------+---------+----------+---------+------+----------+
    |+ project*                 |     -|  0.10|       71|   284.0 |         -|       70|     -|  dataflow|
    | + conv_2d_cl_array_ap_fixed_4u_config2_s|  -|  0.1|  198|  792.0|  -|  198|  -|  no|
    |  + dense_wrapper_ap_fixed_config2_s     |  -|  0.1|    2|    8.0|  -|    1|  -| yes|
    |  o ReadInputHeight_ReadInputWidth       |  -|  0.1|  196|  784.0|  5|    3| 64| yes|
    | + conv_2d_cl_array_ap_fixed_6u_config5_s|  -|  0.1|  146|  584.0|  -|  146|  -|  no|
    |  o ReadInputHeight_ReadInputWidth       |  -|  0.1|  144|  576.0|  6|    4| 36| yes|
    | + dense_array_ap_fixed_10u_config11_s   |  -|  0.1|   10|   40.0|  -|    9|  -|  no|
    +---------------------------+------+------+---------+---------+----------+---------+------+----------+
";

#[test]
fn synthesis_reports_give_the_loops() {
    let timing = |flow: &FlowHardware, layer: &str| {
        let timing = flow.hardware.layers[layer].timing.unwrap();
        (timing.initiation_interval, timing.iteration_latency)
    };
    for text in [XML, REPORT] {
        let flow = read(text).unwrap();
        assert_eq!(timing(&flow, "conv_a"), (3, 5));
        assert_eq!(timing(&flow, "conv_b"), (4, 6));
        assert_eq!(timing(&flow, "dense_c"), (9, 10));
        assert!(reason(&flow, "project").contains("as a whole"));
        written(&flow);
    }
    let flow = read(XML).unwrap();
    assert_eq!(flow.hardware.clock_mhz, Some(250.0));
    assert!(reason(&flow, "dense_latency_wrapper_ap_fixed_ap_fixed_config2_s").contains("layer"));
    let missing = XML.replace("dense_array_array", "other_array_array");
    assert!(matches!(
        read(&missing).unwrap_err(),
        FlowError::Count { found: 2, .. }
    ));
}

/// A configuration and a report of the same project make one hardware file.
#[test]
fn files_of_one_project_are_joined() {
    let mut flow = read(CONFIG).unwrap();
    flow.merge(read(XML).unwrap());
    let entry = &flow.hardware.layers["conv_a"];
    assert_eq!(entry.folding, Some(Folding::Hls4ml { reuse_factor: 6 }));
    assert_eq!(entry.timing.unwrap().initiation_interval, 3);
    assert_eq!(flow.hardware.clock_mhz, Some(250.0));
    written(&flow);
}
