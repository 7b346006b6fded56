"""The loop: the only writer. Each turn folds the news, decides, makes the decision durable, and only then acts."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event
from time import monotonic
from typing import Any

import structlog

from actions.reason import Reason
from actions.registry import ACTIONS
from audit.journal import Claimed, Fenced, JournalError, OverBudget
from controller.checkpoints import Checkpoints
from controller.clock import Clock
from controller.core.agents import PolicyAgent, people, together
from controller.core.guards import GUARDS
from controller.core.records import AnyRecord, Held, Intent, Key, Outcome, Said
from controller.core.state import State
from controller.core.tick import tick
from controller.core.wish import Limits, Proposal, Proposals, Rulebook
from controller.executor import Answer, Boundary, Committed, Executor, no_fault
from controller.inbox import Refused, Waiting, statements
from controller.instrumentation import Instruments
from controller.policyset import PolicySet
from controller.trail import Trail, subject, without_starts
from controller.views.status import worst_score
from controller.views.words import sentence
from telemetry.processor import Processor
from telemetry.signals.definitions import Definitions
from telemetry.signals.load import builtin
from telemetry.snapshot import Snapshot

STOP_FILES = ("paused", "frozen")
"""Flag files in the state directory: they stop the loop even when the store is down."""

HEARD_AT_ONCE = 16
"""Statements taken in by one turn: who asks again at every answer must not keep the turn from ending."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Board:
    """What readers see: one immutable view, swapped at the end of each turn."""

    now: float
    snapshot: Snapshot
    state: State
    rules: Rulebook
    proposals: Sequence[Proposal]
    problems: tuple[str, ...]
    trouble: str
    epoch: int
    metrics: str = ""
    received: Mapping[str, Any] = field(default_factory=dict)
    signals: Definitions = field(default_factory=builtin)


@dataclass(slots=True)
class Parts:
    """What a loop is made of; `compose` makes the real ones."""

    state_dir: Path
    clock: Clock
    trail: Trail
    processor: Processor
    policies: PolicySet
    executor: Executor
    limits: Limits
    instruments: Instruments
    checkpoints: Checkpoints
    boundary: Boundary = no_fault
    received: Callable[[float], Mapping[str, Any]] = lambda _now: {}
    told: Callable[[AnyRecord], None] = lambda _record: None


class Loop:
    """Turns until stopped.

    Attributes:
        board: the newest view; None before the first turn.
        inbox: where other threads put what people ask.
        allowance: starts that may still be admitted; None for no such limit (`auto execute --max`).
    """

    def __init__(self, parts: Parts) -> None:
        self.board: Board | None = None
        self.inbox: SimpleQueue[Waiting] = SimpleQueue()
        self.allowance: int | None = None
        self._parts = parts
        self._agent = PolicyAgent()
        self._answers: list[Answer] = []  # what the store has not taken yet
        self._given: set[int] = set()  # intents that the executor has, by number
        self._trouble = ""
        parts.instruments.leads(parts.trail.epoch)

    def run(self, interval: float, stop: Event) -> None:
        """One turn per interval on the monotonic clock; a turn that is late is counted, never made up for.

        Raises:
            Fenced: another leader took over; nothing more may be done by this process.
        """
        next_at = monotonic()
        while not stop.is_set():
            self.turn()
            next_at += interval
            late = monotonic() - next_at
            if late > 0:
                self._parts.instruments.late(int(late // interval) + 1)
                next_at = monotonic()
            stop.wait(max(0.0, next_at - monotonic()))

    def refused(self, limit: str) -> None:
        """Count somebody who was turned away, or cut, before the loop heard of it; called from any thread."""
        self._parts.instruments.limit(limit)

    def finish(self) -> None:
        """At a clean stop: wait for what is being written, and record what became of it."""
        self._parts.executor.close()
        with contextlib.suppress(JournalError):
            self._parts.trail.catch_up()
            self._record_outcomes(self._parts.clock.now())

    def turn(self) -> None:
        """One turn. Whatever goes wrong in it is said and counted; the next one tries again.

        Raises:
            Fenced: another leader took over.
        """
        now = self._parts.clock.now()
        with self._parts.instruments.turn(now):
            try:
                self._turn(now)
                self._recovered("")
            except Fenced:
                raise
            except JournalError as error:
                self._recovered(f"{type(error).__name__}: {error}")
            except Exception as error:
                log.exception("turn failed")
                self._recovered(f"{type(error).__name__}: {error}")

    def _recovered(self, trouble: str) -> None:
        """Say once when trouble begins and when it ends."""
        if trouble != self._trouble:
            log.log(40 if trouble else 20, "trouble" if trouble else "recovered", why=trouble or self._trouble)
        if trouble:
            self._parts.instruments.trouble(trouble.partition(":")[0])
            self._parts.instruments.not_ready(trouble)
            if self.board:
                self.board = replace(self.board, trouble=trouble)
                with contextlib.suppress(Exception):  # what is decided stands still, what is true goes on if it can
                    now = self._parts.clock.now()
                    seen = self._parts.processor.snapshot(now)
                    self.board = replace(self.board, now=now, snapshot=seen, proposals=())
        self._trouble = trouble

    def _turn(self, now: float) -> None:
        parts, trail = self._parts, self._parts.trail
        self._see(trail.catch_up())
        snapshot = parts.processor.snapshot(now)
        self._arrivals(now, snapshot)
        self._settle(snapshot)
        proposals = self._propose(now, snapshot)
        rules = self._rules()
        parts.boundary("plan")
        records = tick(now, snapshot, trail.state, proposals, rules)
        for committed in self._commit(records):
            self._spend_allowance(committed)
            self._given.add(committed.intent.number)
            parts.executor.perform(committed)
        self._see(trail.catch_up())
        self.board = Board(
            now,
            snapshot,
            trail.state.fork(),
            rules,
            proposals,
            (*parts.policies.problems, *(f"{name}: {why}" for name, why in self._agent.refused.items())),
            "",
            trail.epoch,
            parts.instruments.address,
            parts.received(now),
            parts.policies.signals,
        )
        parts.processor.freeze(key.target for key in trail.state.episodes)
        self._show()
        if parts.checkpoints.write_if_due(now, trail):
            parts.boundary("checkpoint")

    def _show(self) -> None:
        """Tell the instruments what this turn found."""
        parts, board = self._parts, self.board
        state, instruments = parts.trail.state, parts.instruments
        open_ = len(state.unsettled())
        if open_:
            instruments.not_ready(f"{open_} intents of an earlier leadership are not settled yet")
        else:
            instruments.ready()
        probes = board.snapshot.columns.get("probe.ok") if board else None
        unknown = int((~probes.known).sum()) if probes is not None else 0
        score = worst_score(board.snapshot, board.signals) if board else None
        instruments.seen(len(state.episodes), len(state.under_way()), unknown, score)
        instruments.samples(parts.processor.counts())
        instruments.received(board.received.get("otlp", {}) if board else {})

    def _see(self, records: Sequence[AnyRecord]) -> None:
        for record in records:
            self._parts.instruments.observe(record)
            self._parts.told(record)
            log.info(sentence(record), kind=type(record).__name__, about=subject(record))

    def _arrivals(self, now: float, snapshot: Snapshot) -> None:
        """Make durable what came from outside since the last turn: outcomes, policies, people's words."""
        parts, trail = self._parts, self._parts.trail
        self._record_outcomes(now)
        parts.policies.refresh(now)
        if changes := parts.policies.changes(now, trail.state):
            self._append(changes)
            self._see(trail.catch_up())
        with contextlib.suppress(Empty):
            for _ in range(HEARD_AT_ONCE):
                self._hear(now, snapshot, self.inbox.get_nowait())

    def _record_outcomes(self, now: float) -> None:
        """Append what became of intents; what the store does not take now is kept for the next turn."""
        with contextlib.suppress(Empty):
            while True:
                self._answers.append(self._parts.executor.done.get_nowait())
        if self._answers:
            self._append([_outcome(now, answer) for answer in self._answers])
            self._answers.clear()
            self._see(self._parts.trail.catch_up())

    def _hear(self, now: float, snapshot: Snapshot, waiting: Waiting) -> None:
        trail = self._parts.trail
        try:
            records = statements(waiting.ask, now, trail.state, snapshot)
            trail.append(records, {})
            self._see(trail.catch_up())
            asked = [r.request.policy for r in records if isinstance(r, Said) and r.request is not None]
            waiting.answer.put({"seq": trail.seq, "policy": "".join(asked)})
        except Refused as refused:
            waiting.answer.put({"refused": str(refused)})
        except JournalError as error:
            waiting.answer.put({"refused": f"the store did not take it: {error}"})
            raise

    def _settle(self, snapshot: Snapshot) -> None:
        """Classify every intent that nobody is performing, as soon as its platform answers.

        Such are those of an earlier leadership, and those of an append that broke off and turned out to be kept.
        """
        trail = self._parts.trail
        for episode in trail.state.episodes.values():
            intent, target = episode.intent, episode.key.target
            if intent is None or episode.outcome is not None or intent.number in self._given:
                continue
            if target.platform not in snapshot.silent:
                self._given.add(intent.number)
                self._parts.executor.settle(Committed(intent, trail.epoch))

    def _propose(self, now: float, snapshot: Snapshot) -> Proposals:
        state, policies, limits = self._parts.trail.state, self._parts.policies, self._parts.limits
        found = self._agent.propose(now, snapshot, policies.in_force(state), state, limits)
        return together(people(state, policies.by_hash(state)), found)

    def _rules(self) -> Rulebook:
        trail = self._parts.trail
        stops = stop_flags(self._parts.state_dir)
        policies = dict(self._parts.policies.by_hash(trail.state))
        paused, frozen = stops["paused"], stops["frozen"]
        return Rulebook(policies, ACTIONS, GUARDS, self._parts.limits, paused, frozen, self.allowance)

    def _spend_allowance(self, committed: Committed) -> None:
        if self.allowance is not None and committed.intent.step == "Do":
            self.allowance -= 1

    def _commit(self, records: list[AnyRecord]) -> list[Committed]:
        """Append the decision; when the store's own lock refuses a start, everything else stands and the start is held.

        Raises:
            JournalError: nothing is durable, so nothing may be done.
        """
        if not records:
            return []
        try:
            return self._append(records)
        except (Claimed, OverBudget) as refusal:
            reason = Reason.CLAIMED if isinstance(refusal, Claimed) else Reason.RATE_LIMIT
            kept, starts = without_starts(records)
            episodes = self._parts.trail.state.episodes
            news = [key for key in starts if key not in episodes or episodes[key].held is not reason]
            held = _held(records[0].at, news, reason, str(refusal))
            return self._append([*kept, *held]) if kept or held else []

    def _append(self, records: Sequence[AnyRecord]) -> list[Committed]:
        """Append, with a boundary before and after for each kind of step in it."""
        parts, labels = self._parts, dict.fromkeys(_label(record) for record in records)
        for label in labels:
            parts.boundary(f"commit {label}")
        committed = parts.trail.append(records, parts.policies.by_hash(parts.trail.state))
        for label in labels:
            parts.boundary(f"committed {label}")
        return committed


def _label(record: AnyRecord) -> str:
    return record.step if isinstance(record, Intent) else type(record).__name__


def _held(at: float, keys: Sequence[Key], reason: Reason, detail: str) -> list[Held]:
    return [Held(at, key, reason, f"the store refused it: {detail}") for key in keys]


def _outcome(now: float, answer: Answer) -> Outcome:
    intent = answer.intent
    told = (answer.result, answer.detail, answer.found, answer.settled, answer.taken)
    return Outcome(now, intent.key, intent.number, *told)


def stop_flags(state_dir: Path) -> Mapping[str, str]:
    """Why local flag files stop us, by name; a flag that is there and cannot be read stops too."""
    reasons = {}
    for name in STOP_FILES:
        path = state_dir / name
        try:
            reasons[name] = path.read_text(errors="replace").strip() or f"{path} exists"
        except FileNotFoundError:
            reasons[name] = ""
        except OSError as error:
            reasons[name] = f"{path}: {error.strerror}"
    return reasons
