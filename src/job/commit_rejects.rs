//! The rejects of a commit: what is new, what came back, and what is no reject any more.
//!
//! In: a [`Wave`] and the lake's rejects table. Out: staged parts of that table. An object that is read
//! again (because wider settings or a repair reopened it, or by a redrive) is read whole, so a reject
//! that the lake has of it and that did not come back is settled in the same commit, whoever reads.
//! Wrong is what is wrong with the lake. Memory: that of [`States`], and the rows in the making.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use tokio::task::block_in_place;

use crate::job::commit::{Committer, Known, Report, Staged};
use crate::job::salvage::{Documents, is_whole_document};
use crate::job::wave::{RowPlace, Wave};
use crate::lake::ids::IdSet;
use crate::lake::layout::{Partition, Table};
use crate::lake::ledger::{LedgerFile, Status};
use crate::lake::record::Objects;
use crate::lake::reject_states::{Held, Standing, States, Wanted, settle};
use crate::lake::rejects::{self, RejectLine, State, reject_id};
use crate::lake::tombstones::Forgotten;

/// An object by URI and etag.
pub(crate) type ObjectName = (Arc<str>, Arc<str>);

/// A state that the rejects of an object are in, because it cannot be read again.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    /// The object.
    pub(crate) object: ObjectName,
    /// When it arrived, by its rejects.
    pub(crate) arrived_hour_ms: i64,
    /// The state.
    pub(crate) state: State,
    /// Rejects of it that are left as they are, by their offsets.
    pub(crate) except: HashSet<u64>,
    /// At most so many bytes of rejects are held for it.
    pub(crate) bytes: u64,
}

impl Committer {
    /// Which of these objects the lake may have rejects of. An object of a closed hour was planned
    /// because it is new or reopened; which of the two makes no difference here.
    pub(super) fn reread(&self, objects: impl Iterator<Item = usize>) -> HashSet<usize> {
        let again = |index: &usize| {
            if let Some(reread) = &self.reread {
                return reread.contains(index);
            }
            self.again.is_some()
                || matches!(
                    self.status(*index),
                    Status::Reopened | Status::Failed(_) | Status::Closed
                )
        };
        objects.filter(again).collect()
    }

    /// The objects that were read again to their end.
    pub(super) fn reread_objects(&self, wave: &Wave) -> HashMap<ObjectName, usize> {
        let reread = self.reread(wave.finished.iter().map(|(index, _)| *index));
        reread.into_iter().filter_map(|index| Some((self.name(index)?, index))).collect()
    }

    fn name(&self, index: usize) -> Option<ObjectName> {
        let planned = self.plan.get(index)?;
        let archive = self.archives.get(planned.archive)?;
        let uri = archive.store.uri(&planned.meta.key);
        Some((uri.into(), planned.meta.etag.as_str().into()))
    }

    /// Reads where the lake's rejects stand that the wave has too, and those of the objects that were
    /// read again.
    pub(super) async fn compare_rejects(
        &self,
        wave: &Wave,
        reread: &HashMap<ObjectName, usize>,
        known: &mut Known,
    ) -> anyhow::Result<()> {
        let mut partitions: BTreeSet<Partition> =
            rejects::partitions(&wave.rejects, self.partition).into_iter().collect();
        let hours = reread.values().filter_map(|index| self.plan.get(*index));
        partitions
            .extend(hours.map(|planned| Partition::of(planned.arrival.hour_ms, self.partition)));
        let ids: IdSet =
            wave.rejects.iter().map(|row| reject_id(&row.place, &row.reject)).collect();
        let objects =
            |object: &str, etag: &str| reread.contains_key(&(Arc::from(object), Arc::from(etag)));
        let wanted = Wanted {
            ids: &|id| ids.contains(&id),
            objects: if reread.is_empty() { None } else { Some(&objects) },
            bytes: false,
            by: &self.state_by,
        };
        self.read_states(&partitions, known.version, wanted, &mut known.rejects).await
    }

    async fn read_states(
        &self,
        partitions: &BTreeSet<Partition>,
        after: u64,
        wanted: Wanted<'_>,
        states: &mut States,
    ) -> anyhow::Result<()> {
        let mut files: Vec<&LedgerFile> = Vec::new();
        for partition in partitions {
            self.ledger.check(Table::Rejects, *partition)?;
            files.extend(self.ledger.files(Table::Rejects, *partition, after));
        }
        let concurrency = self.budget.encoders * 2;
        states.read(self.lake.as_ref(), &files, concurrency, wanted).await?;
        states.forget(&Forgotten::of(self.ledger.tombstones()));
        Ok(())
    }

    /// Stages what is to be written of the wave's rejects, and what becomes of those of `reread` that
    /// did not come back.
    pub(super) async fn stage_rejects(
        &self,
        wave: &Wave,
        reread: &HashMap<ObjectName, usize>,
        known: &Known,
        staged: &mut Staged,
    ) -> anyhow::Result<()> {
        let by = &self.state_by;
        let rejected = settle(&wave.rejects, &known.rejects, by, self.again.is_some());
        staged.rejects_known += rejected.duplicates_in_wave + rejected.duplicates_in_lake;
        let mut lines = rejected.lines;
        let gone = self.gone(wave, reread, known);
        if !gone.is_empty() {
            let objects: HashSet<usize> = gone.iter().map(|(index, ..)| *index).collect();
            let rows = wave.rows_of(&objects, &known.rows);
            lines.extend(gone.into_iter().map(|(index, held, standing)| {
                let places = rows.get(&index).map(Vec::as_slice).unwrap_or_default();
                let detail = fate(held, places, wave);
                held.next(standing, State::Redriven, by, detail)
            }));
        }
        self.stage_lines(lines, staged).await
    }

    /// The rejects of the objects in `reread` that wait in the lake and did not come back.
    fn gone<'a>(
        &self,
        wave: &Wave,
        reread: &HashMap<ObjectName, usize>,
        known: &'a Known,
    ) -> Vec<(usize, &'a Held, Standing)> {
        if reread.is_empty() {
            return Vec::new();
        }
        let ids = wave.rejects.iter().map(|row| reject_id(&row.place, &row.reject));
        let came_back: IdSet = ids.collect();
        let is_back = |id| came_back.contains(&id) || wave.released_rejects.contains(&id);
        let salvaged = self.again.as_ref().map(|again| &again.salvaged);
        let mut gone = Vec::new();
        for (held, standing) in known.rejects.waiting().filter(|(held, _)| !is_back(held.id)) {
            let name = (Arc::clone(&held.object), Arc::clone(&held.etag));
            let Some(index) = reread.get(&name) else { continue };
            let offsets = salvaged.and_then(|salvaged| salvaged.get(index));
            if offsets.is_none_or(|offsets| offsets.contains(&held.offset)) {
                gone.push((*index, held, standing));
            }
        }
        gone
    }

    async fn stage_lines(
        &self,
        lines: Vec<RejectLine<'_>>,
        staged: &mut Staged,
    ) -> anyhow::Result<()> {
        let lines =
            if self.redact { lines.into_iter().map(RejectLine::redacted).collect() } else { lines };
        for line in &lines {
            *staged.states.entry(line.state.name()).or_default() += 1;
        }
        for (partition, lines) in rejects::by_partition(lines, self.partition) {
            for range in rejects::split(&lines) {
                let lines = lines.get(range).unwrap_or_default();
                let part = block_in_place(|| rejects::encode(lines))?;
                let number = staged.version + 1;
                let stage =
                    self.log.stage_part(number, &self.run, Table::Rejects, partition, &part);
                staged.files.push(stage.await?);
            }
        }
        Ok(())
    }

    /// The whole documents that rejects have kept of these objects, with the object's place among them.
    pub(super) async fn kept_documents(
        &mut self,
        marks: &[Mark],
    ) -> anyhow::Result<Vec<(usize, Documents)>> {
        let places = marks.iter().enumerate().map(|(index, mark)| (mark.object.clone(), index));
        let places: HashMap<ObjectName, usize> = places.collect();
        let of = |object: &str, etag: &str| places.get(&(Arc::from(object), Arc::from(etag)));
        let objects = |object: &str, etag: &str| of(object, etag).is_some();
        let by = self.state_by.clone();
        let wanted = Wanted { ids: &|_| false, objects: Some(&objects), bytes: true, by: &by };
        let partitions = self.partitions_of(marks);
        let mut states = States::default();
        while let Err(error) = self.read_states(&partitions, 0, wanted, &mut states).await {
            self.unless_withdrawn(self.ledger.version(), error).await?;
            states = States::default();
        }
        let limit = self.settings.limits.object_bytes_max;
        let mut kept: BTreeMap<usize, Documents> = BTreeMap::new();
        for (held, _) in states.waiting().filter(|(held, _)| is_whole_document(held, limit)) {
            let Some(index) = of(&held.object, &held.etag) else { continue };
            kept.entry(*index).or_default().insert(held.offset, held.bytes.clone());
        }
        Ok(kept.into_iter().collect())
    }

    fn partitions_of(&self, marks: &[Mark]) -> BTreeSet<Partition> {
        let hours = marks.iter().map(|mark| mark.arrived_hour_ms);
        hours.map(|hour| Partition::of(hour, self.partition)).collect()
    }

    /// Commits that these objects cannot be read again, on top of whatever other runs commit meanwhile.
    /// Their rejects keep their bytes, which may be all that is left.
    pub(super) async fn mark(&mut self, marks: &[Mark]) -> anyhow::Result<Report> {
        let by_object: HashMap<ObjectName, &Mark> =
            marks.iter().map(|mark| (mark.object.clone(), mark)).collect();
        let partitions = self.partitions_of(marks);
        let of = |object: &str, etag: &str| by_object.get(&(Arc::from(object), Arc::from(etag)));
        let by = self.state_by.clone();
        let (mut report, mut states, mut version) = (Report::default(), States::default(), 0);
        loop {
            self.catch_up().await?;
            if self.ledger.last_withdrawal() > version {
                (states, version) = (States::default(), 0);
            }
            let objects = |object: &str, etag: &str| of(object, etag).is_some();
            let wanted = Wanted { ids: &|_| false, objects: Some(&objects), bytes: true, by: &by };
            let read = self.read_states(&partitions, version, wanted, &mut states).await;
            version = self.ledger.version();
            if let Err(error) = read {
                self.unless_withdrawn(version, error).await?;
                continue;
            }
            let mut staged = Staged::at(version);
            let lines = states.waiting().filter_map(|(held, standing)| {
                let mark = of(&held.object, &held.etag)?;
                let is_news = standing.state != mark.state && !mark.except.contains(&held.offset);
                is_news.then(|| held.next(standing, mark.state, &by, held.detail.clone()))
            });
            self.stage_lines(lines.collect(), &mut staged).await?;
            if staged.files.is_empty()
                || self.record_objects(Objects::default(), &staged, &mut report).await?
            {
                report.states = staged.states;
                return Ok(report);
            }
        }
    }
}

/// What became of a reject that did not come back, in words.
fn fate(held: &Held, rows: &[RowPlace], wave: &Wave) -> String {
    let end = held.offset.saturating_add(held.length);
    let first = rows.partition_point(|row| row.offset < held.offset);
    let own = rows.get(first..).unwrap_or_default().iter().take_while(|row| row.offset < end);
    let is_own = |row: &&RowPlace| held.ordinal.is_none_or(|n| i32::try_from(row.ordinal) == Ok(n));
    let (mut count, mut in_lake) = (0_u64, 0_u64);
    for row in own.filter(is_own) {
        count += 1;
        in_lake += u64::from(row.in_lake);
    }
    let other = wave.rejects.iter().find(|row| {
        let (range, ordinal) = (&row.reject.range, row.reject.ordinal);
        let is_same_part = held.ordinal.is_none()
            || ordinal.is_none()
            || ordinal.and_then(|n| i32::try_from(n).ok()) == held.ordinal;
        row.place.object == held.object
            && range.start < end
            && held.offset < range.end
            && is_same_part
    });
    let findings = if count == 1 { "finding" } else { "findings" };
    let mut fate = match (count, in_lake) {
        (0, _) if other.is_some() => String::new(),
        (0, _) => "holds nothing for the table".to_owned(),
        (_, 0) => format!("became {count} {findings}"),
        (_, all) if all == count => format!("became {count} {findings} that the lake had before"),
        _ => format!("became {count} {findings}, {in_lake} of them in the lake before"),
    };
    if let Some(other) = other {
        let separator = if fate.is_empty() { "" } else { "; " };
        let reason = other.reject.reason.name();
        let _ = write!(fate, "{separator}rejected as `{reason}` now");
    }
    fate
}
