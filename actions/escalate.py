"""Escalate: a person is asked, and told what the platform knows; writes nothing."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from actions.action import Params, Permission
from actions.plan import Plan, Refusal, Undo
from telemetry.inventory import Facts
from telemetry.target import Target

SPEC = "spec"
"""Where `Facts.writers` says who changed the workload's own spec."""
_MOST = 1000  # characters that a person is told


class EscalateParams(Params):
    """Nothing to choose: what a person is told is what is known.

    Attributes: none.
    """


class Escalate:
    """Ends the episode with a person, by the facts of this moment."""

    name: ClassVar[str] = "Escalate"
    params: ClassVar[type[Params]] = EscalateParams
    undo: ClassVar[Undo] = Undo.TRANSIENT
    writes: ClassVar[frozenset[str]] = frozenset()
    permissions: ClassVar[tuple[Permission, ...]] = ()

    def plan(self, target: Target, params: Any, facts: Facts, hold: float | None) -> Plan | Refusal:  # noqa: ARG002  the protocol's signature: to ask has no parameters and nothing to hold
        """No change; what a person is told."""
        return Plan(changes=(), undo=self.undo, asks=words(facts))


def words(facts: Facts) -> str:
    """What is wrong, how much is ready, what was changed last and by whom: the first questions of who is woken."""
    parts = [*facts.troubles, f"{facts.ready} of {facts.desired} instances are ready"]
    named = f"revision {facts.revision}" if facts.revision else "its spec"
    if facts.changed_at:
        at = datetime.fromtimestamp(facts.changed_at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        who = f" by {facts.writers[SPEC]}" if SPEC in facts.writers else ""
        parts.append(f"{named}, changed {at}{who}")
    elif facts.revision:
        parts.append(named)
    told = "; ".join(parts)
    return told if len(told) <= _MOST else f"{told[: _MOST - 1]}…"
