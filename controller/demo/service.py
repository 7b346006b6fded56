"""A small HTTP service: standard library only, a plain file that can be copied and changed.

It opens no socket itself. Whoever starts it hands over listening sockets (the LISTEN_FDS protocol): `http`, shared with
its siblings, and `probe`, its own, by which a hung worker is seen although its siblings still answer.

    GET /         does a little real work
    GET /healthz  says that this very process answers
"""

import hashlib
import json
import os
import signal
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler

FIRST_FD = 3  # where the protocol begins to hand over sockets
ROUNDS = 4_000  # of the hash: about two milliseconds
IDLE = 30.0  # seconds that a kept connection may be silent
LOOK = 0.1  # seconds: how often an accepting thread looks whether it should end
DRAIN = 0.5  # seconds that requests under way get at the end
NAME = sys.argv[1] if len(sys.argv) > 1 else "service"


class Busy:
    """Counts requests under way, so that the end can wait for them."""

    def __init__(self) -> None:
        self.closing = threading.Event()
        self._count = 0
        self._idle = threading.Condition()

    def __enter__(self) -> None:
        with self._idle:
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._idle:
            self._count -= 1
            self._idle.notify_all()

    def drain(self) -> None:
        """Wait until none is under way, but not long."""
        with self._idle:
            self._idle.wait_for(lambda: self._count == 0, timeout=DRAIN)


BUSY = Busy()


class Handler(BaseHTTPRequestHandler):
    """Answers on one connection."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Send small answers at once."""
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().setup()

    def do_GET(self) -> None:
        """Work for `/`, a word for `/healthz`, 404 otherwise."""
        with BUSY:
            if self.path == "/healthz":
                self._answer(200, {"ok": True, "pid": os.getpid()})
            elif self.path == "/":
                digest = hashlib.pbkdf2_hmac("sha256", NAME.encode(), os.urandom(8), ROUNDS).hex()
                self._answer(200, {"service": NAME, "pid": os.getpid(), "digest": digest})
            else:
                self._answer(404, {"error": f"no such page: {self.path}"})

    def log_message(self, *_: object) -> None:
        """Say nothing about each request."""

    def _answer(self, status: int, body: dict[str, object]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if BUSY.closing.is_set():
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(content)


def inherited() -> dict[str, socket.socket]:
    """The listening sockets that were handed over, by name."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        sys.exit(f"{NAME}: no sockets were handed over (LISTEN_FDS); start me with `auto local up services.yaml`")
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    count = int(os.environ.get("LISTEN_FDS", "0"))
    return {name: socket.socket(fileno=FIRST_FD + i) for i, name in enumerate(names[:count])}


def accept(listener: socket.socket) -> None:
    """Take connections until the end, each in a thread of its own. Siblings take from the same queue."""
    listener.settimeout(LOOK)
    while not BUSY.closing.is_set():
        try:
            connection, address = listener.accept()
        except OSError:  # nobody came, or a sibling was faster
            continue
        connection.settimeout(IDLE)
        threading.Thread(target=serve, args=(connection, address), daemon=True).start()


def serve(connection: socket.socket, address: tuple[str, int]) -> None:
    """One connection, until the other side or the end closes it."""
    with connection:
        try:
            Handler(connection, address, None)  # type: ignore[arg-type]  # it never asks its server anything
        except OSError:
            return  # the client went away


def main() -> None:
    """Serve until TERM or INT, then finish what is under way."""
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # before any thread: only `sigwait` takes them
    acceptors = [threading.Thread(target=accept, args=(s,), daemon=True) for s in inherited().values()]
    for acceptor in acceptors:
        acceptor.start()
    signal.sigwait(signals)
    BUSY.closing.set()
    for acceptor in acceptors:
        acceptor.join()
    BUSY.drain()


if __name__ == "__main__":
    main()
