"""Agents propose; they never act. Policies and people are the agents of this build."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

import numpy as np

from controller.core.confidence import confidences, decisiveness, evidence, reliability
from controller.core.ranking import OPENED_PER_TICK, PLANNED_PER_SLOT, Masks, considered
from controller.core.records import Evidence, Key
from controller.core.state import State, Track
from controller.core.storm import Census
from controller.core.wish import Limits, Proposal, Proposals
from policies.evaluate import Catalog, Finding, Findings, Holds, search
from policies.policy import Policy, Severity
from policies.selection import Rows
from policies.shared import Shared
from telemetry.columns import Bools, Floats
from telemetry.expression import Truth
from telemetry.reading import columns_at
from telemetry.snapshot import Snapshot

CERTAIN = Evidence(1.0, 1.0, 1.0, 1.0)
"""A person's word."""
LIMITS = Limits()


@dataclass(slots=True)
class _Standing:
    """The open episodes of one policy.

    Attributes:
        count: how many.
        rows: of those whose target the snapshot has.
        waiting: rows of those for which something may be begun or said.
    """

    count: int = 0
    rows: list[int] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)


_NOTHING = _Standing()


class _Room(NamedTuple):
    """One policy's findings without an episode, and how many may get one."""

    found: Findings
    standing: _Standing
    room: int


class _Shortlist(NamedTuple):
    """Candidates of one policy, with what they are ranked by."""

    found: Findings
    rows: Rows
    confidence: Floats


class PolicyAgent:
    """Proposes what the policies in force find. It remembers since when conditions hold, nothing else.

    That memory is lost at a restart, which can only delay a proposal.

    Attributes:
        refused: by policy, why its selection of targets is not used at all.
    """

    def __init__(self) -> None:
        self.refused: dict[str, str] = {}
        self._holds: dict[str, Holds] = {}
        self._catalog: Catalog | None = None
        self._shared = Shared()
        self._census = Census()

    def propose(
        self, now: float, snapshot: Snapshot, policies: Sequence[Policy], state: State, limits: Limits = LIMITS
    ) -> Proposals:
        """The best targets for which a policy's condition holds for as long as it asks; the others are counted.

        Best are those that may get an episode, and of the open ones as many that may be begun as a tick looks at.
        """
        self._holds = {p.hash: self._holds.get(p.hash) or Holds() for p in policies}
        if self._catalog is None or not self._catalog.still(snapshot):
            self._catalog = Catalog(snapshot)
        truths = self._shared.truths(policies, snapshot, self._catalog)
        standings = _standings(now, snapshot, policies, state, limits)
        ill = np.zeros(len(snapshot.targets), np.bool_)
        fresh, waiting, crowd = list[_Room](), list[_Shortlist](), dict[str, int]()
        for policy in policies:
            shared = truths.get(policy.hash)
            found = search(policy, snapshot, self._holds[policy.hash], now, self._catalog, shared)
            if policy.severity >= Severity.WARNING:
                ill[found.begun] = True
            standing = standings.get(policy.name, _NOTHING)
            crowd[policy.name] = len(found.rows) - int(_marked(ill, standing.rows)[found.rows].sum())
            if crowd[policy.name] and standing.count < limits.max_open_episodes:
                fresh.append(_Room(found, standing, limits.max_open_episodes - standing.count))
            if standing.waiting:
                open_ = found.rows[_marked(ill, standing.waiting)[found.rows]]
                waiting += _shortlist(found, open_, len(open_), state)
        opened = _proposals(_to_open(fresh, state), state)
        for proposal in opened:
            crowd[proposal.key.policy] -= 1
        looked_at = considered(_best(waiting), PLANNED_PER_SLOT * limits.max_concurrent, now)
        selections = ((policy.name, self._holds[policy.hash].selection) for policy in policies)
        self.refused = {name: chosen.refused for name, chosen in selections if chosen and chosen.refused}
        return Proposals(
            (*opened, *_proposals(looked_at, state)),
            self._census.count(snapshot, ill),
            {name: count for name, count in crowd.items() if count},
        )


def _marked(like: Bools, rows: Sequence[int]) -> Bools:
    """True in these rows."""
    marks = np.zeros(len(like), np.bool_)
    marks[rows] = True
    return marks


def _standings(
    now: float, snapshot: Snapshot, policies: Sequence[Policy], state: State, limits: Limits
) -> Mapping[str, _Standing]:
    """The open episodes, by policy."""
    masks, rows = Masks(now, state, limits), snapshot.rows
    by_name = {policy.name: (policy, _Standing()) for policy in policies}
    for key, episode in state.episodes.items():
        if (entry := by_name.get(key.policy)) is None:
            continue
        policy, standing = entry
        standing.count += 1
        if (row := rows.get(key.target)) is None:
            continue
        standing.rows.append(row)
        waits = episode.intent is None and not episode.needs_human and episode.policy_hash == policy.hash
        if waits and not masks.told(policy, episode):
            standing.waiting.append(row)
    return {name: standing for name, (_, standing) in by_name.items() if standing.count}


def _to_open(rooms: Sequence[_Room], state: State) -> Sequence[tuple[Findings, int]]:
    """What may get an episode at this tick; in a mass failure the policies that rank first leave nothing to others."""
    ranked = sorted(rooms, key=lambda room: _rank(room.found.policy))
    lists, left = list[_Shortlist](), OPENED_PER_TICK
    for _, equals in groupby(ranked, key=lambda room: _rank(room.found.policy)):
        for found, standing, room in equals:
            new = found.rows[~_marked(np.empty(len(found.snapshot.targets), np.bool_), standing.rows)[found.rows]]
            lists += _shortlist(found, new, min(room, OPENED_PER_TICK), state)
        left = OPENED_PER_TICK - sum(len(one.rows) for one in lists)
        if left <= 0:
            break
    return _best(lists)[:OPENED_PER_TICK]


def _rank(policy: Policy) -> tuple[int, int]:
    return -policy.severity, -policy.priority


def _shortlist(found: Findings, rows: Rows, most: int, state: State) -> list[_Shortlist]:
    """The surest of these findings, as one list or none."""
    if not len(rows):
        return []
    track = state.track.get((found.policy.name, found.policy.rungs[0].action), Track())
    sure = confidences(found.support(rows), reliability(track))
    if len(rows) > most:
        best = np.lexsort((rows, -sure))[:most]
        rows, sure = rows[best], sure[best]
    return [_Shortlist(found, rows, sure)]


def _best(lists: Sequence[_Shortlist]) -> list[tuple[Findings, int]]:
    """All candidates as findings and row, best first: by severity, priority, confidence, name."""
    if not lists:
        return []
    sizes = [len(one.rows) for one in lists]
    names = {name: at for at, name in enumerate(sorted(one.found.policy.name for one in lists))}
    ranks = [(*_rank(one.found.policy), names[one.found.policy.name]) for one in lists]
    severity, priority, name = np.array(ranks).repeat(sizes, axis=0).T
    rows, sure = np.concatenate([one.rows for one in lists]), np.concatenate([one.confidence for one in lists])
    order = np.lexsort((rows, name, -sure, priority, severity))
    which = np.arange(len(lists)).repeat(sizes)[order].tolist()
    return [(lists[at].found, row) for at, row in zip(which, rows[order].tolist(), strict=True)]


def _proposals(picked: Sequence[tuple[Findings, int]], state: State) -> list[Proposal]:
    """What was picked, as objects."""
    rows: dict[str, tuple[Findings, list[int]]] = {}
    for found, row in picked:
        rows.setdefault(found.policy.hash, (found, []))[1].append(row)
    return [
        _proposal(found.policy, finding, state)
        for found, of in rows.values()
        for finding in found.build(np.array(of, np.intp))
    ]


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


def standing_wishes(
    snapshot: Snapshot, state: State, policies: Mapping[str, Policy], but: Sequence[Proposal]
) -> list[Proposal]:
    """The wishes of open episodes that were told why they are held and were not looked at again, for people to see.

    Args:
        snapshot: their condition still holds in it.
        state: with their episodes, and the evidence these were opened with.
        policies: by hash.
        but: those that were looked at.
    """
    looked_at, truths, wishes = {p.key for p in but}, dict[str, Truth](), list[Proposal]()
    for key, episode in state.episodes.items():
        policy, row = policies.get(episode.policy_hash), snapshot.rows.get(key.target)
        if policy is None or row is None or episode.held is None or episode.needs_human or key in looked_at:
            continue
        if policy.hash not in truths:
            truths[policy.hash] = policy.when.evaluate(columns_at(snapshot, policy.when.columns))
        if truths[policy.hash].true[row]:
            wishes.append(Proposal(key, policy.hash, episode.evidence))
    return wishes


def together(asked: Sequence[Proposal], found: Proposals) -> Proposals:
    """What people ask and what policies found."""
    return Proposals((*asked, *found.best), found.counts, found.crowd)
