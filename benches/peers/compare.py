"""Healthtrail beside other engines, at the same job on the same files; `run` prepares and starts it.

In: healthtrail's binary and a folder to work in. Out: a Markdown table for each archive. Each peer and
healthtrail run in turn (A B A B), and no time counts unless both have the same number of rows on each
day. Wall and CPU seconds and the peak of memory are those of the whole process, by the kernel's own
account of it; a peak below that of this script (some 80 MiB) is not seen. Whatever fails or disagrees ends
it with exit status 1.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import duckdb

HERE = Path(__file__).resolve().parent

# Only what every peer can read: native events, each whole and of today's form. One broken event or
# truncated object ends the peers' whole job.
READABLE = "--asff 0 --ocsf 0 --oddities 0 --bad-bytes 0 --error-records 0 --compression gzip".split()


class Archive(NamedTuple):
    name: str
    objects: int
    events: int
    days: int


ARCHIVES = [Archive("small objects", 2_880, 154_000, 30), Archive("large objects", 50, 770_000, 30)]
TINY = [Archive("tiny", 12, 3_000, 3)]

# Name, file, mode.
PEERS = [
    ("DuckDB {duckdb}, one COPY", "duckdb", "whole"),
    ("DuckDB {duckdb}, one COPY a day", "duckdb", "days"),
    ("DataFusion {datafusion}", "datafusion", "whole"),
    ("ClickHouse (chDB {chdb-core})", "clickhouse", "whole"),
]


class Run(NamedTuple):
    wall_s: float
    cpu_s: float
    peak_mib: float


class Figures(NamedTuple):
    """What a command took, run by run, and how large its output is."""

    runs: list[Run]
    output_mib: float

    def median(self, figure: str) -> float:
        return statistics.median(getattr(run, figure) for run in self.runs)


def main() -> None:
    options = arguments()
    options.work.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    cores = len(os.sched_getaffinity(0))
    print(f"{cores} cores, {options.threads} threads, medians of {options.runs} runs in turn\n")
    for archive in TINY if options.tiny else ARCHIVES:
        compare(archive, options)
    print(f"Took {time.monotonic() - begun:.0f} s.")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--healthtrail", type=Path, required=True, help="the binary")
    parser.add_argument("--work", type=Path, required=True, help="a folder for archives and lakes")
    parser.add_argument("--runs", type=int, default=3, help="runs of each that count (3)")
    parser.add_argument("--tiny", action="store_true", help="only see whether all of it works")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    return parser.parse_args()


def compare(archive: Archive, options: argparse.Namespace) -> None:
    source = generate(archive, options)
    raw_mib = json_mib(source)
    print(f"{archive.name}: {archive.objects:,} objects, {raw_mib:,.0f} MiB of JSON\n")
    print("| | time | MiB/s | as many times as healthtrail | CPU | peak memory | output |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    own: list[Run] = []
    for label, job, mode in PEERS:
        name = label.format_map({package: version(package) for package in packages()})
        ours, theirs = in_turn(source, job, mode, options)
        own += ours.runs
        pairs = zip(theirs.runs, ours.runs, strict=True)
        ratio = statistics.median(their.wall_s / our.wall_s for their, our in pairs)
        print(line(name, theirs, raw_mib, f"{ratio:.2f}"), flush=True)
    print(line("healthtrail", Figures(own, ours.output_mib), raw_mib, "1"), flush=True)
    print()


def packages() -> Sequence[str]:
    return ("duckdb", "datafusion", "chdb-core")


def line(name: str, figures: Figures, raw_mib: float, ratio: str) -> str:
    wall = figures.median("wall_s")
    cells = [
        name,
        f"{wall:.2f} s",
        f"{raw_mib / wall:.0f}",
        ratio,
        f"{figures.median('cpu_s'):.1f} s",
        f"{figures.median('peak_mib'):,.0f} MiB",
        f"{figures.output_mib:.1f} MiB",
    ]
    return f"| {' | '.join(cells)} |"


def generate(archive: Archive, options: argparse.Namespace) -> Path:
    folder = options.work / f"archive-{archive.objects}-{archive.events}-{archive.days}"
    done = folder.with_suffix(".done")
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        size = f"--objects {archive.objects} --events {archive.events} --days {archive.days}"
        command = [options.healthtrail, "generate", "--to", folder, *size.split(), *READABLE]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        done.touch()
    return folder


def json_mib(source: Path) -> float:
    """The size of all objects decompressed, by the trailers of gzip."""
    total = 0
    for path in source.rglob("*.gz"):
        with path.open("rb") as file:
            file.seek(-4, os.SEEK_END)
            total += int.from_bytes(file.read(4), "little")
    return total / 2**20


def in_turn(source: Path, job: str, mode: str, options: argparse.Namespace) -> tuple[Figures, Figures]:
    """Healthtrail's figures and the peer's; the first run of each only warms up."""
    ours: list[Run] = []
    theirs: list[Run] = []
    own_lake, lake = options.work / "lake-healthtrail", options.work / "lake-peer"
    script = HERE / f"{job}_job.py"
    threads = str(options.threads)
    own_command = [options.healthtrail, "run", "--from", source, "--to", own_lake, "--threads", threads]
    command = [sys.executable, script, source, lake, mode, threads]
    for number in range(options.runs + 1):
        own_run, run = measure(own_command, own_lake), measure(command, lake)
        own_rows, rows = rows_by_day(own_lake / "findings"), rows_by_day(lake)
        if own_rows != rows:
            sys.exit(f"{job} ({mode}) and healthtrail disagree on the rows by day: {rows} {own_rows}")
        if number > 0:
            ours.append(own_run)
            theirs.append(run)
    figures = Figures(ours, size_mib(own_lake / "findings")), Figures(theirs, size_mib(lake))
    for folder in (own_lake, lake):
        shutil.rmtree(folder)
    return figures


def measure(command: Sequence[str | Path], lake: Path) -> Run:
    shutil.rmtree(lake, ignore_errors=True)
    # What was written before must not be flushed at this one's cost.
    os.sync()
    with (lake.parent / "output").open("w+") as output:
        begun = time.monotonic()
        process = subprocess.Popen(command, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            output.seek(0)
            sys.exit(f"{' '.join(map(str, command))} failed:\n{output.read()}")
    return Run(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def rows_by_day(lake: Path) -> dict[str, int]:
    """How many rows the Parquet files have by the day in their path."""
    query = """
        SELECT regexp_extract(file_name, '[0-9]{4}-[0-9]{2}-[0-9]{2}') AS day, sum(num_rows)::BIGINT
        FROM parquet_file_metadata(?) GROUP BY day ORDER BY day"""
    files = [str(path) for path in sorted(lake.rglob("*.parquet"))]
    if not files:
        sys.exit(f"{lake} has no Parquet file")
    return dict(duckdb.execute(query, [files]).fetchall())


def size_mib(lake: Path) -> float:
    return sum(path.stat().st_size for path in lake.rglob("*.parquet")) / 2**20


main()
