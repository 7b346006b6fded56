"""Evidence: do we know enough? A person who asks may know more than we see, and skips these."""

from actions.plan import Refusal
from actions.reason import Reason
from controller.core.state import age
from controller.core.wish import Wish
from policies.evaluate import when_verdict
from telemetry.verdict import Verdict


def unknown(wish: Wish) -> Refusal | None:
    """The condition must surely hold in this very snapshot, and every platform fact must be an answer."""
    if wish.proposal.by_person:
        return None
    if when_verdict(wish.policy, wish.snapshot, wish.target) is not Verdict.UNKNOWN:
        return None
    return Refusal(Reason.UNKNOWN, f"cannot tell whether `{wish.policy.when.source}` holds")


def stale(wish: Wish) -> Refusal | None:
    """Facts older than the limit, or than our own last change, describe a world that may be gone."""
    if wish.proposal.by_person:
        return None
    if wish.facts.seen_at <= wish.episode.outcome_at:  # what a lost answer did could not be told apart from it
        return Refusal(Reason.STALE, "facts are from before our own last change")
    old = age(wish.now, wish.facts.seen_at)
    if old <= wish.limits.facts_stale:
        return None
    why = wish.snapshot.silent.get(wish.target.platform, "no answer")
    return Refusal(Reason.STALE, f"facts are {old:.0f}s old, {wish.limits.facts_stale:g}s are allowed: {why}")


def samples(wish: Wish) -> Refusal | None:
    """Fewer samples than the policy asks for."""
    have, need = wish.proposal.evidence.samples, wish.policy.min_samples
    if wish.proposal.by_person or have >= need:
        return None
    return Refusal(Reason.TOO_FEW_SAMPLES, f"{have:g} samples, the policy asks for {need}")


def confidence(wish: Wish) -> Refusal | None:
    """Less confidence than the policy asks for."""
    have, need = wish.proposal.evidence.confidence, wish.policy.min_confidence
    if wish.proposal.by_person or have >= need:
        return None
    return Refusal(Reason.LOW_CONFIDENCE, f"confidence {have:.2f}, the policy asks for {need:.2f}")
