"""The cells of one column: value, time and count by row."""

import numpy as np
from numpy.typing import NDArray

from telemetry.columns import Bools, ColumnSpec, Floats


class Cells:
    """Written by readings, one by one, and by measurements, many at once; of two sources the reading counts."""

    __slots__ = ("at", "count", "read", "values")

    def __init__(self, rows: int) -> None:
        self.values: Floats = np.full(rows, np.nan)
        self.at: Floats = np.full(rows, -np.inf)
        self.count: Floats = np.zeros(rows)
        self.read: Bools = np.zeros(rows, np.bool_)  # whether a reading wrote it

    def moved(self, kept: list[tuple[int, int]], rows: int) -> "Cells":
        """The same cells in other rows: pairs of old and new row."""
        cells = Cells(rows)
        if kept:
            old, fresh = np.array(kept).T
            for name in self.__slots__:
                getattr(cells, name)[fresh] = getattr(self, name)[old]
        return cells

    def put(self, row: int, value: float, at: float, count: float) -> None:
        """Overwrite one cell by a reading."""
        self.values[row], self.at[row], self.count[row], self.read[row] = value, at, count, True

    def put_many(self, spec: ColumnSpec, rows: NDArray[np.int64], measured: tuple[Floats, Floats, Floats]) -> None:
        """Overwrite cells by values, times and counts, except where a reading stands that is not stale by then."""
        values, at, count = measured
        free = ~self.read[rows] | (at - self.at[rows] > spec.stale_after)
        rows = rows[free]
        self.values[rows], self.at[rows], self.count[rows], self.read[rows] = values[free], at[free], count[free], False
