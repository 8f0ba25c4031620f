//! Which nodes are folded: arithmetic on constants, and on shapes that are constant because the graph's are.
//!
//! Constants are folded as the flows' own tools fold them (`qonnx-cleanup`, which runs onnxruntime).
//! Single precision keeps exactly what a quantizer in the file would read.

use super::constant::{Const, Elements, broadcast_shape};
use super::constant_arithmetic::{Failure, Pair, Reduction, Single, cast, precision_of_type};
use super::selection::{all_but, each_pair, gathered, pick, slice_indices};
use super::{Importer, Value};
use crate::network::import::onnx::{Constant, ConstantData, OnnxNode, Precision};
use crate::network::import::{ImportError, limits};

/// How the result of an operator on constants is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fold {
    Cast,
    Concat,
    ConstantOfShape,
    /// Element by element.
    Each(Single),
    Expand,
    /// Two operands, element by element.
    Pair(Pair),
    /// Any number of operands, from the first to the last.
    Chain(Pair),
    Gather,
    Range,
    /// Of integers: sums of reals depend on the order of their terms.
    Reduce(Reduction),
    /// Of anything whose shape is known.
    Shape,
    /// The same.
    Size,
    Slice,
    Tile,
    Where,
}

impl Fold {
    /// The operators that are folded.
    fn of(op: &str) -> Option<Self> {
        Some(match op {
            "Abs" => Self::Each(Single::Abs),
            "Add" => Self::Pair(Pair::Add),
            "And" => Self::Pair(Pair::And),
            "Cast" => Self::Cast,
            "Ceil" => Self::Each(Single::Ceil),
            "Concat" => Self::Concat,
            "ConstantOfShape" => Self::ConstantOfShape,
            "Div" => Self::Pair(Pair::Div),
            "Equal" => Self::Pair(Pair::Equal),
            "Expand" => Self::Expand,
            "Floor" => Self::Each(Single::Floor),
            "Gather" => Self::Gather,
            "Greater" => Self::Pair(Pair::Greater),
            "GreaterOrEqual" => Self::Pair(Pair::GreaterOrEqual),
            "Less" => Self::Pair(Pair::Less),
            "LessOrEqual" => Self::Pair(Pair::LessOrEqual),
            "Max" => Self::Chain(Pair::Max),
            "Min" => Self::Chain(Pair::Min),
            "Mul" => Self::Pair(Pair::Mul),
            "Neg" => Self::Each(Single::Neg),
            "Not" => Self::Each(Single::Not),
            "Or" => Self::Pair(Pair::Or),
            "Pow" => Self::Pair(Pair::Pow),
            "Range" => Self::Range,
            "Reciprocal" => Self::Each(Single::Reciprocal),
            "ReduceMax" => Self::Reduce(Reduction::Max),
            "ReduceMin" => Self::Reduce(Reduction::Min),
            "ReduceProd" => Self::Reduce(Reduction::Prod),
            "ReduceSum" => Self::Reduce(Reduction::Sum),
            "Round" => Self::Each(Single::Round),
            "Shape" => Self::Shape,
            "Sign" => Self::Each(Single::Sign),
            "Size" => Self::Size,
            "Slice" => Self::Slice,
            "Sqrt" => Self::Each(Single::Sqrt),
            "Sub" => Self::Pair(Pair::Sub),
            "Tile" => Self::Tile,
            "Where" => Self::Where,
            "Xor" => Self::Pair(Pair::Xor),
            _ => return None,
        })
    }
}

impl Importer<'_> {
    /// The result of an operator on constants only, or of the shape of anything; `None` where the
    /// operator or an operand is something else.
    pub fn fold_constants(&mut self, node: &OnnxNode) -> Result<Option<Value>, ImportError> {
        let Some(fold) = Fold::of(&node.op).filter(|_| node.domain.is_empty()) else {
            return Ok(None);
        };
        if matches!(fold, Fold::Shape | Fold::Size) {
            return self.fold_shape(node, fold);
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
        let Some((constant, precision)) = self.folded(node, fold, &operands, precision)? else {
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

    fn fold_shape(&mut self, node: &OnnxNode, fold: Fold) -> Result<Option<Value>, ImportError> {
        let shape = match self.value(node, 0)? {
            Value::Const(constant) => constant.shape,
            // The file's shapes carry a batch dimension of 1 in front.
            Value::Stream(stream) => std::iter::once(1).chain(self.file_shape(&stream)).collect(),
            Value::Input(operand) | Value::Moved(operand) if operand.deferred.is_empty() => {
                std::iter::once(1).chain(operand.view.shape()).collect()
            }
            Value::Input(_) | Value::Moved(_) => return Ok(None),
        };
        let constant = if fold == Fold::Size {
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
        fold: Fold,
        operands: &[Option<Constant>],
        precision: Precision,
    ) -> Result<Option<(Constant, Precision)>, ImportError> {
        let first = self.folded_operand(node, operands, 0)?;
        let result = match fold {
            Fold::Pair(op) => self.fold_pair(
                node,
                op,
                first,
                self.folded_operand(node, operands, 1)?,
                precision,
            )?,
            Fold::Chain(op) => {
                let mut result = first.clone();
                for position in 1..operands.len() {
                    let next = self.folded_operand(node, operands, position)?;
                    result = self.fold_pair(node, op, &result, next, precision)?;
                }
                result
            }
            Fold::Each(op) => op
                .apply(first, precision)
                .map_err(|failure| self.failed(node, failure))?,
            Fold::Cast => return self.fold_cast(node, first).map(Some),
            Fold::Concat => self.fold_concat(node, operands)?,
            Fold::ConstantOfShape => {
                let (constant, precision) = self.fold_constant_of_shape(node, first)?;
                return Ok(Some((constant, precision)));
            }
            Fold::Gather => self.fold_gather(node, first, self.folded_operand(node, operands, 1)?)?,
            Fold::Slice => {
                let picks = self.slices(node, &first.shape)?;
                pick(first, &picks)
            }
            Fold::Expand => {
                let target = self.extents(node, self.folded_operand(node, operands, 1)?)?;
                let shape = broadcast_shape(&first.shape, &target)
                    .ok_or_else(|| self.unfit(node, &format!("expands {:?} to {target:?}", first.shape)))?;
                self.check_folded(node, &shape)?;
                let mut at = Vec::new();
                each_pair(&shape, &first.shape, &[], |i, _| at.push(i));
                gathered(first, shape, &at)
            }
            Fold::Tile => {
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
            Fold::Range => match (&first.data, operands.get(1), operands.get(2)) {
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
            Fold::Where => {
                let (yes, no) = (
                    self.folded_operand(node, operands, 1)?,
                    self.folded_operand(node, operands, 2)?,
                );
                self.fold_where(node, first, yes, no)?
            }
            Fold::Reduce(op) => match &first.data {
                ConstantData::Integer(values) => self.fold_reduction(node, op, values, &first.shape)?,
                ConstantData::Real(_) => return Ok(None),
            },
            Fold::Shape | Fold::Size => return Ok(None),
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

    fn failed(&self, node: &OnnxNode, failure: Failure) -> ImportError {
        match failure {
            Failure::Overflow => self
                .structure(node, "makes an integer constant beyond 64 bits")
                .expected("integers of at most 64 bits")
                .help("check the constants"),
            Failure::DivisionByZero => self
                .structure(node, "divides by zero")
                .expected("a divisor other than 0")
                .help("check the constants"),
            Failure::RealOnly => self
                .structure(node, "takes integers")
                .expected("real numbers")
                .help("cast the constant to real numbers in front of it"),
            Failure::OutOfRange => self
                .inexact(node, "casts a constant beyond the range of the new element type")
                .expected("values within the range of the new type")
                .help("cast to a wider type"),
        }
    }

    fn check_folded(&self, node: &OnnxNode, shape: &[usize]) -> Result<(), ImportError> {
        let elements = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        let fits = limits::span(shape).is_some_and(|span| span <= limits::MAX_FOLDED_ELEMENTS);
        if shape.len() <= limits::MAX_AXES && fits {
            // Coordinates are listed per axis, also of a constant without elements.
            let axes = shape
                .iter()
                .fold(0usize, |sum, &extent| sum.saturating_add(extent));
            return self.charge(node, elements.unwrap_or(0).saturating_add(axes));
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
        op: Pair,
        a: &Constant,
        b: &Constant,
        precision: Precision,
    ) -> Result<Constant, ImportError> {
        let shape = broadcast_shape(&a.shape, &b.shape).ok_or_else(|| {
            self.unfit(
                node,
                &format!("combines constants of shapes {:?} and {:?}", a.shape, b.shape),
            )
        })?;
        self.check_folded(node, &shape)?;
        self.check_folded(node, &shape)?;
        op.apply(shape, a, b, precision)
            .map_err(|failure| self.failed(node, failure))
    }

    fn fold_cast(&self, node: &OnnxNode, constant: &Constant) -> Result<(Constant, Precision), ImportError> {
        let to = node.int("to").unwrap_or(1);
        let element_type = i32::try_from(to).unwrap_or(0);
        let result = cast(constant, element_type).map_err(|failure| self.failed(node, failure))?;
        let result = result.ok_or_else(|| {
            self.unsupported(node, &format!("casts a constant to the element type {to}"))
                .expected("float, double, float16, bool or an integer type")
                .help("store the constant in one of these types")
        })?;
        Ok((result, precision_of_type(element_type)))
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
        let picks = all_but(&constant.shape, axis, picked);
        Ok(Constant {
            shape,
            ..pick(constant, &picks)
        })
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
    fn fold_reduction(
        &self,
        node: &OnnxNode,
        op: Reduction,
        values: &[i64],
        shape: &[usize],
    ) -> Result<Constant, ImportError> {
        let rank = shape.len();
        let axes = self.reduced_axes(node, rank)?;
        let keep = node.int("keepdims").unwrap_or(1) != 0;
        let reduced: Vec<usize> = (0..rank)
            .map(|axis| if axes.contains(&axis) { 1 } else { shape[axis] })
            .collect();
        let values = op
            .apply(values, shape, &reduced)
            .map_err(|failure| self.failed(node, failure))?;
        let kept = if keep {
            reduced
        } else {
            (0..rank)
                .filter(|axis| !axes.contains(axis))
                .map(|axis| shape[axis])
                .collect()
        };
        Ok(whole(kept, values))
    }
}

fn whole(shape: Vec<usize>, values: Vec<i64>) -> Constant {
    Constant::new(shape, ConstantData::Integer(values))
}
