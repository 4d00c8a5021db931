//! The proxy itself: what it passes, what it counts, and that its faults are those it names.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use healthtrail::store::{GetOptions, Store, StoreErrorKind, StoreOptions, open};

use super::{Action, Class, Proxy, Reply, Rule};
use crate::stores::{keys, put, with_s3};

async fn through(proxy: &Proxy, uri: &str, options: &StoreOptions) -> Arc<dyn Store> {
    let mut options = options.clone();
    options.s3.endpoint_url = Some(proxy.endpoint());
    open(uri, &options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_named_and_counted() {
    with_s3(|uri, options| async move {
        let proxy = Proxy::start(options.s3.endpoint_url.as_deref().unwrap());
        let store = through(&proxy, &uri, &options).await;
        let cases = [
            ("2026/11/24/03/stream-1-x.gz", Class::PutOther, Class::GetObject),
            ("_healthtrail/staging/1/run/aa.parquet", Class::PutStaging, Class::GetPart),
            ("_healthtrail/log/0000000001.json", Class::PutLog, Class::GetLog),
            ("_healthtrail/log/0000000001.done", Class::PutDone, Class::GetLog),
            ("_healthtrail/checkpoints/1.json.zst", Class::PutCheckpoint, Class::GetState),
            ("_healthtrail/lake.json", Class::PutLake, Class::GetState),
        ];
        for (key, written, read) in cases {
            put(&*store, key, key.as_bytes()).await;
            assert_eq!(store.get(key, GetOptions::default()).await.unwrap(), key.as_bytes());
            let seen: Vec<_> = proxy.log().into_iter().rev().take(2).collect();
            assert_eq!((seen[1].class, seen[0].class), (written, read), "{key}");
            assert!(seen[0].key.ends_with(key), "{seen:?}");
            assert_eq!((seen[0].status, seen[0].hit), (Some(200), false));
        }
        store.copy_new(cases[1].0, "findings/dt=2026-11-24/a.parquet").await.unwrap();
        store.get("findings/dt=2026-11-24/a.parquet", GetOptions::default()).await.unwrap();
        store.delete(cases[1].0).await.unwrap();
        assert_eq!(keys(&*store, "_healthtrail/log").await.len(), 2);
        let log = proxy.log();
        assert_eq!(log[0].class, Class::HeadBucket);
        assert!(log.iter().zip(1..).all(|(seen, number)| seen.number == number));
        let last: Vec<_> = log.iter().rev().take(5).rev().map(|seen| seen.class).collect();
        // On a server that is not AWS a copy looks first.
        assert_eq!(
            last,
            [Class::Head, Class::Copy, Class::GetPart, Class::Delete, Class::List],
            "{log:?}"
        );
        let listed = log.last().unwrap();
        assert!(listed.key.ends_with("some prefix+1/_healthtrail/log"), "{listed:?}");
        assert_eq!((proxy.hits(), proxy.count(Class::Copy)), (0, 1));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_act_when_they_are_due() {
    with_s3(|uri, options| async move {
        let proxy = Proxy::start(options.s3.endpoint_url.as_deref().unwrap());
        let store = through(&proxy, &uri, &options).await;
        put(&*store, "a", "0123456789").await;
        let refused = || Reply::error(403, "AccessDenied");
        proxy.add(Rule::on(Class::GetObject).nth(2).times(2).answers(refused()));
        proxy.add(Rule::on(Class::GetObject).key("b").answers(refused()));
        let mut outcomes = Vec::new();
        for _ in 0..5 {
            outcomes.push(store.get("a", GetOptions::default()).await.map_err(|error| error.kind));
        }
        let fine = Ok("0123456789".into());
        let denied = Err(StoreErrorKind::Denied);
        assert_eq!(outcomes, [fine.clone(), denied.clone(), denied, fine.clone(), fine]);
        assert_eq!(proxy.hits(), 2);

        // The closures see the request before it is passed on and after it was applied.
        let calls = Arc::new(AtomicU64::new(0));
        let (before, after) = (Arc::clone(&calls), Arc::clone(&calls));
        let next = proxy.log().len() as u64 + 1;
        proxy.add(
            Rule::any()
                .number(next)
                .before(move |asked| {
                    before.fetch_add(asked.number, Ordering::SeqCst);
                })
                .after(move |asked| {
                    after.fetch_add(asked.number, Ordering::SeqCst);
                }),
        );
        put(&*store, "a", "changed").await;
        assert_eq!(calls.load(Ordering::SeqCst), 2 * next);

        proxy.add(Rule::any().forever().answers(refused()));
        assert!(store.get("a", GetOptions::default()).await.is_err());
        proxy.heal();
        assert_eq!(store.get("a", GetOptions::default()).await.unwrap(), "changed");
    })
    .await;
}

/// What the fault does to one GET of ten bytes, read with nothing of the program's own.
async fn raw_get(action: Action) -> (String, bool) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let upstream = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(&format!("http://{}", upstream.local_addr().unwrap()));
    proxy.add(Rule::any().does(action));
    let served = tokio::spawn(async move {
        let (mut stream, _) = upstream.accept().await.unwrap();
        let mut head = [0; 4096];
        assert!(stream.read(&mut head).await.unwrap() > 0);
        let reply = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789";
        stream.write_all(reply.as_bytes()).await.unwrap();
    });
    let address = proxy.endpoint();
    let address = address.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /b/k HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut read = Vec::new();
    let is_reset = stream.read_to_end(&mut read).await.is_err();
    served.abort();
    (String::from_utf8(read).unwrap().to_ascii_lowercase(), is_reset)
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_what_they_are_called() {
    let head = |length: u64| format!("content-length: {length}\r\n");
    let cases = [
        ("pass", Action::Pass, 10, "0123456789", false),
        ("trickle", Action::Trickle(Duration::from_millis(1)), 10, "0123456789", false),
        ("short", Action::ShortBody, 10, "01234", false),
        ("reset in the body", Action::ResetInBody, 10, "01234", true),
        ("cut", Action::CutBody, 5, "01234", false),
        ("flipped", Action::FlipBit, 10, "0123446789", false),
    ];
    for (name, action, length, body, expect_reset) in cases {
        let (read, is_reset) = raw_get(action).await;
        assert!(read.contains(&head(length)), "{name}: {read}");
        assert!(read.ends_with(&format!("\r\n\r\n{body}")), "{name}: {read}");
        assert_eq!(is_reset, expect_reset, "{name}");
    }
    for (name, action) in [("before", Action::ResetBefore), ("lost", Action::LoseReply)] {
        assert_eq!(raw_get(action).await, (String::new(), true), "{name}");
    }
}
