//! `doctor`: would a run work here, and if not, what is to be done?
//!
//! In: streams, archives and a lake as far as they could be opened, and what the run would be given. Out: [`Check`]s, one
//! after the other, each ok, a warning or a failure with a remedy. Nothing is an `Err`: trouble of the world is
//! what is looked for. In a lake it writes a few bytes below `_healthtrail/doctor/` and deletes them again,
//! unless told not to; all else it only reads. Memory: one object of the archive, of at most [`SAMPLE_BYTES_MAX`].
//!
//! [`SAMPLE_BYTES_MAX`]: archive::SAMPLE_BYTES_MAX

mod archive;
mod lake;
mod machine;
mod place;
mod stream;

use std::sync::Arc;

use jiff::tz::TimeZone;
use serde::Serialize;

use crate::finding::product::Products;
use crate::job::options::check_apart;
use crate::job::plan::Archive;
use crate::job::stream::derive::Derived;
use crate::store::{Identity, Store, StoreError};

/// Something that was to be opened, by what was typed or by what it is for.
pub type Typed<T> = (String, Result<T, StoreError>);

/// What to look at.
#[derive(Debug)]
pub struct DoctorOptions {
    /// Whose credentials they are, by what they are for.
    pub identities: Vec<Typed<Identity>>,
    /// The streams that were named in the place of archives, and what is known of them.
    pub streams: Vec<Typed<Derived>>,
    /// The archives, by what was typed, or by where a stream puts its objects.
    pub archives: Vec<Typed<Archive>>,
    /// Where streams put failed records; nothing need lie there.
    pub failed: Vec<Typed<Archive>>,
    /// The lake, by what was typed.
    pub lake: Option<Typed<Arc<dyn Store>>>,
    /// Try whether the lake can be written.
    pub writes: bool,
    /// Whose findings a run would keep; `None` for what is in force in the lake.
    pub products: Option<Products>,
    /// The time zone of the keys.
    pub zone: TimeZone,
    /// What a run may hold.
    pub memory_bytes: u64,
    /// The threads that a run is to use.
    pub threads: usize,
    /// The environment.
    pub environment: fn(&str) -> Option<String>,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A run will not stumble here.
    Ok,
    /// A run works, and something is odd.
    Warn,
    /// A run would fail, or lose something.
    Fail,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at: a stream, an archive, the lake, `machine`, or whose credentials.
    pub place: String,
    /// Its name, which stays.
    pub check: &'static str,
    /// How it ended.
    pub state: State,
    /// What was found.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_do: Option<String>,
}

/// All checks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// In the order in which they were made.
    pub checks: Vec<Check>,
    /// How many of them are ok.
    pub ok: usize,
    /// How many warn.
    pub warn: usize,
    /// How many fail.
    pub fail: usize,
}

/// Notes the checks of one place.
#[derive(Debug)]
struct Notes<'a> {
    place: String,
    diagnosis: &'a mut Diagnosis,
}

impl Notes<'_> {
    fn ok(&mut self, check: &'static str, message: impl Into<String>) {
        self.add(check, State::Ok, message.into(), None);
    }

    fn warn(&mut self, check: &'static str, message: impl Into<String>, to_do: &str) {
        self.add(check, State::Warn, message.into(), Some(to_do.to_owned()));
    }

    fn fail(&mut self, check: &'static str, message: impl Into<String>, to_do: &str) {
        self.add(check, State::Fail, message.into(), Some(to_do.to_owned()));
    }

    /// What a store answered, whose messages carry their remedy.
    fn refused(&mut self, check: &'static str, error: &StoreError) {
        let text = error.to_string();
        let (message, hint) = text.split_once("; hint: ").unwrap_or((&text, ""));
        let hint = if hint.is_empty() { "mend that, and run doctor again" } else { hint };
        self.fail(check, message, hint);
    }

    fn add(&mut self, check: &'static str, state: State, message: String, to_do: Option<String>) {
        match state {
            State::Ok => self.diagnosis.ok += 1,
            State::Warn => self.diagnosis.warn += 1,
            State::Fail => self.diagnosis.fail += 1,
        }
        self.diagnosis.checks.push(Check {
            place: self.place.clone(),
            check,
            state,
            message,
            to_do,
        });
    }
}

impl Diagnosis {
    fn notes(&mut self, place: impl Into<String>) -> Notes<'_> {
        Notes { place: place.into(), diagnosis: self }
    }
}

/// Looks at everything.
pub async fn doctor(options: DoctorOptions) -> Diagnosis {
    let mut diagnosis = Diagnosis::default();
    for (whose, identity) in &options.identities {
        whoever(&mut diagnosis.notes(whose), identity);
    }
    for (typed, stream) in &options.streams {
        stream::look(&mut diagnosis.notes(format!("stream {typed}")), stream);
    }
    let mut regions = Vec::new();
    for (typed, archive) in &options.archives {
        let mut notes = diagnosis.notes(format!("archive {typed}"));
        match archive {
            Ok(archive) => {
                notes.ok("open", "it is there");
                regions.push(place::look(&mut notes, archive.store.as_ref()).await);
                archive::look(&mut notes, archive, &options).await;
            }
            Err(error) => notes.refused("open", error),
        }
    }
    for (typed, archive) in &options.failed {
        let mut notes = diagnosis.notes(format!("failed records {typed}"));
        match archive {
            Ok(archive) => archive::look_at_failed(&mut notes, archive, &options.zone).await,
            Err(error) => notes.refused("open", error),
        }
    }
    if let Some((typed, store)) = &options.lake {
        let mut notes = diagnosis.notes(format!("lake {typed}"));
        match store {
            Ok(store) => {
                notes.ok("open", "it is there");
                regions.push(place::look(&mut notes, store.as_ref()).await);
                lake::look(&mut notes, store, options.writes).await;
            }
            Err(error) => lake::look_beside(&mut notes, typed, error, options.writes).await,
        }
    }
    let mut notes = diagnosis.notes("archives and lake");
    place::compare_regions(&mut notes, &regions);
    apart(&mut notes, &options);
    machine::look(&mut diagnosis.notes("machine"), &options, !options.identities.is_empty());
    diagnosis
}

/// A run refuses a lake in an archive, and the other way round.
fn apart(notes: &mut Notes<'_>, options: &DoctorOptions) {
    let archives = options
        .archives
        .iter()
        .chain(&options.failed)
        .filter_map(|(_, archive)| archive.as_ref().ok());
    let lake = options.lake.as_ref().and_then(|(_, lake)| lake.as_deref().ok());
    if let Err(error) = check_apart(archives, lake) {
        notes.fail("places", error.to_string(), "give each a prefix of its own");
    }
}

fn whoever(notes: &mut Notes<'_>, identity: &Result<Identity, StoreError>) {
    match identity {
        Ok(Identity::Arn(arn)) => notes.ok("credentials", format!("requests are made by {arn}")),
        Ok(Identity::NotAsked) => notes.ok(
            "credentials",
            "there are credentials; the server is not AWS, so nobody says whose they are",
        ),
        Err(error) => notes.refused("credentials", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreErrorKind;

    #[test]
    fn what_a_store_advises_becomes_the_remedy() {
        let mut diagnosis = Diagnosis::default();
        let message = "permission is missing (HTTP 403); hint: this needs s3:GetObject";
        let error = StoreError::new(StoreErrorKind::Denied, "reading", "s3://b/k", message);
        diagnosis.notes("archive s3://b").refused("get", &error);
        let check = diagnosis.checks.first().unwrap();
        assert_eq!(check.message, "reading `s3://b/k`: permission is missing (HTTP 403)");
        assert_eq!(check.to_do.as_deref(), Some("this needs s3:GetObject"));
        assert_eq!((diagnosis.ok, diagnosis.warn, diagnosis.fail), (0, 0, 1));
    }
}
