//! Where the lake's rejects stand, and which states are to be written next.
//!
//! In: the rejects of a wave, those that the lake has of objects that are read again, and who reads.
//! Out: rows for the rejects table: what is new, what came back, what fails still, and what is no reject
//! any more. Deciding is pure; reading goes wrong as [`super::reject_rows`] does. Memory: some 50 bytes
//! for each reject that the wave and the lake share, and some 300 for each that the lake has of an
//! object that is read again (with its bytes where they are asked for).

use std::borrow::Cow;
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};

use super::error::LakeResult;
use super::ids::{IdMap, IdSet};
use super::ledger::LedgerFile;
use super::record::Settings;
use super::reject_rows::{COLUMNS, COLUMNS_AND_BYTES, RejectView, STATE_COLUMNS, visit_rows};
use super::rejects::{RejectLine, RejectRow, State, reject_id};
use super::tombstones::Forgotten;
use crate::finding::reject::Reason;
use crate::store::Store;

/// Who gives rejects their state: the program with what decides whether it rejects. The limits belong
/// to it only where a limit is the reason: they depend on memory and threads, and change nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    program: String,
    with_limits: String,
}

impl By {
    /// This program with these settings.
    pub fn of(settings: &Settings) -> Self {
        let Settings { products, limits, reader_generation } = settings;
        let version = env!("CARGO_PKG_VERSION");
        let products = products.name();
        let program =
            format!("healthtrail {version}, reader {reader_generation}, products {products}");
        let with_limits = format!(
            "{program}, object_bytes_max {}, document_bytes_max {}, depth_max {}, zip_entries_max {}, \
             entities_max {}",
            limits.object_bytes_max,
            limits.document_bytes_max,
            limits.depth_max,
            limits.zip_entries_max,
            limits.entities_max
        );
        Self { program, with_limits }
    }

    /// The text for a reject of this reason.
    pub fn for_reason(&self, reason: &str) -> &str {
        if Reason::ALL.iter().any(|known| known.is_limit() && known.name() == reason) {
            &self.with_limits
        } else {
            &self.program
        }
    }
}

/// Where a reject stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its state.
    pub state: State,
    /// How many states came before.
    pub number: i32,
    /// Whether this program gave it the state, with these settings.
    pub by_us: bool,
    /// Its partition is this hour's, whatever a later reading takes for its arrival.
    pub arrived_hour_ms: i64,
}

/// A reject as the lake has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The reject.
    pub id: u128,
    /// Where it arose.
    pub stage: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
    /// What exactly is wrong.
    pub detail: String,
    /// URI of the object.
    pub object: Arc<str>,
    /// Its etag.
    pub etag: Arc<str>,
    /// First byte in the decompressed object.
    pub offset: u64,
    /// How many bytes it covers.
    pub length: u64,
    /// Which finding of its document it is.
    pub ordinal: Option<i32>,
    /// How many bytes there were.
    pub bytes_length: u64,
    /// Whether `bytes` holds the beginning only.
    pub bytes_cut: bool,
    /// Its bytes, when they were asked for.
    pub bytes: Vec<u8>,
}

/// Whether an object is asked for, by URI and etag.
pub type IsWanted<'a> = &'a (dyn Fn(&str, &str) -> bool + Sync);

/// Which rejects are looked for.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// These, wherever they are.
    pub ids: &'a (dyn Fn(u128) -> bool + Sync),
    /// Those of these objects, by URI and etag, with all that is known of them; `None` for none.
    pub objects: Option<IsWanted<'a>>,
    /// With their bytes.
    pub bytes: bool,
    /// Who looks: program and settings.
    pub by: &'a By,
}

impl std::fmt::Debug for Wanted<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Wanted").field("bytes", &self.bytes).field("by", &self.by).finish()
    }
}

/// What the lake knows of the rejects that are looked for.
#[derive(Debug, Clone, Default)]
pub struct States {
    standing: IdMap<Standing>,
    held: IdMap<Held>,
}

impl States {
    /// Reads what these files say, and adds it to what others said before.
    pub async fn read(
        &mut self,
        store: &dyn Store,
        files: &[&LedgerFile],
        concurrency: usize,
        wanted: Wanted<'_>,
    ) -> LakeResult<()> {
        let columns: &[&str] = match wanted.objects {
            None => &STATE_COLUMNS,
            Some(_) if wanted.bytes => &COLUMNS_AND_BYTES,
            Some(_) => &COLUMNS,
        };
        let read = |file: LedgerFile| async move {
            let mut states = Self::default();
            visit_rows(store, &[&file], columns, |row| states.see(row, &wanted)).await?;
            LakeResult::Ok(states)
        };
        let files: Vec<LedgerFile> = files.iter().map(|file| (*file).clone()).collect();
        let mut all = stream::iter(files).map(read).buffer_unordered(concurrency.max(1));
        while let Some(states) = all.try_next().await? {
            self.merge(states);
        }
        Ok(())
    }

    /// Forgets what was erased: nobody writes a further state of it.
    pub fn forget(&mut self, forgotten: &Forgotten) {
        if !forgotten.is_empty() {
            self.standing.retain(|id, _| !forgotten.has_reject(*id));
            self.held.retain(|id, _| !forgotten.has_reject(*id));
        }
    }

    fn see(&mut self, row: &RejectView<'_>, wanted: &Wanted<'_>) {
        let is_held = wanted.objects.is_some_and(|objects| objects(row.object, row.etag));
        if !is_held && !(wanted.ids)(row.id) {
            return;
        }
        let standing = Standing {
            state: row.state,
            number: row.state_number,
            by_us: row.state_by == Some(wanted.by.for_reason(row.reason)),
            arrived_hour_ms: row.arrived_hour_ms,
        };
        self.stand(row.id, standing);
        if is_held {
            self.hold(Held {
                id: row.id,
                stage: row.stage.into(),
                reason: row.reason.into(),
                detail: row.detail.to_owned(),
                object: row.object.into(),
                etag: row.etag.into(),
                offset: row.offset,
                length: row.length,
                ordinal: row.ordinal,
                bytes_length: row.bytes_length,
                bytes_cut: row.bytes_cut,
                bytes: row.bytes.to_vec(),
            });
        }
    }

    fn stand(&mut self, id: u128, standing: Standing) {
        let latest = self.standing.entry(id).or_insert(standing);
        if latest.number < standing.number {
            *latest = standing;
        }
    }

    /// Of the rows of one reject the one with its bytes is kept.
    fn hold(&mut self, held: Held) {
        match self.held.get_mut(&held.id) {
            Some(known) if known.bytes.len() >= held.bytes.len() => {}
            Some(known) => *known = held,
            None => drop(self.held.insert(held.id, held)),
        }
    }

    fn merge(&mut self, other: Self) {
        for (id, standing) in other.standing {
            self.stand(id, standing);
        }
        for (_, held) in other.held {
            self.hold(held);
        }
    }

    /// Where a reject stands; `None` when the lake does not have it.
    pub fn of(&self, id: u128) -> Option<Standing> {
        self.standing.get(&id).copied()
    }

    /// The rejects of the objects that were asked for and that still wait, with where they stand; in no
    /// order.
    pub fn waiting(&self) -> impl Iterator<Item = (&Held, Standing)> {
        let with_standing = self.held.values().filter_map(|held| Some((held, self.of(held.id)?)));
        with_standing.filter(|(_, standing)| standing.state.waits() && is_ours(standing.state))
    }
}

/// What a later version of the program made of a reject is left alone.
fn is_ours(state: State) -> bool {
    state != State::Other
}

/// What is to be written of a wave's rejects.
#[derive(Debug, Default)]
pub struct Rejected<'a> {
    /// The rows.
    pub lines: Vec<RejectLine<'a>>,
    /// Rejects that the wave has more than once.
    pub duplicates_in_wave: u64,
    /// Rejects that the lake has already.
    pub duplicates_in_lake: u64,
}

/// Which rows a wave's rejects are to become: new ones are open; one that the lake had settled is open
/// again; and when `is_redrive`, one that waited is failing still, unless we said so before.
pub fn settle<'a>(
    rows: &'a [RejectRow],
    states: &States,
    by: &'a By,
    is_redrive: bool,
) -> Rejected<'a> {
    let mut rejected = Rejected::default();
    let mut seen = IdSet::with_capacity_and_hasher(rows.len(), super::ids::IdState::default());
    for row in rows {
        let id = reject_id(&row.place, &row.reject);
        if !seen.insert(id) {
            rejected.duplicates_in_wave += 1;
            continue;
        }
        let Some(standing) = states.of(id) else {
            // One that a redrive finds is not tried again by the next one of the same version.
            let by = is_redrive.then(|| by.for_reason(row.reject.reason.name()));
            rejected.lines.push(RejectLine { state_by: by, ..row.line() });
            continue;
        };
        rejected.duplicates_in_lake += 1;
        if let Some(state) = next_state(standing, is_redrive) {
            rejected.lines.push(RejectLine {
                state,
                state_number: standing.number.saturating_add(1),
                state_by: Some(by.for_reason(row.reject.reason.name())),
                arrived_hour_ms: standing.arrived_hour_ms,
                ..row.line()
            });
        }
    }
    rejected
}

/// The next state of a reject that was found again.
fn next_state(standing: Standing, is_redrive: bool) -> Option<State> {
    match standing.state {
        State::Other => None,
        State::Open | State::StillFailing if standing.by_us => None,
        State::Open | State::StillFailing if !is_redrive => None,
        _ if is_redrive => Some(State::StillFailing),
        _ => Some(State::Open),
    }
}

impl Held {
    /// The row of its next state. One that waits keeps its bytes, so that the latest row has them; one
    /// that is settled needs them no more.
    pub fn next<'a>(
        &'a self,
        standing: Standing,
        state: State,
        by: &'a By,
        detail: String,
    ) -> RejectLine<'a> {
        let bytes = if state.waits() { self.bytes.as_slice() } else { &[] };
        RejectLine {
            id: self.id,
            state,
            state_number: standing.number.saturating_add(1),
            state_by: Some(by.for_reason(&self.reason)),
            arrived_hour_ms: standing.arrived_hour_ms,
            stage: &self.stage,
            reason: &self.reason,
            detail: Cow::Owned(detail),
            object: &self.object,
            etag: &self.etag,
            offset: self.offset,
            length: self.length,
            ordinal: self.ordinal,
            bytes_length: self.bytes_length,
            bytes_cut: (bytes.len() as u64) < self.bytes_length,
            bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::reject::{Reject, Stage};
    use crate::lake::layout::PartitionBy;
    use crate::lake::record::Tombstone;
    use crate::lake::rejects::{by_partition, encode};
    use crate::lake::testing::{SETTINGS, place};
    use crate::store::Memory;

    fn row(start: u64) -> RejectRow {
        let reject = Reject {
            stage: Stage::Split,
            reason: Reason::NotJson,
            detail: "a brace is missing".into(),
            range: start..start + 1,
            ordinal: None,
            bytes: b"x".to_vec(),
        };
        RejectRow { place: place("o"), reject }
    }

    fn stored(store: &Memory, key: &str, commit: u64, lines: Vec<RejectLine<'_>>) -> LedgerFile {
        let parts = by_partition(lines, PartitionBy::Day);
        let part = encode(&parts[0].1).unwrap();
        store.insert(key.to_owned(), part.bytes.clone());
        let bytes = part.bytes.len() as u64;
        LedgerFile { commit, key: key.into(), rows: part.rows, bytes, sha256: String::new() }
    }

    fn standing(state: State, by_us: bool) -> Standing {
        Standing { state, number: 3, by_us, arrived_hour_ms: 0 }
    }

    #[test]
    fn each_state_has_its_next() {
        use State::{ObjectChanged, ObjectGone, Open, Other, Redriven, StillFailing};
        let table = [
            // state, said by us, next by a run, next by a redrive
            (Open, false, None, Some(StillFailing)),
            (Open, true, None, None),
            (StillFailing, false, None, Some(StillFailing)),
            (StillFailing, true, None, None),
            (ObjectGone, true, Some(Open), Some(StillFailing)),
            (ObjectChanged, false, Some(Open), Some(StillFailing)),
            (Redriven, false, Some(Open), Some(StillFailing)),
            (Other, false, None, None),
        ];
        for (state, by_us, run, redrive) in table {
            assert_eq!(next_state(standing(state, by_us), false), run, "{state:?}");
            assert_eq!(next_state(standing(state, by_us), true), redrive, "{state:?}");
        }
    }

    #[tokio::test]
    async fn the_greatest_number_counts_in_whatever_order_files_come() {
        let store = Memory::new("lake");
        let rows = [row(0), row(1), row(2)];
        let first = stored(&store, "1", 1, rows.iter().map(RejectRow::line).collect());
        let us = By::of(&SETTINGS);
        let moved = |state, number| RejectLine {
            state,
            state_number: number,
            state_by: Some(us.for_reason("not_json")),
            ..rows[0].line()
        };
        let second = stored(&store, "2", 2, vec![moved(State::Redriven, 1)]);
        let third = stored(&store, "3", 3, vec![moved(State::Open, 2)]);
        let ids = |_| false;
        let objects = |object: &str, etag: &str| object == "o" && etag == "1";
        let wanted = Wanted { ids: &ids, objects: Some(&objects), bytes: true, by: &us };
        for files in [vec![&first, &second], vec![&second, &first]] {
            let mut states = States::default();
            states.read(&store, &files, 1, wanted).await.unwrap();
            let mut waiting: Vec<u64> = states.waiting().map(|(held, _)| held.offset).collect();
            waiting.sort_unstable();
            assert_eq!(waiting, [1, 2]);
            // What another run commits meanwhile is added.
            states.read(&store, &[&third], 1, wanted).await.unwrap();
            assert_eq!(states.waiting().count(), 3);
            let id = reject_id(&rows[0].place, &rows[0].reject);
            let standing = states.of(id).unwrap();
            assert_eq!((standing.state, standing.number, standing.by_us), (State::Open, 2, true));
            assert!(states.waiting().all(|(held, _)| held.bytes == b"x"));
        }
        let nothing = Wanted { objects: None, bytes: false, ..wanted };
        let mut states = States::default();
        states.read(&store, &[&first], 1, nothing).await.unwrap();
        assert_eq!(states.of(reject_id(&rows[0].place, &rows[0].reject)), None);
    }

    #[test]
    fn what_is_forgotten_has_no_further_state() {
        let rows = [row(0), row(1)];
        let mut states = States::default();
        for row in &rows {
            states.stand(reject_id(&row.place, &row.reject), standing(State::Open, false));
        }
        let id = reject_id(&rows[0].place, &rows[0].reject);
        states.forget(&Forgotten::of([&Tombstone::Reject(super::super::ids::id_text(id))]));
        assert_eq!(states.of(id), None);
        assert!(states.of(reject_id(&rows[1].place, &rows[1].reject)).is_some());
    }

    #[test]
    fn known_and_repeated_rejects_are_counted_apart() {
        let rows = [row(0), row(0), row(1)];
        let mut states = States::default();
        states.stand(reject_id(&rows[2].place, &rows[2].reject), standing(State::Open, false));
        let us = By::of(&SETTINGS);
        let run = settle(&rows, &states, &us, false);
        assert_eq!((run.duplicates_in_wave, run.duplicates_in_lake, run.lines.len()), (1, 1, 1));
        assert_eq!((run.lines[0].state_number, run.lines[0].state_by), (0, None));
        let redrive = settle(&rows, &states, &us, true);
        assert_eq!(redrive.lines[0].state_by, Some(us.for_reason("not_json")));
        let later = &redrive.lines[1];
        assert_eq!((later.state, later.state_number), (State::StillFailing, 4));
        assert_eq!((later.arrived_hour_ms, later.bytes), (0, &b"x"[..]));
    }
}
