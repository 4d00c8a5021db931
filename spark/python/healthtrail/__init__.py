"""AWS Health events and Security Hub findings as one clean table.

`read` turns the bytes of one archived object into Arrow record batches, `run` fills a lake as the program does, and
`healthtrail.spark` runs inside Apache Spark. Batches speak the Arrow PyCapsule protocol: Polars, DuckDB, pandas, PyArrow
and DataFusion take them without a copy.
"""

import json
import os
from pathlib import Path

from ._core import (
    HealthtrailError,
    Reading,
    RecordBatch,
    Schema,
    UsageError,
    __version__,
    read_bytes,
    schema,
    stream,
)
from ._core import run as _run

__all__ = [
    "Batches",
    "HealthtrailError",
    "Reading",
    "RecordBatch",
    "Schema",
    "UsageError",
    "__version__",
    "read",
    "read_all",
    "run",
    "schema",
]


class Batches:
    """Record batches of findings, which are an Arrow stream together.

    Neither a `list` nor a `Sequence`, since PyArrow and Polars take these for columns before they ask for a stream.
    """

    def __init__(self, batches):
        self._batches = list(batches)

    def __len__(self):
        return len(self._batches)

    def __iter__(self):
        return iter(self._batches)

    def __getitem__(self, index):
        return self._batches[index]

    def __repr__(self):
        return f"<healthtrail.Batches of {sum(map(len, self._batches))} rows>"

    @property
    def num_rows(self):
        """How many rows they have together."""
        return sum(map(len, self._batches))

    def __arrow_c_stream__(self, requested_schema=None):
        return stream(self._batches, schema())

    def __arrow_c_schema__(self):
        return schema().__arrow_c_schema__()


def read_all(source, products="health"):
    """Read one object: its findings (`.batches`), its rejects (`.rejects`) and its counts (`.tally`, JSON).

    `source` is a path, or the bytes of an object. The compression is told by the content. Bad bytes are rejects,
    never an exception.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return read_bytes(bytes(source), products, "bytes:", "", 0)
    path = Path(os.fspath(source)).resolve()
    about = path.stat()
    etag = f"{about.st_size}-{about.st_mtime_ns}"
    return read_bytes(path.read_bytes(), products, path.as_uri(), etag, about.st_mtime_ns // 1_000_000)


def read(source, products="health"):
    """Read the findings of one object (a path, or its bytes) as a sequence of record batches, which is an Arrow stream as well.

    `products` is `health`, or `all` for those of every product.
    """
    return Batches(read_all(source, products).batches)


def run(source, lake, **options):
    """Read what is new in an archive and add it to a lake, as `healthtrail run` does; gives the summary as a dict.

    `source` is an archive or a list of archives (a folder, `s3://bucket/prefix` or `firehose://STREAM`). Options are
    those of the program, with underscores: `products="all"`, `memory="2GiB"`, `redact=True`.
    """
    return json.loads(_run(arguments_of(source, lake, options)))


def arguments_of(source, lake, options):
    """The options of `healthtrail run` as they would be typed."""
    sources = [source] if isinstance(source, (str, os.PathLike)) else list(source)
    arguments = []
    for one in sources:
        arguments += ["--from", os.fspath(one)]
    arguments += ["--to", os.fspath(lake)]
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            arguments.append(option)
            continue
        for one in value if isinstance(value, (list, tuple)) else [value]:
            arguments += [option, str(one)]
    return arguments
