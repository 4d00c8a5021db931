//! What can be told from an ARN.
//!
//! In: a text that may be an ARN. Out: its parts, or the ARN of the Health event that it names.
//! Nothing can go wrong: what is no ARN has no parts. Event ARNs are opaque beyond that, because
//! legacy ones break the pattern (`…::event/event-1486428952619`).

use std::borrow::Cow;

/// The parts of `arn:<partition>:<service>:<region>:<account>:<resource>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arn<'a> {
    pub(super) partition: &'a str,
    pub(super) service: &'a str,
    pub(super) region: &'a str,
    pub(super) account: &'a str,
    pub(super) resource: &'a str,
}

impl<'a> Arn<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.strip_prefix("arn:")?.splitn(5, ':');
        Some(Self {
            partition: parts.next()?,
            service: parts.next()?,
            region: parts.next()?,
            account: parts.next()?,
            resource: parts.next()?,
        })
    }

    /// The Region, when it names one.
    pub(super) fn region(&self) -> Option<&'a str> {
        Some(self.region).filter(|region| !region.is_empty())
    }

    /// The partition, when it names one.
    pub(super) fn partition(&self) -> Option<&'a str> {
        Some(self.partition).filter(|partition| !partition.is_empty())
    }
}

/// The ARN of a native event with its account blanked, as the other schemas can name it too.
pub(super) fn blank_account(event_arn: &str) -> Cow<'_, str> {
    match Arn::parse(event_arn) {
        Some(arn) if arn.service == "health" && !arn.account.is_empty() => Cow::Owned(format!(
            "arn:{}:{}:{}::{}",
            arn.partition, arn.service, arn.region, arn.resource
        )),
        _ => Cow::Borrowed(event_arn),
    }
}

/// The ARN of the Health event inside a finding's id: Health puts the account in, and a hash of the
/// event's start behind it (`…/<64 hex digits>`).
pub(super) fn event_of_finding(finding_id: &str) -> Option<Cow<'_, str>> {
    let arn = Arn::parse(finding_id)?;
    if arn.service != "health" || !arn.resource.starts_with("event/") {
        return None;
    }
    let is_hash = |last: &str| last.len() == 64 && last.bytes().all(|b| b.is_ascii_hexdigit());
    let event = match finding_id.rsplit_once('/') {
        Some((event, last)) if is_hash(last) => event,
        _ => finding_id,
    };
    Some(blank_account(event))
}

/// Service and type code in an event's ARN, `event/<SERVICE>/<CODE>/<CODE>_<unique>`; legacy ones
/// tell neither.
pub(super) fn service_and_code(event_arn: &str) -> Option<(&str, &str)> {
    let mut parts = Arn::parse(event_arn)?.resource.strip_prefix("event/")?.split('/');
    let (service, code) = (parts.next()?, parts.next()?);
    parts.next().filter(|_| !service.is_empty() && !code.is_empty())?;
    Some((service, code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_of_a_finding_is_the_natives_event() {
        let hash = "101F7FBAEFC663977DA09CFF56A29236602834D2D361E6A8CA5140BFB3A69B30";
        let native = "arn:aws:health:us-east-1::event/SES/AWS_SES_X/AWS_SES_X_30_33fe";
        let filled = "arn:aws:health:us-east-1:123456789012:event/SES/AWS_SES_X/AWS_SES_X_30_33fe";
        assert_eq!(event_of_finding(&format!("{filled}/{hash}")).as_deref(), Some(native));
        assert_eq!(event_of_finding(filled).as_deref(), Some(native));
        assert_eq!(event_of_finding(native).as_deref(), Some(native));
        assert_eq!(blank_account(filled), native);
        assert_eq!(blank_account(native), native);
        assert_eq!(service_and_code(native), Some(("SES", "AWS_SES_X")));
        for other in [
            "arn:aws:guardduty:us-east-1:123456789012:detector/1/finding/2",
            "arn:aws:health:us-east-1::entity/x",
            "x",
            "",
        ] {
            assert_eq!(event_of_finding(other), None, "{other}");
        }
    }

    #[test]
    fn legacy_arns_are_opaque() {
        for legacy in [
            "arn:aws:health:us-east-1::event/event-1486428952619",
            "arn:aws:health:us-east-1::event/AWS_ELASTICLOADBALANCING_API_ISSUE_90353408594353980",
            "arn:aws:health:us-east-1::event/A/B",
            "arn:aws:health:us-east-1::event///c",
        ] {
            assert_eq!(service_and_code(legacy), None, "{legacy}");
            assert_eq!(blank_account(legacy), legacy);
        }
    }
}
