//! Documents that are made from the code are as the code would make them now, and what others say of commands,
//! records and links is so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{gzip, health_event, healthtrail, key, run, text, write};

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn check_made(name: &str, made: &str) {
    let path = project().join(name);
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, made).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == made, "`UPDATE=1 cargo test docs` makes {name} anew");
}

#[test]
fn the_column_reference_is_current() {
    check_made("docs/columns.md", &healthtrail::finding::columns::reference());
}

#[test]
fn the_reference_of_the_command_line_is_current() {
    check_made("docs/reference/cli.md", &healthtrail::cli::cli_reference());
}

#[test]
fn the_reference_of_the_variables_is_current() {
    check_made("docs/reference/configuration.md", &healthtrail::cli::configuration_reference());
}

/// All pages for users.
fn pages() -> Vec<(PathBuf, String)> {
    let mut paths: Vec<PathBuf> =
        ["README.md", "samples/README.md"].iter().map(|name| project().join(name)).collect();
    let mut folders = vec![project().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(&path).unwrap())).collect()
}

/// The command lines that a page shows as code, with those that go on below put together.
fn shown_commands(page: &str) -> Vec<String> {
    let (mut commands, mut fenced): (Vec<String>, bool) = (Vec::new(), false);
    let mut going_on = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if !fenced && !line.starts_with("    ") {
            continue;
        }
        let line = line.trim();
        let line = line.strip_prefix("$ ").unwrap_or(line);
        if going_on {
            let last = commands.last_mut().unwrap();
            last.push(' ');
            last.push_str(line.trim_end_matches('\\'));
        } else if line.starts_with("healthtrail ") {
            commands.push(line.trim_end_matches('\\').to_owned());
        } else {
            continue;
        }
        going_on = line.ends_with('\\');
    }
    commands
}

#[test]
fn every_command_that_a_page_shows_is_one_with_options_that_are_there() {
    let mut options: BTreeMap<String, String> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut count = 0;
    // The reference shows synopses, and is made from the same source.
    let by_hand = pages().into_iter().filter(|(path, _)| !path.ends_with("reference/cli.md"));
    for (path, page) in by_hand {
        for command in shown_commands(&page) {
            let of_one = command.split(['|', '>', '#', ';']).next().unwrap();
            let of_one = of_one.split(" && ").next().unwrap();
            let words: Vec<&str> = of_one.split_whitespace().skip(1).collect();
            let mut name: Vec<&str> =
                words.iter().take_while(|word| !word.starts_with('-')).take(2).copied().collect();
            if name.first() != Some(&"ledger") {
                name.truncate(1);
            }
            let help = options.entry(name.join(" ")).or_insert_with(|| {
                let mut arguments = name.clone();
                arguments.push("--help");
                let ran = healthtrail(&arguments);
                if ran.code == 0 { ran.stdout } else { String::new() }
            });
            count += 1;
            if help.is_empty() {
                wrong.push(format!("{}: no such command: {command}", path.display()));
            }
            let used = words.iter().filter(|word| word.starts_with("--"));
            for option in used.map(|word| word.split('=').next().unwrap()) {
                let is_known = help.lines().any(|line| {
                    let words = line.split([' ', ',', '=', '[']);
                    words.into_iter().any(|word| word == option)
                });
                if !is_known {
                    wrong.push(format!("{}: no option {option}: {command}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 60, "only {count} commands were found");
}

#[test]
fn every_link_to_a_page_leads_to_one() {
    let mut wrong = Vec::new();
    for (path, page) in pages() {
        for link in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            if file.contains("://") {
                continue;
            }
            let target =
                if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            if !target.exists() {
                wrong.push(format!("{}: {link}", path.display()));
            } else if !heading.is_empty() && !anchors(&target).contains(heading) {
                wrong.push(format!("{}: no such heading: {link}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What one can link to in a page.
fn anchors(page: &Path) -> BTreeSet<String> {
    let page = fs::read_to_string(page).unwrap();
    let headings = page.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
    let anchor = |heading: &str| -> String {
        let lower = heading.to_lowercase();
        let kept = lower.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// Paths of all members of a document, with the items of a list under one name.
fn paths(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = format!("{at}.{name}");
                // Names of reasons and kinds are data.
                let is_data = at.ends_with("by_reason") || at.ends_with("passed_over_by_kind");
                if !is_data {
                    found.insert(path.clone());
                    paths(value, &path, found);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| paths(item, &format!("{at}[]"), found)),
        _ => {}
    }
}

#[test]
fn the_page_on_the_log_shows_a_record_as_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, lake) = (folder.path().join("archive"), folder.path().join("lake"));
    let event = health_event(1, "2026-08-01", "111122223333");
    let bytes = gzip(format!("{event} and some bytes that are no JSON").as_bytes());
    write(&archive, &key("2026-08-01", 3, 1), &bytes);
    run(text(&archive), text(&lake), &[], 0);
    let state = lake.join("_healthtrail");
    let text_of = |name: &str| fs::read_to_string(state.join(name)).unwrap();
    let written: Value = serde_json::from_str(&text_of("log/0000000001.json")).unwrap();
    let config: Value = serde_json::from_str(&text_of("lake.json")).unwrap();

    let path = project().join("docs/reference/log-format.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("```json record\n").expect("the page has no record");
    let (shown, after) = rest.split_once("```\n").unwrap();
    if std::env::var_os("UPDATE").is_some() {
        let here = text(&archive.canonicalize().unwrap()).to_owned();
        let made = serde_json::to_string_pretty(&written).unwrap();
        let made = made.replace(&format!("file://{here}"), "s3://my-archive/health");
        fs::write(&path, format!("{before}```json record\n{made}\n```\n{after}")).unwrap();
    } else {
        let shown: Value = serde_json::from_str(shown).unwrap();
        let (mut in_page, mut in_lake) = (BTreeSet::new(), BTreeSet::new());
        paths(&shown, "", &mut in_page);
        paths(&written, "", &mut in_lake);
        assert_eq!(in_page, in_lake, "UPDATE=1 cargo test docs");
    }
    for members in [&written, &config] {
        for name in members.as_object().unwrap().keys() {
            assert!(page.contains(&format!("| `{name}` |")), "`{name}` is not documented");
        }
    }
    // What a lake has beside its tables.
    for entry in fs::read_dir(&state).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(page.contains(&format!("`_healthtrail/{name}")), "{name} is not documented");
    }
}

/// Significant figures are two: it is an estimate.
fn rounded(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = value.abs().log10().floor();
    let unit = 10_f64.powf(digits - 1.0);
    let value = (value / unit).round() * unit;
    let decimals = (0..9_u8).find(|decimals| digits + f64::from(*decimals) >= 1.0);
    let decimals = usize::from(decimals.unwrap_or(9));
    format!("{value:.decimals$}")
}

#[test]
fn the_table_of_costs_follows_its_own_arithmetic() {
    let mut rows = String::new();
    for count in [10_000, 100_000, 1_000_000, 10_000_000, 100_000_000_u64] {
        let events = count as f64;
        let (json, archive, lake) = (events * 2.6e3, events * 0.5e3, events * 0.22e3);
        let objects = f64::max(f64::min(8_640.0, events), json / f64::from(5 << 20));
        let gets = objects + 30.0 * 25.0;
        let puts = 30.0 * (13.0 + 12.0 * objects / 1_000.0);
        let scanned = 12.0 * lake / 10.0;
        let seconds = f64::max(60.0, 30.0 + json / 30.0 / 200e6);
        let hours = 30.0 * 2.0 * seconds / 3600.0;
        let cells =
            [archive / 1e9, lake / 1e9, objects, gets / 1e3, puts / 1e3, scanned / 1e12, hours];
        let cells: Vec<String> = cells.into_iter().map(rounded).collect();
        writeln!(rows, "| {} | {} |", thousands(count), cells.join(" | ")).unwrap();
    }
    let path = project().join("docs/operations.md");
    let page = fs::read_to_string(&path).unwrap();
    let at = page.find("| events a month |").expect("the page has no table of costs");
    let head: usize = page[at..].split_inclusive('\n').take(2).map(str::len).sum();
    let shown: String =
        page[at + head..].split_inclusive('\n').take_while(|line| line.starts_with('|')).collect();
    if std::env::var_os("UPDATE").is_some() {
        let (before, after) = (&page[..at + head], &page[at + head + shown.len()..]);
        fs::write(&path, format!("{before}{rows}{after}")).unwrap();
    } else {
        assert_eq!(shown, rows, "UPDATE=1 cargo test docs");
    }
}

fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// The calls of AWS's services that the sources send, by the names that AWS gives them.
fn calls_in_sources() -> BTreeSet<String> {
    let mut calls = BTreeSet::new();
    for folder in ["src/store/s3", "src/store/firehose", "src/store/glue"] {
        for entry in fs::read_dir(project().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("tests.rs") {
                continue;
            }
            let source = fs::read_to_string(path).unwrap();
            // `client.get_table()`, also where the call stands on a line of its own.
            for after in source.split("client").skip(1) {
                let Some(after) = after.trim_start().strip_prefix('.') else { continue };
                let Some((name, _)) = after.split_once("()") else { continue };
                if name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
                    calls.insert(name.to_owned());
                }
            }
        }
    }
    let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    // S3's is called by its version.
    let camel = |name: &String| {
        name.split('_')
            .map(|word| if word == "v2" { "V2".to_owned() } else { capital(word) })
            .collect()
    };
    calls.iter().map(camel).collect()
}

/// Whether there is such a test, or module of tests, or command that tests.
fn is_test(name: &str) -> bool {
    let holds_tests = |path: PathBuf| {
        fs::read_to_string(path)
            .is_ok_and(|text| text.contains("#[test]") || text.contains("#[tokio::test"))
    };
    if let Some(command) = name.strip_prefix("tests/") {
        return project().join("tests").join(command).is_file();
    }
    let parts: Vec<&str> = name.split("::").collect();
    if project().join("src").join(parts[0]).is_dir() {
        return holds_tests(project().join("src").join(parts.join("/")).with_extension("rs"));
    }
    let modules = fs::read_to_string(project().join("tests/integration.rs")).unwrap();
    if !modules.contains(&format!("mod {};", parts[0])) {
        return false;
    }
    let file = project().join("tests").join(parts[0]);
    match parts[..] {
        [_] => holds_tests(file.with_extension("rs")) || holds_tests(file.join("mod.rs")),
        [_, inner] => {
            let text = fs::read_to_string(file.with_extension("rs")).unwrap_or_default();
            holds_tests(file.join(inner).with_extension("rs"))
                || text.contains(&format!("fn {inner}("))
        }
        _ => false,
    }
}

fn in_backticks(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Every call that is sent was tried on something, and every test that the page names is there.
#[test]
fn the_page_of_what_was_tried_is_true_to_calls_and_tests() {
    let page = fs::read_to_string(project().join("docs/tried.md")).unwrap();
    let sent = calls_in_sources();
    assert!(sent.len() >= 17, "{sent:?}");
    let (mut tried, mut wrong) = (BTreeSet::new(), Vec::<String>::new());
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let call = cells.get(1).and_then(|cell| in_backticks(cell).next());
        let is_call =
            call.is_some_and(|call| call.starts_with(|first: char| first.is_ascii_uppercase()));
        // Beside the call stands what it is for, then by which tests it was tried.
        let of_tests = if is_call { cells[3..].join(" ") } else { line.to_owned() };
        let named: Vec<&str> = in_backticks(&of_tests)
            .filter(|name| is_call || name.starts_with("tests/") || name.contains("::"))
            .collect();
        // How this page itself writes of tests.
        let is_wrong = |name: &&&str| !["module::test", "tests/"].contains(*name) && !is_test(name);
        wrong.extend(named.iter().filter(is_wrong).map(|name| (*name).to_owned()));
        if let Some(call) = call.filter(|_| is_call && !named.is_empty()) {
            tried.insert(call.split(' ').next().unwrap().to_owned());
        }
    }
    assert!(wrong.is_empty(), "no such test: {wrong:?}");
    assert_eq!(tried, sent, "calls on docs/tried.md, and those that the sources send");
    assert!(
        !is_test("store_contract::nothing") && !is_test("nothing") && !is_test("tests/nothing")
    );
}
