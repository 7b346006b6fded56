"""Requests to one API server: raw JSON over urllib3, and a failure always says whether the request may have counted.

Not the official client: it re-sends DELETE and PUT when an answer is lost, decodes a list twenty times slower than the
narrow structs of msgspec, and raises after the fact where a body does not fit its models. urllib3 is what it sends by.

    Refused          the server answered, and no
    NotDelivered     the request surely never reached a server
    MaybeDelivered   it was sent, and no whole answer came: only reading back settles a write
"""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

import msgspec
import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProxyError, SSLError

from telemetry.sources.kubernetes.access import Access
from telemetry.sources.unix_rpc import MaybeDelivered, NotDelivered

JSON = "application/json"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"

MANAGER = "gyrostat"
"""Who we are among the field managers of an object."""

_MOST = 64 << 20  # bytes of one answer, and of one line of a watch: a page of 500 large pods is 5 MiB
_CHUNK = 1 << 16
_CONNECTIONS = 64  # kept open: watches take one each, and every effect under way
_KEEPALIVE = [  # a peer that died behind a firewall is noticed while nothing is asked, not by the next write's silence
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
]

T = TypeVar("T")


class _Cause(msgspec.Struct):
    reason: str = ""
    message: str = ""


class _Details(msgspec.Struct):
    causes: list[_Cause] = []


class _Status(msgspec.Struct):
    message: str = ""
    reason: str = ""
    details: _Details = msgspec.field(default_factory=_Details)


class Refused(Exception):  # noqa: N818  an answer, not only an error
    """The server answered, and no.

    Attributes:
        status: of HTTP.
        reason: the server's code, `Conflict`; empty where a proxy answered.
        causes: more codes, e.g. `DisruptionBudget`.
        retry_after: seconds; 0 where the server did not say.
    """

    def __init__(self, answer: "Answer") -> None:
        try:
            status = msgspec.json.decode(answer.body, type=_Status)
        except (msgspec.DecodeError, UnicodeDecodeError):
            status = _Status(answer.body[:200].decode(errors="replace"))
        super().__init__(f"{answer.status} {status.reason}: {status.message}")
        self.status, self.reason = answer.status, status.reason
        self.causes = tuple(cause.reason for cause in status.details.causes)
        given = answer.headers.get("retry-after", "")
        self.retry_after = float(given) if given.isdecimal() else 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said, whatever it was; header names are in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return 200 <= self.status < 300

    def decode(self, kind: type[T]) -> T:
        """The body as a narrow struct.

        Raises:
            MaybeDelivered: it is not of this kind: we did not understand the answer.
        """
        try:
            return msgspec.json.decode(self.body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise MaybeDelivered(f"the answer is no {kind.__name__}: {error}") from error


@dataclass(frozen=True, slots=True)
class Write:
    """One request that changes something.

    Attributes:
        method, path: of the request.
        body: becomes JSON.
        kind: content type: of a patch, which of the three.
        dry_run: the server goes the whole way and keeps nothing.
    """

    method: str
    path: str
    body: Any
    kind: str = JSON
    dry_run: bool = False


@dataclass(slots=True)
class _Sent:
    """A request on its way."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None = None
    query: Mapping[str, str] = field(default_factory=dict)


class Client:
    """One API server, from any thread. Nothing is ever sent twice."""

    def __init__(self, access: Access, timeout: float = 5.0) -> None:
        """`timeout` in seconds: to connect, and again for the whole answer."""
        self.access, self.timeout = access, timeout
        context = ssl.create_default_context(cafile=access.ca_file or None)
        if not access.verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if access.cert_file:
            context.load_cert_chain(access.cert_file, access.key_file or None)
        options: dict[str, Any] = {"retries": False, "maxsize": _CONNECTIONS, "ssl_context": context}
        options["socket_options"] = [*urllib3.connection.HTTPConnection.default_socket_options, *_KEEPALIVE]
        if access.server_name:
            options["server_hostname"] = options["assert_hostname"] = access.server_name
        self._pool: urllib3.PoolManager = (
            urllib3.ProxyManager(access.proxy, **options) if access.proxy else urllib3.PoolManager(**options)
        )

    def close(self) -> None:
        """Close idle connections."""
        self._pool.clear()

    def read(self, path: str, kind: type[T], query: Mapping[str, str] | None = None) -> T:
        """The object or list at a path, decoded.

        Raises:
            Refused: the server said no; `status` is 404 where there is no such object.
            OSError: no whole answer came.
        """
        answer = self._exchange(_Sent("GET", path, {}, query=query or {}), self.timeout)
        if not answer.ok:
            raise Refused(answer)
        return answer.decode(kind)

    def write(self, what: Write, audit_id: str = "") -> Answer:
        """Send a write, once; whether it was accepted is in the answer.

        Args:
            what: the request.
            audit_id: what the server's audit log is to call it: it joins that log with our trail.

        Raises:
            NotDelivered: surely not written.
            MaybeDelivered: nobody knows until somebody reads back.
        """
        body, query = what.body, {}
        if what.method != "DELETE":
            query["fieldManager"] = MANAGER
            if what.dry_run:
                query["dryRun"] = "All"
        elif what.dry_run:
            body = dict(body or {}) | {"dryRun": ["All"]}  # beside a body the server ignores ?dryRun, and deletes
        headers = {"Content-Type": what.kind} | ({"Audit-ID": audit_id} if audit_id else {})
        sent = _Sent(what.method, what.path, headers, msgspec.json.encode(body), query)
        return self._exchange(sent, self.timeout)

    def watch(self, path: str, query: Mapping[str, str], idle: float) -> "Stream":
        """The lines of an answer that does not end.

        Args:
            path: of the collection.
            query: `watch=1` and the rest.
            idle: seconds without a byte after which the stream is given up; over 60, as bookmarks come each minute.

        Raises:
            Refused: the server said no.
            OSError: it did not answer.
        """
        answer = self._send(_Sent("GET", path, {}, query=query), idle)
        if answer.status != 200:
            with contextlib.closing(answer):
                raise Refused(_whole(answer, time.monotonic() + self.timeout))
        return Stream(answer)

    def _exchange(self, sent: _Sent, timeout: float) -> Answer:
        deadline = time.monotonic() + timeout
        answer = self._send(sent, timeout)
        try:
            whole = _whole(answer, deadline)
        except BaseException:
            answer.close()
            raise
        answer.release_conn()
        return whole

    def _send(self, sent: _Sent, timeout: float) -> urllib3.BaseHTTPResponse:
        try:
            headers = sent.headers | {"Accept": JSON, "User-Agent": MANAGER}
            if authorization := self.access.authorization():
                headers["Authorization"] = authorization
        except Exception as error:  # a token file that is gone, a login plugin that fails in its own way
            raise NotDelivered(f"no credentials for {self.access.server}: {error}") from error
        address = self.access.server + sent.path + (f"?{urlencode(sent.query)}" if sent.query else "")
        try:
            return self._pool.request(
                sent.method,
                address,
                body=sent.body,
                headers=headers,
                timeout=urllib3.Timeout(connect=min(timeout, self.timeout), read=timeout),
                preload_content=False,
                redirect=False,
            )
        except HTTPError as error:
            kind = NotDelivered if _before_sending(error) else MaybeDelivered
            raise kind(f"no answer from {self.access.server}: {error}") from error


class Stream:
    """Lines of a watch. `close` from another thread ends it."""

    def __init__(self, answer: urllib3.BaseHTTPResponse) -> None:
        self._answer, self._lock, self._closed = answer, threading.Lock(), False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it; the connection is not used again."""
        with self._lock:
            if not self._closed:
                self._closed = True
                with contextlib.suppress(Exception):  # the reader may be in the middle of it
                    self._answer.shutdown()
                self._answer.close()

    def __iter__(self) -> Iterator[bytes]:
        """Each line, without its end, until the server ends the stream.

        Raises:
            OSError: nothing came for too long, the connection broke, or a line is over 64 MiB.
        """
        rest = bytearray()
        while chunk := _some(self._answer):
            rest += chunk
            *lines, last = rest.split(b"\n")
            yield from map(bytes, filter(None, lines))
            if len(last) > _MOST:
                raise ConnectionAbortedError(f"a line is over {_MOST} bytes")
            rest = last


def _whole(answer: urllib3.BaseHTTPResponse, deadline: float) -> Answer:
    """The whole answer.

    Raises:
        MaybeDelivered: it broke off, is too large, or does not end in time.
    """
    body = bytearray()
    try:
        while chunk := _some(answer):
            body += chunk
            if len(body) > _MOST:
                raise ConnectionAbortedError(f"the answer is over {_MOST} bytes")
            if time.monotonic() > deadline:
                raise TimeoutError("the answer does not end")
    except OSError as error:
        raise MaybeDelivered(str(error)) from error
    return Answer(answer.status, bytes(body), {name.lower(): value for name, value in answer.headers.items()})


def _some(answer: urllib3.BaseHTTPResponse) -> bytes:
    """The next bytes; none at the end.

    Raises:
        OSError: the connection broke.
    """
    try:
        return answer.read1(_CHUNK)
    except HTTPError as error:
        raise ConnectionAbortedError(f"the connection broke: {error}") from error
    except (ValueError, AttributeError) as error:  # closed by another thread under our feet
        raise ConnectionAbortedError("closed") from error


def _before_sending(error: HTTPError) -> bool:
    """Whether it surely happened before the first byte of the request left."""
    if isinstance(error, SSLError):
        return bool(error.args) and isinstance(error.args[0], ssl.SSLCertVerificationError)
    return isinstance(error, (NewConnectionError, ConnectTimeoutError, ProxyError))
