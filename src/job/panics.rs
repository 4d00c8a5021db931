//! What to say of a panic, which is a defect of this program, wherever it happened.
//!
//! In: what a panic carries. Out: its message. A panic ends the run; what it had not committed is given up.

use std::any::Any;

/// What a panic carries.
pub(crate) type Panic = Box<dyn Any + Send>;

/// The message of a panic, on one line.
pub(crate) fn message(panic: &Panic) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The error that a panic becomes.
pub(crate) fn error(place: &str, panic: &Panic) -> anyhow::Error {
    let message = message(panic);
    anyhow::anyhow!(
        "{place} panicked, which is a defect of healthtrail: {message}; hint: what was committed is whole, \
         and the rest is given up; please report it"
    )
}
