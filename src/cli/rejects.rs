//! `healthtrail rejects`: what could not become a finding, and why.

use std::collections::BTreeMap;
use std::io;

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use serde_json::json;

use super::options::StoreArgs;
use super::values::{self, printable, show_count};
use super::{Outcome, printer};
use crate::finding::reject::{Reason, Stage};
use crate::job::rejects::{Shown, Standing, rejects as read, show};
use crate::lake::ids::{id_text, parse_id};
use crate::lake::reject_rows::{RejectFilter, RejectView};
use crate::lake::rejects::State;
use crate::store::{Store, open};

/// Show what could not become a finding: grouped, one by one, or one with its bytes
///
/// Reads the lake's `rejects` table and changes nothing. Without `--list`, `--show` or `--bytes` it
/// groups by reason and stage. A reject counts by the latest state that the lake has of it: `open` stands
/// for all that no later reading has settled, as in the view `rejects_open`.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 shown; 1 failed, and safe to run again; 2 wrong usage.\n\n\
    Examples:\n  \
    healthtrail rejects --lake lake\n  \
    healthtrail rejects --lake s3://my-lake/health --list --reason not_json --since 2026-11-01\n  \
    healthtrail rejects --lake lake --show 5d1f0c5e0b7f4c0a9b1de6b2a9c4e7d3")]
pub(super) struct RejectsArgs {
    /// Lake to read: a folder or `s3://bucket/prefix`
    #[arg(long, value_name = "LAKE", env = "HEALTHTRAIL_LAKE")]
    lake: String,

    /// One line for each: id, state, reason, object, offset, length, ordinal
    #[arg(long, env = "HEALTHTRAIL_REJECTS_LIST", value_parser = clap::builder::FalseyValueParser::new())]
    list: bool,

    /// Everything of one reject, its bytes as text, or as hex where they are none
    #[arg(long, value_name = "ID", value_parser = id, conflicts_with_all = ["list", "bytes"])]
    show: Option<u128>,

    /// The bytes of one reject, as they are, to standard output; at most 1 MiB is kept of each
    #[arg(long, value_name = "ID", value_parser = id, conflicts_with = "list")]
    bytes: Option<u128>,

    #[command(flatten)]
    filter: FilterArgs,

    /// Which state they must be in
    #[arg(long, env = "HEALTHTRAIL_REJECTS_STATE", default_value = "open")]
    state: StateArg,

    /// At most so many lines of `--list`
    #[arg(long, value_name = "N", env = "HEALTHTRAIL_REJECTS_LIMIT")]
    limit: Option<u64>,

    /// Print JSON, one line for each reject or group
    #[arg(long, env = "HEALTHTRAIL_REJECTS_JSON", value_parser = clap::builder::FalseyValueParser::new())]
    json: bool,

    #[command(flatten)]
    stores: StoreArgs,
}

/// Which rejects.
#[derive(Debug, Clone, Args)]
pub(super) struct FilterArgs {
    /// Only rejects of this reason; give it once for each, or with commas
    #[arg(long, value_name = "REASON", env = "HEALTHTRAIL_REJECTS_REASON", value_delimiter = ',', value_parser = reason)]
    reason: Vec<String>,

    /// Only rejects of this stage: `unpack`, `split`, `recognize`, `normalize`
    #[arg(long, value_name = "STAGE", env = "HEALTHTRAIL_REJECTS_STAGE", value_delimiter = ',', value_parser = stage)]
    stage: Vec<String>,

    /// Only objects whose URI begins so
    #[arg(
        long,
        value_name = "URI",
        env = "HEALTHTRAIL_REJECTS_OBJECT",
        default_value = "",
        hide_default_value = true
    )]
    object: String,

    /// First arrival hour: `2026-11-24` or `2026-11-24T03`, UTC
    #[arg(long, value_name = "HOUR", env = "HEALTHTRAIL_REJECTS_SINCE", value_parser = values::hour)]
    since: Option<i64>,

    /// First arrival hour to leave out again
    #[arg(long, value_name = "HOUR", env = "HEALTHTRAIL_REJECTS_UNTIL", value_parser = values::hour)]
    until: Option<i64>,
}

impl FilterArgs {
    /// The filter.
    pub(super) fn filter(&self) -> RejectFilter {
        RejectFilter {
            reasons: self.reason.clone(),
            stages: self.stage.clone(),
            object: self.object.clone(),
            since_ms: self.since,
            until_ms: self.until,
        }
    }

    /// Whether rejects are chosen by what they are, not by where they come from.
    pub(super) fn is_of_rejects(&self) -> bool {
        !self.reason.is_empty() || !self.stage.is_empty()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum StateArg {
    /// All that wait: never tried again, or tried without success
    Open,
    /// Read again by a redrive, and rejected still
    StillFailing,
    /// Their object was gone when a redrive looked for it
    ObjectGone,
    /// Another object lay under the key
    ObjectChanged,
    /// No rejects any more
    Redriven,
    /// All that there ever were
    All,
}

impl StateArg {
    fn standing(self) -> Standing {
        match self {
            Self::Open => Standing::Waiting,
            Self::StillFailing => Standing::In(State::StillFailing),
            Self::ObjectGone => Standing::In(State::ObjectGone),
            Self::ObjectChanged => Standing::In(State::ObjectChanged),
            Self::Redriven => Standing::In(State::Redriven),
            Self::All => Standing::Any,
        }
    }
}

fn id(text: &str) -> Result<u128, String> {
    parse_id(text.as_bytes())
        .ok_or_else(|| format!("`{text}` is no reject id; `--list` shows them: 32 hex digits"))
}

fn among(text: &str, what: &str, names: &[&str]) -> Result<String, String> {
    if names.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is no {what}; there are {}", names.join(", ")))
}

fn reason(text: &str) -> Result<String, String> {
    among(text, "reason", &Reason::ALL.map(Reason::name))
}

fn stage(text: &str) -> Result<String, String> {
    among(text, "stage", &Stage::ALL.map(Stage::name))
}

/// Runs the command.
pub(super) async fn rejects(args: RejectsArgs) -> anyhow::Result<Outcome> {
    let lake = open(&args.lake, &args.stores.lake(&args.lake, false)).await?;
    if let Some(id) = args.show.or(args.bytes) {
        let shown = show(&lake, id).await?;
        let shown = shown.ok_or_else(|| {
            let (id, lake) = (id_text(id), lake.base_uri());
            anyhow!(
                "the lake `{lake}` has no reject `{id}`; `healthtrail rejects --list` names them"
            )
        })?;
        return if args.bytes.is_some() {
            print_bytes(&shown)
        } else {
            print_one(id, &shown, args.json)
        };
    }
    if args.list { list(&lake, &args).await } else { groups(&lake, &args).await }
}

async fn list(lake: &std::sync::Arc<dyn Store>, args: &RejectsArgs) -> anyhow::Result<Outcome> {
    let mut left = args.limit.unwrap_or(u64::MAX);
    let mut written: io::Result<()> = Ok(());
    if left == 0 {
        return Ok(Outcome::Done);
    }
    read(lake, &args.filter.filter(), args.state.standing(), |row| {
        let line = if args.json { as_json(row).to_string() } else { as_line(row) };
        written = printer::data(line);
        left -= 1;
        written.is_ok() && left > 0
    })
    .await?;
    written?;
    Ok(Outcome::Done)
}

fn as_line(row: &RejectView<'_>) -> String {
    let ordinal = row.ordinal.map_or_else(String::new, |ordinal| format!(" finding {ordinal}"));
    format!(
        "{}  {:<14} {:<21} {} at {} +{}{ordinal}",
        id_text(row.id),
        printable(row.state_name),
        printable(row.reason),
        printable(row.object),
        row.offset,
        row.length,
    )
}

fn as_json(row: &RejectView<'_>) -> serde_json::Value {
    json!({
        "reject_id": id_text(row.id),
        "state": row.state_name,
        "state_number": row.state_number,
        "state_by": row.state_by,
        "arrived_hour": hour(row.arrived_hour_ms),
        "stage": row.stage,
        "reason": row.reason,
        "detail": row.detail,
        "source_object": row.object,
        "source_etag": row.etag,
        "source_offset": row.offset,
        "source_length": row.length,
        "ordinal": row.ordinal,
        "bytes_length": row.bytes_length,
        "bytes_cut": row.bytes_cut,
    })
}

/// Rejects of one reason and stage.
struct Group {
    count: u64,
    first_ms: i64,
    last_ms: i64,
    id: u128,
    example: String,
}

async fn groups(lake: &std::sync::Arc<dyn Store>, args: &RejectsArgs) -> anyhow::Result<Outcome> {
    let mut groups: BTreeMap<(String, String), Group> = BTreeMap::new();
    read(lake, &args.filter.filter(), args.state.standing(), |row| {
        let key = (row.reason.to_owned(), row.stage.to_owned());
        let group = groups.entry(key).or_insert_with(|| Group {
            count: 0,
            first_ms: row.arrived_hour_ms,
            last_ms: row.arrived_hour_ms,
            id: row.id,
            example: format!("{} at {} +{}", row.object, row.offset, row.length),
        });
        group.count += 1;
        group.first_ms = group.first_ms.min(row.arrived_hour_ms);
        group.last_ms = group.last_ms.max(row.arrived_hour_ms);
        true
    })
    .await?;
    let mut sorted: Vec<_> = groups.into_iter().collect();
    sorted.sort_by_key(|(_, group)| std::cmp::Reverse(group.count));
    if args.json {
        for ((reason, stage), group) in &sorted {
            let line = json!({
                "reason": reason,
                "stage": stage,
                "count": group.count,
                "first_arrived_hour": hour(group.first_ms),
                "last_arrived_hour": hour(group.last_ms),
                "example_id": id_text(group.id),
                "example": group.example,
            });
            printer::data(line)?;
        }
        return Ok(Outcome::Done);
    }
    let name = args.state.to_possible_value();
    let name = name.as_ref().map_or("open", |value| value.get_name());
    let all: u64 = sorted.iter().map(|(_, group)| group.count).sum();
    let of = if name == "all" { String::new() } else { format!(" {name}") };
    let rejects = if all == 1 { "reject" } else { "rejects" };
    printer::data(format_args!("{}{of} {rejects} in {}", show_count(all), printable(&args.lake)))?;
    for ((reason, stage), group) in &sorted {
        printer::data(format_args!(
            "  {:>9}  {:<21} in {:<9}  arrived {}",
            show_count(group.count),
            printable(reason),
            printable(stage),
            span(group),
        ))?;
        printer::data(format_args!("             {}", id_text(group.id)))?;
        printer::data(format_args!("             {}", printable(&group.example)))?;
    }
    Ok(Outcome::Done)
}

fn span(group: &Group) -> String {
    let (first, last) = (hour(group.first_ms), hour(group.last_ms));
    if first == last { first } else { format!("{first} to {last}") }
}

fn hour(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).map_or_else(|_| at_ms.to_string(), |at| at.to_string())
}

fn print_bytes(shown: &Shown) -> anyhow::Result<Outcome> {
    printer::bytes(&shown.bytes)?;
    if (shown.bytes.len() as u64) < shown.bytes_length {
        printer::note(format_args!(
            "note: the lake keeps {} of {} bytes",
            show_count(shown.bytes.len() as u64),
            show_count(shown.bytes_length)
        ));
    }
    Ok(Outcome::Done)
}

fn print_one(id: u128, shown: &Shown, as_json: bool) -> anyhow::Result<Outcome> {
    if as_json {
        let states = shown.states.iter().map(
            |state| json!({"state": state.name, "state_by": state.by, "detail": state.detail}),
        );
        let text = std::str::from_utf8(&shown.bytes).ok();
        let hex = text.is_none().then(|| crate::lake::ids::hex(&shown.bytes));
        printer::data(json!({
            "reject_id": id_text(id),
            "arrived_hour": hour(shown.arrived_hour_ms),
            "stage": shown.stage,
            "reason": shown.reason,
            "source_object": shown.object,
            "source_etag": shown.etag,
            "source_offset": shown.offset,
            "source_length": shown.length,
            "ordinal": shown.ordinal,
            "bytes_length": shown.bytes_length,
            "bytes_kept": shown.bytes.len(),
            "states": states.collect::<Vec<_>>(),
            "text": text,
            "hex": hex,
        }))?;
        return Ok(Outcome::Done);
    }
    for line in describe(id, shown) {
        printer::data(line)?;
    }
    Ok(Outcome::Done)
}

fn describe(id: u128, shown: &Shown) -> Vec<String> {
    let ordinal = shown.ordinal.map_or_else(String::new, |n| format!(", finding {n} of it"));
    let mut lines = vec![
        id_text(id),
        format!("  reason   {} in {}", printable(&shown.reason), printable(&shown.stage)),
        format!("  object   {}", printable(&shown.object)),
        format!("  etag     {}", printable(&shown.etag)),
        format!("  place    {} bytes at {}{ordinal}", shown.length, shown.offset),
        format!("  arrived  {}", hour(shown.arrived_hour_ms)),
    ];
    for state in &shown.states {
        lines.push(format!("  state    {}: {}", printable(&state.name), printable(&state.detail)));
        if let Some(by) = &state.by {
            lines.push(format!("           by {}", printable(by)));
        }
    }
    let kept = shown.bytes.len() as u64;
    lines.push(match shown.bytes_length {
        all if all > 0 && kept == 0 => format!(
            "  bytes    none of {}: redacted; `healthtrail inspect` shows the object",
            show_count(all)
        ),
        0 => "  bytes    none; the document's first reject has them".to_owned(),
        all if all == kept => format!("  bytes    {}", show_count(all)),
        all => format!("  bytes    the first {} of {}", show_count(kept), show_count(all)),
    });
    match as_text(&shown.bytes) {
        Some(text) => lines.extend(text.lines().map(|line| format!("    {}", printable(line)))),
        None => lines.extend(shown.bytes.chunks(16).enumerate().map(hex_line)),
    }
    lines
}

/// Bytes that a person can read: what is cut in the middle of a letter is text too.
fn as_text(bytes: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(bytes.get(..error.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    let is_odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    (!text.chars().any(is_odd)).then_some(text)
}

fn hex_line((index, bytes): (usize, &[u8])) -> String {
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let shown =
        |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
    let text: String = bytes.iter().map(shown).collect();
    format!("    {:08x}  {:<47}  {text}", index * 16, hex.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_text_or_hex_and_never_steer_the_terminal() {
        let table: [(&[u8], &[&str]); 5] = [
            (b"{\"a\":1}\nx", &["    {\"a\":1}", "    x"]),
            ("é".as_bytes(), &["    é"]),
            (&"aé".as_bytes()[..2], &["    a"]),
            (b"\x1b[2J", &["    00000000  1b 5b 32 4a                                      .[2J"]),
            (b"\xff", &["    00000000  ff                                               ."]),
        ];
        for (bytes, expected) in table {
            let state = crate::job::rejects::ShownState {
                name: "open".into(),
                number: 0,
                by: None,
                detail: "\u{1b}[31m".into(),
            };
            let shown = Shown {
                bytes: bytes.to_vec(),
                bytes_length: bytes.len() as u64,
                states: vec![state],
                ..Shown::default()
            };
            let lines = describe(1, &shown);
            assert_eq!(lines.get(lines.len() - expected.len()..).unwrap(), expected);
            assert!(lines.iter().all(|line| !line.contains('\u{1b}')), "{lines:?}");
        }
    }
}
