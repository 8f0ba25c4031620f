//! What people look at while the clock runs: waveforms and tables.

use std::io::{self, Write};
use std::ops::Range;

use vcd::{IdCode, TimescaleUnit, Value, VarType};

use super::engine::Engine;
use super::register::lane;

/// Sees the state before every edge.
pub trait Watch {
    /// The state before edge `engine.cycle()`, with the flips that have landed, and the signals of the edge
    /// before it.
    ///
    /// # Errors
    /// Where what it writes to fails.
    fn see(&mut self, engine: &Engine) -> io::Result<()>;

    /// The end of the run.
    ///
    /// # Errors
    /// As [`Watch::see`].
    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Registers of more bits than this are memories, which a waveform leaves out.
const WIDEST: u64 = 4096;

/// A waveform as a value change dump (IEEE 1364-2005, clause 18): the registers of every stage, and
/// valid and ready of every stream. One unit of time is half a clock cycle: from `2n` to `2n + 2` registers
/// and signals are those before edge `n`, which the clock's rise at `2n + 2` is.
pub struct Waveform<W: Write> {
    writer: vcd::Writer<W>,
    clock: IdCode,
    registers: Vec<Shown>,
    streams: Vec<[IdCode; 2]>,
    cycles: Range<u64>,
    /// The cycle that has been begun and whose signals are still to be seen.
    open: Option<u64>,
}

struct Shown {
    code: IdCode,
    /// Limbs of the state.
    at: Range<usize>,
    words: usize,
    lanes: usize,
    lane_bits: u32,
    last: Option<Vec<u64>>,
}

impl<W: Write> Waveform<W> {
    /// A waveform of the edges in `cycles`.
    ///
    /// # Errors
    /// Where the writer fails.
    pub fn new(writer: W, engine: &Engine, cycles: Range<u64>) -> io::Result<Self> {
        let pipeline = engine.pipeline();
        let mut writer = vcd::Writer::new(writer);
        writer.comment("radstream")?;
        writer.timescale(1, TimescaleUnit::NS)?;
        writer.add_module("accelerator")?;
        let clock = writer.add_var(VarType::Wire, 1, "clk", None)?;
        let mut registers = Vec::new();
        for placed in &pipeline.stages {
            writer.add_module(&identifier(&placed.name))?;
            let mut at = placed.state.start;
            for register in &placed.registers {
                let range = at..at + register.limbs();
                at = range.end;
                if register.bits() > WIDEST {
                    continue;
                }
                let code = writer.add_var(VarType::Reg, register.bits() as u32, register.name, None)?;
                registers.push(Shown {
                    code,
                    at: range,
                    words: register.words,
                    lanes: register.lanes,
                    lane_bits: register.lane_bits,
                    last: None,
                });
            }
            writer.upscope()?;
        }
        writer.add_module("streams")?;
        let mut streams = Vec::new();
        for (index, stream) in pipeline.streams.iter().enumerate() {
            let name = match stream.from {
                Some((stage, 0)) => identifier(&pipeline.stages[stage].name),
                Some((stage, port)) => format!("{}_{port}", identifier(&pipeline.stages[stage].name)),
                None => "input".to_owned(),
            };
            debug_assert!(index == streams.len());
            streams.push([
                writer.add_wire(1, &format!("{name}_valid"))?,
                writer.add_wire(1, &format!("{name}_ready"))?,
            ]);
        }
        writer.upscope()?;
        writer.upscope()?;
        writer.enddefinitions()?;
        Ok(Self {
            writer,
            clock,
            registers,
            streams,
            cycles,
            open: None,
        })
    }

    /// The clock's fall in the middle of the cycle that has been begun.
    fn fall(&mut self) -> io::Result<()> {
        let Some(cycle) = self.open.take() else {
            return Ok(());
        };
        self.writer.timestamp(2 * cycle + 1)?;
        self.writer.change_scalar(self.clock, Value::V0)
    }
}

/// A name as waveform viewers take it.
fn identifier(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' {
                c
            } else {
                '_'
            }
        })
        .collect()
}

impl<W: Write> Watch for Waveform<W> {
    fn see(&mut self, engine: &Engine) -> io::Result<()> {
        // After edge `n` the cycle counter says `n + 1`.
        let cycle = engine.cycle();
        if self.open.is_some() {
            for (stream, codes) in self.streams.iter().enumerate() {
                let (valid, ready) = engine.handshake(stream);
                self.writer.change_scalar(codes[0], valid)?;
                self.writer.change_scalar(codes[1], ready)?;
            }
            self.fall()?;
        }
        if cycle < self.cycles.start || cycle > self.cycles.end {
            return Ok(());
        }
        self.writer.timestamp(2 * cycle)?;
        self.writer.change_scalar(self.clock, Value::V1)?;
        let state = engine.state();
        for shown in &mut self.registers {
            let now = &state[shown.at.clone()];
            if shown.last.as_deref() == Some(now) {
                continue;
            }
            let stride = now.len() / shown.words.max(1);
            let mut bits = Vec::new();
            for word in (0..shown.words).rev() {
                for at in (0..shown.lanes).rev() {
                    let value = lane(&now[word * stride..][..stride], at, shown.lane_bits);
                    bits.extend(
                        (0..shown.lane_bits)
                            .rev()
                            .map(|bit| Value::from(value >> bit & 1 == 1)),
                    );
                }
            }
            match bits.as_slice() {
                [bit] => self.writer.change_scalar(shown.code, *bit)?,
                bits => self.writer.change_vector(shown.code, bits.iter().copied())?,
            }
            shown.last = Some(now.to_vec());
        }
        self.open = Some(cycle);
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        self.fall()?;
        self.writer.flush()
    }
}

/// A table with a row per edge and a column per stage: `t` a word was taken, `g` given, `b` both, `x` a
/// word is offered and not taken, `s` it would take one and none is offered, `.` otherwise.
pub struct Table<W: Write> {
    writer: W,
    cycles: Range<u64>,
    began: bool,
}

impl<W: Write> Table<W> {
    /// A table of the edges in `cycles`.
    #[must_use]
    pub fn new(writer: W, cycles: Range<u64>) -> Self {
        Self {
            writer,
            cycles,
            began: false,
        }
    }
}

impl<W: Write> Watch for Table<W> {
    fn see(&mut self, engine: &Engine) -> io::Result<()> {
        let stages = &engine.pipeline().stages;
        if !self.began {
            self.began = true;
            write!(self.writer, "cycle")?;
            for placed in stages {
                write!(self.writer, ",{}", placed.name)?;
            }
            writeln!(self.writer)?;
        }
        let Some(edge) = engine
            .cycle()
            .checked_sub(1)
            .filter(|edge| self.cycles.contains(edge))
        else {
            return Ok(());
        };
        write!(self.writer, "{edge}")?;
        for at in 0..stages.len() {
            let (signals, offered, accepted) = engine.signals(at);
            let letter = match (signals.valid & accepted != 0, signals.ready & offered != 0) {
                (true, true) => 'b',
                (true, false) => 't',
                (false, true) => 'g',
                (false, false) if offered != 0 => 'x',
                (false, false) if accepted != 0 => 's',
                (false, false) => '.',
            };
            write!(self.writer, ",{letter}")?;
        }
        writeln!(self.writer)
    }

    fn end(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
