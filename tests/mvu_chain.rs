//! The cycle engine against SystemVerilog of our own, run by Verilator.

#[path = "mvu_chain/mod.rs"]
mod chain;
#[path = "accelerator/nets.rs"]
mod nets;

use chain::Chain;
use radstream::simulate::cycle::{self, Pipeline, Settings};

#[test]
fn a_chain_of_units_gives_what_verilator_gives() {
    let chain = Chain::new();
    let folder = tempfile::tempdir().unwrap();
    let Some(binary) = chain.built(folder.path()) else {
        println!("skipped: no verilator");
        return;
    };
    let pipeline = Pipeline::new(&chain.accelerator).unwrap();
    let edges = [5, 6].map(|count| {
        let samples = chain.samples(count);
        let simulated = chain.simulated(folder.path(), &binary, &samples, [0, 0]);
        let run = cycle::run(&pipeline, &chain.accelerator, &samples, &[], Settings::default());
        assert_eq!(simulated.outputs, run.outputs);
        (simulated.edges, run.timing.total)
    });
    // Both take as many edges for one more sample.
    assert_eq!(edges[1].0 - edges[0].0, edges[1].1 - edges[0].1);
}
