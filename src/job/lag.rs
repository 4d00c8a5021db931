//! How far a lake lies behind its archives.
//!
//! In: the ledger at the end of a run, and the clock. Out: seconds since the start of the newest arrival
//! hour that has a consumed object. It is at most an hour more than the age of that object, and grows while
//! nothing arrives.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::job::options::RunOptions;
use crate::lake::ledger::Ledger;

/// The lag of the archive that is furthest behind; an archive of which the lake has nothing does not count.
pub(super) fn seconds(ledger: &Ledger, options: &RunOptions) -> Option<u64> {
    let newest = options.archives.iter().filter_map(|archive| {
        let hour_ms = ledger.newest_hour_ms(&archive.uri_prefix())?;
        begins(hour_ms, &options.discover.zone)
    });
    let lags = newest.map(|hour| Timestamp::now().as_second() - hour.as_second());
    lags.map(|lag| u64::try_from(lag).unwrap_or(0)).max()
}

/// The ledger takes the times in keys as if they were UTC.
fn begins(hour_ms: i64, zone: &TimeZone) -> Option<Timestamp> {
    let local = TimeZone::UTC.to_datetime(Timestamp::from_millisecond(hour_ms).ok()?);
    zone.to_timestamp(local).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_a_key_is_of_the_zone_of_the_stream() {
        let noon = "2026-11-24T12:00:00Z".parse::<Timestamp>().unwrap();
        let table = [("UTC", "2026-11-24T12:00:00Z"), ("Europe/Berlin", "2026-11-24T11:00:00Z")];
        for (zone, expected) in table {
            let begun = begins(noon.as_millisecond(), &TimeZone::get(zone).unwrap()).unwrap();
            assert_eq!(begun.to_string(), expected, "{zone}");
        }
    }
}
