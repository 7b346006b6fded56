"""The meeting point: sources bring readings from their threads, the loop takes snapshots."""

import math
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType

import numpy as np

from telemetry.columns import COLUMNS, Column, ColumnSpec, Floats, Kind
from telemetry.inventory import Facts, Sample
from telemetry.snapshot import Snapshot
from telemetry.sources import Reading
from telemetry.target import Target

_FUTURE = 5.0  # seconds that a sample may be ahead of the reading it came with
_AGE = "telemetry.age"
_OWN = frozenset({_AGE, "replicas.desired", "replicas.ready", "replicas.min", "replicas.max"})
"""Columns that only the inventory fills."""


class Refused(StrEnum):
    """Why a sample was not taken."""

    UNMATCHED = "unmatched"  # no such target is in the inventory: telemetry adds none
    COLUMN = "column"  # no such column, or one that only the processor fills
    VALUE = "value"  # not finite, or no bool in a bool column; or a senseless count
    TIME = "time"  # not finite, or from the future
    OLDER = "older"  # a newer one is there already


class _Cells:
    """Value, time and count by row of one column."""

    __slots__ = ("at", "count", "values")

    def __init__(self, rows: int) -> None:
        self.values: Floats = np.full(rows, np.nan)
        self.at: Floats = np.full(rows, -np.inf)
        self.count: Floats = np.zeros(rows)

    def moved(self, kept: list[tuple[int, int]], rows: int) -> "_Cells":
        """The same cells in other rows: pairs of old and new row."""
        cells = _Cells(rows)
        if kept:
            old, fresh = np.array(kept).T
            for name in self.__slots__:
                getattr(cells, name)[fresh] = getattr(self, name)[old]
        return cells

    def put(self, row: int, value: float, at: float, count: float) -> None:
        """Overwrite one cell."""
        self.values[row], self.at[row], self.count[row] = value, at, count


class Processor:
    """Joins samples to the inventory. Everything happens under one lock, and no call waits for anything else.

    Every sample is counted: received = accepted + all that were refused, by reason.
    """

    def __init__(self, columns: Mapping[str, ColumnSpec] = COLUMNS) -> None:
        self._columns = columns
        self._lock = threading.Lock()
        self._facts: dict[str, Mapping[Target, Facts]] = {}  # by platform
        self._silent: dict[str, str] = {}
        self._targets: tuple[Target, ...] = ()
        self._rows: Mapping[Target, int] = {}
        self._cells = {name: _Cells(0) for name in columns}
        self._last: Floats = np.full(0, -np.inf)  # when the latest sample of each row was measured
        self._received = self._accepted = 0
        self._refused: Counter[Refused] = Counter()

    def ingest(self, reading: Reading) -> None:
        """Take what a source saw: the inventory first, then the samples that join it."""
        with self._lock:
            if reading.platform:
                self._take_facts(reading)
            for sample in reading.samples:
                self._received += 1
                reason = self._put(sample, reading.at)
                if reason is None:
                    self._accepted += 1
                else:
                    self._refused[reason] += 1

    def snapshot(self, now: float) -> Snapshot:
        """Everything as it is at `now`; later readings change nothing in it."""
        with self._lock:
            columns = {name: self._column(spec, now) for name, spec in self._columns.items()}
            facts = {target: known for each in self._facts.values() for target, known in each.items()}
            return Snapshot(now, self._targets, columns, MappingProxyType(facts), self._rows, dict(self._silent))

    def counts(self) -> dict[str, int]:
        """How many samples were `received`, `accepted`, and refused by each reason, since the start."""
        with self._lock:
            refused = {reason.value: self._refused[reason] for reason in Refused}
            return {"received": self._received, "accepted": self._accepted} | refused

    def _take_facts(self, reading: Reading) -> None:
        """A platform that does not answer keeps its targets, and their cells grow old; one that answers says it all."""
        platform = reading.platform
        if reading.error:
            self._silent[platform] = reading.error
            if platform in self._facts:
                return
        else:
            self._silent.pop(platform, None)
        before = self._facts.get(platform, {})
        self._facts[platform] = reading.facts
        if before.keys() != reading.facts.keys():
            self._renumber()
        for target, facts in reading.facts.items():
            for name, value in _replicas(facts):
                if name in self._cells:
                    self._cells[name].put(self._rows[target], value, facts.seen_at, math.inf)  # said, not sampled

    def _renumber(self) -> None:
        """Rows for the targets there are now; those that vanished take their cells with them."""
        there = (target for facts in self._facts.values() for target in facts)
        targets = tuple(sorted(there, key=lambda t: (t.namespace, t.kind, t.name, t.platform, t.uid)))
        rows = {target: row for row, target in enumerate(targets)}
        kept = [(row, rows[target]) for target, row in self._rows.items() if target in rows]
        self._cells = {name: cells.moved(kept, len(rows)) for name, cells in self._cells.items()}
        last = np.full(len(rows), -np.inf)
        for old, fresh in kept:
            last[fresh] = self._last[old]
        self._targets, self._rows, self._last = targets, MappingProxyType(rows), last

    def _put(self, sample: Sample, at: float) -> Refused | None:
        """Write one sample, or say why not."""
        row, spec = self._rows.get(sample.target), self._columns.get(sample.column)
        if row is None:
            return Refused.UNMATCHED
        if spec is None or spec.name in _OWN:
            return Refused.COLUMN
        if not _sane(sample, spec):
            return Refused.VALUE
        if not (math.isfinite(sample.at) and sample.at <= at + _FUTURE):
            return Refused.TIME
        cells = self._cells[spec.name]
        if sample.at < cells.at[row]:
            return Refused.OLDER
        cells.put(row, sample.value, sample.at, sample.count)
        self._last[row] = max(self._last[row], sample.at)
        return None

    def _column(self, spec: ColumnSpec, now: float) -> Column:
        if spec.name == _AGE:
            since = np.maximum(now - self._last, 0.0)
            sampled = np.isfinite(since)
            ages = np.where(sampled, since, np.nan), np.where(sampled, 0.0, np.inf), sampled.astype(np.float64)
            return Column(spec, *map(_frozen, ages))
        cells = self._cells[spec.name]
        age = np.maximum(now - cells.at, 0.0)
        return Column(spec, _frozen(cells.values.copy()), _frozen(age), _frozen(cells.count.copy()))


def _frozen(values: Floats) -> Floats:
    values.flags.writeable = False
    return values


def _sane(sample: Sample, spec: ColumnSpec) -> bool:
    if spec.kind is Kind.BOOL and sample.value not in (0.0, 1.0):
        return False
    return math.isfinite(sample.value) and math.isfinite(sample.count) and sample.count >= 0


def _replicas(facts: Facts) -> Iterator[tuple[str, float]]:
    """The columns that come from facts; how many are ready is not known while no instance's verdict is."""
    judged = not facts.instances or any(instance.ready is not None for instance in facts.instances)
    yield "replicas.desired", float(facts.desired)
    yield "replicas.ready", float(facts.ready) if judged else math.nan
    yield "replicas.min", float(facts.minimum)
    yield "replicas.max", float(facts.maximum)
