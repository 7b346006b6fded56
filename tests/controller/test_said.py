"""What is said in the cluster's API fits the kinds that it is said in, and is bounded."""

from collections import Counter
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.plan import Change, Plan, Undo
from actions.reason import Reason
from controller.cluster import said
from controller.cluster.limits import Bucket, Recently
from controller.core.records import (
    Closed,
    Evidence,
    Held,
    Intent,
    Key,
    Led,
    Loaded,
    Opened,
    Outcome,
    Passed,
    Result,
    Step,
)
from controller.core.state import fold
from policies.objects import compile_object
from telemetry.documents import Problem
from telemetry.target import Target
from telemetry.verdict import Verdict

from .test_crds import schema, unknown

TARGET = Target("kubernetes", "Deployment", "shop", "checkout", "6f1c")
KEY = Key("shop/slow", TARGET)
EVIDENCE = Evidence(0.815, 0.9, 1.0, 0.9)
PLAN = Plan((Change(TARGET, "desired", 2, 3),), undo=Undo.REVERSIBLE)
OPENED = Opened(100.0, KEY, "e7", "h", EVIDENCE)
HELD = Held(101.0, KEY, Reason.MODE, "the mode is Observe")
INTENT = Intent(102.0, KEY, 1, Step.DO, 0, "Scale", PLAN.changes, PLAN, 110.0, 120.0)
OUTCOME = Outcome(103.0, KEY, 1, Verdict.PASS)
PASSED = Passed(112.0, KEY, 1)
HEALED = Closed(113.0, KEY, Result.HEALED, "it is well", helped=True)
STORY = (OPENED, HELD, INTENT, OUTCOME, PASSED)
SPEC: dict[str, Any] = {"targets": {"names": ["a"]}, "when": "probe.ok", "action": {"type": "Restart"}}
OBJECT = {"apiVersion": "gyrostat.dev/v1alpha1", "kind": "RemediationPolicy"}
POLICY = compile_object({**OBJECT, "metadata": {"name": "slow", "namespace": "shop"}, "spec": SPEC})


def fits(status: dict[str, Any], kind: str) -> None:
    """The API server would keep every field of it."""
    node = schema(kind)["properties"]["status"]
    jsonschema.validate(status, node)
    assert list(unknown({"status": status}, {"properties": {"status": node}})) == []


@pytest.mark.parametrize("count", range(1, len(STORY) + 1))
def test_an_episode_fits_its_kind_however_far_it_has_come(count: int):
    (episode,) = fold(STORY[:count]).episodes.values()
    status = said.episode_status(episode)
    fits(status, "Episode")
    assert (status["policy"], status["target"], status["uid"]) == ("shop/slow", "Deployment/checkout", "6f1c")
    assert status["confidencePercent"] == 82
    assert status["held"] == ("Mode" if count == 2 else "")


def test_the_end_of_an_episode_fits_its_kind():
    fits(said.ended_status(HEALED), "Episode")
    assert said.ended_status(HEALED)["closed"] == "1970-01-01T00:01:53Z"
    assert said.ended_status(HEALED)["target"] == "Deployment/checkout"  # it may be all that is ever said of it


def test_a_status_counts_what_is_open_by_reason_and_what_ended():
    other = Key("shop/slow", Target("kubernetes", "Deployment", "shop", "cart", "77"))
    human = [Opened(100.0, other, "e8", "h", EVIDENCE), Closed(101.0, other, Result.NEEDS_HUMAN)]
    elsewhere = Opened(100.0, Key("shop/other", TARGET), "e9", "h", EVIDENCE)
    state = fold([OPENED, HELD, *human, elsewhere])
    standing = said.Standing(3, POLICY)
    ended = Counter({Result.HEALED: 2, Result.UNDONE: 1, Result.RECOVERED: 5, Result.DROPPED: 9})
    status = said.policy_status("shop/slow", standing, state, ended, {}, 200.0)
    fits(status, "RemediationPolicy")
    assert status["held"] == [{"reason": "Mode", "count": 1}]
    counts = {name: status[name] for name in ("open", "wouldAct", "healed", "undone", "recovered", "needsHuman")}
    assert counts == {"open": 2, "wouldAct": 1, "healed": 2, "undone": 1, "recovered": 5, "needsHuman": 1}
    assert status["hash"] == POLICY.hash


def test_a_condition_keeps_the_time_of_its_last_change_and_only_that():
    state = fold([])
    good, bad = said.Standing(1, POLICY), said.Standing(2, POLICY, [Problem("P x", 0, 0, "spec.when", "is wrong")])
    first = said.policy_status("shop/slow", good, state, {}, {}, 100.0)
    later = said.policy_status("shop/slow", said.Standing(2, POLICY), state, {}, first, 200.0)
    broken = said.policy_status("shop/slow", bad, state, {}, later, 300.0)
    times = [status["conditions"][0]["lastTransitionTime"] for status in (first, later, broken)]
    assert times == ["1970-01-01T00:01:40Z", "1970-01-01T00:01:40Z", "1970-01-01T00:05:00Z"]
    assert broken["conditions"][0]["message"] == "spec.when: is wrong. The last good one stays in force."
    assert (broken["conditions"][0]["reason"], broken["observedGeneration"]) == ("Invalid", 2)


def test_an_object_with_a_hundred_mistakes_still_has_a_status():
    problems = [Problem("P x", 0, 0, f"spec.k{number}", "is an unknown key " + "x" * 500) for number in range(100)]
    status = said.policy_status("shop/slow", said.Standing(1, None, problems), fold([]), {}, {}, 1.0)
    fits(status, "RemediationPolicy")
    assert "stays in force" not in status["conditions"][0]["message"]


@pytest.mark.parametrize("record", [HELD, INTENT, Outcome(1.0, KEY, 1, Verdict.UNKNOWN, "x" * 5000), PASSED, HEALED])
def test_an_event_is_one_of_the_api(record: Any):
    made = said.event(record, 5, "gyrostat-7d9f")
    assert made is not None
    kubernetes_validate.validate(made, "1.29", strict=True)
    assert made["regarding"]["uid"] == "6f1c"
    assert len(made["note"]) <= 1024
    assert made["metadata"]["namespace"] == "shop"
    assert made["eventTime"].endswith("Z")
    assert len(made["eventTime"].partition(".")[2]) == 7  # the API takes exactly six digits


def test_no_event_is_made_of_what_nobody_waits_for_or_of_another_platform():
    local = Key("shop/slow", Target("local", "Service", "shop", "checkout", "1"))
    quiet = [OPENED, OUTCOME, Led(1.0, 1, "me"), Loaded(1.0, "p", "h"), Held(1.0, local, Reason.MODE)]
    assert [said.event(record, 1, "me") for record in quiet] == [None] * len(quiet)


def test_who_needs_a_person_is_shown_first_and_no_more_than_asked():
    records: list[Any] = []
    for number in range(20):
        key = Key("shop/slow", Target("kubernetes", "Deployment", "shop", f"d{number}", str(number)))
        records.append(Opened(100.0 + number, key, f"e{number}", "h", EVIDENCE))
        records += [Closed(200.0, key, Result.NEEDS_HUMAN)] if number == 3 else []
    shown = said.newest(fold(records).episodes.values(), 5)
    assert [episode.id for episode in shown] == ["e3", "e19", "e18", "e17", "e16"]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=200))
def test_a_bucket_never_lets_through_more_than_its_rate_and_burst(times: list[float]):
    bucket = Bucket(rate=2.0, burst=5.0)
    let = sum(bucket.take(now) for now in times)
    assert let <= 5 + 2 * (max(times) - times[0] if max(times) > times[0] else 0) + 1e-6
    assert let >= min(len(times), 5)


def test_a_clock_that_goes_back_frees_nothing():
    bucket = Bucket(rate=1.0, burst=1.0)
    assert [bucket.take(now) for now in (100.0, 50.0, 100.5, 101.1)] == [True, False, False, True]


def test_the_same_is_not_said_again_for_a_while_and_memory_is_bounded():
    recently = Recently(600.0, most=2)
    assert [recently.again("a", now) for now in (0.0, 599.0, 600.0)] == [False, True, False]
    assert [recently.again(what, 601.0) for what in ("b", "c", "a")] == [False, False, False]  # `a` had to go
