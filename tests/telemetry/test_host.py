"""Measures real processes: this one, and children that really use something."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from telemetry.columns import COLUMNS
from telemetry.inventory import Facts, Instance
from telemetry.sources.host import HostSource
from telemetry.target import Target

WEB = Target("local", "Service", "shop", "web", "u1")
COLUMNS_HERE = {"memory.bytes", "memory.ratio", "threads.count", "files.count", "files.ratio"}


def instance(pid, slot="0", started_at=None):
    started_at = psutil.Process(pid).create_time() if started_at is None else started_at
    return Instance(slot, f"{pid}@{started_at:.2f}", None, started_at)


def inventory(*instances, limits=(None, None)):
    facts = Facts(1.0, len(instances), 0, instances=instances)
    return SimpleNamespace(facts={WEB: facts}, limits={WEB: limits})


def values(source, now):
    reading = source.read(now)
    assert not reading.error
    assert all(sample.target == WEB and sample.at == now for sample in reading.samples)
    return {sample.column: sample.value for sample in reading.samples}


@contextmanager
def child(program):
    process = subprocess.Popen(
        [sys.executable, "-S", "-E", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        process.stdout.read(1)
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stdin.close()


READY = "import sys; sys.stdout.write('.'); sys.stdout.flush();"


def test_it_measures_what_the_system_says_of_the_process():
    found = values(HostSource(inventory(instance(os.getpid()))), 10.0)
    assert found.keys() == COLUMNS_HERE <= COLUMNS.keys()
    assert found["memory.bytes"] == pytest.approx(psutil.Process().memory_info().rss, rel=0.2)
    assert found["memory.ratio"] == pytest.approx(found["memory.bytes"] / psutil.virtual_memory().total)
    assert found["threads.count"] == psutil.Process().num_threads()
    assert found["files.ratio"] == found["files.count"] / psutil.Process().rlimit(psutil.RLIMIT_NOFILE)[0]


def test_open_files_are_counted():
    source = HostSource(inventory(instance(os.getpid())))
    before = values(source, 10.0)["files.count"]
    with Path(os.devnull).open(), Path(os.devnull).open():
        assert values(source, 11.0)["files.count"] == before + 2


def test_a_share_of_the_cpu_needs_two_readings_and_is_of_what_is_allowed():
    with child(READY + "\nwhile True: pass") as busy:
        source = HostSource(inventory(instance(busy.pid), limits=(None, 0.5)))
        assert "cpu.ratio" not in values(source, 10.0)
        used = psutil.Process(busy.pid).cpu_times().user
        while psutil.Process(busy.pid).cpu_times().user < used + 0.3:
            time.sleep(0.02)
        found = values(source, 11.0)["cpu.ratio"]  # by the clock it is given: at least 0.3 s of 1 s, on half a core
        assert found >= 0.55
        assert "cpu.ratio" not in values(source, 11.0)  # no time has passed


def test_the_declared_memory_is_the_whole():
    source = HostSource(inventory(instance(os.getpid()), limits=(1 << 30, None)))
    found = values(source, 10.0)
    assert found["memory.ratio"] == found["memory.bytes"] / (1 << 30)


def test_the_worst_instance_speaks_for_its_target():
    with child(READY + "x = b'x' * (64 << 20); sys.stdin.read()") as large, child(READY + "sys.stdin.read()") as small:
        both = inventory(instance(small.pid, "0"), instance(large.pid, "1"))
        while psutil.Process(large.pid).memory_info().rss < 64 << 20:
            time.sleep(0.01)
        found = values(HostSource(both), 10.0)
        assert found["memory.bytes"] >= 64 << 20
        assert {sample.count for sample in HostSource(both).read(10.0).samples} == {2}


def test_a_process_that_is_gone_or_another_one_is_left_out():
    with child(READY + "sys.stdin.read()") as process:
        gone = instance(process.pid)
        reused = instance(os.getpid(), started_at=psutil.Process().create_time() - 60)
        source = HostSource(inventory(gone, reused, Instance("2", "", None)))
        process.kill()
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        assert values(source, 10.0) == {}
    assert values(source, 11.0) == {}


def test_a_replacement_starts_its_share_of_the_cpu_anew():
    source = HostSource(inventory(instance(os.getpid())))
    values(source, 10.0)
    with child(READY + "sys.stdin.read()") as fresh:
        source._inventory.facts = inventory(instance(fresh.pid)).facts
        assert "cpu.ratio" not in values(source, 11.0)
        assert "cpu.ratio" in values(source, 12.0)
