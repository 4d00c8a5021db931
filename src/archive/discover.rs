//! Which objects an archive has, and which of them are to be read.
//!
//! In: a store's listing, in any order. Out: one call for each object, with the reason it is skipped,
//! if it is. Nothing is kept here, so that an archive of millions of keys costs no
//! memory. A listing that breaks off is an error: a part of an archive is never taken for the whole.

use futures::TryStreamExt as _;
use globset::GlobSet;
use jiff::tz::TimeZone;

use crate::archive::arrival::{Arrival, arrival};
use crate::store::{ObjectMeta, Store, StoreResult};

/// What `discover` does not hand on to be read.
#[derive(Debug, Clone)]
pub struct DiscoverOptions {
    /// Keys that match are skipped; not consumed, so that a later run may read them.
    pub exclude: GlobSet,
    /// The zone of the times in the keys.
    pub zone: TimeZone,
}

impl DiscoverOptions {
    /// When an object arrived.
    pub fn arrival(&self, object: &ObjectMeta) -> Arrival {
        arrival(&object.key, object.last_modified_ms, &self.zone)
    }
}

/// Why an object is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skip {
    /// It has no bytes.
    Empty,
    /// A marker that consoles and Hadoop make for folders: `x/`, `x_$folder$`.
    FolderMarker,
    /// Its key matches `--exclude`.
    Excluded,
    /// Its storage class keeps its bytes until a restore.
    Archived,
}

impl Skip {
    /// The name in summaries.
    pub fn name(self) -> &'static str {
        match self {
            Skip::Empty => "empty",
            Skip::FolderMarker => "folder_marker",
            Skip::Excluded => "excluded",
            Skip::Archived => "archived",
        }
    }
}

/// Lists the objects of an archive whose keys begin with `prefix`, and tells of each what it is.
///
/// # Errors
/// The store's, when the listing cannot be finished.
pub async fn discover(
    store: &dyn Store,
    prefix: &str,
    options: &DiscoverOptions,
    mut visit: impl FnMut(ObjectMeta, Option<Skip>),
) -> StoreResult<()> {
    let mut listing = store.list(prefix);
    while let Some(object) = listing.try_next().await? {
        let skip = skip(&object, options);
        visit(object, skip);
    }
    Ok(())
}

fn skip(object: &ObjectMeta, options: &DiscoverOptions) -> Option<Skip> {
    if object.key.ends_with('/') || object.key.ends_with("_$folder$") {
        Some(Skip::FolderMarker)
    } else if object.size == 0 {
        Some(Skip::Empty)
    } else if options.exclude.is_match(&object.key) {
        Some(Skip::Excluded)
    } else if object.archived {
        Some(Skip::Archived)
    } else {
        None
    }
}
