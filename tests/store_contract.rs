//! What every store promises, tried on each of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use futures::{StreamExt as _, TryStreamExt as _};
use healthtrail::store::{
    GetOptions, ObjectMeta, S3Options, Store, StoreErrorKind, StoreOptions, StoreResult, open,
    sha256_hex,
};

use crate::stores::{client, keys, on_every_store, put, with_s3};

const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn kind<T: std::fmt::Debug>(result: StoreResult<T>) -> StoreErrorKind {
    result.unwrap_err().kind
}

async fn get(store: &dyn Store, key: &str) -> Bytes {
    store.get(key, GetOptions::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_is_got_and_told() {
    on_every_store(|store| async move {
        put(&*store, "a/b/c", "hello").await;
        assert_eq!(get(&*store, "a/b/c").await, "hello");
        let head = store.head("a/b/c").await.unwrap().unwrap();
        assert_eq!((&*head.key, head.size, head.archived), ("a/b/c", 5, false));
        assert_eq!(head.sha256, Some(sha256_hex(b"hello")));
        let listed: Vec<ObjectMeta> = store.list("").try_collect().await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].etag, head.etag);
        assert_eq!((&*listed[0].key, listed[0].size), ("a/b/c", 5));
        assert!(listed[0].last_modified_ms > 1_700_000_000_000, "{listed:?}");
        assert_eq!(store.uri("a/b/c"), format!("{}/a/b/c", store.base_uri()));
        put(&*store, "a/b/c", "changed").await;
        assert_eq!(get(&*store, "a/b/c").await, "changed");
        assert_ne!(store.head("a/b/c").await.unwrap().unwrap().etag, head.etag);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_object_is_none_or_an_error_that_names_it() {
    on_every_store(|store| async move {
        put(&*store, "folder/file", "x").await;
        for key in ["nothing", "folder", "folder/file/below"] {
            assert_eq!(store.head(key).await.unwrap(), None, "{key}");
            let error = store.get(key, GetOptions::default()).await.unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::NotFound, "{error}");
            assert_eq!(error.uri, store.uri(key));
            store.delete(key).await.unwrap();
        }
        let missing = GetOptions::default().range(3..3);
        assert_eq!(kind(store.get("nothing", missing).await), StoreErrorKind::NotFound);
        assert_eq!(keys(&*store, "nothing").await, [""; 0]);
        assert_eq!(get(&*store, "folder/file").await, "x");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_takes_one_object_and_no_other() {
    on_every_store(|store| async move {
        for key in ["_healthtrail/staging/1/r/a", "_healthtrail/staging/1/r/b", "x/y"] {
            put(&*store, key, key).await;
        }
        for _ in 0..2 {
            store.delete("_healthtrail/staging/1/r/a").await.unwrap();
            store.delete("x/y").await.unwrap();
        }
        assert_eq!(keys(&*store, "").await, ["_healthtrail/staging/1/r/b"]);
        store.delete("_healthtrail/staging/1/r/b").await.unwrap();
        assert_eq!(keys(&*store, "").await, [""; 0]);
        // What was tidied away comes back when it is needed.
        put(&*store, "_healthtrail/staging/1/r/a", "again").await;
        assert_eq!(get(&*store, "_healthtrail/staging/1/r/a").await, "again");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_keys_survive() {
    let odd = [
        "a b",
        "a+b",
        "a%2Fb",
        "a%b",
        "ä/ü ☃",
        "dt=2026-11-24,x",
        "x..y",
        "..x/y..",
        "a/1",
        "a-1",
        "a.1",
        "a/1-",
        "p/&<>\"'q",
        "~!*()@$:;?#",
        "tab\tx",
        "_x/.y",
        ".tmp-x",
        "e\u{301}",
        "é",
    ];
    on_every_store(|store| async move {
        for key in odd {
            put(&*store, key, key).await;
        }
        let expected: BTreeSet<_> = odd.iter().map(|&key| key.to_owned()).collect();
        assert_eq!(keys(&*store, "").await, Vec::from_iter(expected));
        for key in odd {
            assert_eq!(get(&*store, key).await, key);
            let head = store.head(key).await.unwrap().unwrap();
            assert_eq!(head.sha256, Some(sha256_hex(key.as_bytes())), "{key}");
            let copy = format!("copy/{key}");
            store.copy_new(key, &copy).await.unwrap();
            assert_eq!(get(&*store, &copy).await, key);
            store.delete(key).await.unwrap();
        }
        assert_eq!(keys(&*store, "").await.len(), odd.len());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_is_a_plain_beginning_of_keys() {
    on_every_store(|store| async move {
        for key in ["a/1", "a/2/3", "a-1", "ab", "b"] {
            put(&*store, key, "").await;
        }
        for (prefix, expected) in [
            ("a", vec!["a-1", "a/1", "a/2/3", "ab"]),
            ("a/", vec!["a/1", "a/2/3"]),
            ("a/2", vec!["a/2/3"]),
            ("a/2/3", vec!["a/2/3"]),
            ("a/2/3/", vec![]),
            ("c", vec![]),
        ] {
            assert_eq!(keys(&*store, prefix).await, expected, "{prefix}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_run_over_many_pages() {
    on_every_store(|store| async move {
        let store = &store;
        let all: Vec<String> = (0..2_100).map(|n| format!("{}/{n:05}", n % 7)).collect();
        let written = futures::stream::iter(&all)
            .map(|key| store.put_new(key, Bytes::new(), EMPTY_SHA256))
            .buffer_unordered(16);
        written.try_collect::<Vec<()>>().await.unwrap();
        let expected: BTreeSet<_> = all.iter().cloned().collect();
        assert_eq!(keys(&**store, "").await, Vec::from_iter(expected));
        // A listing that is not read to its end is no trouble.
        assert!(store.list("").next().await.unwrap().is_ok());
    })
    .await;
}

/// What was written, or `None` for a writer that came too late.
async fn race(store: Arc<dyn Store>, key: String, writer: u32) -> Option<Bytes> {
    let bytes = Bytes::from(format!("writer {writer}"));
    let sha256 = sha256_hex(&bytes);
    // A race that the server would not decide is sent again.
    loop {
        match store.put_new(&key, bytes.clone(), &sha256).await {
            Ok(()) => return Some(bytes),
            Err(error) if error.kind == StoreErrorKind::Conflict => {}
            Err(error) => {
                assert_eq!(error.kind, StoreErrorKind::Precondition, "{error}");
                return None;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_writers_exactly_one_is_first() {
    on_every_store(|store| async move {
        let rounds = (0..20).map(async |round| {
            let key = format!("log/{round:010}.json");
            let writers =
                (0..8).map(|writer| tokio::spawn(race(Arc::clone(&store), key.clone(), writer)));
            let winners: Vec<Bytes> =
                join_all(writers).await.into_iter().filter_map(Result::unwrap).collect();
            assert_eq!(winners.len(), 1, "round {round} on {}", store.base_uri());
            assert_eq!(get(&*store, &key).await, winners[0]);
        });
        join_all(rounds).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_object_is_not_read_by_its_old_etag() {
    on_every_store(|store| async move {
        put(&*store, "a", "first").await;
        let etag = store.head("a").await.unwrap().unwrap().etag;
        let pinned = GetOptions::if_match(&etag);
        assert_eq!(store.get("a", pinned.clone()).await.unwrap(), "first");
        put(&*store, "a", "another").await;
        assert_eq!(kind(store.get("a", pinned.clone()).await), StoreErrorKind::Precondition);
        let part = pinned.clone().range(1..2);
        assert_eq!(kind(store.get("a", part).await), StoreErrorKind::Precondition);
        store.delete("a").await.unwrap();
        assert_eq!(kind(store.get("a", pinned).await), StoreErrorKind::Precondition);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_are_cut_at_the_end() {
    on_every_store(|store| async move {
        put(&*store, "a", "0123456789").await;
        put(&*store, "empty", "").await;
        for (key, range, expected) in [
            ("a", 0..10, "0123456789"),
            ("a", 0..1, "0"),
            ("a", 3..7, "3456"),
            ("a", 8..100, "89"),
            ("a", 9..u64::MAX, "9"),
            ("a", 10..12, ""),
            ("a", 4..4, ""),
            ("empty", 0..4, ""),
        ] {
            let options = GetOptions::default().range(range.clone());
            assert_eq!(store.get(key, options).await.unwrap(), expected, "{key} {range:?}");
        }
        assert_eq!(get(&*store, "empty").await, "");
        let head = store.head("empty").await.unwrap().unwrap();
        assert_eq!((head.size, head.sha256.as_deref()), (0, Some(EMPTY_SHA256)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_made_once_and_stands_alone() {
    on_every_store(|store| async move {
        let (staged, table) = ("_healthtrail/staging/1/r/a", "findings/dt=2026-11-24/1-a.parquet");
        put(&*store, staged, "rows").await;
        store.copy_new(staged, table).await.unwrap();
        let again = store.copy_new(staged, table).await.unwrap_err();
        assert_eq!((again.kind, again.uri), (StoreErrorKind::Precondition, store.uri(table)));
        put(&*store, "foreign", "other rows").await;
        assert_eq!(kind(store.copy_new("foreign", table).await), StoreErrorKind::Precondition);
        store.delete(staged).await.unwrap();
        let head = store.head(table).await.unwrap().unwrap();
        assert_eq!((head.size, head.sha256), (4, Some(sha256_hex(b"rows"))));
        assert_eq!(get(&*store, table).await, "rows");
        let gone = store.copy_new(staged, "findings/b").await.unwrap_err();
        assert_eq!((gone.kind, gone.uri), (StoreErrorKind::NotFound, store.uri(staged)));
        assert_eq!(keys(&*store, "").await, [table, "foreign"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_objects_come_back_whole() {
    on_every_store(|store| async move {
        let bytes: Vec<u8> = (0..20_u32 << 18).flat_map(|n| (n ^ (n >> 7)).to_le_bytes()).collect();
        let bytes = Bytes::from(bytes);
        assert_eq!(bytes.len(), 20 << 20);
        let sha256 = sha256_hex(&bytes);
        store.put_new("large", bytes.clone(), &sha256).await.unwrap();
        assert!(get(&*store, "large").await == bytes);
        let middle = GetOptions::default().range(7_000_001..19_000_001);
        assert!(store.get("large", middle).await.unwrap() == bytes[7_000_001..19_000_001]);
        assert_eq!(store.head("large").await.unwrap().unwrap().sha256, Some(sha256));
        assert_eq!(store.retries(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_that_is_none_is_refused() {
    on_every_store(|store| async move {
        for sha256 in ["", "abc", &"G".repeat(64), &"AB".repeat(32)] {
            let refused = store.put_new("a", Bytes::new(), sha256).await;
            assert_eq!(kind(refused), StoreErrorKind::Other, "{sha256}");
        }
        assert_eq!(store.head("a").await.unwrap(), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_checks_the_bytes_against_their_hash() {
    with_s3(|uri, options| async move {
        let store = open(&uri, &options).await.unwrap();
        let wrong = store.put_new("a", Bytes::from("bytes"), EMPTY_SHA256).await.unwrap_err();
        assert!(wrong.message.contains("hint: "), "{wrong}");
        assert_eq!(store.head("a").await.unwrap(), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_says_which_bucket_is_missing() {
    with_s3(|_, options| async move {
        let error = open("s3://healthtrail-no-such-bucket/a", &options).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::NotFound);
        assert_eq!(error.uri, "s3://healthtrail-no-such-bucket/a");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_lists_its_own_prefix_and_not_its_neighbours() {
    with_s3(|uri, options| async move {
        let bucket = uri.split('/').nth(2).unwrap();
        let client = client(options.s3.endpoint_url.as_deref().unwrap()).await;
        for key in ["logs/a", "logs-old/b", "logs"] {
            client.put_object().bucket(bucket).key(key).send().await.unwrap();
        }
        let store = open(&format!("s3://{bucket}/logs/"), &options).await.unwrap();
        assert_eq!(store.base_uri(), format!("s3://{bucket}/logs"));
        assert_eq!(keys(&*store, "").await, ["a"]);
        assert_eq!(store.head("a").await.unwrap().unwrap().sha256, None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_options_reach_the_server_without_harm() {
    with_s3(|uri, options| async move {
        let s3 = S3Options {
            expected_bucket_owner: Some("123456789012".to_owned()),
            request_payer: true,
            region: Some("us-east-1".to_owned()),
            ..options.s3
        };
        let store = open(&uri, &StoreOptions { create: false, s3 }).await.unwrap();
        put(&*store, "a", "1").await;
        store.copy_new("a", "b").await.unwrap();
        assert_eq!(get(&*store, "b").await, "1");
        store.delete("a").await.unwrap();
        assert_eq!(keys(&*store, "").await, ["b"]);
    })
    .await;
}
