//! Findings in the Open Cybersecurity Schema Framework to a row.
//!
//! In: the finding, of any class of category 2. Out: its key, its clocks, and the cells of its row.
//! What can go wrong: a finding without any uid has no identity. Labels and statuses become those
//! of ASFF. A time may come twice, as milliseconds and as text (`…_dt`): either is read, and one
//! that says another millisecond is left over.

use std::borrow::Cow;

use crate::finding::columns::Column;
use crate::finding::envelope::Shape;
use crate::finding::fields::{walk, walk_elements};
use crate::finding::from_asff::{fill_health_event, fill_place, fill_severity, set};
use crate::finding::json::{Arena, Json, Object};
use crate::finding::ocsf_fields::{FINDING, RESOURCE_KEPT};
use crate::finding::product::is_health;
use crate::finding::row::{
    Cell, Resource, Row, TextMap, as_text, is_absent, read_int, read_map, some_text, term,
};
use crate::finding::time;

/// The finding's uid, where the classes have it: `finding_info`, the older `finding`, the list of
/// an incident, at last the uid of the event itself.
pub(super) fn id<'j>(finding: &'j Object<'j>) -> Option<Cow<'j, str>> {
    let uid_of = |name| some_text(finding.get(name).and_then(|object| object.get("uid")));
    let uids_of_list = || {
        let list = finding.get("finding_info_list")?.as_array()?;
        let uids: Vec<&str> = list.iter().filter_map(|info| some_text(info.get("uid"))).collect();
        match uids.as_slice() {
            [] => None,
            [uid] => Some(Cow::Borrowed(*uid)),
            _ => Some(Cow::Owned(uids.join(","))),
        }
    };
    uid_of("finding_info")
        .or_else(|| uid_of("finding"))
        .map(Cow::Borrowed)
        .or_else(uids_of_list)
        .or_else(|| uid_of("metadata").map(Cow::Borrowed))
}

/// The uid of the product that made it.
pub(super) fn product<'j>(finding: &'j Object<'j>) -> Option<&'j str> {
    some_text(finding.get("metadata")?.at(&["product", "uid"]))
}

/// The account that it is about.
pub(super) fn account<'j>(finding: &'j Object<'j>) -> Option<&'j str> {
    some_text(finding.get("cloud")?.at(&["account", "uid"]))
}

/// When its maker last changed it.
pub(super) fn updated(finding: &Object<'_>) -> Option<i64> {
    time_of_finding(finding, ["modified_time", "modified_time_dt"])
}

/// The time of the event.
pub(super) fn time_of_event(finding: &Object<'_>) -> Option<i64> {
    twin(finding, ["time", "time_dt"])
}

/// When it was made.
pub(super) fn created(finding: &Object<'_>) -> Option<i64> {
    time_of_finding(finding, ["created_time", "created_time_dt"])
}

fn time_of_finding(finding: &Object<'_>, names: [&str; 2]) -> Option<i64> {
    ["finding_info", "finding"]
        .into_iter()
        .find_map(|object| twin(finding.get(object)?.as_object()?, names))
}

/// A time that may come as milliseconds and as text.
fn twin(object: &Object<'_>, names: [&str; 2]) -> Option<i64> {
    names.into_iter().find_map(|name| time::read(object.get(name)?))
}

/// Fills the row of a finding.
pub(super) fn fill<'j>(row: &mut Row<'j, '_>, body: &'j Json<'j>, finding: &'j Object<'j>) {
    let is_health = is_health(Shape::Ocsf, body);
    let id = match id(finding) {
        Some(Cow::Borrowed(id)) => Some(id),
        _ => None,
    };
    let product = product(finding);
    let cloud = |name| some_text(finding.get("cloud").and_then(|cloud| cloud.get(name)));
    if is_health {
        let feature = finding.get("metadata").and_then(|json| json.at(&["product", "feature"]));
        fill_health_event(row, id, None, some_text(feature.and_then(|json| json.get("uid"))));
    }
    fill_place(row, [product, None], cloud("region"), cloud("cloud_partition"));
    fill_labels(row, finding);
    fill_processed(row, finding);
    row.set_some_text(Column::NoteText, some_text(finding.get("comment")));
    walk(row, &FINDING, finding);
    if is_health && row.is_null(Column::StartTime) {
        // Health gives the start of the event as the creation of its finding.
        row.set_time(Column::StartTime, created(finding));
    }
}

/// Severity, workflow status, record state and compliance status in ASFF's terms.
fn fill_labels<'j>(row: &mut Row<'j, '_>, finding: &'j Object<'j>) {
    row.set_some_text(Column::SeverityLabel, severity(finding));
    fill_severity(row);
    if int(finding, "severity_id") == Some(6) && some_text(finding.get("severity")).is_none() {
        row.set_text(Column::SeverityOriginal, "Fatal");
    }
    row.set_some_text(Column::WorkflowStatus, workflow_status(finding));
    row.set_some_text(Column::RecordState, record_state(finding));
    let compliance = finding.get("compliance").and_then(Json::as_object);
    row.set_some_text(Column::ComplianceStatus, compliance.and_then(compliance_status));
}

fn int(object: &Object<'_>, name: &str) -> Option<i32> {
    read_int(object.get(name)?)
}

/// The label of a severity: by its number, and where that says nothing (0 unknown, 99 other) by its
/// text.
fn severity<'j>(finding: &'j Object<'j>) -> Option<&'j str> {
    let text = some_text(finding.get("severity"));
    match int(finding, "severity_id") {
        Some(1) => Some("INFORMATIONAL"),
        Some(2) => Some("LOW"),
        Some(3) => Some("MEDIUM"),
        Some(4) => Some("HIGH"),
        Some(5 | 6) => Some("CRITICAL"),
        _ => match text? {
            text if is(text, &["unknown"]) => None,
            text if is(text, &["info"]) => Some("INFORMATIONAL"),
            text if is(text, &["fatal"]) => Some("CRITICAL"),
            text => Some(term(Column::SeverityLabel, text)),
        },
    }
}

/// A workflow status in ASFF's terms; archived and deleted are states of the record.
fn workflow_status<'j>(finding: &'j Object<'j>) -> Option<&'j str> {
    match int(finding, "status_id") {
        Some(1) => Some("NEW"),
        Some(2) => Some("NOTIFIED"),
        Some(3) => Some("SUPPRESSED"),
        Some(4) => Some("RESOLVED"),
        Some(5 | 6) => None,
        _ => workflow_term(some_text(finding.get("status"))?),
    }
}

fn workflow_term(status: &str) -> Option<&str> {
    match status {
        _ if is(status, &["in progress", "in_progress"]) => Some("NOTIFIED"),
        _ if is(status, &["archived", "deleted", "unknown", "other"]) => None,
        _ => Some(term(Column::WorkflowStatus, status)),
    }
}

/// Active is what is not closed (Security Hub User Guide, OCSF findings).
fn record_state(finding: &Object<'_>) -> Option<&'static str> {
    let status = some_text(finding.get("status")).unwrap_or_default();
    if matches!(int(finding, "status_id"), Some(5 | 6)) || is(status, &["archived", "deleted"]) {
        return Some("ARCHIVED");
    }
    let activity = some_text(finding.get("activity_name")).unwrap_or_default();
    match int(finding, "activity_id") {
        Some(3) => Some("ARCHIVED"),
        Some(1 | 2) => Some("ACTIVE"),
        _ if is(activity, &["close"]) => Some("ARCHIVED"),
        _ if is(activity, &["create", "update"]) => Some("ACTIVE"),
        _ => None,
    }
}

fn compliance_status<'j>(compliance: &'j Object<'j>) -> Option<&'j str> {
    if let Some(status) = some_text(compliance.get("status")) {
        return Some(compliance_term(status));
    }
    match int(compliance, "status_id") {
        Some(1) => Some("PASSED"),
        Some(2) => Some("WARNING"),
        Some(3) => Some("FAILED"),
        _ => None,
    }
}

fn compliance_term(status: &str) -> &str {
    match status {
        _ if is(status, &["pass"]) => "PASSED",
        _ if is(status, &["fail"]) => "FAILED",
        _ if is(status, &["not available"]) => "NOT_AVAILABLE",
        _ => term(Column::ComplianceStatus, status),
    }
}

fn is(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// When the finding was processed, else logged; the content hash leaves these times out, so they
/// are in this column only.
fn fill_processed<'j>(row: &mut Row<'j, '_>, finding: &'j Object<'j>) {
    let metadata = finding.get("metadata").and_then(Json::as_object);
    for name in ["processed_time", "processed_time_dt", "logged_time", "logged_time_dt"] {
        for object in [metadata, Some(finding)].into_iter().flatten() {
            if let Some(value) = object.get(name) {
                row.read_delivery(Column::ProcessedAt, value);
            }
        }
    }
}

/// The number of a severity is in its label, unless it is none of the known ones.
pub(super) fn keep_unknown_severity<'j>(row: &mut Row<'j, '_>, name: &'j str, value: &'j Json<'j>) {
    keep_unless(row, name, value, matches!(read_int(value), Some(1..=6)));
}

/// The number of a status is in the workflow status, unless it is none of those.
pub(super) fn keep_unknown_status<'j>(row: &mut Row<'j, '_>, name: &'j str, value: &'j Json<'j>) {
    keep_unless(row, name, value, matches!(read_int(value), Some(1..=4)));
}

/// A status is in the workflow status, unless its number says another.
pub(super) fn keep_other_status<'j>(row: &mut Row<'j, '_>, name: &'j str, value: &'j Json<'j>) {
    let status = some_text(Some(value)).and_then(workflow_term);
    let is_there = status.is_some() && status == row.text(Column::WorkflowStatus);
    keep_text_unless(row, Column::WorkflowStatus, name, value, is_there);
}

pub(super) fn keep_other_compliance<'j>(row: &mut Row<'j, '_>, name: &'j str, value: &'j Json<'j>) {
    let status = some_text(Some(value)).map(compliance_term);
    let is_there = status.is_some() && status == row.text(Column::ComplianceStatus);
    keep_text_unless(row, Column::ComplianceStatus, name, value, is_there);
}

fn keep_text_unless(
    row: &mut Row<'_, '_>,
    column: Column,
    name: &str,
    value: &Json<'_>,
    is_there: bool,
) {
    match value {
        Json::String(_) | Json::Null => keep_unless(row, name, value, is_there),
        _ => row.unreadable(column, name, value),
    }
}

fn keep_unless(row: &mut Row<'_, '_>, name: &str, value: &Json<'_>, is_there: bool) {
    if !is_there && !is_absent(value) {
        row.leftovers.put(name, value);
    }
}

/// The first reference is the link; more of them are left over, all together.
pub(super) fn read_references<'j>(row: &mut Row<'j, '_>, name: &'j str, value: &'j Json<'j>) {
    let Json::Array(references) = value else {
        if !is_absent(value) {
            row.unreadable(Column::RemediationUrl, name, value);
        }
        return;
    };
    let first = some_text(references.first());
    if row.is_null(Column::RemediationUrl) {
        row.set_some_text(Column::RemediationUrl, first);
    }
    let is_there = first.is_some() && first == row.text(Column::RemediationUrl);
    if !references.is_empty() && (!is_there || references.len() > 1) {
        row.leftovers.put(name, value);
    }
}

/// Reads `resources`, or the single `resource` of older versions.
pub(super) fn read_resources<'j>(row: &mut Row<'j, '_>, name: &'j str, value: &'j Json<'j>) {
    let mut resources = match row.cell(Column::Resources) {
        Cell::Resources(resources) => resources.clone(),
        _ => Vec::new(),
    };
    match value {
        Json::Array(elements) => {
            let read = walk_elements(row, Column::Resources, name, *elements, read_resource);
            resources.extend(read);
        }
        Json::Object(members) => {
            let mark = row.leftovers.open(name);
            resources.push(read_resource(row, members));
            row.leftovers.close(mark);
        }
        _ if is_absent(value) => return,
        _ => return row.unreadable(Column::Resources, name, value),
    }
    row.set(Column::Resources, Cell::Resources(resources));
}

fn read_resource<'j>(row: &mut Row<'j, '_>, members: &'j Object<'j>) -> Resource<'j> {
    let mut resource = Resource::default();
    for (name, value) in members.iter() {
        if is_absent(value) {
            continue;
        }
        let is_read = match name {
            "uid" => {
                let is_read = set(&mut resource.id, value.as_str());
                if is_read {
                    row.leftovers.label(name, value);
                }
                is_read
            }
            "type" => set(&mut resource.kind, value.as_str()),
            "cloud_partition" => set(&mut resource.aws_partition, value.as_str()),
            "region" => set(&mut resource.region, value.as_str()),
            "data" => set(&mut resource.details_json, Some(details(value))),
            "labels" if members.has("tags") => {
                row.leftovers.put(name, value);
                true
            }
            "tags" | "labels" => {
                let (tags, is_whole) = read_tags(value).unzip();
                if is_whole == Some(false) {
                    row.leftovers.put(name, value);
                }
                set(&mut resource.tags, tags)
            }
            "criticality" => {
                if let (true, Some(criticality)) =
                    (row.is_null(Column::Criticality), read_int(value))
                {
                    row.set(Column::Criticality, Cell::Int(criticality));
                }
                row.leftovers.put(name, value);
                true
            }
            _ if RESOURCE_KEPT.contains(&name) => {
                row.leftovers.put(name, value);
                true
            }
            _ => {
                row.unknown("ocsf.resources", name, value);
                true
            }
        };
        if !is_read {
            row.unreadable(Column::Resources, name, value);
        }
    }
    resource
}

/// The details of a resource as JSON: an object, or JSON inside a text as Security Lake writes it.
fn details(value: &Json<'_>) -> String {
    let arena = Arena::default();
    let inside = value.as_str().and_then(|text| Json::parse(text, &arena).ok());
    inside.as_ref().unwrap_or(value).to_canonical()
}

/// Tags as an object, as a list of names and values, or as a list of `key=value`; and whether that
/// is all that they say.
fn read_tags<'j>(value: &'j Json<'j>) -> Option<(TextMap<'j>, bool)> {
    let Json::Array(elements) = value else {
        return read_map(value).map(|tags| (tags, true));
    };
    let mut tags: TextMap<'j> = elements.iter().filter_map(read_tag).collect();
    // Stable and reversed, so that of equal names the last is kept, as in an object.
    tags.reverse();
    tags.sort_by(|left, right| left.0.cmp(&right.0));
    tags.dedup_by(|later, kept| later.0 == kept.0);
    let is_whole = tags.len() == elements.len();
    Some((tags, is_whole))
}

fn read_tag<'j>(tag: &'j Json<'j>) -> Option<(Cow<'j, str>, Option<Cow<'j, str>>)> {
    if let Json::String(label) = tag {
        let (name, value) = label.split_once('=')?;
        return Some((Cow::Borrowed(name), Some(Cow::Borrowed(value))));
    }
    let members = tag.as_object()?;
    let name = members.get("name").or_else(|| members.get("key"))?.as_str()?;
    let value = members.get("value");
    // A tag with other members than these would not be told whole.
    let read = 1 + usize::from(value.is_some());
    (members.len() == read).then(|| (Cow::Borrowed(name), value.and_then(as_text)))
}

#[cfg(test)]
#[expect(clippy::needless_raw_string_hashes, reason = "expect_test writes them so")]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::finding::envelope::Envelope;
    use crate::finding::fields::check_table;
    use crate::finding::testing::{ENVELOPE, show};

    #[expect(clippy::needless_pass_by_value, reason = "as expect_test is used everywhere")]
    fn check(text: &str, envelope: Option<Envelope<'_>>, expected: Expect) {
        expected.assert_eq(&show(Shape::Ocsf, text, envelope));
    }

    #[test]
    fn the_tables_of_fields_are_sorted() {
        check_table(&FINDING);
        assert!(RESOURCE_KEPT.is_sorted());
    }

    #[test]
    fn a_health_finding_links_to_its_event() {
        check(
            r#"{
                "class_uid": 2004, "activity_id": 1, "severity_id": 3, "severity": "Medium",
                "status_id": 2, "status": "In Progress", "time": 1795489445000,
                "cloud": {"account": {"uid": "123456789012", "name": "n"}, "region": "us-east-1", "cloud_partition": "aws"},
                "finding_info": {
                    "uid": "arn:aws:health:us-east-1:123456789012:event/SES/AWS_SES_X/AWS_SES_X_30_33fe/101F7FBAEFC663977DA09CFF56A29236602834D2D361E6A8CA5140BFB3A69B30",
                    "title": "t", "desc": "d", "types": ["a"], "src_url": "u",
                    "created_time_dt": "2026-11-20T00:00:00Z",
                    "modified_time": 1795489445123, "modified_time_dt": "2026-11-24T03:04:05.123Z"
                },
                "metadata": {
                    "version": "1.6.0", "processed_time": 1795489446000, "uid": "m",
                    "product": {"uid": "arn:aws:securityhub:us-east-1::productv2/aws/health", "name": "Health",
                                "vendor_name": "AWS", "feature": {"uid": "AWS_SES_X"}}
                }
            }"#,
            Some(ENVELOPE),
            expect![[r#"
                reported_at: 2026-11-24 03:04:05.000
                event_time: 2026-11-24 03:04:05.000
                time_source: envelope
                shape: ocsf
                detail_type: AWS Health Event
                event_id: 7bf73129-1428-4cd3-a780-95db273d1602
                finding_id: arn:aws:health:us-east-1:123456789012:event/SES/AWS_SES_X/AWS_SES_X_30_33fe/101F7FBAEFC663977DA09CFF56A29236602834D2D361E6A8CA5140BFB3A69B30
                event_arn: arn:aws:health:us-east-1::event/SES/AWS_SES_X/AWS_SES_X_30_33fe
                service: SES
                event_type_code: AWS_SES_X
                account_id: 123456789012
                sent_to_account: 999999999999
                region: us-east-1
                sent_to_region: us-east-1
                aws_partition: aws
                account_name: n
                product_arn: arn:aws:securityhub:us-east-1::productv2/aws/health
                product_name: Health
                company_name: AWS
                generator_id: AWS_SES_X
                severity_label: MEDIUM
                severity_normalized: 40
                severity_original: Medium
                title: t
                description: d
                source_url: u
                created_at: 2026-11-20 00:00:00.000
                updated_at: 2026-11-24 03:04:05.123
                processed_at: 2026-11-24 03:04:06.000
                start_time: 2026-11-20 00:00:00.000
                workflow_status: NOTIFIED
                record_state: ACTIVE
                unmapped_json: {"activity_id":1,"class_uid":2004,"metadata":{"uid":"m","version":"1.6.0"},"time":1795489445000}
                source_length: 200
                types: ["a"]
            "#]],
        );
    }

    #[test]
    fn a_vendors_finding_without_envelope() {
        check(
            r#"{
                "class_uid": 2003, "severity_id": 99, "severity": "Fatal", "status": "Archived", "time": 1709090374,
                "comment": "c", "message": "m", "confidence_score": 99,
                "compliance": {"status": "Fail", "status_id": 3, "control": "x"},
                "cloud": {"account": {"uid": ""}, "region": "azure-global", "provider": "Azure"},
                "finding_info": {"uid": "u", "created_time": 1, "modified_time": 1709090374000,
                                 "modified_time_dt": "2024-02-28T03:19:35Z", "brand_new": 1},
                "metadata": {"product": {"uid": "p"}, "logged_time_dt": "2024-02-28T03:20:00Z"},
                "remediation": {"desc": "do", "references": ["https://a", "https://b"]},
                "resource": {"uid": "r0", "labels": ["a=1", "b"], "data": "{\"z\": 1, \"a\": 2}", "criticality": "5"},
                "resources": [
                    {"uid": "r1", "tags": [{"name": "b", "value": "2"}, {"name": "a", "value": "1"}], "data": {"k": null}},
                    {"uid": "r2", "labels": ["x=y=z"], "owner": {"account": {"uid": "1"}}, "what": 1}, 7
                ],
                "surprise": true
            }"#,
            None,
            expect![[r#"
                reported_at: 2024-02-28 03:19:34.000
                time_source: updated
                shape: ocsf
                finding_id: u
                account_id: 
                region: azure-global
                product_arn: p
                severity_label: CRITICAL
                severity_normalized: 90
                severity_original: Fatal
                confidence: 99
                criticality: 5
                remediation_text: do
                remediation_url: https://a
                updated_at: 2024-02-28 03:19:34.000
                processed_at: 2024-02-28 03:20:00.000
                record_state: ARCHIVED
                compliance_status: FAILED
                note_text: c
                unmapped_json: {"class_uid":2003,"cloud":{"provider":"Azure"},"compliance":{"control":"x","status_id":3},"finding_info":{"brand_new":1,"created_time":1,"modified_time_dt":"2024-02-28T03:19:35Z"},"message":"m","remediation":{"references":["https://a","https://b"]},"resource":{"criticality":"5","labels":["a=1","b"],"uid":"r0"},"resources":[{"owner":{"account":{"uid":"1"}},"uid":"r2","what":1},7],"severity_id":99,"status":"Archived","surprise":true,"time":1709090374}
                source_length: 200
                resources: Resource { kind: None, id: Some("r0"), aws_partition: None, region: None, tags: Some([("a", Some("1"))]), details_json: Some("{\"a\":2,\"z\":1}") }
                resources: Resource { kind: None, id: Some("r1"), aws_partition: None, region: None, tags: Some([("a", Some("1")), ("b", Some("2"))]), details_json: Some("{\"k\":null}") }
                resources: Resource { kind: None, id: Some("r2"), aws_partition: None, region: None, tags: Some([("x", Some("y=z"))]), details_json: None }
                unknown ocsf.finding_info.brand_new: 1
                unknown ocsf.resources.what: 1
                unknown ocsf.surprise: 1
                unreadable created_at: 1
                unreadable resources: 1
                account unknown
            "#]],
        );
    }

    #[test]
    fn the_uid_is_looked_for_in_order() {
        let table = [
            (r#"{"finding_info":{"uid":"a"},"finding":{"uid":"b"}}"#, Some("a")),
            (
                r#"{"finding_info":{"uid":" "},"finding":{"uid":"b"},"metadata":{"uid":"d"}}"#,
                Some("b"),
            ),
            (
                r#"{"finding_info_list":[{"uid":"c"},{},{"uid":"d"}],"metadata":{"uid":"e"}}"#,
                Some("c,d"),
            ),
            (r#"{"finding_info_list":[{"uid":"c"}]}"#, Some("c")),
            (r#"{"finding_info_list":[],"metadata":{"uid":"e"}}"#, Some("e")),
            (r#"{"metadata":{"uid":5}}"#, None),
        ];
        for (text, expected) in table {
            let body = Json::leaked(text).unwrap();
            assert_eq!(id(body.as_object().unwrap()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn labels_and_statuses_are_those_of_asff() {
        let table = [
            (r#"{"severity_id":1}"#, "INFORMATIONAL", "", ""),
            (r#"{"severity_id":6}"#, "CRITICAL", "", ""),
            (r#"{"severity_id":0,"severity":"Unknown"}"#, "", "", ""),
            (r#"{"severity":"high"}"#, "HIGH", "", ""),
            (r#"{"severity_id":2,"severity":"Major"}"#, "LOW", "", ""),
            (r#"{"severity_id":99,"severity":"Major"}"#, "Major", "", ""),
            (r#"{"status_id":1,"activity_id":1}"#, "", "NEW", "ACTIVE"),
            (r#"{"status_id":3,"activity_id":2}"#, "", "SUPPRESSED", "ACTIVE"),
            (r#"{"status_id":4,"activity_id":3}"#, "", "RESOLVED", "ARCHIVED"),
            (r#"{"status_id":5,"activity_id":2}"#, "", "", "ARCHIVED"),
            (r#"{"status_id":99,"status":"in_progress"}"#, "", "NOTIFIED", ""),
            (r#"{"status":"Waiting","activity_name":"Close"}"#, "", "Waiting", "ARCHIVED"),
            ("{}", "", "", ""),
        ];
        for (text, label, workflow, record) in table {
            let body = Json::leaked(text).unwrap();
            let body = body.as_object().unwrap();
            assert_eq!(severity(body).unwrap_or_default(), label, "{text}");
            assert_eq!(workflow_status(body).unwrap_or_default(), workflow, "{text}");
            assert_eq!(record_state(body).unwrap_or_default(), record, "{text}");
        }
    }

    #[test]
    fn without_identity_or_time_there_is_no_row() {
        check(
            r#"{"class_uid":2004}"#,
            Some(ENVELOPE),
            expect![[r#"
            no_identity: the OCSF finding has no `finding_info.uid` and no other uid
        "#]],
        );
        check(
            r#"{"finding_info":{"uid":"u"}}"#,
            None,
            expect![[r#"
            no_time: `time` of the envelope, `modified_time`, `time` and `created_time` are missing or no times of the years 2015 to 2100
        "#]],
        );
    }
}
