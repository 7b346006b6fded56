"""Why nothing happens, or why it does: for one target, every policy's condition and every guard's answer by name."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from actions.plan import Plan, Refusal
from controller.core.guards import first_refusal
from controller.core.records import Evidence, Opened
from controller.core.state import Episode, State
from controller.core.wish import Proposal, Rulebook, Wish
from controller.views.status import cell, health_of
from controller.views.words import changes_in_words, phase, span
from policies.evaluate import selected
from policies.policy import Policy
from telemetry.expression import one_line
from telemetry.reading import columns_at
from telemetry.snapshot import Snapshot
from telemetry.target import Target
from telemetry.verdict import Verdict


def why(
    target: Target, snapshot: Snapshot, state: State, rules: Rulebook, proposals: Sequence[Proposal]
) -> dict[str, Any]:
    """For one target: its health, and for each policy in force or with an open episode what stands in its way.

    Args:
        target: one that the snapshot has.
        snapshot: of the last tick.
        state: after it.
        rules: it went by.
        proposals: it was given.
    """
    health, reason = health_of(target, snapshot, snapshot.facts[target], rules.limits.facts_stale)
    wanted = {p.key.policy: p for p in proposals if p.key.target == target}
    hashes = [*state.in_force.values(), *(e.policy_hash for e in state.episodes.values() if e.key.target == target)]
    policies = [rules.policies[hash_] for hash_ in dict.fromkeys(hashes) if hash_ in rules.policies]
    view = _View(target, snapshot, state, rules)
    return {
        "target": target.ref,
        "health": health,
        "why": reason,
        "policies": [view.of_policy(policy, wanted.get(policy.name)) for policy in policies],
    }


class _View:
    def __init__(self, target: Target, snapshot: Snapshot, state: State, rules: Rulebook) -> None:
        self.target, self.snapshot, self.rules = target, snapshot, rules
        self.draft = rules.draft(state)

    def of_policy(self, policy: Policy, proposal: Proposal | None) -> dict[str, Any]:
        selection = selected(policy, self.snapshot)
        chosen = self.snapshot.rows[self.target] in selection.rows
        row = np.array([self.snapshot.rows[self.target]])
        here = columns_at(self.snapshot, policy.when.columns, row)
        verdict = policy.when.evaluate(here).at(0)
        episode = next((e for e in self.draft.episodes.values() if e.key.policy == policy.name and self._mine(e)), None)
        if proposal is None and verdict is Verdict.PASS and episode is not None:
            proposal = Proposal(episode.key, episode.policy_hash, episode.evidence)  # not looked at in this very tick
        guards, plan = self._guards(policy, proposal)
        crowded = self.draft.crowded.get(policy.name, 0) if episode is None else 0
        measured = sorted(policy.when.columns & self.snapshot.columns.keys())
        values = {name: cell(self.snapshot, self.target, name) for name in measured}
        return {
            "policy": policy.name,
            "mode": policy.mode.label,
            "when": one_line(policy.when.source),
            "holds": verdict.value if chosen else None,
            "values": values,
            "terms": [{"term": one_line(term), "value": value} for term, value in policy.when.explain(here, 0)],
            "unknown": [name for name, value in values.items() if value is None],
            "episode": episode.id if episode else "",
            "state": phase(episode) if episode else "",
            "confidence": round(proposal.evidence.confidence, 4) if proposal else None,
            "rests_on": _parts(proposal.evidence) if proposal else {},
            "plan": plan,
            "guards": guards,
            "answer": selection.refused or _answer(policy, verdict if chosen else None, episode, guards, plan),
            "crowd": crowded,
        }

    def _mine(self, episode: Episode) -> bool:
        return episode.key.target == self.target

    def _guards(self, policy: Policy, proposal: Proposal | None) -> tuple[list[dict[str, Any]], str]:
        """Each guard's answer to the wish as it is now, not only the first refusal; and what would be written."""
        if proposal is None or proposal.policy_hash != policy.hash:
            return [], ""
        if proposal.key not in self.draft.episodes:
            at = self.snapshot.at
            self.draft.apply(Opened(at, proposal.key, "e?", policy.hash, proposal.evidence))
        episode = self.draft.episodes[proposal.key]
        if episode.intent is not None or episode.needs_human:
            return [], ""
        rung = policy.rungs[episode.rung]
        action = self.rules.actions[rung.action]
        plan = action.plan(self.target, rung.params, self.snapshot.facts[self.target], rung.hold)
        if isinstance(plan, Refusal):
            return [_guard("plan", plan)], ""
        limits, snapshot = self.rules.limits, self.snapshot
        wish = Wish(proposal, plan, policy, action, self.draft, snapshot, snapshot.at, limits)
        answers = [_guard(name, first_refusal({name: guard}, wish)) for name, guard in self.rules.guards.items()]
        return answers, _planned(rung.action, plan)


def _answer(
    policy: Policy, verdict: Verdict | None, episode: Episode | None, guards: list[dict[str, Any]], plan: str
) -> str:
    """The one sentence that a person came for."""
    if verdict is None:
        return "the policy does not select this target"
    if episode and (episode.intent is not None or episode.needs_human):
        return f"{phase(episode)} ({episode.detail})" if episode.detail else phase(episode)
    if guards:
        refusals = [f"held: {guard['reason']}: {guard['detail']}" for guard in guards if guard["reason"]]
        return refusals[0] if refusals else f"nothing stands in its way: {plan}"
    return {
        Verdict.UNKNOWN: "cannot tell whether the condition holds",
        Verdict.FAIL: "the condition does not hold",
        Verdict.PASS: f"the condition holds, but not yet for {span(policy.delay)}",
    }[verdict]


def _parts(evidence: Evidence) -> dict[str, float]:
    """What confidence is the product of."""
    return {
        "decisiveness": round(evidence.decisiveness, 4),
        "coverage": round(evidence.coverage, 4),
        "reliability": round(evidence.reliability, 4),
    }


def _guard(name: str, refusal: Refusal | None) -> dict[str, Any]:
    return {
        "guard": name,
        "reason": refusal.reason.value if refusal else "",
        "detail": refusal.detail if refusal else "",
    }


def _planned(action: str, plan: Plan) -> str:
    return f"{action}: {changes_in_words(plan.changes)}"
