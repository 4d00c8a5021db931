//! Reports: the figures against an independent computation, the text of the samples, and that
//! nothing of the lake's text becomes part of the page.
//!
//! `UPDATE=1 cargo test report` rewrites the golden file; read the difference before you commit it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use healthtrail::report::gather::report_in_slices;
use healthtrail::report::{ReportOptions, Times};
use healthtrail::store::{StoreOptions, open};
use serde_json::{Value, json};

use crate::foreign::python;
use crate::program::{healthtrail, number, parts, run, text, write};

fn report(lake: &Path, format: &str, options: &[&str]) -> String {
    let mut arguments = vec!["report", "--lake", text(lake), "--format", format];
    arguments.extend(options);
    let ran = healthtrail(&arguments);
    assert_eq!(ran.code, 0, "{arguments:?}\n{}", ran.stderr);
    ran.stdout
}

fn figures(lake: &Path, options: &[&str]) -> Value {
    serde_json::from_str(&report(lake, "json", options)).unwrap()
}

fn samples_lake(folder: &Path) -> std::path::PathBuf {
    let samples = format!("{}/samples/archive", env!("CARGO_MANIFEST_DIR"));
    let lake = folder.join("lake");
    run(&samples, text(&lake), &["--products", "all"], 0);
    lake
}

fn generated_lake(folder: &Path, options: &[&str]) -> std::path::PathBuf {
    let (archive, lake) = (folder.join("archive"), folder.join("lake"));
    let mut arguments = vec!["generate", "--to", text(&archive)];
    arguments.extend(["--objects", "120", "--events", "6000", "--days", "150", "--seed", "21"]);
    arguments.extend(["--bad-bytes", "0.01", "--late", "0.2", "--pages", "0.1"]);
    assert_eq!(healthtrail(&arguments).code, 0);
    let mut all = vec!["--products", "all"];
    all.extend(options);
    run(text(&archive), text(&lake), &all, 0);
    lake
}

/// Counts of a series by bucket and name, zeros left out.
fn by_bucket(series: &Value) -> Value {
    let names: Vec<&str> =
        series["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let mut buckets: BTreeMap<String, BTreeMap<&str, u64>> = BTreeMap::new();
    for bucket in series["buckets"].as_array().unwrap() {
        let counts = bucket["counts"].as_array().unwrap();
        for (name, count) in names.iter().zip(counts) {
            let count = count.as_u64().unwrap();
            if count > 0 {
                let from = bucket["from"].as_str().unwrap().to_owned();
                buckets.entry(from).or_default().insert(name, count);
            }
        }
    }
    json!(buckets)
}

/// Counts of a list by its name, zeros left out.
fn counts(list: &Value, name: &str, count: &str) -> Value {
    let pairs = list.as_array().unwrap().iter();
    let pairs = pairs.map(|entry| (entry[name].as_str().unwrap(), entry[count].as_u64().unwrap()));
    json!(pairs.filter(|(_, count)| *count > 0).collect::<BTreeMap<_, _>>())
}

/// The figures of the report, in the form in which the independent computation gives them.
fn comparable(report: &Value) -> Value {
    let (totals, quality) = (&report["totals"], &report["quality"]);
    let sum = |list: &Value, name: &str| -> u64 {
        list.as_array().unwrap().iter().map(|entry| entry[name].as_u64().unwrap()).sum()
    };
    let picked = |value: &Value, names: &[&str]| -> Value {
        json!(names.iter().map(|name| (*name, value[*name].clone())).collect::<BTreeMap<_, _>>())
    };
    let rejects = &quality["rejects_by_reason"];
    let reasons =
        rejects["names"].as_array().unwrap().iter().zip(rejects["totals"].as_array().unwrap());
    json!({
        "findings": totals["findings"],
        "opened": totals["opened"],
        "closed": totals["closed"],
        "open": totals["open"],
        "state_unknown": totals["state_unknown"],
        "rows": totals["rows"],
        "severities": by_bucket(&report["severities"]),
        "categories": by_bucket(&report["categories"]),
        "opened_by_day": counts(&report["flow"], "from", "opened"),
        "closed_by_day": counts(&report["flow"], "from", "closed"),
        "time_to_close": picked(
            &report["time_to_close"],
            &["median_seconds", "p90_seconds", "longest_seconds"],
        ),
        "services": report["services"]["first"],
        "accounts": report["accounts"]["first"],
        "event_types": report["event_types"]["first"],
        "calendar": counts(&report["calendar"], "day", "count"),
        "upcoming": report["upcoming"]["total"],
        "exposure": {
            "credentials": sum(&report["exposure"]["accounts"], "credentials"),
            "abuse": sum(&report["exposure"]["accounts"], "abuse"),
            "risk": sum(&report["exposure"]["accounts"], "risk"),
        },
        "rejects": reasons
            .map(|(name, total)| (name.as_str().unwrap(), total.clone()))
            .collect::<BTreeMap<_, _>>(),
        "lag": picked(
            &quality["lag"],
            &["median_hours", "p90_hours", "p99_hours", "longest_hours"],
        ),
        "late": sum(&quality["late"], "count"),
        "days_without_arrivals": sum(&quality["gaps"], "days"),
    })
}

#[test]
fn the_figures_are_those_of_an_independent_computation() {
    let folder = tempfile::tempdir().unwrap();
    let lake = generated_lake(folder.path(), &[]);
    let cases: [(&str, &str, &[&str]); 3] = [
        ("2026-10-01", "2026-11-20", &[]),
        ("2026-11-01", "2026-12-15", &["--service", "ec2", "--service", "Inspector"]),
        ("2026-09-10", "2026-09-24", &[]),
    ];
    for (since, until, filter) in cases {
        let mut arguments = vec![text(&lake), since, until];
        arguments.extend(filter);
        let Some(expected) = python("foreign/report.py", &arguments) else { return };
        let mut options = vec!["--since", since, "--until", until];
        options.extend(filter);
        let found = comparable(&figures(&lake, &options));
        for (name, expected) in expected.as_object().unwrap() {
            assert_eq!(&found[name], expected, "{name}, {since} until {until} {filter:?}");
        }
        assert!(number(&found, "findings.now") > 0);
    }
}

#[test]
fn the_text_of_the_samples_is_its_golden_file() {
    let folder = tempfile::tempdir().unwrap();
    let lake = samples_lake(folder.path());
    let shown = report(&lake, "text", &["--days", "30"]).replace(text(&lake), "/lake");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/report.txt");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&golden, &shown).unwrap();
    }
    let expected = fs::read_to_string(&golden).unwrap();
    assert_eq!(shown, expected, "`UPDATE=1` rewrites {}", golden.display());
}

#[test]
fn a_report_is_the_same_however_the_lake_was_filled_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let whole = generated_lake(&one, &[]);
    let monthly = generated_lake(&two, &["--partition", "month", "--wave-objects", "25"]);
    let before = crate::program::files(&whole);
    let mut reports: Vec<Value> =
        [&whole, &whole, &monthly].iter().map(|lake| figures(lake, &["--days", "60"])).collect();
    assert_eq!(before, crate::program::files(&whole));
    assert_eq!(reports[0], reports[1]);
    for report in &mut reports {
        for name in ["lake", "commit", "read"] {
            report.as_object_mut().unwrap().remove(name);
        }
    }
    assert_eq!(reports[0], reports[2]);
    assert_eq!(report(&whole, "html", &[]), report(&whole, "html", &[]));
}

#[tokio::test]
async fn slices_of_time_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let lake = generated_lake(folder.path(), &[]);
    let store = open(text(&lake), &StoreOptions::default()).await.unwrap();
    let times = Times { since: None, until: None, days: 60 };
    let (accounts, services) = (Vec::new(), Vec::new());
    let options = ReportOptions { times, accounts, services, previous: true };
    let whole = report_in_slices(Arc::clone(&store), &options, usize::MAX).await.unwrap();
    let sliced = report_in_slices(Arc::clone(&store), &options, 9).await.unwrap();
    assert_eq!(whole, sliced);
}

#[test]
fn only_parts_of_the_period_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let lake = generated_lake(folder.path(), &[]);
    let in_days = |first: &str, last: &str| {
        let day = |path: &Path| text(path).split("dt=").nth(1).map(|rest| rest[..10].to_owned());
        let days = parts(&lake).into_keys().filter_map(|path| day(&path));
        days.filter(|day| day.as_str() >= first && day.as_str() <= last).count() as u64
    };
    // What must not be opened is not there.
    let options = ["--since", "2026-10-01", "--until", "2026-10-11", "--no-previous"];
    let expected = in_days("2026-10-01", "2026-10-10");
    for path in parts(&lake).into_keys() {
        let day = &text(&path).split("dt=").nth(1).unwrap()[..10];
        let newest = day > "2026-12-20" && text(&path).starts_with("findings");
        if !newest && !("2026-10-01"..="2026-10-10").contains(&day) {
            fs::remove_file(lake.join(&path)).unwrap();
        }
    }
    let figures = figures(&lake, &options);
    assert_eq!(number(&figures, "read.parts"), expected);
    assert!(number(&figures, "read.parts_in_lake") > 5 * expected);
    assert_eq!(figures["totals"]["findings"]["before"], Value::Null);
}

/// Text of an attacker: in each place that a report shows.
const HOSTILE: &str =
    "</title></style><script>alert(1)</script><img src=x onerror=alert(1)>'\\\" \\u001b[2J\\u202e";

#[test]
fn hostile_text_stays_text() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, lake) = (folder.path().join("archive"), folder.path().join("lake"));
    let event = |service: &str, category: &str, number: u32| {
        format!(
            r#"{{"version":"0","id":"{number}","detail-type":"AWS Health Event","source":"aws.health","account":"{HOSTILE}","time":"2026-11-21T07:00:00Z","region":"us-east-1","resources":[],"detail":{{"eventArn":"arn:aws:health:us-east-1::event/{number}","service":"{service}","eventTypeCode":"{HOSTILE}","eventTypeCategory":"{category}","communicationId":"c-1","startTime":"Mon, 1 Mar 2027 00:00:00 GMT","statusCode":"{HOSTILE}","eventRegion":"{HOSTILE}","affectedAccount":"{HOSTILE}"}}}}"#
        )
    };
    let finding = format!(
        r#"{{"SchemaVersion":"2018-10-08","Id":"x","ProductArn":"arn:aws:securityhub:us-east-1::product/aws/x","GeneratorId":"{HOSTILE}","AwsAccountId":"{HOSTILE}","Types":[],"CreatedAt":"2026-11-21T06:00:00Z","UpdatedAt":"2026-11-21T06:30:00Z","Title":"{HOSTILE}","Description":"d","Severity":{{"Label":"{HOSTILE}"}},"Resources":[],"ProductName":"RISK"}}"#
    );
    let documents = [
        event("EC2", "scheduledChange", 1),
        event("ABUSE", HOSTILE, 2),
        event(HOSTILE, "issue", 3),
        finding,
    ];
    write(&archive, "2026/11/21/07/x-2026-11-21.json", documents.concat().as_bytes());
    run(text(&archive), text(&lake), &["--products", "all"], 0);
    let html = report(&lake, "html", &[]);
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    for part in ["<script", "<img", "onerror=alert(1)>", "\u{1b}", "\u{202e}"] {
        assert!(!html.contains(part), "{part:?} is in the page");
    }
    assert_eq!(html.matches("</style>").count(), 1 + html.matches("<style>.ct-tip").count());
    for part in ["http:", "https:", "url(", "@import", "src=", "href=\"h"] {
        let found = html.replace("http://www.w3.org/2000/svg", "").replace("&lt;img src=x", "");
        assert!(!found.contains(part), "{part:?} is in the page");
    }
    assert!(html.contains("default-src &#39;none&#39;") || html.contains("default-src 'none'"));
    let shown = report(&lake, "text", &[]);
    assert!(!shown.contains(['\u{1b}', '\u{202e}']));
}

#[test]
fn numbers_of_the_page_are_those_of_the_json() {
    let folder = tempfile::tempdir().unwrap();
    let lake = samples_lake(folder.path());
    let (figures, html) = (figures(&lake, &[]), report(&lake, "html", &[]));
    for (name, path) in [
        ("findings", "totals.findings.now"),
        ("closed", "totals.closed.now"),
        ("rejects", "quality.rejects"),
    ] {
        let card = format!("<dt>{name}</dt><dd>{}<", number(&figures, path));
        assert!(html.contains(&card), "{card}");
    }
    for ranked in figures["services"]["first"].as_array().unwrap() {
        let name = format!("<bdi>{}</bdi>", ranked["name"].as_str().unwrap());
        let row = html.split(&name).nth(1).unwrap();
        assert!(row.contains(&format!("<td class=\"n\">{}</td>", ranked["now"])), "{ranked}");
    }
}

#[test]
fn what_cannot_be_reported_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let lake = samples_lake(folder.path());
    let table: [(&[&str], i32, &str); 5] = [
        (&["--lake", text(folder.path())], 2, "there is no lake"),
        (
            &["--lake", text(&lake), "--since", "2026-11-21", "--until", "2026-11-21"],
            1,
            "has no day",
        ),
        (&["--lake", text(&lake), "--since", "yesterday"], 2, "is no day; write it as"),
        (&["--lake", text(&lake), "--days", "0"], 2, "0 is not in 1..=36600"),
        (&["--lake", text(&lake), "--since", "1970-01-01", "--until", "2090-01-01"], 1, "too long"),
    ];
    for (options, code, message) in table {
        let mut arguments = vec!["report"];
        arguments.extend(options);
        let ran = healthtrail(&arguments);
        assert_eq!(ran.code, code, "{}", ran.stderr);
        assert!(ran.stderr.contains(message), "{}", ran.stderr);
    }
}
