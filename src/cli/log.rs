//! What goes to standard error: lines for people, or one JSON object a line.
//!
//! In: `--log`, events of `tracing`, and what the commands note. Out: lines. In JSON every line has the same
//! five members (`time`, `level`, `event`, `message`, `fields`), and nothing else is written there: no bar, no
//! plain text, a panic and a wrong command line too. What cannot be written there can be told nowhere else.

use std::fmt;
use std::io::{self, Write as _};
use std::sync::OnceLock;

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::log_lines;

/// Which lines go to standard error when nothing is said.
pub(super) const DEFAULT: &str = "warn";

static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What `--log` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogArg {
    format: LogFormat,
    filter: String,
}

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogEvent {
    /// Something that the program says of its work, by way of `tracing`.
    Log,
    /// A note for the person at the terminal.
    Note,
    /// How far the work is.
    Progress,
    /// An object that could not be read.
    ObjectFailed,
    /// Why the command failed.
    Error,
    /// The command line makes no sense.
    Usage,
    /// A defect ended the program.
    Panic,
    /// How the command ended; the last line.
    Outcome,
}

impl LogEvent {
    /// Its name in the member `event`.
    fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Note => "note",
            Self::Progress => "progress",
            Self::ObjectFailed => "object_failed",
            Self::Error => "error",
            Self::Usage => "usage",
            Self::Panic => "panic",
            Self::Outcome => "outcome",
        }
    }
}

/// `json`, `text`, a level or a filter, with commas between them.
pub(super) fn parse(text: &str) -> Result<LogArg, String> {
    let mut format = LogFormat::Text;
    let mut rest = Vec::new();
    for piece in text.split(',') {
        match piece.trim() {
            "json" => format = LogFormat::Json,
            "text" => format = LogFormat::Text,
            _ => rest.push(piece),
        }
    }
    let filter = if rest.is_empty() { DEFAULT.to_owned() } else { rest.join(",") };
    log_lines::filter(&filter).map_err(|error| {
        format!("{error}; write `json`, a level (`error`, `warn`, `info`, `debug`) or a filter")
    })?;
    Ok(LogArg { format, filter })
}

/// Takes the form of lines from what was typed, before anything is known to be right.
pub(super) fn look_ahead(mut arguments: impl Iterator<Item = String>, variable: Option<String>) {
    let mut said = variable;
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix("--log") {
            Some("") => said = arguments.next(),
            Some(rest) => said = rest.strip_prefix('=').map(str::to_owned).or(said),
            None if argument == "--" => break,
            None => {}
        }
    }
    if said.is_some_and(|said| said.split(',').any(|piece| piece.trim() == "json")) {
        FORMAT.get_or_init(|| LogFormat::Json);
    }
}

/// Begins to log.
pub(super) fn begin(arg: &LogArg) -> anyhow::Result<()> {
    let format = *FORMAT.get_or_init(|| arg.format);
    log_lines::hide_what_panics_quote();
    let builder = tracing_subscriber::fmt().with_env_filter(log_lines::filter(&arg.filter)?);
    match format {
        LogFormat::Text => builder.with_writer(|| log_lines::OneLine).try_init(),
        LogFormat::Json => builder.with_writer(io::stderr).event_format(JsonLines).try_init(),
    }
    .map_err(|error| anyhow::anyhow!("log lines cannot be shown: {error}"))
}

/// Whether lines are JSON.
pub(super) fn is_json() -> bool {
    FORMAT.get() == Some(&LogFormat::Json)
}

/// Writes one line of JSON.
pub(super) fn line(level: &str, event: LogEvent, message: &str, fields: Map<String, Value>) {
    let text = as_text(level, event, message, fields);
    // One write, so that lines of two threads stay apart.
    drop(io::stderr().lock().write_all(text.as_bytes()));
}

fn as_text(level: &str, event: LogEvent, message: &str, fields: Map<String, Value>) -> String {
    // In this order, which a map of `serde_json` would not keep.
    format!(
        "{{\"time\":{},\"level\":{},\"event\":{},\"message\":{},\"fields\":{}}}\n",
        json!(now()),
        json!(level),
        json!(event.name()),
        json!(message),
        Value::Object(fields)
    )
}

/// `2026-11-24T03:00:05.123Z`
fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

/// Events of `tracing` as lines of JSON.
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let metadata = event.metadata();
        said.fields.insert("target".to_owned(), json!(metadata.target()));
        let level = metadata.level().as_str().to_ascii_lowercase();
        writer.write_str(&as_text(&level, LogEvent::Log, &said.message, said.fields))
    }
}

/// What an event says.
#[derive(Default)]
struct Said {
    message: String,
    fields: Map<String, Value>,
}

impl Said {
    fn take(&mut self, field: &Field, value: Value) {
        self.fields.insert(field.name().to_owned(), value);
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.take(field, json!(format!("{value:?}")));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.take(field, json!(value));
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, json!(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.take(field, json!(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_told_from_the_filter() {
        let arg = |format, filter: &str| Ok(LogArg { format, filter: filter.to_owned() });
        let table = [
            ("warn", arg(LogFormat::Text, "warn")),
            ("json", arg(LogFormat::Json, "warn")),
            ("json,info", arg(LogFormat::Json, "info")),
            ("debug,json", arg(LogFormat::Json, "debug")),
            ("text", arg(LogFormat::Text, "warn")),
            ("warn,healthtrail::lake=debug", arg(LogFormat::Text, "warn,healthtrail::lake=debug")),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), expected, "{text}");
        }
        assert!(parse("healthtrail=loud").unwrap_err().contains("`json`"));
    }

    #[test]
    fn a_line_is_one_object_with_five_members() {
        let fields = Map::from_iter([("object".to_owned(), json!("a\nb"))]);
        let text = as_text("warn", LogEvent::Note, "two\nlines \u{1b}[31m", fields);
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value.as_object().unwrap().len(), 5);
        assert_eq!(value["message"], "two\nlines \u{1b}[31m");
        assert_eq!(value["fields"]["object"], "a\nb");
        let time = value["time"].as_str().unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok() && time.len() == 24, "{time}");
    }
}
