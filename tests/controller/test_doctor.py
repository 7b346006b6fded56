"""`auto doctor` on one machine: what is not in place is found and named, and looking changes nothing."""

import json
import os
from contextlib import closing
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from actions.plan import Change, Plan, Undo
from audit.chain import Entry
from audit.stores import mounts
from audit.stores.sqlite import SqliteStore
from controller import doctor
from controller.cli.entry import run
from controller.cluster.doctor import _clock
from controller.core.records import AnyRecord, Evidence, Intent, Key, Led, Opened, Outcome, Passed, Step, encode
from controller.doctor import State, examine
from controller.settings import load
from telemetry.sources.kubernetes.client import Answer, Write
from telemetry.target import Target
from telemetry.verdict import Verdict

NOW = 1_800_000_000.0


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.upper().startswith("GYROSTAT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def found(**flags: Any) -> dict[str, list[tuple[State, str, str]]]:
    answers: dict[str, list[tuple[State, str, str]]] = {}
    for finding in examine(load(flags), lambda: NOW):
        answers.setdefault(finding.about, []).append((finding.state, finding.detail, finding.hint))
    return answers


def trail(state: Path, at: float, *more: AnyRecord) -> None:
    with closing(SqliteStore.open(state / "trail.db")) as store:
        epoch = store.lead("me")
        records = (Led(at, epoch, "me"), *more)
        store.append([Entry(at, "controller", type(r).__name__, "", encode(r)) for r in records], epoch=epoch)


def test_where_nothing_is_yet_nothing_is_wrong_and_nothing_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["doctor"]) == 0
    assert "it is made at the first start" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    assert {state for answers in found().values() for state, *_ in answers} == {State.FINE, State.NOTE}


def test_a_trail_that_is_there_is_read_and_left_alone(tmp_path: Path):
    trail(tmp_path / "s", NOW - 60)
    before = {path.name: path.read_bytes() for path in (tmp_path / "s").iterdir()}
    answers = found(state="s")
    assert answers["store"] == [(State.FINE, "1 records; `auto audit verify` checks them all", "")]
    assert answers["clock"] == [(State.FINE, "not behind the last record", "")]
    assert {path.name: path.read_bytes() for path in (tmp_path / "s").iterdir()} == before


def test_a_clock_that_is_behind_the_trail_is_found(tmp_path: Path):
    trail(tmp_path / "s", NOW + 3600)
    ((state, detail, hint),) = found(state="s")["clock"]
    assert (state, detail) == (State.BAD, "the clock is 3600 s behind the last record")
    assert "set the clock" in hint


def test_a_trail_that_can_not_be_read_is_found_and_the_exit_code_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / ".gyrostat").mkdir(mode=0o700)
    (tmp_path / ".gyrostat" / "trail.db").write_bytes(b"no database" * 1000)
    assert run(["--json", "doctor"]) == 3
    rows = json.loads(capsys.readouterr().out)["data"]["findings"]
    (store,) = [row for row in rows if row["about"] == "store"]
    assert store["state"] == "bad"
    assert "the trail can not be read" in store["detail"]


def test_a_network_file_system_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    table = tmp_path / "mounts"
    table.write_text(f"server:/export {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr(mounts, "MOUNTS", table)
    ((state, detail, hint),) = found(state="s")["directory"]
    assert state is State.BAD
    assert "is on nfs4" in detail
    assert "a disk of this machine" in hint


def test_a_full_disk_and_a_folder_that_others_can_read_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "s").mkdir(mode=0o755)
    monkeypatch.setattr(doctor, "LEAST_FREE", 1 << 60)
    mode, free = found(state="s")["directory"]
    assert mode == (State.NOTE, "s has mode 0755: others can look in", "chmod 700 s")
    assert free[0] is State.BAD


def test_a_policy_that_is_wrong_is_found_with_its_place(tmp_path: Path):
    (tmp_path / "p.yaml").write_text("apiVersion: gyrostat.dev/v1alpha1\nkind: Remedy\n")
    ((state, detail, _),) = found(policies="p.yaml")["policies"]
    assert state is State.BAD
    assert detail.startswith("p.yaml:2:7: kind: 'Remedy' is not allowed")
    ((state, detail, _),) = found(policies="library")["policies"]
    assert state is State.FINE
    assert "(modes: Observe)" in detail


def test_a_cluster_to_which_there_is_no_way_is_said_in_one_line(tmp_path: Path):
    ((state, detail, hint),) = found(kubernetes="nowhere.kubeconfig")["cluster"]
    assert state is State.BAD
    assert "nowhere.kubeconfig" in detail
    assert "kubeconfig file" in hint
    ((state, detail, _),) = found(kubernetes="in-cluster")["cluster"]
    assert (state, "this is no pod" in detail) == (State.BAD, True)


class Slow:
    """An API server whose answers take `seconds`, and whose clock is `ahead`."""

    def __init__(self, seconds: float, ahead: float) -> None:
        self.at, self.seconds, self.ahead = NOW, seconds, ahead

    def now(self) -> float:
        return self.at

    def write(self, what: Write) -> Answer:
        self.at += self.seconds
        there = format_datetime(datetime.fromtimestamp(int(self.at - self.seconds / 2 + self.ahead), UTC), usegmt=True)
        return Answer(201, b"{}", {"date": there})


@pytest.mark.parametrize(("seconds", "ahead", "fine"), [
    (0.01, 0.0, True), (0.01, 4.0, True), (0.01, -4.0, True), (0.01, 7.0, False), (0.01, -7.0, False),
    (60.0, 0.0, True),  # an answer that takes long says nothing about clocks
    (60.0, 40.0, False),
])  # fmt: skip
def test_only_a_clock_that_is_surely_wrong_is_called_so(seconds: float, ahead: float, fine: bool):
    server = Slow(seconds, ahead)
    assert (_clock(server, server.now).state is State.FINE) is fine


def test_what_is_still_in_force_keeps_it_from_going(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    target = Target("local", "Service", "shop", "cart", "u1")
    key = Key("shop/slow", target)
    plan = Plan((Change(target, "desired", 2, 3),), undo=Undo.REVERSIBLE, hold=1800.0)
    held = Intent(NOW, key, 1, Step.DO, 0, "Scale", plan.changes, plan, NOW, NOW + 60)
    opened = Opened(NOW, key, "e1", "h", Evidence(1.0, 1.0, 1.0, 1.0))
    trail(tmp_path / ".gyrostat", NOW, opened, held, Outcome(NOW, key, 1, Verdict.PASS), Passed(NOW, key, 1))
    assert run(["uninstall", "--check"]) == 3
    told = capsys.readouterr()
    assert "instances 2 → 3" in told.out
    assert "auto undo EPISODE" in told.out + told.err


def test_where_nothing_was_changed_it_may_go(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    trail(tmp_path / ".gyrostat", NOW)
    assert run(["uninstall", "--check"]) == 0
    assert "nothing that it changed is in force" in capsys.readouterr().out
    assert run(["uninstall"]) == 2
