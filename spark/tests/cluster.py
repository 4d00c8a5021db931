"""What the tests of the Spark job share: sessions on clusters of this machine, archives, and lakes read by PyArrow."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow
import pyarrow.parquet

import healthtrail

HERE = Path(__file__).resolve().parent
PROGRAM = os.environ.get("HEALTHTRAIL_TEST_PROGRAM", "healthtrail")


def session(cores="local-cluster[2,1,1024]", **settings):
    """A session whose executors are processes of their own."""
    from pyspark.sql import SparkSession

    # The setting of that name is read by spark-submit alone.
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master(cores).appName("healthtrail-tests")
    defaults = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "512m",
        "spark.executor.memory": "512m",
        "spark.task.maxFailures": "8",
        "spark.ui.showConsoleProgress": "false",
    }
    for name, value in {**defaults, **settings}.items():
        builder = builder.config(name, value)
    started = builder.getOrCreate()
    started.sparkContext.setLogLevel("ERROR")
    return started


def program(*arguments, code=0, **environment):
    """Runs the program, whose exit code must be `code`."""
    ran = subprocess.run(
        [PROGRAM, *map(str, arguments)], capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert ran.returncode == code, (arguments, ran.returncode, ran.stdout, ran.stderr)
    return ran.stdout


def generate(folder, objects=60, events=3000, days=5, seed=7, compression="gzip"):
    """An archive of all shapes, with copies, pages and bad bytes."""
    program(
        "generate", "--to", folder, "--objects", objects, "--events", events, "--days", days, "--seed", seed,
        "--compression", compression, "--bad-bytes", "0.005", "--error-records", "0.02", "--duplicates", "0.05",
        "--backup-copies", "0.2", "--pages", "0.1",
    )
    return folder


def alone(archive, lake, *options):
    """What the program makes of it by itself."""
    program("run", "--from", archive, "--to", lake, "--products", "all", "--progress", "none", *options)
    return lake


def rows(lake, table, key):
    """All rows of a table, in the order of their ids."""
    files = sorted(Path(lake).glob(f"{table}/*/*.parquet"))
    read = [pyarrow.parquet.ParquetFile(file).read() for file in files]
    assert read, f"no {table} in {lake}"
    return pyarrow.concat_tables(read).combine_chunks().sort_by(key)


def assert_same(one, two, but=()):
    """The same rows in both tables, column by column."""
    for table, key in (("findings", [("row_id", "ascending")]),
                       ("rejects", [("reject_id", "ascending"), ("state_number", "ascending")])):
        left, right = rows(one, table, key), rows(two, table, key)
        assert left.num_rows == right.num_rows, (table, left.num_rows, right.num_rows)
        for name in left.column_names:
            if name not in but:
                assert left.column(name).equals(right.column(name)), (table, name)


def verify(lake, archive):
    """The promises hold, as the program says."""
    program("verify", "--lake", lake, "--from", archive)


def staged(lake):
    """What lies in the staging."""
    return [path for path in Path(lake).glob("_healthtrail/staging/**/*") if path.is_file()]


def processes(word):
    """Processes below this one whose command line holds `word`."""
    parents, matching = {}, set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            status = (entry / "stat").read_text()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        parents[int(entry.name)] = int(status.rsplit(")", 1)[1].split()[1])
        if word in command:
            matching.add(int(entry.name))
    found = []
    for pid in matching:
        above = parents.get(pid, 0)
        while above > 1 and above != os.getpid():
            above = parents.get(above, 0)
        if above == os.getpid():
            found.append(pid)
    return sorted(found)


def executors():
    """The executors of this session, as process ids of their JVMs."""
    return processes("CoarseGrainedExecutorBackend")


def kill(pid):
    os.kill(pid, signal.SIGKILL)


def until(holds, what, seconds=120):
    """Waits for something that another process does."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.005)


def run(spark, archive, lake, **options):
    """The job on this session."""
    from healthtrail import spark as job

    options.setdefault("products", "all")
    return job.run(spark, archive, lake, **options)


__all__ = [name for name in dir() if not name.startswith("_")] + ["json", "healthtrail"]
