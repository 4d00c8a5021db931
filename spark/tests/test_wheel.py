"""The package by itself: what it reads, who takes it, and how it behaves in threads and after a fork."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import healthtrail

SAMPLES = Path(__file__).resolve().parents[2] / "samples" / "archive"


def objects():
    return sorted(path for path in SAMPLES.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def rich():
    """The object of the samples with the most findings."""
    return max(objects(), key=lambda path: sum(map(len, healthtrail.read(path, products="all"))))


def test_rows_of_bytes_are_those_of_the_file(rich):
    pyarrow = pytest.importorskip("pyarrow")
    of_path = pyarrow.table(healthtrail.read(rich, products="all"))
    of_bytes = pyarrow.table(healthtrail.read(rich.read_bytes(), products="all"))
    assert of_path.num_rows > 1
    assert of_path.column("row_id") == of_bytes.column("row_id")
    assert of_path.schema.names == healthtrail.schema().names
    assert set(of_path.column("source_object").to_pylist()) == {rich.resolve().as_uri()}


def test_counts_are_those_of_the_program(tmp_path):
    lake = tmp_path / "lake"
    summary = healthtrail.run(SAMPLES, lake, products="all")
    read = [healthtrail.read_all(path, products="all") for path in objects()]
    rows = sum(len(batch) for one in read for batch in one.batches)
    tallies = [json.loads(one.tally) for one in read]
    assert rows == sum(tally["findings"]["rows"] for tally in tallies)
    assert rows == summary["findings"]["added"] + summary["findings"]["duplicates"]
    rejects = sum(len(one.rejects) for one in read)
    assert rejects == sum(summary["by_reason"].values()) > 0
    again = healthtrail.run([SAMPLES], lake, products="all", threads=1)
    assert (again["objects"]["read"], again["commits"]) == (0, 0)


def test_polars(rich):
    polars = pytest.importorskip("polars")
    batches = healthtrail.read(rich, products="all")
    frame = polars.DataFrame(batches)
    assert frame.height == batches.num_rows
    assert frame.columns == healthtrail.schema().names
    assert frame["row_id"].n_unique() <= frame.height
    assert polars.DataFrame(batches[0]).height == len(batches[0])


def test_duckdb(rich):
    duckdb = pytest.importorskip("duckdb")
    findings = healthtrail.read(rich, products="all")
    count, shapes = duckdb.sql("select count(*), count(distinct shape) from findings").fetchall()[0]
    assert count == findings.num_rows
    assert shapes >= 1


def test_pandas(rich):
    pandas = pytest.importorskip("pandas")
    batches = healthtrail.read(rich, products="all")
    frame = pandas.DataFrame.from_arrow(batches)
    assert len(frame) == batches.num_rows
    assert list(frame.columns) == healthtrail.schema().names
    assert frame["reported_at"].notna().all()


def test_datafusion(rich):
    datafusion = pytest.importorskip("datafusion")
    findings = healthtrail.read(rich, products="all")
    context = datafusion.SessionContext()
    context.from_arrow(findings, name="findings")
    rows = context.sql("select count(*) as n from findings").to_pylist()
    assert rows == [{"n": findings.num_rows}]


def test_pyarrow_takes_buffers_without_a_copy(rich):
    pyarrow = pytest.importorskip("pyarrow")
    batch = healthtrail.read(rich, products="all")[0]
    before = pyarrow.total_allocated_bytes()
    taken = pyarrow.record_batch(batch)
    again = pyarrow.record_batch(batch)
    assert pyarrow.total_allocated_bytes() == before
    name = taken.schema.get_field_index("row_id")
    addresses = [[buffer.address for buffer in one.column(name).buffers() if buffer] for one in (taken, again)]
    assert addresses[0] == addresses[1]
    taken.validate(full=True)


def test_no_findings_are_still_a_stream():
    pyarrow = pytest.importorskip("pyarrow")
    empty = healthtrail.read(b"")
    assert list(empty) == []
    assert pyarrow.table(empty).num_rows == 0


def test_bad_bytes_are_rejects():
    read = healthtrail.read_all(b'{"oops": \xff\xfe')
    assert (len(read.batches), len(read.rejects)) == (0, 1)
    assert json.loads(read.tally)["documents"] == {
        "read": 1, "with_findings": 0, "passed_over": 0, "rejected": 1,
    }


def test_what_makes_no_sense_is_a_usage_error(tmp_path):
    with pytest.raises(healthtrail.UsageError, match="`health` or `all`"):
        healthtrail.read(b"{}", products="some")
    with pytest.raises(healthtrail.UsageError, match="--nothing"):
        healthtrail.run(SAMPLES, tmp_path / "lake", nothing=1)
    with pytest.raises(healthtrail.UsageError, match="option of the program"):
        healthtrail.run(SAMPLES, tmp_path / "lake", summary="x")
    with pytest.raises(healthtrail.UsageError, match="overlap"):
        healthtrail.run(tmp_path, tmp_path / "lake")
    with pytest.raises(healthtrail.HealthtrailError, match="nowhere"):
        healthtrail.run(tmp_path / "nowhere", tmp_path / "other")
    with pytest.raises(FileNotFoundError):
        healthtrail.read(tmp_path / "nowhere")


def test_other_threads_go_on_meanwhile(tmp_path):
    ticks, ended = [], threading.Event()

    def tick():
        while not ended.wait(0.001):
            ticks.append(time.monotonic())

    thread = threading.Thread(target=tick)
    thread.start()
    begun = time.monotonic()
    healthtrail.run(SAMPLES, tmp_path / "lake", products="all")
    done = time.monotonic()
    ended.set()
    thread.join()
    # With the interpreter's lock held nobody ticks between the begin and the end.
    between = [one for one in ticks if begun + (done - begun) / 4 < one < done - (done - begun) / 4]
    assert len(between) >= 3, (len(ticks), done - begun)


def test_a_forked_process_begins_its_own_threads(tmp_path):
    healthtrail.run(SAMPLES, tmp_path / "one")
    child = os.fork()
    if child == 0:
        try:
            summary = healthtrail.run(SAMPLES, tmp_path / "two")
            os._exit(0 if summary["findings"]["added"] > 0 else 3)
        except BaseException:
            os._exit(4)
    for _ in range(600):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.1)
    else:
        os.kill(child, 9)
        os.waitpid(child, 0)
        pytest.fail("the child stands still")
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_panic_is_an_exception_that_quotes_nothing(tmp_path):
    """Needs the points at which tests break the program, as spark/test builds the package."""
    code = (
        "import healthtrail, sys\n"
        "try:\n"
        "    healthtrail.run(sys.argv[1], sys.argv[2])\n"
        "except healthtrail.HealthtrailError as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    environment = {**os.environ, "FAILPOINTS": "object::reading=panic(secret)"}
    environment.pop("RUST_BACKTRACE", None)
    arguments = [sys.executable, "-c", code, SAMPLES, tmp_path / "lake"]
    ran = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert ran.stdout.startswith("HealthtrailError reading objects panicked at `file://"), ran
    assert "secret" not in ran.stdout + ran.stderr
    assert healthtrail.run(SAMPLES, tmp_path / "lake")["findings"]["added"] > 0
