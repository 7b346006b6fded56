"""What workloads say of themselves: their items joined to targets, and measured over the last minute.

What joins no target is measured too, in a small group of its own that is shown to people and read by nothing else.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from telemetry.batch import Batch, Fate, Gauge, Requests
from telemetry.columns import Floats
from telemetry.groups import Group
from telemetry.inventory import Facts
from telemetry.origins import Join, Origin
from telemetry.rings import SLOT, SLOTS, Bools, Ints, slot_of
from telemetry.target import Target

MOST_TARGETS = 20_000
"""Targets that are measured at once: 220 MiB if all of them send requests all the time."""
MOST_UNLISTED = 100
"""Names without a target that are shown at once."""
WINDOW = SLOT * SLOTS
FUTURE = 5.0
"""Seconds that a sender's clock may be ahead of ours."""
GAUGE_AGE = 150.0
"""Seconds for which an instance's gauge counts: SDKs send one a minute."""
FORGET = 600.0
"""Seconds after which a name without a target is shown no more."""
FactsOf = Callable[[Target], Facts | None]
_CHUNK = 128
_PER_INSTANCE = 20  # requests per instance in a window, below which it is no wonder that one got none
_ORIGINS_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Measured:
    """Values of one column at some targets.

    Attributes:
        targets: which.
        column: which.
        values: NaN where unknown.
        at: epoch seconds until which the values tell, by target.
        count: samples behind each.
    """

    targets: Sequence[Target]
    column: str
    values: Floats
    at: Floats
    count: Floats


@dataclass(frozen=True, slots=True)
class Unlisted:
    """A service that sends telemetry and that no platform lists. Values are None where unknown.

    Attributes:
        namespace, name: as it calls itself.
        heard: epoch seconds of its last telemetry.
        rate, errors, p99: requests a second, share of failed ones, seconds.
    """

    namespace: str
    name: str
    heard: float
    rate: float | None
    errors: float | None
    p99: float | None


Place = tuple["Group[Target] | Group[tuple[str, str]] | None", int]


class Traffic:
    """Takes batches, and says what they amount to. Not for two threads at once."""

    def __init__(self) -> None:
        self._listed: Group[Target] = Group(MOST_TARGETS)
        self._unlisted: Group[tuple[str, str]] = Group(MOST_UNLISTED)
        self._join = Join(())
        self._places: dict[Origin, Place] = {}

    def follow(self, targets: Iterable[Target]) -> None:
        """These are the targets there are: others are forgotten, and every origin is joined anew."""
        there = frozenset(targets)
        self._join = Join(there)
        self._listed.drop([target for target in self._listed.table if target not in there])
        self._places.clear()

    def take(self, batch: Batch, now: float) -> Counter[Fate]:
        """Take a batch, and say what became of its items: the sum is what the batch holds."""
        places = [self._place(origin) for origin in batch.origins]
        fates: Counter[Fate] = Counter()
        left = np.array(batch.items, np.int64)
        timely = None
        if batch.requests is not None:
            timely = _timely(batch.requests, now, fates, left)
        for gauge in batch.gauges:
            fate = _fate_of(gauge, now)
            if fate is not None:
                fates[fate] += gauge.points
                left[gauge.origin] -= gauge.points
        for place, items in zip(places, left.tolist(), strict=True):
            fates[self._fate(place)] += items
        for group in (self._listed, self._unlisted):
            rows = np.array([row if of is group else -1 for of, row in places], np.int64)
            if (rows >= 0).any():
                _put(group, rows, batch, left, timely, now)
        return +fates

    def measure(self, now: float, facts: FactsOf) -> Iterator[Measured]:
        """What is new since the last time, column by column, some targets at a time."""
        news = sorted(self._listed.news)
        self._listed.news = set()
        for start in range(0, len(news), _CHUNK):
            rows = news[start : start + _CHUNK]
            yield from self._windows(np.array(rows, np.int64))
            yield from self._instances(rows, facts)
            yield from self._gauges(rows, now)

    def unlisted(self, now: float) -> list[Unlisted]:
        """Services without a target that were heard of lately, by name."""
        group = self._unlisted
        over = [key for key in group.table if self._is_over(key, now)]
        if over:
            group.drop(over)
            self._places.clear()
        keys = sorted(group.table)
        if not keys:
            return []
        rows = group.table.rows(keys)
        values, _ = group.windows.measure(rows)
        shown = (values["requests.rate"], values["errors.ratio"], values["latency.p99"])
        rates, errors, p99s = ([None if math.isnan(value) else value for value in each.tolist()] for each in shown)
        heard = group.windows.heard[rows].tolist()
        return [
            Unlisted(namespace, name, at, rate, failed, p99)
            for (namespace, name), at, rate, failed, p99 in zip(keys, heard, rates, errors, p99s, strict=True)
        ]

    def _is_over(self, key: tuple[str, str], now: float) -> bool:
        """Not heard of for long, or listed by now."""
        group = self._unlisted
        silent = bool(group.windows.heard[group.table.get(key)] < now - FORGET)
        return silent or self._join.target(Origin(key[1], key[0])) is not None

    def _place(self, origin: Origin) -> "Place":
        """The group and row that an origin's items go to; no group for one too many."""
        known = self._places.get(origin)
        if known is not None:
            return known
        place: Place
        target = self._join.target(origin)
        if target is not None:
            row = self._listed.row(target)
            place = (self._listed if row >= 0 else None, row)
        else:
            row = self._unlisted.row((origin.namespace, origin.name))
            place = (self._unlisted if row >= 0 else None, row)
        if len(self._places) >= _ORIGINS_KEPT:
            self._places.clear()
        self._places[origin] = place
        return place

    def _fate(self, place: "Place") -> Fate:
        if place[0] is None:
            return Fate.SERIES
        return Fate.ACCEPTED if place[0] is self._listed else Fate.UNMATCHED

    def _windows(self, rows: Ints) -> Iterator[Measured]:
        group = self._listed
        targets = [group.keys[row] for row in rows.tolist()]
        values, count = group.windows.measure(rows)
        heard, traced = group.windows.heard[rows], group.windows.traced[rows]
        for column, each in values.items():
            volume = column == "requests.volume"
            yield Measured(targets, column, each, heard if volume else traced, each if volume else count)

    def _instances(self, rows: Sequence[int], facts: FactsOf) -> Iterator[Measured]:
        group, heard = self._listed, self._listed.windows.heard
        targets = [group.keys[row] for row in rows]
        alive = [group.alive(row, heard[row] - WINDOW) for row in rows]
        at, count = heard[np.array(rows)], np.array([float(len(names)) for names in alive])
        yield Measured(targets, "active.count", count, at, count)
        requests = group.windows.measure(np.array(rows, np.int64))[1]
        silent = [_silent(facts(t), names, n) for t, names, n in zip(targets, alive, requests.tolist(), strict=True)]
        yield Measured(targets, "instances.silent", np.array(silent), at, count)

    def _gauges(self, rows: Sequence[int], now: float) -> Iterator[Measured]:
        for row in rows:
            target = [self._listed.keys[row]]
            for column, (value, at, count) in self._listed.worst(row, now - GAUGE_AGE).items():
                yield Measured(target, column, np.array([value]), np.array([at]), np.array([float(count)]))


def _silent(facts: Facts | None, alive: Sequence[str], requests: float) -> float:
    """Share of the ready instances that sent nothing, where there were requests enough for all of them."""
    if facts is None or facts.ready <= 0 or "" in alive or requests < _PER_INSTANCE * facts.ready:
        return math.nan
    return max(0, facts.ready - len(alive)) / facts.ready


def _timely(requests: Requests, now: float, fates: Counter[Fate], left: Ints) -> Bools:
    """Which requests ended in the window; the others are counted, and taken from what is left of their origin."""
    ended = requests.ended / 1e9
    oldest = (slot_of(now) - SLOTS + 1) * SLOT
    future, past, backwards = ended > now + FUTURE, ended < oldest, requests.ended < requests.started
    good = ~(future | past | backwards)
    if good.all():
        return good
    fates[Fate.FUTURE] += int(future.sum())
    fates[Fate.PAST] += int(past.sum())
    fates[Fate.BACKWARDS] += int((backwards & ~future & ~past).sum())
    left -= np.bincount(requests.origin[~good], minlength=len(left))
    return good


def _fate_of(gauge: Gauge, now: float) -> Fate | None:
    """Why a gauge is not taken; None if it is."""
    if not gauge.temporal:
        return Fate.TEMPORALITY
    if not (math.isfinite(gauge.value) and gauge.value >= 0):
        return Fate.VALUE
    if gauge.at > now + FUTURE:
        return Fate.FUTURE
    return Fate.PAST if gauge.at < now - GAUGE_AGE else None


def _put(
    group: Group[Any],
    rows: Ints,
    batch: Batch,
    left: Ints,
    timely: Bools | None,
    now: float,
) -> None:
    """Write the part of a batch that belongs to a group; `rows` by origin, -1 for those of others."""
    here = (rows >= 0) & (left > 0)
    group.hear(rows[here], left[here], now, spans=batch.requests is not None)
    for origin in np.flatnonzero(here).tolist():
        group.hear_instance(int(rows[origin]), batch.origins[origin].instance, now)
    if batch.requests is not None and timely is not None:
        of = rows[batch.requests.origin]
        chosen = timely & (of >= 0)
        ended, started = batch.requests.ended[chosen], batch.requests.started[chosen]
        group.windows.add(of[chosen], ended / 1e9, (ended - started) / 1e9, batch.requests.failed[chosen])
    for gauge in batch.gauges:
        row = int(rows[gauge.origin])
        if row >= 0 and _fate_of(gauge, now) is None:
            group.take_gauge(row, gauge, batch.origins[gauge.origin].instance)
