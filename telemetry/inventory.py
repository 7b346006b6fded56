"""Facts: a platform's cached view of the targets that exist."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from telemetry.target import Target

Value = int | str | None
"""What a field that an action changes can hold."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One running copy of a workload.

    Attributes:
        slot: its stable place in the workload, e.g. `0`.
        incarnation: which process holds the place, e.g. `4711@1763784000.25`; empty when none runs.
        ready: last verdict of its health probe; None when not known.
        started_at: epoch seconds; 0 when not running.
    """

    slot: str
    incarnation: str
    ready: bool | None
    started_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What the platform says of one target. Decisions read nothing fresher; every effect reads again.

    Attributes:
        seen_at: epoch seconds of the platform's answer.
        desired, ready, minimum, maximum: instances asked for, passing their probe, and the bounds allowed.
        fields: current value by path of everything an action can change; a path that is absent has no mechanism.
        instances: the copies that exist.
        labels: what selectors match.
        changed_at: when somebody other than us changed the workload's own spec; 0 when never seen.
        protected: why no action may touch it; empty when it may be touched.
    """

    seen_at: float
    desired: int
    ready: int
    minimum: int = 0
    maximum: int = 1_000_000
    fields: Mapping[str, Value] = field(default_factory=dict)
    instances: tuple[Instance, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    changed_at: float = 0.0
    protected: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """A measured value of one target; it joins the inventory and never adds to it.

    Attributes:
        target: which target.
        column: name of a column.
        value: number, seconds, or 1.0/0.0 for bool.
        at: epoch seconds at which it was measured.
        count: how many measurements are behind it.
    """

    target: Target
    column: str
    value: float
    at: float
    count: float = 1.0
