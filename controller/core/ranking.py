"""Which wishes are looked at: masks that hold whole classes of them, and the fair choice among the others."""

from collections.abc import Sequence
from typing import TypeVar

from actions.reason import Reason
from controller.core.episode import Episode
from controller.core.guards.human import APPROVAL_LASTS
from controller.core.records import OWN_STORM
from controller.core.state import State, age
from controller.core.storm import of_target
from controller.core.wish import Limits
from policies.policy import Mode, Policy

PLANNED_PER_SLOT = 4
"""Wishes planned per free slot and tick: work is bounded by what could start, not by how much is sick."""
OPENED_PER_TICK = 200
"""Episodes opened at one tick, over all policies, best first; the others are counted, and follow."""
GOLDEN = (5**0.5 - 1) / 2

T = TypeVar("T")


def considered(waiting: Sequence[T], most: int, now: float) -> Sequence[T]:
    """The best half, and a half that moves through the others: what is held at each tick starves nobody.

    Multiples of the golden ratio visit every place evenly, whatever the time between ticks is.

    Args:
        waiting: best first.
        most: how many.
        now: epoch seconds.
    """
    if len(waiting) <= most:
        return waiting
    best, others = waiting[: most // 2], waiting[most // 2 :]
    start = int(now * GOLDEN % 1.0 * len(others))
    return [*best, *(others[(start + n) % len(others)] for n in range(most - most // 2))]


class Masks:
    """Reasons for which a wish cannot start whatever its plan is, so that it need not be planned to know it.

    The guards say the same of a plan; a mask only saves saying it again, and keeps what cannot start from standing
    before what can. It is no guard: what it lets through is guarded, what it holds was told its reason once.
    """

    def __init__(self, now: float, state: State, limits: Limits) -> None:
        self._now, self._state, self._limits = now, state, limits
        self._policies: dict[str, Reason | None] = {}
        own = OWN_STORM in state.storms
        self._all = (state.frozen and Reason.FROZEN) or (state.paused and Reason.PAUSED) or None
        self._own = Reason.OWN_STORM if own else None

    def reason(self, policy: Policy, episode: Episode, *, by_person: bool = False) -> Reason | None:
        """Why nothing of this episode can start now; None if its guards must be asked."""
        if self._all:
            return self._all
        if self._state.storms and of_target(episode.key.target, self._state.storms):
            return Reason.STORM
        return self._own or self._of_policy(policy) or self._unapproved(policy, episode, by_person=by_person)

    def told(self, policy: Policy, episode: Episode, *, by_person: bool = False) -> bool:
        """It cannot start, and was told just that: there is nothing to do about it."""
        held = episode.held
        return held is not None and held is self.reason(policy, episode, by_person=by_person)

    def _of_policy(self, policy: Policy) -> Reason | None:
        if policy.hash not in self._policies:
            acts = min(policy.mode, self._limits.mode_cap) >= Mode.APPROVE
            open_ = policy.open_at(self._now - self._state.ahead)
            self._policies[policy.hash] = Reason.MODE if not acts else None if open_ else Reason.WINDOW
        return self._policies[policy.hash]

    def _unapproved(self, policy: Policy, episode: Episode, *, by_person: bool) -> Reason | None:
        asks = min(policy.mode, self._limits.mode_cap) is Mode.APPROVE and not by_person
        approved = episode.approved_at > 0 and age(self._now, episode.approved_at) < APPROVAL_LASTS
        return Reason.NEEDS_APPROVAL if asks and not approved else None
