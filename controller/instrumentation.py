"""How people and machines watch the controller: log lines, its own metrics, and whether its loop makes progress.

Liveness is tick progress alone. Were it the health of the workloads, a sick cluster would kill its own healer.
"""

import contextlib
import http.server
import logging
import math
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from controller.core.records import AnyRecord, Closed, Held, Intent, Outcome

_TICK_BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
_CONNECTIONS = 16
_CLIENT_SECONDS = 5.0


def configure_logging(level: str, style: str, stream: TextIO | None = None) -> None:
    """Send log lines to stderr.

    Args:
        level: debug, info, warning or error.
        style: console, json, or auto: console on a terminal, else json.
        stream: instead of stderr.
    """
    stream = stream or sys.stderr
    console = style == "console" or (style == "auto" and stream.isatty())
    colors = console and stream.isatty() and not os.environ.get("NO_COLOR")
    shape: list[Any]
    if console:
        plain = structlog.dev.plain_traceback  # the pretty one prints local variables: they may hold secrets
        shape = [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain, event_key="message")]
    else:
        no_locals = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        shape = [structlog.processors.ExceptionRenderer(no_locals), structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time" if not console else "timestamp"),
            structlog.processors.EventRenamer("message"),
            *shape,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )


class Instruments:
    """The controller's own metrics, and the progress of its loop. Every instance has a registry of its own.

    Called by the loop's thread; read by the server's.

    Attributes:
        registry: for tests, and for whoever serves it elsewhere.
        address: where `HealthServer` serves it, `host:port`; empty when nowhere.
    """

    def __init__(self, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Start the watch.

        Args:
            interval: seconds between two ticks.
            clock: monotonic seconds.
        """
        self.registry = CollectorRegistry()
        self.address = ""
        self._allowed = max(3.0 * interval, 5.0)
        self._clock = clock
        self._beat = clock()
        self._ready = False
        self._why_not = "starting"
        self._counted: dict[str, int] = {}
        self._received: dict[tuple[str, str, str], int] = {}
        self._make_counters()
        self._make_gauges()

    def _make_counters(self) -> None:
        self._ticks = self._counter("ticks", "ticks of the loop that ended")
        self._late = self._counter("ticks_late", "ticks left out because an earlier one took too long")
        self._tick_seconds = Histogram(
            "gyrostat_tick_seconds",
            "time a tick took, decision and append together",
            registry=self.registry,
            buckets=_TICK_BUCKETS,
        )
        self._records = self._counter("records", "records appended to the trail", "kind")
        self._held = self._counter("held", "wishes not carried out", "reason")
        self._intents = self._counter("intents", "intents appended", "action", "step")
        self._outcomes = self._counter("outcomes", "outcomes of intents", "result")
        self._closed = self._counter("episodes_closed", "episodes that ended", "result")
        self._accepted = self._counter("samples_accepted", "samples that joined a target")
        self._refused = self._counter("samples_refused", "samples that were not taken", "reason")
        self._items = self._counter("otlp_items", "telemetry items received, by what became of them", "item", "fate")
        self._requests = self._counter("otlp_requests", "OTLP requests, and connections cut, by outcome", "outcome")
        self._trouble = self._counter("trouble", "ticks that failed: the store's errors by name, or others", "kind")
        self._limits = self._counter("limit_refused", "requests and input refused by a limit", "limit")

    def _make_gauges(self) -> None:
        self._last_tick = self._gauge("last_tick_timestamp_seconds", "epoch seconds of the last tick that ended")
        self._open = self._gauge("open_episodes", "episodes that are open")
        self._active = self._gauge("active_remediations", "attempts under way")
        self._unknown = self._gauge("unknown_targets", "targets of which no health is known")
        self._score = self._gauge("health_score", "the worst health score of any target; NaN where none is known")
        self._epoch = self._gauge("leader_epoch", "epoch of this leadership")
        self._trail_ok = self._gauge("trail_ok", "1 if the last verification of the whole trail found no fault, else 0")
        self._trail_ok.set(math.nan)  # nothing is known before the first
        self._trail_verified = self._counter("trail_verified", "verifications of the whole trail", "result")
        self._interval_allowed = self._gauge("tick_age_allowed_seconds", "above this age of a tick /healthz says 503")
        self._interval_allowed.set(self._allowed)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"gyrostat_{name}_total", meaning, labels, registry=self.registry)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(f"gyrostat_{name}", meaning, registry=self.registry)

    def observe(self, record: AnyRecord) -> None:
        """Count a record that was appended."""
        self._records.labels(type(record).__name__).inc()
        match record:
            case Held():
                self._held.labels(record.reason.value).inc()
            case Intent():
                self._intents.labels(record.action, record.step.value).inc()
            case Outcome():
                self._outcomes.labels(record.result.value).inc()
            case Closed():
                self._closed.labels(record.result.value).inc()
            case _:
                pass

    def beat(self) -> None:
        """Say that the loop moves, in work that is no tick, e.g. recovery."""
        self._beat = self._clock()

    @contextlib.contextmanager
    def turn(self, now: float) -> Iterator[None]:
        """Time one tick, and count it however it ends.

        Args:
            now: epoch seconds.
        """
        began = self._clock()
        try:
            yield
        finally:
            self.beat()
            self._ticks.inc()
            self._tick_seconds.observe(self._clock() - began)
            self._last_tick.set(now)

    def late(self, count: int) -> None:
        """So many ticks were left out."""
        self._late.inc(count)

    def trouble(self, kind: str) -> None:
        """A tick failed, e.g. `Full`."""
        self._trouble.labels(kind).inc()

    def leads(self, epoch: int) -> None:
        """This is our leadership."""
        self._epoch.set(epoch)

    def seen(self, open_episodes: int, active: int, unknown: int, worst_score: float | None) -> None:
        """What a tick found: open episodes, attempts under way, targets of unknown health, the worst score."""
        self._open.set(open_episodes)
        self._active.set(active)
        self._unknown.set(unknown)
        self._score.set(math.nan if worst_score is None else worst_score)

    def samples(self, totals: Mapping[str, int]) -> None:
        """Count samples, received = accepted + refused: `accepted`, and how many were refused by each reason.

        Args:
            totals: since the start, as the processor counts them.
        """
        for name, total in totals.items():
            if name == "received":  # the sum of the others
                continue
            new = total - self._counted.get(name, 0)
            (self._accepted if name == "accepted" else self._refused.labels(name)).inc(new)
        self._counted = dict(totals)

    def received(self, otlp: Mapping[str, Any]) -> None:
        """Count what came by OTLP: received is the sum over all fates.

        Args:
            otlp: totals since the start, as the receiver's view shows them; empty if nothing is received.
        """
        totals = {("requests", "", name): total for name, total in otlp.get("requests", {}).items()}
        for item, fates in otlp.get("items", {}).items():
            totals |= {("items", item, fate): total for fate, total in fates.items()}
        for (kind, item, name), total in totals.items():
            counter = self._requests.labels(name) if kind == "requests" else self._items.labels(item, name)
            counter.inc(total - self._received.get((kind, item, name), 0))
        self._received = totals

    def verified(self, *, ok: bool) -> None:
        """The whole trail was verified."""
        self._trail_ok.set(ok)
        self._trail_verified.labels("ok" if ok else "bad").inc()

    def limit(self, name: str) -> None:
        """Something was refused by a limit of this process."""
        self._limits.labels(name).inc()

    def ready(self) -> None:
        """This process leads, and every open intent of an earlier leadership is settled."""
        self._ready, self._why_not = True, ""

    def not_ready(self, why: str) -> None:
        """This process can not act now; `why` is shown."""
        self._ready, self._why_not = False, why

    @property
    def tick_age(self) -> float:
        """Seconds since the loop moved."""
        return self._clock() - self._beat

    def healthz(self) -> tuple[bool, str]:
        """Whether the loop moves, and one line about it."""
        old = self.tick_age
        fine = old < self._allowed
        return fine, f"last tick {old:.1f}s ago, {self._allowed:g}s are allowed"

    def readyz(self) -> tuple[bool, str]:
        """Whether it leads and has recovered, and one line about it."""
        return self._ready, self._why_not or "leading and recovered"


class _Handler(http.server.BaseHTTPRequestHandler):
    """GET of three paths; nothing of a request is ever used but its path."""

    server: "_Http"
    server_version = "gyrostat"
    sys_version = ""
    timeout = _CLIENT_SECONDS

    def do_GET(self) -> None:
        """Answer a request."""
        watched = self.server.instruments
        match self.path.partition("?")[0]:
            case "/metrics":
                self._reply(200, generate_latest(watched.registry), CONTENT_TYPE_LATEST)
            case "/healthz":
                self._state(*watched.healthz())
            case "/readyz":
                self._state(*watched.readyz())
            case _:
                self._reply(404, b"there are /metrics, /healthz and /readyz\n")

    def _state(self, fine: bool, line: str) -> None:
        self._reply(200 if fine else 503, f"{line}\n".encode())

    def _reply(self, status: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its interface
        """Probes come every few seconds: they are no news."""


class _Http(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 32
    families: ClassVar = {True: socket.AF_INET6, False: socket.AF_INET}

    def __init__(self, address: tuple[str, int], instruments: Instruments) -> None:
        self.instruments = instruments
        self.address_family = self.families[":" in address[0]]
        self._free = threading.BoundedSemaphore(_CONNECTIONS)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve in a thread of its own, up to a bound."""
        if not self._free.acquire(blocking=False):
            self.instruments.limit("metrics_connections")
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve, and give the place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class HealthServer:
    """Serves /metrics, /healthz and /readyz in a thread, on loopback.

    Attributes:
        address: host and port it really listens at.
    """

    def __init__(self, address: tuple[str, int], instruments: Instruments) -> None:
        """Listen.

        Raises:
            OSError: the address is taken; the message says which.
        """
        try:
            self._http = _Http(address, instruments)
        except OSError as error:
            host, port = address
            raise OSError(error.errno, f"metrics can not be served at {host}:{port}: {error.strerror}") from error
        host, port = self._http.socket.getsockname()[:2]
        self.address = (str(host), int(port))
        instruments.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.1}, name="metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
