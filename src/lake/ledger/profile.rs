//! How objects were read, and what they still hold for a run of other settings.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::finding::reject::Reason;
use crate::lake::record::{ObjectRecord, Settings};

/// Findings of products that the run did not want; wider products reopen the object.
pub const OTHER_PRODUCT: &str = "other_product";

/// How objects were read and what they still hold: many objects share one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(in crate::lake) struct Profile {
    pub(in crate::lake) settings: Settings,
    /// Kinds that were passed over, and reasons of rejects that a limit made; sorted.
    pub(in crate::lake) kinds: Vec<String>,
}

impl Profile {
    pub(super) fn of(settings: Settings, object: &ObjectRecord) -> Self {
        let passed_over = object.tally.passed_over_by_kind.0.keys();
        let limited = object.tally.by_reason.0.keys().filter(|reason| is_limit(reason));
        let kinds: BTreeSet<&String> = passed_over.chain(limited).collect();
        Self { settings, kinds: kinds.into_iter().cloned().collect() }
    }

    fn has(&self, kind: &str) -> bool {
        self.kinds.iter().any(|own| own == kind)
    }

    /// Whether a run of these settings would keep something that was passed over or cut off.
    pub(super) fn reopens(&self, settings: &Settings) -> bool {
        let (was, now) = (self.settings, *settings);
        if self.kinds.is_empty() || was == now {
            return false;
        }
        let learned = |kind: &String| kind != OTHER_PRODUCT && !is_limit(kind);
        (was.products < now.products && self.has(OTHER_PRODUCT))
            || (was.reader_generation < now.reader_generation && self.kinds.iter().any(learned))
            || (was.limits.object_bytes_max < now.limits.object_bytes_max
                && self.has(Reason::ObjectTooLarge.name()))
            || (was.limits.document_bytes_max < now.limits.document_bytes_max
                && self.has(Reason::DocumentTooLarge.name()))
            || (was.limits.depth_max < now.limits.depth_max && self.has(Reason::TooDeep.name()))
            || (was.limits.zip_entries_max < now.limits.zip_entries_max
                && self.has(Reason::TooManyEntries.name()))
            || (was.limits.entities_max < now.limits.entities_max
                && self.has(Reason::TooManyEntities.name()))
    }
}

fn is_limit(reason: &str) -> bool {
    Reason::ALL.iter().any(|known| known.is_limit() && known.name() == reason)
}
