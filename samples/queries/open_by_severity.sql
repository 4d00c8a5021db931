-- How many were open at the end of each of the last 30 days, by severity?
SELECT
  trend_day,
  severity_label,
  sum(opened) AS opened,
  sum(closed) AS closed,
  sum(still_open) AS still_open
FROM trend_daily
WHERE trend_day >= current_date - INTERVAL '30' DAY
GROUP BY trend_day, severity_label
ORDER BY trend_day, severity_label
