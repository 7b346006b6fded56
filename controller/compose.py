"""Composition: the real parts of a loop, from settings. Nothing else in the program constructs them."""

import contextlib
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from actions.platforms import Platform
from actions.platforms.dry_run import DryRun
from actions.platforms.local.platform import LocalPlatform
from audit.stores.sqlite import SqliteStore
from controller import leadership
from controller.checkpoints import Checkpoints
from controller.clock import Clock
from controller.executor import Boundary, Executor, no_fault
from controller.instrumentation import HealthServer, Instruments
from controller.loop import Loop, Parts, stop_flags
from controller.policyset import PolicySet
from controller.settings import Settings
from controller.trail import Trail
from controller.watcher import Watcher
from telemetry.processor import Processor
from telemetry.sources import Source
from telemetry.sources.host import HostSource
from telemetry.sources.supervisor import SupervisorSource

STORE = "trail.db"
"""Name of the store in the state directory."""


def sources(state_dir: Path, timeout: float) -> list[Source]:
    """What is read on one machine."""
    supervisor = SupervisorSource(state_dir, timeout)
    return [supervisor, HostSource(supervisor)]


@contextlib.contextmanager
def leading_loop(settings: Settings, boundary: Boundary = no_fault) -> Iterator[tuple[Loop, Watcher]]:
    """A loop that leads, with its threads; everything is stopped and a last checkpoint written when the block ends.

    Raises:
        AlreadyLeading: another process leads on this state directory.
        JournalError: the store cannot be opened.
    """
    state_dir = settings.state
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(contextlib.closing(leadership.acquire(state_dir)))
        store = stack.enter_context(contextlib.closing(SqliteStore.open(state_dir / STORE)))
        clock = Clock()
        trail = Trail(store)
        clock.never_behind(trail.state.at)
        checkpoints = Checkpoints(state_dir, settings.checkpoint_records, settings.checkpoint_every)
        checkpoints.refuse_rewound(trail)
        trail.lead(clock.now(), holder())
        stack.callback(checkpoints.last, clock, trail)
        processor = Processor()
        watcher = Watcher(sources(state_dir, settings.call_timeout), processor, clock, settings.interval)
        stack.callback(watcher.close)
        executor = Executor(
            platforms(settings), settings.max_concurrent, lambda _: stop_flags(state_dir)["frozen"], boundary
        )
        stack.callback(executor.close)
        instruments = Instruments(settings.interval)
        if settings.metrics_address:
            stack.enter_context(contextlib.closing(HealthServer(settings.metrics_address, instruments)))
        loop = Loop(
            Parts(
                state_dir=state_dir,
                clock=clock,
                trail=trail,
                processor=processor,
                policies=PolicySet(settings.policies),
                executor=executor,
                limits=settings.limits,
                instruments=instruments,
                checkpoints=checkpoints,
                boundary=boundary,
            )
        )
        yield loop, watcher


def platforms(settings: Settings) -> dict[str, Platform]:
    """The hands, by name; under `--dry-run` they only say what they would write."""
    local: Platform = LocalPlatform(settings.state, settings.call_timeout)
    return {local.name: DryRun(local) if settings.dry_run else local}


def holder() -> str:
    """Who leads, for people."""
    return f"{socket.gethostname()} pid {os.getpid()}"
