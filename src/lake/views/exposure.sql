-- Which accounts are exposed: abuse reports, risks and leaked credentials?
--
-- One row for each such Health event and account. `kind` is leaked_credentials where the type says so
-- of credentials or access keys, else abuse or risk.
SELECT
  CASE
    WHEN event_type_code LIKE '%CREDENTIAL%' OR event_type_code LIKE '%ACCESS\_KEY%' ESCAPE '\'
      THEN 'leaked_credentials'
    WHEN service = 'ABUSE' OR event_type_code LIKE '%ABUSE%' THEN 'abuse'
    ELSE 'risk'
  END AS kind,
  account_id,
  account_name,
  event_arn,
  service,
  event_type_code,
  region,
  status,
  severity_label,
  workflow_status,
  first_seen_at,
  last_seen_at,
  start_time,
  end_time,
  entity_count,
  description
FROM {{health_events}}
WHERE service IN ('ABUSE', 'RISK')
  OR event_type_code LIKE '%ABUSE%'
  OR event_type_code LIKE '%CREDENTIAL%'
  OR event_type_code LIKE '%EXPOSED%'
  OR event_type_code LIKE '%COMPROMISE%'
  OR event_type_code LIKE '%OPEN\_ACCESS%' ESCAPE '\'
