"""Promises that the decision alone must keep, told as short histories.

Everything is real but time: policies are compiled, conditions evaluated by the policy agent, effects written to the
simulated platform, records appended to a real store and read back at each restart.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actions.platforms.memory import MemoryPlatform
from actions.reason import Reason
from actions.registry import ACTIONS
from audit.stores.sqlite import SqliteStore
from controller import executor as executor_module
from controller.core.agents import PolicyAgent
from controller.core.guards import GUARDS
from controller.core.records import AnyRecord, Closed, Held, Intent, Outcome, Result, Said, Step, Verb
from controller.core.tick import tick
from controller.core.wish import Limits, Rulebook
from controller.executor import Committed, Executor
from controller.trail import Trail, say
from policies.policy import Policy
from telemetry.columns import COLUMNS, Column
from telemetry.processor import Processor
from telemetry.snapshot import Snapshot
from tests.controller.core.world import LOOK, NOW, RESTART, RESTART_ALL, SCALE, loaded, policy

LIMITS = Limits(
    max_concurrent=5,
    attempts=3,
    backoff_first=60.0,
    backoff_max=240.0,
    warmup=0.0,
    storm_targets=1_000_000,
    own_failures=1_000_000,
    turn_spacing=0.0,
)


class History:
    """A controller on a real store, turned by hand; effects happen at the end of their turn.

    Attributes:
        seen: what may be done to a snapshot before it is decided on.
    """

    def __init__(self, path: Path, *policies: Policy, services: Sequence[tuple[str, int]] = (("web", 3),)) -> None:
        self.path, self.policies = path / "trail.db", policies
        self.now, self.flags = NOW, {"paused": "", "frozen": ""}
        self.platform = MemoryPlatform(startup=1.0)
        self.targets = [self.platform.add("shop", name, count, bounds=(0, 50)) for name, count in services]
        self.seen: Callable[[Snapshot], Snapshot] = lambda snapshot: snapshot
        self.limits = LIMITS
        self._start()
        self.trail.append(loaded(*policies, at=NOW), self.rules().policies)

    def _start(self) -> None:
        self.store = SqliteStore.open(self.path)
        self.trail = Trail(self.store)
        self.trail.lead(self.now, "test")
        self.agent, self.processor = PolicyAgent(), Processor()
        self.executor = Executor(
            {"memory": self.platform}, 1, lambda _: self.flags["frozen"] or self.trail.state.frozen
        )

    def restart(self, later: float = 0.0) -> None:
        """Killed, and started again so many seconds later; the clock may have gone anywhere."""
        self.close()
        self.now = max(self.now + later, self.trail.state.at)
        self._start()

    def close(self) -> None:
        self.executor.close()
        self.store.close()

    def rules(self) -> Rulebook:
        return Rulebook({p.hash: p for p in self.policies}, ACTIONS, GUARDS, self.limits, **self.flags)

    def turn(self, seconds: float = 1.0) -> list[AnyRecord]:
        """One turn; returns what was decided, without the outcomes."""
        self.now += seconds
        self.platform.step(seconds)
        self.trail.catch_up()
        self.processor.ingest(self.platform.read(self.now))
        snapshot = self.seen(self.processor.snapshot(self.now))
        state = self.trail.state
        in_force = [p for p in self.policies if state.in_force.get(p.name) == p.hash]
        proposals = self.agent.propose(self.now, snapshot, in_force, state)
        records = tick(self.now, snapshot, state, proposals, self.rules())
        if records:
            self._perform(self.trail.append(records, self.rules().policies))
        return records

    def _perform(self, committed: Sequence[Committed]) -> None:
        outcomes = []
        for each in committed:
            self.executor.perform(each)
            answer = self.executor.done.get(timeout=10)
            outcomes.append(
                Outcome(self.now, answer.intent.key, answer.intent.number, answer.result, answer.detail, answer.found)
            )
        self.trail.catch_up()
        if outcomes:
            self.trail.append(outcomes, {})
            self.trail.catch_up()

    def turns(self, count: int, seconds: float = 1.0) -> list[AnyRecord]:
        return [record for _ in range(count) for record in self.turn(seconds)]

    def say(self, verb: Verb, about: str = "") -> None:
        say(self.store, Said(self.now, "ann", verb, "why not", about))

    def desired(self, n: int = 0) -> int:
        return self.platform.workloads[self.targets[n]].desired

    def sicken(self, n: int = 0, *, broken: bool = True) -> None:
        workload = self.platform.workloads[self.targets[n]]
        workload.broken = broken
        for slot in workload.copies:
            self.platform.sicken(self.targets[n], slot)

    def heal(self, n: int = 0) -> None:
        workload = self.platform.workloads[self.targets[n]]
        workload.broken = False
        for copy in workload.copies.values():
            copy.sick = False


Make = Callable[..., History]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setattr(executor_module, "SETTLE_WITHIN", 0.0)
    made: list[History] = []

    def history(*policies: Policy, **given_: object) -> History:
        path = tmp_path / str(len(made))
        path.mkdir()
        made.append(History(path, *policies, **given_))  # type: ignore[arg-type]
        return made[-1]

    yield history
    for each in made:
        each.close()


def intents(records: Sequence[AnyRecord], *steps: Step) -> list[Intent]:
    return [r for r in records if isinstance(r, Intent) and r.step in (steps or tuple(Step))]


def held(records: Sequence[AnyRecord]) -> list[Reason]:
    return [r.reason for r in records if isinstance(r, Held)]


HEAL = policy("heal", action=RESTART)
GROW = policy("grow", action={"type": "Scale", "scale": {"by": "+2", "releaseStep": 1}, "hold": "20s"})


# --- P7 unknown never acts


def dark(snapshot: Snapshot) -> Snapshot:
    """The same targets and facts, and not one value that is known."""
    rows = len(snapshot.targets)
    nothing = {
        name: Column(spec, np.full(rows, np.nan), np.full(rows, np.inf), np.zeros(rows))
        for name, spec in COLUMNS.items()
    }
    return replace(snapshot, columns=nothing)


@pytest.mark.parametrize("first", ["sick", "well"])
def test_p7_when_nothing_is_known_nothing_is_ever_done(make: Make, first: str) -> None:
    """Whatever the policies ask, negations included, and however long it lasts."""
    others = [
        policy("not-ok", when="!(probe.ok)", action=RESTART_ALL),
        policy("quiet", when="!(active.count > 0.0) || !(replicas.ready > 0.0)", action=SCALE),
        policy("either", when="probe.ok || !probe.ok", action=RESTART_ALL),
        policy("none-sick", when="!(instances.sick < 0.5)", until="instances.sick < 0.1", action=LOOK),
    ]
    history = make(HEAL, GROW, *others)
    if first == "sick":
        history.sicken()
    history.seen = dark
    assert history.turns(120) == []
    assert history.platform.effects == []


def test_p7_what_was_begun_is_not_reversed_by_the_dark_but_given_to_a_person(make: Make) -> None:
    history = make(GROW)
    history.sicken()
    assert len(intents(history.turn(), Step.DO)) == 1
    history.seen = dark
    records = history.turns(60)
    assert intents(records) == []
    (end,) = [r for r in records if isinstance(r, Closed)]
    assert end.result is Result.NEEDS_HUMAN
    assert history.desired() == 5  # left as it is


def test_p7_the_dark_in_the_middle_of_a_streak_starts_nothing(make: Make) -> None:
    history = make(policy("slow", action=RESTART, **{"for": "10s"}))
    history.sicken()
    history.turns(5)
    history.seen = dark
    assert intents(history.turns(30)) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(known=st.lists(st.booleans(), min_size=6, max_size=6))
def test_p7_only_what_is_known_to_be_sick_is_touched(make: Make, known: list[bool]) -> None:
    history = make(HEAL, services=[(f"s{n}", 2) for n in range(6)])
    for n in range(6):
        history.sicken(n)

    def partly(snapshot: Snapshot) -> Snapshot:
        mask = np.array([known[history.targets.index(target)] for target in snapshot.targets])
        columns = {
            name: Column(c.spec, np.where(mask, c.values, np.nan), c.age, c.count)
            for name, c in snapshot.columns.items()
        }
        return replace(snapshot, columns=columns)

    history.seen = partly
    touched = {change.object for r in intents(history.turns(3)) for change in r.changes}
    assert touched <= {target for n, target in enumerate(history.targets) if known[n]}
    assert bool(touched) == any(known)


# --- P8 an empty selection means nothing, over its cap is refused whole


def test_p8_a_selection_of_nothing_acts_on_nothing(make: Make) -> None:
    nobody = policy("nobody", action=RESTART, targets={"selector": {"matchLabels": {"tier": "none"}}})
    history = make(nobody)
    history.sicken()
    assert history.turns(20) == []


@pytest.mark.parametrize(("most", "starts"), [(4, 4), (3, 0)])
def test_p8_a_selection_over_its_cap_is_refused_whole(make: Make, most: int, starts: int) -> None:
    capped = policy("capped", action=RESTART, targets={"allowAll": True, "max": most})
    history = make(capped, services=[(f"s{n}", 1) for n in range(4)])
    for n in range(4):
        history.sicken(n)
    assert len(intents(history.turns(3), Step.DO)) == starts
    assert ("capped" in history.agent.refused) == (starts == 0)


def test_p8_a_selection_that_grows_over_its_cap_while_it_acts_starts_nothing_more(make: Make) -> None:
    capped = policy("capped", action=RESTART, targets={"allowAll": True, "max": 1})
    history = make(capped)
    history.sicken()
    assert len(intents(history.turn())) == 1
    history.targets.append(history.platform.add("shop", "db", 1))
    history.sicken(1)
    assert intents(history.turns(3), Step.DO) == []


# --- P10 every effect ends lifted, undone or with a person


def test_p10_a_success_is_held_and_then_lifted_in_stages(make: Make) -> None:
    history = make(GROW)
    history.sicken()
    history.turn()
    assert history.desired() == 5
    history.heal()
    records = history.turns(60)
    assert [r.changes[0].after for r in intents(records, Step.RELEASE)] == [4, 3]
    assert [r.result for r in records if isinstance(r, Closed)] == [Result.HEALED]
    assert history.desired() == 3
    assert not history.trail.state.claims
    assert not history.store.claims()


def test_p10_what_did_not_help_is_undone_by_its_deadline(make: Make) -> None:
    history = make(GROW)
    history.sicken()
    begun = history.turn()
    (undo,) = intents(history.turns(21), Step.UNDO)
    assert undo.at <= begun[0].at + GROW.within + 1
    assert history.desired() == 3


def test_p10_an_undo_never_overwrites_another_writer(make: Make) -> None:
    history = make(GROW)
    history.sicken()
    history.turn()
    history.platform.edit(history.targets[0], 8)
    records = history.turns(40)
    assert len(intents(records, Step.UNDO)) == 1
    assert [r.result for r in records if isinstance(r, Closed)] == [Result.NEEDS_HUMAN]
    assert history.desired() == 8


def test_p10_a_release_never_overwrites_another_writer(make: Make) -> None:
    history = make(GROW)
    history.sicken()
    history.turn()
    history.heal()
    history.turns(10)
    history.platform.edit(history.targets[0], 2)
    records = history.turns(60)
    assert [r.result for r in records if isinstance(r, Closed)] == [Result.NEEDS_HUMAN]
    assert history.desired() == 2


def test_p10_a_restart_in_the_middle_loses_no_release(make: Make) -> None:
    history = make(GROW)
    history.sicken()
    history.turn()
    history.heal()
    for _ in range(12):
        history.turns(4)
        history.restart(later=3.0)
    history.turns(20)
    assert history.desired() == 3
    assert not history.trail.state.episodes


# --- P11 failures back off, then stop and ask


def test_p11_backoff_doubles_survives_restarts_then_stops_and_asks(make: Make) -> None:
    history = make(GROW)
    history.sicken()
    starts: list[float] = []
    ends: list[Closed] = []
    for turn in range(600):
        records = history.turn()
        starts += [r.at for r in intents(records, Step.DO)]
        ends += [r for r in records if isinstance(r, Closed)]
        if turn % 7 == 0:
            history.restart()
    assert len(starts) == LIMITS.attempts
    failed = [end.at for end in ends]
    assert 60 <= starts[1] - failed[0] <= 62
    assert 120 <= starts[2] - failed[1] <= 122
    assert [end.result for end in ends] == [Result.UNDONE, Result.UNDONE, Result.NEEDS_HUMAN]
    assert history.desired() == 3
    (episode,) = history.trail.state.episodes.values()
    history.say(Verb.ACK, episode.id)
    assert len(intents(history.turns(3), Step.DO)) == 1  # a person looked: it may try again


def test_p11_what_can_not_be_put_back_backs_off_the_same(make: Make) -> None:
    history = make(HEAL)
    history.sicken()
    starts = [r.at for r in intents(history.turns(600), Step.DO)]
    assert len(starts) == LIMITS.attempts
    waits = [b - a for a, b in pairwise(starts)]
    assert waits[1] - waits[0] == pytest.approx(60.0, abs=2)
    (episode,) = history.trail.state.episodes.values()
    assert episode.needs_human


def test_p11_a_success_ends_the_row_of_failures(make: Make) -> None:
    history = make(HEAL)
    history.sicken()
    history.turns(30)
    assert history.trail.state.failures
    history.platform.workloads[history.targets[0]].broken = False
    history.turns(80)
    assert not history.trail.state.failures


# --- P12 no flapping: under constant input a knob turns ever more rarely


def test_p12_a_redo_holds_twice_as_long_each_time(make: Make) -> None:
    """Three are too few for the load and five enough, for ever: what a release finds is always the same."""
    enough = policy(
        "enough",
        when="replicas.desired < 5.0",
        until="replicas.desired > 4.0",
        action={"type": "Scale", "scale": {"by": "+2"}, "hold": "60s"},
    )
    history = make(enough)
    records = history.turns(9000, seconds=4.0)
    turned = [r.at for r in intents(records)]
    redone = [r.at for r in intents(records, Step.REDO)]
    gaps = [b - a for a, b in pairwise(redone)]
    assert len(gaps) >= 6
    assert all(later > 1.7 * earlier for earlier, later in pairwise(gaps))
    last_hours = [at for at in turned if at > turned[-1] - 4 * 3600]
    assert len(last_hours) <= 2 * 4


# --- P13 pause and freeze


@pytest.mark.parametrize("by", ["file", "trail"])
@pytest.mark.parametrize("restarted", [False, True])
def test_p13_a_pause_starts_nothing_from_the_next_tick_on_and_finishes_what_runs(
    make: Make, by: str, restarted: bool
) -> None:
    history = make(GROW, services=[("web", 3), ("db", 3)])
    history.sicken(0)
    assert len(intents(history.turn(), Step.DO)) == 1
    _stop(history, by, "paused", Verb.PAUSE)
    history.sicken(1)
    history.heal(0)
    if restarted:
        history.restart()
    records = history.turns(60)
    assert intents(records, Step.DO) == []
    assert len(intents(records, Step.RELEASE)) == 2
    assert Reason.PAUSED in held(records)
    assert (history.desired(0), history.desired(1)) == (3, 3)
    _go(history, by, "paused", Verb.RESUME)
    assert len(intents(history.turn(), Step.DO)) == 1


@pytest.mark.parametrize("by", ["file", "trail"])
@pytest.mark.parametrize("restarted", [False, True])
def test_p13_a_freeze_writes_nothing_at_all_from_the_next_tick_on(make: Make, by: str, restarted: bool) -> None:
    history = make(GROW, services=[("web", 3), ("db", 3)])
    history.sicken(0)
    history.turn()
    _stop(history, by, "frozen", Verb.FREEZE)
    history.sicken(1)
    if restarted:
        history.restart()
    written = len(history.platform.effects)
    records = history.turns(60)
    assert intents(records) == []
    assert len(history.platform.effects) == written
    assert Reason.FROZEN in held(records)
    _go(history, by, "frozen", Verb.UNFREEZE)
    assert {r.step for r in intents(history.turn())} == {Step.UNDO, Step.DO}


def _stop(history: History, by: str, flag: str, verb: Verb) -> None:
    if by == "file":
        history.flags[flag] = "a drill"
    else:
        history.say(verb)


def _go(history: History, by: str, flag: str, verb: Verb) -> None:
    if by == "file":
        history.flags[flag] = ""
    else:
        history.say(verb)


# --- P20 every wish that did not start has its reason


def test_p20_every_wish_that_does_not_start_says_why(make: Make) -> None:
    """Fifty are sick and one may be healed at a time: after some turns each of the others has a reason."""
    one = policy("one", action=RESTART, throttle={"maxConcurrent": 1})
    history = make(one, services=[(f"s{n}", 1) for n in range(50)])
    for n in range(50):
        history.sicken(n)
    history.turns(120)
    waiting = [e for e in history.trail.state.episodes.values() if e.intent is None and not e.needs_human]
    assert len(waiting) > 30
    assert [e.id for e in waiting if e.held is None] == []


SICK_POLICIES = {
    Reason.MODE: policy("mode", action=RESTART, mode="Observe"),
    Reason.NEEDS_APPROVAL: policy("approval", action=RESTART, mode="Approve"),
    Reason.LOW_CONFIDENCE: policy("sure", action=RESTART, minConfidencePercent=100),
    Reason.TOO_FEW_SAMPLES: policy("samples", action=RESTART, minSamples=1000),
    Reason.UNAVAILABLE: policy("down", action=RESTART_ALL, throttle={"maxUnavailable": 0}),
    Reason.AT_LIMIT: policy("limit", action={"type": "Scale", "scale": {"by": "+1", "max": 3}}),
    Reason.WINDOW: policy("window", action=RESTART, activeWindows=[{"schedule": "0 3 * * *", "duration": "1h"}]),
}


@pytest.mark.parametrize("reason", SICK_POLICIES)
def test_p20_the_reason_stands_in_the_trail(make: Make, reason: Reason) -> None:
    history = make(SICK_POLICIES[reason])
    if reason is Reason.UNAVAILABLE:
        history.platform.sicken(history.targets[0], 0)
    else:
        history.sicken()
    records = history.turns(10)
    assert intents(records) == []
    assert held(records) == [reason]


def test_in_these_histories_healing_works(make: Make) -> None:
    """Else nothing above would mean anything."""
    history = make(HEAL)
    target = history.targets[0]
    history.sicken(broken=False)
    records = history.turns(10)
    assert [r.action for r in intents(records)] == ["Restart"]
    assert [r.result for r in records if isinstance(r, Closed)] == [Result.HEALED]
    assert all(copy.ready(history.platform.now, 1.0) for copy in history.platform.workloads[target].copies.values())
