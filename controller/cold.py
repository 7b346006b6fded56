"""A look without a loop: reads everything once, changes nothing, takes no epoch."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from actions.registry import ACTIONS
from audit.journal import JournalError
from audit.stores.sqlite import SqliteStore
from controller.clock import Clock
from controller.compose import sources
from controller.core.agents import PolicyAgent, people, together
from controller.core.guards import GUARDS
from controller.core.records import decode
from controller.core.state import State, fold, load
from controller.core.wish import Proposal, Rulebook
from controller.loop import stop_flags
from controller.policyset import Objects, PolicySet
from controller.settings import STORE, Settings
from controller.trail import require_remembered
from telemetry.columns import CLUSTERED, SENT, USUAL
from telemetry.processor import Processor
from telemetry.signals.definitions import Definitions
from telemetry.signals.load import builtin
from telemetry.snapshot import Snapshot
from telemetry.sources import Reading

_NEEDS_A_LOOP = frozenset({*SENT, *USUAL, "telemetry.age"})
"""Columns that are known only to whoever listened or looked for a while."""
_NEEDS_MORE = _NEEDS_A_LOOP | frozenset(CLUSTERED)
"""And those that only a cluster fills, where there is none."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen; the views take it as they take the loop's board.

    Attributes:
        epoch: 0, for nobody leads here.
        metrics: empty, for nothing is served.
        received: empty, for nobody listens.
    """

    now: float
    snapshot: Snapshot
    state: State
    rules: Rulebook
    proposals: Sequence[Proposal]
    problems: tuple[str, ...]
    trouble: str
    epoch: int = 0
    metrics: str = ""
    received: Mapping[str, Any] = field(default_factory=dict)
    signals: Definitions = field(default_factory=builtin)


def cold_look(settings: Settings) -> tuple[Look, tuple[str, ...]]:
    """Look once; also returns the columns that are unknown for every target, by name: of those one look could know.

    A condition that must hold for some time can not be seen in one look, so its policy proposes nothing here.
    """
    clock = Clock()
    state, trouble = _remembered(settings.state)
    clock.never_behind(state.at)
    now = clock.now()
    processor = Processor()
    with _read(settings, now) as (readings, objects):
        for reading in readings:
            processor.ingest(reading)
        policies = PolicySet(settings.policies, settings.signals, objects)
        policies.refresh(now)
    snapshot = processor.snapshot(now)
    for loaded in policies.changes(now, state):
        state.apply(loaded)
    found = PolicyAgent().propose(now, snapshot, policies.in_force(state), state, settings.limits)
    proposals = together(people(state, policies.by_hash(state)), found)
    stops = stop_flags(settings.state)
    rules = Rulebook(
        policies.by_hash(state), ACTIONS, GUARDS, settings.limits, paused=stops["paused"], frozen=stops["frozen"]
    )
    elsewhere = _NEEDS_A_LOOP if any(t.platform == "kubernetes" for t in snapshot.targets) else _NEEDS_MORE
    unknown = tuple(n for n, c in snapshot.columns.items() if n not in elsewhere and not c.known.any())
    look = Look(now, snapshot, state, rules, proposals, policies.problems, trouble, signals=policies.signals)
    return look, unknown


@contextlib.contextmanager
def _read(settings: Settings, now: float) -> Iterator[tuple[list[Reading], Objects | None]]:
    """What the platform says, and policies that are objects there.

    Raises:
        OSError: there is no way to the cluster.
    """
    if settings.kubernetes == "off":
        yield [source.read(now) for source in sources(settings.state, settings.call_timeout)], None
        return
    from controller.cluster.join import glance  # noqa: PLC0415 - who has no cluster pays nothing for it
    from telemetry.sources.kubernetes.access import AccessError  # noqa: PLC0415

    try:
        with glance(settings, now) as (reading, objects):
            yield [reading], objects
    except AccessError as error:
        raise OSError(f"there is no way to the cluster: {error}") from error


def _remembered(state_dir: Path) -> tuple[State, str]:
    """The state by the trail, and why it is not all there; empty before there is a trail."""
    path = state_dir / STORE
    if not path.exists():
        return State(), ""
    try:
        with contextlib.closing(SqliteStore.open(path, read_only=True)) as store:
            saved = store.checkpoint()
            require_remembered(store, saved)
            state = load(saved.state) if saved else State()
            return fold((decode(stored.body) for stored in store.after(saved.seq if saved else 0)), state), ""
    except (JournalError, msgspec.DecodeError) as error:  # a record of a newer version is no record of this one
        return State(), f"the trail can not be read, so what was done before is unknown: {error}"
