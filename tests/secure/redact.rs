//! `--redact`: what could not be read is told by reason and place, and its bytes stay in the archive.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{
    Row, command, files, health_event, healthtrail, key, number, rows, run, text, write,
};

const CANARY: &str = "hunter2-patient-4711";

struct Places {
    folder: tempfile::TempDir,
}

impl Places {
    /// An archive whose second object holds broken documents with a text that nobody may see.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let good = health_event(1, "2026-08-01", "111122223333");
        write(&folder.path().join("archive"), &key("2026-08-01", 1, 1), good.as_bytes());
        let places = Self { folder };
        write(&places.path("archive"), &key("2026-08-01", 2, 2), &Self::broken());
        places
    }

    fn broken() -> Vec<u8> {
        let good = health_event(2, "2026-08-01", "111122223333");
        let no_id = format!(
            r#"{{"ProductArn":"arn:aws:securityhub:eu-west-1::product/aws/health","AwsAccountId":"111122223333","Title":"{CANARY}","{CANARY}":1}}"#
        );
        let no_event = format!(
            r#"{{"detail-type":"AWS Health Event","source":"aws.health","time":"2026-08-01T10:00:00Z","detail":"{CANARY}"}}"#
        );
        let sns =
            format!(r#"{{"Type":"Notification","TopicArn":"t","Message":"{{\"{CANARY}\":"}}"#);
        format!("{good}{CANARY} {no_id}{no_event}{sns}{good}{{\"eventArn\": \"{CANARY}")
            .into_bytes()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, lake: &str, options: &[&str]) -> serde_json::Value {
        run(text(&self.path("archive")), text(&self.path(lake)), options, 0)
    }

    fn command(arguments: &[&str], code: i32) -> (String, String) {
        let ran = healthtrail(arguments);
        assert_eq!(ran.code, code, "{arguments:?}\n{}{}", ran.stdout, ran.stderr);
        (ran.stdout, ran.stderr)
    }

    fn redrive(&self, lake: &str, options: &[&str], code: i32) -> String {
        let (from, lake) = (self.path("archive"), self.path(lake));
        let redrive =
            ["redrive", "--lake", text(&lake), "--from", text(&from), "--progress", "none"];
        let (stdout, stderr) = Self::command(&[&redrive[..], options].concat(), code);
        stdout + &stderr
    }

    fn verify(&self, lake: &str) {
        let (from, lake) = (self.path("archive"), self.path(lake));
        let (from, lake) = (text(&from), text(&lake));
        Self::command(&["verify", "--lake", lake, "--from", from, "--deep=all", "--full"], 0);
    }
}

/// Whether a text stands anywhere in a lake: in the bytes of files, or in a value of a row.
fn holds(lake: &Path, needle: &str) -> bool {
    let in_files = files(lake).iter().any(|path| {
        let bytes = fs::read(lake.join(path)).unwrap();
        bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
    });
    let spelled = format!("{:?}", needle.as_bytes());
    let spelled = spelled.trim_matches(['[', ']']);
    let is_in =
        |row: &Row| row.values().any(|value| value.contains(needle) || value.contains(spelled));
    in_files || ["findings", "rejects"].iter().any(|table| rows(lake, table).iter().any(is_in))
}

fn by_place(lake: &Path) -> BTreeMap<(String, String), Row> {
    let rows = rows(lake, "rejects").into_iter();
    rows.map(|row| ((row["reject_id"].clone(), row["state"].clone()), row)).collect()
}

#[test]
fn a_redacted_lake_holds_reason_and_place_and_nothing_of_the_text() {
    let places = Places::new();
    let plain = places.run("plain", &[]);
    let redacted = places.run("redacted", &["--redact"]);
    assert!(number(&plain, "by_reason.no_identity") > 0, "{plain}");
    assert_eq!(plain["by_reason"], redacted["by_reason"]);
    assert!(holds(&places.path("plain"), CANARY), "the test would see the text");
    assert!(!holds(&places.path("redacted"), CANARY));
    assert!(!redacted.to_string().contains(CANARY), "{redacted}");
    let (mut plain, mut redacted) =
        (by_place(&places.path("plain")), by_place(&places.path("redacted")));
    let mut lost = 0;
    for row in plain.values_mut().chain(redacted.values_mut()) {
        let bytes = row.remove("bytes").unwrap();
        let cut = row.remove("bytes_cut").unwrap();
        lost += usize::from(bytes == "[]" && cut == "true");
    }
    assert_eq!(plain, redacted);
    assert_eq!(lost, redacted.values().filter(|row| row["bytes_length"] != "0").count());
    assert!(lost >= 5, "{redacted:#?}");
    places.verify("redacted");
    places.verify("plain");
}

#[test]
fn commands_tell_that_bytes_are_redacted() {
    let places = Places::new();
    places.run("lake", &["--redact"]);
    let lake = places.path("lake");
    let lake = text(&lake);
    let (listed, _) =
        Places::command(&["rejects", "--lake", lake, "--list", "--reason", "no_identity"], 0);
    let id = listed.split_whitespace().next().unwrap();
    let (shown, _) = Places::command(&["rejects", "--lake", lake, "--show", id], 0);
    assert!(shown.contains(": redacted; `healthtrail inspect`"), "{shown}");
    let (shown, _) = Places::command(&["rejects", "--lake", lake, "--show", id, "--json"], 0);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((number(&shown, "bytes_kept"), shown["text"].as_str()), (0, Some("")));
    let (bytes, note) = Places::command(&["rejects", "--lake", lake, "--bytes", id], 0);
    assert_eq!(bytes, "");
    assert!(note.contains("keeps 0 of"), "{note}");
}

/// A redrive reads the objects, whatever the lake keeps; and a mixture of both kinds is as good as either.
#[test]
fn a_redrive_needs_no_bytes_while_the_object_is_there() {
    let places = Places::new();
    // With narrow limits everything is a reject, which wider ones make good.
    let narrow = ["--document-bytes-max", "200"];
    places.run("lake", &[&narrow[..], &["--redact"]].concat());
    places.run("whole", &[]);
    assert!(!holds(&places.path("lake"), CANARY));
    let told = places.redrive("lake", &["--redact"], 0);
    assert!(told.contains("redriven"), "{told}");
    assert!(!holds(&places.path("lake"), CANARY));
    let findings = |lake: &str| rows(&places.path(lake), "findings").len();
    assert_eq!(findings("lake"), findings("whole"));
    places.verify("lake");
    // Without the option the next state has the bytes: the variable is there to be set once for all.
    places.redrive("lake", &["--again"], 0);
    let again = places.redrive("lake", &["--again", "--redact"], 0);
    assert!(!again.contains(CANARY), "{again}");
    places.verify("lake");
}

#[test]
fn what_is_gone_from_the_archive_cannot_be_read_from_a_redacted_lake() {
    let places = Places::new();
    let narrow = ["--document-bytes-max", "200"];
    places.run("redacted", &[&narrow[..], &["--redact"]].concat());
    places.run("plain", &narrow);
    let object = places.path("archive").join(key("2026-08-01", 1, 1));
    fs::remove_file(&object).unwrap();
    for (lake, salvaged) in [("plain", true), ("redacted", false)] {
        let told = places.redrive(lake, &["--redact"], 3);
        assert_eq!(told.contains("salvaged"), salvaged, "{lake}: {told}");
        let gone = by_place(&places.path(lake)).keys().any(|(_, state)| state == "object_gone");
        assert_eq!(gone, !salvaged, "{lake}");
    }
    assert!(!holds(&places.path("redacted"), CANARY));
}

#[test]
fn the_variable_redacts_too() {
    let places = Places::new();
    let output = command()
        .args(["run", "--from", text(&places.path("archive")), "--to", text(&places.path("lake"))])
        .env("HEALTHTRAIL_REDACT", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!holds(&places.path("lake"), CANARY));
    for said in [output.stdout, output.stderr] {
        assert!(!String::from_utf8_lossy(&said).contains(CANARY));
    }
}
