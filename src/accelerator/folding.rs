//! How each layer's matrix product is spread over time, and how many cycles that takes.

use super::hardware::{Folding, Hardware, HardwareError, Problem};
use super::reuse::ReuseRule;
use super::window::WindowStage;
use crate::network::{Geometry, LayerId, Mac, Network, Note, NoteKind, Op, ParamId};
use serde::Serialize;

/// Sizes of a matrix product as hardware sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MatrixShape {
    /// Rows of the weight matrix: output channels.
    pub rows: u64,
    /// Columns of the weight matrix: taps of one output.
    pub columns: u64,
    /// Vectors per sample: output positions (input positions of a transposed convolution).
    pub vectors: u64,
}

/// How a product's folding was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FoldingSource {
    /// The hardware file.
    HardwareFile,
    /// The network file's hint.
    NetworkHint,
    /// Nothing was said: everything at once.
    FullyParallel,
}

/// A matrix product of the accelerator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// The layer.
    pub layer: LayerId,
    /// Its weights.
    pub weight: ParamId,
    /// Sizes of the product.
    pub shape: MatrixShape,
    /// How it is folded.
    pub folding: Folding,
    /// Who said so.
    pub folding_source: FoldingSource,
    /// Multiplications per cycle.
    pub multipliers: u64,
    /// Cycles per sample of the product: `(MH/PE) * (MW/SIMD) * vectors` for FINN (`get_exp_cycles` of
    /// the MVAU). For hls4ml the reuse factor times the vectors, which is what the file requests; the
    /// schedule of the synthesis tool may differ.
    pub product_cycles: u64,
    /// The sliding window generator in front, where there is one.
    pub window: Option<WindowStage>,
    /// Whether the cycles are a request to a synthesis tool instead of a property of the design.
    pub requested: bool,
}

impl Stage {
    /// Cycles per sample of the sliding window generator in front, where there is one.
    #[must_use]
    pub fn window_cycles(&self) -> Option<u64> {
        self.window.map(|window| window.cycles)
    }

    /// Cycles per sample of the padding in front of that, where there is one.
    #[must_use]
    pub fn padding_cycles(&self) -> Option<u64> {
        self.window.and_then(|window| window.padding_cycles)
    }

    /// Cycles between two samples: those of the slowest of product, window generator and padding.
    #[must_use]
    pub fn initiation_interval(&self) -> u64 {
        [
            Some(self.product_cycles),
            self.window_cycles(),
            self.padding_cycles(),
        ]
        .into_iter()
        .flatten()
        .max()
        .unwrap_or(0)
    }

    /// PE and SIMD where the folding is FINN's.
    #[must_use]
    pub fn finn(&self) -> Option<(u32, u32)> {
        match self.folding {
            Folding::Finn { pe, simd } => Some((pe, simd)),
            Folding::Hls4ml { .. } => None,
        }
    }
}

impl MatrixShape {
    pub(super) fn of(mac: &Mac) -> Self {
        let Geometry {
            input,
            output,
            window,
        } = mac.geometry;
        let groups = mac.groups.max(1);
        let positions = if mac.transposed { input } else { output };
        Self {
            rows: output[2] as u64,
            columns: (window.kernel[0] * window.kernel[1] * (input[2] / groups)) as u64,
            vectors: (positions[0] * positions[1]) as u64,
        }
    }

    /// Number of weights.
    #[must_use]
    pub fn weights(&self) -> u64 {
        self.rows * self.columns
    }
}

/// The matrix products of the network in order, folded as the hardware file, the network's hints or
/// nobody says.
pub(super) fn stages(network: &Network, hardware: &Hardware) -> Result<Vec<Stage>, Box<HardwareError>> {
    let mut stages = Vec::new();
    for node in &network.nodes {
        let Op::Mac(mac) = &node.op else { continue };
        let layer = network.layer(node.layer);
        let shape = MatrixShape::of(mac);
        let (folding, folding_source) = resolve(network, hardware, node.layer, shape);
        // A network file may carry a factor that hls4ml does not build: that is said (`remarks`), not refused.
        let rule = (folding_source == FoldingSource::HardwareFile).then(|| ReuseRule::of(layer, mac));
        check(&layer.name, folding, shape, rule).map_err(|problem| HardwareError::new(problem, hardware))?;
        let window = WindowStage::of(layer, mac, folding, hardware)
            .map_err(|problem| HardwareError::new(problem, hardware))?;
        let (multipliers, product_cycles) = match folding {
            Folding::Finn { pe, simd } => {
                let (pe, simd) = (u64::from(pe), u64::from(simd));
                (
                    pe * simd,
                    (shape.rows / pe) * (shape.columns / simd) * shape.vectors,
                )
            }
            Folding::Hls4ml { reuse_factor } => {
                let reuse = u64::from(reuse_factor);
                // Adders take the place of multipliers in distributed arithmetic.
                let distributed = layer.hints.strategy.as_deref() == Some("distributed_arithmetic");
                let weights = if distributed { 0 } else { shape.weights() };
                (weights.div_ceil(reuse), reuse * shape.vectors)
            }
        };
        stages.push(Stage {
            layer: node.layer,
            weight: mac.weight,
            shape,
            folding,
            folding_source,
            multipliers,
            product_cycles,
            window,
            requested: matches!(folding, Folding::Hls4ml { .. }),
        });
    }
    Ok(stages)
}

fn resolve(
    network: &Network,
    hardware: &Hardware,
    layer: LayerId,
    shape: MatrixShape,
) -> (Folding, FoldingSource) {
    let layer = network.layer(layer);
    let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
    if let Some(folding) = hardware.field(&layer.name, |entry| entry.folding) {
        return (folding, FoldingSource::HardwareFile);
    }
    match (layer.hints.pe, layer.hints.simd, layer.hints.reuse_factor) {
        (None, None, Some(reuse_factor)) => (
            Folding::Hls4ml {
                reuse_factor: reuse_factor.clamp(1, narrow(shape.weights())),
            },
            FoldingSource::NetworkHint,
        ),
        (None, None, None) => (
            Folding::Finn {
                pe: narrow(shape.rows),
                simd: narrow(shape.columns),
            },
            FoldingSource::FullyParallel,
        ),
        (pe, simd, _) => (
            Folding::Finn {
                pe: pe.unwrap_or(1),
                simd: simd.unwrap_or(1),
            },
            FoldingSource::NetworkHint,
        ),
    }
}

/// What is said of reuse factors that the network file carries and hls4ml does not build.
pub(super) fn remarks(network: &Network, stages: &[Stage]) -> Vec<Note> {
    let remark = |stage: &Stage| {
        let layer = network.layer(stage.layer);
        let factor = layer.hints.reuse_factor?;
        let carried = stage.folding_source == FoldingSource::NetworkHint && stage.finn().is_none();
        let mac = network.nodes.iter().find_map(|node| match &node.op {
            Op::Mac(mac) if node.layer == stage.layer => Some(mac),
            _ => None,
        });
        let rule = ReuseRule::of(layer, mac.filter(|_| carried)?);
        let text = rule.remark(u64::from(factor))?;
        Some(Note::new(NoteKind::Flow, layer.name.clone(), text))
    };
    stages.iter().filter_map(remark).collect()
}

/// `rule` asks for a reuse factor that hls4ml builds.
fn check(layer: &str, folding: Folding, shape: MatrixShape, rule: Option<ReuseRule>) -> Result<(), Problem> {
    let divides = |what, value: u32, count: u64, counted| {
        if value > 0 && count.is_multiple_of(u64::from(value)) {
            Ok(())
        } else {
            Err(Problem::NotDividing {
                layer: layer.to_owned(),
                what,
                value,
                count,
                counted,
            })
        }
    };
    match folding {
        Folding::Finn { pe, simd } => {
            divides("pe", pe, shape.rows, "rows of the weight matrix")?;
            divides("simd", simd, shape.columns, "columns of the weight matrix")
        }
        Folding::Hls4ml { reuse_factor } => {
            let reuse = u64::from(reuse_factor);
            if (1..=shape.weights()).contains(&reuse) {
                match rule.filter(|rule| !rule.admits(reuse)) {
                    Some(rule) => Err(Problem::ReuseFactorRejected {
                        layer: layer.to_owned(),
                        value: reuse_factor,
                        rows: shape.rows,
                        taps: shape.columns,
                        nearest: rule.nearest(reuse),
                        expected: rule.expected(),
                    }),
                    None => Ok(()),
                }
            } else {
                Err(Problem::ReuseFactor {
                    layer: layer.to_owned(),
                    value: reuse_factor,
                    weights: shape.weights(),
                })
            }
        }
    }
}
