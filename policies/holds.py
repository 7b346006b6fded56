"""The memory of conditions that must hold for a while: streaks of targets, advanced one tick at a time.

A streak starts when `when` is surely true. It ends when `until` is surely true, when there was no evidence for longer
than the gap, or, as long as it is not active, when `when` is surely false. It becomes active once it lasted for the
policy's delay and `when` is surely true. A tick is a finding if the streak is active and there is evidence at this
very tick: `when` surely true or `until` surely false. Unknown keeps a streak and finds nothing.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.policy import Policy
from telemetry.columns import Bools, Floats
from telemetry.inventory import Facts
from telemetry.snapshot import Snapshot
from telemetry.target import Target

Rows = NDArray[np.intp]

GAP_TICKS = 2.5
"""Ticks without evidence after which a streak ends: two, and room for jitter. A longer gap could hide a recovery."""
LEAST_GAP = 2.5
"""Seconds that the gap has at least."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The targets that a policy is about.

    Attributes:
        rows: of the snapshot; none if refused.
        refused: why the selection is not used at all; empty if it is.
    """

    rows: Rows
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Streaks:
    """The rows that have a streak, in ascending order, and what is remembered of each."""

    rows: Rows
    since: Floats
    seen: Floats
    active: Bools
    ticks_true: Floats
    ticks_total: Floats

    def parts(self) -> tuple[NDArray[Any], ...]:
        """The arrays, in the order of the fields."""
        return (self.rows, self.since, self.seen, self.active, self.ticks_true, self.ticks_total)

    def take(self, chosen: NDArray[np.intp] | Bools) -> "Streaks":
        """Those at these places."""
        return Streaks(*(part[chosen] for part in self.parts()))


def _no_streaks() -> Streaks:
    none = np.empty(0)
    return Streaks(none.astype(np.intp), none, none, none.astype(np.bool_), none, none)


@dataclass(slots=True)
class Holds:
    """What one policy remembers between ticks. It need not be durable: losing it only delays findings."""

    at: float = -np.inf
    targets: tuple[Target, ...] = ()
    facts: Mapping[Target, Facts] | None = None
    selection: Selection | None = None
    streaks: Streaks = field(default_factory=_no_streaks)
    ticks: deque[float] = field(default_factory=lambda: deque(maxlen=9))

    def tick(self, now: float) -> float:
        """Note a tick; returns the gap: seconds without evidence that a streak survives.

        The gap follows the ticks that came before, whatever interval they were meant to have.
        """
        gap = max(LEAST_GAP, GAP_TICKS * median(self.ticks)) if self.ticks else LEAST_GAP
        if now > self.at > -np.inf:
            self.ticks.append(now - self.at)
        self.at = now
        return gap

    def choose(self, policy: Policy, snapshot: Snapshot) -> Rows:
        """The selected rows, from memory if nothing changed that they depend on; streaks follow their targets."""
        if self.targets is not snapshot.targets and self.targets != snapshot.targets:
            moved = (snapshot.rows.get(self.targets[row], -1) for row in self.streaks.rows.tolist())
            rows = np.fromiter(moved, np.intp, len(self.streaks.rows))
            streaks = replace(self.streaks, rows=rows).take(rows >= 0)
            self.streaks = streaks.take(np.argsort(streaks.rows))
            self.selection = None
        if self.selection is None or (policy.selector.labels and self.facts is not snapshot.facts):
            self.selection = selected(policy, snapshot)
        self.targets, self.facts = snapshot.targets, snapshot.facts
        return self.selection.rows


def selected(policy: Policy, snapshot: Snapshot) -> Selection:
    """The rows of the targets that the policy is about; none at all if they are more than it allows."""
    facts = snapshot.facts
    rows = [row for row, target in enumerate(snapshot.targets) if policy.selects(target, facts[target])]
    if len(rows) > policy.selector.max:
        nothing = np.empty(0, np.intp)
        return Selection(nothing, f"selects {len(rows)} targets, targets.max allows {policy.selector.max}")
    return Selection(np.array(rows, np.intp))


class Planes(NamedTuple):
    """`when` and `until`, surely true and surely false, at each selected row."""

    when: Bools
    not_when: Bools
    until: Bools
    not_until: Bools

    def at(self, places: Rows) -> "Planes":
        """The planes at these places."""
        return Planes(*(plane[places] for plane in self))


def advance(old: Streaks, rows: Rows, planes: Planes, times: tuple[float, float, float]) -> tuple[Streaks, Bools]:
    """The streaks after this tick, and which of them are findings.

    Args:
        old: the streaks before.
        rows: selected rows, in ascending order.
        planes: over `rows`.
        times: now, gap, delay.
    """
    now, gap, delay = times
    place = np.searchsorted(rows, old.rows)
    chosen = np.isin(old.rows, rows, assume_unique=True)
    old, place = old.take(chosen), place[chosen]
    at = planes.at(place)
    alive = (now - old.seen <= gap) & ~at.until & ~(at.not_when & ~old.active)
    old, place, at = old.take(alive), place[alive], at.at(np.flatnonzero(alive))
    evidence = at.when | (old.active & at.not_until)
    going = Streaks(
        old.rows,
        old.since,
        np.where(evidence, now, old.seen),
        old.active | (at.when & (now - old.since >= delay)),
        old.ticks_true + at.when,
        old.ticks_total + 1,
    )
    starts = planes.when & ~planes.until
    starts[place] = False
    new = _started(rows[starts], now, active=delay <= 0)
    merged = Streaks(*(np.concatenate(pair) for pair in zip(going.parts(), new.parts(), strict=True)))
    found = np.concatenate([going.active & evidence, new.active])
    order = np.argsort(merged.rows)
    return merged.take(order), found[order]


def _started(rows: Rows, now: float, *, active: bool) -> Streaks:
    """Streaks that start at this tick."""
    count = len(rows)
    then, one = np.full(count, now), np.ones(count)
    return Streaks(rows, then, then, np.full(count, active), one, one)
