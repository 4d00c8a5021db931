#!/usr/bin/env python3
"""Scans a lake's findings without pause until its standard input ends, as its users' queries do.

    python3 tests/foreign/reader.py duckdb LAKE
    python3 tests/foreign/reader.py pyarrow LAKE
    python3 tests/foreign/reader.py s3 ENDPOINT BUCKET/PREFIX
    python3 tests/foreign/reader.py count LAKE...

Says `ready` after the first scan, and at its end what it saw, as JSON: scans, the different counts, and
what was wrong. `count` scans each lake once.
"""

import glob
import json
import os
import sys
import threading

import duckdb
import pyarrow.compute
import pyarrow.fs
import pyarrow.parquet


def text(value):
    return "'" + value.replace("'", "''") + "'"


class ByDuckdb:
    """Names by a pattern, as a view over the table has them."""

    def __init__(self, lake):
        self.lake = lake
        self.pattern = text(glob.escape(lake) + "/findings/**/*.parquet")

    def scan(self):
        # Each query stands alone, as each of Athena's does.
        with duckdb.connect() as connection:
            try:
                rows, ids, titles = connection.sql(
                    "SELECT count(*), count(DISTINCT row_id), count(title || coalesce(description, '')) "
                    f"FROM read_parquet({self.pattern}, hive_partitioning = true, union_by_name = true)"
                ).fetchall()[0]
            except duckdb.IOException as error:
                if "No files found" in str(error):
                    return 0, 0
                raise
        return rows, ids


class ByPyarrow:
    """Lists, then reads each file; what is new it reads whole."""

    def __init__(self, filesystem, base):
        self.filesystem = filesystem
        self.base = base + "/findings"
        self.seen = {}

    def scan(self):
        selector = pyarrow.fs.FileSelector(self.base, recursive=True, allow_not_found=True)
        try:
            infos = self.filesystem.get_file_info(selector)
        except FileNotFoundError:
            # PyArrow looks twice, and the table's folder may be made between the two looks.
            if self.seen:
                raise
            infos = []
        listed = {
            info.path: info.size
            for info in infos
            if info.is_file and info.path.endswith(".parquet")
        }
        gone = self.seen.keys() - listed.keys()
        if gone:
            raise ValueError(f"files went away: {sorted(gone)}")
        rows, ids = 0, set()
        for path, size in listed.items():
            if path in self.seen and self.seen[path] != size:
                raise ValueError(f"{path} changed")
            is_new = path not in self.seen
            self.seen[path] = size
            with self.filesystem.open_input_file(path) as source:
                file = pyarrow.parquet.ParquetFile(source)
                table = file.read() if is_new else file.read(columns=["row_id"])
            if is_new:
                table.validate(full=True)
            rows += table.num_rows
            ids.update(table["row_id"].to_pylist())
        return rows, len(ids)


def count(lakes):
    for lake in lakes:
        by_duckdb = ByDuckdb(lake).scan()
        by_pyarrow = ByPyarrow(pyarrow.fs.LocalFileSystem(), lake).scan()
        yield {
            "duckdb": {"rows": by_duckdb[0], "ids": by_duckdb[1]},
            "pyarrow": {"rows": by_pyarrow[0], "ids": by_pyarrow[1]},
        }


def reader(kind, arguments):
    if kind == "duckdb":
        return ByDuckdb(arguments[0])
    if kind == "pyarrow":
        return ByPyarrow(pyarrow.fs.LocalFileSystem(), arguments[0])
    endpoint, base = arguments
    scheme, address = endpoint.split("://")
    filesystem = pyarrow.fs.S3FileSystem(
        endpoint_override=address,
        scheme=scheme,
        region="us-east-1",
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    )
    return ByPyarrow(filesystem, base)


def main():
    kind, *arguments = sys.argv[1:]
    if kind == "count":
        json.dump(list(count(arguments)), sys.stdout)
        return
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    table = reader(kind, arguments)
    scans, counts, wrong = 0, [], []
    is_last = False
    while not is_last:
        # One scan more after the end, so that all that was committed by then must be seen.
        is_last = ended.is_set()
        try:
            rows, ids = table.scan()
        except Exception as error:
            wrong.append(f"scan {scans}: {type(error).__name__}: {error}")
            rows, ids = (counts[-1] if counts else 0,) * 2
        if rows != ids:
            wrong.append(f"scan {scans}: {rows} rows have {ids} ids")
        if counts and rows < counts[-1]:
            wrong.append(f"scan {scans}: {rows} rows after {counts[-1]}")
        if not counts or rows != counts[-1]:
            counts.append(rows)
        scans += 1
        if scans == 1:
            print("ready", flush=True)
    json.dump({"scans": scans, "counts": counts, "wrong": wrong[:20]}, sys.stdout)


main()
