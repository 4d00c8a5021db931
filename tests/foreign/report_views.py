#!/usr/bin/env python3
"""Asks the views of a lake for some of a report's figures, with DuckDB.

    python3 tests/foreign/report_views.py VIEWS.sql
"""

import json
import sys

import duckdb


def main():
    duckdb.sql("SET TimeZone = 'UTC'")
    with open(sys.argv[1]) as file:
        duckdb.sql(file.read())
    rows = lambda query: duckdb.sql(query).fetchall()
    number = lambda query: rows(query)[0][0]
    seconds = sorted(round(hours * 3600) for (hours,) in rows(
        "SELECT hours_to_close FROM lifecycle WHERE status = 'CLOSED' AND hours_to_close IS NOT NULL"
    ))
    json.dump({
        "findings": number("SELECT count(*) FROM findings_current"),
        "opened": int(number("SELECT sum(opened) FROM trend_daily")),
        "closed": int(number("SELECT sum(closed) FROM trend_daily")),
        "open": number("SELECT count(*) FROM findings_current WHERE status <> 'CLOSED'"),
        "exposure": number("SELECT count(*) FROM exposure"),
        "services": dict(rows("SELECT service, count(*) FROM lifecycle GROUP BY ALL ORDER BY 2 DESC, 1 LIMIT 15")),
        "median_seconds": seconds[(len(seconds) + 1) // 2 - 1],
        "longest_seconds": seconds[-1],
    }, sys.stdout)


main()
