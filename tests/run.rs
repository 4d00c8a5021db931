//! The promises of `healthtrail run`, on folders, by the program itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::program::{
    assert_unique, files, gzip, health_event, healthtrail, key, number, parts, rows, run, text,
    undelivered, write,
};

fn samples() -> String {
    format!("{}/samples/archive", env!("CARGO_MANIFEST_DIR"))
}

/// A generated archive of some hundred findings of all shapes, with copies, pages and bad bytes.
fn generated(folder: &Path, compression: &str) {
    let ran = healthtrail(&[
        "generate",
        "--to",
        text(folder),
        "--objects",
        "40",
        "--events",
        "1500",
        "--days",
        "5",
        "--seed",
        "7",
        "--compression",
        compression,
        "--bad-bytes",
        "0.01",
        "--error-records",
        "0.02",
        "--duplicates",
        "0.1",
        "--pages",
        "0.1",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn a_second_run_reads_nothing_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let first = run(&samples(), text(&lake), &[], 0);
    assert!(number(&first, "findings.added") > 0);
    assert_eq!(number(&first, "findings.added"), rows(&lake, "findings").len() as u64);
    let before = files(&lake);
    let second = run(&samples(), text(&lake), &[], 0);
    assert_eq!(number(&second, "objects.read"), 0);
    assert_eq!(number(&second, "commits"), 0);
    assert_eq!(files(&lake), before);
    assert_unique(&lake);
}

#[test]
fn where_waves_end_and_who_commits_between_changes_no_row() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    let other = folder.path().join("other");
    generated(&archive, "mix");
    write(
        &other,
        &key("2026-08-03", 4, 1),
        health_event(1, "2026-08-03", "111122223333").as_bytes(),
    );
    write(
        &other,
        &key("2026-08-09", 4, 1),
        health_event(2, "2026-08-09", "111122223333").as_bytes(),
    );

    let one = folder.path().join("one");
    run(text(&other), text(&one), &[], 0);
    let whole = run(text(&archive), text(&one), &[], 0);
    assert_eq!(number(&whole, "commits"), 1);

    let many = folder.path().join("many");
    run(text(&archive), text(&many), &["--wave-objects", "2", "--until", "2026-08-03"], 0);
    run(text(&other), text(&many), &[], 0);
    let rest = run(text(&archive), text(&many), &["--wave-objects", "2"], 0);
    assert!(number(&rest, "commits") > 5);

    assert_eq!(undelivered(&one), undelivered(&many));
    assert_unique(&many);
    let rejects = |lake: &Path| -> BTreeSet<String> {
        rows(lake, "rejects").into_iter().map(|row| row["reject_id"].clone()).collect()
    };
    assert_eq!(rejects(&one), rejects(&many));
    assert!(!rejects(&one).is_empty());
}

#[test]
fn the_same_wave_gives_the_same_bytes_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    generated(&archive, "gzip");
    let lakes: Vec<_> = ["1", "2", "8"]
        .map(|threads| {
            let lake = folder.path().join(threads);
            run(text(&archive), text(&lake), &["--threads", threads], 0);
            parts(&lake)
        })
        .into();
    assert_eq!(lakes[0], lakes[1]);
    assert_eq!(lakes[0], lakes[2]);
    assert!(lakes[0].len() > 3);
}

/// The documents of an archive without compression, junk left out.
fn documents(archive: &Path) -> Vec<String> {
    let mut documents = Vec::new();
    for file in files(archive) {
        let bytes = fs::read(archive.join(&file)).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut rest = text.as_str();
        while let Some(start) = rest.find('{') {
            let tail = &rest[start..];
            let mut values =
                serde_json::Deserializer::from_str(tail).into_iter::<serde::de::IgnoredAny>();
            if matches!(values.next(), Some(Ok(_))) {
                let end = values.byte_offset();
                documents.push(tail[..end].to_owned());
                rest = &tail[end..];
            } else {
                rest = &tail[1..];
            }
        }
    }
    documents
}

#[test]
fn packing_order_framing_and_compression_change_no_row() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    let ran = healthtrail(&[
        "generate",
        "--to",
        text(&archive),
        "--objects",
        "20",
        "--events",
        "1200",
        "--days",
        "4",
        "--seed",
        "3",
        "--compression",
        "none",
        "--bad-bytes",
        "0",
        "--duplicates",
        "0.1",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let mut documents = documents(&archive);
    assert!(documents.len() > 1000);

    // The same documents, the last first, in seven objects of other names, framings and compressions.
    documents.reverse();
    let again = folder.path().join("again");
    for (index, pack) in documents.chunks(documents.len() / 6).enumerate() {
        let (open, between, close) =
            [("", "\n", ""), ("[", ",", "]"), ("", "\r\n", "\r\n"), ("", "\\n", "")][index % 4];
        let joined = format!("{open}{}{close}", pack.join(between));
        let bytes = if index % 2 == 0 { gzip(joined.as_bytes()) } else { joined.into_bytes() };
        write(&again, &format!("random/{index}.json"), &bytes);
    }

    for products in ["health", "all"] {
        let (one, two) = (
            folder.path().join(format!("{products}-1")),
            folder.path().join(format!("{products}-2")),
        );
        let first = run(text(&archive), text(&one), &["--products", products], 0);
        let second = run(text(&again), text(&two), &["--products", products], 0);
        for path in
            ["findings.read", "findings.added", "findings.duplicates", "documents.with_findings"]
        {
            assert_eq!(number(&first, path), number(&second, path), "{products}: {path}");
        }
        assert_eq!(undelivered(&one), undelivered(&two), "{products}");
        assert_unique(&one);
    }
}

#[test]
fn hours_left_out_are_filled_by_a_later_plain_run() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, lake) = (folder.path().join("archive"), folder.path().join("lake"));
    for number in 1..=4 {
        let day = format!("2026-08-{number:02}");
        write(&archive, &key(&day, 5, 1), health_event(number, &day, "111122223333").as_bytes());
    }
    let options = ["--since", "2026-08-02", "--until", "2026-08-03T05"];
    let some = run(text(&archive), text(&lake), &options, 0);
    assert_eq!((number(&some, "objects.read"), number(&some, "objects.left")), (1, 3));
    let rest = run(text(&archive), text(&lake), &[], 0);
    assert_eq!((number(&rest, "objects.read"), number(&rest, "objects.in_ledger")), (3, 1));
}

#[test]
fn excluded_objects_are_skipped_and_not_consumed() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, lake) = (folder.path().join("archive"), folder.path().join("lake"));
    write(
        &archive,
        &key("2026-08-01", 1, 1),
        health_event(1, "2026-08-01", "111122223333").as_bytes(),
    );
    write(&archive, "error/x/data", health_event(2, "2026-08-01", "111122223333").as_bytes());
    let some = run(text(&archive), text(&lake), &["--exclude", "error/*"], 0);
    assert_eq!((number(&some, "objects.skipped"), number(&some, "findings.added")), (1, 1));
    let all = run(text(&archive), text(&lake), &[], 0);
    assert_eq!((number(&all, "objects.read"), number(&all, "findings.added")), (1, 1));
}

#[test]
fn wider_products_read_again_what_was_passed_over_and_narrower_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, lake) = (folder.path().join("archive"), folder.path().join("lake"));
    generated(&archive, "gzip");
    run(text(&archive), text(&lake), &[], 0);
    let health = rows(&lake, "findings").len();
    let wider = run(text(&archive), text(&lake), &["--products", "all"], 0);
    assert!(number(&wider, "objects.read") > 0);
    assert!(rows(&lake, "findings").len() > health);
    assert_unique(&lake);

    let fresh = folder.path().join("fresh");
    run(text(&archive), text(&fresh), &["--products", "all"], 0);
    assert_eq!(undelivered(&lake), undelivered(&fresh));

    let again = run(text(&archive), text(&lake), &[], 0);
    assert_eq!(number(&again, "objects.read"), 0, "the lake's products stay in force");
    let ran = healthtrail(&[
        "run",
        "--from",
        text(&archive),
        "--to",
        text(&lake),
        "--products",
        "health",
    ]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("--products"), "{}", ran.stderr);
}

#[test]
fn another_partition_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    run(&samples(), text(&lake), &["--partition", "month"], 0);
    assert!(parts(&lake).keys().all(|path| text(path).contains("/month=")));
    run(&samples(), text(&lake), &[], 0);
    let ran =
        healthtrail(&["run", "--from", &samples(), "--to", text(&lake), "--partition", "day"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("month"), "{}", ran.stderr);
}

#[test]
fn archives_and_lake_must_not_overlap() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    write(&archive, "a/2026/x", b"{}");
    let inner = archive.join("a");
    let lake = folder.path().join("lake");
    let inside = archive.join("lake");
    let table: [&[&str]; 3] = [
        &["--from", text(&archive), "--from", text(&inner), "--to", text(&lake)],
        &["--from", text(&archive), "--from", text(&archive), "--to", text(&lake)],
        &["--from", text(&archive), "--to", text(&inside)],
    ];
    for arguments in table {
        let ran = healthtrail(&[&["run"], arguments].concat());
        assert_eq!(ran.code, 2, "{arguments:?}");
        assert!(ran.stderr.contains("overlap"), "{}", ran.stderr);
    }
}

#[test]
fn a_dry_run_says_what_would_be_read_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let ran = healthtrail(&[
        "run",
        "--from",
        &samples(),
        "--to",
        text(&lake),
        "--dry-run",
        "--progress",
        "none",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.starts_with("would read "), "{}", ran.stdout);
    assert!(!lake.exists());
    run(&samples(), text(&lake), &[], 0);
    let before = files(&lake);
    let ran = healthtrail(&[
        "run",
        "--from",
        &samples(),
        "--to",
        text(&lake),
        "--dry-run",
        "--progress",
        "none",
    ]);
    assert!(ran.stdout.starts_with("would read 0 of "), "{}", ran.stdout);
    assert_eq!(files(&lake), before);
}

#[test]
fn a_deadline_ends_after_the_wave_and_the_next_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, lake) = (folder.path().join("archive"), folder.path().join("lake"));
    for hour in 0..6 {
        let event = health_event(hour, "2026-08-01", "111122223333");
        write(&archive, &key("2026-08-01", hour, hour), event.as_bytes());
    }
    let cut = run(text(&archive), text(&lake), &["--deadline", "0s", "--wave-objects", "1"], 0);
    assert_eq!((number(&cut, "commits"), number(&cut, "objects.left")), (1, 5));
    assert_eq!(cut["deadline_reached"], true);
    let rest = run(text(&archive), text(&lake), &[], 0);
    assert_eq!((number(&rest, "objects.read"), number(&rest, "findings.added")), (5, 5));
}

#[test]
fn more_rejects_than_allowed_end_with_three() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, lake) = (folder.path().join("archive"), folder.path().join("lake"));
    write(&archive, "2026/08/01/00/x", b"no json, no json");
    let summary = run(text(&archive), text(&lake), &["--rejects-max", "0"], 3);
    assert_eq!(number(&summary, "documents.rejected"), 1);
    assert_eq!(rows(&lake, "rejects").len(), 1);
    run(text(&archive), text(&lake), &["--rejects-max", "0"], 0);
}

#[test]
fn two_archives_fill_one_lake_and_shared_events_are_one_row() {
    let folder = tempfile::tempdir().unwrap();
    let (east, west) = (folder.path().join("east"), folder.path().join("west"));
    let shared = health_event(1, "2026-08-01", "111122223333");
    write(&east, &key("2026-08-01", 1, 1), shared.as_bytes());
    let copy = shared.replace("\"backupEvent\":\"false\"", "\"backupEvent\":\"true\"");
    let copy = copy.replace("\"id\":\"00000001", "\"id\":\"99999999");
    write(&west, &key("2026-08-01", 1, 2), copy.as_bytes());
    let lake = folder.path().join("lake");
    let summary = run(text(&west), text(&lake), &["--from", text(&east)], 0);
    assert_eq!(
        (number(&summary, "findings.added"), number(&summary, "findings.duplicates")),
        (1, 1)
    );
    let rows = rows(&lake, "findings");
    assert_eq!(rows[0]["backup"], "false", "the primary beats the backup copy");
}

#[test]
fn a_large_object_is_read_in_pieces_within_one_commit() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    let filler = "lorem ipsum ".repeat(400);
    let mut large = String::new();
    for number in 0..16_000 {
        let event = health_event(number, "2026-08-01", "111122223333");
        large.push_str(&event.replace("is impaired", &filler));
        if number % 4 == 0 {
            large.push_str(&event.replace("is impaired", &filler));
        }
    }
    write(&archive, &key("2026-08-01", 1, 1), large.as_bytes());
    write(
        &archive,
        &key("2026-08-01", 0, 1),
        health_event(5, "2026-08-01", "111122223333").as_bytes(),
    );
    let lake = folder.path().join("lake");
    let summary = run(text(&archive), text(&lake), &["--memory", "128MiB"], 0);
    assert_eq!(number(&summary, "commits"), 1);
    assert_eq!(number(&summary, "findings.read"), 20_001);
    assert_eq!(number(&summary, "findings.added"), 16_001);
    assert!(number(&summary, "parts.written") > 2, "pieces were staged early: {summary}");
    assert_unique(&lake);
    assert!(!files(&lake).iter().any(|path| text(path).contains("staging")), "staging is swept");
}
