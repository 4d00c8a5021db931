//! The records of the log one after the other: what the ledger does not keep of them.
//!
//! In: a log and up to which commit. Out: a call for each record with its objects, oldest first.
//! Nothing is written. Wrong: a record that is gone or cannot be read. Memory: a few records at a time,
//! each with its list of objects.

use std::borrow::Cow;

use futures::stream::{self, StreamExt};

use super::error::LakeResult;
use super::layout::record_key;
use super::ledger::lost;
use super::log::Log;
use super::record::{Objects, Record};

/// Records that are read ahead.
const READ_AHEAD: usize = 8;

impl Log {
    /// Calls `visit` with each record up to commit `last`, and its objects; `None` for a list that is
    /// lost, whose objects are read again anyway.
    pub async fn visit_records(
        &self,
        last: u64,
        mut visit: impl FnMut(&Record, Option<&Objects>),
    ) -> LakeResult<()> {
        let mut records = stream::iter(1..=last)
            .map(|number| self.record_with_objects(number))
            .buffered(READ_AHEAD);
        while let Some(read) = records.next().await {
            let (record, objects) = read?;
            visit(&record, objects.as_ref());
        }
        Ok(())
    }

    async fn record_with_objects(&self, number: u64) -> LakeResult<(Record, Option<Objects>)> {
        let record = self.read_record(number).await?;
        let record = record.ok_or_else(|| lost(&record_key(number), "is gone"))?;
        let objects = self.read_objects(&record.objects).await?.map(Cow::into_owned);
        Ok((record, objects))
    }
}
