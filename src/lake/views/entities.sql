-- Which resources does each finding and Health event affect, and how do they stand?
--
-- One row for each resource, finding or event, and account, with the resource's latest state and tags:
-- Health's `entities` of all pages, and the `resources` of other findings. Resources that only
-- Security Hub lists for a Health event have no status. `is_listed` tells whether the latest version
-- that lists any resources still lists this one.
WITH said AS (
  SELECT
    f.*,
    coalesce(event_arn, replace(coalesce(product_arn, ''), '::productv2/', '::product/')
      || ' ' || finding_id) AS subject_id,
    coalesce(updated_at, reported_at) AS version_at,
    coalesce(event_time, reported_at) AS told_at
  FROM {{findings}} AS f
),
listed AS (
  SELECT
    said.subject_id,
    said.account_id,
    'health' AS said_by,
    e.entity,
    e.status,
    CAST(e.last_updated_at AS timestamp) AS last_updated_at,
    CAST(NULL AS varchar) AS resource_type,
    e.tags,
    said.event_arn,
    said.service,
    said.event_type_code,
    said.event_type_category,
    said.product_name,
    said.region,
    said.account_name,
    said.reported_at,
    said.version_at,
    said.told_at,
    said.row_id
  FROM said
  CROSS JOIN {{unnest said.entities}} AS e (entity, status, last_updated_at, tags)
  UNION ALL
  SELECT
    said.subject_id,
    said.account_id,
    'security_hub' AS said_by,
    r.entity,
    CAST(NULL AS varchar) AS status,
    CAST(NULL AS timestamp) AS last_updated_at,
    r.resource_type,
    r.tags,
    said.event_arn,
    said.service,
    said.event_type_code,
    said.event_type_category,
    said.product_name,
    coalesce(r.resource_region, said.region) AS region,
    said.account_name,
    said.reported_at,
    said.version_at,
    said.told_at,
    said.row_id
  FROM said
  CROSS JOIN {{unnest said.resources}}
    AS r (resource_type, entity, aws_partition, resource_region, tags, details_json)
  -- An event without entities has its account as a resource in Security Hub.
  WHERE said.event_arn IS NULL
    OR (r.entity <> said.account_id AND r.entity <> 'AWS::::Account:' || said.account_id)
),
ordered AS (
  SELECT
    listed.*,
    max(resource_type) OVER (PARTITION BY account_id, subject_id, entity) AS any_type,
    min(reported_at) OVER (PARTITION BY account_id, subject_id, entity) AS first_seen_at,
    max(reported_at) OVER (PARTITION BY account_id, subject_id, entity) AS last_seen_at,
    max(version_at) OVER (PARTITION BY account_id, subject_id, said_by) AS latest_at,
    row_number() OVER (
      PARTITION BY account_id, subject_id, entity
      ORDER BY said_by, version_at DESC, told_at DESC, row_id DESC,
        last_updated_at DESC, status, map_keys(tags), map_values(tags)
    ) AS place
  FROM listed
  WHERE entity IS NOT NULL
)
SELECT
  subject_id,
  account_id,
  entity,
  any_type AS resource_type,
  status,
  last_updated_at,
  version_at = latest_at AS is_listed,
  tags,
  event_arn,
  service,
  event_type_code,
  event_type_category,
  product_name,
  region,
  account_name,
  first_seen_at,
  last_seen_at,
  said_by
FROM ordered
WHERE place = 1
