//! What differs between S3 servers and must make no difference, and what changes while it is read.

use futures::TryStreamExt as _;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use healthtrail::store::{GetOptions, Store, StoreErrorKind, StoreOptions, open};

use super::field::{Field, Program, new_objects};
use crate::program::health_event;
use crate::proxy::{Action, Class, Proxy, Reply, Rule};
use crate::stores::{client, keys, put, with_s3};

const DEADLINE: Duration = Duration::from_mins(2);

async fn through(proxy: &Proxy, uri: &str, options: &StoreOptions) -> Arc<dyn Store> {
    let mut options = options.clone();
    options.s3.endpoint_url = Some(proxy.endpoint());
    options.s3.patience.pause = Duration::from_millis(1);
    open(uri, &options).await.unwrap()
}

/// The entries of a listing in another order.
fn reordered(reply: &Reply, order: impl Fn(&mut Vec<String>)) -> Reply {
    let text = reply.text();
    let Some(start) = text.find("<Contents>") else { return reply.clone() };
    let end = text.rfind("</Contents>").unwrap() + "</Contents>".len();
    let mut entries: Vec<String> =
        text[start..end].split_inclusive("</Contents>").map(str::to_owned).collect();
    order(&mut entries);
    let body = format!("{}{}{}", &text[..start], entries.concat(), &text[end..]);
    Reply { body: body.into(), ..reply.clone() }
}

/// Etags as no server here makes them: not a hash, not hex, of another length.
fn opaque(etag: &str) -> String {
    let turned: String = etag.trim_matches('"').chars().rev().collect();
    format!("~{turned}+/=;v1")
}

fn opaque_listing(reply: &Reply) -> Reply {
    let mut body = String::new();
    for (index, piece) in reply.text().split("<ETag>").enumerate() {
        match piece.split_once("</ETag>") {
            Some((etag, rest)) if index > 0 => {
                let etag = opaque(&etag.replace("&#34;", "").replace("&quot;", ""));
                for piece in ["<ETag>&#34;", &etag, "&#34;</ETag>", rest] {
                    body.push_str(piece);
                }
            }
            _ => body.push_str(piece),
        }
    }
    Reply { body: body.into(), ..reply.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_key_may_be_404_or_412_and_an_etag_anything() {
    with_s3(|uri, options| async move {
        let proxy = Proxy::start(options.s3.endpoint_url.as_deref().unwrap());
        let store = through(&proxy, &uri, &options).await;
        put(&*store, "a", "one").await;
        let kind = async |key: &str, etag: &str| {
            let error = store.get(key, GetOptions::if_match(etag)).await.unwrap_err();
            assert!(error.to_string().contains(&format!("/{key}`")), "{error}");
            error.kind
        };
        // The server's own answers, then the other one for each.
        assert_eq!(kind("a", "other").await, StoreErrorKind::Precondition);
        assert_eq!(kind("gone", "other").await, StoreErrorKind::Precondition);
        for (status, code) in [(404, "NoSuchKey"), (412, "PreconditionFailed")] {
            for key in ["a", "gone"] {
                proxy.add(Rule::on(Class::GetObject).answers(Reply::error(status, code)));
                assert_eq!(
                    kind(key, "other").await,
                    StoreErrorKind::Precondition,
                    "{status} {key}"
                );
            }
        }
        // An etag is kept as it came, and sent back as it was kept.
        let wanted = opaque("\"abc\"");
        let sent = Arc::new(Mutex::new(String::new()));
        let seen = Arc::clone(&sent);
        proxy.add(Rule::on(Class::List).rewrites(|_, reply| opaque_listing(&reply)));
        proxy.add(Rule::on(Class::GetObject).answers_with(move |asked| {
            let header = asked.headers["if-match"].to_str().unwrap();
            header.clone_into(&mut seen.lock().unwrap());
            Reply { status: 200, body: "one".into(), ..Reply::default() }
        }));
        let listed: Vec<_> = store.list("a").try_collect().await.unwrap();
        assert!(listed[0].etag.starts_with('~') && listed[0].etag.ends_with("+/=;v1"));
        assert!(listed[0].etag.len() > wanted.len());
        store.get("a", GetOptions::if_match(&*listed[0].etag)).await.unwrap();
        assert_eq!(*sent.lock().unwrap(), format!("\"{}\"", listed[0].etag));
    })
    .await;
}

/// The whole program on servers that list in other orders, and whose etags are opaque.
#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_a_listing_and_the_look_of_etags_make_no_difference() {
    with_s3(|uri, options| async move {
        let field = Field::new(&uri, &options).await;
        let ends: [fn(&mut Vec<String>); 2] = [
            |entries| entries.reverse(),
            // As if `/` came after letters and `-` before all: a cut in the middle, the ends swapped.
            |entries| {
                let middle = entries.len() / 2;
                entries.rotate_left(middle);
            },
        ];
        for (index, order) in ends.into_iter().enumerate() {
            let proxy = Proxy::start(&field.endpoint);
            let rule = Rule::on(Class::List).forever();
            proxy.add(rule.rewrites(move |_, reply| reordered(&reply, order)));
            let lake = field.lake(index, index == 1).await;
            let program = Program { endpoint: proxy.endpoint(), answer_seconds: 20 };
            let ran = program.run(&field.archive, &lake, DEADLINE).await;
            assert_eq!(ran.code, 0, "{}", ran.all());
            let held = field.read(&lake).await;
            held.check("another order");
            let wanted = if index == 1 { &field.wanted_fresh } else { &field.wanted };
            assert_eq!(held.parts, wanted.parts, "order {index}");
            assert!(proxy.hits() > 1);
        }

        let proxy = Proxy::start(&field.endpoint);
        let rule = Rule::on(Class::List).key("archive").forever();
        proxy.add(rule.rewrites(|_, reply| opaque_listing(&reply)));
        let (endpoint, bucket) = (field.endpoint.clone(), uri.clone());
        let bucket = bucket.trim_start_matches("s3://").split('/').next().unwrap().to_owned();
        proxy.add(Rule::on(Class::GetObject).forever().answers_with(move |asked| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            // The server would know no such etag, and the signature covers the header.
            runtime.unwrap().block_on(async {
                let got = client(&endpoint).await.get_object().bucket(&bucket).key(&asked.key);
                let got = got.send().await.unwrap();
                let held = format!("\"{}\"", opaque(got.e_tag().unwrap()));
                let body = got.body.collect().await.unwrap().into_bytes();
                if asked.headers["if-match"] != held {
                    return Reply::error(412, "PreconditionFailed");
                }
                Reply { status: 200, body, ..Reply::default() }
            })
        }));
        let lake = field.lake(9, true).await;
        let program = Program { endpoint: proxy.endpoint(), answer_seconds: 20 };
        let ran = program.run(&field.archive, &lake, DEADLINE).await;
        assert_eq!(ran.code, 0, "{}", ran.all());
        let held = field.read(&lake).await;
        held.check("opaque etags");
        assert_eq!(held.rows, field.wanted_fresh.rows);
        assert!(
            held.consumed.iter().all(|(_, etag)| etag.ends_with("+/=;v1")),
            "{:?}",
            held.consumed
        );
        let again = program.run(&field.archive, &lake, DEADLINE).await;
        assert_eq!(again.code, 0, "{}", again.all());
        assert_eq!(field.read(&lake).await.records(), held.records(), "all of it was known");
    })
    .await;
}

/// An object is rewritten between the listing and the reading of it: it fails alone, and what it became is
/// a new object for the next run.
#[tokio::test(flavor = "multi_thread")]
async fn an_etag_that_changed_since_the_listing_is_a_new_object() {
    with_s3(|uri, options| async move {
        let field = Field::new(&uri, &options).await;
        let [first, ..] = new_objects();
        let (object, lake) = (format!("archive/{}", first.0), field.lake(0, false).await);
        let proxy = Proxy::start(&field.endpoint);
        let (store, changed) = (Arc::clone(&field.store), object.clone());
        let runtime = tokio::runtime::Handle::current();
        let other = health_event(777, "2026-08-07", "111122223333");
        proxy.add(Rule::on(Class::GetObject).key(&first.0).before(move |_| {
            runtime.block_on(put(&*store, &changed, other.clone()));
        }));
        let program = Program { endpoint: proxy.endpoint(), answer_seconds: 20 };
        let ran = program.run(&field.archive, &lake, DEADLINE).await;
        assert_eq!((ran.code, proxy.hits()), (3, 1), "{}", ran.all());
        assert!(ran.failed[0].contains(&first.0), "{:?}", ran.failed);
        assert!(ran.failed[0].contains("changed since it was listed"), "{:?}", ran.failed);

        let second = program.run(&field.archive, &lake, DEADLINE).await;
        assert_eq!(second.code, 0, "{}", second.all());
        let held = field.read(&lake).await;
        held.check("changed");
        // Its own row is there, what stood in it before and nowhere else is not.
        assert_eq!(held.rows.len(), field.wanted.rows.len() + 1);
        assert!(held.rows.iter().any(|row| row["event_arn"].ends_with("ISSUE_777")));
        let anew = field.lake(1, true).await;
        let fresh = field.undisturbed().run(&field.archive, &anew, DEADLINE).await;
        assert_eq!(fresh.code, 0, "{}", fresh.all());
        assert_eq!(field.read(&anew).await.rows.len(), held.rows.len());
        assert_eq!(field.undisturbed().verify(&lake).await.code, 0);
    })
    .await;
}

/// One's own record is known by its commit id, wherever the answer was lost, and is written once.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_to_the_record_doubles_nothing() {
    with_s3(|uri, options| async move {
        let field = Field::new(&uri, &options).await;
        for (index, action) in
            [Action::LoseReply, Action::Answer(Reply::error(409, "X"))].into_iter().enumerate()
        {
            let lake = field.lake(index, false).await;
            let proxy = Proxy::start(&field.endpoint);
            proxy.add(Rule::on(Class::PutLog).times(2).does(action));
            let program = Program { endpoint: proxy.endpoint(), answer_seconds: 20 };
            let ran = program.run(&field.archive, &lake, DEADLINE).await;
            assert_eq!(ran.code, 0, "{}", ran.all());
            let held = field.read(&lake).await;
            held.check("lost");
            assert_eq!(held.parts, field.wanted.parts);
            assert_eq!(proxy.hits(), 2);
            assert!(ran.retries >= 2, "{}", ran.stdout);
            assert!(keys(&*field.store, "archive").await.len() == 18);
        }
    })
    .await;
}

/// A bit that flips in an object on its way, from a server that tells no checksum: a compressed object
/// notices and `redrive` heals it; an uncompressed one cannot, and `verify --deep` tells it afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_bit_that_nothing_covers_is_not_seen_until_the_archive_is_read_again() {
    with_s3(|uri, options| async move {
        let store = open(&uri, &options).await.unwrap();
        let event = health_event(1, "2026-08-01", "111122223333");
        put(&*store, "plain/a.json", event.clone()).await;
        put(&*store, "packed/a.gz", crate::program::gzip(event.as_bytes())).await;
        let flip_without_checksum = |class: Class, at: &'static str| {
            Rule::on(class).rewrites(move |_, mut reply| {
                let names: Vec<_> = reply.headers.keys().cloned().collect();
                for name in names.iter().filter(|name| name.as_str().starts_with("x-amz-checksum"))
                {
                    reply.headers.remove(name);
                }
                let mut body = reply.body.to_vec();
                let place = body.windows(at.len()).position(|window| window == at.as_bytes());
                body[place.unwrap_or(reply.body.len() / 2)] ^= 1;
                Reply { body: body.into(), ..reply }
            })
        };
        let healthtrail = |endpoint: &str, arguments: &[&str]| {
            let mut command = crate::program::command();
            command.args(arguments).args(["--endpoint-url", endpoint]);
            let output = command.output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            (output.status.code().unwrap(), text)
        };
        let direct = options.s3.endpoint_url.clone().unwrap();
        for (name, at) in [("plain", "Instance"), ("packed", "\0\0no such bytes")] {
            let (archive, lake) = (format!("{uri}/{name}"), format!("{uri}/lake-{name}"));
            let proxy = Proxy::start(&direct);
            proxy.add(flip_without_checksum(Class::GetObject, at));
            let run = ["run", "--from", &archive, "--to", &lake, "--summary", "-"];
            let (code, text) = healthtrail(&proxy.endpoint(), &run);
            let summary: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!((code, proxy.hits()), (0, 1), "{name}: {text}");
            if name == "plain" {
                assert_eq!(summary["findings"]["added"], 1, "{text}");
                let deep = ["verify", "--lake", &lake, "--from", &archive, "--deep=all"];
                assert_eq!(healthtrail(&direct, &deep).0, 3, "the archive says otherwise");
            } else {
                assert_eq!(summary["findings"]["added"], 0, "{text}");
                let reasons = summary["by_reason"].as_object().unwrap();
                assert!(!reasons.is_empty(), "{text}");
                let redrive = ["redrive", "--lake", &lake, "--from", &archive];
                let (code, text) = healthtrail(&direct, &redrive);
                assert_eq!(code, 0, "{text}");
                let again = ["verify", "--lake", &lake, "--from", &archive, "--deep=all"];
                assert_eq!(healthtrail(&direct, &again).0, 0, "all is as the archive has it");
            }
        }
    })
    .await;
}
