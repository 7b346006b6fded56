"""OTLP over HTTP: spans a second on one core, from the socket to the columns, and what a flood does to the tick.

The receiver has a process and a core of its own; the senders have the other one, and send what they made before.
"""

import contextlib
import http.client
import json
import os
import subprocess
import sys
from collections.abc import Callable
from multiprocessing import Event, Process
from time import monotonic, perf_counter, sleep
from typing import Self

from actions.registry import ACTIONS
from controller.clock import Clock
from controller.core.agents import PolicyAgent
from controller.core.guards import GUARDS
from controller.core.state import State
from controller.core.tick import tick
from controller.core.wish import Limits, Rulebook
from telemetry.inventory import Facts
from telemetry.processor import Processor
from telemetry.sources import Reading
from telemetry.sources.otlp.ingest import DUTY
from telemetry.sources.otlp.receiver import Receiver
from telemetry.sources.otlp.requests import Request, Signal, read
from telemetry.sources.otlp.resources import Resources
from telemetry.target import Target
from tests.benchmarks.rows import Row
from tests.benchmarks.world import fill, policies
from tests.telemetry.otlp.messages import traces

COLLECTOR = 450.0
"""Thousands of spans a second that the OpenTelemetry Collector's span_metrics did on one such core."""
SPANS = 1_000
SERVICES = 20
SENDERS = 4
SECONDS = 5.0
TICKS, EVERY = 150, 0.05
TARGETS = 1_000
CLOCK = Clock()


def bodies() -> list[bytes]:
    """One request of each service: half of the spans are requests, each has ten attributes."""
    made = []
    for service in range(SERVICES):
        request = traces(SPANS // 2, at=CLOCK.now(), attributes=10, name=f"service-{service}")
        inner = traces(SPANS // 2, kind=3, at=CLOCK.now(), attributes=10)
        request.resource_spans[0].scope_spans.extend(inner.resource_spans[0].scope_spans)
        made.append(request.SerializeToString())
    return made


def processor() -> Processor:
    """Lists the services that send."""
    made, now = Processor(), CLOCK.now()
    targets = [Target("local", "Service", "shop", f"service-{n}", f"u{n}") for n in range(SERVICES)]
    made.ingest(Reading(now, "local", {target: Facts(now, 1, 1) for target in targets}))
    return made


def decoding() -> dict[str, float]:
    """Thousands of spans a second from bytes in memory to columns."""
    made, resources, requests = processor(), Resources(), bodies()
    count, began, refreshed = 0, perf_counter(), perf_counter()
    while perf_counter() - began < SECONDS / 2:
        for body in requests:
            batch = read(Request(Signal.TRACES, json=False, gzip=False, body=body), resources, lambda: None)
            if not isinstance(batch, int):
                count += sum(made.take(batch, CLOCK.now()).values())
        if perf_counter() - refreshed > 1:
            refreshed = perf_counter()
            made.refresh(CLOCK.now())
    return {"rate": count / (perf_counter() - began) / 1e3}


def receiving(duty: float) -> dict[str, float]:
    """Thousands of spans a second over HTTP, on one core."""
    made = processor()
    receiver = Receiver(("127.0.0.1", 0), made.take, CLOCK.now, duty)
    with contextlib.closing(receiver), flood(receiver.address):
        sleep(1)
        before, began = taken(receiver), monotonic()
        while monotonic() - began < SECONDS:
            made.refresh(CLOCK.now())
            sleep(0.5)
        rate = (taken(receiver) - before) / (monotonic() - began) / 1e3
    return {"rate": rate}


def taken(receiver: Receiver) -> int:
    """Spans that joined a target so far."""
    return int(receiver.view(CLOCK.now())["items"]["spans"].get("accepted", 0))


def ticking() -> dict[str, float]:
    """The tick's 99th percentile in ms, alone and beside a flood, and how much of the flood was taken meanwhile."""
    made, now = Processor(), CLOCK.now()
    fill(made, TARGETS, 0.01, now)
    rules = policies(TARGETS)
    book = Rulebook({p.hash: p for p in rules}, ACTIONS, GUARDS, Limits())
    agent, state = PolicyAgent(), State()

    def once() -> None:
        at = CLOCK.now()
        snapshot = made.snapshot(at)
        tick(at, snapshot, state, agent.propose(at, snapshot, rules, state, book.limits), book)

    receiver = Receiver(("127.0.0.1", 0), made.take, CLOCK.now)
    with contextlib.closing(receiver):
        once()
        alone = percentiles(once)
        with flood(receiver.address):
            sleep(1)
            before, began = taken_any(receiver), monotonic()
            beside = percentiles(once)
            rate = (taken_any(receiver) - before) / (monotonic() - began) / 1e3
    return {"alone": alone, "beside": beside, "rate": rate}


def taken_any(receiver: Receiver) -> int:
    """Spans that were read so far, joined or not."""
    return sum(receiver.view(CLOCK.now())["items"]["spans"].values())


def percentiles(once: Callable[[], None]) -> float:
    """Milliseconds that 99 of 100 turns do not exceed."""
    took = []
    for _ in range(TICKS):
        began = perf_counter()
        once()
        took.append((perf_counter() - began) * 1e3)
        sleep(EVERY)
    return sorted(took)[int(0.99 * TICKS)]


class flood:  # noqa: N801 - reads as a verb
    """Senders that never rest, in processes and on a core of their own; they wait when told to try later."""

    def __init__(self, address: str) -> None:
        self._stop = Event()
        self._senders = [Process(target=send, args=(address, self._stop), daemon=True) for _ in range(SENDERS)]

    def __enter__(self) -> Self:
        for sender in self._senders:
            sender.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        for sender in self._senders:
            sender.join()


def send(address: str, stop: object) -> None:
    """Post the same requests again and again; made anew before they are too old."""
    pin(-1)
    while not stop.is_set():
        made, since = bodies(), monotonic()
        connection = http.client.HTTPConnection(address, timeout=10)
        with contextlib.suppress(OSError, http.client.HTTPException):
            while not stop.is_set() and monotonic() - since < 30:
                for body in made:
                    connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
                    reply = connection.getresponse()
                    reply.read()
                    if reply.status == 503:
                        sleep(0.01)
        connection.close()


def pin(core: int) -> None:
    """Stay on one core, the first or the last."""
    if len(os.sched_getaffinity(0)) > 1 or core:
        os.sched_setaffinity(0, {range(os.cpu_count() or 1)[core]})


def run() -> list[Row]:
    """Throughput with and without the duty cap, and the tick beside it."""
    decoded, flat, capped, ticks = (_apart(name) for name in ("decoding", "flat", "capped", "ticking"))
    must = COLLECTOR / 2
    return [
        Row("OTLP spans from bytes to columns, one core", decoded["rate"], "k/s"),
        Row("OTLP/HTTP spans from socket to columns, one core, no duty cap", flat["rate"], "k/s", must, least=True),
        Row("… against the Collector's span_metrics on one core", flat["rate"] / COLLECTOR, "times", 0.5, least=True),
        Row("… as it runs, ingest working at most half of the time", capped["rate"], "k/s"),
        Row(f"tick p99 alone, {TARGETS:,} targets, 100 policies", ticks["alone"], "ms"),
        Row(f"… beside a flood of {SENDERS} senders, {ticks['rate']:.0f} k spans/s taken", ticks["beside"], "ms"),
        Row("… beside it against alone", ticks["beside"] / ticks["alone"], "times", 3.0),
    ]


def _apart(name: str) -> dict[str, float]:
    out = subprocess.run([sys.executable, "-m", "tests.benchmarks.bench_otlp", name], capture_output=True, check=True)
    return dict(json.loads(out.stdout))


if __name__ == "__main__":
    pin(0)
    ways: dict[str, Callable[[], dict[str, float]]] = {
        "decoding": decoding,
        "flat": lambda: receiving(1.0),
        "capped": lambda: receiving(DUTY),
        "ticking": ticking,
    }
    print(json.dumps(ways[sys.argv[1]]()))
