"""Reads the pull sources into the processor, on a thread of its own: a source that hangs never delays a tick."""

from collections.abc import Sequence
from threading import Event, Thread

from controller.clock import Clock
from telemetry.processor import Processor
from telemetry.sources import Source


class Watcher:
    """Reads every source once per interval."""

    def __init__(self, sources: Sequence[Source], processor: Processor, clock: Clock, interval: float) -> None:
        self._sources, self._processor, self._clock, self._interval = sources, processor, clock, interval
        self._stop = Event()
        self._thread = Thread(target=self._run, name="ingest", daemon=True)

    def read_once(self) -> None:
        """Read every source now, and measure what workloads sent."""
        for source in self._sources:
            self._processor.ingest(source.read(self._clock.now()))
        self._processor.refresh(self._clock.now())

    def start(self) -> None:
        """Begin reading."""
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.read_once()
            self._stop.wait(self._interval)
