//! Copies of parts that a repair took out of the lake, which may hold what is to be forgotten.
//!
//! In: the quarantine's listing, and a question about rows. Out: which copies hold such rows, and what names
//! them. A copy that cannot be read may hold anything, so it counts as one that does. `Err` is trouble of
//! the store. Memory: a few columns of a row group of each copy that is open.

use std::collections::BTreeSet;

use futures::{StreamExt as _, TryStreamExt as _};

use crate::job::forget::search::{CONCURRENCY, Found, columns};
use crate::lake::LakeError;
use crate::lake::erase::{as_file, look_through};
use crate::lake::error::LakeResult;
use crate::lake::layout::{QUARANTINE, Table};
use crate::lake::record::Tombstone;
use crate::store::{ObjectMeta, Store};

/// Copies that have to go.
#[derive(Debug, Default)]
pub(super) struct Quarantine {
    pub(super) keys: BTreeSet<String>,
    pub(super) tombstones: BTreeSet<Tombstone>,
}

/// Looks through all copies.
pub(super) async fn look(store: &dyn Store, found: &Found<'_>) -> LakeResult<Quarantine> {
    let copies: Vec<ObjectMeta> = store.list(QUARANTINE).try_collect().await?;
    let each = copies.into_iter().map(|meta| async move {
        let answer = match look_into(store, &meta, found).await {
            Ok(answer) => answer,
            Err(LakeError::Damaged { .. }) => Some(Vec::new()),
            Err(error) => return Err(error),
        };
        LakeResult::Ok(answer.map(|tombstones| (meta.key, tombstones)))
    });
    let mut each = futures::stream::iter(each).buffer_unordered(CONCURRENCY);
    let mut quarantine = Quarantine::default();
    while let Some(answer) = each.try_next().await? {
        let Some((key, tombstones)) = answer else { continue };
        quarantine.keys.insert(key);
        quarantine.tombstones.extend(tombstones);
    }
    Ok(quarantine)
}

/// What names the rows of a copy that are asked for; `None` when it has none.
async fn look_into(
    store: &dyn Store,
    meta: &ObjectMeta,
    found: &Found<'_>,
) -> LakeResult<Option<Vec<Tombstone>>> {
    let name = meta.key.strip_prefix(QUARANTINE).unwrap_or_default();
    let table = Table::ALL
        .into_iter()
        .find(|table| name.strip_prefix(table.name()).is_some_and(|rest| rest.starts_with('/')));
    let Some(table) = table else { return Ok(None) };
    let file = as_file(store, meta).await?;
    let (mut rows, mut tombstones) = (0, Vec::new());
    look_through(store, table, &file, columns(table), &mut |batch| {
        let (more, named) = found(table, batch);
        rows += more;
        tombstones.extend(named);
    })
    .await?;
    Ok((rows > 0).then_some(tombstones))
}
