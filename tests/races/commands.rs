//! Each command that writes beside each other one, on one lake.
//!
//! Two commands meet in orders that a test decides. Whatever the order, the lake must end as it does when
//! the one is done before the other, or the other before the one; a command that ended with an error is
//! called again first, as its message says.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::FutureExt as _;
use healthtrail::job::forget::{ForgetOptions, forget};
use healthtrail::job::ledger::accept::{AcceptOptions, accept};
use healthtrail::job::options::{RunOptions, UsageError};
use healthtrail::job::plan::Archive;
use healthtrail::job::rebuild::{RebuildOptions, rebuild};
use healthtrail::job::redrive::{RedriveOptions, redrive};
use healthtrail::job::run::run;
use healthtrail::job::verify::{VerifyOptions, verify};
use healthtrail::lake::reject_rows::RejectFilter;
use healthtrail::store::{Memory, Store};

use crate::program::{health_event, key};
use crate::races::Place;
use crate::races::hooked::{Gate, When, beside};
use crate::races::oracle::{Seen, columns, look, story};
use crate::races::rules::options;
use crate::races::turns::{Actor, Choice, act, switching};
use crate::stores::{keys, put};
use crate::verify::{asked, copy_of};

const DAYS: [&str; 3] = ["2026-08-01", "2026-08-02", "2026-08-03"];
const ACCOUNT: &str = "111122223333";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    /// Reads two new objects.
    Run,
    /// Reads again what was too long for the run before.
    Redrive,
    /// Erases the row of this event.
    Forget(u32),
    /// Finds and mends.
    Repair,
    /// Gives a new object up.
    Accept,
    /// Into another place.
    Rebuild,
}

use Command::{Accept, Forget, Rebuild, Redrive, Repair, Run};

/// Pairs of commands, and whether the lake was damaged before.
const PAIRS: [(Command, Command, bool); 15] = [
    (Run, Redrive, false),
    (Run, Forget(0), false),
    (Run, Forget(3), false),
    (Run, Repair, true),
    (Run, Accept, false),
    (Run, Rebuild, false),
    (Redrive, Redrive, false),
    (Redrive, Forget(2), false),
    (Redrive, Repair, true),
    (Forget(0), Forget(1), false),
    (Forget(0), Repair, true),
    (Forget(0), Rebuild, false),
    (Repair, Repair, true),
    (Accept, Accept, false),
    (Rebuild, Rebuild, false),
];

/// The places of one meeting.
struct Fixture {
    place: Place,
    rebuilt: Arc<dyn Store>,
}

fn event(number: u32) -> String {
    let day = DAYS[number as usize % DAYS.len()];
    let event = health_event(number, day, ACCOUNT);
    // Too long for a run that is narrow.
    if number == 2 { event.replace("is impaired", &"is impaired ".repeat(200)) } else { event }
}

fn object_key(number: u32) -> String {
    key(DAYS[number as usize % DAYS.len()], number, number)
}

async fn add(archive: &dyn Store, number: u32) {
    let body = event(number) + &event(number + 100);
    put(archive, &object_key(number), body).await;
}

fn arn(number: u32) -> String {
    let code = "AWS_EC2_OPERATIONAL_ISSUE";
    format!("arn:aws:health:us-east-1::event/EC2/{code}/{code}_{number}")
}

fn narrow(archive: &Arc<dyn Store>, lake: &Arc<dyn Store>) -> RunOptions {
    let mut options = options(archive, lake, 2);
    options.document_bytes_max = 2_000;
    options
}

/// Objects 0 to 2 are in the lake, the event of object 2 as a reject; 3 and 4 are new.
async fn prepare(is_damaged: bool) -> (Arc<dyn Store>, Arc<dyn Store>) {
    let archive: Arc<dyn Store> = Arc::new(Memory::new("archive"));
    let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
    for number in 0..3 {
        add(archive.as_ref(), number).await;
    }
    let summary = run(&narrow(&archive, &lake)).await.unwrap();
    assert_eq!((summary.findings.added, summary.documents.rejected), (5, 1));
    for number in 3..5 {
        add(archive.as_ref(), number).await;
    }
    if is_damaged {
        let part = keys(lake.as_ref(), "findings/dt=2026-08-02/").await.remove(0);
        lake.delete(&part).await.unwrap();
    }
    (archive, lake)
}

async fn fixture(prepared: &(Arc<dyn Store>, Arc<dyn Store>)) -> Fixture {
    let (archive, lake) = prepared;
    let place = Place::of("memory", Arc::clone(archive), copy_of(lake.as_ref()).await);
    Fixture { place, rebuilt: Arc::new(Memory::new("rebuilt")) }
}

async fn carry_out(
    command: Command,
    archive: &Arc<dyn Store>,
    lake: Arc<dyn Store>,
    rebuilt: Arc<dyn Store>,
) -> anyhow::Result<()> {
    match command {
        Run => run(&narrow(archive, &lake)).await.map(drop),
        Redrive => {
            let (filter, passed_over) = (RejectFilter::default(), Vec::new());
            let read = options(archive, &lake, 2);
            redrive(&RedriveOptions { read, filter, passed_over, again: false }).await.map(drop)
        }
        Forget(number) => {
            let selectors =
                vec![format!("finding_id={},account_id={ACCOUNT}", arn(number)).parse().unwrap()];
            let reason = "case 8".to_owned();
            let objects = Vec::new();
            forget(&ForgetOptions { lake, selectors, objects, reason, dry_run: false })
                .await
                .map(drop)
        }
        Repair => {
            let asked = VerifyOptions { repair: true, ..asked(archive, &lake) };
            let report = verify(&asked).await?;
            assert!(report.is_right(), "{:#?}", report.findings);
            Ok(())
        }
        Accept => {
            let archives = vec![Archive { store: Arc::clone(archive), prefix: String::new() }];
            let objects = vec![archive.uri(&object_key(4))];
            let reason = "case 9".to_owned();
            accept(&AcceptOptions { lake, archives, objects, reason }).await.map(drop)
        }
        Rebuild => {
            let (partition, told) = (None, Box::new(|_| {}));
            let memory_bytes = 1 << 30;
            rebuild(&RebuildOptions { old: lake, new: rebuilt, partition, memory_bytes, told })
                .await
                .map(drop)
        }
    }
}

/// What is at the end: rows and rejects of the lake and of the place that it was rebuilt in.
type Ended = (Seen, Option<Seen>);

/// Calls again what failed, then lets a last run read what is left.
async fn settle(fixture: &Fixture, commands: [Command; 2], failed: &[bool], told: &str) -> Ended {
    let Fixture { place, rebuilt } = fixture;
    let again = async |command| {
        let lake = Arc::clone(&place.lake);
        let done = carry_out(command, &place.archive, lake, Arc::clone(rebuilt)).await;
        if let Err(error) = done {
            // What a run has read meanwhile cannot be given up any more: that is wrong usage by then.
            assert!(
                command == Accept && error.is::<UsageError>(),
                "{told}: {command:?}: {error:#}"
            );
        }
    };
    for (command, _) in commands.iter().zip(failed).filter(|(_, failed)| **failed) {
        again(*command).await;
    }
    again(Run).await;
    let is_rebuilt = commands.contains(&Rebuild);
    if is_rebuilt {
        again(Rebuild).await;
    }
    place.assert_lawful();
    let plain = |mut seen: Seen| {
        (seen.version, seen.failed) = (0, BTreeSet::new());
        seen
    };
    let seen = plain(look(place.bare.as_ref()).await);
    let mut copy = None;
    if is_rebuilt {
        let held = plain(look(rebuilt.as_ref()).await);
        assert_eq!((&held.rows, &held.rejects), (&seen.rows, &seen.rejects), "{told}");
        copy = Some(held);
    }
    (seen, copy)
}

/// One after the other, in both orders.
async fn one_by_one(
    prepared: &(Arc<dyn Store>, Arc<dyn Store>),
    commands: [Command; 2],
) -> Vec<Ended> {
    let mut all = Vec::new();
    for order in [commands, [commands[1], commands[0]]] {
        let fixture = fixture(prepared).await;
        let mut failed = [false; 2];
        for (command, failed) in order.into_iter().zip(&mut failed) {
            let (lake, rebuilt) = (Arc::clone(&fixture.place.lake), Arc::clone(&fixture.rebuilt));
            *failed = carry_out(command, &fixture.place.archive, lake, rebuilt).await.is_err();
        }
        all.push(settle(&fixture, order, &failed, &format!("{order:?} one by one")).await);
    }
    all
}

/// Two commands in one order; how many operations each did, and which failed.
async fn meet(
    prepared: &(Arc<dyn Store>, Arc<dyn Store>),
    commands: [Command; 2],
    expected: &[Ended],
    choose: &mut Choice<'_>,
    told: &str,
) -> (Vec<usize>, Vec<bool>) {
    let fixture = fixture(prepared).await;
    // Two rebuilds only read the old lake: they meet in the new one.
    let meets_in_new = commands == [Rebuild; 2];
    let actors = commands.into_iter().map(|command| {
        let (archive, lake) = (Arc::clone(&fixture.place.archive), Arc::clone(&fixture.place.lake));
        let rebuilt = Arc::clone(&fixture.rebuilt);
        let actor: Actor<anyhow::Result<()>> = Box::new(move |shared| {
            async move {
                let (lake, rebuilt) = if meets_in_new { (lake, shared) } else { (shared, rebuilt) };
                carry_out(command, &archive, lake, rebuilt).await
            }
            .boxed_local()
        });
        actor
    });
    let shared = if meets_in_new { &fixture.rebuilt } else { &fixture.place.lake };
    let (ended, steps) = act(shared, actors.collect(), choose).await;
    let failed: Vec<bool> = ended.iter().map(Result::is_err).collect();
    for error in ended.iter().filter_map(|ended| ended.as_ref().err()) {
        let said = format!("{error:#}");
        assert!(said.contains('`') || said.contains("run again"), "{told}: no clear error: {said}");
    }
    let found = settle(&fixture, commands, &failed, told).await;
    let differs = |(lake, copy): &Ended| match (lake.differs(&found.0), copy, &found.1) {
        (Some(differs), ..) => Some(differs),
        (None, Some(copy), Some(found)) => copy.differs(found),
        (None, None, None) => None,
        _ => Some("one was rebuilt".to_owned()),
    };
    let differences: Vec<String> = expected.iter().filter_map(differs).collect();
    if differences.len() == expected.len() {
        let story = story(fixture.place.bare.as_ref()).await;
        panic!("{told}: ends as neither:\n{differences:#?}\n{story}");
    }
    (steps, failed)
}

/// Orders of one pair: each in the middle of the other, after every `one_in`-th of its operations. How many,
/// and how often a command ended with an error.
async fn meet_in_orders(
    (first, second, is_damaged): (Command, Command, bool),
    one_in: usize,
) -> (usize, usize) {
    let prepared = prepare(is_damaged).await;
    let (mut orders, mut errors) = (0, 0);
    let both = if first == second { 1 } else { 2 };
    for commands in [[first, second], [second, first]].into_iter().take(both) {
        let expected = one_by_one(&prepared, commands).await;
        for before in (0..).step_by(one_in) {
            let told = format!("{:?} in {:?} after {before}", commands[1], commands[0]);
            let order = [(0, before), (1, usize::MAX), (0, usize::MAX)];
            let (steps, failed) =
                meet(&prepared, commands, &expected, &mut switching(&order), &told).await;
            orders += 1;
            errors += failed.iter().filter(|failed| **failed).count();
            if steps[0] <= before {
                assert!(before > 5, "{told}: {steps:?}");
                break;
            }
        }
    }
    (orders, errors)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_beside_another_ends_as_one_after_the_other() {
    for pair in PAIRS {
        meet_in_orders(pair, 43).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a long matrix: tests/attack races"]
async fn every_command_at_every_operation_of_another() {
    println!("| commands | orders | ended with an error, and were called again |");
    for pair in PAIRS {
        let (orders, errors) = meet_in_orders(pair, 1).await;
        println!("| {:?} beside {:?} | {orders} | {errors} |", pair.0, pair.1);
    }
}

/// Rows that are visible now, with repetitions.
async fn visible(lake: &dyn Store) -> Vec<String> {
    let mut ids = Vec::new();
    for key in keys(lake, "findings/").await {
        let bytes = lake.get(&key, healthtrail::store::GetOptions::default()).await.unwrap();
        ids.extend(columns(bytes, &["row_id"]).into_iter().flatten());
    }
    ids.sort();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_beside_an_erasure_misses_rows_and_counts_none_twice() {
    let prepared = prepare(false).await;
    let fixture = fixture(&prepared).await;
    let (lake, archive) = (&fixture.place.lake, &fixture.place.archive);
    let before = visible(lake.as_ref()).await;
    let (slow, gate) = Gate::over(lake);
    let mut held = gate.hold(When::Before, "copy_new", "findings/");
    let (own, rebuilt) = (Arc::clone(archive), Arc::clone(&fixture.rebuilt));
    // Its part holds another row too.
    let erasing = beside(async move || carry_out(Forget(1), &own, slow, rebuilt).await);
    held.arrived().await;
    // The part with the row is gone, and what replaces it is not there yet.
    let between = visible(lake.as_ref()).await;
    assert!(between.len() < before.len() - 1, "{between:?}");
    held.release();
    erasing.end().await.unwrap();
    let after = visible(lake.as_ref()).await;
    assert_eq!(after.len(), before.len() - 1);
    for rows in [&between, &after] {
        assert!(rows.iter().all(|row| before.contains(row)));
        assert_eq!(rows.iter().collect::<BTreeSet<_>>().len(), rows.len());
    }
}
