//! Arithmetic between tensors and constants, and concatenation.

use num_rational::BigRational;
use num_traits::{One, Zero};

use super::constant::{Const, Elements, broadcast_index, broadcast_shape};
use super::exact::{self, power_of_two};
use super::stream::Stream;
use super::{Importer, Value, ones, single, zeros};
use crate::network::import::onnx::OnnxNode;
use crate::network::import::{ImportError, limits};
use crate::network::{Broadcast, Combine, CombineOp, Encoding, Op, TensorId};

impl Importer<'_> {
    /// `Add`, `Sub`, `Mul`, `Div`.
    pub fn arithmetic(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        let (first, second) = (self.value(node, 0)?, self.value(node, 1)?);
        match (first, second) {
            (Value::Const(a), Value::Const(b)) => self.fold(node, &a, &b).map(Value::Const),
            (Value::Const(constant), _) => self.with_constant(node, 1, &constant, true),
            (_, Value::Const(constant)) => self.with_constant(node, 0, &constant, false),
            _ => self.combine(node).map(Value::Stream),
        }
    }

    /// `Cast`: nothing where every value has a place in the new type.
    pub fn cast(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        const FLOAT: i64 = 1;
        const DOUBLE: i64 = 11;
        let value = self.value(node, 0)?;
        let to = node.int("to").unwrap_or(FLOAT);
        let whole = match &value {
            Value::Const(constant) => (0..constant.len())
                .all(|index| constant.exact_at(index).is_some_and(|value| value.is_integer())),
            Value::Stream(stream) => {
                stream.is_plain() && stream.uniform_scale().is_some_and(BigRational::is_integer)
            }
            Value::Moved(operand) => {
                let stream = &operand.stream;
                stream.is_plain() && stream.uniform_scale().is_some_and(BigRational::is_integer)
            }
            Value::Input(_) => false,
        };
        // To 8, 16, 32 and 64 bits, signed and unsigned.
        if matches!(to, FLOAT | DOUBLE) || (whole && matches!(to, 2..=7 | 12 | 13)) {
            return Ok(value);
        }
        Err(self
            .inexact(node, &format!("casts to the element type {to}, which may round"))
            .expected("float or double, or whole numbers")
            .help("quantize by a Quant node instead"))
    }

    /// `Neg`.
    pub fn negate(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        let mut operand = self.operand(node, 0)?;
        operand.stream.affine(&single(-BigRational::one()), &zeros());
        Ok(self.value_of(operand))
    }

    fn fold(&self, node: &OnnxNode, a: &Const, b: &Const) -> Result<Const, ImportError> {
        let mismatch = || {
            self.structure(
                node,
                &format!("combines constants of shapes {:?} and {:?}", a.shape, b.shape),
            )
            .expected("shapes that spread over each other")
            .help("export the network again")
        };
        let shape = broadcast_shape(&a.shape, &b.shape).ok_or_else(mismatch)?;
        for operand in [a, b] {
            self.check_count(node, operand.len(), "operand")?;
        }
        let len = shape
            .iter()
            .try_fold(1usize, |n, &d| n.checked_mul(d))
            .filter(|&n| n <= limits::MAX_THRESHOLDS)
            .ok_or_else(mismatch)?;
        // Common divisors take the square of the numbers' length, from 256 bits on.
        let longest = a.size().1.max(b.size().1) / 256;
        let effort = limits::EXACT_RESULT_EFFORT.saturating_mul((longest * longest).max(1) as usize);
        self.charge(node, len.saturating_mul(effort))?;
        let mut values = Vec::with_capacity(len);
        for index in 0..len {
            let (i, j) = (
                broadcast_index(&shape, &a.shape, index),
                broadcast_index(&shape, &b.shape, index),
            );
            // Numbers of the file are binary and short, so that most results need no common divisor.
            let binary = a
                .binary_at(i)
                .zip(b.binary_at(j))
                .and_then(|(x, y)| match node.op.as_str() {
                    "Add" => x.plus(y),
                    "Sub" => x.plus(y.negated()),
                    "Mul" => Some(x.times(y)),
                    _ => x.divided(y),
                });
            if let Some(value) = binary {
                values.push(value);
                continue;
            }
            let (x, y) = (self.finite_at(node, a, i)?, self.finite_at(node, b, j)?);
            values.push(match node.op.as_str() {
                "Add" => x + y,
                "Sub" => x - y,
                "Mul" => x * y,
                _ if y.is_zero() => {
                    return Err(self
                        .structure(node, "divides by zero")
                        .expected("a divisor other than 0")
                        .help("check the constants"));
                }
                _ => x / y,
            });
        }
        Ok(Const {
            name: String::new(),
            shape,
            elements: Elements::Exact(values),
        })
    }

    /// A stream and a constant; `constant_first` where the constant is the first operand.
    fn with_constant(
        &mut self,
        node: &OnnxNode,
        position: usize,
        constant: &Const,
        constant_first: bool,
    ) -> Result<Value, ImportError> {
        let operand = self.operand(node, position)?;
        let (mut operand, constant) = self.align_constant(node, operand, constant)?;
        if node.op == "Add" && !operand.real {
            let own = self.is_own(node, position, operand.stream.tensor);
            operand.stream = self.add_bias(node, operand.stream, &constant, own)?;
            return Ok(self.value_of(operand));
        }
        let negative = || single(-BigRational::one());
        if let ("Sub", Elements::Quantized(_), false) = (node.op.as_str(), &constant.elements, operand.real) {
            operand.stream = if constant_first {
                operand.stream.affine(&negative(), &zeros());
                self.add_bias(node, operand.stream, &constant, false)?
            } else {
                self.add_bias(node, operand.stream, &constant.negated(), false)?
            };
            return Ok(self.value_of(operand));
        }
        self.charge_functions(node, constant.len())?;
        let values = self.exact_elements(node, &constant, "operand")?;
        let reason = match node.op.as_str() {
            "Add" | "Sub" => {
                "not quantized; the exact real numbers are part of the thresholds or the output behind them"
            }
            _ => "real factors; part of the scale or the thresholds behind them",
        };
        if !operand.real {
            self.note_not_stored(node, &constant.name, values.len(), reason);
        }
        let stream = &mut operand.stream;
        match (node.op.as_str(), constant_first) {
            ("Add", _) => stream.affine(&ones(), &values),
            ("Sub", false) => stream.affine(&ones(), &values.iter().map(|v| -v).collect()),
            ("Sub", true) => stream.affine(&negative(), &values),
            ("Mul", _) => stream.affine(&values, &zeros()),
            ("Div", false) if values.iter().all(|v| !v.is_zero()) => {
                stream.affine(&values.iter().map(|v| BigRational::one() / v).collect(), &zeros());
            }
            ("Div", false) => {
                return Err(self
                    .structure(node, "divides by zero")
                    .expected("a divisor other than 0")
                    .help("check the constants"));
            }
            _ => {
                return Err(self
                    .unsupported(node, "divides a constant by the stream")
                    .expected("a stream divided by a constant")
                    .help("tabulate the function as a MultiThreshold"));
            }
        }
        Ok(self.value_of(operand))
    }

    /// Two streams, element by element.
    fn combine(&mut self, node: &OnnxNode) -> Result<Stream, ImportError> {
        let (first, second) = (self.stream(node, 0)?, self.stream(node, 1)?);
        let op = match node.op.as_str() {
            "Add" => CombineOp::Add,
            "Sub" => CombineOp::Subtract,
            "Mul" => CombineOp::Multiply,
            _ => {
                return Err(self
                    .unsupported(node, "divides one stream by another")
                    .expected("a constant divisor")
                    .help("tabulate the function as a MultiThreshold"));
            }
        };
        if first.axes.len() != second.axes.len() {
            return Err(self
                .unsupported(node, "combines tensors of different rank")
                .expected("equal ranks")
                .help("reshape the smaller one"));
        }
        let count = |stream: &Stream, importer: &Self| importer.builder.tensors[stream.tensor.index()].len();
        let swap = op != CombineOp::Subtract && count(&first, self) < count(&second, self);
        let (first, second) = if swap { (second, first) } else { (first, second) };
        let second = self.with_layout(node, second, &first.axes.clone())?;
        let (first, second) = (self.materialise(node, first)?, self.materialise(node, second)?);
        let (s1, s2) = (first.scale[0].clone(), second.scale[0].clone());
        let (first, second, scale) = if op == CombineOp::Multiply {
            (self.aligned(node, first)?, self.aligned(node, second)?, &s1 * &s2)
        } else {
            let (unified, scale) = self.on_common_grid(node, vec![first, second])?;
            let mut unified = unified.into_iter();
            match (unified.next(), unified.next()) {
                (Some(first), Some(second)) => (first, second, scale),
                _ => {
                    return Err(self
                        .structure(node, "lacks an operand")
                        .expected("two operands")
                        .help("export the network again"));
                }
            }
        };
        let (a, b) = (
            self.builder.tensors[first.tensor.index()].clone(),
            self.builder.tensors[second.tensor.index()].clone(),
        );
        let broadcast = if a.shape == b.shape {
            Broadcast::None
        } else if b.len() == 1 {
            Broadcast::Scalar
        } else if b.len() == b.channels() && b.channels() == a.channels() {
            Broadcast::PerChannel
        } else {
            return Err(self
                .unsupported(
                    node,
                    &format!("combines tensors of shapes {:?} and {:?}", a.shape, b.shape),
                )
                .expected("equal shapes, one value, or one value per channel")
                .help("repeat the smaller one explicitly"));
        };
        let (fa, fb) = (a.encoding.frac(), b.encoding.frac());
        let ((al, ah), (bl, bh)) = (a.encoding.range(), b.encoding.range());
        let wide = || {
            self.unsupported(node, "needs a result of more than 64 bits")
                .expected("narrower operands")
                .help("quantize the operands first")
        };
        let (low, high, frac) = if op == CombineOp::Multiply {
            let products = [
                al.checked_mul(bl),
                al.checked_mul(bh),
                ah.checked_mul(bl),
                ah.checked_mul(bh),
            ];
            let products: Option<Vec<i128>> = products.into_iter().collect();
            let products = products.ok_or_else(wide)?;
            (
                products.iter().copied().min().unwrap_or(0),
                products.iter().copied().max().unwrap_or(0),
                fa + fb,
            )
        } else {
            let frac = fa.max(fb);
            if frac - fa > 62 || frac - fb > 62 {
                return Err(wide());
            }
            let (al, ah, bl, bh) = (
                al << (frac - fa),
                ah << (frac - fa),
                bl << (frac - fb),
                bh << (frac - fb),
            );
            if op == CombineOp::Add {
                (al + bl, ah + bh, frac)
            } else {
                (al - bh, ah - bl, frac)
            }
        };
        let format = exact::stored(low, high, frac).ok_or_else(wide)?;
        let name = self.builder.other_name(&node.name, &node.op);
        let layer = self.builder.layer(&name, &node.op);
        let outside = exact::to_f64(&(&scale / power_of_two(-frac)));
        let output = self
            .builder
            .tensor(&node.outputs[0], a.shape, Encoding::Fixed(format), outside);
        self.builder.node(
            &name,
            layer,
            Op::Combine(Combine { op, broadcast }),
            vec![first.tensor, second.tensor],
            output,
        );
        Ok(Stream {
            tensor: output,
            axes: first.axes,
            scale: single(scale),
            offset: zeros(),
            steps: Vec::new(),
        })
    }

    /// `Concat` along one axis.
    pub fn concat(&mut self, node: &OnnxNode) -> Result<Value, ImportError> {
        let mut streams = Vec::with_capacity(node.inputs.len());
        for position in 0..node.inputs.len() {
            let stream = self.stream(node, position)?;
            streams.push(stream);
        }
        let Some(axes) = streams.first().map(|stream| stream.axes.clone()) else {
            return Err(self
                .structure(node, "has no input")
                .expected("at least one input")
                .help("export the network again"));
        };
        let axis = self.axis(node, node.int("axis").unwrap_or(1), axes.len() + 1)?;
        if axis == 0 {
            return Err(self
                .unsupported(node, "concatenates samples")
                .expected("another axis than the batch")
                .help("concatenate within each sample"));
        }
        let axis = axes[axis - 1];
        let mut plain = Vec::with_capacity(streams.len());
        for stream in streams {
            if stream.axes.len() != axes.len() {
                return Err(self
                    .structure(node, "concatenates tensors of different rank")
                    .expected("equal ranks")
                    .help("export the network again"));
            }
            let stream = self.with_layout(node, stream, &axes)?;
            plain.push(self.materialise(node, stream)?);
        }
        let (plain, scale) = self.on_common_grid(node, plain)?;
        let tensors: Vec<_> = plain
            .iter()
            .map(|stream| self.builder.tensors[stream.tensor.index()].clone())
            .collect();
        let mut shape = tensors[0].shape.clone();
        shape[axis] = 0;
        for tensor in &tensors {
            let fits = (0..shape.len()).all(|k| k == axis || tensor.shape[k] == tensors[0].shape[k]);
            if !fits {
                return Err(self
                    .structure(node, "concatenates tensors of different extents")
                    .expected("equal extents besides the axis")
                    .help("export the network again"));
            }
            shape[axis] += tensor.shape[axis];
        }
        self.check_shape(node, &shape)?;
        let encoding = if tensors
            .iter()
            .all(|tensor| tensor.encoding == tensors[0].encoding)
        {
            tensors[0].encoding
        } else {
            let frac = tensors
                .iter()
                .map(|tensor| tensor.encoding.frac())
                .max()
                .unwrap_or(0);
            let wide = || {
                self.unsupported(node, "concatenates formats that no 64 bits hold together")
                    .expected("closer formats")
                    .help("quantize the inputs alike")
            };
            let (mut low, mut high) = (0i128, 0i128);
            for tensor in &tensors {
                let raise = frac.saturating_sub(tensor.encoding.frac());
                if raise > 62 {
                    return Err(wide());
                }
                let (l, h) = tensor.encoding.range();
                low = low.min(l << raise);
                high = high.max(h << raise);
            }
            Encoding::Fixed(exact::stored(low, high, frac).ok_or_else(wide)?)
        };
        let name = self.builder.other_name(&node.name, &node.op);
        let layer = self.builder.layer(&name, &node.op);
        let outside = exact::to_f64(&(&scale / power_of_two(-encoding.frac())));
        let output = self.builder.tensor(&node.outputs[0], shape, encoding, outside);
        let inputs: Vec<TensorId> = plain.iter().map(|stream| stream.tensor).collect();
        self.builder
            .node(&name, layer, Op::Concat { axis }, inputs, output);
        Ok(Value::Stream(Stream {
            tensor: output,
            axes,
            scale: single(scale),
            offset: zeros(),
            steps: Vec::new(),
        }))
    }
}
