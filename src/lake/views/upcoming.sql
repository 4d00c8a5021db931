-- What has AWS scheduled, and when?
--
-- One row for each scheduled change and account that is not closed and not over: maintenance,
-- retirements, ends of support. Dates are UTC. `days_left` counts whole days from today.
SELECT
  event_arn,
  account_id,
  account_name,
  status,
  service,
  event_type_code,
  event_type_code LIKE '%PLANNED\_LIFECYCLE\_EVENT' ESCAPE '\' AS is_planned_lifecycle,
  region,
  start_time AS starts_at,
  end_time AS ends_at,
  date_diff('day', current_date, CAST(start_time AS date)) AS days_left,
  actionability,
  severity_label,
  entity_count,
  first_seen_at,
  description
FROM {{health_events}}
WHERE lower(event_type_category) = 'scheduledchange'
  AND status <> 'CLOSED'
  AND (start_time IS NULL OR coalesce(end_time, start_time) >= current_date)
