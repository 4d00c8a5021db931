//! Years of an archive and its nightly runs, simulated: listings are generated and not stored, records
//! of the first years are made when they are read, and time is the night's number.
//!
//! Shared by the tests (small) and by `cargo bench --bench ledger` (ten million objects).

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt as _};
use globset::GlobSet;
use healthtrail::archive::discover::DiscoverOptions;
use healthtrail::finding::product::Products;
use healthtrail::job::plan::{Archive, Hours, Known, Plan, plan};
use healthtrail::job::progress::Progress;
use healthtrail::lake::draft::{Draft, Drafted};
use healthtrail::lake::layout::{Table, done_key, part_key};
use healthtrail::lake::ledger::Ledger;
use healthtrail::lake::ledger::read_back::Settle;
use healthtrail::lake::log::Log;
use healthtrail::lake::record::{
    FailedObject, Limits, ObjectList, ObjectRecord, ObjectTally, Objects, Purpose, RECORD_FORMAT,
    Record, Settings, Totals, Withdrawn,
};
use healthtrail::store::{
    GetOptions, ObjectMeta, Store, StoreError, StoreErrorKind, StoreResult, sha256_hex,
};
use jiff::tz::TimeZone;

const HOUR_MS: i64 = 3_600_000;
/// 2018-11-24T00:00:00Z.
const FIRST_MS: i64 = 1_543_017_600_000;
const ARCHIVE: &str = "memory://archive";

/// How large a simulation is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Days before the first nightly run.
    pub(crate) days_before: i64,
    /// Objects of an hour.
    pub(crate) per_hour: u64,
    /// Objects of a record of those days; at most as many as stand in the record itself.
    pub(crate) per_record: u64,
    /// Nightly runs.
    pub(crate) nights: usize,
    /// The archive is listed by each so many nights, and by those where something happens.
    pub(crate) list_each: usize,
}

/// What happens, by night.
pub(crate) const LATE: usize = 10;
pub(crate) const HALF_EXPIRED: usize = 14;
pub(crate) const EXPIRED: usize = 18;
pub(crate) const FAILS: usize = 22;
pub(crate) const HEALED: usize = 27;
pub(crate) const WITHDRAWN: usize = 34;
pub(crate) const WIDENED: usize = 38;
/// Days that a lifecycle rule removes.
const EXPIRED_DAYS: i64 = 10;
/// The hour whose second half a lifecycle rule removes, and the one that objects come late to.
const HALF_HOUR: i64 = EXPIRED_DAYS * 24 + 5;
const LATE_HOUR: i64 = EXPIRED_DAYS * 24 + 9;
const LATE_OBJECTS: u64 = 3;
/// Objects of these hours hold documents that the first reader does not know.
const UNKNOWN_HOURS: Range<i64> = EXPIRED_DAYS * 24 + 30..EXPIRED_DAYS * 24 + 33;

/// One night's figures.
#[derive(Debug, Clone, Default)]
pub(crate) struct Night {
    pub(crate) number: usize,
    pub(crate) listed: u64,
    pub(crate) new: u64,
    pub(crate) hours_compared: u64,
    pub(crate) expired: u64,
    pub(crate) open_seconds: f64,
    pub(crate) compare_seconds: Option<f64>,
    pub(crate) checkpoint_bytes: u64,
    pub(crate) peak_bytes: u64,
}

fn settings(night: usize) -> Settings {
    Settings {
        products: Products::Health,
        limits: Limits {
            object_bytes_max: 1 << 30,
            document_bytes_max: 1 << 22,
            depth_max: 128,
            zip_entries_max: 100,
            entities_max: 100,
        },
        reader_generation: if night >= WIDENED { 2 } else { 1 },
    }
}

/// The names of an hour's objects.
struct Names {
    hour: i64,
    /// `health/2026/11/24/03/stream-1-2026-11-24-03-`.
    start: String,
}

impl Names {
    fn new(hour: i64) -> Self {
        let time = jiff::Timestamp::from_millisecond(FIRST_MS + hour * HOUR_MS).unwrap();
        let time = TimeZone::UTC.to_datetime(time);
        let (y, m, d, h) = (time.year(), time.month(), time.day(), time.hour());
        let start = format!("health/{y}/{m:02}/{d:02}/{h:02}/stream-1-{y}-{m:02}-{d:02}-{h:02}-");
        Self { hour, start }
    }

    fn object(&self, number: u64) -> ObjectMeta {
        // Any bijection does: names and etags look random, and the same object has the same.
        let place = self.hour.cast_unsigned() << 20 | number;
        let mixed = place.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) ^ place;
        let mut key = String::with_capacity(self.start.len() + 46);
        key.push_str(&self.start);
        let (minute, second) = (number * 60 / 100_000 % 60, number % 60);
        let (high, low) = (mixed >> 32, mixed & 0xffff_ffff_ffff);
        write!(key, "{minute:02}-{second:02}-{high:08x}-0000-4000-8000-{low:012x}.gz").unwrap();
        let seconds = i64::try_from(minute * 60 + second).unwrap();
        ObjectMeta {
            key,
            size: 3_000 + mixed % 2_000,
            etag: format!("{mixed:016x}{place:016x}"),
            last_modified_ms: FIRST_MS + self.hour * HOUR_MS + (seconds + 300) * 1_000,
            archived: false,
            sha256: None,
        }
    }
}

fn consumed(meta: ObjectMeta, hour: i64) -> ObjectRecord {
    let mut tally = ObjectTally::default();
    tally.findings.rows = 2;
    if UNKNOWN_HOURS.contains(&hour) {
        tally.passed_over_by_kind.add("unrecognised", 1);
    }
    ObjectRecord {
        archive: ARCHIVE.to_owned(),
        key: meta.key,
        etag: meta.etag,
        size: meta.size,
        last_modified_ms: meta.last_modified_ms,
        arrived_hour_ms: FIRST_MS + hour * HOUR_MS,
        tally,
    }
}

/// The archive as it stands in the night that is set.
#[derive(Debug)]
pub(crate) struct Listing {
    scale: Scale,
    night: AtomicUsize,
}

impl Listing {
    fn objects(&self, hour: i64) -> impl Iterator<Item = ObjectMeta> + use<> {
        let night = self.night.load(Relaxed);
        let names = Names::new(hour);
        let gone = if night >= EXPIRED && hour < EXPIRED_DAYS * 24 {
            self.scale.per_hour
        } else if night >= HALF_EXPIRED && hour == HALF_HOUR {
            self.scale.per_hour / 2
        } else {
            0
        };
        let late = if night >= LATE && hour == LATE_HOUR { LATE_OBJECTS } else { 0 };
        (gone..self.scale.per_hour + late).map(move |number| names.object(number))
    }

    /// The first hour that is not there yet.
    fn end(&self) -> i64 {
        let nights = i64::try_from(self.night.load(Relaxed)).unwrap();
        (self.scale.days_before + nights) * 24
    }
}

impl Store for Listing {
    fn base_uri(&self) -> &'static str {
        ARCHIVE
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectMeta>> {
        // A listing by prefix costs what it lists.
        let hours = (0..self.end()).filter(move |hour| {
            let start = &Names::new(*hour).start;
            prefix.is_empty() || start.starts_with(prefix) || prefix.starts_with(start.as_str())
        });
        let objects = hours.flat_map(|hour| self.objects(hour));
        stream::iter(objects.filter(move |meta| meta.key.starts_with(prefix)).map(Ok)).boxed()
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<ObjectMeta>>> {
        Box::pin(async move { Err(only_listed(key)) })
    }

    fn get<'a>(&'a self, key: &'a str, _: GetOptions) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(async move { Err(only_listed(key)) })
    }

    fn put<'a>(&'a self, key: &'a str, _: Bytes, _: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move { Err(only_listed(key)) })
    }

    fn put_new<'a>(&'a self, key: &'a str, _: Bytes, _: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move { Err(only_listed(key)) })
    }

    fn copy_new<'a>(&'a self, from: &'a str, _: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move { Err(only_listed(from)) })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        Box::pin(async move { Err(only_listed(key)) })
    }

    fn retries(&self) -> u64 {
        0
    }
}

fn only_listed(key: &str) -> StoreError {
    let message = "a simulated archive is only listed";
    StoreError::new(StoreErrorKind::Other, "reading", key, message)
}

/// A lake whose first records are made when they are read.
#[derive(Debug)]
struct Lake {
    scale: Scale,
    inner: Arc<dyn Store>,
}

impl Lake {
    fn backfilled(&self) -> u64 {
        let objects = self.scale.days_before.cast_unsigned() * 24 * self.scale.per_hour;
        objects.div_ceil(self.scale.per_record)
    }

    /// The record or done mark of a commit of the first years.
    fn made(&self, key: &str) -> Option<Bytes> {
        let number: u64 = key.strip_prefix("_healthtrail/log/")?.get(..10)?.parse().ok()?;
        if number > self.backfilled() {
            return None;
        }
        if key == done_key(number) {
            return Some(Bytes::from_static(b"{}\n"));
        }
        let all = self.scale.days_before.cast_unsigned() * 24 * self.scale.per_hour;
        let range = (number - 1) * self.scale.per_record..(number * self.scale.per_record).min(all);
        let mut names = Names::new(0);
        let object = |position: u64| {
            let hour = (position / self.scale.per_hour).cast_signed();
            if hour != names.hour {
                names = Names::new(hour);
            }
            consumed(names.object(position % self.scale.per_hour), hour)
        };
        let objects = Objects { consumed: range.map(object).collect(), ..Objects::default() };
        let record = Record {
            format: RECORD_FORMAT,
            number,
            commit_id: format!("{number:032}"),
            run: "first".to_owned(),
            program: "simulated".to_owned(),
            purpose: Purpose::Run,
            reason: None,
            deduplicated_against: number - 1,
            settings: settings(0),
            started_at: String::new(),
            committed_at: String::new(),
            totals: Totals::of(&objects, &[]),
            objects: ObjectList::Inline(objects),
            files: Vec::new(),
            withdrawn: Vec::new(),
            tombstones: Vec::new(),
            carried: None,
        };
        Some(Bytes::from(serde_json::to_vec(&record).unwrap()))
    }
}

impl Store for Lake {
    fn base_uri(&self) -> &str {
        self.inner.base_uri()
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<ObjectMeta>>> {
        Box::pin(async move {
            let Some(bytes) = self.made(key) else { return self.inner.head(key).await };
            Ok(Some(ObjectMeta {
                key: key.to_owned(),
                size: bytes.len() as u64,
                etag: "made".to_owned(),
                last_modified_ms: 0,
                archived: false,
                sha256: Some(sha256_hex(&bytes)),
            }))
        })
    }

    fn get<'a>(&'a self, key: &'a str, options: GetOptions) -> BoxFuture<'a, StoreResult<Bytes>> {
        Box::pin(async move {
            match self.made(key) {
                Some(bytes) => Ok(bytes),
                None => self.inner.get(key, options).await,
            }
        })
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        self.inner.put(key, bytes, sha256)
    }

    fn put_new<'a>(
        &'a self,
        key: &'a str,
        bytes: Bytes,
        sha256: &'a str,
    ) -> BoxFuture<'a, StoreResult<()>> {
        self.inner.put_new(key, bytes, sha256)
    }

    fn copy_new<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        self.inner.copy_new(from, to)
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
        self.inner.delete(key)
    }

    fn retries(&self) -> u64 {
        self.inner.retries()
    }
}

/// A lake over an archive, night after night.
pub(crate) struct Simulation {
    scale: Scale,
    listing: Arc<Listing>,
    lake: Arc<Lake>,
    log: Log,
    /// The commit of each night.
    commits: Vec<u64>,
}

impl Simulation {
    /// `store` keeps the lake.
    pub(crate) fn new(scale: Scale, store: Arc<dyn Store>) -> Self {
        let lake = Arc::new(Lake { scale, inner: store });
        let as_store: Arc<dyn Store> = lake.clone();
        let log = Log::new(as_store);
        let listing = Arc::new(Listing { scale, night: AtomicUsize::new(0) });
        Self { scale, listing, lake, log, commits: Vec::new() }
    }

    /// The ledger as the next run would open it.
    pub(crate) async fn open(&self) -> Ledger {
        let mut ledger = self.log.load().await.unwrap();
        self.log.catch_up(&mut ledger).await.unwrap();
        ledger
    }

    /// Lists the archive and compares.
    pub(crate) async fn plan(&self, ledger: &mut Ledger, night: usize) -> Plan {
        let store: Arc<dyn Store> = self.listing.clone();
        let archives = [Archive { store, prefix: String::new() }];
        let discover = DiscoverOptions { exclude: GlobSet::empty(), zone: TimeZone::UTC };
        let hours = Hours { since_ms: None, until_ms: None };
        let known = Known { ledger, log: Some(&self.log), settings: &settings(night) };
        plan(&archives, &discover, hours, &Progress::default(), known).await.unwrap()
    }

    /// What a listing alone takes.
    #[allow(dead_code, reason = "for the bench")]
    pub(crate) async fn list_seconds(&self) -> f64 {
        let begun = Instant::now();
        let count = self.listing.list("").count().await;
        assert!(count > 0);
        begun.elapsed().as_secs_f64()
    }

    /// How many commits there are before the first night.
    #[allow(dead_code, reason = "for the bench")]
    pub(crate) fn backfill_commits(&self) -> u64 {
        self.lake.backfilled()
    }

    /// Deletes all checkpoints.
    pub(crate) async fn forget_checkpoints(&self) {
        let listed: Vec<_> = self.lake.list("_healthtrail/checkpoints/").collect().await;
        for meta in listed {
            self.lake.delete(&meta.unwrap().key).await.unwrap();
        }
    }

    async fn checkpoint_bytes(&self) -> u64 {
        let listed: Vec<_> = self.lake.list("_healthtrail/checkpoints/").collect().await;
        listed.into_iter().map(|meta| meta.unwrap().size).max().unwrap_or_default()
    }

    /// One nightly run; `peak` gives the peak memory since it was last asked.
    pub(crate) async fn night(&mut self, night: usize, peak: impl Fn() -> u64) -> Night {
        self.listing.night.store(night, Relaxed);
        let mut figures = Night { number: night, ..Night::default() };
        peak();
        let begun = Instant::now();
        let mut ledger = self.open().await;
        figures.open_seconds = begun.elapsed().as_secs_f64();
        if night == WITHDRAWN {
            self.withdraw(&mut ledger).await;
        }
        let is_listed = night.is_multiple_of(self.scale.list_each) || self.happens(night);
        let objects: Vec<ObjectRecord> = if is_listed {
            let begun = Instant::now();
            let plan = self.plan(&mut ledger, night).await;
            figures.compare_seconds = Some(begun.elapsed().as_secs_f64());
            let survey = plan.survey;
            (figures.listed, figures.new) = (survey.listed, plan.objects.len() as u64);
            (figures.hours_compared, figures.expired) = (survey.hours_compared, survey.expired);
            assert_eq!(survey.listed, survey.in_ledger + figures.new, "night {night}");
            assert_eq!(figures.new, self.expected(night), "night {night}");
            let hour = |at_ms: i64| (at_ms - FIRST_MS) / HOUR_MS;
            let planned = plan.objects.into_iter();
            planned.map(|one| consumed(one.meta, hour(one.arrival.hour_ms))).collect()
        } else {
            let hours = self.listing.end() - 24..self.listing.end();
            let new = hours.flat_map(|hour| self.listing.objects(hour).map(move |one| (one, hour)));
            new.map(|(meta, hour)| consumed(meta, hour)).collect()
        };
        figures.peak_bytes = peak();
        self.commit(&mut ledger, night, objects).await;
        self.log.checkpoint(&mut ledger).await.unwrap();
        figures.checkpoint_bytes = self.checkpoint_bytes().await;
        figures
    }

    /// Whether the archive has to be listed, this night or the one after something happened.
    fn happens(&self, night: usize) -> bool {
        let events = [LATE, HALF_EXPIRED, EXPIRED, WITHDRAWN, WIDENED];
        let is_near = events.iter().any(|event| (*event..*event + 2).contains(&night));
        is_near || (FAILS..=HEALED + 1).contains(&night) || night == self.scale.nights
    }

    /// How many objects this night has to read.
    fn expected(&self, night: usize) -> u64 {
        let reads_again = match night {
            LATE => LATE_OBJECTS,
            WITHDRAWN => 24 * self.scale.per_hour,
            WIDENED => {
                (UNKNOWN_HOURS.end - UNKNOWN_HOURS.start).cast_unsigned() * self.scale.per_hour
            }
            _ if (FAILS + 1..=HEALED).contains(&night) => 1,
            _ => 0,
        };
        24 * self.scale.per_hour + reads_again
    }

    async fn commit(&mut self, ledger: &mut Ledger, night: usize, objects: Vec<ObjectRecord>) {
        let mut objects = Objects { consumed: objects, ..Objects::default() };
        if (FAILS..HEALED).contains(&night) {
            // The first of the night of `FAILS`, and again each night after it.
            let nights = i64::try_from(FAILS).unwrap();
            let failing = Names::new((self.scale.days_before + nights) * 24 - 24).object(0);
            objects.consumed.retain(|object| object.key != failing.key);
            objects.failed.push(FailedObject {
                archive: ARCHIVE.to_owned(),
                key: failing.key,
                etag: failing.etag,
                kind: format!("kind {night}"),
                message: String::new(),
            });
        }
        self.draft(ledger, night, objects, Vec::new()).await;
        self.commits.push(ledger.version());
    }

    /// Takes back what was read in a night whose hours are closed by now.
    async fn withdraw(&self, ledger: &mut Ledger) {
        let commit = self.commits[FAILS - 4];
        let day = "2026-01-01".parse().unwrap();
        let key = part_key(Table::Findings, day, commit, &"ab".repeat(32));
        let withdrawn = vec![Withdrawn { key, commit, reopen: true }];
        self.draft(ledger, WITHDRAWN, Objects::default(), withdrawn).await;
    }

    async fn draft(
        &self,
        ledger: &mut Ledger,
        night: usize,
        objects: Objects,
        withdrawn: Vec<Withdrawn>,
    ) {
        let draft = Draft {
            run: format!("night {night}"),
            purpose: Purpose::Run,
            reason: None,
            settings: settings(night),
            started_at: String::new(),
            committed_at: String::new(),
            objects,
            files: Vec::new(),
            withdrawn,
            tombstones: Vec::new(),
        };
        let drafted = self.log.commit(draft, ledger.version()).await.unwrap();
        assert!(matches!(drafted, Drafted::Won(..)), "{drafted:?}");
        self.log.catch_up(ledger).await.unwrap();
    }

    /// What must hold of a night's figures beside what it reads.
    pub(crate) fn check(&self, night: &Night) {
        if night.compare_seconds.is_none() {
            return;
        }
        let half = if night.number >= HALF_EXPIRED { self.scale.per_hour / 2 } else { 0 };
        let days = if night.number >= EXPIRED { EXPIRED_DAYS.cast_unsigned() * 24 } else { 0 };
        assert_eq!(night.expired, half + days * self.scale.per_hour, "{night:?}");
        match night.number {
            LATE => assert_eq!(night.hours_compared, 1, "late objects, found at once"),
            HALF_EXPIRED => assert_eq!(night.hours_compared, 1, "read back once"),
            // With the hour that lost objects, since what was noted of it may not hold any more.
            WITHDRAWN => assert_eq!(night.hours_compared, 25, "the hours of a withdrawn commit"),
            // What was noted of the hour that lost objects held for the settings before.
            WIDENED => assert_eq!(night.hours_compared, 4, "reopened by a later reader"),
            _ => assert_eq!(night.hours_compared, 0, "proven by its digest: {night:?}"),
        }
    }

    /// What must hold after the last night: the log alone gives the same as the checkpoints.
    pub(crate) async fn check_the_log_alone(&mut self) {
        let night = self.scale.nights;
        self.listing.night.store(night, Relaxed);
        let mut loaded = self.open().await;
        self.forget_checkpoints().await;
        let mut folded = self.open().await;
        for ledger in [&mut loaded, &mut folded] {
            let plan = self.plan(ledger, night).await;
            assert_eq!((plan.objects.len(), plan.survey.in_ledger), (0, plan.survey.listed));
            self.log.settle_hours(ledger, Settle::All).await.unwrap();
        }
        let hours = loaded.hours(&settings(night));
        assert_eq!(hours, folded.hours(&settings(night)));
        assert_eq!(hours.iter().map(|hour| hour.late).sum::<u64>(), LATE_OBJECTS);
        let all = u64::try_from(self.listing.end()).unwrap() * self.scale.per_hour + LATE_OBJECTS;
        assert_eq!(hours.iter().map(|hour| hour.figures.objects).sum::<u64>(), all);
        let open = hours.iter().filter(|hour| !hour.is_closed).count();
        assert!((72..=96).contains(&open), "{open} hours are open");
        assert!(folded.totals().objects > all);
    }
}
