"""What the job costs beside the run on one machine, on the same cores, in seconds and in seconds of processors:

    python measure.py [EVENTS] [MASTER]        # as spark/test measure calls it

Both read the same generated archive from a folder. Seconds of processors are those of all processes: the JVMs, and
Python's workers with the library in them; they say more than the clock on a machine that has other work.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cluster


def processor_seconds():
    """Of this process and all below it, those that ended included."""
    ticks = os.sysconf("SC_CLK_TCK")
    total = 0
    for pid in [os.getpid(), *cluster.processes("")]:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15]))
    return total / ticks


def alone(archive, lake):
    """The run on one machine, in a process of its own."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    code = "import healthtrail, json, sys; print(json.dumps(healthtrail.run(*sys.argv[1:3], products='all', threads=2)))"
    ran = subprocess.run([sys.executable, "-c", code, str(archive), str(lake)], check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(ran.stdout), time.monotonic() - begun, busy


def main():
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    master = sys.argv[2] if len(sys.argv) > 2 else "local-cluster[2,1,1024]"
    work = Path(tempfile.mkdtemp())
    try:
        archive = cluster.generate(work / "archive", objects=max(events // 500, 20), events=events, days=20)
        summary, seconds, busy = alone(archive, work / "alone")
        read = summary["bytes"]["decompressed"] / 1e6
        print(f"archive: {summary['objects']['read']} objects, {summary['bytes']['compressed'] / 1e6:.1f} MB stored, {read:.1f} MB")
        print(f"alone:   {seconds:.1f} s, {busy:.1f} s of processors, {read / busy:.1f} MB per second of a processor")
        begun, before = time.monotonic(), processor_seconds()
        spark = cluster.session(master)
        spark.range(1).count()
        started, start_busy = time.monotonic() - begun, processor_seconds() - before
        print(f"start:   {started:.1f} s, {start_busy:.1f} s of processors (JVMs, executors, a first job)")
        for name in ("first", "second"):
            begun, before = time.monotonic(), processor_seconds()
            cluster.run(spark, archive, work / name, task_bytes=4 << 20)
            seconds, own = time.monotonic() - begun, processor_seconds() - before
            print(f"{name}:   {seconds:.1f} s, {own:.1f} s of processors, {own / busy:.2f} times those of the run alone")
        cluster.assert_same(work / "alone", work / "second")
        spark.stop()
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
