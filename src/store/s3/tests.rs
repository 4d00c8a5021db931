//! The store against a server that says what a test wants it to say.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_sdk_s3::config::{BehaviorVersion, Credentials};
use futures::TryStreamExt as _;

use super::error::Reached;
use super::*;

const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const ANY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Gives one canned answer a connection, in order, and keeps the heads of the requests.
struct Server {
    url: String,
    is_over: Arc<AtomicBool>,
    running: JoinHandle<Vec<String>>,
}

impl Server {
    fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let running = std::thread::spawn(move || {
            let answer = |answer: String| {
                let (stream, _) = listener.accept().unwrap();
                (!over.load(Ordering::SeqCst)).then(|| serve(stream, &answer))
            };
            answers.into_iter().map_while(answer).collect()
        });
        Self { url, is_over, running }
    }

    /// The heads of all requests, in lower case.
    fn requests(self) -> Vec<String> {
        self.is_over.store(true, Ordering::SeqCst);
        // Wakes a server that waits for requests which never came.
        drop(TcpStream::connect(self.url.trim_start_matches("http://")));
        self.running.join().unwrap()
    }

    fn store(&self, options: S3Options) -> S3 {
        let credentials = Credentials::new("key", "secret", None, None, "test");
        let builder = Builder::new().credentials_provider(credentials);
        self.store_with(options, builder)
    }

    fn store_with(&self, options: S3Options, builder: Builder) -> S3 {
        let builder = builder
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&self.url)
            .force_path_style(true);
        let patience = Patience { pause: Duration::ZERO, ..options.patience };
        let options = S3Options { patience, ..options };
        S3::new("bucket", "pre fix", options, builder, "eu-west-1")
    }
}

fn serve(stream: TcpStream, answer: &str) -> String {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
    }
    let head = head.to_ascii_lowercase();
    let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
    reader.read_exact(&mut vec![0; length]).unwrap();
    // An empty answer is a connection that ends without one.
    if let Some((first, rest)) = answer.split_once("\r\n") {
        let whole = format!("{first}\r\nconnection: close\r\n{rest}");
        reader.get_mut().write_all(whole.as_bytes()).unwrap();
    }
    head
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn answer_with(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

fn failure(status: &str, code: &str) -> String {
    let body = format!("<Error><Code>{code}</Code><Message>No.</Message></Error>");
    answer_with(status, "x-amz-request-id: R7\r\n", &body)
}

fn page(entries: &str) -> String {
    let end =
        if entries.contains("<IsTruncated>") { "" } else { "<IsTruncated>false</IsTruncated>" };
    let body = format!("<ListBucketResult>{entries}{end}</ListBucketResult>");
    answer_with("200 OK", "", &body)
}

#[tokio::test]
async fn a_body_that_breaks_off_is_read_again() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234";
    let whole = answer_with("200 OK", "", "0123456789");
    let server = Server::start(vec![cut.to_owned(), cut.to_owned(), whole]);
    let store = server.store(S3Options::default());
    let bytes = store.get("a", GetOptions::if_match("e1").range(0..10)).await.unwrap();
    assert_eq!(bytes, "0123456789");
    assert_eq!(store.retries(), 2);
    for request in server.requests() {
        assert!(request.starts_with("get /bucket/pre%20fix/a?"), "{request}");
        assert_eq!(header(&request, "if-match"), Some("\"e1\""));
        assert_eq!(header(&request, "range"), Some("bytes=0-9"));
    }
}

#[tokio::test]
async fn a_range_that_was_cut_with_its_length_is_read_again() {
    let part = |body| answer_with("206 Partial Content", "content-range: bytes 2-5/10\r\n", body);
    let server = Server::start(vec![part("23"), part("2345")]);
    let store = server.store(S3Options::default());
    let bytes = store.get("a", GetOptions::default().range(2..6)).await.unwrap();
    assert_eq!((bytes, store.retries()), ("2345".into(), 1));
    drop(server.requests());
    for (text, bytes) in [
        ("bytes 0-9/100", Some(10)),
        ("bytes 7-7/*", Some(1)),
        ("bytes */100", None),
        ("bytes 9-0/100", None),
        ("bytes 0-18446744073709551615/1", None),
        ("", None),
    ] {
        assert_eq!(given_bytes(text), bytes, "{text}");
    }
}

#[tokio::test]
async fn a_page_that_was_cut_is_asked_for_again() {
    let key = |key| format!("<Contents><Key>pre fix/{key}</Key><Size>1</Size></Contents>");
    let head = "<ListBucketResult><IsTruncated>false</IsTruncated><KeyCount>2</KeyCount>";
    let cut = answer_with("200 OK", "", &format!("{head}{}<Conten", key("a")));
    let none = answer_with("200 OK", "", "<ListBucketResult><Name>bucket</Na");
    let whole = page(&format!("<KeyCount>2</KeyCount>{}{}", key("a"), key("b")));
    let server = Server::start(vec![cut.clone(), none, whole]);
    let store = server.store(S3Options::default());
    let listed: Vec<_> = store.list("").map_ok(|meta| meta.key).try_collect().await.unwrap();
    assert_eq!((listed, store.retries()), (vec!["a".to_owned(), "b".to_owned()], 2));
    drop(server.requests());

    let server = Server::start(vec![cut; 5]);
    let store = server.store(S3Options::default());
    let error = store.list("x").try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(error.message.contains("1 of 2 keys"), "{error}");
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn bytes_that_came_changed_to_the_server_are_sent_again() {
    let server = Server::start(vec![failure("400 Bad Request", "BadDigest"), ANY.to_owned()]);
    let store = server.store(S3Options::default());
    store.put("a", Bytes::new(), EMPTY_SHA256).await.unwrap();
    assert_eq!((store.retries(), server.requests().len()), (1, 2));
}

#[tokio::test]
async fn a_body_that_never_comes_whole_is_given_up() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234".to_owned();
    let server = Server::start(vec![cut; 5]);
    let store = server.store(S3Options::default());
    let error = store.get("a", GetOptions::default()).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(error.message.starts_with("the body broke off"), "{error}");
    assert_eq!((store.retries(), server.requests().len()), (4, 5));
}

#[tokio::test]
async fn a_body_with_a_flipped_bit_is_read_again() {
    // The CRC32 of `123456789` is cbf43926 (the check value of the algorithm).
    let headers = "x-amz-checksum-crc32: y/Q5Jg==\r\n";
    let bad = answer_with("200 OK", headers, "123456788");
    let good = answer_with("200 OK", headers, "123456789");
    let server = Server::start(vec![bad, good]);
    let store = server.store(S3Options::default());
    assert_eq!(store.get("a", GetOptions::default()).await.unwrap(), "123456789");
    assert_eq!((store.retries(), server.requests().len()), (1, 2));
}

#[tokio::test]
async fn more_than_was_asked_for_is_refused() {
    let server = Server::start(vec![answer_with("200 OK", "", "0123456789")]);
    let store = server.store(S3Options::default());
    let error = store.get("a", GetOptions::default().range(2..4)).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Other);
    assert!(error.message.contains("10 bytes where 2"), "{error}");
}

#[tokio::test]
async fn passing_trouble_is_met_by_sending_again() {
    for trouble in [
        failure("429 Too Many Requests", "TooManyRequests"),
        failure("503 Slow Down", "SlowDown"),
        failure("500 Internal", "InternalError"),
        failure("400 Bad Request", "RequestTimeout"),
        answer_with("429 Too Many Requests", "", ""),
        String::new(),
    ] {
        let server = Server::start(vec![trouble.clone(), ANY.to_owned()]);
        let store = server.store(S3Options::default());
        let put = store.put_new("a", Bytes::new(), EMPTY_SHA256).await;
        assert!(put.is_ok(), "{put:?} after {trouble}");
        assert_eq!((store.retries(), server.requests().len()), (1, 2), "{trouble}");
    }
}

#[tokio::test]
async fn lasting_trouble_is_told_after_five_tries() {
    let server = Server::start(vec![failure("503 Slow Down", "SlowDown"); 5]);
    let store = server.store(S3Options::default());
    let error = store.head("a").await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert_eq!((store.retries(), server.requests().len()), (4, 5));
}

#[tokio::test]
async fn what_will_not_pass_is_told_at_once() {
    for (status, code, expected) in [
        ("403 Forbidden", "AccessDenied", StoreErrorKind::Denied),
        ("412 Precondition Failed", "PreconditionFailed", StoreErrorKind::Precondition),
    ] {
        let server = Server::start(vec![failure(status, code)]);
        let store = server.store(S3Options::default());
        let error = store.put_new("a", Bytes::new(), EMPTY_SHA256).await.unwrap_err();
        assert_eq!(error.kind, expected, "{error}");
        assert!(error.message.contains(&format!("({code}, HTTP ")), "{error}");
        assert!(error.message.contains("request R7)"), "{error}");
        assert_eq!((store.retries(), server.requests().len()), (0, 1));
    }
}

#[tokio::test]
async fn a_conflict_is_sent_again() {
    let conflict = failure("409 Conflict", "ConditionalRequestConflict");
    let server = Server::start(vec![conflict.clone(), conflict.clone(), ANY.to_owned()]);
    let store = server.store(S3Options::default());
    store.put_new("a", Bytes::new(), EMPTY_SHA256).await.unwrap();
    assert_eq!((store.retries(), server.requests().len()), (2, 3));
    let server = Server::start(vec![conflict; 5]);
    let store = server.store(S3Options::default());
    let error = store.put_new("a", Bytes::new(), EMPTY_SHA256).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Conflict, "{error}");
    assert_eq!((store.retries(), server.requests().len()), (4, 5));
}

#[tokio::test]
async fn own_bytes_must_fit_the_hash_kept_with_them() {
    let kept = format!("x-amz-meta-sha256: {EMPTY_SHA256}\r\n");
    let bad = || answer_with("200 OK", &kept, "x");
    let server = Server::start(vec![bad(), answer_with("200 OK", &kept, "")]);
    let store = server.store(S3Options::default());
    assert_eq!(store.get("a", GetOptions::own()).await.unwrap(), "");
    assert_eq!((store.retries(), server.requests().len()), (1, 2));

    let server = Server::start((0..5).map(|_| bad()).collect());
    let store = server.store(S3Options::default());
    let error = store.get("a", GetOptions::own()).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Other, "{error}");
    assert!(error.message.contains("do not fit the SHA-256"), "{error}");
    assert_eq!(server.requests().len(), 5);

    // In an archive that metadata may mean anything, and of a range it says nothing.
    for options in [GetOptions::default(), GetOptions::own().range(0..1)] {
        let server = Server::start(vec![bad()]);
        assert_eq!(server.store(S3Options::default()).get("a", options).await.unwrap(), "x");
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn an_error_inside_a_200_is_an_error() {
    let server = Server::start(vec![failure("200 OK", "InternalError"); 5]);
    let store = server.store(S3Options::default());
    let error = store.copy_new("a", "b").await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(error.message.contains("InternalError, HTTP 200"), "{error}");
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn writes_carry_hash_key_owner_and_payer() {
    let copied = answer_with("200 OK", "", "<CopyObjectResult></CopyObjectResult>");
    let server = Server::start(vec![ANY.to_owned(), copied]);
    let store = server.store(S3Options {
        expected_bucket_owner: Some("123456789012".to_owned()),
        sse_kms_key: Some("alias/lake".to_owned()),
        request_payer: true,
        ..S3Options::default()
    });
    store.put_new("a", Bytes::new(), EMPTY_SHA256).await.unwrap();
    store.copy_new("a+b c", "d").await.unwrap();
    let requests = server.requests();
    for request in &requests {
        assert_eq!(header(request, "if-none-match"), Some("*"));
        assert_eq!(header(request, "x-amz-server-side-encryption"), Some("aws:kms"));
        let key = "x-amz-server-side-encryption-aws-kms-key-id";
        assert_eq!(header(request, key), Some("alias/lake"));
        assert_eq!(header(request, "x-amz-expected-bucket-owner"), Some("123456789012"));
        assert_eq!(header(request, "x-amz-request-payer"), Some("requester"));
    }
    let [put, copy] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!(header(put, "x-amz-meta-sha256"), Some(EMPTY_SHA256));
    let checksum = header(put, "x-amz-checksum-sha256");
    assert_eq!(checksum, Some("47deqpj8hbsa+/timw+5jceuqerkm5nmpjwzg3hsufu="));
    assert_eq!(header(put, "x-amz-checksum-crc32"), None);
    assert_eq!(header(copy, "x-amz-copy-source"), Some("bucket/pre%20fix/a%2bb%20c"));
    assert_eq!(header(copy, "x-amz-metadata-directive"), Some("copy"));
}

#[tokio::test]
async fn a_listing_tells_what_can_be_read() {
    let entry = |key: &str, rest: &str| {
        format!(
            "<Contents><Key>pre+fix/{key}</Key><Size>1</Size><ETag>\"e\"</ETag>{rest}</Contents>"
        )
    };
    let class = |class: &str| format!("<StorageClass>{class}</StorageClass>");
    let restored = "<RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress>\
                    <RestoreExpiryDate>2026-12-01T00:00:00Z</RestoreExpiryDate></RestoreStatus>";
    let first = "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
                 <NextContinuationToken>t1</NextContinuationToken>"
        .to_owned()
        + &entry("a%2Bb+c", &class("STANDARD"))
        + &entry("cold", &class("DEEP_ARCHIVE"))
        + &entry("thawed", &(class("GLACIER") + restored));
    let second = "<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>".to_owned()
        + &entry("instant", &class("GLACIER_IR"));
    let server = Server::start(vec![page(&first), page(&second)]);
    let store = server.store(S3Options::default());
    let listed: Vec<ObjectMeta> = store.list("").try_collect().await.unwrap();
    let told: Vec<_> = listed.iter().map(|meta| (&*meta.key, &*meta.etag, meta.archived)).collect();
    let expected = [("a+b c", "e", false), ("cold", "e", true), ("thawed", "e", false)];
    assert_eq!(told[..3], expected);
    assert_eq!(told[3..], [("instant", "e", false)]);
    let requests = server.requests();
    assert!(requests[0].contains("encoding-type=url"), "{}", requests[0]);
    assert!(requests[0].contains("prefix=pre%20fix%2f"), "{}", requests[0]);
    assert!(requests[1].contains("continuation-token=t1"), "{}", requests[1]);
}

#[tokio::test]
async fn a_listing_that_cannot_go_on_says_so() {
    let key = "<Contents><Key>elsewhere/a</Key></Contents>";
    let server = Server::start(vec![page(&format!("<IsTruncated>true</IsTruncated>{key}"))]);
    let store = server.store(S3Options::default());
    let listed: Vec<_> = store.list("").collect().await;
    let messages: Vec<_> = listed.into_iter().map(|entry| entry.unwrap_err().message).collect();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages[0].contains("not asked for: `elsewhere/a`"), "{messages:?}");
    assert!(messages[1].contains("more follows"), "{messages:?}");
}

#[tokio::test]
async fn a_bucket_tells_its_region_even_when_it_refuses() {
    for (status, told) in [
        ("200 OK", Some("ap-south-1")),
        ("301 Moved Permanently", Some("ap-south-1")),
        ("400 Bad Request", Some("ap-south-1")),
        ("403 Forbidden", Some("ap-south-1")),
        ("403 Forbidden", None),
    ] {
        let headers = told.map_or(String::new(), |told| format!("x-amz-bucket-region: {told}\r\n"));
        let server = Server::start(vec![answer_with(status, &headers, "")]);
        let found = server.store(S3Options::default()).find_region().await;
        assert_eq!(found.unwrap().as_deref(), told, "{status}");
    }
    let server = Server::start(vec![answer_with("404 Not Found", "", "")]);
    let error = server.store(S3Options::default()).find_region().await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::NotFound);
    assert_eq!(error.uri, "s3://bucket/pre fix");
}

#[tokio::test]
async fn another_server_is_asked_before_a_copy_could_replace() {
    let there = answer_with("200 OK", "etag: \"e\"\r\n", "");
    let server = Server::start(vec![there]);
    let mut store = server.store(S3Options::default());
    store.is_foreign = true;
    let error = store.copy_new("a", "b").await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Precondition);
    assert!(server.requests()[0].starts_with("head /bucket/pre%20fix/b "));
}

#[tokio::test]
async fn a_delete_marker_tells_that_the_bucket_keeps_versions() {
    let plain = answer_with("204 No Content", "", "");
    let marker = answer_with("204 No Content", "x-amz-delete-marker: true\r\n", "");
    let server = Server::start(vec![plain, marker]);
    let store = server.store(S3Options::default());
    store.delete("a").await.unwrap();
    assert!(!store.keeps_versions());
    store.delete("a").await.unwrap();
    assert!(store.keeps_versions());
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_redirect_leads_nowhere() {
    for status in
        ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        let other = Server::start(vec![ANY.to_owned()]);
        let to = format!("location: {}/stolen\r\n", other.url);
        let server = Server::start(vec![answer_with(status, &to, "")]);
        let store = server.store(S3Options::default());
        let error =
            store.put_new("a", Bytes::from_static(b"text"), EMPTY_SHA256).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Other, "{error}");
        assert!(error.message.contains("another Region or behind another endpoint"), "{error}");
        assert_eq!(server.requests().len(), 1, "{status}");
        assert_eq!(other.requests(), [""; 0], "{status}");
    }
}

#[tokio::test]
async fn no_client_of_the_default_chain_sends_clear_text() {
    let sdk = aws_config::defaults(BehaviorVersion::latest())
        .http_client(tls::client())
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .endpoint_url("http://192.0.2.1:9")
        .region("eu-west-1")
        .load()
        .await;
    // Without the check before signing, as the clients of the SDK itself are.
    let client = Client::new(&sdk);
    let error = client.head_bucket().bucket("bucket").send().await.unwrap_err();
    let answer = answer(&error);
    assert_eq!(answer.reached, Reached::NotSent, "{answer:?}");
    assert!(answer.message.contains("plain http goes only to this machine"), "{answer:?}");
}

#[tokio::test]
async fn clear_text_leaves_this_machine_by_no_setting() {
    let credentials = Credentials::new("key", "secret", None, None, "test");
    let builder = Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(credentials)
        .endpoint_url("http://192.0.2.1:9");
    let store = S3::new("bucket", "", S3Options::default(), builder, "eu-west-1");
    let error = store.head("a").await.unwrap_err();
    assert!(error.message.contains("plain http goes only to this machine"), "{error}");
    assert_eq!(error.kind, StoreErrorKind::Other);
}

#[tokio::test]
async fn missing_credentials_are_said_to_be_missing() {
    let server = Server::start(vec![]);
    let nowhere =
        ProfileFileCredentialsProvider::builder().profile_name("healthtrail-none").build();
    let builder = Builder::new().credentials_provider(nowhere);
    let store = server.store_with(S3Options::default(), builder);
    let error = store.head("a").await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Denied, "{error}");
    assert!(error.message.contains("hint: sign in"), "{error}");
}

#[test]
fn many_settings_are_not_printed() {
    let server = Server::start(vec![]);
    let store = server.store(S3Options::default());
    assert_eq!(format!("{store:?}"), "S3 { base_uri: \"s3://bucket/pre fix\", .. }");
}
