//! How much memory a run takes: under `--memory` and [`BEYOND_BYTES`], however much there is to read and
//! however it is made. The high-water mark of the resident set, as the kernel keeps it, is looked at while
//! the program runs. The matrix of `tests/attack memory` is ignored here, since it takes minutes;
//! `ATTACK_BINARY` names another build of the program to measure.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::{command, gzip, health_event, healthtrail, number, text, write};

/// What a run may take beside `--memory`: the program's own code and tables, and what the allocator holds
/// for its threads. docs/robustness.md states it.
const BEYOND_BYTES: u64 = 64 << 20;

const MIB: u64 = 1 << 20;

/// How often the mark is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// One run.
struct Measured {
    summary: serde_json::Value,
    peak_bytes: u64,
    took: Duration,
}

/// The program to measure.
fn program() -> Command {
    match std::env::var_os("ATTACK_BINARY") {
        Some(path) => Command::new(path),
        None => command(),
    }
}

/// The high-water mark of a process's resident set; `None` once it has ended.
fn high_water_bytes(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}

/// Runs `healthtrail run` and measures it.
fn measure(archive: &Path, lake: &Path, memory: u64, options: &[&str]) -> Measured {
    let begun = Instant::now();
    let memory = format!("{}MiB", memory / MIB);
    let output = lake.with_extension("json");
    let mut child = program()
        .args(["run", "--from", text(archive), "--to", text(lake), "--products", "all"])
        .args(["--progress", "none", "--memory", &memory, "--summary", text(&output)])
        .args(options)
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut peak_bytes = 0;
    let status = loop {
        peak_bytes = high_water_bytes(child.id()).unwrap_or(0).max(peak_bytes);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        // Not a wait for something to happen: the next sample.
        std::thread::sleep(LOOK);
    };
    assert!(status.success(), "{}: {status}", archive.display());
    let summary = serde_json::from_slice(&fs::read(&output).unwrap()).unwrap();
    Measured { summary, peak_bytes, took: begun.elapsed() }
}

/// Prints a line of the table, and holds the figure against the promise.
fn tell(what: &str, memory: u64, measured: &Measured) {
    let summary = &measured.summary;
    println!(
        "memory  {what:<34} --memory {:>4} MiB  peak {:>4} MiB  read {:>6} MiB  rows {:>8}  rejects {:>7}  {:>4} s",
        memory / MIB,
        measured.peak_bytes / MIB,
        number(summary, "bytes.decompressed") / MIB,
        number(summary, "findings.added"),
        number(summary, "documents.rejected") + number(summary, "findings.rejected"),
        measured.took.as_secs(),
    );
    assert!(
        measured.peak_bytes <= memory + BEYOND_BYTES,
        "{what}: {} MiB at --memory {} MiB",
        measured.peak_bytes / MIB,
        memory / MIB
    );
}

/// A generated archive of about so many messages, in objects of a few MiB.
fn generate(archive: &Path, events: u64) {
    let (objects, events) = ((events / 1_000).max(4).to_string(), events.to_string());
    let options = ["--objects", &objects, "--events", &events, "--days", "30"];
    let ran = healthtrail(&[&["generate", "--to", text(archive)], options.as_slice()].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

/// An object of one kind of excess, and how many of it lie in the archive. `scale` makes it as large as
/// the matrix has it, or small enough for the ordinary tests.
struct Excess {
    name: &'static str,
    object: fn(usize) -> Vec<u8>,
    copies: usize,
}

const EXCESSES: [Excess; 12] = [
    Excess { name: "a million entities", object: entities, copies: 8 },
    Excess { name: "a million keys", object: keys, copies: 8 },
    Excess { name: "a million tags", object: tags, copies: 8 },
    Excess { name: "documents as long as allowed", object: long_texts, copies: 16 },
    Excess { name: "strings of 64 MiB", object: long_string, copies: 8 },
    Excess { name: "gzip bombs of 1 GiB", object: bomb, copies: 8 },
    Excess { name: "64 Mi brackets", object: brackets, copies: 4 },
    Excess { name: "half a million tiny findings", object: tiny_findings, copies: 4 },
    Excess { name: "half a million rejects", object: junk, copies: 4 },
    Excess { name: "findings without end in one", object: many_in_one, copies: 8 },
    Excess { name: "records that unfold", object: records, copies: 8 },
    Excess { name: "quotes that never end", object: quotes, copies: 8 },
];

/// An event whose entities are these.
fn event_with(entities: &str) -> String {
    let event = health_event(1, "2026-08-01", "111122223333");
    let begin = event.find("[{\"entityValue\"").unwrap();
    let end = begin + event[begin..].find(']').unwrap();
    format!("{}[{entities}{}", &event[..begin], &event[end..])
}

fn repeated(count: usize, each: impl Fn(usize) -> String) -> String {
    (0..count).map(each).collect::<Vec<_>>().join(",")
}

fn entities(scale: usize) -> Vec<u8> {
    gzip(
        event_with(&repeated(10_000 * scale, |n| format!("{{\"entityValue\":\"{n}\"}}")))
            .as_bytes(),
    )
}

fn keys(scale: usize) -> Vec<u8> {
    let event = health_event(1, "2026-08-01", "111122223333");
    let keys = repeated(10_000 * scale, |n| format!("\"k{n}\":{n}"));
    gzip(event.replacen("\"service\"", &format!("{keys},\"service\""), 1).as_bytes())
}

fn tags(scale: usize) -> Vec<u8> {
    let tags = repeated(10_000 * scale, |n| format!("\"k{n}\":\"v\""));
    gzip(event_with(&format!("{{\"entityValue\":\"i\",\"tags\":{{{tags}}}}}")).as_bytes())
}

/// Texts that hardly compress, so that what is written is as large as what is read.
fn long_texts(scale: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut text = String::new();
    while text.len() < 140 * 1024 * scale {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        write!(text, "{state:x}").unwrap();
    }
    gzip(health_event(1, "2026-08-01", "111122223333").replace("is impaired", &text).as_bytes())
}

fn long_string(scale: usize) -> Vec<u8> {
    gzip(format!("{{\"a\":\"{}\"}}", "x".repeat(640 * 1024 * scale)).as_bytes())
}

fn bomb(scale: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![b' '; 1 << 20];
    for _ in 0..10 * scale {
        std::io::Write::write_all(&mut encoder, &zeros).unwrap();
    }
    encoder.finish().unwrap()
}

fn brackets(scale: usize) -> Vec<u8> {
    gzip(&vec![b'['; 640 * 1024 * scale])
}

fn tiny_findings(scale: usize) -> Vec<u8> {
    let each = |n| {
        format!(
            r#"{{"eventArn":"arn:aws:health:us-east-1::event/E/C/{n}","service":"E","lastUpdatedTime":"2026-08-01T10:00:00Z"}}"#
        )
    };
    gzip((0..5_000 * scale).map(each).collect::<String>().as_bytes())
}

fn junk(scale: usize) -> Vec<u8> {
    gzip("{}{]".repeat(5_000 * scale).as_bytes())
}

fn many_in_one(scale: usize) -> Vec<u8> {
    let finding = r#"{"Id":"i","ProductArn":"p","UpdatedAt":"2026-08-01T00:00:00Z","Title":"t"}"#;
    gzip(
        format!("{{\"Findings\":[{}]}}", repeated(1_700 * scale, |_| finding.to_owned()))
            .as_bytes(),
    )
}

fn records(scale: usize) -> Vec<u8> {
    use base64::Engine as _;
    let inner = gzip(health_event(1, "2026-08-01", "1").repeat(500 * scale).as_bytes());
    let data = base64::engine::general_purpose::STANDARD.encode(inner);
    gzip(format!(r#"{{"attemptsMade":4,"errorCode":"x","rawData":"{data}"}}"#).as_bytes())
}

fn quotes(scale: usize) -> Vec<u8> {
    gzip(format!("{{\"a\":[{}", "\"\\\\\\\"".repeat(40 * 1024 * scale)).as_bytes())
}

fn excess(root: &Path, excess: &Excess, scale: usize, copies: usize, memory: u64) {
    let folder = root.join(excess.name.replace(' ', "-"));
    let (archive, lake) = (folder.join("archive"), folder.join("lake"));
    let object = (excess.object)(scale);
    for copy in 0..copies {
        // No two alike, or all but one would be duplicates; plain bytes may follow no gzip.
        let mut bytes = gzip(format!("{{\"copy\":{copy}}}").as_bytes());
        bytes.extend_from_slice(&object);
        write(&archive, &format!("2026/08/01/05/{copy}"), &bytes);
    }
    tell(excess.name, memory, &measure(&archive, &lake, memory, &["--entities-max", "4000000"]));
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn memory_stays_under_its_bound_with_a_little_of_each_excess() {
    let folder = tempfile::tempdir().unwrap();
    for one in EXCESSES.iter().step_by(3) {
        excess(folder.path(), one, 10, 2, 128 * MIB);
    }
}

/// Part of `tests/attack memory`: the same archive once, ten and a hundred times as large.
#[test]
#[ignore = "takes minutes"]
fn matrix_curve() {
    let folder = tempfile::tempdir().unwrap();
    let unit = 2_000;
    for times in [1, 10, 100] {
        let archive = folder.path().join(format!("archive-{times}"));
        generate(&archive, unit * times);
        for memory in [128 * MIB, 512 * MIB] {
            let lake = folder.path().join(format!("lake-{times}-{}", memory / MIB));
            let measured = measure(&archive, &lake, memory, &[]);
            tell(&format!("generated archive, {times}x"), memory, &measured);
            fs::remove_dir_all(&lake).unwrap();
        }
        fs::remove_dir_all(&archive).unwrap();
    }
}

/// Part of `tests/attack memory`: every excess in full.
#[test]
#[ignore = "takes minutes"]
fn matrix_excesses() {
    let folder = tempfile::tempdir().unwrap();
    for memory in [128 * MIB, 512 * MIB, 1024 * MIB] {
        for one in &EXCESSES {
            excess(folder.path(), one, 100, one.copies, memory);
        }
    }
}
