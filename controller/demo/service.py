"""A small HTTP service: standard library only, a plain file that can be copied and changed.

It opens no socket itself. Whoever starts it hands over listening sockets (the LISTEN_FDS protocol): `http`, shared with
its siblings, and `probe`, its own, by which a hung worker is seen although its siblings still answer.

    GET /         does a little real work; other requests may have to wait for it, see `--takes` and `--lock`
    GET /healthz  says that this very process answers

Where OTLP_ADDRESS_FILE names a file that holds `host:port`, each request is told there as a span (OTLP over HTTP, in
JSON), and twice a second how many requests wait. No request ever waits for that: what cannot be sent is dropped.
"""

import argparse
import fcntl
import hashlib
import http.client
import json
import os
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

FIRST_FD = 3  # where the protocol begins to hand over sockets
ROUNDS = 4_000  # of the hash: about two milliseconds
IDLE = 30.0  # seconds that a kept connection may be silent
LOOK = 0.1  # seconds: how often an accepting thread looks whether it should end
DRAIN = 1.0  # seconds that requests under way get at the end
TELL = 0.5  # seconds between two reports
TOLD = 2_000  # spans of one report; more are dropped
SERVER, ERROR = 2, 2  # of the protocol: the kind of a span that serves a request, and the status of one that failed


def options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", default="service")
    parser.add_argument("--takes", type=float, help="seconds that a request waits for somebody else, one at a time")
    parser.add_argument("--lock", type=Path, help="file that all workers lock for it: then one at a time in all")
    return parser.parse_args()


class Busy:
    """Counts requests under way, so that the end can wait for them, and how many of them wait on average."""

    def __init__(self) -> None:
        self.closing = threading.Event()
        self._count = self._waiting = 0
        self._idle = threading.Condition()
        self._waited, self._since, self._changed = 0.0, time.monotonic(), time.monotonic()

    def __enter__(self) -> None:
        with self._idle:
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._idle:
            self._count -= 1
            self._idle.notify_all()

    def wait(self, more: int) -> None:
        """So many more requests wait."""
        with self._idle:
            now = time.monotonic()
            self._waited += self._waiting * (now - self._changed)
            self._waiting, self._changed = self._waiting + more, now

    def depth(self) -> float:
        """How many waited since this was last asked, on average over the time."""
        self.wait(0)
        with self._idle:
            mean = self._waited / max(1e-3, self._changed - self._since)
            self._waited, self._since = 0.0, self._changed
            return mean

    def drain(self) -> None:
        """Wait until none is under way, but not long."""
        with self._idle:
            self._idle.wait_for(lambda: self._count == 0, timeout=DRAIN)


class Place:
    """Where the work is done: of a worker by one request at a time, or of all workers, if they share a lock."""

    def __init__(self, busy: Busy, lock: Path | None) -> None:
        self._busy = busy
        self._own = threading.Lock()
        self._shared = lock.open("w") if lock else None

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for it, then have it."""
        self._busy.wait(1)
        with self._own:
            if self._shared:
                fcntl.flock(self._shared, fcntl.LOCK_EX)
            self._busy.wait(-1)
            try:
                yield
            finally:
                if self._shared:
                    fcntl.flock(self._shared, fcntl.LOCK_UN)


class Teller:
    """Tells the controller what users see. It has a thread of its own, and gives up rather than wait."""

    def __init__(self, name: str, busy: Busy) -> None:
        self._name, self._busy = name, busy
        self._file = os.environ.get("OTLP_ADDRESS_FILE", "")
        self._spans: deque[tuple[int, int, bool]] = deque(maxlen=TOLD)

    def add(self, started: int, good: bool) -> None:
        """A request was answered; it came at this nanosecond of the epoch."""
        if self._file:
            self._spans.append((started, time.time_ns(), good))

    def run(self) -> None:
        """Until the end."""
        while not self._busy.closing.wait(TELL):
            self.tell()

    def tell(self) -> None:
        """One report, or none."""
        if not self._file:
            return
        spans = [self._spans.popleft() for _ in range(len(self._spans))]
        depth = self._busy.depth()
        with suppress(OSError, http.client.HTTPException, ValueError):  # nobody listens: so be it
            connection = http.client.HTTPConnection(Path(self._file).read_text().strip(), timeout=TELL)
            try:
                if spans:
                    self._post(connection, "traces", {"resourceSpans": [self._traces(spans)]})
                self._post(connection, "metrics", {"resourceMetrics": [self._metrics(depth)]})
            finally:
                connection.close()

    def _post(self, connection: http.client.HTTPConnection, signal_: str, body: dict[str, object]) -> None:
        connection.request("POST", f"/v1/{signal_}", json.dumps(body), {"Content-Type": "application/json"})
        connection.getresponse().read()

    def _resource(self) -> dict[str, object]:
        said = {"service.name": self._name, "service.namespace": "shop", "service.instance.id": str(os.getpid())}
        return {"attributes": [{"key": key, "value": {"stringValue": value}} for key, value in said.items()]}

    def _traces(self, spans: list[tuple[int, int, bool]]) -> dict[str, object]:
        told = [
            {
                "traceId": os.urandom(16).hex(),
                "spanId": os.urandom(8).hex(),
                "name": "GET /",
                "kind": SERVER,
                "startTimeUnixNano": str(started),
                "endTimeUnixNano": str(ended),
                "status": {} if good else {"code": ERROR},
            }
            for started, ended, good in spans
        ]
        return {"resource": self._resource(), "scopeSpans": [{"scope": {"name": "service.py"}, "spans": told}]}

    def _metrics(self, depth: float) -> dict[str, object]:
        point = {"timeUnixNano": str(time.time_ns()), "asDouble": depth}
        gauge = {"name": "queue.depth", "unit": "{request}", "gauge": {"dataPoints": [point]}}
        return {"resource": self._resource(), "scopeMetrics": [{"scope": {"name": "service.py"}, "metrics": [gauge]}]}


class Service:
    """What all requests share."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.name, self.busy = given.name, Busy()
        self.teller = Teller(self.name, self.busy)
        self._takes = given.takes
        self._place = Place(self.busy, given.lock)

    def work(self) -> str:
        """What an answer needs: a little of the processor, and what somebody else takes for it."""
        if self._takes is not None:
            with self._place.taken():
                time.sleep(self._takes)
        return hashlib.pbkdf2_hmac("sha256", self.name.encode(), os.urandom(8), ROUNDS).hex()

    def accept(self, listener: socket.socket) -> None:
        """Take connections until the end, each in a thread of its own. Siblings take from the same queue."""
        listener.settimeout(LOOK)
        while not self.busy.closing.is_set():
            try:
                connection, address = listener.accept()
            except OSError:  # nobody came, or a sibling was faster
                continue
            connection.settimeout(IDLE)
            threading.Thread(target=self._serve, args=(connection, address), daemon=True).start()

    def _serve(self, connection: socket.socket, address: tuple[str, int]) -> None:
        """One connection, until the other side or the end closes it."""
        with connection:
            try:
                Handler(connection, address, self)  # type: ignore[arg-type]  # all that it asks its server for is here
            except OSError:
                return  # the client went away


class Handler(BaseHTTPRequestHandler):
    """Answers on one connection."""

    server: Service  # type: ignore[assignment]
    protocol_version = "HTTP/1.1"
    timeout = IDLE
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Send small answers at once."""
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().setup()

    def do_GET(self) -> None:
        """Work for `/`, a word for `/healthz`, 404 otherwise."""
        with self.server.busy:
            if self.path == "/healthz":
                self._answer(200, {"ok": True, "pid": os.getpid()})
            elif self.path == "/":
                self._work()
            else:
                self._answer(404, {"error": f"no such page: {self.path}"})

    def log_message(self, *_: object) -> None:
        """Say nothing about each request."""

    def _work(self) -> None:
        started, good = time.time_ns(), False
        try:
            digest = self.server.work()
            self._answer(200, {"service": self.server.name, "pid": os.getpid(), "digest": digest})
            good = True
        finally:
            self.server.teller.add(started, good)

    def _answer(self, status: int, body: dict[str, object]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if self.server.busy.closing.is_set():
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(content)


def inherited() -> dict[str, socket.socket]:
    """The listening sockets that were handed over, by name."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        sys.exit("no sockets were handed over (LISTEN_FDS); start me with `auto local up services.yaml`")
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    count = int(os.environ.get("LISTEN_FDS", "0"))
    return {name: socket.socket(fileno=FIRST_FD + i) for i, name in enumerate(names[:count])}


def main() -> None:
    """Serve until TERM or INT, then finish what is under way."""
    service = Service(options())
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # before any thread: only `sigwait` takes them
    acceptors = [threading.Thread(target=service.accept, args=(s,), daemon=True) for s in inherited().values()]
    for thread in (*acceptors, threading.Thread(target=service.teller.run, daemon=True)):
        thread.start()
    signal.sigwait(signals)
    service.busy.closing.set()
    for acceptor in acceptors:
        acceptor.join()
    service.busy.drain()
    service.teller.tell()  # the last requests, and that none waits here any more


if __name__ == "__main__":
    main()
