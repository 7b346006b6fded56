"""F15: clients of the control socket that never read, never finish, or never stop asking: the loop does not wait."""

import contextlib
import json
import re
import socket
import threading
import time
import urllib.request

import pytest

from tests.faults.lab import Lab, deaf_clients, lab, soon
from tests.faults.rig import restart_policy

SERVICE = "cart"
MOST = 16
"""Connections that the loop serves at a time."""
SECONDS = 2.0


@pytest.fixture(scope="module")
def shop():
    with lab({SERVICE: 1}, {SERVICE: restart_policy(SERVICE)}, metrics="127.0.0.1:0") as made:
        made.product = True
        made.start_loop()
        made.view()
        yield made


class Meter:
    """The loop's own metrics."""

    def __init__(self, made: Lab) -> None:
        self._url = f"http://{made.view()['loop']['metrics']}/metrics"

    def read(self, name: str) -> float:
        with urllib.request.urlopen(self._url, timeout=10) as answer:
            found = re.findall(rf"^{re.escape(name)} (\S+)$", answer.read().decode(), re.MULTILINE)
        return float(found[0]) if found else 0.0

    def pace(self) -> tuple[float, float]:
        """Ticks a second, and mean seconds of one, over a while."""
        names = ("gyrostat_ticks_total", "gyrostat_tick_seconds_sum")
        began, before = time.monotonic(), [self.read(name) for name in names]
        time.sleep(SECONDS)
        ticks, took = (self.read(name) - old for name, old in zip(names, before, strict=True))
        return ticks / (time.monotonic() - began), took / ticks

    def dropped(self, why: str) -> float:
        return self.read(f'gyrostat_limit_refused_total{{limit="control_{why}"}}')


def heals(made: Lab) -> None:
    before = made.hang(SERVICE)
    made.wait_for(lambda: [e for e in made.accepted() if e["before"] == before], "it is healed")
    made.until_ready(1, SERVICE)


def test_clients_that_never_read_or_never_finish_delay_no_tick_are_cut_and_counted(shop):
    meter = Meter(shop)
    calm_rate, calm_tick = meter.pace()
    before = {why: meter.dropped(why) for why in ("connections", "slow")}
    ask, begin = b'{"view": "status"}', b'{"view": "stat'
    with deaf_clients(shop.control, 8, begin, finish=False), deaf_clients(shop.control, 16, ask) as clients:
        _ask_until_full(clients, ask)
        rate, tick = meter.pace()
        heals(shop)  # while every place is taken
        shop.auto("pause", "--why", "the socket is full")
        assert (shop.state / "paused").exists()
        shop.wait_for(lambda: meter.dropped("slow") >= before["slow"] + MOST, "those who are deaf are cut")
        assert meter.dropped("connections") >= before["connections"] + 24 - MOST
    assert soon(lambda: shop.ask_loop(view="status"))  # and their places are free again
    shop.auto("resume", "--why", "it is well")
    assert rate > calm_rate / 2, (rate, calm_rate)
    assert tick < 2 * calm_tick + 0.01, (tick, calm_tick)  # seconds of slack: a mean of 20 ticks on a busy machine


def _ask_until_full(clients: list[socket.socket], line: bytes) -> None:
    """Ask until no more is taken: then what is answered fills every buffer on the way."""
    end = time.monotonic() + 10
    while clients and time.monotonic() < end:
        stuck = []
        for client in clients:
            try:
                client.send((line + b"\n") * 50)
                stuck.append(client)
            except OSError:
                continue
        clients = stuck
        time.sleep(0.01)


def test_clients_that_never_stop_speaking_do_not_keep_the_loop_from_its_ticks(shop):
    meter, stop = Meter(shop), threading.Event()
    calm_rate, _ = meter.pace()
    heard = []
    threads = [threading.Thread(target=_speak, args=(shop, stop, heard)) for _ in range(12)]
    for thread in threads:
        thread.start()
    try:
        rate, _ = meter.pace()
        heals(shop)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert len(heard) > 12 * SECONDS  # they were many
    assert rate > calm_rate / 4, (rate, calm_rate)  # each word is an append, so a tick has more to do


def _speak(made: Lab, stop: threading.Event, heard: list[object]) -> None:
    line = json.dumps({"say": {"verb": "resume", "why": "again and again"}}).encode() + b"\n"
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(made.control))
        answers = client.makefile("rb")
        while not stop.is_set():
            client.sendall(line)
            answer = json.loads(answers.readline())
            assert "seq" in answer, answer
            heard.append(answer)
