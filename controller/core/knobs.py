"""Knobs: fields with a number that actions move up and down, and that must not be moved to and fro (P12).

A turn is a step that moves a knob the other way than the step before. Rule: at most two turns in any hour.

A step that must not wait (an undo, a redo) follows one that may (a Do, a release) and can turn the knob once more. So a
voluntary step that turns the knob needs a quiet hour before it, and one that goes on the same way needs an hour with
no more than one turn. The quiet time doubles with every further pair of turns, up to a day.
"""

import math

import msgspec

from actions.plan import Change

DAY = 86_400.0
FORGIVEN = 2 * DAY
"""Seconds without a turn after which a knob starts afresh."""
HANDS_OFF = 2
"""So often may somebody else take back what we changed before we leave the field alone."""


class Knob(msgspec.Struct, frozen=True):
    """One field of one object.

    Attributes:
        at: when it was last moved, or taken back by somebody else.
        up: which way we last moved it; None when never.
        turns: when it was turned, the last two times.
        streak: turns without a long quiet time between them.
        reverts: how often somebody else had changed what we held, lately.
    """

    at: float
    up: bool | None = None
    turns: tuple[float, ...] = ()
    streak: int = 0
    reverts: int = 0


def _upwards(change: Change) -> bool | None:
    """Which way a change moves its field; None where that makes no sense."""
    before, after = change.before, change.after
    if isinstance(before, int) and isinstance(after, int) and before != after:
        return after > before
    return None


def moved(knob: Knob | None, change: Change, at: float) -> Knob:
    """The knob after a change of ours."""
    up = _upwards(change)
    if knob is None or up is None or knob.up is None or knob.up is up:
        old = knob or Knob(at)
        return msgspec.structs.replace(old, at=at, up=old.up if up is None else up)
    forgiven = bool(knob.turns) and at - knob.turns[-1] >= FORGIVEN
    streak = 1 if forgiven else knob.streak + 1
    return msgspec.structs.replace(knob, at=at, up=up, turns=(*knob.turns, at)[-2:], streak=streak)


def reverted(knob: Knob | None, at: float) -> Knob:
    """The knob after somebody else changed what we held."""
    old = knob or Knob(at)
    again = at - old.at < DAY
    return msgspec.structs.replace(old, at=at, reverts=old.reverts + 1 if again else 1)


def quiet(knob: Knob, spacing: float) -> float:
    """Seconds without a turn that it takes before it may be turned again."""
    return min(max(DAY, spacing), spacing * 2.0 ** min(max(0, knob.streak - 1) // 2, 32))


def too_soon(knob: Knob | None, change: Change, now: float, spacing: float, *, ours: bool) -> float:
    """Seconds that a voluntary change has to wait, so that the knob does not flap; 0 when it need not.

    Args:
        knob: as it was left; None when it was never moved.
        change: what would be written.
        now: epoch seconds.
        spacing: seconds between two changes of direction, at first.
        ours: it goes back on a move that was meant to be taken back (a release), or a person asks for it: quiet is
            counted from the last turn; otherwise, between two policies that pull at one field, from the last move.
    """
    up = _upwards(change)
    if knob is None or up is None or knob.up is None:
        return 0.0
    if knob.up is not up:
        since = (knob.turns[-1] if knob.turns else -math.inf) if ours else knob.at
        return max(0.0, since + quiet(knob, spacing) - now)
    return max(0.0, knob.turns[0] + spacing - now) if len(knob.turns) > 1 else 0.0


def contested(knob: Knob | None, now: float) -> bool:
    """Whether somebody else keeps changing it, so that we leave it alone for a day."""
    return knob is not None and knob.reverts >= HANDS_OFF and now - knob.at < DAY
