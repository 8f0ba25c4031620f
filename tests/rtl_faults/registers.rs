//! Which register of a stage stands for a register of the RTL.

use radstream::simulate::cycle::RegisterBit;

use crate::pipeline::Design;
use crate::rtl_core::{self, Size};

/// The counterpart of a bit of the RTL.
pub enum Counterpart {
    Register(RegisterBit),
    None,
}

/// Where a register's bits lie.
enum Place {
    /// Lane and bit follow from the number of the bit: lane 0 lowest.
    Packed(&'static str, usize),
    /// One lane.
    Lane(&'static str, usize, usize),
}

use Place::{Lane, Packed};

/// Registers of one name throughout, by the kind of register.
const SIMPLE: [(&str, &str); 38] = [
    ("impl.Newest_buffered_elem", "newest_element"),
    ("impl.Current_elem", "current_element"),
    ("impl.First_elem_next_window", "next_window"),
    ("impl.Position_in_window", "position_in_window"),
    ("impl.Window_buffer_read_addr_reg", "read_address"),
    ("impl.Window_buffer_write_addr_reg", "write_address"),
    ("impl.Write_cmd", "output_valid"),
    ("impl.Writing_done", "writing_done"),
    ("impl.Fetching_done", "fetching_done"),
    ("impl.window_buffer_inst.Out", "output"),
    ("impl.window_buffer_inst.Ram", "line_buffer"),
    ("impl.controller_inst.State", "loop_state"),
    ("impl.controller_inst.Counter_loop_h", "loop_h"),
    ("impl.controller_inst.Counter_loop_w", "loop_w"),
    ("impl.controller_inst.Counter_loop_kh", "loop_kh"),
    ("impl.controller_inst.Counter_loop_kw", "loop_kw"),
    ("impl.controller_inst.Counter_loop_simd", "loop_simd"),
    ("Wr1", "write_command"),
    ("Data1", "write_data"),
    ("Data2", "output"),
    ("activation_replay.Count", "item"),
    ("activation_replay.Last", "last_item"),
    ("activation_replay.blkRep.RepCnt", "repetition"),
    ("activation_replay.blkRep.RepLst", "last_repetition"),
    ("activation_replay.ODat", "replayed"),
    ("activation_replay.OVld", "replayed_valid"),
    ("activation_replay.OLst", "replayed_last"),
    ("activation_replay.OFin", "replayed_final"),
    ("activation_replay.WP", "write_pointer"),
    ("activation_replay.RP", "read_pointer"),
    ("activation_replay.FP", "free_pointer"),
    ("activation_replay.Mem", "replay"),
    ("addr", "address"),
    ("addr_full", "address_full"),
    ("o_v_reg", "valid"),
    ("i_b_reg", "full"),
    ("genUp.ACnt", "count"),
    ("genUp.BRdy", "free"),
];

/// The place of a bit of the RTL, and the number of the bit there.
fn place(kind: &str, at: &[usize], bit: u32, sizes: &dyn Fn(&str) -> Option<Size>) -> Option<(Place, u32)> {
    let first = at.first().copied().unwrap_or(0);
    let second = at.get(1).copied().unwrap_or(0);
    let generated = kind
        .replace("genblk3.", "")
        .replace("genblk4.", "")
        .replace("genblk2.", "");
    if let Some((_, name)) = SIMPLE.iter().find(|(rtl, _)| *rtl == generated) {
        return Some((Packed(name, first), bit));
    }
    let core = generated.strip_prefix("blkDsp.core.");
    let bits_of = |name: &str| sizes(name).map(|size| size.bits);
    let lanes_of = |name: &str| sizes(name).map(|size| size.lanes);
    let whole = |name: &str| Some(lanes_of(name)? as u32 * bits_of(name)?);
    Some(match (kind, core) {
        // {value, last}
        ("Ptr", _) => {
            let names = [
                ["pointer", "pointer_last"],
                ["command_pointer", "command_pointer_last"],
                ["output_pointer", "output_pointer_last"],
            ];
            match bit {
                0 => (Packed(names[first][1], 0), 0),
                _ => (Packed(names[first][0], 0), bit - 1),
            }
        }
        ("Rs1", _) => (Packed("stream_commands", 0), 0),
        ("Rs2", _) => (Packed("stream_commands", 0), 1),
        ("Rb1", _) => (Packed("read_back_commands", 0), 0),
        ("Rb2", _) => (Packed("read_back_commands", 0), 1),
        ("blkFeed.GuardSem", _) => (Packed("guard", 0), bit),
        ("blkFeed.genblk2.CnlCnt", _) => (Packed("channel", 0), bit),
        ("blkFeed.genblk2.CnlLst", _) => (Packed("last_channel", 0), bit),
        ("blkStreamOutput.ADat", _) => (Packed("queue", first), bit),
        ("blkStreamOutput.APtr", _) => (Packed("queue_pointer", 0), bit),
        ("blkStreamOutput.BDat", _) => (Packed("output", 0), bit),
        ("blkStreamOutput.BVld", _) => (Packed("output_valid", 0), bit),
        // {op[2], pointer, value} per stage and PE
        ("genStages.genPE.P", _) => {
            let (value, pointer) = (bits_of("value")?, bits_of("pointer")?);
            match bit {
                bit if bit < value => (Lane("value", first, second), bit),
                bit if bit < value + pointer => (Lane("pointer", first, second), bit - value),
                bit => (Lane("operation", first, second), bit - value - pointer),
            }
        }
        ("genStages.genPE.Thresh", _) => (Lane("threshold_read", first, second), bit),
        ("genStages.genPE.Reval", _) => (Lane("read_back", first, second), bit),
        ("srlo", _) => (Packed("slots", 0), bit),
        ("srl", _) => (Packed("slots", 1 + first), bit),
        ("state", _) => (Packed("state", 0), bit),
        ("genDown.ADat", _) => (Packed("chunks", 0), bit),
        ("genDown.ACnt", _) => (Packed("chunk_count", 0), bit),
        ("genDown.BDat", _) => (Packed("chunk_side", 0), bit),
        ("genDown.BRdy", _) => (Packed("chunk_free", 0), bit),
        ("genDown.CDat", _) => (Packed("output", 0), bit),
        ("genDown.CVld", _) => (Packed("output_valid", 0), bit),
        ("genUp.ADat", _) => (Packed("word", 0), bit),
        ("genUp.BDat", _) => (Packed("side", 0), bit),
        // {ready or valid, data}
        ("A", _) if Some(bit) == whole("side") => (Packed("free", 0), 0),
        ("A", _) => (Packed("side", 0), bit),
        ("B", _) if Some(bit) == whole("output") => (Packed("output_valid", 0), 0),
        ("B", _) => (Packed("output", 0), bit),
        (_, Some(core)) => {
            let (name, word, bit) = rtl_core::place(core, at, bit, sizes)?;
            (Packed(name, word), bit)
        }
        _ => return None,
    })
}

/// The counterpart of a bit of a unit's register.
pub fn counterpart(design: &Design, unit: &str, register: &str, bit: u32) -> Counterpart {
    let stage = design.stage_of(unit);
    let table = design.targets.table();
    let row = |name: &str| table.row(&format!("{stage}.{name}"));
    let sizes = |name: &str| {
        let register = &row(name)?.register;
        Some(Size {
            words: register.words,
            lanes: register.lanes,
            bits: register.lane_bits,
        })
    };
    let found = place(
        &rtl_core::kind(register),
        &rtl_core::indices(register),
        bit,
        &sizes,
    );
    let bit = found.and_then(|(place, bit)| match place {
        Packed(name, word) => {
            let row = row(name)?;
            let bits = row.register.lane_bits;
            row.bit(word, (bit / bits) as usize, bit % bits)
        }
        Lane(name, word, lane) => row(name)?.bit(word, lane, bit),
    });
    bit.map_or(Counterpart::None, Counterpart::Register)
}
