//! `rejects`: which rejects a lake has, and everything of one of them.
//!
//! In: a lake and what is asked for. Out: a call for each reject, in the state that it has now, in the
//! order of their arrival's partitions; or one reject with all its states and its bytes. Nothing is
//! written. Wrong: no lake, or a part of it that is damaged. Memory: that of
//! [`visit_latest`], and the bytes of the one reject.

use std::sync::Arc;

use crate::finding::identity::IDENTITY_VERSION;
use crate::lake::LakeError;
use crate::lake::config::LakeConfig;
use crate::lake::error::LakeResult;
use crate::lake::layout::CONFIG;
use crate::lake::ledger::Ledger;
use crate::lake::log::Log;
use crate::lake::reject_rows::{
    COLUMNS, COLUMNS_AND_BYTES, RejectFilter, RejectView, files_by_partition, visit_latest,
    visit_rows,
};
use crate::lake::rejects::State;
use crate::store::Store;

/// In which state a reject must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// In any that waits, as the view `rejects_open` has it.
    Waiting,
    /// In this one.
    In(State),
    /// In any.
    Any,
}

impl Standing {
    fn takes(self, state: State) -> bool {
        match self {
            Self::Waiting => state.waits(),
            Self::In(wanted) => state == wanted,
            Self::Any => true,
        }
    }
}

/// One state that a reject was in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownState {
    /// Its name.
    pub name: String,
    /// How many came before.
    pub number: i32,
    /// The program and settings that gave it.
    pub by: Option<String>,
    /// What was said of the reject then.
    pub detail: String,
}

/// Everything of one reject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// When the object arrived.
    pub arrived_hour_ms: i64,
    /// Where it arose.
    pub stage: String,
    /// Why.
    pub reason: String,
    /// URI of the object.
    pub object: String,
    /// Its etag.
    pub etag: String,
    /// First byte in the decompressed object.
    pub offset: u64,
    /// How many bytes it covers.
    pub length: u64,
    /// Which finding of its document it is.
    pub ordinal: Option<i32>,
    /// How many bytes there were.
    pub bytes_length: u64,
    /// What the lake has of them.
    pub bytes: Vec<u8>,
    /// Its states, the first one first.
    pub states: Vec<ShownState>,
}

/// Calls `visit` with each reject that is asked for, until it says `false`; the rest of the partition
/// is passed over then, and no further one is read.
pub async fn rejects(
    lake: &Arc<dyn Store>,
    filter: &RejectFilter,
    standing: Standing,
    mut visit: impl FnMut(&RejectView<'_>) -> bool,
) -> LakeResult<()> {
    let ledger = load(lake).await?;
    let mut goes_on = true;
    for (_, files) in files_by_partition(&ledger, &filter.times()) {
        visit_latest(lake.as_ref(), &files, &COLUMNS, |row| {
            if goes_on && standing.takes(row.state) && filter.takes(row) {
                goes_on = visit(row);
            }
        })
        .await?;
        if !goes_on {
            break;
        }
    }
    Ok(())
}

/// Everything of one reject; `None` when the lake does not have it.
pub async fn show(lake: &Arc<dyn Store>, id: u128) -> LakeResult<Option<Shown>> {
    let ledger = load(lake).await?;
    let store = lake.as_ref();
    for (_, files) in files_by_partition(&ledger, &(i64::MIN..i64::MAX)) {
        let mut with_it = Vec::new();
        for file in &files {
            let mut is_here = false;
            visit_rows(store, &[file], &["reject_id"], |row| is_here |= row.id == id).await?;
            if is_here {
                with_it.push(*file);
            }
        }
        let mut shown = Shown::default();
        visit_rows(store, &with_it, &COLUMNS_AND_BYTES, |row| {
            if row.id == id {
                shown.add(row);
            }
        })
        .await?;
        if !shown.states.is_empty() {
            shown.states.sort_by_key(|state| state.number);
            return Ok(Some(shown));
        }
    }
    Ok(None)
}

impl Shown {
    fn add(&mut self, row: &RejectView<'_>) {
        if self.states.is_empty() || self.bytes.len() < row.bytes.len() {
            self.bytes = row.bytes.to_vec();
        }
        self.arrived_hour_ms = row.arrived_hour_ms;
        row.stage.clone_into(&mut self.stage);
        row.reason.clone_into(&mut self.reason);
        row.object.clone_into(&mut self.object);
        row.etag.clone_into(&mut self.etag);
        (self.offset, self.length, self.ordinal) = (row.offset, row.length, row.ordinal);
        self.bytes_length = row.bytes_length;
        self.states.push(ShownState {
            name: row.state_name.to_owned(),
            number: row.state_number,
            by: row.state_by.map(str::to_owned),
            detail: row.detail.to_owned(),
        });
    }
}

async fn load(lake: &Arc<dyn Store>) -> LakeResult<Ledger> {
    if LakeConfig::open(lake.as_ref(), IDENTITY_VERSION).await?.is_none() {
        let hint = "give the folder or prefix that `healthtrail run --to` filled";
        let message = format!("there is no lake at `{}`", lake.base_uri());
        return Err(LakeError::refused(CONFIG, message, hint));
    }
    let log = Log::new(Arc::clone(lake));
    let mut ledger = log.load().await?;
    log.look(&mut ledger).await?;
    Ok(ledger)
}
