"""A living world around the real decision: simulator, processor, policies, guards and fold; only time is chosen.

No store and no threads: what the loop would commit is folded at once, and effects happen within the tick.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from actions.platforms.memory import MemoryPlatform
from actions.registry import ACTIONS
from controller.core.agents import PolicyAgent
from controller.core.guards import GUARDS
from controller.core.records import AnyRecord, Held, Intent, Led, Loaded, Outcome, Step
from controller.core.state import State, dump, load
from controller.core.tick import tick
from controller.core.wish import Limits, Rulebook
from policies.policy import Policy
from telemetry.inventory import Sample
from telemetry.processor import Processor
from telemetry.target import Target
from telemetry.verdict import Verdict

START = 1_800_000_000.0
LIMITS = Limits(warmup=2.0)


@dataclass
class Living:
    """One world, from a start with everything well.

    Attributes:
        load: work per target, shared by its instances: `cpu.ratio` is load / ready instances.
        other: what else befalls the world before each tick.
    """

    policies: list[Policy]
    limits: Limits = LIMITS
    platform: MemoryPlatform = field(default_factory=lambda: MemoryPlatform(startup=1.0))
    load: dict[Target, float] = field(default_factory=dict)
    other: Callable[["Living"], None] = lambda _: None
    trail: list[AnyRecord] = field(default_factory=list)
    state: State = field(default_factory=State)
    dark: frozenset[Target] = frozenset()

    def __post_init__(self) -> None:
        self.now = START
        self.processor, self.agent = Processor(), PolicyAgent()
        self.rules = Rulebook({p.hash: p for p in self.policies}, ACTIONS, GUARDS, self.limits)
        self._take(Led(self.now, 1, "test"))
        for policy in self.policies:
            self._take(Loaded(self.now, policy.name, policy.hash, policy.content))

    def add(self, count: int, namespace: str = "shop", instances: int = 2) -> list[Target]:
        """So many services, all well."""
        made = [self.platform.add(namespace, f"s{n:03}", instances, bounds=(1, 50)) for n in range(count)]
        self.load |= dict.fromkeys(made, 0.2)
        return made

    def sicken(self, *targets: Target) -> None:
        """Every instance of these fails its probe until it is replaced."""
        for target in targets:
            for slot in self.platform.workloads[target].copies:
                self.platform.sicken(target, slot)

    def cure(self, *targets: Target) -> None:
        """They are well again, by themselves."""
        for target in targets:
            for copy in self.platform.workloads[target].copies.values():
                copy.sick = False

    def run(self, seconds: float, step: float = 1.0) -> list[AnyRecord]:
        """Let time pass; returns the records of it."""
        before = len(self.trail)
        for _ in range(round(seconds / step)):
            self._turn(step)
        return self.trail[before:]

    def restart(self) -> None:
        """The controller dies and comes back: nothing is left but the state."""
        self.state = load(dump(self.state))
        self.processor, self.agent = Processor(), PolicyAgent()
        self._take(Led(self.now, self.state.epoch + 1, "again"))

    def _turn(self, step: float) -> None:
        self.now += step
        self.platform.step(step)
        self.other(self)
        self.processor.ingest(self._reading())
        snapshot = self.processor.snapshot(self.now)
        found = self.agent.propose(self.now, snapshot, self.policies, self.state, self.limits)
        records = tick(self.now, snapshot, self.state, found, self.rules)
        self._take(*records)
        for record in records:
            if isinstance(record, Intent):
                verdicts = [self.platform.apply(change, record.id) for change in record.changes]
                result = Verdict.FAIL if Verdict.FAIL in verdicts else Verdict.PASS
                ours = all(self.platform.holds(change.inverse()) is Verdict.PASS for change in record.changes)
                taken = result is Verdict.FAIL and record.step is not Step.DO and not ours
                self._take(Outcome(self.now, record.key, record.number, result, taken=taken))

    def _reading(self):
        seen = self.platform.read(self.now)
        cpu = [
            Sample(target, "cpu.ratio", min(1.0, self.load.get(target, 0.0) / max(1, facts.ready)), self.now)
            for target, facts in seen.facts.items()
        ]
        return replace(seen, samples=[s for s in (*seen.samples, *cpu) if s.target not in self.dark])

    def _take(self, *records: AnyRecord) -> None:
        for record in records:
            self.state.apply(record)
            self.trail.append(record)


def starts(records: list[AnyRecord]) -> list[Intent]:
    """What was newly begun."""
    return [r for r in records if isinstance(r, Intent) and r.step is Step.DO]


def held(records: list[AnyRecord]) -> Mapping[str, int]:
    """How often each reason was given."""
    reasons = [r.reason.value for r in records if isinstance(r, Held)]
    return {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}


def turns(records: list[AnyRecord], target: Target) -> list[float]:
    """When the number of instances changed direction."""
    moves = [
        (r.at, change.after > change.before)
        for r in records
        if isinstance(r, Intent)
        for change in r.changes
        if change.object == target and change.path == "desired"
    ]
    return [at for (at, up), (_, before) in zip(moves[1:], moves, strict=False) if up is not before]
