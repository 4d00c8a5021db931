//! The pages on `rebuild` and `forget` show what the program says: each command in them is run on the
//! samples, and its output compared. `UPDATE=1 cargo test rewrite_docs` writes it into the pages.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{command, files, text, write};

/// Where the pages are taken to have been written.
const HOME: &str = "/home/ana";

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The words of a command, with `'` around those that have blanks.
fn words(line: &str) -> Vec<String> {
    let pieces = line.split('\'').enumerate();
    pieces
        .flat_map(|(index, piece)| {
            if index % 2 == 1 {
                vec![piece.to_owned()]
            } else {
                piece.split_whitespace().map(str::to_owned).collect()
            }
        })
        .collect()
}

/// What the program says to a command of the page.
fn said(folder: &Path, line: &str) -> String {
    let (line, quiet) = match line.strip_suffix(" > /dev/null") {
        Some(line) => (line, true),
        None => (line, false),
    };
    let here = folder.canonicalize().unwrap();
    let words = words(line);
    let (program, arguments) = words.split_first().unwrap();
    if program == "cat" {
        return fs::read_to_string(folder.join(&arguments[0])).unwrap();
    }
    assert_eq!(program, "healthtrail", "{line}");
    let arguments = arguments.iter().map(|word| word.replace(HOME, text(&here)));
    let output = command()
        .current_dir(folder)
        .env("HEALTHTRAIL_PROGRESS", "none")
        .args(arguments)
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{line}\n{stderr}");
    let stdout = if quiet { String::new() } else { String::from_utf8(output.stdout).unwrap() };
    (stdout + &stderr).replace(text(&here), HOME)
}

/// Without sizes of files, which a better encoder changes, and without durations.
fn comparable(shown: &str) -> String {
    let mut lines = Vec::new();
    for line in shown.lines() {
        let mut words: Vec<&str> = line.split(' ').collect();
        for at in 1..words.len() {
            if words[at - 1] == "\"bytes\":" {
                words[at] = "#";
            }
            let unit = words[at].trim_end_matches([',', '.']);
            if ["B", "KiB", "MiB", "s"].contains(&unit) {
                words[at - 1] = "#";
                words[at] = "#";
            }
        }
        lines.push(words.join(" "));
    }
    lines.join("\n")
}

/// Runs the commands of a page one after the other.
fn check(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let archive = project().join("samples/archive");
    for path in files(&archive) {
        let bytes = fs::read(archive.join(&path)).unwrap();
        write(&folder.path().join("samples/archive"), text(&path), &bytes);
    }
    let case = r#"{"finding_id": "arn:aws:health:us-east-1::event/RDS/AWS_RDS_MAINTENANCE_SCHEDULED/AWS_RDS_MAINTENANCE_SCHEDULED_RDS_91c44bd0e7a2", "account_id": "777788889999"}
"#;
    write(folder.path(), "case-8.jsonl", case.as_bytes());
    let path = project().join(name);
    let page = fs::read_to_string(&path).unwrap();
    let mut made = String::new();
    let (mut in_console, mut commands) = (false, 0);
    for line in page.lines() {
        if line.starts_with("```") {
            in_console = line == "```console";
        } else if in_console && !line.starts_with("$ ") {
            continue;
        }
        made.push_str(line);
        made.push('\n');
        if let Some(line) = line.strip_prefix("$ ").filter(|_| in_console) {
            made.push_str(&said(folder.path(), line));
            commands += 1;
        }
    }
    assert!(commands > 2, "{name} shows {commands} commands");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, made).unwrap();
    } else {
        assert_eq!(comparable(&made), comparable(&page), "UPDATE=1 cargo test rewrite_docs");
    }
}

#[test]
fn the_page_on_rebuild_shows_what_the_program_says() {
    check("docs/rebuild.md");
}

#[test]
fn the_page_on_forget_shows_what_the_program_says() {
    check("docs/forget.md");
}
