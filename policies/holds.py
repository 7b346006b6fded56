"""The memory of conditions that must hold for a while: streaks of targets, advanced one tick at a time.

A streak starts when `when` is surely true. It ends when `until` is surely true, when there was no evidence for longer
than the gap, or, as long as it is not active, when `when` is surely false. It becomes active once it lasted for the
policy's delay and `when` is surely true. A tick is a finding if the streak is active and there is evidence at this
very tick: `when` surely true or `until` surely false. Unknown keeps a streak and finds nothing.
"""

from collections import deque
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.selection import Rows, Selection
from telemetry.columns import Bools, Floats
from telemetry.snapshot import Snapshot
from telemetry.target import Target

Counts = NDArray[np.float32]
"""Ticks, exact up to 16 million: half a year of seconds; beyond that a share changes no more."""

GAP_TICKS = 2.5
"""Ticks without evidence after which a streak ends: two, and room for jitter. A longer gap could hide a recovery."""
LEAST_GAP = 2.5
"""Seconds that the gap has at least."""


@dataclass(frozen=True, slots=True)
class Streaks:
    """The rows that have a streak, in ascending order, and what is remembered of each."""

    rows: Rows
    since: Floats
    seen: Floats
    active: Bools
    ticks_true: Counts
    ticks_total: Counts

    def parts(self) -> tuple[NDArray[Any], ...]:
        """The arrays, in the order of the fields."""
        return (self.rows, self.since, self.seen, self.active, self.ticks_true, self.ticks_total)

    @property
    def ticks(self) -> tuple[Counts, Counts]:
        """Those at which `when` was surely true, and all."""
        return self.ticks_true, self.ticks_total

    def take(self, chosen: NDArray[np.intp] | Bools) -> "Streaks":
        """Those at these places."""
        return Streaks(*(part[chosen] for part in self.parts()))


def no_streaks() -> Streaks:
    """None at all."""
    none, counts = np.empty(0), np.empty(0, np.float32)
    return Streaks(none.astype(np.intp), none, none, none.astype(np.bool_), counts, counts)


@dataclass(slots=True)
class Holds:
    """What one policy remembers between ticks. It need not be durable: losing it only delays findings."""

    at: float = -np.inf
    targets: tuple[Target, ...] = ()
    selection: Selection | None = None
    streaks: Streaks = field(default_factory=no_streaks)
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

    def choose(self, selection: Selection, snapshot: Snapshot) -> None:
        """Go by this selection; streaks follow their targets, and end with their selection."""
        if self.targets is not snapshot.targets and self.targets != snapshot.targets:
            moved = (snapshot.rows.get(self.targets[row], -1) for row in self.streaks.rows.tolist())
            rows = np.fromiter(moved, np.intp, len(self.streaks.rows))
            streaks = replace(self.streaks, rows=rows).take(rows >= 0)
            self.streaks, self.selection = streaks.take(np.argsort(streaks.rows)), None
        if self.selection is not selection:
            place = selection.place(self.streaks.rows)
            self.streaks = self.streaks.take(place >= 0)
        self.targets, self.selection = snapshot.targets, selection


class Planes(NamedTuple):
    """`when` and `until`, surely true and surely false, at each selected row."""

    when: Bools
    not_when: Bools
    until: Bools
    not_until: Bools

    def at(self, places: Rows) -> "Planes":
        """The planes at these places."""
        return Planes(*(plane[places] for plane in self))


def advance(
    old: Streaks, selection: Selection, planes: Planes, times: tuple[float, float, float]
) -> tuple[Streaks, Bools]:
    """The streaks after this tick, and which of them are findings.

    Args:
        old: the streaks before, all of selected rows.
        selection: the selected rows.
        planes: over its rows.
        times: now, gap, delay.
    """
    now, gap, delay = times
    place = selection.place(old.rows)
    at = planes if len(place) == len(selection.rows) else planes.at(place)  # where every row has one, they are in order
    alive = (now - old.seen <= gap) & ~at.until & ~(at.not_when & ~old.active)
    if not alive.all():
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
    found = going.active & evidence
    starts = planes.when & ~planes.until
    starts[place] = False
    if not starts.any():
        return going, found
    new = _started(selection.rows[starts], now, active=delay <= 0)
    merged = Streaks(*(np.concatenate(pair) for pair in zip(going.parts(), new.parts(), strict=True)))
    found = np.concatenate([found, new.active])
    order = np.argsort(merged.rows)
    return merged.take(order), found[order]


def _started(rows: Rows, now: float, *, active: bool) -> Streaks:
    """Streaks that start at this tick."""
    count = len(rows)
    then, one = np.full(count, now), np.ones(count, np.float32)
    return Streaks(rows, then, then, np.full(count, active), one, one)
