//! Native AWS Health events: the `detail` of an EventBridge event to a row.
//!
//! In: the `detail` object. Out: its key, its clocks, and the cells of its row. What can go wrong:
//! an event without `eventArn` has no identity. Names are matched without case, because AWS itself
//! spells `lastUpdatedTime` in three ways. Entities are sorted by value, so that the order in which
//! a copy lists them says nothing.

use std::cmp::Ordering;

use crate::finding::arn::{self, Arn};
use crate::finding::columns::Column;
use crate::finding::fields::{Table, To, field, get_any_case, walk, walk_elements};
use crate::finding::json::{Json, Object};
use crate::finding::row::{
    Cell, Entity, Reading, Row, compare, is_absent, read_int, read_map, read_text, some_text,
};
use crate::finding::time;

/// The fields of `detail`, from the schema in the Health User Guide.
pub(super) static DETAIL: Table = Table {
    path: "health",
    any_case: true,
    fields: &[
        field("actionability", To::Column(Column::Actionability)),
        field("affectedAccount", To::Column(Column::AccountId)),
        field("affectedEntities", To::Special(read_entities)),
        field("backupEvent", To::Delivery(Column::Backup)),
        field("communicationId", To::Special(read_communication)),
        field("endTime", To::Column(Column::EndTime)),
        field("eventArn", To::Column(Column::FindingId)),
        field("eventDescription", To::Special(read_descriptions)),
        field("eventMetadata", To::Column(Column::Metadata)),
        field("eventRegion", To::Column(Column::Region)),
        field("eventScopeCode", To::Column(Column::EventScope)),
        field("eventTypeCategory", To::Column(Column::EventTypeCategory)),
        field("eventTypeCode", To::Column(Column::EventTypeCode)),
        field("lastUpdatedTime", To::Column(Column::UpdatedAt)),
        field("page", To::Column(Column::Page)),
        field("personas", To::Column(Column::Personas)),
        field("service", To::Column(Column::Service)),
        field("startTime", To::Column(Column::StartTime)),
        field("statusCode", To::Column(Column::StatusCode)),
        field("totalPages", To::Column(Column::TotalPages)),
    ],
};

/// The event's ARN, as it stands.
pub(super) fn id<'j>(detail: &'j Object<'j>) -> Option<&'j str> {
    some_text(get_any_case(detail, "eventArn"))
}

/// The account that the event affects, when it says so.
pub(super) fn account<'j>(detail: &'j Object<'j>) -> Option<&'j str> {
    some_text(get_any_case(detail, "affectedAccount"))
}

/// Whether the event says which communication it is.
pub(super) fn has_communication(detail: &Object<'_>) -> bool {
    some_text(get_any_case(detail, "communicationId")).is_some()
}

/// When the event was last updated.
pub(super) fn updated(detail: &Object<'_>) -> Option<i64> {
    time::read(get_any_case(detail, "lastUpdatedTime")?)
}

/// When the event started or will start.
pub(super) fn started(detail: &Object<'_>) -> Option<i64> {
    time::read(get_any_case(detail, "startTime")?)
}

/// Fills the row of an event that was sent to `sent_to_region`.
pub(super) fn fill<'j>(
    row: &mut Row<'j, '_>,
    detail: &'j Object<'j>,
    sent_to_region: Option<&'j str>,
) {
    row.set_text(Column::ProductName, "Health");
    row.set_text(Column::CompanyName, "AWS");
    if let Some(event_arn) = id(detail) {
        row.set_text(Column::EventArn, arn::blank_account(event_arn));
        let parts = Arn::parse(event_arn);
        row.set_some_text(Column::Region, parts.and_then(|arn| arn.region()));
        row.set_some_text(Column::AwsPartition, parts.and_then(|arn| arn.partition()));
    }
    // Read before the walk, because `communicationId` comes before it.
    if let Some(page) = get_any_case(detail, "page").and_then(read_int) {
        row.set(Column::Page, Cell::Int(page));
    }
    walk(row, &DETAIL, detail);
    if row.is_null(Column::Backup)
        && let Some(backup) = is_backup(row, sent_to_region)
    {
        row.set(Column::Backup, Cell::Bool(backup));
    }
}

/// Whether an event that does not say so is the copy for the backup Region: it was sent to another
/// Region than it is about; a global one to us-west-2 in the standard partition (Health User
/// Guide, choosing a Region). Of the other partitions' global events nothing can be told.
fn is_backup(row: &Row<'_, '_>, sent_to_region: Option<&str>) -> Option<bool> {
    let sent_to = sent_to_region.filter(|region| *region != "global")?;
    match row.text(Column::Region)? {
        "global" if row.text(Column::AwsPartition) == Some("aws") => Some(sent_to == "us-west-2"),
        "global" => None,
        region => Some(sent_to != region),
    }
}

/// A communication's id ends in its page, `…-1`; what is left is the same for all its pages. It is
/// cut only where the event says the same page elsewhere, so that nothing is lost.
fn read_communication<'j>(row: &mut Row<'j, '_>, name: &'j str, value: &'j Json<'j>) {
    let cut = match (value.as_str(), row.cell(Column::Page)) {
        (Some(text), Cell::Int(page)) => text
            .rsplit_once('-')
            .filter(|(id, last)| !id.is_empty() && *last == page.to_string())
            .map(|(id, _)| id),
        _ => None,
    };
    match cut {
        Some(id) if row.is_null(Column::CommunicationId) => {
            row.set_text(Column::CommunicationId, id);
        }
        _ => row.read(Column::CommunicationId, name, value),
    }
}

/// The description is the latest text in English, else in the first language; the languages and all
/// other texts are left over. Some writers give one object or a text in place of the list.
fn read_descriptions<'j>(row: &mut Row<'j, '_>, name: &'j str, value: &'j Json<'j>) {
    match value {
        Json::Array(descriptions) => {
            let chosen = choose_description(descriptions);
            let mark = row.leftovers.open_array(name);
            for (index, description) in descriptions.iter().enumerate() {
                match description {
                    Json::Object(description) => {
                        let element = row.leftovers.open_element();
                        read_description(row, description, chosen == Some(index));
                        row.leftovers.close(element);
                    }
                    _ if is_absent(description) => {}
                    _ => {
                        row.count_unreadable(Column::Description);
                        row.leftovers.put_element(description);
                    }
                }
            }
            row.leftovers.close(mark);
        }
        Json::Object(description) => {
            let mark = row.leftovers.open(name);
            read_description(row, description, true);
            row.leftovers.close(mark);
        }
        _ => row.read(Column::Description, name, value),
    }
}

fn choose_description(descriptions: &[Json<'_>]) -> Option<usize> {
    let text = |json: &Json<'_>| {
        let text = get_any_case(json.as_object()?, "latestDescription")?;
        matches!(read_text(text), Reading::Value(_)).then_some(())
    };
    let is_english = |json: &Json<'_>| {
        let language = json.get("language").and_then(Json::as_str).unwrap_or_default();
        language.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("en"))
    };
    let with_text = |json: &&Json<'_>| text(json).is_some();
    descriptions
        .iter()
        .position(|json| with_text(&json) && is_english(json))
        .or_else(|| descriptions.iter().position(|json| with_text(&json)))
}

fn read_description<'j>(row: &mut Row<'j, '_>, description: &'j Object<'j>, is_chosen: bool) {
    for (name, value) in description.iter() {
        if name.eq_ignore_ascii_case("latestDescription") {
            // A text in another language is left over; what is no text is read too, to be counted.
            if is_chosen || value.as_str().is_none() {
                row.read(Column::Description, name, value);
            } else {
                row.leftovers.put(name, value);
            }
        } else if name == "language" {
            row.leftovers.put(name, value);
        } else {
            row.unknown("health.eventDescription", name, value);
        }
    }
}

fn read_entities<'j>(row: &mut Row<'j, '_>, name: &'j str, value: &'j Json<'j>) {
    let Json::Array(elements) = value else {
        if !is_absent(value) {
            row.unreadable(Column::Entities, name, value);
        }
        return;
    };
    if !row.is_null(Column::Entities) {
        row.leftovers.put(name, value);
        return;
    }
    let mut sorted: Vec<&Json<'_>> = elements.iter().collect();
    sorted.sort_by(|left, right| compare_entities(left, right));
    let entities = walk_elements(row, Column::Entities, name, sorted, read_entity);
    row.set(Column::Entities, Cell::Entities(entities));
}

/// By value, then by all else that they say.
fn compare_entities(left: &Json<'_>, right: &Json<'_>) -> Ordering {
    entity_value(left).cmp(&entity_value(right)).then_with(|| compare(left, right))
}

fn entity_value<'j>(entity: &'j Json<'j>) -> Option<&'j str> {
    some_text(get_any_case(entity.as_object()?, "entityValue"))
}

fn read_entity<'j>(row: &mut Row<'j, '_>, members: &'j Object<'j>) -> Entity<'j> {
    let mut entity = Entity::default();
    for (name, value) in members.iter() {
        if is_absent(value) {
            continue;
        }
        let is =
            |exact: &str| name == exact || name.eq_ignore_ascii_case(exact) && !members.has(exact);
        let is_read = if is("entityValue") {
            let is_read = fill_once(&mut entity.value, value.as_str());
            if is_read {
                row.leftovers.label(name, value);
            }
            is_read
        } else if is("status") {
            fill_once(&mut entity.status, value.as_str())
        } else if is("lastUpdatedTime") {
            fill_once(&mut entity.last_updated_at, time::read(value))
        } else if is("tags") {
            fill_once(&mut entity.tags, read_map(value))
        } else {
            row.unknown("health.affectedEntities", name, value);
            continue;
        };
        if !is_read {
            row.unreadable(Column::Entities, name, value);
        }
    }
    entity
}

/// Fills a field that is not filled yet, when the value could be read.
fn fill_once<T>(field: &mut Option<T>, value: Option<T>) -> bool {
    if field.is_some() || value.is_none() {
        return false;
    }
    *field = value;
    true
}

#[cfg(test)]
#[expect(clippy::needless_raw_string_hashes, reason = "expect_test writes them so")]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::finding::envelope::{Envelope, Shape};
    use crate::finding::fields::check_table;
    use crate::finding::testing::{ENVELOPE, show};

    #[expect(clippy::needless_pass_by_value, reason = "as expect_test is used everywhere")]
    fn check(text: &str, envelope: Option<Envelope<'_>>, expected: Expect) {
        expected.assert_eq(&show(Shape::Native, text, envelope));
    }

    #[test]
    fn the_table_of_fields_is_sorted() {
        check_table(&DETAIL);
    }

    #[test]
    fn a_whole_event() {
        check(
            r#"{
                "eventArn": "arn:aws:health:ap-southeast-2::event/EC2/AWS_EC2_X/AWS_EC2_X_1",
                "service": "EC2", "eventTypeCode": "AWS_EC2_X", "eventTypeCategory": "scheduledchange",
                "eventScopeCode": "ACCOUNT_SPECIFIC", "communicationId": "abc-2", "page": "2",
                "totalPages": "3", "startTime": "Fri, 3 Jun 2022 05:01:10 GMT",
                "endTime": "Fri, 3 Jun 2022 06:01:10 GMT",
                "lastUpdatedTime": "Tue, 24 Nov 2026 02:00:00 GMT", "statusCode": "upcoming",
                "eventRegion": "ap-southeast-2", "backupEvent": "false",
                "affectedAccount": "123456789012", "actionability": "ACTION_REQUIRED",
                "personas": ["OPERATIONS", null, "SECURITY"],
                "eventDescription": [
                    {"language": "ja_JP", "latestDescription": "z"},
                    {"language": "en_US", "latestDescription": "a\\nb"}
                ],
                "eventMetadata": {"truncated": "true", "k": null, "n": 1.50},
                "affectedEntities": [
                    {"entityValue": "i-2", "status": "PENDING", "lastupdatedTime": "Tue, 24 Nov 2026 01:00:00 GMT"},
                    {"entityValue": "i-1", "tags": {"stage": "prod", "app": "x"}}
                ]
            }"#,
            Some(ENVELOPE),
            expect![[r#"
                reported_at: 2026-11-24 02:00:00.000
                event_time: 2026-11-24 03:04:05.000
                time_source: updated
                shape: native
                detail_type: AWS Health Event
                event_id: 7bf73129-1428-4cd3-a780-95db273d1602
                finding_id: arn:aws:health:ap-southeast-2::event/EC2/AWS_EC2_X/AWS_EC2_X_1
                event_arn: arn:aws:health:ap-southeast-2::event/EC2/AWS_EC2_X/AWS_EC2_X_1
                service: EC2
                event_type_code: AWS_EC2_X
                event_type_category: scheduledChange
                event_scope: ACCOUNT_SPECIFIC
                status_code: UPCOMING
                actionability: ACTION_REQUIRED
                account_id: 123456789012
                sent_to_account: 999999999999
                region: ap-southeast-2
                sent_to_region: us-east-1
                aws_partition: aws
                product_name: Health
                company_name: AWS
                description: a\nb
                updated_at: 2026-11-24 02:00:00.000
                start_time: 2022-06-03 05:01:10.000
                end_time: 2022-06-03 06:01:10.000
                communication_id: abc
                page: 2
                total_pages: 3
                backup: false
                unmapped_json: {"eventDescription":[{"language":"ja_JP","latestDescription":"z"},{"language":"en_US"}]}
                source_length: 200
                personas: ["OPERATIONS", "SECURITY"]
                entities: Entity { value: Some("i-1"), status: None, last_updated_at: None, tags: Some([("app", Some("x")), ("stage", Some("prod"))]) }
                entities: Entity { value: Some("i-2"), status: Some("PENDING"), last_updated_at: Some(1795482000000), tags: None }
                metadata: [("k", None), ("n", Some("1.50")), ("truncated", Some("true"))]
            "#]],
        );
    }

    #[test]
    fn an_old_event_without_envelope_time_and_account() {
        check(
            r#"{
                "eventArn": "arn:aws:health:us-west-2:123456789012:event/event-1486428952619",
                "service": "EBS", "startTime": "Tue, 7 Feb 2017 00:55:52 GMT",
                "eventDescription": {"latestDescription": "."}
            }"#,
            None,
            expect![[r#"
                reported_at: 2017-02-07 00:55:52.000
                time_source: start
                shape: native
                finding_id: arn:aws:health:us-west-2:123456789012:event/event-1486428952619
                event_arn: arn:aws:health:us-west-2::event/event-1486428952619
                service: EBS
                account_id: 
                region: us-west-2
                aws_partition: aws
                product_name: Health
                company_name: AWS
                description: .
                start_time: 2017-02-07 00:55:52.000
                source_length: 200
                account unknown
            "#]],
        );
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_kept() {
        check(
            r#"{
                "eventArn": "arn:aws-cn:health:global::event/A/B/C", "startTime": "{{startTime}}",
                "endTime": "", "page": "one", "service": 7, "communicationId": "c-1",
                "personas": "OPERATIONS", "backupEvent": "perhaps", "newField": {"a": [1]},
                "eventDescription": ["x", {"language": "en_US", "latestDescription": 5, "y": 1}],
                "affectedEntities": [
                    "i-3", null, {"entityValue": 4, "status": "X"},
                    {"entityValue": "i-1", "tags": [], "lastUpdatedTime": "never", "url": "u"}
                ],
                "eventMetadata": []
            }"#,
            Some(ENVELOPE),
            expect![[r#"
                reported_at: 2026-11-24 03:04:05.000
                event_time: 2026-11-24 03:04:05.000
                time_source: envelope
                shape: native
                detail_type: AWS Health Event
                event_id: 7bf73129-1428-4cd3-a780-95db273d1602
                finding_id: arn:aws-cn:health:global::event/A/B/C
                event_arn: arn:aws-cn:health:global::event/A/B/C
                account_id: 999999999999
                sent_to_account: 999999999999
                region: global
                sent_to_region: us-east-1
                aws_partition: aws-cn
                product_name: Health
                company_name: AWS
                communication_id: c-1
                unmapped_json: {"affectedEntities":["i-3",{"entityValue":4},{"entityValue":"i-1","lastUpdatedTime":"never","tags":[],"url":"u"}],"eventDescription":["x",{"language":"en_US","latestDescription":5,"y":1}],"eventMetadata":[],"newField":{"a":[1]},"page":"one","personas":"OPERATIONS","service":7,"startTime":"{{startTime}}"}
                source_length: 200
                entities: Entity { value: None, status: Some("X"), last_updated_at: None, tags: None }
                entities: Entity { value: Some("i-1"), status: None, last_updated_at: None, tags: None }
                unknown health.affectedEntities.url: 1
                unknown health.eventDescription.y: 1
                unknown health.newField: 1
                unreadable backup: 1
                unreadable description: 2
                unreadable entities: 4
                unreadable metadata: 1
                unreadable page: 1
                unreadable personas: 1
                unreadable service: 1
                unreadable start_time: 1
            "#]],
        );
    }

    #[test]
    fn names_are_matched_without_case_and_the_right_spelling_wins() {
        check(
            r#"{
                "EVENTARN": "arn:aws:health:us-east-1::event/A/B/C", "lastupdatedtime": "2026-11-24T02:00:00Z",
                "service": "EC2", "Service": "S3", "statuscode": "Open", "BackupEvent": "true"
            }"#,
            Some(ENVELOPE),
            expect![[r#"
                reported_at: 2026-11-24 02:00:00.000
                event_time: 2026-11-24 03:04:05.000
                time_source: updated
                shape: native
                detail_type: AWS Health Event
                event_id: 7bf73129-1428-4cd3-a780-95db273d1602
                finding_id: arn:aws:health:us-east-1::event/A/B/C
                event_arn: arn:aws:health:us-east-1::event/A/B/C
                service: EC2
                status_code: OPEN
                account_id: 999999999999
                sent_to_account: 999999999999
                region: us-east-1
                sent_to_region: us-east-1
                aws_partition: aws
                product_name: Health
                company_name: AWS
                updated_at: 2026-11-24 02:00:00.000
                backup: false
                unmapped_json: {"BackupEvent":"true","Service":"S3"}
                source_length: 200
                unknown health.BackupEvent: 1
                unknown health.Service: 1
            "#]],
        );
    }

    #[test]
    fn without_identity_or_time_there_is_no_row() {
        check(
            r#"{"service":"EC2","eventArn":" "}"#,
            Some(ENVELOPE),
            expect![[r#"
            no_identity: the Health event has no `eventArn`
        "#]],
        );
        check(
            r#"{"eventArn":"a","startTime":"{{startTime}}"}"#,
            None,
            expect![[r#"
            no_time: `time` of the envelope, `lastUpdatedTime` and `startTime` are missing or no times of the years 2015 to 2100
        "#]],
        );
    }

    #[test]
    fn a_copy_for_the_backup_region_is_known_without_its_mark() {
        let backup = |event_region: &str, sent_to: &'static str| {
            let text = format!(r#"{{"eventArn":"arn:aws:health:{event_region}::event/A/B/C"}}"#);
            let envelope = Envelope { region: Some(sent_to), ..ENVELOPE };
            let shown = show(Shape::Native, &text, Some(envelope));
            shown.lines().find_map(|line| line.strip_prefix("backup: ").map(str::to_owned))
        };
        let table = [
            ("us-east-1", "us-east-1", Some("false")),
            ("us-east-1", "us-west-2", Some("true")),
            ("us-west-2", "us-east-1", Some("true")),
            ("global", "us-east-1", Some("false")),
            ("global", "us-west-2", Some("true")),
            ("us-east-1", "global", None),
            ("", "us-east-1", None),
        ];
        for (event_region, sent_to, expected) in table {
            assert_eq!(
                backup(event_region, sent_to).as_deref(),
                expected,
                "{event_region} {sent_to}"
            );
        }
    }
}
