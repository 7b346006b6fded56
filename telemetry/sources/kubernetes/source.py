"""A cluster as a source: threads follow it, a reading tells how it stands, and since when nobody can tell."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

import msgspec

from telemetry.inventory import Facts
from telemetry.sources import Block, Reading
from telemetry.sources.kubernetes.cluster import Cluster
from telemetry.sources.kubernetes.reflector import Api, Reflector, Timing
from telemetry.sources.kubernetes.resources import resources
from telemetry.sources.kubernetes.rights import Right, Rights
from telemetry.sources.kubernetes.rollup import PLATFORM, Rolled, roll_up
from telemetry.sources.kubernetes.table import Restarts, Table
from telemetry.sources.kubernetes.usage import Meter, columns
from telemetry.target import Target

BEAT = 5.0
"""Seconds between two questions whether the API server answers at all: a dead connection says nothing by itself."""
GRACE = 4.0
"""Seconds for which a watch may be away without making its targets unknown: one that is cut is back within one."""
STAMP = 3.0
"""Seconds for which facts that did not change keep their time."""
ODD = 15.0
"""Seconds for which a controller may count other pods ready than we do; then an event was missed."""
ODD_WAIT, ODD_LONGEST = 60.0, 3600.0


class _Version(msgspec.Struct, frozen=True):
    minor: str = ""


@dataclass(slots=True)
class _Look:
    """What a reading was made of, kept for the next."""

    rolled: dict[Target, Rolled]
    by_uid: dict[str, Target]
    restarts: dict[Target, Restarts]
    settles: dict[str, float]
    odd: dict[str, float]


class KubernetesSource:
    """Follows one cluster from `start` to `close`; `read` may be called from one thread at a time.

    Attributes:
        name: `kubernetes`.
        reflectors: one for each kind of object.
    """

    name = PLATFORM

    def __init__(
        self,
        api: Api,
        namespaces: Sequence[str] = (),
        own_namespaces: frozenset[str] = frozenset(),
        clock: Callable[[], float] = time.monotonic,
        rights: Rights | None = None,
    ) -> None:
        """Follow the whole cluster, or these namespaces only; `own_namespaces` are ours and not to be touched.

        What `rights` lack stands in the facts; they are asked for again here.
        """
        self._api, self._clock = api, clock
        self._stop = threading.Event()
        self._cluster = Cluster(own_namespaces)
        timing = Timing(clock, random.random, lambda seconds: void(self._stop.wait(seconds)))
        self.reflectors = [
            Reflector(resource, api, self._cluster.took(kept), timing) for kept, resource in resources(namespaces)
        ]
        self._threads = [
            threading.Thread(target=each.run, args=(self._stop.is_set,), name=each.resource.name, daemon=True)
            for each in self.reflectors
        ]
        self._threads.append(threading.Thread(target=self._beat, name="heartbeat", daemon=True))
        self._rights, self._lacked = rights, frozenset[Right]()
        self._beat_at, self._beat_why = -inf, "it was not asked yet"
        self._look = _Look({}, {}, {}, {}, {})
        self._table = Table()
        self._facts: Mapping[Target, Facts] = {}
        self._stamped, self._complete = -inf, False
        self._odd_next, self._odd_wait = -inf, ODD_WAIT
        self._meter = Meter(api, namespaces, clock)
        self._use: tuple[object, Block] | None = None
        self._threads.append(
            threading.Thread(target=self._meter.run, args=(self._stop.is_set, timing.wait), name="usage", daemon=True)
        )

    def start(self) -> None:
        """Begin to follow."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop; every connection is closed."""
        self._stop.set()
        for each in self.reflectors:
            each.end()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=5)

    def read(self, now: float) -> Reading:
        """How the cluster stands; what nobody can tell now is told with the reason, and with the facts of before."""
        clock = self._clock()
        age, why = self._standing(clock)
        if not self._complete:
            if why:
                return Reading(now, PLATFORM, {}, error=why)
            self._complete = True
        changed = self._roll(now)
        self._notice_odd(clock)
        if why:
            return Reading(now, PLATFORM, self._facts, error=why)
        seen_at, lacked = now - age, self._rights.lacking if self._rights else self._lacked
        if changed or seen_at - self._stamped > STAMP or lacked is not self._lacked:
            self._facts = {target: self._dated(one.facts, target, seen_at) for target, one in self._look.rolled.items()}
            self._stamped, self._lacked = seen_at, lacked
        blocks = [Block(self._table.targets, self._table.columns(now), seen_at), *self._used(now, clock)]
        return Reading(now, PLATFORM, self._facts, blocks=blocks)

    def _dated(self, facts: Facts, target: Target, seen_at: float) -> Facts:
        return replace(facts, seen_at=seen_at, denied=self._rights.denied(target) if self._rights else {})

    def wait(self, seconds: float) -> str:
        """Wait until the whole cluster was listed, so long at most; then why it was not, empty if it was."""
        end = self._clock() + seconds
        while (why := self._standing(self._clock())[1]) and self._clock() < end:
            self._stop.wait(0.02)
        return why

    def _used(self, now: float, clock: float) -> Iterator[Block]:
        """What pods use, worked out again only where something is new."""
        targets, latest = self._table.targets, self._meter.latest
        if latest is None:
            return
        if self._use is None or self._use[0] is not latest or self._use[1].targets is not targets:
            found = columns(targets, self._facts, self._cluster.workloads, latest[1])
            self._use = (latest, Block(targets, found, now - (clock - latest[0])))
        yield self._use[1]

    def _standing(self, clock: float) -> tuple[float, str]:
        """Seconds since when all of it was surely current, and why nobody can tell any more; empty if somebody can."""
        ages, whys = [max(0.0, clock - self._beat_at - BEAT)], list[str]()
        if ages[0] > GRACE:
            whys.append(f"the API server does not answer: {self._beat_why}")
        for each in self.reflectors:
            standing = each.standing
            if not each.resource.needed or (standing.synced and standing.following):
                continue
            ages.append(clock - standing.current_at)
            if not standing.synced or ages[-1] > GRACE:
                whys.append(standing.why or f"{each.resource.name}: not listed yet")
        away = max(ages)
        told = "; ".join(dict.fromkeys(whys[:3]))
        return away, told if away > GRACE or not self._complete else ""

    def _roll(self, now: float) -> bool:
        """Look at every workload again that something happened to; says whether there was any."""
        look = self._look
        due = [uid for uid, at in look.settles.items() if at <= now]
        self._cluster.touch(due)
        changed: list[Target] = []
        for uid, whole in self._cluster.changes().items():
            look.settles.pop(uid, None)
            if whole is None:
                self._forget(uid)
                continue
            known, pods, around = whole
            rolled = roll_up(known, pods, around, now)
            look.rolled[rolled.target] = rolled
            look.by_uid[uid] = rolled.target
            look.restarts.setdefault(rolled.target, Restarts()).look(pods, now)
            if rolled.settles_at < inf:
                look.settles[uid] = rolled.settles_at
            if rolled.odd:
                look.odd.setdefault(uid, self._clock())
            else:
                look.odd.pop(uid, None)
            changed.append(rolled.target)
        gone = len(look.rolled) != len(self._table.targets)
        self._table.put(look.rolled, changed, look.restarts)
        self._table.put_hour({t: r.of_the_hour(now) for t, r in look.restarts.items() if not r.calm})
        return bool(changed) or gone

    def _forget(self, uid: str) -> None:
        look = self._look
        target = look.by_uid.pop(uid, None)
        look.odd.pop(uid, None)
        if target is not None:
            del look.rolled[target]
            del look.restarts[target]

    def _notice_odd(self, clock: float) -> None:
        """An event that never came leaves a workload's own count of ready pods different from ours: list again."""
        old = [uid for uid, since in self._look.odd.items() if clock - since > ODD]
        if not old:
            self._odd_wait = ODD_WAIT
            return
        if clock < self._odd_next:
            return
        self._odd_next, self._odd_wait = clock + self._odd_wait, min(2 * self._odd_wait, ODD_LONGEST)
        kinds = {self._look.by_uid[uid].kind.lower() + "s.apps" for uid in old if uid in self._look.by_uid}
        for each in self.reflectors:
            if each.resource.name in kinds | {"pods", "replicasets.apps"}:
                each.relist(f"{each.resource.name}: an event was missed: other pods are ready than is said of them")

    def _beat(self) -> None:
        """Ask now and then whether the server answers, and end watches that it should have ended."""
        while not self._stop.is_set():
            try:
                self._api.read("/version", _Version)
            except Exception as error:  # noqa: BLE001  whatever it was: it did not answer
                self._beat_why = str(error)
                refused = getattr(error, "status", 0) in (401, 403)  # it answers, and somebody else says why not
                self._beat_at = self._clock() if refused else self._beat_at
            else:
                self._beat_at = self._clock()
                if self._rights is not None:
                    self._rights.look()
            for each in self.reflectors:
                each.check()
            self._stop.wait(BEAT)


def void(_: object) -> None:
    """Nothing, of anything."""
