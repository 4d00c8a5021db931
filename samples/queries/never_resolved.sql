-- Which findings were never resolved?
--
-- What has never been closed and is older than 30 days, the oldest first.
SELECT
  first_seen_at,
  date_diff('day', CAST(first_seen_at AS date), current_date) AS days_open,
  severity_label,
  account_id,
  service,
  event_type_code,
  status,
  subject_id
FROM lifecycle
WHERE status <> 'CLOSED'
  AND reopened = 0
  AND first_seen_at < current_date - INTERVAL '30' DAY
ORDER BY first_seen_at, account_id, subject_id
