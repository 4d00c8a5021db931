//! One test for each bug that was found and mended, by number; each says what went wrong.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use healthtrail::archive::read::{ObjectReader, ReadOptions, check};
use healthtrail::finding::limits::CountLimits;
use healthtrail::finding::place::Place;
use healthtrail::finding::product::Products;
use healthtrail::finding::rows::RowsBuilder;
use healthtrail::finding::tally::Tally;
use healthtrail::job::run::run as run_job;
use healthtrail::store::{Fault, Faulty, Memory, Store, StoreErrorKind};

use crate::failing;
use crate::firehose_server::Server;
use crate::program::{
    command, gzip, health_event, healthtrail, key, number, rows, run, text, write,
};
use crate::stores::{keys, put};

fn record(bytes: &[u8]) -> String {
    let data = base64::engine::general_purpose::STANDARD.encode(bytes);
    format!(r#"{{"attemptsMade":4,"errorCode":"x","rawData":"{data}"}}"#)
}

/// Reads one object; its tally, and the bytes of its rows.
fn read(bytes: &[u8], document_bytes_max: usize) -> (Tally, usize) {
    let place = Place { object: "s3://b/k".into(), etag: "e".into(), arrived_hour_ms: 0 };
    let options = ReadOptions {
        products: Products::All,
        object_bytes_max: 1 << 30,
        document_bytes_max,
        counts: CountLimits::DEFAULT,
    };
    let mut reader = ObjectReader::new(Box::new(bytes), place, &options);
    let (mut rows, mut rejects) = (RowsBuilder::new(), Vec::new());
    while reader.step(&mut rows, &mut rejects).unwrap().is_some() {}
    check(reader.tally()).unwrap();
    (reader.into_tally(), rows.bytes())
}

/// An archive of one event in a folder, and where its lake may lie.
fn archive(folder: &Path) -> (String, String) {
    let event = health_event(1, "2026-08-01", "111122223333");
    write(&folder.join("archive"), &key("2026-08-01", 1, 1), event.as_bytes());
    (text(&folder.join("archive")).to_owned(), text(&folder.join("lake")).to_owned())
}

/// A Firehose record of some kilobytes, gzip inside, became half a million rows at once: far beyond
/// `--memory`, and with one more record around it a panic that stopped every run over the archive.
#[test]
fn r001_one_document_becomes_no_more_rows_than_memory_allows() {
    let finding = r#"{"ProductArn":"p","Id":"i","UpdatedAt":"2026-11-24"}"#;
    let object = record(&gzip(finding.repeat(60_000).as_bytes()));
    assert!(object.len() < 100_000);
    let (tally, bytes) = read(object.as_bytes(), 1 << 20);
    assert_eq!(tally.findings.read, 60_000);
    assert!(tally.by_reason.0["document_too_large"] > 0, "{tally:?}");
    assert!(bytes <= 17 << 20, "{bytes}");
}

/// Each Firehose record might unfold to 64 MiB, records inside records too: an object of 150 KB kept a
/// thread busy for hours.
#[test]
fn r002_the_records_of_one_document_share_a_bound() {
    // Zeros behind a gzip member are passed over: most of the work is in the layer below the content.
    let event = health_event(1, "2026-08-01", "111122223333");
    let padded = [gzip(event.as_bytes()), vec![0; 3 << 20]].concat();
    let inner = record(&gzip(&padded));
    let (tally, _) = read(record(&gzip(inner.repeat(4).as_bytes())).as_bytes(), 128 << 10);
    assert_eq!(tally.findings.rows, 2, "{tally:?}");
    assert_eq!(tally.by_reason.0["object_too_large"], 3, "{tally:?}");
}

/// Field names out of the archive went to the terminal as they were, escape sequences and line breaks
/// among them; keys in error messages too.
#[test]
fn r003_text_of_an_archive_does_not_steer_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, lake) = archive(folder.path());
    let event = health_event(2, "2026-08-01", "111122223333");
    let event = event.replace("\"service\"", "\"\\u001b[31m\\nred\":1,\"service\"");
    write(Path::new(&archive), "2026/08/01/x", event.as_bytes());
    let ran = healthtrail(&["run", "--from", &archive, "--to", &lake, "--progress", "none"]);
    assert!(ran.stdout.contains("unknown    health.\u{fffd}[31m\u{fffd}red 1"), "{}", ran.stdout);
    assert!(!ran.stdout.contains('\u{1b}'));
    let ran = healthtrail(&["run", "--from", "no\u{1b}[31m\nsuch", "--to", &lake]);
    assert_eq!(ran.code, 1);
    assert!(!ran.stderr.contains('\u{1b}'), "{}", ran.stderr);
}

/// `HEALTHTRAIL_DRY_RUN=1` and a variable set to nothing, as schedulers set them, were usage errors.
#[test]
fn r004_flags_take_one_and_empty_variables_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, lake) = archive(folder.path());
    let dry = |value: &str| {
        let mut command = command();
        command.args(["run", "--from", &archive, "--to", &lake]);
        command.env("HEALTHTRAIL_DRY_RUN", value).env("HEALTHTRAIL_PROGRESS", "none");
        for name in ["SINCE", "PARTITION", "ENDPOINT_URL", "EXPECTED_BUCKET_OWNER", "LOG", "MEMORY"]
        {
            command.env(format!("HEALTHTRAIL_{name}"), "");
        }
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{value}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap().starts_with("would read 1 ")
    };
    for (value, is_dry) in [("1", true), ("true", true), ("yes", true), ("0", false), ("", false)] {
        assert_eq!(dry(value), is_dry, "{value}");
        drop(fs::remove_dir_all(&lake));
    }
}

/// A glob such as `*.{tmp,bak}` was cut at its comma; and a glob that is none, or hours the wrong way
/// round, ended with exit code 1, as if another try might help.
#[test]
fn r005_globs_keep_their_commas_and_wrong_usage_ends_with_two() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, lake) = archive(folder.path());
    for name in ["a.tmp", "b.bak", "c.old"] {
        write(Path::new(&archive), name, b"x");
    }
    let summary = run(&archive, &lake, &["--exclude", "*.{tmp,bak},*.old"], 0);
    assert_eq!((number(&summary, "objects.skipped"), number(&summary, "objects.read")), (3, 1));
    let wrong: [&[&str]; 3] = [
        &["--exclude", "*.{tmp"],
        &["--since", "2026-08-02", "--until", "2026-08-01"],
        &["--since", "2026-08-02", "--until", "2026-08-02"],
    ];
    for options in wrong {
        let arguments = ["run", "--from", &archive, "--to", &lake];
        let ran = healthtrail(&[&arguments, options].concat());
        assert_eq!(ran.code, 2, "{options:?} {}", ran.stderr);
    }
}

/// A run that came to its end just when the deadline passed said that objects were left.
#[test]
fn r006_a_deadline_is_reached_only_where_something_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, lake) = archive(folder.path());
    let summary = run(&archive, &lake, &["--deadline", "0s", "--wave-objects", "1"], 0);
    assert_eq!((number(&summary, "objects.left"), number(&summary, "objects.read")), (0, 1));
    assert_eq!(summary["deadline_reached"], false);
}

/// An event of Health whose `detail` is text or missing was passed over as of no known shape, and so
/// lost from sight; it is a known shape without identity.
#[test]
fn r007_an_event_without_its_detail_is_a_reject() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, lake) = (folder.path().join("archive"), folder.path().join("lake"));
    let mut events = String::new();
    for detail in ["\"{\\\"eventArn\\\":\\\"a\\\"}\"", "null", "[]"] {
        writeln!(
            events,
            r#"{{"source":"aws.health","detail-type":"AWS Health Event","detail":{detail}}}"#
        )
        .unwrap();
    }
    write(&archive, "x", events.as_bytes());
    let summary = run(text(&archive), text(&lake), &[], 0);
    assert_eq!(number(&summary, "by_reason.no_identity"), 3);
    assert_eq!(rows(&lake, "rejects").len(), 3);
}

/// `--from` was cut at commas, so that a folder or prefix with one in its name could not be given.
#[test]
fn r008_only_the_variable_of_archives_is_cut_at_commas() {
    let folder = tempfile::tempdir().unwrap();
    let (comma, plain) = (folder.path().join("a,b"), folder.path().join("c"));
    for (number, archive) in [(1, &comma), (2, &plain)] {
        let event = health_event(number, "2026-08-01", "111122223333");
        write(archive, &key("2026-08-01", 1, number), event.as_bytes());
    }
    let lake = folder.path().join("lake");
    let both = run(text(&comma), text(&lake), &["--from", text(&plain)], 0);
    assert_eq!(number(&both, "objects.read"), 2);
    let other = folder.path().join("d");
    write(&other, "x", b"{}");
    let ran = command()
        .args(["run", "--to", text(&lake), "--progress", "none", "--summary", "-"])
        .env("HEALTHTRAIL_FROM", format!("{},{},", text(&plain), text(&other)))
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let summary: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!((number(&summary, "objects.in_ledger"), number(&summary, "objects.read")), (1, 1));
}

/// Members of an EventBridge event that no column has were in no count, and an account or Region that
/// is a number was lost without a word.
#[test]
fn r009_members_of_the_envelope_are_counted() {
    let event = health_event(1, "2026-08-01", "111122223333").replacen(
        "\"region\":\"us-east-1\"",
        "\"region\":7,\"replay-name\":\"r\"",
        1,
    );
    let (tally, _) = read(event.as_bytes(), 1 << 20);
    assert_eq!(tally.unknown_fields.0["event.replay-name"], 1, "{tally:?}");
    assert_eq!(tally.unreadable_fields.0["sent_to_region"], 1, "{tally:?}");
}

/// A summary that could not be written was told after the whole run, and the run's figures with it.
#[test]
fn r010_a_summary_that_cannot_be_written_is_told_before_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, lake) = archive(folder.path());
    let summary = folder.path().join("no/such/folder/summary.json");
    let ran = healthtrail(&["run", "--from", &archive, "--to", &lake, "--summary", text(&summary)]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("summary.json"), "{}", ran.stderr);
    assert!(!Path::new(&lake).exists(), "nothing was done");
}

/// A setting of the SDK that makes no sense ended the program in a panic of the SDK.
#[test]
fn r018_settings_of_retries_for_other_programs_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    for (name, value) in [("AWS_MAX_ATTEMPTS", "0"), ("AWS_RETRY_MODE", "stubborn")] {
        let mut command = command();
        // Nothing answers on the port of discarding.
        let endpoint = ["--endpoint-url", "http://127.0.0.1:9", "--s3-attempts", "1"];
        command.args(["run", "--from", "s3://bucket/archive", "--to", text(folder.path())]);
        command.args(endpoint).env(name, value);
        command.env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "b");
        let ran = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(1), "{name}: {stderr}");
        assert!(stderr.contains("s3://bucket/archive"), "{name}: {stderr}");
        assert!(stderr.contains("there was no answer"), "{name}: {stderr}");
    }
}

/// A copy that was answered with 404 although its source is there was recorded as damage, for good.
#[tokio::test(flavor = "multi_thread")]
async fn r019_a_404_is_no_damage_while_what_was_staged_is_there() {
    let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
    let archive: Arc<dyn Store> = Arc::new(failing::archive(2).await);
    let faulty = Arc::new(Faulty::new(Arc::clone(&lake)));
    faulty.add(Fault::at(1, StoreErrorKind::NotFound).only("copy_new", ""));
    let store: Arc<dyn Store> = faulty.clone();
    let summary = run_job(&failing::options(&archive, &store)).await.unwrap();
    assert_eq!((summary.findings.added, summary.commits), (2, 1));
    assert_eq!(keys(&*lake, "findings/").await.len(), 1);

    // For ever it is an error, which the next run mends.
    let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
    let faulty = Arc::new(Faulty::new(Arc::clone(&lake)));
    faulty.add(Fault::at(1, StoreErrorKind::NotFound).only("copy_new", "").forever());
    let store: Arc<dyn Store> = faulty.clone();
    let error = run_job(&failing::options(&archive, &store)).await.unwrap_err();
    assert!(format!("{error:#}").contains("copying `memory://lake/"), "{error:#}");
    let copies = faulty.operations().iter().filter(|one| one.name == "copy_new").count();
    assert_eq!(copies, 3);
    faulty.heal();
    assert_eq!(run_job(&failing::options(&archive, &store)).await.unwrap().objects.in_ledger, 2);
    assert_eq!(keys(&*lake, "findings/").await.len(), 1);
}

/// With a store that had gone silent, a run went on to ask for every object of its plan, minutes for each.
#[tokio::test(flavor = "multi_thread")]
async fn r020_a_store_that_is_silent_ends_the_run() {
    let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
    let archive = Memory::new("archive");
    for number in 0..400 {
        let event = health_event(number, "2026-08-01", "111122223333");
        put(&archive, &key("2026-08-01", number % 24, number), event).await;
    }
    let archive = Arc::new(Faulty::new(Arc::new(archive)));
    archive.add(Fault::at(101, StoreErrorKind::Unavailable).only("get", "").forever());
    let store: Arc<dyn Store> = archive.clone();
    let mut options = failing::options(&store, &lake);
    options.wave_objects = Some(10);
    let error = format!("{:#}", run_job(&options).await.unwrap_err());
    assert!(error.contains("objects in a row had no answer"), "{error}");
    assert!(error.contains("run again") && error.contains("reading `memory://archive/"), "{error}");
    let gets = archive.operations().iter().filter(|one| one.name == "get").count();
    assert!(gets < 300, "{gets}");

    archive.heal();
    let summary = run_job(&options).await.unwrap();
    assert!(summary.objects.in_ledger >= 90, "what was read is kept: {summary:?}");
    assert_eq!(summary.objects.in_ledger + summary.findings.added, 400);
}

/// A run whose rows were all in the lake failed when it could not delete what was staged, or write a
/// checkpoint, which are for the next run as well.
#[tokio::test(flavor = "multi_thread")]
async fn r021_what_cannot_be_tidied_up_fails_no_run() {
    let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
    let archive: Arc<dyn Store> = Arc::new(failing::archive(20).await);
    let faulty = Arc::new(Faulty::new(Arc::clone(&lake)));
    faulty.add(Fault::at(1, StoreErrorKind::Denied).only("delete", "").forever());
    faulty.add(Fault::at(1, StoreErrorKind::Denied).only("put", "checkpoints/").forever());
    let store: Arc<dyn Store> = faulty.clone();
    let mut options = failing::options(&archive, &store);
    options.wave_objects = Some(1);
    let summary = run_job(&options).await.unwrap();
    assert_eq!((summary.findings.added, summary.commits), (20, 20));
    assert!(!keys(&*lake, "_healthtrail/staging/").await.is_empty());
    assert!(keys(&*lake, "_healthtrail/checkpoints/").await.is_empty());

    faulty.heal();
    run_job(&options).await.unwrap();
    assert!(keys(&*lake, "_healthtrail/staging/").await.is_empty());
    assert_eq!(keys(&*lake, "_healthtrail/checkpoints/").await.len(), 1);
}

/// `doctor` took `firehose://STREAM`, which `run` reads, for the name of a folder.
#[test]
fn r037_doctor_looks_at_streams_too() {
    let server = Server::start(
        &serde_json::json!({ "DataFormatConversionConfiguration": { "Enabled": true } }),
    );
    let doctor = |stream: &str| {
        // Nothing answers there: what comes of the archive is another test's.
        let reach = ["--endpoint-url", "http://127.0.0.1:9", "--s3-attempts", "1"];
        let mut program = server.program();
        let output =
            program.args(["doctor", "--json", "--from", stream]).args(reach).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let missing = doctor("firehose://nobody");
    assert!(missing.contains("there is no such stream"), "{missing}");
    let converts = doctor("firehose://health-events");
    for said in ["it is ACTIVE and fills s3://elsewhere", "to Parquet or ORC", "docs/firehose.md"] {
        assert!(converts.contains(said), "{said}\n{converts}");
    }
}

/// What `ddl` refused ended with 1, which says that running again is the thing to do.
#[test]
fn r038_ddl_ends_with_2_when_it_is_asked_for_what_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let lake = text(&lake);
    let ddl = |more: &[&str]| healthtrail(&[&["ddl", "--lake", lake][..], more].concat());
    let place = ["--location", "s3://b/lake"];
    fs::create_dir(lake).unwrap();
    assert!(ddl(&place).stderr.contains("there is no lake"));
    assert_eq!(ddl(&place).code, 2);
    run("samples/archive", lake, &[], 0);
    for (more, said) in [
        (&[][..], "say where its files will lie"),
        (&["--if-changed"], "say where its files will lie"),
        (&["--engine", "duckdb", "--database", "d"], "is for Athena"),
        (
            &["--catalog", "glue-json", "--views", "--location", "s3://b/lake"],
            "Glue takes views only",
        ),
    ] {
        let refused = ddl(more);
        assert_eq!(refused.code, 2, "{more:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(said), "{more:?}: {}", refused.stderr);
    }
    assert_eq!(ddl(&place).code, 0);
}
