"""The checker of the fault tests is shown lies, and must name each of them."""

import json
import subprocess
import sys

import pytest

from actions.plan import Change, Plan, Undo
from controller.core.records import Closed, Evidence, Intent, Key, Led, Opened, Outcome, Passed, Result, Step
from telemetry.target import Target
from telemetry.verdict import Verdict
from tests.faults.checker import findings
from tests.faults.rig import ROOT

TARGET = Target("local", "Service", "shop", "cart", "u1")
KEY = Key("shop/p", TARGET)
CHANGE = Change(TARGET, "slots/0/incarnation", "7@1", "newer")
PLAN = Plan((CHANGE,), (), 1, Undo.TRANSIENT)
CERTAIN = Evidence(1, 1, 1, 1)


def intent(number: int = 1, key: Key = KEY, at: float = 2.0) -> Intent:
    return Intent(at, key, number, Step.DO, 0, "Restart", (CHANGE,), PLAN, at + 1, at + 9)


HONEST = [
    Led(0.0, 1, "host pid 1"),
    Opened(2.0, KEY, "e1", "hash", CERTAIN),
    intent(),
    Outcome(3.0, KEY, 1, Verdict.PASS),
    Passed(4.0, KEY, 1),
    Closed(5.0, KEY, Result.HEALED),
]
EFFECT = {
    "at": 2.5,
    "intent": "i1",
    "target": {"kind": "Service", "namespace": "shop", "name": "cart", "uid": "u1"},
    "path": "slots/0/incarnation",
    "before": "7@1",
    "after": "newer",
}


def without(kind: type) -> list:
    return [record for record in HONEST if not isinstance(record, kind)]


def test_honest_books_have_no_findings():
    assert findings(HONEST, [EFFECT]) == []


OTHER = Key("shop/other", TARGET)
LIES = {
    "no such intent": (without(Intent), [EFFECT]),
    "before its intent": (HONEST, [EFFECT | {"at": 1.0}]),
    "something else": (HONEST, [EFFECT | {"target": EFFECT["target"] | {"uid": "u2"}}]),
    "says something else": (HONEST, [EFFECT | {"after": "newer, at once"}]),
    "done 2 times": (HONEST, [EFFECT, EFFECT]),
    "restarted 2 times": (HONEST, [EFFECT, EFFECT | {"intent": "i2"}]),
    "0 of 1 changes were": (HONEST, []),
    "says not written, and was": (
        [*HONEST[:3], Outcome(3.0, KEY, 1, Verdict.FAIL), Closed(5.0, KEY, Result.DROPPED)],
        [EFFECT],
    ),
    "has no outcome": (without(Outcome), [EFFECT]),
    "is not over": (without(Closed), [EFFECT]),
    "which shop/p:shop/cart holds": (
        [*HONEST[:3], Opened(2.0, OTHER, "e2", "hash", CERTAIN), intent(2, OTHER), *HONEST[3:]],
        [EFFECT],
    ),
    "before [1] were settled": ([*HONEST[:3], Led(2.5, 2, "host pid 2"), intent(2), *HONEST[3:]], [EFFECT]),
    "s after the start": (
        [*HONEST[:3], Led(2.5, 2, "host pid 2"), Outcome(40.0, KEY, 1, Verdict.PASS), *HONEST[4:]],
        [EFFECT],
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_every_lie_is_named(lie: str):
    records, effects = LIES[lie]
    assert any(lie in finding for finding in findings(records, effects)), findings(records, effects)


def test_random_kills_tell_their_seed_and_find_nothing():
    command = [sys.executable, "-m", "tests.faults.random_kills", "2", "--seed", "2"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    last = json.loads(run.stdout.splitlines()[-1])
    assert (last["seed"], last["runs"], last["violated"]) == (2, 2, 0)
