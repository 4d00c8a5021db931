#!/usr/bin/env python3
"""Reads a lake as its users do, with DuckDB and PyArrow, and prints what they see as JSON.

    python3 tests/foreign/lake.py LAKE [--older-columns N]

With `--older-columns N` one part is first written again without its last N columns, as an older
version would have written it, and the table is read by name.
"""

import argparse
import glob
import json
import os
import sys

import duckdb
import pyarrow.parquet


def text(value):
    return "'" + value.replace("'", "''") + "'"


def parts(lake, table):
    return sorted(glob.glob(os.path.join(glob.escape(lake), table, "**", "*.parquet"), recursive=True))


def by_duckdb(lake, by_name):
    options = "hive_partitioning = true" + (", union_by_name = true" if by_name else "")
    findings = f"read_parquet({text(lake + '/findings/**/*.parquet')}, {options})"
    query = lambda sql: duckdb.sql(sql).fetchall()
    partition = "dt" if "/dt=" in parts(lake, "findings")[0] else "month"
    length = 10 if partition == "dt" else 7
    return {
        "rows": query(f"SELECT count(*) FROM {findings}")[0][0],
        "distinct_row_ids": query(f"SELECT count(DISTINCT row_id) FROM {findings}")[0][0],
        "in_a_wrong_partition": query(
            f"SELECT count(*) FROM {findings} WHERE left(strftime(reported_at AT TIME ZONE 'UTC', "
            f"'%Y-%m-%d'), {length}) <> CAST({partition} AS VARCHAR)[:{length}]"
        )[0][0],
        "by_service_account_day": [
            {"service": service, "account": account, "day": day, "rows": rows}
            for service, account, day, rows in query(
                f"SELECT service, account_id, strftime(reported_at AT TIME ZONE 'UTC', '%Y-%m-%d'), "
                f"count(*) FROM {findings} GROUP BY ALL ORDER BY ALL"
            )
        ],
        "entities": query(f"SELECT sum(len(entities)) FROM {findings}")[0][0],
        "columns": [row[0] for row in query(f"DESCRIBE SELECT * FROM {findings}")],
    }


def by_pyarrow(lake):
    rows, entities, schema = 0, 0, None
    for path in parts(lake, "findings"):
        table = pyarrow.parquet.ParquetFile(path).read()
        table.validate(full=True)
        rows += table.num_rows
        entities += sum(len(value.as_py() or []) for value in table["entities"])
        schema = table.schema
    return {"rows": rows, "entities": entities, "reported_at": str(schema.field("reported_at").type)}


def drop_columns(path, count):
    table = pyarrow.parquet.ParquetFile(path).read()
    kept = table.column_names[: len(table.column_names) - count]
    pyarrow.parquet.write_table(table.select(kept), path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lake")
    parser.add_argument("--older-columns", type=int, default=0)
    arguments = parser.parse_args()
    duckdb.sql("SET TimeZone = 'UTC'")
    if arguments.older_columns:
        drop_columns(parts(arguments.lake, "findings")[0], arguments.older_columns)
    seen = {
        "duckdb": by_duckdb(arguments.lake, by_name=arguments.older_columns > 0),
        "pyarrow": by_pyarrow(arguments.lake),
        "rejects": duckdb.sql(
            f"SELECT count(*) FROM read_parquet({text(arguments.lake + '/rejects/**/*.parquet')})"
        ).fetchall()[0][0]
        if parts(arguments.lake, "rejects")
        else 0,
    }
    json.dump(seen, sys.stdout)


main()
