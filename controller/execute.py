"""`auto execute`: admit once, at most so many, and wait until each is verified or undone."""

from dataclasses import dataclass, field
from threading import Event
from time import monotonic

from controller.core.records import Step
from controller.core.state import State
from controller.loop import Board, Loop

SETTLE_TICKS, SETTLE_SECONDS = 12, 10.0
"""Beyond a policy's `for` and the warm-up: ticks in which confidence may still grow, and time for probes to notice."""


@dataclass(slots=True)
class Report:
    """What came of it.

    Attributes:
        started: ids of the episodes that were admitted.
        open: ids of those that were neither verified nor undone when the time was over.
    """

    started: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def note(self, state: State) -> None:
        """What this leadership admitted; what an earlier one began is followed up, and is no start of ours."""
        for episode in state.episodes.values():
            ours = episode.epoch == state.epoch and episode.intent is not None and episode.intent.step is Step.DO
            if ours and episode.id not in self.started:
                self.started.append(episode.id)

    def waits(self, state: State, *, wait_closed: bool) -> bool:
        """Something is being performed or verified; with `wait_closed`, something that was admitted is not over."""
        if not wait_closed:
            return bool(state.under_way())
        return any(e.id in self.started and not e.needs_human for e in state.episodes.values())


def execute(loop: Loop, interval: float, most: int, *, wait_closed: bool, stop: Event) -> Report:
    """Turn the loop until what it admitted is done.

    Args:
        loop: not running elsewhere.
        interval: seconds between turns.
        most: starts that may be admitted.
        wait_closed: wait until the episodes are closed, releases included; else until verified or undone.
        stop: ends it early.
    """
    loop.allowance = most
    report = Report()
    began, looking = monotonic(), True
    while not stop.is_set():
        loop.turn()
        board = loop.board
        if board is not None:
            looking = looking and loop.allowance > 0 and monotonic() - began < _observed(board, interval)
            if not looking:
                loop.allowance = 0
            report.note(board.state)
            if not looking and not report.waits(board.state, wait_closed=wait_closed):
                break
        stop.wait(interval)
    if loop.board is not None:
        report.open = [e.id for e in loop.board.state.episodes.values() if e.id in report.started and e.under_way]
    return report


def _observed(board: Board, interval: float) -> float:
    """Seconds in which every condition that holds now has had the time to be acted on."""
    longest = max((policy.delay for policy in board.rules.policies.values()), default=0.0)
    return longest + board.rules.limits.warmup + max(SETTLE_SECONDS, SETTLE_TICKS * interval)
