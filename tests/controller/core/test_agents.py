"""Agents build only what may matter: the same decisions as if everything were built, and never more than that."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actions.reason import Reason
from controller.core.agents import PolicyAgent, _proposal, people, standing_wishes, together
from controller.core.confidence import confidences, decisiveness, evidence, reliability
from controller.core.ranking import OPENED_PER_TICK, PLANNED_PER_SLOT
from controller.core.records import (
    AnyRecord,
    Closed,
    Crowded,
    Failed,
    Held,
    Intent,
    Key,
    Opened,
    Request,
    Result,
    Said,
    Verb,
)
from controller.core.state import State, Track, fold
from controller.core.tick import ENDED_PER_TICK, tick
from controller.core.wish import Limits, Proposals
from policies.evaluate import Holds, search
from policies.policy import Policy

from .world import (
    CALM,
    NOW,
    RESTART,
    SCALE,
    Service,
    at,
    intent,
    led,
    opened,
    outcome,
    policy,
    rules,
    scale_plan,
    snapshot,
)

LOAD = policy("load", when="cpu.ratio > 0.5", targets={"allowAll": True, "max": 5000})


def busy(count: int, **given: object) -> list[Service]:
    """Services that are sick by a load that rises with their number."""
    cells = [{"cpu.ratio": 0.5 + 0.5 * (n + 1) / count} for n in range(count)]
    return [Service(f"s{n:04}", "---", columns=cells[n], **given) for n in range(count)]  # type: ignore[arg-type]


def propose(
    state: State, *services: Service, of: tuple[Policy, ...] = (LOAD,), limits: Limits | None = None
) -> Proposals:
    return PolicyAgent().propose(NOW, snapshot(*services), of, state, limits or rules().limits)


def test_of_a_mass_failure_only_the_best_become_objects_and_the_rest_is_counted() -> None:
    found = propose(led(LOAD), *busy(1000))
    assert len(found) == OPENED_PER_TICK
    assert found.crowd == {"load": 1000 - OPENED_PER_TICK}
    best = {p.key.target.name for p in found}
    kept = [p.evidence.confidence for p in found]
    assert len(best) == OPENED_PER_TICK
    assert min(kept) >= max(p.evidence.confidence for p in propose(led(LOAD), *busy(1000)[:800]))


def test_the_surest_are_the_same_as_if_all_were_built() -> None:
    services = busy(60)
    every = search(LOAD, snapshot(*services), Holds(), NOW)
    sure = {
        f.target: evidence(
            decisiveness(f.ticks_true, f.ticks_total, f.margin),
            f.coverage_known * f.freshness,
            1.0,
            f.samples,
            f.values,
        ).confidence
        for f in every.build(every.rows)
    }
    limits = replace(rules().limits, max_open_episodes=7)
    found = propose(led(LOAD), *services, limits=limits)
    best = sorted(sure, key=lambda target: (-sure[target], target))[:7]
    assert {p.key.target for p in found} == set(best)
    assert {p.key.target: p.evidence.confidence for p in found} == {target: sure[target] for target in best}
    assert found.crowd == {"load": 53}


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), *[st.floats(0, 1)] * 3), min_size=1, max_size=9))
def test_the_confidence_of_many_is_that_of_each(cells: list[tuple[float, ...]]) -> None:
    from policies.evaluate import Support

    true, more, margin, known, fresh = (np.array(part, float) for part in zip(*cells, strict=True))
    many = confidences(Support(true, true + more, margin, known, fresh, true), 0.9)
    each = [evidence(decisiveness(t, t + m, far), k * f, 0.9, 0, ()).confidence for t, m, far, k, f in cells]
    assert many.tolist() == pytest.approx(each, abs=1.5e-4)


def test_policies_that_rank_first_get_the_episodes_first() -> None:
    low, high = policy("low", when="cpu.ratio > 0.5", priority=1), policy("high", when="cpu.ratio > 0.5", priority=9)
    found = propose(led(low, high), *busy(OPENED_PER_TICK), of=(low, high))
    assert {p.key.policy for p in found} == {"high"}
    assert found.crowd == {"low": OPENED_PER_TICK}


def test_what_is_left_over_by_those_that_rank_first_goes_to_the_next() -> None:
    low, high = policy("low", when="cpu.ratio > 0.5", priority=1), policy("high", when="cpu.ratio > 0.9", priority=9)
    found = propose(led(low, high), *busy(100), of=(low, high))
    assert {p.key.policy for p in found} == {"high", "low"}


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), st.integers(1, 40), st.integers(1, 4))
def test_no_tick_costs_more_than_its_bounds_whatever_is_sick(count: int, most: int, places: int) -> None:
    """S11: objects and records of a tick are bounded by free places and caps."""
    limits = Limits(warmup=0.0, max_open_episodes=most, max_concurrent=places, **CALM)
    watch = policy("watch", when="cpu.ratio > 0.5", mode="Observe")
    agent, state, book = PolicyAgent(), led(LOAD, watch), rules(LOAD, watch, limits=limits)
    seen = snapshot(*busy(count))
    for n in range(5):
        now = NOW + n
        found = agent.propose(now, at(seen, now), (LOAD, watch), state, limits)
        assert len(found) <= OPENED_PER_TICK + PLANNED_PER_SLOT * places
        records = tick(now, at(seen, now), state, found, book)
        for record in records:
            state.apply(record)
        said = [r for r in records if isinstance(r, Held | Intent)]
        assert len(said) <= 2 * PLANNED_PER_SLOT * places
    assert len(state.episodes) == 2 * min(count, most)
    assert state.crowded.get("load", 0) == max(0, count - most)


def test_a_wish_that_was_told_its_policy_may_not_act_is_not_planned_again() -> None:
    watch = policy("watch", when="cpu.ratio > 0.5", mode="Observe")
    agent, state, book = PolicyAgent(), led(watch), rules(watch)
    seen = snapshot(*busy(3))
    said = []
    for n in range(3):
        found = agent.propose(NOW + n, at(seen, NOW + n), (watch,), state, rules().limits)
        said.append(len(found))
        for record in tick(NOW + n, at(seen, NOW + n), state, found, book):
            state.apply(record)
    assert said == [3, 0, 0]
    assert {e.held for e in state.episodes.values()} == {Reason.MODE}


def test_an_approval_makes_it_be_planned_again() -> None:
    asks = policy("asks", when="cpu.ratio > 0.5", mode="Approve")
    agent, state, book = PolicyAgent(), led(asks), rules(asks)
    seen, started = snapshot(*busy(1)), []
    for n in range(4):
        if n == 3:
            state.apply(Said(NOW + 2.5, "ann", Verb.APPROVE, "go", "e1"))
        found = agent.propose(NOW + n, at(seen, NOW + n), (asks,), state, rules().limits)
        records = tick(NOW + n, at(seen, NOW + n), state, found, book)
        started.append(any(isinstance(r, Intent) for r in records))
        for record in records:
            state.apply(record)
    assert started == [False, False, False, True]


def test_a_mass_recovery_is_closed_in_portions() -> None:
    services = busy(ENDED_PER_TICK + 50)
    watch = policy("watch", when="cpu.ratio > 0.5", mode="Observe")
    limits = replace(rules().limits, max_open_episodes=1000)
    agent, state, book = PolicyAgent(), led(watch), rules(watch, limits=limits)
    ended, crowds = [], []
    for n in range(6):
        cells = {"cpu.ratio": 0.1}
        seen = snapshot(*services) if n < 3 else snapshot(*(replace(s, columns=cells) for s in services))
        found = agent.propose(NOW + n, at(seen, NOW + n), (watch,), state, limits)
        records = tick(NOW + n, at(seen, NOW + n), state, together([], found), book)
        ended.append(sum(isinstance(r, Closed) for r in records))
        crowds += [r.count for r in records if isinstance(r, Crowded)]
        assert sum(isinstance(r, Opened) for r in records) <= OPENED_PER_TICK
        for record in records:
            state.apply(record)
    assert ended == [0, 0, 0, ENDED_PER_TICK, 50, 0]
    assert crowds == [50, 0]
    assert not state.episodes


def test_labels_that_change_change_the_selection() -> None:
    web = policy("web", when="cpu.ratio > 0.5", targets={"selector": {"matchLabels": {"tier": "web"}}})
    agent, state = PolicyAgent(), led(web)
    one, two = busy(2)
    first = snapshot(replace(one, labels={"tier": "web"}), two)
    second = snapshot(one, replace(two, labels={"tier": "web"}))
    second = replace(second, targets=first.targets)
    names = [
        [p.key.target.name for p in agent.propose(NOW + n, at(seen, NOW + n), (web,), state)]
        for n, seen in enumerate((first, second, first))
    ]
    assert names == [["s0000"], ["s0001"], ["s0000"]]


def test_a_selection_that_is_refused_is_named_and_no_other() -> None:
    few = policy("few", when="cpu.ratio > 0.5", targets={"allowAll": True, "max": 2})
    agent = PolicyAgent()
    agent.propose(NOW, snapshot(*busy(3)), (few, LOAD), led(few, LOAD), rules().limits)
    assert list(agent.refused) == ["few"]
    assert agent.refused["few"]


@pytest.mark.parametrize(("severity", "sick"), [("Info", 0), ("Warning", 4), ("Critical", 4)])
def test_a_condition_of_severity_warning_or_above_makes_its_targets_count_as_sick(severity: str, sick: int) -> None:
    of = policy("any", when="cpu.ratio > 0.5", severity=severity)
    services = [replace(s, readiness="+++") for s in busy(4)]
    counts = propose(led(of), *services, of=(of,)).counts
    assert {ill for ill, _ in counts.values()} == ({sick} if sick else set())


def test_new_episodes_fill_the_places_that_are_left() -> None:
    services = busy(6)
    state = fold([opened(LOAD, s, n) for n, s in enumerate(services[:2], 1)], led(LOAD))
    for most, new in ((2, 0), (3, 1), (5, 3), (9, 4)):
        limits = replace(rules().limits, max_open_episodes=most)
        found = propose(state, *services, limits=limits)
        opened_ = [p for p in found if p.key not in state.episodes]
        assert (len(opened_), found.crowd.get("load", 0)) == (new, 4 - new)


def test_an_episode_that_acts_waits_for_a_person_or_has_another_policy_is_not_proposed_again() -> None:
    one, *_ = services = busy(1)
    key = Key("load", one.target)
    begun = intent(LOAD, one, scale_plan(one), at=NOW - 10)
    over = [begun, outcome(begun), Closed(NOW - 5, key, Result.NEEDS_HUMAN)]
    for records, proposed in (([], 1), ([begun], 0), (over, 0)):
        state = fold([opened(LOAD, one), *records], led(LOAD))
        assert len(propose(state, *services)) == proposed
    changed = policy("load", when="cpu.ratio > 0.5", targets={"allowAll": True, "max": 5000}, priority=7)
    assert len(propose(fold([opened(LOAD, one)], led(LOAD)), *services, of=(changed,))) == 0


def test_a_wish_for_a_further_rung_rests_on_that_rungs_record() -> None:
    ladder = policy("load", when="cpu.ratio > 0.5", actions=[SCALE, RESTART], onFailure="Next")
    (one,) = busy(1)
    first = intent(ladder, one, scale_plan(one), at=NOW - 10)
    failed = [first, outcome(first), Failed(NOW - 5, first.key, 1, 1)]
    state = fold([opened(ladder, one), *failed], led(ladder))
    state.track = {("load", "Scale"): Track(0, 50), ("load", "Restart"): Track(9, 1)}
    (wish,) = propose(state, one, of=(ladder,))
    assert wish.evidence.reliability == round(reliability(Track(9, 1)), 4)
    (fresh,) = propose(led(ladder), one, of=(ladder,))
    assert fresh.evidence.reliability == 1.0


def test_what_a_person_asks_is_proposed_in_their_name_while_its_policy_is_known() -> None:
    (one,) = busy(1)
    request = Request(one.target, LOAD.name, LOAD.hash, NOW + 60)
    state = fold([Said(NOW, "ann", Verb.ACT, "help", request=request)], led(LOAD))
    (wish,) = people(state, {LOAD.hash: LOAD})
    assert (wish.key, wish.policy_hash, wish.by_person) == (Key("load", one.target), LOAD.hash, "ann")
    assert people(state, {}) == []


def test_a_held_wish_whose_condition_holds_is_still_shown() -> None:
    one, two, three, four = services = busy(4)
    calm = replace(four, columns={"cpu.ratio": 0.1})
    seen = snapshot(one, two, three, calm)
    records: list[AnyRecord] = [opened(LOAD, s, n) for n, s in enumerate(services, 1)]
    records += [Held(NOW - 5, Key("load", s.target), Reason.MODE) for s in (one, three, four)]
    records += [Closed(NOW - 4, Key("load", three.target), Result.NEEDS_HUMAN)]
    state = fold(records, led(LOAD))
    state.episodes[Key("load", three.target)] = msgspec.structs.replace(
        state.episodes[Key("load", three.target)], held=Reason.MODE
    )
    held, policies = Key("load", one.target), {LOAD.hash: LOAD}
    (wish,) = standing_wishes(seen, state, policies, [])
    assert (wish.key, wish.policy_hash, wish.evidence) == (held, LOAD.hash, state.episodes[held].evidence)
    assert standing_wishes(seen, state, policies, [wish]) == []
    assert standing_wishes(seen, state, {}, []) == []
    assert standing_wishes(snapshot(two), state, policies, []) == []


@pytest.mark.parametrize("name", ["severity", "priority"])
def test_of_what_waits_the_higher_rank_is_looked_at_first(name: str) -> None:
    low, high = {"severity": ("Info", "Critical"), "priority": (1, 99)}[name]
    first, second = (policy(n, when="cpu.ratio > 0.5", **{name: v}) for n, v in (("a", low), ("b", high)))
    (one,) = busy(1)
    state = fold([opened(first, one, 1), opened(second, one, 2)], led(first, second))
    assert [p.key.policy for p in propose(state, one, of=(first, second))] == ["b", "a"]


def test_a_condition_must_hold_for_as_long_as_its_policy_asks() -> None:
    slow = policy("slow", when="cpu.ratio > 0.5", **{"for": "2s"})
    agent, state, seen = PolicyAgent(), led(slow), snapshot(*busy(1))
    found = [len(agent.propose(NOW + n, at(seen, NOW + n), (slow,), state, rules().limits)) for n in range(4)]
    assert found == [0, 0, 1, 1]


def test_of_two_policies_of_one_rank_the_surer_wish_comes_first() -> None:
    sure, unsure = (policy(n, when=f"cpu.ratio > {v}") for n, v in (("z", 0.1), ("a", 0.99)))
    service = Service("web", "---", columns={"cpu.ratio": 1.0})
    assert [p.key.policy for p in propose(led(sure, unsure), service, of=(unsure, sure))] == ["z", "a"]


def test_policies_that_rank_alike_share_the_episodes_by_confidence() -> None:
    """Also where either alone would take all of them."""
    services = busy(OPENED_PER_TICK + 50)
    one, other = policy("one", when="cpu.ratio > 0.5"), policy("other", when="cpu.ratio > 0.52")
    found = propose(led(one, other), *services, of=(other, one))
    taken = [p.evidence.confidence for p in found]
    every = [p for of in (one, other) for p in propose(led(of), *services, of=(of,))]
    best = sorted((p.evidence.confidence for p in every), reverse=True)[:OPENED_PER_TICK]
    assert sorted(taken, reverse=True) == best


def test_a_tick_opens_as_many_as_it_may() -> None:
    services = busy(OPENED_PER_TICK + 50)
    found = propose(led(LOAD), *services)
    book = rules(LOAD, limits=replace(rules().limits, max_open_episodes=10_000))
    records = tick(NOW, snapshot(*services), led(LOAD), together([], found), book)
    assert sum(isinstance(record, Opened) for record in records) == OPENED_PER_TICK
    one = rules(LOAD, limits=replace(rules().limits, max_open_episodes=1))
    records = tick(NOW, snapshot(*services), led(LOAD), together([], found), one)
    assert sum(isinstance(record, Opened) for record in records) == 1


STEPS = [{"type": "Restart"}, {"type": "Scale", "scale": {"by": "+1"}}]
LADDER = policy("ladder", when="cpu.ratio > 0.5", actions=STEPS)


@pytest.mark.parametrize(("rung", "expected"), [(None, "Restart"), (0, "Restart"), (1, "Scale"), (9, "Scale")])
def test_how_reliable_it_is_tells_the_action_that_would_be_done_next(rung: int | None, expected: str) -> None:
    """Of an episode that is further up than its policy now goes, the last one."""
    (web,) = busy(1)
    state = led(LADDER)
    state.track[LADDER.name, "Restart"], state.track[LADDER.name, "Scale"] = Track(1, 9), Track(8, 1)
    if rung is not None:
        state.apply(opened(LADDER, web))
        key = Key(LADDER.name, web.target)
        state.episodes[key] = msgspec.structs.replace(state.episodes[key], rung=rung)
    (found,) = propose(state, web, of=(LADDER,))
    assert found.evidence.reliability == pytest.approx(reliability(state.track[LADDER.name, expected]), abs=1e-4)


def test_how_much_is_known_is_coverage_times_freshness() -> None:
    (web,) = busy(1)
    (half,) = search(LOAD, snapshot(web), Holds(), NOW).build(np.array([0]))
    seen = _proposal(LOAD, replace(half, coverage_known=0.5, freshness=0.5), led(LOAD))
    assert seen.evidence.coverage == 0.25


def test_episodes_of_policies_and_targets_that_are_gone_hide_no_other() -> None:
    gone, (web, away) = policy("gone", when="cpu.ratio > 0.5"), busy(2)
    state = led(LOAD, gone)
    for record in (opened(gone, web, 1), opened(LOAD, away, 2), opened(LOAD, web, 3)):
        state.apply(record)
    (found,) = propose(state, web)
    assert found.key == Key(LOAD.name, web.target)
    busy_ = fold([intent(LOAD, web, scale_plan(web))], state.fork())
    assert not propose(busy_, web)  # it is under way, and no new one
    for key, episode in state.episodes.items():
        state.episodes[key] = msgspec.structs.replace(episode, held=Reason.COOLDOWN)
    (wish,) = standing_wishes(snapshot(web), state, {LOAD.hash: LOAD}, ())
    assert wish.key == Key(LOAD.name, web.target)
