"""Is this instance well? Asked in a thread per instance, so that one that hangs delays nobody."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from actions.platforms.local.clock import wall
from actions.platforms.local.services import Probe

_STARTING = 0.1  # seconds between probes of an instance that has not passed one yet
_MOST = 1 << 16  # bytes of an answer that are read


@dataclass(frozen=True, slots=True)
class Health:
    """What the probes of one incarnation said so far.

    Attributes:
        ok: the last probe passed; None before the first.
        failures: failed probes in a row, at most one counted per period.
        ready: passes (or fails too few times in a row to be called sick); None until it passed once or is sick.
        latency: seconds of the last probe.
        at: epoch seconds of the last probe.
    """

    ok: bool | None = None
    failures: int = 0
    ready: bool | None = None
    latency: float = 0.0
    at: float = 0.0


def ask(address: tuple[str, int], probe: Probe) -> bool:
    """Probe once, within its timeout."""
    deadline = time.monotonic() + probe.timeout
    try:
        with socket.create_connection(address, timeout=probe.timeout) as connection:
            if probe.http is None:
                return True
            host = f"[{address[0]}]" if ":" in address[0] else address[0]
            request = f"GET {probe.http} HTTP/1.1\r\nHost: {host}:{address[1]}\r\n"
            connection.sendall(f"{request}User-Agent: gyrostat-probe\r\nConnection: close\r\n\r\n".encode())
            return _passes(connection, deadline)
    except OSError:
        return False


def _passes(connection: socket.socket, deadline: float) -> bool:
    """Whether the status line says 200 to 399; the rest is taken off the sender's hands, as far as it comes at once."""
    answer = b""
    while b"\r\n" not in answer and len(answer) < _MOST:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        chunk = connection.recv(4096)
        if not chunk:
            break
        answer += chunk
    words = answer.split(b"\r\n", 1)[0].split()
    passed = len(words) >= 2 and words[0].startswith(b"HTTP/1.") and words[1].isdigit() and 200 <= int(words[1]) < 400
    left = _MOST
    with contextlib.suppress(OSError):
        while left > 0 and (wait := deadline - time.monotonic()) > 0:
            connection.settimeout(min(wait, 0.1))
            if not (chunk := connection.recv(4096)):
                break
            left -= len(chunk)
    return passed


class Prober(threading.Thread):
    """Probes one incarnation until it is told to stop.

    Attributes:
        health: what is known; replaced as a whole, so that it can be read at any time.
    """

    def __init__(self, address: tuple[str, int], probe: Probe, changed: Callable[[], None]) -> None:
        super().__init__(name=f"probe {address[1]}", daemon=True)
        self.health = Health()
        self._address, self._probe, self._changed = address, probe, changed
        self._stop_asked = threading.Event()

    def stop(self) -> None:
        """End soon; a probe under way is not waited for."""
        self._stop_asked.set()

    def run(self) -> None:
        """Probe every period; often until the first pass, so that a start is seen at once."""
        counted = time.monotonic()  # a failure is counted once per period, however often a start is asked about
        while not self._stop_asked.is_set():
            began, before = time.monotonic(), self.health
            ok = ask(self._address, self._probe)
            ended = time.monotonic()
            counts = before.ready is not None or ended - counted >= self._probe.period
            counted = ended if counts else counted
            self.health = self._judged(before, ok, counts, ended - began)
            if self.health.ready != before.ready:
                self._changed()
            starting = self.health.ready is None
            self._stop_asked.wait(min(_STARTING, self._probe.period) if starting else self._probe.period)

    def _judged(self, before: Health, ok: bool, counts: bool, latency: float) -> Health:
        if ok:
            return Health(ok, 0, ready=True, latency=latency, at=wall())
        failures = before.failures + counts
        ready = False if failures >= self._probe.failures else before.ready
        return Health(ok, failures, ready, latency, wall())
