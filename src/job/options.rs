//! What a reading command is told, and what must be right about it before anything is read.
//!
//! In: options as they were typed, and the ledger. Out: the budget and the settings they come to. Wrong:
//! what makes no sense ([`UsageError`]), and what the lake refuses.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;

use crate::archive::discover::DiscoverOptions;
use crate::archive::read::READER_GENERATION;
use crate::finding::limits::CountLimits;
use crate::finding::product::Products;
use crate::job::budget::{Budget, threads};
use crate::job::plan::{Archive, Hours};
use crate::job::progress::Progress;
use crate::lake::layout::PartitionBy;
use crate::lake::ledger::Ledger;
use crate::lake::record::{Limits, Settings};
use crate::store::Store;

/// What a run is to do.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// What to read; at least one, none inside another.
    pub archives: Vec<Archive>,
    /// What to fill; `None` only for a dry run to a lake that is not there yet.
    pub lake: Option<Arc<dyn Store>>,
    /// Whose findings become rows; `None` for what is in force in the lake, else Health.
    pub products: Option<Products>,
    /// The partition of a new lake; `None` for day.
    pub partition: Option<PartitionBy>,
    /// Which arrival hours to read.
    pub hours: Hours,
    /// What to skip, and how to read keys.
    pub discover: DiscoverOptions,
    /// Begin no further wave after this time.
    pub deadline: Option<Duration>,
    /// How many threads to read and write with.
    pub threads: usize,
    /// Bytes of memory to stay under; at least [`MEMORY_BYTES_MIN`](crate::job::budget::MEMORY_BYTES_MIN).
    pub memory_bytes: u64,
    /// End a wave after so many objects.
    pub wave_objects: Option<usize>,
    /// Objects of one task that are fetched at the same time.
    pub fetches: usize,
    /// Most decompressed bytes of one object.
    pub object_bytes_max: u64,
    /// Longest document in bytes; bounded by memory too.
    pub document_bytes_max: usize,
    /// How deep, and how many entries and entities.
    pub counts: CountLimits,
    /// Keep no bytes of what is rejected, only its reason and place.
    pub redact: bool,
    /// Counters to move while working.
    pub progress: Arc<Progress>,
}

/// What was asked for makes no sense, and will make none when it is asked for again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// No archive may lie in another, nor a lake in an archive or the other way round.
pub(crate) fn check_places(options: &RunOptions) -> anyhow::Result<()> {
    check_apart(options.archives.iter(), options.lake.as_deref())
}

/// The same of archives and a lake that were opened.
pub(crate) fn check_apart<'a>(
    archives: impl Iterator<Item = &'a Archive>,
    lake: Option<&dyn Store>,
) -> anyhow::Result<()> {
    let mut places: Vec<(String, &str)> =
        archives.map(|archive| (archive.uri_prefix(), "archive")).collect();
    places.extend(lake.iter().map(|lake| (lake.uri(""), "lake")));
    places.sort();
    for pair in places.windows(2) {
        if let [(outer, outer_kind), (inner, inner_kind)] = pair
            && inner.starts_with(outer.as_str())
        {
            let overlap = format!(
                "the {inner_kind} `{inner}` lies inside the {outer_kind} `{outer}`; archives and lake \
                 must not overlap"
            );
            bail!(UsageError(overlap));
        }
    }
    Ok(())
}

/// How the memory is shared out.
pub(crate) fn budget(options: &RunOptions) -> Budget {
    let threads = threads(options.memory_bytes, options.threads);
    Budget::new(options.memory_bytes, threads, options.document_bytes_max)
}

/// What objects are read under, if the lake allows it.
pub(crate) fn settings(options: &RunOptions, ledger: &Ledger) -> anyhow::Result<Settings> {
    let products = options.products.or(ledger.products()).unwrap_or(Products::Health);
    let budget = budget(options);
    let limits = Limits {
        object_bytes_max: options.object_bytes_max,
        document_bytes_max: budget.document_bytes as u64,
        depth_max: options.counts.depth_max,
        zip_entries_max: options.counts.zip_entries_max,
        entities_max: options.counts.entities_max,
    };
    let settings = Settings { products, limits, reader_generation: READER_GENERATION };
    ledger.admit(&settings)?;
    Ok(settings)
}
