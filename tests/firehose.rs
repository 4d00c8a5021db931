//! Firehose streams: replaying into one that fails in every way, and reading what one fills.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::firehose_server::{Fault, Server};
use crate::program::{Ran, files, gzip, health_event, number, run, text, write};
use crate::stores::{put, with_s3};

const UUID: &str = "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0";
const TO: &str = "firehose://health-events@us-east-1";

fn ran(server: &Server, arguments: &[&str]) -> Ran {
    let output = server.program().args(arguments).output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs `replay --json` and gives what it says; the exit code must be `code`.
fn replay(server: &Server, options: &[&str], code: i32) -> Value {
    let arguments =
        [&["replay", "--to", TO, "--json", "--bytes-per-second", "1GiB"], options].concat();
    let fast = [&arguments[..], &["--records-per-second", "1000000"]].concat();
    let ran = ran(server, &fast);
    assert_eq!(ran.code, code, "{fast:?}\n{}\n{}", ran.stdout, ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap_or(Value::Null)
}

fn event(number: u32) -> Vec<u8> {
    health_event(number, "2026-08-01", "111122223333").into_bytes()
}

fn sorted(mut records: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    records.sort();
    records
}

/// Writes so many objects with so many events each, and gives all events.
fn archive(folder: &Path, objects: u32, events: u32) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for object in 0..objects {
        let these: Vec<Vec<u8>> =
            (0..events).map(|number| event(object * events + number)).collect();
        let key = format!("2026/08/01/{object:02}/s-1-2026-08-01-{object:02}-00-00-{UUID}.gz");
        write(folder, &key, &gzip(&these.concat()));
        all.extend(these);
    }
    sorted(all)
}

#[test]
fn every_document_is_sent_as_it_stands_and_what_cannot_be_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = text(folder.path());
    let spaced = br#"{ "odd" : [1,  2.50, "\u00e9"] , "detail":{} }"#.to_vec();
    let record = json!({ "attemptsMade": 4, "arrivalTimestamp": 1, "errorCode": "Lambda.JsonProcessingException",
        "errorMessage": "x", "attemptEndingTimestamp": 2, "rawData": BASE64.encode(event(7)) });
    let record = record.to_string().into_bytes();
    let binary =
        json!({ "attemptsMade": 1, "errorCode": "x", "rawData": BASE64.encode([0_u8, 159, 146]) });
    let broken = json!({ "attemptsMade": 1, "errorCode": "x", "rawData": "%%%" }).to_string();
    let empty = json!({ "attemptsMade": 1, "errorCode": "x", "rawData": "" }).to_string();
    let large = format!("{{\"pad\":\"{}\"}}", "x".repeat(1_024_000));
    let fits = format!("{{\"pad\":\"{}\"}}", "x".repeat(1_024_000 - 10));
    write(folder.path(), "a.json", &[&event(1)[..], b"\n", &spaced, &event(1)].concat());
    write(folder.path(), "b.gz", &gzip(&[&record[..], binary.to_string().as_bytes()].concat()));
    write(folder.path(), "c.json", &[broken.as_bytes(), empty.as_bytes(), &event(2)].concat());
    write(folder.path(), "d.json", &[large.as_bytes(), fits.as_bytes()].concat());
    write(folder.path(), "e.json", &[&event(3)[..], b"{\"cut\":"].concat());
    let server = Server::start(&json!({}));

    let from = ["--from", at];
    let told = replay(&server, &from, 3);
    let original = sorted(vec![
        event(1),
        spaced.clone(),
        event(1),
        event(7),
        vec![0, 159, 146],
        event(2),
        fits.clone().into_bytes(),
        event(3),
    ]);
    assert_eq!(server.taken(), original);
    assert_eq!(number(&told, "counts.read"), 12);
    assert_eq!(number(&told, "counts.sent"), 8);
    let bytes: usize = original.iter().map(Vec::len).sum();
    assert_eq!(number(&told, "counts.sent_bytes"), bytes as u64);
    assert_eq!(told["counts"]["skipped"], json!({ "empty": 1, "too_large": 1, "unreadable": 2 }));
    let places: BTreeMap<String, (u64, u64)> = told["not_sent"]
        .as_array()
        .unwrap()
        .iter()
        .map(|lost| {
            let object = lost["object"].as_str().unwrap().rsplit('/').next().unwrap();
            let name = format!("{object} {}", lost["reason"].as_str().unwrap());
            (name, (number(lost, "offset"), number(lost, "length")))
        })
        .collect();
    let expected = [
        ("c.json unreadable", (0, broken.len() as u64)),
        ("d.json too_large", (0, large.len() as u64)),
        ("e.json unreadable", (event(3).len() as u64, 7)),
    ];
    assert_eq!(places, expected.map(|(name, place)| (name.to_owned(), place)).into());

    // A dry run says the same and sends nothing.
    let dry = replay(&server, &[&from[..], &["--dry-run"]].concat(), 3);
    assert_eq!(dry["counts"], told["counts"]);
    assert_eq!((server.taken().len(), number(&dry, "requests")), (0, 0));

    let whole = replay(&server, &[&from[..], &["--error-records", "whole"]].concat(), 3);
    assert!(server.taken().contains(&record));
    assert_eq!(whole["counts"]["skipped"], json!({ "too_large": 1, "unreadable": 1 }));
    let skip = replay(&server, &[&from[..], &["--error-records", "skip"]].concat(), 3);
    assert_eq!(
        skip["counts"]["skipped"],
        json!({ "error_record": 4, "too_large": 1, "unreadable": 1 })
    );
}

/// Partial failures, throttling and server errors: each record is taken exactly once.
#[test]
fn records_that_are_not_taken_are_put_again_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let all = archive(folder.path(), 3, 450);
    let server = Server::start(&json!({}));
    let faults = [
        Fault::Error(400, "ThrottlingException"),
        Fault::Every(3),
        Fault::Every(2),
        Fault::Error(503, "ServiceUnavailableException"),
        Fault::Every(1),
        Fault::Every(7),
        Fault::Error(500, "InternalFailure"),
    ];
    server.fail(&faults, None);
    let told = replay(&server, &["--from", text(folder.path())], 0);
    assert_eq!(server.taken(), all);
    let requests = server.requests();
    assert_eq!(number(&told, "requests"), requests.len() as u64);
    let put: usize = requests.iter().map(|(records, _)| records).sum();
    assert_eq!(number(&told, "put_again"), (put - all.len()) as u64);
    assert!(requests.iter().any(|(records, _)| *records < 300), "only what failed is put again");
    assert_eq!(number(&told, "counts.sent"), 1_350);
}

#[test]
fn a_record_that_is_refused_for_good_is_named_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let all = archive(folder.path(), 1, 5);
    let server = Server::start(&json!({}));
    server.fail(&[Fault::Refuse(3)], None);
    let told = replay(&server, &["--from", text(folder.path())], 3);
    assert_eq!(server.taken().len(), all.len() - 1);
    assert_eq!(number(&told, "counts.refused"), 1);
    assert_eq!(told["not_sent"][0]["reason"], "SomethingForGood");
    assert_eq!(number(&told["not_sent"][0], "offset"), 3 * event(0).len() as u64);
}

/// However a replay is stopped: with its state it goes on, misses nothing, and sends one batch twice at most.
#[test]
fn a_stopped_replay_goes_on_where_it_was() {
    for lost in [Fault::Error(400, "AccessDeniedException"), Fault::TakenAndLost] {
        let folder = tempfile::tempdir().unwrap();
        let (from, state) = (folder.path().join("archive"), folder.path().join("state.json"));
        let all = archive(&from, 4, 400);
        let options = ["--from", text(&from), "--state", text(&state)];
        let server = Server::start(&json!({}));
        let mut taken = Vec::new();
        for after in [0, 1, 1] {
            // So many batches are taken; then, if that is what happens, one more that is not told.
            let mut faults = vec![Fault::Take; after];
            faults.push(lost);
            server.fail(&faults, Some(Fault::Error(400, "AccessDeniedException")));
            drop(replay(&server, &options, 1));
            taken.extend(server.taken());
        }
        server.fail(&[], None);
        let told = replay(&server, &options, 0);
        assert_eq!((number(&told, "counts.sent"), told["resumed"].as_bool()), (1_600, Some(true)));
        taken.extend(server.taken());
        let mut times: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for record in &taken {
            *times.entry(record.clone()).or_default() += 1;
        }
        let expected: Vec<&Vec<u8>> = all.iter().collect();
        assert_eq!(times.keys().collect::<Vec<_>>(), expected, "{lost:?}");
        // Three times it was stopped, each time one batch at most.
        assert!(taken.len() - all.len() <= 3 * 500, "{lost:?}: {}", taken.len());

        // Done is done; what comes later is sent by itself.
        let told = replay(&server, &options, 0);
        assert_eq!((server.taken().len(), number(&told, "counts.sent")), (0, 1_600));
        write(&from, "later.json", &event(9_999));
        let told = replay(&server, &options, 0);
        assert_eq!(number(&told, "counts.sent"), 1_601);
        assert_eq!(server.taken(), [event(9_999)]);

        // The state is that of this replay alone.
        let other = [&options[..], &["--error-records", "whole"]].concat();
        drop(replay(&server, &other, 2));
        assert_eq!(server.taken().len(), 0);
    }
}

/// SIGKILL while a batch is under way, twice, then SIGTERM, which ends it with 1: its state stays whole and says what was taken for sure, nothing is
/// missed, and of each batch that got no answer the records come twice.
#[cfg(unix)]
#[test]
fn a_killed_replay_goes_on_where_its_state_says() {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    let folder = tempfile::tempdir().unwrap();
    let (from, state) = (folder.path().join("archive"), folder.path().join("state.json"));
    let all = archive(&from, 4, 400);
    let server = Server::start(&json!({}));
    let silent = server.silent();
    let rate = ["--bytes-per-second", "1GiB", "--records-per-second", "1000000"];
    let options = ["--from", text(&from), "--state", text(&state)];
    let mut taken = Vec::new();
    for (signal, faults, sent) in [
        ("-KILL", &[Fault::Take, Fault::TakenAndSilent][..], 500),
        ("-KILL", &[Fault::Take, Fault::TakenAndSilent], 1_000),
        ("-TERM", &[Fault::TakenAndSilent], 1_000),
    ] {
        server.fail(faults, None);
        let replay = [&["replay", "--to", TO][..], &options, &rate].concat();
        let quiet = || Stdio::null();
        let mut running =
            server.program().args(replay).stdout(quiet()).stderr(quiet()).spawn().unwrap();
        silent.recv_timeout(Duration::from_mins(1)).unwrap();
        let id = running.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        let ended = running.wait().unwrap();
        let expected = if signal == "-KILL" { (Some(9), None) } else { (None, Some(1)) };
        assert_eq!((ended.signal(), ended.code()), expected);
        let kept: Value = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
        assert_eq!(number(&kept, "counts.sent"), sent);
        taken.extend(server.taken());
    }
    assert_eq!(server.requests().len(), 5);
    let told = replay(&server, &options, 0);
    assert_eq!((number(&told, "counts.sent"), told["resumed"].as_bool()), (1_600, Some(true)));
    let last: Vec<usize> = server.requests().into_iter().map(|(records, _)| records).collect();
    assert_eq!(last, [500, 100], "it begins behind what the state says");
    taken.extend(server.taken());
    assert_eq!(taken.len(), all.len() + 3 * 500);
    taken.sort();
    taken.dedup();
    assert_eq!(taken, all);
}

#[test]
fn a_stream_that_takes_nothing_any_more_ends_the_replay_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    archive(folder.path(), 1, 3);
    let server = Server::start(&json!({}));
    server.fail(&[], Some(Fault::Error(400, "InvalidArgumentException")));
    let ran = ran(&server, &["replay", "--to", TO, "--from", text(folder.path())]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("DirectPut"), "{}", ran.stderr);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn batches_keep_their_bounds_and_the_rate() {
    let folder = tempfile::tempdir().unwrap();
    archive(folder.path(), 2, 600);
    let large = format!("{{\"pad\":\"{}\"}}", "x".repeat(700_000));
    write(folder.path(), "large.json", large.repeat(9).as_bytes());
    let server = Server::start(&json!({}));
    // The server itself refuses what is over the limits.
    replay(&server, &["--from", text(folder.path())], 0);
    let requests = server.requests();
    assert!(requests.iter().any(|(records, _)| *records == 500), "{requests:?}");
    assert!(requests.iter().any(|(_, bytes)| *bytes > 3 << 20), "{requests:?}");
    let slow =
        ["--bytes-per-second", "1MiB", "--records-per-second", "100", "--exclude", "large.json"];
    let ran = ran(
        &server,
        &[
            &["replay", "--to", TO, "--from", text(folder.path()), "--until", "2026-08-01T01"],
            &slow[..],
        ]
        .concat(),
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let requests = server.requests();
    assert_eq!(requests.iter().map(|(records, _)| *records).collect::<Vec<_>>(), [100; 6]);
}

#[test]
fn what_a_lake_has_rejected_can_be_sent() {
    let folder = tempfile::tempdir().unwrap();
    let (from, lake) = (folder.path().join("archive"), folder.path().join("lake"));
    let no_time = br#"{"detail-type":"AWS Health Event","source":"aws.health","detail":{"eventArn":"arn:aws:health:us-east-1::event/RDS/A/A_1","service":"RDS"}}"#;
    write(&from, "a.json", &[&event(1)[..], no_time, b"not json\n", &event(2)].concat());
    run(text(&from), text(&lake), &[], 0);
    let server = Server::start(&json!({}));
    let rejects = ["--rejects", text(&lake)];
    let told = replay(&server, &rejects, 0);
    let sent = server.taken();
    assert_eq!(number(&told, "counts.read"), number(&told, "counts.sent"));
    assert!(sent.contains(&no_time.to_vec()), "{sent:?}");
    assert_eq!(sent.len(), 2, "{sent:?}");
    let state = folder.path().join("state.json");
    let some = [&rejects[..], &["--reason", "no_time", "--state", text(&state)]].concat();
    replay(&server, &some, 0);
    assert_eq!(server.taken(), [no_time.to_vec()]);
    replay(&server, &some, 0);
    assert_eq!(server.taken().len(), 0);
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    archive(folder.path(), 1, 1);
    let at = text(folder.path());
    let server = Server::start(&json!({ "Prefix": "health/" }));
    let table: [(&[&str], i32, &str); 7] = [
        (&["replay", "--from", at, "--to", "s3://bucket"], 2, "firehose://STREAM"),
        (&["replay", "--from", at, "--to", "firehose://a/b"], 2, "1 to 64 letters"),
        (&["replay", "--from", at, "--to", "firehose://nobody"], 1, "there is no such stream"),
        (&["replay", "--from", at, "--to", TO, "--failed"], 2, "--failed is about streams"),
        (&["replay", "--to", TO], 2, "--from"),
        (&["replay", "--from", at, "--rejects", at, "--to", TO], 2, "cannot be used with"),
        (&["replay", "--rejects", at, "--to", TO], 2, "there is no lake"),
    ];
    for (arguments, code, message) in table {
        let ran = ran(&server, arguments);
        assert_eq!(ran.code, code, "{arguments:?}\n{}", ran.stderr);
        assert!(ran.stderr.contains(message), "{arguments:?}\n{}", ran.stderr);
    }
    server.describe("DeliveryStreamType", json!("KinesisStreamAsSource"));
    let ran = ran(&server, &["replay", "--from", at, "--to", TO]);
    assert!(ran.code == 2 && ran.stderr.contains("KinesisStreamAsSource"), "{}", ran.stderr);
    assert_eq!(server.requests(), []);
}

/// An archive as Firehose lays it out, with failed records and copies of the source records, in a bucket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stream_fills_is_read_as_if_it_had_been_named() {
    with_s3(|uri, options| async move {
        let bucket = uri.split('/').nth(2).unwrap().to_owned();
        let all = healthtrail::store::open(&format!("s3://{bucket}"), &options).await.unwrap();
        let name = |minute: u32| format!("2026/08/01/05/health-events-1-2026-08-01-05-{minute:02}-00-{UUID}");
        let failed = json!({ "attemptsMade": 4, "errorCode": "x", "rawData": BASE64.encode(event(3)) });
        put(&*all, &format!("health{}", name(1)), event(1)).await;
        put(&*all, &format!("health{}", name(2)), event(2)).await;
        put(&*all, &format!("processing-failed/{}", name(3)), failed.to_string()).await;
        put(&*all, &format!("health-copy/{}", name(4)), event(4)).await;
        put(&*all, &format!("other/{}", name(5)), event(5)).await;
        let s3 = json!({
            "BucketARN": format!("arn:aws:s3:::{bucket}"),
            "Prefix": "health",
            "ErrorOutputPrefix": "!{firehose:error-output-type}/",
            "CustomTimeZone": "Europe/Berlin",
            "S3BackupMode": "Enabled",
            "S3BackupDescription": {
                "RoleARN": "r", "BucketARN": format!("arn:aws:s3:::{bucket}"), "Prefix": "health-copy/",
                "BufferingHints": { "IntervalInSeconds": 300, "SizeInMBs": 5 },
                "CompressionFormat": "UNCOMPRESSED",
                "EncryptionConfiguration": { "NoEncryptionConfig": "NoEncryption" },
            },
        });
        tokio::task::spawn_blocking(move || as_named(&s3, &bucket, &options)).await.unwrap();
    })
    .await;
}

fn as_named(s3: &Value, bucket: &str, options: &healthtrail::store::StoreOptions) {
    let server = Server::start(s3);
    let endpoint = options.s3.endpoint_url.clone().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let lake = text(folder.path()).to_owned() + "/lake";
    let run = |from: &[&str], more: &[&str], code: i32| {
        let mut arguments = vec!["run", "--to", &lake, "--endpoint-url", &endpoint];
        for from in from {
            arguments.extend(["--from", from]);
        }
        arguments.extend(more);
        let ran = ran(&server, &arguments);
        assert_eq!(ran.code, code, "{arguments:?}\n{}\n{}", ran.stdout, ran.stderr);
        ran
    };
    let dry = run(&[TO], &["--dry-run"], 0).stdout;
    assert!(dry.contains("would read 3 of 3 objects"), "{dry}");
    let lines = [
        format!("archive    s3://{bucket}/health* (GZIP, times in Europe/Berlin)"),
        format!("failed     s3://{bucket}/processing-failed"),
        format!("left out   s3://{bucket}/health-copy"),
        "an hour is complete 5 min after its end; at the latest 24 h 5 min after S3 was away"
            .to_owned(),
        "arrived  from 2026-08-01T03:00:00Z".to_owned(),
    ];
    for line in lines {
        assert!(dry.contains(&line), "{line}\n{dry}");
    }
    let summary = run(&[TO], &["--summary", "-"], 0).stdout;
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(number(&summary, "findings.added"), 3);

    // Named by hand they are the same objects.
    let by_hand = [format!("s3://{bucket}/health2*"), format!("s3://{bucket}/processing-failed")];
    let by_hand: Vec<&str> = by_hand.iter().map(String::as_str).collect();
    let again = run(&by_hand, &["--summary", "-", "--zone", "Europe/Berlin"], 0).stdout;
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!((number(&again, "objects.in_ledger"), number(&again, "objects.read")), (3, 0));
    // Whose keys are in which zone cannot be told.
    let mixed = run(&[TO, text(folder.path())], &["--dry-run"], 2).stderr;
    assert!(mixed.contains("Europe/Berlin") && mixed.contains("--zone"), "{mixed}");

    let reach = ["--endpoint-url", endpoint.as_str()];
    let ledger = ran(&server, &[&["ledger", "--lake", &lake, "--from", TO], &reach[..]].concat());
    assert_eq!(ledger.code, 0, "{}", ledger.stderr);
    assert!(ledger.stdout.contains("3 listed = 3 in the lake"), "{}", ledger.stdout);
    let inspected = ran(&server, &[&["inspect", TO], &reach[..]].concat());
    assert_eq!(inspected.code, 0, "{}", inspected.stderr);
    assert!(inspected.stdout.contains("05-02-00"), "{}", inspected.stdout);

    // Long ago, so that nothing came for weeks.
    let health = ran(&server, &[&["stream", "health-events", "--json"], &reach[..]].concat());
    assert_eq!(health.code, 3, "{}", health.stderr);
    let told: Value = serde_json::from_str(&health.stdout).unwrap();
    assert_eq!(told["stream"]["places"].as_array().unwrap().len(), 3);
    assert!(told["health"]["remarks"].to_string().contains("silent"), "{told}");

    let looked = ran(&server, &[&["doctor", "--from", TO, "--json"], &reach[..]].concat());
    assert_eq!(looked.code, 0, "{}", looked.stdout);
    let looked: Value = serde_json::from_str(&looked.stdout).unwrap();
    let of = |place: &str, check: &str| {
        let found = looked["checks"].as_array().unwrap().iter().find(|found| {
            found["place"].as_str().unwrap().starts_with(place) && found["check"] == check
        });
        found.map(|found| found["state"].as_str().unwrap().to_owned())
    };
    let ok = Some("ok".to_owned());
    assert_eq!(of("stream firehose://health-events", "describe"), ok, "{looked}");
    assert_eq!(of(&format!("archive s3://{bucket}/health*"), "get"), ok, "{looked}");
    assert_eq!(of(&format!("failed records s3://{bucket}/processing-failed"), "get"), ok);

    // Failed records go back into the stream; the archive that it fills does not.
    let failed =
        ran(&server, &[&["replay", "--from", TO, "--failed", "--to", TO], &reach[..]].concat());
    assert_eq!(failed.code, 0, "{}", failed.stderr);
    assert_eq!(server.taken(), [event(3)]);
    let own = ran(&server, &[&["replay", "--from", TO, "--to", TO], &reach[..]].concat());
    assert!(own.code == 2 && own.stderr.contains("would double it"), "{}", own.stderr);
    assert_eq!(server.requests().len(), 1);
}

/// The page on streams shows what the program says: each command in it is run on the samples, with a stream
/// beside it. `UPDATE=1 cargo test firehose` writes it into the page.
#[test]
fn the_page_on_streams_shows_what_the_program_says() {
    let folder = tempfile::tempdir().unwrap();
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in files(&project.join("samples/archive")) {
        let bytes = fs::read(project.join("samples/archive").join(&path)).unwrap();
        write(&folder.path().join("samples/archive"), text(&path), &bytes);
    }
    let here = folder.path().canonicalize().unwrap();
    let server = Server::start(&json!({ "Prefix": "health/" }));
    let page = fs::read_to_string(project.join("docs/firehose.md")).unwrap();
    let (mut made, mut in_console, mut commands) = (String::new(), false, 0);
    for line in page.lines() {
        if line.starts_with("```") {
            in_console = line == "```console";
        } else if in_console && !line.starts_with("$ ") {
            continue;
        }
        made.push_str(line);
        made.push('\n');
        let Some(line) = line.strip_prefix("$ healthtrail ").filter(|_| in_console) else {
            continue;
        };
        let words: Vec<&str> = line.split_whitespace().collect();
        let output = server.program().current_dir(&here).args(words).output().unwrap();
        let said = [output.stderr, output.stdout].concat();
        let said = String::from_utf8(said).unwrap().replace(text(&here), "/home/ana");
        for line in said.lines() {
            let line = if line.starts_with("  took ") { "  took       …" } else { line };
            made.push_str(line);
            made.push('\n');
        }
        commands += 1;
    }
    assert!(commands > 2, "the page shows {commands} commands");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(project.join("docs/firehose.md"), made).unwrap();
    } else {
        assert!(made == page, "UPDATE=1 cargo test firehose");
    }
}
