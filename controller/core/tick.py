"""The whole decision, as one pure function.

The loop appends the records in one transaction and then performs the intents among them; outcomes come back as
records of a later tick. So the same function is live, analyze, dry-run, test, replay and simulation.
"""

from collections.abc import Mapping, Sequence

from actions.plan import Plan, Refusal
from actions.reason import Reason
from controller.core.case import Case
from controller.core.follow_up import follow_up
from controller.core.guards import first_refusal
from controller.core.ranking import OPENED_PER_TICK, PLANNED_PER_SLOT, Masks, considered
from controller.core.records import AnyRecord, Closed, Crowded, Held, Intent, Key, Opened, Result, Step
from controller.core.state import Episode, State
from controller.core.storm import counts_of, storms
from controller.core.wish import Proposal, Proposals, Rulebook, Wish
from policies.policy import Policy, Severity
from telemetry.expression import Truth
from telemetry.reading import columns_at
from telemetry.snapshot import Snapshot
from telemetry.target import Target
from telemetry.verdict import Verdict

ENDED_PER_TICK = 200
"""Episodes in which nothing was begun that are ended at one tick; the others follow, for they are no hurry."""


def tick(
    now: float, snapshot: Snapshot, state: State, proposals: Sequence[Proposal], rules: Rulebook
) -> list[AnyRecord]:
    """Decide.

    Args:
        now: epoch seconds, never behind the last record.
        snapshot: what is true now.
        state: what was done before; not changed.
        proposals: what the agents would have done.
        rules: policies by hash, actions, guards and limits.

    Returns:
        Records to append together; intents among them are to be performed once they are durable.
    """
    turn = _Turn(now, snapshot, state, rules)
    turn.finish_what_is_under_way()
    turn.watch_for_storms(proposals)
    turn.admit_new(proposals)
    return turn.records


class _Turn:
    """One tick: a draft of the state carries each decision to the next, so that budgets hold within the tick."""

    def __init__(self, now: float, snapshot: Snapshot, state: State, rules: Rulebook) -> None:
        self.now, self.snapshot, self.rules = now, snapshot, rules
        self.draft = rules.draft(state)
        self._requests = set(state.requests)
        self.records: list[AnyRecord] = []
        self._truths: dict[str, Truth] = {}

    def note(self, record: AnyRecord) -> None:
        self.draft.apply(record)
        self.records.append(record)

    def finish_what_is_under_way(self) -> None:
        left = ENDED_PER_TICK
        for episode in list(self.draft.episodes.values()):
            policy = self.rules.policies.get(episode.policy_hash)
            if policy is None:
                self._orphan(episode)
                continue
            if episode.intent is None and (left == 0 or self._goes_on(episode, policy)):
                continue
            target = episode.key.target
            gone = target not in self.snapshot.rows and target.platform not in self.snapshot.silent
            case = Case(self.now, episode, self._until(policy, target), policy, self.draft, self.rules.limits, gone)
            if (record := follow_up(case)) is not None:
                self.note(record)
                left -= episode.intent is None

    def _goes_on(self, episode: Episode, policy: Policy) -> bool:
        """Nothing is begun and nothing ends it: what the table says of almost every episode of a mass failure."""
        key = episode.key
        if episode.wish is not None or key in self.draft.requests:
            return False
        row = self.snapshot.rows.get(key.target)
        if row is None or self.draft.in_force.get(key.policy) != episode.policy_hash:
            return False
        return not self._truth(policy).true[row]

    def _orphan(self, episode: Episode) -> None:
        """Nobody can judge it: its policy's content cannot be read by this version."""
        if episode.needs_human or (episode.intent and episode.outcome is None):
            return
        plan = episode.intent.plan if episode.intent else None
        result = Result.NEEDS_HUMAN if plan else Result.DROPPED
        keeps = tuple(dict.fromkeys(change.object for change in plan.changes)) if plan else ()
        detail = "the policy it was opened with cannot be read"
        self.note(Closed(self.now, episode.key, result, detail, objects=keeps))

    def _truth(self, policy: Policy) -> Truth:
        if policy.hash not in self._truths:
            columns = columns_at(self.snapshot, policy.until.columns)
            self._truths[policy.hash] = policy.until.evaluate(columns)
        return self._truths[policy.hash]

    def _until(self, policy: Policy, target: Target) -> Verdict:
        return self._truth(policy).at(self.snapshot.rows.get(target))

    def watch_for_storms(self, proposals: Sequence[Proposal]) -> None:
        if isinstance(proposals, Proposals):
            counts = proposals.counts
        else:
            ill = [p.key.target for p in proposals if not p.by_person and self._serious(p)]
            counts = counts_of(self.snapshot, ill)
        for record in storms(self.now, self.draft, counts, self.rules.limits):
            self.note(record)

    def _serious(self, proposal: Proposal) -> bool:
        return self.rules.policies[proposal.policy_hash].severity >= Severity.WARNING

    def admit_new(self, proposals: Sequence[Proposal]) -> None:
        answered = self._requests - self.draft.requests.keys()  # in this very tick: not to be begun again
        ranked = sorted((p for p in proposals if p.key not in answered), key=self._rank)
        self._open(ranked, proposals.crowd if isinstance(proposals, Proposals) else {})
        masks = Masks(self.now, self.draft, self.rules.limits)
        able, unable = list[Proposal](), list[Proposal]()
        for proposal in ranked:
            if not self._waits(proposal):
                continue
            policy, episode = self.rules.policies[proposal.policy_hash], self.draft.episodes[proposal.key]
            mask = masks.reason(policy, episode, by_person=bool(proposal.by_person))
            if mask is None:
                able.append(proposal)
            elif episode.held is not mask:
                unable.append(proposal)
        free = self.rules.limits.max_concurrent - len(self.draft.under_way())
        most = PLANNED_PER_SLOT * max(1, free)
        for proposal in (*considered(able, most, self.now), *considered(unable, most, self.now)):
            if self._waits(proposal):  # still: two agents may propose the same
                self._wish(proposal, self.draft.episodes[proposal.key])

    def _waits(self, proposal: Proposal) -> bool:
        """Its episode is open, opened with this content of the policy, and nothing is under way."""
        episode = self.draft.episodes.get(proposal.key)
        if episode is None or episode.policy_hash != proposal.policy_hash:
            return False
        return episode.intent is None and not episode.needs_human

    def _rank(self, proposal: Proposal) -> tuple[bool, int, int, float, Key]:
        """Best first: people, severity, priority, confidence, name."""
        policy = self.rules.policies[proposal.policy_hash]
        return (
            not proposal.by_person,
            -policy.severity,
            -policy.priority,
            -proposal.evidence.confidence,
            proposal.key,
        )

    def _open(self, ranked: Sequence[Proposal], uncounted: Mapping[str, int]) -> None:
        """Open an episode for the best ones; what has none, of each policy, is one aggregate record."""
        open_, crowd = dict[str, int](), dict.fromkeys(self.draft.crowded, 0) | dict(uncounted)
        for key in self.draft.episodes:
            open_[key.policy] = open_.get(key.policy, 0) + 1
        left = OPENED_PER_TICK
        for proposal in ranked:
            name = proposal.key.policy
            if proposal.key in self.draft.episodes:
                continue
            full = open_.get(name, 0) >= self.rules.limits.max_open_episodes or left == 0
            if full:
                crowd[name] = crowd.get(name, 0) + 1
                continue
            open_[name] = open_.get(name, 0) + 1
            left -= 1
            episode = f"e{self.draft.opened + 1}"
            self.note(Opened(self.now, proposal.key, episode, proposal.policy_hash, proposal.evidence))
        for name, count in crowd.items():
            before = self.draft.crowded.get(name, 0)
            if count != before and not before / 2 < count < before * 2:
                self.note(Crowded(self.now, name, count))

    def _wish(self, proposal: Proposal, episode: Episode) -> None:
        policy = self.rules.policies[proposal.policy_hash]
        plan = self._plan(episode, policy)
        if isinstance(plan, Plan):
            action = self.rules.actions[policy.rungs[episode.rung].action]
            wish = Wish(proposal, plan, policy, action, self.draft, self.snapshot, self.now, self.rules.limits)
            refusal = first_refusal(self.rules.guards, wish) or self._spent()
            if refusal is None:
                self.note(self._intent(wish))
                return
        else:
            refusal = plan
        if refusal.reason is not episode.held:
            self.note(Held(self.now, proposal.key, refusal.reason, refusal.detail))

    def _spent(self) -> Refusal | None:
        """`auto execute` admits so many and no more."""
        starts = sum(isinstance(record, Intent) and record.step is Step.DO for record in self.records)
        if self.rules.allowance is None or starts < self.rules.allowance:
            return None
        return Refusal(Reason.CONCURRENCY, "as many as were asked for have started")

    def _plan(self, episode: Episode, policy: Policy) -> Plan | Refusal:
        target, rung = episode.key.target, policy.rungs[episode.rung]
        facts = self.snapshot.facts.get(target)
        if facts is None:
            return Refusal(Reason.UNKNOWN, "the platform does not list this target")
        try:
            return self.rules.actions[rung.action].plan(target, rung.params, facts, rung.hold)
        except Exception as error:  # noqa: BLE001  an action that cannot plan refuses, whatever went wrong
            return Refusal(Reason.GUARD_ERROR, f"{rung.action}.plan: {type(error).__name__}: {error}")

    def _intent(self, wish: Wish) -> Intent:
        return Intent(
            self.now,
            wish.proposal.key,
            number=self.draft.intents + 1,
            step=Step.DO,
            rung=wish.episode.rung,
            action=wish.action.name,
            changes=wish.plan.changes,
            plan=wish.plan,
            judge_at=self.now + wish.policy.initial_delay,
            due=self.now + wish.policy.within,
            hold=wish.plan.hold,
        )
