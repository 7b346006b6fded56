"""A simulated cluster whose objects go through the real source to the real decision, minutes in a second.

Objects are JSON as the API sends them; they are listed, decoded, rolled up and joined as those of a real cluster are.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from actions.registry import ACTIONS
from controller.core.agents import PolicyAgent, together
from controller.core.guards import GUARDS
from controller.core.records import Closed, Held, Intent, Led, Loaded, Outcome
from controller.core.state import fold
from controller.core.tick import tick
from controller.core.wish import Limits, Rulebook
from policies.policy import Mode, Policy
from telemetry.processor import Processor
from telemetry.sources.kubernetes.source import KubernetesSource
from telemetry.sources.kubernetes.usage import PATH, ask
from telemetry.verdict import Verdict

STEP = 5.0
START = 1_795_334_400.0

Objects = Mapping[str, Sequence[Mapping[str, Any]]]
"""By the last part of their path, e.g. `pods`."""
Story = Callable[[float], Objects]
"""What there is so many seconds after the start."""


class _Told:
    """An API server that lists what a story says; its watches are not needed, because every step lists again."""

    def __init__(self) -> None:
        self.objects: Objects = {}
        self.version = 1

    def read(self, path: str, kind: type[Any], query: Mapping[str, str] | None = None) -> Any:
        if path.startswith(PATH):
            return msgspec.json.decode(json.dumps({"items": self.objects.get("usage", ())}).encode(), type=kind)
        items = self.objects.get(path.rsplit("/", 1)[-1], ())
        versioned = [{**item, "metadata": {**item["metadata"], "resourceVersion": str(self.version)}} for item in items]
        page = {"metadata": {"resourceVersion": str(self.version)}, "items": versioned}
        return msgspec.json.decode(json.dumps(page).encode(), type=kind)

    def watch(self, path: str, query: Mapping[str, str], idle: float) -> Any:
        raise AssertionError(path)


class Told:
    """What became of a story: every intent, every end, and why what was held was held."""

    def __init__(self) -> None:
        self.intents: list[tuple[float, Intent]] = []
        self.closed: list[Closed] = []
        self.held: dict[str, str] = {}

    @property
    def actions(self) -> list[str]:
        return [intent.action for _, intent in self.intents]


def tell(policies: Sequence[Policy], story: Story, minutes: float, mode: Mode = Mode.ENFORCE) -> Told:
    """Live through a story with these policies in force; every write succeeds."""
    acting = {p.hash: p for p in (replace(policy, mode=mode) for policy in policies)}
    api, told = _Told(), Told()
    source, processor, agent = KubernetesSource(api), Processor(), PolicyAgent()
    source._beat_at = float("inf")
    clock = source._clock
    state = fold([Led(START, 1, "test"), *(Loaded(START, p.name, p.hash, p.content) for p in acting.values())])
    rules = Rulebook(acting, ACTIONS, GUARDS, Limits())
    now = START
    while now < START + 60 * minutes:
        now, api.version = now + STEP, api.version + 1
        api.objects = story(now - START)
        for each in source.reflectors:
            each._list()
            each.standing.following = True
        source._meter.latest = (clock(), ask(api, ()))
        processor.ingest(source.read(now))
        seen = processor.snapshot(now)
        found = agent.propose(now, seen, list(acting.values()), state, rules.limits)
        for record in tick(now, seen, state, together([], found), rules):
            state.apply(record)
            if isinstance(record, Intent):
                told.intents.append((now - START, record))
                state.apply(Outcome(now, record.key, record.number, Verdict.PASS))
            if isinstance(record, Closed):
                told.closed.append(record)
            if isinstance(record, Held):
                told.held[record.reason] = record.detail
    return told
