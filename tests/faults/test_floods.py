"""F16: senders that flood, with endless names, with huge bodies: memory holds, all is counted, others are served."""

import contextlib
import http.client
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from controller.clock import Clock
from tests.telemetry.otlp.messages import traces

CLOCK = Clock()
ROOT = Path(__file__).parents[2]
PROTOBUF = {"Content-Type": "application/x-protobuf"}
SECONDS = 4.0
MIB = 1 << 20
RECEIVE = """
import json, sys, time
from controller.clock import Clock
from telemetry.inventory import Facts
from telemetry.processor import Processor
from telemetry.sources import Reading
from telemetry.sources.otlp.receiver import Receiver
from telemetry.target import Target
clock, processor = Clock(), Processor()
web = Target("local", "Service", "shop", "web", "u1")
receiver = Receiver(("127.0.0.1", 0), processor.take, clock.now)
print(receiver.address, flush=True)
worst, stop = 0.0, []
import threading
threading.Thread(target=lambda: stop.append(sys.stdin.readline()), daemon=True).start()
while not stop:
    began, now = time.monotonic(), clock.now()
    processor.ingest(Reading(now, "local", {web: Facts(now, 2, 2)}))
    processor.refresh(now)
    snapshot = processor.snapshot(now)
    worst = max(worst, time.monotonic() - began)
    time.sleep(0.05)
view = receiver.view(clock.now())
view["targets"] = len(snapshot.targets)
view["rate"] = float(snapshot.columns["requests.rate"].values[0])
view["unlisted"] = len(processor.unlisted)
view["worst"] = worst
receiver.close()
print(json.dumps(view), flush=True)
"""


@pytest.fixture
def receiver():
    process = subprocess.Popen(
        [sys.executable, "-c", RECEIVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


class Senders:
    """Threads that send as fast as they can, and know what they were told."""

    def __init__(self, address):
        self.address, self.stop = address, threading.Event()
        self.taken, self.refused = Counter(), Counter()
        self._lock = threading.Lock()
        self._threads = []

    def start(self, name, body_of, spans, pause=0.0):
        thread = threading.Thread(target=self._send, args=(name, body_of, spans, pause))
        self._threads.append(thread)
        thread.start()

    def _send(self, name, body_of, spans, pause):
        number = 0
        connection = http.client.HTTPConnection(self.address, timeout=10)
        while not self.stop.is_set():
            number += 1
            try:
                connection.request("POST", "/v1/traces", body_of(number), PROTOBUF)
                reply = connection.getresponse()
                reply.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                continue
            with self._lock:
                (self.taken if reply.status == 200 else self.refused)[name] += spans if reply.status == 200 else 1
            if reply.status != 200:
                connection.close()
            self.stop.wait(pause)
        connection.close()

    def finish(self):
        self.stop.set()
        for thread in self._threads:
            thread.join()


def new_names(number):
    """A hundred services that nobody ever heard of."""
    request = traces(1, at=CLOCK.now(), name=f"n{number}-{time.monotonic_ns()}", attributes=0)
    part = request.resource_spans[0]
    for other in range(99):
        request.resource_spans.add().CopyFrom(part)
        request.resource_spans[-1].resource.attributes[
            0
        ].value.string_value = f"n{number}-{other}-{time.monotonic_ns()}"
    return request.SerializeToString()


def test_a_flood_of_names_and_bodies_costs_neither_memory_nor_anyone_else_a_span(receiver):
    process, address = receiver
    watched = psutil.Process(process.pid)
    before = watched.memory_info().rss
    large = traces(2000, kind=3, at=CLOCK.now(), name="large").SerializeToString()
    senders = Senders(address)
    senders.start("names", new_names, 100)
    senders.start("large", lambda _number: large, 2000)
    senders.start("huge", lambda _number: b"\0" * (50 * MIB), 0)
    senders.start("web", lambda _number: traces(5, at=CLOCK.now(), name="web").SerializeToString(), 5, pause=0.05)
    peak, end = 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        peak = max(peak, watched.memory_info().rss)
        time.sleep(0.02)
    senders.finish()
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write("\n")
        process.stdin.flush()
    view = json.loads(process.stdout.readline())
    items = view["items"]["spans"]
    assert peak - before < 256 * MIB
    assert senders.taken["names"] > 1000  # the flood was one
    assert senders.refused["huge"] > 0
    assert view["requests"]["large"] >= senders.refused["huge"]
    assert sum(items.values()) == senders.taken.total()  # P21
    assert items["accepted"] == senders.taken["web"] > 0
    assert senders.refused["web"] == 0  # other senders' loss
    assert (view["targets"], view["unlisted"]) == (1, 100)  # P23, and bounded
    assert view["rate"] > 0
    assert view["worst"] < 2.0  # seconds, on a machine that does much else
