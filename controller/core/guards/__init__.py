"""The guards: each may refuse a wish, none can grant one. The first refusal, in this order, is the reason shown."""

from collections.abc import Mapping
from types import MappingProxyType

from actions.plan import Refusal
from actions.reason import Reason
from controller.core.guards import budgets, evidence, human, mode, ownership, rollout, stop
from controller.core.wish import Guard, Wish

GUARDS: Mapping[str, Guard] = MappingProxyType(
    {
        # stop: nobody starts anything
        "frozen": stop.frozen,
        "paused": stop.paused,
        "recovering": stop.recovering,
        "warmup": stop.warmup,
        "storm": stop.storm,
        "own_storm": stop.own_storm,
        # ownership: it is not ours to touch
        "scope": ownership.scope,
        "protected": ownership.protected,
        "owned": ownership.owned,
        "mechanism": ownership.mechanism,
        "permitted": ownership.permitted,
        "claimed": ownership.claimed,
        "contested": ownership.contested,
        "rollout": rollout.rollout,
        "rollout_paused": rollout.rollout_paused,
        # mode: the policy itself does not allow it now
        "mode": mode.mode,
        "window": mode.window,
        # evidence: we do not know enough
        "unknown": evidence.unknown,
        "stale": evidence.stale,
        "samples": evidence.samples,
        "confidence": evidence.confidence,
        # budgets: enough for now
        "exhausted": budgets.exhausted,
        "backoff": budgets.backoff,
        "flapping": budgets.flapping,
        "cooldown": budgets.cooldown,
        "rate": budgets.rate,
        "unavailable": budgets.unavailable,
        "disruption": rollout.disruption,
        "concurrency": budgets.concurrency,
        # human: a person decides
        "approval": human.approval,
        "irreversible": human.irreversible,
    }
)


def first_refusal(guards: Mapping[str, Guard], wish: Wish) -> Refusal | None:
    """The first guard's refusal; a guard that raises refuses, because an unread limit is no permission."""
    for name, guard in guards.items():
        try:
            refusal = guard(wish)
        except Exception as error:  # noqa: BLE001  fail closed, whatever went wrong in a guard
            return Refusal(Reason.GUARD_ERROR, f"{name}: {type(error).__name__}: {error}")
        if refusal is not None:
            return refusal
    return None
