"""`auto demo`: the whole walk, its score card, and an end that leaves nothing behind."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from controller.core.records import Intent, Result
from controller.demo.evidence import accepted, held_by_storm, held_reasons, results
from controller.demo.load import Count
from controller.demo.screen import Screen
from controller.demo.stage import Stage
from controller.demo.steps import STEPS
from controller.demo.walk import POLICY, SCALE, FailedError, Walk

LOG_LINES = 12
"""Of the loop's log, shown when a step fails."""


class StoppedError(BaseException):
    """The user or the system wants the demo to end; no step may take it for a failure of its own.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main(mode: str | None = None, *, keep: bool = False) -> int:
    """Run it.

    Args:
        mode: no policy acts above it; None: each policy as it says.
        keep: leave the folder, and say how to go on in it.

    Returns:
        0 if every step ended as it must, 1 if one did not, 128 + signal if it was told to end.
    """
    screen = Screen()
    with _signals():
        stage = Stage()
        try:
            return _play(Walk(stage, screen, mode or ""))
        except StoppedError as stopped:
            screen.bad(f"stopped by {signal.Signals(stopped.number).name}; ending what runs")
            return 128 + stopped.number
        finally:
            _deaf()
            stage.close(keep=keep)
            _farewell(screen, stage, keep=keep)


def _play(walk: Walk) -> int:
    try:
        walk.stage.open()
    except OSError as error:
        walk.screen.bad(f"there is no place for the demo's files: {error}")
        return 1
    walk.screen.title(
        "Gyrostat: real services, broken for real, healed while you watch",
        [f"every command runs in {walk.stage.folder}"],
    )
    for number, (name, says, step) in enumerate((*STEPS, ("score", "score card", _score)), 1):
        walk.screen.step(number, says)
        began, before = time.monotonic(), walk.requests()
        try:
            step(walk)
        except FailedError as failed:
            return _failed(walk, number, name, failed)
        except Exception as error:  # noqa: BLE001  whatever breaks is the failure of this step, and is named so
            seen = f"{type(error).__name__}: {error}"
            return _failed(walk, number, name, FailedError("everything that the step needs answers", seen))
        if step is not _score:
            walk.screen.note(f"{time.monotonic() - began:.1f} s; {_load(walk.requests(), before)}")
    return 0


def _load(now: dict[str, Count], before: dict[str, Count]) -> str:
    """What clients saw during a step."""
    counts = {name: count - before.get(name, Count()) for name, count in now.items()}
    failed = [f"{name} {count.failed}" for name, count in counts.items() if count.failed]
    total = sum(count.ok for count in counts.values())
    return f"{total} requests answered, {'unanswered: ' + ', '.join(failed) if failed else 'none lost'}"


def _score(walk: Walk) -> None:
    """Count, from what is written down, and judge.

    Raises:
        FailedError: not everything was healed, or something was made worse.
    """
    records, effects = [record for _, record in walk.stage.records()], walk.stage.effects()
    healed, harm = results(records, POLICY)[Result.HEALED], walk.harm()
    releases = [r for r in records if isinstance(r, Intent) and r.step == "Release"]
    undone, stormy = results(records, SCALE)[Result.UNDONE], held_by_storm(records)
    reasons = held_reasons(records)
    rows = [
        ("healed", str(healed), f"of {len(walk.hung)} hung workers: restarted, and seen to answer again"),
        ("released", str(len(releases)), "what was lifted after its hold"),
        ("undone", str(undone), "what did not help, and was put back"),
        ("storm", str(len(stormy)), "targets held while all were sick; each alone would have been restarted"),
        ("held", str(sum(reasons.values())), ", ".join(f"{reason} {count}" for reason, count in reasons.items())),
        ("actions", str(len(accepted(effects))), "changes in the supervisor's log, each with its earlier intent"),
        (
            "harm",
            str(len(harm)),
            "; ".join(harm) or "nothing unasked for: log and trail agree both ways, no healthy worker was touched",
        ),
    ]
    for name, count in walk.requests().items():
        total = count.ok + count.failed
        lost = f"{count.timeouts} timed out, {count.errors} failed: {100 * count.failed / max(1, total):.2f} %"
        rows.append((name, str(total), f"requests; {lost}"))
    rows.append(("seconds", f"{time.monotonic() - walk.began:.1f}", "from the first command to here"))
    walk.screen.rows(rows)
    if harm or healed != len(walk.hung):
        raise FailedError(f"{len(walk.hung)} healed and no harm", f"{healed} healed, {len(harm)} harm")


def _failed(walk: Walk, number: int, name: str, failed: FailedError) -> int:
    walk.screen.bad(f"step {number} ({name}) did not end as it must")
    walk.screen.note(f"expected: {failed.expected}")
    walk.screen.note(f"seen: {failed.seen}")
    if walk.stage.log.exists():
        walk.screen.note("the last lines of the controller's log:")
        walk.screen.block(walk.stage.log.read_text(errors="replace").splitlines()[-LOG_LINES:])
    return 1


def _farewell(screen: Screen, stage: Stage, *, keep: bool) -> None:
    if keep and stage.folder.name:
        screen.title("", [f"everything has ended, its files are kept; go on by hand in {stage.folder}:"])
        screen.block(["auto local up services.yaml", "auto loop --config gyrostat.yaml"])


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
