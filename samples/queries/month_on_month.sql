-- How does each month compare with the one before?
--
-- New findings and events by category and month of first sight, with the change in percent. A month
-- without any has no row, so the month before is the last that had some.
WITH months AS (
  SELECT
    date_trunc('month', first_seen_at) AS month_start,
    category,
    count(*) AS new_count
  FROM lifecycle
  GROUP BY date_trunc('month', first_seen_at), category
)
SELECT
  month_start,
  category,
  new_count,
  lag(new_count) OVER (PARTITION BY category ORDER BY month_start) AS month_before,
  round(
    100e0 * new_count / lag(new_count) OVER (PARTITION BY category ORDER BY month_start) - 100e0,
    1
  ) AS change_percent
FROM months
ORDER BY category, month_start
