"""Composition: the real parts of a loop, from settings. Nothing else in the program constructs them."""

import contextlib
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from actions.platforms import Platform
from actions.platforms.dry_run import DryRun
from actions.platforms.local.platform import LocalPlatform
from audit.journal import JournalError
from audit.stores.sqlite import SqliteStore, open_read_only
from controller import leadership
from controller.boot import jumped, remember
from controller.checkpoints import Checkpoints
from controller.clock import Clock
from controller.executor import Boundary, Executor, no_fault
from controller.instrumentation import HealthServer, Instruments
from controller.loop import Loop, Parts, stop_flags
from controller.policyset import PolicySet
from controller.schedule import Schedule
from controller.settings import STORE, Settings
from controller.trail import Trail
from controller.views.words import instant
from controller.watcher import Watcher
from telemetry.batch import Batch, Fate
from telemetry.processor import Processor
from telemetry.sources import Source
from telemetry.sources.host import HostSource
from telemetry.sources.supervisor import SupervisorSource
from telemetry.traffic import Unlisted

if TYPE_CHECKING:
    from controller.cluster.join import Joined


def sources(state_dir: Path, timeout: float) -> list[Source]:
    """What is read on one machine."""
    supervisor = SupervisorSource(state_dir, timeout)
    return [supervisor, HostSource(supervisor)]


@contextlib.contextmanager
def leading_loop(settings: Settings, boundary: Boundary = no_fault) -> Iterator[Loop]:
    """A loop that leads, with its threads; everything is stopped and a last checkpoint written when the block ends.

    Raises:
        AlreadyLeading: another process leads on this state directory.
        JournalError: the store cannot be opened.
    """
    with ExitStack() as stack:
        state_dir = _state_dir(settings, stack)
        clock, trail, checkpoints = _take_the_lead(settings, state_dir, stack)
        processor, instruments = Processor(), Instruments(settings.interval)
        cluster = _cluster(settings, trail, clock, instruments, stack)
        watcher = Watcher(_sources(settings, cluster), processor, clock, settings.interval)
        stack.callback(watcher.close)
        watcher.read_once()  # so that a platform is known to answer, or to be silent, before the first decision

        if settings.metrics_address:
            stack.enter_context(contextlib.closing(HealthServer(settings.metrics_address, instruments)))
        loop = Loop(
            Parts(
                state_dir=settings.state,
                clock=clock,
                trail=trail,
                processor=processor,
                policies=PolicySet(settings.policies, settings.signals, cluster.policies if cluster else None),
                executor=_executor(settings, trail, boundary, cluster),
                limits=settings.limits,
                instruments=instruments,
                checkpoints=checkpoints,
                boundary=boundary,
                received=_receiver(settings, processor, clock, stack),
                told=cluster.herald.hear if cluster else lambda _record: None,
            )
        )
        if cluster and not settings.dry_run:
            stack.callback(cluster.herald.close)
            cluster.herald.start(lambda: loop.board)
        stack.callback(loop.finish)
        if settings.verify_trail != "off":
            schedule = Schedule(state_dir / STORE, settings.verify_trail, loop.inbox, instruments)
            stack.callback(schedule.close)
            schedule.start()
        watcher.start()
        yield loop


def _cluster(
    settings: Settings, trail: Trail, clock: Clock, instruments: Instruments, stack: ExitStack
) -> "Joined | None":
    """The cluster that is looked after; None for the processes of this machine.

    Raises:
        OSError: there is no way to it.
    """
    if settings.kubernetes == "off":
        return None
    from controller.cluster.join import join  # noqa: PLC0415 - who has no cluster pays nothing for it
    from telemetry.sources.kubernetes.access import AccessError  # noqa: PLC0415

    try:
        return join(settings, trail.store.chain.id[:8], clock.now, instruments.told, stack)
    except AccessError as error:
        raise OSError(f"there is no way to the cluster: {error}") from error


def _sources(settings: Settings, cluster: "Joined | None") -> list[Source]:
    return [cluster.source] if cluster else sources(settings.state, settings.call_timeout)


def _executor(settings: Settings, trail: Trail, boundary: Boundary, cluster: "Joined | None") -> Executor:
    """The hands; a freeze is looked up before each write, so that it holds within the very effect."""

    def may_write(_epoch: int) -> str:
        return trail.state.frozen or stop_flags(settings.state)["frozen"]

    return Executor(platforms(settings, cluster), settings.max_concurrent, may_write, boundary)


def _state_dir(settings: Settings, stack: ExitStack) -> Path:
    """Where to lead: a dry run leads in a copy that is gone afterwards."""
    if not settings.dry_run:
        return settings.state
    return _copy_of_trail(settings.state, Path(stack.enter_context(TemporaryDirectory(prefix="gyrostat-"))))


def _take_the_lead(settings: Settings, state_dir: Path, stack: ExitStack) -> tuple[Clock, Trail, Checkpoints]:
    """Lead by the lock, then by a new epoch, over a trail that is not behind what was exported of it."""
    stack.enter_context(contextlib.closing(leadership.acquire(state_dir)))
    checkpoints = Checkpoints(state_dir, settings.checkpoint_records, settings.checkpoint_every)
    store = stack.enter_context(contextlib.closing(SqliteStore.open(state_dir / STORE)))
    checkpoints.require_exported(store)
    clock, trail = Clock(), Trail(store, checkpoints.trusted)
    clock.never_behind(trail.state.at)
    checkpoints.begin(trail)
    now = clock.now()
    trail.lead(now, holder(), jumped(state_dir, now), clock.ahead)
    remember(state_dir, now)
    stack.callback(_last_checkpoint, checkpoints, clock, trail)
    return clock, trail, checkpoints


def _receiver(
    settings: Settings, processor: Processor, clock: Clock, stack: ExitStack
) -> Callable[[float], Mapping[str, Any]]:
    """Receive OTLP until the stack ends; returns what people are shown of it, by the time.

    Where nobody named an address and the usual one is taken, healing goes on without, and says so.

    Raises:
        OSError: the address that was asked for is taken.
    """
    why = ""
    if settings.otlp_address is not None:
        from telemetry.sources.otlp.receiver import Receiver  # noqa: PLC0415 - protobuf and h11 only for who listens

        try:
            receiver = Receiver(settings.otlp_address, _by_the_wall(processor, clock), clock.now)
        except OSError as error:
            if settings.origin("otlp") != "default":
                raise
            why = str(error.strerror)
        else:
            stack.callback(receiver.close)
            return lambda now: {"otlp": receiver.view(now), "unlisted": [*map(_shown, processor.unlisted)]}
    return lambda _now: {"otlp": {"why": why}, "unlisted": []}


def _by_the_wall(processor: Processor, clock: Clock) -> Callable[[Batch, float], Counter[Fate]]:
    """Senders stamp by the wall clock, and follow its steps; this program's time does not."""
    return lambda batch, now: processor.take(batch.moved(clock.off_the_wall()), now)


def _shown(service: Unlisted) -> Mapping[str, Any]:
    return {
        "namespace": service.namespace,
        "name": service.name,
        "heard": instant(service.heard),
        "requests_per_second": service.rate,
        "errors": service.errors,
        "p99_seconds": service.p99,
    }


def _copy_of_trail(state_dir: Path, copy: Path) -> Path:
    """A dry run decides by a copy of the trail, so that it leaves nothing behind and disturbs no running loop."""
    if (state_dir / STORE).exists():
        with contextlib.closing(open_read_only(state_dir / STORE)) as trail:
            trail.copy(copy / STORE)
    return copy


def _last_checkpoint(checkpoints: Checkpoints, clock: Clock, trail: Trail) -> None:
    """At a clean stop; a store that does not take it costs the next start some reading, nothing else."""
    with contextlib.suppress(JournalError):
        trail.catch_up()
        checkpoints.write_if_due(clock.now(), trail, stopping=True)


def platforms(settings: Settings, cluster: "Joined | None" = None) -> dict[str, Platform]:
    """The hands, by name; under `--dry-run` they only say what they would write."""
    hands: Platform = cluster.platform if cluster else LocalPlatform(settings.state, settings.call_timeout)
    rehearsal = cluster.rehearsal if cluster else None
    return {hands.name: DryRun(hands, rehearsal=rehearsal) if settings.dry_run else hands}


def holder() -> str:
    """Who leads, for people."""
    return f"{socket.gethostname()} pid {os.getpid()}"
