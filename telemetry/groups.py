"""Rows of traffic of one kind: their windows, the instances that speak, and what these say they use."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, TypeVar

import numpy as np

from telemetry.batch import Gauge
from telemetry.rings import Ints, RowTable
from telemetry.windows import SpanWindows

MOST_INSTANCES = 256
"""Instances of one target that are told apart."""
GAUGES = frozenset(
    {"cpu.ratio", "memory.ratio", "memory.bytes", "threads.count", "files.count", "queue.depth", "queue.limit"}
)
"""Columns that a gauge may fill."""
SMALLEST = frozenset({"queue.limit"})
"""Columns of which the worst instance is the one with the least."""

K = TypeVar("K", bound=Hashable)


class Group(Generic[K]):
    """Rows of one kind, with what is known of each."""

    def __init__(self, most: int) -> None:
        self.table: RowTable[K] = RowTable(most)
        self.windows = SpanWindows()
        self.instances: dict[int, dict[str, float]] = {}  # by row: when each was last heard
        self.gauges: dict[int, dict[tuple[str, str], tuple[float, float]]] = {}  # by row: value and time
        self.keys: dict[int, K] = {}
        self.news: set[int] = set()

    def row(self, key: K) -> int:
        """The row of a key, -1 if there is no room for one."""
        row = self.table.add(key)
        if row >= 0 and row not in self.keys:
            self.keys[row] = key
            self.windows.grow(self.table.height)
        return row

    def drop(self, keys: Iterable[K]) -> None:
        """Forget these."""
        for key in keys:
            row = self.table.drop(key)
            if row >= 0:
                self.windows.clear(row)
                del self.keys[row]
                for known in (self.instances, self.gauges):
                    known.pop(row, None)
                self.news.discard(row)

    def hear(self, rows: Ints, items: Ints, now: float, *, spans: bool) -> None:
        """Count items as of now, by row; a row may stand there more than once."""
        distinct, which = np.unique(rows, return_inverse=True)
        self.windows.hear(distinct, np.bincount(which, items).astype(np.int64), now, spans=spans)
        self.news.update(distinct.tolist())

    def hear_instance(self, row: int, instance: str, now: float) -> None:
        """An instance speaks; beyond those that are told apart, none is added."""
        known = self.instances.setdefault(row, {})
        if instance in known or len(known) < MOST_INSTANCES:
            known[instance] = now

    def take_gauge(self, row: int, gauge: Gauge, instance: str) -> None:
        """An instance says what it uses; beyond those that are told apart, nothing is added."""
        known, key = self.gauges.setdefault(row, {}), (gauge.column, instance)
        if key in known or len(known) < MOST_INSTANCES * len(GAUGES):
            known[key] = (gauge.value, gauge.at)

    def alive(self, row: int, since: float) -> Sequence[str]:
        """The instances heard since then; the others are forgotten."""
        known = {name: at for name, at in self.instances.get(row, {}).items() if at >= since}
        self.instances[row] = known
        return tuple(known)

    def worst(self, row: int, since: float) -> dict[str, tuple[float, float, int]]:
        """Value, time and number of instances by column, of the worst instance; values from before are forgotten."""
        known = {key: (value, at) for key, (value, at) in self.gauges.get(row, {}).items() if at >= since}
        self.gauges[row] = known
        found: dict[str, tuple[float, float, int]] = {}
        for (column, _), (value, at) in known.items():
            worst = min if column in SMALLEST else max
            old, newest, instances = found.get(column, (value, at, 0))
            found[column] = (worst(old, value), max(newest, at), instances + 1)
        return found
