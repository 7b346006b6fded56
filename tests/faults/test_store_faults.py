"""F12 and F26 on a running loop: a store that is full, fails, is gone, cut, replaced or forged. P16, P18."""

import contextlib
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from controller.compose import STORE
from controller.core.records import Intent, Outcome
from tests.faults.matrix import check
from tests.faults.rig import ROOT, Rig, restart_policy, rig
from tests.needs import need

SERVICE = "cart"
ONE = ({SERVICE: 1}, {SERVICE: restart_policy(SERVICE)})
QUIET = 1.0
"""Seconds, ten ticks, in which nothing may be started."""


def test_a_full_disk_starts_nothing_says_why_and_heals_unaided_once_there_is_space():
    need(os.geteuid() == 0 and shutil.which("unshare"), "needs root and unshare (util-linux)")
    probe = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], check=False, capture_output=True)
    need(probe.returncode == 0, "needs the right to mount a tmpfs in a mount namespace")
    command = ["unshare", "-m", sys.executable, "-m", "tests.faults.on_full_store"]
    run = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr


def trouble(rig: Rig) -> str:
    return rig.view()["loop"]["trouble"]


def healed(rig: Rig) -> bool:
    return not rig.folded().episodes and rig.well(SERVICE)


def starts_nothing(rig: Rig) -> str:
    """A worker hangs, and nothing is done about it; returns its incarnation."""
    before = len(rig.accepted())
    incarnation = rig.hang(SERVICE)
    rig.until(lambda: rig.slots(SERVICE)[0]["ready"] is False, "the supervisor sees it hang")
    time.sleep(QUIET)
    assert len(rig.accepted()) == before
    assert rig.alive(), rig.said()
    return incarnation


@pytest.mark.parametrize(
    ("error", "name", "reason"),
    [
        ("EIO", "Unavailable", r"Input/output error|disk I/O error"),
        ("ENOSPC", "Full", "no space left on its file system"),
        ("EROFS", "ReadOnly", "Read-only file system"),
    ],
)
def test_a_sync_that_fails_starts_nothing_until_it_works_again(error, name, reason):
    need(shutil.which("strace"), "needs strace (apt-get install strace)")
    with rig(*ONE) as made:
        made.start_loop()
        made.view()
        faults = f"inject=fdatasync,fsync,pwrite64:error={error}"
        out = str(made.state / "strace.txt")
        trace = ["strace", "-f", "-qq", "-p", str(made.loop.pid), "-o", out, "-e", "trace=fdatasync,fsync,pwrite64"]
        with subprocess.Popen([*trace, "-e", faults], stderr=subprocess.PIPE) as strace:
            attached = Path(f"/proc/{made.loop.pid}/status")
            made.until(
                lambda: "TracerPid:\t0" not in attached.read_text() or strace.poll() is not None, "strace to attach"
            )
            need(strace.poll() is None, "needs strace with ptrace of a running process")
            incarnation = starts_nothing(made)
            made.wait_for(lambda: re.search(rf"^{name}: .*{STORE}.*({reason})", trouble(made)), f"{name} is said")
            said = made.auto("status", code=3)
            assert f"trouble: {name}" in said.stdout + said.stderr, said
            strace.send_signal(signal.SIGINT)
        assert "INJECTED" in Path(out).read_text()
        made.wait_for(lambda: healed(made), "it heals unaided")
        assert [effect["before"] for effect in made.accepted()] == [incarnation]
        check(made)


@contextlib.contextmanager
def grown():
    """A trail with checkpoints, and an older copy of it; no loop runs."""
    with rig(*ONE) as made:
        old = made.state / "old.db"
        for number in (1, 2):
            made.start_loop()
            made.view()
            made.hang(SERVICE)
            made.wait_for(lambda count=number: len(made.accepted()) == count and healed(made), "it is healed")
            assert made.stop_loop() == 0
            if number == 1:
                shutil.copy(made.state / STORE, old)
        check(made)
        yield made, old


def forge(path: Path) -> None:
    """Let the last outcome say the opposite."""
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        changed = database.execute(
            "UPDATE entries SET body = replace(CAST(body AS TEXT), '\"Pass\"', '\"Fail\"') "
            "WHERE seq = (SELECT max(seq) FROM entries WHERE kind = 'Outcome')"
        )
        assert changed.rowcount == 1


def cut(path: Path) -> None:
    """Take the last two records away, as if they had never been."""
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("DELETE FROM entries WHERE seq > (SELECT max(seq) FROM entries) - 2")
        database.execute("DELETE FROM checkpoints WHERE seq > (SELECT max(seq) FROM entries)")


ATTACKS = {
    "restored from an older copy": (lambda path: shutil.copy(path.with_name("old.db"), path), "Rewound"),
    "cut": (cut, "Rewound"),
    "removed": (Path.unlink, "Rewound"),
    "forged": (forge, "record"),
}


@pytest.fixture(scope="module")
def refusing():
    with grown() as (made, _):
        shutil.copy(made.state / STORE, made.state / "good.db")
        made.hang(SERVICE)
        yield made


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_loop_refuses_to_start_on_a_trail_that_was(attack, refusing):
    work, word = ATTACKS[attack]
    shutil.copy(refusing.state / "good.db", refusing.state / STORE)
    before = len(refusing.accepted())
    work(refusing.state / STORE)
    done = refusing.auto("--json", "loop", code=1)
    assert word in done.stdout + done.stderr, done
    assert "the store can not be used" in done.stdout + done.stderr
    assert refusing.auto("audit", "verify", code=None).returncode != 0 or attack == "removed"
    assert len(refusing.accepted()) == before


def test_a_running_loop_starts_nothing_on_a_trail_that_was_taken_away_or_replaced():
    with grown() as (made, old):
        made.start_loop("loop")
        made.view()
        away = made.state / "away"
        away.mkdir()
        files = [path for path in made.state.iterdir() if path.name.startswith(STORE)]
        for path in files:
            path.rename(away / path.name)
        incarnation = starts_nothing(made)
        assert "is gone" in trouble(made)
        shutil.copy(old, made.state / STORE)
        made.wait_for(lambda: "went back" in trouble(made), "it sees the older copy")
        before = len(made.accepted())
        time.sleep(QUIET)
        assert len(made.accepted()) == before
        said = made.auto("status", code=3)
        assert "went back" in said.stdout + said.stderr
        for path in [path for path in made.state.iterdir() if path.name.startswith(STORE)]:
            path.unlink()
        for path in files:
            (away / path.name).rename(path)
        made.wait_for(lambda: healed(made), "it goes on with the right trail")
        assert made.accepted()[-1]["before"] == incarnation
        made.forget()
        check(made)


def test_an_outcome_that_the_store_did_not_take_is_recorded_later():
    with rig(*ONE) as made:
        made.start_loop()
        made.view()
        order = made.order("called Do", how="stop")
        made.hang(SERVICE)
        made.until(lambda: made.fired(order), "a call is made")
        made.await_stop()
        away = made.state / "away"
        away.mkdir()
        files = [path for path in made.state.iterdir() if path.name.startswith(STORE)]
        for path in files:
            path.rename(away / path.name)
        made.resume()
        made.wait_for(lambda: "is gone" in trouble(made), "the store is missed")
        for path in files:
            (away / path.name).rename(path)
        made.wait_for(lambda: healed(made), "it goes on")
        made.forget()
        outcomes = [record for record in made.records() if isinstance(record, Outcome)]
        assert [outcome.settled for outcome in outcomes] == [False]
        assert sum(isinstance(record, Intent) for record in made.records()) == 1
        check(made)
