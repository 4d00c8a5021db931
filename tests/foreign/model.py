"""What the views should say, worked out from the rows of the Parquet files in plain Python, without SQL.

Rows are dictionaries by column name. Every function takes rows or the result of another function, and gives
lists or dictionaries of plain values. Written from what the views promise, not from their text.
"""

import datetime
from collections import defaultdict

DAY = datetime.timedelta(days=1)


def subject_of(row):
    if row["event_arn"] is not None:
        return row["event_arn"]
    product = (row["product_arn"] or "").replace("::productv2/", "::product/")
    return f"{product} {row['finding_id']}"


def status_of(row):
    if row["shape"] == "native":
        return row["status_code"] or "OPEN"
    if row["record_state"] == "ARCHIVED" or row["workflow_status"] in ("RESOLVED", "SUPPRESSED"):
        return "CLOSED"
    return "ACKNOWLEDGED" if row["workflow_status"] == "NOTIFIED" else "OPEN"


def clocks(row):
    return (row["updated_at"] or row["reported_at"], row["event_time"] or row["reported_at"], row["row_id"])


def grouped(items, key):
    groups = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def united(rows):
    """The rows of one communication as one version."""
    pages = grouped(rows, lambda row: row["page"])
    newest = []
    for copies in pages.values():
        told = max(clocks(row)[1] for row in copies)
        last = [row for row in copies if clocks(row)[1] == told]
        newest.append(min(last, key=lambda row: (bool(row["backup"]), row["row_id"])))
    first = min(newest, key=lambda row: (row["page"] is None, row["page"], row["row_id"]))
    return {
        "row": first,
        "reported_at": min(row["reported_at"] for row in rows),
        "entity_count": sum(len(row["entities"] or []) for row in newest),
        "pages_seen": len(newest),
    }


def versions(rows):
    """Every version once, in order, by (account, subject)."""
    told = []
    of_communication = [row for row in rows if row["communication_id"] is not None]
    key = lambda row: (row["account_id"], subject_of(row), row["shape"], row["communication_id"], row["updated_at"])
    told += [united(group) for group in grouped(of_communication, key).values()]
    others = [row for row in rows if row["communication_id"] is None]
    key = lambda row: (row["account_id"], subject_of(row), row["shape"], row["finding_id"])
    for group in grouped(others, key).values():
        before = None
        for row in sorted(group, key=clocks):
            if row["content_hash"] != before:
                told.append(united([row]))
            before = row["content_hash"]
    subjects = grouped(told, lambda version: (version["row"]["account_id"], subject_of(version["row"])))
    for key, group in subjects.items():
        tracks = grouped(group, lambda version: version["row"]["shape"] == "native")
        first_seen = min(version["reported_at"] for version in group)
        for is_health, track in tracks.items():
            track.sort(key=lambda version: clocks(version["row"]))
            previous, said_at = None, datetime.datetime.min.replace(tzinfo=datetime.timezone.utc)
            for number, version in enumerate(track, 1):
                said_at = max(said_at, version["reported_at"])
                version.update(
                    said_by="health" if is_health else "security_hub",
                    version=number,
                    previous_status=previous,
                    status=status_of(version["row"]),
                    said_at=said_at,
                    first_seen_at=first_seen,
                    is_latest=number == len(track),
                    decides=is_health or True not in tracks,
                )
                previous = version["status"]
        subjects[key] = tracks.get(False, []) + tracks.get(True, [])
    return subjects


def last_known(values):
    known = [value for value in values if value is not None]
    return known[-1] if known else None


def hours(start, end):
    return (end - start) / datetime.timedelta(hours=1)


def lifecycle(subjects):
    lives = {}
    for key, group in subjects.items():
        rows = [version["row"] for version in group]
        deciding = [version for version in group if version["decides"]]
        hub = [version for version in group if version["said_by"] == "security_hub"]
        changes = [version for version in deciding if version["status"] != version["previous_status"]]
        status, first_seen = deciding[-1]["status"], group[0]["first_seen_at"]
        answered = [version["said_at"] for version in hub if version["status"] != "OPEN"]
        closed_at = changes[-1]["said_at"] if status == "CLOSED" else None
        was_open = deciding[0]["status"] != "CLOSED"
        any_of = lambda name: max((row[name] for row in rows if row[name] is not None), default=None)
        is_health = rows[0]["event_arn"] is not None
        lives[key] = {
            "status": status,
            "first_seen_at": first_seen,
            "acknowledged_at": answered[0] if answered else None,
            "closed_at": closed_at,
            "hours_to_acknowledge": hours(hub[0]["said_at"], answered[0])
            if answered and hub[0]["status"] == "OPEN"
            else None,
            "hours_to_close": hours(first_seen, closed_at) if closed_at and was_open else None,
            "reopened": sum(
                version["previous_status"] == "CLOSED" and version["status"] != "CLOSED" for version in deciding
            ),
            "statuses": [version["status"] for version in changes],
            "status_times": [version["said_at"] for version in changes],
            "versions": len(group),
            "service": any_of("service") or any_of("product_name"),
            "event_arn": rows[0]["event_arn"],
            "event_type_code": max(
                (row["event_type_code"] or row["generator_id"] for row in rows if row["event_type_code"] or row["generator_id"]),
                default=None,
            ),
            "category": any_of("event_type_category") or ("unknown" if is_health else "finding"),
            "severity_label": last_known([row["severity_label"] for row in rows]) or "NONE",
            "region": any_of("region"),
            "account_name": last_known([row["account_name"] for row in rows]),
            "title": last_known([row["title"] for row in rows]),
        }
    return lives


def trend(subjects, lives):
    """(day, service, category, severity, account, Region) -> [opened, closed, still open]"""
    moves, last_day = defaultdict(lambda: [0, 0]), None
    for (account, subject), group in subjects.items():
        life = lives[account, subject]
        group_key = (
            life["service"] or "unknown",
            life["category"],
            life["severity_label"],
            account,
            life["region"] or "unknown",
        )
        is_open = False
        for version in group:
            if not version["decides"]:
                continue
            day, opens = version["said_at"].date(), version["status"] != "CLOSED"
            if opens and not is_open:
                moves[group_key, day][0] += 1
            elif is_open and not opens:
                moves[group_key, day][1] += 1
            else:
                continue
            is_open = opens
            last_day = max(last_day or day, day)
    table = {}
    for group_key, days in grouped(moves, lambda place: place[0]).items():
        day, still_open = min(day for _, day in days), 0
        while day <= last_day:
            opened, closed = moves.get((group_key, day), (0, 0))
            still_open += opened - closed
            if opened or closed or still_open:
                table[(day, *group_key)] = [opened, closed, still_open]
            day += DAY
    return table


def health_events(subjects, lives):
    events = {}
    for (account, subject), group in subjects.items():
        if group[0]["row"]["event_arn"] is None:
            continue
        health = [version for version in group if version["said_by"] == "health"]
        hub = [version for version in group if version["said_by"] == "security_hub"]
        own = health[-1]["row"] if health else {}
        taken = hub[-1]["row"] if hub else {}
        events[subject, account] = {
            "status": lives[account, subject]["status"],
            "service": own.get("service") or taken.get("service"),
            "event_type_code": own.get("event_type_code") or taken.get("event_type_code"),
            "event_type_category": own.get("event_type_category"),
            "status_code": own.get("status_code"),
            "start_time": own.get("start_time") or taken.get("start_time"),
            "end_time": own.get("end_time") or taken.get("end_time"),
            "severity_label": taken.get("severity_label"),
            "workflow_status": taken.get("workflow_status"),
            "title": taken.get("title"),
            "description": own.get("description") or taken.get("description"),
            "first_seen_at": group[0]["first_seen_at"],
            "last_seen_at": max(version["said_at"] for version in group),
            "health_versions": len(health),
            "security_hub_versions": len(hub),
            "entity_count": health[-1]["entity_count"] if health else None,
        }
    return events


def entities(rows):
    """(subject, account, entity) -> what is known of it"""
    listed = []
    for row in rows:
        for entity in row["entities"] or []:
            listed.append((row, "health", entity["value"], entity["status"], None, entity["tags"]))
        for resource in row["resources"] or []:
            account = row["account_id"]
            if row["event_arn"] is not None and resource["id"] in (account, f"AWS::::Account:{account}"):
                continue
            listed.append((row, "security_hub", resource["id"], None, resource["type"], resource["tags"]))
    listed = [entry for entry in listed if entry[2] is not None]
    latest = defaultdict(lambda: datetime.datetime.min.replace(tzinfo=datetime.timezone.utc))
    for row, said_by, *_ in listed:
        track = (row["account_id"], subject_of(row), said_by)
        latest[track] = max(latest[track], clocks(row)[0])
    found = {}
    for key, group in grouped(listed, lambda entry: (subject_of(entry[0]), entry[0]["account_id"], entry[2])).items():
        voice = min(entry[1] for entry in group)
        newest = max((entry for entry in group if entry[1] == voice), key=lambda entry: clocks(entry[0]))
        row = newest[0]
        same = [entry for entry in group if entry[1] == voice and entry[0]["row_id"] == row["row_id"]]
        found[key] = {
            "statuses": {entry[3] for entry in same},
            "tags": [dict(entry[5] or []) for entry in same],
            "resource_type": max((entry[4] for entry in group if entry[4] is not None), default=None),
            "is_listed": clocks(row)[0] == latest[row["account_id"], subject_of(row), voice],
            "first_seen_at": min(entry[0]["reported_at"] for entry in group),
        }
    return found
