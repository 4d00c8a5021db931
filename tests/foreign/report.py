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
CATEGORIES = ["issue", "investigation", "scheduledChange", "accountNotification"]
TIMES = ["reported_at", "event_time", "arrived_hour", "created_at", "first_observed_at", "start_time", "end_time"]
TEXTS = [
    "time_source", "finding_id", "event_arn", "service", "event_type_code", "event_type_category", "status_code",
    "account_id", "region", "product_arn", "product_name", "generator_id", "severity_label", "title",
    "workflow_status", "record_state",
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
    return ("finding", row["product_arn"], row["finding_id"], row["account_id"])


def state(row):
    if row["status_code"]:
        return 2 if row["status_code"].upper() == "CLOSED" else 1
    if row["record_state"] == "ARCHIVED" or row["workflow_status"] == "RESOLVED":
        return 2
    return 1 if row["record_state"] or row["workflow_status"] else 0


def kind(service, event_type):
    upper = event_type.upper()
    if any(word in upper for word in ("CREDENTIALS_", "ACCESS_KEY", "IAM_QUARANTINE")) and any(
        word in upper for word in ("EXPOS", "COMPROMIS", "LEAK", "QUARANTINE")
    ):
        return "credentials"
    return {"ABUSE": "abuse", "RISK": "risk"}.get(service.upper())


def order(row):
    lowest = -(1 << 63)
    time = lambda name: lowest if row[name] is None else row[name]
    began = [row[name] for name in ("start_time", "created_at", "first_observed_at") if row[name] is not None]
    return (
        row["reported_at"], time("event_time"), state(row), bool(row["status_code"]), time("start_time"), time("end_time"),
        min(began, default=lowest), row["severity_label"], row["event_type_category"], row["service"] or row["product_name"],
        row["event_type_code"] or row["generator_id"], row["region"],
        row["title"] if row["event_arn"] or kind(row["service"] or row["product_name"], row["event_type_code"]) else "",
    )


def fold(versions):
    """One finding from its versions, oldest first."""
    versions = sorted(versions, key=order)
    latest = lambda value: next((value(row) for row in reversed(versions) if value(row) not in ("", None)), "")
    opened = min(
        time for row in versions for time in
        (row["reported_at"], row["start_time"], row["created_at"], row["first_observed_at"]) if time is not None
    )
    told = [row for row in versions if state(row)]
    told = [row for row in told if row["status_code"]] or told
    closed = None
    for row in told:
        closed = (closed or row["reported_at"]) if state(row) == 2 else None
    return {
        "opened": opened, "closed": closed, "state": state(told[-1]) if told else 0,
        "severity": latest(lambda row: row["severity_label"]), "category": latest(lambda row: row["event_type_category"]),
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
            opened[own] += item["state"] == 1
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
    every = [row for row in rows(arguments.lake)]
    newest = max(row["reported_at"] for row in every)
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
    items = [fold(versions) for versions in groups.values()]
    for item in items:
        item["days"] = sorted({day(row["reported_at"]) for row in item["versions"] if within(row["reported_at"])})
    current = [item for item in items if item["days"]]
    over_time = lambda name, known: {
        name_of(first): dict(counts) for first, counts in sorted(
            ((first, collections.Counter(label(item[name], known) for item in current if item["days"][0] == first))
             for first in {item["days"][0] for item in current}))
    }
    times = [max(item["closed"] - item["opened"], 0) // 1000 for item in items if within(item["closed"])]
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
    first_day = min(day(row["reported_at"]) for row in rows(arguments.lake))
    covered = range(max(number_of(arguments.since), first_day), min(number_of(arguments.until), day(newest) + 1))
    exposed = collections.Counter()
    for item in current:
        exposed[kind(item["service"], item["event_type"])] += 1
    counted = lambda test: sum(1 for item in items if test(item))
    json.dump({
        "findings": {"now": len(current), "before": counted(lambda item: any(row["reported_at"] < since for row in item["versions"]))},
        "opened": {"now": counted(lambda item: within(item["opened"])), "before": counted(lambda item: earliest <= item["opened"] < since)},
        "closed": {
            "now": counted(lambda item: within(item["closed"])),
            "before": counted(lambda item: item["closed"] is not None and earliest <= item["closed"] < since),
        },
        "open": sum(1 for item in current if item["state"] == 1),
        "state_unknown": sum(1 for item in current if item["state"] == 0),
        "rows": sum(1 for row in chosen if within(row["reported_at"])),
        "severities": over_time("severity", SEVERITIES),
        "categories": over_time("category", CATEGORIES),
        "opened_by_day": collections.Counter(name_of(day(item["opened"])) for item in items if within(item["opened"])),
        "closed_by_day": collections.Counter(name_of(day(item["closed"])) for item in items if within(item["closed"])),
        "time_to_close": {"median_seconds": rank(times, 50), "p90_seconds": rank(times, 90), "longest_seconds": max(times, default=None)},
        "services": top(items, "service", since),
        "accounts": top(items, "account", since),
        "event_types": top(items, "event_type", since),
        "calendar": collections.Counter(name_of(each) for item in current for each in item["days"]),
        "upcoming": sum(
            1 for item in current
            if item["category"].lower() == "scheduledchange" and item["state"] != 2 and item["start"] not in ("", None)
            and item["start"] > min(newest, until - 1)
        ),
        "exposure": {name: exposed[name] for name in ("credentials", "abuse", "risk")},
        "rejects": collections.Counter(reason for _, reason in rejects),
        "lag": {"median_hours": rank(lags, 50), "p90_hours": rank(lags, 90), "p99_hours": rank(lags, 99), "longest_hours": max(lags, default=None)},
        "late": sum(1 for lag in lags if lag >= 24),
        "days_without_arrivals": sum(1 for each in covered if each not in arrived),
    }, sys.stdout)


main()
