//! The sliding window generator in front of a FINN convolution, and the padding in front of that.

use serde::Serialize;

use super::hardware::{FifoDepth, Folding, Hardware, Problem, WindowGenerator, WindowUnit};
use crate::network::{Geometry, Layer, Mac, Note, NoteKind};

/// How a window generator's words were decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowSource {
    /// The hardware file.
    HardwareFile,
    /// They are those that the product takes, as FINN pairs them.
    Paired,
    /// The product's words do not fit the channels: the most lanes that divide both.
    Fallback,
}

/// A sliding window generator as it is built. FINN pads in a stage of its own, so the generator sees the
/// padded map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct WindowStage {
    /// Rows above and below that the padding adds, as the network file states them.
    pub rows: [usize; 2],
    /// Columns left and right.
    pub columns: [usize; 2],
    /// Height, width and channels of the padded map.
    pub map: [usize; 3],
    /// Channels of a word.
    pub simd: u32,
    /// Whether all taps of a window are offered at once.
    pub parallel: bool,
    /// Who says so.
    pub source: WindowSource,
    /// Cycles per sample: those of [`window_cycles_rtl`] or [`window_cycles_hls`] on the padded map; a
    /// parallel one takes a word per cycle and two more (`get_exp_cycles` of FINN's
    /// `ConvolutionInputGenerator_rtl`).
    pub cycles: u64,
    /// Depth of the FIFO behind it, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fifo: Option<FifoDepth>,
    /// Channels of a word of the padding, where there is one.
    pub padding_simd: Option<u32>,
    /// Cycles per sample of the padding: a word of the padded map per cycle (`get_exp_cycles` of FINN's
    /// `FMPadding`).
    pub padding_cycles: Option<u64>,
}

impl WindowStage {
    /// Whether a padding stands in front.
    #[must_use]
    pub fn is_padded(&self) -> bool {
        [self.rows, self.columns] != [[0, 0], [0, 0]]
    }

    /// The generator in front of a layer's product; none where every window is one pixel, or where the
    /// product is no unit of FINN's.
    pub(super) fn of(
        layer: &Layer,
        mac: &Mac,
        folding: Folding,
        hardware: &Hardware,
    ) -> Result<Option<Self>, Problem> {
        let own = hardware.layers.get(&layer.name).and_then(|entry| entry.window);
        let [rows, columns] = padding(layer, mac);
        let Geometry { input, window, .. } = mac.geometry;
        let single = window.kernel == [1, 1];
        let padded = [rows, columns] != [[0, 0], [0, 0]];
        let (pe, product) = match folding {
            Folding::Finn { pe, simd } if !mac.transposed => (pe, simd),
            _ if own.is_some() => return Err(no_window(layer)),
            _ => return Ok(None),
        };
        if single && window.stride == [1, 1] && !padded {
            return match own {
                Some(_) => Err(no_window(layer)),
                None => Ok(None),
            };
        }
        let asked = own.or(hardware.default.window).unwrap_or_default();
        let channels = input[2] as u64;
        let depthwise = mac.groups > 1;
        let (simd, parallel, source) = words(mac, (pe, product), asked);
        if asked.fifo == Some(FifoDepth::Words(0)) {
            return Err(Problem::FifoDepth {
                layer: layer.name.clone(),
            });
        }
        let divides = |what, value: u32| {
            if value > 0 && channels.is_multiple_of(u64::from(value)) {
                Ok(u64::from(value))
            } else {
                Err(Problem::NotDividing {
                    layer: layer.name.clone(),
                    what,
                    value,
                    count: channels,
                    counted: "input channels",
                })
            }
        };
        let fold = channels / divides("window.simd", simd)?;
        if parallel && fold > 1 && !depthwise && !single {
            return Err(Problem::ParallelWindow {
                layer: layer.name.clone(),
                simd,
                channels,
            });
        }
        let map = [
            rows[0] + input[0] + rows[1],
            columns[0] + input[1] + columns[1],
            input[2],
        ];
        let geometry = Geometry {
            input: map,
            ..mac.geometry
        };
        let words_of = |fold: u64| (map[0] * map[1]) as u64 * fold;
        let cycles = match (parallel, hardware.window_generator) {
            (true, _) => words_of(fold) + 2,
            (false, WindowGenerator::Hls) => window_cycles_hls(&geometry, fold),
            (false, WindowGenerator::Rtl) => window_cycles_rtl(&geometry, fold, depthwise),
        };
        let padding_simd = asked.padding_simd.unwrap_or(simd);
        let padding_fold = channels / divides("window.padding_simd", padding_simd)?;
        Ok(Some(Self {
            rows,
            columns,
            map,
            simd,
            parallel,
            source,
            cycles,
            fifo: asked.fifo,
            padding_simd: padded.then_some(padding_simd),
            padding_cycles: padded.then(|| words_of(padding_fold)),
        }))
    }

    /// What a reader of the numbers should know about it.
    pub(super) fn note(&self, layer: &Layer, folding: Folding) -> Option<Note> {
        let Folding::Finn { pe, simd } = folding else {
            return None;
        };
        (self.source == WindowSource::Fallback).then(|| {
            let text = format!(
                "has a window generator of {} of {} channels per word: it cannot be paired with a product of pe {pe} and simd {simd}; `window` in the layer's entry of the hardware file states another one",
                self.simd, self.map[2],
            );
            Note::new(NoteKind::Flow, &layer.name, text)
        })
    }
}

fn no_window(layer: &Layer) -> Problem {
    Problem::NoWindow {
        layer: layer.name.clone(),
    }
}

/// Channels of a word, whether all taps are offered at once, and who says so.
///
/// FINN's folding pairs a generator with its product: the SIMD of a matrix product, or the PE of a depthwise
/// one, which takes all taps at once where its own SIMD is more than one. Windows of one pixel are
/// always parallel.
fn words(mac: &Mac, (pe, product): (u32, u32), asked: WindowUnit) -> (u32, bool, WindowSource) {
    let channels = u32::try_from(mac.geometry.input[2]).unwrap_or(u32::MAX);
    let single = mac.geometry.window.kernel == [1, 1];
    let depthwise = mac.groups > 1 && mac.groups == mac.geometry.input[2];
    let whole = if depthwise {
        product > 1
    } else {
        mac.groups <= 1 && product as usize == mac.geometry.taps(1)
    };
    let parallel = single || asked.parallel.unwrap_or(whole && asked.simd.is_none());
    let wanted = if depthwise { pe } else { product };
    if let Some(simd) = asked.simd {
        return (simd, parallel, WindowSource::HardwareFile);
    }
    let stated = |otherwise| match asked.parallel {
        Some(_) => WindowSource::HardwareFile,
        None => otherwise,
    };
    if parallel && !depthwise && !single {
        return (channels, true, stated(WindowSource::Paired));
    }
    let fits = gcd(wanted, channels);
    let source = if fits == wanted {
        WindowSource::Paired
    } else {
        WindowSource::Fallback
    };
    (fits, parallel, source)
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Rows above and below, columns left and right that FINN's padding adds: those that the network file
/// states, also where a stride leaves some of them out of every window. Where it does not say what it pads
/// behind the map: as much as in front, or what the windows reach where that gives another output.
pub(super) fn padding(layer: &Layer, mac: &Mac) -> [[usize; 2]; 2] {
    let Geometry {
        input,
        output,
        window,
    } = mac.geometry;
    [0, 1].map(|axis| {
        let before = window.pad[axis];
        let span = (window.kernel[axis].max(1) - 1) * window.dilation[axis] + 1;
        let stride = window.stride[axis].max(1);
        let gives = |after: usize| {
            let extent = before + input[axis] + after;
            extent >= span && (extent - span) / stride + 1 == output[axis]
        };
        let reach = (output[axis].max(1) - 1) * stride + span;
        let stated = layer.hints.pad_after.map(|after| after[axis]);
        let after = [stated, Some(before)]
            .into_iter()
            .flatten()
            .find(|&after| gives(after))
            .unwrap_or(reach.saturating_sub(before + input[axis]));
        [before, after]
    })
}

/// Cycles of finn-hlslib's `ConvolutionInputGenerator` per sample:
/// `IW*kh*dh*CF + OH*max(OW*kw*kh*CF, sw*IW*CF)` with `CF = C/SIMD`.
#[must_use]
pub fn window_cycles_hls(geometry: &Geometry, channel_fold: u64) -> u64 {
    let WindowNumbers {
        iw,
        oh,
        ow,
        kh,
        kw,
        sw,
        dh,
        ..
    } = WindowNumbers::of(geometry);
    iw * kh * dh * channel_fold + oh * (ow * kw * kh * channel_fold).max(sw * iw * channel_fold)
}

/// Cycles of FINN's RTL sliding window generator per sample, as its `get_exp_cycles` has them:
/// `bufmin + OH*max(OW*kw*kh*CF, sw*IW*CF)` with `bufmin = ((kh-1)*dh*IW + (kw-1)*dw + 1)*CF`; a
/// depthwise one adds `OW*(sw-1)*(CF-1)` to the maximum and `(sh-1)*IW*CF` at the end. Where the map is one
/// row or one column it is `OW*kw*CF + 2` along it, depthwise `CF*(kw-1)*(sw-1) - (kw-1)` more. The input
/// of the geometry is the map that the generator sees, padding included.
#[must_use]
pub fn window_cycles_rtl(geometry: &Geometry, channel_fold: u64, depthwise: bool) -> u64 {
    let n = WindowNumbers::of(geometry).normalized();
    let cf = channel_fold;
    if n.ih == 1 && n.kh == 1 {
        let cycles = n.ow * n.kw * cf + 2;
        return if depthwise {
            (cycles + cf * (n.kw - 1) * (n.sw - 1)).saturating_sub(n.kw - 1)
        } else {
            cycles
        };
    }
    let fill = ((n.kh - 1) * n.dh * n.iw + (n.kw - 1) * n.dw + 1) * cf;
    let mut row = (n.ow * n.kw * n.kh * cf).max(n.sw * n.iw * cf);
    let mut rest = 0;
    if depthwise {
        row += n.ow * (n.sw - 1) * cf.saturating_sub(1);
        rest = (n.sh - 1) * n.iw * cf;
    }
    fill + n.oh * row + rest
}

struct WindowNumbers {
    ih: u64,
    iw: u64,
    oh: u64,
    ow: u64,
    kh: u64,
    kw: u64,
    sh: u64,
    sw: u64,
    dh: u64,
    dw: u64,
}

impl WindowNumbers {
    fn of(geometry: &Geometry) -> Self {
        let at_least_one = |n: usize| n.max(1) as u64;
        let window = &geometry.window;
        Self {
            ih: geometry.input[0] as u64,
            iw: geometry.input[1] as u64,
            oh: geometry.output[0] as u64,
            ow: geometry.output[1] as u64,
            kh: at_least_one(window.kernel[0]),
            kw: at_least_one(window.kernel[1]),
            sh: at_least_one(window.stride[0]),
            sw: at_least_one(window.stride[1]),
            dh: at_least_one(window.dilation[0]),
            dw: at_least_one(window.dilation[1]),
        }
    }

    /// A map of one column lies in a row, as FINN normalizes it.
    fn normalized(self) -> Self {
        if self.iw != 1 || self.kw != 1 {
            return self;
        }
        Self {
            ih: self.iw,
            iw: self.ih,
            oh: self.ow,
            ow: self.oh,
            kh: self.kw,
            kw: self.kh,
            sh: self.sw,
            sw: self.sh,
            dh: self.dw,
            dw: self.dh,
        }
    }
}
