//! Options that belong to diagnostics of the library, which knows of none.

/// Codes of diagnostics, and the options that could mend what they are about.
const OPTIONS: [(&str, &str); 66] = [
    ("radstream::folder::changed", "--out DIR, --force"),
    ("radstream::folder::foreign", "--out DIR, --force"),
    ("radstream::folder::kind", "--out DIR, --force"),
    ("radstream::folder::locked", "--out DIR"),
    ("radstream::folder::manifest", "--out DIR, --force"),
    ("radstream::folder::write", "--out DIR"),
    ("radstream::records::line", "--out DIR, --force"),
    ("radstream::records::other_plan", "--out DIR, --force"),
    ("radstream::records::unwritable", "--out DIR"),
    ("radstream::work", "--out DIR"),
    ("radstream::export::format", "--format LIST"),
    ("radstream::export::write", "--out DIR"),
    ("radstream::map::kind", "radstream export --format json"),
    ("radstream::map::syntax", "radstream export --format json"),
    ("radstream::workload::inputs", "--inputs FILE[:KEY]"),
    ("radstream::workload::empty", "--inputs FILE[:KEY]"),
    ("radstream::workload::loss", "--loss LOSS"),
    ("radstream::workload::metric", "--metrics LIST"),
    ("radstream::network::mantissas", "--raw-inputs"),
    ("radstream::network::readout", "--readout FILE.onnx"),
    ("radstream::network::output", "--output NAME"),
    ("radstream::input::mantissa", "--raw-inputs"),
    ("radstream::input::rule", "--input-type TYPE, --raw-inputs"),
    ("radstream::input::value", "--input-scale X, --input-type TYPE"),
    ("radstream::input::shape", "--inputs FILE[:KEY], --layout ORDER"),
    ("radstream::outcome::readout", "--readout FILE.onnx"),
    ("radstream::outcome::gather", "--gather FILE:KEY"),
    (
        "radstream::outcome::targets",
        "--target FILE:KEY, --limit N, --layout ORDER",
    ),
    (
        "radstream::outcome::labels",
        "--labels FILE:KEY, --classes N, --limit N",
    ),
    (
        "radstream::outcome::distance",
        "--distance FILE:KEY, --gather FILE:KEY",
    ),
    ("radstream::outcome::classes", "--classes N"),
    ("radstream::outcome::loss", "--loss LOSS, --output NAME"),
    (
        "radstream::radiation::needs_environment",
        "--environment PRESET|FILE.ron",
    ),
    ("radstream::mission::duration", "--mission HOURS"),
    ("radstream::mission::time", "--at H,..."),
    ("radstream::mission::share", "--permanent-share SHARE"),
    (
        "radstream::mission::strikes",
        "--mission HOURS, --rate-per-s PER_S, --fit-per-mb FIT",
    ),
    (
        "radstream::request::outputs",
        "--trace needs --outputs OUT.npz or --out DIR",
    ),
    ("radstream::fault::registers", "--engine cycle"),
    ("radstream::fault::register", "radstream inspect --registers"),
    ("radstream::flow::form", "--folding FILE"),
    ("radstream::flow::count", "--folding FILE"),
    ("radstream::flow::order", "--folding FILE"),
    ("radstream::flow::value", "--folding FILE"),
    ("radstream::request::draw", "--draw N"),
    ("radstream::request::check", "--faults LIST.csv, --draw N"),
    ("radstream::request::engine", "--engine cycle"),
    ("radstream::request::limit", "--limit N"),
    ("radstream::request::input_scale", "--input-scale X"),
    ("radstream::request::tensors", "--tensors LIST"),
    (
        "radstream::request::protect",
        "--protect LIST with --scheme LIST or --ideal",
    ),
    (
        "radstream::request::flux",
        "--flux PER_CM2_S, --environment PRESET|FILE.ron, --cross-section CM2",
    ),
    ("radstream::request::records", "--other-records"),
    ("radstream::request::registers", "--registers N"),
    ("radstream::request::repetitions", "--repetitions N"),
    ("radstream::request::trials", "--trials N"),
    ("radstream::request::flips", "--flips K"),
    ("radstream::request::design", "--sample N|DESIGN"),
    (
        "radstream::request::precision",
        "--margin, --confidence, --expected-share",
    ),
    ("radstream::request::layers", "--layers LIST"),
    ("radstream::request::fault", "--fault FAULT"),
    ("radstream::request::from", "--from LIST"),
    ("radstream::request::faults", "--faults LIST.csv"),
    (
        "radstream::request::fault_sets",
        "radstream campaign --faults LIST.csv",
    ),
    ("radstream::request::inference_rate", "--inference-rate X"),
    ("radstream::request::refresh_s", "--refresh-s S"),
];

/// Codes of refused values: the field of a request follows, which is named as its option is.
const FIELD: &str = "radstream::request::";

/// The options that could mend what a diagnostic of this code is about.
pub fn of(code: &str) -> Option<String> {
    let listed = OPTIONS.iter().find(|(known, _)| *known == code);
    let named = || {
        code.strip_prefix(FIELD)
            .map(|field| format!("--{}", field.replace('_', "-")))
    };
    listed.map(|(_, options)| (*options).to_owned()).or_else(named)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_option_that_is_named_exists() {
        let command = Cli::command();
        let known: BTreeSet<String> = command
            .get_subcommands()
            .flat_map(clap::Command::get_arguments)
            .flat_map(|argument| argument.get_long_and_visible_aliases().unwrap_or_default())
            .map(|name| format!("--{name}"))
            .collect();
        let fields = [
            "mission",
            "inferences_per_hour",
            "dvf",
            "words",
            "rate_per_s",
            "scrub_s",
        ];
        let codes = OPTIONS.iter().map(|(code, _)| (*code).to_owned());
        let codes = codes.chain(fields.iter().map(|field| format!("{FIELD}{field}")));
        for code in codes {
            let hint = of(&code).unwrap();
            let named = hint.split([' ', ',', '[']).filter(|word| word.starts_with("--"));
            for option in named {
                assert!(known.contains(option), "{code}: there is no {option}");
            }
        }
    }
}
