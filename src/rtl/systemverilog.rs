//! A protection map as a SystemVerilog package.

use bitvec::prelude::{BitVec, Lsb0};

use super::names::{comment, identifier, identifiers};
use super::readmemh::{under, word_masks};
use super::{ExportFile, Exporter, ProtectedBit, ProtectionMap};
use crate::accelerator::hex_word;

/// A package of parameters: per memory its depth and width, the columns with a protected bit, and the
/// mask of each word; where several schemes meet in a memory, also the mask of each word under each.
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
            map.scheme_name(),
            map.memories().len(),
            map.protected().len(),
        );
        for (position, (memory, name)) in map.memories().iter().zip(names).enumerate() {
            let (depth, width) = (memory.depth, memory.word_bits);
            let bits = map.of_memory(position);
            let mut columns: BitVec<u64, Lsb0> = BitVec::repeat(false, width as usize);
            for mask in word_masks(depth, width, bits) {
                columns |= &mask;
            }
            text.push_str(&format!(
                "\n  // {}\n  localparam int unsigned {name}_DEPTH = {depth};\n  localparam int unsigned {name}_WIDTH = {width};\n  localparam int unsigned {name}_PROTECTED_BITS = {};\n  localparam bit [{}:0] {name}_COLUMN_MASK = {width}'h{};\n",
                comment(&memory.memory),
                bits.len(),
                width - 1,
                hex_word(&columns),
            ));
            let mut masks = |name: &str, bits: &[ProtectedBit]| {
                let masks: Vec<String> = word_masks(depth, width, bits)
                    .map(|mask| format!("{width}'h{}", hex_word(&mask)))
                    .collect();
                let lines: Vec<String> = masks
                    .chunks(MASKS_PER_LINE)
                    .map(|line| format!("    {}", line.join(", ")))
                    .collect();
                text.push_str(&format!(
                    "  localparam bit [{}:0] {name} [0:{}] = '{{\n{}\n  }};\n",
                    width - 1,
                    depth - 1,
                    lines.join(",\n"),
                ));
            };
            masks(&format!("{name}_WORD_MASK"), bits);
            let schemes = map.schemes_of_memory(position);
            if schemes.len() > 1 {
                for scheme in schemes {
                    let suffix = identifier(scheme.name()).to_ascii_uppercase();
                    masks(&format!("{name}_WORD_MASK_{suffix}"), &under(bits, scheme));
                }
            }
        }
        text.push_str("\nendpackage\n");
        vec![ExportFile {
            path: format!("{package}.sv").into(),
            text,
        }]
    }
}
