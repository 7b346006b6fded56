"""The sockets: one thread that never waits for anything but them, and gives nobody more than its share."""

import contextlib
import selectors
import socket
import time
from collections import Counter, deque
from dataclasses import dataclass
from functools import partial
from itertools import count
from threading import Lock, Thread

from telemetry.sources.otlp.connection import Connection, State
from telemetry.sources.otlp.ingest import Ingest, Job
from telemetry.sources.otlp.limits import (
    BUFFERED,
    CONNECTIONS,
    IDLE_SECONDS,
    REQUEST_SECONDS,
    Reason,
    Refusal,
)
from telemetry.sources.otlp.requests import Reply, Request

TAKEN, CONNECTION = "taken", "connection"
"""Outcomes beside the reasons: of a request that was taken, and of a connection that there was no room for."""
_CHUNK = 256 << 10
_LEAVE_SECONDS = 2.0
_SWEEP_SECONDS = 0.25
_ACCEPTED_AT_ONCE = 64


@dataclass(slots=True, eq=False)
class _Link:
    """A connection and its socket."""

    number: int
    sock: socket.socket
    speaks: Connection
    deadline: float
    watched: int = 0
    shut: bool = False


class Server:
    """Listens, and lets an Ingest read what comes.

    Attributes:
        address: host and port it really listens at.
    """

    def __init__(self, address: tuple[str, int], ingest: Ingest) -> None:
        """Listen.

        Raises:
            OSError: the address is taken; the message says which.
        """
        host, port = address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._listener = socket.create_server(address, family=family, backlog=128)
        except OSError as error:
            raise OSError(error.errno, f"OTLP can not be received at {host}:{port}: {error.strerror}") from error
        self._listener.setblocking(False)
        name = self._listener.getsockname()
        self.address = (str(name[0]), int(name[1]))
        self._ingest = ingest
        self._links: dict[int, _Link] = {}
        self._numbers = count(1)
        self._held = 0
        self._replies: deque[tuple[int, Reply, Reason | None]] = deque()
        self._outcomes: Counter[str] = Counter()
        self._lock = Lock()
        self._ended = False
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._woken, selectors.EVENT_READ, self._answer)
        self._thread = Thread(target=self._run, name="otlp-http", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def outcomes(self) -> dict[str, int]:
        """How requests ended, and connections for which there was no room, since the start."""
        with self._lock:
            return dict(self._outcomes)

    def close(self) -> None:
        """Listen no more, and leave every sender."""
        self._ended = True
        self._ring()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        for sock in (self._listener, self._wake, self._woken, *(link.sock for link in self._links.values())):
            sock.close()
        self._selector.close()

    def _run(self) -> None:
        swept = time.monotonic()
        while not self._ended:
            for key, mask in self._selector.select(_SWEEP_SECONDS):
                key.data(mask)
            now = time.monotonic()
            if now - swept >= _SWEEP_SECONDS:
                swept = now
                for link in [link for link in self._links.values() if link.deadline < now]:
                    self._overdue(link)

    def _accept(self, _mask: int) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                sock, _ = self._listener.accept()
            except OSError:  # none waits, it left already, or we have no file to spare
                return
            if not self._has_place():
                self._count(CONNECTION)
                sock.close()
                continue
            sock.setblocking(False)
            link = _Link(next(self._numbers), sock, Connection(self._room), time.monotonic() + IDLE_SECONDS)
            self._links[link.number] = link
            self._watch(link)

    def _has_place(self) -> bool:
        """Room for one more, if need be that of the sender that has been idle for longest."""
        if len(self._links) < CONNECTIONS:
            return True
        idle = [link for link in self._links.values() if link.speaks.state is State.IDLE]
        if not idle:
            return False
        self._close(min(idle, key=lambda link: link.deadline))
        return True

    def _room(self, size: int) -> bool:
        if self._held + size > BUFFERED:
            return False
        self._held += size
        return True

    def _serve(self, link: _Link, mask: int) -> None:
        """Read or write what can be."""
        try:
            if mask & selectors.EVENT_READ:
                data = link.sock.recv(_CHUNK)
                if not data:
                    self._left(link)
                    return
                self._received(link, data)
            if mask & selectors.EVENT_WRITE:
                del link.speaks.out[: link.sock.send(link.speaks.out)]
                self._after(link)
        except BlockingIOError:
            pass
        except OSError:
            self._left(link)

    def _received(self, link: _Link, data: bytes) -> None:
        begun = link.speaks.begun
        for request in link.speaks.receive(data):
            self._submit(link, request)
        if link.speaks.begun and not begun:
            link.deadline = time.monotonic() + REQUEST_SECONDS
        self._after(link)

    def _submit(self, link: _Link, request: Request) -> None:
        link.deadline = float("inf")
        self._ingest.add(Job(request, time.monotonic(), partial(self._reply, link.number)))

    def _reply(self, number: int, reply: Reply, reason: Reason | None) -> None:
        """Called from the ingest thread."""
        self._replies.append((number, reply, reason))
        self._ring()

    def _ring(self) -> None:
        with contextlib.suppress(OSError):  # full is rung; closed needs no ring
            self._wake.send(b"!")

    def _answer(self, _mask: int) -> None:
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(4096)
        while self._replies:
            number, reply, reason = self._replies.popleft()
            link = self._links.get(number)
            if link is None:
                self._count(reason or TAKEN)
                continue
            link.deadline = time.monotonic() + IDLE_SECONDS
            for request in link.speaks.reply(reply, reason):
                self._submit(link, request)
            self._after(link)

    def _overdue(self, link: _Link) -> None:
        if link.speaks.state is State.READING:
            limit = f"a request takes at most {REQUEST_SECONDS:g} seconds"
            link.speaks.refuse(Refusal(Reason.SLOW, limit))
            self._after(link)
        else:
            self._close(link)

    def _after(self, link: _Link) -> None:
        """Count what was answered, and watch for what comes next."""
        speaks = link.speaks
        if speaks.answered:
            self._release(link)
            for reason in speaks.answered:
                self._count(reason or TAKEN)
            speaks.answered.clear()
        if speaks.state is State.LEAVING:
            link.deadline = min(link.deadline, time.monotonic() + _LEAVE_SECONDS)
            if not speaks.out and not link.shut:
                link.shut = True
                with contextlib.suppress(OSError):
                    link.sock.shutdown(socket.SHUT_WR)
        self._watch(link)

    def _watch(self, link: _Link) -> None:
        wanted = selectors.EVENT_READ if link.speaks.state is not State.WAITING else 0
        wanted |= selectors.EVENT_WRITE if link.speaks.out else 0
        if wanted == link.watched:
            return
        if not link.watched:
            self._selector.register(link.sock, wanted, partial(self._serve, link))
        elif not wanted:
            self._selector.unregister(link.sock)
        else:
            self._selector.modify(link.sock, wanted, partial(self._serve, link))
        link.watched = wanted

    def _left(self, link: _Link) -> None:
        """The sender went away."""
        if link.speaks.state is State.READING:
            self._count(Reason.ABORTED)
        self._close(link)

    def _close(self, link: _Link) -> None:
        if link.watched:
            self._selector.unregister(link.sock)
        self._release(link)
        self._links.pop(link.number, None)
        link.sock.close()

    def _release(self, link: _Link) -> None:
        self._held -= link.speaks.held
        link.speaks.held = 0

    def _count(self, outcome: str) -> None:
        with self._lock:
            self._outcomes[str(outcome)] += 1
