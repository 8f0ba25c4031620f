//! Operations that only move elements or choose the largest one, on tensors of one kind.

use super::Level;
use super::lanes::{Data, Kind, Store, words};
use super::level::at_level;
use super::range::Range;
use super::range::is_identity;
use crate::network::{Network, Node, Op, Pool, PoolKind};
use crate::simulate::functional::ops;

/// Consecutive elements (words of bits) copied from an operand, or filled.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// The operand and its first element; none for the border of a padding.
    from: Option<(usize, usize)>,
    to: usize,
    len: usize,
}

/// A movement as copies.
#[derive(Clone, Debug)]
pub struct Moves {
    pieces: Vec<Piece>,
    /// The border in mantissas.
    fill: i64,
}

impl Moves {
    /// The copies of an operation that moves elements without changing them; `None` for any other.
    #[must_use]
    pub fn new(network: &Network, node: &Node, ranges: &[Range], kinds: &[Kind]) -> Option<Self> {
        let output = network.tensor(node.output);
        let kind = kinds[node.output.index()];
        // The plain twin casts every element from the first operand's binary point, except in a
        // concatenation.
        let unchanged = node.inputs.iter().enumerate().all(|(operand, id)| {
            let point = match node.op {
                Op::Concat { .. } => operand,
                _ => 0,
            };
            let frac = network.tensor(node.inputs[point]).encoding.frac();
            kinds[id.index()] == kind && is_identity(frac, &ranges[id.index()], &output.encoding)
        });
        if !unchanged {
            return None;
        }
        let fill = match &node.op {
            Op::Pad(pad) => {
                let frac = network.tensor(node.inputs[0]).encoding.frac();
                let border = Range::new(i128::from(pad.value), i128::from(pad.value));
                if !is_identity(frac, &border, &output.encoding) {
                    return None;
                }
                pad.value
            }
            _ => 0,
        };
        let unit = match kind {
            Kind::Bits { row } if row % 64 == 0 => 64,
            // Without gaps between the rows the words of all operands lie as their elements do.
            Kind::Bits { .. } if !matches!(node.op, Op::Reshape) => return None,
            _ => 1,
        };
        if matches!(node.op, Op::Reshape) {
            let len = match kind {
                Kind::Bits { row } => output.len().div_ceil(row) * words(row),
                _ => output.len(),
            };
            let whole = Piece {
                from: Some((0, 0)),
                to: 0,
                len,
            };
            return Some(Self {
                pieces: vec![whole],
                fill,
            });
        }
        let mut pieces: Vec<Piece> = Vec::new();
        for index in 0..output.len() {
            let mut from = None;
            match &node.op {
                Op::Concat { .. }
                | Op::Transpose { .. }
                | Op::Pad(_)
                | Op::Upsample { .. }
                | Op::Gather { .. } => {
                    ops::sources(network, node, &node.op, index, &mut |operand, at| {
                        from = Some((operand, at))
                    });
                }
                _ => return None,
            }
            match pieces.last_mut() {
                Some(last) if continues(last, from) => last.len += 1,
                _ => pieces.push(Piece {
                    from,
                    to: index,
                    len: 1,
                }),
            }
        }
        for piece in &mut pieces {
            let start = piece.from.map_or(0, |(_, at)| at);
            if piece.to % unit != 0 || piece.len % unit != 0 || start % unit != 0 {
                return None;
            }
            piece.to /= unit;
            piece.len /= unit;
            piece.from = piece.from.map(|(operand, at)| (operand, at / unit));
        }
        Some(Self { pieces, fill })
    }

    /// Copies all pieces.
    pub fn run(&self, operands: &[&Store], output: &mut Store) {
        let fill = self.fill;
        match (&mut output.data, output.kind) {
            (Data::Bits(to), _) => self.copy(to, if fill > 0 { u64::MAX } else { 0 }, |at| {
                match &operands[at].data {
                    Data::Bits(from) => from,
                    _ => &[],
                }
            }),
            (Data::Byte(to), Kind::Byte { zero }) => {
                self.copy(to, (fill + i64::from(zero)) as u8, |at| {
                    match &operands[at].data {
                        Data::Byte(from) => from,
                        _ => &[],
                    }
                });
            }
            (Data::Half(to), Kind::Half { zero }) => {
                self.copy(to, (fill + i64::from(zero)) as i16, |at| {
                    match &operands[at].data {
                        Data::Half(from) => from,
                        _ => &[],
                    }
                });
            }
            (Data::Word(to), _) => self.copy(to, fill as i32, |at| match &operands[at].data {
                Data::Word(from) => from,
                _ => &[],
            }),
            (Data::Wide(to), _) => self.copy(to, fill, |at| match &operands[at].data {
                Data::Wide(from) => from,
                _ => &[],
            }),
            _ => {}
        }
    }

    fn copy<'a, T: Copy + 'a>(&self, to: &mut [T], fill: T, operand: impl Fn(usize) -> &'a [T]) {
        for piece in &self.pieces {
            let to = &mut to[piece.to..][..piece.len];
            match piece.from {
                Some((at, first)) => to.copy_from_slice(&operand(at)[first..][..piece.len]),
                None => to.fill(fill),
            }
        }
    }
}

fn continues(last: &Piece, from: Option<(usize, usize)>) -> bool {
    match (last.from, from) {
        (None, None) => true,
        (Some((operand, at)), Some((next, start))) => operand == next && at + last.len == start,
        _ => false,
    }
}

/// A maximum over windows, pixel by pixel.
#[derive(Clone, Debug)]
pub struct MaxPool {
    /// Lanes of a pixel: channels, or words of bits.
    row: usize,
    /// Input pixels of each output pixel, all of them equally many or fewer at the border.
    windows: Vec<Vec<u32>>,
}

impl MaxPool {
    /// The windows of a maximum that is not cast and has no empty window; `None` for any other.
    #[must_use]
    pub fn new(
        network: &Network,
        node: &Node,
        pool: &Pool,
        ranges: &[Range],
        kinds: &[Kind],
    ) -> Option<Self> {
        let (input, output) = (node.inputs[0], node.output);
        let frac = network.tensor(input).encoding.frac();
        let channels = pool.geometry.input[2];
        let row = match kinds[output.index()] {
            Kind::Bits { row } if row == channels => words(row),
            Kind::Bits { .. } => return None,
            _ => channels,
        };
        let fits = matches!(pool.kind, PoolKind::Max { through: None })
            && kinds[input.index()] == kinds[output.index()]
            && pool.geometry.output[2] == channels
            && is_identity(frac, &ranges[input.index()], &network.tensor(output).encoding);
        if !fits {
            return None;
        }
        let pixels = pool.geometry.output[0] * pool.geometry.output[1];
        let windows: Vec<Vec<u32>> = (0..pixels)
            .map(|pixel| {
                let mut window = Vec::new();
                ops::sources(network, node, &node.op, pixel * channels, &mut |_, at| {
                    window.push((at / channels) as u32);
                });
                window
            })
            .collect();
        let none_empty = windows.iter().all(|window| !window.is_empty());
        none_empty.then_some(Self { row, windows })
    }

    /// Chooses the largest elements.
    pub fn run(&self, level: Level, input: &Store, output: &mut Store) {
        match (&input.data, &mut output.data) {
            (Data::Bits(from), Data::Bits(to)) => any_bit(level, self, from, to),
            (Data::Byte(from), Data::Byte(to)) => largest_byte(level, self, from, to),
            (Data::Half(from), Data::Half(to)) => largest_half(level, self, from, to),
            (Data::Word(from), Data::Word(to)) => largest_word(level, self, from, to),
            (Data::Wide(from), Data::Wide(to)) => largest_wide(level, self, from, to),
            _ => {}
        }
    }
}

#[inline(always)]
fn reduce<T: Copy>(pool: &MaxPool, from: &[T], to: &mut [T], larger: impl Fn(T, T) -> T) {
    let row = pool.row;
    for (window, to) in pool.windows.iter().zip(to.chunks_exact_mut(row)) {
        to.copy_from_slice(&from[window[0] as usize * row..][..row]);
        for &pixel in &window[1..] {
            for (to, &from) in to.iter_mut().zip(&from[pixel as usize * row..][..row]) {
                *to = larger(*to, from);
            }
        }
    }
}

/// A reduction in one type.
macro_rules! reduction {
    ($name:ident, $type:ty, $larger:expr) => {
        at_level!(fn $name(pool: &MaxPool, from: &[$type], to: &mut [$type]) =
            |pool: &MaxPool, from: &[$type], to: &mut [$type]| reduce(pool, from, to, $larger));
    };
}
reduction!(any_bit, u64, |a, b| a | b);
reduction!(largest_byte, u8, |a: u8, b| a.max(b));
reduction!(largest_half, i16, |a: i16, b| a.max(b));
reduction!(largest_word, i32, |a: i32, b| a.max(b));
reduction!(largest_wide, i64, |a: i64, b| a.max(b));
