//! No credential and no document in what the program says, however much it is asked to say.

use std::process::{Command, Output};

use crate::program::{command, health_event, key};
use crate::stores::{put, with_s3};

const DOCUMENT: &str = "canary-document-5150";
const TOKEN: &str = "canary-session-token-5150";

/// The program, asked for everything, with every variable that makes libraries talk.
fn loud(arguments: &[&str], endpoint: &str, log: &str) -> Command {
    let mut command = command();
    command.args(arguments).args(["--endpoint-url", endpoint, "--log", log]);
    command.env("RUST_LOG", "trace").env("AWS_LOG", "trace").env_remove("RUST_BACKTRACE");
    command
}

fn check(output: &Output, secret: &str, told: &str) -> String {
    let mut all = String::new();
    for said in [&output.stdout, &output.stderr] {
        let said = String::from_utf8_lossy(said);
        for hidden in [DOCUMENT, TOKEN, secret, "Signature=", "X-Amz-", "x-amz-security-token"] {
            assert!(!said.contains(hidden), "{told}: `{hidden}` in\n{said}");
        }
        all += &said;
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_said_at_the_most_talkative_level() {
    with_s3(|uri, options| async move {
        let endpoint = options.s3.endpoint_url.as_deref().unwrap();
        let secret = std::env::var("AWS_SECRET_ACCESS_KEY").unwrap();
        let (from, lake) = (format!("{uri}/archive"), format!("{uri}/lake"));
        let archive = healthtrail::store::open(&from, &options).await.unwrap();
        let good = health_event(1, "2026-08-01", "111122223333").replace("is impaired", DOCUMENT);
        let body = format!("{good}{DOCUMENT} {{\"eventArn\":\"{DOCUMENT}\"}}{{\"{DOCUMENT}");
        // A key that would begin a line of its own, and clear the screen.
        let odd = key("2026-08-01", 1, 1) + "\nERROR forged \u{1b}[2J \u{202e}txt";
        put(archive.as_ref(), &odd, body).await;
        put(archive.as_ref(), &key("2026-08-01", 2, 2), "x".repeat(40)).await;
        let run = ["run", "--from", &from, "--to", &lake];
        let verify = ["verify", "--lake", &lake, "--from", &from, "--deep=all"];
        let redrive = ["redrive", "--lake", &lake, "--from", &from];
        let rejects = ["rejects", "--lake", &lake, "--list"];
        let ledger = ["ledger", "--lake", &lake, "--from", &from];
        let rows = "finding_id=f,account_id=111122223333";
        let forget = ["forget", "--lake", &lake, "--rows", rows, "--reason", "r"];
        let all: [&[&str]; 6] = [&run, &verify, &redrive, &rejects, &ledger, &forget];
        for arguments in all {
            for log in
                ["trace", "trace,aws_sigv4=trace,aws_smithy_runtime=trace,hyper=trace", "debug"]
            {
                let output = loud(arguments, endpoint, log).output().unwrap();
                let code = output.status.code();
                assert!(code == Some(0) || code == Some(3), "{arguments:?}: {output:?}");
                let said = check(&output, &secret, &format!("{arguments:?} --log {log}"));
                assert!(!said.contains('\u{1b}') && !said.contains('\u{202e}'), "{said:?}");
                assert!(!said.contains("\nERROR forged"), "{said}");
            }
        }
        // A session token that the server does not know: the refusal does not repeat it.
        let refused =
            loud(&run, endpoint, "trace").env("AWS_SESSION_TOKEN", TOKEN).output().unwrap();
        check(&refused, &secret, "with a session token");
        let wrong =
            loud(&run, endpoint, "trace").env("AWS_SECRET_ACCESS_KEY", TOKEN).output().unwrap();
        assert_eq!(wrong.status.code(), Some(1));
        check(&wrong, &secret, "with a wrong secret");
    })
    .await;
}

/// The SDK tells lines of the configuration files that it does not understand; they may be secrets.
#[test]
fn a_line_of_the_configuration_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    let text = format!(
        "[default]\nregion = eu-west-1\ns3 =\n  {TOKEN}\n[profile p]\naws_access_key_id = AKIACANARY\naws_secret_access_key = {TOKEN}\n{TOKEN}\n"
    );
    std::fs::write(&config, text).unwrap();
    for profile in ["p", "default"] {
        let output = command()
            .args([
                "run",
                "--from",
                "s3://bucket/x",
                "--to",
                "never-made",
                "--dry-run",
                "--log",
                "trace",
            ])
            .args(["--archive-profile", profile, "--endpoint-url", "http://127.0.0.1:9"])
            .env("AWS_CONFIG_FILE", &config)
            .env("AWS_SHARED_CREDENTIALS_FILE", &config)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_MAX_ATTEMPTS", "1")
            .env_remove("AWS_ACCESS_KEY_ID")
            .env_remove("AWS_SECRET_ACCESS_KEY")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        check(&output, "no other", profile);
    }
}
