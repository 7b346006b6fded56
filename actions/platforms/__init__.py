"""The only hands: two verbs, so that every effect is a compare-and-set and every doubt can be settled by reading."""

from typing import Protocol

from actions.plan import Change
from telemetry.verdict import Verdict


class Denied(Exception):  # noqa: N818  an answer, not only an error
    """The platform says that this account may not: surely nothing was written. The text says which right it lacks."""


class Platform(Protocol):
    """Writes and reads one field at a time. `DryRun` and fault injectors wrap the same interface.

    Attributes:
        name: the `Target.platform` it serves.
    """

    name: str

    def apply(self, change: Change, intent_id: str) -> Verdict:
        """Write `change.after` where the object's uid and `change.before` still hold.

        Returns:
            PASS: written. FAIL: surely not written. UNKNOWN: may have been written; the caller never repeats it
            and settles it with `holds`.

        Raises:
            Denied: a FAIL with its reason: this account may not, until somebody lets it.
        """
        ...

    def holds(self, change: Change) -> Verdict:
        """Read afresh whether `change.after` is in force.

        Returns:
            PASS: it is. FAIL: it surely is not. UNKNOWN: the platform did not answer, or cannot tell.
        """
        ...
