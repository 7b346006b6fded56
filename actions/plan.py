"""Changes and plans: what an action would do, and how it is undone."""

from enum import StrEnum

import msgspec

from actions.reason import Reason
from telemetry.inventory import Value
from telemetry.target import Target


class Undo(StrEnum):
    """What can be put back after an action."""

    REVERSIBLE = "Reversible"  # undone by compare-and-set
    TRANSIENT = "Transient"  # the wanted state is unchanged: there is nothing to put back
    IRREVERSIBLE = "Irreversible"  # destroys data: needs allowIrreversible or an approval


class Change(msgspec.Struct, frozen=True):
    """Compare-and-set: write `after` at `path` only where the object's uid and `before` still hold.

    Attributes:
        object: what is touched; claims are on it.
        path: which field, e.g. `desired` or `slots/0/incarnation`.
        before: value the decision saw.
        after: value to write. For an incarnation: `newer` (graceful) or `newer!` (forceful).
    """

    object: Target
    path: str
    before: Value
    after: Value

    def inverse(self) -> "Change":
        """The change back: it never overwrites another writer, because it expects our value."""
        return Change(self.object, self.path, self.after, self.before)


class Plan(msgspec.Struct, frozen=True):
    """What one attempt does.

    Attributes:
        changes: written in this order.
        probes: read freshly before anything is judged; `Change`s that are only asked about with `holds`.
        disrupts: how many ready instances it takes down at once.
        undo: what can be put back.
        hold: seconds a success stays before it is released; 0 when nothing is released.
        release: stages that lift a success, in order.
        asks: what a person is asked to look at; such a plan changes nothing, and the episode is theirs.
    """

    changes: tuple[Change, ...]
    probes: tuple[Change, ...] = ()
    disrupts: int = 0
    undo: Undo = Undo.TRANSIENT
    hold: float = 0.0
    release: tuple[Change, ...] = ()
    asks: str = ""

    def undo_changes(self) -> tuple[Change, ...]:
        """The inverses, backwards; empty when there is nothing to put back."""
        if self.undo is not Undo.REVERSIBLE:
            return ()
        return tuple(change.inverse() for change in reversed(self.changes))


class Refusal(msgspec.Struct, frozen=True):
    """Why there is no plan.

    Attributes:
        reason: the code.
        detail: one sentence for a person.
    """

    reason: Reason
    detail: str = ""
