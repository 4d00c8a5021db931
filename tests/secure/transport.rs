//! TLS but for this machine: whichever setting names the server, and whichever command asks.

use std::process::Output;

use crate::program::command;
use crate::stores::with_s3;

const CLEAR: &str = "http://192.0.2.1:9";

fn every_command() -> Vec<Vec<&'static str>> {
    let (from, lake) = ("s3://bucket/archive", "s3://bucket/lake");
    vec![
        vec!["run", "--from", from, "--to", lake],
        vec!["redrive", "--from", from, "--lake", lake],
        vec!["inspect", "s3://bucket/archive/x"],
        vec!["generate", "--to", from],
        vec!["ddl", "--lake", lake],
        vec!["report", "--lake", lake],
        vec!["rejects", "--lake", lake],
        vec!["ledger", "--lake", lake],
        vec!["ledger", "accept", "--lake", lake, "--reason", "r", "s3://bucket/archive/x"],
        vec!["verify", "--lake", lake],
        vec!["rebuild", "--lake", lake, "--to", "s3://bucket/other"],
        vec!["forget", "--lake", lake, "--rows", "finding_id=f,account_id=a", "--reason", "r"],
    ]
}

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = command();
    for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE"] {
        command.env_remove(name);
    }
    command.args(arguments).envs(variables.iter().copied());
    command.env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "secret");
    command.env("AWS_REGION", "eu-west-1").env("AWS_EC2_METADATA_DISABLED", "true");
    command.output().unwrap()
}

#[test]
fn clear_text_is_refused_from_every_setting_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    let text = format!(
        "[profile clear]\nendpoint_url = {CLEAR}\n[profile services]\nservices = s\n[services s]\ns3 =\n  endpoint_url = {CLEAR}\n"
    );
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let settings: [&[(&str, &str)]; 5] = [
        &[("HEALTHTRAIL_ENDPOINT_URL", CLEAR)],
        &[("AWS_ENDPOINT_URL", CLEAR)],
        &[("AWS_ENDPOINT_URL_S3", CLEAR)],
        &[("AWS_CONFIG_FILE", config), ("AWS_PROFILE", "clear")],
        &[("AWS_CONFIG_FILE", config), ("AWS_PROFILE", "services")],
    ];
    for (number, arguments) in every_command().iter().enumerate() {
        for (setting, variables) in settings.iter().enumerate() {
            // Each setting with some commands, each command with some settings.
            if (number + setting) % 3 == 0 || number == 0 {
                let output = run(arguments, variables);
                let stderr = String::from_utf8(output.stderr).unwrap();
                assert_eq!(output.status.code(), Some(2), "{arguments:?} {variables:?}: {stderr}");
                let said = stderr.contains("plain http goes only to this machine");
                assert!(said, "{arguments:?} {variables:?}: {stderr}");
            }
        }
    }
}

/// The service that gives a role's credentials is asked by TLS too.
#[test]
fn credentials_are_asked_for_by_tls() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "web-identity-canary").unwrap();
    let mut command = command();
    command.args(["rejects", "--lake", "s3://bucket/lake", "--endpoint-url", "http://127.0.0.1:9"]);
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"] {
        command.env_remove(name);
    }
    command
        .env("AWS_ENDPOINT_URL_STS", CLEAR)
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", &token)
        .env("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/run")
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("plain http goes only to this machine"), "{stderr}");
    assert!(!stderr.contains("web-identity-canary"), "{stderr}");
}

/// `AWS_ENDPOINT_URL_S3` names a server as `--endpoint-url` does: addressed by path, and looked at before a
/// copy could replace something.
#[tokio::test(flavor = "multi_thread")]
async fn r036_the_variable_of_the_service_names_a_server_too() {
    with_s3(|uri, options| async move {
        let endpoint =
            options.s3.endpoint_url.as_deref().unwrap().replace("127.0.0.1", "localhost");
        let lake = format!("{uri}/lake");
        let output = command()
            .args(["run", "--from", "samples/archive", "--to", &lake])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("AWS_ENDPOINT_URL_S3", endpoint)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let direct = healthtrail::store::open(&lake, &options).await.unwrap();
        assert!(!crate::stores::keys(direct.as_ref(), "findings/").await.is_empty());
    })
    .await;
}
