//! The policies of `deploy/iam/`, read as IAM reads them as far as they go: actions and resources with `*`,
//! allow and deny. Conditions are looked at by the tests that are about them.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

/// A policy.
pub(super) struct Policy {
    statements: Vec<Statement>,
}

struct Statement {
    denies: bool,
    actions: Vec<String>,
    resources: Vec<String>,
}

/// `deploy/iam/<name>.json`.
pub(super) fn read_policy(name: &str) -> Policy {
    let value = read(name);
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let statements = value["Statement"].as_array().unwrap().iter().map(|statement| Statement {
        denies: statement["Effect"] == "Deny",
        actions: texts(&statement["Action"]),
        resources: texts(&statement["Resource"]),
    });
    Policy { statements: statements.collect() }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/iam")
}

fn read(name: &str) -> Value {
    let text = fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

impl Policy {
    /// Whether it allows an action on a resource, and nothing denies it.
    pub(super) fn allows(&self, action: &str, resource: &str) -> bool {
        let hits = |statement: &&Statement| {
            statement.actions.iter().any(|pattern| matches(pattern, action))
                && statement.resources.iter().any(|pattern| matches(pattern, resource))
        };
        let mut hit = self.statements.iter().filter(hits).peekable();
        hit.peek().is_some() && hit.all(|statement| !statement.denies)
    }

    /// Every pair of an action and a resource that it allows.
    pub(super) fn grants(&self) -> impl Iterator<Item = (&str, &str)> {
        let allowing = self.statements.iter().filter(|statement| !statement.denies);
        allowing.flat_map(|statement| {
            statement.actions.iter().flat_map(|action| {
                statement.resources.iter().map(move |resource| (&**action, &**resource))
            })
        })
    }
}

/// IAM's `*`, which stands for anything, slashes too.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => {
            let Some(text) = text.strip_prefix(start) else { return false };
            (0..=text.len())
                .filter(|at| text.is_char_boundary(*at))
                .any(|at| matches(rest, &text[at..]))
        }
    }
}

#[test]
fn patterns_are_read_as_iam_reads_them() {
    let table = [
        ("a/*", "a/b/c", true),
        ("a/*", "a/", true),
        ("a/*", "a", false),
        ("a/*.done", "a/b/1.done", true),
        ("a/*.done", "a/1.json", false),
        ("s3:*", "s3:GetObject", true),
        ("s3:GetObject", "s3:GetObjectVersion", false),
    ];
    for (pattern, text, expected) in table {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}

/// Whoever queries with Athena sees findings, and neither rejects nor the lake's state; nobody but a bucket
/// policy has a wildcard for an action.
#[test]
fn no_policy_gives_more_than_it_says() {
    let reader = read_policy("athena-reader");
    let lake = "arn:aws:s3:::my-lake/health";
    assert!(reader.allows("s3:GetObject", &format!("{lake}/findings/dt=2026-11-24/x.parquet")));
    for key in
        ["rejects/dt=2026-11-24/x.parquet", "_healthtrail/lake.json", "_healthtrail/log/1.json"]
    {
        assert!(!reader.allows("s3:GetObject", &format!("{lake}/{key}")), "{key}");
    }
    assert!(!reader.allows("s3:PutObject", &format!("{lake}/findings/x")));
    let mut names = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let value = read(&name);
        assert_eq!(value["Version"], "2012-10-17", "{name}");
        for statement in value["Statement"].as_array().unwrap() {
            assert!(
                statement["Sid"].as_str().unwrap().bytes().all(|b| b.is_ascii_alphanumeric()),
                "{name}"
            );
            let is_open = |value: &Value| {
                value
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|text| text.as_str().unwrap().ends_with(":*") || text == "*")
            };
            let denies = statement["Effect"] == "Deny";
            assert!(denies || !is_open(&statement["Action"]), "{name}: {statement}");
            assert!(denies || statement["Principal"] != "*", "{name}: {statement}");
        }
        names.push(name);
    }
    let page = fs::read_to_string(folder().join("../../docs/security.md")).unwrap();
    for name in &names {
        assert!(
            page.contains(&format!("deploy/iam/{name}.json")),
            "docs/security.md does not tell of {name}"
        );
    }
    assert!(names.len() >= 9, "{names:?}");
}

#[test]
fn clear_text_is_denied_on_both_buckets_to_all() {
    for (name, bucket) in [("lake-bucket", "my-lake"), ("archive-bucket", "my-archive")] {
        let value = read(name);
        let tls = &value["Statement"][0];
        assert_eq!((&tls["Effect"], &tls["Principal"]), (&Value::from("Deny"), &Value::from("*")));
        assert_eq!(tls["Condition"]["Bool"]["aws:SecureTransport"], "false");
        let arn = format!("arn:aws:s3:::{bucket}");
        assert_eq!(tls["Resource"], Value::from(vec![arn.clone(), format!("{arn}/*")]));
    }
}
