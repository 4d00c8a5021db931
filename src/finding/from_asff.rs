//! Findings in the AWS Security Finding Format to a row.
//!
//! In: the finding. Out: its key, its clocks, and the cells of its row. What can go wrong: a
//! finding without `Id` or `ProductArn` has no identity. The top-level `Region` is in no column: it
//! is not part of the content hash, because copies differ in it, so `region` comes from the ARNs.

use crate::finding::arn::{self, Arn};
use crate::finding::columns::Column;
use crate::finding::envelope::Shape;
use crate::finding::fields::{Table, To, field, walk, walk_elements};
use crate::finding::json::{Json, Object};
use crate::finding::product::is_health;
use crate::finding::row::{Cell, Resource, Row, is_absent, read_map, some_text};
use crate::finding::time;

/// The attributes of a finding, from the service model of Security Hub.
pub(super) static FINDING: Table = Table {
    path: "asff",
    any_case: false,
    fields: &[
        field("Action", To::Keep),
        field("AwsAccountId", To::Column(Column::AccountId)),
        field("AwsAccountName", To::Delivery(Column::AccountName)),
        field("CompanyName", To::Column(Column::CompanyName)),
        field("Compliance", To::Nested(&COMPLIANCE, Column::ComplianceStatus)),
        field("Confidence", To::Column(Column::Confidence)),
        field("CreatedAt", To::Column(Column::CreatedAt)),
        field("Criticality", To::Column(Column::Criticality)),
        field("Description", To::Column(Column::Description)),
        field("Detection", To::Keep),
        field("FindingProviderFields", To::Keep),
        field("FirstObservedAt", To::Column(Column::FirstObservedAt)),
        field("GeneratorDetails", To::Keep),
        field("GeneratorId", To::Column(Column::GeneratorId)),
        field("Id", To::Column(Column::FindingId)),
        field("LastObservedAt", To::Column(Column::LastObservedAt)),
        field("Malware", To::Keep),
        field("Network", To::Keep),
        field("NetworkPath", To::Keep),
        field("Note", To::Nested(&NOTE, Column::NoteText)),
        field("PatchSummary", To::Keep),
        field("Process", To::Keep),
        field("ProcessedAt", To::Delivery(Column::ProcessedAt)),
        field("ProductArn", To::Column(Column::ProductArn)),
        field("ProductFields", To::Column(Column::ProductFields)),
        field("ProductName", To::Column(Column::ProductName)),
        field("RecordState", To::Column(Column::RecordState)),
        field("Region", To::Drop),
        field("RelatedFindings", To::Keep),
        field("Remediation", To::Nested(&REMEDIATION, Column::RemediationText)),
        field("Resources", To::Special(read_resources)),
        field("Sample", To::Keep),
        field("SchemaVersion", To::Keep),
        field("Severity", To::Nested(&SEVERITY, Column::SeverityLabel)),
        field("SourceUrl", To::Column(Column::SourceUrl)),
        field("ThreatIntelIndicators", To::Keep),
        field("Threats", To::Keep),
        field("Title", To::Column(Column::Title)),
        field("Types", To::Column(Column::Types)),
        field("UpdatedAt", To::Column(Column::UpdatedAt)),
        field("UserDefinedFields", To::Column(Column::UserDefinedFields)),
        field("VerificationState", To::Column(Column::VerificationState)),
        field("Vulnerabilities", To::Keep),
        field("Workflow", To::Nested(&WORKFLOW, Column::WorkflowStatus)),
        field("WorkflowState", To::Keep),
    ],
};

static COMPLIANCE: Table = Table {
    path: "asff.Compliance",
    any_case: false,
    fields: &[
        field("AssociatedStandards", To::Keep),
        field("RelatedRequirements", To::Keep),
        field("SecurityControlId", To::Keep),
        field("SecurityControlParameters", To::Keep),
        field("Status", To::Column(Column::ComplianceStatus)),
        field("StatusReasons", To::Keep),
    ],
};

static NOTE: Table = Table {
    path: "asff.Note",
    any_case: false,
    fields: &[
        field("Text", To::Column(Column::NoteText)),
        field("UpdatedAt", To::Column(Column::NoteUpdatedAt)),
        field("UpdatedBy", To::Column(Column::NoteUpdatedBy)),
    ],
};

static REMEDIATION: Table = Table {
    path: "asff.Remediation",
    any_case: false,
    fields: &[field("Recommendation", To::Nested(&RECOMMENDATION, Column::RemediationText))],
};

static RECOMMENDATION: Table = Table {
    path: "asff.Remediation.Recommendation",
    any_case: false,
    fields: &[
        field("Text", To::Column(Column::RemediationText)),
        field("Url", To::Column(Column::RemediationUrl)),
    ],
};

static SEVERITY: Table = Table {
    path: "asff.Severity",
    any_case: false,
    fields: &[
        field("Label", To::Column(Column::SeverityLabel)),
        field("Normalized", To::Column(Column::SeverityNormalized)),
        field("Original", To::Column(Column::SeverityOriginal)),
        field("Product", To::Keep),
    ],
};

static WORKFLOW: Table = Table {
    path: "asff.Workflow",
    any_case: false,
    fields: &[field("Status", To::Column(Column::WorkflowStatus))],
};

/// The finding's id.
pub(super) fn id<'j>(finding: &'j Object<'j>) -> Option<&'j str> {
    some_text(finding.get("Id"))
}

/// The ARN of the product that made it.
pub(super) fn product<'j>(finding: &'j Object<'j>) -> Option<&'j str> {
    some_text(finding.get("ProductArn"))
}

/// The account that it is about.
pub(super) fn account<'j>(finding: &'j Object<'j>) -> Option<&'j str> {
    some_text(finding.get("AwsAccountId"))
}

/// When its maker last changed it.
pub(super) fn updated(finding: &Object<'_>) -> Option<i64> {
    time::read(finding.get("UpdatedAt")?)
}

/// When it was made.
pub(super) fn created(finding: &Object<'_>) -> Option<i64> {
    time::read(finding.get("CreatedAt")?)
}

/// Fills the row of a finding.
pub(super) fn fill<'j>(row: &mut Row<'j, '_>, body: &'j Json<'j>, finding: &'j Object<'j>) {
    walk(row, &FINDING, finding);
    let fields = finding.get("ProductFields");
    let field = |name| some_text(fields.and_then(|fields| fields.get(name)));
    if row.is_null(Column::ProductName) {
        row.set_some_text(Column::ProductName, field("aws/securityhub/ProductName"));
    }
    if row.is_null(Column::CompanyName) {
        row.set_some_text(Column::CompanyName, field("aws/securityhub/CompanyName"));
    }
    fill_severity(row);
    if is_health(Shape::Asff, body) {
        let hub_id = field("aws/securityhub/FindingId");
        fill_health_event(row, id(finding), hub_id, some_text(finding.get("GeneratorId")));
        // Health gives the start of the event as the creation of its finding.
        row.set_time(Column::StartTime, created(finding));
    }
    let first_resource = finding.get("Resources").and_then(Json::as_array).and_then(<[_]>::first);
    let region = some_text(first_resource.and_then(|resource| resource.get("Region")));
    fill_place(row, [product(finding), id(finding)], region, None);
}

/// Label and number of a severity, each from the other where only one is given (service model of
/// Security Hub).
pub(super) fn fill_severity(row: &mut Row<'_, '_>) {
    match (row.text(Column::SeverityLabel), row.cell(Column::SeverityNormalized)) {
        (Some(label), Cell::Null) => {
            let normalized = match label {
                "INFORMATIONAL" => 0,
                "LOW" => 1,
                "MEDIUM" => 40,
                "HIGH" => 70,
                "CRITICAL" => 90,
                _ => return,
            };
            row.set(Column::SeverityNormalized, Cell::Int(normalized));
        }
        (None, Cell::Int(normalized)) => {
            let label = match normalized {
                0 => "INFORMATIONAL",
                1..=39 => "LOW",
                40..=69 => "MEDIUM",
                70..=89 => "HIGH",
                90..=100 => "CRITICAL",
                _ => return,
            };
            row.set_text(Column::SeverityLabel, label);
        }
        _ => {}
    }
}

/// What links a finding with the Health event it tells of: the event's ARN, its service and its
/// type code, which Health gives as the finding's generator. `hub_id` is Security Hub's own id of
/// the finding, which ends in the event's ARN.
pub(super) fn fill_health_event<'j>(
    row: &mut Row<'j, '_>,
    finding_id: Option<&'j str>,
    hub_id: Option<&'j str>,
    generator: Option<&'j str>,
) {
    let in_hub_id = || {
        let (_, product_and_id) = hub_id?.split_once("/arn:")?;
        let start = hub_id?.len() - product_and_id.len() - "arn:".len();
        arn::event_of_finding(hub_id?.get(start..)?)
    };
    let event_arn = finding_id.and_then(arn::event_of_finding).or_else(in_hub_id);
    let parts = event_arn.as_deref().and_then(arn::service_and_code);
    let (service, code) =
        parts.map(|(service, code)| (service.to_owned(), code.to_owned())).unzip();
    if let Some(service) = service {
        row.set_text(Column::Service, service);
    }
    match (generator, code) {
        (Some(generator), _) => row.set_text(Column::EventTypeCode, generator),
        (None, Some(code)) => row.set_text(Column::EventTypeCode, code),
        (None, None) => {}
    }
    if let Some(event_arn) = event_arn {
        row.set_text(Column::EventArn, event_arn);
    }
}

/// Region and partition: of the event's ARN, else of the first of `arns` that tells, else these.
pub(super) fn fill_place<'j>(
    row: &mut Row<'j, '_>,
    arns: [Option<&'j str>; 2],
    region: Option<&'j str>,
    partition: Option<&'j str>,
) {
    let event = row.text(Column::EventArn).and_then(Arn::parse);
    let event_region = event.and_then(|arn| arn.region()).map(str::to_owned);
    let event_partition = event.and_then(|arn| arn.partition()).map(str::to_owned);
    let mut parsed = arns.into_iter().flatten().filter_map(Arn::parse);
    let of_arns = parsed.clone().find_map(|arn| arn.region());
    match event_region {
        Some(event_region) => row.set_text(Column::Region, event_region),
        None => row.set_some_text(Column::Region, of_arns.or(region)),
    }
    let of_arns = parsed.find_map(|arn| arn.partition());
    match event_partition {
        Some(event_partition) => row.set_text(Column::AwsPartition, event_partition),
        None => row.set_some_text(Column::AwsPartition, of_arns.or(partition)),
    }
}

fn read_resources<'j>(row: &mut Row<'j, '_>, name: &'j str, value: &'j Json<'j>) {
    let Json::Array(elements) = value else {
        if !is_absent(value) {
            row.unreadable(Column::Resources, name, value);
        }
        return;
    };
    let resources = walk_elements(row, Column::Resources, name, *elements, read_resource);
    row.set(Column::Resources, Cell::Resources(resources));
}

fn read_resource<'j>(row: &mut Row<'j, '_>, members: &'j Object<'j>) -> Resource<'j> {
    let mut resource = Resource::default();
    for (name, value) in members.iter() {
        if is_absent(value) {
            continue;
        }
        let is_read = match name {
            "Id" => {
                let is_read = set(&mut resource.id, value.as_str());
                if is_read {
                    row.leftovers.label(name, value);
                }
                is_read
            }
            "Type" => set(&mut resource.kind, value.as_str()),
            "Partition" => set(&mut resource.aws_partition, value.as_str()),
            "Region" => set(&mut resource.region, value.as_str()),
            "Tags" => set(&mut resource.tags, read_map(value)),
            "Details" => set(&mut resource.details_json, Some(value.to_canonical())),
            "ApplicationArn" | "ApplicationName" | "DataClassification" | "Owner" | "Provider"
            | "ResourceRole" => {
                row.leftovers.put(name, value);
                true
            }
            _ => {
                row.unknown("asff.Resources", name, value);
                true
            }
        };
        if !is_read {
            row.unreadable(Column::Resources, name, value);
        }
    }
    resource
}

/// Sets a field, and says whether the value could be read.
pub(super) fn set<T>(field: &mut Option<T>, value: Option<T>) -> bool {
    *field = value;
    field.is_some()
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
        expected.assert_eq(&show(Shape::Asff, text, envelope));
    }

    #[test]
    fn the_table_of_fields_is_sorted() {
        check_table(&FINDING);
    }

    #[test]
    fn a_health_finding_links_to_its_event() {
        check(
            r#"{
                "SchemaVersion": "2018-10-08",
                "Id": "arn:aws:health:us-east-1:123456789012:event/SES/AWS_SES_X/AWS_SES_X_30_33fe/101F7FBAEFC663977DA09CFF56A29236602834D2D361E6A8CA5140BFB3A69B30",
                "ProductArn": "arn:aws:securityhub:us-east-1::product/aws/health",
                "GeneratorId": "AWS_SES_X", "AwsAccountId": "123456789012",
                "Types": ["Software and Configuration Checks"],
                "CreatedAt": "2022-01-07T16:34:04.000Z", "UpdatedAt": "2022-01-07T19:17:43.000Z",
                "Severity": {"Label": "medium"}, "Title": "AWS Health - AWS_SES_X",
                "Description": "d", "SourceUrl": "https://x",
                "ProductFields": {"aws/securityhub/ProductName": "Health", "aws/securityhub/CompanyName": "AWS", "n": 4},
                "Resources": [{"Type": "Other", "Id": "r"}],
                "WorkflowState": "NEW", "Workflow": {"Status": "NEW"}, "RecordState": "ACTIVE"
            }"#,
            Some(ENVELOPE),
            expect![[r#"
                reported_at: 2026-11-24 03:04:05.000
                event_time: 2026-11-24 03:04:05.000
                time_source: envelope
                shape: asff
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
                product_arn: arn:aws:securityhub:us-east-1::product/aws/health
                product_name: Health
                company_name: AWS
                generator_id: AWS_SES_X
                severity_label: MEDIUM
                severity_normalized: 40
                title: AWS Health - AWS_SES_X
                description: d
                source_url: https://x
                created_at: 2022-01-07 16:34:04.000
                updated_at: 2022-01-07 19:17:43.000
                start_time: 2022-01-07 16:34:04.000
                workflow_status: NEW
                record_state: ACTIVE
                unmapped_json: {"SchemaVersion":"2018-10-08","WorkflowState":"NEW"}
                source_length: 200
                types: ["Software and Configuration Checks"]
                resources: Resource { kind: Some("Other"), id: Some("r"), aws_partition: None, region: None, tags: None, details_json: None }
                product_fields: [("aws/securityhub/CompanyName", Some("AWS")), ("aws/securityhub/ProductName", Some("Health")), ("n", Some("4"))]
            "#]],
        );
    }

    #[test]
    fn a_finding_of_another_product_with_everything() {
        check(
            r#"{
                "Id": "f", "ProductArn": "arn:aws-us-gov:securityhub:us-gov-west-1::product/aws/guardduty",
                "ProductName": "GuardDuty", "CompanyName": "AWS", "Region": "us-gov-east-1",
                "AwsAccountName": "name", "ProcessedAt": "2026-11-24T03:00:00Z",
                "Severity": {"Normalized": "71", "Original": "7.1", "Product": 7.1, "Extra": 1},
                "Confidence": 99.0, "Criticality": 10, "Sample": true,
                "Remediation": {"Recommendation": {"Text": "t", "Url": "u", "Extra": {}}},
                "Compliance": {"Status": "PASSED", "SecurityControlId": "EC2.1"},
                "Note": {"Text": "n", "UpdatedBy": "me", "UpdatedAt": "2026-11-24T01:00:00Z"},
                "VerificationState": "TRUE_POSITIVE", "UserDefinedFields": {"b": "2", "a": "1"},
                "FirstObservedAt": "2026-11-23T00:00:00+01:00", "LastObservedAt": "2026-11-24T00:00:00Z",
                "UpdatedAt": "2026-11-24T00:00:00Z",
                "Resources": [
                    {"Id": "r1", "Type": "AwsEc2Instance", "Partition": "aws-us-gov", "Region": "us-gov-west-1",
                     "Tags": {"b": "2", "a": null}, "Details": {"Z": 1, "A": {"x": [ ]}}},
                    {"Id": "r2", "ResourceRole": "Target", "New": 1}
                ]
            }"#,
            None,
            expect![[r#"
                reported_at: 2026-11-24 00:00:00.000
                time_source: updated
                shape: asff
                finding_id: f
                account_id: 
                region: us-gov-west-1
                aws_partition: aws-us-gov
                account_name: name
                product_arn: arn:aws-us-gov:securityhub:us-gov-west-1::product/aws/guardduty
                product_name: GuardDuty
                company_name: AWS
                severity_label: HIGH
                severity_normalized: 71
                severity_original: 7.1
                confidence: 99
                criticality: 10
                remediation_text: t
                remediation_url: u
                updated_at: 2026-11-24 00:00:00.000
                first_observed_at: 2026-11-22 23:00:00.000
                last_observed_at: 2026-11-24 00:00:00.000
                processed_at: 2026-11-24 03:00:00.000
                compliance_status: PASSED
                verification_state: TRUE_POSITIVE
                note_text: n
                note_updated_by: me
                note_updated_at: 2026-11-24 01:00:00.000
                unmapped_json: {"Compliance":{"SecurityControlId":"EC2.1"},"Remediation":{"Recommendation":{"Extra":{}}},"Resources":[{"Id":"r2","New":1,"ResourceRole":"Target"}],"Sample":true,"Severity":{"Extra":1,"Product":7.1}}
                source_length: 200
                resources: Resource { kind: Some("AwsEc2Instance"), id: Some("r1"), aws_partition: Some("aws-us-gov"), region: Some("us-gov-west-1"), tags: Some([("a", None), ("b", Some("2"))]), details_json: Some("{\"A\":{\"x\":[]},\"Z\":1}") }
                resources: Resource { kind: None, id: Some("r2"), aws_partition: None, region: None, tags: None, details_json: None }
                user_defined_fields: [("a", Some("1")), ("b", Some("2"))]
                unknown asff.Remediation.Recommendation.Extra: 1
                unknown asff.Resources.New: 1
                unknown asff.Severity.Extra: 1
                account unknown
            "#]],
        );
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_kept() {
        check(
            r#"{
                "Id": "f", "ProductArn": "x", "UpdatedAt": "2026-11-24T00:00:00Z", "CreatedAt": "no",
                "Severity": "HIGH", "Types": "a", "Resources": ["r", {"Id": 5, "Tags": "t"}],
                "Confidence": "high", "Title": ["t"], "Workflow": null, "Note": [],
                "ProcessedAt": "never", "Remediation": {"Recommendation": "do"}
            }"#,
            Some(Envelope { time: Some("now"), ..ENVELOPE }),
            expect![[r#"
                reported_at: 2026-11-24 00:00:00.000
                time_source: updated
                shape: asff
                detail_type: AWS Health Event
                event_id: 7bf73129-1428-4cd3-a780-95db273d1602
                finding_id: f
                account_id: 999999999999
                sent_to_account: 999999999999
                sent_to_region: us-east-1
                product_arn: x
                updated_at: 2026-11-24 00:00:00.000
                unmapped_json: {"Confidence":"high","CreatedAt":"no","Note":[],"Remediation":{"Recommendation":"do"},"Resources":["r",{"Id":5,"Tags":"t"}],"Severity":"HIGH","Title":["t"],"Types":"a"}
                source_length: 200
                resources: Resource { kind: None, id: None, aws_partition: None, region: None, tags: None, details_json: None }
                unreadable confidence: 1
                unreadable created_at: 1
                unreadable event_time: 1
                unreadable note_text: 1
                unreadable processed_at: 1
                unreadable remediation_text: 1
                unreadable resources: 3
                unreadable severity_label: 1
                unreadable title: 1
                unreadable types: 1
            "#]],
        );
    }

    #[test]
    fn without_identity_or_time_there_is_no_row() {
        check(
            r#"{"ProductArn":"x"}"#,
            Some(ENVELOPE),
            expect![[r#"
            no_identity: the ASFF finding has no `Id`
        "#]],
        );
        check(
            r#"{"Id":"x"}"#,
            Some(ENVELOPE),
            expect![[r#"
            no_identity: the ASFF finding has no `ProductArn`
        "#]],
        );
        check(
            r#"{"Id":"x","ProductArn":"x"}"#,
            None,
            expect![[r#"
            no_time: `time` of the envelope, `UpdatedAt` and `CreatedAt` are missing or no times of the years 2015 to 2100
        "#]],
        );
    }

    #[test]
    fn the_event_is_found_in_security_hubs_id_too() {
        check(
            r#"{
                "Id": "other", "ProductArn": "arn:aws:securityhub:us-east-1::product/aws/health",
                "ProductFields": {"aws/securityhub/FindingId": "arn:aws:securityhub:us-east-1::product/aws/health/arn:aws:health:eu-west-1::event/SES/AWS_SES_X/AWS_SES_X_1"}
            }"#,
            Some(ENVELOPE),
            expect![[r#"
                reported_at: 2026-11-24 03:04:05.000
                event_time: 2026-11-24 03:04:05.000
                time_source: envelope
                shape: asff
                detail_type: AWS Health Event
                event_id: 7bf73129-1428-4cd3-a780-95db273d1602
                finding_id: other
                event_arn: arn:aws:health:eu-west-1::event/SES/AWS_SES_X/AWS_SES_X_1
                service: SES
                event_type_code: AWS_SES_X
                account_id: 999999999999
                sent_to_account: 999999999999
                region: eu-west-1
                sent_to_region: us-east-1
                aws_partition: aws
                product_arn: arn:aws:securityhub:us-east-1::product/aws/health
                source_length: 200
                product_fields: [("aws/securityhub/FindingId", Some("arn:aws:securityhub:us-east-1::product/aws/health/arn:aws:health:eu-west-1::event/SES/AWS_SES_X/AWS_SES_X_1"))]
            "#]],
        );
    }
}
