-- How long does it take to acknowledge and to close each finding and Health event?
--
-- One row for each finding or event and account. `closed_at` is the last closing of what is closed
-- now. Hours are null where the beginning was not seen (its first version was closed already).
-- Acknowledged is what Security Hub's workflow moved on from NEW. `statuses` and `status_times` are the
-- changes of the status that decides, in their order, and status_changes has them as rows.
SELECT
  subject_id,
  account_id,
  max(CASE WHEN is_latest AND decides THEN status END) AS status,
  min(first_seen_at) AS first_seen_at,
  min(CASE WHEN said_by = 'security_hub' AND status IN ('ACKNOWLEDGED', 'CLOSED') THEN said_at END)
    AS acknowledged_at,
  CASE WHEN max(CASE WHEN is_latest AND decides THEN status END) = 'CLOSED' THEN
    max(CASE WHEN decides AND status = 'CLOSED'
      AND (previous_status IS NULL OR previous_status <> 'CLOSED') THEN said_at END)
  END AS closed_at,
  CASE WHEN max(CASE WHEN said_by = 'security_hub' AND version = 1 THEN status END) = 'OPEN' THEN
    date_diff(
      'millisecond',
      min(CASE WHEN said_by = 'security_hub' THEN said_at END),
      min(CASE WHEN said_by = 'security_hub' AND status IN ('ACKNOWLEDGED', 'CLOSED') THEN said_at END)
    ) / 3.6e6
  END AS hours_to_acknowledge,
  CASE WHEN max(CASE WHEN is_latest AND decides THEN status END) = 'CLOSED'
    AND max(CASE WHEN decides AND version = 1 THEN status END) <> 'CLOSED' THEN
    date_diff(
      'millisecond',
      min(first_seen_at),
      max(CASE WHEN decides AND status = 'CLOSED' AND previous_status <> 'CLOSED' THEN said_at END)
    ) / 3.6e6
  END AS hours_to_close,
  sum(CASE WHEN decides AND previous_status = 'CLOSED' AND status <> 'CLOSED' THEN 1 ELSE 0 END)
    AS reopened,
  array_agg(status ORDER BY version)
    FILTER (WHERE decides AND (previous_status IS NULL OR previous_status <> status)) AS statuses,
  array_agg(said_at ORDER BY version)
    FILTER (WHERE decides AND (previous_status IS NULL OR previous_status <> status))
    AS status_times,
  count(*) AS versions,
  coalesce(max(service), max(product_name)) AS service,
  max(event_arn) AS event_arn,
  max(coalesce(event_type_code, generator_id)) AS event_type_code,
  coalesce(
    max(event_type_category),
    CASE WHEN max(event_arn) IS NULL THEN 'finding' ELSE 'unknown' END
  ) AS category,
  coalesce(max_by(severity_label, place) FILTER (WHERE severity_label IS NOT NULL), 'NONE')
    AS severity_label,
  max(region) AS region,
  max_by(account_name, place) FILTER (WHERE account_name IS NOT NULL) AS account_name,
  max_by(title, place) FILTER (WHERE title IS NOT NULL) AS title
FROM {{finding_versions}}
GROUP BY subject_id, account_id
