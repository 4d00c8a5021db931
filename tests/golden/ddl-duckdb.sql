SET TimeZone = 'UTC';

CREATE OR REPLACE VIEW "findings" AS
SELECT * REPLACE (
  "reported_at" AT TIME ZONE 'UTC' AS "reported_at",
  "event_time" AT TIME ZONE 'UTC' AS "event_time",
  "arrived_hour" AT TIME ZONE 'UTC' AS "arrived_hour",
  "created_at" AT TIME ZONE 'UTC' AS "created_at",
  "updated_at" AT TIME ZONE 'UTC' AS "updated_at",
  "first_observed_at" AT TIME ZONE 'UTC' AS "first_observed_at",
  "last_observed_at" AT TIME ZONE 'UTC' AS "last_observed_at",
  "processed_at" AT TIME ZONE 'UTC' AS "processed_at",
  "start_time" AT TIME ZONE 'UTC' AS "start_time",
  "end_time" AT TIME ZONE 'UTC' AS "end_time",
  "note_updated_at" AT TIME ZONE 'UTC' AS "note_updated_at"
)
FROM (
  SELECT
    CAST(NULL AS VARCHAR) AS "row_id",
    CAST(NULL AS TIMESTAMPTZ) AS "reported_at",
    CAST(NULL AS TIMESTAMPTZ) AS "event_time",
    CAST(NULL AS TIMESTAMPTZ) AS "arrived_hour",
    CAST(NULL AS VARCHAR) AS "time_source",
    CAST(NULL AS VARCHAR) AS "shape",
    CAST(NULL AS VARCHAR) AS "detail_type",
    CAST(NULL AS VARCHAR) AS "event_id",
    CAST(NULL AS VARCHAR) AS "finding_id",
    CAST(NULL AS VARCHAR) AS "event_arn",
    CAST(NULL AS VARCHAR) AS "service",
    CAST(NULL AS VARCHAR) AS "event_type_code",
    CAST(NULL AS VARCHAR) AS "event_type_category",
    CAST(NULL AS VARCHAR) AS "event_scope",
    CAST(NULL AS VARCHAR) AS "status_code",
    CAST(NULL AS VARCHAR) AS "actionability",
    CAST(NULL AS VARCHAR) AS "account_id",
    CAST(NULL AS VARCHAR) AS "sent_to_account",
    CAST(NULL AS VARCHAR) AS "region",
    CAST(NULL AS VARCHAR) AS "sent_to_region",
    CAST(NULL AS VARCHAR) AS "aws_partition",
    CAST(NULL AS VARCHAR) AS "account_name",
    CAST(NULL AS VARCHAR) AS "product_arn",
    CAST(NULL AS VARCHAR) AS "product_name",
    CAST(NULL AS VARCHAR) AS "company_name",
    CAST(NULL AS VARCHAR) AS "generator_id",
    CAST(NULL AS VARCHAR) AS "severity_label",
    CAST(NULL AS INTEGER) AS "severity_normalized",
    CAST(NULL AS VARCHAR) AS "severity_original",
    CAST(NULL AS INTEGER) AS "confidence",
    CAST(NULL AS INTEGER) AS "criticality",
    CAST(NULL AS VARCHAR) AS "title",
    CAST(NULL AS VARCHAR) AS "description",
    CAST(NULL AS VARCHAR) AS "remediation_text",
    CAST(NULL AS VARCHAR) AS "remediation_url",
    CAST(NULL AS VARCHAR) AS "source_url",
    CAST(NULL AS TIMESTAMPTZ) AS "created_at",
    CAST(NULL AS TIMESTAMPTZ) AS "updated_at",
    CAST(NULL AS TIMESTAMPTZ) AS "first_observed_at",
    CAST(NULL AS TIMESTAMPTZ) AS "last_observed_at",
    CAST(NULL AS TIMESTAMPTZ) AS "processed_at",
    CAST(NULL AS TIMESTAMPTZ) AS "start_time",
    CAST(NULL AS TIMESTAMPTZ) AS "end_time",
    CAST(NULL AS VARCHAR) AS "workflow_status",
    CAST(NULL AS VARCHAR) AS "record_state",
    CAST(NULL AS VARCHAR) AS "compliance_status",
    CAST(NULL AS VARCHAR) AS "verification_state",
    CAST(NULL AS VARCHAR) AS "note_text",
    CAST(NULL AS VARCHAR) AS "note_updated_by",
    CAST(NULL AS TIMESTAMPTZ) AS "note_updated_at",
    CAST(NULL AS VARCHAR) AS "communication_id",
    CAST(NULL AS INTEGER) AS "page",
    CAST(NULL AS INTEGER) AS "total_pages",
    CAST(NULL AS BOOLEAN) AS "backup",
    CAST(NULL AS VARCHAR) AS "unmapped_json",
    CAST(NULL AS VARCHAR) AS "content_hash",
    CAST(NULL AS VARCHAR) AS "source_object",
    CAST(NULL AS BIGINT) AS "source_offset",
    CAST(NULL AS BIGINT) AS "source_length",
    CAST(NULL AS INTEGER) AS "schema_version",
    CAST(NULL AS VARCHAR[]) AS "personas",
    CAST(NULL AS VARCHAR[]) AS "types",
    CAST(NULL AS STRUCT("type" VARCHAR, "id" VARCHAR, "aws_partition" VARCHAR, "region" VARCHAR, "tags" MAP(VARCHAR, VARCHAR), "details_json" VARCHAR)[]) AS "resources",
    CAST(NULL AS STRUCT("value" VARCHAR, "status" VARCHAR, "last_updated_at" TIMESTAMPTZ, "tags" MAP(VARCHAR, VARCHAR))[]) AS "entities",
    CAST(NULL AS MAP(VARCHAR, VARCHAR)) AS "product_fields",
    CAST(NULL AS MAP(VARCHAR, VARCHAR)) AS "user_defined_fields",
    CAST(NULL AS MAP(VARCHAR, VARCHAR)) AS "metadata",
    CAST(NULL AS VARCHAR) AS "dt"
  WHERE false
  UNION ALL BY NAME
  SELECT * FROM read_parquet('/my-lake/findings/*/*.parquet', hive_partitioning = true,
    hive_types = {'dt': VARCHAR}, union_by_name = true)
);

CREATE OR REPLACE VIEW "rejects" AS
SELECT * REPLACE (
  "arrived_hour" AT TIME ZONE 'UTC' AS "arrived_hour"
)
FROM (
  SELECT
    CAST(NULL AS VARCHAR) AS "reject_id",
    CAST(NULL AS TIMESTAMPTZ) AS "arrived_hour",
    CAST(NULL AS VARCHAR) AS "state",
    CAST(NULL AS VARCHAR) AS "stage",
    CAST(NULL AS VARCHAR) AS "reason",
    CAST(NULL AS VARCHAR) AS "detail",
    CAST(NULL AS VARCHAR) AS "source_object",
    CAST(NULL AS VARCHAR) AS "source_etag",
    CAST(NULL AS BIGINT) AS "source_offset",
    CAST(NULL AS BIGINT) AS "source_length",
    CAST(NULL AS INTEGER) AS "ordinal",
    CAST(NULL AS BIGINT) AS "bytes_length",
    CAST(NULL AS BOOLEAN) AS "bytes_cut",
    CAST(NULL AS INTEGER) AS "schema_version",
    CAST(NULL AS BLOB) AS "bytes",
    CAST(NULL AS INTEGER) AS "state_number",
    CAST(NULL AS VARCHAR) AS "state_by",
    CAST(NULL AS VARCHAR) AS "dt"
  WHERE false
  UNION ALL BY NAME
  SELECT * FROM read_parquet('/my-lake/rejects/*/*.parquet', hive_partitioning = true,
    hive_types = {'dt': VARCHAR}, union_by_name = true)
);
