"""What the demo's service tells: taken whole by the real receiver, and never waited for."""

import argparse
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from controller.demo.service import TOLD, Busy, Place, Service, Teller
from telemetry.inventory import Facts
from telemetry.processor import Processor
from telemetry.sources import Reading
from telemetry.sources.otlp.receiver import Receiver
from telemetry.target import Target

PAYMENT = Target("local", "Service", "shop", "payment", "u1")


class Ear:
    """A real receiver over a real processor that knows one service."""

    def __init__(self) -> None:
        self.processor = Processor()
        facts = {PAYMENT: Facts(seen_at=time.time_ns() / 1e9, desired=1, ready=1, minimum=0, maximum=4, fields={})}
        self.processor.ingest(Reading("local", time.time_ns() / 1e9, facts=facts))
        self.receiver = Receiver(("127.0.0.1", 0), self.processor.take, lambda: time.time_ns() / 1e9)

    def cell(self, column: str) -> float | None:
        """What is known of it now."""
        now = time.time_ns() / 1e9
        self.processor.refresh(now)
        seen = self.processor.snapshot(now).columns[column]
        return float(seen.values[0]) if seen.known[0] else None


@pytest.fixture
def ear() -> Iterator[Ear]:
    ear = Ear()
    with closing(ear.receiver):
        yield ear


@pytest.fixture
def address(ear: Ear, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that names the receiver."""
    file = tmp_path / "otlp.address"
    file.write_text(f"{ear.receiver.address}\n")
    monkeypatch.setenv("OTLP_ADDRESS_FILE", str(file))
    return file


def eventually(look: Callable[[], object]) -> object:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if (found := look()) is not None:
            return found
        time.sleep(0.02)
    raise AssertionError("not seen in 10 s")


def test_spans_and_what_waits_reach_the_columns_of_its_target(ear: Ear, address: Path) -> None:
    teller = Teller("payment", Busy())
    now = time.time_ns()
    for number in range(20):
        teller.add(now - 200_000_000, good=number % 4 != 0)

    teller.tell()

    assert eventually(lambda: ear.cell("requests.count")) == 20
    assert ear.cell("errors.ratio") == 0.25
    latency = ear.cell("latency.p99")
    assert latency is not None
    assert 0.19 < latency < 0.3
    assert eventually(lambda: ear.cell("queue.depth")) == 0
    taken = ear.receiver.view(time.time_ns() / 1e9)["items"]
    assert {fate: count for fate, count in taken["spans"].items() if count} == {"accepted": 20}


def test_requests_that_wait_for_one_place_are_counted() -> None:
    busy = Busy()
    place = Place(busy, None)
    inside, go = threading.Event(), threading.Event()

    def first() -> None:
        with place.taken():
            inside.set()
            go.wait(10)

    def then() -> None:
        with place.taken():
            pass

    threads = [threading.Thread(target=first), *(threading.Thread(target=then) for _ in range(3))]
    threads[0].start()
    inside.wait(10)
    for thread in threads[1:]:
        thread.start()
    eventually(lambda: True if busy._waiting == 3 else None)
    busy.depth()
    time.sleep(0.05)

    assert busy.depth() == pytest.approx(3)

    go.set()
    for thread in threads:
        thread.join(10)
    busy.depth()
    time.sleep(0.01)
    assert busy.depth() == 0


def test_workers_that_share_a_lock_work_one_at_a_time(tmp_path: Path) -> None:
    shared = tmp_path / "lock"
    places = [Place(Busy(), shared), Place(Busy(), shared)]  # two workers: each opens the file itself
    at_once, most = 0, 0
    guard = threading.Lock()

    def work(place: Place) -> None:
        nonlocal at_once, most
        for _ in range(5):
            with place.taken():
                with guard:
                    at_once += 1
                    most = max(most, at_once)
                time.sleep(0.002)
                with guard:
                    at_once -= 1

    threads = [threading.Thread(target=work, args=(place,)) for place in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    for place in places:
        assert place._shared is not None
        place._shared.close()

    assert most == 1


def test_no_request_waits_for_a_receiver_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hung:  # the system accepts for it; it never answers
        file = tmp_path / "otlp.address"
        file.write_text(f"127.0.0.1:{hung.getsockname()[1]}")
        monkeypatch.setenv("OTLP_ADDRESS_FILE", str(file))
        service = Service(argparse.Namespace(name="cart", takes=None, lock=None))
        listener = socket.create_server(("127.0.0.1", 0))
        threads = [
            threading.Thread(target=service.accept, args=(listener,)),
            threading.Thread(target=service.teller.run),
        ]
        for thread in threads:
            thread.start()
        client = http.client.HTTPConnection(*listener.getsockname()[:2], timeout=5)
        with closing(client):
            for _ in range(5):
                client.request("GET", "/")
                assert json.loads(client.getresponse().read())["service"] == "cart"
        service.busy.closing.set()
        for thread in threads:
            thread.join(10)
        listener.close()

    assert not any(thread.is_alive() for thread in threads)


def test_what_nobody_takes_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTLP_ADDRESS_FILE", str(tmp_path / "nobody-wrote-it"))
    teller = Teller("cart", Busy())
    for _ in range(TOLD + 10):
        teller.add(time.time_ns(), good=True)

    assert len(teller._spans) == TOLD
    teller.tell()  # no file, nobody there: no error
