-- How long does each team take to close what affects its resources?
--
-- By the tag `team` of the affected resources: put your own tag's name in its place. What affects
-- resources of two teams counts for both.
WITH teams AS (
  SELECT DISTINCT
    subject_id,
    account_id,
    tag_value AS team
  FROM entity_tags
  WHERE tag = 'team'
)
SELECT
  teams.team,
  count(*) AS closed_count,
  round(avg(l.hours_to_close), 2) AS mean_hours_to_close,
  round(max(l.hours_to_close), 2) AS longest_hours_to_close
FROM teams
JOIN lifecycle AS l ON l.subject_id = teams.subject_id AND l.account_id = teams.account_id
WHERE l.hours_to_close IS NOT NULL
GROUP BY teams.team
ORDER BY mean_hours_to_close DESC, teams.team
