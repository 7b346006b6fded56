"""The supervisor: `python -m actions.platforms.local.supervisor SERVICES --state DIR`.

A process of its own, so that killing the controller kills no service. Its main thread starts and stops instances;
probes and the control socket have threads of their own and touch the services only under one lock.
"""

import argparse
import contextlib
import fcntl
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import msgspec

from actions.platforms.local.clock import wall
from actions.platforms.local.control import Control, Reply
from actions.platforms.local.effects import EffectLog
from actions.platforms.local.keeper import Keeper, fingerprint, new_uid, whole
from actions.platforms.local.memory_file import DamagedError, MemoryFile, Remembered
from actions.platforms.local.process import bound, listen
from actions.platforms.local.services import Listen, Service, load
from telemetry.documents import DocumentError
from telemetry.sources.supervisor import SOCKET
from telemetry.sources.unix_rpc import Server

LOCK, EFFECTS, MEMORY = "supervisor.lock", "effects.jsonl", "supervisor.json"
PORTS, LOG = "ports.json", "supervisor.log"
_BUSY, _IDLE = (
    0.05,
    1.0,
)  # seconds between looks while something is under way, and while only an event can change things


class CannotStartError(Exception):
    """The supervisor cannot take up its work; the message is for a person."""


class Supervisor:
    """Keeps the services of one file, in one state directory."""

    def __init__(self, file: Path, state: Path) -> None:
        self._file, self._state = file, state
        self._lock = threading.Lock()
        self._keepers: dict[str, Keeper] = {}
        self._leaving: list[Keeper] = []
        self._going_down = False
        self._settled = False
        self._signalled = False
        self._unsaved = False
        self._ports = b""
        self._heard, self._bell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._memory = MemoryFile(state / MEMORY)
        self._effects = EffectLog(state / EFFECTS)
        (state / "logs").mkdir(mode=0o700, exist_ok=True)

    def open(self) -> None:
        """Read the file and what is remembered, and take the sockets; nothing runs yet.

        Raises:
            DocumentError: the file is wrong.
            CannotStartError: a port is taken, or the memory is damaged.
        """
        services = load(self._file)
        try:
            remembered = self._memory.load()
            sockets = self._sockets(services.values(), {ref: known.port for ref, known in remembered.items()})
        except (OSError, DamagedError) as error:
            raise CannotStartError(str(error)) from error
        now = wall()
        for ref, service in services.items():
            self._keepers[ref] = self._keeper(service, remembered.get(ref), sockets[ref], now)
        self._save()

    def run(self) -> None:
        """Keep everything until told to end, and until everything has ended."""
        self._catch_signals()
        self._keep()  # whoever asks first finds the instances started
        server = Server(self._state / SOCKET, Control(self))
        try:
            while self._keep():
                settled = not self._going_down and not self._leaving and self._settled
                select.select([self._heard], [], [], _IDLE if settled else _BUSY)
                with contextlib.suppress(BlockingIOError):
                    os.read(self._heard, 4096)
        finally:
            server.close()
            self._effects.close()

    def _keep(self) -> bool:
        """Take one step with every service; False once all has ended that had to."""
        with self._lock:
            now, at = time.monotonic(), wall()
            self._settled = True
            for keeper in [*self._keepers.values(), *self._leaving]:
                try:
                    self._settled &= keeper.tick(now, at)
                except Exception:  # noqa: BLE001  the fault of one service must not end the others
                    traceback.print_exc()
            self._leaving = [keeper for keeper in self._leaving if not keeper.empty()]
            with contextlib.suppress(OSError):
                self._effects.flush()
            if self._unsaved:
                self._save()
            self._publish_ports()
            bound(self._state / LOG)
            return not self._going_down or bool(self._leaving)

    # --- what the control socket asks for; see control.Host

    def locked(self, work: Callable[[Mapping[str, Keeper]], Reply]) -> Reply:
        """Run `work` on the services, alone; refused once they are being stopped."""
        with self._lock:
            if self._going_down:  # no answer is better than an empty list, which would say that everything was deleted
                return {"error": "the supervisor is going down", "handled": False}
            return work(self._keepers)

    def accept(self, entry: dict[str, Any]) -> None:
        """Log an accepted change before it takes effect."""
        self._effects.append({"at": wall(), "event": "accepted"} | entry)

    def commit(self) -> None:
        """Remember it, and let the main thread carry it out now."""
        self._save()
        self._ring()

    def ping(self) -> Reply:
        """Who answers, from which file."""
        return {"pid": os.getpid(), "services": str(self._file.absolute()), "down": self._going_down}

    def reload(self) -> Reply:
        """Read the services file again: all of it comes into force, or the old set stays."""
        try:
            services = load(self._file)
            with self._lock:
                if self._going_down:
                    return {"ok": False, "problems": ["the supervisor is going down"]}
                ports = {ref: keeper.port for ref, keeper in self._keepers.items()}
                sockets = self._sockets(services.values(), ports)
                return self._take(services, sockets)
        except DocumentError as error:
            return {"ok": False, "problems": [str(problem) for problem in error.problems]}
        except OSError as error:
            return {"ok": False, "problems": [error.strerror or str(error)]}

    def down(self, *, at_once: bool = False) -> Reply:
        """Stop everything and end: gracefully, or with KILL."""
        with self._lock:
            if not self._going_down:
                self._leave()
            if at_once:
                for keeper in self._leaving:
                    keeper.kill(time.monotonic())
            self._ring()
        return {"ok": True}

    # --- under the lock

    def _leave(self) -> None:
        self._going_down = True
        for keeper in self._keepers.values():
            keeper.retire("down")
            self._leaving.append(keeper)
        self._keepers = {}

    def _take(self, services: Mapping[str, Service], sockets: Mapping[str, Any]) -> Reply:
        now = wall()
        added, removed, changed = [], sorted(self._keepers.keys() - services.keys()), []
        for ref in removed:
            keeper = self._keepers.pop(ref)
            keeper.retire("reload")
            self._leaving.append(keeper)
        for ref, service in services.items():
            known = self._keepers.get(ref)
            if known is None:
                self._keepers[ref] = self._keeper(service, None, sockets[ref], now)
                added.append(ref)
            elif whole(known.service) != whole(service):
                known.edit(service, sockets[ref], now)
                changed.append(ref)
        self._effects.note({"at": now, "event": "reload", "added": added, "removed": removed, "changed": changed})
        self._save()
        self._ring()
        return {"ok": True, "added": added, "removed": removed, "changed": changed}

    def _keeper(self, service: Service, known: Remembered | None, shared: Any, now: float) -> Keeper:
        replicas = service.replicas
        desired, changed_at, uid = replicas.desired, 0.0, new_uid()
        if known is not None:
            uid, changed_at = known.uid, known.changed_at
            changed_at = changed_at if known.fingerprint == fingerprint(service, uid) else now
            desired = known.desired if known.written == replicas.desired else desired
        desired = max(replicas.min, min(desired, replicas.max))
        return Keeper(service, uid, desired, changed_at, shared, self._state / "logs", self._note, self._ring)

    def _sockets(self, services: Iterable[Service], ports: Mapping[str, int]) -> dict[str, Any]:
        """The shared socket of each service: the present one where it still fits, else a new one; all or none.

        Raises:
            OSError: an address cannot be had; nothing is left open.
        """
        made: dict[str, Any] = {}
        with contextlib.ExitStack() as undo:
            for service in services:
                known = self._keepers.get(service.ref)
                made[service.ref] = None
                if service.listen is not Listen.INHERIT:
                    continue
                if known is not None and known.shared is not None and _address(known.service) == _address(service):
                    made[service.ref] = known.shared
                    continue
                made[service.ref] = undo.enter_context(_listen(service, ports.get(service.ref, 0)))
            undo.pop_all()
        return made

    def _note(self, entry: dict[str, Any]) -> None:
        self._effects.note({"at": wall()} | entry)

    def _save(self) -> None:
        """Remember; what cannot be written now is tried again, for the services themselves do not depend on it."""
        if self._going_down:
            return  # the services are gone from the list, but are to be known again at the next start
        try:
            self._memory.save({ref: keeper.remembered() for ref, keeper in self._keepers.items()})
            self._unsaved = False
        except OSError:
            self._unsaved = True

    def _publish_ports(self) -> None:
        """Tell a front where the services are."""
        listening = {r: k.ports() for r, k in sorted(self._keepers.items()) if k.service.listen is not Listen.NONE}
        content = msgspec.json.encode(listening)
        if content != self._ports:
            fresh = self._state / f"{PORTS}.tmp"
            with contextlib.suppress(OSError):
                fresh.write_bytes(content)
                fresh.replace(self._state / PORTS)
                self._ports = content

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):  # a full pipe wakes as well
            os.write(self._bell, b"!")

    def _catch_signals(self) -> None:
        def end(_number: int, _frame: object) -> None:
            # a second one is meant; and a thread, because the lock may be held by the code that was interrupted
            again, self._signalled = self._signalled, True
            threading.Thread(target=lambda: self.down(at_once=again), daemon=True).start()

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, end)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._bell, warn_on_full_buffer=False)


def _address(service: Service) -> tuple[Listen, str, int]:
    return service.listen, service.host, service.port or 0


def _listen(service: Service, before: int) -> Any:
    """The socket of a service; of a free port, the one picked before, as long as it is free."""
    if not service.port and before:
        with contextlib.suppress(OSError):
            return listen(service.host, before)
    return listen(service.host, service.port or 0)


def _lock(file: IO[str]) -> bool:
    """Lock a file for this process; somebody who only looks (`is_free`) holds it for an instant."""
    for _ in range(10):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.02)
    return False


@contextlib.contextmanager
def _alone(state: Path) -> Any:
    """Hold the state directory for this process; the system lets go of it with the process."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (state / LOCK).open("a+") as lock:
        if not _lock(lock):
            lock.seek(0)
            pid = lock.read().strip() or "unknown"
            raise CannotStartError(f"a supervisor (pid {pid}) already runs in {state}")
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def is_free(lock: Path) -> bool:
    """Whether no supervisor holds this lock file."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True


def main(argv: list[str] | None = None) -> int:
    """Run until told to end.

    Returns:
        0 after an orderly end, 1 where it could not start, 2 where the services file is wrong.
    """
    parser = argparse.ArgumentParser(prog="supervisor", description="Keeps the services of a file.")
    parser.add_argument("services", type=Path, help="the services file")
    parser.add_argument("--state", type=Path, required=True, help="directory of its socket, memory and logs")
    options = parser.parse_args(argv)
    try:
        with _alone(options.state):
            supervisor = Supervisor(options.services, options.state)
            supervisor.open()
            supervisor.run()
    except DocumentError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except (CannotStartError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
