"""F28: `python -m tests.faults.soak --hours H --seed S`: a real loop that lives long while much goes wrong around it.

Three parts on one store: at first and at the end the loop is killed again and again; between, one process must live
through hangs, illness, stops, jumps of the clock, a store that is gone, floods of telemetry and deaf clients. Between
two rounds everything comes to rest, and the effect log is held against the trail, both ways. One JSON line a minute;
the last one has the slope of the memory after warm-up. Ends with 1 if anything was violated.
"""

import argparse
import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from controller.clock import Clock
from controller.compose import STORE
from tests.faults.lab import DAY, HOUR, Y2200, Lab, deaf_clients
from tests.faults.matrix import STORIES, Run, calm, check, over, policies, services
from tests.telemetry.otlp.messages import traces

RESTLESS = 0.15
"""Share of the time, at first and again half of it at the end, in which the loop is killed."""
WARM = 0.2
"""Share of the long life that is warm-up: caches fill, windows fill."""
CLOCK = Clock()
SAMPLE = 5.0
"""Seconds between two looks at the processes."""
STILL = 1.0
"""Seconds without a record that are rest: ten ticks."""
MIB = 1 << 20

Fault = Callable[[Lab, random.Random], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def stopped_loop(lab: Lab, dice: random.Random) -> Iterator[None]:
    """It stands still and goes on."""
    os.kill(lab.loop.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(lab.loop.pid, signal.SIGCONT)


@contextlib.contextmanager
def silent_source(lab: Lab, dice: random.Random) -> Iterator[None]:
    """The supervisor does not answer."""
    os.kill(lab.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(lab.pid, signal.SIGCONT)


@contextlib.contextmanager
def wrong_clock(lab: Lab, dice: random.Random) -> Iterator[None]:
    """The wall clock jumps, and back."""
    lab.shift_clock(dice.choice([HOUR, -HOUR, 10 * DAY, -10 * DAY, Y2200 - CLOCK.now()]))
    try:
        yield
    finally:
        lab.shift_clock(0)


@contextlib.contextmanager
def store_gone(lab: Lab, dice: random.Random) -> Iterator[None]:
    """The disk with the trail is not there."""
    away = lab.state / "away"
    away.mkdir(exist_ok=True)
    files = [path for path in lab.state.iterdir() if path.name.startswith(STORE)]
    for path in files:
        path.rename(away / path.name)
    try:
        yield
    finally:
        for path in files:
            (away / path.name).rename(path)


@contextlib.contextmanager
def deaf(lab: Lab, dice: random.Random) -> Iterator[None]:
    """Clients of the control socket that never read, or never end what they say."""
    line, finish = dice.choice([(b'{"view": "status"}', True), (b'{"view": "sta', False)])
    with deaf_clients(lab.control, dice.randrange(4, 24), line, finish=finish):
        yield


@contextlib.contextmanager
def flood(lab: Lab, dice: random.Random) -> Iterator[None]:
    """Spans of services that nobody ever heard of, as fast as they are taken."""
    stop, salt = threading.Event(), dice.randrange(10**9)
    thread = threading.Thread(target=_send, args=(lab, stop, salt))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _send(lab: Lab, stop: threading.Event, salt: int) -> None:
    address = lab.otlp
    connection = http.client.HTTPConnection(address, timeout=5)
    number = 0
    while not stop.is_set():
        number += 1
        body = traces(50, at=CLOCK.now(), name=f"n{salt}-{number % 500}").SerializeToString()
        try:
            connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            connection.close()
        stop.wait(0.01)
    connection.close()


@contextlib.contextmanager
def killed(lab: Lab, dice: random.Random) -> Iterator[None]:
    """Kill -9, and started again."""
    lab.kill_loop()
    try:
        yield
    finally:
        lab.start_loop()


BEARABLE: dict[str, tuple[Fault, float]] = {
    "stopped loop": (stopped_loop, 3.0),
    "silent source": (silent_source, 4.0),
    "wrong clock": (wrong_clock, 3.0),
    "store gone": (store_gone, 3.0),
    "deaf clients": (deaf, 3.0),
    "flood": (flood, 4.0),
}
"""What one process must live through, and for how many seconds at most."""
DEADLY: dict[str, tuple[Fault, float]] = {"killed": (killed, 1.0)}


class SoakLab(Lab):
    """A lab that knows where its loop receives OTLP."""

    @property
    def otlp(self) -> str:
        return str(self.view()["received"]["otlp"]["address"])


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the processes.

    Attributes:
        at: seconds since the soak began.
        pid: of the loop.
        long: it is in its long life.
        loop, supervisor: see `usage`.
    """

    at: float
    pid: int
    long: bool
    loop: tuple[int, int, int]
    supervisor: tuple[int, int, int]


@dataclass(slots=True)
class Books:
    """What the soak came to."""

    rounds: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    slowest: float = 0.0
    samples: list[Sample] = field(default_factory=list)


def usage(pid: int) -> tuple[int, int, int]:
    """Resident bytes, open files, threads."""
    process = psutil.Process(pid)
    with process.oneshot():
        return process.memory_info().rss, process.num_fds(), process.num_threads()


def rest(made: SoakLab, runs: list[Run], after: str) -> None:
    """Wait until nothing is under way and nothing begins: else it could meet the resets of the harness itself."""
    since, seen = time.monotonic(), -1

    def play() -> None:
        for run in runs:
            run.play()
            run.help()

    def still() -> bool:
        nonlocal since, seen
        if len(made.records()) != seen or not over(made, runs):
            since, seen = time.monotonic(), len(made.records())
        return time.monotonic() - since > STILL

    made.wait_for(still, f"rest after {after}", play)


class Soak:
    """One run, from start to end."""

    def __init__(self, seconds: float, seed: int) -> None:
        self._seconds, self._seed = seconds, seed
        self._began = time.monotonic()
        self._next_line, self._next_sample = 60.0, 0.0
        self.books = Books()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    @property
    def restless(self) -> bool:
        """Whether the loop may be killed now; else it lives its long life."""
        return not RESTLESS <= self.elapsed / self._seconds <= 1 - RESTLESS / 2

    def run(self) -> int:
        """Until the time is over; returns the exit code."""
        while self.elapsed < self._seconds:
            made = SoakLab(services(*STORIES), policies(*STORIES), checkpoint_records=1000, otlp="127.0.0.1:0")
            try:
                made.start()
                made.fake_clock()
                made.start_loop()
                while self.elapsed < self._seconds:
                    self.round(made)
                self.line(made, last=True)
            except AssertionError as error:
                self.books.violations.append(f"round {self.books.rounds}: {error}")
                kept = Path(tempfile.mkdtemp(prefix="gyrostat-soak-"))  # trail, effect log and log, to be read
                shutil.copytree(made.state, kept, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.sock"))
                say({"violated": self.books.violations[-1], "kept": str(kept)})
            finally:
                made.close()
        return 1 if self.books.violations or not self.books.rounds else 0

    def round(self, made: SoakLab) -> None:
        """Stories and faults at once, then rest, then the books are compared."""
        dice = random.Random(f"{self._seed}:{self.books.rounds}")
        runs = [Run(made, story) for story in dice.sample(sorted(STORIES), dice.choice([1, 2, 3]))]
        made.view()
        for run in runs:
            run.begin()
        for name in dice.sample(sorted(BEARABLE), dice.choice([0, 1, 1, 2])) + ["killed"] * self.restless:
            fault, longest = (BEARABLE | DEADLY)[name]
            self.wait(made, runs, dice.uniform(0, 1.5))
            with fault(made, dice):
                self.wait(
                    made,
                    runs if name not in ("silent source", "killed", "store gone") else [],
                    dice.uniform(0.2, longest),
                )
            self.books.faults[name] += 1
        began = time.monotonic()
        rest(made, runs, f"round {self.books.rounds}")
        calm(made, runs, f"round {self.books.rounds}")
        self.books.slowest = max(self.books.slowest, time.monotonic() - began)
        check(made)
        self.books.rounds += 1
        self.watch(made)

    def wait(self, made: SoakLab, runs: list[Run], seconds: float) -> None:
        """Let the world go on for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for run in runs:
                run.play()
            self.watch(made)
            time.sleep(0.05)

    def watch(self, made: SoakLab) -> None:
        """Look at the processes, and print a line when one is due."""
        if self.elapsed >= self._next_sample and made.alive():
            self._next_sample = self.elapsed + SAMPLE
            pid, long = made.loop.pid, not self.restless
            self.books.samples.append(Sample(self.elapsed, pid, long, usage(pid), usage(made.pid)))
        if self.elapsed >= self._next_line:
            self._next_line += 60.0
            self.line(made)

    def line(self, made: SoakLab, *, last: bool = False) -> None:
        """What it came to so far."""
        books = self.books
        rss, files, threads = books.samples[-1].loop
        supervisor = books.samples[-1].supervisor[0]
        records = made.records()
        said = {
            "fault": "F28",
            "seed": self._seed,
            "minute": round(self.elapsed / 60, 1),
            "rounds": books.rounds,
            "faults": dict(sorted(books.faults.items())),
            "records": len(records),
            "effects": len(made.accepted()),
            "loop": {"rss_mib": round(rss / MIB, 1), "files": files, "threads": threads},
            "supervisor_rss_mib": round(supervisor / MIB, 1),
            "slowest_recovery_s": round(books.slowest, 1),
            "violations": len(books.violations),
        }
        if last:
            said |= {"end": True} | self.slopes()
        say(said)

    def slopes(self) -> dict[str, object]:
        """MiB per hour over the long life after its warm-up, and the spread of open files and threads."""
        lives = Counter(sample.pid for sample in self.books.samples if sample.long)
        if not lives:
            return {}
        (pid, _), *_ = lives.most_common(1)  # the longest life: after a violation there is another
        life = [sample for sample in self.books.samples if sample.long and sample.pid == pid]
        begin, end = life[0].at, life[-1].at
        warm = [sample for sample in life if sample.at >= begin + WARM * (end - begin)]
        hours = np.array([sample.at for sample in warm]) / 3600

        def slope(which: str) -> float:
            rss = np.array([getattr(sample, which)[0] for sample in warm]) / MIB
            return round(float(np.polyfit(hours, rss, 1)[0]), 2) if len(warm) > 2 else float("nan")

        return {
            "measured_minutes": round(float(hours[-1] - hours[0]) * 60, 1),
            "rss_slope_mib_per_hour": {"loop": slope("loop"), "supervisor": slope("supervisor")},
            "files": [min(s.loop[1] for s in warm), max(s.loop[1] for s in warm)],
            "threads": [min(s.loop[2] for s in warm), max(s.loop[2] for s in warm)],
            "files_at_first_and_last": [warm[0].loop[1], warm[-1].loop[1]],
        }


def say(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.faults.soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    return Soak(options.hours * 3600, options.seed).run()


if __name__ == "__main__":
    sys.exit(main())
