//! Every command that speaks with S3, run against the server through a recording proxy.

use std::path::Path;
use std::sync::{Arc, Mutex};

use healthtrail::lake::layout::checkpoint_key;
use healthtrail::store::{GetOptions, Store, StoreOptions, open};
use serde_json::json;

use super::catalog_server::CatalogServer;
use crate::firehose_server::Server;
use crate::program::command;
use crate::proxy::{Asked, Class, Proxy, Reply, Rule};
use crate::stores::{keys, put};

/// The account that is told to own the buckets.
pub(crate) const OWNER: &str = "111122223333";

/// The commands as `docs/security.md` names them, in its order.
pub(crate) const COMMANDS: [&str; 22] = [
    "run",
    "run --dry-run",
    "run --register",
    "redrive",
    "inspect",
    "ddl",
    "report",
    "rejects",
    "ledger",
    "ledger --from",
    "ledger accept",
    "verify",
    "verify --deep",
    "verify --repair",
    "forget",
    "rebuild",
    "register",
    "doctor",
    "doctor --read-only",
    "stream",
    "replay",
    "replay --rejects",
];

/// What one command sent.
pub(crate) struct Sent {
    pub(crate) command: &'static str,
    pub(crate) asked: Vec<Asked>,
    /// Calls to other services, as IAM names them.
    pub(crate) others: Vec<String>,
}

/// The places of the walk: `<base>/archive`, `<base>/lake`, `<base>/lake-2`.
pub(crate) struct Walk {
    base: String,
    proxy: Proxy,
    recorded: Arc<Mutex<Vec<Asked>>>,
    stream: Server,
    catalog: CatalogServer,
    pub(crate) sent: Vec<Sent>,
}

impl Walk {
    pub(crate) fn new(uri: &str, options: &StoreOptions) -> Self {
        let proxy = Proxy::start(options.s3.endpoint_url.as_deref().unwrap());
        let recorded = Arc::<Mutex<Vec<Asked>>>::default();
        let (bucket, prefix) = uri.strip_prefix("s3://").unwrap().split_once('/').unwrap();
        let stream = Server::start(&json!({
            "BucketARN": format!("arn:aws:s3:::{bucket}"),
            "Prefix": format!("{prefix}/archive/health/"),
            "ErrorOutputPrefix": format!("{prefix}/archive/error/"),
        }));
        let (base, catalog) = (uri.to_owned(), CatalogServer::start());
        let walk = Self { base, proxy, recorded, stream, catalog, sent: Vec::new() };
        walk.record();
        walk
    }

    fn record(&self) {
        let record = Arc::clone(&self.recorded);
        let keep = move |asked: &Asked| record.lock().unwrap().push(asked.clone());
        self.proxy.add(Rule::any().forever().before(keep));
    }

    pub(crate) fn at(&self, place: &str) -> String {
        format!("{}/{place}", self.base)
    }

    /// Runs a command and keeps what it sent under this name.
    fn run(&mut self, name: &'static str, arguments: &[&str], codes: &[i32]) -> String {
        let output = command()
            .args(arguments)
            .args(["--endpoint-url", &self.proxy.endpoint(), "--expected-bucket-owner", OWNER])
            .env("HEALTHTRAIL_PROGRESS", "none")
            .env("HEALTHTRAIL_GLUE_ENDPOINT_URL", &self.catalog.address)
            .env("AWS_ENDPOINT_URL_FIREHOSE", self.stream.address())
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code().unwrap();
        assert!(codes.contains(&code), "{arguments:?} ended with {code}\n{stdout}{stderr}");
        let asked = std::mem::take(&mut *self.recorded.lock().unwrap());
        assert!(!asked.is_empty(), "{arguments:?} sent nothing");
        let streams = self.stream.calls().into_iter().map(|call| format!("firehose:{call}"));
        let tables = self.catalog.calls().into_iter().map(|call| format!("glue:{call}"));
        let others = streams.chain(tables).collect();
        self.sent.push(Sent { command: name, asked, others });
        stdout
    }
}

/// Runs them all, on a lake that has what each of them is for.
pub(crate) async fn all(uri: &str, options: &StoreOptions, folder: &Path) -> Vec<Sent> {
    let mut walk = Walk::new(uri, options);
    let (from, lake, rebuilt) = (walk.at("archive"), walk.at("lake"), walk.at("lake-2"));
    let made = ["generate", "--to", &from, "--objects", "20", "--events", "200", "--days", "3"];
    let bad = ["--bad-bytes", "0.05", "--seed", "7", "--compression", "none"];
    walk.run("generate", &[&made[..], &bad].concat(), &[0]);
    // What a limit rejects, a redrive makes findings of.
    let run = ["run", "--from", &from, "--to", &lake, "--wave-objects", "1"];
    let run = [&run[..], &["--document-bytes-max", "2000"]].concat();
    walk.run("run --dry-run", &[&run[..], &["--dry-run"]].concat(), &[0]);
    let direct = open(&lake, options).await.unwrap();
    // A checkpoint comes after sixteen commits, and takes the place of older ones.
    for older in [1, 2] {
        put(direct.as_ref(), &checkpoint_key(older), "no checkpoint").await;
    }
    walk.run("run", &run, &[0]);
    direct.delete(&checkpoint_key(2)).await.unwrap();
    walk.run("run --dry-run", &[&run[..], &["--dry-run"]].concat(), &[0]);
    walk.run("run", &run, &[0]);
    let archive = open(&from, options).await.unwrap();
    let object = keys(archive.as_ref(), "").await.remove(0);
    walk.run("inspect", &["inspect", &format!("{from}/{object}")], &[0]);
    let listed = walk.run("rejects", &["rejects", "--lake", &lake, "--list", "--json"], &[0]);
    let first = listed.lines().next().expect("the archive has bad bytes");
    let first: serde_json::Value = serde_json::from_str(first).unwrap();
    let id = first["reject_id"].as_str().unwrap();
    let rejected = first["source_object"].as_str().unwrap();
    walk.run("rejects", &["rejects", "--lake", &lake, "--show", id], &[0]);
    walk.run("redrive", &["redrive", "--lake", &lake, "--from", &from], &[0]);
    walk.run("ddl", &["ddl", "--lake", &lake, "--views"], &[0]);
    walk.run("ddl", &["ddl", "--lake", &lake, "--if-changed"], &[0]);
    let out = folder.join("report.html");
    let out = out.to_str().unwrap();
    walk.run("report", &["report", "--lake", &lake, "--out", out, "--days", "9"], &[0]);
    gives_up(&mut walk, archive.as_ref(), &from, &lake).await;
    walk.run("verify", &["verify", "--lake", &lake, "--full"], &[0]);
    walk.run("verify --deep", &["verify", "--lake", &lake, "--from", &from, "--deep"], &[0]);
    repairs(&mut walk, direct.as_ref(), &from, &lake).await;
    let selector = "finding_id=none-such,account_id=111122223333";
    let case = ["--reason", "case 1"];
    walk.run(
        "forget",
        &[&["forget", "--lake", &lake, "--rows", selector], &case[..]].concat(),
        &[0],
    );
    let forget = ["forget", "--lake", &lake, "--objects", rejected];
    walk.run("forget", &[&forget[..], &case].concat(), &[0]);
    walk.run("rebuild", &["rebuild", "--lake", &lake, "--to", &rebuilt], &[0]);
    // What came since is merged with what is there, which is taken out.
    let found = keys(archive.as_ref(), "").await;
    let bytes = archive.get(&found[1], GetOptions::default()).await.unwrap();
    put(archive.as_ref(), &format!("{}-again", found[1]), bytes).await;
    walk.run("run", &["run", "--from", &from, "--to", &lake], &[0]);
    let listed = walk.run("rejects", &["rejects", "--lake", &lake, "--list", "--json"], &[0]);
    let last: serde_json::Value = serde_json::from_str(listed.lines().last().unwrap()).unwrap();
    let rejected = last["source_object"].as_str().unwrap();
    let forget = ["forget", "--lake", &lake, "--objects", rejected];
    walk.run("forget", &[&forget[..], &case].concat(), &[0]);
    walk.run("rebuild", &["rebuild", "--lake", &lake, "--to", &rebuilt], &[0]);
    with_other_services(&mut walk, archive.as_ref(), &from, &lake).await;
    walk.sent
}

/// What speaks with Firehose and Glue beside S3, and `doctor`, which tries what a run needs.
async fn with_other_services(walk: &mut Walk, archive: &dyn Store, from: &str, lake: &str) {
    let register = ["register", "--lake", lake, "--database", "security"];
    walk.run("register", &[&register[..], &["--create-database"]].concat(), &[0]);
    walk.catalog.forget_some();
    walk.run("register", &[&register[..], &["--partitions"]].concat(), &[0]);
    let run = ["run", "--from", from, "--to", lake, "--register", "security"];
    walk.catalog.forget_some();
    put(archive, "health/new.json", "{}").await;
    walk.run("run --register", &run, &[0, 3]);
    put(archive, "error/failed.json", r#"{"attemptsMade":1,"errorCode":"x","rawData":"e30="}"#)
        .await;
    let stream = "firehose://health-events@us-east-1";
    walk.run("doctor", &["doctor", "--from", stream, "--to", lake], &[0]);
    walk.run("doctor --read-only", &["doctor", "--lake", lake, "--read-only"], &[0]);
    walk.run("stream", &["stream", "health-events@us-east-1"], &[0, 3]);
    let replay = ["replay", "--bytes-per-second", "1GiB", "--records-per-second", "100000", "--to"];
    let to = [stream, "--from", stream, "--failed"];
    walk.run("replay", &[&replay[..], &to].concat(), &[0, 3]);
    let to = [stream, "--rejects", lake];
    walk.run("replay --rejects", &[&replay[..], &to].concat(), &[0, 3]);
}

/// An object that fails, and is given up.
async fn gives_up(walk: &mut Walk, archive: &dyn Store, from: &str, lake: &str) {
    let key = "health/2026/08/01/09/health-events-1-2026-08-01-09-00-00-00000000-0000-4000-8000-000000000000";
    put(archive, key, "{}").await;
    walk.proxy.heal();
    let refusal = Reply::error(403, "AccessDenied");
    walk.proxy.add(Rule::on(Class::GetObject).key(key).forever().answers(refusal));
    walk.record();
    walk.run("run", &["run", "--from", from, "--to", lake], &[3]);
    walk.proxy.heal();
    walk.record();
    walk.run("ledger", &["ledger", "--lake", lake], &[0, 3]);
    walk.run("ledger --from", &["ledger", "--lake", lake, "--from", from], &[0, 3]);
    let object = format!("{from}/{key}");
    let accept = ["ledger", "accept", "--lake", lake, "--from", from, "--reason", "gone", &object];
    walk.run("ledger accept", &accept, &[0]);
}

/// Damage of each kind that a repair writes or deletes for.
async fn repairs(walk: &mut Walk, lake: &dyn Store, from: &str, to: &str) {
    for table in ["findings/", "rejects/"] {
        let part = keys(lake, table).await.remove(0);
        put(lake, &part, "no part").await;
    }
    put(lake, "_healthtrail/lake.json", "{").await;
    put(lake, "_healthtrail/log/0000000001.done", "{").await;
    if let Some(checkpoint) = keys(lake, "_healthtrail/checkpoints/").await.pop() {
        put(lake, &checkpoint, "no checkpoint").await;
    }
    walk.run("verify --repair", &["verify", "--lake", to, "--repair"], &[0, 3]);
    walk.run("verify --repair", &["verify", "--lake", to, "--repair"], &[0, 3]);
    walk.run("run", &["run", "--from", from, "--to", to], &[0, 3]);
}
