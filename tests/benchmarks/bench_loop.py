"""A real loop with 1,000 targets of the memory platform: what it takes when idle, and how long a start takes.

The loop, its threads, its store and its clock are real; the targets are simulated in the same process. Each part runs
in a process of its own.
"""

import contextlib
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

import psutil

from actions.plan import Change, Plan, Undo
from actions.platforms.memory import MemoryPlatform
from audit.stores.sqlite import SqliteStore
from controller.checkpoints import Checkpoints
from controller.clock import Clock
from controller.core.records import Evidence, Intent, Key, Opened, Step
from controller.core.wish import Limits
from controller.executor import Executor
from controller.instrumentation import Instruments
from controller.loop import Loop, Parts
from controller.policyset import PolicySet
from controller.trail import Trail
from controller.watcher import Watcher
from telemetry.inventory import Sample
from telemetry.processor import Processor
from telemetry.sources import Reading
from telemetry.target import Target
from tests.benchmarks.rows import Row
from tests.benchmarks.world import memory_platform

TARGETS = 1_000
IDLE_SECONDS = 30
EVENTS = 200
COMMITS = 500
POLICIES = 20
SURE = Evidence(1.0, 1.0, 1.0, 1.0)


class Simulated:
    """The simulator as a source; notes what reading it costs."""

    name = "memory"

    def __init__(self, platform: MemoryPlatform) -> None:
        self._platform, self._last, self.seconds = platform, time.monotonic(), 0.0

    def read(self, now: float) -> Reading:
        began, elapsed = time.thread_time(), time.monotonic() - self._last
        self._last += elapsed
        self._platform.step(elapsed)
        reading = self._platform.read(now)
        self.seconds += time.thread_time() - began
        return reading


def _policy(n: int) -> str:
    """One that waits for load; the first is there for the latency."""
    return f"""apiVersion: gyrostat.dev/v1alpha1
kind: ClusterRemediationPolicy
metadata: {{name: load-{n:02}}}
spec:
  mode: {"Enforce" if n == 0 else "Observe"}
  targets: {{allowAll: true, max: {TARGETS}}}
  when: {"cpu.ratio > 0.9" if n == 0 else f"memory.ratio > 0.9{n:02} && !probe.ok"}
  for: 0s
  minConfidencePercent: 1
  action: {{type: Scale, scale: {{by: "+1"}}}}
  throttle: {{maxConcurrent: 1000}}
  verify: {{initialDelay: 2m, within: 10m}}
"""


@dataclass
class Real:
    """Everything that `auto loop` has but the sources of one machine.

    Attributes:
        committed: when a commit with a start in it was durable.
    """

    loop: Loop
    processor: Processor
    clock: Clock
    platform: MemoryPlatform
    source: Simulated
    committed: list[float]


def run_with(folder: Path, drive: Callable[[Real], dict[str, float]]) -> dict[str, float]:
    """Run the loop here, for the store is this thread's, and `drive` beside it until it is done."""
    (folder / "policies").mkdir()
    for n in range(POLICIES):
        (folder / "policies" / f"{n}.yaml").write_text(_policy(n))
    committed: list[float] = []

    def boundary(name: str) -> None:
        if name == "committed Do":
            committed.append(time.monotonic())

    clock, platform, processor = Clock(), memory_platform(TARGETS), Processor()
    source = Simulated(platform)
    watcher = Watcher([source], processor, clock, 1.0)
    watcher.read_once()
    with contextlib.closing(SqliteStore.open(folder / "trail.db")) as store:
        trail, checkpoints = Trail(store), Checkpoints(folder, 10_000, 300.0)
        trail.lead(clock.now(), "bench")
        checkpoints.begin(trail)
        parts = Parts(
            state_dir=folder,
            clock=clock,
            trail=trail,
            processor=processor,
            policies=PolicySet(folder / "policies"),
            executor=Executor({"memory": platform}, 3, lambda _epoch: ""),
            limits=Limits(max_concurrent=1000, warmup=0.0),
            instruments=Instruments(1.0),
            checkpoints=checkpoints,
            boundary=boundary,
        )
        real, stop = Real(Loop(parts), processor, clock, platform, source, committed), Event()
        found: dict[str, float] = {}

        def beside() -> None:
            try:
                found.update(drive(real))
            finally:
                stop.set()

        driver = Thread(target=beside)
        watcher.start()
        driver.start()
        real.loop.run(1.0, stop)
        driver.join()
        watcher.close()
        real.loop.finish()
    return found


def _idle(real: Real) -> dict[str, float]:
    time.sleep(5)
    began, at, simulated = time.process_time(), time.monotonic(), real.source.seconds
    time.sleep(IDLE_SECONDS)
    seconds = time.monotonic() - at
    used, simulated = time.process_time() - began, real.source.seconds - simulated
    rss = psutil.Process().memory_info().rss / 2**20
    return {"all": used / seconds * 100, "without": (used - simulated) / seconds * 100, "rss": rss}


def idle(folder: Path) -> dict[str, float]:
    """Percent of a core, with and without the simulator, and MiB."""
    return run_with(folder, _idle)


def _latency(real: Real) -> dict[str, float]:
    chance, waited = random.Random(1), []
    time.sleep(3)
    targets = chance.sample(sorted(real.platform.workloads), EVENTS)
    for batch in range(0, EVENTS, 4):
        times = {}
        for target in targets[batch : batch + 4]:
            time.sleep(chance.random() * 0.4)
            now = real.clock.now()
            times[target] = time.monotonic()
            real.processor.ingest(Reading(now, samples=[Sample(target, "cpu.ratio", 0.99, now)]))
        waited += [_started(real, target, at) - at for target, at in times.items()]
    waited.sort()
    return {"p50": waited[len(waited) // 2], "p99": waited[int(len(waited) * 0.99)], "worst": waited[-1]}


def latency(folder: Path) -> dict[str, float]:
    """Seconds from a sample that makes the condition true to the intent that is durable."""
    return run_with(folder, _latency)


def _started(real: Real, target: Target, at: float) -> float:
    """When the start on a target was durable."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        board = real.loop.board
        start = next((s for s in board.state.starts if s.key.target == target), None) if board else None
        if start is not None:
            turn_began = start.at - real.clock.now() + time.monotonic()
            return min(done for done in real.committed if done >= turn_began - 0.001)
        time.sleep(0.01)
    raise SystemExit(f"{target} was not acted on: {real.loop.board.state.episodes if real.loop.board else 'no turn'}")


def commits(folder: Path) -> dict[str, float]:
    """Milliseconds of an append of an episode with its intent: records, chain, claims, epoch, synced to disk."""
    with contextlib.closing(SqliteStore.open(folder / "trail.db")) as store:
        trail = Trail(store)
        trail.lead(1e9, "bench")
        took = []
        for n in range(COMMITS):
            target = Target("memory", "Service", "shop", f"s{n}", "u1")
            key, change = Key("bench", target), Change(target, "desired", 2, 3)
            plan = Plan((change,), undo=Undo.REVERSIBLE, hold=60.0, release=(change.inverse(),))
            intent = Intent(1e9 + n, key, n + 1, Step.DO, 0, "Scale", (change,), plan, 1e9 + n, 2e9)
            began = time.perf_counter()
            trail.append([Opened(1e9 + n, key, f"e{n + 1}", "h", SURE), intent], {})
            took.append((time.perf_counter() - began) * 1e3)
            trail.catch_up()
    took.sort()
    return {"p50": took[COMMITS // 2], "p99": took[int(COMMITS * 0.99)]}


PARTS = {"idle": idle, "latency": latency, "commits": commits}


def run() -> list[Row]:
    """Idle cost, latency of a start, time of a commit."""
    argv = [sys.executable, "-m", "tests.benchmarks.bench_loop"]
    out = {
        name: json.loads(
            subprocess.run([*argv, name], capture_output=True, text=True, check=True).stdout.splitlines()[-1]
        )
        for name in PARTS
    }
    where = f"{TARGETS:,} targets x {POLICIES} policies, 1 s tick"
    return [
        Row(f"idle loop, {where}", out["idle"]["without"], "% of a core", 2.0),
        Row("… with what the simulator itself takes", out["idle"]["all"], "% of a core"),
        Row("… memory, simulator included", out["idle"]["rss"], "MiB", 150.0),
        Row(f"condition true → intent durable, {where}, SQLite, p50", out["latency"]["p50"], "s"),
        Row(f"… p99 of {EVENTS}", out["latency"]["p99"], "s", 1.2),
        Row("… worst", out["latency"]["worst"], "s"),
        Row("intent commit, SQLite, p50", out["commits"]["p50"], "ms"),
        Row(f"… p99 of {COMMITS}", out["commits"]["p99"], "ms", 5.0),
    ]


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    with TemporaryDirectory(prefix="gyrostat-bench-", dir="/tmp") as where:
        print(json.dumps(PARTS[sys.argv[1]](Path(where))))
