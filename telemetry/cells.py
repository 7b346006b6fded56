"""The cells of one column: value, time and count by row."""

import numpy as np
from numpy.typing import NDArray

from telemetry.columns import Bools, Column, ColumnSpec, Floats


class Cells:
    """Written by readings, one by one, and by measurements, many at once; of two sources the reading counts.

    What was shown is never changed: the first write after a look makes a copy, so that a look is nearly free.
    """

    __slots__ = ("_blank", "_shown", "at", "count", "read", "values")

    def __init__(self, rows: int) -> None:
        self.values: Floats = np.full(rows, np.nan)
        self.at: Floats = np.full(rows, -np.inf)
        self.count: Floats = np.zeros(rows)
        self.read: Bools = np.zeros(rows, np.bool_)  # whether a reading wrote it
        self._shown = False
        self._blank: Column | None = None  # how it looks while nothing was ever written

    def moved(self, kept: list[tuple[int, int]], rows: int) -> "Cells":
        """The same cells in other rows: pairs of old and new row."""
        cells = Cells(rows)
        if kept:
            old, fresh = np.array(kept).T
            for name in ("at", "count", "read", "values"):
                getattr(cells, name)[fresh] = getattr(self, name)[old]
        return cells

    def put(self, row: int, value: float, at: float, count: float) -> None:
        """Overwrite one cell by a reading."""
        self._own()
        self.values[row], self.at[row], self.count[row], self.read[row] = value, at, count, True

    def put_many(self, spec: ColumnSpec, rows: NDArray[np.int64], measured: tuple[Floats, Floats, Floats]) -> None:
        """Overwrite cells by values, times and counts, except where a reading stands that is not stale by then."""
        values, at, count = measured
        free = ~self.read[rows] | (self.at[rows] < at - spec.stale_after)  # -inf: never
        rows = rows[free]
        if len(rows):
            self._own()
            self.values[rows], self.at[rows], self.count[rows] = values[free], at[free], count[free]
            self.read[rows] = False

    def column(self, spec: ColumnSpec, now: float) -> Column:
        """How it looks at `now`; read-only."""
        if self._blank is not None:
            return self._blank
        self._shown = True
        age = now - self.at
        np.maximum(age, 0.0, out=age)
        shown = Column(spec, frozen(self.values), frozen(age), frozen(self.count))
        if not np.isfinite(self.at).any():
            self._blank = shown
        return shown

    def _own(self) -> None:
        """Before a write."""
        self._blank = None
        if self._shown:
            self.values, self.count, self._shown = self.values.copy(), self.count.copy(), False


def frozen(values: Floats) -> Floats:
    """The same, read-only."""
    values.flags.writeable = False
    return values
