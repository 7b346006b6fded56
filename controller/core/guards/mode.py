"""Mode: what the policy itself allows, and when."""

from actions.plan import Refusal
from actions.reason import Reason
from controller.core.wish import Wish
from policies.policy import Mode


def effective(wish: Wish) -> Mode:
    """The policy's mode under the operator's cap."""
    return min(wish.policy.mode, wish.limits.mode_cap)


def mode(wish: Wish) -> Refusal | None:
    """Observe records what would be done; Recommend says it to people."""
    allowed = effective(wish)
    if allowed >= Mode.APPROVE:
        return None
    cap = f" (capped by --mode {wish.limits.mode_cap.label})" if wish.limits.mode_cap < wish.policy.mode else ""
    if allowed is Mode.RECOMMEND:
        asks = f": {wish.plan.asks}" if wish.plan.asks else ""
        return Refusal(Reason.MODE, f"recommended: {wish.rung.action} {wish.target.ref}{cap}{asks}")
    return Refusal(Reason.MODE, f"the mode is {allowed.label}{cap}")


def window(wish: Wish) -> Refusal | None:
    """Outside the active windows, or inside a blackout, the policy starts nothing."""
    if wish.policy.open_at(wish.now - wish.state.ahead):
        return None
    return Refusal(Reason.WINDOW, "outside the policy's active windows, or inside a blackout")
