"""pause, resume, freeze, unfreeze: with or without a loop, with or without a store."""

import os
from collections.abc import Callable
from pathlib import Path

import typer

from controller.cli.app import app
from controller.cli.errors import CliError
from controller.cli.options import Why
from controller.cli.output import Answer, tell
from controller.cli.session import Session


@app.command()
def pause(ctx: typer.Context, why: Why) -> None:
    """Start nothing new; what runs is finished."""
    _stop(ctx.obj, "pause", "paused", why)


@app.command()
def resume(ctx: typer.Context, why: Why) -> None:
    """End a pause."""
    _go(ctx.obj, "resume", "paused", why)


@app.command()
def freeze(ctx: typer.Context, why: Why) -> None:
    """Write nothing at all, not even to finish what runs."""
    _stop(ctx.obj, "freeze", "frozen", why)


@app.command()
def unfreeze(ctx: typer.Context, why: Why) -> None:
    """End a freeze."""
    _go(ctx.obj, "unfreeze", "frozen", why)


def _stop(session: Session, verb: str, flag: str, why: str) -> None:
    """By a flag file and by the trail: one of the two is enough to stop everything."""
    from controller.cli.store import append_said, user

    state = session.settings().state
    path = state / flag
    by_file = _try(lambda: _write(path, f"{user()}: {why}\n"))
    by_trail = _try(lambda: append_said(state, verb, why))
    there = path.exists()  # a flag stops as soon as it is there: its text only says why
    if by_trail and not there:
        raise CliError(f"not {flag}: {path}: {by_file}; the trail: {by_trail}", "NotStopped")
    if there and by_file:
        tell(f"warning: {path} stops, but it may not say why, or not survive a power cut: {by_file}")
    _report(session, verb, flag, "" if there else by_file, by_trail)


def _go(session: Session, verb: str, flag: str, why: str) -> None:
    """Both must be lifted: what is left of either keeps stopping."""
    from controller.cli.store import append_said

    state = session.settings().state
    by_trail = _try(lambda: append_said(state, verb, why))
    if by_trail:
        raise CliError(f"still {flag}: the trail did not take it: {by_trail}", "StillStopped")
    by_file = _try(lambda: (state / flag).unlink(missing_ok=True))
    if by_file:
        raise CliError(f"still {flag}: {state / flag} can not be removed: {by_file}", "StillStopped")
    _report(session, verb, flag, "", "")


def _report(session: Session, verb: str, flag: str, by_file: str, by_trail: str) -> None:
    stopped = verb in ("pause", "freeze")
    word = flag if stopped else f"no longer {flag}"
    if by_file:
        tell(f"warning: {flag} by the trail only, the flag file can not be written: {by_file}")
    if by_trail:
        tell(f"warning: {flag} by the flag file only, the trail did not take it: {by_trail}")
    data = {verb: True, "by_file": not by_file, "by_trail": not by_trail}
    session.emit(Answer(data=data, notes=[f"{word}; a running loop obeys within one tick"]))


def _write(path: Path, text: str) -> None:
    """Durable before anybody is told so."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, text.encode(errors="replace"))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _try(work: Callable[[], object]) -> str:
    """Why it failed; empty when it did not. Both ways are tried whatever becomes of the other."""
    from audit.journal import JournalError

    try:
        work()
    except OSError as error:
        return error.strerror or str(error)
    except JournalError as error:
        return str(error) or type(error).__name__
    return ""
