"""Goes the whole way and writes nothing: what would be written is told, and remembered as if it were."""

import threading
from collections.abc import Callable
from fnmatch import fnmatchcase

from actions.plan import Change
from actions.platforms import Platform
from actions.registry import ACTIONS
from actions.restart import NEWER, NEWER_AT_ONCE
from telemetry.inventory import Value
from telemetry.target import Target
from telemetry.verdict import Verdict

Told = Callable[[Change, str], None]

_REPLACED = (NEWER, NEWER_AT_ONCE)


class DryRun:
    """Wraps a platform; only its `holds` is ever called.

    A change passes where the platform's own compare-and-set would have let it: a fresh read says that `before` holds.
    From then on this object answers as if it were written, so that verification, undo and release go their way too; the
    moment somebody else writes the field for real, the pretence ends.

    Attributes:
        name: of the platform inside.
        would: what would have been written, in order, with the intent's id.
    """

    def __init__(self, inner: Platform, told: Told | None = None, rehearsal: Platform | None = None) -> None:
        """What is inside is never written to.

        Args:
            inner: it is asked what holds.
            told: is called with each change that would be written, and the id of its intent.
            rehearsal: the same platform in a form that goes the whole way and keeps nothing; its refusal counts.
        """
        self.name = inner.name
        self.would: list[tuple[Change, str]] = []
        self._inner, self._told, self._rehearsal = inner, told, rehearsal
        self._lock = threading.Lock()
        self._real: dict[tuple[Target, str], Change] = {}  # by field: `before` is there for real, `after` is pretended

    def apply(self, change: Change, intent_id: str) -> Verdict:
        """PASS where it would have been written; FAIL where not, or where the platform did not answer.

        Raises:
            Denied: the rehearsal says that this account may not.
        """
        if not any(fnmatchcase(change.path, path) for action in ACTIONS.values() for path in action.writes):
            return Verdict.FAIL  # some fields can be asked about and not written
        with self._lock:
            pretended = self._pretended(change)
            start = change.before if pretended is None else pretended.before
            if pretended is not None and not _same(pretended.after, change.before):
                return Verdict.FAIL
            if pretended is None and not self._would_do(change, intent_id):
                return Verdict.FAIL
            field = (change.object, change.path)
            self._real.pop(field, None)
            if not _same(start, change.after):
                self._real[field] = Change(change.object, change.path, start, change.after)
            self.would.append((change, intent_id))
        if self._told is not None:
            self._told(change, intent_id)
        return Verdict.PASS

    def _would_do(self, change: Change, intent_id: str) -> bool:
        """Whether `before` holds for real, and the rehearsal, if there is one, lets the change pass."""
        if self._inner.holds(change.inverse()) is not Verdict.PASS:
            return False
        return self._rehearsal is None or self._rehearsal.apply(change, intent_id) is Verdict.PASS

    def holds(self, change: Change) -> Verdict:
        """What a platform would say on which all of `would` had been written."""
        with self._lock:
            pretended = self._pretended(change)
        if pretended is None:
            return self._inner.holds(change)
        return Verdict.of(true=_same(pretended.after, change.after), false=True)

    def _pretended(self, change: Change) -> Change | None:
        """What is pretended of this field, as long as its real value is still the one that was seen."""
        field = (change.object, change.path)
        pretended = self._real.get(field)
        if pretended is not None and self._inner.holds(pretended.inverse()) is Verdict.FAIL:
            del self._real[field]
            return None
        return pretended


def _same(one: Value, other: Value) -> bool:
    """The same value of the same type; a graceful and a forceful restart leave the same behind."""
    if one in _REPLACED and other in _REPLACED:
        return True
    return type(one) is type(other) and one == other
