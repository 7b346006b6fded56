"""The last minute of the spans of each row: how many, how many failed, how long they took.

A window ends where a row was last heard of, not now: a value says what was true then, and its age says how long ago
that is. So a sender that falls silent does not look like one whose traffic fades; its cells just grow old, and then
unknown.
"""

from collections.abc import Mapping

import numpy as np

from telemetry.columns import Floats
from telemetry.histogram import BUCKETS, bucket_of, quantiles
from telemetry.rings import KEPT, SLOT, SLOTS, Bools, Ints, Stamps, grown, slot_of

LEAST_FOR_RATIO = 10
"""A share of fewer requests than this is unknown."""
_NEVER = -np.inf
_QUANTILES = {"latency.p50": 0.5, "latency.p90": 0.9, "latency.p99": 0.99}

COLUMNS = (
    "requests.rate",
    "requests.count",
    "requests.volume",
    "errors.rate",
    "errors.ratio",
    "completion.ratio",
    *_QUANTILES,
    "latency.max",
)
"""What `measure` fills."""


class SpanWindows:
    """Rings of spans by row: 11 KiB a row, given by the system as rows are written.

    Attributes:
        heard: when telemetry of any kind came last, by row.
        traced: when spans came last, by row. Only they can tell that there are no requests.
    """

    def __init__(self) -> None:
        self._stamps, self._item_stamps = Stamps(), Stamps()  # apart: what comes without spans must not push them out
        self._requests = np.zeros((0, KEPT), np.int64)
        self._failed = np.zeros((0, KEPT), np.int64)
        self._volume = np.zeros((0, KEPT), np.int64)
        self._longest = np.zeros((0, KEPT))
        self._took = np.zeros((0, KEPT, BUCKETS), np.uint32)
        self._first: Floats = np.zeros(0)  # when the first request of each row ended
        self.heard: Floats = np.zeros(0)
        self.traced: Floats = np.zeros(0)

    def grow(self, rows: int) -> None:
        """Have room for so many rows."""
        self._stamps.grow(rows)
        self._item_stamps.grow(rows)
        for name in ("_requests", "_failed", "_volume", "_longest", "_took"):
            setattr(self, name, grown(getattr(self, name), rows))
        self._first = grown(self._first, rows, np.inf)
        self.heard, self.traced = grown(self.heard, rows, _NEVER), grown(self.traced, rows, _NEVER)

    def clear(self, row: int) -> None:
        """Forget everything of a row, for whoever gets it next."""
        self._stamps.clear(row)
        self._item_stamps.clear(row)
        self._first[row], self.heard[row], self.traced[row] = np.inf, _NEVER, _NEVER

    def hear(self, rows: Ints, items: Ints, now: float, *, spans: bool) -> None:
        """Count telemetry items of any kind, as of their arrival.

        Args:
            rows: distinct.
            items: how many, by row.
            now: epoch seconds.
            spans: whether they are spans, so that no requests among them means that there were none.
        """
        flat, stale, _ = self._item_stamps.claim(rows, np.full(len(rows), slot_of(now)))
        volume = self._volume.reshape(-1)
        volume[stale] = 0
        volume[flat] += items
        for last in (self.heard, self.traced) if spans else (self.heard,):
            last[rows] = np.maximum(last[rows], now)

    def add(self, rows: Ints, ended: Floats, took: Floats, failed: Bools) -> None:
        """Put requests into the slots in which they ended; the caller has checked that these are recent.

        Args:
            rows: of each request.
            ended: epoch seconds.
            took: seconds.
            failed: whether it ended in an error.
        """
        flat, holds = self._claim(rows, np.floor(ended / SLOT).astype(np.int64))
        flat, rows, ended, took, failed = flat[holds], rows[holds], ended[holds], took[holds], failed[holds]
        np.add.at(self._requests.reshape(-1), flat, 1)
        np.add.at(self._failed.reshape(-1), flat[failed], 1)
        np.add.at(self._took.reshape(-1), flat * BUCKETS + bucket_of(took), 1)
        np.maximum.at(self._longest.reshape(-1), flat, took)
        np.minimum.at(self._first, rows, ended)

    def _claim(self, rows: Ints, slots: Ints) -> tuple[Ints, Bools]:
        flat, stale, holds = self._stamps.claim(rows, slots)
        for ring in (self._requests, self._failed, self._longest):
            ring.reshape(-1)[stale] = 0
        self._took.reshape(-1, BUCKETS)[stale] = 0
        return flat, holds

    def measure(self, rows: Ints) -> tuple[Mapping[str, Floats], Floats]:
        """Values by column of these rows, NaN where unknown, and the number of requests behind them.

        A row that never served a request has no requests to be measured: they are unknown, not none.
        """
        heads = _slots(self.traced[rows])
        live = self._stamps.live(rows, heads)
        count = (self._requests[rows] * live).sum(axis=1).astype(np.float64)
        failed = (self._failed[rows] * live).sum(axis=1).astype(np.float64)
        served = np.isfinite(self._first[rows])
        began = np.maximum((heads - SLOTS + 1) * SLOT, np.where(served, self._first[rows], _NEVER))
        seconds = np.maximum(self.traced[rows] - began, SLOT)
        enough = count >= LEAST_FOR_RATIO
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(count > 0, failed / count, np.nan)
        took = np.zeros((len(rows), BUCKETS), np.uint32)
        for place in range(KEPT):
            took += self._took[rows, place] * live[:, place, None]
        longest = np.where(count > 0, (self._longest[rows] * live).max(axis=1, initial=0.0), np.nan)
        values = {
            "requests.rate": np.where(served, count / seconds, np.nan),
            "requests.count": np.where(served, count, np.nan),
            "requests.volume": self._items(rows),
            "errors.rate": np.where(served, failed / seconds, np.nan),
            "errors.ratio": np.where(enough, ratio, np.nan),
            "completion.ratio": 1.0 - ratio,
            "latency.max": longest,
        }
        found = quantiles(took, tuple(_QUANTILES.values()))
        return values | {name: np.fmin(each, longest) for name, each in zip(_QUANTILES, found, strict=True)}, count

    def _items(self, rows: Ints) -> Floats:
        live = self._item_stamps.live(rows, _slots(self.heard[rows]))
        return np.asarray((self._volume[rows] * live).sum(axis=1), np.float64)


def _slots(seconds: Floats) -> Ints:
    """The slot of each instant; of the infinite past, one that no ring holds."""
    return np.floor(np.maximum(seconds, 0.0) / SLOT).astype(np.int64)
