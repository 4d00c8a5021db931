//! What a stream is that was named in the place of an archive.
//!
//! In: what Firehose told of it, or why it told nothing. Out: checks, one for each thing that a run would warn of.

use super::Notes;
use crate::job::stream::Place;
use crate::job::stream::derive::Derived;
use crate::store::StoreError;

/// Looks at a stream.
pub(super) fn look(notes: &mut Notes<'_>, stream: &Result<Derived, StoreError>) {
    let stream = match stream {
        Ok(stream) => stream,
        Err(error) => return notes.refused("describe", error),
    };
    let places: Vec<String> = stream.places.iter().map(Place::address).collect();
    notes.ok("describe", format!("it is {} and fills {}", stream.status, places.join(", ")));
    for remark in &stream.remarks {
        let to_do =
            "docs/firehose.md says what it means; `healthtrail stream` shows how the stream does";
        if remark.is_trouble {
            notes.fail(remark.kind, remark.text.clone(), to_do);
        } else {
            notes.warn(remark.kind, remark.text.clone(), to_do);
        }
    }
}
