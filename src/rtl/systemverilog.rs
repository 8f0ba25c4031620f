//! A protection map as a SystemVerilog package.

use bitvec::prelude::{BitVec, Lsb0};

use super::names::{comment, identifier, identifiers};
use super::readmemh::word_masks;
use super::{ExportFile, Exporter, ProtectionMap};
use crate::accelerator::hex_word;

/// A package of parameters: per memory its depth and width, the columns with a protected bit, and the
/// mask of each word.
pub struct SystemVerilogPackage;

const MASKS_PER_LINE: usize = 8;

impl Exporter for SystemVerilogPackage {
    fn name(&self) -> &'static str {
        "systemverilog"
    }

    fn about(&self) -> &'static str {
        "package with size, column mask and word masks of every memory"
    }

    fn files(&self, map: &ProtectionMap) -> Vec<ExportFile> {
        let package = format!("{}_protection_pkg", identifier(map.network()));
        let names = identifiers(map.memories().iter().map(|memory| memory.memory.as_str()));
        let mut text = format!(
            "// Protected bits of {} in {}, scheme {}.\n// Bit 0 is least significant; 1 = protected.\npackage {package};\n\n  localparam int unsigned MEMORIES = {};\n  localparam int unsigned PROTECTED_BITS = {};\n",
            comment(map.network()),
            comment(map.hardware()),
            map.scheme().name(),
            map.memories().len(),
            map.protected().len(),
        );
        for (position, (memory, name)) in map.memories().iter().zip(names).enumerate() {
            let (depth, width) = (memory.depth, memory.word_bits);
            let bits = map.of_memory(position);
            let mut columns: BitVec<u64, Lsb0> = BitVec::repeat(false, width as usize);
            let mut masks = Vec::new();
            for mask in word_masks(depth, width, bits) {
                columns |= &mask;
                masks.push(format!("{width}'h{}", hex_word(&mask)));
            }
            let masks: Vec<String> = masks
                .chunks(MASKS_PER_LINE)
                .map(|line| format!("    {}", line.join(", ")))
                .collect();
            text.push_str(&format!(
                "\n  // {}\n  localparam int unsigned {name}_DEPTH = {depth};\n  localparam int unsigned {name}_WIDTH = {width};\n  localparam int unsigned {name}_PROTECTED_BITS = {};\n  localparam bit [{}:0] {name}_COLUMN_MASK = {width}'h{};\n  localparam bit [{}:0] {name}_WORD_MASK [0:{}] = '{{\n{}\n  }};\n",
                comment(&memory.memory),
                bits.len(),
                width - 1,
                hex_word(&columns),
                width - 1,
                depth - 1,
                masks.join(",\n"),
            ));
        }
        text.push_str("\nendpackage\n");
        vec![ExportFile {
            path: format!("{package}.sv").into(),
            text,
        }]
    }
}
