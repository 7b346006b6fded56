"""Human: what a person must decide."""

from actions.plan import Refusal, Undo
from actions.reason import Reason
from controller.core.guards.mode import effective
from controller.core.state import age
from controller.core.wish import Wish
from policies.policy import Mode

APPROVAL_LASTS = 3600.0
"""Seconds after which an approval is void: what was true then need not be true now."""


def _approved(wish: Wish) -> bool:
    at = wish.episode.approved_at
    return at > 0 and age(wish.now, at) < APPROVAL_LASTS


def approval(wish: Wish) -> Refusal | None:
    """Under Approve a person says yes to each episode; asking for it oneself is saying yes."""
    if effective(wish) is not Mode.APPROVE or wish.proposal.by_person or _approved(wish):
        return None
    return Refusal(Reason.NEEDS_APPROVAL, f"auto approve {wish.episode.id} --why …")


def irreversible(wish: Wish) -> Refusal | None:
    """What destroys data needs the policy's word or a person's."""
    if wish.plan.undo is not Undo.IRREVERSIBLE or wish.rung.allow_irreversible or _approved(wish):
        return None
    return Refusal(Reason.IRREVERSIBLE, "it destroys data: allowIrreversible: true, or an approval")
