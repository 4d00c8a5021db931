//! Any bytes as an object of the log: the lake's settings, a record, a done mark, a checkpoint (as it is
//! stored, and as lines), a list of objects. What is wrong is an error with the object's key. The
//! first byte says what the rest is.
#![no_main]

use std::sync::Arc;

use bytes::Bytes;
use healthtrail::lake::LakeError;
use healthtrail::lake::checkpoint;
use healthtrail::lake::config::LakeConfig;
use healthtrail::lake::layout::{CONFIG, checkpoint_key, done_key, objects_key, record_key};
use healthtrail::lake::ledger::Ledger;
use healthtrail::lake::log::Log;
use healthtrail::lake::record::{ObjectList, ObjectsFile, Record, Settings};
use healthtrail::lake::verify::answers::compare;
use healthtrail::lake::verify::history::History;
use healthtrail::lake::verify::visible::look;
use healthtrail::store::Memory;
use healthtrail_fuzz::block_on;
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};

/// A record like those that the program writes, with two objects and two files.
const RECORD: &[u8] = include_bytes!("../seeds/log/record");

fn record() -> Record {
    serde_json::from_slice(&RECORD[1..]).expect("the seed is a record")
}

fn told<T>(result: Result<T, LakeError>) -> Option<T> {
    result.map_err(|error| assert!(!error.key().is_empty(), "{error}")).ok()
}

/// Everything that reads a log.
async fn read(store: &Arc<Memory>) {
    let log = Log::new(store.clone());
    if let Some(mut ledger) = told(log.load().await)
        && told(log.look(&mut ledger).await).is_some()
    {
        ask(&ledger, &record().settings);
        told(log.failed_objects(&ledger, |_| true).await);
    }
    let mut done = Ledger::default();
    told(log.follow_done(&mut done).await);
    told(log.visit_records(1, |_, _| {}).await);
    if let Some(history) = told(History::read(&log).await) {
        told(look(&**store, &history).await);
        told(compare(&log, &history).await);
    }
    // The last, since it writes.
    if let Some(mut ledger) = told(log.load().await)
        && told(log.catch_up(&mut ledger).await).is_some()
    {
        told(log.checkpoint(&mut ledger).await);
    }
}

fn ask(ledger: &Ledger, settings: &Settings) {
    ledger.hours(settings);
    ledger.failed_count();
    told(ledger.admit(settings));
    for (table, partition, _) in ledger.all_files() {
        told(ledger.check(table, partition));
    }
}

async fn read_checkpoint(bytes: &[u8]) {
    let Ok(ledger) = checkpoint::decode(bytes, 1) else { return };
    ask(&ledger, &record().settings);
    let written = checkpoint::encode(&ledger).expect("memory takes it");
    let again = checkpoint::decode(&written, 1).expect("what was read can be written and read");
    assert_eq!(checkpoint::encode(&again).expect("memory takes it"), written);
    let store = lake(&RECORD[1..], b"{}");
    store.insert(checkpoint_key(1), Bytes::copy_from_slice(bytes));
    read(&store).await;
}

/// A lake of one commit.
fn lake(record: &[u8], done: &[u8]) -> Arc<Memory> {
    let store = Memory::new("lake");
    store.insert(CONFIG, r#"{"format":1,"identity":1,"partition":"day","created_by":"x"}"#);
    store.insert(record_key(1), Bytes::copy_from_slice(record));
    store.insert(done_key(1), Bytes::copy_from_slice(done));
    Arc::new(store)
}

async fn read_list(bytes: &[u8]) {
    let digest = Sha256::digest(bytes);
    let sha256: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let (key, staged) = (objects_key(&sha256), "_healthtrail/staging/x".to_owned());
    let file = ObjectsFile { staged, key: key.clone(), bytes: bytes.len() as u64, sha256 };
    let record = Record { objects: ObjectList::File(file), ..record() };
    let store = lake(&serde_json::to_vec(&record).expect("a record is JSON"), b"{}");
    store.insert(key, Bytes::copy_from_slice(bytes));
    read(&store).await;
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, bytes)) = data.split_first() else { return };
    block_on(async {
        match *kind {
            b'c' => {
                let store = Memory::new("lake");
                store.insert(CONFIG, Bytes::copy_from_slice(bytes));
                told(LakeConfig::open_or_create(&store, None, 1).await);
            }
            b'r' => read(&lake(bytes, b"{}")).await,
            b'd' => read(&lake(&RECORD[1..], bytes)).await,
            b'z' => read_checkpoint(bytes).await,
            b'l' => read_checkpoint(&zstd::bulk::compress(bytes, 1).expect("memory takes it")).await,
            b'o' => read_list(bytes).await,
            _ => {}
        }
    });
});
