"""Agents propose; they never act. Policies and people are the agents of this build."""

from collections.abc import Mapping, Sequence

from controller.core.confidence import decisiveness, evidence, reliability
from controller.core.records import Evidence, Key
from controller.core.state import State, Track
from controller.core.wish import Proposal
from policies.evaluate import Finding, Holds, evaluate
from policies.policy import Policy
from telemetry.snapshot import Snapshot

CERTAIN = Evidence(1.0, 1.0, 1.0, 1.0)
"""A person's word."""


class PolicyAgent:
    """Proposes what the policies in force find. It remembers since when conditions hold, nothing else.

    That memory is lost at a restart, which can only delay a proposal.

    Attributes:
        refused: by policy, why its selection of targets is not used at all.
    """

    def __init__(self) -> None:
        self.refused: dict[str, str] = {}
        self._holds: dict[str, Holds] = {}

    def propose(self, now: float, snapshot: Snapshot, policies: Sequence[Policy], state: State) -> list[Proposal]:
        """One proposal for each target for which a policy's condition holds for as long as it asks."""
        self._holds = {p.hash: self._holds.get(p.hash) or Holds() for p in policies}
        proposals = [
            _proposal(policy, finding, state)
            for policy in policies
            for finding in evaluate(policy, snapshot, self._holds[policy.hash], now)
        ]
        selections = ((policy.name, self._holds[policy.hash].selection) for policy in policies)
        self.refused = {name: chosen.refused for name, chosen in selections if chosen and chosen.refused}
        return proposals


def _proposal(policy: Policy, finding: Finding, state: State) -> Proposal:
    key = Key(policy.name, finding.target)
    episode = state.episodes.get(key)
    rung = policy.rungs[min(episode.rung if episode else 0, len(policy.rungs) - 1)]
    track = state.track.get((policy.name, rung.action), Track())
    return Proposal(
        key,
        policy.hash,
        evidence(
            decisiveness(finding.ticks_true, finding.ticks_total, finding.margin),
            finding.coverage_known * finding.freshness,
            reliability(track),
            finding.samples,
            finding.values,
        ),
    )


def people(state: State, policies: Mapping[str, Policy]) -> list[Proposal]:
    """One proposal for each request of a person that is not finished."""
    return [
        Proposal(key, said.request.policy_hash, CERTAIN, by_person=said.who)
        for key, said in state.requests.items()
        if said.request is not None and said.request.policy_hash in policies
    ]
