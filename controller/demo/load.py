"""The client: real HTTP requests at a steady rate, each one counted. Ends when its stdin does.

    python -m controller.demo.load --rate 150 shop/checkout=127.0.0.1:41234 …

Each report is one line of JSON on stdout: totals since the start, by service.
"""

import argparse
import http.client
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass

TIMEOUT = 1.0  # seconds: a client that has to wait longer gives up
REPORT_EVERY = 0.2  # seconds
THREADS = 3  # users of each service
KEEP = 20  # requests on one connection, then a new one


@dataclass(slots=True)
class Count:
    """What became of requests.

    Attributes:
        ok: answered with 200.
        errors: refused, cut, or answered otherwise.
        timeouts: not answered in time.
        retried: sent again at once because a kept connection turned out to be closed; counted once more as what
            became of them then.
    """

    ok: int = 0
    errors: int = 0
    timeouts: int = 0
    retried: int = 0

    @property
    def failed(self) -> int:
        """What a user of the service would have noticed."""
        return self.errors + self.timeouts

    def __add__(self, other: "Count") -> "Count":
        return Count(*(a + b for a, b in zip(self.values(), other.values(), strict=True)))

    def __sub__(self, other: "Count") -> "Count":
        return Count(*(a - b for a, b in zip(self.values(), other.values(), strict=True)))

    def values(self) -> tuple[int, ...]:
        """In the order of the fields."""
        return (self.ok, self.errors, self.timeouts, self.retried)


class Client:
    """One user of one service: one request after another, on a connection that is kept for a while."""

    def __init__(self, address: str, keep: int = KEEP) -> None:
        self.count = Count()
        self._address, self._keep = address, keep
        self._connection: http.client.HTTPConnection | None = None
        self._used = 0

    def request(self) -> None:
        """Send one, wait for its answer, count it."""
        try:
            good = self._get()
        except TimeoutError:
            self.count.timeouts += 1
            self.close()
        except (OSError, http.client.HTTPException):
            self.count.errors += 1
            self.close()
        else:
            self.count.ok += good
            self.count.errors += not good

    def close(self) -> None:
        """Leave the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _get(self) -> bool:
        """Whether it was answered with 200. A kept connection may have been closed meanwhile: that is no answer."""
        if self._used >= self._keep:
            self.close()
        kept = self._connection is not None
        try:
            return self._once()
        except (ConnectionError, http.client.RemoteDisconnected):
            self.close()
            if not kept:
                raise
        self.count.retried += 1
        return self._once()

    def _once(self) -> bool:
        if self._connection is None:
            self._connection, self._used = http.client.HTTPConnection(self._address, timeout=TIMEOUT), 0
        self._used += 1
        self._connection.request("GET", "/")
        with closing(self._connection.getresponse()) as response:
            response.read()
            return response.status == 200


def run(client: Client, pause: float, stop: threading.Event) -> None:
    """Requests at a steady pace; time lost in waiting is not made up for."""
    next_at = time.monotonic()
    while not stop.is_set():
        client.request()
        next_at = max(next_at + pause, time.monotonic())
        stop.wait(next_at - time.monotonic())
    client.close()


def totals(clients: list[tuple[str, Client]]) -> dict[str, Count]:
    """Sums by service."""
    sums: dict[str, Count] = {}
    for name, client in clients:
        sums[name] = sums.get(name, Count()) + client.count
    return sums


def reports(clients: list[tuple[str, Client]], stop: threading.Event) -> Iterator[str]:
    """A line from time to time, and a last one."""
    while not stop.wait(REPORT_EVERY):
        yield _line(clients)
    yield _line(clients)


def _line(clients: list[tuple[str, Client]]) -> str:
    return json.dumps({name: asdict(count) for name, count in totals(clients).items()})


def _end_with_stdin(stop: threading.Event) -> None:
    """Whoever started us is gone, or wants us to end."""
    sys.stdin.read()
    stop.set()


def main() -> None:
    """Until stdin ends, or nobody reads the reports any more."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=150.0, help="requests per second, all services together")
    parser.add_argument("--users", type=int, default=THREADS, help="of each service, each with one request at a time")
    parser.add_argument("--keep", type=int, default=KEEP, help="requests that a user sends on one connection")
    parser.add_argument("services", nargs="+", metavar="NAME=HOST:PORT")
    given = parser.parse_args()
    named = [service.partition("=") for service in given.services for _ in range(given.users)]
    clients = [(name, Client(address, given.keep)) for name, _, address in named]
    stop = threading.Event()
    pause = len(clients) / given.rate
    threads = [threading.Thread(target=run, args=(client, pause, stop)) for _, client in clients]
    for thread in threads:
        thread.start()
    threading.Thread(target=_end_with_stdin, args=(stop,), daemon=True).start()
    with suppress(BrokenPipeError):
        for line in reports(clients, stop):
            print(line, flush=True)
    stop.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
