"""The meeting point: sources bring readings from their threads, the loop takes snapshots."""

import math
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from telemetry.baselines import Baselines, Usual
from telemetry.batch import Batch, Fate
from telemetry.cells import Cells, frozen
from telemetry.columns import BASELINED, COLUMNS, USUAL, Bools, Column, ColumnSpec, Floats, Kind
from telemetry.inventory import Facts, Sample
from telemetry.snapshot import Snapshot
from telemetry.sources import Block, Reading
from telemetry.target import Target
from telemetry.traffic import Measured, Traffic, Unlisted

_OFTEN = 2.0  # seconds between refreshes, so that a minute has enough of them for one column each
_FUTURE = 5.0  # seconds that a sample may be ahead of the reading it came with
_AGE = "telemetry.age"
_SLOPED, _SLOPE = "memory.bytes", "memory.slope"
_OWN = frozenset({_AGE, "replicas.desired", "replicas.ready", "replicas.min", "replicas.max", *USUAL})
"""Columns that no sample fills."""


class Refused(StrEnum):
    """Why a sample was not taken."""

    UNMATCHED = "unmatched"  # no such target is in the inventory: telemetry adds none
    COLUMN = "column"  # no such column, or one that no sample fills
    VALUE = "value"  # not finite, or no bool in a bool column; or a senseless count
    TIME = "time"  # not finite, or from the future
    OLDER = "older"  # a newer one is there already


class Processor:
    """Joins samples and what workloads send to the inventory.

    Two locks: `snapshot` waits for short work only; what takes longer (batches, measuring, baselines) waits for its own
    kind. Who needs both takes the long one first.

    Every sample is counted: received = accepted + all that were refused, by reason.
    """

    def __init__(self, columns: Mapping[str, ColumnSpec] = COLUMNS) -> None:
        self._columns = columns
        self._lock = threading.Lock()
        self._facts: dict[str, Mapping[Target, Facts]] = {}  # by platform
        self._silent: dict[str, str] = {}
        self._targets: tuple[Target, ...] = ()
        self._rows: Mapping[Target, int] = {}
        self._cells = {name: Cells(0) for name in columns}
        self._last: Floats = np.full(0, -np.inf)  # when each row last sent something of its own
        self._received = self._accepted = 0
        self._refused: Counter[Refused] = Counter()
        self._frozen: frozenset[Target] = frozenset()
        self._slow = threading.Lock()
        self._traffic = Traffic()
        learnt = [columns[name] for name in BASELINED if name in columns]
        self._baselines = Baselines(learnt, _SLOPED if _SLOPE in columns else "")
        self._followed: tuple[Target, ...] = ()
        self._unlisted: Sequence[Unlisted] = ()
        self._refreshed = -math.inf
        self._places: dict[str, tuple[object, object, NDArray[np.int64]]] = {}  # see _places_of

    def ingest(self, reading: Reading) -> None:
        """Take what a source saw: the inventory first, then the samples that join it."""
        with self._lock:
            if reading.platform:
                self._take_facts(reading)
            for block in reading.blocks:
                self._take_block(reading.platform, block)
            for sample in reading.samples:
                self._received += 1
                reason = self._put(sample, reading.at)
                if reason is None:
                    self._accepted += 1
                else:
                    self._refused[reason] += 1

    def take(self, batch: Batch, now: float) -> Counter[Fate]:
        """Take what a workload sent; says what became of its items."""
        with self._slow:
            self._follow()
            return self._traffic.take(batch, now)

    @property
    def unlisted(self) -> Sequence[Unlisted]:
        """Who sends telemetry and is listed by no platform, at the last refresh: for people to read, never a target."""
        return self._unlisted

    def freeze(self, targets: Iterable[Target]) -> None:
        """Learn nothing new of what is usual for these: something is wrong with them, or being done about them."""
        with self._lock:
            self._frozen = frozenset(targets)

    def refresh(self, now: float) -> None:
        """Measure what came in since the last time, and each minute learn what is usual. Once a second or so."""
        with self._slow:
            self._follow()
            for measured in self._traffic.measure(now, self._facts_of):
                with self._lock:
                    self._put_measured(measured)
            self._unlisted = self._traffic.unlisted(now)
            if self._baselines.wants(now):
                with self._lock:
                    targets, minute, still = self._targets, self._minute(now), self._frozen_rows()
                self._baselines.follow(targets)
                self._baselines.record(now, targets, minute, still)
            self._learn(now)

    def _learn(self, now: float) -> None:
        """Spread over the minute if there is time: a column at each refresh, or all if refreshes are rare."""
        rare = now - self._refreshed > _OFTEN
        self._refreshed = now
        while (usual := self._baselines.learn(self._followed)) is not None:
            with self._lock:
                self._put_usual(usual, now)
            if not rare:
                return

    def snapshot(self, now: float) -> Snapshot:
        """Everything as it is at `now`; later readings change nothing in it."""
        with self._lock:
            columns = {name: self._column(spec, now) for name, spec in self._columns.items()}
            facts = MappingProxyType({target: known for each in self._facts.values() for target, known in each.items()})
            return Snapshot(now, self._targets, columns, facts, self._rows, dict(self._silent))

    def counts(self) -> dict[str, int]:
        """How many samples were `received`, `accepted`, and refused by each reason, since the start."""
        with self._lock:
            refused = {reason.value: self._refused[reason] for reason in Refused}
            return {"received": self._received, "accepted": self._accepted} | refused

    def _facts_of(self, target: Target) -> Facts | None:
        return self._facts.get(target.platform, {}).get(target)

    def _follow(self) -> None:
        """Let the traffic know which targets there are. The slow lock is held."""
        with self._lock:
            targets = self._targets
        if targets is not self._followed:
            self._followed = targets
            self._traffic.follow(targets)

    def _rows_of(self, targets: Sequence[Target]) -> NDArray[np.int64]:
        return np.array([self._rows.get(target, -1) for target in targets], np.int64)

    def _put_measured(self, measured: Measured) -> None:
        spec = self._columns.get(measured.column)
        rows = self._rows_of(measured.targets)
        here = rows >= 0
        rows, at = rows[here], measured.at[here]
        self._last[rows] = np.maximum(self._last[rows], at)
        if spec is not None:
            self._cells[spec.name].put_many(spec, rows, (measured.values[here], at, measured.count[here]))

    def _minute(self, now: float) -> dict[str, Floats]:
        """What is known of this minute, by column that is learnt."""
        columns = {name: self._column(self._columns[name], now) for name in self._baselines.columns}
        return {name: np.where(c.known & (c.age <= 60.0), c.values, np.nan) for name, c in columns.items()}

    def _frozen_rows(self) -> Bools:
        still = np.zeros(len(self._targets), np.bool_)
        still[[row for row in map(self._rows.get, self._frozen) if row is not None]] = True
        return still

    def _put_usual(self, usual: Usual, now: float) -> None:
        """While a target is frozen, what was usual for it stays as it was, and does not grow old."""
        if self._targets is not self._followed:
            return  # the rows moved meanwhile; the next minute tells it again
        learnt = {f"{usual.column}_baseline": usual.values, f"{usual.column}_mad": usual.spread}
        still = self._frozen_rows()
        if usual.column == _SLOPED:
            learnt, still = {_SLOPE: usual.values}, np.zeros_like(still)
        free = ~still[usual.places]
        rows, at = usual.places[free], np.full(int(free.sum()), now)
        for name, values in learnt.items():
            held = self._cells[name]
            held.at[still & np.isfinite(held.values)] = now
            held.put_many(self._columns[name], rows, (values[free], at, usual.count[free]))

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
        if before is reading.facts:
            return
        self._facts[platform] = reading.facts
        if before.keys() != reading.facts.keys():
            self._renumber()
        rows = self._rows_of(tuple(reading.facts))
        told = np.array([_replicas(facts) for facts in reading.facts.values()]).reshape(len(rows), 5)
        for place, name in enumerate(_REPLICAS, start=1):
            if name in self._cells:  # said, not sampled
                self._cells[name].put_said(rows, told[:, place], told[:, 0])

    def _take_block(self, platform: str, block: Block) -> None:
        """Values of many targets at once; what would be refused of a sample is refused here, and counted alike."""
        rows = self._places_of(platform, block.targets)
        there = rows >= 0
        for name, values in block.columns.items():
            spec = self._columns.get(name)
            told = np.isfinite(values)
            self._received += (sent := int(told.sum()))
            if spec is None or spec.name in _OWN or not math.isfinite(block.at):
                self._refused[Refused.COLUMN] += sent
                continue
            sane = ~told | (np.isin(values, (0.0, 1.0)) if spec.kind is Kind.BOOL else told)
            self._refused[Refused.UNMATCHED] += int((told & ~there).sum())
            self._refused[Refused.VALUE] += int((there & ~sane).sum())
            self._accepted += int((told & there & sane).sum())
            self._cells[name].put_reading(rows[there & sane], values[there & sane], block.at)

    def _places_of(self, platform: str, targets: tuple[Target, ...]) -> NDArray[np.int64]:
        """The rows of a block's targets, looked up anew only when there are others."""
        known = self._places.get(platform)
        if known is None or known[0] is not targets or known[1] is not self._rows:
            known = (targets, self._rows, self._rows_of(targets))
            self._places[platform] = known
        return known[2]

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
        return None

    def _column(self, spec: ColumnSpec, now: float) -> Column:
        if spec.name == _AGE:
            since = np.maximum(now - self._last, 0.0)
            sent = np.isfinite(since)
            ages = np.where(sent, since, np.nan), np.where(sent, 0.0, np.inf), sent.astype(np.float64)
            return Column(spec, *map(frozen, ages))
        return self._cells[spec.name].column(spec, now)


def _sane(sample: Sample, spec: ColumnSpec) -> bool:
    if spec.kind is Kind.BOOL and sample.value not in (0.0, 1.0):
        return False
    return math.isfinite(sample.value) and math.isfinite(sample.count) and sample.count >= 0


_REPLICAS = ("replicas.desired", "replicas.ready", "replicas.min", "replicas.max")


def _replicas(facts: Facts) -> tuple[float, ...]:
    """When it was seen, and the columns of facts; how many are ready is unknown while no instance's verdict is."""
    judged = not facts.instances or any(instance.ready is not None for instance in facts.instances)
    ready = float(facts.ready) if judged else math.nan
    return facts.seen_at, float(facts.desired), ready, float(facts.minimum), float(facts.maximum)
