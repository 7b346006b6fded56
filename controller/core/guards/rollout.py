"""Rollouts and disruptions: somebody else is changing the workload now, or says how much of it may be down."""

from actions.plan import Refusal
from actions.reason import Reason
from actions.restart import path as incarnation
from controller.core.wish import Wish


def rollout(wish: Wish) -> Refusal | None:
    """A change of the workload is under way, or stuck: what we did to it would be taken for the change's doing."""
    if not wish.plan.changes or not wish.facts.rollout:
        return None
    return Refusal(Reason.ROLLOUT_IN_PROGRESS, wish.facts.rollout)


def rollout_paused(wish: Wish) -> Refusal | None:
    """A person stopped it in the middle, on purpose."""
    if not wish.plan.changes or not wish.facts.paused:
        return None
    return Refusal(Reason.ROLLOUT_PAUSED, wish.facts.paused)


def disruption(wish: Wish) -> Refusal | None:
    """Every budget must leave room for all instances that go at once; a forceful restart asks it too."""
    paths = {change.path for change in wish.plan.changes}
    going = [instance for instance in wish.facts.instances if incarnation(instance.slot) in paths]
    if not going:
        return None
    ready = sum(instance.ready is True for instance in going)
    budgets = wish.facts.budgets
    if len(budgets) > 1:  # the platform evicts no instance that two of them are about
        names = ", ".join(budget.name for budget in budgets)
        return Refusal(Reason.DISRUPTION_BUDGET, f"more than one budget is about it: {names}")
    for budget in budgets:
        needed = ready if budget.sick_free else len(going)
        if needed > budget.room:
            why = f": {budget.why}" if budget.why else ""
            return Refusal(
                Reason.DISRUPTION_BUDGET, f"{budget.name} leaves room for {budget.room}, it takes {needed}{why}"
            )
    return None
