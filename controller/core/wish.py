"""A wish: a proposal with its plan, and everything a guard may look at."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import overload

from actions.action import Action
from actions.plan import Plan, Refusal
from controller.core.records import Evidence, Key
from controller.core.state import Episode, State
from policies.policy import Mode, Policy, Rung
from telemetry.inventory import Facts
from telemetry.snapshot import Snapshot
from telemetry.target import Target


@dataclass(frozen=True, slots=True)
class Limits:
    """The operator's bounds, over all policies.

    Attributes:
        max_concurrent: attempts under way at once.
        attempts: attempts in a row that may fail before a human is asked.
        backoff_first, backoff_max: seconds to wait after the first failure (doubled by each), and at most.
        warmup: seconds after taking the lead in which nothing new starts.
        max_open_episodes: per policy.
        facts_stale: seconds after which a platform's facts are too old to act on.
        mode_cap: no policy acts above this mode.
        storm_share, storm_targets: more than this share of a group and at least so many targets, sick or unknown
            at once, are a storm.
        storm_calm: seconds of calm after which a storm is over.
        own_failures: so many of the last five actions that did not help are a storm of our own.
        turn_spacing: seconds between two changes of direction of one field, at first.
    """

    max_concurrent: int = 3
    attempts: int = 3
    backoff_first: float = 600.0
    backoff_max: float = 86_400.0
    warmup: float = 10.0
    max_open_episodes: int = 200
    facts_stale: float = 10.0
    mode_cap: Mode = Mode.ENFORCE
    storm_share: float = 0.3
    storm_targets: int = 5
    storm_calm: float = 600.0
    own_failures: int = 3
    turn_spacing: float = 3_600.0


@dataclass(frozen=True, slots=True)
class Proposal:
    """What an agent would have done.

    Attributes:
        key: the episode it belongs to.
        policy_hash: which content of the policy.
        evidence: what it rests on.
        by_person: who asked, if a person did; a person may skip evidence and warm-up, nothing else.
    """

    key: Key
    policy_hash: str
    evidence: Evidence
    by_person: str = ""


@dataclass(frozen=True, slots=True)
class Proposals(Sequence[Proposal]):
    """What the agents would do: the best ones as proposals, everything else as counts.

    Attributes:
        best: those that may matter at this tick.
        counts: by group, how many targets are sick or unknown, and of how many anything was ever known.
        crowd: by policy, targets for which the condition holds and of which `best` has none.
    """

    best: tuple[Proposal, ...]
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    crowd: Mapping[str, int] = field(default_factory=dict)

    @overload
    def __getitem__(self, index: int) -> Proposal: ...

    @overload
    def __getitem__(self, index: slice) -> "Proposals": ...

    def __getitem__(self, index: int | slice) -> "Proposal | Proposals":
        """One of the best; or some of them, in this order, with the same counts."""
        return self.best[index] if isinstance(index, int) else replace(self, best=self.best[index])

    def __len__(self) -> int:
        return len(self.best)


@dataclass(frozen=True, slots=True)
class Wish:
    """One proposal, planned, before the guards."""

    proposal: Proposal
    plan: Plan
    policy: Policy
    action: Action
    state: State
    snapshot: Snapshot
    now: float
    limits: Limits

    @property
    def target(self) -> Target:
        """What would be touched."""
        return self.proposal.key.target

    @property
    def episode(self) -> Episode:
        """Its open episode."""
        return self.state.episodes[self.proposal.key]

    @property
    def rung(self) -> Rung:
        """The rung of the ladder that would be done."""
        return self.policy.rungs[self.episode.rung]

    @property
    def facts(self) -> Facts:
        """What the platform says of the target."""
        return self.snapshot.facts[self.target]


Guard = Callable[[Wish], Refusal | None]
"""None lets the wish pass; a refusal, or an exception, holds it."""


@dataclass(frozen=True, slots=True)
class Rulebook:
    """What the decision goes by.

    Attributes:
        policies: by hash: those in force and those that open episodes still need.
        actions: by name.
        guards: by name, in the order they are asked.
        limits: the operator's bounds.
        allowance: starts that may be admitted in this tick; None for no such limit (`auto execute --max`).
        paused, frozen: why a local flag file stops us; empty when not. OR-ed with what the trail says.
    """

    policies: Mapping[str, Policy]
    actions: Mapping[str, Action]
    guards: Mapping[str, Guard]
    limits: Limits
    paused: str = ""
    frozen: str = ""
    allowance: int | None = None

    def stops(self, state: State) -> tuple[str, str]:
        """Why starts are paused, and why every write is frozen; empty where not. Trail and flag files count alike."""
        return state.paused or self.paused, state.frozen or self.frozen

    def draft(self, state: State) -> State:
        """A draft of the state, in which a flag file stops as a word in the trail does."""
        draft = state.fork()
        draft.paused, draft.frozen = self.stops(state)
        return draft
