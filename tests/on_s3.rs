//! The same archive through S3 and through folders gives the same lake.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::TryStreamExt as _;
use healthtrail::store::{GetOptions, Store, StoreOptions, open};

use crate::program::{command, parts, run, text, undelivered};
use crate::stores::with_s3;

/// Every object of a store whose key begins with `prefix`, with its bytes.
async fn objects(store: &dyn Store, prefix: &str) -> BTreeMap<String, Vec<u8>> {
    let listed: Vec<_> = store.list(prefix).try_collect().await.unwrap();
    let mut objects = BTreeMap::new();
    for meta in listed {
        let bytes = store.get(&meta.key, GetOptions::default()).await.unwrap();
        objects.insert(meta.key, bytes.to_vec());
    }
    objects
}

async fn download(store: &Arc<dyn Store>, prefix: &str, folder: &std::path::Path) {
    for (key, bytes) in objects(store.as_ref(), prefix).await {
        crate::program::write(
            folder,
            key.trim_start_matches(prefix).trim_start_matches('/'),
            &bytes,
        );
    }
}

fn healthtrail_s3(options: &StoreOptions, arguments: &[&str]) -> (i32, String, String) {
    let endpoint = options.s3.endpoint_url.as_deref().unwrap();
    let output = command().args(arguments).args(["--endpoint-url", endpoint]).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_and_a_lake_on_s3_equal_those_in_folders() {
    with_s3(|uri, options| async move {
        let (archive, lake) = (format!("{uri}/archive"), format!("{uri}/lake"));
        let made =
            ["generate", "--to", &archive, "--objects", "30", "--events", "1500", "--days", "4"];
        let (code, _, stderr) = healthtrail_s3(&options, &made);
        assert_eq!(code, 0, "{stderr}");

        // Several waves, small memory (so that objects are fetched in ranges), then a second run.
        let arguments = [
            "run",
            "--from",
            &archive,
            "--to",
            &lake,
            "--progress",
            "none",
            "--summary",
            "-",
            "--memory",
            "128MiB",
            "--wave-objects",
            "7",
        ];
        let (code, stdout, stderr) = healthtrail_s3(&options, &arguments);
        assert_eq!(code, 0, "{stdout}{stderr}");
        let summary: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        assert!(summary["commits"].as_u64().unwrap() >= 4, "{summary}");
        let store = open(&uri, &options).await.unwrap();
        let before = objects(store.as_ref(), "lake/").await;
        let (code, stdout, stderr) = healthtrail_s3(&options, &arguments);
        assert_eq!(code, 0, "{stderr}");
        let second: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(
            (second["objects"]["read"].as_u64(), second["commits"].as_u64()),
            (Some(0), Some(0))
        );
        assert!(before == objects(store.as_ref(), "lake/").await, "a second run changed the lake");

        // The same in folders: the rows are equal, wherever they came from and went.
        let folder = tempfile::tempdir().unwrap();
        let (here, from_s3) = (folder.path().join("here"), folder.path().join("from-s3"));
        download(&store, "lake", &from_s3).await;
        download(&store, "archive", &folder.path().join("archive")).await;
        run(text(&folder.path().join("archive")), text(&here), &[], 0);
        assert_eq!(undelivered(&here), undelivered(&from_s3));
        assert!(parts(&from_s3).len() > 4);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_said_with_its_name() {
    with_s3(|_, options| async move {
        let arguments = [
            "run",
            "--from",
            "s3://healthtrail-no-such-bucket/x",
            "--to",
            "unused-lake",
            "--dry-run",
        ];
        let (code, _, stderr) = healthtrail_s3(&options, &arguments);
        assert_eq!(code, 1);
        assert!(stderr.contains("healthtrail-no-such-bucket"), "{stderr}");
    })
    .await;
}
