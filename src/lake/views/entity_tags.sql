-- Which tags do the affected resources carry?
--
-- One row for each tag of each row of entities: join it on subject_id and account_id to ask by team,
-- application or environment. An event with resources of two teams counts for both.
SELECT
  e.subject_id,
  e.account_id,
  e.entity,
  e.is_listed,
  t.tag,
  t.tag_value
FROM {{entities}} AS e
CROSS JOIN {{unnest_map e.tags}} AS t (tag, tag_value)
