"""Restart: a fresh process in the place of a sick one."""

from enum import StrEnum
from typing import Any, ClassVar

from actions.action import Params, Permission
from actions.plan import Change, Plan, Refusal, Undo
from actions.reason import Reason
from telemetry.inventory import Facts
from telemetry.target import Target

NEWER = "newer"
NEWER_AT_ONCE = "newer!"
ROLLOUT = "rollout"
"""The field that makes all instances anew at the workload's own pace, where the platform has such a thing."""


class How(StrEnum):
    """How an instance is stopped."""

    GRACEFUL = "Graceful"  # stop signal, grace period, then KILL
    FORCEFUL = "Forceful"  # KILL at once


class Instances(StrEnum):
    """Which instances."""

    SICK = "Sick"  # those that fail their probe; not those of which nothing is known
    ALL = "All"


class RestartParams(Params):
    """What is restarted, and how.

    Attributes:
        how: graceful, or forceful.
        instances: the sick ones, or all.
    """

    how: How = How.GRACEFUL
    instances: Instances = Instances.SICK


def path(slot: str) -> str:
    """The field that says which process holds a slot."""
    return f"slots/{slot}/incarnation"


class Restart:
    """Asks for a newer incarnation of each chosen instance: one that was replaced meanwhile is left alone."""

    name: ClassVar[str] = "Restart"
    params: ClassVar[type[Params]] = RestartParams
    undo: ClassVar[Undo] = Undo.TRANSIENT
    writes: ClassVar[frozenset[str]] = frozenset({path("*"), ROLLOUT})
    permissions: ClassVar[tuple[Permission, ...]] = (
        Permission("", "pods", ("delete",)),  # forceful
        Permission("", "pods/eviction", ("create",)),  # graceful, respecting disruption budgets
        Permission("apps", "daemonsets", ("patch",)),  # all of them: an annotation of ours on the pod template
        Permission("apps", "deployments", ("patch",)),
        Permission("apps", "statefulsets", ("patch",)),
    )

    def plan(self, target: Target, params: Any, facts: Facts, hold: float | None) -> Plan | Refusal:  # noqa: ARG002  the protocol's signature: a restart leaves nothing to hold
        """One change per running instance of the choice, or one rollout of all where there is such a thing."""
        every = params.instances is Instances.ALL
        running = [i for i in facts.instances if i.incarnation]
        chosen = [i for i in running if every or i.ready is False]
        if not chosen:
            detail = "no instance runs" if every else "no running instance fails its probe"
            return Refusal(Reason.NOTHING_TO_DO, detail)
        ready = sum(i.ready is True for i in chosen)
        if every and params.how is How.GRACEFUL and ROLLOUT in facts.fields:
            anew = Change(target, ROLLOUT, facts.fields[ROLLOUT], NEWER)
            return Plan(changes=(anew,), disrupts=min(ready, 1), undo=self.undo)
        missing = [i.slot for i in chosen if path(i.slot) not in facts.fields]
        if missing:
            return Refusal(Reason.NO_MECHANISM, f"slot {missing[0]} of {target.ref} cannot be restarted by itself")
        forceful = params.how is How.FORCEFUL
        after = NEWER_AT_ONCE if forceful else NEWER
        return Plan(
            changes=tuple(Change(target, path(i.slot), i.incarnation, after) for i in chosen),
            # the platform rolls graceful restarts of ready instances one at a time
            disrupts=ready if forceful else min(ready, 1),
            undo=self.undo,
        )
