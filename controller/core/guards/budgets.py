"""Budgets: how often, how many at once. Counted from the trail, so a restart frees nothing."""

from actions.plan import Refusal
from actions.reason import Reason
from controller.core.knobs import too_soon
from controller.core.state import Failures, age
from controller.core.wish import Limits, Wish
from policies.policy import allowed_unavailable


def exhausted(wish: Wish) -> Refusal | None:
    """Enough attempts in a row failed: a human is asked."""
    failures = wish.state.failures.get(wish.proposal.key)
    if failures is None or failures.count < wish.limits.attempts:
        return None
    return Refusal(Reason.ATTEMPTS_EXHAUSTED, f"{failures.count} attempts in a row did not help; a person must look")


def backoff_of(failures: Failures, limits: Limits) -> float:
    """Seconds to wait after that many failures: doubled by each, up to the maximum."""
    doublings = min(failures.count - 1, 64)
    return float(min(limits.backoff_first * 2.0**doublings, limits.backoff_max))


def backoff(wish: Wish) -> Refusal | None:
    """After a failure the same remedy waits, longer each time; the next rung of a ladder need not."""
    failures = wish.state.failures.get(wish.proposal.key)
    climbed = wish.episode.attempts > 0 and wish.episode.rung != wish.episode.last_rung
    if failures is None or climbed:
        return None
    left = backoff_of(failures, wish.limits) - age(wish.now, failures.at)
    return None if left <= 0 else Refusal(Reason.BACKOFF, f"failure {failures.count} in a row, waiting to try again")


def flapping(wish: Wish) -> Refusal | None:
    """A field that went one way is not moved the other way soon after; two policies must not pull at it in turns."""
    for change in wish.plan.changes:
        knob = wish.state.knobs.get(f"{change.object}#{change.path}")
        wait = too_soon(knob, change, wish.now, wish.limits.turn_spacing, ours=bool(wish.proposal.by_person))
        if wait > 0:
            return Refusal(Reason.FLAPPING, f"{change.path} changed direction lately; not to be moved for {wait:.0f}s")
    return None


def cooldown(wish: Wish) -> Refusal | None:
    """The same policy acted on the same target a short while ago; a further step of one episode is no new start."""
    if wish.episode.attempts:
        return None
    pause = wish.policy.throttle.cooldown
    recent = any(start.key == wish.proposal.key and age(wish.now, start.at) < pause for start in wish.state.starts)
    return Refusal(Reason.COOLDOWN, f"acted on it less than {pause:g}s ago") if recent else None


def rate(wish: Wish) -> Refusal | None:
    """No sliding window of the policy may hold more starts than its limit."""
    starts = [s for s in wish.state.starts if s.key.policy == wish.proposal.key.policy]
    for limit in wish.policy.throttle.limits:
        count = sum(age(wish.now, start.at) < limit.per for start in starts)
        if count >= limit.max:
            return Refusal(Reason.RATE_LIMIT, f"{count} starts in {limit.per:g}s, {limit.max} are allowed")
    return None


def unavailable(wish: Wish) -> Refusal | None:
    """A plan may not take more instances down than may be unavailable; those that are down already count."""
    facts, disrupts = wish.facts, wish.plan.disrupts
    if disrupts == 0:
        return None
    room = allowed_unavailable(wish.policy.throttle.max_unavailable, facts.desired)
    down = max(0, facts.desired - facts.ready)
    if down + disrupts <= room:
        return None
    return Refusal(
        Reason.UNAVAILABLE, f"{down} of {facts.desired} are down, it takes {disrupts} more, {room} are allowed"
    )


def concurrency(wish: Wish) -> Refusal | None:
    """So many attempts may be under way at once, overall and by policy."""
    active = wish.state.under_way()
    if len(active) >= wish.limits.max_concurrent:
        return Refusal(Reason.CONCURRENCY, f"{len(active)} attempts are under way, {wish.limits.max_concurrent} may be")
    own, most = sum(e.key.policy == wish.proposal.key.policy for e in active), wish.policy.throttle.max_concurrent
    if own >= most:
        return Refusal(Reason.CONCURRENCY, f"{own} attempts of this policy are under way, {most} may be")
    return None
