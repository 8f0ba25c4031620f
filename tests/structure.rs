//! The order of the house: rooms use only rooms above them, and files of a folder do not go round in circles.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// The rooms of `src/` in the order in which data goes through them; `data`, `text` and `level` stand beside the line.
const ROOMS: [&str; 18] = [
    "text",
    "level",
    "data",
    "fixed_point",
    "network",
    "accelerator",
    "scheme",
    "simulate",
    "outcome",
    "model",
    "radiation",
    "fault",
    "campaign",
    "sensitivity",
    "protection",
    "rtl",
    "study",
    "report",
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Source files in a folder and below it; tests are none.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_stem().is_some_and(|name| name == "tests") {
            continue;
        }
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The text of a file without comments and without its tests.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let end = text.find("#[cfg(test)]").unwrap_or(text.len());
    let lines = text[..end].lines();
    lines
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn rooms_use_rooms_above_them() {
    let of_crate = Regex::new(r"crate::([a-z_]+)").unwrap();
    let mut found = Vec::new();
    for (at, room) in ROOMS.iter().enumerate() {
        let folder = source().join(room);
        let files = if folder.is_dir() {
            files_below(&folder)
        } else {
            vec![folder.with_extension("rs")]
        };
        for file in &files {
            for used in of_crate.captures_iter(&code(file)) {
                let below = ROOMS[at + 1..].contains(&&used[1]) || &used[1] == "cli";
                if below {
                    found.push(format!("{} uses {}", file.display(), &used[1]));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The top-level names of a list such as `a, b::{c, d}`, cut at their first `::`.
fn first_names(list: &str) -> Vec<String> {
    let mut depth = 0;
    let mut names = vec![String::new()];
    for letter in list.chars() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(String::new()),
            _ if depth == 0 => names.last_mut().unwrap().push(letter),
            _ => {}
        }
    }
    let first = |name: &String| name.trim().split("::").next().unwrap_or("").trim().to_owned();
    names.iter().map(first).filter(|name| !name.is_empty()).collect()
}

/// What stands behind `prefix` in `use` lines and paths: the first names.
fn used(text: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices(prefix) {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == ':') {
            continue;
        }
        let rest = &text[at + prefix.len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 1;
            let end = list.find(|letter| {
                depth += i32::from(letter == '{') - i32::from(letter == '}');
                depth == 0
            });
            names.extend(first_names(&list[..end.unwrap_or(list.len())]));
        } else {
            names.extend(first_names(
                rest.split([';', '(', ')', '<', '>', ' ', '\n', ','])
                    .next()
                    .unwrap_or(""),
            ));
        }
    }
    names
}

/// The files of a folder, by the names of their modules; a module that is a folder is one of them.
fn modules(folder: &Path) -> BTreeMap<String, String> {
    let mut modules = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() && name != "tests" {
            let text: Vec<String> = files_below(&path)
                .iter()
                // From inside a folder its sisters are one `super` further away.
                .map(|file| {
                    code(file)
                        .replace("super::super::", "\u{0}")
                        .replace("super::", "inside::")
                })
                .map(|text| text.replace('\u{0}', "super::"))
                .collect();
            modules
                .entry(name)
                .or_insert_with(String::new)
                .push_str(&text.join("\n"));
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && name != "mod"
            && name != "tests"
        {
            modules
                .entry(name)
                .or_insert_with(String::new)
                .push_str(&code(&path));
        }
    }
    modules
}

/// A way from a module back to itself.
fn circle(edges: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn follow(
        at: &str,
        edges: &BTreeMap<String, BTreeSet<String>>,
        way: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> bool {
        if let Some(start) = way.iter().position(|seen| seen == at) {
            way.drain(..start);
            return true;
        }
        if !done.contains(at) {
            way.push(at.to_owned());
            if edges[at].iter().any(|next| follow(next, edges, way, done)) {
                return true;
            }
            way.pop();
            done.insert(at.to_owned());
        }
        false
    }
    let (mut way, mut done) = (Vec::new(), BTreeSet::new());
    edges
        .keys()
        .any(|start| follow(start, edges, &mut way, &mut done))
        .then_some(way)
}

/// Which modules of a folder use which, names that its `mod.rs` hands on included.
fn uses(folder: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let modules = modules(folder);
    let face = fs::read_to_string(folder.join("mod.rs")).unwrap();
    let handed_on = Regex::new(r"(?s)use ([a-z_0-9]+)::(\{[^;]*\}|[A-Za-z_]+);").unwrap();
    let mut maker = BTreeMap::new();
    for line in handed_on.captures_iter(&face) {
        for name in first_names(line[2].trim_matches(['{', '}'])) {
            maker.insert(name, line[1].to_owned());
        }
    }
    let path = folder.strip_prefix(source()).unwrap();
    let absolute = format!("crate::{}::", path.to_str().unwrap().replace('/', "::"));
    let edges = modules.iter().map(|(module, text)| {
        let names = used(text, "super::").into_iter().chain(used(text, &absolute));
        let targets = names.filter_map(|name| {
            let target = if modules.contains_key(&name) {
                Some(name)
            } else {
                maker.get(&name).cloned()
            };
            target.filter(|target| target != module && modules.contains_key(target))
        });
        (module.clone(), targets.collect())
    });
    edges.collect()
}

#[test]
fn files_of_a_folder_do_not_go_round_in_circles() {
    let folders: BTreeSet<PathBuf> = files_below(&source())
        .into_iter()
        .filter(|file| file.ends_with("mod.rs"))
        .map(|file| file.parent().unwrap().to_owned())
        .collect();
    assert!(folders.len() > 20);
    let mut found = Vec::new();
    for folder in folders {
        if let Some(way) = circle(&uses(&folder)) {
            found.push(format!("{}: {}", folder.display(), way.join(" -> ")));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_circle_is_noticed() {
    let edges = |pairs: &[(&str, &str)]| {
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in pairs {
            edges.entry((*to).to_owned()).or_default();
            edges
                .entry((*from).to_owned())
                .or_default()
                .insert((*to).to_owned());
        }
        edges
    };
    assert_eq!(circle(&edges(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    let way = circle(&edges(&[("a", "b"), ("b", "c"), ("c", "b")])).unwrap();
    assert_eq!(way, ["b", "c"]);
    let text = "use super::{A, b::{C, D}, e::F};\nlet x = super::g::h(1);";
    let names: Vec<String> = used(text, "super::").into_iter().collect();
    assert_eq!(names, ["A", "b", "e", "g"]);
}
