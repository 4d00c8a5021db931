"""healthtrail inside Apache Spark: the two halves of a run on either side of one shuffle.

The driver lists what the lake lacks, wave after wave. A wave's objects are read by `mapInArrow` into parcels of rows;
`repartition` brings those of one group (a table, a partition, a slice of its row ids) together; a second `mapInArrow`
compares each group with the lake and stages its parts by content; the driver writes the one commit record. Spark
schedules, shuffles and tries again; whatever it does twice is harmless.

    spark-submit job.py --from s3://archive/health --to s3://lake/health --products all
"""

import argparse
import os
import sys
import time

from . import _core

__all__ = ["SparkRun", "main", "run"]

GROUP = ("lake_table", "lake_partition", "slice")
ORDER = (*GROUP, "kind", "ordinal")
# How often a wave is planned anew whose number another run has taken, before the run ends.
LOST_MAX = 20


def _columns(ddl):
    return [tuple(column.split(" ")) for column in ddl.split(", ")]


def _check(frame):
    """`mapInArrow` matches columns by position and checks nothing."""
    told = [(field.name, field.dataType.simpleString()) for field in frame.schema.fields]
    if told != _columns(_core.parcel_ddl()):
        raise _core.HealthtrailError(f"the columns of parcels are {told}, not {_core.parcel_ddl()}")
    return frame


class SparkRun:
    """One run: the options of `healthtrail run` as they would be typed, on this Spark session."""

    def __init__(self, spark, arguments, task_bytes=64 << 20, reducers=None, note=None):
        self.spark = spark
        # One task has one core.
        threads = [] if any(text.split("=")[0] == "--threads" for text in arguments) else ["--threads", "1"]
        self.arguments = [*arguments, *threads]
        self.task_bytes = task_bytes
        self.reducers = reducers
        self.note = note or (lambda text: None)
        # What workers need of the driver's surroundings; credentials are their own role's.
        self.variables = {
            name: value for name, value in os.environ.items() if name.startswith("HEALTHTRAIL_")
        }
        # A payload has up to 8 MiB: so many of them are in memory at once, on either side of a worker's pipe.
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "8")

    def run(self):
        """Run to the end; gives the summary as JSON, and in lines for a person."""
        driver = _core.Driver(self.arguments)
        lost = 0
        while True:
            wave = driver.next_wave(self.task_bytes)
            if wave is None:
                return driver.finish()
            begun = time.monotonic()
            self.note(
                f"commit {wave.number}: {wave.objects} objects of {wave.bytes} bytes in {len(wave.tasks)} tasks"
            )
            told = [(row.kind, bytes(row.payload)) for row in self.frame(wave).collect()]
            worked = time.monotonic()
            if driver.commit(told):
                lost = 0
                self.note(
                    f"commit {wave.number}: done in {worked - begun:.1f} s and {time.monotonic() - worked:.1f} s"
                )
                continue
            lost += 1
            self.note(f"commit {wave.number}: another run has the number, so the wave is planned anew")
            if lost > LOST_MAX:
                raise _core.HealthtrailError(
                    f"other runs took the number {lost} times in a row; run again when they have ended"
                )

    def frame(self, wave):
        """The two halves of a wave, as a frame that nothing has been done for yet."""
        ddl = _core.parcel_ddl()
        read = _reader(self.arguments, wave.context, self.variables)
        reduce = _reducer(self.arguments, wave.context, self.variables)
        rows = [(bytearray(task),) for task in wave.tasks]
        tasks = self.spark.sparkContext.parallelize(rows, len(rows))
        tasks = self.spark.createDataFrame(tasks, "task binary")
        parcels = _check(tasks.mapInArrow(read, ddl))
        files = [(*row[:5], bytearray(row[5])) for row in wave.files]
        if files:
            parcels = parcels.union(_check(self.spark.createDataFrame(files, ddl)))
        reducers = self.reducers or self.default_reducers(wave)
        together = parcels.repartition(reducers, *GROUP).sortWithinPartitions(*ORDER)
        return _check(together.mapInArrow(reduce, ddl)).select("kind", "payload")

    def default_reducers(self, wave):
        """As many tasks as there are groups, and no fewer than there are cores."""
        return max(wave.groups, self.spark.sparkContext.defaultParallelism)


def _reader(arguments, context, variables):
    context = bytes(context)

    def read(batches):
        os.environ.update(variables)
        for batch in batches:
            for task in batch.column(0):
                for parcels in _core.read_task(arguments, context, task.as_py()):
                    yield _record_batch(parcels)

    return read


def _reducer(arguments, context, variables):
    context = bytes(context)

    def reduce(batches):
        os.environ.update(variables)
        reducer = _core.Reducer(arguments, context)
        for batch in batches:
            columns = [batch.column(index) for index in range(6)]
            for table, partition, piece, kind, ordinal, payload in zip(*columns):
                group = (table.as_py(), partition.as_py(), piece.as_py())
                told = reducer.take(group, kind.as_py(), ordinal.as_py(), payload.as_py())
                if told is not None:
                    yield _record_batch(told)
        told = reducer.finish()
        if told is not None:
            yield _record_batch(told)

    return reduce


def _record_batch(parcels):
    import pyarrow

    return pyarrow.record_batch(parcels)


def run(spark, source, lake, task_bytes=64 << 20, reducers=None, note=None, **options):
    """Fill a lake from Python code that has a session; gives the summary as a dict."""
    import json

    from . import arguments_of

    done = SparkRun(spark, arguments_of(source, lake, options), task_bytes, reducers, note).run()
    return json.loads(done[0])


def _size(text):
    units = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
    number, factor = (text[:-3], units[text[-3:]]) if text[-3:] in units else (text, 1)
    return int(number) * factor


def _parser():
    parser = argparse.ArgumentParser(
        prog="healthtrail-spark",
        description="Fill a lake inside Apache Spark. Takes the options of `healthtrail run`, and these:",
        allow_abbrev=False,
    )
    parser.add_argument("--summary", metavar="FILE", help="write the summary as JSON to this file; `-` for standard output")
    parser.add_argument(
        "--task-size", type=_size, default=64 << 20, metavar="SIZE", help="bytes of objects, as stored, of one task (64MiB)"
    )
    parser.add_argument("--reducers", type=int, metavar="N", help="tasks of the second half (one for each partition and slice)")
    parser.add_argument("--rejects-max", type=int, metavar="N", help="end with exit code 3 when more is rejected")
    return parser


def main(argv=None):
    """`spark-submit job.py`: exit codes as those of `healthtrail run`."""
    import json

    own, arguments = _parser().parse_known_args(sys.argv[1:] if argv is None else argv)
    from pyspark.sql import SparkSession

    def note(text):
        print(f"healthtrail-spark: {text}", file=sys.stderr, flush=True)

    spark = SparkSession.builder.appName("healthtrail").getOrCreate()
    try:
        summary, lines = SparkRun(spark, arguments, own.task_size, own.reducers, note).run()
    except _core.HealthtrailError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, _core.UsageError) else 1)
    finally:
        spark.stop()
    if own.summary == "-":
        print(summary)
    else:
        print("\n".join(lines))
        if own.summary:
            with open(own.summary, "w", encoding="utf-8") as file:
                file.write(summary + "\n")
    counts = json.loads(summary)
    rejects = sum(counts["by_reason"].values())
    newly_failed = counts["objects"]["failed"] > counts["objects"]["still_failing"]
    if newly_failed or (own.rejects_max is not None and rejects > own.rejects_max):
        sys.exit(3)
