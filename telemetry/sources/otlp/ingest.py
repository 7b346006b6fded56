"""One thread that reads all requests, and works at most half of the time, so that a flood does not delay the loop."""

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition, Event, Lock, Thread

from telemetry.batch import Batch, Fate
from telemetry.sources.otlp.limits import WAIT_SECONDS, Reason, Refusal
from telemetry.sources.otlp.requests import ITEMS, Reply, Request, Signal, accepted, logs_refused, read, refused
from telemetry.sources.otlp.resources import Resources

DUTY = 0.5
"""Share of the time that the thread may work."""
_LEAST_WORK = 0.0005  # seconds; a rest of less costs more than it gives
NOT_READ = "not_read"
"""Fate of log records."""

Take = Callable[[Batch, float], Counter[Fate]]
"""Takes a batch at a time, and says what became of its items."""


@dataclass(frozen=True, slots=True)
class Job:
    """A request that was received.

    Attributes:
        request: what.
        since: monotonic seconds at which it was whole.
        answer: called with the reply and why it was refused, once, from the ingest thread.
    """

    request: Request
    since: float
    answer: Callable[[Reply, Reason | None], None]


class Pace:
    """Rests after work for as long as the duty asks."""

    def __init__(self, duty: float = DUTY) -> None:
        """`duty`: share of the time for work, over 0 to 1; 1 never rests."""
        self._share = (1 - duty) / duty
        self._worked = time.thread_time()
        self._event = Event()

    def rest(self) -> None:
        """Rest for what was worked since the last rest, if that was enough to be worth it."""
        worked = time.thread_time() - self._worked
        if worked >= _LEAST_WORK:
            if self._share:
                self._event.wait(worked * self._share)
            self._worked = time.thread_time()

    def stop(self) -> None:
        """Rest no more: there is an end."""
        self._event.set()


class Counts:
    """What became of items, by signal: received is the sum of all fates."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._fates: dict[Signal, Counter[str]] = {signal: Counter() for signal in Signal}

    def add(self, signal: Signal, fates: Counter[str]) -> None:
        """These items came."""
        with self._lock:
            self._fates[signal].update(fates)

    def totals(self) -> dict[str, dict[str, int]]:
        """By what the items are called, and by fate."""
        with self._lock:
            return {ITEMS[signal]: dict(fates) for signal, fates in self._fates.items()}


class Ingest:
    """The thread and its line of requests; whoever adds to it bounds it."""

    def __init__(self, take: Take, now: Callable[[], float], duty: float = DUTY) -> None:
        """Not started yet.

        Args:
            take: takes batches.
            now: epoch seconds.
            duty: share of the time that may be worked.
        """
        self.counts = Counts()
        self._take, self._now = take, now
        self._resources, self._pace = Resources(), Pace(duty)
        self._jobs: deque[Job] = deque()
        self._news = Condition()
        self._ended = False
        self._thread = Thread(target=self._run, name="otlp-ingest", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def add(self, job: Job) -> None:
        """Let a request be read when its turn comes."""
        with self._news:
            self._jobs.append(job)
            self._news.notify()

    def close(self) -> None:
        """Read what waits no more."""
        with self._news:
            self._ended = True
            self._jobs.clear()
            self._news.notify()
        self._pace.stop()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while True:
            with self._news:
                while not self._jobs and not self._ended:
                    self._news.wait()
                if self._ended:
                    return
                job = self._jobs.popleft()
            reply, reason = self._answer(job)
            job.answer(reply, reason)
            self._pace.rest()

    def _answer(self, job: Job) -> tuple[Reply, Reason | None]:
        request = job.request
        try:
            _in_time(job)
            batch = read(request, self._resources, self._pace.rest)
        except Refusal as refusal:
            return refused(refusal, request.json), refusal.reason
        if isinstance(batch, int):
            self.counts.add(request.signal, Counter({NOT_READ: batch}))
            return logs_refused(request, batch), None
        fates = self._take(batch, self._now())
        self.counts.add(request.signal, Counter({fate.value: items for fate, items in fates.items()}))
        return accepted(request, fates), None


def _in_time(job: Job) -> None:
    """A sender that waited for too long has given up, or will."""
    if time.monotonic() - job.since > WAIT_SECONDS:
        raise Refusal(Reason.FULL, "there is too much to read: try again later")
