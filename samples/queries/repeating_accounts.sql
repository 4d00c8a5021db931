-- In which accounts does the same thing happen again and again?
--
-- Accounts with three or more different events or findings of one type in the last 90 days.
SELECT
  account_id,
  event_type_code,
  count(*) AS times,
  min(first_seen_at) AS first_time,
  max(first_seen_at) AS last_time
FROM lifecycle
WHERE first_seen_at >= current_date - INTERVAL '90' DAY
GROUP BY account_id, event_type_code
HAVING count(*) >= 3
ORDER BY times DESC, account_id, event_type_code
