"""The job of compare.py in ClickHouse: clickhouse_job.py ARCHIVE LAKE MODE THREADS

MODE `whole` writes all days by one INSERT. Runs inside this process, as chDB.
"""

import os
import sys

import chdb

# What is read of an event; all else is left out, which is less work than healthtrail's.
EVENT = (
    'id String, "detail-type" String, source String, account String, time String, region String, detail Tuple('
    "eventArn String, service String, eventTypeCode String, eventTypeCategory String,"
    " eventScopeCode Nullable(String), communicationId Nullable(String), startTime Nullable(String),"
    " endTime Nullable(String), lastUpdatedTime Nullable(String), statusCode Nullable(String),"
    " eventRegion Nullable(String), eventDescription Array(Tuple(latestDescription String)),"
    " eventMetadata Map(String, String), affectedEntities Array(Tuple(entityValue Nullable(String),"
    " lastUpdatedTime Nullable(String), status Nullable(String), tags Map(String, String))),"
    " page Nullable(String), totalPages Nullable(String), backupEvent Nullable(String),"
    " affectedAccount Nullable(String), actionability Nullable(String), personas Array(String))"
)

# Of a time such as `Sat, 1 Aug 2026 10:00:00 GMT`.
TIME = "parseDateTime64BestEffortOrNull(replaceRegexpOne(%s, '^[A-Za-z]+, ', ''), 3, 'UTC')"

ROWS = f"""
    SELECT id AS event_id, "detail-type" AS detail_type, account AS sent_to_account,
        region AS sent_to_region, detail.eventArn AS event_arn, detail.service AS service,
        detail.eventTypeCode AS event_type_code, detail.eventTypeCategory AS event_type_category,
        detail.eventScopeCode AS event_scope, upper(detail.statusCode) AS status_code,
        detail.actionability AS actionability, detail.personas AS personas,
        detail.affectedAccount AS account_id, detail.eventRegion AS event_region,
        detail.eventDescription[1].1 AS description,
        replaceRegexpOne(detail.communicationId, '-[0-9]+$', '') AS communication_id,
        toInt32(detail.page) AS page_number, toInt32(detail.totalPages) AS total_pages,
        detail.backupEvent = 'true' AS backup,
        parseDateTime64BestEffortOrNull(time, 3, 'UTC') AS event_time,
        {TIME % "detail.lastUpdatedTime"} AS updated_at,
        {TIME % "detail.startTime"} AS start_time, {TIME % "detail.endTime"} AS end_time,
        if(updated_at BETWEEN event_time - INTERVAL 72 HOUR AND event_time + INTERVAL 1 HOUR,
            updated_at, event_time) AS reported_at,
        arrayMap(e -> (e.1, e.3, {TIME % "e.2"}, e.4), detail.affectedEntities) AS entities,
        detail.eventMetadata AS metadata,
        formatDateTime(assumeNotNull(reported_at), '%Y-%m-%d', 'UTC') AS dt
    FROM file('{{archive}}/**/*.gz', 'JSONEachRow', '{EVENT}')
    WHERE source = 'aws.health' AND "detail-type" IN ('AWS Health Event', 'AWS Health Abuse Event')
    ORDER BY dt, event_arn, account_id, communication_id, page_number, backup, event_time, event_id
    LIMIT 1 BY dt, event_arn, account_id, communication_id, page_number"""


def main() -> None:
    archive, lake, mode, threads = sys.argv[1:]
    assert mode == "whole", mode
    os.makedirs(lake)
    rows = ROWS.replace("{archive}", archive)
    chdb.query(
        f"INSERT INTO FUNCTION file('{lake}/{{_partition_id}}.parquet', 'Parquet') PARTITION BY dt"
        f" SELECT * FROM ({rows}) ORDER BY dt, account_id, reported_at"
        f" SETTINGS max_threads = {int(threads)}, output_format_parquet_compression_method = 'zstd',"
        f" input_format_skip_unknown_fields = 1, engine_file_truncate_on_insert = 1"
    )


main()
