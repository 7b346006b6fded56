"""Two controllers, one store, one platform, and everything that can go wrong: the promises hold in every history.

A shard is a history of its own; together they are more than 100,000 records. What a run did is printed (`pytest -s`)
and asserted, so that no promise is kept by nothing happening. A failure names its seed, turn and record.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actions.plan import Change
from actions.platforms.memory import MemoryPlatform
from controller import checkpoints as checkpoints_module
from controller import loop as loop_module
from controller import trail as trail_module
from controller.core import ledger as ledger_module
from controller.core.follow_up import Case
from controller.core.guards import GUARDS
from controller.core.records import Intent
from controller.core.state import State, dump
from controller.core.tick import _Turn
from controller.executor import Committed, Executor
from controller.loop import Loop, stop_flags
from telemetry.verdict import Verdict

from .checker import Broken
from .process import Controller
from .simulation import Odds, Simulation

SHARDS = 10
TURNS = 620

LEAST: Mapping[str, int] = {  # in each shard; ten of them are what the whole run must reach
    "records": 10_000,
    "step Do": 700,
    "intents and outcomes": 2_000,
    "call Unknown": 100,
    "crashes": 50,
    "crashes in flight": 20,
    "clock jumps": 10,
    "takeovers": 3,
    "starts from a checkpoint": 20,
    "replayed": 30,
    "step Undo": 50,
    "step Release": 50,
    "step Redo": 3,
    "other writers": 30,
    "recreated": 10,
    "asked undo": 5,
    "asked abort": 5,
    "asked ack": 20,
    "asked approve": 20,
    "asked act": 10,
}
EVER = (  # in the whole run; a shard may miss one
    "fenced",
    "takeovers in flight",
    "failed starts",
    "store full",
    "store lost before",
    "store lost after",
    "said pause",
    "said freeze",
    "paused",
    "frozen",
)
BOUNDARIES = (
    "plan",
    "commit Do",
    "committed Do",
    "precheck Do",
    "call Do",
    "called Do",
    "commit Outcome",
    "committed Outcome",
)


def history(seed: int, path: Path, turns: int, **given_: Any) -> Simulation:
    """Run one history to its end."""
    simulation = Simulation(seed, path, **given_)
    try:
        simulation.run(turns)
    finally:
        simulation.close()
    return simulation


@pytest.mark.parametrize("shard", range(SHARDS))
def test_the_promises_hold_in_a_long_history(shard: int, tmp_path: Path) -> None:
    simulation = history(1000 + shard, tmp_path, TURNS)
    totals, crashes = simulation.totals(), simulation.crashes
    print(f"\nshard {shard}: {dict(sorted(totals.items()))}\ncrashed at: {dict(crashes.most_common())}")
    short = {name: (totals[name], least) for name, least in LEAST.items() if totals[name] < least}
    assert not short
    assert len(crashes) >= 15
    assert len(simulation.checker.reasons) >= 12, simulation.checker.reasons
    # ten kinds of rare faults, eight boundaries: a shard sees nearly all of them
    assert sum(totals[name] > 0 for name in EVER) >= 6, {name: totals[name] for name in EVER}
    assert sum(crashes[name] > 0 for name in BOUNDARIES) >= 5, crashes


@settings(max_examples=12, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    services=st.integers(1, 30),
    odds=st.builds(
        Odds,
        crash=st.sampled_from([0.0, 0.1, 0.6]),
        takeover=st.sampled_from([0.0, 0.1]),
        store=st.sampled_from([0.0, 0.05]),
        stop=st.sampled_from([0.0, 0.1]),
        edit=st.sampled_from([0.0, 0.1]),
        blind=st.sampled_from([0.0, 0.3]),
        jump=st.sampled_from([0.0, 1.0]),
    ),
)
def test_the_promises_hold_in_any_history(
    tmp_path_factory: pytest.TempPathFactory, seed: int, services: int, odds: Odds
) -> None:
    history(seed, tmp_path_factory.mktemp("any"), 80, services=services, odds=odds)


def test_the_same_seed_is_the_same_history(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    first, second = (history(7, path, 60) for path in (one, two))
    assert first.totals() == second.totals()
    assert first.crashes == second.crashes
    assert dump(first.checker.shadow) == dump(second.checker.shadow)


# --- the checker can fail: each seeded bug breaks the promise it is named with

Mutate = Callable[[pytest.MonkeyPatch], None]


def without(*names: str) -> Mutate:
    """Guards taken out of the registry."""

    def mutate(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(loop_module, "GUARDS", {n: g for n, g in GUARDS.items() if n not in names})

    return mutate


def without_the_stores_lock(patch: pytest.MonkeyPatch) -> None:
    def open_ledger(*args: Any) -> ledger_module.Ledger:
        return ledger_module.Ledger((), (), ())

    patch.setattr(trail_module, "ledger", open_ledger)


def both(*mutations: Mutate) -> Mutate:
    def mutate(patch: pytest.MonkeyPatch) -> None:
        for mutation in mutations:
            mutation(patch)

    return mutate


def repeats_what_is_unknown(patch: pytest.MonkeyPatch) -> None:
    real = Executor._apply

    def apply(self: Executor, change: Change, intent_id: str) -> tuple[Verdict, str]:
        told = real(self, change, intent_id)
        return real(self, change, intent_id) if told[0] is Verdict.UNKNOWN else told

    patch.setattr(Executor, "_apply", apply)


def acts_before_it_is_durable(patch: pytest.MonkeyPatch) -> None:
    real = Loop._append

    def append(self: Loop, records: Any) -> Any:
        for record in records:
            if isinstance(record, Intent):
                self._parts.executor._guarded(self._parts.executor._perform, Committed(record, self._parts.trail.epoch))
        return real(self, records)

    patch.setattr(Loop, "_append", append)


def takes_silence_for_a_no(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Executor, "_settled", lambda self, change: Verdict.FAIL)


def settles_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Loop, "_settle", lambda self, snapshot: None)


def never_undoes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Case, "reversible", property(lambda self: False))


def overwrites_others(patch: pytest.MonkeyPatch) -> None:
    real = MemoryPlatform._set

    def force(self: MemoryPlatform, change: Change, intent_id: str) -> Verdict:
        workload = self.workloads.get(change.object)
        if workload is not None and change.path == "desired":
            change = msgspec.structs.replace(change, before=workload.desired)
        return real(self, change, intent_id)

    patch.setattr(MemoryPlatform, "_set", force)


def ignores_the_lease(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        Controller, "why_not", lambda self, epoch: stop_flags(self.sim.dir)["frozen"] or self.trail.state.frozen
    )


def writes_while_frozen(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Controller, "why_not", lambda self, epoch: "" if self.store.epoch() == epoch else "another one")


def forgets_failures_in_checkpoints(patch: pytest.MonkeyPatch) -> None:
    def forgetful(state: State) -> bytes:
        draft = state.fork()
        draft.failures = {}
        return dump(draft)

    patch.setattr(checkpoints_module, "dump", forgetful)


def goes_by_the_order_of_arrival(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_Turn, "_rank", lambda self, proposal: 0)


MUTANTS: Mapping[str, tuple[str, Mutate]] = {
    "claims are neither guarded nor locked": ("P3", both(without("claimed"), without_the_stores_lock)),
    "starts are neither counted nor locked": ("P5", both(without("rate", "cooldown"), without_the_stores_lock)),
    "concurrency is not guarded": ("P5", without("concurrency")),
    "an unknown effect is repeated": ("P2", repeats_what_is_unknown),
    "an effect comes before its intent is durable": ("P1", acts_before_it_is_durable),
    "intents of the past are never settled": ("P2", settles_nothing),
    "no answer is taken for a no": ("P10", takes_silence_for_a_no),
    "what did not help is left": ("P10", never_undoes),
    "other writers are overwritten": ("P10", overwrites_others),
    "an old leader goes on writing": ("P4", ignores_the_lease),
    "a pause is not guarded": ("P13", without("paused")),
    "a freeze is not guarded": ("P13", without("frozen")),
    "what is queued is written while frozen": ("P13", writes_while_frozen),
    "unknown is not guarded": ("P7", without("unknown")),
    "old facts are not guarded": ("P7", without("stale")),
    "modes are not guarded": ("P13", without("mode", "approval")),
    "a checkpoint forgets": ("I12", forgets_failures_in_checkpoints),
    "the order of arrival decides": ("I13", goes_by_the_order_of_arrival),
}


FITTING: Mapping[str, Odds] = {  # where the bug shows only in a rare fault, the fault is made frequent
    "P7": Odds(blind=0.3, crash=0.01, takeover=0.0),  # a crash forgets since when something holds
    "P4": Odds(takeover=0.15, stop=0.0),
    "P13": Odds(stop=0.06),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_seeded_bug_breaks_its_promise(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    promise, mutate = MUTANTS[name]
    odds = FITTING.get(promise, Odds())
    mutate(monkeypatch)
    caught: Counter[str] = Counter()
    for seed in range(6):
        path = tmp_path / str(seed)
        path.mkdir()
        try:
            history(seed, path, 150, odds=odds)
        except Broken as broken:
            caught[broken.promise] += 1
            if broken.promise == promise:
                return
    pytest.fail(f"not caught as {promise}: {caught}")


def test_the_stores_own_lock_holds_where_the_guard_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two locks on claims and budgets: one of them is enough."""
    without("claimed", "rate", "cooldown")(monkeypatch)
    totals = history(3, tmp_path, 150).totals()
    assert totals["step Do"] > 20


def test_the_guards_hold_where_the_stores_own_lock_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_the_stores_lock(monkeypatch)
    totals = history(3, tmp_path, 150).totals()
    assert totals["step Do"] > 20
