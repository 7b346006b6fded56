"""Requests between processes of one user: a line of JSON each way over a unix socket of mode 0600.

A client is never trusted with the server's time or memory: a request has a size, a depth and a deadline, a reply that
is not read is cut, and connections are bounded. The caller always knows which of two things a failure means:

    NotDelivered     the handler surely never saw the request: repeating it is safe
    MaybeDelivered   it may have been handled: only reading back settles it
"""

import contextlib
import os
import re
import select
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from telemetry.sources.pool import ready_pool

# a string (closed or not, so that the scan is linear for any bytes) or one bracket
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{]|[\]}]', re.DOTALL)
_LONGEST = 100  # bytes of a path that surely fit into sockaddr_un (108 with its end)
_MOST_REPLY = 64 << 20  # bytes: the supervisor's list of 10,000 instances is 5 MiB


class NotDelivered(OSError):  # noqa: N818  a fact about the request, not only an error
    """The handler surely never saw the request."""


class MaybeDelivered(OSError):  # noqa: N818  a fact about the request, not only an error
    """The request may have been handled; nobody knows until somebody reads back."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who asks, as the kernel says.

    Attributes:
        uid: effective user at connect.
        pid: process at connect.
        connected: whether it still waits for the reply; one that has gone cannot learn what is done for it.
    """

    uid: int
    pid: int
    connected: Callable[[], bool] = lambda: True


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may cost.

    Attributes:
        request_bytes: of one line.
        depth: of nested lists and objects.
        seconds: to send a whole request, and again to take a whole reply.
        connections: served at a time; one more is told to come back.
    """

    request_bytes: int = 1 << 20
    depth: int = 32
    seconds: float = 10.0
    connections: int = 16


Handler = Callable[[dict[str, Any], Peer], Mapping[str, Any]]


Refusals = Callable[[str], None]
"""Told of each client that a limit turned away or cut: connections, request or slow."""


class _Refused(Exception):  # noqa: N818  internal: becomes a reply
    """The request is refused before the handler sees it."""


class _Slow(_Refused):
    """It did not arrive in time."""


class Server:
    """Answers requests at a path, in threads of its own; `handler` is called from several of them at once.

    Only the same user (and root, who could become it) is answered.
    """

    def __init__(
        self,
        path: Path,
        handler: Handler,
        limits: Limits = Limits(),
        uids: frozenset[int] | None = None,
        refused: Refusals = lambda _: None,
    ) -> None:
        self.path = path
        self._handler, self._refused = handler, refused
        self._limits = limits
        self._uids = frozenset({os.geteuid(), 0}) if uids is None else uids
        self._free = threading.BoundedSemaphore(limits.connections)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closing = False
        self._pool = ready_pool(limits.connections, f"serve {path.name}")
        self._listener = _listen(path, limits.connections)
        self._inode = path.stat().st_ino
        self._acceptor = threading.Thread(target=self._accept, name=f"accept {path.name}", daemon=True)
        self._acceptor.start()

    def close(self) -> None:
        """Stop accepting, cut what is open, remove the socket file if it is still ours."""
        with self._lock:
            self._closing = True
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RD)  # a reply under way may still leave
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        with contextlib.suppress(FileNotFoundError):
            if self.path.stat().st_ino == self._inode:
                self.path.unlink()
        for _ in range(self._limits.connections):  # every connection has ended
            self._free.acquire(timeout=self._limits.seconds)
        self._pool.shutdown(wait=False)

    def _accept(self) -> None:
        while not self._closing:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                if not self._closing:
                    time.sleep(0.05)  # out of descriptors: not a reason to spin, nor to die
                continue
            peer = _peer(connection)
            if peer.uid not in self._uids:
                _turn_away(connection, f"user {peer.uid} may not use {self.path}")
            elif not self._free.acquire(blocking=False):
                self._refused("connections")
                _turn_away(connection, f"{self._limits.connections} requests are under way at {self.path}: try again")
            else:
                self._pool.submit(self._serve, connection, peer)

    def _serve(self, connection: socket.socket, peer: Peer) -> None:
        try:
            with connection, contextlib.suppress(OSError):
                with self._lock:
                    if self._closing:
                        return
                    self._open.add(connection)
                self._converse(connection, peer)
        finally:
            with self._lock:
                self._open.discard(connection)
            self._free.release()

    def _converse(self, connection: socket.socket, peer: Peer) -> None:
        try:
            for line in _lines(connection, self._limits):
                connection.settimeout(self._limits.seconds)
                connection.sendall(self._answer(line, peer) + b"\n")
        except _Refused as error:
            self._refused("slow" if isinstance(error, _Slow) else "request")
            _turn_away(connection, str(error))
        except TimeoutError:  # it does not read what it asked for
            self._refused("slow")

    def _answer(self, line: bytes, peer: Peer) -> bytes:
        try:
            request = _parse(line, self._limits.depth)
        except _Refused as error:
            return _refusal(str(error))
        try:
            return msgspec.json.encode(self._handler(request, peer))
        except Exception as error:  # noqa: BLE001  whatever the handler raises, the client gets an answer
            return msgspec.json.encode({"error": f"{type(error).__name__}: {error}", "handled": True})


def call(path: Path, request: Mapping[str, Any], timeout: float = 5.0) -> dict[str, Any]:
    """Send one request and return its reply.

    Args:
        path: of the server's socket.
        request: JSON object.
        timeout: seconds for everything together.

    Raises:
        NotDelivered: nobody listens, or the server refused to read the request.
        MaybeDelivered: it was sent, and no reply came in time, or the handler failed.
    """
    deadline = time.monotonic() + timeout
    line = msgspec.json.encode(request) + b"\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.settimeout(timeout)
            with _address(path) as address:
                connection.connect(address)
        except OSError as error:
            raise NotDelivered(f"nobody answers at {path}: {_text(error)}") from error
        sent: OSError | None = None
        try:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            connection.sendall(line)
        except OSError as error:
            sent = error  # the last byte, which makes it a request, surely did not leave; the server may have said why
        try:
            reply = _receive(connection, deadline)
        except OSError as error:
            failure = NotDelivered if sent else MaybeDelivered
            raise failure(f"no reply from {path}: {_text(sent or error)}") from error
    if "handled" in reply:
        failure = MaybeDelivered if reply["handled"] else NotDelivered
        raise failure(f"{path}: {reply.get('error')}")
    return reply


def _listen(path: Path, backlog: int) -> socket.socket:
    """A listening socket that never existed with another mode than 0600.

    Raises:
        OSError: another server answers there, or something that is no socket stands there.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _address(path) as address:
            _remove_stale(path, address)
            listener.bind(address)
            path.chmod(0o600)  # before `listen` nobody can connect, whatever the umask made of the file
            listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path, address: str) -> None:
    """Remove the socket of a server that is gone."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(f"{path} exists and is no socket: move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(address)
        except ConnectionRefusedError:
            path.unlink()
            return
        except OSError:
            pass  # a full backlog: somebody lives there
    raise FileExistsError(f"another process answers at {path}")


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """A name of the path that fits into a socket address, however deep the state directory lies."""
    if len(os.fsencode(path)) <= _LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _peer(connection: socket.socket) -> Peer:
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    hung_up = select.poll()
    hung_up.register(connection, 0)  # POLLHUP is always reported
    return Peer(uid, pid, connected=lambda: not hung_up.poll(0))


def _turn_away(connection: socket.socket, why: str) -> None:
    """Say why and close, without ever waiting for the client."""
    with contextlib.suppress(OSError), connection:
        connection.setblocking(False)
        connection.send(_refusal(why) + b"\n")


def _refusal(why: str) -> bytes:
    return msgspec.json.encode({"error": why, "handled": False})


def _lines(connection: socket.socket, limits: Limits) -> Iterator[bytes]:
    """Each request of a connection until it ends; each has the whole time limit, however slowly it drips.

    Raises:
        _Refused: a line is too long or took too long.
    """
    buffer = bytearray()
    while True:
        deadline = time.monotonic() + limits.seconds
        while (end := buffer.find(b"\n")) < 0:
            if len(buffer) > limits.request_bytes:
                raise _Refused(f"a request is at most {limits.request_bytes} bytes")
            if (left := deadline - time.monotonic()) <= 0:
                raise _Slow(f"a request takes at most {limits.seconds:g} s to arrive")
            connection.settimeout(left)
            try:
                chunk = connection.recv(65536)
            except TimeoutError:
                continue
            if not chunk:
                return
            buffer += chunk
        if end > limits.request_bytes:
            raise _Refused(f"a request is at most {limits.request_bytes} bytes")
        line = bytes(buffer[:end])
        del buffer[: end + 1]
        yield line


def _parse(line: bytes, most: int) -> dict[str, Any]:
    """The JSON object of a line.

    Raises:
        _Refused: it is none, or nests too deep.
    """
    depth = 0
    for token in _TOKEN.finditer(line):
        first = token.group()[0]
        depth += 1 if first in b"[{" else -1 if first in b"]}" else 0
        if depth > most:
            raise _Refused(f"a request nests at most {most} deep")
    try:
        request = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _Refused(f"a request is one line of JSON: {error}") from error
    if not isinstance(request, dict):
        raise _Refused("a request is a JSON object")
    return request


def _receive(connection: socket.socket, deadline: float) -> dict[str, Any]:
    """The reply's object.

    Raises:
        OSError: none came in time, or it is no JSON object.
    """
    buffer = bytearray()
    while not buffer.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        connection.settimeout(left)
        chunk = connection.recv(1 << 18)
        if not chunk:
            raise ConnectionResetError("the connection was closed")
        buffer += chunk
        if len(buffer) > _MOST_REPLY:
            raise ConnectionAbortedError(f"the reply is over {_MOST_REPLY} bytes")
    try:
        reply = msgspec.json.decode(buffer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConnectionAbortedError(f"the reply is no JSON: {error}") from error
    if not isinstance(reply, dict):
        raise ConnectionAbortedError("the reply is no JSON object")
    return reply


def _text(error: OSError) -> str:
    return error.strerror or str(error)
