//! Which command sends which call to which place: recorded, and held against `docs/security.md` and the policies
//! in `deploy/iam/`. `UPDATE=1 tests/run --test integration -- secure::calls` writes the table into the page.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use super::commands::{self, COMMANDS, OWNER, Sent};
use super::policies::{Policy, read_policy};
use crate::proxy::{Asked, Class};
use crate::stores::with_s3;

/// The columns of the table: what a key below the archive or the lake begins with.
const AREAS: [(&str, &str, &str); 11] = [
    ("archive", "archive/", ""),
    ("lake", "lake/", ""),
    ("`findings/`", "lake/", "findings/"),
    ("`rejects/`", "lake/", "rejects/"),
    ("`lake.json`", "lake/", "_healthtrail/lake.json"),
    ("`log/`", "lake/", "_healthtrail/log/"),
    ("`staging/`", "lake/", "_healthtrail/staging/"),
    ("`checkpoints/`", "lake/", "_healthtrail/checkpoints/"),
    ("`objects/`", "lake/", "_healthtrail/objects/"),
    ("`quarantine/`", "lake/", "_healthtrail/quarantine/"),
    ("`doctor/`", "lake/", "_healthtrail/doctor/"),
];

/// What is not met in this walk: a commit with more than 10,000 objects has a list of them beside its record.
/// Whoever commits writes and publishes it, whoever reads the log reads it, a repair takes out one that was
/// altered; `lake/log.rs` and `lake/verify/` test that.
const LONG_LISTS: [(&[&str], &str); 4] = [
    (
        &["run", "run --register", "redrive", "verify --repair", "forget", "rebuild"],
        "get head copy-to",
    ),
    (
        &[
            "run --dry-run",
            "ddl",
            "report",
            "rejects",
            "ledger",
            "ledger --from",
            "ledger accept",
            "register",
            "doctor",
            "doctor --read-only",
            "replay --rejects",
        ],
        "get",
    ),
    (&["verify", "verify --deep"], "head get"),
    (&["verify --repair"], "delete"),
];

/// The order of words in a cell.
const CALLS: [&str; 8] = ["list", "head", "get", "put", "create", "copy-from", "copy-to", "delete"];

/// What each role runs, by the policy that it has.
const ROLES: [(&str, &[&str]); 3] = [
    (
        "run",
        &[
            "run",
            "run --dry-run",
            "run --register",
            "redrive",
            "inspect",
            "ddl",
            "report",
            "rejects",
            "ledger",
            "ledger --from",
            "ledger accept",
            "verify",
            "verify --deep",
            "doctor",
            "doctor --read-only",
            "stream",
        ],
    ),
    ("lake-reader", &["ddl", "report", "rejects", "ledger", "verify", "doctor --read-only"]),
    ("operator", &COMMANDS),
];

type Table = BTreeMap<&'static str, BTreeMap<&'static str, BTreeSet<&'static str>>>;

/// A call, and the permission that it needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Need {
    call: &'static str,
    area: &'static str,
    action: &'static str,
    resource: String,
}

/// What a request needs; nothing for `HeadBucket`, which may be refused.
fn needs(asked: &Asked) -> Vec<Need> {
    let need = |call, key: &str| {
        let (area, key) = place_of(key);
        let action = match call {
            "list" => "s3:ListBucket",
            "head" | "get" | "copy-from" => "s3:GetObject",
            "put" | "create" | "copy-to" => "s3:PutObject",
            _ => "s3:DeleteObject",
        };
        let bucket = if area == "archive" { "my-archive" } else { "my-lake" };
        let resource = match call {
            "list" => format!("arn:aws:s3:::{bucket}"),
            _ => format!("arn:aws:s3:::{bucket}/health/{key}"),
        };
        Need { call, area, action, resource }
    };
    let is_new = asked.headers.get("if-none-match").is_some_and(|value| value == "*");
    match (asked.class, asked.method.as_str()) {
        (Class::HeadBucket, _) => Vec::new(),
        (Class::List, _) => vec![need("list", &asked.key)],
        (_, "HEAD") => vec![need("head", &asked.key)],
        (_, "GET") => vec![need("get", &asked.key)],
        (Class::Copy, _) => {
            assert!(is_new, "a copy could replace: {asked:?}");
            let source = asked.headers["x-amz-copy-source"].to_str().unwrap();
            let source = source.replace("%20", " ").replace("%2B", "+");
            let (_, key) = source.split_once('/').unwrap();
            vec![need("copy-from", key), need("copy-to", &asked.key)]
        }
        (_, "PUT") => vec![need(if is_new { "create" } else { "put" }, &asked.key)],
        (_, "DELETE") => vec![need("delete", &asked.key)],
        _ => panic!("a call that nobody knows: {asked:?}"),
    }
}

/// The column that a key belongs to, and the key below the archive or the lake. The rebuilt lake counts as a
/// lake: its role has the same policy for the new prefix.
fn place_of(key: &str) -> (&'static str, String) {
    let key = key.split_once("some prefix+1/").map_or(key, |(_, key)| key);
    let key = key.replacen("lake-2/", "lake/", 1);
    let mut found = None;
    for (area, place, beginning) in AREAS {
        if let Some(below) = key.strip_prefix(place)
            && below.starts_with(beginning)
        {
            found = Some((area, below.to_owned()));
        }
    }
    found.unwrap_or_else(|| panic!("`{key}` lies in no place of the table"))
}

fn table(sent: &[Sent]) -> Table {
    let mut table = Table::new();
    let mut add = |command, area, call| {
        table.entry(command).or_default().entry(area).or_default().insert(call);
    };
    for sent in sent.iter().filter(|sent| COMMANDS.contains(&sent.command)) {
        for need in sent.asked.iter().flat_map(needs) {
            add(sent.command, need.area, need.call);
        }
    }
    for (commands, calls) in LONG_LISTS {
        for command in commands {
            for call in CALLS.into_iter().filter(|call| calls.split(' ').any(|word| word == *call))
            {
                add(command, "`objects/`", call);
                if call == "copy-to" {
                    add(command, "`staging/`", "copy-from");
                }
            }
        }
    }
    table
}

fn as_markdown(table: &Table) -> String {
    let names: Vec<&str> = AREAS.iter().map(|(name, ..)| *name).collect();
    let mut text =
        format!("| command | {} |\n|{}\n", names.join(" | "), " --- |".repeat(names.len() + 1));
    for command in COMMANDS {
        let cells = names.iter().map(|name| {
            let calls = table.get(command).and_then(|row| row.get(name));
            let calls =
                CALLS.iter().filter(|call| calls.is_some_and(|calls| calls.contains(*call)));
            calls.copied().collect::<Vec<_>>().join(" ")
        });
        let cells: Vec<String> = cells.collect();
        writeln!(text, "| `{command}` | {} |", cells.join(" | ")).unwrap();
    }
    text
}

fn check_page(table: &Table) {
    const BEGIN: &str = "<!-- calls -->\n";
    const END: &str = "<!-- /calls -->";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/security.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page marks its table");
    let (told, after) = rest.split_once(END).expect("the page marks its table");
    let made = as_markdown(table);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
        return;
    }
    assert!(
        told == made,
        "docs/security.md tells other calls than commands send; they send:\n{made}"
    );
}

/// Whose bucket it is stands on every request, on a copy that of the source too.
fn check_owner(sent: &[Sent]) {
    for Sent { command, asked, .. } in sent {
        for asked in asked {
            let owner = |name: &str| asked.headers.get(name).and_then(|value| value.to_str().ok());
            assert_eq!(owner("x-amz-expected-bucket-owner"), Some(OWNER), "{command}: {asked:?}");
            if asked.class == Class::Copy {
                let source = owner("x-amz-source-expected-bucket-owner");
                assert_eq!(source, Some(OWNER), "{command}: {asked:?}");
            }
        }
    }
    let copies =
        sent.iter().flat_map(|sent| &sent.asked).filter(|asked| asked.class == Class::Copy);
    assert!(copies.count() > 5);
}

/// What `deploy/iam/lake-bucket.json` denies to all is never asked for.
fn check_bucket_policy(sent: &[Sent]) {
    let all = || sent.iter().flat_map(|sent| &sent.asked);
    let is_record = |asked: &&Asked| asked.key.contains("_healthtrail/log/");
    for asked in all().filter(is_record) {
        let is_new = asked.headers.contains_key("if-none-match");
        assert!(asked.method != "PUT" || is_new, "a record could be replaced: {asked:?}");
        let is_kept =
            asked.method != "DELETE" || asked.class == Class::Delete && asked.key.contains(".done");
        assert!(is_kept, "a record is deleted: {asked:?}");
    }
    assert!(all().filter(is_record).any(|asked| asked.method == "PUT"));
}

/// Calls to Firehose and Glue: on the page, by command, and in the policies of those who run it.
fn check_others(sent: &[Sent]) {
    let mut found: BTreeSet<(String, String)> = BTreeSet::new();
    for sent in sent {
        found.extend(sent.others.iter().map(|call| (sent.command.to_owned(), call.clone())));
    }
    let page = include_str!("../../docs/security.md");
    let (_, rest) = page.split_once("<!-- other calls -->\n").expect("the page marks its table");
    let (told, _) = rest.split_once("<!-- /other calls -->").expect("the page marks its table");
    let mut on_page = BTreeSet::new();
    for row in told.lines().skip(2) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let words = |cell: &str| -> Vec<String> {
            cell.split(',').map(|word| word.trim().trim_matches('`').to_owned()).collect()
        };
        for command in words(cells[2]) {
            on_page.insert((command, words(cells[1]).remove(0)));
        }
    }
    assert_eq!(on_page, found, "docs/security.md and what commands send");
    for (role, commands) in ROLES {
        let policy = read_policy(role);
        let called: BTreeSet<&str> = found
            .iter()
            .filter(|(command, _)| commands.contains(&command.as_str()))
            .map(|(_, call)| call.as_str())
            .collect();
        let granted: BTreeSet<&str> = policy
            .grants()
            .map(|(action, _)| action)
            .filter(|action| action.starts_with("firehose:") || action.starts_with("glue:"))
            .collect();
        assert_eq!(granted, called, "deploy/iam/{role}.json");
    }
}

fn all_needs(sent: &[Sent], commands: &[&str]) -> BTreeSet<Need> {
    let mut all: BTreeSet<Need> = BTreeSet::new();
    for sent in sent.iter().filter(|sent| commands.contains(&sent.command)) {
        all.extend(sent.asked.iter().flat_map(needs));
    }
    for (commands_with, calls) in LONG_LISTS {
        if !commands_with.iter().any(|command| commands.contains(command)) {
            continue;
        }
        for (call, action) in
            [("get", "s3:GetObject"), ("copy-to", "s3:PutObject"), ("delete", "s3:DeleteObject")]
        {
            if calls.split(' ').any(|word| word == call) {
                let resource = "arn:aws:s3:::my-lake/health/_healthtrail/objects/0.json".to_owned();
                all.insert(Need { call, area: "`objects/`", action, resource });
            }
        }
    }
    all
}

/// Each role may do what its commands ask for, and nothing of its policy is for nothing.
fn check_policies(sent: &[Sent]) {
    for (role, commands) in ROLES {
        let policy: Policy = read_policy(role);
        let needs = all_needs(sent, commands);
        let denied: Vec<&Need> =
            needs.iter().filter(|need| !policy.allows(need.action, &need.resource)).collect();
        assert!(denied.is_empty(), "deploy/iam/{role}.json lacks {denied:#?}");
        for (action, resource) in policy.grants().filter(|(action, _)| action.starts_with("s3:")) {
            let is_needed = needs.iter().any(|need| {
                action == need.action && super::policies::matches(resource, &need.resource)
            });
            assert!(is_needed, "deploy/iam/{role}.json grants {action} on {resource} for nothing");
        }
    }
    let reader = read_policy("lake-reader");
    for command in ["run", "redrive", "forget", "verify --repair", "rebuild", "ledger accept"] {
        let writes = all_needs(sent, &[command]);
        let writes =
            writes.iter().filter(|need| !matches!(need.action, "s3:GetObject" | "s3:ListBucket"));
        let writes: Vec<_> = writes.collect();
        assert!(!writes.is_empty(), "{command}");
        assert!(writes.iter().all(|need| !reader.allows(need.action, &need.resource)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_told_permitted_and_names_its_owner() {
    with_s3(|uri, options| async move {
        let folder = tempfile::tempdir().unwrap();
        let sent = commands::all(&uri, &options, folder.path()).await;
        for command in COMMANDS {
            assert!(sent.iter().any(|sent| sent.command == command), "{command} was not run");
        }
        check_owner(&sent);
        check_bucket_policy(&sent);
        check_policies(&sent);
        check_others(&sent);
        check_page(&table(&sent));
    })
    .await;
}
