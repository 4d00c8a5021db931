//! Archives that move: between runs, while a run lists, between its list and its read.
//!
//! Each case is a row of the table in docs/robustness.md; what it says is what is checked here, in memory, in
//! a folder and on S3. What differs between a folder and a bucket is a case of its own.

use std::fs;
use std::sync::Arc;

use globset::GlobSet;
use healthtrail::archive::discover::DiscoverOptions;
use healthtrail::job::ledger::accept::{AcceptOptions, accept};
use healthtrail::job::ledger::{LedgerOptions, overview};
use healthtrail::job::run::run;
use healthtrail::job::summary::Summary;
use healthtrail::store::{Store, open};
use jiff::tz::TimeZone;

use crate::program::{command, files, health_event, key, number, rows, text, write};
use crate::proxy::{Class, Proxy, Rule};
use crate::races::hooked::{Gate, When, beside};
use crate::races::oracle::look;
use crate::races::rules::options;
use crate::races::{Place, in_every_place};
use crate::stores::{client, keys, put, with_s3};

const DAY: &str = "2026-08-01";

fn event(number: u32) -> String {
    health_event(number, DAY, "111122223333")
}

fn object(number: u32) -> String {
    key(DAY, number % 24, number)
}

/// How the process would end: 3 when an object failed that had not failed before.
fn exit_code(summary: &Summary) -> u8 {
    if summary.objects.failed > summary.objects.still_failing { 3 } else { 0 }
}

/// Read, failed, added, duplicates, skipped; exit code.
type Told = ([u64; 5], u8);

fn told(summary: &Summary) -> Told {
    let (objects, findings) = (&summary.objects, &summary.findings);
    let counts =
        [objects.read, objects.failed, findings.added, findings.duplicates, objects.skipped];
    (counts, exit_code(summary))
}

/// Three objects with an event each are in the lake.
async fn filled(place: &Place) {
    for number in 0..3 {
        put(place.archive.as_ref(), &object(number), event(number)).await;
    }
    assert_eq!(told(&run_on(place).await), ([3, 0, 3, 0, 0], 0), "{}", place.name);
}

async fn run_on(place: &Place) -> Summary {
    run(&options(&place.archive, &place.lake, 2)).await.unwrap()
}

/// A run that is held after its listing while something happens.
async fn run_beside(place: &Place, meanwhile: impl AsyncFnOnce(&dyn Store)) -> Summary {
    let (slow, gate) = Gate::over(&place.archive);
    let mut listed = gate.hold(When::After, "list", "");
    let lake = Arc::clone(&place.lake);
    let running = beside(async move || run(&options(&slow, &lake, 2)).await);
    listed.arrived().await;
    meanwhile(place.archive.as_ref()).await;
    listed.release();
    running.end().await.unwrap()
}

/// What was never read stands in the ledger until somebody gives it up.
async fn is_accepted_at_last(place: &Place, key: &str) {
    let looking = LedgerOptions {
        lake: Arc::clone(&place.lake),
        archives: Vec::new(),
        discover: DiscoverOptions { exclude: GlobSet::empty(), zone: TimeZone::UTC },
        progress: Arc::default(),
    };
    let seen = overview(&looking).await.unwrap();
    assert!(seen.is_wanting() && seen.failed.len() == 1, "{}: {seen:?}", place.name);
    let lake = Arc::clone(&place.lake);
    let (objects, reason) = (vec![place.archive.uri(key)], "replaced by hand".to_owned());
    accept(&AcceptOptions { lake, archives: Vec::new(), objects, reason }).await.unwrap();
    assert!(!overview(&looking).await.unwrap().is_wanting(), "{}", place.name);
}

/// Nothing is left to do, and the lake holds so many rows, each once.
async fn ends_with(place: &Place, rows: usize) {
    let last = run_on(place).await;
    assert_eq!((last.objects.read, last.commits, exit_code(&last)), (0, 0, 0), "{}", place.name);
    assert_eq!(look(place.bare.as_ref()).await.rows.len(), rows, "{}", place.name);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_object_of_a_closed_hour_is_read() {
    in_every_place(async |place: Arc<Place>| {
        // As many commits as make a checkpoint, in which the old hours are closed.
        for number in 0..17 {
            put(place.archive.as_ref(), &object(number), event(number)).await;
        }
        let mut first = options(&place.archive, &place.lake, 1);
        first.threads = 1;
        assert_eq!(run(&first).await.unwrap().commits, 17);
        let late = object(3).replace("00000003-", "99999999-");
        put(place.archive.as_ref(), &late, event(3) + &event(100)).await;
        assert_eq!(told(&run_on(&place).await), ([1, 0, 1, 1, 0], 0), "{}", place.name);
        ends_with(&place, 18).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_object_is_read_again_and_its_rows_are_duplicates() {
    in_every_place(async |place: Arc<Place>| {
        filled(&place).await;
        put(place.archive.as_ref(), &object(1), event(1) + &event(100)).await;
        assert_eq!(told(&run_on(&place).await), ([1, 0, 1, 1, 0], 0), "{}", place.name);
        // What it held before and holds no more stays: the lake forgets nothing by itself.
        put(place.archive.as_ref(), &object(1), event(101)).await;
        assert_eq!(told(&run_on(&place).await), ([1, 0, 1, 0, 0], 0), "{}", place.name);
        ends_with(&place, 5).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_replaced_between_list_and_read_fails_and_is_the_next_runs() {
    in_every_place(async |place: Arc<Place>| {
        for number in 0..3 {
            put(place.archive.as_ref(), &object(number), event(number)).await;
        }
        let summary = run_beside(&place, async |archive| {
            put(archive, &object(1), event(1) + &event(100)).await;
        })
        .await;
        assert_eq!(told(&summary), ([2, 1, 2, 0, 0], 3), "{}", place.name);
        assert_eq!(summary.failed_objects[0].kind, "changed", "{}", place.name);
        let next = run_on(&place).await;
        assert_eq!(told(&next), ([1, 0, 2, 0, 0], 0), "{}", place.name);
        assert_eq!(next.objects.still_failing, 0, "{}: what failed is gone", place.name);
        is_accepted_at_last(&place, &object(1)).await;
        ends_with(&place, 4).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_deleted_between_list_and_read_fails_once() {
    in_every_place(async |place: Arc<Place>| {
        for number in 0..3 {
            put(place.archive.as_ref(), &object(number), event(number)).await;
        }
        let summary =
            run_beside(&place, async |archive| archive.delete(&object(1)).await.unwrap()).await;
        assert_eq!(told(&summary), ([2, 1, 2, 0, 0], 3), "{}", place.name);
        let kind = summary.failed_objects[0].kind.as_str();
        assert!(kind == "changed" || kind == "not_found", "{}: {kind}", place.name);
        assert_eq!(told(&run_on(&place).await), ([0; 5], 0), "{}", place.name);
        is_accepted_at_last(&place, &object(1)).await;
        ends_with(&place, 2).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_come_after_the_list_are_the_next_runs() {
    in_every_place(async |place: Arc<Place>| {
        filled(&place).await;
        put(place.archive.as_ref(), &object(3), event(3)).await;
        let summary = run_beside(&place, async |archive| {
            put(archive, &object(4), event(4)).await;
            // Older than what is read now: no later run takes its hour for read.
            put(archive, &key("2026-07-30", 1, 5), event(5)).await;
        })
        .await;
        assert_eq!(told(&summary), ([1, 0, 1, 0, 0], 0), "{}", place.name);
        assert_eq!(told(&run_on(&place).await), ([2, 0, 2, 0, 0], 0), "{}", place.name);
        ends_with(&place, 6).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_becomes_empty_or_a_marker_is_skipped_and_its_rows_stay() {
    in_every_place(async |place: Arc<Place>| {
        filled(&place).await;
        put(place.archive.as_ref(), &object(1), "").await;
        put(place.archive.as_ref(), &format!("{}_$folder$", object(2)), "x").await;
        place.archive.delete(&object(2)).await.unwrap();
        assert_eq!(told(&run_on(&place).await), ([0, 0, 0, 0, 2], 0), "{}", place.name);
        ends_with(&place, 3).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_under_two_keys_are_rows_once() {
    in_every_place(async |place: Arc<Place>| {
        filled(&place).await;
        put(place.archive.as_ref(), &object(3), event(1)).await;
        put(place.archive.as_ref(), &format!("copy/{}", object(1)), event(1)).await;
        assert_eq!(told(&run_on(&place).await), ([2, 0, 0, 2, 0], 0), "{}", place.name);
        ends_with(&place, 3).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_expires_leaves_its_rows() {
    in_every_place(async |place: Arc<Place>| {
        filled(&place).await;
        for key in keys(place.archive.as_ref(), "").await {
            place.archive.delete(&key).await.unwrap();
        }
        assert_eq!(told(&run_on(&place).await), ([0; 5], 0), "{}", place.name);
        ends_with(&place, 3).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_replaced_while_it_streams_leaves_nothing_behind() {
    let filler = "lorem ipsum ".repeat(500);
    let large: String =
        (0..2_000).map(|n| event(1_000 + n).replace("is impaired", &filler)).collect();
    in_every_place(async |place: Arc<Place>| {
        put(place.archive.as_ref(), &object(0), event(0)).await;
        put(place.archive.as_ref(), &object(1), large.clone()).await;
        let (slow, gate) = Gate::over(&place.archive);
        // Some of it is read, and a part of it staged, when it changes.
        let (gated_lake, on_lake) = Gate::over(&place.lake);
        let mut staged = on_lake.hold(When::After, "put", "/staging/");
        let mut options = options(&slow, &gated_lake, 4);
        options.memory_bytes = 128 << 20;
        let running = beside(async move || run(&options).await);
        staged.arrived().await;
        let mut range = gate.hold(When::Before, "get", &object(1));
        staged.release();
        range.arrived().await;
        put(place.archive.as_ref(), &object(1), event(7)).await;
        range.release();
        let summary = running.end().await.unwrap();
        assert_eq!(told(&summary), ([1, 1, 1, 0, 0], 3), "{}: {summary:?}", place.name);
        assert_eq!(look(place.bare.as_ref()).await.rows.len(), 1, "{}", place.name);
        assert_eq!(told(&run_on(&place).await), ([1, 0, 1, 0, 0], 0), "{}", place.name);
        ends_with(&place, 2).await;
    })
    .await;
}

/// Visible files by name.
fn parts(lake: &std::path::Path) -> Vec<String> {
    let all = files(lake).into_iter().map(|path| text(&path).to_owned());
    all.filter(|path| path.ends_with(".parquet")).collect()
}

#[test]
fn a_folder_uploaded_anew_is_read_again_and_changes_no_row() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, lake) = (folder.path().join("archive"), folder.path().join("lake"));
    let upload = || {
        for number in 0..5 {
            write(&archive, &object(number), event(number).as_bytes());
            // Whatever the file system's clock counts in, the time is another one.
            let file = fs::File::options().write(true).open(archive.join(object(number))).unwrap();
            let ago = std::time::Duration::from_secs(rand::random_range(60..1_000_000));
            file.set_modified(std::time::SystemTime::now() - ago).unwrap();
        }
    };
    upload();
    let run = |code| crate::program::run(text(&archive), text(&lake), &[], code);
    assert_eq!(number(&run(0), "findings.added"), 5);
    let (before, held) = (rows(&lake, "findings"), parts(&lake));
    upload();
    let again = run(0);
    let counts = ["objects.read", "findings.added", "findings.duplicates", "parts.written"];
    assert_eq!(counts.map(|name| number(&again, name)), [5, 0, 5, 0]);
    assert_eq!((rows(&lake, "findings"), parts(&lake)), (before, held));
    assert_eq!(number(&run(0), "objects.read"), 0);
}

#[test]
fn a_file_of_the_same_size_and_time_is_the_same_object() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, lake) = (folder.path().join("archive"), folder.path().join("lake"));
    write(&archive, &object(1), event(1).as_bytes());
    let path = archive.join(object(1));
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    crate::program::run(text(&archive), text(&lake), &[], 0);
    fs::write(&path, event(2)).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    let again = crate::program::run(text(&archive), text(&lake), &[], 0);
    assert_eq!(number(&again, "objects.in_ledger"), 1, "a folder has no better token");
    // A folder in place of the file is no object.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let gone = crate::program::run(text(&archive), text(&lake), &[], 0);
    assert_eq!((number(&gone, "objects.listed"), rows(&lake, "findings").len()), (0, 1));
}

/// A run as a process on S3; its summary.
fn process(uri: &str, endpoint: &str, code: i32) -> serde_json::Value {
    let output = command()
        .args(["run", "--from", &format!("{uri}/archive"), "--to", &format!("{uri}/lake")])
        .args(["--endpoint-url", endpoint, "--progress", "none", "--summary", "-"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_uploaded_anew_changes_no_row() {
    with_s3(|uri, options| async move {
        let endpoint = options.s3.endpoint_url.clone().unwrap();
        let archive = open(&format!("{uri}/archive"), &options).await.unwrap();
        let upload = async || {
            for number in 0..4 {
                put(archive.as_ref(), &object(number), event(number)).await;
            }
        };
        upload().await;
        assert_eq!(number(&process(&uri, &endpoint, 0), "findings.added"), 4);
        let lake = open(&format!("{uri}/lake"), &options).await.unwrap();
        let held = keys(lake.as_ref(), "findings/").await;
        // The same bytes in one piece have the same etag: nothing has changed.
        upload().await;
        let same = process(&uri, &endpoint, 0);
        assert_eq!((number(&same, "objects.read"), number(&same, "commits")), (0, 0));
        // In pieces they have another one.
        let client = client(&endpoint).await;
        let (bucket, prefix) = uri.strip_prefix("s3://").unwrap().split_once('/').unwrap();
        for nth in 0..4 {
            let key = format!("{prefix}/archive/{}", object(nth));
            in_pieces(&client, bucket, &key, event(nth)).await;
        }
        let again = process(&uri, &endpoint, 0);
        let counts = ["objects.read", "findings.added", "findings.duplicates", "parts.written"];
        assert_eq!(counts.map(|name| number(&again, name)), [4, 0, 4, 0]);
        assert_eq!(keys(lake.as_ref(), "findings/").await, held);
        assert_eq!(look(lake.as_ref()).await.rows.len(), 4);
    })
    .await;
}

/// Uploads an object as one part of several.
async fn in_pieces(client: &aws_sdk_s3::Client, bucket: &str, key: &str, body: String) {
    use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
    let created = client.create_multipart_upload().bucket(bucket).key(key).send().await.unwrap();
    let id = created.upload_id().unwrap();
    let part = client.upload_part().bucket(bucket).key(key).upload_id(id).part_number(1);
    let part = part.body(body.into_bytes().into()).send().await.unwrap();
    let part = CompletedPart::builder().part_number(1).e_tag(part.e_tag().unwrap()).build();
    let all = CompletedMultipartUpload::builder().parts(part).build();
    let complete = client.complete_multipart_upload().bucket(bucket).key(key).upload_id(id);
    complete.multipart_upload(all).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_meets_objects_that_move_between_list_and_read() {
    with_s3(|uri, options| async move {
        let direct = options.s3.endpoint_url.clone().unwrap();
        let archive = open(&format!("{uri}/archive"), &options).await.unwrap();
        for number in 0..4 {
            put(archive.as_ref(), &object(number), event(number)).await;
        }
        let proxy = Proxy::start(&direct);
        let (runtime, moved) = (tokio::runtime::Handle::current(), Arc::clone(&archive));
        // With the first object's request one is replaced, one deleted, and one more comes.
        proxy.add(Rule::on(Class::List).key("archive/").after(move |_| {
            runtime.block_on(async {
                put(moved.as_ref(), &object(1), event(1) + &event(100)).await;
                moved.delete(&object(2)).await.unwrap();
                put(moved.as_ref(), &object(5), event(5)).await;
            });
        }));
        let first = process(&uri, &proxy.endpoint(), 3);
        let counts = ["objects.read", "objects.failed", "findings.added"];
        assert_eq!(counts.map(|name| number(&first, name)), [2, 2, 2], "{first}");
        let next = process(&uri, &proxy.endpoint(), 0);
        assert_eq!(counts.map(|name| number(&next, name)), [2, 0, 3], "{next}");
        let lake = open(&format!("{uri}/lake"), &options).await.unwrap();
        assert_eq!(look(lake.as_ref()).await.rows.len(), 5);
    })
    .await;
}

/// The server of the tests keeps no class; the proxy says it as S3 does.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_moves_to_an_archive_class_is_skipped_or_fails() {
    use crate::proxy::Reply;
    with_s3(|uri, options| async move {
        let archive = open(&format!("{uri}/archive"), &options).await.unwrap();
        for number in 0..3 {
            put(archive.as_ref(), &object(number), event(number)).await;
        }
        let proxy = Proxy::start(options.s3.endpoint_url.as_deref().unwrap());
        // After it was listed: its bytes cannot be had.
        proxy.add(
            Rule::on(Class::GetObject)
                .key(&object(1))
                .forever()
                .answers(Reply::error(403, "InvalidObjectState")),
        );
        let first = process(&uri, &proxy.endpoint(), 3);
        let counts = ["objects.read", "objects.failed", "objects.still_failing", "objects.skipped"];
        assert_eq!(counts.map(|name| number(&first, name)), [2, 1, 0, 0]);
        assert_eq!(first["failed_objects"][0]["kind"], "archived", "{first}");
        let second = process(&uri, &proxy.endpoint(), 0);
        assert_eq!(counts.map(|name| number(&second, name)), [0, 1, 1, 0]);
        // Listed with its class it is skipped, and not asked for.
        proxy.heal();
        let frozen = object(1);
        proxy.add(Rule::on(Class::List).key("archive/").forever().rewrites(move |_, reply| {
            let mut body = String::new();
            for contents in reply.text().split_inclusive("</Contents>") {
                let is_it = contents.contains(&frozen);
                body += &if is_it { in_glacier(contents) } else { contents.to_owned() };
            }
            Reply { body: body.into(), ..reply }
        }));
        let third = process(&uri, &proxy.endpoint(), 0);
        assert_eq!(counts.map(|name| number(&third, name)), [0, 0, 0, 1], "{third}");
        assert_eq!(number(&third, "skipped_by_reason.archived"), 1);
        // Restored, it is read.
        proxy.heal();
        let last = process(&uri, &proxy.endpoint(), 0);
        assert_eq!(counts.map(|name| number(&last, name)), [1, 0, 0, 0], "{last}");
    })
    .await;
}

/// An entry of a listing with another storage class.
fn in_glacier(contents: &str) -> String {
    let Some((before, rest)) = contents.split_once("<StorageClass>") else {
        return contents.replace("</Contents>", "<StorageClass>GLACIER</StorageClass></Contents>");
    };
    let (_, after) = rest.split_once("</StorageClass>").unwrap();
    format!("{before}<StorageClass>GLACIER</StorageClass>{after}")
}
