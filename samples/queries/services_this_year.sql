-- Which services hurt us most this year?
--
-- Issues and other Health events by service: how many, in how many accounts, how long they lasted. An
-- event counts once for each affected account.
SELECT
  service,
  count(*) AS event_count,
  sum(CASE WHEN category = 'issue' THEN 1 ELSE 0 END) AS issues,
  count(DISTINCT account_id) AS accounts,
  sum(CASE WHEN status <> 'CLOSED' THEN 1 ELSE 0 END) AS not_closed,
  round(sum(hours_to_close), 1) AS hours_until_closed
FROM lifecycle
WHERE event_arn IS NOT NULL
  AND first_seen_at >= date_trunc('year', current_date)
GROUP BY service
ORDER BY event_count DESC, service
