//! `register` and `run --register` as programs, against a server that speaks Glue (moto).
//!
//! `tests/deploy` starts the server and runs these; without it they say so and do nothing. What no stand-in
//! does, such as refusing a version that is not the newest, is in the unit tests of `job/register`.

use std::process::Output;
use std::sync::Once;

use serde_json::Value;

use crate::program::{Ran, command, gzip, health_event, key, run, text, write};
use crate::stores::say_skipped;

const GLUE_ENDPOINT: &str = "HEALTHTRAIL_TEST_GLUE_ENDPOINT";

fn endpoint() -> Option<String> {
    static SAID: Once = Once::new();
    let endpoint = std::env::var(GLUE_ENDPOINT).ok();
    if endpoint.is_none() {
        say_skipped(&SAID, GLUE_ENDPOINT);
    }
    endpoint
}

/// The program with credentials and a Region, and nothing else of the surroundings.
fn healthtrail(arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = command();
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    command
        .env("AWS_ACCESS_KEY_ID", "healthtrail")
        .env("AWS_SECRET_ACCESS_KEY", "healthtrail-tests")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    if !variables.iter().any(|(name, _)| *name == "AWS_REGION") {
        command.env("AWS_REGION", "eu-west-1");
    }
    command.envs(variables.iter().copied().filter(|(_, value)| !value.is_empty()));
    let Output { status, stdout, stderr } = command.args(arguments).output().unwrap();
    Ran {
        code: status.code().unwrap_or(-1),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

/// A lake of so many days in a folder.
fn lake(folder: &std::path::Path, days: u32) -> std::path::PathBuf {
    let (archive, lake) = (folder.join("archive"), folder.join("lake"));
    let first: jiff::civil::Date = "2026-01-01".parse().unwrap();
    for number in 0..days {
        let day = (first + jiff::Span::new().days(number)).to_string();
        let event = health_event(number, &day, "111122223333");
        write(&archive, &key(&day, number % 24, number), &gzip(event.as_bytes()));
    }
    run(text(&archive), text(&lake), &[], 0);
    lake
}

fn database() -> String {
    format!("d{:016x}", rand::random::<u64>())
}

#[test]
fn register_makes_and_keeps_tables_and_partitions() {
    let Some(endpoint) = endpoint() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (lake, database) = (lake(folder.path(), 130), database());
    let arguments = [
        "register",
        "--lake",
        text(&lake),
        "--location",
        "s3://my-lake/health",
        "--database",
        &database,
        "--glue-endpoint-url",
        &endpoint,
    ];
    let register = |more: &[&str]| healthtrail(&[&arguments, more].concat(), &[]);
    let missing = register(&[]);
    assert_eq!(missing.code, 2, "{}", missing.stderr);
    assert!(missing.stderr.contains("give `--create-database`"), "{}", missing.stderr);

    let json = |ran: &Ran| -> Value { serde_json::from_str(&ran.stdout).unwrap() };
    let foretold = register(&["--create-database", "--dry-run", "--json"]);
    assert_eq!((foretold.code, json(&foretold)["is_current"].as_bool()), (0, Some(false)));
    let made = register(&["--create-database"]);
    assert_eq!((made.code, made.stderr.as_str()), (0, ""), "{}", made.stdout);
    assert_eq!(
        made.stdout,
        format!(
            "changed in Glue's database {database}\n  database   made\n  \
             findings   made, with partitions computed from a range\n  \
             rejects    made, with partitions computed from a range\n"
        )
    );
    let again = register(&[]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(
        again.stdout,
        format!(
            "the tables in Glue's database {database} are current\n  findings   nothing to do\n  \
             rejects    nothing to do\n"
        )
    );
    let added = register(&["--partitions", "--json", "--table", "findings"]);
    assert_eq!(added.code, 0, "{}", added.stderr);
    assert_eq!(json(&added)["tables"][0]["partitions_added"], 130);
    assert_eq!(json(&added)["tables"].as_array().unwrap().len(), 1);
    let present = register(&["--partitions", "--json"]);
    assert_eq!(json(&present)["tables"][0]["partitions_present"], 130);
    assert_eq!(json(&present)["is_current"], true);

    // Another lake's place is refused, and taken over when told.
    let elsewhere = |more: &[&str]| {
        let mut arguments = arguments;
        arguments[4] = "s3://other/health";
        healthtrail(&[&arguments, more].concat(), &[])
    };
    let refused = elsewhere(&["--table", "rejects"]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("give `--force-location`"), "{}", refused.stderr);
    let moved = elsewhere(&["--table", "rejects", "--force-location"]);
    assert!(moved.stdout.contains("lies in s3://other/health/rejects/"), "{}", moved.stdout);
    assert_eq!(register(&["--table", "rejects"]).code, 2);

    // A prefix is another pair of tables.
    let prefixed = register(&["--table-prefix", "health_"]);
    assert!(prefixed.stdout.contains("  health_rejects made, with"), "{}", prefixed.stdout);
}

/// Options, variables, exit code, and what standard error says.
type Case = (&'static [&'static str], &'static [(&'static str, &'static str)], i32, &'static str);

#[test]
fn what_stands_in_the_way_of_glue_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake(folder.path(), 1);
    let base = ["register", "--lake", text(&lake), "--location", "s3://b", "--database", "d"];
    let with = |more: &[&'static str], variables: &[(&str, &str)]| {
        healthtrail(&[&base, more].concat(), variables)
    };
    let table: [Case; 5] = [
        (
            &["--glue-endpoint-url", "http://glue.example.com"],
            &[],
            2,
            "plain http goes only to this",
        ),
        (
            &[],
            &[("AWS_ENDPOINT_URL_GLUE", "http://glue.example.com")],
            1,
            "plain http goes only to",
        ),
        (&[], &[("AWS_REGION", "")], 2, "no Region is set; hint: name it (AWS_REGION)"),
        (&["--table-prefix", "Health-"], &[], 2, "a prefix has at most 200 small letters"),
        (&["--table", "views"], &[], 2, "[possible values: findings, rejects]"),
    ];
    for (options, variables, code, message) in table {
        let ran = with(options, variables);
        assert_eq!(ran.code, code, "{options:?} {variables:?}\n{}", ran.stderr);
        assert!(ran.stderr.contains(message), "{options:?} {variables:?}\n{}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
    // A run that registers needs a lake that Athena can read, and says so before it begins.
    let to = text(folder.path()).to_owned() + "/new";
    let ran = healthtrail(
        &["run", "--from", text(&folder.path().join("archive")), "--to", &to, "--register", "d"],
        &[],
    );
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("`--register` is for a lake on S3"), "{}", ran.stderr);
    assert!(!std::path::Path::new(&to).exists());
}
