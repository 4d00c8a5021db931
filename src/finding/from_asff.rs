//! Findings in the AWS Security Finding Format to a row.
//!
//! In: the finding. Out: its key, its clocks, and the cells of its row. What can go wrong: a finding
//! without `Id` or `ProductArn` has no identity. The top-level `Region` is in no column: it is not
//! part of the content hash, because copies differ in it, so `region` comes from the ARNs.

use crate::finding::arn::{self, Arn};
use crate::finding::columns::Column;
use crate::finding::envelope::Shape;
use crate::finding::fields::{Table, To, walk};
use crate::finding::json::{Json, Object};
use crate::finding::product::is_health;
use crate::finding::row::{Cell, Resource, Row, is_absent, read_map, some_text};
use crate::finding::time;

/// The attributes of a finding, from the service model of Security Hub.
static FINDING: Table = Table {
    path: "asff",
    any_case: false,
    fields: &[
        ("Action", To::Keep),
        ("AwsAccountId", To::Column(Column::AccountId)),
        ("AwsAccountName", To::Delivery(Column::AccountName)),
        ("CompanyName", To::Column(Column::CompanyName)),
        ("Compliance", To::Nested(&COMPLIANCE, Column::ComplianceStatus)),
        ("Confidence", To::Column(Column::Confidence)),
        ("CreatedAt", To::Column(Column::CreatedAt)),
        ("Criticality", To::Column(Column::Criticality)),
        ("Description", To::Column(Column::Description)),
        ("Detection", To::Keep),
        ("FindingProviderFields", To::Keep),
        ("FirstObservedAt", To::Column(Column::FirstObservedAt)),
        ("GeneratorDetails", To::Keep),
        ("GeneratorId", To::Column(Column::GeneratorId)),
        ("Id", To::Column(Column::FindingId)),
        ("LastObservedAt", To::Column(Column::LastObservedAt)),
        ("Malware", To::Keep),
        ("Network", To::Keep),
        ("NetworkPath", To::Keep),
        ("Note", To::Nested(&NOTE, Column::NoteText)),
        ("PatchSummary", To::Keep),
        ("Process", To::Keep),
        ("ProcessedAt", To::Delivery(Column::ProcessedAt)),
        ("ProductArn", To::Column(Column::ProductArn)),
        ("ProductFields", To::Column(Column::ProductFields)),
        ("ProductName", To::Column(Column::ProductName)),
        ("RecordState", To::Column(Column::RecordState)),
        ("Region", To::Drop),
        ("RelatedFindings", To::Keep),
        ("Remediation", To::Nested(&REMEDIATION, Column::RemediationText)),
        ("Resources", To::Special(read_resources)),
        ("Sample", To::Keep),
        ("SchemaVersion", To::Keep),
        ("Severity", To::Nested(&SEVERITY, Column::SeverityLabel)),
        ("SourceUrl", To::Column(Column::SourceUrl)),
        ("ThreatIntelIndicators", To::Keep),
        ("Threats", To::Keep),
        ("Title", To::Column(Column::Title)),
        ("Types", To::Column(Column::Types)),
        ("UpdatedAt", To::Column(Column::UpdatedAt)),
        ("UserDefinedFields", To::Column(Column::UserDefinedFields)),
        ("VerificationState", To::Column(Column::VerificationState)),
        ("Vulnerabilities", To::Keep),
        ("Workflow", To::Nested(&WORKFLOW, Column::WorkflowStatus)),
        ("WorkflowState", To::Keep),
    ],
};

static COMPLIANCE: Table = Table {
    path: "asff.Compliance",
    any_case: false,
    fields: &[
        ("AssociatedStandards", To::Keep),
        ("RelatedRequirements", To::Keep),
        ("SecurityControlId", To::Keep),
        ("SecurityControlParameters", To::Keep),
        ("Status", To::Column(Column::ComplianceStatus)),
        ("StatusReasons", To::Keep),
    ],
};

static NOTE: Table = Table {
    path: "asff.Note",
    any_case: false,
    fields: &[
        ("Text", To::Column(Column::NoteText)),
        ("UpdatedAt", To::Column(Column::NoteUpdatedAt)),
        ("UpdatedBy", To::Column(Column::NoteUpdatedBy)),
    ],
};

static REMEDIATION: Table = Table {
    path: "asff.Remediation",
    any_case: false,
    fields: &[("Recommendation", To::Nested(&RECOMMENDATION, Column::RemediationText))],
};

static RECOMMENDATION: Table = Table {
    path: "asff.Remediation.Recommendation",
    any_case: false,
    fields: &[
        ("Text", To::Column(Column::RemediationText)),
        ("Url", To::Column(Column::RemediationUrl)),
    ],
};

static SEVERITY: Table = Table {
    path: "asff.Severity",
    any_case: false,
    fields: &[
        ("Label", To::Column(Column::SeverityLabel)),
        ("Normalized", To::Column(Column::SeverityNormalized)),
        ("Original", To::Column(Column::SeverityOriginal)),
        ("Product", To::Keep),
    ],
};

static WORKFLOW: Table = Table {
    path: "asff.Workflow",
    any_case: false,
    fields: &[("Status", To::Column(Column::WorkflowStatus))],
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
    let mark = row.leftovers.open_array(name);
    let mut resources = Vec::with_capacity(elements.len());
    for element in elements {
        match element {
            Json::Object(members) => {
                let opened = row.leftovers.open_element();
                resources.push(read_resource(row, members));
                row.leftovers.close(opened);
            }
            _ if is_absent(element) => {}
            _ => {
                row.count_unreadable(Column::Resources);
                row.leftovers.put_element(element);
            }
        }
    }
    row.leftovers.close(mark);
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
