//! Can a lake be read and written, does its server keep the promises that commits rest on, and what state is it in?
//!
//! In: an opened store, or the reason why there is none. Out: checks. What is written lies below
//! `_healthtrail/doctor/`, has a random name, and is deleted at the end; what a doctor before this one left
//! there for an hour is deleted too. The two checks that matter most are the conditional ones: a server that writes
//! over an object where it was told not to would let two runs take the same commit number.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt as _;
use jiff::Timestamp;

use super::Notes;
use crate::finding::identity::IDENTITY_VERSION;
use crate::lake::LakeError;
use crate::lake::config::LakeConfig;
use crate::lake::layout::{DOCTOR, STAGING, done_key};
use crate::lake::ledger::Ledger;
use crate::lake::log::Log;
use crate::store::{
    GetOptions, Store, StoreError, StoreErrorKind, StoreResult, scratch, sha256_hex,
};

const HOUR_MS: i64 = 3_600_000;
const PROBE: &[u8] = b"written by healthtrail doctor, to be deleted at once\n";
const UNSAFE: &str = "this server does not honour conditional writes: two runs at once would lose data; \
                      use another server, or make sure that never two runs are at work";

/// Looks at a lake, or at the place where one will be.
pub(super) async fn look(notes: &mut Notes<'_>, store: &Arc<dyn Store>, writes: bool) {
    state(notes, store).await;
    if writes {
        probe(notes, store.as_ref()).await;
    }
}

/// Looks at the place of a lake that could not be opened: where its folder is only missing, a run makes it.
pub(super) async fn look_beside(
    notes: &mut Notes<'_>,
    typed: &str,
    error: &StoreError,
    writes: bool,
) {
    if error.kind != StoreErrorKind::NotFound {
        return notes.refused("open", error);
    }
    let place = if writes { scratch(typed).await } else { Ok(None) };
    match place {
        Ok(Some(place)) => {
            notes.ok("open", format!("there is no lake yet; a run makes it in {}", place.parent));
            probe(notes, place.store.as_ref()).await;
        }
        Ok(None) => notes.refused("open", error),
        Err(error) => {
            let to_do = "name a place where this user may make folders, or make the folder for him";
            notes.fail("open", error.to_string(), to_do);
        }
    }
}

async fn state(notes: &mut Notes<'_>, store: &Arc<dyn Store>) {
    match LakeConfig::open(store.as_ref(), IDENTITY_VERSION).await {
        Ok(None) => return notes.ok("lake", "there is no lake yet; a run makes it"),
        Ok(Some(config)) => notes.ok(
            "lake",
            format!(
                "a lake of {} partitions, format {}, identity {}, made by {}",
                config.partition.name(),
                config.format,
                config.identity,
                config.created_by
            ),
        ),
        Err(error) => return refused(notes, "lake", &error),
    }
    let log = Log::new(Arc::clone(store));
    let version = match version(&log).await {
        Ok(version) => version,
        Err(error) => return refused(notes, "log", &error),
    };
    notes.ok("log", format!("its log can be read; it is at version {version}"));
    match open_commit(store.as_ref(), version).await {
        Ok(false) => notes.ok("open_commit", "every commit is complete"),
        Ok(true) => notes.warn(
            "open_commit",
            format!("commit {version} is not complete yet"),
            "a run is at it, or the next one completes it; nothing is to be done",
        ),
        Err(error) => notes.refused("open_commit", &error),
    }
    match staged(store.as_ref()).await {
        Ok((0, _)) => notes.ok("staging", "nothing is staged"),
        Ok((files, bytes)) => notes.ok(
            "staging",
            format!(
                "{files} files with {bytes} bytes are staged: of a run at work, or swept later"
            ),
        ),
        Err(error) => notes.refused("staging", &error),
    }
}

async fn version(log: &Log) -> Result<u64, LakeError> {
    let mut ledger: Ledger = log.load().await?;
    log.look(&mut ledger).await?;
    Ok(ledger.version())
}

async fn open_commit(store: &dyn Store, version: u64) -> StoreResult<bool> {
    Ok(version > 0 && store.head(&done_key(version)).await?.is_none())
}

async fn staged(store: &dyn Store) -> StoreResult<(u64, u64)> {
    let listed = store.list(STAGING);
    listed.try_fold((0, 0), |sum, meta| async move { Ok((sum.0 + 1, sum.1 + meta.size)) }).await
}

fn refused(notes: &mut Notes<'_>, check: &'static str, error: &LakeError) {
    match error {
        LakeError::Store(error) => notes.refused(check, error),
        LakeError::Refused { message, key, hint } | LakeError::Damaged { message, key, hint } => {
            notes.fail(check, format!("`{key}`: {message}"), hint);
        }
        LakeError::Undecided { .. } => notes.fail(check, error.to_string(), "run it again"),
    }
}

/// Does in small what a commit does.
async fn probe(notes: &mut Notes<'_>, store: &dyn Store) {
    let folder = format!("{DOCTOR}{:032x}", rand::random::<u128>());
    let (one, two) = (format!("{folder}/one"), format!("{folder}/two"));
    if !write(notes, store, &one).await {
        return;
    }
    read(notes, store, &one).await;
    copy(notes, store, &one, &two).await;
    listed(notes, store, &folder).await;
    let mut deleted = Ok(());
    for key in [&two, &one] {
        deleted = deleted.and(store.delete(key).await);
    }
    match deleted {
        Ok(()) => notes.ok("delete", "what was written could be deleted"),
        Err(error) => notes.refused("delete", &error),
    }
    // What a doctor that was killed left there; not that of one at work beside this one.
    if let Err(error) = sweep(store).await {
        notes.refused("sweep", &error);
    }
}

/// Without this nothing else can be tried.
async fn write(notes: &mut Notes<'_>, store: &dyn Store, key: &str) -> bool {
    let bytes = Bytes::from_static(PROBE);
    let written = store.put_new(key, bytes, &sha256_hex(PROBE)).await;
    match &written {
        Ok(()) => notes.ok("put", "it can be written"),
        Err(error) => notes.refused("put", error),
    }
    written.is_ok()
}

async fn read(notes: &mut Notes<'_>, store: &dyn Store, key: &str) {
    let sha256 = sha256_hex(PROBE);
    match store.get(key, GetOptions::default()).await {
        Ok(read) if read == PROBE => notes.ok("get", "what was written is read back"),
        Ok(_) => notes.fail("get", "other bytes come back than were written", "use another server"),
        Err(error) => notes.refused("get", &error),
    }
    match store.head(key).await {
        Ok(Some(meta)) if meta.sha256.as_deref() == Some(&sha256) => {
            notes.ok("head", "user metadata are kept");
        }
        Ok(Some(_)) => {
            let to_do = "use a server that keeps user metadata (x-amz-meta-sha256)";
            notes.fail("head", "the server dropped the SHA-256 in the user metadata", to_do);
        }
        Ok(None) => notes.fail("head", "what was written is not there", "use another server"),
        Err(error) => notes.refused("head", &error),
    }
    let again = Bytes::from_static(b"this must not be written\n");
    match store.put_new(key, again.clone(), &sha256_hex(&again)).await {
        Err(error) if error.kind == StoreErrorKind::Precondition => {
            notes.ok("conditional_put", "a name that is taken is not written over");
        }
        Ok(()) => notes.fail("conditional_put", "a name that was taken was written over", UNSAFE),
        Err(error) => notes.refused("conditional_put", &error),
    }
}

async fn copy(notes: &mut Notes<'_>, store: &dyn Store, from: &str, to: &str) {
    match store.copy_new(from, to).await {
        Ok(()) => notes.ok("copy", "files can be copied on the server, or linked"),
        Err(error) => return notes.refused("copy", &error),
    }
    match store.copy_new(from, to).await {
        Err(error) if error.kind == StoreErrorKind::Precondition => {
            notes.ok("conditional_copy", "a copy does not replace a file");
        }
        Ok(()) => notes.fail("conditional_copy", "a copy replaced a file", UNSAFE),
        Err(error) => notes.refused("conditional_copy", &error),
    }
}

async fn listed(notes: &mut Notes<'_>, store: &dyn Store, folder: &str) {
    let prefix = format!("{folder}/");
    let listed: StoreResult<Vec<_>> = store.list(&prefix).try_collect().await;
    match listed {
        Ok(listed) if listed.len() == 2 => notes.ok("list", "what was written is listed at once"),
        Ok(listed) => {
            let message = format!("{} of 2 files that were written are listed", listed.len());
            notes.fail(
                "list",
                message,
                "see the checks above, or use a server whose listings are current",
            );
        }
        Err(error) => notes.refused("list", &error),
    }
}

async fn sweep(store: &dyn Store) -> StoreResult<()> {
    let before_ms = Timestamp::now().as_millisecond() - HOUR_MS;
    let left: Vec<_> = store.list(DOCTOR).try_collect().await?;
    for meta in left.iter().filter(|meta| meta.last_modified_ms < before_ms) {
        store.delete(&meta.key).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use futures::future::BoxFuture;
    use futures::stream::BoxStream;

    use super::super::{Diagnosis, State};
    use super::*;
    use crate::store::{Memory, ObjectMeta};

    /// A server that knows no conditions: what is there is replaced.
    #[derive(Debug)]
    struct Careless(Memory);

    impl Store for Careless {
        fn base_uri(&self) -> &str {
            self.0.base_uri()
        }

        fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectMeta>> {
            self.0.list(prefix)
        }

        fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<Option<ObjectMeta>>> {
            self.0.head(key)
        }

        fn get<'a>(
            &'a self,
            key: &'a str,
            options: GetOptions,
        ) -> BoxFuture<'a, StoreResult<Bytes>> {
            self.0.get(key, options)
        }

        fn put<'a>(
            &'a self,
            key: &'a str,
            bytes: Bytes,
            sha256: &'a str,
        ) -> BoxFuture<'a, StoreResult<()>> {
            self.0.put(key, bytes, sha256)
        }

        fn put_new<'a>(
            &'a self,
            key: &'a str,
            bytes: Bytes,
            sha256: &'a str,
        ) -> BoxFuture<'a, StoreResult<()>> {
            self.0.put(key, bytes, sha256)
        }

        fn copy_new<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, StoreResult<()>> {
            Box::pin(async move {
                let whole: Option<Range<u64>> = None;
                let options = GetOptions { range: whole, ..GetOptions::default() };
                let bytes = self.0.get(from, options).await?;
                let sha256 = sha256_hex(&bytes);
                self.0.put(to, bytes, &sha256).await
            })
        }

        fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, StoreResult<()>> {
            self.0.delete(key)
        }

        fn retries(&self) -> u64 {
            0
        }
    }

    async fn failing(store: &dyn Store) -> Vec<&'static str> {
        let mut diagnosis = Diagnosis::default();
        probe(&mut diagnosis.notes("lake"), store).await;
        let left: Vec<ObjectMeta> = store.list("").try_collect().await.unwrap();
        assert_eq!(left, [], "the probe is removed");
        let failing = diagnosis.checks.iter().filter(|check| check.state == State::Fail);
        failing.map(|check| check.check).collect()
    }

    #[tokio::test]
    async fn a_server_without_conditions_is_found_out() {
        assert_eq!(failing(&Memory::new("lake")).await, <[&str; 0]>::default());
        let careless = Careless(Memory::new("lake"));
        assert_eq!(failing(&careless).await, ["conditional_put", "conditional_copy"]);
    }
}
