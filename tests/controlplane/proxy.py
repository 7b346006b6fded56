"""A proxy before the API server that breaks what a network and a server can break, at a chosen request.

It listens without TLS: `Access(proxy.url, …)`. What it forwards reaches the real API server, so that "it answered 504,
and wrote all the same" is true, and the audit log says so.
"""

import contextlib
import http.client
import socket
import ssl
import struct
import threading
import urllib.parse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from .cluster import Cluster

WITHIN = 60.0  # seconds that the API server may take for what is forwarded


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one request.

    Attributes:
        applied: it is forwarded first.
        delay: seconds before anything else.
        status: answered instead of what the API server said; 0: its own answer.
        retry_after: seconds, in the header of that answer; 0: no header.
        ending: of the answer: whole, none (`reset`, `hang`), or the first half of it (`half`).
    """

    applied: bool = True
    delay: float = 0.0
    status: int = 0
    retry_after: int = 0
    ending: str = "whole"


NONE = Fault()
LOST_BEFORE = Fault(applied=False, ending="reset")
LOST_AFTER = Fault(ending="reset")
HANG_BEFORE = Fault(applied=False, ending="hang")
HANG_AFTER = Fault(ending="hang")
HALF = Fault(ending="half")

Rule = Callable[[str, str], Fault]
"""Method and path (with its query) → what happens."""
Lines = Callable[[bytes], Iterable[bytes]]
"""A line of a watch, with its end → the lines sent for it: none drops it, two repeat it. EOFError cuts the watch."""


class Proxy:
    """Forwards to one API server; each request and each line of a watch may be broken.

    Attributes:
        url: where it listens.
        rule: asked for every request.
        lines: asked for every line of every watch.
        path: what a path (with its query) becomes before it is forwarded.
        requests: method and path of each, in the order in which they came.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.rule: Rule = lambda method, path: NONE
        self.lines: Lines = lambda line: (line,)
        self.path: Callable[[str], str] = lambda path: path
        self.requests: list[tuple[str, str]] = []
        self.closing = threading.Event()
        self._address = urllib.parse.urlsplit(cluster.server)
        self._context = ssl.create_default_context(cafile=str(cluster.ca))
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Refuse connections from now on; what hangs is let go."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def upstream(self) -> http.client.HTTPSConnection:
        """A connection to the API server itself."""
        host, port = self._address.hostname or "", self._address.port
        return http.client.HTTPSConnection(host, port, timeout=WITHIN, context=self._context)


class _Server(ThreadingHTTPServer):
    """Its threads end with the proxy."""

    daemon_threads = True
    proxy: Proxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news here."""


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Say nothing."""

    def _answer(self) -> None:
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        proxy.requests.append((self.command, self.path))
        fault = proxy.rule(self.command, self.path)
        if fault.delay and proxy.closing.wait(fault.delay):
            return self._reset()
        upstream = proxy.upstream()
        with contextlib.closing(upstream):
            answer = self._forward(upstream, body) if fault.applied else None
            if fault.ending == "hang":
                proxy.closing.wait()
            if fault.ending in ("hang", "reset"):
                return self._reset()
            if answer is not None and "watch=" in self.path and not fault.status and answer.status == 200:
                return self._stream(answer)
            data = answer.read() if answer is not None else b""
            status = fault.status or (answer.status if answer is not None else 502)
            return self._whole(status, b"{}" if fault.status else data, fault)

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815  the base class's names

    def _forward(self, upstream: http.client.HTTPSConnection, body: bytes) -> http.client.HTTPResponse:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        upstream.request(self.command, self.server.proxy.path(self.path), body or None, headers)
        return upstream.getresponse()

    def _whole(self, status: int, data: bytes, fault: Fault) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if fault.retry_after:
            self.send_header("Retry-After", str(fault.retry_after))
        self.end_headers()
        if fault.ending == "half":
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self.close_connection = True
        else:
            self.wfile.write(data)

    def _stream(self, answer: http.client.HTTPResponse) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        with contextlib.suppress(EOFError, OSError):
            while line := answer.readline():
                for each in self.server.proxy.lines(line):
                    self.wfile.write(each)
                self.wfile.flush()

    def _reset(self) -> None:
        """End the connection as a dead peer's kernel would."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
