//! The one list of columns of the table `findings`.
//!
//! In: nothing. Out: for each column its name, kind, meaning and origin; from the list come the
//! Arrow schema, the types for Athena and the reference for people, so that they cannot disagree.
//! Nothing can go wrong here. Limits: names in lower snake case, no unsigned types, no
//! nanoseconds, nested names as Parquet spells them.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{Field, Schema, SchemaRef};

pub use crate::finding::kinds::Kind;

/// The version of the list below; each row carries it in `schema_version`.
pub const SCHEMA_VERSION: i32 = 1;

/// What the list says about one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spec {
    /// The column.
    pub column: Column,
    /// Its name in the table.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may be null.
    pub nullable: bool,
    /// Whether it tells of the delivery only, so that rows of equal `row_id` may differ in it.
    pub delivery: bool,
    /// What it means, in one sentence without quotes.
    pub meaning: &'static str,
    /// Where it comes from in a native Health event; empty when nowhere.
    pub native: &'static str,
    /// Where it comes from in an ASFF finding; empty when nowhere.
    pub asff: &'static str,
    /// Where it comes from in an OCSF finding; empty when nowhere.
    pub ocsf: &'static str,
}

macro_rules! columns {
    ($($column:ident $name:literal $kind:ident $null:ident $role:ident
        $meaning:literal
        native: $native:literal, asff: $asff:literal, ocsf: $ocsf:literal;)*) => {
        /// A column of the table `findings`, in the order of the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Column {
            $(#[doc = concat!("`", $name, "`")] $column,)*
        }

        /// How many columns there are.
        pub const COLUMN_COUNT: usize = [$(Column::$column),*].len();

        /// All columns, in the order of the table.
        pub static COLUMNS: [Spec; COLUMN_COUNT] = [$(Spec {
            column: Column::$column,
            name: $name,
            kind: Kind::$kind,
            nullable: columns!(@nullable $null),
            delivery: columns!(@delivery $role),
            meaning: $meaning,
            native: $native,
            asff: $asff,
            ocsf: $ocsf,
        }),*];
    };
    (@nullable nullable) => { true };
    (@nullable required) => { false };
    (@delivery delivery) => { true };
    (@delivery finding) => { false };
}

columns! {
    RowId "row_id" Text required finding
        "Identity of this row; equal ids are the same version of the same finding"
        native: "computed",
        asff: "computed",
        ocsf: "computed";
    ReportedAt "reported_at" Timestamp required delivery
        "The clock of the row, which gives its partition"
        native: "lastUpdatedTime near the envelope time, else envelope time, else \
            lastUpdatedTime, else startTime",
        asff: "envelope time, else UpdatedAt, else CreatedAt",
        ocsf: "envelope time, else modified_time, else time, else created_time";
    EventTime "event_time" Timestamp nullable delivery
        "When EventBridge was handed the event"
        native: "envelope time",
        asff: "envelope time",
        ocsf: "envelope time";
    ArrivedHour "arrived_hour" Timestamp required delivery
        "The hour in which the object arrived in the archive"
        native: "object",
        asff: "object",
        ocsf: "object";
    TimeSource "time_source" Text required delivery
        "Which clock reported_at is: envelope, updated, time, start or created"
        native: "computed",
        asff: "computed",
        ocsf: "computed";
    Shape "shape" Text required finding
        "The schema of the finding: native, asff or ocsf"
        native: "native",
        asff: "asff",
        ocsf: "ocsf";
    DetailType "detail_type" Text nullable delivery
        "Kind of the EventBridge event"
        native: "envelope detail-type",
        asff: "envelope detail-type",
        ocsf: "envelope detail-type";
    EventId "event_id" Text nullable delivery
        "Id that EventBridge gave this delivery"
        native: "envelope id",
        asff: "envelope id",
        ocsf: "envelope id";
    FindingId "finding_id" Text required finding
        "Id of the finding as its schema gives it"
        native: "eventArn",
        asff: "Id",
        ocsf: "finding_info.uid, else finding.uid, the uids of finding_info_list, metadata.uid";
    EventArn "event_arn" Text nullable finding
        "ARN of the Health event with a blank account, the same in all three schemas"
        native: "eventArn",
        asff: "Id without its hash, for Health",
        ocsf: "finding_info.uid without its hash, for Health";
    Service "service" Text nullable finding
        "AWS service that the Health event is about"
        native: "service",
        asff: "Id, for Health",
        ocsf: "finding_info.uid, for Health";
    EventTypeCode "event_type_code" Text nullable finding
        "Type code of the Health event"
        native: "eventTypeCode",
        asff: "GeneratorId, for Health",
        ocsf: "metadata.product.feature.uid, for Health";
    EventTypeCategory "event_type_category" Text nullable finding
        "Category of the Health event: issue, accountNotification, scheduledChange or investigation"
        native: "eventTypeCategory",
        asff: "",
        ocsf: "";
    EventScope "event_scope" Text nullable finding
        "Whether the Health event is PUBLIC or ACCOUNT_SPECIFIC"
        native: "eventScopeCode",
        asff: "",
        ocsf: "";
    StatusCode "status_code" Text nullable finding
        "State of the Health event: OPEN, CLOSED or UPCOMING"
        native: "statusCode",
        asff: "",
        ocsf: "";
    Actionability "actionability" Text nullable finding
        "Whether the Health event asks for action"
        native: "actionability",
        asff: "",
        ocsf: "";
    AccountId "account_id" Text required finding
        "The affected account, blank when no account is known"
        native: "affectedAccount, else envelope account",
        asff: "AwsAccountId, else envelope account",
        ocsf: "cloud.account.uid, else envelope account";
    SentToAccount "sent_to_account" Text nullable delivery
        "The account that the event was sent to"
        native: "envelope account",
        asff: "envelope account",
        ocsf: "envelope account";
    Region "region" Text nullable finding
        "The affected Region, or global"
        native: "Region of eventArn, else eventRegion",
        asff: "Region of the event ARN, else of ProductArn, else of Id, else of the first resource",
        ocsf: "Region of the event ARN, else of metadata.product.uid, else cloud.region";
    SentToRegion "sent_to_region" Text nullable delivery
        "The Region that the event was sent to"
        native: "envelope region",
        asff: "envelope region",
        ocsf: "envelope region";
    AwsPartition "aws_partition" Text nullable finding
        "AWS partition, such as aws or aws-cn"
        native: "eventArn",
        asff: "event ARN, else ProductArn, else Id",
        ocsf: "event ARN, else metadata.product.uid, else cloud.cloud_partition";
    AccountName "account_name" Text nullable delivery
        "Name of the affected account"
        native: "",
        asff: "AwsAccountName",
        ocsf: "cloud.account.name";
    ProductArn "product_arn" Text nullable finding
        "ARN or id of the product that made the finding"
        native: "",
        asff: "ProductArn",
        ocsf: "metadata.product.uid";
    ProductName "product_name" Text nullable finding
        "Name of the product that made the finding"
        native: "Health",
        asff: "ProductName, else aws/securityhub/ProductName of ProductFields",
        ocsf: "metadata.product.name";
    CompanyName "company_name" Text nullable finding
        "Company of the product that made the finding"
        native: "AWS",
        asff: "CompanyName, else aws/securityhub/CompanyName of ProductFields",
        ocsf: "metadata.product.vendor_name";
    GeneratorId "generator_id" Text nullable finding
        "What in the product made the finding, such as a rule"
        native: "",
        asff: "GeneratorId",
        ocsf: "metadata.product.feature.uid";
    SeverityLabel "severity_label" Text nullable finding
        "Severity: INFORMATIONAL, LOW, MEDIUM, HIGH or CRITICAL"
        native: "",
        asff: "Severity.Label, else by Severity.Normalized",
        ocsf: "severity_id, else severity; Fatal is CRITICAL";
    SeverityNormalized "severity_normalized" Int nullable finding
        "Severity from 0 to 100"
        native: "",
        asff: "Severity.Normalized, else 0, 1, 40, 70 or 90 by label",
        ocsf: "0, 1, 40, 70 or 90 by label";
    SeverityOriginal "severity_original" Text nullable finding
        "Severity in the words of its maker"
        native: "",
        asff: "Severity.Original",
        ocsf: "severity";
    Confidence "confidence" Int nullable finding
        "Confidence from 0 to 100"
        native: "",
        asff: "Confidence",
        ocsf: "confidence_score";
    Criticality "criticality" Int nullable finding
        "Criticality of the resources from 0 to 100"
        native: "",
        asff: "Criticality",
        ocsf: "criticality of the first resource";
    Title "title" Text nullable finding
        "Title"
        native: "",
        asff: "Title",
        ocsf: "finding_info.title";
    Description "description" Text nullable finding
        "Description; for a Health event the latest text, in English where there is one"
        native: "eventDescription[].latestDescription",
        asff: "Description",
        ocsf: "finding_info.desc";
    RemediationText "remediation_text" Text nullable finding
        "What to do about it"
        native: "",
        asff: "Remediation.Recommendation.Text",
        ocsf: "remediation.desc";
    RemediationUrl "remediation_url" Text nullable finding
        "Where to read what to do about it"
        native: "",
        asff: "Remediation.Recommendation.Url",
        ocsf: "remediation.references[0]";
    SourceUrl "source_url" Text nullable finding
        "Link to the finding at its maker"
        native: "",
        asff: "SourceUrl",
        ocsf: "finding_info.src_url";
    CreatedAt "created_at" Timestamp nullable finding
        "When the finding was made; for Health findings the start of the event"
        native: "",
        asff: "CreatedAt",
        ocsf: "finding_info.created_time";
    UpdatedAt "updated_at" Timestamp nullable finding
        "When the finding was last changed by its maker"
        native: "lastUpdatedTime",
        asff: "UpdatedAt",
        ocsf: "finding_info.modified_time";
    FirstObservedAt "first_observed_at" Timestamp nullable finding
        "When the problem was first seen"
        native: "",
        asff: "FirstObservedAt",
        ocsf: "finding_info.first_seen_time";
    LastObservedAt "last_observed_at" Timestamp nullable finding
        "When the problem was last seen"
        native: "",
        asff: "LastObservedAt",
        ocsf: "finding_info.last_seen_time";
    ProcessedAt "processed_at" Timestamp nullable delivery
        "When the finding was received and processed"
        native: "",
        asff: "ProcessedAt",
        ocsf: "processed_time, else logged_time, of metadata or of the finding";
    StartTime "start_time" Timestamp nullable finding
        "When the event started or will start"
        native: "startTime",
        asff: "CreatedAt, for Health",
        ocsf: "start_time, else finding_info.created_time for Health";
    EndTime "end_time" Timestamp nullable finding
        "When the event ended or will end"
        native: "endTime",
        asff: "",
        ocsf: "end_time";
    WorkflowStatus "workflow_status" Text nullable finding
        "State of the work on it: NEW, NOTIFIED, SUPPRESSED or RESOLVED"
        native: "",
        asff: "Workflow.Status",
        ocsf: "status_id, else status";
    RecordState "record_state" Text nullable finding
        "ACTIVE or ARCHIVED"
        native: "",
        asff: "RecordState",
        ocsf: "ARCHIVED when closed, archived or deleted, ACTIVE when created or updated";
    ComplianceStatus "compliance_status" Text nullable finding
        "Result of a check: PASSED, WARNING, FAILED or NOT_AVAILABLE"
        native: "",
        asff: "Compliance.Status",
        ocsf: "compliance.status, else compliance.status_id";
    VerificationState "verification_state" Text nullable finding
        "Whether the finding proved true"
        native: "",
        asff: "VerificationState",
        ocsf: "";
    NoteText "note_text" Text nullable finding
        "Note of a person"
        native: "",
        asff: "Note.Text",
        ocsf: "comment, else message";
    NoteUpdatedBy "note_updated_by" Text nullable finding
        "Who wrote the note"
        native: "",
        asff: "Note.UpdatedBy",
        ocsf: "";
    NoteUpdatedAt "note_updated_at" Timestamp nullable finding
        "When the note was written"
        native: "",
        asff: "Note.UpdatedAt",
        ocsf: "";
    CommunicationId "communication_id" Text nullable finding
        "Id of the communication about a Health event, without the number of its page"
        native: "communicationId",
        asff: "",
        ocsf: "";
    Page "page" Int nullable finding
        "Which page of the communication this is, from 1"
        native: "page",
        asff: "",
        ocsf: "";
    TotalPages "total_pages" Int nullable finding
        "How many pages the communication has"
        native: "totalPages",
        asff: "",
        ocsf: "";
    Backup "backup" Bool nullable delivery
        "Whether this is the copy for the backup Region"
        native: "backupEvent, else eventRegion against envelope region",
        asff: "",
        ocsf: "";
    UnmappedJson "unmapped_json" Text nullable finding
        "Everything the finding says that no other column holds, as canonical JSON"
        native: "the rest",
        asff: "the rest",
        ocsf: "the rest";
    ContentHash "content_hash" Text required finding
        "Hash of the content of the finding, 32 hex digits"
        native: "computed",
        asff: "computed",
        ocsf: "computed";
    SourceObject "source_object" Text required delivery
        "URI of the object that the finding lies in"
        native: "object",
        asff: "object",
        ocsf: "object";
    SourceOffset "source_offset" Long required delivery
        "Where its document begins in the decompressed object, in bytes"
        native: "object",
        asff: "object",
        ocsf: "object";
    SourceLength "source_length" Long required delivery
        "How long its document is, in bytes"
        native: "object",
        asff: "object",
        ocsf: "object";
    SchemaVersion "schema_version" Int required finding
        "Version of the list of columns that the row was written with"
        native: "computed",
        asff: "computed",
        ocsf: "computed";
    Personas "personas" TextList nullable finding
        "For whom the Health event is: OPERATIONS, SECURITY or BILLING"
        native: "personas",
        asff: "",
        ocsf: "";
    Types "types" TextList nullable finding
        "Types of the finding, as namespace/category/classifier"
        native: "",
        asff: "Types",
        ocsf: "finding_info.types";
    Resources "resources" Resources nullable finding
        "Resources that the finding is about"
        native: "",
        asff: "Resources",
        ocsf: "resources, resource";
    Entities "entities" Entities nullable finding
        "Entities that the Health event affects, sorted by value"
        native: "affectedEntities",
        asff: "",
        ocsf: "";
    ProductFields "product_fields" TextMap nullable finding
        "Fields that the product added"
        native: "",
        asff: "ProductFields",
        ocsf: "";
    UserDefinedFields "user_defined_fields" TextMap nullable finding
        "Fields that the customer added"
        native: "",
        asff: "UserDefinedFields",
        ocsf: "";
    Metadata "metadata" TextMap nullable finding
        "Metadata that the service gave the Health event"
        native: "eventMetadata",
        asff: "",
        ocsf: "";
}

impl Column {
    /// What the list says about it.
    #[expect(clippy::indexing_slicing, reason = "the list has one entry for each variant")]
    pub fn spec(self) -> &'static Spec {
        &COLUMNS[self as usize]
    }

    /// Its name in the table.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// What it holds.
    pub fn kind(self) -> Kind {
        self.spec().kind
    }
}

/// The Arrow schema of the table.
pub fn schema() -> SchemaRef {
    static SCHEMA: OnceLock<SchemaRef> = OnceLock::new();
    let schema = SCHEMA.get_or_init(|| {
        let field = |spec: &Spec| Field::new(spec.name, spec.kind.arrow(), spec.nullable);
        Arc::new(Schema::new(COLUMNS.iter().map(field).collect::<Vec<_>>()))
    });
    Arc::clone(schema)
}

/// The reference of the columns, as a Markdown table.
pub fn reference() -> String {
    let mut text = String::from(
        "| column | type | null | meaning | native Health | ASFF | OCSF |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for spec in &COLUMNS {
        let null = if spec.nullable { "yes" } else { "no" };
        // Writing to a String cannot fail.
        let _infallible = writeln!(
            text,
            "| `{}` | `{}` | {null} | {} | {} | {} | {} |",
            spec.name,
            spec.kind.athena(),
            spec.meaning,
            spec.native,
            spec.asff,
            spec.ocsf,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use arrow::datatypes::{DataType, TimeUnit};

    use super::*;

    fn check_type(data_type: &DataType) {
        match data_type {
            DataType::Utf8 | DataType::Int32 | DataType::Int64 | DataType::Boolean => {}
            DataType::Timestamp(unit, zone) => {
                assert_eq!(*unit, TimeUnit::Millisecond);
                assert_eq!(zone.as_deref(), Some("UTC"));
            }
            DataType::List(element) => {
                assert_eq!(element.name(), "element");
                check_type(element.data_type());
            }
            DataType::Map(entry, _) => {
                assert_eq!(entry.name(), "key_value");
                assert!(!entry.is_nullable());
                check_type(entry.data_type());
            }
            DataType::Struct(fields) => {
                assert!(!fields.is_empty());
                for field in fields {
                    check_name(field.name());
                    check_type(field.data_type());
                }
            }
            other => panic!("a type that Athena reads badly: {other}"),
        }
    }

    fn check_name(name: &str) {
        assert!(name.starts_with(|c: char| c.is_ascii_lowercase()), "{name}");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
    }

    #[test]
    fn names_and_types_are_ones_that_every_reader_takes() {
        let mut names = HashSet::new();
        for field in schema().fields() {
            check_name(field.name());
            check_type(field.data_type());
            assert!(names.insert(field.name().clone()), "{} stands twice", field.name());
        }
        assert_eq!(names.len(), COLUMNS.len());
    }

    #[test]
    fn the_list_is_in_the_order_of_the_variants_and_flat_columns_come_first() {
        let nested = |kind| {
            matches!(kind, Kind::TextList | Kind::TextMap | Kind::Resources | Kind::Entities)
        };
        for (index, spec) in COLUMNS.iter().enumerate() {
            assert_eq!(spec.column as usize, index);
            assert_eq!(spec.column.spec(), spec);
        }
        assert!(COLUMNS.is_sorted_by_key(|spec| nested(spec.kind)));
    }

    #[test]
    fn meanings_can_stand_in_a_quoted_comment() {
        for spec in &COLUMNS {
            assert!(!spec.meaning.is_empty(), "{}", spec.name);
            assert!(!spec.meaning.contains(['\'', '"', '\n', '|']), "{}", spec.name);
            assert!(spec.meaning.len() <= 255, "{}: longer than Glue's comments", spec.name);
        }
    }

    #[test]
    fn the_reference_has_a_line_for_each_column() {
        let reference = reference();
        assert_eq!(reference.lines().count(), COLUMNS.len() + 2);
        for line in reference.lines() {
            assert_eq!(line.matches('|').count(), 8, "{line}");
        }
    }
}
