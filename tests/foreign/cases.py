"""What a table may hold twice, row by row: each case a story of a few rows and what the views make of it."""

import datetime
import os
import shutil

import pyarrow
import pyarrow.parquet

START = datetime.datetime(2026, 11, 1, 12, tzinfo=datetime.timezone.utc)


def at(hours):
    return START + datetime.timedelta(hours=hours)


def health(case, number, content, hours, **columns):
    """A native row: what it says, and when it came."""
    row = {
        "row_id": f"{case}{number:04}".rjust(32, "0"),
        "shape": "native",
        "finding_id": f"arn:{case}",
        "event_arn": f"arn:{case}",
        "account_id": "111122223333",
        "service": "EC2",
        "event_type_code": "AWS_EC2_ISSUE",
        "event_type_category": "issue",
        "status_code": "OPEN",
        "content_hash": content,
        "reported_at": at(hours),
        "event_time": at(hours),
        "updated_at": at(hours),
        "communication_id": f"c-{content}",
        "page": 1,
        "total_pages": 1,
        "region": "us-east-1",
        "entities": [],
    }
    return {**row, **columns}


def hub(case, number, content, hours, **columns):
    """An ASFF row of a finding that is no Health event, unless it is given an event ARN."""
    row = {
        "row_id": f"{case}{number:04}".rjust(32, "0"),
        "shape": "asff",
        "finding_id": f"id-{case}",
        "product_arn": "arn:aws:securityhub:us-east-1::product/aws/guardduty",
        "product_name": "GuardDuty",
        "account_id": "111122223333",
        "workflow_status": "NEW",
        "record_state": "ACTIVE",
        "severity_label": "LOW",
        "content_hash": content,
        "reported_at": at(hours),
        "event_time": at(hours),
        "updated_at": at(hours),
        "region": "us-east-1",
    }
    return {**row, **columns}


def entity(value, status="IMPAIRED"):
    return {"value": value, "status": status, "last_updated_at": None, "tags": [("app", value)]}


# Each case: its rows, the statuses of its versions in their order, and what else must hold.
CASES = {
    "a backup copy from beyond 72 hours is no version": (
        [
            health("a", 1, "x", 0),
            health("a", 2, "x", 73, updated_at=at(0), event_time=at(73), backup=True),
        ],
        ["OPEN"],
        {"first_seen_at": at(0)},
    ),
    "copies across midnight without an update time are one version": (
        [
            health("b", 1, "x", 11.99, updated_at=None, communication_id=None),
            health("b", 2, "x", 12.01, updated_at=None, communication_id=None, backup=True),
        ],
        ["OPEN"],
        {"first_seen_at": at(11.99)},
    ),
    "pages are one version with the entities of all": (
        [
            health("c", 2, "p2", 0, communication_id="c", page=2, total_pages=2, entities=[entity("i-3")]),
            health("c", 1, "p1", 0, communication_id="c", page=1, total_pages=2, entities=[entity("i-1"), entity("i-2")]),
        ],
        ["OPEN"],
        {"entity_count": 3, "entities": {"i-1": "IMPAIRED", "i-2": "IMPAIRED", "i-3": "IMPAIRED"}},
    ),
    "a refresh of a page under the same communication takes its place": (
        [
            health("d", 1, "p1", 0, communication_id="d", entities=[entity("i-1")]),
            health("d", 2, "p1b", 2, communication_id="d", updated_at=at(0), entities=[entity("i-1", "RESOLVED")]),
        ],
        ["OPEN"],
        {"entity_count": 1, "first_seen_at": at(0), "entities": {"i-1": "RESOLVED"}},
    ),
    "a status that goes and comes again is three versions": (
        [
            hub("e", 1, "x", 0),
            hub("e", 2, "y", 1, workflow_status="RESOLVED"),
            hub("e", 3, "x", 2),
        ],
        ["OPEN", "CLOSED", "OPEN"],
        {"reopened": 1, "closed_at": None, "hours_to_close": None, "status": "OPEN"},
    ),
    "linked and aggregation Region say one thing": (
        [
            hub("f", 1, "x", 0),
            hub("f", 2, "x", 0.001, sent_to_region="us-west-2", updated_at=at(0)),
            hub("f", 3, "y", 5, workflow_status="NOTIFIED"),
            hub("f", 4, "y", 5.001, workflow_status="NOTIFIED", updated_at=at(5)),
            hub("f", 5, "z", 9, workflow_status="RESOLVED"),
        ],
        ["OPEN", "ACKNOWLEDGED", "CLOSED"],
        {"hours_to_acknowledge": 5.0, "hours_to_close": 9.0, "statuses": ["OPEN", "ACKNOWLEDGED", "CLOSED"]},
    ),
    "a customer's update leaves the update time alone and comes last": (
        [
            hub("g", 2, "x", 0),
            hub("g", 1, "y", 3, updated_at=at(0), workflow_status="SUPPRESSED"),
        ],
        ["OPEN", "CLOSED"],
        {"status": "CLOSED", "hours_to_close": 3.0},
    ),
    "a bare and an enveloped copy are one version": (
        [
            hub("h", 1, "x", 0, event_time=None, reported_at=at(0)),
            hub("h", 2, "x", 1, updated_at=at(0)),
        ],
        ["OPEN"],
        {},
    ),
    "ASFF and OCSF tell of the same finding": (
        [
            hub("i", 1, "x", 0),
            hub("i", 2, "y", 0.1, shape="ocsf", product_arn="arn:aws:securityhub:us-east-1::productv2/aws/guardduty"),
        ],
        ["OPEN", "OPEN"],
        {"rows": 1},
    ),
    "of an event that both tell, Health decides and Security Hub gives the severity": (
        [
            health("j", 1, "x", 0),
            hub("j", 2, "y", 1, event_arn="arn:j", severity_label="HIGH", workflow_status="RESOLVED"),
            health("j", 3, "z", 4, status_code="CLOSED"),
        ],
        ["OPEN", "CLOSED", "CLOSED"],
        {"rows": 1, "severity_label": "HIGH", "hours_to_close": 4.0, "acknowledged_at": at(1), "event_severity": "HIGH"},
    ),
    "what was first seen closed has no time to close": (
        [hub("k", 1, "x", 0, workflow_status="RESOLVED")],
        ["CLOSED"],
        {"closed_at": at(0), "hours_to_close": None, "hours_to_acknowledge": None},
    ),
    "an old event without a status is open": (
        [health("l", 1, "x", 0, status_code=None, communication_id=None)],
        ["OPEN"],
        {},
    ),
}

REJECTS = [
    {"reject_id": "1" * 32, "state": "open"},
    {"reject_id": "2" * 32, "state": "open"},
    {"reject_id": "2" * 32, "state": "redriven", "state_number": 1},
    {"reject_id": "3" * 32, "state": "still_failing", "state_number": 1},
    {"reject_id": "3" * 32, "state": "open"},
    {"reject_id": "4" * 32, "state": "open", "state_number": 2},
    {"reject_id": "4" * 32, "state": "redriven", "state_number": 1},
    {"reject_id": "4" * 32, "state": "open"},
]


def write(source, folder, table, rows):
    """Rows as a part of a lake, with the schema of a real one."""
    schema = pyarrow.parquet.ParquetFile(source).schema_arrow
    path = os.path.join(folder, table, os.path.basename(os.path.dirname(source)))
    os.makedirs(path)
    full = [{name: row.get(name) for name in schema.names} for row in rows]
    fields = [field.with_nullable(True) for field in schema]
    written = pyarrow.Table.from_pylist(full, schema=pyarrow.schema(fields))
    pyarrow.parquet.write_table(written, os.path.join(path, "cases.parquet"))


def check(path, file, folder, open_lake):
    import views

    shutil.rmtree(folder, ignore_errors=True)
    rows = [row for case_rows, *_ in CASES.values() for row in case_rows]
    write(views.parts(path, "findings")[0], folder, "findings", rows)
    write(views.parts(path, "rejects")[0], folder, "rejects", REJECTS)
    lake = open_lake(file, moved=(os.path.realpath(path), os.path.realpath(folder)))
    for name, (case_rows, statuses, expected) in CASES.items():
        check_case(lake, name, case_rows[0], statuses, dict(expected))
    waiting = {row["reject_id"]: row["state"] for row in lake.rows("SELECT * FROM rejects_open")}
    assert waiting == {"1" * 32: "open", "3" * 32: "still_failing", "4" * 32: "open"}, waiting
    return {"cases": len(CASES)}


def check_case(lake, name, row, statuses, expected):
    subject = row.get("event_arn") or f"{row['product_arn']} {row['finding_id']}"
    where = f"WHERE subject_id = '{subject}'"
    told = lake.rows(f"SELECT * FROM finding_versions {where} ORDER BY said_at, place")
    assert [version["status"] for version in told] == statuses, (name, told)
    assert len(lake.rows(f"SELECT * FROM findings_current {where}")) == expected.pop("rows", 1), name
    (life,) = lake.rows(f"SELECT * FROM lifecycle {where}")
    if "entity_count" in expected:
        assert told[-1]["entity_count"] == expected.pop("entity_count"), name
    if "entities" in expected:
        listed = lake.rows(f"SELECT entity, status FROM entities {where}")
        assert {row["entity"]: row["status"] for row in listed} == expected.pop("entities"), name
    if "event_severity" in expected:
        (event,) = lake.rows(f"SELECT * FROM health_events WHERE event_arn = '{row['event_arn']}'")
        assert event["severity_label"] == expected.pop("event_severity"), name
        assert (event["health_versions"], event["security_hub_versions"]) == (2, 1), name
    for column, value in expected.items():
        assert life[column] == value, (name, column, life[column])
