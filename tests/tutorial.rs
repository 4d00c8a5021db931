//! The tutorial is followed: its commands are run one after the other by a shell, in an empty home, and each
//! output that the page shows is compared. `UPDATE=1 tests/run tutorial` writes the outputs into the page.
//! What it installs is there already; `tests/tutorial` installs it too, in a fresh clone.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Once;

use crate::program::{text, write};
use crate::stores::{REQUIRE_SERVERS, say_skipped};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tutorial.md");
const PYTHON: &str = "HEALTHTRAIL_TEST_PYTHON";
/// Between the outputs of two blocks.
const END: &str = "~~~ the end of a block ~~~";

/// Commands of the page, and outputs that it shows.
#[derive(Debug)]
enum Block {
    Install,
    Commands(String),
    Output(String),
}

fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut open): (Vec<Block>, Option<(String, String)>) = (Vec::new(), None);
    for line in page.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(kind)) => open = Some((kind.to_owned(), String::new())),
            (Some((kind, body)), Some("")) => {
                blocks.push(match kind.as_str() {
                    "sh install" => Block::Install,
                    "sh" => Block::Commands(std::mem::take(body)),
                    "text" => Block::Output(std::mem::take(body)),
                    other => panic!("a block of `{other}`"),
                });
                open = None;
            }
            (Some((_, body)), _) => {
                body.push_str(line);
                body.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// Without sizes and seconds, which other machines and encoders change.
fn comparable(shown: &str) -> String {
    let mut lines = Vec::new();
    for line in shown.lines() {
        let mut words: Vec<&str> = line.split(' ').collect();
        for at in 1..words.len() {
            let unit = words[at].trim_end_matches([',', '.']);
            if ["B", "KiB", "MiB", "s"].contains(&unit) {
                words[at - 1] = "#";
                words[at] = "#";
            }
        }
        lines.push(words.join(" ").trim_end().to_owned());
    }
    lines.join("\n")
}

#[test]
fn the_tutorial_can_be_followed_word_by_word() {
    static SAID: Once = Once::new();
    let Ok(python) = std::env::var(PYTHON) else {
        assert!(std::env::var(REQUIRE_SERVERS).is_err(), "set {PYTHON}, or use tests/run");
        say_skipped(&SAID, PYTHON);
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let page = fs::read_to_string(PAGE).unwrap();
    let blocks = blocks(&page);
    let duck = format!("#!/bin/sh\nexec '{python}' \"$@\"\n");
    write(home.path(), "trail/duck/bin/python", duck.as_bytes());
    make_executable(&home.path().join("trail/duck/bin/python"));
    // A terminal shows both streams.
    let mut script = "set -eu\nexec 2>&1\n".to_owned();
    let commands = blocks.iter().filter_map(|block| match block {
        Block::Commands(commands) => Some(commands),
        _ => None,
    });
    for commands in commands {
        script.push_str(commands);
        writeln!(script, "printf '%s\\n' '{END}'").unwrap();
    }
    let program = Path::new(env!("CARGO_BIN_EXE_healthtrail")).parent().unwrap();
    let output = Command::new("sh")
        .args(["-c", &script])
        .env_clear()
        .env("HOME", home.path())
        .env("LANG", "C.UTF-8")
        .env("PATH", format!("{}:/usr/bin:/bin", text(program)))
        .current_dir(home.path())
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}");
    let end = format!("{END}\n");
    let mut said = stdout.split(&end);
    let (mut latest, mut outputs) = (String::new(), 0);
    let mut made = Vec::new();
    for block in &blocks {
        match block {
            Block::Install => {}
            Block::Commands(_) => said.next().unwrap().clone_into(&mut latest),
            Block::Output(shown) => {
                outputs += 1;
                made.push(latest.clone());
                if std::env::var_os("UPDATE").is_none() {
                    let hint = "UPDATE=1 tests/run tutorial";
                    assert_eq!(comparable(&latest), comparable(shown), "{hint}");
                }
            }
        }
    }
    assert!(outputs > 8, "the page shows {outputs} outputs");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(PAGE, with_outputs(&page, &made)).unwrap();
    }
    assert!(home.path().join("trail/report.html").metadata().unwrap().len() > 10_000);
}

/// The page with these outputs in the place of those it shows.
fn with_outputs(page: &str, outputs: &[String]) -> String {
    let (mut made, mut outputs, mut skipping) = (String::new(), outputs.iter(), false);
    for line in page.lines() {
        if skipping && line != "```" {
            continue;
        }
        skipping = line == "```text";
        made.push_str(line);
        made.push('\n');
        if skipping {
            for line in outputs.next().unwrap().lines() {
                made.push_str(line.trim_end());
                made.push('\n');
            }
        }
    }
    made
}

#[cfg(unix)]
fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[cfg(not(unix))]
fn make_executable(_: &Path) {}
