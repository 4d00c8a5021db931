-- What is known of each Health event in each account, from Health and from Security Hub together?
--
-- One row for each event and account. Status, category, times and entities are Health's own, severity,
-- workflow and title are Security Hub's, which takes over security-related events only. An event that
-- came by one way only has no values of the other.
SELECT
  event_arn,
  account_id,
  max(CASE WHEN decides THEN status END) AS status,
  max(service) AS service,
  max(event_type_code) AS event_type_code,
  max(event_type_category) AS event_type_category,
  max(event_scope) AS event_scope,
  max(region) AS region,
  max(aws_partition) AS aws_partition,
  max(account_name) AS account_name,
  max(CASE WHEN said_by = 'health' THEN status_code END) AS status_code,
  max(CASE WHEN said_by = 'health' THEN actionability END) AS actionability,
  max(CASE WHEN said_by = 'health' THEN personas END) AS personas,
  coalesce(
    max(CASE WHEN said_by = 'health' THEN start_time END),
    max(start_time)
  ) AS start_time,
  max(end_time) AS end_time,
  max(CASE WHEN said_by = 'security_hub' THEN severity_label END) AS severity_label,
  max(CASE WHEN said_by = 'security_hub' THEN severity_normalized END) AS severity_normalized,
  max(CASE WHEN said_by = 'security_hub' THEN workflow_status END) AS workflow_status,
  max(CASE WHEN said_by = 'security_hub' THEN record_state END) AS record_state,
  max(CASE WHEN said_by = 'security_hub' THEN title END) AS title,
  coalesce(
    max(CASE WHEN said_by = 'health' THEN description END),
    max(description)
  ) AS description,
  min(first_seen_at) AS first_seen_at,
  max(said_at) AS last_seen_at,
  max(CASE WHEN said_by = 'health' THEN updated_at END) AS updated_at,
  coalesce(max(CASE WHEN said_by = 'health' THEN version END), 0) AS health_versions,
  coalesce(max(CASE WHEN said_by = 'security_hub' THEN version END), 0) AS security_hub_versions,
  max(CASE WHEN said_by = 'health' THEN entity_count END) AS entity_count,
  max(CASE WHEN said_by = 'security_hub' THEN finding_id END) AS security_hub_finding_id,
  max(CASE WHEN said_by = 'security_hub' THEN product_arn END) AS security_hub_product_arn
FROM {{finding_versions}}
WHERE is_latest AND event_arn IS NOT NULL
GROUP BY event_arn, account_id
