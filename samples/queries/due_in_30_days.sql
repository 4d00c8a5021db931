-- What is due in the next 30 days?
--
-- Scheduled changes that begin from today on, the next first.
SELECT
  starts_at,
  days_left,
  account_id,
  service,
  event_type_code,
  region,
  entity_count,
  event_arn
FROM upcoming
WHERE starts_at >= current_date
  AND starts_at < current_date + INTERVAL '30' DAY
ORDER BY starts_at, account_id, event_arn
