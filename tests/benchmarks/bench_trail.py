"""A long trail: how long a start takes, what a commit costs, and whether verification stays within memory.

`make bench` measures a hundred thousand records; `python -m tests.benchmarks.bench_trail --records 10_000_000 --in DIR`
measures more, and leaves the trail there if a folder is named. Every record is a real one, encoded, chained, read back
and folded by the code that a loop runs, with a signed and exported checkpoint every 10,000; the newest 9,999 are behind
the last checkpoint, as after a crash at the worst moment. The trail is verified before anything is timed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import quantiles
from time import perf_counter

from actions.plan import Change, Plan
from audit.checkpoint import EVERY_RECORDS
from audit.journal import Claim, Spend
from audit.stores.sqlite import SqliteStore
from controller.checkpoints import Checkpoints
from controller.compose import _take_the_lead
from controller.core.records import (
    AnyRecord,
    Closed,
    Evidence,
    Intent,
    Key,
    Loaded,
    Opened,
    Outcome,
    Passed,
    Result,
    Step,
)
from controller.settings import STORE, load
from controller.trail import Trail, entry
from telemetry.target import Target
from telemetry.verdict import Verdict
from tests.benchmarks.rows import Row, table

USUAL = 100_000
BEGIN, EVERY = 1_700_000_000.0, 600.0
"""Epoch seconds of the first episode; seconds from one to the next."""
TARGETS = 1_000
BATCH = 5_000
COMMITS = 2_000
AUTO = Path(sys.executable).parent / "auto"
ROOT = Path(__file__).parents[2]


def run(records: int = USUAL, folder: Path | None = None) -> list[Row]:
    """Fill a trail, verify it, then lead it and append to it."""
    with tempfile.TemporaryDirectory() as spare:
        state_dir = folder or Path(spare)
        if not (state_dir / STORE).exists():
            fill(state_dir, records)
        size = (state_dir / STORE).stat().st_size
        seconds, memory, verified = _verify(state_dir)
        assert verified >= records, verified
        cold(state_dir)
        start = _start(state_dir)
        behind, alone = _commits(state_dir)
    what = f"{verified / 1e6:g} million records" if verified >= 1e6 else f"{verified:,} records"
    return [
        Row(f"start leading, {what}, nothing cached", start, "s", must=1),
        Row(f"intent commit behind {what}, p50", behind[49] * 1000, "ms"),
        Row(f"intent commit behind {what}, p99", behind[98] * 1000, "ms", must=5),
        Row("the same in turn in a new trail, p50", alone[49] * 1000, "ms"),
        Row("the same in turn in a new trail, p99", alone[98] * 1000, "ms"),
        Row(f"auto audit verify, {what}, records a second", verified / seconds, "1/s"),
        Row(f"auto audit verify, {what}, memory", memory / 2**20, "MiB", must=150),
        Row(f"trail, per million records ({what})", size / verified * 1e6 / 2**20, "MiB"),
    ]


def fill(state_dir: Path, records: int) -> None:
    """A trail of so many records, killed at the worst moment."""
    checkpoints = Checkpoints(state_dir, EVERY_RECORDS, float("inf"))
    with closing(SqliteStore(state_dir / STORE)) as store:
        trail = Trail(store)
        checkpoints.begin(trail)
        trail.lead(BEGIN, "bench")
        made = histories()
        while (left := records - trail.seq) > 0:
            batch = [entry(next(made)) for _ in range(min(BATCH, left))]
            store.append(batch, epoch=trail.epoch)
            trail.catch_up()
            if left - len(batch) >= EVERY_RECORDS - 1:
                checkpoints.write_if_due(trail.state.at, trail)


def histories() -> Iterator[AnyRecord]:
    """One episode after the other, each healed by a restart."""
    policy = json.dumps({"kind": "RemediationPolicy", "metadata": {"name": "hang"}})
    yield Loaded(BEGIN, "hang", "h1", policy)
    values = (("instances.sick", 1.0), ("probe.failures", 3.0), ("requests.rate", 123.456))
    evidence = Evidence(0.8125, 0.9, 0.95, 0.95, 120.0, values)
    number, at = 0, BEGIN
    while True:
        number, at = number + 1, at + EVERY
        name = f"checkout-{number % TARGETS}"
        target = Target("local", "Service", "shop", name, f"b3c1{number % TARGETS:08x}")
        key = Key("hang", target)
        change = Change(target, "slots/1/incarnation", f"{number}@{at:.2f}", "newer")
        plan = Plan((change,), disrupts=1)
        yield Opened(at, key, f"e{number}", "h1", evidence)
        yield Intent(at + 1, key, number, Step.DO, 0, "Restart", (change,), plan, at + 61, at + 361)
        yield Outcome(at + 2, key, number, Verdict.PASS)
        yield Passed(at + 62, key, number)
        yield Closed(at + 62, key, Result.HEALED, "instances.sick is 0", helped=True)


def cold(state_dir: Path) -> None:
    """Let the system forget the file, as after a restart of the machine."""
    descriptor = os.open(state_dir / STORE, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def _start(state_dir: Path) -> float:
    """Seconds, in a process that ends without a clean stop: the next start finds the same long tail."""
    script = "import os, sys; from tests.benchmarks.bench_trail import lead; print(lead(sys.argv[1]), flush=True); "
    command = [sys.executable, "-c", script + "os._exit(0)", str(state_dir)]
    return float(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)


def lead(state_dir: str) -> float:
    """Seconds from the lock to the first record of the new leadership, durable."""
    settings, stack = load({"state": state_dir}), ExitStack()
    began = perf_counter()
    _, trail, _ = _take_the_lead(settings, Path(state_dir), stack)
    seconds = perf_counter() - began
    assert trail.checkpointed
    return seconds


def _commits(state_dir: Path) -> tuple[list[float], list[float]]:
    """Percentiles of seconds: behind all of this and, in turn, in a new trail, so that the machine is the same."""
    with tempfile.TemporaryDirectory(dir=state_dir) as spare, ExitStack() as stack:
        stores = [stack.enter_context(closing(SqliteStore(path / STORE))) for path in (state_dir, Path(spare))]
        epochs = [store.lead("bench") for store in stores]
        times: tuple[list[float], list[float]] = ([], [])
        intents = (record for record in histories() if isinstance(record, Intent))
        for number, intent in zip(range(COMMITS), intents, strict=False):
            for store, epoch, seconds in zip(stores, epochs, times, strict=True):
                seconds.append(_commit(store, epoch, intent, number))
    return quantiles(times[0], n=100), quantiles(times[1], n=100)


def _commit(store: SqliteStore, epoch: int, intent: Intent, number: int) -> float:
    began = perf_counter()
    store.append(
        [entry(intent)],
        epoch=epoch,
        claims=[Claim(f"object {number}", f"holder {number}")],
        releases=[f"holder {number - 1}"],
        spends=[Spend("policy:hang/3600s", intent.at, 1, 1_000_000, 3600.0)],
    )
    return perf_counter() - began


def _verify(state_dir: Path) -> tuple[float, int, int]:
    """Seconds, bytes and records of a process of its own."""
    began = perf_counter()
    command = [AUTO, "--json", "--state", state_dir, "audit", "verify"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = perf_counter() - began
    found = json.loads(said)["data"]
    assert found["ok"], found
    return seconds, usage.ru_maxrss * 1024, found["records"]


def main() -> None:
    """Print the table for a trail of any length."""
    parser = argparse.ArgumentParser(prog="tests.benchmarks.bench_trail", description=__doc__)
    parser.add_argument("--records", type=int, default=USUAL)
    parser.add_argument("--in", dest="folder", type=Path, help="where the trail is made, or is already")
    options = parser.parse_args()
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
        assert shutil.disk_usage(options.folder).free > options.records * 2_000, "too little space"
    print(table(run(options.records, options.folder)))


if __name__ == "__main__":
    main()
