"""Facts: a platform's cached view of the targets that exist."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

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


class By(StrEnum):
    """What kind of writer sets a field again whenever somebody else changed it."""

    HPA = "HPA"
    KEDA = "KEDA"
    GITOPS = "GitOps"
    CONTROLLER = "Controller"


@dataclass(frozen=True, slots=True)
class Owner:
    """Somebody else whose field it is.

    Attributes:
        by: what kind of writer.
        name: who, e.g. `HorizontalPodAutoscaler shop/web`.
        advice: what a person can do who wants it changed all the same.
    """

    by: By
    name: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """What sets the number of instances by load.

    Attributes:
        target: the object that holds its bounds.
        minimum, maximum: its bounds.
        wants: how many it asks for now.
        limited: it would ask for more if its maximum allowed it.
    """

    target: Target
    minimum: int
    maximum: int
    wants: int
    limited: bool = False


@dataclass(frozen=True, slots=True)
class Budget:
    """A bound on how many instances may be taken down on purpose, set by the workload's owner.

    Attributes:
        name: of the object that says so.
        room: how many may go now.
        sick_free: instances that are not ready may go without using it up.
        why: where it leaves no room although it has some: what is wrong with it.
    """

    name: str
    room: int
    sick_free: bool = False
    why: str = ""


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
        owners: by path of a field, whose it is if not ours.
        denied: changes that the account we act by may not make, as `path=after` with `*`, and which right it lacks.
        writers: by path of a field, who wrote it last, as far as the platform tells; never us.
        rollout: how far a change of its template has come; empty while none is in progress.
        paused: why its owner wants nothing rolled out; empty if not.
        budgets: bounds on instances that are taken down on purpose; every one must leave room.
        autoscaler: what sets `desired` by load, if anything does.
        revision: which version of its own spec is wanted, as its people name it; empty if it has no name.
        troubles: what is wrong with it, in words for people, the worst first; a few of them.
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
    owners: Mapping[str, Owner] = field(default_factory=dict)
    denied: Mapping[str, str] = field(default_factory=dict)
    writers: Mapping[str, str] = field(default_factory=dict)
    rollout: str = ""
    paused: str = ""
    budgets: tuple[Budget, ...] = ()
    autoscaler: Autoscaler | None = None
    revision: str = ""
    troubles: tuple[str, ...] = ()


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
