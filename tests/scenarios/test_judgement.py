"""Judgement: mass failures (P6, F19), cures that make it worse (F22), and fields that must not flap (P12)."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest

from actions.reason import Reason
from controller.core.records import OWN_STORM, Closed, Held, Result, Said, Step, Storm, Verb
from telemetry.target import Target
from tests.controller.core.world import policy

from .living import LIMITS, START, Living, held, starts, turns

RESTART = policy(
    "restart",
    action={"type": "Restart"},
    until="probe.ok",
    **{"for": "3s"},
    throttle={"cooldown": "1m"},
    verify={"initialDelay": "3s", "within": "30s"},
)
CALM = LIMITS.storm_calm
FAST = replace(LIMITS, max_concurrent=100)


def world(count: int = 20, **given: object) -> tuple[Living, list[Target]]:
    living = Living([RESTART], **given)  # type: ignore[arg-type]
    targets = living.add(count)
    living.run(20)
    assert not starts(living.trail)
    return living, targets


def storms(living: Living) -> list[Storm]:
    return [r for r in living.trail if isinstance(r, Storm)]


# --- F19: a mass failure in one tick


@pytest.mark.parametrize("share", [0.05, 0.30])
def test_what_is_no_storm_is_healed_each_by_itself(share: float) -> None:
    living, targets = world(20)
    sick = targets[: round(share * 20)]
    living.sicken(*sick)
    done = starts(living.run(120))
    assert {intent.key.target for intent in done} == set(sick)
    assert not storms(living)


@pytest.mark.parametrize("count", [7, 20])
def test_over_the_share_nothing_starts_until_calm_and_the_calm_time_are_over(count: int) -> None:
    living, targets = world(20)
    living.sicken(*targets[:count])
    records = living.run(300)
    assert not starts(records)
    begun = storms(living)[0]
    assert begun.at == START + 21  # the very tick at which it shows
    assert f"{count} of 20" in begun.why
    assert set(held(records)) == {Reason.STORM}
    for n in range(0, count, 3):  # they come back in a ragged order; five stay sick, which alone is no storm
        living.cure(*targets[5:][n : n + 3])
        assert not starts(living.run(2))
    calm = living.now
    records = living.run(CALM - 30)
    assert not starts(records), "the calm time is not over"
    records = living.run(CALM)
    assert {intent.key.target for intent in starts(records)} == set(targets[:5])
    assert starts(records)[0].at >= calm + CALM - 2 * count
    assert storms(living)[-1].over


def test_each_of_those_that_the_storm_holds_would_have_been_acted_on_alone() -> None:
    living, targets = world(20)
    living.sicken(*targets)
    together = living.run(60)
    spared = {r.key.target for r in together if isinstance(r, Held) and r.reason is Reason.STORM}
    assert not starts(together)
    assert spared == set(targets)
    for n in range(20):
        alone, same = world(20)
        alone.sicken(same[n])
        assert [intent.key.target.name for intent in starts(alone.run(30))] == [same[n].name]


def test_a_relapse_begins_the_calm_time_anew() -> None:
    living, targets = world(20)
    living.sicken(*targets[:10])
    living.run(30)
    living.cure(*targets[:10])
    living.run(CALM - 60)
    living.sicken(*targets[:10])
    living.run(10)
    living.cure(*targets[:10])
    since = living.now
    living.sicken(targets[0])
    records = living.run(2 * CALM)
    assert starts(records)[0].at >= since + CALM


def test_a_storm_flickering_at_its_threshold_is_few_records() -> None:
    living, targets = world(20)
    flip = {"n": 0}

    def flicker(world: Living) -> None:
        flip["n"] += 1
        (world.sicken if flip["n"] % 2 else world.cure)(*targets[:7])

    living.other = flicker
    records = living.run(600)
    assert not starts(records)
    assert len(storms(living)) <= 3 * 600 / (0.1 * CALM)


def test_losing_telemetry_is_a_storm_and_a_fresh_start_is_none() -> None:
    living, targets = world(20)
    assert not storms(living), "nothing was ever known: that is warm-up"
    living.dark = frozenset(targets[:10])
    living.sicken(targets[19])
    living.run(5)
    records = living.run(60)
    assert [s.group for s in storms(living)] == ["memory"]
    assert "10 of 20" in storms(living)[0].why
    assert not starts(records)


def test_what_was_stopped_on_purpose_is_not_unknown() -> None:
    living, targets = world(20)
    for target in targets[:10]:
        living.platform.workloads[target].minimum = 0
        living.platform.edit(target, 0)
    living.run(60)
    assert not storms(living)


def test_a_storm_in_one_namespace_leaves_the_others_alone() -> None:
    living, targets = world(10)
    others = living.add(40, "billing")
    living.run(20)
    living.sicken(*targets[:8], others[0])
    records = living.run(60)
    assert [s.group for s in storms(living)] == ["memory/shop"]
    assert {intent.key.target for intent in starts(records)} == {others[0]}


def test_a_storm_outlives_the_controller_and_what_nobody_watched_was_not_calm() -> None:
    living, targets = world(20)
    living.sicken(*targets[:10])
    living.run(30)
    living.cure(*targets[:10])
    living.run(30)
    assert living.state.storms["memory"].until
    living.now += 2 * CALM  # nobody watched
    living.platform.step(2 * CALM)
    living.restart()
    since = living.now
    living.sicken(targets[0])
    records = living.run(3 * CALM)
    assert starts(records)[0].at >= since + CALM


def test_what_runs_when_a_storm_begins_is_finished() -> None:
    living, targets = world(20)
    living.sicken(targets[0])
    living.run(4)
    assert starts(living.trail)
    living.sicken(*targets[1:])
    records = living.run(120)
    assert not starts(records)
    assert [r.result for r in records if isinstance(r, Closed) and r.key.target == targets[0]] == [Result.HEALED]


# --- our own actions do not help


def own_storm() -> tuple[Living, list[Target]]:
    living, targets = world(20, limits=FAST)
    for target in targets[:3]:
        living.platform.workloads[target].broken = True
    living.sicken(*targets[:3])
    living.run(60)
    assert living.state.results == [False] * 3
    assert OWN_STORM in living.state.storms
    return living, targets


def test_three_of_the_last_five_that_did_not_help_stop_everything_for_a_while() -> None:
    living, targets = own_storm()
    since = living.state.storms[OWN_STORM].at
    living.sicken(targets[10])
    records = living.run(CALM + 30)
    assert held(records)["OwnStorm"]
    assert starts(records)[0].at >= since + CALM


def test_a_person_who_looked_ends_it() -> None:
    living, targets = own_storm()
    living.sicken(targets[10])
    assert not starts(living.run(30))
    living._take(Said(living.now, "ann", Verb.ACK, "a bad image, rolled back", OWN_STORM))
    assert targets[10] in {intent.key.target for intent in starts(living.run(30))}


def test_it_outlives_the_controller() -> None:
    living, targets = own_storm()
    living.restart()
    living.sicken(targets[10])
    assert not starts(living.run(60))


# --- P12, F22: no flapping


SCALE = {"type": "Scale", "scale": {"by": "+2"}, "hold": "1m"}
UP = policy(
    "up",
    when="cpu.ratio > 0.8",
    until="cpu.ratio < 0.7",
    action=SCALE,
    **{"for": "3s"},
    throttle={"cooldown": "0s"},
    verify={"initialDelay": "3s", "within": "30s"},
)
DOWN = policy(
    "down",
    when="cpu.ratio < 0.75",
    until="cpu.ratio > 0.4",
    action={"type": "Scale", "scale": {"by": "-2", "min": 1}},
    **{"for": "3s"},
    throttle={"cooldown": "0s"},
    severity="Info",
    verify={"initialDelay": "3s", "within": "30s"},
)
HOUR = 3600.0
EAGER = replace(FAST, attempts=100, backoff_first=1.0, backoff_max=1.0, own_failures=6)
"""Nothing but the guard against flapping slows it down."""


def constant(living: Living) -> None:
    """The load stays as it is, whatever we do."""


def worse(living: Living) -> None:
    """More instances make it worse: the busier, the more there are."""
    for target, workload in living.platform.workloads.items():
        living.load[target] = 0.85 * workload.desired


def flickering(living: Living) -> None:
    """The measure swings around the threshold of verification."""
    for target, workload in living.platform.workloads.items():
        living.load[target] = workload.desired * (0.9 if int(living.now) % 7 < 4 else 0.65)


@pytest.mark.parametrize("input_", [constant, worse, flickering])
@pytest.mark.parametrize("both", [False, True])
def test_a_field_changes_direction_at_most_twice_an_hour_and_ever_more_rarely(
    input_: Callable[[Living], None], both: bool
) -> None:
    living = Living([UP, DOWN] if both else [UP], EAGER, other=input_)
    (target,) = living.add(1, instances=4)
    living.load[target] = 3.9
    living.run(24 * HOUR, step=20.0)
    turned = turns(living.trail, target)
    assert starts(living.trail)
    assert len(turned) >= 2, "nothing was tried that could have flapped"
    assert all(c - a >= HOUR for a, c in zip(turned, turned[2:], strict=False)), turned
    first, last = (sum(lo <= at - START < lo + 6 * HOUR for at in turned) for lo in (0, 18 * HOUR))
    assert last < first or last <= 2


def test_what_makes_it_worse_is_put_back_by_its_deadline_and_not_tried_again_within_the_hour() -> None:
    """F22."""
    living = Living([UP], EAGER, other=worse)
    (target,) = living.add(1, instances=4)
    living.run(6 * HOUR, step=5.0)
    undone = [r for r in living.trail if getattr(r, "step", None) is Step.UNDO]
    for intent in starts(living.trail):
        (undo,) = [r for r in undone if r.plan == intent.plan and intent.at < r.at <= intent.due + 5]
        assert undo.at - intent.at <= UP.within + 5
    assert all(b.at - a.at >= HOUR for a, b in pairwise(undone))
    assert living.platform.workloads[target].desired == 4


def test_two_policies_that_pull_at_one_field_are_kept_apart() -> None:
    living = Living([UP, DOWN], EAGER)
    (target,) = living.add(1, instances=4)
    living.load[target] = 3.9
    living.run(HOUR, step=5.0)
    living.load[target] = 0.5
    records = living.run(600, step=5.0)
    assert held(records).get("Flapping") or held(records).get("Claimed")


# --- F20: somebody else wants it otherwise


def test_what_somebody_else_took_back_twice_is_left_alone() -> None:
    living = Living([UP], replace(EAGER, attempts=100))
    (target,) = living.add(1, instances=4)
    living.load[target] = 10.0

    def fights_back(world: Living) -> None:
        if world.platform.workloads[target].desired != 4:
            world.platform.edit(target, 4)
        for episode in list(world.state.episodes.values()):
            if episode.needs_human:
                world._take(Said(world.now, "ann", Verb.ACK, "looked", episode.id))

    living.other = fights_back
    records = living.run(6 * HOUR, step=5.0)
    assert len(starts(records)) == 2
    assert held(records)["Contested"] == 1
