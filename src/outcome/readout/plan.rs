//! A compiled readout: steps over one flat memory, each reading what lies before what it writes.

use serde::Serialize;

use super::front::Front;
use super::kernels::{self, Convolution, Dense, Pool, Softmax, Unary};

/// A tensor in the plan's memory. Its elements fill a contiguous range; only the order of its axes in
/// memory may differ from row-major.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct View {
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

impl View {
    /// A row-major tensor.
    pub(super) fn row_major(offset: usize, shape: &[usize]) -> Self {
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis];
        }
        Self {
            offset,
            shape: shape.to_vec(),
            strides,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub(super) fn is_row_major(&self) -> bool {
        self.same_layout(&Self::row_major(0, &self.shape))
    }

    /// Whether both have one shape and one order in memory.
    pub(super) fn same_layout(&self, other: &Self) -> bool {
        self.shape == other.shape
            && (0..self.shape.len())
                .all(|axis| self.shape[axis] == 1 || self.strides[axis] == other.strides[axis])
    }

    /// Memory addresses of the elements in row-major order of `shape`, to which the tensor is
    /// broadcast (trailing axes aligned, extents equal or 1).
    pub(super) fn addresses(&self, shape: &[usize]) -> Vec<usize> {
        let added = shape.len() - self.shape.len();
        let mut addresses = vec![self.offset];
        for (axis, &extent) in shape.iter().enumerate() {
            let stride = match axis.checked_sub(added) {
                Some(own) if self.shape[own] > 1 => self.strides[own],
                _ => 0,
            };
            addresses = addresses
                .iter()
                .flat_map(|&base| (0..extent).map(move |index| base + index * stride))
                .collect();
        }
        addresses
    }
}

/// Where an operand of an elementwise operation is.
#[derive(Clone, Debug, Serialize)]
pub(super) enum Operand {
    /// In memory, from that address on.
    Memory(usize),
    /// Stored in the step.
    Constant(Vec<f64>),
}

impl Operand {
    fn slice<'a>(&'a self, memory: &'a [f64], len: usize) -> &'a [f64] {
        match self {
            Self::Memory(offset) => &memory[*offset..][..len],
            Self::Constant(values) => values,
        }
    }
}

/// Arithmetic of two tensors.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
}

/// What a step does; `from` and `to` are addresses.
#[derive(Clone, Debug, Serialize)]
pub(super) enum Action {
    Load(Vec<f64>),
    Gather(Vec<usize>),
    Unary {
        function: Unary,
        from: usize,
    },
    Binary {
        function: Binary,
        left: Operand,
        right: Operand,
    },
    Dense {
        dense: Dense,
        from: usize,
    },
    Convolve {
        convolution: Convolution,
        from: usize,
    },
    /// The patch of one input pixel lies at `patch`, before the output.
    Deconvolve {
        convolution: Convolution,
        from: usize,
        patch: usize,
    },
    Pool {
        pool: Pool,
        from: usize,
    },
    Softmax {
        softmax: Softmax,
        from: usize,
    },
}

/// An action and the range that it writes, which lies behind all that it reads.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Step {
    pub(super) action: Action,
    pub(super) to: usize,
    pub(super) len: usize,
}

/// The steps, and where the input and the output are. The input lies at address 0.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Plan {
    pub(super) input_len: usize,
    pub(super) steps: Vec<Step>,
    pub(super) memory_len: usize,
    pub(super) output: usize,
    pub(super) output_len: usize,
}

impl Plan {
    pub(super) fn identity(len: usize) -> Self {
        Self {
            input_len: len,
            steps: Vec::new(),
            memory_len: len,
            output: 0,
            output_len: len,
        }
    }

    /// Values picked from the input, at least one.
    pub(super) fn gather(len: usize, from: &[usize]) -> Self {
        Self {
            input_len: len,
            steps: vec![Step {
                action: Action::Gather(from.to_vec()),
                to: len,
                len: from.len(),
            }],
            memory_len: len + from.len(),
            output: len,
            output_len: from.len(),
        }
    }

    /// Whether the output is the input.
    pub(super) fn is_identity(&self) -> bool {
        self.steps.is_empty() && self.output == 0 && self.output_len == self.input_len
    }

    pub(super) fn input_len(&self) -> usize {
        self.input_len
    }

    pub(super) fn output_len(&self) -> usize {
        self.output_len
    }

    pub(super) fn run<'s>(&self, code: &[f64], front: Option<&Front>, memory: &'s mut Vec<f64>) -> &'s [f64] {
        assert_eq!(code.len(), self.input_len, "one value per input of the readout");
        memory.resize(self.memory_len, 0.0);
        memory[..self.input_len].copy_from_slice(code);
        if let Some(front) = front {
            front.apply(&mut memory[..self.input_len]);
        }
        for step in &self.steps {
            step.run(memory);
        }
        &memory[self.output..][..self.output_len]
    }
}

impl Step {
    fn run(&self, memory: &mut [f64]) {
        let (before, rest) = memory.split_at_mut(self.to);
        let to = &mut rest[..self.len];
        match &self.action {
            Action::Load(values) => to.copy_from_slice(values),
            Action::Gather(addresses) => {
                for (value, &address) in to.iter_mut().zip(addresses) {
                    *value = before[address];
                }
            }
            Action::Unary { function, from } => function.apply(&before[*from..][..self.len], to),
            Action::Binary {
                function,
                left,
                right,
            } => {
                let left = left.slice(before, self.len);
                let right = right.slice(before, self.len);
                match function {
                    Binary::Add => kernels::combine(left, right, to, |a, b| a + b),
                    Binary::Sub => kernels::combine(left, right, to, |a, b| a - b),
                    Binary::Mul => kernels::combine(left, right, to, |a, b| a * b),
                    Binary::Div => kernels::combine(left, right, to, |a, b| a / b),
                }
            }
            Action::Dense { dense, from } => dense.apply(&before[*from..], to),
            Action::Convolve { convolution, from } => convolution.convolve(&before[*from..], to),
            Action::Deconvolve {
                convolution,
                from,
                patch,
            } => {
                let (before, patch) = before.split_at_mut(*patch);
                convolution.deconvolve(&before[*from..], patch, to);
            }
            Action::Pool { pool, from } => pool.apply(&before[*from..], to),
            Action::Softmax { softmax, from } => softmax.apply(&before[*from..], to),
        }
    }
}
