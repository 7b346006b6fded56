"""The decision as a whole: who is first, what is enough, what is said, and what it goes by."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actions.plan import Plan, Refusal
from actions.reason import Reason
from actions.scale import Scale
from controller.core.ranking import OPENED_PER_TICK
from controller.core.records import (
    AnyRecord,
    Closed,
    Crowded,
    Evidence,
    Held,
    Intent,
    Key,
    Loaded,
    Opened,
    Request,
    Result,
    Said,
    Step,
    Verb,
)
from controller.core.state import dump, fold
from controller.core.tick import PLANNED_PER_SLOT, tick
from controller.core.wish import Limits, Proposal, Proposals, Wish
from policies.policy import Policy

from .world import (
    NOW,
    RESTART,
    RESTART_ALL,
    SCALE,
    SURE,
    Run,
    Service,
    intent,
    kinds,
    led,
    opened,
    outcome,
    policy,
    proposal,
    rules,
    scale_plan,
    snapshot,
)

HEAL = policy()
WATCH = policy("watch", mode="Observe")


def sick(count: int, **given: object) -> list[Service]:
    return [Service(f"s{n:03}", "---", **given) for n in range(count)]  # type: ignore[arg-type]


def every(of: Policy, services: list[Service]) -> list[Proposal]:
    return [proposal(of, service) for service in services]


def limits(**given: object) -> Limits:
    return replace(rules().limits, **given)  # type: ignore[arg-type]


# --- who is first


def test_people_then_severity_then_priority_then_confidence_then_name() -> None:
    names = ["person", "critical", "urgent", "sure", "a", "b"]
    made = [
        policy("person", severity="Info", priority=0),
        policy("critical", severity="Critical", priority=0),
        policy("urgent", priority=90),
        policy("sure"),
        policy("a"),
        policy("b"),
    ]
    services = {name: Service(f"{name}-web", "---") for name in names}
    weak = replace_evidence(0.5)
    wishes = [
        proposal(p, services[p.name], SURE if p.name == "sure" else weak, by="ann" if p.name == "person" else "")
        for p in made
    ]
    wishes[0] = replace(wishes[0], evidence=replace_evidence(0.1))
    records = tick(NOW, snapshot(*services.values()), led(*made), list(reversed(wishes)), rules(*made))
    assert [r.key.policy for r in records if isinstance(r, Intent)] == names
    assert [r.key.policy for r in records if isinstance(r, Opened)] == names


def replace_evidence(confidence: float) -> Evidence:
    return Evidence(confidence, 1.0, 1.0, 1.0, samples=9.0)


@settings(max_examples=50, deadline=None)
@given(st.permutations(sick(12)))
def test_the_order_in_which_wishes_arrive_decides_nothing(shuffled: list[Service]) -> None:
    seen, state, book = snapshot(*shuffled), led(HEAL), rules(HEAL, limits=limits(max_concurrent=2))
    expected = tick(NOW, seen, state, every(HEAL, sorted(shuffled, key=lambda s: s.name)), book)
    assert tick(NOW, seen, state, every(HEAL, shuffled), book) == expected


def test_the_best_wish_gets_the_last_place() -> None:
    low, high = policy("low", priority=1), policy("high", priority=99)
    one, two = sick(2)
    book = rules(low, high, limits=limits(max_concurrent=1))
    records = tick(NOW, snapshot(one, two), led(low, high), [proposal(low, one), proposal(high, two)], book)
    assert [r.key.policy for r in records if isinstance(r, Intent)] == ["high"]
    assert [(r.key.policy, r.reason) for r in records if isinstance(r, Held)] == [("low", Reason.CONCURRENCY)]


def test_the_decision_changes_nothing_that_it_is_given() -> None:
    web = Service("web", "---")
    state = led(HEAL)
    before = dump(state)
    first = tick(NOW, snapshot(web), state, [proposal(HEAL, web)], rules(HEAL))
    assert dump(state) == before
    assert tick(NOW, snapshot(web), state, [proposal(HEAL, web)], rules(HEAL)) == first


# --- observe and enforce side by side


@pytest.mark.parametrize("priority", [0, 99])
def test_an_observing_policy_never_switches_off_an_enforcing_one(priority: int) -> None:
    watch = policy("watch", mode="Observe", severity="Critical", priority=priority)
    web = Service("web", "---")
    run = Run(rules(HEAL, watch, limits=limits(max_concurrent=1)), led(HEAL, watch))
    records = run.turn(snapshot(web), proposal(HEAL, web), proposal(watch, web))
    assert [r.key.policy for r in records if isinstance(r, Intent)] == [HEAL.name]
    assert [(r.key.policy, r.reason) for r in records if isinstance(r, Held)] != []
    assert all(r.key.policy == "watch" for r in records if isinstance(r, Held))


def test_many_observed_wishes_do_not_use_up_the_planning_of_an_enforcing_one() -> None:
    """The watchers rank first and are held at every tick; the enforcing wish still gets its turn."""
    watch = policy("watch", mode="Observe", severity="Critical")
    services = sick(60)
    run = Run(rules(HEAL, watch, limits=limits(max_concurrent=1)), led(HEAL, watch))
    wishes = [*every(watch, services), proposal(HEAL, services[-1])]
    for _ in range(200):
        if any(isinstance(r, Intent) for r in run.turn(snapshot(*services), *wishes)):
            return
    pytest.fail("the enforcing policy never started")


def test_what_recovers_under_observe_is_counted_as_recovered() -> None:
    run = Run(rules(WATCH), led(WATCH))
    run.turn(snapshot(Service("web", "---")), proposal(WATCH, Service("web")))
    assert kinds(run.trail) == ["Opened", "Held"]
    (end,) = run.turn(snapshot(Service("web", "+++")))
    assert isinstance(end, Closed)
    assert end.result is Result.RECOVERED


# --- enough is enough


def test_fifty_sick_at_once_start_no_more_than_may_be_under_way() -> None:
    services = sick(50)
    run = Run(rules(HEAL, limits=limits(max_concurrent=3)), led(HEAL))
    for _ in range(4):
        run.turn(snapshot(*services), *every(HEAL, services))
        assert len(run.state.under_way()) == 3
    assert Counter(kinds(run.trail))["Intent"] == 3
    assert Counter(kinds(run.trail))["Opened"] == 50


@pytest.mark.parametrize(
    ("throttle", "reason"),
    [
        ({"maxConcurrent": 4}, Reason.CONCURRENCY),
        ({"limits": [{"max": 4, "per": "1h"}]}, Reason.RATE_LIMIT),
    ],
)
def test_a_policys_budget_holds_within_one_tick(throttle: dict[str, object], reason: Reason) -> None:
    of = policy("bounded", throttle=throttle)
    services = sick(50)
    records = tick(NOW, snapshot(*services), led(of), every(of, services), rules(of))
    assert Counter(kinds(records))["Intent"] == 4
    held = {r.reason for r in records if isinstance(r, Held)}
    assert held == {reason}


@pytest.mark.parametrize("allowance", [0, 1, 4])
def test_no_more_start_than_a_person_asked_for(allowance: int) -> None:
    services = sick(10)
    book = replace(rules(HEAL), allowance=allowance)
    records = tick(NOW, snapshot(*services), led(HEAL), every(HEAL, services), book)
    assert Counter(kinds(records))["Intent"] == allowance
    assert {r.reason for r in records if isinstance(r, Held)} == {Reason.CONCURRENCY}


def test_one_object_is_given_to_one_of_two_wishes_in_a_tick() -> None:
    rival = policy("rival", action=RESTART_ALL)
    web = Service("web", "---")
    records = tick(
        NOW, snapshot(web), led(HEAL, rival), [proposal(HEAL, web), proposal(rival, web)], rules(HEAL, rival)
    )
    assert [r.key.policy for r in records if isinstance(r, Intent)] == ["heal"]
    assert [(r.key.policy, r.reason) for r in records if isinstance(r, Held)] == [("rival", Reason.CLAIMED)]


def test_the_same_wish_twice_starts_once() -> None:
    web = Service("web", "---")
    wish = proposal(HEAL, web)
    assert kinds(tick(NOW, snapshot(web), led(HEAL), [wish, wish], rules(HEAL))) == ["Opened", "Intent"]


def test_a_hung_instance_can_be_restarted_while_replicas_are_held() -> None:
    restart, web = policy("restart", action=RESTART), Service("web", "---")
    run = Run(rules(HEAL, restart), led(HEAL, restart))
    run.turn(snapshot(web), proposal(HEAL, web))
    run.turn(snapshot(Service("web", "+++")), after=6)  # it passed; replicas are held
    records = run.turn(snapshot(Service("web", "++-")), proposal(restart, web))
    assert [r.action for r in records if isinstance(r, Intent)] == ["Restart"]


def test_work_is_bounded_by_free_places() -> None:
    asked: Counter[Key] = Counter()

    def count(wish: Wish) -> Refusal:
        asked[wish.proposal.key] += 1
        return Refusal(Reason.MODE)

    services = sick(100)
    book = rules(HEAL, guards={"count": count}, limits=limits(max_concurrent=3))
    run = Run(book, led(HEAL))
    for turns in range(1, 4):
        run.turn(snapshot(*services), *every(HEAL, services))
        assert asked.total() == turns * 3 * PLANNED_PER_SLOT
    assert max(asked.values()) <= 3


def test_places_that_are_taken_are_not_planned_for() -> None:
    asked: Counter[Key] = Counter()

    def count(wish: Wish) -> Refusal | None:
        asked[wish.proposal.key] += 1
        return Refusal(Reason.MODE) if len(wish.state.under_way()) == 2 else None

    services = sick(100)
    run = Run(rules(HEAL, guards={"count": count}, limits=limits(max_concurrent=3)), led(HEAL))
    run.turn(snapshot(*services), *every(HEAL, services))
    asked.clear()
    run.turn(snapshot(*services), *every(HEAL, services))
    assert asked.total() == PLANNED_PER_SLOT


@pytest.mark.parametrize("step", [0.5, 1.0, 2.0, 3.0, 10.0, 60.0])
def test_every_wish_gets_its_turn_however_many_are_held_before_it(step: float) -> None:
    services = sick(100)
    hopeless = [replace(s, protected="hands off") for s in services[:-1]]
    run = Run(rules(HEAL, limits=limits(max_concurrent=2)), led(HEAL))
    for _ in range(400):
        records = run.turn(snapshot(*hopeless, services[-1]), *every(HEAL, services), after=step)
        if any(isinstance(r, Intent) for r in records):
            return
    pytest.fail("the only one that may be healed never got its turn")


# --- crowds


def test_episodes_are_bounded_and_the_rest_is_counted() -> None:
    services = sick(40)
    run = Run(rules(WATCH, limits=limits(max_open_episodes=10)), led(WATCH))
    records = run.turn(snapshot(*services), *every(WATCH, services))
    assert Counter(kinds(records))["Opened"] == 10
    assert [r for r in records if isinstance(r, Crowded)] == [Crowded(run.now, WATCH.name, 30)]
    assert run.state.crowded == {WATCH.name: 30}


def test_a_crowd_is_written_when_it_doubles_or_halves_only() -> None:
    services = sick(100)
    run = Run(rules(WATCH, limits=limits(max_open_episodes=10)), led(WATCH))
    said = []
    for count in (18, 17, 18, 17, 25, 26, 27, 41, 42, 43, 26, 25, 18, 17, 10, 10, 11, 10):
        records = run.turn(snapshot(*services), *every(WATCH, services[:count]))
        said.append([r.count for r in records if isinstance(r, Crowded)])
    assert said == [[8], [], [], [], [], [16], [], [], [32], [], [16], [], [8], [], [0], [], [1], [0]]


def test_the_best_of_a_crowd_get_the_episodes() -> None:
    services = sick(20)
    wishes = [proposal(WATCH, s, replace_evidence(n / 20)) for n, s in enumerate(services)]
    records = tick(NOW, snapshot(*services), led(WATCH), wishes, rules(WATCH, limits=limits(max_open_episodes=3)))
    assert [r.key.target.name for r in records if isinstance(r, Opened)] == ["s019", "s018", "s017"]


# --- what is said, and once


def test_a_held_reason_is_written_once_until_it_changes() -> None:
    web = Service("web", "---")
    run = Run(rules(HEAL, paused="deploy"), led(HEAL))
    for _ in range(5):
        run.turn(snapshot(web), proposal(HEAL, web))
    assert kinds(run.trail) == ["Opened", "Held"]
    run.rules = rules(HEAL, frozen="fire")
    for _ in range(5):
        run.turn(snapshot(web), proposal(HEAL, web))
    assert [r.reason for r in run.trail if isinstance(r, Held)] == [Reason.PAUSED, Reason.FROZEN]
    run.rules = rules(HEAL)
    assert kinds(run.turn(snapshot(web), proposal(HEAL, web))) == ["Intent"]


def test_a_refused_plan_is_held_with_the_actions_own_reason() -> None:
    cases = {
        Reason.AT_LIMIT: Service("web", "---", maximum=3),
        Reason.NO_MECHANISM: Service("web", "---", fixed=True),
        Reason.NOTHING_TO_DO: Service("web", "", desired=0),
    }
    for reason, web in cases.items():
        run = Run(rules(HEAL), led(HEAL))
        run.turn(snapshot(web), proposal(HEAL, web))
        assert [r.reason for r in run.trail if isinstance(r, Held)] == [reason]


def test_a_target_that_is_not_listed_is_held_as_unknown() -> None:
    ghost = Service("ghost", "---")
    run = Run(rules(HEAL), led(HEAL))
    run.turn(snapshot(Service("web")), proposal(HEAL, ghost))
    assert [r.reason for r in run.trail if isinstance(r, Held)] == [Reason.UNKNOWN]


def test_a_guard_that_breaks_refuses_and_says_so() -> None:
    def broken(_wish: Wish) -> None:
        raise ZeroDivisionError("by zero")

    web = Service("web", "---")
    run = Run(rules(HEAL, guards={"broken": broken}), led(HEAL))
    run.turn(snapshot(web), proposal(HEAL, web))
    assert [(r.reason, r.detail) for r in run.trail if isinstance(r, Held)] == [
        (Reason.GUARD_ERROR, "broken: ZeroDivisionError: by zero")
    ]


# --- what it goes by


def test_an_action_in_flight_goes_by_the_policy_that_it_was_opened_with() -> None:
    """F23: edited and deleted while its action is in flight."""
    web = Service("web", "---")
    edited = policy(HEAL.name, until="replicas.ready >= 100.0", verify={"initialDelay": "1s", "within": "2s"})
    for change in ([Loaded(NOW + 2, edited.name, edited.hash, edited.content)], [Loaded(NOW + 2, HEAL.name, "")]):
        run = Run(rules(HEAL, edited), led(HEAL))
        run.turn(snapshot(web), proposal(HEAL, web))
        run.take(*change)
        assert run.turn(snapshot(web), after=2) == []  # the edited deadline is over; the recorded one is not
        assert HEAL.hash in run.state.policies
        assert kinds(run.turn(snapshot(Service("web", "+++")), after=4)) == ["Passed"]
        (release,) = run.turn(snapshot(Service("web", "+++")), after=60)
        assert isinstance(release, Intent)
        assert (release.step, release.due - release.at) == (Step.RELEASE, HEAL.within)
        run.turn(snapshot(Service("web", "+++")), after=6)
        (end,) = run.turn(snapshot(Service("web", "+++")))
        assert isinstance(end, Closed)
        assert end.result is Result.HEALED
        assert HEAL.hash not in run.state.policies


def test_an_episode_of_an_edited_policy_ends_and_opens_anew() -> None:
    web = Service("web", "---")
    edited = policy(HEAL.name, priority=51)
    run = Run(rules(HEAL, edited, paused="wait"), led(HEAL))
    run.turn(snapshot(web), proposal(HEAL, web))
    run.take(Loaded(run.now, edited.name, edited.hash, edited.content))
    records = run.turn(snapshot(web), proposal(edited, web))
    assert kinds(records) == ["Closed", "Opened", "Held"]
    assert run.state.episodes[Key(HEAL.name, web.target)].policy_hash == edited.hash


def test_an_edited_policy_does_not_start_on_the_old_ones_episode() -> None:
    web = Service("web", "---")
    edited = policy(HEAL.name, priority=51)
    run = Run(rules(HEAL, edited), led(HEAL))
    run.turn(snapshot(web), proposal(HEAL, web))
    run.take(Loaded(run.now, edited.name, edited.hash, edited.content))
    assert run.turn(snapshot(web), proposal(edited, web)) == []


def test_what_cannot_be_judged_any_more_is_given_to_a_person() -> None:
    web, idle = Service("web", "---"), Service("idle", "---")
    run = Run(rules(HEAL), led(HEAL))
    run.turn(snapshot(web), proposal(HEAL, web))
    run.take(opened(HEAL, idle, 2, at=run.now))
    run.rules = rules()  # this version cannot read the policy
    ends = run.turn(snapshot(web))
    assert {(r.key.target.name, r.result) for r in ends if isinstance(r, Closed)} == {
        ("web", Result.NEEDS_HUMAN),
        ("idle", Result.DROPPED),
    }
    assert run.turn(snapshot(web)) == []


def test_what_is_being_performed_waits_for_its_outcome_even_if_nobody_can_judge_it() -> None:
    web = Service("web", "---")
    run = Run(rules(HEAL), led(HEAL), answer=None)
    run.turn(snapshot(web), proposal(HEAL, web))
    run.rules = rules()
    assert run.turn(snapshot(web)) == []
    started = run.state.episodes[Key(HEAL.name, web.target)].intent
    assert started is not None
    run.take(outcome(started))
    (end,) = run.turn(snapshot(web))
    assert isinstance(end, Closed)
    assert end.objects == (web.target,)


def test_a_target_that_is_gone_closes_what_waits_but_not_when_its_platform_is_silent() -> None:
    web = Service("web", "---")
    run = Run(rules(HEAL, paused="wait"), led(HEAL))
    run.turn(snapshot(web), proposal(HEAL, web))
    assert run.turn(snapshot(silent={"memory": "no answer"})) == []
    (end,) = run.turn(snapshot())
    assert isinstance(end, Closed)
    assert end.result is Result.DROPPED


def test_a_ladder_climbs_after_a_failure_without_a_new_cooldown() -> None:
    ladder = policy("ladder", actions=[SCALE, RESTART], onFailure="Next", throttle={"cooldown": "1h"})
    web = Service("web", "---")
    run = Run(rules(ladder), led(ladder))
    seen, wish = snapshot(web), proposal(ladder, web)
    run.turn(seen, wish)
    run.turn(seen, wish, after=25)
    records = run.turn(seen, wish)
    assert kinds(records) == ["Failed", "Intent"]
    assert isinstance(records[1], Intent)
    assert (records[1].action, records[1].rung) == ("Restart", 1)


def test_a_request_of_a_person_starts_what_no_policy_in_force_asks_for() -> None:
    once, web = policy("act-1"), Service("web", "+++")
    request = Request(web.target, once.name, once.hash, NOW + 60)
    state = fold(
        [
            Loaded(NOW, once.name, once.hash, once.content, once=True),
            Said(NOW, "ann", Verb.ACT, "help", request=request),
        ],
        led(),
    )
    run = Run(rules(once, limits=limits(warmup=10**9)), state)
    records = run.turn(snapshot(web), proposal(once, web, by="ann"))
    assert kinds(records) == ["Opened", "Intent"]


def test_a_request_that_cannot_start_is_dropped_when_it_expires() -> None:
    once, web = policy("act-1"), Service("web", "+++")
    request = Request(web.target, once.name, once.hash, NOW + 60)
    state = fold(
        [
            Loaded(NOW, once.name, once.hash, once.content, once=True),
            Said(NOW, "ann", Verb.ACT, "help", request=request),
        ],
        led(),
    )
    run = Run(rules(once, paused="wait"), state)
    run.turn(snapshot(web), proposal(once, web, by="ann"))
    (end,) = run.turn(snapshot(web), after=60)
    assert isinstance(end, Closed)
    assert end.result is Result.DROPPED
    assert "Paused" in end.detail


def test_the_intent_says_everything_that_is_needed_to_judge_and_undo_it() -> None:
    web = Service("web", "---")
    (_, record) = tick(NOW, snapshot(web), led(HEAL), [proposal(HEAL, web)], rules(HEAL))
    assert isinstance(record, Intent)
    assert record.plan == scale_plan(web)
    assert record.changes == record.plan.changes
    assert (record.judge_at, record.due, record.hold) == (NOW + 5, NOW + 20, 60.0)


# --- each condition by itself

STORMY = {"storm_share": 0.3, "storm_targets": 5}


@pytest.mark.parametrize(
    ("severity", "by", "storms"), [("Warning", "", 1), ("Critical", "", 1), ("Info", "", 0), ("Critical", "ann", 0)]
)
def test_what_a_serious_policy_finds_makes_a_storm_and_what_a_person_asks_does_not(
    severity: str, by: str, storms: int
) -> None:
    of, services = policy(severity=severity), [Service(f"s{n}") for n in range(6)]
    wishes = [proposal(of, service, by=by) for service in services]
    run = Run(rules(of, limits=limits(**STORMY)), led(of))
    records = run.turn(snapshot(*services), *wishes)
    assert Counter(kinds(records))["Storm"] == storms
    assert len(run.state.storms) == storms
    assert ("Intent" in kinds(records)) is not bool(storms)


def test_what_goes_on_does_not_keep_the_next_from_ending() -> None:
    one, two = sick(2)
    state = fold([opened(WATCH, one, 1), opened(WATCH, two, 2)], led(WATCH))
    records = tick(NOW, snapshot(one, replace(two, readiness="+++")), state, [], rules(WATCH))
    assert [(r.key.target.name, r.result) for r in records if isinstance(r, Closed)] == [("s001", Result.RECOVERED)]


def asked(of: Policy, service: Service, expires: float) -> list[AnyRecord]:
    request = Request(service.target, of.name, of.hash, expires)
    return [opened(of, service), Said(NOW - 1, "ann", Verb.ACT, "help", request=request)]


def test_what_a_person_asked_waits_while_it_is_listed_and_ends_when_it_expires_or_is_aborted() -> None:
    (web,) = sick(1)
    for records, ended in (
        (asked(HEAL, web, NOW + 60), []),
        (asked(HEAL, web, NOW), ["not started in time: no plan"]),
        ([opened(HEAL, web), Said(NOW - 1, "ann", Verb.ABORT, "no", "e1")], ["a person ended it"]),
    ):
        state = fold(records, led(HEAL))
        said = tick(NOW, snapshot(web), state, [], rules(HEAL, paused="deploy"))
        assert [r.detail for r in said if isinstance(r, Closed)] == ended


@pytest.mark.parametrize(("most", "new"), [(2, 0), (3, 1), (4, 2)])
def test_episodes_that_are_open_take_their_places(most: int, new: int) -> None:
    services = sick(6)
    state = fold([opened(WATCH, s, n) for n, s in enumerate(services[:2], 1)], led(WATCH))
    records = tick(
        NOW, snapshot(*services), state, every(WATCH, services), rules(WATCH, limits=limits(max_open_episodes=most))
    )
    assert Counter(kinds(records))["Opened"] == new
    assert [r.count for r in records if isinstance(r, Crowded)] == [4 - new]


def test_no_more_than_a_portion_is_opened_at_one_tick() -> None:
    services = sick(OPENED_PER_TICK + 7)
    book = rules(WATCH, limits=limits(max_open_episodes=1000))
    records = tick(NOW, snapshot(*services), led(WATCH), every(WATCH, services), book)
    assert Counter(kinds(records))["Opened"] == OPENED_PER_TICK
    assert [r.count for r in records if isinstance(r, Crowded)] == [7]


def test_an_undo_uses_up_nothing_of_what_a_person_allowed() -> None:
    one, two = sick(2)
    begun = intent(HEAL, one, scale_plan(one), at=NOW - 50)
    state = fold([opened(HEAL, one), begun, outcome(begun)], led(HEAL))
    book = replace(rules(HEAL), allowance=1)
    records = tick(NOW, snapshot(one, two), state, [proposal(HEAL, two)], book)
    assert [(r.step, r.number) for r in records if isinstance(r, Intent)] == [(Step.UNDO, 2), (Step.DO, 3)]


def test_an_action_that_cannot_plan_refuses_and_says_why() -> None:
    class Broken(Scale):
        def plan(self, *_: object) -> Plan:
            raise ZeroDivisionError("by zero")

    (web,) = sick(1)
    book = replace(rules(HEAL), actions={"Scale": Broken()})
    records = tick(NOW, snapshot(web), led(HEAL), [proposal(HEAL, web)], book)
    assert [(r.reason, r.detail) for r in records if isinstance(r, Held)] == [
        (Reason.GUARD_ERROR, "Scale.plan: ZeroDivisionError: by zero")
    ]


def test_some_of_the_proposals_keep_the_counts_of_all() -> None:
    all_ = Proposals(tuple(every(HEAL, sick(3))), {"memory": (3, 3)}, {"heal": 4})
    some = all_[1:]
    assert (some.best, some.counts, some.crowd) == (all_.best[1:], {"memory": (3, 3)}, {"heal": 4})
    assert all_[0] is all_.best[0]
