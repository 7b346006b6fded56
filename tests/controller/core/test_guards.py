"""Every guard has a scenario in which it alone holds the wish: with it the wish is held, without it the wish starts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pytest

from actions.plan import Change, Plan, Refusal, Undo
from actions.reason import Reason
from actions.registry import ACTIONS
from actions.restart import Restart
from controller.core.guards import GUARDS, budgets
from controller.core.knobs import Knob
from controller.core.records import (
    OWN_STORM,
    AnyRecord,
    Closed,
    Evidence,
    Failed,
    Held,
    Intent,
    Key,
    Led,
    Passed,
    Result,
    Said,
    Storm,
    Verb,
)
from controller.core.state import Failures, State, fold
from controller.core.tick import tick
from controller.core.wish import Limits, Proposal, Rulebook, Wish
from policies.policy import Mode, Policy
from telemetry.inventory import Budget, By, Facts, Owner
from telemetry.snapshot import Snapshot
from telemetry.target import Target

from .world import (
    NOW,
    RESTART,
    RESTART_ALL,
    SCALE,
    SURE,
    Service,
    intent,
    led,
    opened,
    outcome,
    policy,
    proposal,
    rules,
    scale_plan,
    snapshot,
)

WEB, OTHER = Service("web", "---"), Service("other", "---")
WIDE = rules().limits


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything is fine, except for one thing."""

    reason: Reason
    policies: Sequence[Policy]
    wish: Proposal
    services: Sequence[Service] = (WEB,)
    before: Sequence[AnyRecord] = ()
    state: Callable[[State], None] = lambda _: None
    limits: Limits = WIDE
    actions: Mapping[str, Any] = field(default_factory=lambda: ACTIONS)
    stops: Mapping[str, str] | None = None

    def world(self, guards: Mapping[str, Any]) -> tuple[Snapshot, State, list[Proposal], Rulebook]:
        state = fold(self.before, led(*self.policies))
        self.state(state)
        book = rules(*self.policies, guards=guards, limits=self.limits, **(self.stops or {}))
        return snapshot(*self.services), state, [self.wish], replace(book, actions=self.actions)


def scenario(reason: Reason, spec: Mapping[str, Any] | None = None, **given: Any) -> Scenario:
    """A wish of a policy that differs from one that starts only by `spec`."""
    of = policy(**(spec or {}))
    service = given.get("services", (WEB,))[0]
    wish = proposal(of, service, given.pop("evidence", SURE))
    return Scenario(reason, given.pop("policies", [of]), wish, **given)


class Careless(Restart):
    """Plans what the platform has no way to do."""

    def plan(self, target: Target, params: Any, facts: Facts, hold: float | None) -> Plan | Refusal:
        return Plan((Change(target, "slots/7/incarnation", "1@5.0", "newer"),))


class Destroying(Restart):
    """Destroys data."""

    undo: ClassVar[Undo] = Undo.IRREVERSIBLE

    def plan(self, target: Target, params: Any, facts: Facts, hold: float | None) -> Plan | Refusal:
        return Plan((Change(target, "slots/0/incarnation", "100@5.0", "newer"),), undo=Undo.IRREVERSIBLE)


class Overreaching(Restart):
    """Writes what it does not declare."""

    def plan(self, target: Target, params: Any, facts: Facts, hold: float | None) -> Plan | Refusal:
        return Plan((Change(target, "desired", 3, 0),))


def under_way(of: Policy, service: Service = OTHER, at: float = NOW - 50) -> list[AnyRecord]:
    """An attempt elsewhere that waits for its verification."""
    started = intent(of, service, scale_plan(service), at=at)
    return [opened(of, service, at=at), started, outcome(started)]


def ended(of: Policy, service: Service, result: Result, at: float, *, helped: bool | None) -> list[AnyRecord]:
    """An episode that is over."""
    return [*under_way(of, service, at), Closed(at, Key(of.name, service.target), result, helped=helped)]


def failed(count: int, at: float) -> Callable[[State], None]:
    def change(state: State) -> None:
        state.failures[Key("heal", WEB.target)] = Failures(count, at)

    return change


def turned(knob: Knob) -> Callable[[State], None]:
    """The number of instances was moved before."""

    def change(state: State) -> None:
        state.knobs[f"{WEB.target}#desired"] = knob

    return change


def web(readiness: str = "---", **more: Any) -> Service:
    """The service, of which the platform says this too."""
    return Service("web", readiness, more=more)


def owned_by(by: By, path: str = "desired") -> Service:
    return web(owners={path: Owner(by, f"the {by}", "ask it")})


RIVAL = policy("rival")
FULL = Budget("PodDisruptionBudget shop/web", 1)
HOURLY = {"throttle": {"limits": [{"max": 1, "per": "1h"}]}}
COOLING = {"throttle": {"cooldown": "10m"}}

SCENARIOS: Mapping[str, Scenario] = {
    "frozen": scenario(Reason.FROZEN, stops={"frozen": "the cluster burns"}),
    "paused": scenario(Reason.PAUSED, stops={"paused": "a deploy"}),
    "recovering": scenario(
        Reason.RECOVERING,
        services=(WEB, OTHER),
        policies=[policy(), RIVAL],
        before=[*under_way(RIVAL)[:-1], Led(NOW - 20, 2, "b")],
    ),
    "warmup": scenario(Reason.WARMUP, before=[Led(NOW - 5, 2, "b")], limits=replace(WIDE, warmup=10.0)),
    "storm": scenario(Reason.STORM, before=[Storm(NOW - 5, "memory/shop", "9 of 10 targets are sick or unknown")]),
    "own_storm": scenario(Reason.OWN_STORM, before=[Storm(NOW - 5, OWN_STORM, "4 of our last 5", until=NOW + 60)]),
    "scope": scenario(Reason.OUT_OF_SCOPE, {"namespace": "billing"}),
    "protected": scenario(Reason.PROTECTED, services=(replace(WEB, protected="label: hands off"),)),
    "owned": scenario(Reason.OWNED_BY_HPA, services=(owned_by(By.HPA),)),
    "mechanism": scenario(Reason.NO_MECHANISM, {"action": RESTART}, actions={"Restart": Careless()}),
    "claimed": scenario(Reason.CLAIMED, policies=[policy(), RIVAL], before=under_way(RIVAL, WEB)),
    "contested": scenario(Reason.CONTESTED, state=turned(Knob(NOW - 60, up=True, reverts=2))),
    "rollout": scenario(Reason.ROLLOUT_IN_PROGRESS, services=(web(rollout="1 of 3 instances have revision 7"),)),
    "rollout_paused": scenario(Reason.ROLLOUT_PAUSED, services=(web(paused="spec.paused"),)),
    "mode": scenario(Reason.MODE, {"mode": "Observe"}),
    "window": scenario(Reason.WINDOW, {"activeWindows": [{"schedule": "0 3 * * *", "duration": "1h"}]}),
    "unknown": scenario(Reason.UNKNOWN, services=(replace(WEB, blind=True),)),
    "stale": scenario(Reason.STALE, services=(replace(WEB, seen=11.0),)),
    "samples": scenario(Reason.TOO_FEW_SAMPLES, {"minSamples": 1001}),
    "confidence": scenario(
        Reason.LOW_CONFIDENCE, {"minConfidencePercent": 71}, evidence=Evidence(0.7, 1, 1, 0.7, samples=9)
    ),
    "exhausted": scenario(Reason.ATTEMPTS_EXHAUSTED, state=failed(3, NOW - 5000)),
    "backoff": scenario(Reason.BACKOFF, state=failed(2, NOW - 199)),
    "flapping": scenario(
        Reason.FLAPPING,
        state=turned(Knob(NOW - 60, up=False, turns=(NOW - 60,))),
        limits=replace(WIDE, turn_spacing=3600.0),
    ),
    "cooldown": scenario(
        Reason.COOLDOWN, COOLING, before=ended(policy(**COOLING), WEB, Result.HEALED, NOW - 599, helped=True)
    ),
    "rate": scenario(
        Reason.RATE_LIMIT,
        HOURLY,
        services=(WEB, OTHER),
        before=ended(policy(**HOURLY), OTHER, Result.HEALED, NOW - 3599, helped=True),
    ),
    "unavailable": scenario(
        Reason.UNAVAILABLE,
        {"action": RESTART_ALL, "throttle": {"maxUnavailable": 1}},
        services=(Service("web", "+-+"),),
    ),
    "disruption": scenario(Reason.DISRUPTION_BUDGET, {"action": RESTART}, services=(web("--+", budgets=(FULL,)),)),
    "concurrency": scenario(
        Reason.CONCURRENCY,
        services=(WEB, OTHER),
        policies=[policy(), RIVAL],
        before=under_way(RIVAL),
        limits=replace(WIDE, max_concurrent=1),
    ),
    "approval": scenario(Reason.NEEDS_APPROVAL, {"mode": "Approve"}),
    "irreversible": scenario(Reason.IRREVERSIBLE, {"action": RESTART}, actions={"Restart": Destroying()}),
}


def test_every_guard_has_a_scenario_and_every_scenario_a_guard() -> None:
    assert list(SCENARIOS) == list(GUARDS)


def _decided(one: Scenario, guards: Mapping[str, Any]) -> list[AnyRecord]:
    """What the decision says of the wish."""
    seen, state, wishes, book = one.world(guards)
    records = tick(NOW, seen, state, wishes, book)
    return [r for r in records if isinstance(r, Held | Intent) and r.key == one.wish.key]


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_guard_holds_what_nothing_else_would_hold(name: str) -> None:
    one = SCENARIOS[name]
    (held,) = _decided(one, GUARDS)
    assert isinstance(held, Held)
    assert held.reason is one.reason
    assert held.detail
    (started,) = _decided(one, {other: guard for other, guard in GUARDS.items() if other != name})
    assert isinstance(started, Intent)


def test_every_reason_of_a_guard_is_shown_by_a_scenario() -> None:
    of_plans = {Reason.NOTHING_TO_DO, Reason.AT_LIMIT, Reason.GUARD_ERROR}
    of_owners = {Reason.OWNED_BY_KEDA, Reason.OWNED_BY_GITOPS, Reason.OWNED_BY_CONTROLLER}  # as OwnedByHPA, see below
    assert {one.reason for one in SCENARIOS.values()} == set(Reason) - of_plans - of_owners


# --- what else a guard must hold, and what it must let pass


def _reason(one: Scenario) -> Reason | None:
    (record,) = _decided(one, GUARDS)
    return record.reason if isinstance(record, Held) else None


def by_ann(one: Scenario) -> Scenario:
    return replace(one, wish=replace(one.wish, by_person="ann"))


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_person_may_skip_evidence_and_warm_up_and_asks_for_no_second_yes_but_nothing_else(name: str) -> None:
    skips = {"warmup", "unknown", "stale", "samples", "confidence", "approval"}
    assert _reason(by_ann(SCENARIOS[name])) is (None if name in skips else SCENARIOS[name].reason)


@pytest.mark.parametrize("verb", [Verb.PAUSE, Verb.FREEZE])
def test_a_persons_word_in_the_trail_stops_as_a_flag_file_does(verb: Verb) -> None:
    one = replace(SCENARIOS["paused"], stops=None, before=[Said(NOW - 1, "ann", verb, "why")])
    assert _reason(one) is {Verb.PAUSE: Reason.PAUSED, Verb.FREEZE: Reason.FROZEN}[verb]


def test_an_action_that_writes_what_it_does_not_declare_is_out_of_scope() -> None:
    one = scenario(Reason.OUT_OF_SCOPE, {"action": RESTART}, actions={"Restart": Overreaching()})
    assert _reason(one) is Reason.OUT_OF_SCOPE


def test_a_namespaced_policy_acts_in_its_namespace() -> None:
    of = policy(namespace="shop")
    assert _reason(Scenario(Reason.OUT_OF_SCOPE, [of], proposal(of, WEB))) is None


@pytest.mark.parametrize("mode", ["Observe", "Recommend", "Approve", "Enforce"])
@pytest.mark.parametrize("cap", Mode)
def test_no_policy_acts_above_its_mode_or_above_the_cap(mode: str, cap: Mode) -> None:
    one = scenario(Reason.MODE, {"mode": mode}, limits=replace(WIDE, mode_cap=cap))
    expected = {0: Reason.MODE, 1: Reason.MODE, 2: Reason.NEEDS_APPROVAL, 3: None}
    assert _reason(one) is expected[min(Mode[mode.upper()], cap)]


def test_an_approval_lets_one_start_pass_and_then_expires() -> None:
    spec = {"mode": "Approve"}
    for seconds, reason in ((3599, None), (3601, Reason.NEEDS_APPROVAL)):
        before = [
            opened(policy(**spec), WEB, at=NOW - 9999),
            Said(NOW - seconds, "ann", Verb.APPROVE, "go", "e1"),
        ]
        assert _reason(scenario(Reason.NEEDS_APPROVAL, spec, before=before)) is reason


def test_an_approval_of_the_first_rung_is_none_of_the_second() -> None:
    spec: dict[str, Any] = {"mode": "Approve", "actions": [SCALE, RESTART], "onFailure": "Next"}
    of = policy(**spec)
    first = intent(of, WEB, scale_plan(WEB), at=NOW - 40)
    before = [
        opened(of, WEB),
        Said(NOW - 45, "ann", Verb.APPROVE, "scale it", "e1"),
        first,
        outcome(first),
        Failed(NOW - 5, first.key, 1, 1),
    ]
    assert _reason(scenario(Reason.NEEDS_APPROVAL, spec, before=before)) is Reason.NEEDS_APPROVAL


def test_an_approval_or_the_policys_word_lets_data_be_destroyed() -> None:
    spec = {"action": RESTART}
    yes = [opened(policy(**spec), WEB), Said(NOW - 9, "ann", Verb.APPROVE, "go", "e1")]
    assert _reason(replace(SCENARIOS["irreversible"], before=yes)) is None
    rung = replace(policy(**spec).rungs[0], allow_irreversible=True)
    allowing = replace(policy(**spec), rungs=(rung,))
    assert _reason(replace(SCENARIOS["irreversible"], policies=[allowing])) is None


def test_a_held_field_keeps_others_off_but_not_off_the_object() -> None:
    first = intent(RIVAL, WEB, scale_plan(WEB), at=NOW - 10)
    holding = [opened(RIVAL, WEB), first, outcome(first), Passed(NOW - 2, first.key, first.number)]
    assert _reason(scenario(Reason.CLAIMED, policies=[policy(), RIVAL], before=holding)) is Reason.CLAIMED
    spec = {"action": RESTART}
    assert _reason(scenario(Reason.CLAIMED, spec, policies=[policy(**spec), RIVAL], before=holding)) is None


def test_what_waits_for_a_person_keeps_its_object() -> None:
    over = [*under_way(RIVAL, WEB), Closed(NOW - 5, Key(RIVAL.name, WEB.target), Result.NEEDS_HUMAN)]
    assert _reason(scenario(Reason.CLAIMED, policies=[policy(), RIVAL], before=over)) is Reason.CLAIMED


def test_a_settled_intent_of_an_earlier_leadership_holds_nothing() -> None:
    before = [*under_way(RIVAL), Led(NOW - 20, 2, "b")]
    assert _reason(replace(SCENARIOS["recovering"], before=before)) is None


@pytest.mark.parametrize(("count", "seconds"), [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1000), (60, 1000)])
def test_the_backoff_doubles_up_to_its_maximum(count: int, seconds: float) -> None:
    patient = replace(WIDE, attempts=100)
    assert budgets.backoff_of(Failures(count, NOW), patient) == seconds
    waiting = scenario(Reason.BACKOFF, state=failed(count, NOW - seconds + 1), limits=patient)
    assert _reason(waiting) is Reason.BACKOFF
    assert _reason(replace(waiting, state=failed(count, NOW - seconds))) is None


def test_a_failure_in_the_future_just_happened() -> None:
    assert _reason(scenario(Reason.BACKOFF, state=failed(1, NOW + 1e6))) is Reason.BACKOFF


@pytest.mark.parametrize(("ago", "reason"), [(599, Reason.COOLDOWN), (600, None), (-5000, Reason.COOLDOWN)])
def test_the_cooldown_runs_from_the_start(ago: float, reason: Reason | None) -> None:
    before = ended(policy(**COOLING), WEB, Result.HEALED, NOW - ago, helped=True)
    assert _reason(scenario(Reason.COOLDOWN, COOLING, before=before)) is reason


@pytest.mark.parametrize(("ago", "reason"), [(3599, Reason.RATE_LIMIT), (3600, None), (-5000, Reason.RATE_LIMIT)])
def test_a_rate_counts_every_start_in_its_window(ago: float, reason: Reason | None) -> None:
    before = ended(policy(**HOURLY), OTHER, Result.HEALED, NOW - ago, helped=True)
    assert _reason(scenario(Reason.RATE_LIMIT, HOURLY, before=before, services=(WEB, OTHER))) is reason


def test_starts_of_other_policies_use_up_no_rate() -> None:
    before = ended(RIVAL, OTHER, Result.HEALED, NOW - 5, helped=True)
    assert _reason(scenario(Reason.RATE_LIMIT, HOURLY, before=before, policies=[policy(**HOURLY), RIVAL])) is None


@pytest.mark.parametrize(
    ("readiness", "allowed", "reason"),
    [
        ("+++", 1, None),
        ("+++", 0, Reason.UNAVAILABLE),
        ("++-", 1, Reason.UNAVAILABLE),
        ("++-", 2, None),
        ("+++", "33%", Reason.UNAVAILABLE),  # of three, rounded down: none
        ("+++", "34%", None),
        ("---", 0, None),  # nothing that is ready is taken down
    ],
)
def test_what_is_down_already_counts(readiness: str, allowed: int | str, reason: Reason | None) -> None:
    spec = {"action": RESTART_ALL, "throttle": {"maxUnavailable": allowed}}
    web = Service("web", readiness, columns={"probe.ok": 0.0})
    assert _reason(scenario(Reason.UNAVAILABLE, spec, services=(web,))) is reason


def test_a_policys_own_concurrency_is_its_own() -> None:
    spec = {"throttle": {"maxConcurrent": 1}}
    of = policy(**spec)
    one = scenario(Reason.CONCURRENCY, spec, services=(WEB, OTHER), before=under_way(of))
    assert _reason(one) is Reason.CONCURRENCY
    assert _reason(replace(one, policies=[of, RIVAL], before=under_way(RIVAL))) is None


def test_facts_of_a_silent_platform_say_why_they_are_old() -> None:
    one = SCENARIOS["stale"]
    seen, state, wishes, book = one.world(GUARDS)
    records = tick(NOW, replace(seen, silent={"memory": "connection refused"}), state, wishes, book)
    (held,) = [r for r in records if isinstance(r, Held)]
    assert "connection refused" in held.detail


def test_as_much_as_is_asked_for_is_enough() -> None:
    exactly = Evidence(0.71, 1, 1, 0.71, samples=9)
    assert _reason(scenario(Reason.LOW_CONFIDENCE, {"minConfidencePercent": 71}, evidence=exactly)) is None
    assert _reason(scenario(Reason.TOO_FEW_SAMPLES, {"minSamples": 1000})) is None
    warm = [Led(NOW - 10, 2, "b")]
    assert _reason(scenario(Reason.WARMUP, before=warm, limits=replace(WIDE, warmup=10.0))) is None


@pytest.mark.parametrize(("mode", "says"), [("Recommend", "recommended: Scale shop/web"), ("Observe", "Observe")])
def test_a_recommendation_says_what_to_do(mode: str, says: str) -> None:
    (held,) = _decided(scenario(Reason.MODE, {"mode": mode}), GUARDS)
    assert isinstance(held, Held)
    assert says in held.detail


@pytest.mark.parametrize(("seen", "reason"), [(10.0, None), (10.5, Reason.STALE), (-99.0, None)])
def test_facts_may_be_as_old_as_the_limit(seen: float, reason: Reason | None) -> None:
    assert _reason(scenario(Reason.STALE, services=(replace(WEB, seen=seen),))) is reason


@pytest.mark.parametrize(("seen", "reason"), [(3.0, Reason.STALE), (2.0, Reason.STALE), (1.0, None)])
def test_what_was_seen_before_our_own_last_change_is_no_ground_for_the_next(seen: float, reason: Reason | None) -> None:
    of = policy()
    tried = [*under_way(of, WEB, NOW - 2), Failed(NOW - 1, Key(of.name, WEB.target), 1, 0, counts=False)]
    assert _reason(scenario(Reason.STALE, services=(replace(WEB, seen=seen),), before=tried)) is reason


@pytest.mark.parametrize("name", GUARDS)
def test_a_guard_that_cannot_answer_refuses(name: str) -> None:
    def broken(_wish: object) -> None:
        raise LookupError("no limit")

    of = policy()
    one = Scenario(Reason.GUARD_ERROR, [of], proposal(of, WEB))
    (held,) = _decided(one, {**GUARDS, name: broken})
    assert isinstance(held, Held)
    assert held.reason is Reason.GUARD_ERROR
    assert name in held.detail


def test_when_nothing_is_wrong_the_wish_starts() -> None:
    of = policy()
    assert _reason(Scenario(Reason.MODE, [of], proposal(of, WEB))) is None


@pytest.mark.parametrize("by", By)
def test_a_field_of_somebody_else_is_refused_by_who_it_is_and_says_what_to_do_instead(by: By) -> None:
    (held,) = _decided(scenario(Reason.OWNED_BY_HPA, services=(owned_by(by),)), GUARDS)
    assert isinstance(held, Held)
    assert (held.reason.value, held.detail) == (f"OwnedBy{by}", f"desired: the {by}; ask it")


def test_whose_one_field_is_says_nothing_of_another() -> None:
    assert _reason(scenario(Reason.OWNED_BY_HPA, {"action": RESTART}, services=(owned_by(By.HPA),))) is None
    assert _reason(scenario(Reason.OWNED_BY_HPA, services=(owned_by(By.HPA, "slots/0/incarnation"),))) is None


def test_who_only_wrote_a_field_last_does_not_own_it() -> None:
    assert _reason(scenario(Reason.OWNED_BY_HPA, services=(web(writers={"desired": "kubectl"}),))) is None


def test_hands_off_says_who_took_it_back() -> None:
    service = web(writers={"desired": "argocd-controller"})
    (held,) = _decided(replace(SCENARIOS["contested"], services=(service,)), GUARDS)
    assert isinstance(held, Held)
    assert held.detail.startswith("argocd-controller changed desired")


@pytest.mark.parametrize("more", [{"rollout": "stuck: 1 of 3"}, {"paused": "spec.paused"}])
def test_to_look_or_to_ask_a_person_needs_no_end_of_a_rollout(more: Mapping[str, str]) -> None:
    spec = {"action": {"type": "HealthCheck"}}
    assert _reason(scenario(Reason.ROLLOUT_IN_PROGRESS, spec, services=(web(**more),))) is None


@pytest.mark.parametrize(
    ("readiness", "budgets", "reason"),
    [
        ("-++", (Budget("b", 1),), None),
        ("-++", (Budget("b", 0),), Reason.DISRUPTION_BUDGET),
        ("--+", (Budget("b", 1),), Reason.DISRUPTION_BUDGET),  # two at once
        ("--+", (Budget("b", 0, sick_free=True),), None),
        ("-++", (Budget("b", 9), Budget("c", 9)), Reason.DISRUPTION_BUDGET),  # no eviction passes two of them
        ("-++", (), None),
    ],
)
def test_every_budget_must_leave_room(readiness: str, budgets: tuple[Budget, ...], reason: Reason | None) -> None:
    one = scenario(Reason.DISRUPTION_BUDGET, {"action": RESTART}, services=(web(readiness, budgets=budgets),))
    assert _reason(one) is reason


@pytest.mark.parametrize(("room", "reason"), [(3, None), (2, Reason.DISRUPTION_BUDGET)])
def test_ready_instances_use_up_a_budget_also_where_sick_ones_do_not_and_by_force(
    room: int, reason: Reason | None
) -> None:
    every = {"type": "Restart", "restart": {"instances": "All", "how": "Forceful"}}
    service = web("+++", budgets=(Budget("b", room, sick_free=True),))
    one = scenario(Reason.DISRUPTION_BUDGET, {"action": every}, services=(replace(service, columns={"probe.ok": 0.0}),))
    assert _reason(one) is reason


def test_a_budget_says_its_name_its_room_and_what_is_wrong_with_it() -> None:
    service = web("-++", budgets=(Budget("PodDisruptionBudget shop/web", 0, why="not counted yet"),))
    (held,) = _decided(scenario(Reason.DISRUPTION_BUDGET, {"action": RESTART}, services=(service,)), GUARDS)
    assert isinstance(held, Held)
    assert held.detail == "PodDisruptionBudget shop/web leaves room for 0, it takes 1: not counted yet"


class Elsewhere(Restart):
    """Changes another object than its target, as the scaling of an autoscaler does."""

    writes: ClassVar[tuple[str, ...]] = ("elsewhere", "slots/*/incarnation")

    def plan(self, target: Target, params: Any, facts: Facts, hold: float | None) -> Plan | Refusal:
        return Plan((Change(OTHER.target, "elsewhere", 1, 2),))


def test_a_field_of_another_object_is_not_looked_for_among_those_of_the_target() -> None:
    """And of what an action declares, one pattern that fits is enough."""
    assert _reason(scenario(Reason.NO_MECHANISM, {"action": RESTART}, actions={"Restart": Elsewhere()})) is None


def test_what_its_own_episode_holds_keeps_nothing_off() -> None:
    def own(state: State) -> None:
        state.claims[str(WEB.target)] = Key("heal", WEB.target)

    assert _reason(scenario(Reason.CLAIMED, state=own)) is None


def test_a_cooldown_is_of_one_target() -> None:
    before = ended(policy(**COOLING), OTHER, Result.HEALED, NOW - 10, helped=True)
    assert _reason(scenario(Reason.COOLDOWN, COOLING, services=(WEB, OTHER), before=before)) is None


def test_a_further_rung_need_not_wait_and_the_same_rung_must() -> None:
    spec: dict[str, Any] = {"actions": [SCALE, RESTART], "onFailure": "Next"}
    of = policy(**spec)
    first = intent(of, WEB, scale_plan(WEB), at=NOW - 40)
    for rung, reason in ((0, Reason.BACKOFF), (1, None)):
        before = [opened(of, WEB), first, outcome(first), Failed(NOW - 5, first.key, 1, rung)]
        assert _reason(scenario(Reason.BACKOFF, spec, before=before)) is reason


def test_an_approval_is_void_at_its_hour() -> None:
    spec = {"mode": "Approve"}
    before = [opened(policy(**spec), WEB, at=NOW - 9999), Said(NOW - 3600, "ann", Verb.APPROVE, "go", "e1")]
    assert _reason(scenario(Reason.NEEDS_APPROVAL, spec, before=before)) is Reason.NEEDS_APPROVAL


@pytest.mark.parametrize(("left", "reason"), [(0.5, Reason.WARMUP), (0.0, None)])
def test_the_last_half_second_of_the_warm_up_counts(left: float, reason: Reason | None) -> None:
    before, limits = [Led(NOW - 10 + left, 2, "b")], replace(WIDE, warmup=10.0)
    assert _reason(scenario(Reason.WARMUP, before=before, limits=limits)) is reason


@pytest.mark.parametrize(("left", "reason"), [(0.5, Reason.FLAPPING), (0.0, None)])
def test_the_last_half_second_of_the_quiet_time_counts(left: float, reason: Reason | None) -> None:
    knob = Knob(NOW - 3600 + left, up=False)
    limits = replace(WIDE, turn_spacing=3600.0)
    assert _reason(scenario(Reason.FLAPPING, state=turned(knob), limits=limits)) is reason


def _detail(one: Scenario) -> str:
    (held,) = _decided(one, GUARDS)
    assert isinstance(held, Held)
    return held.detail


@pytest.mark.parametrize(("mode", "cap", "capped"), [("Observe", Mode.OBSERVE, False), ("Enforce", Mode.OBSERVE, True)])
def test_the_cap_is_named_where_it_is_what_holds(mode: str, cap: Mode, capped: bool) -> None:
    one = scenario(Reason.MODE, {"mode": mode}, limits=replace(WIDE, mode_cap=cap))
    assert ("capped by --mode Observe" in _detail(one)) is capped


def test_the_storm_of_our_own_actions_says_how_long_it_lasts() -> None:
    one = scenario(Reason.OWN_STORM, before=[Storm(NOW - 5, OWN_STORM, "3 of 5", until=NOW + 300)])
    assert "for 300s" in _detail(one)


HOUR = 3600.0
JUMP = 10 * 86_400.0


def waits(jumped: float) -> State:
    """Everything that waits, an hour before; then a new leadership after a jump of the clock."""
    state = fold(ended(policy(**COOLING), WEB, Result.HEALED, NOW - HOUR, helped=True))
    failed(2, NOW - HOUR)(state)
    turned(Knob(NOW - HOUR, up=True, turns=(NOW - 2 * HOUR,)))(state)
    state.apply(Storm(NOW - HOUR, "local", "many", until=NOW + 60))
    state.apply(Storm(NOW - HOUR, "local/shop", "many"))
    state.apply(Led(NOW + jumped, 2, "again", jumped))
    return state


def test_what_a_clock_jumped_over_did_not_pass() -> None:
    before, after = waits(0.0), waits(JUMP)
    assert [start.at for start in after.starts] == [start.at + JUMP for start in before.starts]
    key = next(iter(before.failures))
    assert after.failures[key].at == before.failures[key].at + JUMP
    (name,) = before.knobs
    assert after.knobs[name].at == before.knobs[name].at + JUMP
    assert after.knobs[name].turns == (NOW - 2 * HOUR + JUMP,)
    assert after.storms["local"].until == before.storms["local"].until + JUMP
    assert after.storms["local/shop"].until == 0  # no end was in sight, and none is


def test_a_hold_is_not_over_earlier_for_a_jump_of_the_clock() -> None:
    for jumped in (0.0, JUMP):
        state = fold(under_way(policy(), WEB))
        (held,) = state.acting.values()
        state.apply(Led(NOW + jumped, 2, "again", jumped))
        (later,) = state.acting.values()
        assert later.outcome_at == held.outcome_at + jumped
        assert state.episodes[later.key] is later


@pytest.mark.parametrize(("ahead", "held"), [(0.0, True), (12 * HOUR, False)])
def test_windows_go_by_the_calendar_not_by_a_trail_that_is_ahead_of_it(ahead: float, held: bool) -> None:
    hour = int(NOW // HOUR) % 24
    there = (hour - 12) % 24  # open twelve hours ago
    of = policy(activeWindows=[{"schedule": f"0 {there} * * *", "duration": "1h"}])
    state = State(ahead=ahead)
    wish = Wish(proposal(of, WEB), scale_plan(WEB), of, ACTIONS["Scale"], state, snapshot(WEB), NOW, Limits())
    assert bool(GUARDS["window"](wish)) is held
