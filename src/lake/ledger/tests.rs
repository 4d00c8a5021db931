use super::*;
use crate::lake::record::{FileRecord, Limits, ObjectList, ObjectRecord, Withdrawn};
use crate::lake::testing::{SETTINGS, object, record};

fn objects(consumed: Vec<ObjectRecord>, failed: &[(&str, &str)]) -> Objects {
    let failed = failed.iter().map(|(key, kind)| FailedObject {
        archive: "memory://archive".into(),
        key: (*key).into(),
        etag: "1".into(),
        kind: (*kind).into(),
        message: String::new(),
    });
    Objects { consumed, failed: failed.collect(), ..Objects::default() }
}

fn fold(ledger: &mut Ledger, settings: Settings, objects: &Objects) {
    let mut record =
        record(ledger.version + 1, "run", ObjectList::Inline(objects.clone()), Vec::new());
    record.settings = settings;
    ledger.fold(&record, Some(objects), &DoneMark::default()).unwrap();
}

fn status<'a>(ledger: &'a Ledger, key: &str, settings: &Settings) -> Status<'a> {
    ledger.status("memory://archive", key, "1", 0, settings)
}

fn file(commit: u64, day: &str) -> FileRecord {
    let partition = day.parse().unwrap();
    let sha256 = format!("{commit:064x}");
    FileRecord {
        table: Table::Findings,
        partition,
        staged: String::new(),
        key: crate::lake::layout::part_key(Table::Findings, partition, commit, &sha256),
        rows: 10,
        bytes: 100,
        sha256,
        time_ms: (0, 0),
        ids: (String::new(), String::new()),
    }
}

#[test]
fn an_object_is_its_uri_and_etag() {
    let mut ledger = Ledger::default();
    fold(&mut ledger, SETTINGS, &objects(vec![object("a/b")], &[]));
    let status = |archive, key, etag| ledger.status(archive, key, etag, 0, &SETTINGS);
    assert_eq!(status("memory://archive", "a/b", "1"), Status::Consumed);
    // The same object, seen from an archive further down.
    assert_eq!(status("memory://archive/a", "b", "1"), Status::Consumed);
    assert_eq!(status("memory://archive", "a/b", "2"), Status::Unknown);
    assert_eq!(status("memory://archive", "a/", "b1"), Status::Unknown);
}

#[test]
fn wider_settings_and_later_readers_reopen_what_was_left() {
    let with = |kind: &str, reason: &str| {
        let mut object = object("o");
        if !kind.is_empty() {
            object.tally.passed_over_by_kind.add(kind, 2);
        }
        if !reason.is_empty() {
            object.tally.by_reason.add(reason, 1);
        }
        object
    };
    let limits = |object_bytes_max, document_bytes_max, depth_max| Settings {
        limits: Limits { object_bytes_max, document_bytes_max, depth_max, ..SETTINGS.limits },
        ..SETTINGS
    };
    let all = Settings { products: Products::All, ..SETTINGS };
    let later = Settings { reader_generation: 2, ..SETTINGS };
    let (larger, longer, deeper) = (
        limits(1 << 40, 1 << 22, 128),
        limits(1 << 30, 1 << 30, 128),
        limits(1 << 30, 1 << 22, 999),
    );
    let cases = [
        (with("other_product", ""), all, true),
        (with("other_product", ""), later, false),
        (with("unrecognised", ""), later, true),
        (with("unrecognised", ""), all, false),
        (with("", "object_too_large"), larger, true),
        (with("", "object_too_large"), longer, false),
        (with("", "document_too_large"), longer, true),
        (with("", "too_deep"), deeper, true),
        (with("", "too_deep"), later, false),
        (with("", "not_json"), Settings { reader_generation: 2, ..all }, false),
        (with("", ""), Settings { reader_generation: 2, ..all }, false),
        (with("unrecognised", ""), SETTINGS, false),
    ];
    for (object, settings, reopened) in cases {
        let mut ledger = Ledger::default();
        fold(&mut ledger, SETTINGS, &objects(vec![object.clone()], &[]));
        let expected = if reopened { Status::Reopened } else { Status::Consumed };
        assert_eq!(status(&ledger, "o", &settings), expected, "{object:?} {settings:?}");
        // Read again under the wider settings, it is closed for them.
        fold(&mut ledger, settings, &objects(vec![object], &[]));
        assert_eq!(status(&ledger, "o", &settings), Status::Consumed);
    }
}

#[test]
fn products_only_widen() {
    let mut ledger = Ledger::default();
    let all = Settings { products: Products::All, ..SETTINGS };
    assert!(ledger.admit(&SETTINGS).is_ok() && ledger.products().is_none());
    fold(&mut ledger, SETTINGS, &Objects::default());
    assert!(ledger.admit(&all).is_ok());
    fold(&mut ledger, all, &Objects::default());
    let error = ledger.admit(&SETTINGS).unwrap_err();
    assert!(error.to_string().contains("run with `--products all`"), "{error}");
    assert_eq!(ledger.products(), Some(Products::All));
}

#[test]
fn failures_are_remembered_until_the_object_is_read() {
    let mut ledger = Ledger::default();
    fold(&mut ledger, SETTINGS, &objects(Vec::new(), &[("o", "denied"), ("p", "archived")]));
    assert_eq!(status(&ledger, "o", &SETTINGS), Status::Failed("denied"));
    fold(&mut ledger, SETTINGS, &objects(Vec::new(), &[("o", "archived")]));
    assert_eq!(status(&ledger, "o", &SETTINGS), Status::Failed("archived"));
    fold(&mut ledger, SETTINGS, &objects(vec![object("o")], &[]));
    assert_eq!(status(&ledger, "o", &SETTINGS), Status::Consumed);
    assert_eq!(status(&ledger, "p", &SETTINGS), Status::Failed("archived"));
}

#[test]
fn damage_stops_its_partition_only_until_it_is_withdrawn() {
    let mut ledger = Ledger::default();
    let held = objects(vec![object("o")], &[]);
    let list = ObjectList::Inline(held.clone());
    let files = vec![file(1, "2026-11-24"), file(1, "2026-11-25")];
    let first = record(1, "run", list, files.clone());
    let mut done = DoneMark::default();
    done.damaged.insert(files[0].key.clone(), "is neither staged nor published".into());
    ledger.fold(&first, Some(&held), &done).unwrap();
    let (hit, spared) = (files[0].partition, files[1].partition);
    let error = ledger.check(Table::Findings, hit).unwrap_err();
    assert_eq!(error.key(), files[0].key);
    assert!(error.to_string().contains("`findings/dt=2026-11-24` cannot be added to"), "{error}");
    assert!(ledger.check(Table::Findings, spared).is_ok());
    assert!(ledger.check(Table::Rejects, hit).is_ok());
    assert_eq!(status(&ledger, "o", &SETTINGS), Status::Consumed);

    let mut repair = record(2, "repair", ObjectList::Inline(Objects::default()), Vec::new());
    repair.withdrawn = vec![Withdrawn { key: files[0].key.clone(), commit: 1, reopen: true }];
    ledger.fold(&repair, Some(&Objects::default()), &DoneMark::default()).unwrap();
    assert!(ledger.check(Table::Findings, hit).is_ok());
    assert_eq!(status(&ledger, "o", &SETTINGS), Status::Reopened);
    assert_eq!((ledger.totals().files, ledger.totals().findings), (1, 10));
    fold(&mut ledger, SETTINGS, &held);
    assert_eq!(status(&ledger, "o", &SETTINGS), Status::Consumed);
}

#[test]
fn files_after_a_version_are_what_a_loser_missed() {
    let mut ledger = Ledger::default();
    for commit in 1..=3 {
        let list = ObjectList::Inline(Objects::default());
        let record = record(commit, "run", list, vec![file(commit, "2026-11-24")]);
        ledger.fold(&record, Some(&Objects::default()), &DoneMark::default()).unwrap();
    }
    let partition = "2026-11-24".parse().unwrap();
    let commits = |after| -> Vec<u64> {
        ledger.files(Table::Findings, partition, after).map(|file| file.commit).collect()
    };
    assert_eq!((commits(0), commits(2), commits(3)), (vec![1, 2, 3], vec![3], vec![]));
    assert_eq!(ledger.all_files().count(), 3);
}

#[test]
fn records_out_of_order_or_with_wrong_sums_are_refused_and_change_nothing() {
    let mut ledger = Ledger::default();
    let none = ObjectList::Inline(Objects::default());
    let mut wrong_sums = record(1, "run", none.clone(), Vec::new());
    wrong_sums.totals.findings = 1;
    let mut newer = record(1, "run", none.clone(), Vec::new());
    newer.format += 1;
    let skipped = record(2, "run", none, Vec::new());
    for record in [wrong_sums, newer, skipped] {
        let error = ledger.fold(&record, Some(&Objects::default()), &DoneMark::default());
        assert_eq!(error.unwrap_err().key(), record_key(1));
        assert_eq!(ledger, Ledger::default());
    }
}
