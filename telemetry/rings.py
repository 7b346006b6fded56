"""Rings: rows x slots of time, in memory of fixed size. A slot that is needed again is emptied first."""

from collections.abc import Hashable, Iterable, Iterator
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

SLOT = 10.0
"""Seconds of one slot."""
SLOTS = 6
"""Slots of a window, so that a window is the last 50 to 60 s."""
KEPT = SLOTS + 1
"""Slots of a ring: one more, so that a clock a little ahead overwrites nothing of the window."""

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_CHUNK = 64
_NEVER = -(1 << 62)

K = TypeVar("K", bound=Hashable)


def slot_of(seconds: float) -> int:
    """Number of the slot that holds an instant (epoch seconds)."""
    return int(seconds // SLOT)


class RowTable(Generic[K]):
    """Gives each key a row that stays its own until the key is dropped; then the row is used again."""

    def __init__(self, most: int) -> None:
        """At most `most` keys at once."""
        self._most = most
        self._rows: dict[K, int] = {}
        self._free: list[int] = []
        self._next = 0

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[K]:
        return iter(tuple(self._rows))

    @property
    def height(self) -> int:
        """One more than the highest row that was ever given."""
        return self._next

    def get(self, key: K) -> int:
        """The row of a key, -1 if it has none."""
        return self._rows.get(key, -1)

    def add(self, key: K) -> int:
        """The row of a key, a new one if it has none; -1 if all are taken."""
        row = self._rows.get(key, -1)
        if row < 0 and len(self._rows) < self._most:
            row = self._free.pop() if self._free else self._next
            self._next = max(self._next, row + 1)
            self._rows[key] = row
        return row

    def drop(self, key: K) -> int:
        """Take the row away; whoever keeps anything by row must empty it. -1 if the key had none."""
        row = self._rows.pop(key, -1)
        if row >= 0:
            self._free.append(row)
        return row

    def rows(self, keys: Iterable[K]) -> Ints:
        """The row of each key, -1 where it has none."""
        return np.array([self._rows.get(key, -1) for key in keys], dtype=np.int64)


def grown(array: NDArray[Any], rows: int, fill: float = 0) -> NDArray[Any]:
    """The array with room for at least so many rows; what is new holds `fill`.

    The room doubles, and the system gives memory only to what is written, so growth is cheap and spare room is free.
    """
    if rows <= len(array):
        return array
    room = max(rows, 2 * len(array), _CHUNK)
    shape = (room, *array.shape[1:])
    fresh = np.zeros(shape, array.dtype) if fill == 0 else np.full(shape, fill, array.dtype)
    fresh[: len(array)] = array
    return fresh


class Stamps:
    """Which slot each place of each row's ring holds now."""

    def __init__(self) -> None:
        self._held: Ints = np.zeros((0, KEPT), np.int64)

    def grow(self, rows: int) -> None:
        """Have room for so many rows."""
        self._held = grown(self._held, rows, _NEVER)

    def clear(self, row: int) -> None:
        """Forget everything of a row."""
        self._held[row] = _NEVER

    def claim(self, rows: Ints, slots: Ints) -> tuple[Ints, Ints, Bools]:
        """Take places for slots.

        Returns:
            The flat place (row x KEPT + place) of each pair given; the flat places that held an older slot, which the
            caller must empty; and which pairs hold their place: not those so old that a newer slot has it.
        """
        flat = rows * KEPT + slots % KEPT
        places, which = np.unique(flat, return_inverse=True)
        newest = np.full(len(places), _NEVER)
        np.maximum.at(newest, which, slots)
        held = self._held.reshape(-1)
        older = newest > held[places]
        held[places[older]] = newest[older]
        return flat, places[older], held[flat] == slots

    def live(self, rows: Ints, heads: Ints) -> Bools:
        """Rows x places: those within the window that ends with the head slot of each row."""
        held = self._held[rows]
        return (held > heads[:, None] - SLOTS) & (held <= heads[:, None])
