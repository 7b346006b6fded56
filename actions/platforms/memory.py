"""A platform in memory: a simulator of workloads with the same manners as a real one, and with faults on demand."""

import random
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from actions.health_check import path as healthy_path
from actions.plan import Change
from actions.restart import NEWER, NEWER_AT_ONCE
from actions.restart import path as incarnation_path
from actions.scale import PATH as DESIRED
from telemetry.inventory import Facts, Instance, Sample, Value
from telemetry.sources import Reading
from telemetry.target import Target
from telemetry.verdict import Verdict


class Fault(StrEnum):
    """What can go wrong with one call."""

    NONE = "none"
    REFUSED = "refused"  # surely not written
    UNREACHABLE = "unreachable"  # surely not delivered
    LOST_BEFORE = "lost before"  # no answer, and not written
    LOST_AFTER = "lost after"  # no answer, and written


@dataclass(frozen=True, slots=True)
class Effect:
    """A write that was accepted: the simulator's effect log."""

    at: float
    change: Change
    intent_id: str


@dataclass(slots=True)
class Copy:
    """One simulated instance.

    Attributes:
        sick: it fails its probe until it is replaced.
        wish: `newer` or `newer!` where it is to be replaced.
    """

    incarnation: str
    started_at: float
    sick: bool = False
    wish: str = ""

    def ready(self, now: float, startup: float) -> bool | None:
        """The probe's verdict; nothing is known while it starts."""
        if self.sick:
            return False
        return True if now >= self.started_at + startup else None


@dataclass(slots=True)
class Workload:
    """One simulated workload.

    Attributes:
        broken: every new instance is sick: a restart does not help.
        crashes: starts nobody asked for.
    """

    desired: int
    minimum: int
    maximum: int
    labels: Mapping[str, str]
    protected: str
    changed_at: float = 0.0
    broken: bool = False
    crashes: int = 0
    copies: dict[int, Copy] = field(default_factory=dict)


class MemoryPlatform:
    """Workloads that exist in this object only; also a source. Time passes only by `step`.

    Attributes:
        name: `memory`.
        effects: every accepted write, in order.
        faults: what happens to the next calls of `apply`, one each; then `rates` decide.
        reachable: False: nothing is delivered, and nothing answers.
    """

    name = "memory"

    def __init__(self, seed: int = 0, rates: Mapping[Fault, float] | None = None, startup: float = 1.0) -> None:
        """`rates` are probabilities per call of `apply`; `startup` seconds pass until an instance can be ready."""
        self.now = 0.0
        self.reachable = True
        self.effects: list[Effect] = []
        self.faults: deque[Fault] = deque()
        self._rates, self._startup = dict(rates or {}), startup
        self._random = random.Random(seed)  # noqa: S311  a simulation is repeatable, not secret
        self._lock = threading.Lock()
        self._started = self._created = 0
        self.workloads: dict[Target, Workload] = {}

    def add(
        self,
        namespace: str,
        name: str,
        desired: int = 1,
        *,
        bounds: tuple[int, int] = (0, 1_000_000),
        labels: Mapping[str, str] | None = None,
        protected: str = "",
    ) -> Target:
        """Create a workload whose instances run and are ready; one of the same name before gets another uid."""
        with self._lock:
            self._created += 1
            target = Target(self.name, "Service", namespace, name, f"u{self._created}")
            workload = Workload(desired, *bounds, labels or {}, protected)
            self.workloads[target] = workload
            for slot in range(desired):
                workload.copies[slot] = self._copy(workload, self.now - self._startup)
            return target

    def remove(self, target: Target) -> None:
        """Delete a workload."""
        with self._lock:
            del self.workloads[target]

    def sicken(self, target: Target, slot: int) -> None:
        """Make one instance fail its probe until it is replaced."""
        with self._lock:
            self.workloads[target].copies[slot].sick = True

    def crash(self, target: Target, slot: int) -> None:
        """End one instance; the next step starts another in its place."""
        with self._lock:
            del self.workloads[target].copies[slot]
            self.workloads[target].crashes += 1

    def edit(self, target: Target, desired: int) -> None:
        """Somebody else changes the workload."""
        with self._lock:
            self.workloads[target].desired = desired
            self.workloads[target].changed_at = self.now

    def step(self, seconds: float) -> None:
        """Let time pass, and every workload move towards what is desired."""
        with self._lock:
            self.now += seconds
            for workload in self.workloads.values():
                self._converge(workload)

    def read(self, now: float) -> Reading:
        """What a source says: all facts, and what the probes found."""
        with self._lock:
            if not self.reachable:
                return Reading(now, self.name, self._facts(now), error="unreachable")
            facts = self._facts(now)
            samples = [s for t, w in self.workloads.items() for s in self._samples(t, w, facts[t], now)]
            return Reading(now, self.name, facts, samples)

    def facts(self) -> dict[Target, Facts]:
        """The facts of now."""
        with self._lock:
            return self._facts(self.now)

    def apply(self, change: Change, intent_id: str) -> Verdict:
        """Compare and set, through whatever fault this call meets."""
        with self._lock:
            fault = self._fault()
            if fault in (Fault.REFUSED, Fault.UNREACHABLE) or not self.reachable:
                return Verdict.FAIL
            if fault is Fault.LOST_BEFORE:
                return Verdict.UNKNOWN
            verdict = self._set(change, intent_id)
            return Verdict.UNKNOWN if fault is Fault.LOST_AFTER else verdict

    def holds(self, change: Change) -> Verdict:
        """Whether `after` is in force; no fault but an unreachable platform changes the answer."""
        with self._lock:
            if not self.reachable:
                return Verdict.UNKNOWN
            workload = self.workloads.get(change.object)
            return Verdict.of(true=workload is not None and self._in_force(workload, change), false=True)

    def _in_force(self, workload: Workload, change: Change) -> bool:
        if change.path == DESIRED:
            return _same(workload.desired, change.after)
        slot = _slot(change.path, workload)
        copy = workload.copies.get(slot)
        if copy is None or slot >= workload.desired:
            return False
        if change.path == healthy_path(str(slot)):
            return copy.ready(self.now, self._startup) is True and change.after == 1
        if change.path != incarnation_path(str(slot)):
            return False
        if change.after in (NEWER, NEWER_AT_ONCE):
            return copy.incarnation != change.before or bool(copy.wish)
        return copy.incarnation == change.after and not copy.wish

    def _set(self, change: Change, intent_id: str) -> Verdict:
        workload = self.workloads.get(change.object)
        if workload is None or workload.protected:
            return Verdict.FAIL
        slot = _slot(change.path, workload)
        copy = workload.copies.get(slot)
        if change.path == DESIRED:
            inside = type(change.after) is int and workload.minimum <= change.after <= workload.maximum
            if not inside or not _same(workload.desired, change.before):
                return Verdict.FAIL
            workload.desired = int(change.after or 0)
        elif copy is not None and change.path == incarnation_path(str(slot)):
            firmer = change.after == NEWER_AT_ONCE and copy.wish == NEWER
            if change.after not in (NEWER, NEWER_AT_ONCE) or copy.incarnation != change.before:
                return Verdict.FAIL
            if slot >= workload.desired or (copy.wish and not firmer):
                return Verdict.FAIL
            copy.wish = str(change.after)
        else:
            return Verdict.FAIL
        self.effects.append(Effect(self.now, change, intent_id))
        return Verdict.PASS

    def _converge(self, workload: Workload) -> None:
        """Stop the highest; replace the forceful and sick ones at once, of the others one while all else is ready."""
        for slot in [slot for slot in workload.copies if slot >= workload.desired]:
            del workload.copies[slot]
        rolled = []
        for slot, copy in sorted(workload.copies.items()):
            if copy.wish == NEWER_AT_ONCE or (copy.wish and copy.sick):
                workload.copies[slot] = self._copy(workload, self.now)
            elif copy.wish:
                rolled.append(slot)
        missing = [slot for slot in range(workload.desired) if slot not in workload.copies]
        for slot in missing:
            workload.copies[slot] = self._copy(workload, self.now)
        others = [copy for slot, copy in workload.copies.items() if slot not in rolled]
        if rolled and all(copy.ready(self.now, self._startup) is True for copy in others):
            workload.copies[rolled[0]] = self._copy(workload, self.now)

    def _copy(self, workload: Workload, started_at: float) -> Copy:
        self._started += 1
        return Copy(f"{self._started}@{started_at:.2f}", started_at, sick=workload.broken)

    def _fault(self) -> Fault:
        if self.faults:
            return self.faults.popleft()
        number = self._random.random()
        for fault, rate in self._rates.items():
            if number < rate:
                return fault
            number -= rate
        return Fault.NONE

    def _facts(self, now: float) -> dict[Target, Facts]:
        return {target: self._fact(workload, now) for target, workload in self.workloads.items()}

    def _fact(self, workload: Workload, now: float) -> Facts:
        instances = []
        fields: dict[str, Value] = {DESIRED: workload.desired}
        for slot, copy in sorted(workload.copies.items()):
            if slot < workload.desired:
                ready = copy.ready(self.now, self._startup)
                instances.append(Instance(str(slot), copy.incarnation, ready, copy.started_at))
                fields[incarnation_path(str(slot))] = copy.incarnation
                fields[healthy_path(str(slot))] = None if ready is None else int(ready)
        return Facts(
            seen_at=now,
            desired=workload.desired,
            ready=sum(instance.ready is True for instance in instances),
            minimum=workload.minimum,
            maximum=workload.maximum,
            fields=fields,
            instances=tuple(instances),
            labels=workload.labels,
            changed_at=workload.changed_at,
            protected=workload.protected,
        )

    def _samples(self, target: Target, workload: Workload, facts: Facts, now: float) -> list[Sample]:
        verdicts = [instance.ready for instance in facts.instances]
        values: dict[str, float] = {
            "active.count": len(verdicts),
            "restarts.count": workload.crashes,
            "change.recent": bool(workload.changed_at) and now - workload.changed_at < 1800,
        }
        if False in verdicts or (verdicts and None not in verdicts):
            values["instances.sick"] = verdicts.count(False) / len(verdicts)
            values["probe.ok"] = False not in verdicts
        return [Sample(target, column, float(value), now) for column, value in values.items()]


def _slot(path: str, workload: Workload) -> int:
    """The slot that a path means; -1 for none that is there."""
    parts = path.split("/")
    known = {str(slot): slot for slot in workload.copies}
    return known.get(parts[1], -1) if len(parts) == 3 and parts[0] == "slots" else -1


def _same(one: Value, other: Value) -> bool:
    return type(one) is type(other) and one == other
