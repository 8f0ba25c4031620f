//! From functions to a design: when the words of one sample pass, and how far two samples are apart.
//!
//! Times are the edges at which words pass, as recurrences over the words of one sample; no FIFO holds anything up,
//! because hls4ml's hold whole maps.

use super::super::folding::Stage;
use super::super::hardware::{Hardware, LoopTiming};
use super::{FunctionTiming, Functions, Step, padded, steps};
use crate::network::{LayerId, Mac, Network, Node, Op, TensorId};

/// Words of a tensor on their way: when each can be taken first, and how many elements it has.
struct Words {
    at: Vec<u64>,
    lanes: usize,
    /// The layer whose stage hands them out; none for those of the input.
    maker: Option<LayerId>,
}

struct Design<'a> {
    network: &'a Network,
    hardware: &'a Hardware,
    stages: &'a [Stage],
    functions: &'a Functions,
    /// Whether every iteration counts as one that hands out a result.
    longest: bool,
    /// When every loop is through with the sample.
    done: u64,
    /// When the first word of the sample was taken.
    first: Option<u64>,
}

/// Latency and interval of the design, where they are known.
pub(super) fn of(
    network: &Network,
    hardware: &Hardware,
    stages: &[Stage],
    functions: &Functions,
    longest: bool,
) -> (Option<u64>, Option<u64>) {
    let mut design = Design {
        network,
        hardware,
        stages,
        functions,
        longest,
        done: 0,
        first: None,
    };
    (design.latency(), design.interval())
}

/// Whether a node only names elements anew.
fn is_wire(network: &Network, node: &Node) -> bool {
    let same = network.tensor(node.inputs[0]).encoding == network.tensor(node.output).encoding;
    matches!(node.op, Op::Cast | Op::Reshape) && same
}

fn is_element_wise(op: &Op) -> bool {
    matches!(
        op,
        Op::Relu(_)
            | Op::Table(_)
            | Op::Clip { .. }
            | Op::Affine(_)
            | Op::ScaledBias(_)
            | Op::Rescale { .. }
            | Op::Cast
            | Op::Reshape
    )
}

/// Words that pass one after the other, each taken `every` edges behind the one before at the earliest.
fn paced(at: &[u64], every: u64) -> Vec<u64> {
    let mut next = 0;
    at.iter()
        .map(|&at| {
            let taken = at.max(next);
            next = taken + every;
            taken
        })
        .collect()
}

/// A loop over pixels: when words are taken, and when results are handed out.
fn looped(
    at: &[u64],
    steps: &[Step],
    pace: impl Fn(Step) -> (u64, u64),
    latency: u64,
) -> (Vec<u64>, Vec<u64>) {
    let (mut taken, mut out) = (Vec::with_capacity(at.len()), Vec::new());
    let (mut next, mut next_taken) = (0, 0);
    for &step in steps {
        let mut start: u64 = next;
        if step.takes {
            let Some(&word) = at.get(taken.len()) else { break };
            start = start.max(word).max(next_taken);
            taken.push(start);
        }
        if step.completes {
            out.push(start + latency);
        }
        let (every, of_taken) = pace(step);
        next = start + every;
        if step.takes {
            next_taken = start + of_taken;
        }
    }
    (taken, out)
}

impl Design<'_> {
    fn stated(&self, layer: LayerId) -> Option<LoopTiming> {
        self.hardware
            .field(&self.network.layer(layer).name, |entry| entry.timing)
    }

    /// Lanes that the words of the input have.
    fn input_lanes(&self) -> usize {
        let input = self.network.input;
        let reader = self
            .network
            .nodes
            .iter()
            .find(|node| node.inputs.contains(&input));
        let wanted = match reader.map(|node| &node.op) {
            Some(Op::Mac(mac)) => mac.geometry.input[2],
            Some(Op::Pool(pool)) => pool.geometry.input[2],
            _ => self.network.tensor(input).channels(),
        };
        self.hardware
            .input_stream
            .lanes
            .map_or(wanted, |lanes| lanes as usize)
    }

    fn latency(&mut self) -> Option<u64> {
        let network = self.network;
        if self.hardware.output_stream.lanes.is_some() || self.hardware.output_stream.interval > 1 {
            return None;
        }
        let lanes = self.input_lanes();
        let count = network.tensor(network.input).len() / lanes.max(1);
        let mut words = Words {
            at: (0..count as u64)
                .map(|word| word * u64::from(self.hardware.input_stream.interval))
                .collect(),
            lanes,
            maker: None,
        };
        let mut at = network.input;
        for node in &network.nodes {
            if node.inputs != [at] {
                return None;
            }
            words = self.pass(node, words)?;
            at = node.output;
        }
        let last = *words.at.last()?;
        // A report counts until every function is done, read or not.
        let last = if self.longest { last.max(self.done) } else { last };
        (at == network.output).then(|| last - self.first.unwrap_or(0))
    }

    /// Words in front of a node: through a FIFO where they come from another layer.
    fn taken(&self, node: &Node, mut words: Words) -> Option<Words> {
        let name = &self.network.layer(node.layer).name;
        let stated = self.hardware.field(name, |entry| entry.fifo).is_some()
            || self.hardware.field(name, |entry| entry.fifo_lanes).is_some();
        if stated {
            return None;
        }
        let queued = words.maker.is_some_and(|maker| maker != node.layer) && !self.functions.pipelined;
        if queued {
            words.at.iter_mut().for_each(|at| *at += 1);
        }
        Some(words)
    }

    /// The same elements in words of another width.
    fn converted(&mut self, words: Words, lanes: usize) -> Option<Words> {
        if words.lanes == lanes {
            return Some(words);
        }
        if words.lanes == 0 || !lanes.is_multiple_of(words.lanes) {
            return None;
        }
        let by = lanes / words.lanes;
        let taken = paced(&words.at, 1);
        self.note_first(&taken);
        let at = taken.chunks_exact(by).map(|parts| parts[by - 1] + 1).collect();
        Some(Words {
            at,
            lanes,
            maker: words.maker,
        })
    }

    /// Notes a loop that took words then.
    fn note(&mut self, taken: &[u64], latency: u64) {
        self.note_first(taken);
        let last = taken.last().copied().unwrap_or(0);
        self.done = self.done.max(last + latency);
    }

    fn note_first(&mut self, taken: &[u64]) {
        self.first = self.first.or(taken.first().copied());
    }

    fn pass(&mut self, node: &Node, words: Words) -> Option<Words> {
        if is_wire(self.network, node) {
            return self.taken_by_wire(node, words);
        }
        let timing = self.functions.making(node.output).copied();
        let words = self.taken(node, words)?;
        let maker = Some(node.layer);
        match &node.op {
            Op::Mac(mac) => self.product(node, mac, timing, words),
            Op::Pool(pool) => {
                let words = self.converted(words, pool.geometry.input[2])?;
                let steps = steps(&pool.geometry, false);
                let (every, latency) = self.pace(node.layer, timing);
                let (taken, at) = looped(&words.at, &steps, |_| (1, every), latency);
                self.note(&taken, latency);
                Some(Words {
                    at,
                    lanes: pool.geometry.output[2],
                    maker,
                })
            }
            Op::Softmax(_) => {
                let timing = timing?;
                if words.at.len() != 1 || words.lanes != self.network.tensor(node.inputs[0]).channels() {
                    return None;
                }
                self.note_first(&words.at);
                let at = words
                    .at
                    .iter()
                    .map(|at| at + timing.iteration_latency.max(2))
                    .collect();
                Some(Words {
                    at,
                    lanes: words.lanes,
                    maker,
                })
            }
            // A frame stores its whole input first; its result passes one register.
            Op::Upsample { .. } | Op::Transpose { .. } | Op::Gather { .. } | Op::Pad(_) | Op::ArgMax(_) => {
                let taken = paced(&words.at, 1);
                self.note_first(&taken);
                let lanes = self.network.tensor(node.output).channels();
                let count = self.network.tensor(node.output).len() / lanes.max(1);
                let full = *taken.last()?;
                let at = (0..count as u64).map(|word| full + 2 + word).collect();
                Some(Words { at, lanes, maker })
            }
            op if is_element_wise(op) => {
                let (every, latency) = self.pace(node.layer, timing);
                let taken = paced(&words.at, every);
                self.note_first(&taken);
                let at = taken.iter().map(|at| at + latency).collect();
                Some(Words {
                    at,
                    lanes: words.lanes,
                    maker,
                })
            }
            _ => None,
        }
    }

    /// A wire takes its words from a FIFO too, where they come from another layer.
    fn taken_by_wire(&self, node: &Node, words: Words) -> Option<Words> {
        let maker = words.maker;
        let queued = self.taken(node, words)?;
        let maker = maker.map(|_| node.layer);
        Some(Words { maker, ..queued })
    }

    /// Edges between two words, and behind a word, of what has no product.
    fn pace(&self, layer: LayerId, timing: Option<FunctionTiming>) -> (u64, u64) {
        match (timing, self.stated(layer)) {
            (Some(timing), _) => (timing.initiation_interval, timing.iteration_latency.max(1)),
            (None, Some(stated)) => (1, u64::from(stated.iteration_latency)),
            (None, None) => (1, 1),
        }
    }

    fn product(
        &mut self,
        node: &Node,
        mac: &Mac,
        timing: Option<FunctionTiming>,
        words: Words,
    ) -> Option<Words> {
        let (interval, idle, latency) = match (timing, self.stated(node.layer)) {
            (Some(timing), _) => (
                timing.initiation_interval,
                if self.longest {
                    timing.initiation_interval
                } else {
                    timing.idle_interval
                },
                timing.iteration_latency,
            ),
            (None, Some(stated)) => {
                let interval = u64::from(stated.initiation_interval);
                (interval, interval, u64::from(stated.iteration_latency))
            }
            (None, None) => return None,
        };
        let mut words = self.converted(words, mac.geometry.input[2])?;
        let padded = timing.and_then(|_| padded(self.network, node.layer, mac, self.functions.io_type));
        let geometry = match padded {
            None => mac.geometry,
            Some(map) => {
                words.at = self.padded_words(&words.at, mac, &map)?;
                map
            }
        };
        let steps = steps(&geometry, mac.transposed);
        let pace = |step: Step| if step.completes { (interval, 0) } else { (idle, 0) };
        let (taken, at) = looped(&words.at, &steps, pace, latency);
        self.note(&taken, latency);
        Some(Words {
            at,
            lanes: mac.geometry.output[2],
            maker: Some(node.layer),
        })
    }

    /// Words of a padded map, a FIFO behind the padding: a word per edge, the first one at edge 1.
    fn padded_words(&mut self, at: &[u64], mac: &Mac, map: &crate::network::Geometry) -> Option<Vec<u64>> {
        let pad = mac.geometry.window.pad;
        let inside = |axis: usize, at: usize| (pad[axis]..pad[axis] + mac.geometry.input[axis]).contains(&at);
        let mut pixels = at.iter();
        let mut before: Option<u64> = None;
        let mut out = Vec::with_capacity(map.input[0] * map.input[1]);
        for y in 0..map.input[0] {
            for x in 0..map.input[1] {
                let is_pixel = inside(0, y) && inside(1, x);
                let need = if is_pixel { *pixels.next()? } else { 0 };
                let edge = before.map_or(0, |before| before + 1).max(need + 1);
                before = Some(edge);
                out.push(edge + 1);
            }
        }
        // A side register takes the first pixel while a border is handed on.
        self.note_first(at);
        Some(out)
    }

    fn between(&self, timing: &FunctionTiming) -> u64 {
        if self.longest {
            timing.longest_interval
        } else {
            timing.interval
        }
    }

    fn interval(&self) -> Option<u64> {
        let network = self.network;
        let count = |id: TensorId| {
            let tensor = network.tensor(id);
            (tensor.len() / tensor.channels().max(1)) as u64
        };
        let of_input = network.tensor(network.input).len() / self.input_lanes().max(1);
        let mut slowest = of_input as u64 * u64::from(self.hardware.input_stream.interval);
        for node in &network.nodes {
            let words = node.inputs.iter().chain([&node.output]).map(|&id| count(id));
            let own = match (self.functions.making(node.output), &node.op) {
                (Some(timing), Op::Mac(mac)) => {
                    let padded = padded(network, node.layer, mac, self.functions.io_type);
                    let of_padding = padded.map_or(0, |map| (map.input[0] * map.input[1]) as u64);
                    self.between(timing).max(of_padding)
                }
                (Some(timing), _) => self.between(timing),
                (None, Op::Mac(mac)) => {
                    let stated = self.stated(node.layer);
                    let each = match (stated, self.stages.iter().find(|stage| stage.layer == node.layer)) {
                        (Some(stated), _) => u64::from(stated.initiation_interval),
                        (None, Some(stage)) => stage.product_cycles / stage.shape.vectors.max(1),
                        (None, None) => return None,
                    };
                    steps(&mac.geometry, mac.transposed).len() as u64 * each
                }
                (
                    None,
                    Op::Softmax(_)
                    | Op::Transpose { .. }
                    | Op::Gather { .. }
                    | Op::Upsample { .. }
                    | Op::Pad(_)
                    | Op::ArgMax(_),
                ) => words.sum(),
                (None, Op::Program(_)) => return None,
                _ => words.max().unwrap_or(0),
            };
            slowest = slowest.max(own);
        }
        let out = u64::from(self.hardware.output_stream.interval) * count(network.output);
        Some(slowest.max(out))
    }
}
