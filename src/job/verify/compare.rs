//! Rows that were read again, against those of the lake.
//!
//! In: waves of rows and rejects with the objects they are of. Out: findings: a row that the lake lacks,
//! one that differs in a column that does not depend on the delivery, one that its object does not give.
//! A partition with an unreadable part tells nothing of missing rows. Memory: the wave's ids, and a few
//! hundred rows of one part with all their columns; see [`super::deep`] for the rest.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, UInt32Array};
use arrow::compute::{interleave_record_batch, take_record_batch};
use arrow::datatypes::Int32Type;
use arrow::record_batch::RecordBatch;

use crate::finding::columns::SCHEMA_VERSION;
use crate::job::plan::Planned;
use crate::job::verify::VerifyOptions;
use crate::job::verify::columns::{compared, differs, may_differ, texts};
use crate::job::verify::deep::DeepReport;
use crate::job::verify::explained::Explained;
use crate::job::wave::Wave;
use crate::lake::LakeError;
use crate::lake::dedupe::Pick;
use crate::lake::ids::{IdMap, IdSet, id_text, parse_id};
use crate::lake::layout::{Partition, PartitionBy, Table, record_key};
use crate::lake::part_rows::{RowReader, schema};
use crate::lake::record::{ObjectRecord, Tombstone};
use crate::lake::reject_rows::visit_rows;
use crate::lake::rejects::{self, RejectLine, RejectRow, State};
use crate::lake::tombstones::Forgotten;
use crate::lake::verify::{Finding, History, Kind, Part};
use crate::store::{Store, StoreError, StoreErrorKind};

/// Rows of the lake held at once with all their columns.
const BATCH_ROWS: usize = 256;
/// Holds waves against the lake.
pub(super) struct Comparer<'a> {
    lake: Arc<dyn Store>,
    history: &'a History,
    by: PartitionBy,
    forgotten: Forgotten,
    /// The rows that objects gave; only when all are read.
    explained: Option<Explained>,
    /// One finding for each part or commit and kind: how many rows, and the first in words.
    found: BTreeMap<(Kind, String, Option<u64>), (u64, String)>,
}

/// What of a wave is looked for in one table.
struct Wanted {
    /// Where each row or reject lies in the wave.
    places: IdMap<Pick>,
    partitions: BTreeSet<Partition>,
    /// Objects whose rows are all in the wave.
    whole: HashSet<String>,
    /// The number of the latest state of each reject of the partition that has had more than one.
    latest: IdMap<i32>,
}

impl Wanted {
    fn new(whole: HashSet<String>) -> Self {
        let (places, partitions) = (IdMap::default(), BTreeSet::new());
        Self { places, partitions, whole, latest: IdMap::default() }
    }

    /// Whether this state of a reject is the one that counts.
    fn is_told(&self, id: u128, number: i32) -> bool {
        self.latest.get(&id).copied().unwrap_or_default() == number
    }
}

impl<'a> Comparer<'a> {
    pub(super) fn new(lake: Arc<dyn Store>, history: &'a History, all: bool) -> Self {
        let by = history.all_parts().next().map_or(PartitionBy::Day, |part| part.partition.by());
        Self {
            lake,
            history,
            by,
            forgotten: Forgotten::default(),
            explained: all.then(Explained::default),
            found: BTreeMap::new(),
        }
    }

    pub(super) fn set_tombstones(&mut self, tombstones: &BTreeSet<Tombstone>) {
        self.forgotten = Forgotten::of(tombstones);
    }

    /// The objects of some commit are not known, so a row may well be of one of them.
    pub(super) fn know_not_all(&mut self) {
        self.explained.iter_mut().for_each(Explained::know_not_all);
    }

    /// Rows of this object can be neither confirmed nor doubted.
    pub(super) fn cannot_verify(&mut self, object: &ObjectRecord) {
        if let Some(explained) = &mut self.explained {
            explained.cannot_verify(&format!("{}/{}", object.archive, object.key));
        }
    }

    /// An object that could not be read: expired and changed ones are no damage.
    pub(super) fn failed(
        &mut self,
        options: &VerifyOptions,
        plan: &[Planned],
        index: usize,
        error: &StoreError,
        report: &mut DeepReport,
    ) {
        match error.kind {
            StoreErrorKind::NotFound | StoreErrorKind::Precondition | StoreErrorKind::Archived => {
                report.expired += 1;
            }
            _ => {
                tracing::warn!("an object could not be read again: {error}");
                report.failed += 1;
            }
        }
        if let (Some(explained), Some(uri)) = (&mut self.explained, uri(options, plan, index)) {
            explained.cannot_verify(&uri);
        }
    }

    /// Compares a wave; `pieces` are objects of which other waves hold some.
    pub(super) async fn compare(
        &mut self,
        options: &VerifyOptions,
        wave: &Wave,
        pieces: &[usize],
        plan: &[Planned],
        commits: &[u64],
        report: &mut DeepReport,
    ) -> anyhow::Result<()> {
        let whole: HashSet<String> = wave
            .finished
            .iter()
            .filter(|(index, _)| !pieces.contains(index))
            .filter_map(|(index, _)| uri(options, plan, *index))
            .collect();
        self.rows(wave, whole.clone(), commits, report).await?;
        self.rejects(wave, whole, options, plan, commits, report).await
    }

    async fn rows(
        &mut self,
        wave: &Wave,
        whole: HashSet<String>,
        commits: &[u64],
        report: &mut DeepReport,
    ) -> anyhow::Result<()> {
        let owners = wave.owners();
        let mut wanted = Wanted::new(whole);
        for (batch, rows) in (0_u32..).zip(&wave.batches) {
            for (row, key) in (0_u32..).zip(&rows.keys) {
                let pick = Pick { batch, row };
                if owners.of(pick).is_some_and(|owner| wave.broken.contains(&owner)) {
                    continue;
                }
                wanted.places.insert(key.row_id, pick);
                wanted.partitions.insert(Partition::of(key.reported_at_ms, self.by));
            }
        }
        let batches: Vec<&RecordBatch> = wave.batches.iter().map(|rows| &rows.batch).collect();
        let gather = |picks: &[Pick]| -> anyhow::Result<RecordBatch> {
            let indices: Vec<(usize, usize)> =
                picks.iter().map(|pick| (pick.batch as usize, pick.row as usize)).collect();
            Ok(interleave_record_batch(&batches, &indices)?)
        };
        let (found, unreadable) =
            self.look_up(Table::Findings, &mut wanted, &gather, report).await?;
        for (id, pick) in &wanted.places {
            let key = wave
                .batches
                .get(pick.batch as usize)
                .and_then(|rows| rows.keys.get(pick.row as usize));
            let Some(key) = key else { continue };
            let partition = Partition::of(key.reported_at_ms, self.by);
            if found.contains(id) || unreadable.contains(&partition) {
                continue;
            }
            if !self.forgotten.is_empty() && self.is_erased(&gather(&[*pick])?) {
                continue;
            }
            let commit = owners.of(*pick).and_then(|owner| commits.get(owner)).copied();
            self.missing(commit, || {
                format!("row `{}` of partition `findings/{partition:?}`", id_text(*id))
            });
        }
        Ok(())
    }

    async fn rejects(
        &mut self,
        wave: &Wave,
        whole: HashSet<String>,
        options: &VerifyOptions,
        plan: &[Planned],
        commits: &[u64],
        report: &mut DeepReport,
    ) -> anyhow::Result<()> {
        let mut wanted = Wanted::new(whole);
        for (row, reject) in (0_u32..).zip(&wave.rejects) {
            let id = rejects::reject_id(&reject.place, &reject.reject);
            wanted.places.insert(id, Pick { batch: 0, row });
            wanted.partitions.insert(Partition::of(reject.place.arrived_hour_ms, self.by));
        }
        // Objects without a reject of their own may have rows in the table all the same.
        for (index, _) in &wave.finished {
            let hour = plan.get(*index).map(|planned| planned.arrival.hour_ms);
            wanted.partitions.extend(hour.map(|hour| Partition::of(hour, self.by)));
        }
        let gather = |picks: &[Pick]| -> anyhow::Result<RecordBatch> {
            let rows = picks.iter().filter_map(|pick| wave.rejects.get(pick.row as usize));
            let lines: Vec<RejectLine<'_>> = rows.map(RejectRow::line).collect();
            Ok(rejects::batch(&lines)?)
        };
        let (found, unreadable) =
            self.look_up(Table::Rejects, &mut wanted, &gather, report).await?;
        for (id, pick) in &wanted.places {
            let Some(reject) = wave.rejects.get(pick.row as usize) else { continue };
            let partition = Partition::of(reject.place.arrived_hour_ms, self.by);
            let is_erased = self.forgotten.has_reject(*id);
            if found.contains(id) || unreadable.contains(&partition) || is_erased {
                continue;
            }
            let owner = plan.iter().enumerate().position(|(index, planned)| {
                *planned.meta.etag == *reject.place.etag
                    && uri(options, plan, index).as_deref() == Some(&*reject.place.object)
            });
            let commit = owner.and_then(|owner| commits.get(owner)).copied();
            self.missing(commit, || {
                format!("reject `{}` of partition `rejects/{partition:?}`", id_text(*id))
            });
        }
        Ok(())
    }

    fn missing(&mut self, commit: Option<u64>, what: impl FnOnce() -> String) {
        let key = commit.map_or_else(String::new, record_key);
        let held = self.found.entry((Kind::RowMissing, key, commit)).or_insert((0, String::new()));
        held.0 += 1;
        if held.1.is_empty() {
            held.1 = format!("its objects give rows that the lake lacks, among them {}", what());
        }
    }

    fn found(&mut self, kind: Kind, part: &Part, what: impl FnOnce() -> String) {
        let place = (kind, part.file.key.clone(), Some(part.file.commit));
        let held = self.found.entry(place).or_insert((0, String::new()));
        held.0 += 1;
        if held.1.is_empty() {
            held.1 = what();
        }
    }

    /// Looks up ids in the partitions' parts and compares what is found. Gives the ids that are there,
    /// and the partitions that could not be read whole.
    async fn look_up(
        &mut self,
        table: Table,
        wanted: &mut Wanted,
        gather: &(dyn Fn(&[Pick]) -> anyhow::Result<RecordBatch> + Sync),
        report: &mut DeepReport,
    ) -> anyhow::Result<(IdSet, BTreeSet<Partition>)> {
        let (mut found, mut unreadable) = (IdSet::default(), BTreeSet::new());
        let (history, lake) = (self.history, Arc::clone(&self.lake));
        let fields = schema(table);
        let names: Vec<&str> = fields.fields().iter().map(|field| field.name().as_str()).collect();
        for partition in &wanted.partitions.clone() {
            if table == Table::Rejects {
                wanted.latest = self.latest_states(*partition).await?;
            }
            for part in history.parts.get(&(table, *partition)).into_iter().flatten() {
                let times = i64::MIN..i64::MAX;
                let opened = RowReader::open_in(
                    lake.as_ref(),
                    table,
                    &part.file,
                    &names,
                    &times,
                    BATCH_ROWS,
                );
                let mut reader = match opened.await {
                    Ok(reader) => reader,
                    Err(LakeError::Damaged { .. }) => {
                        unreadable.insert(*partition);
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                };
                let mut start = 0;
                loop {
                    let batch = match reader.next().await {
                        Ok(Some(batch)) => batch,
                        Ok(None) => break,
                        Err(LakeError::Damaged { .. }) => {
                            unreadable.insert(*partition);
                            break;
                        }
                        Err(error) => return Err(error.into()),
                    };
                    self.hold(part, start, &batch, wanted, gather, &mut found, report)?;
                    start += batch.num_rows();
                }
            }
        }
        Ok((found, unreadable))
    }

    /// The rejects of a partition that have had more than one state; of parts that can be read.
    async fn latest_states(&self, partition: Partition) -> anyhow::Result<IdMap<i32>> {
        let mut latest: IdMap<i32> = IdMap::default();
        let parts = self.history.parts.get(&(Table::Rejects, partition)).into_iter().flatten();
        for part in parts {
            let files = [&part.file];
            let read =
                visit_rows(self.lake.as_ref(), &files, &["reject_id", "state_number"], |row| {
                    if row.state_number > 0 {
                        let number = latest.entry(row.id).or_default();
                        *number = row.state_number.max(*number);
                    }
                });
            match read.await {
                Ok(()) | Err(LakeError::Damaged { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(latest)
    }

    /// Holds some rows of a part against the wave.
    #[expect(clippy::too_many_arguments, reason = "the state of one walk through a part")]
    fn hold(
        &mut self,
        part: &Part,
        start: usize,
        batch: &RecordBatch,
        wanted: &Wanted,
        gather: &(dyn Fn(&[Pick]) -> anyhow::Result<RecordBatch> + Sync),
        found: &mut IdSet,
        report: &mut DeepReport,
    ) -> anyhow::Result<()> {
        let (Some(ids), Some(objects)) =
            (texts(batch, part.table.id_column()), texts(batch, "source_object"))
        else {
            return Ok(());
        };
        let states = texts(batch, "state");
        let numbers = batch
            .column_by_name("state_number")
            .and_then(|column| column.as_primitive_opt::<Int32Type>());
        let number = |row: usize| {
            numbers.filter(|all| all.is_valid(row)).map_or(0, |numbers| numbers.value(row))
        };
        let (mut rows, mut picks) = (Vec::new(), Vec::new());
        for row in 0..batch.num_rows() {
            let Some(id) = parse_id(ids.value(row).as_bytes()) else { continue };
            if let Some(pick) = wanted.places.get(&id) {
                found.insert(id);
                if let Some(explained) = &mut self.explained {
                    explained.explain(part, start + row);
                }
                rows.push(u32::try_from(row)?);
                picks.push(*pick);
            } else if wanted.whole.contains(objects.value(row))
                && states.is_none_or(|states| {
                    wanted.is_told(id, number(row))
                        && State::parse(states.value(row)).is_in_object()
                })
            {
                self.found(Kind::RowUnexplained, part, || {
                    let object = objects.value(row);
                    format!(
                        "has rows that their objects do not give: `{}` of `{object}`",
                        id_text(id)
                    )
                });
            }
        }
        if picks.is_empty() {
            return Ok(());
        }
        let held = take_record_batch(batch, &UInt32Array::from(rows))?;
        let fresh = gather(&picks)?;
        self.columns(part, &held, &fresh, report);
        Ok(())
    }

    /// Compares the columns of rows that lie side by side.
    fn columns(
        &mut self,
        part: &Part,
        held: &RecordBatch,
        fresh: &RecordBatch,
        report: &mut DeepReport,
    ) {
        let version = match part.table {
            Table::Findings => SCHEMA_VERSION,
            Table::Rejects => rejects::REJECTS_SCHEMA_VERSION,
        };
        let versions = held
            .column_by_name("schema_version")
            .and_then(|column| column.as_primitive_opt::<Int32Type>());
        let is_of_this = |row: usize| versions.is_some_and(|all| all.value(row) == version);
        let mut other = HashSet::new();
        other.extend((0..held.num_rows()).filter(|row| !is_of_this(*row)));
        report.rows_of_other_versions += other.len() as u64;
        let mut differing: BTreeMap<usize, &str> = BTreeMap::new();
        for name in compared(part.table) {
            let (Some(one), Some(two)) = (held.column_by_name(name), fresh.column_by_name(name))
            else {
                continue;
            };
            if one != two {
                let rows = (0..held.num_rows()).filter(|row| differs(one, two, *row));
                for row in rows.filter(|row| !other.contains(row) && !may_differ(held, name, *row))
                {
                    differing.entry(row).or_insert(name);
                }
            }
        }
        let same = (held.num_rows() - differing.len()) as u64;
        match part.table {
            Table::Findings => report.rows += same,
            Table::Rejects => report.rejects += same,
        }
        let ids = texts(held, part.table.id_column());
        for (row, column) in differing {
            let id = ids.map_or("", |ids| ids.value(row));
            self.found(Kind::RowDiffers, part, || {
                format!("has rows that differ from what their objects give: `{column}` of `{id}`")
            });
        }
    }

    /// Whether what is forgotten names this row.
    fn is_erased(&self, row: &RecordBatch) -> bool {
        self.forgotten.kept(Table::Findings, row).is_some()
    }

    /// Everything that was found; when all objects were read, also the rows that none of them gave.
    pub(super) async fn finish(mut self, report: &mut DeepReport) -> anyhow::Result<Vec<Finding>> {
        if let Some(explained) = self.explained.take() {
            for part in explained.unfinished(self.history) {
                let rest = explained.rest(self.lake.as_ref(), part).await?;
                report.rows_unverified += rest.unverified;
                let Some((id, object)) = rest.first else { continue };
                let place = (Kind::RowUnexplained, part.file.key.clone(), Some(part.file.commit));
                let message = format!("has rows that no object gives: `{id}` of `{object}`");
                let held = self.found.entry(place).or_insert((0, message));
                // Those that were told before are among them.
                held.0 = held.0.max(rest.unexplained);
            }
        }
        let findings = self.found.into_iter().map(|((kind, key, commit), (count, message))| {
            Finding::new(kind, key, commit, format!("{message} ({count} in all)"))
        });
        Ok(findings.collect())
    }
}

fn uri(options: &VerifyOptions, plan: &[Planned], index: usize) -> Option<String> {
    let planned = plan.get(index)?;
    Some(options.archives.get(planned.archive)?.store.uri(&planned.meta.key))
}
