"""Stop: nothing new starts at all."""

from actions.plan import Refusal
from actions.reason import Reason
from controller.core.records import OWN_STORM
from controller.core.state import age
from controller.core.storm import of_target
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


def storm(wish: Wish) -> Refusal | None:
    """Too much around the target is wrong at once. Nobody skips it: what they see is not the cause either."""
    found = of_target(wish.target, wish.state.storms)
    if found is None:
        return None
    calm = f"{wish.limits.storm_calm:g}s of calm"
    return Refusal(Reason.STORM, f"{found.group}: {found.why}; nothing new before {calm}")


def own_storm(wish: Wish) -> Refusal | None:
    """Our own actions do not help: we do not understand what is wrong."""
    found = wish.state.storms.get(OWN_STORM)
    if found is None:
        return None
    left = max(0.0, found.until - wish.now)
    return Refusal(Reason.OWN_STORM, f"{found.why}; nothing new for {left:.0f}s, or until `auto ack own-storm --why …`")
