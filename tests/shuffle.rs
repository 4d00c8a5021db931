//! A run whose two halves lie apart, carried by a carrier that does everything twice: the same lake as of a
//! run on one machine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use healthtrail::finding::product::Products;
use healthtrail::job::options::RunOptions;
use healthtrail::job::run::run as run_here;
use healthtrail::job::shuffle::parcel::{Group, Kind, Parcel};
use healthtrail::job::shuffle::reduce::Reducer;
use healthtrail::job::shuffle::{Committed, Context, Driver, WavePlan, parcel, read};
use healthtrail::job::summary::Summary;
use healthtrail::store::{Fault, Faulty, Folder, Store, StoreErrorKind};

use crate::failing;
use crate::program::{
    Row, assert_unique, healthtrail, key, number, parts, rows, run, text, undelivered,
};
use crate::stores::keys;

const TASK_BYTES: u64 = 200_000;

async fn folder(path: &Path) -> Arc<dyn Store> {
    Arc::new(Folder::open(path, true).await.unwrap())
}

fn options(archive: &Arc<dyn Store>, lake: &Arc<dyn Store>) -> RunOptions {
    RunOptions {
        threads: 1,
        products: Some(Products::All),
        partition: None,
        ..failing::options(archive, lake)
    }
}

/// The first half of each task, done twice; what the first attempt gave is lost.
async fn read_all(wave: &WavePlan, worker: &RunOptions) -> anyhow::Result<Vec<Parcel>> {
    let context = Context::parse(&wave.context)?;
    let mut all = wave.files.clone();
    for task in &wave.tasks {
        let mut attempts = Vec::new();
        for _ in 0..2 {
            let mut parcels = Vec::new();
            let mut emit = |some: Vec<Parcel>| {
                parcels.extend(some);
                Ok(())
            };
            Box::pin(read::read(&context, worker, task, &mut emit)).await?;
            attempts.push(parcels);
        }
        let again = attempts.pop().unwrap();
        let first = attempts.pop().unwrap();
        assert_eq!(first.len(), again.len());
        for (one, two) in first.iter().zip(&again) {
            // The message of a fault that is injected says how many requests came before.
            let is_same = one == two || one.kind == Kind::Objects;
            assert!(is_same, "an attempt that is done again gives the same: {:?}", one.group);
        }
        all.extend(again);
    }
    Ok(all)
}

/// The second half, by as many reducers, each of them done twice.
async fn reduce_all(
    wave: &WavePlan,
    worker: &RunOptions,
    parcels: Vec<Parcel>,
    reducers: usize,
) -> Vec<(Kind, Vec<u8>)> {
    let mut groups: BTreeMap<Group, Vec<Parcel>> = BTreeMap::new();
    for parcel in parcels {
        groups.entry(parcel.group).or_default().push(parcel);
    }
    let mut told = Vec::new();
    for number in 0..reducers {
        let own = groups.values().skip(number).step_by(reducers);
        let mut attempts = Vec::new();
        for _ in 0..2 {
            let context = Context::parse(&wave.context).unwrap();
            let mut reducer = Reducer::new(context, worker).unwrap();
            let mut out = Vec::new();
            for group in own.clone() {
                let mut group = group.clone();
                group.sort_by_key(|parcel| (parcel.kind, parcel.ordinal));
                for parcel in group {
                    out.extend(reducer.take(parcel).await.unwrap());
                }
            }
            out.extend(reducer.finish().await.unwrap());
            attempts.push(out);
        }
        assert!(attempts[0] == attempts[1], "an attempt that is done again stages the same");
        told.extend(attempts.pop().unwrap().into_iter().map(|one| (one.kind, one.payload)));
    }
    told
}

/// All waves of a run.
async fn carry(driver: &RunOptions, worker: &RunOptions, reducers: usize) -> Summary {
    Box::pin(carry_waves(driver, worker, reducers)).await
}

async fn carry_waves(driver: &RunOptions, worker: &RunOptions, reducers: usize) -> Summary {
    let mut driver = Driver::begin(driver).await.unwrap();
    while let Some(wave) = driver.next_wave(TASK_BYTES).await.unwrap() {
        let parcels = read_all(&wave, worker).await.unwrap();
        let told = reduce_all(&wave, worker, parcels, reducers).await;
        assert_eq!(driver.commit(told).await.unwrap(), Committed::Done);
    }
    driver.finish().await.unwrap()
}

fn generated(folder: &Path, events: &str, compression: &str) {
    let ran = healthtrail(&[
        "generate",
        "--to",
        text(folder),
        "--objects",
        "40",
        "--events",
        events,
        "--days",
        "4",
        "--seed",
        "11",
        "--compression",
        compression,
        "--bad-bytes",
        "0.01",
        "--error-records",
        "0.02",
        "--duplicates",
        "0.1",
        "--backup-copies",
        "0.2",
        "--pages",
        "0.1",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

/// The rows of the rejects table that do not depend on who reads.
fn rejects(lake: &Path) -> Vec<Row> {
    let mut rows = rows(lake, "rejects");
    for row in &mut rows {
        row.remove("detail");
    }
    rows.sort();
    rows
}

fn verified(lake: &Path, archive: &Path) {
    let ran = healthtrail(&["verify", "--lake", text(lake), "--from", text(archive)]);
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lake_is_that_of_a_run_on_one_machine() {
    let place = tempfile::tempdir().unwrap();
    let (archive, one) = (place.path().join("archive"), place.path().join("one"));
    generated(&archive, "2000", "none");
    let source = folder(&archive).await;
    let whole = run(text(&archive), text(&one), &["--products", "all"], 0);
    assert_eq!(number(&whole, "commits"), 1);

    let apart = place.path().join("apart");
    let lake = folder(&apart).await;
    // So little memory that a day is cut into slices.
    let little = RunOptions { memory_bytes: 106 << 20, ..options(&source, &lake) };
    let summary = carry(&little, &little, 3).await;
    assert_unique(&apart);
    assert!(undelivered(&one) == undelivered(&apart));
    assert!(rows(&one, "rejects") == rows(&apart, "rejects"));
    assert!(parts(&apart).len() > 2 * parts(&one).len(), "{}", parts(&apart).len());
    assert_eq!(summary.findings.added, number(&whole, "findings.added"));
    assert_eq!(summary.findings.duplicates, number(&whole, "findings.duplicates"));
    assert_eq!(summary.commits, 1);
    assert!(keys(lake.as_ref(), "_healthtrail/staging/").await.is_empty());
    verified(&apart, &archive);
    let again = carry(&little, &little, 3).await;
    assert_eq!((again.objects.read, again.commits), (0, 0));

    // Workers that have less memory than the driver knows of: groups are staged in pieces.
    let pieces = place.path().join("pieces");
    let lake = folder(&pieces).await;
    let driver = options(&source, &lake);
    let worker = RunOptions { memory_bytes: 100 << 20, ..driver.clone() };
    let summary = carry(&driver, &worker, 2).await;
    assert!(undelivered(&one) == undelivered(&pieces));
    assert!(rows(&one, "rejects") == rows(&pieces, "rejects"));
    assert!(parts(&pieces).len() > parts(&one).len());
    assert_eq!(summary.findings.duplicates, number(&whole, "findings.duplicates"));
    verified(&pieces, &archive);
}

#[tokio::test(flavor = "multi_thread")]
async fn either_kind_of_run_fills_a_lake_in_turns() {
    let place = tempfile::tempdir().unwrap();
    let (archive, one) = (place.path().join("archive"), place.path().join("one"));
    generated(&archive, "900", "mix");
    let source = folder(&archive).await;
    run(text(&archive), text(&one), &["--products", "health", "--document-bytes-max", "2500"], 0);
    run(text(&archive), text(&one), &["--products", "all"], 0);

    let turns = place.path().join("turns");
    let lake = folder(&turns).await;
    let half = ["--products", "health", "--document-bytes-max", "2500", "--until", "2026-08-03"];
    run(text(&archive), text(&turns), &half, 0);
    let narrow = RunOptions {
        products: Some(Products::Health),
        document_bytes_max: 2_500,
        wave_objects: Some(7),
        ..options(&source, &lake)
    };
    let summary = carry(&narrow, &narrow, 2).await;
    assert!(summary.commits > 1, "{summary:?}");
    // What was passed over, and what was too long, is read again; its rejects are settled.
    let wide = options(&source, &lake);
    let summary = carry(&wide, &wide, 2).await;
    assert!(summary.rejects_by_state["redriven"] > 0, "{summary:?}");
    assert_eq!(undelivered(&one), undelivered(&turns));
    let ids = |lake: &Path| -> Vec<(String, String, String)> {
        let pick = |row: &Row, name: &str| row.get(name).cloned().unwrap_or_default();
        let row =
            |row: &Row| (pick(row, "reject_id"), pick(row, "state"), pick(row, "state_number"));
        rejects(lake).iter().map(row).collect()
    };
    assert_eq!(ids(&one), ids(&turns));
    assert_unique(&turns);
    verified(&turns, &archive);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wave_whose_number_is_taken_is_planned_anew_less_what_the_winner_consumed() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("lake");
    let memory: Arc<dyn Store> = Arc::new(failing::archive(6).await);
    let lake = folder(&path).await;
    let options = options(&memory, &lake);
    let mut driver = Driver::begin(&options).await.unwrap();
    let wave = driver.next_wave(1).await.unwrap().unwrap();
    assert_eq!((wave.objects, wave.tasks.len(), wave.number), (6, 6, 1));
    let parcels = read_all(&wave, &options).await.unwrap();
    let told = reduce_all(&wave, &options, parcels, 1).await;
    // Two objects are committed by another run meanwhile, as its deadline ends it after its first wave.
    let deadline = Some(std::time::Duration::ZERO);
    let other = RunOptions { wave_objects: Some(2), deadline, ..options.clone() };
    assert_eq!(run_here(&other).await.unwrap().findings.added, 2);
    assert_eq!(driver.commit(told.clone()).await.unwrap(), Committed::Lost);

    let wave = driver.next_wave(1 << 20).await.unwrap().unwrap();
    assert_eq!((wave.objects, wave.tasks.len(), wave.number), (4, 1, 2));
    // What was told of the lost wave says nothing of this one.
    let error = driver.commit(told).await.unwrap_err();
    assert!(error.to_string().contains("nothing of it is committed"), "{error}");
    let parcels = read_all(&wave, &options).await.unwrap();
    let told = reduce_all(&wave, &options, parcels, 2).await;
    assert_eq!(driver.commit(told).await.unwrap(), Committed::Done);
    assert!(driver.next_wave(1).await.unwrap().is_none());
    let summary = driver.finish().await.unwrap();
    assert_eq!((summary.objects.read, summary.objects.in_ledger), (4, 2));
    assert_eq!(rows(&path, "findings").len(), 6);
    assert_unique(&path);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_read_fails_alone() {
    let place = tempfile::tempdir().unwrap();
    let archive = Arc::new(Faulty::new(Arc::new(failing::archive(5).await)));
    let broken = key("2026-08-01", 2, 2);
    archive.add(Fault::at(1, StoreErrorKind::Denied).only("get", &broken).forever());
    let source: Arc<dyn Store> = archive.clone();
    let lake = folder(&place.path().join("lake")).await;
    let options = options(&source, &lake);
    let summary = carry(&options, &options, 2).await;
    assert_eq!((summary.objects.read, summary.objects.failed), (4, 1), "{summary:?}");
    assert_eq!(summary.failed_objects[0].kind, "denied");
    let again = carry(&options, &options, 2).await;
    assert_eq!((again.objects.still_failing, again.commits), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn parcels_that_were_not_kept_together_or_in_order_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let memory: Arc<dyn Store> = Arc::new(failing::archive(2).await);
    let lake = folder(&place.path().join("lake")).await;
    let options = options(&memory, &lake);
    let mut driver = Driver::begin(&options).await.unwrap();
    let wave = driver.next_wave(1).await.unwrap().unwrap();
    let parcels = read_all(&wave, &options).await.unwrap();
    let of = |kind: Kind| parcels.iter().find(|parcel| parcel.kind == kind).unwrap().clone();
    let (rows, objects) = (of(Kind::Rows), of(Kind::Objects));
    for (order, expected) in [
        (vec![rows.clone(), objects.clone(), rows.clone()], "kept together"),
        (vec![rows.clone(), Parcel { kind: Kind::Files, ..rows.clone() }], "order"),
        (vec![Parcel { kind: Kind::Part, ..rows.clone() }], "no input"),
        (vec![Parcel { payload: vec![1, 2, 3], ..rows.clone() }], "version"),
        (vec![Parcel { payload: vec![], ..objects.clone() }], "tell each other"),
    ] {
        let context = Context::parse(&wave.context).unwrap();
        let mut reducer = Reducer::new(context, &options).unwrap();
        let mut refused = None;
        for parcel in order {
            if let Err(error) = reducer.take(parcel).await {
                refused = Some(format!("{error:#}"));
                break;
            }
        }
        assert!(refused.as_ref().is_some_and(|text| text.contains(expected)), "{refused:?}");
    }
    assert_eq!(parcel::batch(&parcels).unwrap().num_rows(), parcels.len());
    let other = String::from_utf8(wave.context).unwrap().replace("healthtrail 0", "healthtrail 9");
    let error = Context::parse(other.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("one version"), "{error}");
}
