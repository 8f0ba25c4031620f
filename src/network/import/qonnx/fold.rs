//! Arithmetic on constants, and on shapes that are constant because the graph's are.
//!
//! Constants are folded as the flows' own tools fold them (`qonnx-cleanup`, which runs onnxruntime): real
//! numbers in the precision of their element type, every result rounded once to it, integers in 64 bits.
//! Single precision keeps exactly what a quantizer in the file would read.

use num_traits::ToPrimitive;

use super::constant::{Const, Elements, broadcast_shape};
use super::{Importer, Value};
use crate::network::import::onnx::{Constant, ConstantData, OnnxNode, Precision};
use crate::network::import::{ImportError, limits};

/// The precision of the results of a cast to an ONNX element type, or of constants of it.
fn precision_of_type(element_type: i32) -> Precision {
    match element_type {
        10 => Precision::Half,
        11 => Precision::Double,
        _ => Precision::Single,
    }
}

/// Operators that are folded where all their operands are constants.
const FOLDED: [&str; 39] = [
    "Abs",
    "Add",
    "And",
    "Cast",
    "Ceil",
    "Concat",
    "ConstantOfShape",
    "Div",
    "Equal",
    "Expand",
    "Floor",
    "Gather",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Max",
    "Min",
    "Mul",
    "Neg",
    "Not",
    "Or",
    "Pow",
    "Range",
    "Reciprocal",
    "ReduceMax",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "Round",
    "Shape",
    "Sign",
    "Size",
    "Slice",
    "Sqrt",
    "Sub",
    "Tile",
    "Where",
    "Xor",
];

/// The coordinates of `start:end:step` on an axis, with numpy's meaning of numbers beyond the ends.
pub fn slice_indices(extent: usize, start: i64, end: i64, step: i64) -> Option<Vec<usize>> {
    let extent = i128::try_from(extent).ok()?;
    let (start, end, step) = (i128::from(start), i128::from(end), i128::from(step));
    let counted = |at: i128| if at < 0 { at + extent } else { at };
    let (low, high) = match step {
        0 => return None,
        1.. => (0, extent),
        _ => (-1, extent - 1),
    };
    let first = counted(start).clamp(low, high);
    let last = counted(end).clamp(low, high);
    let distance = if step > 0 { last - first } else { first - last };
    let count = if distance > 0 {
        (distance + step.abs() - 1) / step.abs()
    } else {
        0
    };
    (0..count)
        .map(|k| usize::try_from(first + k * step).ok())
        .collect()
}

impl Importer<'_> {
    /// The result of an operator on constants only, or of the shape of anything; `None` where the
    /// operator or an operand is something else.
    pub fn fold_constants(&mut self, node: &OnnxNode) -> Result<Option<Value>, ImportError> {
        let folded = node.domain.is_empty() && FOLDED.contains(&node.op.as_str());
        if !folded {
            return Ok(None);
        }
        if matches!(node.op.as_str(), "Shape" | "Size") {
            return self.fold_shape(node);
        }
        let all =
            node.inputs
                .iter()
                .filter(|name| !name.is_empty())
                .all(|name| match self.values.get(name) {
                    Some(Value::Const(constant)) => {
                        matches!(constant.elements, Elements::File(_) | Elements::Integers(_))
                    }
                    Some(_) => false,
                    None => self.graph.constants.contains_key(name),
                });
        if !all || node.inputs.is_empty() {
            return Ok(None);
        }
        let mut operands = Vec::with_capacity(node.inputs.len());
        for position in 0..node.inputs.len() {
            operands.push(match node.input(position) {
                None => None,
                Some(_) => match self.value(node, position)? {
                    Value::Const(Const { shape, elements, .. }) => match elements {
                        Elements::File(values) => Some(Constant::new(shape, ConstantData::Real(values))),
                        Elements::Integers(values) => {
                            Some(Constant::new(shape, ConstantData::Integer(values)))
                        }
                        _ => return Ok(None),
                    },
                    _ => return Ok(None),
                },
            });
        }
        for operand in operands.iter().flatten() {
            self.check_folded(node, &operand.shape)?;
        }
        let precision = node
            .inputs
            .iter()
            .find_map(|name| self.precision_of(name))
            .unwrap_or(Precision::Single);
        let Some((constant, precision)) = self.folded(node, &operands, precision)? else {
            return Ok(None);
        };
        if precision != Precision::Single
            && let Some(name) = node.outputs.first()
        {
            self.precisions.insert(name.clone(), precision);
        }
        Ok(Some(Value::Const(self.as_const(node, constant)?)))
    }

    /// The precision of a real constant that is not in single precision.
    pub fn precision_of(&self, name: &str) -> Option<Precision> {
        let of_file = || {
            let constant = self.graph.constants.get(name)?;
            matches!(constant.data, ConstantData::Real(_)).then_some(constant.precision)
        };
        self.precisions
            .get(name)
            .copied()
            .or_else(of_file)
            .filter(|&precision| precision != Precision::Single)
    }

    fn as_const(&self, node: &OnnxNode, constant: Constant) -> Result<Const, ImportError> {
        self.charge(node, constant.len())?;
        Ok(Const {
            name: node.outputs.first().cloned().unwrap_or_default(),
            shape: constant.shape,
            elements: match constant.data {
                ConstantData::Real(values) => Elements::File(values),
                ConstantData::Integer(values) => Elements::Integers(values),
            },
        })
    }

    fn fold_shape(&mut self, node: &OnnxNode) -> Result<Option<Value>, ImportError> {
        let shape = match self.value(node, 0)? {
            Value::Const(constant) => constant.shape,
            // The file's shapes carry a batch dimension of 1 in front.
            Value::Stream(stream) => std::iter::once(1).chain(self.file_shape(&stream)).collect(),
            Value::Input(operand) | Value::Moved(operand) if operand.deferred.is_empty() => {
                std::iter::once(1).chain(operand.view.shape()).collect()
            }
            Value::Input(_) | Value::Moved(_) => return Ok(None),
        };
        let constant = if node.op == "Size" {
            whole(Vec::new(), vec![shape.iter().product::<usize>() as i64])
        } else {
            let bound = |name: &str, otherwise: i64| node.int(name).unwrap_or(otherwise);
            let kept = slice_indices(shape.len(), bound("start", 0), bound("end", i64::MAX), 1);
            let kept: Vec<i64> = kept
                .unwrap_or_default()
                .iter()
                .map(|&axis| shape[axis] as i64)
                .collect();
            whole(vec![kept.len()], kept)
        };
        Ok(Some(Value::Const(self.as_const(node, constant)?)))
    }

    fn folded(
        &self,
        node: &OnnxNode,
        operands: &[Option<Constant>],
        precision: Precision,
    ) -> Result<Option<(Constant, Precision)>, ImportError> {
        let first = self.folded_operand(node, operands, 0)?;
        let result = match node.op.as_str() {
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Equal" | "Greater" | "GreaterOrEqual" | "Less"
            | "LessOrEqual" | "And" | "Or" | "Xor" => {
                self.fold_pair(node, first, self.folded_operand(node, operands, 1)?, precision)?
            }
            "Min" | "Max" => {
                let mut result = first.clone();
                for position in 1..operands.len() {
                    result = self.fold_pair(
                        node,
                        &result,
                        self.folded_operand(node, operands, position)?,
                        precision,
                    )?;
                }
                result
            }
            "Ceil" | "Floor" | "Round" | "Sqrt" | "Reciprocal" | "Abs" | "Sign" | "Neg" | "Not" => {
                self.fold_single(node, first, precision)?
            }
            "Cast" => return self.fold_cast(node, first).map(Some),
            "Concat" => self.fold_concat(node, operands)?,
            "ConstantOfShape" => {
                let (constant, precision) = self.fold_constant_of_shape(node, first)?;
                return Ok(Some((constant, precision)));
            }
            "Gather" => self.fold_gather(node, first, self.folded_operand(node, operands, 1)?)?,
            "Slice" => {
                let picks = self.slices(node, &first.shape)?;
                pick(first, &picks)
            }
            "Expand" => {
                let target = self.extents(node, self.folded_operand(node, operands, 1)?)?;
                let shape = broadcast_shape(&first.shape, &target)
                    .ok_or_else(|| self.unfit(node, &format!("expands {:?} to {target:?}", first.shape)))?;
                self.check_folded(node, &shape)?;
                let mut at = Vec::new();
                each_pair(&shape, &first.shape, &[], |i, _| at.push(i));
                gathered(first, shape, &at)
            }
            "Tile" => {
                let repeats = self.extents(node, self.folded_operand(node, operands, 1)?)?;
                if repeats.len() != first.shape.len() {
                    return Err(self.unfit(node, &format!("repeats {:?} by {repeats:?}", first.shape)));
                }
                let shape: Vec<usize> = first
                    .shape
                    .iter()
                    .zip(&repeats)
                    .map(|(&n, &by)| n.saturating_mul(by))
                    .collect();
                self.check_folded(node, &shape)?;
                let picks: Vec<Vec<usize>> = first
                    .shape
                    .iter()
                    .zip(&shape)
                    .map(|(&from, &to)| (0..to).map(|at| at % from.max(1)).collect())
                    .collect();
                pick(first, &picks)
            }
            "Range" => match (&first.data, operands.get(1), operands.get(2)) {
                (ConstantData::Integer(start), Some(Some(limit)), Some(Some(delta))) => {
                    match (
                        start.as_slice(),
                        limit.integers().as_deref(),
                        delta.integers().as_deref(),
                    ) {
                        ([start], Some([limit]), Some([delta])) if *delta != 0 => {
                            let (start, limit, delta) =
                                (i128::from(*start), i128::from(*limit), i128::from(*delta));
                            let count = ((limit - start + delta - delta.signum()) / delta).max(0);
                            let count = usize::try_from(count).unwrap_or(usize::MAX);
                            self.check_folded(node, &[count])?;
                            let values = (0..count as i128).map(|k| (start + k * delta) as i64).collect();
                            whole(vec![count], values)
                        }
                        _ => return Ok(None),
                    }
                }
                _ => return Ok(None),
            },
            "Where" => {
                let (yes, no) = (
                    self.folded_operand(node, operands, 1)?,
                    self.folded_operand(node, operands, 2)?,
                );
                self.fold_where(node, first, yes, no)?
            }
            // Sums of reals depend on the order of their terms.
            _ => match &first.data {
                ConstantData::Integer(_) => self.fold_reduction(node, first)?,
                ConstantData::Real(_) => return Ok(None),
            },
        };
        Ok(Some((result, precision)))
    }

    fn folded_operand<'c>(
        &self,
        node: &OnnxNode,
        operands: &'c [Option<Constant>],
        position: usize,
    ) -> Result<&'c Constant, ImportError> {
        operands.get(position).and_then(Option::as_ref).ok_or_else(|| {
            self.structure(node, &format!("lacks input {position}"))
                .expected(format!("at least {} inputs", position + 1))
                .help("the file is damaged; export the network again")
        })
    }

    fn unfit(&self, node: &OnnxNode, problem: &str) -> ImportError {
        self.structure(node, problem)
            .expected("constants of fitting shapes and types")
            .help("export the network again")
    }

    fn overflow(&self, node: &OnnxNode) -> ImportError {
        self.structure(node, "makes an integer constant beyond 64 bits")
            .expected("integers of at most 64 bits")
            .help("check the constants")
    }

    fn check_folded(&self, node: &OnnxNode, shape: &[usize]) -> Result<(), ImportError> {
        /// Longest axis of a constant without elements.
        const MAX_EMPTY_AXIS: usize = 1 << 20;
        let elements = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        let fits = match elements {
            Some(0) => shape.iter().all(|&extent| extent <= MAX_EMPTY_AXIS),
            elements => elements.is_some_and(|n| n <= limits::MAX_FOLDED_ELEMENTS),
        };
        if shape.len() <= limits::MAX_AXES && fits {
            return self.charge(node, elements.unwrap_or(0));
        }
        Err(self
            .structure(node, &format!("makes a constant of shape {shape:?}"))
            .expected(format!(
                "at most {} elements and {} axes",
                limits::MAX_FOLDED_ELEMENTS,
                limits::MAX_AXES
            ))
            .help("check the constants"))
    }

    fn fold_pair(
        &self,
        node: &OnnxNode,
        a: &Constant,
        b: &Constant,
        precision: Precision,
    ) -> Result<Constant, ImportError> {
        let op = node.op.as_str();
        let shape = broadcast_shape(&a.shape, &b.shape).ok_or_else(|| {
            self.unfit(
                node,
                &format!("combines constants of shapes {:?} and {:?}", a.shape, b.shape),
            )
        })?;
        self.check_folded(node, &shape)?;
        let divides_by_zero = || {
            self.structure(node, "divides by zero")
                .expected("a divisor other than 0")
                .help("check the constants")
        };
        let is_test = |op: &str| {
            matches!(
                op,
                "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "And" | "Or" | "Xor"
            )
        };
        let data = match (&a.data, &b.data) {
            (ConstantData::Integer(x), ConstantData::Integer(y)) => {
                let mut values = Vec::with_capacity(shape.iter().product());
                let mut fails = false;
                if op == "Div" && y.contains(&0) {
                    return Err(divides_by_zero());
                }
                each_pair(&shape, &a.shape, &b.shape, |i, j| {
                    let value = integer_pair(op, x[i], y[j]);
                    fails |= value.is_none();
                    values.push(value.unwrap_or(0));
                });
                if fails {
                    return Err(self.overflow(node));
                }
                ConstantData::Integer(values)
            }
            _ => {
                let (x, y) = (a.reals(), b.reals());
                if op == "Div" && y.contains(&0.0) {
                    return Err(divides_by_zero());
                }
                let mut values = Vec::with_capacity(shape.iter().product());
                each_pair(&shape, &a.shape, &b.shape, |i, j| {
                    values.push(real_pair(op, x[i], y[j], precision));
                });
                if is_test(op) {
                    ConstantData::Integer(values.iter().map(|&value| i64::from(value != 0.0)).collect())
                } else if op == "Pow" && matches!(a.data, ConstantData::Integer(_)) {
                    // A power has the type of its base.
                    let whole: Option<Vec<i64>> = values.iter().map(|&value| truncated(value)).collect();
                    ConstantData::Integer(whole.ok_or_else(|| self.overflow(node))?)
                } else {
                    ConstantData::Real(values)
                }
            }
        };
        Ok(Constant::new(shape, data))
    }

    fn fold_single(
        &self,
        node: &OnnxNode,
        constant: &Constant,
        precision: Precision,
    ) -> Result<Constant, ImportError> {
        let op = node.op.as_str();
        let data = match &constant.data {
            ConstantData::Real(values) => ConstantData::Real(
                values
                    .iter()
                    .map(|&value| {
                        precision.round(match op {
                            "Ceil" => libm::ceil(value),
                            "Floor" => libm::floor(value),
                            "Round" => libm::rint(value),
                            "Sqrt" => libm::sqrt(value),
                            "Reciprocal" => 1.0 / value,
                            "Abs" => value.abs(),
                            "Sign" if value == 0.0 => 0.0,
                            "Sign" => 1f64.copysign(value),
                            "Neg" => -value,
                            _ => f64::from(value == 0.0),
                        })
                    })
                    .collect(),
            ),
            ConstantData::Integer(values) => {
                let each = |value: &i64| match op {
                    "Abs" => value.checked_abs(),
                    "Sign" => Some(value.signum()),
                    "Neg" => value.checked_neg(),
                    "Not" => Some(i64::from(*value == 0)),
                    // Integers are their own rounding; the others are not defined on them.
                    "Ceil" | "Floor" | "Round" => Some(*value),
                    _ => None,
                };
                let values: Option<Vec<i64>> = values.iter().map(each).collect();
                ConstantData::Integer(values.ok_or_else(|| self.overflow(node))?)
            }
        };
        Ok(Constant::new(constant.shape.clone(), data))
    }

    fn fold_cast(&self, node: &OnnxNode, constant: &Constant) -> Result<(Constant, Precision), ImportError> {
        let to = node.int("to").unwrap_or(1);
        let range = match to {
            2 => Some((0, i64::from(u8::MAX))),
            3 => Some((i64::from(i8::MIN), i64::from(i8::MAX))),
            4 => Some((0, i64::from(u16::MAX))),
            5 => Some((i64::from(i16::MIN), i64::from(i16::MAX))),
            6 => Some((i64::from(i32::MIN), i64::from(i32::MAX))),
            7 => Some((i64::MIN, i64::MAX)),
            12 => Some((0, i64::from(u32::MAX))),
            13 => Some((0, i64::MAX)),
            _ => None,
        };
        let precision = precision_of_type(i32::try_from(to).unwrap_or(0));
        let data = match (to, range) {
            (1 | 10 | 11, _) => {
                let values = constant.reals();
                ConstantData::Real(values.iter().map(|&value| precision.round(value)).collect())
            }
            (9, _) => {
                let values = constant.reals();
                ConstantData::Integer(values.iter().map(|&value| i64::from(value != 0.0)).collect())
            }
            (_, Some((low, high))) => {
                let values: Option<Vec<i64>> = match &constant.data {
                    ConstantData::Integer(values) => Some(values.clone()),
                    // Towards zero.
                    ConstantData::Real(values) => values.iter().map(|&value| truncated(value)).collect(),
                };
                let values = values.filter(|values| values.iter().all(|value| (low..=high).contains(value)));
                ConstantData::Integer(values.ok_or_else(|| {
                    self.inexact(
                        node,
                        &format!("casts a constant beyond the range of element type {to}"),
                    )
                    .expected("values within the range of the new type")
                    .help("cast to a wider type")
                })?)
            }
            _ => {
                return Err(self
                    .unsupported(node, &format!("casts a constant to the element type {to}"))
                    .expected("float, double, float16, bool or an integer type")
                    .help("store the constant in one of these types"));
            }
        };
        let shape = constant.shape.clone();
        Ok((Constant::new(shape, data), precision))
    }

    fn fold_concat(&self, node: &OnnxNode, operands: &[Option<Constant>]) -> Result<Constant, ImportError> {
        let parts: Vec<&Constant> = operands.iter().flatten().collect();
        let rank = parts[0].shape.len();
        let axis = self.axis(node, node.int("axis").unwrap_or(1), rank)?;
        let fits = parts.iter().all(|part| {
            part.shape.len() == rank && (0..rank).all(|k| k == axis || part.shape[k] == parts[0].shape[k])
        });
        if !fits {
            return Err(self.unfit(node, "concatenates constants of different extents"));
        }
        let mut shape = parts[0].shape.clone();
        shape[axis] = parts
            .iter()
            .fold(0usize, |n, part| n.saturating_add(part.shape[axis]));
        self.check_folded(node, &shape)?;
        let rows: usize = shape[..axis].iter().product();
        let inner: usize = shape[axis + 1..].iter().product();
        fn joined<T: Copy>(rows: usize, inner: usize, axis: usize, parts: &[(&Constant, &[T])]) -> Vec<T> {
            let mut values = Vec::new();
            for row in 0..rows {
                for (part, elements) in parts {
                    let len = part.shape[axis] * inner;
                    values.extend_from_slice(&elements[row * len..][..len]);
                }
            }
            values
        }
        let integers: Vec<(&Constant, &[i64])> = parts
            .iter()
            .filter_map(|part| match &part.data {
                ConstantData::Integer(values) => Some((*part, values.as_slice())),
                ConstantData::Real(_) => None,
            })
            .collect();
        let reals: Vec<(&Constant, &[f64])> = parts
            .iter()
            .filter_map(|part| match &part.data {
                ConstantData::Real(values) => Some((*part, values.as_slice())),
                ConstantData::Integer(_) => None,
            })
            .collect();
        let data = if integers.len() == parts.len() {
            ConstantData::Integer(joined(rows, inner, axis, &integers))
        } else if reals.len() == parts.len() {
            ConstantData::Real(joined(rows, inner, axis, &reals))
        } else {
            return Err(self.unfit(node, "concatenates integers and real numbers"));
        };
        Ok(Constant::new(shape, data))
    }

    fn fold_constant_of_shape(
        &self,
        node: &OnnxNode,
        shape: &Constant,
    ) -> Result<(Constant, Precision), ImportError> {
        let shape = self.extents(node, shape)?;
        self.check_folded(node, &shape)?;
        let len: usize = shape.iter().product();
        let Some(tensor) = node.tensor("value") else {
            let data = ConstantData::Real(vec![0.0; len]);
            return Ok((Constant::new(shape, data), Precision::Single));
        };
        let value = self.graph.decode(&node.label(), tensor)?;
        let data = match &value.data {
            ConstantData::Real(values) if values.len() == 1 => ConstantData::Real(vec![values[0]; len]),
            ConstantData::Integer(values) if values.len() == 1 => ConstantData::Integer(vec![values[0]; len]),
            _ => return Err(self.unfit(node, &format!("repeats {} values", value.len()))),
        };
        Ok((Constant::new(shape, data), precision_of_type(tensor.data_type)))
    }

    fn fold_gather(
        &self,
        node: &OnnxNode,
        constant: &Constant,
        indices: &Constant,
    ) -> Result<Constant, ImportError> {
        let rank = constant.shape.len();
        let axis = self.axis(node, node.int("axis").unwrap_or(0), rank)?;
        let picked = self.picked(node, indices, constant.shape[axis])?;
        let mut shape = constant.shape[..axis].to_vec();
        shape.extend(&indices.shape);
        shape.extend(&constant.shape[axis + 1..]);
        self.check_folded(node, &shape)?;
        let mut picks = all_of(&constant.shape);
        picks[axis] = picked;
        Ok(Constant {
            shape,
            ..pick(constant, &picks)
        })
    }

    /// Indices along an axis, counted from either end.
    pub fn picked(
        &self,
        node: &OnnxNode,
        indices: &Constant,
        extent: usize,
    ) -> Result<Vec<usize>, ImportError> {
        let wrong = || {
            self.structure(node, &format!("picks elements beyond an axis of extent {extent}"))
                .expected(format!("integers in -{extent}..{extent}"))
                .help("export the network again")
        };
        let indices = indices.integers().ok_or_else(wrong)?;
        let counted = |&at: &i64| {
            let at = if at < 0 {
                at.checked_add(extent as i64)?
            } else {
                at
            };
            usize::try_from(at).ok().filter(|&at| at < extent)
        };
        indices
            .iter()
            .map(counted)
            .collect::<Option<Vec<usize>>>()
            .ok_or_else(wrong)
    }

    fn extents(&self, node: &OnnxNode, shape: &Constant) -> Result<Vec<usize>, ImportError> {
        let extents: Option<Vec<usize>> = shape
            .integers()
            .and_then(|extents| extents.iter().map(|&n| usize::try_from(n).ok()).collect());
        extents.ok_or_else(|| self.unfit(node, "has a shape of negative or broken extents"))
    }

    fn fold_where(
        &self,
        node: &OnnxNode,
        test: &Constant,
        yes: &Constant,
        no: &Constant,
    ) -> Result<Constant, ImportError> {
        let shape = broadcast_shape(&test.shape, &yes.shape)
            .and_then(|shape| broadcast_shape(&shape, &no.shape))
            .ok_or_else(|| self.unfit(node, "chooses among constants of different shapes"))?;
        self.check_folded(node, &shape)?;
        let spread = |constant: &Constant| {
            let mut at = Vec::new();
            each_pair(&shape, &constant.shape, &[], |i, _| at.push(i));
            gathered(constant, shape.clone(), &at)
        };
        let (test, yes, no) = (spread(test).reals(), spread(yes), spread(no));
        let data = match (yes.data, no.data) {
            (ConstantData::Integer(yes), ConstantData::Integer(no)) => ConstantData::Integer(
                test.iter()
                    .zip(yes.iter().zip(&no))
                    .map(|(&test, (&yes, &no))| if test == 0.0 { no } else { yes })
                    .collect(),
            ),
            (ConstantData::Real(yes), ConstantData::Real(no)) => ConstantData::Real(
                test.iter()
                    .zip(yes.iter().zip(&no))
                    .map(|(&test, (&yes, &no))| if test == 0.0 { no } else { yes })
                    .collect(),
            ),
            _ => return Err(self.unfit(node, "chooses between integers and real numbers")),
        };
        Ok(Constant::new(shape, data))
    }

    /// A reduction of integers.
    fn fold_reduction(&self, node: &OnnxNode, constant: &Constant) -> Result<Constant, ImportError> {
        let rank = constant.shape.len();
        let axes = self.reduced_axes(node, rank)?;
        let keep = node.int("keepdims").unwrap_or(1) != 0;
        let reduced: Vec<usize> = (0..rank)
            .map(|axis| {
                if axes.contains(&axis) {
                    1
                } else {
                    constant.shape[axis]
                }
            })
            .collect();
        let ConstantData::Integer(values) = &constant.data else {
            return Err(self.unfit(node, "reduces real numbers"));
        };
        let mut results: Vec<Option<Option<i64>>> = vec![None; reduced.iter().product()];
        each_pair(&constant.shape, &constant.shape, &reduced, |from, to| {
            results[to] = Some(match results[to] {
                None => Some(values[from]),
                Some(so_far) => so_far.and_then(|so_far| match node.op.as_str() {
                    "ReduceProd" => so_far.checked_mul(values[from]),
                    "ReduceSum" => so_far.checked_add(values[from]),
                    "ReduceMax" => Some(so_far.max(values[from])),
                    _ => Some(so_far.min(values[from])),
                }),
            });
        });
        let empty = match node.op.as_str() {
            "ReduceProd" => Some(1),
            "ReduceSum" => Some(0),
            _ => None,
        };
        let values: Option<Vec<i64>> = results
            .into_iter()
            .map(|result| result.unwrap_or(empty))
            .collect();
        let shape = if keep {
            reduced
        } else {
            (0..rank)
                .filter(|axis| !axes.contains(axis))
                .map(|axis| constant.shape[axis])
                .collect()
        };
        let data = ConstantData::Integer(values.ok_or_else(|| self.overflow(node))?);
        Ok(Constant::new(shape, data))
    }

    /// The axes of a reduction, from the attribute or the second input; all where none is named.
    pub fn reduced_axes(&self, node: &OnnxNode, rank: usize) -> Result<Vec<usize>, ImportError> {
        match self.axis_list(node, "axes")? {
            Some(axes) if !axes.is_empty() => axes.iter().map(|&axis| self.axis(node, axis, rank)).collect(),
            _ if node.int("noop_with_empty_axes").unwrap_or(0) != 0 => Ok(Vec::new()),
            _ => Ok((0..rank).collect()),
        }
    }

    /// The coordinates that a `Slice` keeps on every axis: bounds as attributes in operator set 1, as
    /// inputs since 10.
    pub fn slices(&self, node: &OnnxNode, shape: &[usize]) -> Result<Vec<Vec<usize>>, ImportError> {
        let wrong = |problem: &str| {
            self.structure(node, problem)
                .expected("one start and one end per axis, and steps other than 0")
                .help("export the network again")
        };
        let list = |name: &str, position: usize| self.integers(node, name, position);
        let (Some(starts), Some(ends)) = (list("starts", 1)?, list("ends", 2)?) else {
            return Err(wrong("has no bounds"));
        };
        let axes = match list("axes", 3)? {
            Some(axes) => axes,
            None => (0..starts.len() as i64).collect(),
        };
        let steps = match list("steps", 4)? {
            Some(steps) => steps,
            None => vec![1; starts.len()],
        };
        if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] || starts.len() > shape.len() {
            return Err(wrong("has bounds, axes and steps of different number"));
        }
        let mut picks = all_of(shape);
        let mut named = Vec::with_capacity(axes.len());
        for (position, &axis) in axes.iter().enumerate() {
            let axis = self.axis(node, axis, shape.len())?;
            if named.contains(&axis) {
                return Err(wrong(&format!("slices axis {axis} twice")));
            }
            named.push(axis);
            picks[axis] = slice_indices(shape[axis], starts[position], ends[position], steps[position])
                .ok_or_else(|| wrong("has a step of 0"))?;
        }
        Ok(picks)
    }
}

fn whole(shape: Vec<usize>, values: Vec<i64>) -> Constant {
    Constant::new(shape, ConstantData::Integer(values))
}

/// Towards zero, where the result is a machine integer.
fn truncated(value: f64) -> Option<i64> {
    libm::trunc(value).to_i64()
}

fn integer_pair(op: &str, x: i64, y: i64) -> Option<i64> {
    let test = |holds: bool| Some(i64::from(holds));
    match op {
        "Add" => x.checked_add(y),
        "Sub" => x.checked_sub(y),
        "Mul" => x.checked_mul(y),
        // Towards zero, as in C.
        "Div" => x.checked_div(y),
        "Pow" => x.checked_pow(u32::try_from(y).ok()?),
        "Min" => Some(x.min(y)),
        "Max" => Some(x.max(y)),
        "Equal" => test(x == y),
        "Greater" => test(x > y),
        "GreaterOrEqual" => test(x >= y),
        "Less" => test(x < y),
        "LessOrEqual" => test(x <= y),
        "And" => test(x != 0 && y != 0),
        "Or" => test(x != 0 || y != 0),
        _ => test((x != 0) != (y != 0)),
    }
}

/// Sums, differences, products and quotients of doubles are rounded to a shorter precision as if they had
/// been computed in it, because a double has more than twice its digits.
fn real_pair(op: &str, x: f64, y: f64, precision: Precision) -> f64 {
    let nearest = |value: f64| precision.round(value);
    let test = |holds: bool| f64::from(u8::from(holds));
    match op {
        "Add" => nearest(x + y),
        "Sub" => nearest(x - y),
        "Mul" => nearest(x * y),
        "Div" => nearest(x / y),
        // onnxruntime multiplies for squares and cubes.
        "Pow" if y == 2.0 => nearest(x * x),
        "Pow" if y == 3.0 => nearest(nearest(x * x) * x),
        "Pow" => nearest(libm::pow(x, y)),
        "Min" if x.is_nan() || y.is_nan() => f64::NAN,
        "Min" => x.min(y),
        "Max" if x.is_nan() || y.is_nan() => f64::NAN,
        "Max" => x.max(y),
        "Equal" => test(x == y),
        "Greater" => test(x > y),
        "GreaterOrEqual" => test(x >= y),
        "Less" => test(x < y),
        "LessOrEqual" => test(x <= y),
        "And" => test(x != 0.0 && y != 0.0),
        "Or" => test(x != 0.0 || y != 0.0),
        _ => test((x != 0.0) != (y != 0.0)),
    }
}

/// All coordinates of every axis.
pub fn all_of(shape: &[usize]) -> Vec<Vec<usize>> {
    shape.iter().map(|&extent| (0..extent).collect()).collect()
}

/// The elements of a constant at these positions.
fn gathered(constant: &Constant, shape: Vec<usize>, at: &[usize]) -> Constant {
    let data = match &constant.data {
        ConstantData::Real(values) => ConstantData::Real(at.iter().map(|&at| values[at]).collect()),
        ConstantData::Integer(values) => ConstantData::Integer(at.iter().map(|&at| values[at]).collect()),
    };
    Constant::new(shape, data)
}

/// The elements at these coordinates of every axis.
fn pick(constant: &Constant, picks: &[Vec<usize>]) -> Constant {
    let mut at = vec![0];
    for (picked, &extent) in picks.iter().zip(&constant.shape) {
        at = at
            .iter()
            .flat_map(|front| picked.iter().map(move |&coordinate| front * extent + coordinate))
            .collect();
    }
    gathered(constant, picks.iter().map(Vec::len).collect(), &at)
}

/// Walks an array of shape `shape` and calls `each` with the positions in two arrays that are spread over it.
fn each_pair(shape: &[usize], a: &[usize], b: &[usize], mut each: impl FnMut(usize, usize)) {
    let rank = shape.len();
    let strides = |own: &[usize]| -> Vec<usize> {
        let mut strides = vec![0; rank];
        let mut stride = 1;
        for (back, &extent) in own.iter().rev().enumerate().take(rank) {
            if extent != 1 {
                strides[rank - 1 - back] = stride;
            }
            stride *= extent;
        }
        strides
    };
    let (by_a, by_b) = (strides(a), strides(b));
    if shape.contains(&0) {
        return;
    }
    let Some((&inner, outer)) = shape.split_last() else {
        each(0, 0);
        return;
    };
    let mut coordinates = vec![0; outer.len()];
    loop {
        let start =
            |strides: &[usize]| -> usize { coordinates.iter().zip(strides).map(|(at, by)| at * by).sum() };
        let (mut i, mut j) = (start(&by_a), start(&by_b));
        for _ in 0..inner {
            each(i, j);
            i += by_a[rank - 1];
            j += by_b[rank - 1];
        }
        let Some(axis) = (0..outer.len())
            .rev()
            .find(|&axis| coordinates[axis] + 1 < outer[axis])
        else {
            return;
        };
        coordinates[axis] += 1;
        coordinates[axis + 1..].fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// numpy's `numpy.arange(extent)[start:end:step]`, and ONNX's bounds beyond the ends.
    #[test]
    fn slices_count_from_either_end() {
        for (extent, start, end, step, kept) in [
            (5, 1, 4, 2, &[1, 3][..]),
            (5, -2, i64::MAX, 1, &[3, 4]),
            (5, -1, i64::MIN, -2, &[4, 2, 0]),
            (5, 9, 0, -1, &[4, 3, 2, 1]),
            (5, 2, 2, 1, &[]),
            (5, 3, 1, 1, &[]),
            (1, i64::MIN, i64::MAX, i64::MAX, &[0]),
            (3, i64::MAX, i64::MIN, i64::MIN, &[2]),
        ] {
            assert_eq!(
                slice_indices(extent, start, end, step).as_deref(),
                Some(kept),
                "{start}:{end}:{step}"
            );
        }
        assert_eq!(slice_indices(5, 0, 5, 0), None);
    }
}
