//! What an operator's tools read: the JSON log on standard error, and the metrics on standard output. The names
//! in both are those of `docs/reference/logs-and-metrics.md`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{Ran, command, gzip, health_event, key, text, write};

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/archive");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/logs-and-metrics.md");

fn ran(arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let output = command().args(arguments).envs(variables.iter().copied()).output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The lines of a log, each of which must be an object with the five members and nothing else.
fn lines(stderr: &str) -> Vec<Value> {
    let members: BTreeSet<&str> = ["time", "level", "event", "message", "fields"].into();
    let parsed = stderr.lines().map(|line| {
        let value: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let object = value.as_object().unwrap();
        assert_eq!(object.keys().map(String::as_str).collect::<BTreeSet<_>>(), members, "{line}");
        assert!(value["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{line}");
        let level = value["level"].as_str().unwrap();
        assert!(["error", "warn", "info", "debug", "trace"].contains(&level), "{line}");
        assert!(value["message"].is_string() && value["fields"].is_object(), "{line}");
        value
    });
    parsed.collect()
}

/// The first cells of the page's table below a heading.
fn documented(heading: &str) -> BTreeSet<String> {
    let page = fs::read_to_string(PAGE).unwrap();
    let from = page.find(heading).unwrap_or_else(|| panic!("{PAGE} has no `{heading}`"));
    let section = page[from + heading.len()..].split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.map(str::to_owned).collect()
}

#[test]
fn every_line_of_a_json_log_is_an_object_and_the_last_one_is_the_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let (lake, nowhere) = (text(&lake), folder.path().join("nowhere"));
    let table: [(&[&str], i32, &[&str]); 8] = [
        (&["run", "--from", SAMPLES, "--to", lake], 0, &["outcome"]),
        (&["run", "--from", SAMPLES, "--to", lake, "--rejects-max", "0"], 0, &["outcome"]),
        (&["run", "--from", text(&nowhere), "--to", lake], 1, &["error", "outcome"]),
        (&["run", "--from", "gs://x/y", "--to", lake], 2, &["error", "outcome"]),
        (&["run", "--from", SAMPLES], 2, &["usage"]),
        (&["verify", "--lake", lake, "--json"], 0, &["outcome"]),
        (&["redrive", "--lake", lake, "--from", SAMPLES, "--progress", "bar"], 0, &["outcome"]),
        (&["verify", "--lake", text(folder.path())], 2, &["error", "outcome"]),
    ];
    for (arguments, code, events) in table {
        for (options, variables) in
            [(&["--log", "json"][..], &[][..]), (&[], &[("HEALTHTRAIL_LOG", "json,warn")])]
        {
            let ran = ran(&[arguments, options].concat(), variables);
            assert_eq!(ran.code, code, "{arguments:?}\n{}", ran.stderr);
            let lines = lines(&ran.stderr);
            let said: Vec<&str> =
                lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
            assert_eq!(said, events, "{arguments:?}\n{}", ran.stderr);
            let last = lines.last().unwrap();
            if last["event"] == "outcome" {
                assert_eq!(last["fields"]["exit_code"], code);
                assert_eq!(last["fields"]["command"], arguments[0]);
                assert_eq!(last["fields"]["failed"], i32::from(matches!(code, 1 | 2)));
            }
        }
    }
    // Help is no trouble, and is for people.
    let ran = ran(&["--log", "json", "run", "--help"], &[]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

#[test]
fn what_a_log_says_is_documented() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    for number in 0..3 {
        let event = health_event(number, "2026-08-01", "111122223333");
        write(&archive, &key("2026-08-01", number, number), &gzip(event.as_bytes()));
    }
    // A file that gives fewer bytes than its size promises.
    let odd = Path::new("/sys/devices/system/cpu/online");
    let has_failing = cfg!(target_os = "linux") && odd.exists();
    #[cfg(unix)]
    if has_failing {
        std::os::unix::fs::symlink(odd, archive.join("odd")).unwrap();
    }
    let lake = folder.path().join("lake");
    let run = ["run", "--from", text(&archive), "--to", text(&lake), "--log", "json,debug"];
    let ran = ran(&run, &[]);
    assert_eq!(ran.code, if has_failing { 3 } else { 0 }, "{}", ran.stderr);
    let lines = lines(&ran.stderr);
    let events = documented("\n## Events\n");
    let mut said = BTreeSet::new();
    for line in &lines {
        assert!(events.contains(line["event"].as_str().unwrap()), "not documented: {line}");
        said.insert(line["event"].as_str().unwrap());
    }
    if has_failing {
        let failed = lines.iter().find(|line| line["event"] == "object_failed").unwrap();
        assert!(failed["fields"]["object"].as_str().unwrap().ends_with("/odd"), "{failed}");
        assert!(said.is_superset(&["object_failed", "outcome"].into()), "{said:?}");
    }
    let fields = documented("\n## The last line\n");
    let metrics: BTreeSet<String> =
        documented("\n## Metrics\n").iter().map(|name| snake(name)).collect();
    let outcome = lines.last().unwrap()["fields"].as_object().unwrap();
    for name in outcome.keys() {
        assert!(fields.contains(name) || metrics.contains(name), "not documented: {name}");
    }
    for name in fields {
        assert!(outcome.contains_key(&name), "documented and not there: {name}");
    }
}

fn snake(metric: &str) -> String {
    let mut name = String::new();
    for c in metric.chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

/// Holds a document to the specification of the embedded metric format: the metadata object, its directives,
/// and that each target member stands in the root with the right type.
fn check_emf(document: &Value) -> BTreeSet<String> {
    const UNITS: [&str; 3] = ["Count", "Seconds", "Bytes"];
    let members = |value: &Value| -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    };
    let strings = |names: &[&str]| -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    };
    let metadata = &document["_aws"];
    assert_eq!(members(metadata), strings(&["CloudWatchMetrics", "Timestamp"]));
    let now = jiff::Timestamp::now().as_millisecond();
    let timestamp = metadata["Timestamp"].as_i64().unwrap();
    assert!((now - 60_000..=now).contains(&timestamp), "{timestamp} {now}");
    let directives = metadata["CloudWatchMetrics"].as_array().unwrap();
    assert_eq!(directives.len(), 1);
    let directive = &directives[0];
    assert_eq!(members(directive), strings(&["Dimensions", "Metrics", "Namespace"]));
    assert_eq!(directive["Namespace"], "healthtrail");
    assert_eq!(directive["Dimensions"], serde_json::json!([["Lake"]]));
    let lake = document["Lake"].as_str().unwrap();
    assert!((1..=1024).contains(&lake.len()) && lake.is_ascii(), "{lake}");
    let mut names = BTreeSet::new();
    for metric in directive["Metrics"].as_array().unwrap() {
        assert_eq!(members(metric), strings(&["Name", "Unit"]));
        assert!(UNITS.contains(&metric["Unit"].as_str().unwrap()), "{metric}");
        let name = metric["Name"].as_str().unwrap().to_owned();
        assert!((1..=1024).contains(&name.len()));
        assert!(document[&name].as_f64().unwrap() >= 0.0, "{name}");
        assert!(names.insert(name), "twice: {metric}");
    }
    assert!(names.len() <= 100, "a directive has at most 100 metrics");
    names
}

/// What stands alone on standard output.
fn document(ran: &Ran) -> Value {
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.stdout);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    let names = check_emf(&document);
    let documented = documented("\n## Metrics\n");
    assert!(names.is_subset(&documented), "not documented: {names:?}");
    assert_eq!(document["ExitCode"], Value::Null);
    assert_eq!(document["exit_code"], ran.code);
    document
}

#[test]
fn metrics_are_one_document_and_all_that_standard_output_holds() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let lake = text(&lake);
    let run = ["run", "--from", SAMPLES, "--to", lake, "--metrics", "emf"];
    let first = ran(&run, &[]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let said = document(&first);
    assert_eq!(
        (&said["Objects"], &said["Rows"], &said["Commits"]),
        (&12.into(), &20.into(), &1.into())
    );
    assert_eq!((&said["Rejects"], &said["Duplicates"]), (&6.into(), &9.into()));
    assert_eq!(
        (&said["Failed"], &said["Lost"], &said["ObjectsFailed"]),
        (&0.into(), &0.into(), &0.into())
    );
    assert!(said["Bytes"].as_u64().unwrap() > 30_000, "{said}");
    assert_eq!(said["Lake"], lake);
    assert!(
        first.stderr.contains("objects    13 listed"),
        "the summary is for people: {}",
        first.stderr
    );

    // The newest object of the samples arrived in this hour; a run that finds nothing says the same.
    let newest: jiff::Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
    let lag = |said: &Value| said["LagSeconds"].as_i64().unwrap();
    let age = jiff::Timestamp::now().as_second() - newest.as_second();
    let expected = u64::try_from(age).unwrap_or(0);
    assert!(u64::try_from(lag(&said)).unwrap().abs_diff(expected) <= 60, "{said} {expected}");
    let second = ran(&run, &[("HEALTHTRAIL_LOG", "json")]);
    let again = document(&second);
    assert_eq!((&again["Objects"], &again["Rows"]), (&0.into(), &0.into()));
    assert!(lag(&again) >= lag(&said));
    assert_eq!(lines(&second.stderr).len(), 1, "{}", second.stderr);

    let said = document(&ran(&["verify", "--lake", lake, "--metrics", "emf"], &[]));
    assert_eq!((&said["Damage"], &said["RowsVerified"]), (&0.into(), &26.into()));
    let redrive = ["redrive", "--lake", lake, "--from", SAMPLES, "--metrics", "emf"];
    let said = document(&ran(&redrive, &[]));
    assert_eq!((&said["Rows"], &said["ObjectsGone"]), (&0.into(), &0.into()));
    assert_eq!(said["LagSeconds"], Value::Null);
}

#[test]
fn a_command_that_fails_says_so_in_its_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, nowhere) = (folder.path().join("lake"), folder.path().join("nowhere"));
    let emf = [("HEALTHTRAIL_METRICS", "emf")];
    let failed = ran(&["run", "--from", text(&nowhere), "--to", text(&lake)], &emf);
    assert_eq!(failed.code, 1);
    let said = document(&failed);
    assert_eq!(
        (&said["Failed"], &said["Lost"], &said["outcome"]),
        (&1.into(), &0.into(), &"failed".into())
    );
    assert_eq!(said["Objects"], Value::Null, "what is not known is not said");
    let no_lake = ran(&["verify", "--lake", text(folder.path())], &emf);
    assert_eq!(no_lake.code, 2);
    assert_eq!(document(&no_lake)["Failed"], 1);

    // Lost is another thing than failed: too many rejects.
    let run = ["run", "--from", SAMPLES, "--to", text(&lake), "--rejects-max", "0"];
    let lost = ran(&run, &emf);
    assert_eq!(lost.code, 3, "{}", lost.stderr);
    let said = document(&lost);
    assert_eq!(
        (&said["Failed"], &said["Lost"], &said["Rejects"]),
        (&0.into(), &1.into(), &6.into())
    );
}

#[test]
fn metrics_and_json_do_not_share_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let lake = text(&lake);
    let summary = folder.path().join("summary.json");
    let run = ["run", "--from", SAMPLES, "--to", lake, "--metrics", "emf", "--summary"];
    let both = ran(&[&run[..], &["-"]].concat(), &[]);
    assert_eq!((both.code, both.stdout.as_str()), (2, ""), "{}", both.stderr);
    assert!(both.stderr.contains("--summary FILE"), "{}", both.stderr);
    assert!(!Path::new(lake).exists());
    let apart = ran(&[&run[..], &[text(&summary)]].concat(), &[]);
    let rows = document(&apart)["Rows"].clone();
    let summary: Value = serde_json::from_str(&fs::read_to_string(summary).unwrap()).unwrap();
    assert_eq!(summary["findings"]["added"], rows);
    assert!(summary["lag_seconds"].is_u64());
    for command in
        [&["verify", "--lake", lake][..], &["redrive", "--lake", lake, "--from", SAMPLES]]
    {
        let both = ran(&[command, &["--json", "--metrics", "emf"]].concat(), &[]);
        assert_eq!((both.code, both.stdout.as_str()), (2, ""), "{}", both.stderr);
    }
    // A dry run is for people; it has no metrics.
    let dry = ran(&["run", "--from", SAMPLES, "--to", lake, "--dry-run", "--metrics", "emf"], &[]);
    assert!(dry.stdout.starts_with("would read"), "{}", dry.stdout);
}
