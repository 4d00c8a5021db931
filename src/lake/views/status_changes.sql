-- When did the status of each finding and Health event change, and from what to what?
--
-- One row for each change, the first sight among them (`previous_status` is null). Health says
-- UPCOMING, OPEN or CLOSED. Of Security Hub's findings NEW is OPEN, NOTIFIED is ACKNOWLEDGED, and
-- RESOLVED, SUPPRESSED or an archived record is CLOSED. Where both speak of an event, the rows with
-- `decides` are Health's.
SELECT
  subject_id,
  account_id,
  said_by,
  decides,
  version,
  previous_status,
  status,
  said_at AS changed_at,
  first_seen_at,
  service,
  event_arn,
  event_type_code,
  event_type_category,
  product_name,
  region,
  account_name,
  row_id
FROM {{finding_versions}}
WHERE previous_status IS NULL OR previous_status <> status
