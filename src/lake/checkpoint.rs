//! The ledger as a file, so that loading does not read the whole log.
//!
//! Open hours list their objects, closed ones only say what they add up to: some 30 bytes each as stored.
//!
//! In: a ledger, or the bytes of `_healthtrail/checkpoints/<number>.json.zst`. Out: the other. It is
//! JSON lines under zstd: a head, what the ledger holds, and an end that counts the lines. A checkpoint
//! that is cut, damaged or of another format is an error in words, which costs only time: an older one
//! or the log itself is read instead.

use std::io::{BufRead, BufReader, Read, Write};

use serde::{Deserialize, Serialize};

use super::ids::{id_text, parse_id};
use super::layout::{Partition, Table};
use super::ledger::{
    Checked, Closed, DamagedFile, Entry, Failure, Figures, Group, Hour, Ids, Ledger, LedgerFile,
    ObjectId, Profile, Sum,
};
use super::record::{AcceptedObject, Products, Settings, Tombstone, Totals};

/// The format of checkpoints that this program writes, and the only one it reads.
const FORMAT: u32 = 2;
/// Objects that share a line.
const IDS_PER_LINE: usize = 1_000;
/// No line that this program writes is longer.
const LINE_BYTES_MAX: u64 = 1 << 20;
const ZSTD_LEVEL: i32 = 3;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Head {
        format: u32,
        number: u64,
        commit_id: String,
        products: Products,
        totals: Totals,
        // Not in format 1, whose number is to be told and not a missing field.
        #[serde(default)]
        newest_ms: i64,
    },
    Profile(Profile),
    FailureKind(String),
    WithdrawnCommit(u64),
    Accepted(AcceptedObject),
    Tombstone(Tombstone),
    File {
        table: Table,
        partition: Partition,
        file: LedgerFile,
    },
    Damaged {
        table: Table,
        partition: Partition,
        file: DamagedFile,
    },
    /// In the order of their numbers.
    Root(String),
    /// Consumed objects of one hour.
    Open {
        hour: (i64, u32),
        /// 32 hex digits each, without anything between them.
        ids: String,
        /// For each commit, profile, bytes, `LastModified`, findings, rejects.
        entries: Vec<(u32, u32, u64, i64, u32, u32)>,
    },
    Closed(ClosedLine),
    /// An hour that was closed once, and how many objects came late.
    Reopened {
        hour: (i64, u32),
        late: u64,
    },
    Checked {
        hour: (i64, u32),
        count: u64,
        digest: String,
        settings: Settings,
        expired: u64,
    },
    /// Ids of failed objects.
    Failed {
        kind: u32,
        commit: u32,
        hour: Option<(i64, u32)>,
        ids: String,
    },
    End {
        lines: u64,
    },
}

/// A closed hour.
#[derive(Serialize, Deserialize)]
struct ClosedLine {
    hour: (i64, u32),
    digest: String,
    /// Objects, bytes, findings, rejects.
    sums: (u64, u64, u64, u64),
    /// The first and the last `LastModified`, counted from the hour's beginning.
    span: (i64, i64),
    #[serde(default, skip_serializing_if = "is_zero")]
    late: u64,
    /// Commit, profile, objects.
    groups: Vec<(u32, u32, u32)>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The ledger's bytes. Equal ledgers give equal bytes.
pub fn encode(ledger: &Ledger) -> std::io::Result<Vec<u8>> {
    let encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
    let mut out = LineWriter { encoder, lines: 0 };
    out.write(&Line::Head {
        format: FORMAT,
        number: ledger.version,
        commit_id: ledger.commit_id.clone(),
        products: ledger.products.unwrap_or(Products::Health),
        totals: ledger.totals,
        newest_ms: ledger.newest_ms,
    })?;
    for profile in &ledger.profiles {
        out.write(&Line::Profile(profile.clone()))?;
    }
    for kind in &ledger.failure_kinds {
        out.write(&Line::FailureKind(kind.clone()))?;
    }
    for commit in &ledger.withdrawn_commits {
        out.write(&Line::WithdrawnCommit(*commit))?;
    }
    for object in &ledger.accepted {
        out.write(&Line::Accepted(object.clone()))?;
    }
    for tombstone in &ledger.tombstones {
        out.write(&Line::Tombstone(tombstone.clone()))?;
    }
    for (table, partition, file) in ledger.all_files() {
        out.write(&Line::File { table, partition, file: file.clone() })?;
    }
    for ((table, partition), files) in &ledger.damaged {
        for file in files {
            out.write(&Line::Damaged { table: *table, partition: *partition, file: file.clone() })?;
        }
    }
    write_hours(&mut out, ledger)?;
    write_failed(&mut out, ledger)?;
    let lines = out.lines;
    out.write(&Line::End { lines })?;
    out.encoder.finish()
}

fn write_hours(out: &mut LineWriter, ledger: &Ledger) -> std::io::Result<()> {
    for root in ledger.roots.names() {
        out.write(&Line::Root(root.clone()))?;
    }
    for (hour, closed) in &ledger.closed {
        out.write(&Line::Closed(ClosedLine::of(*hour, closed)))?;
    }
    for (hour, ids) in &ledger.open {
        let mut sorted: Vec<(ObjectId, Entry)> = ids.iter().map(|(id, one)| (*id, *one)).collect();
        sorted.sort_unstable_by_key(|(id, _)| *id);
        for chunk in sorted.chunks(IDS_PER_LINE) {
            let entries = chunk.iter().map(|(_, entry)| {
                let Entry { commit, profile, bytes, modified_ms, findings, rejects } = *entry;
                (commit, profile, bytes, modified_ms, findings, rejects)
            });
            let ids = chunk.iter().map(|(id, _)| id_text((*id).into())).collect();
            out.write(&Line::Open { hour: pair(*hour), ids, entries: entries.collect() })?;
        }
    }
    for (hour, late) in &ledger.reopened {
        out.write(&Line::Reopened { hour: pair(*hour), late: *late })?;
    }
    for (hour, checked) in &ledger.checked {
        let Checked { listed: Sum { count, digest }, settings, expired } = *checked;
        let (hour, digest) = (pair(*hour), id_text(digest));
        out.write(&Line::Checked { hour, count, digest, settings, expired })?;
    }
    Ok(())
}

fn write_failed(out: &mut LineWriter, ledger: &Ledger) -> std::io::Result<()> {
    let key = |failure: &Failure| (failure.kind, failure.commit, failure.hour);
    let mut failed: Vec<(Failure, ObjectId)> =
        ledger.failed.iter().map(|(id, failure)| (*failure, *id)).collect();
    failed.sort_unstable_by_key(|(failure, id)| (key(failure), *id));
    for group in failed.chunk_by(|one, two| one.0 == two.0) {
        for chunk in group.chunks(IDS_PER_LINE) {
            let Some((Failure { kind, commit, hour }, _)) = chunk.first().copied() else {
                continue;
            };
            let ids = chunk.iter().map(|(_, id)| id_text((*id).into())).collect();
            out.write(&Line::Failed { kind, commit, hour: hour.map(pair), ids })?;
        }
    }
    Ok(())
}

fn pair(hour: Hour) -> (i64, u32) {
    (hour.number, hour.root)
}

fn hour((number, root): (i64, u32)) -> Hour {
    Hour { number, root }
}

impl ClosedLine {
    fn of(hour: Hour, closed: &Closed) -> Self {
        let Figures { objects, bytes, findings, rejects, first_ms, last_ms } = closed.figures;
        let start_ms = hour.start_ms();
        let group = |group: &Group| (group.commit, group.profile, group.count);
        Self {
            hour: pair(hour),
            digest: id_text(closed.digest),
            sums: (objects, bytes, findings, rejects),
            span: (first_ms.wrapping_sub(start_ms), last_ms.wrapping_sub(start_ms)),
            late: closed.late,
            groups: closed.groups.iter().map(group).collect(),
        }
    }

    fn read(self) -> Result<(Hour, Closed), String> {
        let hour = hour(self.hour);
        let (objects, bytes, findings, rejects) = self.sums;
        let start_ms = hour.start_ms();
        let first_ms = self.span.0.wrapping_add(start_ms);
        let last_ms = self.span.1.wrapping_add(start_ms);
        let figures = Figures { objects, bytes, findings, rejects, first_ms, last_ms };
        let group = |(commit, profile, count)| Group { commit, profile, count };
        let groups = self.groups.into_iter().map(group).collect();
        Ok((hour, Closed { digest: digest(&self.digest)?, figures, groups, late: self.late }))
    }
}

fn digest(text: &str) -> Result<u128, String> {
    parse_id(text.as_bytes()).ok_or_else(|| "it has a digest that is not 32 hex digits".into())
}

struct LineWriter {
    encoder: zstd::stream::write::Encoder<'static, Vec<u8>>,
    lines: u64,
}

impl LineWriter {
    fn write(&mut self, line: &Line) -> std::io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.lines += 1;
        self.encoder.write_all(&bytes)
    }
}

/// Reads a checkpoint of commit `number`; what is wrong with it otherwise.
pub fn decode(bytes: &[u8], number: u64) -> Result<Ledger, String> {
    let decoder = zstd::stream::read::Decoder::new(bytes).map_err(|error| error.to_string())?;
    let mut reader = BufReader::new(decoder);
    let mut ledger = Ledger::default();
    let mut lines = 0_u64;
    let mut text = Vec::new();
    loop {
        text.clear();
        let mut limited = reader.by_ref().take(LINE_BYTES_MAX);
        limited.read_until(b'\n', &mut text).map_err(|error| error.to_string())?;
        if text.pop() != Some(b'\n') {
            return Err(format!("it is cut after {lines} lines"));
        }
        let line = serde_json::from_slice(&text)
            .map_err(|error| format!("line {} cannot be read: {error}", lines + 1))?;
        match line {
            Line::End { lines: written } if written == lines => break,
            Line::End { .. } => return Err(format!("it ends after {lines} lines")),
            Line::Head { .. } if lines > 0 => return Err("it has two heads".into()),
            line if lines == 0 && !matches!(line, Line::Head { .. }) => {
                return Err("it has no head".into());
            }
            line => add(&mut ledger, line)?,
        }
        lines += 1;
    }
    if ledger.version != number {
        return Err(format!("it is of commit {}, not {number}", ledger.version));
    }
    Ok(ledger)
}

fn add(ledger: &mut Ledger, line: Line) -> Result<(), String> {
    match line {
        Line::Head { format, .. } if format != FORMAT => {
            return Err(format!("it has format {format}, not {FORMAT}"));
        }
        Line::Head { number, commit_id, products, totals, newest_ms, .. } => {
            (ledger.version, ledger.checkpoint) = (number, number);
            (ledger.commit_id, ledger.products) = (commit_id, Some(products));
            (ledger.totals, ledger.newest_ms) = (totals, newest_ms);
        }
        Line::Profile(profile) => {
            ledger.profile_number(profile);
        }
        Line::FailureKind(kind) => {
            ledger.failure_kind(&kind);
        }
        Line::WithdrawnCommit(commit) => {
            ledger.withdrawn_commits.insert(commit);
        }
        Line::Accepted(object) => ledger.accept(object),
        Line::Tombstone(tombstone) => {
            ledger.tombstones.insert(tombstone);
        }
        Line::File { table, partition, file } => {
            ledger.files.entry((table, partition)).or_default().push(file);
        }
        Line::Damaged { table, partition, file } => {
            ledger.damaged.entry((table, partition)).or_default().push(file);
        }
        Line::Root(root) => {
            ledger.roots.number(&root);
        }
        Line::Closed(line) => {
            let (hour, closed) = line.read()?;
            ledger.closed.insert(hour, closed);
        }
        Line::Open { hour: at, ids, entries } => {
            add_open(ledger.open.entry(hour(at)).or_default(), &ids, entries)?;
        }
        Line::Reopened { hour: at, late } => {
            ledger.reopened.insert(hour(at), late);
        }
        Line::Checked { hour: at, count, digest: text, settings, expired } => {
            let listed = Sum { count, digest: digest(&text)? };
            ledger.checked.insert(hour(at), Checked { listed, settings, expired });
        }
        Line::Failed { kind, commit, hour: at, ids } => {
            for id in parse_ids(&ids)? {
                ledger.remember_failure(id, Failure { kind, commit, hour: at.map(hour) });
            }
        }
        Line::End { .. } => {}
    }
    Ok(())
}

fn add_open(
    open: &mut Ids,
    ids: &str,
    entries: Vec<(u32, u32, u64, i64, u32, u32)>,
) -> Result<(), String> {
    let ids = parse_ids(ids)?;
    if ids.len() != entries.len() {
        return Err("it has an hour with more ids than objects, or fewer".into());
    }
    for (id, entry) in ids.into_iter().zip(entries) {
        let (commit, profile, bytes, modified_ms, findings, rejects) = entry;
        open.insert(id, Entry { commit, profile, bytes, modified_ms, findings, rejects });
    }
    Ok(())
}

fn parse_ids(ids: &str) -> Result<Vec<ObjectId>, String> {
    let parse = |digits: &[u8]| parse_id(digits).map(ObjectId::from);
    let ids: Option<Vec<ObjectId>> = ids.as_bytes().chunks(32).map(parse).collect();
    ids.ok_or_else(|| "it has an id that is not 32 hex digits".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::record::{DoneMark, FailedObject, ObjectList, Objects, Withdrawn};
    use crate::lake::testing::{SETTINGS, object, record};

    /// A ledger with something of everything.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        for number in 1..=3 {
            let mut consumed: Vec<_> =
                (0..1_500).map(|key| object(&format!("{number}/{key}"))).collect();
            consumed[0].tally.passed_over_by_kind.add("other_product", number);
            // The last commit closes the hours of the first two, one of which comes back.
            consumed[1].last_modified_ms = if number == 3 { 400 * 3_600_000 } else { 7 };
            let failed = FailedObject {
                archive: "memory://archive".into(),
                key: format!("failed/{number}"),
                etag: "1".into(),
                kind: format!("kind {}", number % 2),
                message: String::new(),
            };
            let accepted = AcceptedObject {
                archive: "memory://archive".into(),
                key: format!("accepted/{number}"),
                etag: "1".into(),
                reason: "cut off by its writer".into(),
            };
            let objects = Objects { consumed, failed: vec![failed], accepted: vec![accepted] };
            let files = [24, 25].map(|day| {
                let partition = format!("2026-11-{day}").parse().unwrap();
                crate::lake::record::FileRecord {
                    table: Table::Findings,
                    partition,
                    staged: String::new(),
                    key: crate::lake::layout::part_key(
                        Table::Findings,
                        partition,
                        number,
                        &"ab".repeat(32),
                    ),
                    rows: 1,
                    bytes: 1,
                    sha256: "ab".repeat(32),
                    time_ms: (0, 0),
                    ids: (String::new(), String::new()),
                }
            });
            let mut done = DoneMark::default();
            done.damaged.insert(files[0].key.clone(), "is gone".into());
            let list = ObjectList::Inline(objects.clone());
            let mut record = record(number, "run", list, files.to_vec());
            if number == 3 {
                let key = record.files[1].key.replace("0000000003", "0000000001");
                record.withdrawn.push(Withdrawn { key, commit: 1, reopen: true });
                record.tombstones.push(Tombstone::Finding("ab".repeat(16)));
            }
            ledger.fold(&record, Some(&objects), &done).unwrap();
        }
        ledger.checkpoint = 3;
        let hour = *ledger.closed.keys().next().unwrap();
        let listed = Sum { count: 2, digest: u128::MAX };
        ledger.checked.insert(hour, Checked { listed, settings: SETTINGS, expired: 3 });
        ledger.reopened.insert(*ledger.open.keys().next_back().unwrap(), 1);
        assert!(ledger.closed.len() == 2 && ledger.open.len() == 2, "{:?}", ledger.open.keys());
        ledger
    }

    #[test]
    fn a_ledger_comes_back_as_it_was_and_gives_the_same_bytes() {
        let ledger = ledger();
        let bytes = encode(&ledger).unwrap();
        let decoded = decode(&bytes, 3).unwrap();
        assert_eq!(decoded, ledger);
        assert_eq!(encode(&decoded).unwrap(), bytes);
        assert!(ledger.damaged().count() > 0 && !ledger.withdrawn_commits.is_empty());
    }

    #[test]
    fn damage_is_told_in_words_and_never_a_panic() {
        let bytes = encode(&ledger()).unwrap();
        assert!(decode(&bytes, 4).unwrap_err().contains("of commit 3, not 4"));
        for length in (0..bytes.len()).step_by(997).chain([bytes.len() - 1]) {
            assert!(decode(&bytes[..length], 3).is_err(), "{length} bytes");
        }
        let text = zstd::decode_all(&bytes[..]).unwrap();
        let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        let join = |lines: &[&[u8]]| zstd::encode_all(&lines.concat()[..], 1).unwrap();
        let last = lines.len() - 1;
        let cases = [
            ("a line is missing", join(&[&lines[..5], &lines[6..]].concat())),
            ("no end", join(&lines[..last])),
            ("no head", join(&lines[1..])),
            ("two heads", join(&[&lines[..1], &lines[..]].concat())),
            ("another format", {
                let head = String::from_utf8(lines[0].to_vec()).unwrap();
                let head = head.replace("\"format\":2", "\"format\":1");
                join(&[&[head.as_bytes()], &lines[1..]].concat())
            }),
            ("an endless line", zstd::encode_all(&vec![b' '; 3 << 20][..], 1).unwrap()),
            ("no zstd", text.clone()),
        ];
        for (case, bytes) in cases {
            assert!(decode(&bytes, 3).is_err(), "{case}");
        }
    }
}
