"""HealthCheck: look again, now; writes nothing."""

from typing import Any, ClassVar, Literal

from actions.action import Params, Permission
from actions.plan import Change, Plan, Refusal, Undo
from actions.reason import Reason
from telemetry.inventory import Facts
from telemetry.target import Target


class HealthCheckParams(Params):
    """What follows.

    Attributes:
        then: `Restart` restarts those instances that fail; nothing: the verdict is the result.
    """

    then: Literal["Restart"] | None = None


def path(slot: str) -> str:
    """The question whether a slot's instance is healthy right now; only asked, never written."""
    return f"slots/{slot}/healthy"


class HealthCheck:
    """Probes every instance now."""

    name: ClassVar[str] = "HealthCheck"
    params: ClassVar[type[Params]] = HealthCheckParams
    undo: ClassVar[Undo] = Undo.TRANSIENT
    writes: ClassVar[frozenset[str]] = frozenset()
    permissions: ClassVar[tuple[Permission, ...]] = ()

    def plan(self, target: Target, params: Any, facts: Facts, hold: float | None) -> Plan | Refusal:  # noqa: ARG002  the protocol's signature: a look has no parameters and nothing to hold
        """One probe per instance, no change."""
        if not facts.instances:
            return Refusal(Reason.NOTHING_TO_DO, f"{target.ref} has no instance to probe")
        missing = [i.slot for i in facts.instances if path(i.slot) not in facts.fields]
        if missing:
            return Refusal(Reason.NO_MECHANISM, f"slot {missing[0]} of {target.ref} has no health probe")
        probes = tuple(Change(target, path(i.slot), None, 1) for i in facts.instances)
        return Plan(changes=(), probes=probes, undo=self.undo)
