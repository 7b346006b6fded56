"""What is usual: median, and median absolute deviation, over the last hour of one-minute values of each row.

The median of an hour bears half an hour of anything; and while an episode is open on a target nothing is learnt of it,
so that being sick never becomes usual.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from telemetry.columns import Bools, ColumnSpec, Floats, Kind
from telemetry.rings import Ints, RowTable, grown
from telemetry.target import Target

MINUTES = 60
LEAST = 10
"""Minutes that must be known before anything is called usual."""
MOST_TARGETS = 100_000
SLOPE_MINUTES = 15
SLOPE_LEAST = 5
_CHUNK = 4096
_FLOORS = {"ratio": 0.01, "1/s": 0.1, "1": 1.0, "1/h": 1.0, "byte": float(1 << 20), "byte/s": 1024.0}
_DURATION_FLOOR = 0.001
_PAIRS = np.array([(i, j) for i in range(SLOPE_MINUTES) for j in range(i + 1, SLOPE_MINUTES)]).T


@dataclass(frozen=True, slots=True)
class Usual:
    """What was learnt of one column.

    Attributes:
        places: of which of the targets that were asked about.
        values: the median, or for a slope its value per second; NaN where too little is known.
        spread: the median absolute deviation, at least the scale floor.
        count: minutes behind each.
    """

    column: str
    places: Ints
    values: Floats
    spread: Floats
    count: Floats


class Baselines:
    """Remembers one value a minute: 240 bytes per column and target. Not for two threads at once."""

    def __init__(self, specs: Iterable[ColumnSpec], sloped: str = "") -> None:
        """Learn these columns; of `sloped` the slope instead, if one is named."""
        self._specs = {spec.name: spec for spec in specs}
        self._sloped = sloped
        self._table: RowTable[Target] = RowTable(MOST_TARGETS)
        self._rings: dict[str, NDArray[np.float32]] = {}
        self._minute = -1
        self._due: list[str] = []
        for name in self.columns:
            self._rings[name] = np.zeros((0, MINUTES), np.float32)

    @property
    def columns(self) -> tuple[str, ...]:
        """What `record` wants."""
        return (*self._specs, self._sloped) if self._sloped else tuple(self._specs)

    def wants(self, now: float) -> bool:
        """Whether a new minute began."""
        return int(now // 60) > self._minute

    def follow(self, targets: Iterable[Target]) -> None:
        """These are the targets there are; the others are forgotten."""
        there = frozenset(targets)
        gone = [self._table.drop(target) for target in self._table if target not in there]
        for ring in self._rings.values():
            ring[gone] = np.nan
        for target in there:
            self._table.add(target)
        for name, ring in self._rings.items():
            self._rings[name] = grown(ring, self._table.height, np.nan)

    def record(self, now: float, targets: Sequence[Target], values: Mapping[str, Floats], frozen: Bools) -> None:
        """Remember the values of a minute, NaN where unknown; of frozen rows nothing.

        Minutes in which nobody recorded are unknown.
        """
        minute = int(now // 60)
        rows = self._table.rows(targets)
        held = rows >= 0
        skipped = min(minute - self._minute, MINUTES)
        places = [(minute - back) % MINUTES for back in range(skipped)]
        for name, ring in self._rings.items():
            ring[:, places] = np.nan
            ring[rows[held], minute % MINUTES] = np.where(frozen, np.nan, values[name])[held]
        self._minute = minute
        self._due = list(self.columns)

    def learn(self, targets: Sequence[Target]) -> Usual | None:
        """What became usual of the next column, one at each call, until the next minute; None when all is told."""
        if not self._due:
            return None
        name = self._due.pop()
        rows = self._table.rows(targets)
        kept = np.flatnonzero(rows >= 0)
        middle, spread, count = (np.full(len(kept), np.nan) for _ in range(3))
        for start in range(0, len(kept), _CHUNK):
            part = slice(start, start + _CHUNK)
            ring = self._rings[name][rows[kept[part]]]
            if name == self._sloped:
                middle[part], count[part] = _slope(self._latest(ring))
            else:
                middle[part], spread[part], count[part] = _median(ring)
        if name in self._specs:
            spread = np.maximum(spread, _floor(self._specs[name], middle))
        return Usual(name, kept, middle, spread, count)

    def _latest(self, ring: NDArray[np.float32]) -> NDArray[np.float32]:
        """The last minutes, oldest first."""
        places = [(self._minute - back) % MINUTES for back in range(SLOPE_MINUTES)][::-1]
        return ring[:, places]


def _floor(spec: ColumnSpec, middle: Floats) -> Floats:
    """Deviations below this are noise."""
    unit = _DURATION_FLOOR if spec.kind is Kind.DURATION else _FLOORS[spec.unit]
    return np.maximum(0.01 * np.abs(middle), unit)


def _middle(values: NDArray[np.float32]) -> tuple[Floats, Ints]:
    """Median by row of what is known, and how many are."""
    ordered = np.sort(values, axis=1)  # NaN last
    count = np.isfinite(values).sum(axis=1)
    rows = np.arange(len(values))
    lower, upper = (
        ordered[rows, np.maximum(count - 1, 0) // 2],
        ordered[rows, np.minimum(count // 2, values.shape[1] - 1)],
    )
    return (lower.astype(np.float64) + upper) / 2, count


def _median(ring: NDArray[np.float32]) -> tuple[Floats, Floats, Floats]:
    middle, count = _middle(ring)
    spread, _ = _middle(np.abs(ring - middle[:, None].astype(np.float32)))
    enough = count >= LEAST
    return np.where(enough, middle, np.nan), np.where(enough, spread, np.nan), count.astype(np.float64)


def _slope(latest: NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Theil-Sen: the median of the slopes between any two minutes, which a restart or a burst hardly moves."""
    before, after = _PAIRS
    between = (latest[:, after] - latest[:, before]) / ((after - before) * 60.0)
    middle, _ = _middle(between.astype(np.float32))
    count = np.isfinite(latest).sum(axis=1)
    return np.where(count >= SLOPE_LEAST, middle, np.nan), count.astype(np.float64)
