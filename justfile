# Everyday commands; `just --list` shows them.

# Formatting and lints, as continuous integration sees them.
check:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings

# All tests. The golden ones compare a subset of the samples.
test:
    cargo test

# Everything that has to hold before a merge, every golden sample included.
ci:
    .ci/run

# Benchmarks (criterion).
bench *args:
    cargo bench {{args}}

# The library's documentation.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

# Licences, advisories and sources of the dependencies.
deny:
    cargo deny check

# Runs one fuzz target from the shipped models as its corpus, for example `just fuzz qonnx 60`.
fuzz target seconds="60":
    fuzz/seed
    cargo +nightly fuzz run {{target}} fuzz/corpus/{{target}} -- -max_total_time={{seconds}} -rss_limit_mb=4096
