//! The faults, and the classes of requests that they are tried on.

use std::time::Duration;

use crate::proxy::{Action, Class, Reply};

/// What of the program's requests is broken.
pub(super) const CLASSES: [Class; 14] = [
    Class::HeadBucket,
    Class::List,
    Class::Head,
    Class::GetObject,
    Class::GetLog,
    Class::GetPart,
    Class::GetState,
    Class::PutLake,
    Class::PutStaging,
    Class::PutLog,
    Class::PutDone,
    Class::PutCheckpoint,
    Class::Copy,
    Class::Delete,
];

/// What the first run must make of a fault.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Meant {
    /// It must end as if there were none.
    Unnoticed,
    /// It may end so, or with an error that names the object.
    Said,
}

/// A fault.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) action: fn() -> Action,
    /// How many requests of the class in a row.
    pub(super) times: u64,
    pub(super) meant: Meant,
    /// The program sends the request again, and counts it.
    pub(super) is_sent_again: bool,
    pub(super) applies: fn(Class) -> bool,
    /// How long the program waits for an answer.
    pub(super) answer_seconds: u32,
}

const FOREVER: u64 = u64::MAX;

const ANY: fn(Class) -> bool = |_| true;
/// Has a body, up or down, that the program reads.
const WITH_BODY: fn(Class) -> bool =
    |class| !matches!(class, Class::HeadBucket | Class::Head | Class::Delete);

const A_HEAD: fn(Class) -> bool = |class| matches!(class, Class::HeadBucket | Class::Head);
const NOT_A_HEAD: fn(Class) -> bool = |class| !matches!(class, Class::HeadBucket | Class::Head);

const fn kind(name: &'static str, action: fn() -> Action, times: u64, meant: Meant) -> Kind {
    let is_sent_again = matches!(meant, Meant::Unnoticed);
    Kind { name, action, times, meant, is_sent_again, applies: ANY, answer_seconds: 20 }
}

const fn once(name: &'static str, action: fn() -> Action) -> Kind {
    kind(name, action, 1, Meant::Unnoticed)
}

const fn lasting(name: &'static str, action: fn() -> Action) -> Kind {
    kind(name, action, FOREVER, Meant::Said)
}

const fn told(name: &'static str, action: fn() -> Action) -> Kind {
    kind(name, action, 1, Meant::Said)
}

const fn with_body(kind: Kind) -> Kind {
    Kind { applies: WITH_BODY, ..kind }
}

fn error(status: u16, code: &str) -> Action {
    Action::Answer(Reply::error(status, code))
}

fn internal() -> Action {
    error(500, "InternalError")
}

fn slow_down() -> Action {
    error(503, "SlowDown")
}

fn too_many() -> Action {
    Action::Answer(Reply::error(429, "TooManyRequests").header("retry-after", "1"))
}

fn timed_out() -> Action {
    error(400, "RequestTimeout")
}

fn expired() -> Action {
    error(400, "ExpiredToken")
}

fn missing() -> Action {
    error(404, "NoSuchKey")
}

fn conflict() -> Action {
    error(409, "ConditionalRequestConflict")
}

fn refused() -> Action {
    error(412, "PreconditionFailed")
}

fn error_in_200() -> Action {
    error(200, "InternalError")
}

fn trickle() -> Action {
    Action::Trickle(Duration::from_secs(1))
}

/// All of them.
pub(super) static KINDS: [Kind; 30] = [
    once("500 once", internal),
    lasting("500 for ever", internal),
    once("SlowDown once", slow_down),
    // As often as one request is sent: an operation fails, and all that follows fares well.
    kind("SlowDown five times", slow_down, 5, Meant::Said),
    lasting("SlowDown for ever", slow_down),
    once("429 once", too_many),
    lasting("429 for ever", too_many),
    // An answer to a HEAD has no body, so no code: a 400 is a refusal like any other.
    Kind { applies: NOT_A_HEAD, ..once("RequestTimeout once", timed_out) },
    Kind { applies: A_HEAD, ..told("400 once", timed_out) },
    lasting("RequestTimeout for ever", timed_out),
    told("ExpiredToken once", expired),
    lasting("ExpiredToken for ever", expired),
    told("404 once", missing),
    lasting("404 for ever", missing),
    once("409 once", conflict),
    lasting("409 for ever", conflict),
    told("412 once", refused),
    lasting("412 for ever", refused),
    Kind {
        applies: |class| matches!(class, Class::Copy | Class::List),
        ..told("error inside 200 once", error_in_200)
    },
    Kind {
        applies: |class| matches!(class, Class::Copy | Class::List),
        ..lasting("error inside 200 for ever", error_in_200)
    },
    once("reset before heads", || Action::ResetBefore),
    lasting("resets for ever", || Action::ResetBefore),
    with_body(once("reset in the body", || Action::ResetInBody)),
    with_body(told("short body", || Action::ShortBody)),
    with_body(lasting("short body for ever", || Action::ShortBody)),
    with_body(told("body and length cut", || Action::CutBody)),
    // What a flipped bit of a listing or of a range does depends on the bit; see `differences`.
    with_body(told("bit flipped", || Action::FlipBit)),
    Kind { answer_seconds: 3, ..lasting("a byte a second", trickle) },
    once("reply lost once", || Action::LoseReply),
    lasting("reply lost for ever", || Action::LoseReply),
];
