"""A walk from its title to its end, step by step; whatever happens, nothing that it started is left behind."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from controller.demo.load import Count
from controller.demo.walk import FailedError, Walk

LOG_LINES = 12
"""Of the loop's log, shown when a step fails."""
Step = tuple[str, str, Callable[[Walk], None]]
"""Name, what a person sees, what is done."""


class StoppedError(BaseException):
    """The user or the system wants the demo to end; no step may take it for a failure of its own.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def play(walk: Walk, title: str, steps: Sequence[Step], *, keep: bool = False) -> int:
    """Every step in order; the last one is the score, and takes no time worth telling.

    Args:
        walk: with a stage that is not open yet; it is closed afterwards.
        title: the very first line.
        steps: each ends as it must, or raises FailedError.
        keep: leave the folder.

    Returns:
        0 if every step ended as it must, 1 if one did not, 128 + signal if it was told to end.
    """
    with _signals():
        try:
            return _play(walk, title, steps)
        except StoppedError as stopped:
            walk.screen.bad(f"stopped by {signal.Signals(stopped.number).name}; ending what runs")
            return 128 + stopped.number
        finally:
            _deaf()
            walk.stage.close(keep=keep)


def _play(walk: Walk, title: str, steps: Sequence[Step]) -> int:
    try:
        walk.stage.open()
    except OSError as error:
        walk.screen.bad(f"there is no place for the demo's files: {error}")
        return 1
    walk.screen.title(title, [walk.stage.about])
    for number, (name, says, step) in enumerate(steps, 1):
        walk.screen.step(number, says)
        began, before = time.monotonic(), walk.requests()
        try:
            step(walk)
        except FailedError as failed:
            return _failed(walk, number, name, failed)
        except Exception as error:  # noqa: BLE001  whatever breaks is the failure of this step, and is named so
            seen = f"{type(error).__name__}: {error}"
            return _failed(walk, number, name, FailedError("everything that the step needs answers", seen))
        if number < len(steps):
            walk.screen.note("; ".join([f"{time.monotonic() - began:.1f} s", *_load(walk.requests(), before)]))
    return 0


def _load(now: dict[str, Count], before: dict[str, Count]) -> Iterator[str]:
    """What clients saw during a step, where there are any."""
    counts = {name: count - before.get(name, Count()) for name, count in now.items()}
    failed = [f"{name} {count.failed}" for name, count in counts.items() if count.failed]
    total = sum(count.ok for count in counts.values())
    if counts:
        yield f"{total} requests answered, {'unanswered: ' + ', '.join(failed) if failed else 'none lost'}"


def _failed(walk: Walk, number: int, name: str, failed: FailedError) -> int:
    walk.screen.bad(f"step {number} ({name}) did not end as it must")
    walk.screen.note(f"expected: {failed.expected}")
    walk.screen.note(f"seen: {failed.seen}")
    if walk.stage.log.exists():
        walk.screen.note("the last lines of the controller's log:")
        walk.screen.block(walk.stage.log.read_text(errors="replace").splitlines()[-LOG_LINES:])
    return 1


@contextmanager
def _signals() -> Iterator[None]:
    """Turn what ends us into an exception, so that everything is ended in order."""

    def end(number: int, _frame: FrameType | None) -> None:
        _deaf()  # once is enough
        raise StoppedError(number)

    before = {number: signal.signal(number, end) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _deaf() -> None:
    """Clean up undisturbed: it is short."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
