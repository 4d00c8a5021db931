//! What to say of a panic, which is a defect of this program, wherever it happened.
//!
//! In: what a panic carries. Out: where it happened and in which object, but never its text, which may quote a
//! document; the line of the place in the source is printed when it happens. A panic ends the run; what it had
//! not committed is given up.

use std::any::Any;

/// What a panic carries.
pub(crate) type Panic = Box<dyn Any + Send>;

/// What a panic carries that went on from where its object was known.
struct InObject(String);

/// Lets a panic go on, with the object it happened in.
pub(crate) fn go_on(object: &str) -> ! {
    std::panic::resume_unwind(Box::new(InObject(object.to_owned())))
}

/// The error that a panic becomes.
pub(crate) fn error(place: &str, panic: &Panic) -> anyhow::Error {
    let object = panic.downcast_ref::<InObject>();
    let object = object.map(|InObject(object)| format!(" at `{object}`")).unwrap_or_default();
    anyhow::anyhow!(
        "{place} panicked{object}, which is a defect of healthtrail; hint: what was committed is whole, and the \
         rest is given up; please report it"
    )
}
