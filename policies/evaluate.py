"""Where a policy's condition holds, since when, and how surely: one pass of vectors over the selected targets.

A mass failure must cost no more than a calm tick: what is found stays in arrays, and only what the caller picks
becomes objects.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from policies.holds import Holds, Planes, Streaks, advance, no_streaks
from policies.policy import Policy
from policies.selection import Catalog, Rows, Selection, selected
from telemetry.columns import Bools, Column, Floats, Kind
from telemetry.expression import Truth
from telemetry.reading import columns_at
from telemetry.snapshot import Snapshot
from telemetry.target import Target
from telemetry.verdict import Verdict

__all__ = [
    "Catalog",
    "Finding",
    "Findings",
    "Holds",
    "Selection",
    "Support",
    "evaluate",
    "search",
    "selected",
    "until_verdict",
    "when_verdict",
]


@dataclass(frozen=True, slots=True)
class Finding:
    """A target for which the policy's condition holds for as long as it asks.

    Attributes:
        since: epoch seconds at which the streak started.
        ticks_true: ticks of the streak at which `when` was surely true.
        ticks_total: ticks of the streak.
        margin: how far `when` is beyond its thresholds, 0..1.
        coverage_known: share of the columns whose values `when` reads which are known.
        freshness: least of 1 - age / stale-after over those that are known; 0 if none is.
        samples: fewest samples behind one of those that are known.
        values: name and value of those that are known.
    """

    target: Target
    since: float
    ticks_true: int
    ticks_total: int
    margin: float
    coverage_known: float
    freshness: float
    samples: float
    values: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Support:
    """What findings rest on, as arrays; the fields mean what those of `Finding` mean."""

    ticks_true: Floats
    ticks_total: Floats
    margin: Floats
    coverage_known: Floats
    freshness: Floats
    samples: Floats


@dataclass(frozen=True, slots=True)
class Findings:
    """What one policy found at one tick, as arrays.

    Attributes:
        rows: of the snapshot, ascending: the condition holds for as long as the policy asks.
        begun: rows for which it has begun to hold, whether or not for long enough.
    """

    policy: Policy
    snapshot: Snapshot
    rows: Rows
    begun: Rows
    _streaks: Streaks

    def support(self, rows: Rows) -> Support:
        """What the findings at these rows rest on."""
        streaks, here = self._at(rows)
        rests = _support(self.policy, *_read(self.policy, here))
        true, total = (ticks.astype(np.float64) for ticks in streaks.ticks)
        return Support(true, total, self._margin(here), *rests)

    def build(self, rows: Rows) -> tuple[Finding, ...]:
        """The findings at these rows, as objects."""
        if not len(rows):
            return ()
        streaks, here = self._at(rows)
        columns, known = _read(self.policy, here)
        parts = (streaks.since, streaks.ticks_true.astype(int), streaks.ticks_total.astype(int), self._margin(here))
        numbers: Iterator[tuple[float, int, int, float, float, float, float]]
        numbers = zip(*(part.tolist() for part in (*parts, *_support(self.policy, columns, known))), strict=True)
        return tuple(
            Finding(self.snapshot.targets[row], since, true, total, far, coverage, freshness, samples, values)
            for row, (since, true, total, far, coverage, freshness, samples), values in zip(
                rows.tolist(), numbers, _values(columns, known), strict=True
            )
        )

    def _at(self, rows: Rows) -> tuple[Streaks, Mapping[str, Column]]:
        place = np.searchsorted(self._streaks.rows, rows)
        return self._streaks.take(place), columns_at(self.snapshot, self.policy.when.columns, rows)

    def _margin(self, here: Mapping[str, Column]) -> Floats:
        when = self.policy.when
        return np.where(when.evaluate(here).true, when.margin(here), 0.0)


def search(
    policy: Policy,
    snapshot: Snapshot,
    holds: Holds,
    now: float,
    catalog: Catalog | None = None,
    shared: Truth | None = None,
) -> Findings:
    """Advance the streaks of one policy by one tick.

    Args:
        policy: what to look for.
        snapshot: what is true now.
        holds: the policy's memory; changed.
        now: epoch seconds, not before that of the last call.
        catalog: of the snapshot, where several policies share it.
        shared: truth of `when` on every row of the snapshot, where that is known already.
    """
    gap = holds.tick(now)
    selection = (catalog or Catalog(snapshot)).select(policy)
    holds.choose(selection, snapshot)
    rows = None if selection.places is None else selection.rows
    if shared is None:
        when = policy.when.evaluate(columns_at(snapshot, policy.when.columns, rows))
    else:
        when = shared if rows is None else Truth(shared.true[rows], shared.false[rows])
    if not len(holds.streaks.rows) and not when.true.any():
        none = no_streaks()
        return Findings(policy, snapshot, none.rows, none.rows, none)
    until = Truth(when.false, when.true)
    if policy.has_until:
        until = policy.until.evaluate(columns_at(snapshot, policy.until.columns, rows))
    planes = Planes(when.true, when.false, until.true, until.false)
    holds.streaks, found = advance(holds.streaks, selection, planes, (now, gap, policy.delay))
    begun = holds.streaks.rows
    return Findings(policy, snapshot, begun if found.all() else begun[found], begun, holds.streaks)


def evaluate(policy: Policy, snapshot: Snapshot, holds: Holds, now: float) -> tuple[Finding, ...]:
    """As `search`, with one finding for each target for which the condition holds for as long as the policy asks."""
    found = search(policy, snapshot, holds, now)
    return found.build(found.rows)


def when_verdict(policy: Policy, snapshot: Snapshot, target: Target) -> Verdict:
    """Whether the policy's `when` holds now for a target; unknown for one that the snapshot does not have."""
    row = snapshot.rows.get(target)
    if row is None:
        return Verdict.UNKNOWN
    return policy.when.evaluate(columns_at(snapshot, policy.when.columns, np.array([row]))).at(0)


def until_verdict(policy: Policy, snapshot: Snapshot, target: Target) -> Verdict:
    """Whether the policy's `until` holds now for a target; unknown for one that the snapshot does not have."""
    row = snapshot.rows.get(target)
    if row is None:
        return Verdict.UNKNOWN
    return policy.until.evaluate(columns_at(snapshot, policy.until.columns, np.array([row]))).at(0)


def _read(policy: Policy, here: Mapping[str, Column]) -> tuple[list[Column], Bools]:
    """The columns of `when`, by name, and which of their cells are known; what the snapshot lacks is left out."""
    columns = [here[name] for name in sorted(policy.when.columns) if name in here]
    rows = next((len(column.values) for column in here.values()), 0)
    return columns, np.array([column.known for column in columns]).reshape(len(columns), rows)


def _support(policy: Policy, columns: list[Column], known: Bools) -> tuple[Floats, Floats, Floats]:
    """Coverage, freshness and samples of each row; a column that the snapshot lacks is unknown everywhere.

    A column of which the condition only asks whether it is known, or how old, is no support: silence is surely seen.
    """
    read = policy.when.read
    rests = np.array([[column.spec.name in read] for column in columns]).reshape(len(columns), 1)
    known = known & rests
    fresh = np.array([_freshness(column) for column in columns]).reshape(known.shape)
    counts = np.array([column.count for column in columns]).reshape(known.shape)
    least_fresh = np.min(fresh, axis=0, where=known, initial=1.0)
    fewest = np.min(counts, axis=0, where=known & np.isfinite(counts), initial=np.inf)
    return (
        known.sum(axis=0) / len(read) if read else np.ones(known.shape[1]),
        np.where(known.any(axis=0), least_fresh, 0.0) if read else np.ones(known.shape[1]),
        np.where(np.isfinite(fewest), fewest, 0.0),
    )


def _values(columns: list[Column], known: Bools) -> Iterator[tuple[tuple[str, float], ...]]:
    """Name and value of the known columns of each row; a string is no value that a number could tell."""
    names = [column.spec.name for column in columns]
    cells = np.array([column.values for column in columns]).reshape(known.shape)
    known = known & np.array([column.spec.kind is not Kind.STRING for column in columns], np.bool_).reshape(-1, 1)
    for row, is_known in zip(cells.T.tolist(), known.T.tolist(), strict=True):
        yield tuple((name, value) for name, value, yes in zip(names, row, is_known, strict=True) if yes)


def _freshness(column: Column) -> Floats:
    """1 for a value of now, 0 for one that goes stale."""
    stale = column.spec.stale_after
    if np.isinf(stale):
        return np.ones(len(column.age))
    return np.clip(1.0 - column.age / stale, 0.0, 1.0)
