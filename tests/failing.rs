//! Objects that cannot be read, and races for a commit, on stores that fail on purpose.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use globset::GlobSet;
use healthtrail::archive::discover::DiscoverOptions;
use healthtrail::finding::limits::CountLimits;
use healthtrail::job::options::RunOptions;
use healthtrail::job::plan::{Archive, Hours};
use healthtrail::job::progress::Progress;
use healthtrail::job::run::run;
use healthtrail::job::verify::{VerifyOptions, verify};
use healthtrail::lake::draft::{Draft, Drafted};
use healthtrail::lake::ledger::Ledger;
use healthtrail::lake::log::Log;
use healthtrail::lake::record::{Objects, Purpose, Withdrawn};
use healthtrail::store::{Fault, Faulty, Folder, Memory, Store, StoreErrorKind};
use jiff::tz::TimeZone;

use crate::program::{assert_unique, health_event, key, rows};
use crate::stores::{keys, put};
use crate::verify::{Meddler, asked, at_once, copy_of, list_beside, record_of};

pub(crate) fn options(archive: &Arc<dyn Store>, lake: &Arc<dyn Store>) -> RunOptions {
    RunOptions {
        archives: vec![Archive { store: Arc::clone(archive), prefix: String::new() }],
        lake: Some(Arc::clone(lake)),
        products: None,
        partition: None,
        hours: Hours { since_ms: None, until_ms: None },
        discover: DiscoverOptions { exclude: GlobSet::empty(), zone: TimeZone::UTC },
        deadline: None,
        threads: 2,
        memory_bytes: 1 << 30,
        wave_objects: None,
        fetches: 4,
        object_bytes_max: 1 << 30,
        document_bytes_max: 16 << 20,
        counts: CountLimits::DEFAULT,
        redact: false,
        progress: Arc::new(Progress::default()),
    }
}

pub(crate) async fn archive(objects: u32) -> Memory {
    let archive = Memory::new("archive");
    for number in 0..objects {
        let event = health_event(number, "2026-08-01", "111122223333");
        put(&archive, &key("2026-08-01", number, number), event).await;
    }
    archive
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_read_fails_alone_and_is_remembered() {
    let archive = Arc::new(Faulty::new(Arc::new(archive(5).await)));
    let broken = key("2026-08-01", 2, 2);
    archive.add(Fault::at(1, StoreErrorKind::Denied).only("get", &broken).forever());
    let folder = tempfile::tempdir().unwrap();
    let lake: Arc<dyn Store> = Arc::new(Folder::open(folder.path(), true).await.unwrap());
    let faulty: Arc<dyn Store> = archive.clone();

    let first = run(&options(&faulty, &lake)).await.unwrap();
    assert_eq!((first.objects.read, first.objects.failed, first.objects.still_failing), (4, 1, 0));
    assert!(first.failed_objects[0].object.ends_with(&broken), "{:?}", first.failed_objects);
    assert_eq!(first.findings.added, 4);

    let before = keys(lake.as_ref(), "").await;
    let second = run(&options(&faulty, &lake)).await.unwrap();
    assert_eq!((second.objects.failed, second.objects.still_failing, second.commits), (1, 1, 0));
    assert_eq!(keys(lake.as_ref(), "").await, before, "nothing new, nothing written");

    // It fails in another way: that is news, and a commit without files remembers it.
    archive.heal();
    archive.add(Fault::at(1, StoreErrorKind::NotFound).only("get", &broken).forever());
    let third = run(&options(&faulty, &lake)).await.unwrap();
    assert_eq!((third.objects.still_failing, third.commits, third.parts.written), (0, 1, 0));

    archive.heal();
    let fourth = run(&options(&faulty, &lake)).await.unwrap();
    assert_eq!((fourth.objects.read, fourth.objects.failed, fourth.findings.added), (1, 0, 1));
    assert_eq!(rows(folder.path(), "findings").len(), 5);
    assert_unique(folder.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_breaks_off_after_pieces_were_staged_leaves_nothing_behind() {
    let inner = archive(3).await;
    let filler = "lorem ipsum ".repeat(500);
    let events = (100..4_100).map(|number| {
        health_event(number, "2026-08-01", "111122223333").replace("is impaired", &filler)
    });
    let large = key("2026-08-01", 1, 99);
    put(&inner, &large, events.collect::<String>()).await;
    let archive = Arc::new(Faulty::new(Arc::new(inner)));
    let folder = tempfile::tempdir().unwrap();
    let lake: Arc<dyn Store> = Arc::new(Folder::open(folder.path(), true).await.unwrap());
    let faulty: Arc<dyn Store> = archive.clone();
    let mut options = options(&faulty, &lake);
    options.memory_bytes = 128 << 20;

    // The object is fetched in some hundred ranges; most of it is read before one does not come.
    archive.add(Fault::at(80, StoreErrorKind::Unavailable).only("get", &large).forever());
    let first = run(&options).await.unwrap();
    assert_eq!((first.objects.read, first.objects.failed, first.findings.added), (3, 1, 3));
    assert_eq!(rows(folder.path(), "findings").len(), 3);
    assert!(keys(lake.as_ref(), "_healthtrail/staging/").await.is_empty());

    archive.heal();
    let second = run(&options).await.unwrap();
    assert_eq!((second.objects.read, second.findings.added), (1, 4_000));
    assert!(second.parts.written > 1, "it was staged in pieces");
    assert_unique(folder.path());
}

/// A broken object's rows were taken for written ones when a piece was staged after it broke off, and
/// the same events in a later object of the wave were dropped as their duplicates.
#[tokio::test(flavor = "multi_thread")]
async fn r012_what_broke_off_hides_no_equal_row_that_comes_later() {
    let filler = "lorem ipsum ".repeat(500);
    let events = |numbers: std::ops::Range<u32>| -> String {
        let event = |number| {
            health_event(number, "2026-08-01", "111122223333").replace("is impaired", &filler)
        };
        numbers.map(event).collect()
    };
    let inner = Memory::new("archive");
    let breaking = key("2026-08-01", 1, 1);
    put(&inner, &breaking, events(0..700)).await;
    put(&inner, &key("2026-08-01", 2, 2), events(1_000..4_000) + &events(0..700)).await;
    let archive = Arc::new(Faulty::new(Arc::new(inner)));
    // Some rows of the first object are read, too few to be staged, before it breaks off.
    archive.add(Fault::at(12, StoreErrorKind::Unavailable).only("get", &breaking).forever());
    let folder = tempfile::tempdir().unwrap();
    let lake: Arc<dyn Store> = Arc::new(Folder::open(folder.path(), true).await.unwrap());
    let faulty: Arc<dyn Store> = archive.clone();
    let mut options = options(&faulty, &lake);
    options.memory_bytes = 128 << 20;
    let summary = run(&options).await.unwrap();
    assert_eq!((summary.objects.read, summary.objects.failed), (1, 1));
    assert_eq!((summary.findings.added, summary.findings.duplicates), (3_700, 0));
    assert!(summary.parts.written > 1, "it was staged in pieces");
}

/// An object that another run consumed after the plan and before the first piece was counted row by row,
/// and then dropped with its tally: the sums of the run did not hold.
#[tokio::test(flavor = "multi_thread")]
async fn r015_what_others_consumed_before_the_first_piece_is_not_counted() {
    let filler = "lorem ipsum ".repeat(500);
    let events = |numbers: std::ops::Range<u32>| -> String {
        let event = |number| {
            health_event(number, "2026-08-01", "111122223333").replace("is impaired", &filler)
        };
        numbers.map(event).collect()
    };
    let archive = Memory::new("archive");
    put(&archive, &key("2026-08-01", 1, 1), health_event(1, "2026-08-01", "111122223333")).await;
    put(&archive, &key("2026-08-01", 2, 2), events(100..4_100) + "no json").await;
    let archive: Arc<dyn Store> = Arc::new(archive);
    let folder = tempfile::tempdir().unwrap();
    let lake: Arc<dyn Store> = Arc::new(Folder::open(folder.path(), true).await.unwrap());
    let (from, to) = (Arc::clone(&archive), Arc::clone(&lake));
    let other = Box::new(move || {
        let summary = at_once(run(&options(&from, &to))).unwrap();
        assert_eq!(summary.findings.added, 4_001);
    });
    // The listing is the first operation, so this is a fetch.
    let inner = Arc::clone(&archive);
    let meddled: Arc<dyn Store> = Arc::new(Meddler { inner, left: AtomicI64::new(4), other });
    let mut slow = options(&meddled, &lake);
    slow.memory_bytes = 128 << 20;
    let summary = run(&slow).await.unwrap();
    assert_eq!((summary.objects.in_ledger, summary.objects.read), (2, 0), "{summary:?}");
    assert_eq!((summary.findings.added, summary.findings.duplicates), (0, 0));
    assert_eq!(rows(folder.path(), "findings").len(), 4_001);
    assert_eq!(rows(folder.path(), "rejects").len(), 1);
    assert_unique(folder.path());
}

/// While a run that had lost its number compared its wave with the lake again, it took rows for known
/// that it had seen in a file which was taken out meanwhile; and one that was just reading that file took
/// the lake for damaged.
#[tokio::test(flavor = "multi_thread")]
async fn r016_what_was_seen_in_a_withdrawn_file_is_not_known() {
    let archive = Memory::new("archive");
    let event = |number| health_event(number, "2026-08-01", "111122223333");
    put(&archive, &key("2026-08-01", 1, 1), event(1)).await;
    let small: Arc<dyn Store> = Arc::new(archive);
    let before: Arc<dyn Store> = Arc::new(Memory::new("lake"));
    run(&options(&small, &before)).await.unwrap();
    put(small.as_ref(), &key("2026-08-01", 2, 2), event(1) + &event(2)).await;
    for nth in 1.. {
        let lake = copy_of(before.as_ref()).await;
        let to = Arc::clone(&lake);
        let other = Box::new(move || at_once(withdraw(&to)));
        let meddler = Arc::new(Meddler { inner: lake.clone(), left: AtomicI64::new(nth), other });
        let watched: Arc<dyn Store> = meddler.clone();
        run(&options(&small, &watched)).await.unwrap();
        if meddler.left.load(Ordering::Relaxed) > 0 {
            assert!(nth > 10, "{nth}");
            break;
        }
        // Its first object has expired, so only the second one gives the row that was withdrawn.
        let runs_commit = record_of(lake.as_ref(), 3).await;
        if runs_commit.purpose == Purpose::Run {
            assert_eq!(runs_commit.totals.findings, 2, "before operation {nth}");
        }
    }
}

/// Takes the file of the first commit out, as a repair does.
async fn withdraw(lake: &Arc<dyn Store>) {
    let log = Log::new(Arc::clone(lake));
    let first = record_of(lake.as_ref(), 1).await;
    let key = first.files[0].key.clone();
    let mut ledger = log.load().await.unwrap();
    loop {
        log.catch_up(&mut ledger).await.unwrap();
        let draft = Draft {
            run: "hand".into(),
            purpose: Purpose::Repair,
            reason: None,
            settings: first.settings,
            started_at: String::new(),
            committed_at: String::new(),
            objects: Objects::default(),
            files: Vec::new(),
            withdrawn: vec![Withdrawn { key: key.clone(), commit: 1, reopen: true }],
            tombstones: Vec::new(),
        };
        if !matches!(log.commit(draft, ledger.version()).await.unwrap(), Drafted::Lost) {
            return;
        }
    }
}

/// A list of objects that was lost was told of with every fold of the log, long after a repair.
#[tokio::test(flavor = "multi_thread")]
async fn r017_a_lost_list_is_told_of_until_it_was_repaired() {
    let archive: Arc<dyn Store> = Arc::new(archive(2).await);
    let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
    run(&options(&archive, &lake)).await.unwrap();
    let list = list_beside(lake.as_ref()).await;
    lake.delete(&list).await.unwrap();
    let notes = async || {
        let log = Log::new(Arc::clone(&lake));
        log.catch_up(&mut Ledger::default()).await.unwrap().notes
    };
    assert!(notes().await[0].contains("list of objects of commit 1"));
    let repairing = VerifyOptions { repair: true, ..asked(&archive, &lake) };
    assert!(verify(&repairing).await.unwrap().is_right());
    assert_eq!(notes().await, Vec::<String>::new());
    assert_eq!(run(&options(&archive, &lake)).await.unwrap().objects.read, 2);
    assert_eq!(notes().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_at_once_add_every_row_once() {
    let archive: Arc<dyn Store> = Arc::new(archive(24).await);
    let folder = tempfile::tempdir().unwrap();
    let lake: Arc<dyn Store> = Arc::new(Folder::open(folder.path(), true).await.unwrap());
    let runs = (0..4).map(|number| {
        let mut options = options(&archive, &lake);
        options.wave_objects = Some(1 + number * 3);
        async move { run(&options).await.unwrap() }
    });
    let summaries = futures::future::join_all(runs).await;
    let added: u64 = summaries.iter().map(|summary| summary.findings.added).sum();
    assert_eq!(added, 24);
    assert_eq!(rows(folder.path(), "findings").len(), 24);
    assert_unique(folder.path());
    for summary in &summaries {
        assert_eq!(summary.objects.read + summary.objects.in_ledger, 24, "{summary:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_dies_at_any_operation_on_the_lake_is_completed_or_forgotten_by_the_next() {
    let archive: Arc<dyn Store> = Arc::new(archive(6).await);
    let golden = Arc::new(Faulty::new(Arc::new(Memory::new("lake"))));
    let as_store: Arc<dyn Store> = golden.clone();
    let mut golden_options = options(&archive, &as_store);
    golden_options.wave_objects = Some(3);
    run(&golden_options).await.unwrap();
    let operations = golden.count();
    let expected = visible(golden.as_ref()).await;
    assert!(operations > 20 && expected.len() == 2, "{operations} {expected:?}");

    for nth in 1..=operations {
        for answer_lost in [false, true] {
            let memory: Arc<dyn Store> = Arc::new(Memory::new("lake"));
            let mut fault = Fault::at(nth, StoreErrorKind::Unavailable).forever();
            if answer_lost {
                fault = fault.answer_lost();
            }
            let dying: Arc<dyn Store> = Arc::new(Faulty::new(Arc::clone(&memory)).with(fault));
            let mut dying_options = options(&archive, &dying);
            dying_options.wave_objects = Some(3);
            let died = run(&dying_options).await;
            assert!(died.is_err() || nth == operations, "operation {nth} was not needed");
            let mut options = options(&archive, &memory);
            options.wave_objects = Some(3);
            run(&options)
                .await
                .unwrap_or_else(|error| panic!("after {nth}, {answer_lost}: {error:#}"));
            assert_eq!(visible(memory.as_ref()).await, expected, "after {nth}, {answer_lost}");
            assert!(keys(memory.as_ref(), "_healthtrail/staging/").await.is_empty(), "after {nth}");
        }
    }
}

/// What readers see: the keys of the tables, which name commit and content.
async fn visible(lake: &dyn Store) -> Vec<String> {
    let mut visible = keys(lake, "findings/").await;
    visible.extend(keys(lake, "rejects/").await);
    visible
}
