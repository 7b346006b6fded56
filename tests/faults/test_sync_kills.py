"""F2: kill -9 at the n-th sync of a writer's life, for every n. P17."""

import json
import re
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from audit.checkpoint import Signer, require_exported
from audit.stores.sqlite import SqliteStore
from audit.verify import verify
from tests.faults.rig import ROOT
from tests.faults.store_writer import APPENDS, NAME
from tests.needs import need

SYNCS = "fdatasync,fsync"
WRITER = [sys.executable, "-m", "tests.faults.store_writer"]
FEWEST = {"fdatasync": 40, "fsync": 12}
"""Fewer syncs than that, and the writer did not do what it is for."""


@pytest.fixture
def strace() -> list[str]:
    """strace of the syncs alone."""
    why = "needs strace with ptrace (apt-get install strace)"
    need(shutil.which("strace"), why)
    need(subprocess.run(["strace", "-o", "/dev/null", "true"], check=False, capture_output=True).returncode == 0, why)
    return ["strace", "-f", "-qq", "-e", f"trace={SYNCS}"]


def said(run: subprocess.CompletedProcess[str]) -> list[dict]:
    return [json.loads(line) for line in run.stdout.splitlines()]


def live(directory: Path, *strace: str) -> subprocess.CompletedProcess[str]:
    command = [*strace, *WRITER, str(directory)]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60)


def must_hold(directory: Path, told: list[dict]) -> None:
    """Everything that was told is there."""
    with closing(SqliteStore(directory / NAME)) as store:
        pruned = store.pruned()
        gone = pruned.seq if pruned else 0
        found = {record.seq: record.hash.hex() for record in store.after(0)}
        claims, saved = store.claims(), store.checkpoint()
        for line in told:
            if "head" in line:
                assert line["head"] <= gone or found[line["head"]] == line["hash"]
                assert line["claim"] in claims
            assert store.epoch() >= line.get("epoch", 0)
            assert (saved.seq if saved else 0) >= line.get("signed", 0)
            assert gone >= line.get("gone", 0)
        assert [*found] == list(range(gone + 1, gone + 1 + len(found)))
        assert len(claims) * 2 == gone + len(found)  # whole transactions
        if any("epoch" in line for line in told):
            require_exported(store, directory, Signer.open(directory).public)
    report = verify(directory / NAME)
    assert report.ok, report.problem


@pytest.mark.parametrize("call", ["fdatasync", "fsync"])
def test_kill_9_at_every_single_sync_loses_nothing_that_was_acknowledged(tmp_path, strace, call):
    """SQLite calls fdatasync; fsync is for directories, the key, and exported checkpoints."""
    whole = live(tmp_path / "whole", *strace, "-o", str(tmp_path / "trace"))
    assert whole.returncode == 0, whole.stderr
    syncs = len(re.findall(rf"\b{call}\(", (tmp_path / "trace").read_text()))
    assert syncs >= FEWEST[call]
    before = 0
    for nth in range(1, syncs + 1):
        directory = tmp_path / str(nth)
        told = said(killed(directory, strace, call, nth))
        assert before <= len(told), "the kill came earlier than the one before"
        before = len(told)
        must_hold(directory, told)
        shutil.rmtree(directory)
    assert before >= len(said(whole)) - 3, "the last kill came long before the end"


def killed(directory: Path, strace: list[str], call: str, nth: int) -> subprocess.CompletedProcess[str]:
    run = live(directory, *strace, "-o", "/dev/null", "-e", f"inject={call}:signal=KILL:when={nth}")
    assert run.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), (call, nth, run.stderr)
    return run


@pytest.mark.parametrize(("call", "nth"), [("fdatasync", 1), ("fsync", 1), ("fdatasync", 20), ("fsync", 9)])
def test_who_starts_after_the_kill_goes_on(tmp_path, strace, call, nth):
    first = killed(tmp_path, strace, call, nth)
    again = live(tmp_path)
    assert again.returncode == 0, again.stderr
    must_hold(tmp_path, said(first) + said(again))
    assert said(again)[-1] == {"done": True}


def test_nothing_is_told_before_it_is_synced(tmp_path, strace):
    """A kill loses no page that the kernel has: that each answer waits for its sync shows only in the order."""
    trace = tmp_path / "trace"
    names = ["-y", "-s", "40", "-o", str(trace), "-e", f"trace={SYNCS},pwrite64,write"]
    assert live(tmp_path / "state", *strace[:-2], *names).returncode == 0
    unsynced, answers = set(), 0
    for line in trace.read_text().splitlines():
        call = re.search(r"(pwrite64|write|fdatasync|fsync)\((\d+)<([^>]*)>(.*)", line)
        assert call, line
        if call[1] in ("fdatasync", "fsync"):
            unsynced.discard(call[3])
        elif call[2] == "1":
            answers += 1
            assert not {name for name in unsynced if not name.endswith("-shm")}, f"told before it was synced: {line}"
        elif str(tmp_path) in call[3]:
            unsynced.add(call[3])
    assert answers >= 2 * APPENDS
