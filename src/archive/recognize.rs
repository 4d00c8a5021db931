//! A document to the findings in it, by its shape and never by the name of its source.
//!
//! In: one parsed document. Out: each finding with the envelope it came in, and what is passed over
//! or cannot be read. Known are EventBridge events of Health and Security Hub, bare findings in ASFF
//! and OCSF, bare Health details, what Security Hub's API returns, and two wrappers around any of
//! them: SNS notifications and Firehose's error records, whose base64 content is unpacked and split
//! as if it had been delivered. What can go wrong is a value ([`Item::Reject`]). What limits it:
//! [`WRAPPERS_MAX`] wrappers one inside the other, and [`RAW_DATA_BYTES_MAX`] bytes out of the records
//! of a document at each of those levels.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::archive::documents::Documents;
use crate::archive::shape::{
    has_any, is_asff, is_finding, is_health_api, is_health_detail, is_object, is_ocsf,
    is_ocsf_finding, text,
};
use crate::archive::split::{Piece, SplitLimits, parse};
use crate::finding::envelope::{Envelope, Found, Shape};
use crate::finding::json::{Arena, Json};
use crate::finding::limits::DEPTH_MAX;
use crate::finding::reject::{Reason, Stage};

/// How many wrappers are opened, one inside the other.
pub const WRAPPERS_MAX: usize = 4;

/// How many bytes the Firehose records of one document may decompress to, all together and layer by
/// layer; a record has 1,000 KiB at most (Firehose quotas), but it may be gzip itself.
pub const RAW_DATA_BYTES_MAX: u64 = 64 << 20;

/// How many of those for each byte that a document may have, where that is less.
const RAW_DATA_PER_DOCUMENT_BYTE_MAX: u64 = 32;

/// Standard base64, with padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The `detail-type` of events that tell of a call of the Health API, which share its `source`.
const CLOUDTRAIL: &str = "via CloudTrail";

/// What a document holds.
#[derive(Debug, Clone)]
pub enum Item<'j> {
    /// A finding or Health event; whether it has identity and time is not looked at here.
    Finding(Found<'j>),
    /// Nothing for the table, of this kind.
    PassedOver(&'static str),
    /// Something that should be a finding and cannot be read.
    Reject {
        /// Where that was found out.
        stage: Stage,
        /// Why.
        reason: Reason,
        /// What exactly is wrong.
        detail: String,
    },
}

/// What is known of a document once all its items are visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recognized {
    /// What it is, for `inspect`: `eventbridge`, `asff`, `ocsf`, `health_detail`, `api_output`, `sns`,
    /// `firehose_error`, `health_api` or `unknown`.
    pub envelope: &'static str,
    /// How many places of text inside its wrappers were repaired.
    pub repairs: u64,
}

/// Visits what `json` holds, in order. An item that is one of the document's parts comes with its
/// ordinal; one that is the document itself comes without, and alone.
pub fn recognize(
    json: &Json<'_>,
    limits: SplitLimits,
    visit: &mut dyn FnMut(Option<u32>, Item<'_>),
) -> Recognized {
    let in_proportion = limits.document_bytes_max as u64 * RAW_DATA_PER_DOCUMENT_BYTE_MAX;
    let raw_bytes_left = in_proportion.min(RAW_DATA_BYTES_MAX);
    let mut reader = Reader { visit, limits, raw_bytes_left, parts: 0, repairs: 0 };
    let envelope = reader.document(json, Level::TOP);
    Recognized { envelope, repairs: reader.repairs }
}

/// What the record held that Firehose could not deliver, if this is what it writes of one; a text says why
/// that cannot be told.
pub fn original_record(json: &Json<'_>) -> Option<Result<Vec<u8>, &'static str>> {
    let raw_data = text(json, "rawData").filter(|_| is_error_record(json))?;
    Some(BASE64.decode(raw_data).map_err(|_| "the record's `rawData` is no base64"))
}

/// Whether an object may begin anew inside a broken value. `split` holds the same rules for bytes.
#[cfg(test)]
pub(super) fn is_restart(json: &Json<'_>) -> bool {
    (text(json, "detail-type").is_some() && is_object(json, "detail"))
        || is_notification(json)
        || is_error_record(json)
}

/// Where in its wrappers a document is.
#[derive(Debug, Clone, Copy)]
struct Level {
    wrappers: usize,
}

impl Level {
    const TOP: Level = Level { wrappers: 0 };

    fn inside(self) -> Self {
        Self { wrappers: self.wrappers + 1 }
    }
}

struct Reader<'v> {
    visit: &'v mut dyn FnMut(Option<u32>, Item<'_>),
    limits: SplitLimits,
    /// What further records may decompress to.
    raw_bytes_left: u64,
    parts: u32,
    repairs: u64,
}

impl Reader<'_> {
    fn document(&mut self, json: &Json<'_>, level: Level) -> &'static str {
        let depth_max = self.limits.counts.depth_max;
        if depth_max < DEPTH_MAX && is_deeper(json, depth_max) {
            self.own(level, nested_too_deep(depth_max));
            return "unknown";
        }
        if let (Some(detail), true) = (json.get("detail"), is_event(json)) {
            self.event(json, detail, level);
            return "eventbridge";
        }
        if let Some(detail) = missing_detail(json) {
            self.own(level, no_identity(detail));
            return "eventbridge";
        }
        if is_notification(json) {
            self.notification(json, level);
            return "sns";
        }
        if is_error_record(json) {
            self.error_record(json, level);
            return "firehose_error";
        }
        if let Some(records) = lambda_records(json) {
            for record in records {
                match record.get("Sns") {
                    Some(notification) if is_notification(notification) => {
                        self.notification(notification, level.inside());
                    }
                    _ => self.part(unreadable("the record holds no SNS notification")),
                }
            }
            return "sns";
        }
        if let Some(item) = bare_finding(json, None) {
            let envelope = match &item {
                Item::Finding(Found { shape: Shape::Asff, .. }) => "asff",
                Item::Finding(Found { shape: Shape::Native, .. }) => "health_detail",
                _ => "ocsf",
            };
            self.own(level, item);
            return envelope;
        }
        if is_health_api(json) {
            self.own(level, Item::PassedOver("health_api"));
            return "health_api";
        }
        let findings = ["Findings", "findings"].into_iter().find_map(|name| json.get(name));
        match findings.and_then(Json::as_array) {
            Some([]) => self.own(level, Item::PassedOver("no_findings")),
            Some(findings) if findings.iter().any(is_finding) => self.findings(findings, None),
            _ => {
                self.own(level, Item::PassedOver("unrecognised"));
                return "unknown";
            }
        }
        "api_output"
    }

    fn event(&mut self, json: &Json<'_>, detail: &Json<'_>, level: Level) {
        let envelope = envelope(json);
        let detail_type = envelope.detail_type.unwrap_or_default();
        let source = envelope.source.unwrap_or_default();
        let is_hub = detail_type.starts_with("Security Hub ")
            || detail_type.starts_with("Findings Imported")
            || source.ends_with("securityhub");
        if detail_type.ends_with(CLOUDTRAIL) {
            return self.own(level, Item::PassedOver("cloudtrail"));
        }
        match detail.get("findings") {
            Some(Json::Array([])) => {
                return self.own(level, Item::PassedOver("no_findings"));
            }
            Some(Json::Array(findings)) if is_hub || findings.iter().any(is_finding) => {
                return self.findings(findings, Some(envelope));
            }
            Some(finding) if is_finding(finding) => {
                return self.findings(std::slice::from_ref(finding), Some(envelope));
            }
            Some(other) if is_hub && !other.is_null() => {
                let detail = format!("`findings` is {}, not an array", kind(other));
                return self.own(level, no_identity(detail));
            }
            _ => {}
        }
        let is_insight = detail_type.starts_with("Security Hub Insight")
            || detail.get("insightArn").is_some() && detail.get("insightResults").is_some();
        let is_health = detail_type.starts_with("AWS Health") || source == "aws.health";
        let item = if is_insight {
            Item::PassedOver("insight_results")
        } else if is_hub {
            Item::PassedOver("no_findings")
        } else if is_health || is_health_detail(detail) {
            found(Shape::Native, detail, Some(envelope))
        } else {
            bare_finding(detail, Some(envelope)).unwrap_or(Item::PassedOver("other_event"))
        };
        self.own(level, item);
    }

    /// Findings in a list; what is none there is a reject.
    fn findings(&mut self, findings: &[Json<'_>], envelope: Option<Envelope<'_>>) {
        for finding in findings {
            let item = if is_finding(finding) {
                bare_finding(finding, envelope)
            } else if finding.as_object().is_some() {
                Some(no_identity("the finding is neither ASFF nor OCSF".to_owned()))
            } else {
                Some(no_identity(format!("the finding is {}, not an object", kind(finding))))
            };
            if let Some(item) = item {
                self.part(item);
            }
        }
    }

    fn notification(&mut self, json: &Json<'_>, level: Level) {
        let inside = level.inside();
        if inside.wrappers > WRAPPERS_MAX {
            return self.own(level, too_deep());
        }
        if text(json, "Type").is_some_and(|kind| kind.ends_with("Confirmation")) {
            return self.own(level, Item::PassedOver("unrecognised"));
        }
        let message = text(json, "Message").unwrap_or_default();
        let (mut repaired, arena) = (String::new(), Arena::default());
        match parse(message.as_bytes(), &mut repaired, &arena) {
            Ok(parsed) => {
                self.repairs += parsed.repairs;
                self.document(&parsed.json, inside);
            }
            Err(error) => {
                let detail = format!("the SNS notification's message is no JSON: {error}");
                self.own(level, unreadable(detail));
            }
        }
    }

    fn error_record(&mut self, json: &Json<'_>, level: Level) {
        let inside = level.inside();
        if inside.wrappers > WRAPPERS_MAX {
            return self.own(level, too_deep());
        }
        if self.raw_bytes_left == 0 {
            return self.own(level, too_large());
        }
        let raw_data = text(json, "rawData").unwrap_or_default();
        let Ok(bytes) = BASE64.decode(raw_data) else {
            return self.own(level, unreadable("the record's `rawData` is no base64"));
        };
        let parts = self.parts;
        let mut documents =
            Documents::new(Box::new(bytes.as_slice()), self.raw_bytes_left, self.limits);
        loop {
            let next = documents.next(|stage, piece| match piece {
                Piece::Document { parsed, .. } => {
                    self.repairs += parsed.repairs;
                    self.document(&parsed.json, inside);
                }
                Piece::Reject { reason, detail, .. } => {
                    self.part(Item::Reject { stage, reason, detail });
                }
            });
            match next {
                Ok(Some(())) => {}
                Ok(None) => break,
                // Bytes in memory do not fail; if they did, the record could not be read.
                Err(error) => {
                    self.part(unreadable(error.to_string()));
                    break;
                }
            }
        }
        // Not each record by itself: records of records could unfold for days.
        self.raw_bytes_left = self.raw_bytes_left.saturating_sub(documents.work_bytes());
        if self.parts == parts {
            self.own(level, Item::PassedOver("no_findings"));
        }
    }

    /// Visits what stands for the document itself, which is a part where a wrapper is around it.
    fn own(&mut self, level: Level, item: Item<'_>) {
        if level.wrappers == 0 {
            (self.visit)(None, item);
        } else {
            self.part(item);
        }
    }

    fn part(&mut self, item: Item<'_>) {
        (self.visit)(Some(self.parts), item);
        self.parts = self.parts.saturating_add(1);
    }
}

/// A finding or Health detail that stands by itself.
fn bare_finding<'j>(json: &'j Json<'j>, envelope: Option<Envelope<'j>>) -> Option<Item<'j>> {
    if is_ocsf(json) {
        if is_ocsf_finding(json) {
            return Some(found(Shape::Ocsf, json, envelope));
        }
        return Some(Item::PassedOver("ocsf_other_class"));
    }
    if is_asff(json) {
        return Some(found(Shape::Asff, json, envelope));
    }
    is_health_detail(json).then(|| found(Shape::Native, json, envelope))
}

fn found<'j>(shape: Shape, body: &'j Json<'j>, envelope: Option<Envelope<'j>>) -> Item<'j> {
    Item::Finding(Found { shape, body, envelope })
}

fn envelope<'j>(json: &'j Json<'j>) -> Envelope<'j> {
    Envelope {
        id: text(json, "id"),
        detail_type: text(json, "detail-type"),
        source: text(json, "source"),
        account: text(json, "account"),
        time: text(json, "time"),
        region: text(json, "region"),
    }
}

/// An EventBridge event; mocks leave out much of it.
fn is_event(json: &Json<'_>) -> bool {
    is_object(json, "detail") && has_any(json, &["detail-type", "source"])
}

/// What an event of Health or Security Hub has in the place of its `detail`.
fn missing_detail(json: &Json<'_>) -> Option<String> {
    let detail_type = text(json, "detail-type")?;
    let is_known = ["AWS Health", "Security Hub ", "Findings Imported"]
        .iter()
        .any(|known| detail_type.starts_with(known));
    let is_wanted = is_known && has_any(json, &["source", "time"]) && !is_object(json, "detail");
    is_wanted.then(|| match json.get("detail") {
        Some(detail) => format!("the event's `detail` is {}, not an object", kind(detail)),
        None => "the event has no `detail`".to_owned(),
    })
}

fn is_notification(json: &Json<'_>) -> bool {
    text(json, "Message").is_some()
        && (text(json, "Type") == Some("Notification") || text(json, "TopicArn").is_some())
}

/// A record under Firehose's error prefix (Firehose Developer Guide, data transformation failures and
/// delivery failures): all kinds have these members, `errorCode` as `lastErrorCode` in one.
fn is_error_record(json: &Json<'_>) -> bool {
    text(json, "rawData").is_some()
        && has_any(
            json,
            &[
                "attemptsMade",
                "arrivalTimestamp",
                "attemptEndingTimestamp",
                "errorCode",
                "lastErrorCode",
            ],
        )
}

/// The records that SNS hands to a Lambda function.
fn lambda_records<'j>(json: &'j Json<'j>) -> Option<&'j [Json<'j>]> {
    let records = json.get("Records")?.as_array()?;
    records.iter().any(|record| is_object(record, "Sns")).then_some(records)
}

fn kind(json: &Json<'_>) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
}

fn no_identity(detail: String) -> Item<'static> {
    Item::Reject { stage: Stage::Recognize, reason: Reason::NoIdentity, detail }
}

fn unreadable(detail: impl Into<String>) -> Item<'static> {
    let reason = Reason::UnreadableWrapper;
    Item::Reject { stage: Stage::Recognize, reason, detail: detail.into() }
}

fn too_large() -> Item<'static> {
    let detail = "the document's records hold more bytes than one document may".to_owned();
    Item::Reject { stage: Stage::Unpack, reason: Reason::ObjectTooLarge, detail }
}

/// Whether values are nested in more than `depth_max` arrays and objects.
fn is_deeper(json: &Json<'_>, depth_max: u32) -> bool {
    let inside = |json: &Json<'_>| is_deeper(json, depth_max.saturating_sub(1));
    match json {
        Json::Array(elements) => depth_max == 0 || elements.iter().any(inside),
        Json::Object(members) => depth_max == 0 || members.iter().any(|(_, member)| inside(member)),
        _ => false,
    }
}

fn nested_too_deep(depth_max: u32) -> Item<'static> {
    let detail = format!("nested deeper than {depth_max} levels (`--depth-max`)");
    Item::Reject { stage: Stage::Recognize, reason: Reason::TooDeep, detail }
}

fn too_deep() -> Item<'static> {
    let detail = format!("wrapped more than {WRAPPERS_MAX} times over");
    Item::Reject { stage: Stage::Recognize, reason: Reason::TooDeep, detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::unpack::pack;
    use crate::finding::limits::CountLimits;

    const ASFF: &str =
        r#"{"SchemaVersion":"2018-10-08","Id":"i","ProductArn":"p","AwsAccountId":"1"}"#;
    const OCSF: &str = r#"{"class_uid":2004,"category_uid":2,"metadata":{"product":{"uid":"p"}}}"#;
    const HEALTH: &str =
        r#"{"eventArn":"arn:aws:health:x::event/A/B/C","service":"EC2","eventTypeCode":"C"}"#;
    const LIMITS: SplitLimits =
        SplitLimits { document_bytes_max: 1 << 20, counts: CountLimits::DEFAULT };

    fn event(detail_type: &str, detail: &str) -> String {
        format!(r#"{{"detail-type":"{detail_type}","source":"s","time":"t","detail":{detail}}}"#)
    }

    fn sns(message: &str) -> String {
        let mut text = r#"{"Type":"Notification","Message":"#.to_owned();
        crate::finding::json::write_string(message, &mut text);
        text + "}"
    }

    fn record(bytes: &[u8]) -> String {
        format!(r#"{{"attemptsMade":4,"errorCode":"x","rawData":"{}"}}"#, BASE64.encode(bytes))
    }

    /// The envelope, then each item with its ordinal; a finding in an event has its time.
    fn seen(text: &str) -> String {
        let json = Json::leaked(text).unwrap();
        let mut seen = Vec::new();
        let recognized = recognize(&json, LIMITS, &mut |ordinal, item| {
            let ordinal = ordinal.map_or_else(String::new, |ordinal| format!("{ordinal}:"));
            seen.push(match item {
                Item::Finding(found) => {
                    let time = found.envelope.and_then(|event| event.time).unwrap_or_default();
                    format!("{ordinal}{}{time}", found.shape.name())
                }
                Item::PassedOver(kind) => format!("{ordinal}({kind})"),
                Item::Reject { reason, .. } => format!("{ordinal}!{}", reason.name()),
            });
        });
        format!("{} {}", recognized.envelope, seen.join(" "))
    }

    #[test]
    fn bare_documents_are_told_by_their_shape() {
        let table = [
            (ASFF, "asff asff"),
            (r#"{"Id":"i","ProductArn":"p","Severity":{}}"#, "asff asff"),
            (r#"{"ProductArn":"p","Title":"t"}"#, "asff asff"),
            (r#"{"AwsAccountId":"1","GeneratorId":"g","Id":"i"}"#, "asff asff"),
            (OCSF, "ocsf ocsf"),
            (r#"{"class_uid":"2001","metadata":{}}"#, "ocsf ocsf"),
            (r#"{"finding_info":{"uid":"u"},"metadata":{}}"#, "ocsf ocsf"),
            (r#"{"class_uid":3002,"category_uid":3,"metadata":{}}"#, "ocsf (ocsf_other_class)"),
            (HEALTH, "health_detail native"),
            (r#"{"eventTypeCode":"C","eventTypeCategory":"issue"}"#, "health_detail native"),
            (
                r#"{"arn":"arn:aws:health:x::event/A/B/C","service":"EC2"}"#,
                "health_api (health_api)",
            ),
            (r#"{"arn":"a","eventTypeCode":"C"}"#, "health_api (health_api)"),
            (r#"{"entityArn":"e","eventArn":"a","entityValue":"v"}"#, "health_api (health_api)"),
            (r#"{"events":[{"arn":"arn:aws:health:x"}]}"#, "unknown (unrecognised)"),
            (r#"{"arn":"arn:aws:s3:::x"}"#, "unknown (unrecognised)"),
            ("{}", "unknown (unrecognised)"),
            ("[{}]", "unknown (unrecognised)"),
            (r#"{"Findings":[{"title":"of another tool"}]}"#, "unknown (unrecognised)"),
            (r#"{"Findings":[]}"#, "api_output (no_findings)"),
        ];
        for (text, expected) in table {
            assert_eq!(seen(text), expected, "{text}");
        }
    }

    #[test]
    fn events_are_told_by_their_detail_and_its_findings_are_parts() {
        let imported = "Security Hub Findings - Imported";
        let table = [
            (event("AWS Health Event", HEALTH), "eventbridge nativet"),
            (event("AWS Health Abuse Event", "{}"), "eventbridge nativet"),
            (event("anything", HEALTH), "eventbridge nativet"),
            (
                event("AWS API Call via CloudTrail", r#"{"eventName":"DescribeEvents"}"#),
                "eventbridge (cloudtrail)",
            ),
            (
                event(imported, &format!(r#"{{"findings":[{ASFF},{OCSF}]}}"#)),
                "eventbridge 0:asfft 1:ocsft",
            ),
            (event("mock", &format!(r#"{{"findings":[{ASFF}]}}"#)), "eventbridge 0:asfft"),
            (event("mock", r#"{"findings":[1]}"#), "eventbridge (other_event)"),
            (
                event(imported, &format!(r#"{{"findings":[7,{{}},{ASFF}]}}"#)),
                "eventbridge 0:!no_identity 1:!no_identity 2:asfft",
            ),
            (event(imported, r#"{"findings":[]}"#), "eventbridge (no_findings)"),
            (event(imported, "{}"), "eventbridge (no_findings)"),
            (event(imported, r#"{"findings":"x"}"#), "eventbridge !no_identity"),
            (
                event("Findings Imported V2", &format!(r#"{{"findings":[{OCSF}]}}"#)),
                "eventbridge 0:ocsft",
            ),
            (
                event("Security Hub Insight Results", r#"{"insightResults":[{"a":1}]}"#),
                "eventbridge (insight_results)",
            ),
            (event("EC2 State Change", r#"{"state":"x"}"#), "eventbridge (other_event)"),
            (event("transformed", ASFF), "eventbridge asfft"),
            (event("AWS Health Event", "\"{}\""), "eventbridge !no_identity"),
            (event("AWS Health Event", "null"), "eventbridge !no_identity"),
            (event("EC2 State Change", "null"), "unknown (unrecognised)"),
        ];
        for (text, expected) in table {
            assert_eq!(seen(&text), expected, "{text}");
        }
    }

    #[test]
    fn wrappers_are_opened_and_what_is_inside_are_parts() {
        let health = event("AWS Health Event", HEALTH);
        let many = format!("{health}\n{ASFF} garbage");
        let mut deep = health.clone();
        for _ in 0..WRAPPERS_MAX {
            deep = sns(&deep);
        }
        let findings = format!(r#"{{"Findings":[{ASFF},null,{OCSF}]}}"#);
        let lambda = format!(r#"{{"Records":[{{"Sns":{}}},{{}}]}}"#, sns(&health));
        let table = [
            (sns(&health), "sns 0:nativet"),
            (sns(HEALTH), "sns 0:native"),
            (sns("plain text"), "sns !unreadable_wrapper"),
            (sns("{}"), "sns 0:(unrecognised)"),
            (
                r#"{"Type":"SubscriptionConfirmation","TopicArn":"t","Message":"m"}"#.to_owned(),
                "sns (unrecognised)",
            ),
            (deep.clone(), "sns 0:nativet"),
            (sns(&deep), "sns 0:!too_deep"),
            (findings.clone(), "api_output 0:asff 1:!no_identity 2:ocsf"),
            (sns(&findings), "sns 0:asff 1:!no_identity 2:ocsf"),
            (lambda, "sns 0:nativet 1:!unreadable_wrapper"),
            (record(health.as_bytes()), "firehose_error 0:nativet"),
            (record(&pack::gzip(many.as_bytes())), "firehose_error 0:nativet 1:asff 2:!not_json"),
            (record(sns(&health).as_bytes()), "firehose_error 0:nativet"),
            (record(b""), "firehose_error (no_findings)"),
            (record(b"PAR1 and more"), "firehose_error 0:!foreign_format"),
            (record(&[&health.as_bytes()[..20]].concat()), "firehose_error 0:!cut_document"),
            (
                r#"{"lastErrorCode":"x","rawData":"(no base64)"}"#.to_owned(),
                "firehose_error !unreadable_wrapper",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(seen(&text), expected, "{text}");
        }
    }

    #[test]
    fn repairs_inside_wrappers_are_counted() {
        let json = sns(r#"{"a":"\ud800"}"#);
        let json = Json::leaked(&json).unwrap();
        assert_eq!(recognize(&json, LIMITS, &mut |_, _| {}).repairs, 1);
    }
}
