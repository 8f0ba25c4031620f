//! In which order the elements of arrays lie that meet a network.
//!
//! A file gives its input and its output a shape of its own, channels first as a rule; the network's tensors
//! are channels last. A [`Layout`] knows both. It reads arrays by their shape, never by their number of
//! elements, and says so where a shape can be read in two ways.

use serde::{Deserialize, Serialize};

use super::{Network, Op, Tensor};

/// The order that somebody states for the arrays that belong to a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ArrayOrder {
    /// The file's own axes.
    File,
    /// The file's axes with the channels behind all others.
    ChannelsLast,
}

impl ArrayOrder {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::File, Self::ChannelsLast];

    /// The name in requests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::ChannelsLast => "channels-last",
        }
    }
}

impl From<ArrayOrder> for String {
    fn from(order: ArrayOrder) -> Self {
        order.name().to_owned()
    }
}

impl TryFrom<String> for ArrayOrder {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let order = Self::ALL.into_iter().find(|order| order.name() == name);
        order.ok_or_else(|| format!("there is no layout `{name}`; expected file or channels-last"))
    }
}

/// What an axis counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mark {
    /// Channels, as an operator with channels sees them.
    Channels,
    /// The spatial axis of that number.
    Spatial(usize),
    /// The axis of that number of the file's input, of which no operator says more.
    Input(usize),
    /// Nobody knows.
    Unknown,
}

/// A part of an axis: an axis that several were flattened into has several, the slowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// What it counts.
    pub mark: Mark,
    /// How far it counts.
    pub extent: usize,
}

/// The parts of each axis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks(pub Vec<Vec<Part>>);

impl Marks {
    /// One part per axis.
    #[must_use]
    pub fn of(shape: &[usize], mark: impl Fn(usize) -> Mark) -> Self {
        let part = |(axis, &extent): (usize, &usize)| {
            vec![Part {
                mark: mark(axis),
                extent,
            }]
        };
        Self(shape.iter().enumerate().map(part).collect())
    }

    /// Nothing is known.
    #[must_use]
    pub fn unknown(shape: &[usize]) -> Self {
        Self::of(shape, |_| Mark::Unknown)
    }

    /// Behind an operator that sees channels on one axis and space on the axes from `space` on. Known spatial
    /// axes stay what they are.
    #[must_use]
    pub fn behind_window(&self, shape: &[usize], channels: usize, space: usize) -> Self {
        let mut next = 0;
        let axes = shape.iter().enumerate().map(|(axis, &extent)| {
            let mark = if axis == channels {
                Mark::Channels
            } else if axis < space {
                Mark::Unknown
            } else {
                next += 1;
                match self.0.get(axis).map(Vec::as_slice) {
                    Some(&[part]) if matches!(part.mark, Mark::Spatial(_)) => part.mark,
                    _ => Mark::Spatial(next - 1),
                }
            };
            vec![Part { mark, extent }]
        });
        Self(axes.collect())
    }

    /// Axis `i` is axis `perm[i]` of these.
    #[must_use]
    pub fn transposed(&self, perm: &[usize]) -> Self {
        let axes = perm
            .iter()
            .map(|&axis| self.0.get(axis).cloned().unwrap_or_default());
        Self(axes.collect())
    }

    /// The same elements in the same order under another shape.
    #[must_use]
    pub fn reshaped(&self, shape: &[usize]) -> Self {
        let mut parts = self.0.iter().flatten().filter(|part| part.extent != 1).peekable();
        let mut axes = Vec::with_capacity(shape.len());
        for &extent in shape {
            let mut axis: Vec<Part> = Vec::new();
            let mut len = 1;
            while len < extent {
                let Some(&part) = parts.next_if(|part| extent % (len * part.extent) == 0) else {
                    return Self::unknown(shape);
                };
                len *= part.extent;
                axis.push(part);
            }
            if axis.is_empty() {
                axis.push(Part {
                    mark: Mark::Unknown,
                    extent,
                });
            }
            axes.push(axis);
        }
        Self(axes)
    }

    /// Joined with others along an axis.
    #[must_use]
    pub fn joined(&self, shape: &[usize]) -> Self {
        let kept = |(parts, &extent): (&Vec<Part>, &usize)| match parts.as_slice() {
            [part] => vec![Part { extent, ..*part }],
            parts if parts.iter().map(|part| part.extent).product::<usize>() == extent => parts.to_vec(),
            _ => vec![Part {
                mark: Mark::Unknown,
                extent,
            }],
        };
        if self.0.len() != shape.len() {
            return Self::unknown(shape);
        }
        Self(self.0.iter().zip(shape).map(kept).collect())
    }

    /// The axis that counts channels and nothing else, where there is exactly one.
    #[must_use]
    pub fn channels(&self) -> Option<usize> {
        let mut with = (0..self.0.len()).filter(|&axis| {
            let parts = &self.0[axis];
            parts.iter().any(|part| part.mark == Mark::Channels)
        });
        match (with.next(), with.next()) {
            (Some(axis), None) if self.0[axis].len() == 1 => Some(axis),
            _ => None,
        }
    }

    /// All parts with more than one element, slowest first, where all of them are known and different.
    fn known(&self) -> Option<Vec<Part>> {
        let parts: Vec<Part> = self
            .0
            .iter()
            .flatten()
            .filter(|part| part.extent != 1)
            .copied()
            .collect();
        let mut marks: Vec<Mark> = parts.iter().map(|part| part.mark).collect();
        marks.sort_unstable();
        marks.dedup();
        (marks.len() == parts.len() && !marks.contains(&Mark::Unknown)).then_some(parts)
    }
}

/// Position in the source of every element of an array whose axis `i` is axis `perm[i]` of the source's shape;
/// `None` where nothing moves.
fn moved(source: &[usize], perm: &[usize]) -> Option<Vec<usize>> {
    let mut strides = vec![1; source.len()];
    for axis in (1..source.len()).rev() {
        strides[axis - 1] = strides[axis] * source[axis];
    }
    let mut from = vec![0];
    for &axis in perm {
        let stride = strides[axis];
        from = from
            .iter()
            .flat_map(|&base| (0..source[axis]).map(move |at| base + at * stride))
            .collect();
    }
    (!from.is_sorted()).then_some(from)
}

/// A shape without its extents of one, which move no element.
fn squeezed(shape: &[usize]) -> Vec<usize> {
    shape.iter().copied().filter(|&extent| extent != 1).collect()
}

/// How the elements of a file's input or output, or of a readout's output, lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The file's own shape, without the batch.
    shape: Vec<usize>,
    /// `axes[i]` is the channels-last axis of axis `i` of the file.
    axes: Vec<usize>,
    /// What the file's axes count.
    marks: Marks,
    /// Whether the last axis of the channels-last order is known to hold the channels.
    stated: bool,
}

/// How an array is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Position in a row of the array of every channels-last element; `None` where they are the same.
    pub order: Option<Vec<usize>>,
    /// Whether the row's shape fits another order as well, which would give other numbers; or whether it is stated
    /// to be channels last where no operator says what that is.
    pub doubtful: bool,
}

impl Reading {
    /// Whether reading by this order and then by the other leaves every element in its place.
    #[must_use]
    pub fn is_undone_by(&self, then: &Self) -> bool {
        let at = |order: &Option<Vec<usize>>, at: usize| order.as_ref().map_or(at, |order| order[at]);
        let len = [&self.order, &then.order]
            .into_iter()
            .flatten()
            .map(Vec::len)
            .max();
        (0..len.unwrap_or(0)).all(|place| at(&self.order, at(&then.order, place)) == place)
    }

    /// Brings rows into channels-last order.
    #[must_use]
    pub fn apply<T: Copy>(&self, values: Vec<T>) -> Vec<T> {
        match &self.order {
            None => values,
            Some(order) => values
                .chunks_exact(order.len().max(1))
                .flat_map(|row| order.iter().map(|&at| row[at]))
                .collect(),
        }
    }
}

impl Layout {
    /// A shape of which nothing more is known.
    #[must_use]
    pub fn plain(shape: &[usize]) -> Self {
        Self::marked(shape, Marks::unknown(shape))
    }

    /// A shape with the channels last.
    #[must_use]
    pub fn channels_are_last(shape: &[usize]) -> Self {
        Self {
            stated: true,
            ..Self::plain(shape)
        }
    }

    /// A shape whose channels, where the marks know them, are the last axis of the channels-last order.
    #[must_use]
    pub fn marked(shape: &[usize], marks: Marks) -> Self {
        let layout = Self {
            shape: shape.to_vec(),
            axes: (0..shape.len()).collect(),
            marks,
            stated: false,
        };
        layout.with_channels_of_marks()
    }

    /// The same elements with the axis that counts channels, where one is known to, taken to be last.
    #[must_use]
    pub fn with_channels_of_marks(self) -> Self {
        let Some(channels) = self.marks.channels() else {
            return self;
        };
        let last = self.shape.len() - 1;
        let axes = (0..=last).map(|axis| match axis.cmp(&channels) {
            std::cmp::Ordering::Less => axis,
            std::cmp::Ordering::Equal => last,
            std::cmp::Ordering::Greater => axis - 1,
        });
        Self {
            axes: axes.collect(),
            stated: true,
            ..self
        }
    }

    /// The file's own shape, without the batch.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// What the file's axes count.
    #[must_use]
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The file's axes in channels-last order.
    fn permutation(&self) -> Vec<usize> {
        let mut perm = vec![0; self.axes.len()];
        for (axis, &to) in self.axes.iter().enumerate() {
            perm[to] = axis;
        }
        perm
    }

    /// The file's axes in the order that others call channels last: where nobody says which axis holds the
    /// channels it is the first, as in ONNX's own operators.
    fn others_channels_last(&self) -> Vec<usize> {
        if self.stated || self.shape.len() < 2 {
            self.permutation()
        } else {
            (1..self.shape.len()).chain([0]).collect()
        }
    }

    /// The shape of an array that others call channels last.
    #[must_use]
    pub fn channels_last_array(&self) -> Vec<usize> {
        self.others_channels_last()
            .iter()
            .map(|&axis| self.shape[axis])
            .collect()
    }

    /// The shape channels last.
    #[must_use]
    pub fn channels_last(&self) -> Vec<usize> {
        self.permutation().iter().map(|&axis| self.shape[axis]).collect()
    }

    /// Position in the file's order of every channels-last element; `None` where they are the same.
    #[must_use]
    pub fn file_positions(&self) -> Option<Vec<usize>> {
        moved(&self.shape, &self.permutation())
    }

    /// Channels-last position of every element in the file's order; `None` where they are the same.
    #[must_use]
    pub fn channels_last_positions(&self) -> Option<Vec<usize>> {
        moved(&self.channels_last(), &self.axes)
    }

    /// The layout of what lies beside the channels: pixels.
    #[must_use]
    pub fn without_channels(&self) -> Self {
        let Some(last) = self.axes.len().checked_sub(1) else {
            return self.clone();
        };
        let kept: Vec<usize> = (0..=last).filter(|&axis| self.axes[axis] != last).collect();
        Self {
            shape: kept.iter().map(|&axis| self.shape[axis]).collect(),
            axes: kept.iter().map(|&axis| self.axes[axis]).collect(),
            marks: self.marks.transposed(&kept),
            stated: true,
        }
    }

    /// The same with another number of channels.
    #[must_use]
    pub fn with_channels(mut self, channels: usize) -> Self {
        let last = self.axes.len().wrapping_sub(1);
        if let Some(axis) = self.axes.iter().position(|&axis| axis == last) {
            self.shape[axis] = channels;
            self.marks.0[axis] = vec![Part {
                mark: Mark::Channels,
                extent: channels,
            }];
        }
        self
    }

    /// How a row of that shape is read, `None` where it does not fit. Extents of one do not count. A shape that
    /// is both the file's and channels last, and a flat row, are in the file's order unless `stated` says
    /// otherwise. Where no operator says which axis holds the channels, arrays that are stated to be channels last
    /// have the file's first axis behind the others, or else the file's own shape.
    #[must_use]
    pub fn read(&self, given: &[usize], stated: Option<ArrayOrder>) -> Option<Reading> {
        let row = squeezed(given);
        let is_flat = row.len() <= 1 && given.iter().product::<usize>() == self.len();
        let is_file = is_flat || row == squeezed(&self.shape);
        let last_shape = self.channels_last_array();
        let leading = given.iter().take_while(|&&extent| extent == 1).count();
        let is_last = if self.stated {
            is_flat || row == squeezed(&last_shape)
        } else {
            // Which extents of one are which axis is not known either.
            let exact = (0..=leading).any(|from| given[from..] == last_shape);
            exact || (is_flat && stated.is_some())
        };
        let reading = |order: Option<Vec<usize>>| Reading {
            order,
            doubtful: false,
        };
        let file = reading(self.file_positions());
        let last = || {
            let others = self.others_channels_last();
            let place = |axis: &usize| others.iter().position(|other| other == axis).unwrap_or(0);
            let perm: Vec<usize> = self.permutation().iter().map(place).collect();
            reading(moved(&last_shape, &perm))
        };
        match stated {
            Some(ArrayOrder::File) => is_file.then_some(file),
            Some(ArrayOrder::ChannelsLast) if is_last => Some(Reading {
                doubtful: !self.stated && last() != file,
                ..last()
            }),
            // The file's last axis may hold the channels.
            Some(ArrayOrder::ChannelsLast) => (is_file && !self.stated).then_some(file),
            None if is_file => Some(Reading {
                doubtful: is_last && last() != file,
                ..file
            }),
            None => is_last.then(last),
        }
    }

    /// For every channels-last element of `to` the channels-last position of the same element here, where the
    /// two can be matched: by what their axes count, by equal shapes in their files' orders, as flat rows in
    /// their files' orders, or by one's own shape and the other's channels-last shape.
    #[must_use]
    pub fn matched(&self, to: &Self) -> Option<Reading> {
        if let (Some(from), Some(wanted)) = (self.marks.known(), to.marks.known()) {
            let perm: Option<Vec<usize>> = wanted
                .iter()
                .map(|part| from.iter().position(|other| other == part))
                .collect();
            if let Some(perm) = perm.filter(|perm| perm.len() == from.len()) {
                let extents: Vec<usize> = from.iter().map(|part| part.extent).collect();
                return Some(self.through_files(to, moved(&extents, &perm), false));
            }
        }
        let (from_file, to_file) = (squeezed(&self.shape), squeezed(&to.shape));
        if from_file == to_file {
            return Some(self.through_files(to, None, false));
        }
        if self.len() == to.len() && (from_file.len() <= 1 || to_file.len() <= 1) {
            let moves = self.file_positions().is_some() || to.file_positions().is_some();
            return Some(self.through_files(to, None, moves));
        }
        // Two layouts that know their channels and differ in them are of different things.
        if self.marks.channels().is_some() && to.marks.channels().is_some() {
            return None;
        }
        let (from_last, to_last) = (self.channels_last_array(), to.channels_last_array());
        let (from_axes, to_axes) = (self.others_channels_last(), to.others_channels_last());
        let place = |axis: usize| to_axes.iter().position(|&other| other == axis).unwrap_or(0);
        let places = || (0..to.shape.len()).map(place);
        let perm: Vec<usize> = if (self.stated || to.stated) && from_last == to_last {
            places().map(|at| from_axes[at]).collect()
        } else if to.stated && self.shape == to_last {
            places().collect()
        } else if self.stated && from_last == to.shape {
            from_axes
        } else {
            return None;
        };
        Some(self.through_files(to, moved(&self.shape, &perm), false))
    }

    /// A matching of the files' orders (`between`: the position here of every element there) as one of the
    /// channels-last orders.
    fn through_files(&self, to: &Self, between: Option<Vec<usize>>, doubtful: bool) -> Reading {
        let here = self.channels_last_positions();
        let there = to.file_positions();
        let follow = |map: &Option<Vec<usize>>, at: usize| map.as_ref().map_or(at, |map| map[at]);
        let order: Vec<usize> = (0..to.len())
            .map(|at| follow(&here, follow(&between, follow(&there, at))))
            .collect();
        Reading {
            order: (!order.is_sorted()).then_some(order),
            doubtful,
        }
    }

    /// How a model that reads a row of that shape is fed from channels-last elements (the position of each value
    /// that it reads), and what its axes count.
    #[must_use]
    pub fn feed(&self, shape: &[usize]) -> Option<(Reading, Marks)> {
        let row = squeezed(shape);
        let positions = self.channels_last_positions();
        let (is_file, is_last) = (
            row == squeezed(&self.shape),
            row == squeezed(&self.channels_last()),
        );
        if is_file || (row.len() <= 1 && shape.iter().product::<usize>() == self.len()) {
            let reading = Reading {
                doubtful: positions.is_some() && (is_last || row.len() <= 1),
                order: positions,
            };
            let marks = if self.shape == shape {
                self.marks.clone()
            } else {
                self.marks.reshaped(shape)
            };
            return Some((reading, marks));
        }
        is_last.then(|| {
            let reading = Reading {
                order: None,
                doubtful: false,
            };
            let marks = self.marks.transposed(&self.permutation());
            let marks = if self.channels_last() == shape {
                marks
            } else {
                marks.reshaped(shape)
            };
            (reading, marks)
        })
    }
}

impl Network {
    /// How the file's input lies. Its axes are what the first operators that see channels take them for.
    #[must_use]
    pub fn input_layout(&self) -> Layout {
        let tensor = self.tensor(self.input);
        let (marks, _) = self.marks();
        file_layout(tensor, &self.input_axes, &marks)
    }

    /// How the file's output lies.
    #[must_use]
    pub fn output_layout(&self) -> Layout {
        let tensor = self.tensor(self.output);
        let (_, marks) = self.marks();
        file_layout(tensor, &self.output_axes, &marks)
    }

    /// What the axes of the input and output tensors count.
    fn marks(&self) -> (Marks, Marks) {
        let shape = &self.tensor(self.input).shape;
        let axes = file_axes(self.tensor(self.input), &self.input_axes);
        let mut input = Marks::of(shape, |axis| {
            Mark::Input(axes.iter().position(|&to| to == axis).unwrap_or(axis))
        });
        let (mut output, seen) = self.propagate(&input);
        if let Some(seen) = seen {
            // An operator says what the input's axes are.
            for part in input.0.iter_mut().flatten() {
                if let Some(known) = seen.iter().find(|(from, _)| *from == part.mark) {
                    part.mark = known.1;
                }
            }
            output = self.propagate(&input).0;
        }
        (input, output)
    }

    /// Follows marks from the input to the output; also what the first operator with channels takes the input's
    /// axes for.
    fn propagate(&self, input: &Marks) -> (Marks, Option<Vec<(Mark, Mark)>>) {
        let mut of: Vec<Option<Marks>> = vec![None; self.tensors.len()];
        of[self.input.index()] = Some(input.clone());
        let mut seen = None;
        for node in &self.nodes {
            let shape = &self.tensor(node.output).shape;
            let from = node.inputs.first().and_then(|id| {
                let shape = &self.tensor(*id).shape;
                of[id.index()]
                    .clone()
                    .filter(|marks| marks.0.len() == shape.len())
            });
            let Some(from) = from else {
                continue;
            };
            let made = match &node.op {
                Op::Mac(_) | Op::Pool(_) | Op::Pad(_) | Op::Upsample { .. } => {
                    let last = from.0.len().saturating_sub(1);
                    if seen.is_none() {
                        seen = taken_for(&from, last);
                    }
                    if shape.len() == from.0.len() {
                        from.behind_window(shape, last, 0)
                    } else {
                        Marks::unknown(shape)
                    }
                }
                Op::Reshape => from.reshaped(shape),
                Op::Transpose { perm } => from.transposed(perm),
                Op::Concat { .. } => from.joined(shape),
                Op::ArgMax(_) | Op::Program(_) => Marks::unknown(shape),
                _ if shape.len() == from.0.len() => from.joined(shape),
                _ => Marks::unknown(shape),
            };
            of[node.output.index()] = Some(made);
        }
        let shape = &self.tensor(self.output).shape;
        let output = of[self.output.index()].take();
        (output.unwrap_or_else(|| Marks::unknown(shape)), seen)
    }
}

/// What a tensor's marks are for an operator whose channels are last, where all of them are the input's axes.
fn taken_for(marks: &Marks, last: usize) -> Option<Vec<(Mark, Mark)>> {
    let mut spatial = 0;
    let mut pairs = Vec::new();
    for (axis, parts) in marks.0.iter().enumerate() {
        let &[
            Part {
                mark: mark @ Mark::Input(_),
                ..
            },
        ] = parts.as_slice()
        else {
            return None;
        };
        let known = if axis == last {
            Mark::Channels
        } else {
            spatial += 1;
            Mark::Spatial(spatial - 1)
        };
        pairs.push((mark, known));
    }
    Some(pairs)
}

/// The tensor's axis of every axis of the file. Without a statement they are the same.
fn file_axes(tensor: &Tensor, axes: &[usize]) -> Vec<usize> {
    let rank = tensor.shape.len();
    let mut sorted = axes.to_vec();
    sorted.sort_unstable();
    if sorted.iter().copied().eq(0..rank) {
        axes.to_vec()
    } else {
        (0..rank).collect()
    }
}

/// The layout of a tensor of the file; the marks are those of the network's tensor.
fn file_layout(tensor: &Tensor, axes: &[usize], marks: &Marks) -> Layout {
    let to = file_axes(tensor, axes);
    let marks = marks.transposed(&to);
    let last = to.iter().position(|&axis| axis + 1 == to.len());
    Layout {
        shape: to.iter().map(|&axis| tensor.shape[axis]).collect(),
        stated: !axes.is_empty() || (marks.channels().is_some() && marks.channels() == last),
        axes: to,
        marks,
    }
}
