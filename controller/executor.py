"""Performs intents that are durable, and settles doubt by reading. It decides nothing.

One intent is performed by one thread of a pool; its answer comes back through `done` as an `Outcome` for the loop.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from queue import SimpleQueue
from threading import Event
from time import monotonic

from actions.plan import Change
from actions.platforms import Platform
from controller.core.records import Intent, Step
from telemetry.sources.pool import ready_pool
from telemetry.verdict import Verdict

SETTLE_WITHIN, SETTLE_EVERY = 25.0, 0.5
"""Seconds: how long an ambiguous answer is read back, and how often."""

Boundary = Callable[[str], None]
"""Called at each step boundary with its name: nothing in normal runs; fault tests kill, stop or raise there.

Names: `plan`; `commit X` and `committed X` around an append that holds X (Do, Undo, Release, Redo, Outcome, Passed,
Failed, Closed); `precheck S`, `call S`, `called S` around each write of a step S; `checkpoint`.
"""


def no_fault(_boundary: str) -> None:
    """The boundary of normal runs."""


@dataclass(frozen=True, slots=True)
class Committed:
    """Proof that an intent is durable: only the trail makes one, after its transaction.

    Attributes:
        intent: what is to be done.
        epoch: leadership that committed it.
    """

    intent: Intent
    epoch: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an intent; the loop turns it into an Outcome."""

    intent: Intent
    result: Verdict
    detail: str = ""
    found: tuple[Verdict, ...] = ()
    settled: bool = False
    taken: bool = False


class Executor:
    """Performs and settles, on as many threads as attempts may be under way."""

    def __init__(
        self,
        platforms: Mapping[str, Platform],
        threads: int,
        may_write: Callable[[int], str],
        boundary: Boundary = no_fault,
    ) -> None:
        """`may_write(epoch)` answers why nothing may be written now, or an empty string; asked before each effect."""
        self.done: SimpleQueue[Answer] = SimpleQueue()
        self._platforms, self._may_write, self._boundary = platforms, may_write, boundary
        self._closing = Event()
        self._pool = ready_pool(threads, "effect")

    def perform(self, committed: Committed) -> None:
        """Write the intent's changes; answers through `done`."""
        self._pool.submit(self._guarded, self._perform, committed)

    def settle(self, committed: Committed) -> None:
        """Classify an intent whose answer was lost in a crash: read only, nothing is repeated."""
        self._pool.submit(self._guarded, self._settle, committed)

    def close(self) -> None:
        """Wait for what is under way, but no longer for platforms that do not answer."""
        self._closing.set()
        self._pool.shutdown(wait=True)

    def _guarded(self, work: Callable[[Committed], Answer], committed: Committed) -> None:
        try:
            self.done.put(work(committed))
        except Exception as error:  # noqa: BLE001  whatever broke after a send may have been written
            result = Verdict.UNKNOWN if committed.intent.changes else Verdict.FAIL  # a look writes nothing
            self.done.put(Answer(committed.intent, result, f"{type(error).__name__}: {error}"))

    def _perform(self, committed: Committed) -> Answer:
        intent = committed.intent
        found = tuple(self._holds(probe) for probe in intent.plan.probes) if not intent.changes else ()
        written: list[Change] = []
        lost = ""
        for change in intent.changes:
            self._boundary(f"precheck {intent.step}")
            if why := self._may_write(committed.epoch):
                return self._stopped(committed, written, Verdict.FAIL, why)
            self._boundary(f"call {intent.step}")
            verdict = self._apply(change, intent.id)
            self._boundary(f"called {intent.step}")
            if verdict is Verdict.UNKNOWN:
                verdict, lost = self._settled(change), "no answer, found by reading back"
            if verdict is not Verdict.PASS:
                taken = verdict is Verdict.FAIL and self._taken(intent, change)
                detail = f"{change.path}: {change.before} → {change.after}" + ", somebody else changed it" * taken
                return replace(self._stopped(committed, written, verdict, detail), taken=taken)
            written.append(change)
        return Answer(intent, Verdict.PASS, lost, found=found)

    def _stopped(self, committed: Committed, written: list[Change], verdict: Verdict, detail: str) -> Answer:
        """Part of the changes is written: put that back where it can be, so that FAIL means nothing is left."""
        intent = committed.intent
        if verdict is Verdict.UNKNOWN:
            return Answer(intent, Verdict.UNKNOWN, f"no answer, and reading back told nothing: {detail}")
        if not written:
            return Answer(intent, Verdict.FAIL, f"not written: {detail}")
        if not intent.plan.undo_changes():
            return Answer(intent, Verdict.PASS, f"{len(written)} of {len(intent.changes)} written: {detail}")
        for change in reversed(written):
            if self._may_write(committed.epoch) or self._apply(change.inverse(), intent.id) is not Verdict.PASS:
                return Answer(intent, Verdict.UNKNOWN, f"partly written and not put back: {change.path}")
        return Answer(intent, Verdict.FAIL, f"put back what was written: {detail}")

    def _settle(self, committed: Committed) -> Answer:
        intent = committed.intent
        if not intent.changes:
            return Answer(intent, Verdict.FAIL, "it writes nothing, and its answer was lost", settled=True)
        verdicts = [self._settled(change) for change in intent.changes]
        if Verdict.UNKNOWN in verdicts:
            return Answer(intent, Verdict.UNKNOWN, "the platform cannot tell", settled=True)
        written = [c for c, verdict in zip(intent.changes, verdicts, strict=True) if verdict is Verdict.PASS]
        if len(written) == len(verdicts):
            return Answer(intent, Verdict.PASS, "found written", settled=True)
        if not written:
            return Answer(intent, Verdict.FAIL, "its change is not in force", settled=True)
        answer = self._stopped(committed, written, Verdict.FAIL, "found not written")
        return Answer(intent, answer.result, answer.detail, settled=True)

    def _apply(self, change: Change, intent_id: str) -> Verdict:
        return self._platforms[change.object.platform].apply(change, intent_id)

    def _settled(self, change: Change) -> Verdict:
        """Read back until the platform can tell, for `SETTLE_WITHIN` seconds at most."""
        end = monotonic() + SETTLE_WITHIN
        while (verdict := self._holds(change)) is Verdict.UNKNOWN and monotonic() < end:
            if self._closing.wait(SETTLE_EVERY):
                break
        return verdict

    def _taken(self, intent: Intent, change: Change) -> bool:
        """Whether what we held is somebody else's now; a platform that was not reached refused nothing."""
        return intent.step is not Step.DO and self._holds(change.inverse()) is Verdict.FAIL

    def _holds(self, change: Change) -> Verdict:
        return self._platforms[change.object.platform].holds(change)
