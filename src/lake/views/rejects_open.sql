-- What could not become a finding, and still waits to be looked at?
--
-- One row for each reject that is in no other state than open. `bytes` holds at most the first MiB.
WITH states AS (
  SELECT
    r.*,
    max(CASE WHEN state = 'open' THEN 0 ELSE 1 END) OVER (PARTITION BY reject_id) AS moved_on
  FROM {{rejects}} AS r
)
SELECT
  reject_id,
  arrived_hour,
  stage,
  reason,
  detail,
  source_object,
  source_etag,
  source_offset,
  source_length,
  ordinal,
  bytes_length,
  bytes_cut,
  bytes
FROM states
WHERE moved_on = 0
