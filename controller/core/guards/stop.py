"""Stop: nothing new starts at all."""

from actions.plan import Refusal
from actions.reason import Reason
from controller.core.state import age
from controller.core.wish import Wish


def frozen(wish: Wish) -> Refusal | None:
    """A person froze every write."""
    return Refusal(Reason.FROZEN, wish.state.frozen) if wish.state.frozen else None


def paused(wish: Wish) -> Refusal | None:
    """A person paused new starts; what runs is finished."""
    return Refusal(Reason.PAUSED, wish.state.paused) if wish.state.paused else None


def recovering(wish: Wish) -> Refusal | None:
    """Intents of an earlier leadership are classified before anything new starts."""
    open_ = wish.state.unsettled()
    if not open_:
        return None
    return Refusal(Reason.RECOVERING, f"{len(open_)} intents of an earlier leadership are not settled yet")


def warmup(wish: Wish) -> Refusal | None:
    """Just after taking the lead we have seen too little; a person may know better."""
    left = wish.limits.warmup - age(wish.now, wish.state.led_at)
    if left <= 0 or wish.proposal.by_person:
        return None
    return Refusal(Reason.WARMUP, f"took the lead a moment ago, warm-up is {wish.limits.warmup:g}s")
