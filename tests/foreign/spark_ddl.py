#!/usr/bin/env python3
"""Runs the DDL on Spark SQL with Hive's catalog, and compares every value, nested ones too, with PyArrow's.

    python3 tests/foreign/spark_ddl.py LAKE DDL.json WORK

The DDL points to `s3://lake`; here that is the folder LAKE.
"""

import datetime
import glob
import json
import os
import sys
import time

import pyarrow.parquet
from pyspark.sql import SparkSession


def plain(value):
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if hasattr(value, "asDict"):
        return {name: plain(item) for name, item in value.asDict().items()}
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], tuple) and not hasattr(value[0], "asDict"):
        return {name: plain(item) for name, item in value}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def written(lake, table):
    rows = []
    for path in sorted(glob.glob(os.path.join(lake, table, "*", "*.parquet"))):
        schema = pyarrow.parquet.ParquetFile(path).schema_arrow
        maps = {field.name for field in schema if str(field.type).startswith("map")}
        for row in pyarrow.parquet.ParquetFile(path).read().to_pylist():
            row = {name: {} if name in maps and value == [] else plain(value) for name, value in row.items()}
            for items in ("entities", "resources"):
                for item in row.get(items) or []:
                    item["tags"] = {} if item["tags"] == [] else item["tags"]
            key, value = os.path.basename(os.path.dirname(path)).split("=")
            rows.append({**row, key: value})
    return rows


def main():
    lake, ddl, work = sys.argv[1:]
    os.environ["TZ"] = "UTC"
    time.tzset()
    spark = (
        SparkSession.builder.master("local[1]")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.sql.warehouse.dir", os.path.join(work, "warehouse"))
        .config("spark.hadoop.javax.jdo.option.ConnectionURL", f"jdbc:derby:{work}/metastore;create=true")
        .config("spark.driver.extraJavaOptions", f"-Duser.timezone=UTC -Dderby.system.home={work}")
        .enableHiveSupport()
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    for text in json.load(open(ddl, encoding="utf-8")):
        spark.sql(text.replace("s3://lake/", f"file://{os.path.abspath(lake)}/"))
    for table, key in (("findings", "row_id"), ("rejects", "reject_id")):
        told = {row[key]: plain(row) for row in spark.table(table).collect()}
        expected = {row[key]: row for row in written(lake, table)}
        assert set(told) == set(expected), table
        cells = 0
        for name, row in expected.items():
            assert list(told[name]) == list(row), f"{table} has other columns"
            for column, value in row.items():
                assert told[name][column] == value, (table, name, column, told[name][column], value)
                cells += 1
        comments = [row.comment for row in spark.sql(f"DESCRIBE {table}").collect() if not row.col_name.startswith("#")]
        assert all(comments), comments
        print(f"{table}: {len(told)} rows, {cells} values as they were written")
    spark.stop()


main()
