-- What could not become a finding, and still waits to be looked at?
--
-- One row for each reject that no later reading has settled, in the state that it has now: open, or what
-- `healthtrail redrive` found when it tried. `bytes` holds at most the first MiB.
WITH states AS (
  SELECT
    r.*,
    row_number() OVER (PARTITION BY reject_id ORDER BY coalesce(state_number, 0) DESC) AS age
  FROM {{rejects}} AS r
)
SELECT
  reject_id,
  arrived_hour,
  state,
  state_by,
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
WHERE age = 1 AND state <> 'redriven'
