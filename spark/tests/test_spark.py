"""The job on a cluster of this machine, whose executors are processes of their own."""

import os
import subprocess
import sys
import threading

import cluster
import pytest

import healthtrail


@pytest.fixture(scope="module")
def spark():
    session = cluster.session()
    yield session
    session.stop()


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return cluster.generate(tmp_path_factory.mktemp("archive") / "a")


@pytest.fixture(scope="module")
def alone(archive, tmp_path_factory):
    return cluster.alone(archive, tmp_path_factory.mktemp("alone") / "lake")


def test_the_lake_is_that_of_a_run_on_one_machine(spark, archive, alone, tmp_path):
    lake = tmp_path / "lake"
    summary = cluster.run(spark, archive, lake, task_bytes=300_000)
    cluster.assert_same(alone, lake)
    cluster.verify(lake, archive)
    assert (summary["commits"], cluster.staged(lake)) == (1, [])
    again = cluster.run(spark, archive, lake)
    assert (again["objects"]["read"], again["commits"]) == (0, 0)


def test_slices_and_small_waves_change_no_row(spark, archive, alone, tmp_path):
    lake = tmp_path / "lake"
    summary = cluster.run(
        spark, archive, lake, task_bytes=100_000, memory="128MiB", wave_objects=25, reducers=3
    )
    assert summary["commits"] == 3
    cluster.assert_same(alone, lake, but=DELIVERY)
    cluster.verify(lake, archive)


def test_a_lake_is_filled_in_turns(spark, archive, alone, tmp_path):
    lake = tmp_path / "lake"
    cluster.alone(archive, lake, "--until", "2026-08-02")
    cluster.run(spark, archive, lake, until="2026-08-04")
    cluster.alone(archive, lake)
    cluster.assert_same(alone, lake, but=DELIVERY)
    cluster.verify(lake, archive)


@pytest.mark.parametrize("half", ["read", "reduce"])
def test_an_executor_is_killed_in_either_half(spark, archive, alone, tmp_path, half):
    lake = tmp_path / "lake"
    tracker = spark.sparkContext.statusTracker()
    before = set(cluster.executors())
    assert len(before) == 2, before
    killed = []

    def is_reading():
        stages = [tracker.getStageInfo(one) for one in tracker.getActiveStageIds()]
        return any(one and one.numActiveTasks and one.numCompletedTasks for one in stages)

    def kill():
        if half == "read":
            cluster.until(is_reading, "the first half")
        else:
            cluster.until(lambda: cluster.staged(lake), "a part in the staging")
        victim = sorted(cluster.executors())[-1]
        cluster.kill(victim)
        killed.append(victim)

    thread = threading.Thread(target=kill)
    thread.start()
    summary = cluster.run(spark, archive, lake, task_bytes=100_000)
    thread.join()
    assert killed and killed[0] in before
    assert summary["commits"] == 1
    cluster.assert_same(alone, lake)
    cluster.verify(lake, archive)
    cluster.until(lambda: len(cluster.executors()) == 2, "another executor")


def test_two_jobs_at_once(spark, archive, alone, tmp_path):
    lake = tmp_path / "lake"
    summaries, failed = [], []

    def job():
        try:
            summaries.append(cluster.run(spark, archive, lake, task_bytes=300_000, wave_objects=30))
        except Exception as error:
            failed.append(error)

    jobs = [threading.Thread(target=job) for _ in range(2)]
    for one in jobs:
        one.start()
    for one in jobs:
        one.join()
    assert not failed, failed
    assert sum(one["commits"] for one in summaries) >= 2
    objects = [one["objects"] for one in summaries]
    assert all(one["read"] + one["in_ledger"] == 60 for one in objects), objects
    cluster.assert_same(alone, lake, but=DELIVERY)
    cluster.verify(lake, archive)


def test_a_run_beside_the_job_wins_its_number(spark, archive, alone, tmp_path):
    lake = tmp_path / "lake"
    notes = []

    def note(text):
        notes.append(text)
        if len(notes) == 1:
            cluster.alone(archive, lake, "--until", "2026-08-03")

    summary = cluster.run(spark, archive, lake, task_bytes=300_000, note=note)
    assert any("planned anew" in text for text in notes), notes
    assert (summary["commits"], summary["version"]) == (1, 2)
    assert summary["objects"]["in_ledger"] > 0
    cluster.assert_same(alone, lake, but=DELIVERY)
    cluster.verify(lake, archive)
    assert cluster.staged(lake) == []


@pytest.mark.parametrize(
    ("point", "commits"), [("commit::before_record", 1), ("commit::recorded", 0), ("commit::before_unstage", 0)]
)
def test_the_driver_is_killed_beside_its_record(archive, alone, tmp_path, point, commits):
    lake = tmp_path / "lake"
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import cluster\n"
        "cluster.run(cluster.session('local[2]'), sys.argv[2], sys.argv[3])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(cluster.HERE), str(archive), str(lake)],
        env={**os.environ, "FAILPOINTS": f"{point}=return(kill)"}, capture_output=True, text=True,
    )
    assert ran.returncode == -9, ran
    rest = healthtrail.run(archive, lake, products="all")
    assert rest["commits"] == commits, rest
    cluster.assert_same(alone, lake)
    cluster.verify(lake, archive)


DELIVERY = (
    "event_id", "event_time", "reported_at", "time_source", "detail_type", "processed_at", "account_name",
    "arrived_hour", "sent_to_account", "sent_to_region", "backup", "source_object", "source_offset",
    "source_length", "source_ordinal",
)
