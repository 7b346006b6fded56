"""OTLP over HTTP as one part: it listens, reads, lets batches be taken, and counts."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from telemetry.sources.otlp.ingest import DUTY, Ingest, Take
from telemetry.sources.otlp.server import Server

_RATE_SECONDS = 10.0


class Receiver:
    """Receives from now on, until closed.

    Attributes:
        address: `host:port` it really listens at.
    """

    def __init__(self, address: tuple[str, int], take: Take, now: Callable[[], float], duty: float = DUTY) -> None:
        """Listen.

        Args:
            address: host and port; port 0 takes a free one.
            take: takes batches, on the ingest thread.
            now: epoch seconds.
            duty: share of the time that the ingest thread may work.

        Raises:
            OSError: the address is taken; the message says which.
        """
        self._ingest = Ingest(take, now, duty)
        self._server = Server(address, self._ingest)
        host, port = self._server.address
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._past: deque[tuple[float, Mapping[str, int]]] = deque()
        self._ingest.start()
        self._server.start()

    def view(self, now: float) -> dict[str, Any]:
        """What people are shown; asked once a turn, so that rates are those of the last ten seconds.

        Args:
            now: epoch seconds.
        """
        items = self._ingest.counts.totals()
        sums = {name: sum(fates.values()) for name, fates in items.items()}
        self._past.append((now, sums))
        while len(self._past) > 1 and self._past[1][0] <= now - _RATE_SECONDS:
            self._past.popleft()
        since, before = self._past[0]
        span = now - since
        rates = {name: (total - before[name]) / span if span > 0 else 0.0 for name, total in sums.items()}
        return {"address": self.address, "per_second": rates, "items": items, "requests": self._server.outcomes()}

    def close(self) -> None:
        """Listen no more."""
        self._server.close()
        self._ingest.close()
