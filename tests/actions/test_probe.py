"""Probes against real sockets that answer, answer badly, drip, hang, or are not there."""

import socket
import threading
import time

import pytest

from actions.platforms.local.probe import Prober, ask
from actions.platforms.local.services import Probe

HTTP = Probe(http="/health", timeout="300ms", period="50ms", failures=2)


class Answering:
    """A server that treats every connection the same way."""

    def __init__(self, treat):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.treat = treat
        self.requests = []
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    self.requests.append(connection.recv(4096))
                    self.treat(connection)
                except OSError:
                    pass

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


def says(text):
    return lambda connection: connection.sendall(text)


def drips(connection):
    for byte in b"HTTP/1.1 200 OK\r\n" * 10:
        connection.sendall(bytes([byte]))
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("treat", "passes"),
    [
        (says(b"HTTP/1.1 200 OK\r\n\r\n"), True),
        (says(b"HTTP/1.0 204 No Content\r\n\r\n"), True),
        (says(b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n\r\n"), True),
        (says(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 300_000), True),
        (says(b"HTTP/1.1 404 Not Found\r\n\r\n"), False),
        (says(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"), False),
        (says(b"HTTP/1.1 \xb2\xb0\xb0 OK\r\n\r\n"), False),
        (says(b"HTTP/1.1\r\n\r\n"), False),
        (says(b"SSH-2.0-OpenSSH\r\n"), False),
        (says(b""), False),
        (says(b"x" * 300_000), False),
        (drips, False),
    ],
)
def test_only_a_good_status_in_time_passes(treat, passes):
    with Answering(treat) as server:
        began = time.monotonic()
        assert ask(server.address, HTTP) is passes
        assert time.monotonic() - began < 5
    assert server.requests[0].startswith(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1:")


def test_a_server_that_accepts_and_says_nothing_fails_in_time():
    with socket.create_server(("127.0.0.1", 0)) as hung:
        assert ask(hung.getsockname(), HTTP) is False
        assert ask(hung.getsockname(), Probe(tcp=True, timeout="300ms")) is True


def test_nobody_there_fails():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = gone.getsockname()
    assert ask(address, HTTP) is False
    assert ask(address, Probe(tcp=True)) is False


def test_an_instance_is_sick_after_so_many_failures_in_a_row_and_well_after_one_pass():
    answers = [b"HTTP/1.1 200 OK\r\n\r\n"]
    seen = []
    changed = threading.Event()
    with Answering(lambda connection: connection.sendall(answers[0])) as server:
        prober = Prober(server.address, HTTP, changed.set)
        assert (prober.health.ok, prober.health.ready) == (None, None)
        prober.start()
        wait(lambda: prober.health.ready is True)
        answers[0] = b"HTTP/1.1 500 Oops\r\n\r\n"
        wait(lambda: seen.append(prober.health) or prober.health.ready is False)
        assert {(h.failures, h.ready) for h in seen if h.failures == 1} <= {(1, True)}
        assert prober.health.failures >= 2
        answers[0] = b"HTTP/1.1 200 OK\r\n\r\n"
        wait(lambda: prober.health.ready is True)
        assert prober.health.failures == 0
        assert changed.is_set()
        prober.stop()
        prober.join()


def test_a_start_is_asked_often_and_its_failures_are_counted_by_the_period():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = gone.getsockname()
    prober = Prober(address, Probe(http="/", period="1s", failures=2), lambda: None)
    prober.start()
    time.sleep(0.5)
    assert (prober.health.ok, prober.health.failures, prober.health.ready) == (False, 0, None)
    wait(lambda: prober.health.ready is False)
    prober.stop()
    prober.join()


def wait(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
