#!/usr/bin/env python3
"""Asks the sample queries of two lakes, in DuckDB, and holds the answers against each other.

    python3 tests/foreign/alike.py ONE.json TWO.json

The files are lists of statements as `ddl --engine duckdb --views --json` prints them. It prints, as JSON,
how many rows each query gave and the median of five times in seconds on each lake, and fails at the first difference.
"""

import json
import os
import statistics
import sys
import time

import duckdb

QUERIES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "samples", "queries")
TIMES = 5


def opened(path):
    connection = duckdb.connect()
    for statement in json.load(open(path, encoding="utf-8")):
        connection.execute(statement)
    return connection


def asked(connection, sql):
    seconds = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        rows = connection.execute(sql).fetchall()
        seconds.append(time.perf_counter() - begun)
    return sorted(map(repr, rows)), statistics.median(seconds)


def main():
    lakes = [opened(path) for path in sys.argv[1:3]]
    told = {}
    for name in sorted(name for name in os.listdir(QUERIES) if name.endswith(".sql")):
        sql = open(os.path.join(QUERIES, name), encoding="utf-8").read()
        (one, first), (two, second) = (asked(lake, sql) for lake in lakes)
        assert one == two, f"{name}: {len(one)} rows and {len(two)} rows"
        told[name[:-4]] = {"rows": len(one), "seconds": [round(first, 4), round(second, 4)]}
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
