#!/usr/bin/env python3
"""Computes a report's figures again, with DuckDB over the Parquet and none of the program's code.

    python3 tests/foreign/report.py LAKE SINCE UNTIL [--account A]... [--service S]...

SINCE and UNTIL are days. Prints JSON with the names of the report's own JSON, as far as they are
figures of rows and findings.
"""

import argparse
import collections
import glob
import json
import os
import sys
from datetime import date, timedelta

import duckdb

DAY = 86_400_000
HOUR = 3_600_000
SEVERITIES = ["CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL"]
CATEGORIES = ["issue", "investigation", "scheduledChange", "accountNotification", "finding"]
TIMES = ["reported_at", "event_time", "arrived_hour", "created_at", "first_observed_at", "start_time", "end_time"]
TEXTS = [
    "time_source", "finding_id", "event_arn", "service", "event_type_code", "event_type_category", "status_code",
    "account_id", "region", "product_arn", "product_name", "generator_id", "severity_label", "title",
    "workflow_status", "record_state", "shape",
]


def files(lake, table):
    paths = sorted(glob.glob(os.path.join(glob.escape(lake), table, "**", "*.parquet"), recursive=True))
    return "[" + ", ".join("'" + path.replace("'", "''") + "'" for path in paths) + "]"


def rows(lake):
    columns = [f"epoch_ms({name}) AS {name}" for name in TIMES] + [f"coalesce({name}, '') AS {name}" for name in TEXTS]
    table = duckdb.sql(f"SELECT {', '.join(columns)} FROM read_parquet({files(lake, 'findings')}, union_by_name = true)")
    return [dict(zip(table.columns, values)) for values in table.fetchall()]


def day(time):
    return time // DAY


def name_of(day):
    return str(date(1970, 1, 1) + timedelta(days=day))


def number_of(name):
    return (date.fromisoformat(name) - date(1970, 1, 1)).days


def rank(values, share):
    values = sorted(values)
    return values[max(-(-len(values) * share // 100), 1) - 1] if values else None


def key(row):
    if row["event_arn"]:
        return ("event", row["event_arn"], row["account_id"])
    return ("finding", row["product_arn"].replace("::productv2/", "::product/"), row["finding_id"], row["account_id"])


def state(row):
    if row["shape"] == "native":
        return "closed" if row["status_code"] == "CLOSED" else "open"
    return "closed" if row["record_state"] == "ARCHIVED" or row["workflow_status"] in ("RESOLVED", "SUPPRESSED") else "open"


def kind(item):
    has = lambda *words: any(word in item["event_type"] for word in words)
    if not item["is_event"] or not (
        item["service"] in ("ABUSE", "RISK") or has("ABUSE", "CREDENTIAL", "EXPOSED", "COMPROMISE", "OPEN_ACCESS")
    ):
        return None
    if has("CREDENTIAL", "ACCESS_KEY"):
        return "credentials"
    return "abuse" if item["service"] == "ABUSE" or has("ABUSE") else "risk"


def order(row):
    lowest = -(1 << 63)
    time = lambda name: lowest if row[name] is None else row[name]
    began = [row[name] for name in ("start_time", "created_at", "first_observed_at") if row[name] is not None]
    return (
        row["reported_at"], time("event_time"), state(row) == "closed", row["shape"] == "native", time("start_time"), time("end_time"),
        min(began, default=lowest), row["severity_label"], row["event_type_category"], row["service"] or row["product_name"],
        row["event_type_code"] or row["generator_id"], row["region"],
        row["title"] if row["event_arn"] else "",
    )


def fold(versions, unread_before):
    """One finding from its versions, oldest first."""
    versions = sorted(versions, key=order)
    latest = lambda value: next((value(row) for row in reversed(versions) if value(row) not in ("", None)), "")
    told = [row for row in versions if row["shape"] == "native"] or versions
    openings, closings, before = [], [], None
    for row in told:
        if state(row) == "open" and before != "open":
            openings.append(row["reported_at"])
        if state(row) == "closed" and before == "open":
            closings.append(row["reported_at"])
        before = state(row)
    began = [row[name] for row in versions for name in ("start_time", "created_at", "first_observed_at") if row[name] is not None]
    first_seen = min(row["reported_at"] for row in versions)
    unseen = unread_before is not None and min(began, default=unread_before) < unread_before
    was_open = state(told[0]) == "open"
    closed_for = None
    if before == "closed" and was_open:
        closed_for = max(closings[-1] - (min(began) if unseen else first_seen), 0)
    return {
        # What began before anything that was read was opened then, too.
        "openings": openings[1:] if unseen and was_open else openings,
        "closings": closings, "closed_for": closed_for, "state": before, "is_event": bool(versions[0]["event_arn"]),
        "severity": latest(lambda row: row["severity_label"]), "category": latest(lambda row: row["event_type_category"]) if versions[0]["event_arn"] else "finding",
        "service": latest(lambda row: row["service"] or row["product_name"]),
        "event_type": latest(lambda row: row["event_type_code"] or row["generator_id"]),
        "account": versions[0]["account_id"], "start": latest(lambda row: row["start_time"]), "versions": versions,
    }


def label(value, known):
    if not value:
        return "not given"
    return next((name for name in known if name.lower() == value.lower()), "other")


def top(items, name, since):
    now, before, opened = collections.Counter(), collections.Counter(), collections.Counter()
    for item in items:
        own = item[name] or "(none)"
        if item["days"]:
            now[own] += 1
            opened[own] += item["state"] == "open"
        if any(row["reported_at"] < since for row in item["versions"]):
            before[own] += 1
    ranked = sorted(now, key=lambda own: (-now[own], own.encode()))
    return [{"name": own, "now": now[own], "before": before[own], "open": opened[own]} for own in ranked[:15]]


def main():
    parser = argparse.ArgumentParser()
    for name in ("lake", "since", "until"):
        parser.add_argument(name)
    parser.add_argument("--account", action="append", default=[])
    parser.add_argument("--service", action="append", default=[])
    arguments = parser.parse_args()
    duckdb.sql("SET TimeZone = 'UTC'")
    since, until = number_of(arguments.since) * DAY, number_of(arguments.until) * DAY
    earliest = since - (until - since)
    within = lambda time: time is not None and since <= time < until
    every = rows(arguments.lake)
    newest, oldest = (choose(row["reported_at"] for row in every) for choose in (max, min))
    unread_before = earliest if day(oldest) * DAY < earliest else None
    every = [row for row in every if earliest <= row["reported_at"] < until]
    services = [service.lower() for service in arguments.service]
    chosen = [
        row for row in every
        if (not arguments.account or row["account_id"] in arguments.account)
        and (not services or (row["service"] or row["product_name"]).lower() in services)
    ]
    groups = collections.defaultdict(list)
    for row in chosen:
        groups[key(row)].append(row)
    items = [fold(versions, unread_before) for versions in groups.values()]
    for item in items:
        item["days"] = sorted({day(row["reported_at"]) for row in item["versions"] if within(row["reported_at"])})
    current = [item for item in items if item["days"]]
    over_time = lambda name, known: {
        name_of(first): dict(counts) for first, counts in sorted(
            ((first, collections.Counter(label(item[name], known) for item in current if item["days"][0] == first))
             for first in {item["days"][0] for item in current}))
    }
    times = [
        item["closed_for"] // 1000 for item in items if item["closed_for"] is not None and within(item["closings"][-1])
    ]
    earlier = lambda time: earliest <= time < since
    turns = lambda name, test: [time for item in items for time in item[name] if test(time)]
    lags = [
        max(row["arrived_hour"] // HOUR - (row["event_time"] if row["event_time"] is not None else row["reported_at"]) // HOUR, 0)
        for row in every if within(row["reported_at"])
    ]
    rejects = []
    if files(arguments.lake, "rejects") != "[]":
        rejects = duckdb.sql(
            f"SELECT epoch_ms(arrived_hour), reason FROM read_parquet({files(arguments.lake, 'rejects')}) WHERE state = 'open'"
        ).fetchall()
    rejects = [(time, reason) for time, reason in rejects if within(time)]
    arrived = {day(row["arrived_hour"]) for row in every} | {day(time) for time, _ in rejects}
    first_day = day(oldest)
    covered = range(max(number_of(arguments.since), first_day), min(number_of(arguments.until), day(newest) + 1))
    exposed = collections.Counter()
    for item in current:
        exposed[kind(item)] += 1
    json.dump({
        "findings": {"now": len(current), "before": sum(1 for item in items if any(row["reported_at"] < since for row in item["versions"]))},
        "opened": {"now": len(turns("openings", within)), "before": len(turns("openings", earlier))},
        "closed": {"now": len(turns("closings", within)), "before": len(turns("closings", earlier))},
        "open": sum(1 for item in current if item["state"] == "open"),
        "rows": sum(1 for row in chosen if within(row["reported_at"])),
        "severities": over_time("severity", SEVERITIES),
        "categories": over_time("category", CATEGORIES),
        "opened_by_day": collections.Counter(name_of(day(time)) for time in turns("openings", within)),
        "closed_by_day": collections.Counter(name_of(day(time)) for time in turns("closings", within)),
        "time_to_close": {"median_seconds": rank(times, 50), "p90_seconds": rank(times, 90), "longest_seconds": max(times, default=None)},
        "services": top(items, "service", since),
        "accounts": top(items, "account", since),
        "event_types": top(items, "event_type", since),
        "calendar": collections.Counter(name_of(each) for item in current for each in item["days"]),
        "upcoming": sum(
            1 for item in current
            if item["category"].lower() == "scheduledchange" and item["state"] == "open" and item["start"] not in ("", None)
            and item["start"] > min(newest, until - 1)
        ),
        "exposure": {name: exposed[name] for name in ("credentials", "abuse", "risk")},
        "rejects": collections.Counter(reason for _, reason in rejects),
        "lag": {"median_hours": rank(lags, 50), "p90_hours": rank(lags, 90), "p99_hours": rank(lags, 99), "longest_hours": max(lags, default=None)},
        "late": sum(1 for lag in lags if lag >= 24),
        "days_without_arrivals": sum(1 for each in covered if each not in arrived),
    }, sys.stdout)


main()
