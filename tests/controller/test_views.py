import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.reason import Reason
from controller.core.agents import PolicyAgent
from controller.core.records import OWN_STORM, Closed, Evidence, Held, Opened, Result, Said, Storm, Verb
from controller.core.state import State, fold
from controller.core.tick import tick
from controller.core.wish import Rulebook
from controller.views import VIEWS, find
from controller.views.episodes import history, open_episodes
from controller.views.status import health_of, is_degraded, status, worst_score
from controller.views.words import changes_in_words, instant, phase, sentence, span
from telemetry.signals.definitions import Definitions
from telemetry.signals.load import builtin
from telemetry.snapshot import Snapshot
from telemetry.target import Target
from telemetry.verdict import Verdict
from tests.controller.core.strategies import records as any_record
from tests.controller.core.world import (
    NOW,
    Service,
    intent,
    led,
    opened,
    outcome,
    policy,
    proposal,
    restart_plan,
    rules,
    scale_plan,
    snapshot,
)

CHECKOUT, CART = Service("checkout", "++-"), Service("cart", "++")
HEAL = policy("heal", actions=[{"type": "Restart"}])


@dataclass
class Board:
    now: float
    snapshot: Snapshot
    state: State
    rules: Rulebook
    proposals: tuple = ()
    problems: tuple = ()
    trouble: str = ""
    epoch: int = 3
    metrics: str = "127.0.0.1:9464"
    received: Mapping[str, Any] = field(default_factory=dict)
    signals: Definitions = field(default_factory=builtin)


def health(service: Service, **given: Any) -> tuple[str, str]:
    seen = snapshot(service, **given)
    return health_of(service.target, seen, seen.facts[service.target], 10.0)


@pytest.mark.parametrize(
    ("readiness", "expected", "why"),
    [
        ("+++", "ok", ""),
        ("+-+", "sick", "1 of 3 instances fail their probe"),
        ("+.+", "sick", "1 of 3 instances do not run"),
        ("+?+", "unknown", "no probe has told yet of 1 of 3 instances"),
        ("-?.", "sick", "1 of 3 instances fail their probe"),
        ("", "ok", "stopped on purpose"),
    ],
)
def test_health_follows_the_instances(readiness, expected, why):
    assert health(Service("a", readiness)) == (expected, why)


def test_a_target_with_fewer_ready_than_desired_is_sick():
    assert health(Service("a", "++", desired=3)) == ("sick", "2 of 3 instances are ready")


def test_what_a_silent_platform_said_is_unknown_not_ok():
    assert health(Service("a"), silent={"memory": "nobody answers"})[0] == "unknown"


def test_old_facts_are_unknown_not_ok():
    assert health(Service("a", seen=11.0)) == ("unknown", "memory last answered 11s ago")


def test_status_has_the_paths_that_scripts_read():
    shown = status(snapshot(CHECKOUT, CART), led(HEAL), rules(HEAL))
    assert shown["telemetry"]["health_score"] is None  # nobody sent anything, and silence is not health
    assert shown["remediation"]["enabled"] is True
    assert shown["remediation"]["active_remediations"] == 0
    assert (shown["telemetry"]["ok"], shown["telemetry"]["sick"]) == (1, 1)
    assert is_degraded(shown)


def _working(name: str, completion: float) -> Service:
    return Service(name, "+++", columns={"completion.ratio": completion, "requests.volume": 100.0, "active.count": 5.0})


def test_the_health_score_of_all_is_that_of_the_worst():
    seen = snapshot(_working("a", 1.0), _working("b", 0.25), Service("c"))
    shown = status(seen, led(HEAL), rules(HEAL))
    assert shown["telemetry"]["health_score"] == 0.7
    assert worst_score(seen) == pytest.approx(0.7)
    assert worst_score(snapshot(Service("c"))) is None
    found = {row["target"]: (row["health_score"], row["health_state"]) for row in shown["targets"]}
    assert found == {"shop/a": (1.0, "optimal"), "shop/b": (0.7, "healthy"), "shop/c": (None, None)}


def test_why_shows_the_value_of_every_part_of_a_condition():
    busy = policy("busy", when="cpu.ratio > 0.9 && target.name.startsWith('a') || replicas.ready < 2")
    (shown,) = why(board(Service("a", "+++", columns={"cpu.ratio": 0.95}), policies=(busy,)), "a")["policies"]
    terms = {part["term"]: part["value"] for part in shown["terms"]}
    assert terms["cpu.ratio > 0.9"] is True
    assert terms["target.name"] == "a"
    assert terms["target.name.startsWith('a')"] is True
    assert terms["replicas.ready < 2"] is False
    assert shown["values"] == {"cpu.ratio": 0.95, "replicas.ready": 3.0}


def test_status_is_not_degraded_when_all_is_well():
    shown = status(snapshot(CART), led(HEAL), rules(HEAL))
    assert not is_degraded(shown)
    assert shown["attention"] == []


@pytest.mark.parametrize("stop", ["paused", "frozen"])
def test_status_says_who_stopped_what_by_flag_or_trail(stop):
    verb = {"paused": Verb.PAUSE, "frozen": Verb.FREEZE}[stop]
    by_trail = led(HEAL)
    by_trail.apply(Said(NOW, "alice", verb, "deploy"))
    for shown in (
        status(snapshot(CART), by_trail, rules(HEAL)),
        status(snapshot(CART), led(HEAL), rules(HEAL, **{stop: "alice: deploy"})),
    ):
        assert shown["remediation"]["enabled"] is False
        assert shown["attention"] == [f"{stop} by alice: deploy"]


def test_remediation_is_not_enabled_where_no_policy_may_act():
    watch = policy("watch", mode="Observe")
    assert status(snapshot(CART), led(watch), rules(watch))["remediation"]["enabled"] is False


def test_status_of_one_namespace_leaves_the_others_out():
    shown = status(snapshot(CART, Service("db", namespace="data")), led(), rules(), "data")
    assert [row["target"] for row in shown["targets"]] == ["data/db"]


def test_an_episode_tells_how_far_it_is():
    state = led(HEAL)
    seen = []
    do = intent(HEAL, CHECKOUT, restart_plan(CHECKOUT))
    for record in (
        opened(HEAL, CHECKOUT),
        Held(NOW, do.key, Reason.PAUSED, "alice"),
        do,
        outcome(do),
    ):
        state.apply(record)
        seen.append(phase(next(iter(state.episodes.values()))))
    assert seen == ["open", "held: Paused", "Restart under way", "Restart verifying"]


def test_what_needs_a_human_says_the_command():
    state = led(HEAL)
    do = intent(HEAL, CHECKOUT, restart_plan(CHECKOUT))
    for record in (opened(HEAL, CHECKOUT, 7), do, outcome(do, Verdict.UNKNOWN)):
        state.apply(record)
    state.apply(Closed(NOW, do.key, Result.NEEDS_HUMAN, "no answer"))
    (row,) = open_episodes(NOW, state)
    assert (row["state"], row["detail"], row["next"]) == ("needs human", "no answer", "auto ack e7 --why …")
    assert is_degraded(status(snapshot(CART), state, rules(HEAL)))


def why(board: Board, name: str = "checkout") -> dict:
    return dict(VIEWS["why"](board, {"target": name}))


def board(*services: Service, policies=(HEAL,), proposals=(), **limits) -> Board:
    return Board(NOW, snapshot(*services), led(*policies), rules(*policies, **limits), tuple(proposals))


def test_why_names_every_guard_and_the_one_that_refuses():
    shown = why(board(CHECKOUT, proposals=[proposal(HEAL, CHECKOUT)], paused="alice: deploy"))
    (of_heal,) = shown["policies"]
    assert of_heal["answer"] == "held: Paused: alice: deploy"
    answers = {guard["guard"]: guard["reason"] for guard in of_heal["guards"]}
    assert answers["paused"] == "Paused"
    assert answers["cooldown"] == ""
    assert of_heal["values"] == {"probe.ok": 0.0}
    assert of_heal["plan"] == "Restart: restart instance 2"


def test_why_changes_nothing():
    given = board(CHECKOUT, proposals=[proposal(HEAL, CHECKOUT)])
    before = given.state.fork()
    why(given)
    assert given.state == before


@pytest.mark.parametrize(
    ("service", "answer"),
    [
        (Service("checkout"), "the condition does not hold"),
        (Service("checkout", "++?"), "cannot tell whether the condition holds"),
        (CHECKOUT, "the condition holds, but not yet for 2m"),
    ],
)
def test_why_nothing_is_proposed(service, answer):
    slow = policy("slow", **{"for": "2m"})
    assert why(board(service, policies=[slow]))["policies"][0]["answer"] == answer


def test_why_says_when_a_policy_is_about_others():
    other = policy("other", targets={"names": ["cart"]})
    assert why(board(CHECKOUT, policies=[other]))["policies"][0]["answer"] == "the policy does not select this target"


def test_why_says_that_nothing_stands_in_the_way():
    answer = why(board(CHECKOUT, proposals=[proposal(HEAL, CHECKOUT)]))["policies"][0]["answer"]
    assert answer == "nothing stands in its way: Restart: restart instance 2"


def test_a_name_that_is_nearly_right_is_suggested():
    assert why(board(CHECKOUT), "shop/chekout") == {
        "refused": "no target is called 'shop/chekout'; did you mean shop/checkout?"
    }


def test_a_target_is_found_by_name_only_if_that_is_unique():
    targets = [Target("m", "S", "a", "db"), Target("m", "S", "b", "db"), Target("m", "S", "b", "web")]
    assert find("web", targets) == targets[2]
    assert find("a/db", targets) == targets[0]
    assert find("db", targets) == "more than one target is called 'db': a/db, b/db"
    assert find("zzz", []) == "no target is called 'zzz'; there are: none"


def test_analyze_decides_as_the_tick_and_appends_nothing():
    given = board(CHECKOUT, proposals=[proposal(HEAL, CHECKOUT)])
    before = given.state.fork()
    shown = VIEWS["analyze"](given, {})
    assert [(d["type"], d["result"]) for d in shown["decisions"]] == [("Opened", "would open"), ("Intent", "would act")]
    assert shown["decisions"][1]["confidence"] == 1.0
    assert given.state == before


def test_history_tells_how_each_episode_ended():
    do = intent(HEAL, CHECKOUT, restart_plan(CHECKOUT))
    scale = policy("scale")
    trail = [
        opened(HEAL, CHECKOUT, 1, at=NOW),
        do,
        outcome(do),
        Closed(NOW + 5, do.key, Result.HEALED, helped=True),
        opened(scale, CART, 2, at=NOW),
        Held(NOW + 1, proposal(scale, CART).key, Reason.MODE, "Observe"),
        Closed(NOW + 9, proposal(scale, CART).key, Result.RECOVERED),
    ]
    first, second = history(trail)
    assert (first["episode"], first["success"], first["action"], first["attempts"]) == ("e1", True, "Restart", 1)
    assert (second["episode"], second["success"], second["held"], second["seconds"]) == ("e2", True, "Mode", 9.0)


@given(st.lists(any_record, max_size=40))
def test_any_trail_can_be_shown(records):
    state = fold(records)
    for record in records:
        line = sentence(record)
        assert line
    rows = [*history(records), *open_episodes(NOW, state)]
    json.dumps(rows, allow_nan=False)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.9, "59s"), (60, "1m"), (200, "3m20s"), (7200, "2h"), (90_000, "1d1h"), (-1, "0s")],
)
def test_spans_have_two_units_at_most(seconds, text):
    assert span(seconds) == text


def test_instants_are_utc_with_milliseconds():
    assert instant(0.5) == "1970-01-01T00:00:00.500Z"


def test_changes_are_told_in_words():
    many = scale_plan(CART).changes + restart_plan(CART).changes * 4
    assert changes_in_words(many) == "instances 3 → 5, restart instance 0, restart instance 0 and 2 more"
    assert changes_in_words(()) == "nothing is written"


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_every_view_is_plain_data(name):
    shown = VIEWS[name](board(CHECKOUT, CART, proposals=[proposal(HEAL, CHECKOUT)]), {"target": "cart"})
    assert json.loads(json.dumps(shown, allow_nan=False)).keys() == shown.keys()


def test_a_platform_that_does_not_answer_is_a_reason_to_look_even_if_it_lists_nothing():
    silent = snapshot(silent={"local": "nobody answers"})
    assert is_degraded(status(silent, State(), rules(HEAL)))


def test_why_shows_what_holds_an_episode_that_was_not_looked_at_in_this_tick() -> None:
    wish = proposal(HEAL, CHECKOUT, Evidence(0.42, 0.7, 0.75, 0.8, samples=9))
    seen = board(CHECKOUT, paused="alice: deploy", proposals=[wish])
    seen.state.apply(Opened(NOW - 5, wish.key, "e1", HEAL.hash, wish.evidence))
    (shown,) = why(replace(seen, proposals=()))["policies"]
    assert shown["answer"].startswith("held: Paused")
    assert shown["confidence"] == 0.42
    assert shown["rests_on"] == {"decisiveness": 0.7, "coverage": 0.75, "reliability": 0.8}


def test_status_names_the_storms_and_that_nothing_is_enabled() -> None:
    seen = board(CHECKOUT)
    seen.state.apply(Storm(NOW, "memory", "9 of 10 targets are sick or unknown"))
    seen.state.apply(Storm(NOW, OWN_STORM, "3 of our last 5 actions did not help", until=NOW + 60))
    shown = status(seen.snapshot, seen.state, seen.rules)
    assert [storm["group"] for storm in shown["remediation"]["storms"]] == ["memory", OWN_STORM]
    assert not shown["remediation"]["enabled"]
    assert any("9 of 10" in line for line in shown["attention"])
    seen.state.apply(Storm(NOW, "memory", "", over=True))
    seen.state.apply(Said(NOW, "ann", Verb.ACK, "looked", OWN_STORM))
    assert status(seen.snapshot, seen.state, seen.rules)["remediation"]["enabled"]


def test_analyze_shows_what_was_told_its_reason_before() -> None:
    watch = policy("watch", mode="Observe")
    seen = board(CHECKOUT, policies=[watch])
    agent = PolicyAgent()
    for _ in range(2):
        found = agent.propose(NOW, seen.snapshot, [watch], seen.state, seen.rules.limits)
        for record in tick(NOW, seen.snapshot, seen.state, found, seen.rules):
            seen.state.apply(record)
    assert not found
    (decision,) = VIEWS["analyze"](replace(seen, proposals=found), {})["decisions"]
    assert decision["result"] == "held: Mode"
