"""One simulated workload whose telemetry goes through the real processor to the real decision, minutes in a second.

Spans are batches as a sender's request makes them; probes and host samples are readings as sources make them. What a
policy would do is what `tick` decides when the policy may act.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from actions import health_check, restart
from actions.registry import ACTIONS
from controller.core.agents import PolicyAgent, together
from controller.core.guards import GUARDS
from controller.core.records import Held, Intent, Led, Loaded
from controller.core.state import State, fold
from controller.core.tick import tick
from controller.core.wish import Limits, Rulebook
from policies.policy import Mode, Policy
from telemetry.batch import Batch, Gauge, Requests
from telemetry.inventory import Facts, Instance, Sample, Value
from telemetry.origins import Origin
from telemetry.processor import Processor
from telemetry.snapshot import Snapshot
from telemetry.sources import Reading
from telemetry.target import Target

WEB = Target("memory", "Service", "shop", "web", "u1")
STEP = 5.0
START = 1_000_000.0
MIB = float(1 << 20)


@dataclass(frozen=True, slots=True)
class Moment:
    """How the workload is.

    Attributes:
        rate: requests a second, of all instances together.
        took: seconds that a request takes.
        failed: share of requests that fail.
        cpu: of the busiest instance.
        memory: bytes of the largest instance, of a limit of 1000 MiB.
        up: instances.
        sick: of them, how many fail their probe.
        queue: what waits, of at most 100; None where it reports no queue.
        changed: somebody else changed it a minute ago.
    """

    rate: float = 20.0
    took: float = 0.1
    failed: float = 0.0
    cpu: float = 0.3
    memory: float = 300 * MIB
    up: int = 4
    sick: int = 0
    queue: float | None = None
    changed: bool = False


Story = Callable[[float], Moment]
"""How the workload is so many seconds after the start."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a story.

    Attributes:
        intent: the first that the policy would begin; None if none.
        after: seconds from the start to that.
        held: reasons why something was not begun.
        last: what was true at the end.
    """

    intent: Intent | None
    after: float
    held: frozenset[str]
    last: Snapshot


def tell(policy: Policy, story: Story, minutes: float) -> Told:
    """Live through a story with this policy in force, until it would act."""
    acting = replace(policy, mode=Mode.ENFORCE)
    processor, agent, random = Processor(), PolicyAgent(), np.random.default_rng(7)
    state = fold([Led(START, 1, "test"), Loaded(START, acting.name, acting.hash, acting.content)])
    rules = Rulebook({acting.hash: acting}, ACTIONS, GUARDS, Limits())
    held: set[str] = set()
    now = START
    while now < START + 60 * minutes:
        now += STEP
        _feed(processor, story(now - START), now, random)
        processor.freeze(key.target for key in state.episodes)
        for second in range(int(STEP)):  # what is usual is learnt column by column, one a second
            processor.refresh(now - STEP + 1 + second)
        seen = processor.snapshot(now)
        intent = _turn(seen, state, rules, agent, held)
        if intent is not None:
            return Told(intent, now - START, frozenset(held), seen)
    return Told(None, now - START, frozenset(held), seen)


def _turn(seen: Snapshot, state: State, rules: Rulebook, agent: PolicyAgent, held: set[str]) -> Intent | None:
    found = agent.propose(seen.at, seen, list(rules.policies.values()), state, rules.limits)
    intent = None
    for record in tick(seen.at, seen, state, together([], found), rules):
        state.apply(record)
        if isinstance(record, Held):
            held.add(record.reason)
        if isinstance(record, Intent):
            intent = record
    return intent


def _feed(processor: Processor, moment: Moment, now: float, random: np.random.Generator) -> None:
    facts = Facts(
        now,
        moment.up,
        moment.up - moment.sick,
        1,
        20,
        _fields(moment),
        tuple(Instance(str(at), f"{100 + at}@1.0", at >= moment.sick, START - 7200) for at in range(moment.up)),
    )
    said = {
        "probe.ok": float(moment.sick == 0),
        "instances.sick": moment.sick / moment.up,
        "active.count": float(moment.up),
        "cpu.ratio": moment.cpu,
        "memory.bytes": moment.memory,
        "memory.ratio": moment.memory / (1000 * MIB),
        "up.duration": now - START + 7200,
        "change.recent": float(moment.changed),
    }
    samples = [Sample(WEB, name, value, now) for name, value in said.items()]
    processor.ingest(Reading(now, "memory", {WEB: facts}, samples))
    count = int(random.poisson(moment.rate * STEP))
    if count:
        processor.take(_batch(moment, count, now, random), now)


def _fields(moment: Moment) -> dict[str, Value]:
    fields: dict[str, Value] = {"desired": moment.up}
    for at in range(moment.up):
        fields[restart.path(str(at))] = f"{100 + at}@1.0"
        fields[health_check.path(str(at))] = None
    return fields


def _batch(moment: Moment, count: int, now: float, random: np.random.Generator) -> Batch:
    origins = tuple(Origin("web", "shop", f"i{at}") for at in range(moment.up))
    ended = (random.uniform(now - STEP, now, count) * 1e9).astype(np.uint64)
    took = (moment.took * random.lognormal(0, 0.2, count) * 1e9).astype(np.uint64)
    requests = Requests(
        random.integers(0, moment.up, count), ended - took, ended, random.uniform(size=count) < moment.failed
    )
    items = tuple(int(found) for found in np.bincount(requests.origin, minlength=moment.up))
    gauges = []
    if moment.queue is not None:
        gauges = [Gauge(0, "queue.depth", moment.queue, now), Gauge(0, "queue.limit", 100.0, now)]
    return Batch(origins, items, requests, gauges)
