//! The rules of the house, read off the sources: which room may use which, which file alone may
//! name which crate, and what the pure rooms must not know.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the top down; a room uses only rooms below it.
const ROOMS: [&str; 8] =
    ["cli", "job", "generate", "report", "lake", "archive", "finding", "store"];

/// A crate or type, and the only files (or folders) of `src` that may name it.
const OWNED: [(&str, &[&str]); 17] = [
    ("aws_sdk_firehose", &["store/firehose"]),
    ("aws_sdk_glue", &["store/glue"]),
    ("aws_sdk_s3", &["store/s3"]),
    ("aws_sdk_sts", &["store/s3"]),
    ("aws_config", &["store/s3"]),
    ("aws_smithy", &["store/s3"]),
    ("aws_types", &["store/s3"]),
    ("flate2", &["archive/unpack", "generate/"]),
    ("zstd::", &["archive/unpack", "generate/", "lake/checkpoint"]),
    ("snap::", &["archive/unpack", "generate/"]),
    ("ArrowWriter", &["lake/part"]),
    ("arrow::ipc", &["job/shuffle/payload"]),
    ("charts_rs", &["report/charts"]),
    ("clap::", &["cli/", "main.rs"]),
    ("fail::", &["store/fail_point"]),
    ("fs::hard_link", &["store/disk"]),
    ("fs::rename", &["store/disk", "job/replay/state"]),
];

/// Files between bytes and batches: no world, no clock, no threads.
const PURE: [&str; 6] = [
    "archive/unpack",
    "archive/split",
    "archive/recognize",
    "archive/read",
    "archive/arrival",
    "finding/",
];

const IMPURE_WORDS: [&str; 8] = [
    "tokio",
    "rayon",
    "crate::store",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "std::env",
    "std::fs",
];

const FILE_LINES_MAX: usize = 500;

struct Source {
    /// Relative to `src`, with `/`.
    path: String,
    /// Everything before the inline tests.
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let code = before_inline_tests(&text).to_owned();
                let name = path.file_stem().unwrap().to_str().unwrap();
                if name == "tests" || name == "testing" || name.ends_with("_tests") {
                    continue;
                }
                let relative = path.strip_prefix(&root).unwrap().to_str().unwrap();
                sources.push(Source { path: relative.replace('\\', "/"), code });
            }
        }
    }
    assert!(sources.len() > 20, "the sources were not found");
    sources
}

/// Everything before an inline module of tests; a module in a file of its own only names it.
fn before_inline_tests(text: &str) -> &str {
    let starts = text.match_indices("\n#[cfg(test)]\n").map(|(at, _)| at);
    let inline = starts.into_iter().find(|at| {
        let item = text[*at..].lines().skip(2).find(|line| !line.starts_with(['#', ' ', ')']));
        item.is_some_and(|line| line.contains("mod ") && line.ends_with('{'))
    });
    inline.map_or(text, |at| &text[..at])
}

/// Lines of code, with comments left out.
fn code_lines(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    source
        .code
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(index, line)| (index + 1, line))
}

fn room_of(path: &str) -> Option<usize> {
    let folder = path.split('/').next()?;
    ROOMS.iter().position(|room| *room == folder)
}

#[test]
fn a_room_uses_only_rooms_below_it() {
    let mut wrong = Vec::new();
    for source in sources() {
        let Some(own) = room_of(&source.path) else { continue };
        for (number, line) in code_lines(&source) {
            for (index, room) in ROOMS.iter().enumerate() {
                if index < own && line.contains(&format!("crate::{room}::")) {
                    wrong.push(format!("src/{}:{number} uses `{room}`", source.path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "rooms may only use rooms below them:\n{}", wrong.join("\n"));
}

#[test]
fn every_folder_is_a_room() {
    for source in sources() {
        let known = room_of(&source.path).is_some() || !source.path.contains('/');
        assert!(known, "src/{} lies in no room; name it in ARCHITECTURE.md and here", source.path);
    }
}

#[test]
fn what_has_an_owner_is_named_nowhere_else() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (word, owners) in OWNED {
            if owners.iter().any(|owner| source.path.starts_with(owner)) {
                continue;
            }
            for (number, line) in code_lines(&source) {
                if line.contains(word) {
                    wrong.push(format!("src/{}:{number} names `{word}`", source.path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "go through the file that owns it:\n{}", wrong.join("\n"));
}

#[test]
fn the_middle_is_pure() {
    let mut wrong = Vec::new();
    for source in sources() {
        let pure = PURE.iter().any(|prefix| source.path.starts_with(prefix))
            || source.path == "lake/dedupe.rs";
        if !pure {
            continue;
        }
        for (number, line) in code_lines(&source) {
            for word in IMPURE_WORDS {
                if line.contains(word) {
                    wrong.push(format!("src/{}:{number} names `{word}`", source.path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "between bytes and batches there is no world:\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_and_stays_readable() {
    for source in sources() {
        assert!(source.code.starts_with("//!"), "src/{} does not begin with `//!`", source.path);
        let lines = source.code.lines().count();
        assert!(lines <= FILE_LINES_MAX, "src/{} has {lines} lines; cut it in two", source.path);
    }
}
