//! Each rule of the commit log, in the order of operations that it is there for.

use std::sync::Arc;

use healthtrail::finding::product::Products;
use healthtrail::job::options::RunOptions;
use healthtrail::job::run::run;
use healthtrail::job::summary::Summary;
use healthtrail::lake::log::Log;
use healthtrail::store::{Fault, Faulty, GetOptions, Store, StoreErrorKind};

use crate::failing;
use crate::program::{health_event, key};
use crate::races::hooked::{Beside, Gate, When, beside};
use crate::races::oracle::look;
use crate::races::{Place, in_every_place, in_memory_and_folder};
use crate::stores::{keys, put};

const DAYS: [&str; 3] = ["2026-08-01", "2026-08-02", "2026-08-03"];

/// Object `number`: an event of its own and one that all objects of the day have.
pub(crate) async fn add_object(archive: &dyn Store, number: u32) -> String {
    let day = DAYS[number as usize % DAYS.len()];
    let event = |number| health_event(number, day, "111122223333");
    let key = key(day, number % 24, number);
    put(archive, &key, event(number) + &event(1_000 + number % 3)).await;
    key
}

pub(crate) async fn fill_archive(archive: &dyn Store, objects: std::ops::Range<u32>) {
    for number in objects {
        add_object(archive, number).await;
    }
}

pub(crate) fn options(archive: &Arc<dyn Store>, lake: &Arc<dyn Store>, wave: usize) -> RunOptions {
    let mut options = failing::options(archive, lake);
    (options.threads, options.wave_objects) = (1, Some(wave));
    options
}

pub(crate) fn start(
    archive: &Arc<dyn Store>,
    lake: &Arc<dyn Store>,
    wave: usize,
) -> Beside<anyhow::Result<Summary>> {
    let options = options(archive, lake, wave);
    beside(async move || run(&options).await)
}

pub(crate) async fn run_to_end(
    archive: &Arc<dyn Store>,
    lake: &Arc<dyn Store>,
    wave: usize,
) -> Summary {
    run(&options(archive, lake, wave)).await.unwrap()
}

/// A last run has nothing to do; the lake holds so many rows; nobody broke a law.
async fn ends_with(place: &Place, rows: usize) {
    let last = run_to_end(&place.archive, &place.lake, 2).await;
    assert_eq!((last.objects.read, last.commits), (0, 0), "{}: {last:?}", place.name);
    assert_eq!(look(place.bare.as_ref()).await.rows.len(), rows, "{}", place.name);
    place.assert_lawful();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loser_of_a_number_keeps_what_it_read() {
    in_every_place(async |place: Arc<Place>| {
        fill_archive(place.archive.as_ref(), 0..4).await;
        // The loser's archive counts its fetches.
        let counting = Arc::new(Faulty::new(Arc::clone(&place.archive)));
        let counted: Arc<dyn Store> = counting.clone();
        let (slow, gate) = Gate::over(&place.lake);
        let mut held = gate.hold(When::Before, "put_new", "0000000001.json");
        let loser = start(&counted, &slow, 4);
        held.arrived().await;
        // The winner sees three of its four objects, one at a time.
        let mut winning = options(&place.archive, &place.lake, 1);
        winning.discover.exclude = globset::GlobSet::builder()
            .add(globset::Glob::new("*00000003-*").unwrap())
            .build()
            .unwrap();
        let winner = run(&winning).await.unwrap();
        assert_eq!((winner.commits, winner.findings.added), (3, 6));
        held.release();
        let loser = loser.end().await.unwrap();
        assert_eq!((loser.commits, loser.version), (1, 4), "{}", place.name);
        assert_eq!((loser.objects.read, loser.objects.in_ledger), (1, 3));
        assert_eq!((loser.findings.added, loser.findings.duplicates), (1, 1));
        let fetched = counting.operations().into_iter().filter(|one| one.name == "get").count();
        assert_eq!(fetched, 4, "{}: an object was read twice", place.name);
        ends_with(&place, 7).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_commit_is_completed_before_the_next_number_is_taken() {
    in_every_place(async |place: Arc<Place>| {
        fill_archive(place.archive.as_ref(), 0..3).await;
        // Between its record and its first copy, between copies, before its done mark.
        let stops = [("copy_new", "findings/"), ("delete", "/staging/"), ("put_new", ".done")];
        for (nth, (name, part)) in (0..).zip(stops) {
            fill_archive(place.archive.as_ref(), 10 * nth..10 * nth + 3).await;
            let (slow, gate) = Gate::over(&place.lake);
            let mut held = gate.hold(When::Before, name, part);
            let first = start(&place.archive, &slow, 3);
            held.arrived().await;
            let open = keys(place.bare.as_ref(), "_healthtrail/log/").await.len();
            assert_eq!(open % 2, 1, "{}: a commit is open", place.name);
            // The warden sees that the next record comes after the done mark of this one.
            let event = health_event(100 + nth, DAYS[0], "444455556666");
            put(place.archive.as_ref(), &key(DAYS[0], 5, 100 + nth), event).await;
            let second = run_to_end(&place.archive, &place.lake, 3).await;
            assert_eq!((second.commits, second.findings.added), (1, 1), "{}", place.name);
            held.release();
            let first = first.end().await.unwrap();
            assert_eq!(first.commits, 1, "{}: {first:?}", place.name);
        }
        let held = look(place.bare.as_ref()).await;
        assert_eq!((held.version, held.rows.len()), (6, 3 * 3 + 3 + 3), "{}", place.name);
        ends_with(&place, 15).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_whose_reply_was_lost_is_ones_own() {
    let kinds =
        [StoreErrorKind::Unavailable, StoreErrorKind::Conflict, StoreErrorKind::Precondition];
    in_every_place(async |place: Arc<Place>| {
        for (nth, kind) in (0..).zip(kinds) {
            fill_archive(place.archive.as_ref(), 10 * nth..10 * nth + 3).await;
            let before = look(place.bare.as_ref()).await;
            let record = format!("{:010}.json", before.version + 1);
            let fault = Fault::at(1, kind).only("put_new", &record).answer_lost();
            let faulty: Arc<dyn Store> = Arc::new(Faulty::new(Arc::clone(&place.lake)).with(fault));
            let (slow, gate) = Gate::over(&faulty);
            let mut held = gate.hold(When::After, "put_new", &record);
            let first = start(&place.archive, &slow, 3);
            held.arrived().await;
            // The record is there and its writer does not know: others complete it, go on and sweep.
            add_object(place.archive.as_ref(), 10 * nth + 4).await;
            let other = run_to_end(&place.archive, &place.lake, 1).await;
            assert_eq!((other.commits, other.version), (1, before.version + 2), "{kind:?}");
            held.release();
            let first = first.end().await.unwrap();
            assert_eq!((first.commits, first.objects.read), (1, 3), "{} {kind:?}", place.name);
            let after = look(place.bare.as_ref()).await;
            assert_eq!(after.version, before.version + 2, "{} {kind:?}", place.name);
        }
        ends_with(&place, 12 + 3).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_paused_before_its_record_comes_late() {
    in_every_place(async |place: Arc<Place>| {
        fill_archive(place.archive.as_ref(), 0..6).await;
        let (slow, gate) = Gate::over(&place.lake);
        let mut held = gate.hold(When::Before, "put_new", "0000000001.json");
        let late = start(&place.archive, &slow, 2);
        held.arrived().await;
        let staged = keys(place.bare.as_ref(), "_healthtrail/staging/1/").await;
        assert_eq!(staged.len(), 1, "{}: its wave is of one day", place.name);
        let others = run_to_end(&place.archive, &place.lake, 1).await;
        assert_eq!(others.commits, 6);
        assert!(keys(place.bare.as_ref(), "_healthtrail/staging/").await.is_empty(), "swept");
        add_object(place.archive.as_ref(), 7).await;
        held.release();
        let late = late.end().await.unwrap();
        assert_eq!((late.commits, late.objects.in_ledger), (0, 6), "{}: {late:?}", place.name);
        // What came after its listing is for the next run.
        let next = run_to_end(&place.archive, &place.lake, 1).await;
        assert_eq!((next.commits, next.findings.added), (1, 1), "{}", place.name);
        ends_with(&place, 7 + 3).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_of_a_lost_number_are_read_again() {
    let filler = "lorem ipsum ".repeat(500);
    let large: String = (0..2_500)
        .map(|n| health_event(n, DAYS[0], "111122223333").replace("is impaired", &filler))
        .collect();
    in_memory_and_folder(&async |place: Arc<Place>| {
        put(place.archive.as_ref(), &key(DAYS[0], 1, 1), large.clone()).await;
        let (slow, gate) = Gate::over(&place.lake);
        let mut held = gate.hold(When::After, "put", "_healthtrail/staging/1/");
        let mut options = options(&place.archive, &slow, 1);
        options.memory_bytes = 128 << 20;
        let late = beside(async move || run(&options).await);
        held.arrived().await;
        // Another archive, so that the object itself stays to be read.
        let other: Arc<dyn Store> = Arc::new(healthtrail::store::Memory::new("other"));
        fill_archive(other.as_ref(), 5_000..5_002).await;
        let winner = run_to_end(&other, &place.lake, 1).await;
        assert_eq!(winner.commits, 2);
        held.release();
        let late = late.end().await.unwrap();
        assert_eq!((late.commits, late.version), (1, 3), "{}", place.name);
        assert_eq!((late.objects.read, late.findings.read), (1, 2_500));
        let seen = look(place.bare.as_ref()).await;
        assert_eq!(seen.rows.len(), 2_500 + 4, "{}", place.name);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_leaves_what_is_not_done() {
    in_every_place(async |place: Arc<Place>| {
        fill_archive(place.archive.as_ref(), 0..2).await;
        run_to_end(&place.archive, &place.lake, 2).await;
        fill_archive(place.archive.as_ref(), 3..5).await;
        let (slow, gate) = Gate::over(&place.lake);
        let mut held = gate.hold(When::Before, "put_new", "0000000002.json");
        let staging = start(&place.archive, &slow, 2);
        held.arrived().await;
        let staged = keys(place.bare.as_ref(), "_healthtrail/staging/2/").await;
        assert_eq!(staged.len(), 2);
        // A run over nothing new ends with a sweep.
        let empty: Arc<dyn Store> = Arc::new(healthtrail::store::Memory::new("empty"));
        assert_eq!(run_to_end(&empty, &place.lake, 1).await.commits, 0);
        assert_eq!(keys(place.bare.as_ref(), "_healthtrail/staging/2/").await, staged);
        held.release();
        let first = staging.end().await.unwrap();
        assert_eq!((first.commits, first.version), (1, 2), "{}", place.name);
        ends_with(&place, 4 + 2).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_staged_late_is_swept() {
    in_every_place(async |place: Arc<Place>| {
        fill_archive(place.archive.as_ref(), 0..3).await;
        let (slow, gate) = Gate::over(&place.lake);
        let mut held = gate.hold(When::Before, "put", "_healthtrail/staging/1/");
        let late = start(&place.archive, &slow, 3);
        held.arrived().await;
        run_to_end(&place.archive, &place.lake, 3).await;
        held.release();
        let late = late.end().await.unwrap();
        assert_eq!((late.commits, late.objects.in_ledger), (0, 3), "{}", place.name);
        // It swept what it had put there itself; had it died, the next one would.
        assert!(keys(place.bare.as_ref(), "_healthtrail/staging/").await.is_empty());
        put(place.bare.as_ref(), "_healthtrail/staging/1/dead/x.parquet", "x").await;
        ends_with(&place, 6).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_complete_a_commit_while_its_staging_goes() {
    in_every_place(async |place: Arc<Place>| {
        fill_archive(place.archive.as_ref(), 0..2).await;
        // The winner dies after its record.
        let (dying, gate) = Gate::over(&place.lake);
        let mut record = gate.hold(When::After, "put_new", "0000000001.json");
        let dead = start(&place.archive, &dying, 2);
        record.arrived().await;
        dead.kill().await;
        // Two look for the final key, find nothing, and are held before they copy.
        let (one, first) = Gate::over(&place.lake);
        let mut first = first.hold(When::Before, "copy_new", "findings/");
        let one = start(&place.archive, &one, 2);
        first.arrived().await;
        let (two, second) = Gate::over(&place.lake);
        let mut second_copies = second.hold(When::Before, "copy_new", "findings/");
        let mut second_deletes = second.hold(When::Before, "delete", "/staging/1/");
        let two = start(&place.archive, &two, 2);
        second_copies.arrived().await;
        second_copies.release();
        // It has published, and is about to delete the staging; a third completes and deletes all.
        second_deletes.arrived().await;
        let third = run_to_end(&place.archive, &place.lake, 2).await;
        assert_eq!((third.commits, third.objects.in_ledger), (0, 2), "{}", place.name);
        assert!(keys(place.bare.as_ref(), "_healthtrail/staging/").await.is_empty());
        // What the first one is to copy is gone: it finds the final key right.
        first.release();
        second_deletes.release();
        for run in [one, two] {
            let summary = run.end().await.unwrap();
            assert_eq!((summary.commits, summary.objects.in_ledger), (0, 2), "{}", place.name);
        }
        let done = place
            .bare
            .get("_healthtrail/log/0000000001.done", GetOptions::default())
            .await
            .unwrap();
        assert_eq!(done.trim_ascii(), b"{}", "{}: no damage was seen", place.name);
        ends_with(&place, 4).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn published_files_without_a_done_mark_are_not_copied_again() {
    in_every_place(async |place: Arc<Place>| {
        fill_archive(place.archive.as_ref(), 0..3).await;
        let (dying, gate) = Gate::over(&place.lake);
        let mut mark = gate.hold(When::Before, "put_new", ".done");
        let dead = start(&place.archive, &dying, 3);
        mark.arrived().await;
        dead.kill().await;
        let watching = Arc::new(Faulty::new(Arc::clone(&place.lake)));
        let watched: Arc<dyn Store> = watching.clone();
        let next = run_to_end(&place.archive, &watched, 3).await;
        assert_eq!((next.commits, next.objects.in_ledger), (0, 3), "{}", place.name);
        let operations = watching.operations();
        assert!(operations.iter().all(|one| one.name != "copy_new"), "{}", place.name);
        let marks = operations.iter().filter(|one| one.key.ends_with("1.done"));
        assert_eq!(marks.filter(|one| one.name == "put_new").count(), 1, "{}", place.name);
        ends_with(&place, 6).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_done_mark_without_its_files_stops_only_their_partitions() {
    in_every_place(async |place: Arc<Place>| {
        fill_archive(place.archive.as_ref(), 0..3).await;
        let (dying, gate) = Gate::over(&place.lake);
        let mut record = gate.hold(When::After, "put_new", "0000000001.json");
        let dead = start(&place.archive, &dying, 3);
        record.arrived().await;
        dead.kill().await;
        // By a hand or a program that keeps no rule: marked done, and never published.
        put(place.bare.as_ref(), "_healthtrail/log/0000000001.done", "{}").await;
        let day = key(DAYS[0], 7, 50);
        put(place.archive.as_ref(), &day, health_event(50, DAYS[0], "111122223333")).await;
        let error = run(&options(&place.archive, &place.lake, 3)).await.unwrap_err();
        let told = format!("{error:#}");
        assert!(told.contains("findings/dt=2026-08-01/0000000001-"), "{}: {told}", place.name);
        // Another day goes on.
        place.archive.delete(&day).await.unwrap();
        let other = key("2026-08-09", 7, 51);
        put(place.archive.as_ref(), &other, health_event(51, "2026-08-09", "111122223333")).await;
        let next = run_to_end(&place.archive, &place.lake, 3).await;
        assert_eq!((next.commits, next.findings.added), (1, 1), "{}", place.name);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_done_mark_without_a_record_stops_everyone() {
    in_every_place(async |place: Arc<Place>| {
        fill_archive(place.archive.as_ref(), 0..2).await;
        run_to_end(&place.archive, &place.lake, 1).await;
        place.bare.delete("_healthtrail/log/0000000002.json").await.unwrap();
        fill_archive(place.archive.as_ref(), 2..3).await;
        let before = keys(place.bare.as_ref(), "").await;
        let error = run(&options(&place.archive, &place.lake, 1)).await.unwrap_err();
        let told = format!("{error:#}");
        assert!(told.contains("_healthtrail/log/0000000002.json"), "{}: {told}", place.name);
        assert_eq!(
            keys(place.bare.as_ref(), "").await,
            before,
            "{}: nothing is written",
            place.name
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_beside_an_open_commit_holds_what_is_done() {
    in_every_place(async |place: Arc<Place>| {
        // Sixteen commits make a checkpoint due.
        fill_archive(place.archive.as_ref(), 0..17).await;
        let (slow, gate) = Gate::over(&place.lake);
        let mut writes = gate.hold(When::Before, "put", "_healthtrail/checkpoints/");
        let first = start(&place.archive, &slow, 1);
        writes.arrived().await;
        // Beside it another has a commit open, and dies.
        fill_archive(place.archive.as_ref(), 30..31).await;
        let (dying, gate) = Gate::over(&place.lake);
        let mut record = gate.hold(When::After, "put_new", "0000000018.json");
        let dead = start(&place.archive, &dying, 1);
        record.arrived().await;
        writes.release();
        let first = first.end().await.unwrap();
        assert_eq!((first.commits, first.version), (17, 17), "{}", place.name);
        dead.kill().await;
        let checkpoints = keys(place.bare.as_ref(), "_healthtrail/checkpoints/").await;
        assert!(checkpoints[0].contains("/0000000017."), "{}: {checkpoints:?}", place.name);
        // Who only looks folds the open commit, and writes nothing down.
        let log = Log::new(Arc::clone(&place.lake));
        let mut ledger = log.load().await.unwrap();
        log.look(&mut ledger).await.unwrap();
        assert_eq!(ledger.version(), 18);
        assert!(!log.checkpoint(&mut ledger).await.unwrap());
        ends_with(&place, 18 + 3).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_comes_late_is_only_old() {
    in_memory_and_folder(&async |place: Arc<Place>| {
        fill_archive(place.archive.as_ref(), 0..16).await;
        let (slow, gate) = Gate::over(&place.lake);
        let mut writes = gate.hold(When::Before, "put", "_healthtrail/checkpoints/");
        let first = start(&place.archive, &slow, 1);
        writes.arrived().await;
        for from in [20, 40, 60] {
            fill_archive(place.archive.as_ref(), from..from + 16).await;
            run_to_end(&place.archive, &place.lake, 1).await;
        }
        writes.release();
        first.end().await.unwrap();
        fill_archive(place.archive.as_ref(), 80..81).await;
        let watching = Arc::new(Faulty::new(Arc::clone(&place.lake)));
        let watched: Arc<dyn Store> = watching.clone();
        let next = run_to_end(&place.archive, &watched, 1).await;
        assert_eq!((next.commits, next.version), (1, 65), "{}", place.name);
        // The newest one was used: no record before it was read.
        let early =
            watching.operations().into_iter().any(|one| one.key.ends_with("0000000030.json"));
        assert!(!early, "{}", place.name);
        ends_with(&place, 65 + 3).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wider_settings_beside_narrower_ones_hold() {
    in_every_place(async |place: Arc<Place>| {
        // A finding of another product beside an event in each object.
        let finding = |number: u32| {
            let detail = format!(
                r#"{{"SchemaVersion":"2018-10-08","ProductArn":"arn:aws:securityhub:us-east-1::product/aws/guardduty","Id":"f-{number}","AwsAccountId":"111122223333","UpdatedAt":"2026-08-01T09:00:00Z","CreatedAt":"2026-08-01T08:00:00Z","Title":"t","Description":"d","Types":["a/b/c"],"Severity":{{"Label":"LOW"}},"Resources":[]}}"#
            );
            format!(
                r#"{{"version":"0","id":"f{number:07x}-0000-4000-8000-000000000000","detail-type":"Security Hub Findings - Imported","source":"aws.securityhub","account":"111122223333","time":"2026-08-01T10:00:00Z","region":"us-east-1","resources":[],"detail":{{"findings":[{detail}]}}}}"#
            )
        };
        for number in 0..3 {
            let body = health_event(number, DAYS[0], "111122223333") + &finding(number);
            put(place.archive.as_ref(), &key(DAYS[0], number, number), body).await;
        }
        let (slow, gate) = Gate::over(&place.lake);
        let mut held = gate.hold(When::Before, "put_new", "0000000001.json");
        let narrow = start(&place.archive, &slow, 3);
        held.arrived().await;
        let mut wide = options(&place.archive, &place.lake, 1);
        wide.products = Some(Products::All);
        wide.deadline = Some(std::time::Duration::ZERO);
        let first = run(&wide).await.unwrap();
        assert_eq!((first.commits, first.findings.added), (1, 2), "{}", place.name);
        held.release();
        // It began narrow and ends narrow; what it read so waits for a wider run.
        let narrow = narrow.end().await.unwrap();
        assert_eq!((narrow.commits, narrow.findings.added), (1, 2), "{}: {narrow:?}", place.name);
        let last = run_to_end(&place.archive, &place.lake, 3).await;
        assert_eq!((last.objects.read, last.findings.added), (2, 2), "{}: {last:?}", place.name);
        ends_with(&place, 6).await;
    })
    .await;
}
