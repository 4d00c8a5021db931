//! What a person sees: exit code, standard output and standard error in one snapshot, with paths and
//! timings filtered. `UPDATE_EXPECT=1 cargo test cli` rewrites them; read the difference.

#![allow(clippy::needless_raw_string_hashes, reason = "expect_test writes them so")]
#![allow(clippy::too_many_lines, reason = "a list of cases is as long as it is")]

use std::fs;
use std::path::Path;

use expect_test::{Expect, expect};

use crate::program::{command, healthtrail, text, write};

/// Runs the program in the project's folder and compares what it says.
fn check(folder: &Path, arguments: &[&str], expected: &Expect) {
    let output = command()
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(arguments)
        .env("COLUMNS", "100")
        .output()
        .unwrap();
    let shown = format!(
        "exit code {}\n--- stdout\n{}--- stderr\n{}",
        output.status.code().unwrap(),
        filtered(&String::from_utf8(output.stdout).unwrap(), folder),
        filtered(&String::from_utf8(output.stderr).unwrap(), folder),
    );
    expected.assert_eq(&shown);
}

/// Without what changes from run to run, or from place to place.
fn filtered(said: &str, folder: &Path) -> String {
    let canonical = folder.canonicalize().unwrap();
    let said = said
        .replace(text(&canonical), "[FOLDER]")
        .replace(text(folder), "[FOLDER]")
        .replace(env!("CARGO_MANIFEST_DIR"), "[PROJECT]")
        .replace(env!("CARGO_PKG_VERSION"), "[VERSION]");
    let line = |line: &str| match line.split_whitespace().next() {
        Some("took") => "  took       [TIME AND MEMORY]\n".to_owned(),
        Some("parts") => format!("{} [SIZE]\n", line.rsplitn(3, ' ').nth(2).unwrap_or_default()),
        _ => format!("{line}\n"),
    };
    said.lines().map(line).collect()
}

#[test]
fn help_and_version() {
    let folder = tempfile::tempdir().unwrap();
    check(
        folder.path(),
        &["--version"],
        &expect![[r#"
        exit code 0
        --- stdout
        healthtrail [VERSION]
        --- stderr
    "#]],
    );
    let table = [
        ("", "Turns an archive of AWS Health events"),
        ("run", "Read what is new in the archive, and add it to the lake"),
        ("inspect", "Show what one object holds"),
        ("generate", "Make a realistic archive of any size"),
        ("verify", "Check that a lake is right"),
        ("rebuild", "Write the same lake anew in another place"),
        ("forget", "Erase rows that the law wants erased"),
    ];
    for (name, beginning) in table {
        let arguments: Vec<&str> = [name, "--help"].into_iter().filter(|a| !a.is_empty()).collect();
        let ran = healthtrail(&arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{name}");
        assert!(ran.stdout.starts_with(beginning), "{name}: {}", ran.stdout);
        assert!(ran.stdout.lines().all(|line| line.chars().count() <= 100), "{}", ran.stdout);
    }
}

/// Each option of `run` that the world can set has its variable.
#[test]
fn every_option_of_run_can_be_set_by_a_variable() {
    let ran = healthtrail(&["run", "--help"]);
    let options = ran.stdout.lines().map(str::trim_start).filter_map(|line| line.split_once("--"));
    let options: Vec<&str> = options
        .filter(|(before, _)| before.is_empty() || *before == "-h, " || *before == "-V, ")
        .filter_map(|(_, rest)| rest.split([' ', '\n', '[']).next())
        .filter(|name| *name != "help")
        .collect();
    assert!(options.len() >= 25, "{options:?}");
    for option in options {
        let variable = format!("HEALTHTRAIL_{}=", option.to_uppercase().replace('-', "_"));
        assert!(ran.stdout.contains(&variable), "--{option} has no {variable}");
    }
}

#[test]
fn wrong_usage_ends_with_two() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let lake = text(at).to_owned() + "/lake";
    check(
        at,
        &["run", "--from", "x"],
        &expect![[r#"
        exit code 2
        --- stdout
        --- stderr
        error: the following required arguments were not provided:
          --to <LAKE>

        Usage: healthtrail run --from <ARCHIVE> --to <LAKE>

        For more information, try '--help'.
    "#]],
    );
    check(
        at,
        &["run", "--from", "x", "--to", &lake, "--memory", "100MiB"],
        &expect![[r#"
        exit code 2
        --- stdout
        --- stderr
        error: invalid value '100MiB' for '--memory <SIZE>': a run needs at least 128.0 MiB

        For more information, try '--help'.
    "#]],
    );
    check(
        at,
        &["run", "--from", "x", "--to", &lake, "--since", "soon"],
        &expect![[r#"
        exit code 2
        --- stdout
        --- stderr
        error: invalid value 'soon' for '--since <HOUR>': `soon` is no hour; write it as `2026-11-24` or `2026-11-24T03` (UTC)

        For more information, try '--help'.
    "#]],
    );
    check(
        at,
        &["run", "--from", "x", "--to", &lake, "--exclude", "{"],
        &expect![[r#"
        exit code 2
        --- stdout
        --- stderr
        error: invalid value '{' for '--exclude <GLOB>': error parsing glob '{': unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)

        For more information, try '--help'.
    "#]],
    );
    let hours = ["--since", "2026-08-02", "--until", "2026-08-01"];
    check(
        at,
        &[&["run", "--from", "x", "--to", &lake], &hours[..]].concat(),
        &expect![[r#"
        exit code 2
        --- stdout
        --- stderr
        error: `--since` must lie before `--until`

        Usage: healthtrail run [OPTIONS] --from <ARCHIVE> --to <LAKE>

        For more information, try '--help'.
    "#]],
    );
    assert!(!Path::new(&lake).exists());
}

#[test]
fn values_out_of_bounds_end_with_two() {
    let table: [&[&str]; 12] = [
        &["fly"],
        &["run", "--from", "x", "--to", "y", "--threads", "0"],
        &["run", "--from", "x", "--to", "y", "--wave-objects", "0"],
        &["run", "--from", "x", "--to", "y", "--fetches", "0"],
        &["run", "--from", "x", "--to", "y", "--deadline", "soon"],
        &["run", "--from", "x", "--to", "y", "--products", "some"],
        &["run", "--from", "x", "--to", "y", "--partition", "hour"],
        &["run", "--from", "x", "--to", "y", "--zone", "Nowhere/City"],
        &["run", "--from", "x", "--to", "y", "--rejects-max", "-1"],
        &["run", "--from", "x", "--to", "y", "--progress", "loud"],
        &["run", "--from", "x", "--to", "y", "--object-bytes-max", "1 parsec"],
        &["inspect"],
    ];
    for arguments in table {
        let ran = healthtrail(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn places_that_are_not_there_end_with_one_and_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (nowhere, lake) = (text(at).to_owned() + "/nowhere", text(at).to_owned() + "/lake");
    check(
        at,
        &["run", "--from", &nowhere, "--to", &lake],
        &expect![[r#"
        exit code 1
        --- stdout
        --- stderr
        error: opening `[FOLDER]/nowhere`: there is no such folder; hint: check the path, or write s3://bucket/prefix
    "#]],
    );
    check(
        at,
        &["run", "--from", "ftp://host/x", "--to", &lake],
        &expect![[r#"
            exit code 2
            --- stdout
            --- stderr
            error: opening `ftp://host/x`: only folders and s3://bucket/prefix are known, not this scheme: `ftp`
        "#]],
    );
    check(
        at,
        &["inspect", &(nowhere.clone() + "/x")],
        &expect![[r#"
        exit code 1
        --- stdout
        --- stderr
        error: opening `[FOLDER]/nowhere`: there is no such folder; hint: check the path, or write s3://bucket/prefix
    "#]],
    );
    check(
        at,
        &["inspect", "samples/archive/no-such-object"],
        &expect![[r#"
        exit code 1
        --- stdout
        --- stderr
        error: there is no object `samples/archive/no-such-object`
    "#]],
    );
    assert!(!Path::new(&lake).exists());
    let empty = at.join("empty");
    fs::create_dir(&empty).unwrap();
    check(
        at,
        &["run", "--from", text(&empty), "--to", &lake],
        &expect![[r#"
        exit code 0
        --- stdout
        [FOLDER]/lake is at version 0, after 0 new commits
          objects    0 listed = 0 in the lake before + 0 skipped + 0 read + 0 failed + 0 left
          documents  0 read = 0 with findings + 0 passed over + 0 rejected
          findings   0 read = 0 added + 0 duplicates + 0 passed over + 0 rejected
          bytes      0 B compressed, 0 B decompressed, 0 B rejected
          parts      0 written, [SIZE]
          took       [TIME AND MEMORY]
        --- stderr
        note: no object was listed; is `--from` right?
    "#]],
    );
}

#[test]
fn a_lake_refuses_what_does_not_fit_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let lake = text(at).to_owned() + "/lake";
    let run = ["run", "--from", "samples/archive", "--to", &lake, "--progress", "none"];
    check(
        at,
        &[&run[..], &["--products", "all"]].concat(),
        &expect![[r#"
            exit code 0
            --- stdout
            [FOLDER]/lake is at version 1, after 1 new commit
              objects    13 listed = 0 in the lake before + 1 skipped + 12 read + 0 failed + 0 left
              documents  42 read = 32 with findings + 4 passed over + 6 rejected
              findings   32 read = 22 added + 10 duplicates + 0 passed over + 0 rejected
              bytes      35.0 KiB compressed, 54.3 KiB decompressed, 4.8 KiB rejected
              parts      4 written, [SIZE]
              shapes     native 22, asff 7, ocsf 3
              passed     cloudtrail 1, health_api 1, insight_results 1, unrecognised 1
              rejects    not_json 2, no_identity 1, no_time 1, truncated_compression 1, unreadable_wrapper 1
              unknown    health.drill 1
              unreadable start_time 1
              skipped    folder_marker 1
              took       [TIME AND MEMORY]
            --- stderr
        "#]],
    );
    check(
        at,
        &[&run[..], &["--products", "health"]].concat(),
        &expect![[r#"
            exit code 2
            --- stdout
            --- stderr
            error: this lake holds `all` products, a run of `health` products would leave gaps (`_healthtrail/log/0000000001.json`); run with `--products all`, or fill a new lake
        "#]],
    );
    check(
        at,
        &[&run[..], &["--partition", "month"]].concat(),
        &expect![[r#"
            exit code 2
            --- stdout
            --- stderr
            error: this lake has day partitions, not month partitions (`_healthtrail/lake.json`); leave `--partition` out or give `day`; for another partitioning fill a new lake
        "#]],
    );
    let inside = ["run", "--from", &lake, "--to", &(lake.clone() + "/findings")];
    check(
        at,
        &inside,
        &expect![[r#"
            exit code 2
            --- stdout
            --- stderr
            error: the lake `file://[FOLDER]/lake/findings/` lies inside the archive `file://[FOLDER]/lake/`; archives and lake must not overlap
        "#]],
    );
}

#[test]
fn a_run_over_the_samples_says_what_became_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let lake = text(at).to_owned() + "/lake";
    let run = ["run", "--from", "samples/archive", "--to", &lake, "--progress", "none"];
    check(
        at,
        &[&run[..], &["--exclude", "error/*"]].concat(),
        &expect![[r#"
            exit code 0
            --- stdout
            [FOLDER]/lake is at version 1, after 1 new commit
              objects    13 listed = 0 in the lake before + 2 skipped + 11 read + 0 failed + 0 left
              documents  40 read = 28 with findings + 7 passed over + 5 rejected
              findings   28 read = 19 added + 9 duplicates + 0 passed over + 0 rejected
              bytes      34.0 KiB compressed, 52.3 KiB decompressed, 4.6 KiB rejected
              parts      4 written, [SIZE]
              shapes     native 21, asff 5, ocsf 2
              passed     other_product 3, cloudtrail 1, health_api 1, insight_results 1, unrecognised 1
              rejects    not_json 2, no_identity 1, no_time 1, truncated_compression 1
              unknown    health.drill 1
              unreadable start_time 1
              skipped    excluded 1, folder_marker 1
              took       [TIME AND MEMORY]
            --- stderr
        "#]],
    );
    check(
        at,
        &[&run[..], &["--rejects-max", "0", "--until", "2026-11-20"]].concat(),
        &expect![[r#"
            exit code 0
            --- stdout
            [FOLDER]/lake is at version 1, after 0 new commits
              objects    13 listed = 11 in the lake before + 1 skipped + 0 read + 0 failed + 1 left
              documents  0 read = 0 with findings + 0 passed over + 0 rejected
              findings   0 read = 0 added + 0 duplicates + 0 passed over + 0 rejected
              bytes      0 B compressed, 0 B decompressed, 0 B rejected
              parts      0 written, [SIZE]
              skipped    folder_marker 1
              took       [TIME AND MEMORY]
            --- stderr
        "#]],
    );
    check(
        at,
        &run,
        &expect![[r#"
            exit code 0
            --- stdout
            [FOLDER]/lake is at version 2, after 1 new commit
              objects    13 listed = 11 in the lake before + 1 skipped + 1 read + 0 failed + 0 left
              documents  2 read = 1 with findings + 0 passed over + 1 rejected
              findings   1 read = 1 added + 0 duplicates + 0 passed over + 0 rejected
              bytes      1.1 KiB compressed, 2.0 KiB decompressed, 291 B rejected
              parts      2 written, [SIZE]
              shapes     native 1
              rejects    unreadable_wrapper 1
              skipped    folder_marker 1
              took       [TIME AND MEMORY]
            --- stderr
        "#]],
    );
    check(
        at,
        &run,
        &expect![[r#"
        exit code 0
        --- stdout
        [FOLDER]/lake is at version 2, after 0 new commits
          objects    13 listed = 12 in the lake before + 1 skipped + 0 read + 0 failed + 0 left
          documents  0 read = 0 with findings + 0 passed over + 0 rejected
          findings   0 read = 0 added + 0 duplicates + 0 passed over + 0 rejected
          bytes      0 B compressed, 0 B decompressed, 0 B rejected
          parts      0 written, [SIZE]
          skipped    folder_marker 1
          took       [TIME AND MEMORY]
        --- stderr
    "#]],
    );
}

#[test]
fn a_dry_run_says_what_would_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    for name in ["2026/08/01/05/a", "2026/08/03/23/b", "2026/08/09/00/c"] {
        write(&archive, name, b"{}");
    }
    write(&archive, "2026/08/01/empty", b"");
    let lake = text(folder.path()).to_owned() + "/lake";
    let run = ["run", "--from", text(&archive), "--to", &lake, "--dry-run"];
    check(
        folder.path(),
        &run,
        &expect![[r#"
        exit code 0
        --- stdout
        would read 3 of 4 objects, 6 B
          arrived  from 2026-08-01T05:00:00Z to 2026-08-09T00:00:00Z
          in lake  0
          left     0
          skipped  empty 1
        --- stderr
    "#]],
    );
    let until = [&run[..], &["--until", "2026-08-04"]].concat();
    check(
        folder.path(),
        &until,
        &expect![[r#"
        exit code 0
        --- stdout
        would read 2 of 4 objects, 4 B
          arrived  from 2026-08-01T05:00:00Z to 2026-08-03T23:00:00Z
          in lake  0
          left     1
          skipped  empty 1
        --- stderr
    "#]],
    );
    check(
        folder.path(),
        &[&run[..], &["--summary", "-"]].concat(),
        &expect![[r#"
        exit code 0
        --- stdout
        {
          "listed": 4,
          "in_ledger": 0,
          "skipped_by_reason": {
            "empty": 1
          },
          "left": 0,
          "objects": 3,
          "bytes": 6,
          "first_hour": "2026-08-01T05:00:00Z",
          "last_hour": "2026-08-09T00:00:00Z"
        }
        --- stderr
    "#]],
    );
    assert!(fs::metadata(&lake).is_err());
}

#[test]
fn inspect_shows_an_object() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let object = "samples/archive/health/2026/11/21/07/by-hand-2026-11-21.json";
    check(
        at,
        &["inspect", object],
        &expect![[r#"
        exit code 0
        --- stdout
        file://[PROJECT]/samples/archive/health/2026/11/21/07/by-hand-2026-11-21.json
        not compressed: 8.4 KiB stored, 8.4 KiB unpacked
        7 documents: 3 with findings, 2 passed over, 2 rejected

                4 +1895    asff                         with findings
                           row     asff  777788889999  ACM  AWS_ACM_RENEWAL_STATE_CHANGE  -  2026-11-20T10:05:00Z
             1903 +1723    ocsf                         with findings
                           row     ocsf  777788889999  RISK  AWS_RISK_CREDENTIALS_EXPOSED  -  2026-11-21T06:14:58.5Z
             3630 +1095    health_detail                with findings
                           row     native  777788889999  LAMBDA  AWS_LAMBDA_PLANNED_LIFECYCLE_EVENT  UPCOMING  2026-11-21T04:00:00Z
             4729 +376     health_api                   passed over: health_api
             5109 +71      unknown                      passed over: unrecognised
             5184 +1745    asff                         rejected: no_time
                           reject  no_time in normalize: `time` of the envelope, `UpdatedAt` and `CreatedAt` are missing or no times of the years 2015 to 2100
             6933 +1676    asff                         rejected: no_identity
                           reject  no_identity in normalize: the ASFF finding has no `Id`
        --- stderr
    "#]],
    );
    let object = at.join("odd\nname");
    fs::write(&object, "{\"a\":1} \u{1b}[31m junk\n[1,\"\u{1b}\"]").unwrap();
    check(
        at,
        &["inspect", text(&object)],
        &expect![[r#"
        exit code 0
        --- stdout
        file://[FOLDER]/odd�name
        not compressed: 26 B stored, 26 B unpacked
        2 documents: 0 with findings, 1 passed over, 1 rejected

                0 +7       unknown                      passed over: unrecognised
                8 +18      none                         rejected: not_json
                           reject  not_json in split: bytes that are no JSON document
        --- stderr
    "#]],
    );
}
