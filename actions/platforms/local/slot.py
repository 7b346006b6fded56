"""A place for one instance: which process holds it, and what is to become of that process."""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from actions.platforms.local.probe import Health, Prober
from actions.platforms.local.process import Process, bound, spawn
from actions.platforms.local.services import Service

_SHORTEST, _LONGEST = 0.2, 30.0  # seconds between a crash and the next start: doubled by each crash in a row
_LASTED = 30.0  # seconds after which a start counts as having worked

Note = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Why:
    """On whose behalf a process is started or stopped.

    Attributes:
        cause: `asked` (an accepted change), `reload` (an edited file), `up`, `down`, or `crashed`.
        intent: id of the change's intent; empty without one.
    """

    cause: str
    intent: str = ""


@dataclass(slots=True)
class Slot:
    """One place; only the supervisor's main thread starts and stops what is in it.

    Attributes:
        number: its place, from 0.
        wish: why its process is to be replaced; None where it is not.
        forceful: the replacement asks for KILL at once.
        stop_by: monotonic time of the KILL of a process that was asked to end; None where it was not.
        runs: fingerprint of what the process runs.
    """

    number: int
    log: Path
    note: Note
    changed: Callable[[], None]
    why: Why
    process: Process | None = None
    prober: Prober | None = None
    wish: Why | None = None
    forceful: bool = False
    stop_by: float | None = None
    runs: str = ""
    not_before: float = 0.0
    crashes: int = 0
    _killed: bool = field(default=False)

    @property
    def incarnation(self) -> str:
        """Which process holds it; empty for none."""
        return self.process.incarnation if self.process else ""

    @property
    def health(self) -> Health:
        """What is known of its process; of one that is being stopped, nothing."""
        return self.prober.health if self.prober else Health()

    @property
    def stopping(self) -> bool:
        """Its process was asked to end."""
        return self.stop_by is not None

    def ready(self) -> bool | None:
        """The probe's verdict; surely not ready while it waits out a crash."""
        if self.process is None:
            return False if self.crashes else None
        return self.health.ready

    def settled(self, probed: bool) -> bool:
        """Its process serves, as far as can be seen."""
        return self.process is not None and not self.stopping and (self.health.ready is True or not probed)

    def start(self, service: Service, shared: socket.socket | None, now: float) -> None:
        """Fill it; a start that the system refuses counts as a crash."""
        reserved = service.port + self.number if service.port and shared is None else 0
        try:
            self.process = spawn(service, shared, self.log, reserved)
        except OSError as error:
            self.note(self._event("failed", self.why) | {"error": str(error)})
            self._back_off(now)
            return
        self.runs, self.wish, self.forceful, self.stop_by, self._killed = (
            service.fingerprint(),
            None,
            False,
            None,
            False,
        )
        self.note(self._event("started", self.why))
        self.why = Why("crashed")  # unless it is stopped on somebody's behalf, its end is a crash
        if service.probe is not None and self.process.address is not None:
            self.prober = Prober(self.process.address, service.probe, self.changed)
            self.prober.start()

    def stop(self, service: Service, why: Why, now: float, *, at_once: bool = False) -> None:
        """Ask its process to end (again, more firmly, if it was asked before)."""
        if self.process is None:
            return
        if self.stop_by is None:
            self.why = why
            self._stop_probing()
            self.note(self._event("stopped", why) | {"signal": "KILL" if at_once else service.stop.signal.value})
            if not at_once:
                self.process.ask_to_end(service.stop.signal)
            self.stop_by = now + service.stop.grace
        if at_once:
            self._kill()

    def reap(self, now: float, wall: float) -> bool:
        """Take note of the end of its process. True where nobody had asked for it."""
        bound(self.log)
        if self.process is None:
            return False
        status = self.process.ended()
        if status is None:
            if self.stop_by is not None and now >= self.stop_by and not self._killed:
                self._kill()
            return False
        self._stop_probing()
        crashed = self.stop_by is None
        why = Why("crashed") if crashed else self.why
        self.note(self._event("exited", why) | {"status": status})
        lasted = wall - self.process.started_at >= _LASTED
        self.process, self.stop_by, self.wish = None, None, None
        if crashed:
            self.crashes = 0 if lasted else self.crashes
            self.why = why
            self._back_off(now)
        else:
            self.crashes, self.not_before = 0, 0.0
        return crashed

    def _kill(self) -> None:
        if self.process is not None:
            self._killed = True
            self.process.kill()

    def _back_off(self, now: float) -> None:
        self.not_before = now + min(_LONGEST, _SHORTEST * 2**self.crashes)
        self.crashes = min(self.crashes + 1, 16)

    def _stop_probing(self) -> None:
        if self.prober is not None:
            self.prober.stop()
            self.prober = None

    def _event(self, event: str, why: Why) -> dict[str, Any]:
        entry: dict[str, Any] = {"event": event, "slot": self.number, "cause": why.cause}
        if why.intent:
            entry["intent"] = why.intent
        if self.process is not None:
            entry |= {"pid": self.process.pid, "incarnation": self.process.incarnation}
        return entry
