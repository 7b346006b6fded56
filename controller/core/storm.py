"""Storms: when too much is wrong at once, the cause is not where it shows, and healing would make it worse (P6).

A storm of a group (a namespace, or a whole platform) begins when more than a share of its targets, and at least some,
are sick or unknown. Unknown counts only where something was known before: losing telemetry is a storm, a fresh start
is warm-up. It is over after it was calm for long enough, and what nobody watched was not calm. A second breaker opens
when our own last actions did not help; a person's `auto ack own-storm` closes it, and so does time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from controller.core.records import OWN_STORM, Storm
from controller.core.state import State, age
from controller.core.wish import Limits
from telemetry.columns import Bools, Column
from telemetry.snapshot import Snapshot
from telemetry.target import Target

DARK_AFTER = 180.0
"""Seconds without any sample after which a target without a probe counts as unknown: three windows."""
SLACK = 0.1
"""Share of the calm time within which a relapse need not be written down, so that a ragged end is few records."""

Counts = Mapping[str, tuple[int, int]]


def groups_of(target: Target) -> tuple[str, str]:
    """The groups of a target: its platform, and its namespace there."""
    return target.platform, f"{target.platform}/{target.namespace}"


@dataclass(slots=True)
class Census:
    """Counts the sick and unknown targets of each group; remembers only which target is in which group."""

    _targets: tuple[Target, ...] = ()
    _names: tuple[str, ...] = ()
    _codes: tuple[NDArray[np.intp], ...] = field(default_factory=tuple)

    def count(self, snapshot: Snapshot, ill: Bools | None = None) -> Counts:
        """By group, how many targets are sick or unknown, and of how many anything was ever known; if any is sick.

        Args:
            snapshot: what is true now.
            ill: rows for which some policy's condition has begun to hold.
        """
        if not snapshot.targets:
            return {}
        if self._targets is not snapshot.targets:
            self._number(snapshot.targets)
        bad, seen = _bad_and_seen(snapshot, ill)
        if not bad.any():
            return {}
        counts: dict[str, tuple[int, int]] = {}
        for codes in self._codes:
            sick = np.bincount(codes[bad], minlength=len(self._names))
            known = np.bincount(codes[seen], minlength=len(self._names))
            counts |= {self._names[at]: (int(sick[at]), int(known[at])) for at in np.flatnonzero(sick).tolist()}
        return counts

    def _number(self, targets: tuple[Target, ...]) -> None:
        numbers: dict[str, int] = {}
        rows = [[numbers.setdefault(name, len(numbers)) for name in groups_of(target)] for target in targets]
        self._codes = tuple(np.array(rows, np.intp).T.copy())
        self._names, self._targets = tuple(numbers), targets


def _bad_and_seen(snapshot: Snapshot, ill: Bools | None) -> tuple[Bools, Bools]:
    """Rows that are sick or unknown, and rows of which anything was ever known; neither if stopped on purpose."""
    rows, columns = len(snapshot.targets), snapshot.columns
    bad = np.zeros(rows, np.bool_) if ill is None else ill.copy()
    seen = bad.copy()
    probe, age_, desired = (columns.get(name) for name in ("probe.ok", "telemetry.age", "replicas.desired"))
    if age_ is not None:
        seen |= age_.known
        bad |= age_.known & (age_.values > DARK_AFTER) & ~_ever(probe, rows)
    if probe is not None:
        seen |= _ever(probe, rows)
        bad |= (probe.known & (probe.values == 0.0)) | (_ever(probe, rows) & (probe.age > probe.spec.stale_after))
    if desired is not None:
        running = ~(desired.known & (desired.values == 0.0))
        bad, seen = bad & running, seen & running
    return bad, seen


def _ever(column: Column | None, rows: int) -> Bools:
    """Rows that were sampled at least once."""
    return np.zeros(rows, np.bool_) if column is None else np.isfinite(column.age)


def ill_rows(snapshot: Snapshot, targets: Iterable[Target]) -> Bools:
    """The rows of these targets."""
    rows = np.zeros(len(snapshot.targets), np.bool_)
    rows[[row for target in targets if (row := snapshot.rows.get(target)) is not None]] = True
    return rows


def storms(now: float, state: State, counts: Counts, limits: Limits) -> Iterator[Storm]:
    """What is to be said about storms at this tick.

    Args:
        now: epoch seconds.
        state: as it is after what was under way was followed up; the caller applies each record before the next.
        counts: by group, see `Census`.
        limits: the operator's bounds.
    """
    yield from _own(now, state, limits)
    for group in sorted({*counts, *state.storms} - {OWN_STORM}):
        sick, total = counts.get(group, (0, 0))
        over = sick >= limits.storm_targets and sick > limits.storm_share * total
        why = f"{sick} of {total} targets are sick or unknown"
        if record := _next(now, group, why, state, limits) if over else _calming(now, group, why, state, limits):
            yield record


def _next(now: float, group: str, why: str, state: State, limits: Limits) -> Storm | None:
    """It storms: say so, unless that is known, or was said of the whole platform."""
    current = state.storms.get(group)
    if current is None:
        return None if group.partition("/")[0] in state.storms else Storm(now, group, why)
    relapse = 0.0 < current.until <= now + limits.storm_calm
    return Storm(now, group, why) if relapse else None


def _calming(now: float, group: str, why: str, state: State, limits: Limits) -> Storm | None:
    """It does not storm: say since when, and at last that it is over."""
    current = state.storms.get(group)
    if current is None or age(now, state.led_at) < limits.warmup:
        return None
    if current.until == 0.0 or current.at < state.led_at:  # what was before this leadership nobody watched to its end
        return Storm(now, group, why, until=now + limits.storm_calm * (1 + SLACK))
    return Storm(now, group, why, over=True) if now >= current.until else None


def _own(now: float, state: State, limits: Limits) -> Iterator[Storm]:
    current, failed = state.storms.get(OWN_STORM), state.results.count(False)
    if current is not None:
        if now >= current.until:
            yield Storm(now, OWN_STORM, "the calm time is over", over=True)
    elif failed >= limits.own_failures:
        why = f"{failed} of our last {len(state.results)} actions did not help"
        yield Storm(now, OWN_STORM, why, until=now + limits.storm_calm)


def of_target(target: Target, storms_: Mapping[str, Storm]) -> Storm | None:
    """The storm that a target is in, if any; the widest first."""
    return storms_.get(target.platform) or storms_.get(f"{target.platform}/{target.namespace}")


def counts_of(snapshot: Snapshot, ill: Sequence[Target]) -> Counts:
    """The counts of one snapshot, without memory.

    Args:
        snapshot: what is true now.
        ill: targets for which some policy's condition holds.
    """
    return Census().count(snapshot, ill_rows(snapshot, ill))
