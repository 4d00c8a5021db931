//! What integration tests share: places to store in, and the S3 server when one runs.

use std::future::Future;
use std::io::{Write as _, stderr};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, Once};

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use healthtrail::store::{
    Faulty, Folder, Memory, S3Options, Store, StoreOptions, open, sha256_hex,
};

/// The address of an S3 server on this machine; credentials and Region come from the usual variables.
const S3_ENDPOINT: &str = "HEALTHTRAIL_TEST_S3_ENDPOINT";
/// Set by `tests/run`: a test that would be skipped for want of a server fails instead.
pub(crate) const REQUIRE_SERVERS: &str = "HEALTHTRAIL_TEST_REQUIRE_SERVERS";

/// Writes an object whose hash is that of its bytes.
pub(crate) async fn put(store: &dyn Store, key: &str, bytes: impl Into<Bytes>) {
    let bytes = bytes.into();
    let sha256 = sha256_hex(&bytes);
    store.put(key, bytes, &sha256).await.unwrap();
}

/// All keys below a prefix, sorted.
pub(crate) async fn keys(store: &dyn Store, prefix: &str) -> Vec<String> {
    let listed = store.list(prefix).map_ok(|meta| meta.key);
    let mut keys: Vec<String> = listed.try_collect().await.unwrap();
    keys.sort();
    keys
}

/// Runs a test on every kind of store: in memory, in a folder, behind a wrapper, and on an S3 server.
pub(crate) async fn on_every_store<Test, Running>(test: Test)
where
    Test: Fn(Arc<dyn Store>) -> Running,
    Running: Future<Output = ()>,
{
    test(Arc::new(Memory::new("store"))).await;
    test(Arc::new(Faulty::new(Arc::new(Memory::new("store"))))).await;
    let folder = tempfile::tempdir().unwrap();
    test(Arc::new(Folder::open(folder.path(), false).await.unwrap())).await;
    with_s3(|uri, options| {
        let test = &test;
        async move { test(open(&uri, &options).await.unwrap()).await }
    })
    .await;
}

/// Runs a test in a fresh bucket of the S3 server and removes the bucket afterwards, also when the
/// test fails. Without a server it says so and does nothing.
pub(crate) async fn with_s3<Test, Running>(test: Test)
where
    Test: FnOnce(String, StoreOptions) -> Running,
    Running: Future<Output = ()>,
{
    static SAID: Once = Once::new();
    let Ok(endpoint_url) = std::env::var(S3_ENDPOINT) else {
        assert!(std::env::var(REQUIRE_SERVERS).is_err(), "set {S3_ENDPOINT}, or use tests/run");
        say_skipped(&SAID, S3_ENDPOINT);
        return;
    };
    let bucket = format!("healthtrail-{:016x}", rand::random::<u64>());
    let client = client(&endpoint_url).await;
    client.create_bucket().bucket(&bucket).send().await.unwrap();
    let s3 = S3Options { endpoint_url: Some(endpoint_url), ..S3Options::default() };
    let options = StoreOptions { create: false, s3 };
    let uri = format!("s3://{bucket}/some prefix+1");
    let outcome = AssertUnwindSafe(test(uri, options.clone())).catch_unwind().await;
    remove_bucket(&client, &bucket, &options).await;
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

/// Past the harness, which shows what a test prints only when it fails.
pub(crate) fn say_skipped(said: &Once, variable: &str) {
    said.call_once(|| {
        #[expect(clippy::explicit_write, reason = "the harness would catch what eprintln says")]
        writeln!(stderr(), "SKIPPED: {variable} is not set; tests/run sets it").unwrap();
    });
}

/// The SDK's own client, for what the program itself never does.
pub(crate) async fn client(endpoint_url: &str) -> aws_sdk_s3::Client {
    let version = aws_config::BehaviorVersion::latest();
    let settings = aws_config::defaults(version).endpoint_url(endpoint_url).load().await;
    let config = aws_sdk_s3::config::Builder::from(&settings).force_path_style(true);
    aws_sdk_s3::Client::from_conf(config.build())
}

async fn remove_bucket(client: &aws_sdk_s3::Client, bucket: &str, options: &StoreOptions) {
    let all = open(&format!("s3://{bucket}"), options).await.unwrap();
    let keys = keys(&*all, "").await;
    let deleted = futures::stream::iter(&keys).map(|key| all.delete(key)).buffer_unordered(16);
    deleted.try_collect::<Vec<()>>().await.unwrap();
    client.delete_bucket().bucket(bucket).send().await.unwrap();
}
