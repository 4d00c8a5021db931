-- What could not be read, and where does it come from?
SELECT
  reason,
  stage,
  count(*) AS reject_count,
  count(DISTINCT source_object) AS objects,
  max(arrived_hour) AS last_hour
FROM rejects_open
GROUP BY reason, stage
ORDER BY reject_count DESC, reason
