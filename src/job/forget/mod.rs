//! `forget`: rows that the law wants erased go out of the lake, and stay out.
//!
//! In: selectors of findings, objects, a reason. Out: commits that withdraw the parts that held such rows,
//! add them anew without, and keep tombstones; and a [`ForgetSummary`]. The first commit has all
//! tombstones, so that from then on nothing brings the rows back; what is left of a large erasure follows
//! in further commits, and a call that was killed is completed by the same call again. Then copies of such
//! rows that a repair has kept in the quarantine are deleted. An `Err` means that
//! the world did not play along, or that what is asked cannot be kept. Memory: what [`search`] holds, and
//! one part.

mod quarantine;
pub mod search;
pub mod selector;

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use serde::Serialize;

use crate::finding::identity::IDENTITY_VERSION;
use crate::job::commit::catch_up;
use crate::job::forget::search::{Hit, Search};
use crate::job::forget::selector::{SELECTORS_MAX, Selector, Wanted};
use crate::job::options::UsageError;
use crate::lake::config::LakeConfig;
use crate::lake::draft::{Draft, Drafted};
use crate::lake::erase::erase;
use crate::lake::layout::Table;
use crate::lake::ledger::Ledger;
use crate::lake::log::{Log, random_id};
use crate::lake::record::{
    AcceptedObject, FileRecord, Objects, Purpose, Record, Settings, Tombstone, Withdrawn,
};
use crate::lake::sink::Staging;
use crate::lake::tombstones::Forgotten;
use crate::store::Store;

/// Parts and bytes after which a commit ends.
const COMMIT_PARTS_MAX: usize = 500;
const COMMIT_BYTES_MAX: u64 = 256 << 20;

/// What is to be forgotten.
#[derive(Debug, Clone)]
pub struct ForgetOptions {
    /// The lake.
    pub lake: Arc<dyn Store>,
    /// Rows, by what they name.
    pub selectors: Vec<Selector>,
    /// Objects of archives, by their URIs.
    pub objects: Vec<String>,
    /// Why, for whoever reads the log later.
    pub reason: String,
    /// Only say what would go.
    pub dry_run: bool,
}

/// What was forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ForgetSummary {
    /// Nothing was changed.
    pub dry_run: bool,
    /// Rows of `findings` that went.
    pub rows: u64,
    /// Rows of `rejects` that went.
    pub rejects: u64,
    /// Parts that held them.
    pub parts: u64,
    /// Bytes of these parts, all of which are written anew.
    pub bytes: u64,
    /// Parts that are left of them.
    pub parts_left: u64,
    /// Findings and rejects that may not come back from now on.
    pub tombstones: u64,
    /// Objects that will never be read again from now on.
    pub objects: u64,
    /// Copies that a repair had kept in the quarantine, and that are gone because they held such rows or
    /// could not be read.
    pub quarantined: u64,
    /// Commits made.
    pub commits: u64,
    /// The lake's version.
    pub version: u64,
}

/// Forgets.
///
/// # Errors
/// When what is asked cannot be kept (nothing was changed), when a part is damaged, or when the store does
/// not answer; the call may be repeated as it is.
pub async fn forget(options: &ForgetOptions) -> anyhow::Result<ForgetSummary> {
    if options.selectors.is_empty() && options.objects.is_empty() {
        bail!(UsageError("name rows or objects that are to be forgotten".into()));
    }
    if options.selectors.len() + options.objects.len() > SELECTORS_MAX {
        bail!(UsageError(format!("more than {SELECTORS_MAX} selectors; give fewer at a time")));
    }
    let store = options.lake.as_ref();
    if LakeConfig::open(store, IDENTITY_VERSION).await?.is_none() {
        bail!(UsageError(format!("there is no lake in `{}`", store.base_uri())));
    }
    let log = Log::new(Arc::clone(&options.lake));
    let ledger = log.load().await?;
    let summary = ForgetSummary { dry_run: options.dry_run, ..ForgetSummary::default() };
    let (run, started_at) = (random_id(), jiff::Timestamp::now().to_string());
    Forgetting { options, log, ledger, run, started_at, summary }.work().await
}

struct Forgetting<'a> {
    options: &'a ForgetOptions,
    log: Log,
    ledger: Ledger,
    run: String,
    started_at: String,
    summary: ForgetSummary,
}

/// One commit in the making.
#[derive(Default)]
struct Batch {
    files: Vec<FileRecord>,
    withdrawn: Vec<Withdrawn>,
    rows: [u64; 2],
    bytes: u64,
}

impl Forgetting<'_> {
    async fn work(mut self) -> anyhow::Result<ForgetSummary> {
        let wanted = Wanted::of(&self.options.selectors, &self.options.objects);
        let mut search = Search::new(wanted);
        loop {
            self.read_on().await?;
            let version = self.ledger.version();
            if let Err(error) = search.look(self.options.lake.as_ref(), &self.ledger).await {
                // Another may have taken a file out of the lake: then that is why.
                self.read_on().await?;
                if self.ledger.version() == version || error.is::<UsageError>() {
                    return Err(error);
                }
                continue;
            }
            let accepted = self.accepted().await?;
            let tombstones: Vec<Tombstone> =
                search.tombstones.difference(self.ledger.tombstones()).cloned().collect();
            if self.options.dry_run {
                return Ok(self.would(&search, &tombstones, &accepted));
            }
            if self.commit_all(&search, tombstones, accepted).await? {
                break;
            }
        }
        self.empty_quarantine(&mut search).await?;
        self.log.checkpoint(&mut self.ledger).await?;
        self.log.sweep(self.ledger.version()).await?;
        self.summary.version = self.ledger.version();
        Ok(self.summary)
    }

    async fn read_on(&mut self) -> anyhow::Result<()> {
        if self.options.dry_run {
            return Ok(self.log.follow_done(&mut self.ledger).await?);
        }
        catch_up(&self.log, &mut self.ledger).await
    }

    /// Deletes the copies that hold what is forgotten now.
    async fn empty_quarantine(&mut self, search: &mut Search) -> anyhow::Result<()> {
        let store = self.options.lake.as_ref();
        search.look_in_quarantine(store, &self.ledger).await?;
        for key in &search.quarantined {
            store.delete(key).await?;
            self.summary.quarantined += 1;
        }
        Ok(())
    }

    fn would(
        mut self,
        search: &Search,
        tombstones: &[Tombstone],
        accepted: &[AcceptedObject],
    ) -> ForgetSummary {
        let summary = &mut self.summary;
        for hit in search.hits.values() {
            match hit.table {
                Table::Findings => summary.rows += hit.rows,
                Table::Rejects => summary.rejects += hit.rows,
            }
            summary.parts += 1;
            summary.bytes += hit.file.bytes;
            summary.parts_left += u64::from(hit.rows < hit.file.rows);
        }
        summary.tombstones = tombstones.len() as u64;
        summary.objects = accepted.len() as u64;
        summary.quarantined = search.quarantined.len() as u64;
        summary.version = self.ledger.version();
        self.summary
    }

    /// The wanted objects as the log names them, without those that were given up before.
    async fn accepted(&self) -> anyhow::Result<Vec<AcceptedObject>> {
        let mut unnamed: BTreeSet<&str> = self.options.objects.iter().map(String::as_str).collect();
        if unnamed.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = unnamed.clone();
        let mut found: BTreeSet<(String, String, String)> = BTreeSet::new();
        let visit = |_: &Record, objects: Option<&Objects>| {
            let Some(objects) = objects else { return };
            let consumed = objects.consumed.iter().map(|o| (&o.archive, &o.key, &o.etag));
            let failed = objects.failed.iter().map(|o| (&o.archive, &o.key, &o.etag));
            for (archive, key, etag) in consumed.chain(failed) {
                let uri = format!("{archive}/{key}");
                if wanted.contains(uri.as_str()) {
                    unnamed.remove(uri.as_str());
                    found.insert((archive.clone(), key.clone(), etag.clone()));
                }
            }
        };
        self.log.visit_records(self.ledger.version(), visit).await?;
        if let Some(uri) = unnamed.first() {
            bail!(UsageError(format!(
                "the log of this lake names no object `{uri}`; write it as the column \
                 `source_object` has it"
            )));
        }
        for object in self.ledger.accepted() {
            found.remove(&(object.archive.clone(), object.key.clone(), object.etag.clone()));
        }
        let accept = |(archive, key, etag)| {
            let reason = self.options.reason.clone();
            AcceptedObject { archive, key, etag, reason }
        };
        Ok(found.into_iter().map(accept).collect())
    }

    /// Commits what was found; `false` when another run took a number: look again.
    async fn commit_all(
        &mut self,
        search: &Search,
        tombstones: Vec<Tombstone>,
        accepted: Vec<AcceptedObject>,
    ) -> anyhow::Result<bool> {
        if search.hits.is_empty() && tombstones.is_empty() && accepted.is_empty() {
            return Ok(true);
        }
        let record = self.log.record(self.ledger.version()).await?;
        let settings = record.context("this lake has no commits, so it holds nothing")?.settings;
        let forgotten = Forgotten::of(&search.tombstones);
        let mut first = Some((tombstones, accepted));
        let mut hits = search.hits.values().peekable();
        let mut batch = Batch::default();
        while hits.peek().is_some() || first.is_some() {
            if let Some(hit) = hits.next() {
                self.rewrite(hit, &forgotten, &mut batch).await?;
                let has_room =
                    batch.withdrawn.len() < COMMIT_PARTS_MAX && batch.bytes < COMMIT_BYTES_MAX;
                if has_room && hits.peek().is_some() {
                    continue;
                }
            }
            let (tombstones, accepted) = first.take().unwrap_or_default();
            let full = std::mem::take(&mut batch);
            if !self.commit(full, settings, tombstones, accepted).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn rewrite(
        &self,
        hit: &Hit,
        forgotten: &Forgotten,
        batch: &mut Batch,
    ) -> anyhow::Result<()> {
        let number = self.ledger.version() + 1;
        let staging = Staging { log: &self.log, number, run: &self.run, part_bytes: u64::MAX };
        let files = erase(staging, hit.table, hit.partition, &hit.file, forgotten).await?;
        let left: u64 = files.iter().map(|file| file.rows).sum();
        let [findings, rejects] = &mut batch.rows;
        *(if hit.table == Table::Findings { findings } else { rejects }) += hit.file.rows - left;
        batch.bytes += hit.file.bytes;
        batch.files.extend(files);
        let (key, commit) = (hit.file.key.clone(), hit.file.commit);
        batch.withdrawn.push(Withdrawn { key, commit, reopen: false });
        Ok(())
    }

    async fn commit(
        &mut self,
        batch: Batch,
        settings: Settings,
        tombstones: Vec<Tombstone>,
        accepted: Vec<AcceptedObject>,
    ) -> anyhow::Result<bool> {
        let counts = (tombstones.len() as u64, accepted.len() as u64);
        let (parts, parts_left) = (batch.withdrawn.len() as u64, batch.files.len() as u64);
        let draft = Draft {
            run: self.run.clone(),
            purpose: Purpose::Forget,
            reason: Some(self.options.reason.clone()),
            settings,
            started_at: self.started_at.clone(),
            committed_at: jiff::Timestamp::now().to_string(),
            objects: Objects { accepted, ..Objects::default() },
            files: batch.files,
            withdrawn: batch.withdrawn,
            tombstones,
        };
        match self.log.commit(draft, self.ledger.version()).await? {
            Drafted::Lost => return Ok(false),
            Drafted::Won(..) => {}
            Drafted::Open(number, error) => {
                return Err(anyhow::Error::from(error).context(format!(
                    "commit {number} is recorded, but not published yet; run again to complete it"
                )));
            }
        }
        catch_up(&self.log, &mut self.ledger).await?;
        let summary = &mut self.summary;
        let [rows, rejects] = batch.rows;
        summary.rows += rows;
        summary.rejects += rejects;
        summary.parts += parts;
        summary.parts_left += parts_left;
        summary.bytes += batch.bytes;
        summary.tombstones += counts.0;
        summary.objects += counts.1;
        summary.commits += 1;
        Ok(true)
    }
}
