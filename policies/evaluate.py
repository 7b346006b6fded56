"""Where a policy's condition holds, since when, and how surely: one pass of vectors over the selected targets."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from policies.holds import Holds, Planes, Rows, Selection, Streaks, advance, selected
from policies.policy import Policy
from telemetry.columns import Bools, Column, Floats
from telemetry.snapshot import Snapshot
from telemetry.target import Target
from telemetry.verdict import Verdict

__all__ = ["Finding", "Holds", "Selection", "evaluate", "selected", "until_verdict"]


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


def evaluate(policy: Policy, snapshot: Snapshot, holds: Holds, now: float) -> tuple[Finding, ...]:
    """Advance the streaks of one policy by one tick.

    Args:
        policy: what to look for.
        snapshot: what is true now.
        holds: the policy's memory; changed.
        now: epoch seconds, not before that of the last call.

    Returns:
        One finding for each target for which the condition holds for as long as the policy asks, by row.
    """
    gap = holds.tick(now)
    rows = holds.choose(policy, snapshot)
    columns = _columns(snapshot, rows, policy.when.columns | policy.until.columns)
    when = policy.when.evaluate(columns)
    if not len(holds.streaks.rows) and not when.true.any():
        return ()
    until = policy.until.evaluate(columns)
    planes = Planes(when.true, when.false, until.true, until.false)
    holds.streaks, found = advance(holds.streaks, rows, planes, (now, gap, policy.delay))
    return _findings(policy, snapshot, holds.streaks.take(found))


def until_verdict(policy: Policy, snapshot: Snapshot, target: Target) -> Verdict:
    """Whether the policy's `until` holds now for a target; unknown for one that the snapshot does not have."""
    row = snapshot.rows.get(target)
    if row is None:
        return Verdict.UNKNOWN
    return policy.until.evaluate(_columns(snapshot, np.array([row]), policy.until.columns)).at(0)


def _columns(snapshot: Snapshot, rows: Rows, names: frozenset[str]) -> Mapping[str, Column]:
    """These columns at these rows; at least one, because rows are counted on it."""
    if len(rows) == len(snapshot.targets):
        return snapshot.columns
    asked = [name for name in names if name in snapshot.columns] or list(snapshot.columns)[:1]
    columns = ((name, snapshot.columns[name]) for name in asked)
    return {name: Column(c.spec, c.values[rows], c.age[rows], c.count[rows]) for name, c in columns}


def _findings(policy: Policy, snapshot: Snapshot, found: Streaks) -> tuple[Finding, ...]:
    """What a finding rests on, read at its row only."""
    if not len(found.rows):
        return ()
    here = _columns(snapshot, found.rows, policy.when.columns)
    margin = np.where(policy.when.evaluate(here).true, policy.when.margin(here), 0.0)
    streaks = (found.since, found.ticks_true.astype(int), found.ticks_total.astype(int), margin)
    columns = [here[name] for name in sorted(policy.when.columns) if name in here]
    known = np.array([column.known for column in columns]).reshape(len(columns), len(found.rows))
    numbers: Iterator[tuple[float, int, int, float, float, float, float]]
    numbers = zip(*(part.tolist() for part in (*streaks, *_support(policy, columns, known))), strict=True)
    return tuple(
        Finding(snapshot.targets[row], since, true, total, far, coverage, freshness, samples, values)
        for row, (since, true, total, far, coverage, freshness, samples), values in zip(
            found.rows.tolist(), numbers, _values(columns, known), strict=True
        )
    )


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
    """Name and value of the known columns of each row."""
    names = [column.spec.name for column in columns]
    cells = np.array([column.values for column in columns]).reshape(known.shape)
    for row, is_known in zip(cells.T.tolist(), known.T.tolist(), strict=True):
        yield tuple((name, value) for name, value, yes in zip(names, row, is_known, strict=True) if yes)


def _freshness(column: Column) -> Floats:
    """1 for a value of now, 0 for one that goes stale."""
    stale = column.spec.stale_after
    if np.isinf(stale):
        return np.ones(len(column.age))
    return np.clip(1.0 - column.age / stale, 0.0, 1.0)
