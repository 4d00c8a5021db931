//! Where a store lies, and what time it is there.
//!
//! In: what the store says of itself. Out: checks of Region, server and clock.

use super::Notes;
use crate::store::{Store, StoreFacts};

/// A request that is signed with a clock further off is refused
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>).
const SKEW_MS_MAX: i64 = 5 * 60_000;
/// A clock further off than this is not kept by anything.
const SKEW_MS_ODD: i64 = 60_000;

/// Looks at the place; gives the Region of a bucket of AWS.
pub(super) async fn look(notes: &mut Notes<'_>, store: &dyn Store) -> Option<String> {
    let facts = store.facts().await;
    if !facts.is_s3 {
        return None;
    }
    region(notes, &facts);
    clock(notes, facts.clock_ahead_ms);
    facts.region.filter(|_| facts.endpoint.is_none())
}

fn region(notes: &mut Notes<'_>, facts: &StoreFacts) {
    if let Some(endpoint) = &facts.endpoint {
        notes.ok("region", format!("the server is {endpoint}, where Regions mean nothing"));
        return;
    }
    match (&facts.region, &facts.configured_region) {
        (Some(region), Some(configured)) if region != configured => notes.ok(
            "region",
            format!(
                "the bucket lies in {region}, the settings name {configured}; requests go to {region}"
            ),
        ),
        (Some(region), _) => notes.ok("region", format!("the bucket lies in {region}")),
        (None, _) => notes.warn(
            "region",
            "the bucket does not say in which Region it lies",
            "name its Region (AWS_REGION)",
        ),
    }
}

fn clock(notes: &mut Notes<'_>, ahead_ms: Option<i64>) {
    let Some(ahead_ms) = ahead_ms else {
        let to_do = "see the other checks; without an answer nothing is known";
        notes.warn("clock", "the server did not tell the time", to_do);
        return;
    };
    let way = if ahead_ms < 0 { "behind" } else { "ahead of" };
    let seconds = ahead_ms.abs() / 1000;
    let message = format!("this machine's clock is {seconds} s {way} the server's");
    let to_do = "set the clock, and keep it with NTP (chrony, systemd-timesyncd)";
    match ahead_ms.abs() {
        skew if skew > SKEW_MS_MAX => notes.fail("clock", message, to_do),
        skew if skew > SKEW_MS_ODD => notes.warn("clock", message, to_do),
        _ => notes.ok("clock", message),
    }
}

/// Buckets of several Regions work, and cost transfer.
pub(super) fn compare_regions(notes: &mut Notes<'_>, regions: &[Option<String>]) {
    let mut named: Vec<&String> = regions.iter().flatten().collect();
    named.sort();
    named.dedup();
    if let [_, _, ..] = named.as_slice() {
        let named = named.iter().map(|region| region.as_str()).collect::<Vec<_>>().join(", ");
        notes.warn(
            "regions",
            format!("the buckets lie in several Regions: {named}"),
            "it works, and AWS charges for bytes between Regions; run where the archive lies",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Diagnosis, State};
    use super::*;

    #[test]
    fn a_clock_is_judged_by_what_servers_accept() {
        let table = [
            (Some(0), State::Ok),
            (Some(-59_000), State::Ok),
            (Some(61_000), State::Warn),
            (Some(-299_000), State::Warn),
            (Some(301_000), State::Fail),
            (Some(-86_400_000), State::Fail),
            (None, State::Warn),
        ];
        for (ahead_ms, expected) in table {
            let mut diagnosis = Diagnosis::default();
            clock(&mut diagnosis.notes("lake"), ahead_ms);
            assert_eq!(diagnosis.checks.first().unwrap().state, expected, "{ahead_ms:?}");
        }
    }

    #[test]
    fn several_regions_are_worth_a_word() {
        let eu = || Some("eu-west-1".to_owned());
        for (regions, warns) in [
            (vec![eu(), None, eu()], 0),
            (vec![None], 0),
            (vec![eu(), Some("us-east-1".to_owned())], 1),
        ] {
            let mut diagnosis = Diagnosis::default();
            compare_regions(&mut diagnosis.notes("both"), &regions);
            assert_eq!(diagnosis.warn, warns, "{regions:?}");
        }
    }

    #[test]
    fn another_region_than_the_configured_one_is_told() {
        let facts = StoreFacts {
            is_s3: true,
            region: Some("eu-west-1".to_owned()),
            configured_region: Some("us-east-1".to_owned()),
            ..StoreFacts::default()
        };
        let mut diagnosis = Diagnosis::default();
        region(&mut diagnosis.notes("lake"), &facts);
        region(&mut diagnosis.notes("lake"), &StoreFacts { is_s3: true, ..StoreFacts::default() });
        let said: Vec<_> = diagnosis.checks.iter().map(|check| check.message.as_str()).collect();
        assert!(said.first().unwrap().contains("the settings name us-east-1"), "{said:?}");
        assert_eq!(diagnosis.warn, 1);
    }
}
