-- Which accounts are exposed now, and by what?
SELECT
  account_id,
  kind,
  count(*) AS event_count,
  sum(CASE WHEN status <> 'CLOSED' THEN 1 ELSE 0 END) AS not_closed,
  max(last_seen_at) AS last_seen_at
FROM exposure
GROUP BY account_id, kind
ORDER BY not_closed DESC, event_count DESC, account_id, kind
