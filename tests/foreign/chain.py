"""Sends Health events through EventBridge and Firehose into S3, reads them with healthtrail, and holds
DuckDB's view of the lake against what was sent.

    chain.py PROGRAM localstack|moto ENDPOINT WORK
"""

import json
import os
import subprocess
import sys
import time

import boto3
import duckdb

PROGRAM, SERVER, ENDPOINT, WORK = sys.argv[1:]
EVENTS = 25
STREAM, COPY = "health-events", "health-copy"
WAIT_SECONDS = 60


def client(service):
    return boto3.client(service, endpoint_url=ENDPOINT, region_name="us-east-1")


def detail(number):
    return {
        "eventArn": f"arn:aws:health:us-east-1::event/RDS/AWS_RDS_MAINTENANCE_SCHEDULED/chain_{number}",
        "service": "RDS",
        "eventTypeCode": "AWS_RDS_MAINTENANCE_SCHEDULED",
        "eventTypeCategory": "scheduledChange",
        "eventScopeCode": "ACCOUNT_SPECIFIC",
        "communicationId": f"communication-{number}",
        "startTime": "Tue, 24 Nov 2026 10:00:00 GMT",
        "statusCode": "upcoming",
        "eventRegion": "us-east-1",
        "eventDescription": [
            {"language": "en_US", "latestDescription": f'Größe "{number}" }}{{ back to back'}
        ],
        "affectedEntities": [{"entityValue": f"db-{number}", "status": "PENDING"}],
        "affectedAccount": "111122223333",
    }


def healthtrail(*arguments, code=0):
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL_FIREHOSE": ENDPOINT,
        "HEALTHTRAIL_ENDPOINT_URL": ENDPOINT,
        "HEALTHTRAIL_PROGRESS": "none",
    }
    ran = subprocess.run(
        [PROGRAM, *arguments], env=environment, capture_output=True, text=True, timeout=120
    )
    if ran.returncode != code:
        sys.exit(f"{arguments}: exit code {ran.returncode}, not {code}\n{ran.stdout}\n{ran.stderr}")
    return ran.stdout


def same(what, found, expected):
    if found != expected:
        sys.exit(f"{what}: {found!r}, where {expected!r} was expected")
    print(f"ok  {what}")


def make_stream(name, prefix):
    firehose = client("firehose")
    firehose.create_delivery_stream(
        DeliveryStreamName=name,
        DeliveryStreamType="DirectPut",
        ExtendedS3DestinationConfiguration={
            "RoleARN": "arn:aws:iam::000000000000:role/firehose",
            "BucketARN": "arn:aws:s3:::chain-archive",
            "Prefix": prefix,
            "ErrorOutputPrefix": "errors/!{firehose:error-output-type}/",
            # LocalStack tells only what it was told.
            "CompressionFormat": "UNCOMPRESSED",
            "BufferingHints": {"IntervalInSeconds": 60, "SizeInMBs": 1},
        },
    )
    until = time.monotonic() + WAIT_SECONDS
    while True:
        description = firehose.describe_delivery_stream(DeliveryStreamName=name)
        description = description["DeliveryStreamDescription"]
        if description["DeliveryStreamStatus"] == "ACTIVE":
            return description["DeliveryStreamARN"]
        if time.monotonic() > until:
            sys.exit(f"the stream {name} did not become active")
        time.sleep(0.1)


def delivered(prefix):
    """How many events lie under a prefix."""
    s3 = client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="chain-archive", Prefix=prefix)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    bodies = (s3.get_object(Bucket="chain-archive", Key=key)["Body"].read() for key in keys)
    return sum(body.count(b'"eventArn"') for body in bodies)


def wait_for(prefix):
    until = time.monotonic() + WAIT_SECONDS
    while delivered(prefix) < EVENTS:
        if time.monotonic() > until:
            sys.exit(f"{delivered(prefix)} of {EVENTS} events were delivered to {prefix}")
        time.sleep(0.2)
    same(f"events delivered to {prefix}", delivered(prefix), EVENTS)


def through_eventbridge(arn):
    events = client("events")
    events.put_rule(Name="chain", EventPattern=json.dumps({"source": ["aws.health"]}))
    target = {"Id": "1", "Arn": arn, "RoleArn": "arn:aws:iam::000000000000:role/events"}
    answer = events.put_targets(Rule="chain", Targets=[target])
    same("targets that failed", answer["FailedEntryCount"], 0)
    for first in range(0, EVENTS, 10):
        entries = [
            {
                "Source": "aws.health",
                "DetailType": "AWS Health Event",
                "Detail": json.dumps(detail(number), ensure_ascii=False),
            }
            for number in range(first, min(first + 10, EVENTS))
        ]
        answer = events.put_events(Entries=entries)
        same("events that failed", answer["FailedEntryCount"], 0)


def past_eventbridge():
    """What EventBridge would make of the events, replayed from a folder."""
    os.makedirs(f"{WORK}/events")
    with open(f"{WORK}/events/all.json", "w", encoding="utf-8") as out:
        for number in range(EVENTS):
            event = {
                "version": "0",
                "id": f"00000000-0000-4000-8000-{number:012}",
                "detail-type": "AWS Health Event",
                "source": "aws.health",
                "account": "000000000000",
                "time": "2026-11-24T03:00:00Z",
                "region": "us-east-1",
                "resources": [],
                "detail": detail(number),
            }
            out.write(json.dumps(event, ensure_ascii=False))
    healthtrail("replay", "--from", f"{WORK}/events", "--to", f"firehose://{STREAM}@us-east-1")


def run(stream, lake):
    told = healthtrail("run", "--from", f"firehose://{stream}@us-east-1", "--to", lake, "--summary", "-")
    return json.loads(told)


def rows(lake):
    files = f"{lake}/findings/**/*.parquet"
    query = f"""
        SELECT row_id, event_arn, description, entities[1].value, event_id, sent_to_account
        FROM read_parquet('{files}', hive_partitioning = true) ORDER BY row_id
    """
    return duckdb.sql(query).fetchall()


def main():
    client("s3").create_bucket(Bucket="chain-archive")
    arn = make_stream(STREAM, "health/")
    make_stream(COPY, "copy")
    if SERVER == "localstack":
        through_eventbridge(arn)
    else:
        past_eventbridge()
    wait_for("health/")

    lake = f"{WORK}/lake"
    dry = healthtrail("run", "--from", f"firehose://{STREAM}@us-east-1", "--to", lake, "--dry-run")
    same("the dry run names the archive", "archive    s3://chain-archive/health (" in dry, True)
    same("and the failed records", "failed     s3://chain-archive/errors" in dry, True)
    first = run(STREAM, lake)
    same("findings added", first["findings"]["added"], EVENTS)
    again = run(STREAM, lake)
    same("findings added again", again["findings"]["added"], 0)
    found = rows(lake)
    same("rows in DuckDB", len(found), EVENTS)
    expected = [detail(number) for number in range(EVENTS)]
    same("event ARNs", sorted(row[1] for row in found), sorted(d["eventArn"] for d in expected))
    texts = sorted(d["eventDescription"][0]["latestDescription"] for d in expected)
    same("descriptions", sorted(row[2] for row in found), texts)
    entities = sorted(d["affectedEntities"][0]["entityValue"] for d in expected)
    same("entities", sorted(row[3] for row in found), entities)
    same("each with an event id of its own", len({row[4] for row in found} - {None}), EVENTS)
    same("sent to", {row[5] for row in found}, {"000000000000"})

    told = json.loads(healthtrail("stream", STREAM, "--json"))
    same("nothing is wrong with the stream", told["health"]["remarks"], [])
    same("objects seen", told["health"]["objects"] > 0, True)

    replayed = json.loads(
        healthtrail(
            "replay", "--from", f"firehose://{STREAM}", "--to", f"firehose://{COPY}", "--json",
            "--state", f"{WORK}/replay.json",
        )
    )
    same("records replayed", replayed["counts"]["sent"], EVENTS)
    wait_for("copy")
    copied = run(COPY, f"{WORK}/copy")
    same("findings of the copy", copied["findings"]["added"], EVENTS)
    same("rows of the copy", rows(f"{WORK}/copy"), found)
    twice = run(COPY, lake)
    same("the copy adds to the lake", twice["findings"]["added"], 0)
    same("and is counted as duplicates", twice["findings"]["duplicates"], EVENTS)


main()
