//! The orders in which runs can meet, operation by operation, on one lake.
//!
//! Two go through every order with a switch from the first to the second, back, and to the second again
//! ([`every_order_of_two_runs`] is the whole of it, a part of it runs with the ordinary tests); three through
//! orders that a seed decides. The runs share a part of their archives. After each order the lake is looked
//! at, and the warden has seen each operation.

use std::sync::Arc;

use futures::FutureExt as _;
use healthtrail::job::options::RunOptions;
use healthtrail::job::plan::Archive;
use healthtrail::job::run::run;
use healthtrail::job::summary::Summary;
use healthtrail::lake::ledger::Ledger;
use healthtrail::lake::log::Log;
use healthtrail::store::Store;

use crate::program::{health_event, key};
use crate::races::Place;
use crate::races::hooked::{Gate, When};
use crate::races::oracle::look;
use crate::races::rules::{options, run_to_end, start};
use crate::races::turns::{Actor, Choice, act, at_random, switching};
use crate::stores::put;

const DAYS: [&str; 2] = ["2026-08-01", "2026-08-02"];

/// Two objects each below `a/`, `b/` and `c/`: each with an event of its own, one that its folder shares, and
/// one that all share.
async fn fill(archive: &dyn Store) {
    for (folder, name) in (0..).zip(["a", "b", "c"]) {
        for (number, day) in (0..).zip(DAYS) {
            let event = |number| health_event(number, day, "111122223333");
            let body = event(10 * folder + number) + &event(100 + folder) + &event(1_000);
            put(archive, &format!("{name}/{}", key(day, number, 10 * folder + number)), body).await;
        }
    }
}

/// Rows of all three folders: an own event for each object, and on each day those that are shared.
const ROWS: usize = 6 + 3 * 2 + 2;

fn of_folders(archive: &Arc<dyn Store>, lake: &Arc<dyn Store>, folders: &[&str]) -> RunOptions {
    let mut options = options(archive, lake, 2);
    let one = |folder: &&str| Archive { store: Arc::clone(archive), prefix: (*folder).to_owned() };
    options.archives = folders.iter().map(one).collect();
    options
}

type Ran = anyhow::Result<Summary>;

fn runner(place: &Place, folders: &'static [&'static str]) -> Actor<Ran> {
    let archive = Arc::clone(&place.archive);
    Box::new(move |lake| {
        async move { run(&of_folders(&archive, &lake, folders)).await }.boxed_local()
    })
}

const SHARES: [&[&str]; 3] = [&["a/", "b/"], &["b/", "c/"], &["c/", "a/"]];

/// Lets some runs meet in one order; how many operations each did.
async fn meet(runs: usize, choose: &mut Choice<'_>, told: &str) -> Vec<usize> {
    let place = Place::memory();
    fill(place.archive.as_ref()).await;
    let actors = SHARES.iter().take(runs).map(|folders| runner(&place, folders)).collect();
    let (ran, steps) = act(&place.lake, actors, choose).await;
    let ran: Vec<Summary> = ran.into_iter().map(|ran| ran.expect(told)).collect();
    let added: u64 = ran.iter().map(|one| one.findings.added).sum();
    let read: u64 = ran.iter().map(|one| one.objects.read).sum();
    // Of two, one folder is both runs'; of three, each is.
    assert_eq!(added, ROWS as u64, "{told}: {ran:#?}");
    assert_eq!(read, 6, "{told}: {ran:#?}");
    for one in &ran {
        assert_eq!(one.objects.read + one.objects.in_ledger, 4, "{told}: {one:?}");
    }
    let seen = look(place.bare.as_ref()).await;
    assert_eq!((seen.rows.len(), seen.consumed.len()), (ROWS, 6), "{told}");
    assert_eq!(seen.version, ran.iter().map(|one| one.commits).sum::<u64>(), "{told}");
    place.assert_lawful();
    steps
}

/// Orders with up to two switches back, thinned out; how many there were.
async fn meet_in_orders(one_in: usize) -> usize {
    let alone = meet(2, &mut switching(&[]), "one after the other").await;
    // Each does more when the other has been there.
    let (first, second) = (alone[0] + 8, alone[1] + 16);
    let mut orders = 0;
    for before in 0..=first {
        for between in 1..=second {
            if (before * 31 + between * 17) % one_in == 0 {
                let told = format!("{before} operations, then {between} of the other");
                meet(2, &mut switching(&[(0, before), (1, between), (0, usize::MAX)]), &told).await;
                orders += 1;
            }
        }
    }
    orders
}

async fn meet_at_random(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        meet(3, &mut at_random(seed), &format!("seed {seed}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_meet_in_many_orders() {
    assert!(meet_in_orders(61).await > 25);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_runs_meet_at_random() {
    meet_at_random(0..25).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a long matrix: tests/attack races"]
async fn every_order_of_two_runs() {
    let orders = meet_in_orders(1).await;
    meet_at_random(0..1_000).await;
    println!(
        "| two runs on shared archives, every order with two switches | memory | {orders} | all right |"
    );
    println!("| three runs on shared archives, seeded orders | memory | 1000 | all right |");
}

/// A lake with an open commit of two files, whose writer has died.
async fn with_an_open_commit() -> Place {
    let place = Place::memory();
    fill(place.archive.as_ref()).await;
    let (dying, gate) = Gate::over(&place.lake);
    let mut record = gate.hold(When::After, "put_new", "0000000001.json");
    let dead = start(&place.archive, &dying, 6);
    record.arrived().await;
    dead.kill().await;
    place
}

fn completer() -> Actor<bool> {
    Box::new(|lake| {
        async move {
            let log = Log::new(lake);
            let mut ledger = Ledger::default();
            log.catch_up(&mut ledger).await.unwrap();
            assert_eq!((ledger.version(), ledger.damaged().count()), (1, 0));
            log.sweep(1).await.unwrap();
            true
        }
        .boxed_local()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_commit_is_completed_in_any_order() {
    let alone = {
        let place = with_an_open_commit().await;
        act(&place.lake, vec![completer()], &mut switching(&[])).await.1[0]
    };
    assert!(alone > 10, "{alone}");
    let mut orders: Vec<Vec<(usize, usize)>> = Vec::new();
    for one in 0..=alone {
        for two in 1..=alone {
            // A third completes and deletes the staging in the middle of both.
            orders.push(vec![(0, one), (1, two), (2, usize::MAX), (0, usize::MAX)]);
        }
    }
    let orders = orders.into_iter().enumerate().filter(|(at, _)| at % 3 == 0);
    for (_, order) in orders {
        let place = with_an_open_commit().await;
        let actors = (0..3).map(|_| completer()).collect();
        let (ended, _) = act(&place.lake, actors, &mut switching(&order)).await;
        assert_eq!(ended, [true; 3], "{order:?}");
        let seen = look(place.bare.as_ref()).await;
        assert_eq!((seen.version, seen.rows.len()), (1, ROWS), "{order:?}");
        place.assert_lawful();
    }
    let place = with_an_open_commit().await;
    let last = run_to_end(&place.archive, &place.lake, 6).await;
    assert_eq!(last.objects.read, 0);
}
