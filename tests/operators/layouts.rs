//! Orders of elements: identity networks lose nothing, whatever way their arrays are given.
//!
//! The oracle moves single elements by their coordinates.

use std::path::PathBuf;

use ndarray::{ArrayD, IxDyn};
use radstream::data::Source;
use radstream::model::{Files, Located, Settings, Workload, WorkloadError};
use radstream::network::{ArrayOrder, Network};
use radstream::outcome::Scratch;
use radstream::simulate::functional::{Parameters, evaluate};
use tempfile::TempDir;

use super::check::{Draw, import};
use super::tensor::coordinates;
use crate::onnx::{Model, Value};

/// A row-major array of a sample.
#[derive(Clone, Debug, PartialEq)]
struct Grid {
    shape: Vec<usize>,
    values: Vec<f64>,
}

impl Grid {
    fn new(shape: &[usize], values: Vec<f64>) -> Self {
        assert_eq!(values.len(), shape.iter().product::<usize>());
        Self {
            shape: shape.to_vec(),
            values,
        }
    }

    fn at(&self, place: &[usize]) -> f64 {
        let index = place
            .iter()
            .zip(&self.shape)
            .fold(0, |index, (at, extent)| index * extent + at);
        self.values[index]
    }

    /// Axis `i` is axis `perm[i]` of this.
    fn transposed(&self, perm: &[usize]) -> Self {
        let shape: Vec<usize> = perm.iter().map(|&axis| self.shape[axis]).collect();
        let value = |place: &Vec<usize>| {
            let mut from = vec![0; place.len()];
            for (axis, &source) in perm.iter().enumerate() {
                from[source] = place[axis];
            }
            self.at(&from)
        };
        let values = coordinates(&shape).iter().map(value).collect();
        Self { shape, values }
    }

    fn reshaped(&self, shape: &[usize]) -> Self {
        Self::new(shape, self.values.clone())
    }

    fn flat(&self) -> Self {
        self.reshaped(&[self.values.len()])
    }

    /// The axis behind all others.
    fn with_last(&self, axis: usize) -> Self {
        let rest = (0..self.shape.len()).filter(|&other| other != axis);
        self.transposed(&rest.chain([axis]).collect::<Vec<_>>())
    }
}

/// A folder for arrays and readouts.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        Self(TempDir::new().expect("a folder"))
    }

    /// An array of integers.
    pub fn integers(&self, name: &str, shape: &[usize], values: Vec<i64>) -> Option<Located> {
        let array = ArrayD::from_shape_vec(IxDyn(shape), values).expect("a shape that fits");
        ndarray_npy::write_npy(self.0.path().join(name), &array).expect("an array");
        self.located(name)
    }

    fn located(&self, name: &str) -> Option<Located> {
        Some(Located {
            files: Files::Folder(PathBuf::new()),
            source: Source {
                file: self.0.path().join(name),
                key: None,
            },
        })
    }

    /// Arrays of equal shape, one per sample.
    fn samples(&self, name: &str, rows: &[Grid]) -> Option<Located> {
        let shape: Vec<usize> = std::iter::once(rows.len())
            .chain(rows[0].shape.iter().copied())
            .collect();
        let values = rows.iter().flat_map(|row| row.values.iter().copied()).collect();
        self.array(name, &shape, values)
    }

    pub fn array(&self, name: &str, shape: &[usize], values: Vec<f64>) -> Option<Located> {
        let array = ArrayD::from_shape_vec(IxDyn(shape), values).expect("a shape that fits");
        ndarray_npy::write_npy(self.0.path().join(name), &array).expect("an array");
        self.located(name)
    }

    pub fn model(&self, name: &str, model: &Model) -> Option<Located> {
        std::fs::write(self.0.path().join(name), model.bytes()).expect("a file");
        self.located(name)
    }
}

/// Mean loss without faults, and what was said of the order of arrays.
fn loss(network: &Network, settings: &Settings) -> Result<(f64, Vec<String>), WorkloadError> {
    let workload = Workload::load(network, settings)?;
    let parameters = Parameters::of(network);
    let output = network.tensor(network.output);
    let mut scratch = Scratch::default();
    let len = network.tensor(network.input).len();
    let mut sum = 0.0;
    for (sample, codes) in workload.inputs.chunks_exact(len).enumerate() {
        let trace = evaluate(network, &parameters, codes);
        let values: Vec<f64> = trace
            .tensor(network.output)
            .iter()
            .map(|&m| output.value_of(m))
            .collect();
        sum += workload
            .evaluator
            .evaluate(sample, &values, false, &mut scratch)
            .loss;
    }
    Ok((sum / workload.samples as f64, workload.notes))
}

/// How an identity is written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    /// A convolution of extent 1, channels first.
    Convolution,
    /// The same in a file whose input and output are channels last.
    Last,
    /// A convolution whose output is transposed to channels last.
    FirstToLast,
    /// A convolution that is flattened.
    Flattened,
    /// A convolution that is flattened channels last.
    FlattenedLast,
    /// A product with the flat input.
    Dense,
    /// A product with the flat input, in the input's shape again.
    DenseShaped,
    /// No operator between two quantizers.
    Nothing,
}

const FORMS: [Form; 8] = [
    Form::Convolution,
    Form::Last,
    Form::FirstToLast,
    Form::Flattened,
    Form::FlattenedLast,
    Form::Dense,
    Form::DenseShaped,
    Form::Nothing,
];

fn unit(n: usize) -> Vec<f32> {
    (0..n * n)
        .map(|at| if at / n == at % n { 1.0 } else { 0.0 })
        .collect()
}

fn wide(shape: &[usize]) -> Vec<i64> {
    std::iter::once(1)
        .chain(shape.iter().map(|&extent| extent as i64))
        .collect()
}

/// The last axis behind the batch, or behind all others: permutations with the batch.
fn to_first(rank: usize) -> Vec<i64> {
    [0, rank as i64].into_iter().chain(1..rank as i64).collect()
}
fn to_last(rank: usize) -> Vec<i64> {
    std::iter::once(0).chain(2..=rank as i64).chain([1]).collect()
}

impl Form {
    fn windows(self) -> bool {
        !matches!(self, Form::Dense | Form::DenseShaped | Form::Nothing)
    }

    /// The network on an input of that shape.
    fn network(self, shape: &[usize]) -> Network {
        let rank = shape.len();
        let mut model = Model::new("x", &wide(shape));
        model.quant("x", "q", 8, 1.0, true);
        let mut value = "q";
        if self == Form::Last {
            model
                .node("Transpose", &[value], "first")
                .with("perm", Value::Ints(&to_first(rank)));
            value = "first";
        }
        if self.windows() {
            let channels = shape[if self == Form::Last { rank - 1 } else { 0 }];
            let mut weight = vec![channels, channels];
            weight.resize(rank + 1, 1);
            model
                .floats("w", &weight, &unit(channels))
                .quant("w", "wq", 4, 1.0, true);
            model.node("Conv", &[value, "wq"], "y");
            value = "y";
        }
        let len: usize = shape.iter().product();
        if matches!(self, Form::Dense | Form::DenseShaped) {
            model.node("Flatten", &[value], "flat");
            model
                .floats("w", &[len, len], &unit(len))
                .quant("w", "wq", 4, 1.0, true);
            model.node("MatMul", &["flat", "wq"], "y");
            value = "y";
        }
        if matches!(self, Form::Last | Form::FirstToLast | Form::FlattenedLast) {
            model
                .node("Transpose", &[value], "last")
                .with("perm", Value::Ints(&to_last(rank)));
            value = "last";
        }
        if matches!(self, Form::Flattened | Form::FlattenedLast) {
            model.node("Flatten", &[value], "row");
            value = "row";
        }
        if self == Form::DenseShaped {
            model
                .integers("shape", &[rank + 1], &wide(shape))
                .node("Reshape", &[value, "shape"], "shaped");
            value = "shaped";
        }
        model.quant(value, "z", 9, 1.0, true).output("z");
        import(&model)
    }

    /// What the file's output is, and which of its axes holds the channels.
    fn output(self, input: &Grid) -> (Grid, Option<usize>) {
        let rank = input.shape.len();
        match self {
            Form::Convolution => (input.clone(), Some(0)),
            Form::Last => (input.clone(), Some(rank - 1)),
            Form::FirstToLast => (input.with_last(0), Some(rank - 1)),
            Form::Flattened | Form::Dense => (input.flat(), None),
            Form::FlattenedLast => (input.with_last(0).flat(), None),
            Form::DenseShaped | Form::Nothing => (input.clone(), None),
        }
    }
}

/// What a readout does with the network's output.
#[derive(Clone, Debug)]
enum Behind {
    Absent,
    Identity,
    Transpose(Vec<usize>),
    Flatten,
    TransposeFlatten(Vec<usize>),
}

impl Behind {
    fn model(&self, from: &Grid) -> Model {
        let mut model = Model::new("c", &wide(&from.shape));
        let batched = |perm: &[usize]| -> Vec<i64> {
            std::iter::once(0)
                .chain(perm.iter().map(|&axis| axis as i64 + 1))
                .collect()
        };
        match self {
            Behind::Absent | Behind::Identity => model.node("Identity", &["c"], "r"),
            Behind::Transpose(perm) => model
                .node("Transpose", &["c"], "r")
                .with("perm", Value::Ints(&batched(perm))),
            Behind::Flatten => model.node("Flatten", &["c"], "r"),
            Behind::TransposeFlatten(perm) => model
                .node("Transpose", &["c"], "t")
                .with("perm", Value::Ints(&batched(perm)))
                .node("Flatten", &["t"], "r"),
        };
        model.output("r");
        model
    }

    fn output(&self, from: &Grid, channels: Option<usize>) -> (Grid, Option<usize>) {
        match self {
            Behind::Absent | Behind::Identity => (from.clone(), channels),
            Behind::Transpose(perm) => {
                let channels = channels.and_then(|axis| perm.iter().position(|&from| from == axis));
                (from.transposed(perm), channels)
            }
            Behind::Flatten => (from.flat(), None),
            Behind::TransposeFlatten(perm) => (from.transposed(perm).flat(), None),
        }
    }

    /// All that there are for a shape.
    fn all(rank: usize) -> Vec<Self> {
        let perms: Vec<Vec<usize>> = match rank {
            1 => vec![],
            2 => vec![vec![1, 0]],
            _ => vec![
                vec![1, 2, 0],
                vec![2, 0, 1],
                vec![0, 2, 1],
                vec![2, 1, 0],
                vec![1, 0, 2],
            ],
        };
        let moved = perms.iter().cloned().map(Behind::Transpose);
        let flat = perms.iter().take(2).cloned().map(Behind::TransposeFlatten);
        [Behind::Absent, Behind::Identity, Behind::Flatten]
            .into_iter()
            .chain(moved)
            .chain(flat)
            .collect()
    }
}

/// All shapes with extents of at most 3 and up to three axes, and some with four different extents.
fn shapes() -> Vec<Vec<usize>> {
    let up_to = |rank: usize| coordinates(&vec![3; rank]);
    let mut shapes: Vec<Vec<usize>> = (1..=3)
        .flat_map(up_to)
        .map(|place| place.iter().map(|at| at + 1).collect())
        .collect();
    shapes.extend([
        vec![6],
        vec![4, 2, 3],
        vec![2, 4, 3],
        vec![3, 2, 4],
        vec![4, 4, 2],
        vec![2, 4, 4],
    ]);
    shapes
}

fn draw(draw: &mut Draw, shape: &[usize], samples: usize) -> Vec<Grid> {
    let len: usize = shape.iter().product();
    (0..samples)
        .map(|_| {
            // Different values, so that every exchange of two elements shows.
            let mut values: Vec<f64> = (0..len).map(|at| at as f64 - 20.0).collect();
            for at in (1..len).rev() {
                values.swap(at, draw.integer(0, at as i64) as usize);
            }
            Grid::new(shape, values)
        })
        .collect()
}

fn squeezed(shape: &[usize]) -> Vec<usize> {
    shape.iter().copied().filter(|&extent| extent != 1).collect()
}

/// All ways to give samples of an order: in the file's shape, flat, and channels last where it says so.
fn ways(rows: &[Grid], channels: Option<usize>) -> Vec<(Vec<Grid>, Option<ArrayOrder>)> {
    let each = |change: &dyn Fn(&Grid) -> Grid| rows.iter().map(change).collect::<Vec<Grid>>();
    let with_ones = |row: &Grid| row.reshaped(&[&[1], row.shape.as_slice()].concat());
    let mut ways = vec![
        (each(&Grid::clone), None),
        (each(&Grid::flat), None),
        (each(&with_ones), None),
        (each(&Grid::clone), Some(ArrayOrder::File)),
        (each(&Grid::flat), Some(ArrayOrder::File)),
    ];
    if let Some(axis) = channels {
        let last = each(&|row| row.with_last(axis));
        if squeezed(&last[0].shape) != squeezed(&rows[0].shape) {
            ways.push((last.clone(), None));
        }
        ways.push((
            last.iter().map(Grid::flat).collect(),
            Some(ArrayOrder::ChannelsLast),
        ));
        ways.push((last, Some(ArrayOrder::ChannelsLast)));
    }
    ways
}

#[test]
fn identities_lose_nothing() {
    let place = Place::new();
    let mut numbers = Draw::new(11);
    let mut compared = 0;
    for shape in shapes() {
        for form in FORMS {
            if form.windows() && shape.len() < 2 {
                continue;
            }
            let network = form.network(&shape);
            let rows = draw(&mut numbers, &shape, 2);
            let channels_in = match form {
                Form::Last => Some(shape.len() - 1),
                form if form.windows() => Some(0),
                _ => None,
            };
            let (_, channels_out) = form.output(&rows[0]);
            let outputs: Vec<Grid> = rows.iter().map(|row| form.output(row).0).collect();
            for behind in Behind::all(outputs[0].shape.len()) {
                let readout = match behind {
                    Behind::Absent => None,
                    _ => place.model("readout.onnx", &behind.model(&outputs[0])),
                };
                let (_, channels) = behind.output(&outputs[0], channels_out);
                let wanted: Vec<Grid> = outputs.iter().map(|row| behind.output(row, None).0).collect();
                let settings = |inputs, target, layout| Settings {
                    inputs,
                    target,
                    layout,
                    readout: readout.clone(),
                    loss: Some("mse".to_owned()),
                    ..Settings::default()
                };
                let case = |what: &str, given: &Grid, layout| {
                    format!(
                        "{form:?} {shape:?} {behind:?} {what} {:?} {layout:?}",
                        given.shape
                    )
                };
                let zero = |settings: &Settings, case: String| {
                    let (loss, _) = loss(&network, settings).unwrap_or_else(|error| {
                        panic!(
                            "{case}: {error} {:?}",
                            miette::Diagnostic::help(&error).map(|h| h.to_string())
                        )
                    });
                    assert_eq!(loss, 0.0, "{case}");
                };
                // The samples themselves are the target; a product loses what its outputs count.
                let carried = !matches!(form, Form::Dense | Form::DenseShaped)
                    || matches!(behind, Behind::Absent | Behind::Identity | Behind::Flatten);
                // A readout does not change how samples are read.
                let most = if matches!(behind, Behind::Absent) {
                    usize::MAX
                } else {
                    1
                };
                for (given, layout) in ways(&rows, channels_in).into_iter().take(most) {
                    let inputs = place.samples("x.npy", &given);
                    if carried {
                        zero(
                            &settings(inputs.clone(), None, layout),
                            case("inputs", &given[0], layout),
                        );
                    }
                    compared += 1;
                    // What the inputs are read as shows in the outputs.
                    if layout.is_none() {
                        let target = place.samples("t.npy", &wanted);
                        zero(
                            &settings(inputs, target, layout),
                            case("inputs and target", &given[0], layout),
                        );
                    }
                }
                for (given, layout) in ways(&wanted, channels) {
                    let way = ways(&rows, channels_in)
                        .into_iter()
                        .find(|(_, other)| *other == layout);
                    let Some((rows, _)) = way else { continue };
                    let inputs = place.samples("x.npy", &rows);
                    let target = place.samples("t.npy", &given);
                    zero(
                        &settings(inputs, target, layout),
                        case("target", &given[0], layout),
                    );
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 3000, "{compared} comparisons");
}

#[test]
fn doubtful_orders_are_said_and_unequal_shapes_are_refused() {
    let place = Place::new();
    let notes = |shape: &[usize], given: &[usize], layout| {
        let network = Form::Convolution.network(shape);
        let row = Grid::new(given, vec![1.0; given.iter().product()]);
        let settings = Settings {
            inputs: place.samples("x.npy", &[row]),
            layout,
            loss: Some("mse".to_owned()),
            ..Settings::default()
        };
        loss(&network, &settings).map(|(_, notes)| notes.len())
    };
    assert_eq!(notes(&[3, 3, 3], &[3, 3, 3], None).unwrap(), 1);
    assert_eq!(notes(&[3, 5, 5], &[75], None).unwrap(), 1);
    for layout in [ArrayOrder::File, ArrayOrder::ChannelsLast] {
        assert_eq!(notes(&[3, 3, 3], &[3, 3, 3], Some(layout)).unwrap(), 0);
        assert_eq!(notes(&[3, 5, 5], &[75], Some(layout)).unwrap(), 0);
    }
    // One order only, or two that are the same.
    for (shape, given) in [
        ([3, 5, 5], vec![3, 5, 5]),
        ([3, 5, 5], vec![5, 5, 3]),
        ([1, 5, 5], vec![25]),
        ([4, 1, 1], vec![4]),
        ([1, 5, 5], vec![5, 5]),
    ] {
        assert_eq!(notes(&shape, &given, None).unwrap(), 0, "{shape:?} {given:?}");
    }
    for (shape, given) in [
        ([3, 5, 5], vec![5, 3, 5]),
        ([3, 5, 5], vec![15, 5]),
        ([3, 2, 2], vec![2, 3, 2]),
    ] {
        assert!(notes(&shape, &given, None).is_err(), "{shape:?} {given:?}");
    }
    assert!(notes(&[3, 5, 5], &[5, 5, 3], Some(ArrayOrder::File)).is_err());
    assert!(notes(&[3, 5, 5], &[3, 5, 5], Some(ArrayOrder::ChannelsLast)).is_err());

    // No operator says which axis holds the channels: what is stated to be channels last has the first one there.
    let network = Form::Dense.network(&[3, 2, 4]);
    let row = draw(&mut Draw::new(3), &[3, 2, 4], 1).remove(0);
    for (given, layout, said) in [
        (row.flat(), None, 0),
        (row.with_last(0), None, 0),
        (row.with_last(0), Some(ArrayOrder::ChannelsLast), 1),
        (row.with_last(0).flat(), Some(ArrayOrder::ChannelsLast), 1),
    ] {
        let settings = Settings {
            inputs: place.samples("x.npy", &[given]),
            target: place.samples("t.npy", &[row.flat()]),
            layout,
            loss: Some("mse".to_owned()),
            ..Settings::default()
        };
        let (loss, notes) = loss(&network, &settings).unwrap();
        assert_eq!((loss, notes.len()), (0.0, said), "{layout:?} {notes:?}");
    }

    // As many elements, and another map.
    let network = {
        let mut model = Model::new("x", &[1, 3, 2, 2]);
        model
            .quant("x", "q", 8, 1.0, true)
            .node("Flatten", &["q"], "flat");
        model
            .floats("w", &[12, 12], &unit(12))
            .quant("w", "wq", 4, 1.0, true);
        model
            .node("MatMul", &["flat", "wq"], "y")
            .integers("shape", &[4], &[1, 2, 2, 3]);
        model.node("Reshape", &["y", "shape"], "shaped").output("shaped");
        import(&model)
    };
    let settings = |target| Settings {
        inputs: place.samples("x.npy", &[Grid::new(&[3, 2, 2], vec![1.0; 12])]),
        target,
        loss: Some("mse".to_owned()),
        ..Settings::default()
    };
    for target in [
        None,
        place.samples("t.npy", &[Grid::new(&[3, 2, 2], vec![1.0; 12])]),
    ] {
        let error = loss(&network, &settings(target)).unwrap_err().to_string();
        assert!(
            error.contains("[3, 2, 2]") && error.contains("[2, 2, 3]"),
            "{error}"
        );
    }
}

/// The largest value's place, the lowest among equals.
fn largest(values: impl Iterator<Item = f64>) -> usize {
    let all: Vec<f64> = values.collect();
    (0..all.len()).fold(0, |best, at| if all[at] > all[best] { at } else { best })
}

#[test]
fn labels_per_pixel_have_an_order() {
    let place = Place::new();
    let mut numbers = Draw::new(12);
    for shape in shapes().into_iter().filter(|shape| shape.len() == 3) {
        let network = Form::Convolution.network(&shape);
        let rows = draw(&mut numbers, &shape, 2);
        let &[classes, height, width] = shape.as_slice() else {
            unreachable!()
        };
        let label =
            |row: &Grid, y: usize, x: usize| largest((0..classes).map(|class| row.at(&[class, y, x])));
        let maps: Vec<Grid> = rows
            .iter()
            .map(|row| {
                let pixels = coordinates(&[height, width]);
                Grid::new(
                    &[height, width],
                    pixels.iter().map(|p| label(row, p[0], p[1]) as f64).collect(),
                )
            })
            .collect();
        let hot: Vec<Grid> = maps
            .iter()
            .map(|map| {
                let places = coordinates(&shape);
                let one = |p: &Vec<usize>| f64::from(map.at(&p[1..]) == p[0] as f64);
                Grid::new(&shape, places.iter().map(one).collect())
            })
            .collect();
        for behind in [Behind::Absent, Behind::Identity, Behind::Transpose(vec![1, 2, 0])] {
            let readout = match behind {
                Behind::Absent => None,
                _ => place.model("readout.onnx", &behind.model(&rows[0])),
            };
            let wrong = |labels: &[Grid], layout| {
                let inputs = ways(&rows, Some(0))
                    .into_iter()
                    .find(|(_, other)| *other == layout);
                let settings = Settings {
                    inputs: place.samples("x.npy", &inputs.expect("a way").0),
                    labels: place.samples("y.npy", labels),
                    layout,
                    readout: readout.clone(),
                    ..Settings::default()
                };
                loss(&network, &settings).unwrap().0
            };
            let mut given = ways(&maps, None);
            if classes > 1 {
                // The readout's own order is that of what it is compared with.
                let (own, axis): (Vec<Grid>, usize) = match &behind {
                    Behind::Transpose(perm) => (hot.iter().map(|row| row.transposed(perm)).collect(), 2),
                    _ => (hot.clone(), 0),
                };
                given.extend(ways(&own, Some(axis)));
            }
            for (labels, layout) in given {
                let case = format!("{shape:?} {behind:?} {:?} {layout:?}", labels[0].shape);
                // One-hot rows with as many elements as there are pixels are classes.
                if labels[0].values.len() != height * width && classes == 1 {
                    continue;
                }
                assert_eq!(wrong(&labels, layout), 0.0, "{case}");
            }
            if classes > 1 {
                let mut spoiled = maps.clone();
                let at = height * width - 1;
                spoiled[1].values[at] = (spoiled[1].values[at] + 1.0) % classes as f64;
                assert_eq!(wrong(&spoiled, None), 0.5 / (height * width) as f64);
            }
        }
    }
}

#[test]
fn indices_and_distances_count_in_the_order_of_the_output() {
    let place = Place::new();
    let mut numbers = Draw::new(13);
    for shape in shapes().into_iter().filter(|shape| shape.len() > 1) {
        let network = Form::Convolution.network(&shape);
        let rows = draw(&mut numbers, &shape, 2);
        let len = rows[0].values.len();
        let moved = if shape.len() == 3 {
            vec![1, 2, 0]
        } else {
            vec![1, 0]
        };
        for behind in [
            Behind::Absent,
            Behind::Identity,
            Behind::Transpose(moved),
            Behind::Flatten,
        ] {
            let readout = match behind {
                Behind::Absent => None,
                _ => place.model("readout.onnx", &behind.model(&rows[0])),
            };
            let (_, channels) = behind.output(&rows[0], Some(0));
            let wanted: Vec<Grid> = rows.iter().map(|row| behind.output(row, None).0).collect();
            let indices: Vec<usize> = (0..len.div_ceil(2))
                .map(|_| numbers.integer(0, len as i64 - 1) as usize)
                .collect();
            for stated in [None, Some(ArrayOrder::File), Some(ArrayOrder::ChannelsLast)] {
                let last = stated == Some(ArrayOrder::ChannelsLast);
                let counted: Vec<Grid> = match channels.filter(|_| last) {
                    Some(axis) => wanted.iter().map(|row| row.with_last(axis)).collect(),
                    None => wanted.clone(),
                };
                let inputs = ways(&rows, Some(0))
                    .into_iter()
                    .find(|(_, other)| *other == stated);
                let inputs = place.samples("x.npy", &inputs.expect("a way").0);
                let gathered: Vec<Grid> = counted
                    .iter()
                    .map(|row| {
                        Grid::new(
                            &[indices.len()],
                            indices.iter().map(|&at| row.values[at]).collect(),
                        )
                    })
                    .collect();
                let list = indices.iter().map(|&at| at as f64).collect();
                let base = Settings {
                    inputs,
                    layout: stated,
                    readout: readout.clone(),
                    gather: place.array("g.npy", &[indices.len()], list),
                    loss: Some("mse".to_owned()),
                    ..Settings::default()
                };
                let mut targets = vec![None];
                if indices.len() != len {
                    targets.push(Some(&gathered));
                }
                targets.push(Some(&counted));
                for target in targets {
                    let settings = Settings {
                        target: target.and_then(|rows| place.samples("t.npy", rows)),
                        ..base.clone()
                    };
                    let case = format!("{shape:?} {behind:?} {stated:?} {target:?}");
                    assert_eq!(loss(&network, &settings).unwrap().0, 0.0, "{case}");
                }
                // All mass in one cell that ought to be in another.
                let (from, to) = (
                    numbers.integer(0, len as i64 - 1),
                    numbers.integer(0, len as i64 - 1),
                );
                let (from, to) = (from as usize, to as usize);
                let cell = |at: usize| -> Grid {
                    let mut row = Grid::new(&counted[0].shape, vec![0.0; len]);
                    row.values[at] = 1.0;
                    row
                };
                let apart = |a: usize, b: usize| (a as f64 - b as f64).abs();
                let matrix = (0..len * len).map(|at| apart(at / len, at % len)).collect();
                // The cell of the input is found by the network itself.
                let place_of = |at: usize| {
                    let tagged = Grid::new(&rows[0].shape, (0..len).map(|tag| tag as f64).collect());
                    let seen = behind.output(&tagged, None).0;
                    let seen = match channels.filter(|_| last) {
                        Some(axis) => seen.with_last(axis),
                        None => seen,
                    };
                    seen.values[at] as usize
                };
                let mut input = Grid::new(&rows[0].shape, vec![0.0; len]);
                input.values[place_of(from)] = 1.0;
                let given = ways(&[input], Some(0))
                    .into_iter()
                    .find(|(_, other)| *other == stated);
                let settings = Settings {
                    inputs: place.samples("x.npy", &given.expect("a way").0),
                    target: place.samples("t.npy", &[cell(to)]),
                    gather: None,
                    loss: Some("emd".to_owned()),
                    distance: place.array("d.npy", &[len, len], matrix),
                    ..base
                };
                let got = loss(&network, &settings).unwrap().0;
                assert!(
                    (got - apart(from, to)).abs() < 1e-9,
                    "{shape:?} {behind:?} {stated:?}: {got}"
                );
            }
        }
    }
}

/// A readout is fed in the order of the network's file; only a shape that is the channels-last one and no other gets
/// the elements channels last. What fits both ways, or is flat, is said.
#[test]
fn a_readout_takes_the_order_of_the_networks_file() {
    let place = Place(tempfile::tempdir().expect("a folder"));
    for (shape, taken, last, said) in [
        (&[3usize, 3, 3][..], &[3usize, 3, 3][..], false, true),
        (&[3, 3, 3], &[27], false, true),
        (&[2, 2, 2], &[2, 2, 2], false, true),
        (&[2, 3, 4], &[2, 3, 4], false, false),
        (&[2, 3, 4], &[3, 4, 2], true, false),
        (&[2, 3, 4], &[24], false, true),
        (&[4, 3], &[3, 4], true, false),
        (&[3, 3], &[3, 3], false, true),
    ] {
        let network = Form::Convolution.network(shape);
        let len: usize = shape.iter().product();
        let weights: Vec<f32> = (1..=len).map(|at| (at * at) as f32).collect();
        let mut model = Model::new("c", &wide(taken));
        model
            .node("Flatten", &["c"], "flat")
            .floats("w", &[len, 1], &weights)
            .node("MatMul", &["flat", "w"], "r")
            .output("r");
        let readout = place.model("readout.onnx", &model);
        let rows = draw(&mut Draw::new(len as u64), shape, 3);
        let read = |row: &Grid, last: bool| -> f64 {
            let row = if last { row.with_last(0) } else { row.clone() };
            row.values
                .iter()
                .zip(&weights)
                .map(|(x, &w)| x * f64::from(w))
                .sum()
        };
        for layout in [ArrayOrder::File, ArrayOrder::ChannelsLast] {
            let given: Vec<Grid> = match layout {
                ArrayOrder::File => rows.clone(),
                ArrayOrder::ChannelsLast => rows.iter().map(|row| row.with_last(0)).collect(),
            };
            for (order, is_right) in [(last, true), (!last, false)] {
                let target = rows.iter().map(|row| read(row, order)).collect();
                let settings = Settings {
                    inputs: place.samples("x.npy", &given),
                    readout: readout.clone(),
                    target: place.array("t.npy", &[rows.len(), 1], target),
                    loss: Some("mse".to_owned()),
                    layout: Some(layout),
                    ..Settings::default()
                };
                let (loss, notes) = loss(&network, &settings).unwrap();
                assert_eq!(loss == 0.0, is_right, "{shape:?} {taken:?} {layout:?}");
                let of_readout = notes.iter().filter(|note| note.contains("readout")).count();
                assert_eq!(of_readout, usize::from(said), "{shape:?} {taken:?} {notes:?}");
            }
        }
    }
    let network = Form::Convolution.network(&[2, 3, 4]);
    let mut model = Model::new("c", &[1, 4, 3, 2]);
    model.node("Flatten", &["c"], "r").output("r");
    let settings = Settings {
        inputs: place.samples("x.npy", &draw(&mut Draw::new(1), &[2, 3, 4], 1)),
        readout: place.model("readout.onnx", &model),
        ..Settings::default()
    };
    let error = loss(&network, &settings).unwrap_err().to_string();
    assert!(
        error.contains("[4, 3, 2]") && error.contains("[2, 3, 4]"),
        "{error}"
    );
}
