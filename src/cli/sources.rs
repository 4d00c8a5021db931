//! From what `--from` names to archives: folders, prefixes, and Firehose streams.
//!
//! In: addresses. Out: archives, and of each stream what was derived, to be shown. Wrong: a stream that
//! cannot be asked or fills no archive, and zones that contradict each other.

use std::io;
use std::sync::Arc;

use anyhow::bail;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::options::StoreArgs;
use super::printer;
use super::run::archive;
use super::values::printable;
use crate::job::options::UsageError;
use crate::job::plan::Archive;
use crate::job::stream::derive::{Derived, derive};
use crate::job::stream::health::newest;
use crate::job::stream::{Holds, Place};
use crate::store::firehose::{Firehose, SCHEME, StreamAddress};
use crate::store::{StoreResult, open};

/// What `--from` names.
#[derive(Debug)]
pub(super) struct Sources {
    /// All archives, those of a stream in the order of its places.
    pub(super) archives: Vec<Archive>,
    /// The streams.
    pub(super) streams: Vec<Derived>,
    /// Whether some archive was named by hand.
    pub(super) is_by_hand: bool,
}

/// Opens what `--from` names.
pub(super) async fn sources(from: &[String], stores: &StoreArgs) -> anyhow::Result<Sources> {
    let mut sources = Sources::of_streams(Vec::new(), Vec::new());
    for from in from {
        if !from.starts_with(SCHEME) {
            sources.archives.push(archive(from, stores).await?);
            sources.is_by_hand = true;
            continue;
        }
        let derived = stream(from, stores).await?;
        sources.archives.extend(archives(&derived.places, stores).await?);
        sources.streams.push(derived);
    }
    Ok(sources)
}

/// Asks Firehose what a stream fills.
pub(super) async fn stream(address: &str, stores: &StoreArgs) -> anyhow::Result<Derived> {
    let address = StreamAddress::parse(address)?;
    let firehose = Firehose::open(&address, stores.archive_profile.as_deref()).await?;
    derive(firehose.uri(), &firehose.describe().await?)
}

/// Opens the places of a stream.
pub(super) async fn archives(places: &[Place], stores: &StoreArgs) -> anyhow::Result<Vec<Archive>> {
    let mut archives = Vec::new();
    for place in places {
        archives.push(place_archive(place, stores).await?);
    }
    Ok(archives)
}

/// Opens one place of a stream.
pub(super) async fn place_archive(place: &Place, stores: &StoreArgs) -> StoreResult<Archive> {
    let folder = place.folder();
    let store = open(&folder, &stores.archive(&folder)).await?;
    Ok(place.archive(Arc::clone(&store)))
}

/// The object that a stream delivered last; anything else than a stream stays as it is.
pub(super) async fn newest_of_stream(object: &str, stores: &StoreArgs) -> anyhow::Result<String> {
    if !object.starts_with(SCHEME) {
        return Ok(object.to_owned());
    }
    let derived = stream(object, stores).await?;
    let archives = archives(&derived.places, stores).await?;
    match newest(&derived, &archives, Timestamp::now().as_millisecond()).await? {
        Some(uri) => Ok(uri),
        None => bail!("the stream `{}` has delivered nothing that is there still", derived.stream),
    }
}

impl Sources {
    /// Archives that come from streams alone.
    pub(super) fn of_streams(archives: Vec<Archive>, streams: Vec<Derived>) -> Self {
        Self { archives, streams, is_by_hand: false }
    }

    /// The zone of the times in the keys: the one that was given, else that of the streams.
    pub(super) fn zone(&self, given: Option<&TimeZone>) -> anyhow::Result<TimeZone> {
        if let Some(zone) = given {
            return Ok(zone.clone());
        }
        let utc = TimeZone::UTC;
        let mut zones: Vec<(&TimeZone, &str)> =
            self.streams.iter().map(|stream| (&stream.zone, stream.zone_name.as_str())).collect();
        if self.is_by_hand || zones.is_empty() {
            zones.push((&utc, "UTC"));
        }
        let Some((zone, name)) = zones.first() else { return Ok(TimeZone::UTC) };
        if let Some((_, other)) = zones.iter().find(|(_, other)| other != name) {
            bail!(UsageError(format!(
                "the archives have times of the zones `{name}` and `{other}` in their keys; run those of each \
                 zone by themselves, into the same lake, or give --zone"
            )));
        }
        Ok((*zone).clone())
    }

    /// Prints what was derived of the streams: as data, or where that belongs to a program, as notes.
    pub(super) fn print(&self, as_notes: bool) -> io::Result<()> {
        for line in self.streams.iter().flat_map(describe) {
            if as_notes {
                printer::note(line);
            } else {
                printer::data(line)?;
            }
        }
        Ok(())
    }

    /// Warns of what will hurt.
    pub(super) fn note_remarks(&self) {
        for stream in &self.streams {
            for remark in &stream.remarks {
                let text = printable(&remark.text);
                printer::note(format_args!("warning: {}: {text}", stream.stream));
            }
        }
    }
}

/// What was derived of a stream.
pub(super) fn describe(derived: &Derived) -> Vec<String> {
    let mut lines = lines(derived);
    let remarks = derived.remarks.iter();
    lines.extend(remarks.map(|remark| format!("  warning    {}", printable(&remark.text))));
    lines
}

/// The same without the warnings.
pub(super) fn lines(derived: &Derived) -> Vec<String> {
    let mut lines = vec![format!(
        "{} is {}, version {}, and its source is {}",
        derived.stream, derived.status, derived.version, derived.source
    )];
    for place in &derived.places {
        let (name, more) = match place.holds {
            Holds::Delivered => ("archive", ""),
            Holds::Failed => ("failed", ""),
            Holds::Both => ("archive", ", failed records too"),
        };
        let how = match place.holds {
            Holds::Failed => String::new(),
            _ => format!(" ({}, times in {}{more})", derived.compression, derived.zone_name),
        };
        lines.push(format!("  {name:<10} {}{how}", printable(&place.address())));
    }
    let left_out = derived.left_out.iter();
    lines.extend(left_out.map(|uri| {
        format!("  left out   {} (copies of the records as they came in)", printable(uri))
    }));
    let latest = match derived.delivery.latest_seconds {
        Some(seconds) => format!("at the latest {}", span(seconds)),
        None => "later, for as long as the source keeps records,".to_owned(),
    };
    let likely = span(derived.delivery.likely_seconds);
    lines.push(format!(
        "  complete   an hour is complete {likely} after its end; {latest} after S3 was away"
    ));
    lines
}

/// `5 min`, `24 h 5 min`.
fn span(seconds: u64) -> String {
    let parts = [(seconds / 3_600, "h"), (seconds % 3_600 / 60, "min"), (seconds % 60, "s")];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let text: Vec<String> = parts.map(|(count, unit)| format!("{count} {unit}")).collect();
    if text.is_empty() { "0 s".to_owned() } else { text.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time() {
        let table = [(0, "0 s"), (300, "5 min"), (86_700, "24 h 5 min"), (3_661, "1 h 1 min 1 s")];
        for (seconds, text) in table {
            assert_eq!(span(seconds), text);
        }
    }
}
