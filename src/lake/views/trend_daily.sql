-- How many findings and Health events opened and closed each day, and how many were still open?
--
-- One row for each UTC day, service, category, severity, account and Region, on every day on which
-- something changed or was still open at its end, up to the last change in the lake: so `still_open`
-- of one day may be summed over any of them. What was first seen closed counts nowhere, what opens
-- again is opened again. Category is `finding` for what is no Health event.
WITH steps AS (
  SELECT
    account_id,
    CAST(said_at AS date) AS changed_on,
    decides,
    status,
    previous_status,
    coalesce(
      max(service) OVER (PARTITION BY account_id, subject_id),
      max(product_name) OVER (PARTITION BY account_id, subject_id),
      'unknown'
    ) AS service,
    coalesce(
      max(event_type_category) OVER (PARTITION BY account_id, subject_id),
      CASE WHEN event_arn IS NULL THEN 'finding' ELSE 'unknown' END
    ) AS category,
    coalesce(
      max_by(severity_label, CASE WHEN severity_label IS NOT NULL THEN place END)
        OVER (PARTITION BY account_id, subject_id),
      'NONE'
    ) AS severity_label,
    coalesce(max(region) OVER (PARTITION BY account_id, subject_id), 'unknown') AS region
  FROM {{finding_versions}}
),
turns AS (
  SELECT
    steps.*,
    CASE WHEN status <> 'CLOSED' AND (previous_status IS NULL OR previous_status = 'CLOSED')
      THEN 1 ELSE 0 END AS opened,
    CASE WHEN status = 'CLOSED' AND previous_status <> 'CLOSED' THEN 1 ELSE 0 END AS closed
  FROM steps
  WHERE decides
),
daily AS (
  SELECT
    changed_on,
    service,
    category,
    severity_label,
    account_id,
    region,
    sum(opened) AS opened,
    sum(closed) AS closed
  FROM turns
  WHERE opened + closed > 0
  GROUP BY changed_on, service, category, severity_label, account_id, region
),
balanced AS (
  SELECT
    daily.*,
    sum(opened - closed) OVER (
      PARTITION BY service, category, severity_label, account_id, region
      ORDER BY changed_on
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS still_open,
    lead(changed_on) OVER (
      PARTITION BY service, category, severity_label, account_id, region
      ORDER BY changed_on
    ) AS next_change_on,
    max(changed_on) OVER () AS last_day
  FROM daily
)
SELECT
  CAST(d.each_day AS date) AS trend_day,
  balanced.service,
  balanced.category,
  balanced.severity_label,
  balanced.account_id,
  balanced.region,
  CASE WHEN d.each_day = balanced.changed_on THEN balanced.opened ELSE 0 END AS opened,
  CASE WHEN d.each_day = balanced.changed_on THEN balanced.closed ELSE 0 END AS closed,
  balanced.still_open
FROM balanced
CROSS JOIN {{days balanced.changed_on, coalesce(balanced.next_change_on, balanced.last_day)}}
  AS d (each_day)
WHERE d.each_day = balanced.changed_on
  OR (
    balanced.still_open > 0
    AND (balanced.next_change_on IS NULL OR d.each_day < balanced.next_change_on)
  )
