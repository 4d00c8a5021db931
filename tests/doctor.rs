//! `doctor` finds what a run would stumble over, says what to do, and leaves nothing behind.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::program::{
    Ran, command, files, gzip, health_event, healthtrail, key, parts, text, write,
};
use crate::stores::{put, with_s3};

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/archive");

fn ran(arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let output = command().arg("doctor").args(arguments).envs(variables.iter().copied()).output();
    let output = output.unwrap();
    Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Place and check of each, in order, with state, message and remedy.
type Checks = BTreeMap<(String, String), (String, String, String)>;

fn checks(arguments: &[&str], variables: &[(&str, &str)], code: i32) -> Checks {
    let ran = ran(&[arguments, &["--json"]].concat(), variables);
    assert_eq!(ran.code, code, "{arguments:?}\n{}\n{}", ran.stdout, ran.stderr);
    let said: Value = serde_json::from_str(&ran.stdout).unwrap();
    let (mut found, mut states) = (Checks::new(), BTreeMap::new());
    for check in said["checks"].as_array().unwrap() {
        let text = |name: &str| check[name].as_str().unwrap_or_default().to_owned();
        let place = text("place").split(' ').next().unwrap().to_owned();
        *states.entry(text("state")).or_insert(0) += 1;
        if text("state") != "ok" {
            assert!(!text("to_do").is_empty(), "no remedy: {check}");
        }
        found.insert((place, text("check")), (text("state"), text("message"), text("to_do")));
    }
    for state in ["ok", "warn", "fail"] {
        assert_eq!(
            said[state].as_u64().unwrap(),
            states.get(state).copied().unwrap_or(0),
            "{state}"
        );
    }
    found
}

fn state<'a>(checks: &'a Checks, place: &str, check: &str) -> &'a str {
    let found = checks.get(&(place.to_owned(), check.to_owned()));
    &found.unwrap_or_else(|| panic!("no check {place} {check} in {checks:#?}")).0
}

fn failing(checks: &Checks) -> Vec<String> {
    let failing = checks.iter().filter(|(_, (state, _, _))| state == "fail");
    failing.map(|((place, check), _)| format!("{place} {check}")).collect()
}

#[test]
fn folders_are_looked_at_and_left_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("new/lake");
    let lake = text(&lake);
    let both = ["--from", SAMPLES, "--to", lake];
    let before = checks(&both, &[], 0);
    assert!(!Path::new(lake).exists() && files(folder.path()).is_empty());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left beside it");
    for check in
        ["put", "get", "head", "conditional_put", "copy", "conditional_copy", "list", "delete"]
    {
        assert_eq!(state(&before, "lake", check), "ok", "{check}");
    }
    for check in ["open", "list", "get"] {
        assert_eq!(state(&before, "archive", check), "ok", "{check}");
    }

    assert_eq!(healthtrail(&["run", "--from", SAMPLES, "--to", lake]).code, 0);
    let held = (files(Path::new(lake)), parts(Path::new(lake)));
    let after = checks(&both, &[], 0);
    for check in ["lake", "log", "open_commit", "staging", "conditional_put"] {
        assert_eq!(state(&after, "lake", check), "ok", "{check}");
    }
    assert_eq!((files(Path::new(lake)), parts(Path::new(lake))), held);
    assert!(!Path::new(lake).join("_healthtrail/doctor").exists());
    let reading = checks(&["--lake", lake, "--read-only"], &[], 0);
    assert!(!reading.contains_key(&("lake".to_owned(), "put".to_owned())));

    // Variables of the scheduled job are enough.
    let job = [("HEALTHTRAIL_FROM", SAMPLES), ("HEALTHTRAIL_TO", lake)];
    assert_eq!(state(&checks(&[], &job, 0), "lake", "log"), "ok");
    let nothing = ran(&[], &[]);
    assert_eq!((nothing.code, nothing.stdout.as_str()), (2, ""), "{}", nothing.stderr);
}

#[test]
fn what_is_wrong_with_a_folder_is_said_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (lake, empty) = (at.join("lake"), at.join("empty"));
    fs::create_dir(&empty).unwrap();
    let (lake, empty) = (text(&lake), text(&empty));
    let nowhere = at.join("nowhere");
    assert_eq!(
        failing(&checks(&["--from", text(&nowhere), "--to", lake], &[], 3)),
        ["archive open"]
    );
    let found = checks(&["--from", empty], &[], 0);
    assert_eq!(state(&found, "archive", "list"), "warn");
    // No folder can be made there, whoever one is.
    if cfg!(target_os = "linux") {
        assert_eq!(failing(&checks(&["--to", "/proc/healthtrail/lake"], &[], 3)), ["lake open"]);
    }

    assert_eq!(failing(&checks(&["--from", text(at), "--to", empty], &[], 3)), ["archives places"]);

    assert_eq!(healthtrail(&["run", "--from", SAMPLES, "--to", lake]).code, 0);
    let done = Path::new(lake).join("_healthtrail/log/0000000001.done");
    fs::remove_file(&done).unwrap();
    let found = checks(&["--lake", lake, "--read-only"], &[], 0);
    assert_eq!(state(&found, "lake", "open_commit"), "warn");
    assert!(!done.exists(), "doctor completes nothing");

    let config = Path::new(lake).join("_healthtrail/lake.json");
    fs::write(&config, r#"{"format":99,"identity":1,"partition":"day","created_by":"x"}"#).unwrap();
    let found = checks(&["--lake", lake], &[], 3);
    assert_eq!(failing(&found), ["lake lake"]);
    let (_, message, to_do) = &found[&("lake".to_owned(), "lake".to_owned())];
    assert!(message.contains("format 99") && to_do == "update healthtrail", "{message} {to_do}");
}

#[cfg(unix)]
#[test]
fn a_lake_that_may_only_be_read_is_found_out() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    fs::create_dir(&lake).unwrap();
    fs::set_permissions(&lake, fs::Permissions::from_mode(0o555)).unwrap();
    // The administrator may write wherever he likes.
    if fs::write(lake.join("probe"), "").is_ok() {
        return;
    }
    assert_eq!(failing(&checks(&["--lake", text(&lake)], &[], 3)), ["lake put"]);
}

#[test]
fn an_archive_is_known_by_its_newest_object() {
    let folder = tempfile::tempdir().unwrap();
    let now = jiff::Timestamp::now().to_string();
    let (today, hour) = (&now[..10], now[11..13].parse().unwrap());
    let case = |name: &str, key: &str, bytes: &[u8]| {
        let archive = folder.path().join(name);
        write(&archive, key, bytes);
        // An older one, further down in the listing.
        write(&archive, &crate::program::key("2026-08-01", 1, 9), b"{}");
        checks(&["--from", text(&archive)], &[], 0)
    };
    let event = gzip(health_event(1, today, "111122223333").as_bytes());
    let good = case("good", &key(today, hour, 1), &event);
    assert_eq!(
        (state(&good, "archive", "arrival"), state(&good, "archive", "sample")),
        ("ok", "ok")
    );
    let (_, message, _) = &good[&("archive".to_owned(), "sample".to_owned())];
    assert!(
        message.starts_with("gzip, 1 documents (health_event 1)")
            || message.starts_with("gzip, 1 "),
        "{message}"
    );

    let cut = case("cut", &key(today, hour, 1), &event[..event.len() / 2]);
    assert_eq!(state(&cut, "archive", "sample"), "warn");
    let other = case("other", &key(today, hour, 1), br#"{"some":"thing"}"#);
    assert_eq!(state(&other, "archive", "sample"), "warn");
    let archive = folder.path().join("nameless");
    write(&archive, "export.json", b"{}");
    let nameless = checks(&["--from", text(&archive)], &[], 0);
    assert_eq!(state(&nameless, "archive", "arrival"), "warn");
}

/// Answers every request on this machine with what `answer` makes of its first line, until it is dropped.
struct Server {
    address: String,
    is_over: Arc<AtomicBool>,
    running: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    fn start(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let running = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let mut reader = BufReader::new(stream.unwrap());
                let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
                reader.read_line(&mut first).unwrap();
                while reader.read_line(&mut line).unwrap() > 2 {
                    let lower = line.to_ascii_lowercase();
                    if let Some(value) = lower.strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    line.clear();
                }
                std::io::Read::read_exact(&mut reader, &mut vec![0; length]).unwrap();
                // A client that has what it needs may be gone.
                drop(reader.get_mut().write_all(answer(&first).as_bytes()));
            }
        });
        Self { address, is_over, running: Some(running) }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(&self.address));
        if let Some(running) = self.running.take() {
            running.join().unwrap();
        }
    }
}

fn http(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

const KEYS: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "a-secret-that-nobody-may-see"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

#[test]
fn a_wrong_clock_and_a_missing_permission_are_told_apart() {
    let server = Server::start(|line| {
        let date = "date: Mon, 23 Nov 2015 10:00:00 GMT\r\n";
        if line.starts_with("HEAD") {
            return http("200 OK", date, "");
        }
        let denied = "<Error><Code>AccessDenied</Code><Message>No.</Message></Error>";
        http("403 Forbidden", &format!("{date}x-amz-request-id: R7\r\n"), denied)
    });
    let arguments = ["--from", "s3://some-bucket/health", "--endpoint-url", &server.url()];
    let found = checks(&arguments, &KEYS, 3);
    assert_eq!(failing(&found), ["archive clock", "archive list"]);
    let (_, message, to_do) = &found[&("archive".to_owned(), "list".to_owned())];
    assert!(message.contains("request R7") && to_do.contains("s3:ListBucket"), "{message} {to_do}");
}

#[test]
fn one_is_told_who_one_is_and_never_the_secret() {
    let arn = "arn:aws:sts::111122223333:assumed-role/healthtrail/nightly";
    let body = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <GetCallerIdentityResult><Arn>{arn}</Arn><UserId>U</UserId><Account>111122223333</Account>\
         </GetCallerIdentityResult></GetCallerIdentityResponse>"
    );
    let sts = Server::start(move |_| http("200 OK", "content-type: text/xml\r\n", &body));
    let refusing = Server::start(|_| {
        let body = "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code>\
                    <Message>The security token is invalid.</Message></Error></ErrorResponse>";
        http("403 Forbidden", "content-type: text/xml\r\n", body)
    });
    let s3 = Server::start(|_| {
        http("200 OK", "", "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
    });
    let url = s3.url();
    let arguments = ["--from", "s3://some-bucket/health", "--endpoint-url", &url];
    let with = |sts: &str| {
        let variables = [&KEYS[..], &[("AWS_ENDPOINT_URL_STS", sts)]].concat();
        ran(&[&arguments[..], &["--json"]].concat(), &variables)
    };
    let known = with(&sts.url());
    assert!(known.code == 0 && known.stdout.contains(arn), "{}\n{}", known.stdout, known.stderr);
    let refused = with(&refusing.url());
    assert_eq!(refused.code, 3, "{}", refused.stdout);
    assert!(refused.stdout.contains("the AWS credentials are not accepted"), "{}", refused.stdout);
    for said in [known, refused] {
        let all = said.stdout + &said.stderr;
        assert!(
            !all.contains("a-secret-that-nobody-may-see") && !all.contains("AKIDEXAMPLE"),
            "{all}"
        );
    }
    // Clear text goes to no other machine.
    let clear = with("http://192.0.2.1:9");
    assert_eq!(clear.code, 3, "{}", clear.stdout);
}

#[test]
fn without_credentials_the_first_line_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = text(folder.path()).to_owned() + "/none";
    let variables = [
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", nothing.as_str()),
        ("AWS_SHARED_CREDENTIALS_FILE", nothing.as_str()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
    ];
    let server = Server::start(|_| http("403 Forbidden", "", ""));
    let arguments = ["--lake", "s3://some-bucket/lake", "--endpoint-url", &server.url()];
    let found = checks(&arguments, &variables, 3);
    assert_eq!(state(&found, "credentials", "credentials"), "fail");
    let (_, _, to_do) = &found[&("credentials".to_owned(), "credentials".to_owned())];
    assert!(to_do.contains("aws sso login"), "{to_do}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_looked_at_permission_by_permission() {
    with_s3(|uri, options| async move {
        let endpoint = options.s3.endpoint_url.clone().unwrap();
        let store = healthtrail::store::open(&uri, &options).await.unwrap();
        let event = health_event(1, "2026-08-01", "111122223333");
        let object = format!("archive/{}", key("2026-08-01", 1, 1));
        put(store.as_ref(), &object, gzip(event.as_bytes())).await;
        let (archive, lake) = (format!("{uri}/archive"), format!("{uri}/lake"));
        let both = ["--from", &archive, "--to", &lake, "--endpoint-url", &endpoint];
        let found = checks(&both, &[], 0);
        for check in [
            "region",
            "clock",
            "put",
            "get",
            "head",
            "conditional_put",
            "copy",
            "conditional_copy",
            "list",
            "delete",
        ] {
            assert_eq!(state(&found, "lake", check), "ok", "{check}");
        }
        assert_eq!(state(&found, "archive", "sample"), "ok");
        assert_eq!(crate::stores::keys(store.as_ref(), "lake").await, Vec::<String>::new());

        let wrong = [("AWS_SECRET_ACCESS_KEY", "wrong")];
        let found = checks(&both, &wrong, 3);
        assert!(failing(&found).contains(&"archive list".to_owned()), "{found:#?}");
        let gone = ["--lake", "s3://healthtrail-no-such-bucket/x", "--endpoint-url", &endpoint];
        let found = checks(&gone, &[], 3);
        assert_eq!(failing(&found), ["lake open"]);
        // A proxy is used, and that is said, so that one knows where to look when it does not answer.
        let straight = [("HTTP_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", "127.0.0.1")];
        let found = checks(&both, &straight, 0);
        assert_eq!(state(&found, "machine", "proxy"), "ok");
    })
    .await;
}
