//! Rules that the library's source keeps.

use std::fs;
use std::path::{Path, PathBuf};

/// The library's source files without the command line, in order.
fn sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path != root.join("cli") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    assert!(files.len() > 100);
    files
}

/// The lines of a file up to its tests, without comments, numbered from 1.
fn code(file: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(file).unwrap();
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..end]
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(at, line)| (at + 1, line.to_owned()))
        .collect()
}

/// Whether a line names this path itself, and not the end of a longer name.
fn calls(line: &str, path: &str) -> bool {
    line.match_indices(path)
        .any(|(at, _)| !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_'))
}

/// Each of these is done in the one file beside it.
const ONE_PLACE: [(&str, &str); 4] = [
    ("ChaCha8Rng::seed_from_u64", "campaign/stream.rs"),
    (".set_stream(", "campaign/stream.rs"),
    ("csv::WriterBuilder::new", "campaign/records.rs"),
    // What a stored word reads as: the scheme's own rule, asked in one place.
    (".definition().read(", "scheme/code.rs"),
];

#[test]
fn streams_records_and_stored_words_have_one_place_each() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (what, place) in ONE_PLACE {
        let found: Vec<PathBuf> = sources()
            .into_iter()
            .filter(|file| !file.components().any(|part| part.as_os_str() == "tests"))
            .filter(|file| !file.ends_with("tests.rs"))
            .filter(|file| code(file).iter().any(|(_, text)| text.contains(what)))
            .collect();
        assert_eq!(found, [root.join(place)], "{what}");
    }
}

#[test]
fn files_are_read_in_one_place() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/data");
    let mut found = Vec::new();
    for file in sources().iter().filter(|file| !file.starts_with(&data)) {
        if file.components().any(|part| part.as_os_str() == "tests") {
            continue;
        }
        for (line, text) in code(file) {
            if ["fs::read(", "fs::read_to_string", "File::open"]
                .iter()
                .any(|call| calls(&text, call))
            {
                found.push(format!("{}:{line}: {text}", file.display()));
            }
        }
    }
    assert!(found.is_empty(), "read through `data`:\n{}", found.join("\n"));
}

/// The string literals of source text, comments and characters left out.
fn string_literals(text: &str) -> Vec<String> {
    let mut literals = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if let Some(hashes) = raw_string(rest) {
            let body = &rest[hashes + 2..];
            let end = body.find(&format!("\"{}", "#".repeat(hashes))).unwrap();
            literals.push(body[..end].to_owned());
            rest = &body[end + 1 + hashes..];
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\") {
            rest = &rest[3..];
        } else if first == '"' {
            let mut end = 1;
            while !rest[end..].starts_with('"') {
                end += if rest[end..].starts_with('\\') {
                    2
                } else {
                    rest[end..].chars().next().unwrap().len_utf8()
                };
            }
            literals.push(rest[1..end].to_owned());
            rest = &rest[end + 1..];
        } else {
            rest = &rest[first.len_utf8()..];
        }
    }
    literals
}

/// The number of `#` where a raw string begins.
fn raw_string(text: &str) -> Option<usize> {
    let marks = text.strip_prefix('r')?;
    let hashes = marks.len() - marks.trim_start_matches('#').len();
    marks[hashes..].starts_with('"').then_some(hashes)
}

#[test]
fn literals_are_found_outside_comments() {
    let text = "// \"no\"\nlet a = ['\"', '\\''];\nf(\"a\\\"b\", r#\"c\"d\"#); /// \"no\"";
    assert_eq!(string_literals(text), ["a\\\"b", "c\"d"]);
}

#[test]
fn the_library_names_no_options() {
    let mut found = Vec::new();
    for file in sources() {
        if file.components().any(|part| part.as_os_str() == "tests") {
            continue;
        }
        let text: Vec<String> = code(&file).into_iter().map(|(_, line)| line).collect();
        for literal in string_literals(&text.join("\n")) {
            let option = literal
                .match_indices("--")
                .any(|(at, _)| literal[at + 2..].starts_with(|letter: char| letter.is_ascii_alphabetic()));
            if option {
                found.push(format!("{}: {literal}", file.display()));
            }
        }
    }
    assert!(
        found.is_empty(),
        "options are named in `cli::hints` alone:\n{}",
        found.join("\n")
    );
}
