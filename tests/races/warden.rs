//! The laws of the commit log, held against every single operation on a lake.
//!
//! In: operations, whoever asks for them. Out: those that broke a law, in words. Written from the rules
//! alone: it knows the names of keys and plain JSON, and no code of the program. All that it looks for
//! (records, done marks, files) is never taken back before a later commit, so looking first and acting
//! then is no race.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use healthtrail::store::{GetOptions, Store};
use serde_json::Value;

use crate::races::hooked::{Hook, Hooked, Operation, Ticket};

/// Judges every operation.
pub(crate) struct Warden {
    store: Arc<dyn Store>,
    broken: Mutex<Vec<String>>,
    /// What each run has sent as the record of a number.
    sent: Mutex<BTreeMap<(u64, String), Bytes>>,
}

/// `_healthtrail/log/0000000042.json` and `.done`.
fn log_key(number: u64, kind: &str) -> String {
    format!("_healthtrail/log/{number:010}.{kind}")
}

fn log_number(key: &str, kind: &str) -> Option<u64> {
    key.strip_prefix("_healthtrail/log/")?.strip_suffix(kind)?.strip_suffix('.')?.parse().ok()
}

/// Number and run of something that is staged.
fn staged(key: &str) -> Option<(u64, String)> {
    let mut steps = key.strip_prefix("_healthtrail/staging/")?.split('/');
    Some((steps.next()?.parse().ok()?, steps.next()?.to_owned()))
}

fn is_table(key: &str) -> bool {
    key.starts_with("findings/") || key.starts_with("rejects/")
}

/// All moves that a record asks for: staged, final.
fn moves(record: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let files = record["files"].as_array().cloned().unwrap_or_default();
    let list = record["objects"].get("file").cloned();
    let all = files.into_iter().chain(list);
    all.map(|file| (text(&file["staged"]), text(&file["key"]))).collect()
}

impl Warden {
    pub(crate) fn over(store: &Arc<dyn Store>) -> (Arc<dyn Store>, Arc<Self>) {
        let warden = Arc::new(Self {
            store: Arc::clone(store),
            broken: Mutex::default(),
            sent: Mutex::default(),
        });
        (Hooked::over(store, Arc::clone(&warden) as Arc<dyn Hook>), warden)
    }

    #[track_caller]
    pub(crate) fn assert_lawful(&self, told: &str) {
        let broken = self.broken.lock().unwrap();
        assert!(broken.is_empty(), "{told}: {broken:#?}");
    }

    async fn has(&self, key: &str) -> bool {
        self.store.head(key).await.is_ok_and(|found| found.is_some())
    }

    async fn json(&self, key: &str) -> Option<Value> {
        let bytes = self.store.get(key, GetOptions::default()).await.ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    async fn is_done(&self, number: u64) -> bool {
        number == 0 || self.has(&log_key(number, "done")).await
    }

    /// What is wrong with an operation, if anything.
    async fn judge(&self, operation: &Operation) -> Option<&'static str> {
        let key = operation.key.as_str();
        match operation.name {
            "put" => self.judge_put(key).await,
            "put_new" => self.judge_new(operation).await,
            "copy_new" => self.judge_copy(operation.from.as_deref().unwrap(), key).await,
            "delete" => self.judge_delete(key).await,
            _ => None,
        }
    }

    async fn judge_put(&self, key: &str) -> Option<&'static str> {
        if let Some((number, _)) = staged(key) {
            let may = self.is_done(number - 1).await;
            return (!may).then_some("staged for a number whose predecessor is not done");
        }
        let Some(number) = key.strip_prefix("_healthtrail/checkpoints/") else {
            return Some("written over without asking whether it is new");
        };
        let number: u64 = number.split('.').next()?.parse().unwrap();
        (!self.is_done(number).await).then_some("a checkpoint of what is not done")
    }

    async fn judge_new(&self, operation: &Operation) -> Option<&'static str> {
        let (key, bytes) = (operation.key.as_str(), operation.bytes.clone().unwrap());
        if key == "_healthtrail/lake.json" {
            return None;
        }
        if let Some(number) = log_number(key, "done") {
            return self.judge_done(number, &bytes).await;
        }
        let Some(number) = log_number(key, "json") else { return Some("an unknown new object") };
        let record: Value = serde_json::from_slice(&bytes).unwrap();
        let is_it = record["number"] == number && record["deduplicated_against"] == number - 1;
        if !is_it {
            return Some("a record that says another number");
        }
        if !self.is_done(number - 1).await {
            return Some("a record whose predecessor is not done");
        }
        let run = record["run"].as_str().unwrap().to_owned();
        let before = self.sent.lock().unwrap().insert((number, run), bytes.clone());
        if before.is_some_and(|before| before != bytes) {
            return Some("another record of one run for one number");
        }
        for (staged, _) in moves(&record) {
            // Looked for in this order: it may go only after the number was taken and done.
            if !self.has(&staged).await && !self.has(&log_key(number, "json")).await {
                return Some("a record of what is not staged");
            }
        }
        None
    }

    async fn judge_done(&self, number: u64, mark: &Bytes) -> Option<&'static str> {
        let Some(record) = self.json(&log_key(number, "json")).await else {
            return Some("a done mark without a record");
        };
        let mark: Value = serde_json::from_slice(mark).unwrap();
        for (_, key) in moves(&record) {
            let is_named = mark["damaged"].get(&key).is_some();
            if !is_named && !self.has(&key).await && !self.is_done(number).await {
                return Some("a done mark before all files are published");
            }
        }
        None
    }

    async fn judge_copy(&self, from: &str, to: &str) -> Option<&'static str> {
        if to.starts_with("_healthtrail/quarantine/") {
            return None;
        }
        let Some((number, _)) = staged(from) else { return Some("published from nowhere") };
        let record = self.json(&log_key(number, "json")).await;
        let is_named =
            record.is_some_and(|record| moves(&record).contains(&(from.to_owned(), to.to_owned())));
        (!is_named).then_some("published without a record that names it")
    }

    async fn judge_delete(&self, key: &str) -> Option<&'static str> {
        if let Some((number, run)) = staged(key) {
            if self.is_done(number).await {
                return None;
            }
            let Some(record) = self.json(&log_key(number, "json")).await else {
                return Some("staging deleted before there is a record of its number");
            };
            if record["run"] != run {
                return Some("staging of another run deleted before its number is done");
            }
            for (staged, key) in moves(&record) {
                if !self.has(&key).await && self.has(&staged).await && !self.is_done(number).await {
                    return Some("staging deleted before all of it is published");
                }
            }
            return None;
        }
        if key.starts_with("_healthtrail/checkpoints/")
            || key.starts_with("_healthtrail/quarantine/")
        {
            return None;
        }
        if is_table(key) {
            return (!self.is_withdrawn(key).await).then_some("a visible file deleted unasked");
        }
        Some("deleted, though nothing may delete it")
    }

    async fn is_withdrawn(&self, key: &str) -> bool {
        for number in 1.. {
            let Some(record) = self.json(&log_key(number, "json")).await else { return false };
            let withdrawn = record["withdrawn"].as_array().cloned().unwrap_or_default();
            if withdrawn.iter().any(|one| one["key"] == key) {
                return true;
            }
        }
        false
    }
}

impl Hook for Warden {
    fn before<'a>(&'a self, operation: &'a Operation) -> BoxFuture<'a, Ticket> {
        async move {
            if let Some(law) = self.judge(operation).await {
                let told = format!("{} {}: {law}", operation.name, operation.key);
                self.broken.lock().unwrap().push(told);
            }
            None
        }
        .boxed()
    }
}
