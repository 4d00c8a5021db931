"""The job of compare.py in DuckDB: duckdb_job.py ARCHIVE LAKE MODE THREADS

MODE `whole` writes all days by one COPY; `days` keeps the rows in a table and writes each day by a COPY
of its own, which can sort it.
"""

import os
import sys

import duckdb

# What is read of an event; all else is left out, which is less work than healthtrail's.
EVENT = """{
    id: 'VARCHAR', "detail-type": 'VARCHAR', source: 'VARCHAR', account: 'VARCHAR',
    time: 'VARCHAR', region: 'VARCHAR',
    detail: 'STRUCT(
        eventArn VARCHAR, service VARCHAR, eventTypeCode VARCHAR, eventTypeCategory VARCHAR,
        eventScopeCode VARCHAR, communicationId VARCHAR, startTime VARCHAR, endTime VARCHAR,
        lastUpdatedTime VARCHAR, statusCode VARCHAR, eventRegion VARCHAR,
        eventDescription STRUCT("language" VARCHAR, latestDescription VARCHAR)[],
        eventMetadata MAP(VARCHAR, VARCHAR),
        affectedEntities STRUCT(entityValue VARCHAR, lastUpdatedTime VARCHAR, status VARCHAR,
            tags MAP(VARCHAR, VARCHAR))[],
        page VARCHAR, totalPages VARCHAR, backupEvent VARCHAR, affectedAccount VARCHAR,
        actionability VARCHAR, personas VARCHAR[])'
}"""

# Columns as healthtrail names them. Its own (hashes, places in objects, leftovers) are not asked for.
ROWS = """
    SELECT
        time::TIMESTAMP AS event_time,
        strptime(detail.lastUpdatedTime, '%a, %-d %b %Y %H:%M:%S GMT') AS updated_at,
        CASE WHEN updated_at BETWEEN event_time - INTERVAL 72 HOURS AND event_time + INTERVAL 1 HOUR
            THEN updated_at ELSE event_time END AS reported_at,
        id AS event_id, "detail-type" AS detail_type, account AS sent_to_account,
        region AS sent_to_region, detail.eventArn AS event_arn, detail.service AS service,
        detail.eventTypeCode AS event_type_code, detail.eventTypeCategory AS event_type_category,
        detail.eventScopeCode AS event_scope, upper(detail.statusCode) AS status_code,
        detail.actionability AS actionability, detail.personas AS personas,
        detail.affectedAccount AS account_id, detail.eventRegion AS region,
        detail.eventDescription[1].latestDescription AS description,
        regexp_replace(detail.communicationId, '-[0-9]+$', '') AS communication_id,
        detail.page::INTEGER AS page, detail.totalPages::INTEGER AS total_pages,
        detail.backupEvent = 'true' AS backup,
        strptime(detail.startTime, '%a, %-d %b %Y %H:%M:%S GMT') AS start_time,
        strptime(detail.endTime, '%a, %-d %b %Y %H:%M:%S GMT') AS end_time,
        list_transform(detail.affectedEntities, lambda e: struct_pack(
            value := e.entityValue, status := e.status,
            last_updated_at := strptime(e.lastUpdatedTime, '%a, %-d %b %Y %H:%M:%S GMT'),
            tags := e.tags)) AS entities,
        detail.eventMetadata AS metadata,
        strftime(reported_at, '%Y-%m-%d') AS dt
    FROM read_json('{archive}/**/*.gz', format = 'unstructured', compression = 'gzip',
        maximum_object_size = 16777216, columns = {event})
    WHERE source = 'aws.health' AND "detail-type" IN ('AWS Health Event', 'AWS Health Abuse Event')
    QUALIFY row_number() OVER (
        PARTITION BY dt, event_arn, account_id, communication_id, page
        ORDER BY backup, event_time, event_id) = 1"""


def main() -> None:
    archive, lake, mode, threads = sys.argv[1:]
    connection = duckdb.connect()
    connection.execute(f"SET threads = {int(threads)}")
    connection.execute("SET enable_progress_bar = false")
    rows = ROWS.replace("{archive}", archive).replace("{event}", EVENT)
    os.makedirs(lake)
    parquet = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1"
    if mode == "whole":
        connection.execute(f"SET temp_directory = '{lake}.tmp'")
        connection.execute(
            f"COPY ({rows} ORDER BY dt, account_id, reported_at) TO '{lake}'"
            f" ({parquet}, PARTITION_BY (dt), OVERWRITE_OR_IGNORE)"
        )
        return
    connection.execute(f"CREATE TEMP TABLE wave AS {rows}")
    days = connection.execute("SELECT DISTINCT dt FROM wave ORDER BY dt").fetchall()
    for (day,) in days:
        os.makedirs(f"{lake}/dt={day}")
        connection.execute(
            f"COPY (SELECT * EXCLUDE (dt) FROM wave WHERE dt = '{day}'"
            f" ORDER BY account_id, reported_at, event_id)"
            f" TO '{lake}/dt={day}/part.parquet' ({parquet})"
        )


main()
