//! Area of memories in a technology.
//!
//! Flip-flops cost the same for each bit. Memories of an FPGA come in whole primitives: a memory costs
//! as many as cover its depth and width, so a narrow column costs as much as a wide one.

use super::Accelerator;
use super::hardware::Style;
use super::memory::Memory;
use super::technology::{Resources, Technology};

/// Area of a `depth x width` part of a memory, without what protects it.
///
/// A style that the technology does not have costs nothing; an [`Accelerator`] has no such memory.
#[must_use]
pub fn storage(technology: &Technology, style: Style, depth: u64, width: u64) -> Resources {
    let bits = (depth * width) as f64;
    let register_file = technology.register_file.as_ref();
    match style {
        Style::Registers => technology.register_bit * bits,
        Style::RegisterFile => register_file.map_or(Resources::ZERO, |file| file.bit * bits),
        Style::Sram => technology.sram_bit.map_or(Resources::ZERO, |bit| bit * bits),
        Style::Constant => Resources::ZERO,
        Style::LutRam => technology
            .lut_ram
            .as_ref()
            .map_or(Resources::ZERO, |ram| Resources {
                lut_rams: ram.fragments(depth, width) as f64,
                luts: ram.mux_luts(depth, width) as f64,
                ..Resources::ZERO
            }),
        Style::UltraRam => technology
            .ultra_ram
            .as_ref()
            .map_or(Resources::ZERO, |ram| Resources {
                ultra_rams: ram.fragments(depth, width) as f64,
                luts: ram.mux_luts(depth, width) as f64,
                ..Resources::ZERO
            }),
        Style::BlockRam | Style::Rom => {
            technology
                .block_ram
                .as_ref()
                .map_or(Resources::ZERO, |ram| Resources {
                    block_rams: ram.fragments(depth, width) as f64,
                    luts: ram.mux_luts(depth, width) as f64,
                    ..Resources::ZERO
                })
        }
    }
}

/// Area of one memory of the plain design.
#[must_use]
pub fn memory(technology: &Technology, memory: &Memory) -> Resources {
    storage(
        technology,
        memory.style,
        memory.depth,
        u64::from(memory.word_bits),
    )
}

impl Accelerator {
    /// Area of all memories of the plain design; arithmetic is not counted.
    #[must_use]
    pub fn storage_area(&self) -> Resources {
        self.map()
            .memories()
            .iter()
            .fold(Resources::ZERO, |sum, one| sum + memory(self.technology(), one))
    }
}
