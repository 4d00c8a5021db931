-- What has been said about each finding and Health event, version by version, each version once?
--
-- The table may hold a version twice: in pages, as a backup copy from beyond 72 hours or midnight,
-- from the administrator and the member, from a linked and the aggregation Region, bare and in an
-- envelope. Here the pages of one communication are one row, and what says the same as the version
-- before it is none. `subject_id` is the event ARN of a Health event, or product and id of any other
-- finding, and with `account_id` it is the thing that the versions are about. `said_by` tells who speaks:
-- a Health event can come from Health itself and by way of Security Hub, with versions of its own in
-- each. Where both speak, Health `decides` about status. The other views are built on this one.
WITH said AS (
  SELECT
    f.*,
    coalesce(event_arn, replace(coalesce(product_arn, ''), '::productv2/', '::product/')
      || ' ' || finding_id) AS subject_id,
    CASE WHEN shape = 'native' THEN 'health' ELSE 'security_hub' END AS said_by,
    CASE
      WHEN shape = 'native' THEN coalesce(status_code, 'OPEN')
      WHEN record_state = 'ARCHIVED' OR workflow_status IN ('RESOLVED', 'SUPPRESSED') THEN 'CLOSED'
      WHEN workflow_status = 'NOTIFIED' THEN 'ACKNOWLEDGED'
      ELSE 'OPEN'
    END AS status,
    coalesce(updated_at, reported_at) AS version_at,
    coalesce(event_time, reported_at) AS told_at,
    CASE WHEN communication_id IS NULL THEN row_id END AS alone,
    coalesce(cardinality(entities), 0) AS entities_on_page
  FROM {{findings}} AS f
),
compared AS (
  SELECT
    said.*,
    lag(content_hash) OVER (
      PARTITION BY account_id, subject_id, shape, finding_id, communication_id
      ORDER BY version_at, told_at, row_id
    ) AS hash_before
  FROM said
),
pages AS (
  SELECT
    compared.*,
    row_number() OVER (
      PARTITION BY account_id, subject_id, shape, communication_id, updated_at, alone, page
      ORDER BY told_at DESC, coalesce(backup, false), row_id
    ) AS copy_number,
    min(reported_at) OVER (
      PARTITION BY account_id, subject_id, shape, communication_id, updated_at, alone
    ) AS first_reported_at
  FROM compared
  WHERE communication_id IS NOT NULL OR hash_before IS NULL OR hash_before <> content_hash
),
united AS (
  SELECT
    pages.*,
    row_number() OVER (
      PARTITION BY account_id, subject_id, shape, communication_id, updated_at, alone
      ORDER BY page, row_id
    ) AS page_number,
    count(*) OVER (
      PARTITION BY account_id, subject_id, shape, communication_id, updated_at, alone
    ) AS pages_seen,
    sum(entities_on_page) OVER (
      PARTITION BY account_id, subject_id, shape, communication_id, updated_at, alone
    ) AS entity_count
  FROM pages
  WHERE copy_number = 1
)
SELECT
  subject_id,
  account_id,
  said_by,
  row_number() OVER (
    PARTITION BY account_id, subject_id, said_by
    ORDER BY version_at, told_at, row_id
  ) AS version,
  status,
  lag(status) OVER (
    PARTITION BY account_id, subject_id, said_by
    ORDER BY version_at, told_at, row_id
  ) AS previous_status,
  max(first_reported_at) OVER (
    PARTITION BY account_id, subject_id, said_by
    ORDER BY version_at, told_at, row_id
    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
  ) AS said_at,
  row_number() OVER (
    PARTITION BY account_id, subject_id, said_by
    ORDER BY version_at DESC, told_at DESC, row_id DESC
  ) = 1 AS is_latest,
  said_by = min(said_by) OVER (PARTITION BY account_id, subject_id) AS decides,
  min(first_reported_at) OVER (PARTITION BY account_id, subject_id) AS first_seen_at,
  row_number() OVER (
    PARTITION BY account_id, subject_id
    ORDER BY said_by DESC, version_at, told_at, row_id
  ) AS place,
  entity_count,
  pages_seen,
  total_pages,
  row_id,
  first_reported_at AS reported_at,
  event_time,
  arrived_hour,
  time_source,
  shape,
  detail_type,
  event_id,
  finding_id,
  event_arn,
  service,
  event_type_code,
  event_type_category,
  event_scope,
  status_code,
  actionability,
  sent_to_account,
  region,
  sent_to_region,
  aws_partition,
  account_name,
  product_arn,
  product_name,
  company_name,
  generator_id,
  severity_label,
  severity_normalized,
  severity_original,
  confidence,
  criticality,
  title,
  description,
  remediation_text,
  remediation_url,
  source_url,
  created_at,
  updated_at,
  first_observed_at,
  last_observed_at,
  processed_at,
  start_time,
  end_time,
  workflow_status,
  record_state,
  compliance_status,
  verification_state,
  note_text,
  note_updated_by,
  note_updated_at,
  communication_id,
  backup,
  unmapped_json,
  content_hash,
  source_object,
  source_offset,
  source_length,
  personas,
  types,
  resources,
  product_fields,
  user_defined_fields,
  metadata
FROM united
WHERE page_number = 1
