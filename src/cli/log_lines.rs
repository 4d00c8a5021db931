//! Which log lines are shown, and how: the program's own, each on one line, and nothing that quotes secrets.
//!
//! In: what `--log` says. Out: a filter that has no place for other crates, and a writer. The SDK and the HTTP
//! client below it log signatures, session tokens and whole bodies at `trace`, and lines of the AWS
//! configuration at `warn`; what goes wrong there comes back as an error and is told. Wrong: a filter that
//! cannot be read. A panic, which is a defect, is told by its place, since its text may quote a document.

use std::io::{self, Write};
use std::panic::Location;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};

use super::values::printable;
use crate::lake::part_guard::is_guarded;

/// The target of the program's own lines.
const OWN: &str = env!("CARGO_CRATE_NAME");

/// The filter that `--log` asks for, as far as it is about this program.
///
/// # Errors
/// When it is no filter.
pub(super) fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::try_new(text)?;
    let own: Vec<String> = text.split(',').filter_map(own_directive).collect();
    EnvFilter::try_new(if own.is_empty() { "off".to_owned() } else { own.join(",") })
}

/// A directive about this program; a level alone becomes one.
fn own_directive(directive: &str) -> Option<String> {
    let directive = directive.trim();
    // Nothing would be read as a level too.
    if directive.is_empty() {
        return None;
    }
    if directive.parse::<LevelFilter>().is_ok() {
        return Some(format!("{OWN}={directive}"));
    }
    let rest = directive.strip_prefix(OWN)?;
    (rest.is_empty() || rest.starts_with(['=', ':', '['])).then(|| directive.to_owned())
}

/// Standard error, where a line stays one line and cannot steer the terminal, whatever a key holds.
#[derive(Debug)]
pub(super) struct OneLine;

impl Write for OneLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stderr().lock().write_all(one_line(bytes).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

fn one_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match text.strip_suffix('\n') {
        Some(line) => printable(line) + "\n",
        None => printable(&text),
    }
}

/// Tells of a panic by its place alone, but where a backtrace is asked for.
pub(super) fn hide_what_panics_quote() {
    let is_shown = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
    let show = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // One over a damaged part is told as damage, with the part's key.
        if is_guarded() {
            return;
        }
        if is_shown { show(info) } else { super::printer::panicked(&panic_text(info.location())) }
    }));
}

/// What is said of a panic.
fn panic_text(place: Option<&Location<'_>>) -> String {
    let place = place.map_or_else(String::new, |place| format!(" at {place}"));
    format!(
        "panicked{place}; what it says is left out, since it may quote a document: RUST_BACKTRACE=1 shows it"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_programs_own_lines_are_asked_for() {
        let table = [
            ("warn", "healthtrail=warn"),
            ("TRACE", "healthtrail=trace"),
            ("off", "healthtrail=off"),
            ("trace,aws_sigv4=trace,hyper=debug", "healthtrail=trace"),
            ("healthtrail::job=debug,warn", "healthtrail::job=debug,healthtrail=warn"),
            ("healthtrailer=trace", "off"),
            ("aws_smithy_runtime=trace", "off"),
            ("[{token}]=trace,info", "healthtrail=info"),
            ("", "off"),
        ];
        for (text, expected) in table {
            let (mut shown, mut wanted) = (filter(text).unwrap().to_string(), expected.to_owned());
            for both in [&mut shown, &mut wanted] {
                let mut parts: Vec<&str> = both.split(',').collect();
                parts.sort_unstable();
                *both = parts.join(",");
            }
            assert_eq!(shown, wanted, "{text}");
        }
        assert!(filter("healthtrail=loud").is_err());
    }

    #[test]
    fn a_line_stays_a_line() {
        assert_eq!(one_line(b"a\nERROR b\x1b[2J\n"), "a\u{fffd}ERROR b\u{fffd}[2J\n");
        assert_eq!(one_line(b"a"), "a");
        assert_eq!(one_line(b"\xff\n"), "\u{fffd}\n");
    }
}
