//! Any text as an environment, a memory technology and a cluster table, and what follows from them.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use radstream::data::{SourceText, parse_ron};
use radstream::radiation::rate::Hours;
use radstream::radiation::{ClusterTable, Environment, MemoryTechnology, RateForm};

fuzz_target!(|text: &str| {
    let source = SourceText::new("fuzz.ron", text);
    let here = Path::new("");
    if let Ok(memory) = parse_ron::<MemoryTechnology>(&source, "") {
        for name in ["nyc_sea_level", "hgcal_heh_max"] {
            let environment = Environment::find(name, here).expect("a preset");
            for form in [RateForm::Auto, RateForm::Fit, RateForm::CrossSection] {
                let _ = memory.assess(form, None);
                let _ = memory.assess(form, Some(&environment));
            }
        }
    }
    if let Ok(environment) = parse_ron::<Environment>(&source, "") {
        for name in ["kintex7_bram", "rtpf_lsram"] {
            let memory = MemoryTechnology::find(name, here).expect("a preset");
            if let Ok(profile) = memory.profile(Some(&environment)) {
                let events = profile.expected_events(1, Hours(0.0), Hours(100.0));
                assert!(events >= 0.0 && events.is_finite());
            }
        }
    }
    if let Ok(table) = parse_ron::<ClusterTable>(&source, "") {
        let clusters = table.clusters();
        for (size, _) in clusters.sizes() {
            let shapes = clusters.shapes(*size);
            assert!(shapes.iter().all(|(_, cells)| cells.len() == *size as usize));
        }
        assert!(clusters.mean_bits() >= 1.0);
        assert!((0.0..=1.0 + 1e-9).contains(&clusters.share_in_one_word(4)));
    }
});
