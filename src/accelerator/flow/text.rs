//! A hardware configuration as the text of a hardware file.

use std::fmt::Write;

use super::super::hardware::{FifoDepth, Folding, Hardware, LayerHardware, Packing, Style, WeightMemory};
use super::FlowHardware;

/// The text of a hardware file that says what a flow's files say; what they leave open and what has no
/// counterpart stands in comments.
#[must_use]
pub fn hardware_text(flow: &FlowHardware) -> String {
    let hardware = &flow.hardware;
    let mut text = String::new();
    let comment = |text: &str| text.replace(['\n', '\r'], " ");
    for (head, remarks) in [("taken", &flow.assumed), ("not used", &flow.unused)] {
        for remark in remarks.iter() {
            let _ = writeln!(
                text,
                "// {head}: {}: {}",
                comment(&remark.entry),
                comment(&remark.text)
            );
        }
    }
    let _ = writeln!(text, "Hardware(\n    name: {:?},", hardware.name);
    if let Some(technology) = &hardware.technology {
        let _ = writeln!(text, "    technology: {technology:?},");
    }
    if let Some(clock) = hardware.clock_mhz {
        let _ = writeln!(text, "    clock_mhz: {clock:?},");
    }
    if let Some(build) = hardware.hls4ml {
        let parts = [
            build.io_type.map(|io_type| format!("io_type: {io_type:?}")),
            build.tool.map(|tool| format!("tool: {tool:?}")),
            build.version.map(|version| format!("version: {version:?}")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let _ = writeln!(text, "    hls4ml: ({}),", parts.join(", "));
    }
    if let Some(dsp) = hardware.dsp {
        let _ = writeln!(text, "    dsp: {dsp:?},");
    }
    layers(&mut text, hardware);
    text.push_str(")\n");
    text
}

fn layers(text: &mut String, hardware: &Hardware) {
    text.push_str("    layers: {\n");
    for (name, entry) in &hardware.layers {
        let _ = writeln!(text, "        {name:?}: (");
        for line in fields(entry) {
            let _ = writeln!(text, "            {line},");
        }
        text.push_str("        ),\n");
    }
    text.push_str("    },\n");
}

fn fields(entry: &LayerHardware) -> Vec<String> {
    let mut lines = Vec::new();
    match entry.folding {
        Some(Folding::Finn { pe, simd }) => lines.push(format!("folding: Finn(pe: {pe}, simd: {simd})")),
        Some(Folding::Hls4ml { reuse_factor }) => {
            lines.push(format!("folding: Hls4ml(reuse_factor: {reuse_factor})"));
        }
        None => {}
    }
    lines.extend(entry.pe.map(|pe| format!("pe: {pe}")));
    lines.extend(entry.deep_pipeline.map(|deep| format!("deep_pipeline: {deep}")));
    if let Some(window) = entry.window {
        let parts = [
            window.simd.map(|simd| format!("simd: {simd}")),
            window.parallel.map(|parallel| format!("parallel: {parallel}")),
            window.padding_simd.map(|simd| format!("padding_simd: {simd}")),
            window.fifo.map(|fifo| format!("fifo: {}", depth(fifo))),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        lines.push(format!("window: ({})", parts.join(", ")));
    }
    let stored =
        |style: Style, packing: Packing| format!("(style: {}, packing: {})", style.name(), packing.name());
    lines.extend(
        entry
            .weights
            .map(|storage| format!("weights: {}", stored(storage.style, storage.packing))),
    );
    lines.extend(
        entry
            .thresholds
            .map(|storage| format!("thresholds: {}", stored(storage.style, storage.packing))),
    );
    lines.extend(entry.fifo.map(|fifo| format!("fifo: {}", depth(fifo))));
    lines.extend(entry.timing.map(|timing| {
        format!(
            "timing: (initiation_interval: {}, iteration_latency: {})",
            timing.initiation_interval, timing.iteration_latency
        )
    }));
    lines.extend(entry.weight_memory.map(|memory| {
        let name = match memory {
            WeightMemory::Embedded => "Embedded",
            WeightMemory::Decoupled => "Decoupled",
        };
        format!("weight_memory: {name}")
    }));
    lines
}

fn depth(fifo: FifoDepth) -> String {
    match fifo {
        FifoDepth::Auto => "Auto".to_owned(),
        FifoDepth::Words(words) => format!("Words({words})"),
    }
}
