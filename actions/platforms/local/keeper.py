"""Keeps one service: brings what runs towards what is desired, a step at a time."""

import hmac
import socket
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actions.platforms.local.memory_file import Remembered
from actions.platforms.local.services import Listen, Service
from actions.platforms.local.slot import Slot, Why

_HOUR = 3600.0
_MOST_TIMES = 1000  # crash times kept for the rate of the last hour


@dataclass(slots=True)
class Keeper:
    """The living side of a service. Every method is called under the supervisor's lock; `tick` by its main thread.

    Attributes:
        service: its definition, as last read.
        uid: which service it is: one that is deleted and created again has another.
        desired: instances asked for.
        changed_at: epoch seconds of the last edit by a person; 0 when never edited.
        shared: the listening socket of all instances, open as long as the service exists: no connection is lost.
        crashed_at: epoch seconds of starts that nobody asked for, the latest of them.
        crashes: all of them, since the supervisor started.
    """

    service: Service
    uid: str
    desired: int
    changed_at: float
    shared: socket.socket | None
    logs: Path
    write: Callable[[dict[str, Any]], None]
    wake: Callable[[], None]
    why: Why = field(default_factory=lambda: Why("up"))
    slots: dict[int, Slot] = field(default_factory=dict)
    crashed_at: deque[float] = field(default_factory=lambda: deque(maxlen=_MOST_TIMES))
    crashes: int = 0

    @property
    def target(self) -> dict[str, str]:
        """Its identity, as the effect log and the control socket write it."""
        service = self.service
        return {"kind": "Service", "namespace": service.namespace, "name": service.name, "uid": self.uid}

    @property
    def port(self) -> int:
        """Of the shared socket; 0 without one."""
        return int(self.shared.getsockname()[1]) if self.shared is not None else 0

    def remembered(self) -> Remembered:
        """What is to outlive this process."""
        written, mark = self.service.replicas.desired, fingerprint(self.service, self.uid)
        return Remembered(self.uid, self.desired, written, mark, self.changed_at, self.port)

    def scale(self, desired: int, why: Why) -> None:
        """Ask for another number of instances."""
        self.desired, self.why = desired, why

    def edit(self, service: Service, shared: socket.socket | None, now: float) -> None:
        """Take a new definition; instances that run another one are replaced one by one."""
        self.changed_at, self.why = now, Why("reload")
        if service.replicas.desired != self.service.replicas.desired:
            self.desired = service.replicas.desired
        self.desired = max(service.replicas.min, min(self.desired, service.replicas.max))
        if self.shared is not None and self.shared is not shared:
            self.shared.close()
        self.service, self.shared = service, shared
        current = service.fingerprint()
        for slot in self.slots.values():
            if slot.process is None or slot.stopping:
                continue
            if slot.runs != current:
                slot.wish = slot.wish or Why("reload")
            elif slot.wish == Why("reload"):
                slot.wish = None  # edited back before its turn came

    def retire(self, cause: str) -> None:
        """Stop everything; the socket closes, and what waits in it is told so by the system."""
        self.scale(0, Why(cause))
        if self.shared is not None:
            self.shared.close()
            self.shared = None

    def tick(self, now: float, wall: float) -> bool:
        """Take every step that can be taken now.

        Args:
            now: monotonic seconds.
            wall: epoch seconds.

        Returns:
            Whether everything is as it should be, so that only an event can change it.
        """
        for slot in list(self.slots.values()):
            if slot.reap(now, wall):
                self.crashes += 1
                self.crashed_at.append(wall)
            if slot.number >= self.desired and slot.process is None:
                del self.slots[slot.number]
        for slot in sorted(self.slots.values(), key=lambda s: -s.number):
            if slot.number >= self.desired:
                slot.stop(self.service, self.why, now)
        self._replace(now)
        for number in range(self.desired):
            slot = self.slots.setdefault(number, self._slot(number))
            if slot.process is None and now >= slot.not_before:
                slot.start(self.service, self.shared, now)
        return all(s.process is not None and not s.stopping and s.wish is None for s in self.slots.values())

    def restart(self, slot: Slot, why: Why, *, forceful: bool) -> None:
        """Ask for another process in a slot."""
        slot.wish, slot.forceful = why, forceful

    def kill(self, now: float) -> None:
        """End everything at once."""
        for slot in self.slots.values():
            slot.stop(self.service, self.why, now, at_once=True)

    def empty(self) -> bool:
        """Nothing runs any more."""
        return all(slot.process is None for slot in self.slots.values())

    def recent_crashes(self, wall: float) -> int:
        """Starts that nobody asked for in the last hour."""
        return sum(at > wall - _HOUR for at in self.crashed_at)

    def _slot(self, number: int) -> Slot:
        service = self.service
        log = self.logs / f"{service.namespace}.{service.name}.{number}.log"
        return Slot(number, log, lambda entry: self.write({"target": self.target} | entry), self.wake, self.why)

    def _replace(self, now: float) -> None:
        """Stop what is to be replaced: the forceful and the sick ones now, of the others one while all else is well.

        A ready instance goes only while every sibling serves: a roll halts by itself where the new ones are not well.
        """
        wanted = [slot for number, slot in sorted(self.slots.items()) if number < self.desired]
        rolled = []
        for slot in wanted:
            if slot.process is None or slot.wish is None:
                continue
            if slot.forceful:
                slot.stop(self.service, slot.wish, now, at_once=True)
            elif slot.stopping:
                continue
            elif slot.ready() is False:
                slot.stop(self.service, slot.wish, now)
            else:
                rolled.append(slot)
        probed = self.service.probe is not None
        others = [slot for slot in wanted if slot not in rolled]
        if rolled and len(wanted) == self.desired and all(slot.settled(probed) for slot in others):
            rolled[0].stop(self.service, rolled[0].wish or self.why, now)

    def ports(self) -> dict[str, Any]:
        """Where a front reaches it: the shared socket's port, or the port of each running instance."""
        if self.service.listen is Listen.INHERIT:
            return {"address": self.service.host, "http": self.port}
        running = {str(n): s.process.port for n, s in sorted(self.slots.items()) if s.process and not s.stopping}
        return {"address": self.service.host, "instances": running}


def new_uid() -> str:
    """Names a service that did not exist before."""
    return uuid.uuid4().hex[:12]


def whole(service: Service) -> str:
    """Tells apart definitions: another one means that a person edited it. Holds secrets: it is not to be written."""
    return service.model_dump_json(by_alias=True)


def fingerprint(service: Service, uid: str) -> str:
    """The same, to be written: it tells nothing of the definition, whose environment and arguments may be secret."""
    return hmac.digest(uid.encode(), whole(service).encode(), "sha256").hex()
