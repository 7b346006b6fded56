"""What one request of a sender holds, after its bytes were read and before anything is joined."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from telemetry.origins import Origin


class Fate(StrEnum):
    """What became of a telemetry item: received is the sum of them all."""

    ACCEPTED = "accepted"  # it joined a target
    UNMATCHED = "unmatched"  # no platform lists such a target: shown, and used for nothing
    SERIES = "series"  # unmatched, and too many other names are shown already
    FUTURE = "future"  # ended later than now
    PAST = "past"  # ended before the window
    BACKWARDS = "backwards"  # ended before it started
    VALUE = "value"  # not finite, or nothing that its column can hold
    TEMPORALITY = "temporality"  # a difference, or an ever growing sum, where a current value is meant


def _moved(times: NDArray[np.uint64], seconds: float) -> NDArray[np.uint64]:
    nanoseconds = np.uint64(round(abs(seconds)) * 10**9)
    if seconds > 0:
        return np.where(times > _LAST - nanoseconds, _LAST, times + nanoseconds)
    return np.where(times < nanoseconds, np.uint64(0), times - nanoseconds)


_LAST = np.uint64(2**64 - 1)
KEPT = frozenset({Fate.ACCEPTED, Fate.UNMATCHED})
"""Fates of which a sender need not be told that items were lost."""


@dataclass(frozen=True, slots=True)
class Requests:
    """Server spans, in vectors of one length.

    Attributes:
        origin: place of each one's origin in the batch.
        started, ended: nanoseconds since the epoch.
        failed: whether its status is an error.
    """

    origin: NDArray[np.int64]
    started: NDArray[np.uint64]
    ended: NDArray[np.uint64]
    failed: NDArray[np.bool_]

    def moved(self, seconds: float) -> "Requests":
        """With other times; those before the epoch become the epoch, and are far too old."""
        started, ended = (_moved(times, seconds) for times in (self.started, self.ended))
        return replace(self, started=started, ended=ended)


@dataclass(frozen=True, slots=True)
class Gauge:
    """A current value of one instance.

    Attributes:
        origin: place of its origin in the batch.
        column: which column it fills.
        value: in the column's unit; NaN where the sender's value can not be read as a number.
        at: epoch seconds.
        points: data points it was made of.
        temporal: false where it is no current value at all.
    """

    origin: int
    column: str
    value: float
    at: float
    points: int = 1
    temporal: bool = True


@dataclass(frozen=True, slots=True)
class Batch:
    """One request.

    Attributes:
        origins: who speaks in it.
        items: by origin, how many items of any kind.
        requests: server spans among them.
        gauges: current values among them.
    """

    origins: Sequence[Origin]
    items: Sequence[int]
    requests: Requests | None = None
    gauges: Sequence[Gauge] = ()

    def moved(self, seconds: float) -> "Batch":
        """As if the sender's clock stood so many seconds later; less than a second is no other clock."""
        if abs(seconds) < 1.0:
            return self
        gauges = [replace(gauge, at=gauge.at + seconds) for gauge in self.gauges]
        return replace(self, gauges=gauges, requests=self.requests and self.requests.moved(seconds))
