//! The door to the terminal: data to standard output, all else to standard error.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, json};

use super::log::{self, LogEvent};
use super::values::printable;

/// Standard output is kept for one document of metrics.
static KEPT_FOR_METRICS: AtomicBool = AtomicBool::new(false);

/// From now on standard output is for the metrics alone; what would be said there is a note, and in a log of
/// JSON, whose last line has the same figures, nothing.
pub(super) fn keep_for_metrics() {
    KEPT_FOR_METRICS.store(true, Ordering::Relaxed);
}

/// Writes a line of data. A reader that has gone away (`| head`) is no error.
pub(super) fn data(line: impl Display) -> io::Result<()> {
    if KEPT_FOR_METRICS.load(Ordering::Relaxed) {
        if !log::is_json() {
            note(line);
        }
        return Ok(());
    }
    standard_output(line)
}

/// Writes the metrics, for which standard output was kept.
pub(super) fn metrics(line: impl Display) -> io::Result<()> {
    standard_output(line)
}

fn standard_output(line: impl Display) -> io::Result<()> {
    match writeln!(io::stdout().lock(), "{line}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes bytes as they are. A reader that has gone away is no error.
pub(super) fn bytes(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes a line for the person at the terminal or the log. What cannot be written there can be
/// told nowhere else.
pub(super) fn note(line: impl Display) {
    if log::is_json() {
        let text = line.to_string();
        let text = text.strip_prefix("note: ").unwrap_or(&text);
        log::line("info", LogEvent::Note, text, Map::new());
    } else {
        drop(writeln!(io::stderr().lock(), "{line}"));
    }
}

/// Says how far the work is.
pub(super) fn progress(line: &str) {
    if log::is_json() {
        log::line("info", LogEvent::Progress, line, Map::new());
    } else {
        note(line);
    }
}

/// Names an object that could not be read.
pub(super) fn object_failed(object: &str, kind: &str, message: &str) {
    if log::is_json() {
        let fields = [("object", object), ("kind", kind)];
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), json!(value)));
        log::line("warn", LogEvent::ObjectFailed, message, fields.collect());
    } else {
        note(format_args!("failed: {}", printable(message)));
    }
}

/// Says why the program failed: what happened first, then what it came from, a line each.
pub(super) fn error(error: &anyhow::Error) {
    let causes = error.chain().skip(1).map(ToString::to_string);
    if log::is_json() {
        let causes = ("causes".to_owned(), json!(causes.collect::<Vec<String>>()));
        log::line("error", LogEvent::Error, &error.to_string(), Map::from_iter([causes]));
        return;
    }
    note(format_args!("error: {}", printable(&error.to_string())));
    for cause in causes {
        note(format_args!("  because: {}", printable(&cause)));
    }
}

/// Says that a defect ended what the program was doing.
pub(super) fn panicked(text: &str) {
    if log::is_json() {
        log::line("error", LogEvent::Panic, text, Map::new());
    } else {
        note(format_args!("error: {text}"));
    }
}

/// Says what is wrong with the command line where lines are JSON.
pub(super) fn usage(message: &str) {
    log::line("error", LogEvent::Usage, message, Map::new());
}
