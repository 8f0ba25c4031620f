//! Enlargements and reductions to the nearest element: `Upsample` and `Resize`.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive};

use super::stream::Stream;
use super::{Importer, Value, exact};
use crate::network::Op;
use crate::network::import::onnx::OnnxNode;
use crate::network::import::{Cure, ImportError, limits};

/// Longest numerator and denominator of a scale, so that coordinates are machine integers.
const MAX_SCALE: i128 = 1 << 60;

/// Where an output coordinate lies on the input (`coordinate_transformation_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transform {
    HalfPixel,
    PytorchHalfPixel,
    HalfPixelSymmetric,
    AlignCorners,
    Asymmetric,
    TfHalfPixel,
}

/// Which neighbour is the nearest (`nearest_mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nearest {
    Floor,
    Ceil,
    PreferFloor,
    PreferCeil,
    /// Operator sets before 11: towards zero, and not stated where a coordinate between two elements shrinks.
    Simple,
}

/// A positive scale as a fraction, and as the single precision that executors compute with.
#[derive(Clone, Copy, Debug)]
struct Scale {
    numer: i128,
    denom: i128,
    single: f32,
}

impl Transform {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "half_pixel" => Self::HalfPixel,
            "pytorch_half_pixel" => Self::PytorchHalfPixel,
            "half_pixel_symmetric" => Self::HalfPixelSymmetric,
            "align_corners" => Self::AlignCorners,
            "asymmetric" => Self::Asymmetric,
            "tf_half_pixel_for_nn" => Self::TfHalfPixel,
            _ => return None,
        })
    }

    /// The exact place of output coordinate `x` as a fraction with a positive denominator, by the equations
    /// of ONNX's operator `Resize`.
    fn place(self, x: i128, from: i128, to: i128, scale: Scale) -> Option<(i128, i128)> {
        let Scale { numer, denom, .. } = scale;
        let middle = (2 * x + 1).checked_mul(denom)?;
        Some(match self {
            Self::PytorchHalfPixel | Self::AlignCorners if to == 1 => (0, 1),
            Self::HalfPixel | Self::PytorchHalfPixel => (middle - numer, 2 * numer),
            Self::HalfPixelSymmetric => {
                let shift = (from - 1).checked_mul(numer)?;
                (
                    shift.checked_add((2 * x + 1 - to).checked_mul(denom)?)?,
                    2 * numer,
                )
            }
            Self::AlignCorners => (x * (from - 1), to - 1),
            Self::Asymmetric => (x.checked_mul(denom)?, numer),
            Self::TfHalfPixel => (middle, 2 * numer),
        })
    }

    /// The same in single precision, as executors compute it.
    fn single_place(self, x: usize, from: usize, to: usize, scale: f32) -> f32 {
        let (x, from, to) = (x as f32, from as f32, to as f32);
        match self {
            Self::PytorchHalfPixel | Self::AlignCorners if to == 1.0 => 0.0,
            Self::HalfPixel | Self::PytorchHalfPixel => (x + 0.5) / scale - 0.5,
            Self::HalfPixelSymmetric => {
                let adjustment = to / (scale * from);
                from / 2.0 * (1.0 - adjustment) + (x + 0.5) / scale - 0.5
            }
            Self::AlignCorners => x * (from - 1.0) / (to - 1.0),
            Self::Asymmetric => x / scale,
            Self::TfHalfPixel => (x + 0.5) / scale,
        }
    }
}

impl Nearest {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "floor" => Self::Floor,
            "ceil" => Self::Ceil,
            "round_prefer_floor" => Self::PreferFloor,
            "round_prefer_ceil" => Self::PreferCeil,
            _ => return None,
        })
    }

    /// The neighbour of `numer / denom`, `None` where it is not stated.
    fn of(self, numer: i128, denom: i128, grows: bool) -> Option<i128> {
        let (floor, rest) = (numer.div_euclid(denom), numer.rem_euclid(denom));
        let up = match self {
            Self::Floor => false,
            Self::Simple => {
                if !grows && rest != 0 {
                    return None;
                }
                false
            }
            Self::Ceil => rest != 0,
            Self::PreferFloor => 2 * rest > denom,
            Self::PreferCeil => 2 * rest >= denom,
        };
        Some(floor + i128::from(up))
    }

    fn of_single(self, place: f32) -> f32 {
        let floor = libm::floorf(place);
        match self {
            Self::Floor | Self::Simple => floor,
            Self::Ceil => libm::ceilf(place),
            Self::PreferFloor => libm::ceilf(place - 0.5),
            Self::PreferCeil => libm::floorf(place + 0.5),
        }
    }
}

impl Importer<'_> {
    /// `Upsample` and `Resize` to the nearest neighbour, with constant scales or sizes.
    pub fn upsample(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        let stream = self.stream(node, 0)?;
        let from = self.batched_shape(&stream);
        if node.text("mode").is_some_and(|mode| mode != "nearest") {
            return Err(self.refuse_resize(node, "interpolates between elements"));
        }
        let (transform, nearest) = self.resize_modes(node)?;
        let (scales, to) = self.resize_scales(node, &from)?;
        if to[0] != 1 {
            return Err(self.refuse_resize(node, "resizes the batch"));
        }
        let mut picks = Vec::with_capacity(from.len());
        for axis in 0..from.len() {
            if to[axis] > limits::MAX_ELEMENTS {
                self.check_shape(node, &to)?;
            }
            picks.push(self.nearest_elements(
                node,
                (from[axis], to[axis]),
                scales[axis],
                transform,
                nearest,
            )?);
        }
        self.check_shape(node, &to)?;
        picks.remove(0);
        self.replicate(node, stream, &picks).map(Value::Stream)
    }

    fn refuse_resize(&self, node: &OnnxNode, problem: &str) -> ImportError {
        self.unsupported(node, problem)
            .expected("nearest neighbour with constant scales or sizes, the batch left alone")
            .help("leave interpolation to the off-chip readout")
            .cure(Cure::Readout)
    }

    /// Whether scales are the second input: `Upsample`, and `Resize` before operator set 11.
    fn has_old_form(node: &OnnxNode) -> bool {
        node.op == "Upsample" || node.inputs.len() == 2
    }

    fn resize_modes(&self, node: &OnnxNode) -> Result<(Transform, Nearest), ImportError> {
        if Self::has_old_form(node) {
            return Ok((Transform::Asymmetric, Nearest::Simple));
        }
        let text = |name: &str, otherwise: &str| node.text(name).unwrap_or_else(|| otherwise.to_owned());
        let transform = text("coordinate_transformation_mode", "half_pixel");
        let nearest = text("nearest_mode", "round_prefer_floor");
        match (Transform::parse(&transform), Nearest::parse(&nearest)) {
            (Some(transform), Some(nearest)) => Ok((transform, nearest)),
            _ => Err(self.refuse_resize(node, &format!("resizes by `{transform}` and `{nearest}`"))),
        }
    }

    /// The scale of every axis, the batch included, and the extents that they lead to.
    fn resize_scales(
        &self,
        node: &OnnxNode,
        from: &[usize],
    ) -> Result<(Vec<Scale>, Vec<usize>), ImportError> {
        let wrong = |problem: String| {
            self.structure(node, &problem)
                .expected("one positive scale or size per axis")
                .help("export the network again")
        };
        let axes = match node.ints("axes") {
            None => (0..from.len()).collect(),
            Some(axes) => {
                let axes: Result<Vec<usize>, ImportError> = axes
                    .iter()
                    .map(|&axis| self.axis(node, axis, from.len()))
                    .collect();
                axes?
            }
        };
        let mut scales = vec![
            Scale {
                numer: 1,
                denom: 1,
                single: 1.0
            };
            from.len()
        ];
        let mut to = from.to_vec();
        let given =
            |position: usize| node.input(position).is_some() && !self.is_empty_constant(node, position);
        let stated: Option<Vec<BigRational>> = if let Some(values) = node.floats("scales") {
            values.iter().map(|&value| exact::rational(value)).collect()
        } else if Self::has_old_form(node) {
            Some(self.exact_constant(node, 1, "list of scales")?.0)
        } else if given(2) {
            Some(self.exact_constant(node, 2, "list of scales")?.0)
        } else {
            None
        };
        if let Some(stated) = stated {
            if stated.len() != axes.len() {
                return Err(wrong(format!(
                    "has {} scales for {} axes",
                    stated.len(),
                    axes.len()
                )));
            }
            for (&axis, scale) in axes.iter().zip(&stated) {
                let extent = (scale * BigRational::from_integer(BigInt::from(from[axis]))).floor();
                let fraction = scale
                    .is_positive()
                    .then(|| Some((scale.numer().to_i128()?, scale.denom().to_i128()?)))
                    .flatten()
                    .filter(|&(numer, denom)| numer < MAX_SCALE && denom < MAX_SCALE);
                let (Some((numer, denom)), Some(extent)) = (fraction, extent.to_integer().to_usize()) else {
                    return Err(wrong(format!("has the scale {}", exact::to_f64(scale))));
                };
                scales[axis] = Scale {
                    numer,
                    denom,
                    single: exact::to_f64(scale) as f32,
                };
                to[axis] = extent;
            }
        } else if !Self::has_old_form(node) && given(3) {
            let sizes = self.integers(node, "sizes", 3)?.unwrap_or_default();
            let sizes: Option<Vec<usize>> = sizes
                .iter()
                .map(|&size| usize::try_from(size).ok().filter(|&size| size > 0))
                .collect();
            let Some(sizes) = sizes.filter(|sizes| sizes.len() == axes.len()) else {
                return Err(wrong(
                    "has sizes that are no positive numbers, one per axis".to_owned(),
                ));
            };
            self.sizes_to_scales(node, from, &axes, &sizes, &mut scales, &mut to)?;
        } else {
            return Err(self.refuse_resize(node, "has no constant scales or sizes"));
        }
        Ok((scales, to))
    }

    fn sizes_to_scales(
        &self,
        node: &OnnxNode,
        from: &[usize],
        axes: &[usize],
        sizes: &[usize],
        scales: &mut [Scale],
        to: &mut [usize],
    ) -> Result<(), ImportError> {
        let ratio = |axis: usize, size: usize| BigRational::new(BigInt::from(size), BigInt::from(from[axis]));
        let ratios = axes.iter().zip(sizes).map(|(&axis, &size)| ratio(axis, size));
        let policy = node
            .text("keep_aspect_ratio_policy")
            .unwrap_or_else(|| "stretch".to_owned());
        let common = match policy.as_str() {
            "stretch" => None,
            "not_larger" => ratios.min(),
            "not_smaller" => ratios.max(),
            _ => return Err(self.refuse_resize(node, &format!("keeps its aspect ratio by `{policy}`"))),
        };
        for (&axis, &size) in axes.iter().zip(sizes) {
            let (scale, size) = match &common {
                None => (ratio(axis, size), size),
                Some(scale) => {
                    // Half up.
                    let half = BigRational::new(BigInt::one(), BigInt::from(2));
                    let extent = scale * BigRational::from_integer(BigInt::from(from[axis])) + half;
                    let extent = extent
                        .floor()
                        .to_integer()
                        .to_usize()
                        .filter(|&extent| extent > 0);
                    let extent = extent.ok_or_else(|| {
                        self.structure(node, "keeps an aspect ratio that leaves no element")
                            .expected("sizes that keep every axis")
                            .help("export the network again")
                    })?;
                    (scale.clone(), extent)
                }
            };
            let (Some(numer), Some(denom)) = (scale.numer().to_i128(), scale.denom().to_i128()) else {
                return Err(self.refuse_resize(node, "has sizes beyond 64 bits"));
            };
            scales[axis] = Scale {
                numer,
                denom,
                single: numer as f32 / denom as f32,
            };
            to[axis] = size;
        }
        Ok(())
    }

    /// The element that each coordinate of a resized axis shows. Executors compute in single precision:
    /// what they and exact arithmetic see differently is refused.
    fn nearest_elements(
        &self,
        node: &OnnxNode,
        (from, to): (usize, usize),
        scale: Scale,
        transform: Transform,
        nearest: Nearest,
    ) -> Result<Vec<usize>, ImportError> {
        if scale.numer == scale.denom && from == to {
            return Ok((0..to).collect());
        }
        let last = from.saturating_sub(1);
        let exact_place = |x: usize| {
            let (numer, denom) = transform.place(x as i128, from as i128, to as i128, scale)?;
            let place = nearest.of(numer, denom, scale.numer >= scale.denom)?;
            usize::try_from(place.clamp(0, last as i128)).ok()
        };
        (0..to)
            .map(|x| {
                let single = nearest.of_single(transform.single_place(x, from, to, scale.single));
                // An axis that keeps its extent is left alone by some executors.
                exact_place(x).filter(|&at| single.clamp(0.0, last as f32) == at as f32 && (from != to || at == x))
            })
            .collect::<Option<Vec<usize>>>()
            .ok_or_else(|| {
                self.refuse_resize(
                    node,
                    "resizes by a scale whose coordinates fall between two elements so closely that executors disagree on the nearest",
                )
                .help("state the sizes, or put a Gather with the indices that your executor picks in its place")
            })
    }

    /// Picks elements; where the two leading axes of an image repeat each element equally often, as an
    /// enlargement.
    fn replicate(
        &mut self,
        node: &OnnxNode,
        stream: Stream,
        picks: &[Vec<usize>],
    ) -> Result<Stream, ImportError> {
        let from = self.file_shape(&stream);
        let factors: Option<Vec<usize>> = picks
            .iter()
            .zip(&from)
            .map(|(picked, &extent)| {
                let factor = picked.len() / extent;
                let whole = picked
                    .iter()
                    .enumerate()
                    .all(|(at, &from)| factor > 0 && from == at / factor);
                (whole && factor * extent == picked.len()).then_some(factor)
            })
            .collect();
        let rank = from.len();
        let Some(factors) = factors.filter(|factors| factors.iter().any(|&factor| factor > 1)) else {
            return self.pick(node, &node.outputs[0], stream, picks);
        };
        let by_tensor_axis = |stream: &Stream| -> Vec<usize> {
            let mut by_axis = vec![1; rank];
            stream
                .axes
                .iter()
                .zip(&factors)
                .for_each(|(&axis, &factor)| by_axis[axis] = factor);
            by_axis
        };
        // Channels stay what they are: the tensor's last axis, or the file's first.
        let stream = if by_tensor_axis(&stream).last() == Some(&1) {
            stream
        } else if factors[0] == 1 && (2..=3).contains(&rank) {
            self.as_image(node, stream)?.0
        } else {
            return self.pick(node, &node.outputs[0], stream, picks);
        };
        let mut factors = by_tensor_axis(&stream);
        let tensor = self.builder.tensors[stream.tensor.index()].clone();
        let name = self.builder.other_name(&node.name, &node.op);
        let layer = self.builder.layer(&name, &node.op);
        let grown = tensor
            .shape
            .iter()
            .zip(&factors)
            .map(|(extent, factor)| extent * factor)
            .collect();
        let output = self
            .builder
            .tensor(&node.outputs[0], grown, tensor.encoding, tensor.scale);
        factors.pop();
        self.builder.node(
            &name,
            layer,
            Op::Upsample { factors },
            vec![stream.tensor],
            output,
        );
        Ok(Stream {
            tensor: output,
            ..stream
        })
    }
}
