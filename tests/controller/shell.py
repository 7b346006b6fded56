"""A real loop over a real store, on the memory platform, with time that a test moves."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from actions.platforms.memory import MemoryPlatform
from audit.stores.sqlite import SqliteStore
from controller.checkpoints import Checkpoints
from controller.clock import Clock
from controller.core.wish import Limits
from controller.executor import Executor
from controller.instrumentation import Instruments
from controller.loop import Loop, Parts, stop_flags
from controller.policyset import CHECK_EVERY, PolicySet
from controller.trail import Trail
from telemetry.processor import Processor
from telemetry.target import Target

START = 1_700_000_000.0


def policy(name: str = "restart-sick", **spec: object) -> str:
    """A policy document that restarts what is sick, at once."""
    given = {
        "mode": "Enforce",
        "targets": {"allowAll": True},
        "when": "instances.sick > 0",
        "until": "probe.ok",
        "for": "0s",
        "minConfidencePercent": 0,
        "action": {"type": "Restart"},
        "throttle": {"cooldown": "0s"},
        "verify": {"initialDelay": "1s", "within": "30s"},
    }
    kind = {"apiVersion": "gyrostat.dev/v1alpha1", "kind": "ClusterRemediationPolicy", "metadata": {"name": name}}
    return json.dumps(kind | {"spec": given | spec})


class Inline:
    """A pool of which every effect has happened when `submit` returns."""

    def submit(self, work: Callable[..., None], *args: object) -> None:
        work(*args)

    def shutdown(self, *, wait: bool) -> None:
        pass


class Shell:
    """One controller on one state directory.

    Attributes:
        world: what it watches and changes.
        loop, trail: its parts.
    """

    def __init__(self, state: Path, world: MemoryPlatform, policies: Path | None, limits: Limits) -> None:
        self.world, self.time = world, max(START, world.now)
        self.store = SqliteStore(state / "trail.db")
        self.trail = Trail(self.store)
        clock = Clock(wall=lambda: self.time, steady=lambda: self.time)
        clock.now = lambda: self.time  # type: ignore[method-assign]
        self.trail.lead(self.time, "test")
        self.processor = Processor()
        self.executor = Executor({"memory": world}, 4, lambda _: stop_flags(state)["frozen"])
        self.executor._pool = Inline()  # type: ignore[assignment]
        self.loop = Loop(
            Parts(
                state_dir=state,
                clock=clock,
                trail=self.trail,
                processor=self.processor,
                policies=PolicySet(policies),
                executor=self.executor,
                limits=limits,
                instruments=Instruments(1.0),
                checkpoints=Checkpoints(state, 10_000, 300.0),
            )
        )

    def turns(self, count: int = 1, seconds: float = 1.0) -> list[str]:
        """Let that many turns pass; returns the kinds of the records that came of them."""
        before = self.trail.seq
        for _ in range(count):
            self.time += seconds
            self.world.step(seconds)
            self.processor.ingest(self.world.read(self.time))
            self.loop.turn()
        self.trail.catch_up()
        return [stored.kind for stored in self.store.after(before)]

    def close(self) -> None:
        self.executor.close()
        self.store.close()


@contextmanager
def shell(
    tmp_path: Path, *policies: str, world: MemoryPlatform | None = None, limits: Limits | None = None
) -> Iterator[Shell]:
    """A controller with these policies, closed at the end."""
    folder = tmp_path / "policies"
    folder.mkdir(exist_ok=True)
    for number, text in enumerate(policies):
        (folder / f"{number}.yaml").write_text(text)
    made = Shell(tmp_path, world or a_world(), folder, limits or Limits(warmup=0, backoff_first=5))
    try:
        yield made
    finally:
        made.close()


def a_world() -> MemoryPlatform:
    """An empty world at the time at which tests begin."""
    world = MemoryPlatform(startup=0.5)
    world.now = START
    return world


def one_sick(world: MemoryPlatform) -> Target:
    """A workload of three, one of which is sick."""
    target = world.add("shop", "checkout", 3)
    world.sicken(target, 1)
    return target


__all__ = ["CHECK_EVERY", "START", "Shell", "a_world", "one_sick", "policy", "shell"]
