//! `ledger accept`: objects that will never be readable are given up, for good and with a reason.
//!
//! In: URIs of objects. Out: one commit that names those that were not given up before; none when all
//! were. What can go wrong: an object that is in the lake, or that neither the log nor an archive knows
//! ([`UsageError`]); the store. May be killed at any point and repeated: it is one commit or none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{anyhow, bail};
use serde::Serialize;

use super::{open_log, settings};
use crate::job::commit::catch_up;
use crate::job::options::UsageError;
use crate::job::plan::Archive;
use crate::lake::draft::{Draft, Drafted};
use crate::lake::ledger::{Ledger, Status};
use crate::lake::log::{Log, random_id};
use crate::lake::record::{AcceptedObject, FailedObject, Objects, Purpose};
use crate::store::Store;

/// How often other runs may take the number before this one gives up.
const ATTEMPTS: usize = 100;

/// What to give up.
#[derive(Debug, Clone)]
pub struct AcceptOptions {
    /// The lake.
    pub lake: Arc<dyn Store>,
    /// Where objects lie that the log knows no failure of; may be none.
    pub archives: Vec<Archive>,
    /// Full URIs.
    pub objects: Vec<String>,
    /// Why.
    pub reason: String,
}

/// What was given up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// The lake's version now.
    pub version: u64,
    /// The commit that says so; none when there was nothing new to say.
    pub commit: Option<u64>,
    /// URIs that are given up now.
    pub accepted: Vec<String>,
    /// URIs that had been given up before.
    pub accepted_before: Vec<String>,
}

/// Gives objects up.
///
/// # Errors
/// [`UsageError`] for an object that is in the lake, or that is not known; nothing is written then.
/// Else as [`Log::commit`].
pub async fn accept(options: &AcceptOptions) -> anyhow::Result<Accepted> {
    if options.reason.trim().is_empty() {
        bail!(UsageError("`--reason` is empty; say why the objects are given up".to_owned()));
    }
    let log = open_log(&options.lake).await?;
    let mut ledger = log.load().await?;
    let started_at = jiff::Timestamp::now().to_string();
    for _ in 0..ATTEMPTS {
        catch_up(&log, &mut ledger).await?;
        let (mut accepted, objects) = choose(options, &log, &ledger).await?;
        accepted.version = ledger.version();
        if objects.is_empty() {
            return Ok(accepted);
        }
        let draft = Draft {
            run: random_id(),
            purpose: Purpose::Accept,
            reason: Some(options.reason.clone()),
            settings: settings(&ledger),
            started_at: started_at.clone(),
            committed_at: jiff::Timestamp::now().to_string(),
            objects: Objects { accepted: objects, ..Objects::default() },
            files: Vec::new(),
            withdrawn: Vec::new(),
            tombstones: Vec::new(),
        };
        match log.commit(draft, ledger.version()).await? {
            Drafted::Lost => {}
            Drafted::Won(number, _) => {
                (accepted.version, accepted.commit) = (number, Some(number));
                return Ok(accepted);
            }
            Drafted::Open(number, error) => {
                return Err(anyhow::Error::from(error).context(format!(
                    "commit {number} is recorded, but not marked done yet; any run completes it"
                )));
            }
        }
    }
    Err(anyhow!("other runs took every number that was tried; run again"))
}

/// What is new of it, and what of it was said before.
async fn choose(
    options: &AcceptOptions,
    log: &Log,
    ledger: &Ledger,
) -> anyhow::Result<(Accepted, Vec<AcceptedObject>)> {
    let wanted: BTreeSet<&str> = options.objects.iter().map(String::as_str).collect();
    let failed = log.failed_objects(ledger, |uri| wanted.contains(uri)).await?;
    let failed: BTreeMap<String, FailedObject> = failed
        .into_iter()
        .map(|(_, object)| (format!("{}/{}", object.archive, object.key), object))
        .collect();
    let before: BTreeSet<String> =
        ledger.accepted().iter().map(|one| format!("{}/{}", one.archive, one.key)).collect();
    let (mut accepted, mut objects) = (Accepted::default(), Vec::new());
    for uri in wanted {
        let reason = options.reason.clone();
        if let Some(FailedObject { archive, key, etag, .. }) = failed.get(uri).cloned() {
            objects.push(AcceptedObject { archive, key, etag, reason });
        } else if let Some(object) = look_up(options, log, ledger, uri).await? {
            objects.push(AcceptedObject { reason, ..object });
        } else if before.contains(uri) {
            accepted.accepted_before.push(uri.to_owned());
            continue;
        } else {
            let unknown = format!(
                "the log knows no failure of `{uri}`, so it was read, or never listed; name the archive \
                 that has it with `--from`"
            );
            bail!(UsageError(unknown));
        }
        accepted.accepted.push(uri.to_owned());
    }
    Ok((accepted, objects))
}

/// The object as its archive has it now; `None` when no archive is to be asked, or it was given up.
async fn look_up(
    options: &AcceptOptions,
    log: &Log,
    ledger: &Ledger,
    uri: &str,
) -> anyhow::Result<Option<AcceptedObject>> {
    let place = options.archives.iter().find_map(|archive| {
        let key = uri.strip_prefix(archive.store.base_uri())?.strip_prefix('/')?;
        key.starts_with(&archive.prefix).then_some((&archive.store, key))
    });
    let Some((store, key)) = place else { return Ok(None) };
    let base = store.base_uri();
    let is_accepted = |etag: Option<&str>| {
        ledger.accepted().iter().any(|one| {
            let is_it = uri.strip_prefix(one.archive.as_str()) == Some(&format!("/{}", one.key));
            is_it && etag.is_none_or(|etag| one.etag == etag)
        })
    };
    let Some(meta) = store.head(key).await? else {
        if is_accepted(None) {
            return Ok(None);
        }
        bail!(UsageError(format!("there is no `{uri}`, and the log knows no failure of it")));
    };
    if is_accepted(Some(&meta.etag)) {
        return Ok(None);
    }
    let name = (base, key, meta.etag.as_str());
    let status = log.status(ledger, name, meta.last_modified_ms, &settings(ledger)).await?;
    if status == Status::Consumed {
        bail!(UsageError(format!("`{uri}` is in the lake, so there is nothing to give up")));
    }
    let (archive, key, etag) = (base.to_owned(), key.to_owned(), meta.etag);
    Ok(Some(AcceptedObject { archive, key, etag, reason: String::new() }))
}
