"""The job of compare.py in DataFusion: datafusion_job.py ARCHIVE LAKE MODE THREADS

MODE `whole` writes all days by one COPY, sorted within each. Its reader of JSON takes documents without a
separator as they are, a file at a time on each thread.
"""

import sys

import pyarrow as pa
from datafusion import SessionConfig, SessionContext

text = pa.string()
tags = pa.map_(text, text)
DETAIL = pa.struct(
    [
        *(
            (name, text)
            for name in (
                "eventArn service eventTypeCode eventTypeCategory eventScopeCode communicationId startTime endTime"
                " lastUpdatedTime statusCode eventRegion"
            ).split()
        ),
        ("eventDescription", pa.list_(pa.struct([("latestDescription", text)]))),
        ("eventMetadata", tags),
        (
            "affectedEntities",
            pa.list_(
                pa.struct(
                    [("entityValue", text), ("lastUpdatedTime", text), ("status", text), ("tags", tags)]
                )
            ),
        ),
        *((name, text) for name in "page totalPages backupEvent affectedAccount actionability".split()),
        ("personas", pa.list_(text)),
    ]
)
# What is read of an event; all else is left out, which is less work than healthtrail's.
EVENT = pa.schema(
    [*((name, text) for name in "id detail-type source account time region".split()), ("detail", DETAIL)]
)

# Times of entities stay texts: no function goes over a list's elements.
ROWS = """
    SELECT id AS event_id, "detail-type" AS detail_type, account AS sent_to_account,
        region AS sent_to_region, detail['eventArn'] AS event_arn, detail['service'] AS service,
        detail['eventTypeCode'] AS event_type_code,
        detail['eventTypeCategory'] AS event_type_category,
        detail['eventScopeCode'] AS event_scope, upper(detail['statusCode']) AS status_code,
        detail['actionability'] AS actionability, detail['personas'] AS personas,
        detail['affectedAccount'] AS account_id, detail['eventRegion'] AS region,
        detail['eventDescription'][1]['latestDescription'] AS description,
        regexp_replace(detail['communicationId'], '-[0-9]+$', '') AS communication_id,
        CAST(detail['page'] AS INT) AS page, CAST(detail['totalPages'] AS INT) AS total_pages,
        detail['backupEvent'] = 'true' AS backup,
        to_timestamp_millis(time) AS event_time,
        to_timestamp_millis(detail['lastUpdatedTime'], '%a, %e %b %Y %H:%M:%S GMT') AS updated_at,
        to_timestamp_millis(detail['startTime'], '%a, %e %b %Y %H:%M:%S GMT') AS start_time,
        to_timestamp_millis(detail['endTime'], '%a, %e %b %Y %H:%M:%S GMT') AS end_time,
        detail['affectedEntities'] AS entities, detail['eventMetadata'] AS metadata
    FROM archive
    WHERE source = 'aws.health' AND "detail-type" IN ('AWS Health Event', 'AWS Health Abuse Event')"""

TIMED = f"""
    SELECT *, CASE
        WHEN updated_at BETWEEN event_time - INTERVAL '72 hours' AND event_time + INTERVAL '1 hour'
        THEN updated_at ELSE event_time END AS reported_at
    FROM ({ROWS})"""

NUMBERED = f"""
    SELECT *, to_char(reported_at, '%Y-%m-%d') AS dt, row_number() OVER (
        PARTITION BY date_trunc('day', reported_at), event_arn, account_id, communication_id, page
        ORDER BY backup, event_time, event_id) AS place
    FROM ({TIMED})"""


def main() -> None:
    archive, lake, mode, threads = sys.argv[1:]
    assert mode == "whole", mode
    config = SessionConfig().with_target_partitions(int(threads))
    # The archive has a folder for each hour.
    config = config.set("datafusion.execution.listing_table_ignore_subdirectory", "false")
    context = SessionContext(config)
    context.register_json(
        "archive", archive, schema=EVENT, file_extension=".gz", file_compression_type="gzip"
    )
    context.sql(
        f"COPY (SELECT * EXCLUDE (place) FROM ({NUMBERED}) WHERE place = 1"
        f" ORDER BY dt, account_id, reported_at)"
        f" TO '{lake}/' STORED AS PARQUET PARTITIONED BY (dt) OPTIONS ('format.compression' 'zstd(1)')"
    ).collect()


main()
