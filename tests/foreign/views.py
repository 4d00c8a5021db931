#!/usr/bin/env python3
"""Holds what `healthtrail ddl` prints to other readers: sqlglot the text, DuckDB and plain Python the answers.

    python3 tests/foreign/views.py parse LAKE ATHENA.json          statements, against the files' columns
    python3 tests/foreign/views.py answers LAKE DUCKDB.json DATE   views and queries, against model.py
    python3 tests/foreign/views.py cases LAKE DUCKDB.json FOLDER   what a table may hold twice, by hand
    python3 tests/foreign/views.py rejects LAKE DUCKDB.json        which rejects are open, and in which state

ATHENA.json and DUCKDB.json are lists of statements as `ddl --json` prints them. DATE stands for today. It
prints what it counted as JSON and fails at the first difference.
"""

import datetime
import glob
import json
import os
import re
import sys
from collections import Counter

import duckdb
import pyarrow
import pyarrow.parquet
import sqlglot

import model

HERE = os.path.dirname(os.path.abspath(__file__))
QUERIES = os.path.join(HERE, "..", "..", "samples", "queries")
UTC = datetime.timezone.utc
VIEWS = (
    "finding_versions findings_current health_events entities entity_tags status_changes lifecycle "
    "trend_daily upcoming exposure rejects_open"
).split()


def parts(lake, table):
    return sorted(glob.glob(os.path.join(glob.escape(lake), table, "*", "*.parquet")))


def read(lake, table):
    rows = []
    for path in parts(lake, table):
        rows += pyarrow.parquet.ParquetFile(path).read().to_pylist()
    return rows


def queries():
    names = sorted(name for name in os.listdir(QUERIES) if name.endswith(".sql"))
    return {name[:-4]: open(os.path.join(QUERIES, name), encoding="utf-8").read() for name in names}


def athena_type(arrow):
    if pyarrow.types.is_timestamp(arrow):
        assert (arrow.unit, arrow.tz) == ("ms", "UTC"), arrow
        return "timestamp"
    if pyarrow.types.is_list(arrow):
        return f"array<{athena_type(arrow.value_type)}>"
    if pyarrow.types.is_map(arrow):
        return f"map<{athena_type(arrow.key_type)},{athena_type(arrow.item_type)}>"
    if pyarrow.types.is_struct(arrow):
        return "struct<" + ",".join(f"{field.name}:{athena_type(field.type)}" for field in arrow) + ">"
    names = {"string": "string", "int32": "int", "int64": "bigint", "bool": "boolean", "binary": "binary"}
    return names[str(arrow)]


def declared(column):
    """A column of a parsed table: name, type as DDL writes it, comment."""
    text = column.kind.sql(dialect="hive").lower().replace(" ", "").replace("`", "")
    comments = [c.kind.this.this for c in column.constraints if isinstance(c.kind, sqlglot.exp.CommentColumnConstraint)]
    return column.name, text, comments


def parse_one(text, dialect="athena"):
    parsed = sqlglot.parse(text, read=dialect)
    assert len(parsed) == 1 and parsed[0] is not None, text
    assert not isinstance(parsed[0], sqlglot.exp.Command), f"only passed through, not understood: {text}"
    return parsed[0]


def parse(lake, file):
    statements, seen = json.load(open(file, encoding="utf-8")), Counter()
    for text in statements:
        head, *partitions = re.split(r"\n  (?=PARTITION \()", text)
        if partitions:
            # sqlglot reads one partition in a statement.
            for partition in partitions:
                parse_one(f"{head} {partition}")
                seen["partitions"] += 1
            continue
        tree = parse_one(text)
        seen[f"{type(tree).__name__} {tree.args.get('kind')}".lower()] += 1
        if tree.args.get("kind") != "TABLE" or not isinstance(tree, sqlglot.exp.Create):
            continue
        table = tree.this.this.name
        columns = [declared(c) for c in tree.this.expressions]
        assert all(len(comments) == 1 and comments[0] for *_, comments in columns), text
        for path in parts(lake, table):
            schema = pyarrow.parquet.ParquetFile(path).schema_arrow
            written = [(field.name, athena_type(field.type)) for field in schema]
            assert [(name, kind) for name, kind, _ in columns] == written, f"{table} differs from {path}"
    for name, text in queries().items():
        assert isinstance(parse_one(text), sqlglot.exp.Query), name
        seen["queries"] += 1
    return dict(seen)


class Lake:
    """A lake in DuckDB, as its statements show it, on a fixed day."""

    def __init__(self, file, today=None, moved=("", "")):
        self.today = today
        self.connection = duckdb.connect()
        for text in json.load(open(file, encoding="utf-8")):
            self.run(text.replace(*moved) if moved[0] else text)

    def run(self, text):
        if self.today:
            text = text.replace("current_date", f"DATE '{self.today}'")
        return self.connection.sql(text)

    def rows(self, text):
        relation = self.run(text)
        return [dict(zip(relation.columns, map(stamp, row))) for row in relation.fetchall()]


def stamp(value):
    """Times have no zone in the views and are UTC."""
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=UTC)
    if isinstance(value, list):
        return [stamp(item) for item in value]
    return value


def same(name, told, expected):
    """Compares two dictionaries of dictionaries by the columns that are expected."""
    assert set(told) == set(expected), f"{name}: {len(told)} and {len(expected)} rows: {list(set(told) ^ set(expected))[:3]}"
    for key, columns in expected.items():
        for column, value in columns.items():
            other = told[key][column]
            close = isinstance(value, float) and other is not None and abs(value - other) < 1e-6
            assert close or other == value, f"{name} {key} {column}: {other!r} instead of {value!r}"


def by(rows, *names):
    found = {tuple(row[name] for name in names): row for row in rows}
    assert len(found) == len(rows), f"a key stands twice: {names}"
    return found


def check_versions(lake, subjects):
    told = by(lake.rows("SELECT * FROM finding_versions"), "account_id", "subject_id", "said_by", "version")
    names = "status previous_status said_at is_latest decides first_seen_at reported_at entity_count pages_seen".split()
    expected = {
        (*key, version["said_by"], version["version"]): {
            **{name: version[name] for name in names},
            "row_id": version["row"]["row_id"],
        }
        for key, group in subjects.items()
        for version in group
    }
    same("finding_versions", told, expected)
    changes = {key: {"status": v["status"]} for key, v in expected.items() if v["status"] != v["previous_status"]}
    told = by(lake.rows("SELECT * FROM status_changes"), "account_id", "subject_id", "said_by", "version")
    same("status_changes", told, changes)
    current = {key: {"row_id": group[-1]["row"]["row_id"], "status": group[-1]["status"]} for key, group in subjects.items()}
    same("findings_current", by(lake.rows("SELECT * FROM findings_current"), "account_id", "subject_id"), current)


def check_entities(lake, expected):
    told = by(lake.rows("SELECT * FROM entities"), "subject_id", "account_id", "entity")
    assert set(told) == set(expected), "entities"
    tags = Counter()
    for key, columns in expected.items():
        row = told[key]
        assert row["status"] in columns["statuses"], key
        assert (row["tags"] or {}) in columns["tags"], key
        for name in ("resource_type", "is_listed", "first_seen_at"):
            assert row[name] == columns[name], (key, name, row[name], columns[name])
        tags.update((*key, tag, value) for tag, value in (row["tags"] or {}).items())
    rows = lake.rows("SELECT * FROM entity_tags")
    assert Counter((r["subject_id"], r["account_id"], r["entity"], r["tag"], r["tag_value"]) for r in rows) == tags
    return tags


def is_exposure(event):
    code = event["event_type_code"] or ""
    words = ("ABUSE", "CREDENTIAL", "EXPOSED", "COMPROMISE", "OPEN_ACCESS")
    return event["service"] in ("ABUSE", "RISK") or any(word in code for word in words)


def kind_of(event):
    code = event["event_type_code"] or ""
    if "CREDENTIAL" in code or "ACCESS_KEY" in code:
        return "leaked_credentials"
    return "abuse" if event["service"] == "ABUSE" or "ABUSE" in code else "risk"


def is_upcoming(event, today):
    if (event["event_type_category"] or "").lower() != "scheduledchange" or event["status"] == "CLOSED":
        return False
    return event["start_time"] is None or (event["end_time"] or event["start_time"]) >= today


def check_query(lake, name, columns, expected):
    """The rows of a query in any order, by all values but numbers with a fraction, which it rounds."""
    text = queries()[name].replace("'team'", "'app'")
    exact = lambda row: [(value is None, str(value)) for value in row if not isinstance(value, float)]
    told = sorted((tuple(row[column] for column in columns.split()) for row in lake.rows(text)), key=exact)
    expected = sorted(expected, key=exact)
    assert len(told) == len(expected), f"{name}: {len(told)} rows instead of {len(expected)}"
    for one, other in zip(told, expected):
        for left, right in zip(one, other):
            close = isinstance(right, float) and left is not None and abs(left - right) < 0.051
            assert close or left == right, f"{name}: {one} instead of {other}"
    return len(told)


def check_queries(lake, today, lives, events, table, tags, rejects):
    midnight = datetime.datetime.combine(today, datetime.time(), UTC)
    days = lambda count: datetime.timedelta(days=count)
    counts = {}

    def check(name, columns, expected):
        counts[name] = check_query(lake, name, columns, expected)

    year = datetime.datetime(today.year, 1, 1, tzinfo=UTC)
    of_year = [(key, life) for key, life in lives.items() if life["event_arn"] and life["first_seen_at"] >= year]
    total = lambda group: [life["hours_to_close"] for _, life in group if life["hours_to_close"] is not None]
    check("services_this_year", "service event_count issues accounts not_closed hours_until_closed", [
        (
            service,
            len(group),
            sum(life["category"] == "issue" for _, life in group),
            len({account for (account, _), _ in group}),
            sum(life["status"] != "CLOSED" for _, life in group),
            sum(total(group)) if total(group) else None,
        )
        for service, group in model.grouped(of_year, lambda pair: pair[1]["service"]).items()
    ])
    teams = {(value, account, subject) for subject, account, _, tag, value in tags if tag == "app"}
    closed = [(team, lives[account, subject]["hours_to_close"]) for team, account, subject in teams]
    closed = [(team, hours) for team, hours in closed if hours is not None]
    check("time_to_close_by_team", "team closed_count mean_hours_to_close longest_hours_to_close", [
        (team, len(group), sum(h for _, h in group) / len(group), max(h for _, h in group))
        for team, group in model.grouped(closed, lambda pair: pair[0]).items()
    ])
    check("due_in_30_days", "starts_at days_left account_id event_arn", [
        (event["start_time"], (event["start_time"].date() - today).days, account, arn)
        for (arn, account), event in events.items()
        if is_upcoming(event, midnight) and event["start_time"] and midnight <= event["start_time"] < midnight + days(30)
    ])
    recent = [(k[0], life) for k, life in lives.items() if life["first_seen_at"] >= midnight - days(90)]
    check("repeating_accounts", "account_id event_type_code times first_time last_time", [
        (*key, len(group), min(l["first_seen_at"] for _, l in group), max(l["first_seen_at"] for _, l in group))
        for key, group in model.grouped(recent, lambda pair: (pair[0], pair[1]["event_type_code"])).items()
        if len(group) >= 3
    ])
    months = Counter((life["category"], life["first_seen_at"].strftime("%Y-%m-01")) for life in lives.values())
    expected = []
    for category in {category for category, _ in months}:
        before = None
        for month in sorted(month for other, month in months if other == category):
            count = months[category, month]
            start = datetime.datetime.fromisoformat(month).replace(tzinfo=UTC)
            change = None if before is None else 100 * count / before - 100
            expected.append((start, category, count, before, change))
            before = count
    check("month_on_month", "month_start category new_count month_before change_percent", expected)
    check("never_resolved", "first_seen_at days_open account_id subject_id status", [
        (life["first_seen_at"], (today - life["first_seen_at"].date()).days, account, subject, life["status"])
        for (account, subject), life in lives.items()
        if "CLOSED" not in life["statuses"] and life["first_seen_at"] < midnight - days(30)
    ])
    sums = {}
    for (day, _, _, severity, *_), numbers in table.items():
        if day >= today - days(30):
            sums[day, severity] = [a + b for a, b in zip(sums.get((day, severity), (0, 0, 0)), numbers)]
    check("open_by_severity", "trend_day severity_label opened closed still_open", [(*k, *v) for k, v in sums.items()])
    exposed = [(k[1], kind_of(event), event) for k, event in events.items() if is_exposure(event)]
    check("exposed_accounts", "account_id kind event_count not_closed last_seen_at", [
        (*key, len(group), sum(e["status"] != "CLOSED" for *_, e in group), max(e["last_seen_at"] for *_, e in group))
        for key, group in model.grouped(exposed, lambda entry: entry[:2]).items()
    ])
    check("rejects_by_reason", "reason stage reject_count objects", [
        (*key, len(group), len({row["source_object"] for row in group}))
        for key, group in model.grouped(rejects, lambda row: (row["reason"], row["stage"])).items()
    ])
    return counts


def answers(path, file, date):
    today = datetime.date.fromisoformat(date)
    midnight = datetime.datetime.combine(today, datetime.time(), UTC)
    lake, rows = Lake(file, date), read(path, "findings")
    subjects = model.versions(rows)
    lives = model.lifecycle(subjects)
    events = model.health_events(subjects, lives)
    check_versions(lake, subjects)
    same("lifecycle", by(lake.rows("SELECT * FROM lifecycle"), "account_id", "subject_id"), lives)
    same("health_events", by(lake.rows("SELECT * FROM health_events"), "event_arn", "account_id"), events)
    tags = check_entities(lake, model.entities(rows))
    dimensions = "trend_day service category severity_label account_id region".split()
    told = by(lake.rows("SELECT * FROM trend_daily"), *dimensions)
    table = model.trend(subjects, lives)
    same("trend_daily", told, {k: dict(zip(("opened", "closed", "still_open"), v)) for k, v in table.items()})
    upcoming = {k: {"starts_at": e["start_time"]} for k, e in events.items() if is_upcoming(e, midnight)}
    same("upcoming", by(lake.rows("SELECT * FROM upcoming"), "event_arn", "account_id"), upcoming)
    exposed = {k: {"kind": kind_of(e)} for k, e in events.items() if is_exposure(e)}
    same("exposure", by(lake.rows("SELECT * FROM exposure"), "event_arn", "account_id"), exposed)
    rejects = read(path, "rejects")
    told = by(lake.rows("SELECT * FROM rejects_open"), "reject_id")
    same("rejects_open", told, {(row["reject_id"],): {"bytes": row["bytes"]} for row in rejects})
    counts = {view: lake.rows(f"SELECT count(*) AS n FROM {view}")[0]["n"] for view in VIEWS}
    return {"rows": len(rows), "views": counts, "queries": check_queries(lake, today, lives, events, table, tags, rejects)}


def main():
    command, lake, file, *more = sys.argv[1:]
    if command == "cases":
        import cases

        result = cases.check(lake, file, more[0], Lake)
    elif command == "rejects":
        told = Lake(file, "2026-11-24").rows("SELECT reject_id, state, bytes FROM rejects_open")
        result = {row["reject_id"]: [row["state"], len(row["bytes"])] for row in told}
    else:
        result = {"parse": parse, "answers": answers}[command](lake, file, *more)
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
