//! Runs an importer on a file and judges what comes out.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use radstream::network::import::onnx::OnnxGraph;
use radstream::network::import::{ImportError, qonnx};
use radstream::network::{Encoding, Network, Op};
use radstream::outcome::readout::{Readout, Scratch};
use radstream::simulate::functional::{Parameters, evaluate};

/// Most bytes that the import of one small file may hold at a time.
const MEMORY: isize = 1 << 29;

/// Most multiplications and comparisons that an evaluation here is worth.
const WORK: usize = 1 << 22;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, which counts what each thread holds.
struct Counting;

fn count(bytes: isize) {
    // Threads allocate while they end, when the counters are gone.
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What became of a file.
pub type Outcome = Result<(), ImportError>;

/// Runs `import` and whatever it yields; panics name the case.
fn judged(case: &str, import: impl FnOnce() -> Outcome) -> Outcome {
    let before = LIVE.get();
    PEAK.set(before);
    let outcome = catch_unwind(AssertUnwindSafe(import));
    let held = PEAK.get() - before;
    assert!(held < MEMORY, "{case}: held {held} bytes");
    let Ok(outcome) = outcome else {
        panic!("{case}: panicked");
    };
    if let Err(error) = &outcome {
        assert!(error.to_string().contains("spoilt.onnx"), "{case}: {error}");
        for (what, text) in [
            ("place", &error.place),
            ("problem", &error.problem),
            ("expected", &error.expected),
            ("repair", &error.repair),
        ] {
            assert!(!text.trim().is_empty(), "{case}: no {what} in {error:?}");
        }
    }
    outcome
}

/// Imports a network and, where that succeeds, evaluates it.
pub fn network(case: &str, bytes: &[u8]) -> Outcome {
    judged(case, || {
        let graph = OnnxGraph::parse(Path::new("spoilt.onnx"), bytes)?;
        evaluate_extremes(&qonnx::import(&graph)?);
        Ok(())
    })
}

/// Compiles a readout and, where that succeeds, evaluates it.
pub fn readout(case: &str, bytes: &[u8]) -> Outcome {
    judged(case, || {
        let graph = OnnxGraph::parse(Path::new("spoilt.onnx"), bytes)?;
        let readout = Readout::from_graph(&graph)?;
        if readout.input_len() < WORK && readout.output_len() < WORK {
            let mut scratch = Scratch::default();
            for value in [0.0, 1.0, -1e300] {
                let code = vec![value; readout.input_len()];
                assert_eq!(readout.evaluate(&code, &mut scratch).len(), readout.output_len());
            }
        }
        Ok(())
    })
}

/// Evaluates zeros and the extremes of the input's type.
fn evaluate_extremes(network: &Network) {
    let work: usize = network
        .nodes
        .iter()
        .map(|node| {
            let len = network.tensor(node.output).len();
            len.saturating_mul(match &node.op {
                Op::Mac(mac) => mac.geometry.taps(mac.groups),
                Op::Pool(pool) => pool.geometry.window.kernel.iter().product(),
                Op::MultiThreshold(op) => network.param(op.thresholds).shape[1],
                Op::ArgMax(_) => 64 * network.tensor(node.inputs[0]).channels(),
                _ => 16,
            })
        })
        .fold(0, usize::saturating_add);
    if work > WORK {
        return;
    }
    let encoding = network.tensor(network.input).encoding;
    let (low, high) = encoding.range();
    let parameters = Parameters::of(network);
    let middle = i128::from(matches!(encoding, Encoding::Bipolar { .. }));
    for value in [middle, low, high] {
        let input = vec![value as i64; network.tensor(network.input).len()];
        let trace = evaluate(network, &parameters, &input);
        for (index, tensor) in network.tensors.iter().enumerate() {
            let values = trace.tensor(index.into());
            let outside = values
                .iter()
                .find(|&&value| !tensor.encoding.contains(i128::from(value)));
            assert_eq!(
                outside, None,
                "{} holds a value outside {:?}",
                tensor.name, tensor.encoding
            );
        }
    }
}
