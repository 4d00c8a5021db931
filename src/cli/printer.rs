//! The door to the terminal: data to standard output, all else to standard error.

use std::fmt::Display;
use std::io::{self, Write as _};

use super::values::printable;

/// Writes a line of data. A reader that has gone away (`| head`) is no error.
pub(super) fn data(line: impl Display) -> io::Result<()> {
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
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// Says why the program failed: what happened first, then what it came from, a line each.
pub(super) fn error(error: &anyhow::Error) {
    note(format_args!("error: {}", printable(&error.to_string())));
    for cause in error.chain().skip(1) {
        note(format_args!("  because: {}", printable(&cause.to_string())));
    }
}
