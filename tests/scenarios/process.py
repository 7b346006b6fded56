"""One controller process of the simulation: the real loop, trail, executor and store, on the simulation's time."""

import sys
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from actions.plan import Change
from audit.journal import Full, Store, Unavailable
from audit.stores.sqlite import SqliteStore
from controller.checkpoints import Checkpoints
from controller.clock import Clock
from controller.core.wish import Limits
from controller.executor import Executor
from controller.instrumentation import Instruments
from controller.loop import Loop, Parts, stop_flags
from controller.policyset import PolicySet
from controller.trail import Trail
from telemetry.processor import Processor
from telemetry.verdict import Verdict

from .checker import Broken

if TYPE_CHECKING:
    from .simulation import Simulation

LIMITS = Limits(
    max_concurrent=25,
    attempts=3,
    backoff_first=15.0,
    backoff_max=120.0,
    warmup=2.0,
    max_open_episodes=40,
    storm_targets=1_000_000,  # a world of faults is one long storm: what stops it has tests of its own
    own_failures=1_000_000,
    turn_spacing=0.0,
)
CHECKPOINT_EVERY = 150


class Later:
    """A pool whose work waits until somebody says go."""

    def __init__(self) -> None:
        self.waiting: deque[Callable[[], None]] = deque()

    def submit(self, work: Callable[..., None], *args: Any) -> None:
        self.waiting.append(lambda: work(*args))

    def shutdown(self, wait: bool) -> None:
        self.waiting.clear()


class Breaking:
    """A store that breaks off: before it kept anything, or after it kept everything."""

    def __init__(self, inner: Store, sim: "Simulation") -> None:
        self._inner, self._sim = inner, sim

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def append(self, *args: Any, **kwargs: Any) -> int:
        fault = self._sim.store_fault()
        if fault == "full":
            raise Full("no space (injected)")
        if fault == "lost before":
            raise Unavailable("broke off, nothing kept (injected)")
        first = self._inner.append(*args, **kwargs)
        if fault == "lost after":
            raise Unavailable("broke off, everything kept (injected)")
        return first


class Hands:
    """The platform as one controller reaches it; everything that it sends is noted first."""

    name = "memory"

    def __init__(self, sim: "Simulation", controller: "Controller") -> None:
        self._sim, self._controller = sim, controller

    def apply(self, change: Change, intent_id: str) -> Verdict:
        return self._sim.apply(self._controller.trail.epoch, change, intent_id)

    def holds(self, change: Change) -> Verdict:
        return self._sim.platform.holds(change)


class Controller:
    """One process: the real parts, on the simulation's time."""

    def __init__(self, sim: "Simulation") -> None:
        self.sim = sim
        self.store = Breaking(SqliteStore.open(sim.path), sim)
        checkpoints = Checkpoints(sim.dir, CHECKPOINT_EVERY, 1e9)
        checkpoints.require_exported(self.store)
        self.trail = Trail(self.store, checkpoints.trusted)
        sim.count["starts from a checkpoint"] += bool(self.trail.checkpointed)
        sim.checker.same_state(self.trail.state)
        self.clock = Clock(lambda: sim.wall, lambda: sim.steady)
        self.clock.never_behind(self.trail.state.at)
        self.trail.lead(self.clock.now(), f"c{sim.count['leaderships']}")
        sim.count["leaderships"] += 1
        checkpoints.begin(self.trail)
        self.processor = Processor()
        self.executor = Executor({"memory": Hands(sim, self)}, 1, self.why_not, sim.boundary)
        self.executor._pool.shutdown()
        self.later = Later()
        self.executor._pool = self.later  # type: ignore[assignment]
        self.loop = Loop(
            Parts(
                state_dir=sim.dir,
                clock=self.clock,
                trail=self.trail,
                processor=self.processor,
                policies=PolicySet(sim.policies),
                executor=self.executor,
                limits=LIMITS,
                instruments=Instruments(1.0),
                checkpoints=checkpoints,
                boundary=sim.boundary,
            )
        )

    def why_not(self, epoch: int) -> str:
        """What an executor asks before each effect: the lease (here: the store's epoch), then the freeze."""
        if self.store.epoch() != epoch:
            return "another one leads"
        return stop_flags(self.sim.dir)["frozen"] or self.trail.state.frozen

    def turn(self) -> None:
        self.processor.ingest(self.sim.reading(self.clock.now()))
        self.loop.turn()
        trouble = self.loop._trouble
        if trouble and "injected" not in trouble:
            raise self.sim.log.failure or Broken("P18", trouble)

    def work(self, most: int) -> None:
        """Let some of the effects happen that are durable."""
        for _ in range(min(most, len(self.later.waiting))):
            self.later.waiting.popleft()()

    def close(self) -> None:
        self.store.close()


class Quiet:
    """A log that keeps nothing, but lets no unexpected failure pass."""

    def __init__(self) -> None:
        self.failure: BaseException | None = None

    def info(self, *_args: object, **_more: object) -> None: ...

    log = info

    def exception(self, what: str) -> None:
        self.failure = sys.exc_info()[1]
