//! The ledger over a simulated archive of some years, and its laws over histories of any kind.

#![allow(clippy::cast_possible_truncation, reason = "small random numbers")]

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures::TryStreamExt as _;
use globset::{Glob, GlobSet, GlobSetBuilder};
use healthtrail::archive::discover::DiscoverOptions;
use healthtrail::finding::product::Products;
use healthtrail::job::ledger::accept::{AcceptOptions, accept};
use healthtrail::job::ledger::{LedgerOptions, overview};
use healthtrail::job::options::UsageError;
use healthtrail::job::plan::{Archive, Hours, Known, plan};
use healthtrail::job::progress::Progress;
use healthtrail::job::run::run;
use healthtrail::lake::draft::Draft;
use healthtrail::lake::layout::{Table, part_key};
use healthtrail::lake::ledger::overview::HourFigures;
use healthtrail::lake::ledger::read_back::Settle;
use healthtrail::lake::ledger::{Ledger, Status};
use healthtrail::lake::log::Log;
use healthtrail::lake::record::{
    AcceptedObject, FailedObject, Limits, ObjectRecord, ObjectTally, Objects, Purpose, Settings,
    Withdrawn,
};
use healthtrail::store::{Fault, Faulty, Memory, ObjectMeta, Store, StoreErrorKind, open};
use jiff::tz::TimeZone;

use crate::failing;
use crate::program::{command, files, health_event, healthtrail, key, number, text, write};
use crate::simulated::{FAILS, HEALED, Scale, Simulation};
use crate::stores::{keys, put, with_s3};

#[tokio::test(flavor = "multi_thread")]
async fn sixty_nights_read_each_object_once_whatever_happens_to_old_hours() {
    let scale =
        Scale { days_before: 140, per_hour: 4, per_record: 1_000, nights: 60, list_each: 20 };
    let mut simulation = Simulation::new(scale, Arc::new(Memory::new("lake")));
    for number in 1..=scale.nights {
        let night = simulation.night(number, || 0).await;
        simulation.check(&night);
        if (FAILS..HEALED).contains(&number) {
            let ledger = simulation.open().await;
            assert_eq!(ledger.failed_count(), 1);
        }
        assert!(night.checkpoint_bytes < 2_000_000, "{night:?}");
    }
    simulation.check_the_log_alone().await;
}

/// A history of an archive and a lake, and what must be known of it.
struct History {
    state: u64,
    archive: Arc<Memory>,
    log: Log,
    ledger: Ledger,
    /// What was consumed: key and etag → commit and generation.
    consumed: HashMap<(String, String), (u64, u32)>,
    accepted: HashSet<(String, String)>,
    withdrawn: HashSet<u64>,
    generation: u32,
    compared: u64,
    closed: usize,
}

impl History {
    fn new(seed: u64) -> Self {
        let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
        Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            archive: Arc::new(Memory::new("archive")),
            log: Log::new(lake),
            ledger: Ledger::default(),
            consumed: HashMap::new(),
            accepted: HashSet::new(),
            withdrawn: HashSet::new(),
            generation: 1,
            compared: 0,
            closed: 0,
        }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % end
    }

    fn settings(&self) -> Settings {
        let limits = Limits {
            object_bytes_max: 1,
            document_bytes_max: 1,
            depth_max: 1,
            zip_entries_max: 1,
            entities_max: 1,
        };
        let (products, reader_generation) = (Products::Health, self.generation);
        Settings { products, limits, reader_generation }
    }

    /// Three streams, twelve hours on six days; some names have no time in them.
    fn add(&mut self) {
        let (day, hour, number) = (1 + self.below(6) * 4, self.below(2), self.below(4));
        let (stream, is_plain) = (["a", "b", "b/c"][self.below(3) as usize], self.below(9) == 0);
        let key = if is_plain {
            format!("{stream}/plain-{day}-{number}")
        } else {
            let time = format!("2026-01-{day:02}-{hour:02}-00-{number:02}");
            let uuid = "00000000-0000-4000-8000-000000000000";
            format!("{stream}/2026/01/{day:02}/{hour:02}/s-1-{time}-{uuid}")
        };
        self.archive.insert(key.clone(), "x");
        let day_ms = 1_767_225_600_000 + i64::try_from(day - 1).unwrap() * 86_400_000;
        self.archive.set_last_modified(&key, day_ms + i64::try_from(hour).unwrap() * 3_600_000);
    }

    async fn listed(&self) -> Vec<ObjectMeta> {
        self.archive.list("").try_collect().await.unwrap()
    }

    /// Takes one of the objects in a way that the archive allows.
    async fn change(&mut self) {
        let listed = self.listed().await;
        if listed.is_empty() {
            return;
        }
        let meta = &listed[self.below(listed.len() as u64) as usize];
        match self.below(3) {
            0 => self.archive.delete(&meta.key).await.unwrap(),
            1 => self.archive.set_archived(&meta.key, !meta.archived),
            _ => {
                self.archive.insert(meta.key.clone(), "changed");
                self.archive.set_last_modified(&meta.key, meta.last_modified_ms);
            }
        }
    }

    /// Whether an object was read or given up, by nothing but what was done.
    fn is_known(&self, meta: &ObjectMeta) -> bool {
        let name = (meta.key.clone(), meta.etag.clone());
        let is_consumed = self.consumed.get(&name).is_some_and(|(commit, generation)| {
            let learns = has_unknown(&meta.key) && *generation < self.generation;
            !learns && !self.withdrawn.contains(commit)
        });
        is_consumed || self.accepted.contains(&name)
    }

    /// Plans over a part of the archive, and holds the plan against what was done.
    async fn plan(&mut self) -> Vec<ObjectMeta> {
        let prefix = ["", "", "", "a/", "b", "b/c/2026/01/05"][self.below(6) as usize];
        let exclude = ["none", "none", "*-00-01-*", "a/*"][self.below(4) as usize];
        let mut globs = GlobSetBuilder::new();
        globs.add(Glob::new(exclude).unwrap());
        let excluded = globs.build().unwrap();
        let discover = DiscoverOptions { exclude: excluded.clone(), zone: TimeZone::UTC };
        let store: Arc<dyn Store> = self.archive.clone();
        let archives = [Archive { store, prefix: prefix.to_owned() }];
        let settings = self.settings();
        let known = Known { ledger: &mut self.ledger, log: Some(&self.log), settings: &settings };
        let hours = Hours { since_ms: None, until_ms: None };
        let plan = plan(&archives, &discover, hours, &Progress::default(), known).await.unwrap();
        self.compared += plan.survey.hours_compared;
        let listed = self.listed().await.into_iter().filter(|meta| meta.key.starts_with(prefix));
        let may_be_read = listed.filter(|meta| !excluded.is_match(&meta.key) && !meta.archived);
        let (known, new): (Vec<_>, Vec<_>) = may_be_read.partition(|meta| self.is_known(meta));
        let mut planned: Vec<ObjectMeta> =
            plan.objects.into_iter().map(|planned| planned.meta).collect();
        planned.sort_by(|one, two| one.key.cmp(&two.key));
        assert_eq!(planned, new, "below `{prefix}` without `{exclude}`");
        assert_eq!(plan.survey.in_ledger, known.len() as u64);
        planned
    }

    async fn commit(&mut self, objects: Objects, withdrawn: Vec<Withdrawn>) {
        let draft = Draft {
            run: "run".to_owned(),
            purpose: Purpose::Run,
            reason: None,
            settings: self.settings(),
            started_at: String::new(),
            committed_at: String::new(),
            objects,
            files: Vec::new(),
            withdrawn,
            tombstones: Vec::new(),
        };
        self.log.commit(draft, self.ledger.version()).await.unwrap();
        self.log.catch_up(&mut self.ledger).await.unwrap();
    }

    /// A run, which may end early and fail to read some objects.
    async fn run(&mut self) {
        let mut planned = self.plan().await;
        planned.truncate(1 + self.below(60) as usize);
        let (mut consumed, mut failed) = (Vec::new(), Vec::new());
        for meta in planned {
            let (archive, key, etag) = ("memory://archive".to_owned(), meta.key, meta.etag);
            if self.below(12) == 0 {
                let (kind, message) = ("denied".to_owned(), String::new());
                failed.push(FailedObject { archive, key, etag, kind, message });
                continue;
            }
            let commit = (self.ledger.version() + 1, self.generation);
            self.consumed.insert((key.clone(), etag.clone()), commit);
            let mut tally = ObjectTally::default();
            tally.findings.rows = 1;
            if has_unknown(&key) {
                tally.passed_over_by_kind.add("unrecognised", 1);
            }
            consumed.push(ObjectRecord {
                archive,
                key,
                etag,
                size: meta.size,
                last_modified_ms: meta.last_modified_ms,
                arrived_hour_ms: 0,
                tally,
            });
        }
        self.commit(Objects { consumed, failed, accepted: Vec::new() }, Vec::new()).await;
    }

    async fn withdraw(&mut self) {
        let version = self.ledger.version();
        if version == 0 {
            return;
        }
        let commit = 1 + self.below(version);
        self.withdrawn.insert(commit);
        let day = "2026-01-01".parse().unwrap();
        let key = part_key(Table::Findings, day, commit, &"ab".repeat(32));
        self.commit(Objects::default(), vec![Withdrawn { key, commit, reopen: true }]).await;
    }

    async fn accept(&mut self) {
        let failed = self.log.failed_objects(&self.ledger, |_| true).await.unwrap();
        let Some((_, one)) = failed.into_iter().next() else { return };
        self.accepted.insert((one.key.clone(), one.etag.clone()));
        let (archive, key, etag) = (one.archive, one.key, one.etag);
        let accepted = vec![AcceptedObject { archive, key, etag, reason: String::new() }];
        self.commit(Objects { accepted, ..Objects::default() }, Vec::new()).await;
    }

    /// Opens the lake anew, from whatever there is.
    async fn reopen(&mut self, without_checkpoints: bool) {
        if without_checkpoints {
            self.ledger = Ledger::default();
        } else {
            self.log.checkpoint(&mut self.ledger).await.unwrap();
            self.ledger = self.log.load().await.unwrap();
        }
        self.log.catch_up(&mut self.ledger).await.unwrap();
        let hours = self.ledger.hours(&self.settings());
        self.closed += hours.iter().filter(|hour| hour.is_closed).count();
    }

    async fn step(&mut self) {
        match self.below(20) {
            0..=6 => self.add(),
            7..=8 => self.change().await,
            9..=12 => self.run().await,
            13 => drop(self.plan().await),
            14 => self.withdraw().await,
            15 => self.accept().await,
            16 => self.log.settle_hours(&mut self.ledger, Settle::Closable).await.unwrap(),
            17 => self.reopen(false).await,
            18 => self.reopen(true).await,
            _ => self.generation = (self.generation + self.below(2) as u32).min(3),
        }
    }

    /// The figures of all hours, everything brought together.
    async fn figures(&self, mut ledger: Ledger) -> Vec<HourFigures> {
        self.log.settle_hours(&mut ledger, Settle::All).await.unwrap();
        let mut hours = ledger.hours(&self.settings());
        // An hour that something waits in may have been opened again, or stand beside what came since.
        hours.iter_mut().filter(|hour| hour.reopened > 0).for_each(|hour| hour.is_closed = false);
        hours
    }
}

/// Objects that an earlier reader leaves something of.
fn has_unknown(key: &str) -> bool {
    key.ends_with("-1") || key.contains("-00-01-")
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happened_the_ledger_knows_what_was_read_and_so_does_the_log_alone() {
    let (mut compared, mut closed) = (0, 0);
    for seed in 1..=60 {
        let mut history = History::new(seed);
        for _ in 0..120 {
            history.step().await;
        }
        history.plan().await;
        let mut folded = Ledger::default();
        history.log.catch_up(&mut folded).await.unwrap();
        let mut both = [history.ledger.clone(), folded.clone()];
        for ledger in &mut both {
            history.log.settle_hours(ledger, Settle::All).await.unwrap();
        }
        assert_eq!(both[0].differs_from(&both[1], &BTreeSet::new()), None, "seed {seed}");
        assert_eq!(both[1].differs_from(&both[0], &BTreeSet::new()), None, "seed {seed}");
        let held = history.figures(history.ledger.clone()).await;
        assert_eq!(held, history.figures(folded).await, "seed {seed}");
        let objects: u64 = held.iter().map(|hour| hour.figures.objects).sum();
        assert_eq!(objects, history.consumed.len() as u64, "seed {seed}");
        for meta in history.listed().await {
            let name = ("memory://archive", meta.key.as_str(), meta.etag.as_str());
            let (at_ms, settings) = (meta.last_modified_ms, history.settings());
            let status = history.log.status(&history.ledger, name, at_ms, &settings).await.unwrap();
            assert_eq!(status == Status::Consumed, history.is_known(&meta), "seed {seed} {meta:?}");
        }
        compared += history.compared;
        closed += history.closed;
    }
    assert!(compared > 100 && closed > 100, "{compared} compared, {closed} closed");
}

/// Runs what docs/ledger.md shows, from its first command to its last in one folder, and compares what is
/// said. `UPDATE=1 cargo test ledger` writes it anew.
#[test]
fn the_page_shows_what_the_program_says() {
    let project = env!("CARGO_MANIFEST_DIR");
    let page = std::path::Path::new(project).join("docs/ledger.md");
    let written = std::fs::read_to_string(&page).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let canonical = folder.path().canonicalize().unwrap();
    copy(&std::path::Path::new(project).join("samples"), &canonical.join("samples"));
    let mut made = String::new();
    let mut lines = written.lines().peekable();
    while let Some(line) = lines.next() {
        made.push_str(line);
        made.push('\n');
        let Some(said) = line.strip_prefix("    $ healthtrail ") else { continue };
        let is_said = |line: &&str| {
            line.is_empty() || line.starts_with("    ") && !line.starts_with("    $ ")
        };
        while lines.next_if(is_said).is_some() {}
        let quoted: Vec<&str> = said.split('"').collect();
        let arguments = quoted.iter().enumerate().flat_map(|(index, part)| {
            let whole = index % 2 == 1;
            let words = part.split_whitespace().filter(move |_| !whole);
            words.chain(std::iter::once(*part).filter(move |_| whole)).collect::<Vec<_>>()
        });
        let output = command().current_dir(&canonical).args(arguments).output().unwrap();
        let shown = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        for line in shown.replace(text(&canonical), "/home/me").lines() {
            // What changes from run to run, or with the way parts are encoded.
            let line = match line.split_whitespace().next() {
                Some("took") => "  took       …".to_owned(),
                Some("parts") => {
                    line.split_once(',').map_or("", |(count, _)| count).to_owned() + ", …"
                }
                _ => line.to_owned(),
            };
            made.push_str(format!("    {line}").trim_end());
            made.push('\n');
        }
        made.push('\n');
    }
    let made = made.trim_end().to_owned() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&page, &made).unwrap();
        return;
    }
    expect_test::expect_file![page].assert_eq(&made);
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    for path in files(from) {
        write(to, text(&path), &std::fs::read(from.join(&path)).unwrap());
    }
}

fn accepting(lake: &Arc<dyn Store>, objects: &[&str], archives: Vec<Archive>) -> AcceptOptions {
    AcceptOptions {
        lake: Arc::clone(lake),
        archives,
        objects: objects.iter().map(|object| (*object).to_owned()).collect(),
        reason: "cut off by its writer".to_owned(),
    }
}

fn overviewing(lake: &Arc<dyn Store>, archives: Vec<Archive>) -> LedgerOptions {
    let discover = DiscoverOptions { exclude: GlobSet::empty(), zone: TimeZone::UTC };
    LedgerOptions { lake: Arc::clone(lake), archives, discover, progress: Arc::default() }
}

/// An archive of six objects, of which two cannot be read, and a lake that was filled from it.
async fn failing_run(lake: &Arc<dyn Store>) -> (Arc<Faulty>, [String; 2]) {
    let archive = Arc::new(Faulty::new(Arc::new(failing::archive(6).await)));
    let broken = [2, 4].map(|number| key("2026-08-01", number, number));
    for key in &broken {
        archive.add(Fault::at(1, StoreErrorKind::Denied).only("get", key).forever());
    }
    let as_store: Arc<dyn Store> = archive.clone();
    let summary = run(&failing::options(&as_store, lake)).await.unwrap();
    assert_eq!((summary.objects.read, summary.objects.failed), (4, 2));
    (archive, broken)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_given_up_is_neither_read_nor_reported_again() {
    let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
    let (archive, broken) = failing_run(&lake).await;
    let as_store: Arc<dyn Store> = archive.clone();
    let archives = vec![Archive { store: Arc::clone(&as_store), prefix: String::new() }];
    let uris = broken.clone().map(|key| archive.uri(&key));

    let before = keys(lake.as_ref(), "").await;
    let seen = overview(&overviewing(&lake, archives.clone())).await.unwrap();
    assert_eq!(keys(lake.as_ref(), "").await, before, "a look writes nothing");
    let names: Vec<&str> = seen.failed.iter().map(|one| one.object.as_str()).collect();
    assert_eq!(names, [uris[0].as_str(), uris[1].as_str()]);
    assert_eq!((seen.sums.objects, seen.sums.failed, seen.is_wanting()), (4, 2, true));
    assert_eq!(seen.archives.map(|listed| (listed.in_ledger, listed.waiting)), Some((4, 2)));

    // The log knows the failure; no archive is asked.
    let first = accept(&accepting(&lake, &[&uris[0], &uris[0]], Vec::new())).await.unwrap();
    assert_eq!((first.commit, first.accepted.len()), (Some(2), 1));
    let again = accept(&accepting(&lake, &[&uris[0]], Vec::new())).await.unwrap();
    assert_eq!((again.commit, again.accepted_before.len(), again.version), (None, 1, 2));

    let read = archive.uri(&key("2026-08-01", 1, 1));
    let cases: [(&str, Vec<Archive>, &str); 4] = [
        (&read, Vec::new(), "knows no failure"),
        (&read, archives.clone(), "is in the lake"),
        ("memory://archive/nowhere", archives.clone(), "there is no"),
        ("memory://other/x", archives.clone(), "knows no failure"),
    ];
    for (object, archives, expected) in cases {
        let error = accept(&accepting(&lake, &[&uris[1], object], archives)).await.unwrap_err();
        assert!(error.is::<UsageError>() && error.to_string().contains(expected), "{error}");
    }

    let summary = run(&failing::options(&as_store, &lake)).await.unwrap();
    assert_eq!((summary.objects.in_ledger, summary.objects.failed), (5, 1), "one still fails");
    let seen = overview(&overviewing(&lake, archives.clone())).await.unwrap();
    assert_eq!((seen.sums.failed, seen.accepted.len(), seen.version), (1, 1, 2));
    assert_eq!(seen.accepted[0].reason, "cut off by its writer");

    // Written anew, it is another object.
    archive.heal();
    let event = health_event(77, "2026-08-01", "111122223333");
    put(as_store.as_ref(), &broken[0], event).await;
    let summary = run(&failing::options(&as_store, &lake)).await.unwrap();
    assert_eq!((summary.objects.read, summary.findings.added), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn giving_up_may_be_killed_at_any_operation_and_is_one_commit_or_none() {
    for answer_lost in [false, true] {
        for nth in 1..200 {
            let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
            let (archive, broken) = failing_run(&lake).await;
            let uri = archive.uri(&broken[0]);
            let mut fault = Fault::at(nth, StoreErrorKind::Unavailable).forever();
            if answer_lost {
                fault = fault.answer_lost();
            }
            let dying = Arc::new(Faulty::new(Arc::clone(&lake)).with(fault));
            let as_store: Arc<dyn Store> = dying.clone();
            let died = accept(&accepting(&as_store, &[&uri], Vec::new())).await;
            if died.is_ok() && dying.count() < nth {
                assert!(nth > 8, "{nth} operations");
                break;
            }
            let done = accept(&accepting(&lake, &[&uri], Vec::new())).await.unwrap();
            assert_eq!(done.version, 2, "after {nth}, {answer_lost}");
            let seen = overview(&overviewing(&lake, Vec::new())).await.unwrap();
            assert_eq!((seen.accepted.len(), seen.sums.failed), (1, 1), "after {nth}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_give_up_and_a_run_commits_at_once() {
    let lake: Arc<dyn Store> = Arc::new(Memory::new("lake"));
    let (archive, broken) = failing_run(&lake).await;
    let as_store: Arc<dyn Store> = archive.clone();
    put(as_store.as_ref(), &key("2026-08-02", 1, 9), health_event(9, "2026-08-02", "1")).await;
    let uris = broken.map(|key| archive.uri(&key));
    let options = uris.each_ref().map(|uri| accepting(&lake, &[uri], Vec::new()));
    let running = failing::options(&as_store, &lake);
    let (one, two, three) = tokio::join!(accept(&options[0]), accept(&options[1]), run(&running));
    let commits = [one.unwrap().commit.unwrap(), two.unwrap().commit.unwrap()];
    assert!(commits[0] != commits[1] && three.unwrap().objects.read == 1);
    let seen = overview(&overviewing(&lake, Vec::new())).await.unwrap();
    assert_eq!((seen.accepted.len(), seen.version, seen.sums.failed), (2, 4, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_shown_on_s3_as_in_a_folder() {
    with_s3(|uri, options| async move {
        let store = open(&uri, &options).await.unwrap();
        let lake: Arc<dyn Store> = open(&format!("{uri}/lake"), &options).await.unwrap();
        let archive: Arc<dyn Store> = open(&format!("{uri}/archive"), &options).await.unwrap();
        let waiting = key("2026-08-01", 5, 5);
        for number in 0..6 {
            let event = health_event(number, "2026-08-01", "111122223333");
            put(store.as_ref(), &format!("archive/{}", key("2026-08-01", number, number)), event)
                .await;
        }
        let mut running = failing::options(&archive, &lake);
        running.hours.until_ms = Some(1_785_542_400_000 + 5 * 3_600_000);
        run(&running).await.unwrap();
        let archives = vec![Archive { store: Arc::clone(&archive), prefix: String::new() }];
        let seen = overview(&overviewing(&lake, archives.clone())).await.unwrap();
        assert_eq!(seen.archives.map(|listed| (listed.in_ledger, listed.waiting)), Some((5, 1)));
        let object = archive.uri(&waiting);
        let done = accept(&accepting(&lake, &[&object], archives.clone())).await.unwrap();
        assert_eq!(done.commit, Some(2));
        let again = accept(&accepting(&lake, &[&object], archives)).await.unwrap();
        assert_eq!((again.commit, again.accepted_before.len()), (None, 1));
        let summary = run(&failing::options(&archive, &lake)).await.unwrap();
        assert_eq!((summary.objects.read, summary.objects.in_ledger), (0, 6));
    })
    .await;
}

#[test]
fn the_commands_say_what_is_wrong_with_what_was_typed() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    std::fs::create_dir(&lake).unwrap();
    let cases: [(&[&str], &str); 4] = [
        (&["ledger"], "--lake"),
        (&["ledger", "--lake", text(&lake)], "there is no lake"),
        (&["ledger", "accept", "x", "--lake", text(&lake)], "--reason"),
        (&["ledger", "accept", "x", "--lake", text(&lake), "--reason", " "], "is empty"),
    ];
    for (arguments, expected) in cases {
        let ran = healthtrail(arguments);
        assert_eq!(ran.code, 2, "{arguments:?} {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{arguments:?} {}", ran.stderr);
    }
    let samples = format!("{}/samples/archive", env!("CARGO_MANIFEST_DIR"));
    crate::program::run(&samples, text(&lake), &[], 0);
    let ran = healthtrail(&["ledger", "--lake", text(&lake), "--from", &samples, "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, number(&shown, "sums.objects")), (0, 12));
    assert_eq!(number(&shown, "archives.waiting"), 0);
    assert_eq!(shown["hours"].as_array().unwrap().len(), 10);
}
