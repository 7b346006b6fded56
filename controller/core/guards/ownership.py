"""Ownership: is it ours to touch, and is nobody else at it?"""

from fnmatch import fnmatchcase

from actions.plan import Refusal
from actions.reason import Reason
from controller.core.knobs import HANDS_OFF
from controller.core.knobs import contested as is_contested
from controller.core.wish import Wish
from telemetry.inventory import By

OWNED = {
    By.HPA: Reason.OWNED_BY_HPA,
    By.KEDA: Reason.OWNED_BY_KEDA,
    By.GITOPS: Reason.OWNED_BY_GITOPS,
    By.CONTROLLER: Reason.OWNED_BY_CONTROLLER,
}
"""The reason by what kind of writer owns a field."""


def scope(wish: Wish) -> Refusal | None:
    """A namespaced policy stays in its namespace, and a plan touches what its action declares, nothing more."""
    inside = wish.policy.namespace in (None, wish.target.namespace)
    if not inside:
        return Refusal(Reason.OUT_OF_SCOPE, f"the policy belongs to namespace {wish.policy.namespace}")
    for change in wish.plan.changes:
        if not any(fnmatchcase(change.path, pattern) for pattern in wish.action.writes):
            return Refusal(Reason.OUT_OF_SCOPE, f"{wish.action.name} does not declare that it writes {change.path}")
    return None


def protected(wish: Wish) -> Refusal | None:
    """Somebody said hands off."""
    return Refusal(Reason.PROTECTED, wish.facts.protected) if wish.facts.protected else None


def owned(wish: Wish) -> Refusal | None:
    """Exactly this field is somebody else's: he would set it again, or could no longer."""
    for change in wish.plan.changes:
        owner = wish.facts.owners.get(change.path) if change.object == wish.target else None
        if owner is not None:
            advice = f"; {owner.advice}" if owner.advice else ""
            return Refusal(OWNED[owner.by], f"{change.path}: {owner.name}{advice}")
    return None


def mechanism(wish: Wish) -> Refusal | None:
    """What the platform cannot change is refused, never faked."""
    asked = (*wish.plan.changes, *wish.plan.probes)
    missing = [c.path for c in asked if c.object == wish.target and c.path not in wish.facts.fields]
    if not missing:
        return None
    return Refusal(Reason.NO_MECHANISM, f"{wish.target.platform} has no way to change {missing[0]}")


def permitted(wish: Wish) -> Refusal | None:
    """The account that we act by lacks the right: to ask again and again would change nothing."""
    for change in wish.plan.changes:
        asked = f"{change.path}={change.after}" if change.object == wish.target else ""
        for pattern, why in wish.facts.denied.items():
            if fnmatchcase(asked, pattern):
                return Refusal(Reason.FORBIDDEN, why)
    return None


def claimed(wish: Wish) -> Refusal | None:
    """Another episode is at the same object, or holds the same field."""
    for change in wish.plan.changes:
        for name in (str(change.object), f"{change.object}#{change.path}"):
            holder = wish.state.claims.get(name)
            if holder is not None and holder != wish.proposal.key:
                other = wish.state.episodes[holder].id
                return Refusal(Reason.CLAIMED, f"episode {other} ({holder.policy}) is at it")
    return None


def contested(wish: Wish) -> Refusal | None:
    """Somebody else keeps taking back what we change: it is theirs."""
    for change in wish.plan.changes:
        name = f"{change.object}#{change.path}"
        if is_contested(wish.state.knobs.get(name), wish.now):
            who = wish.facts.writers.get(change.path, "somebody else")
            return Refusal(
                Reason.CONTESTED, f"{who} changed {change.path} {HANDS_OFF} times while we held it: hands off"
            )
    return None
