"""The trail, opened by the command line: to read, or to append what a person says."""

import contextlib
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from controller.cli.errors import CliError

if TYPE_CHECKING:
    from audit.journal import Store
    from controller.core.records import AnyRecord


def user() -> str:
    """Who asks, as the operating system names them."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def append_said(state: Path, verb: str, why: str) -> int:
    """Append a person's statement; returns its number.

    Raises:
        JournalError: the store did not take it, or is gone: a second trail must not begin in its place.
        OSError: its directory can not be made.
    """
    from audit.checkpoint import EXPORT
    from audit.journal import Unavailable
    from audit.stores.sqlite import SqliteStore
    from controller.clock import Clock
    from controller.core.records import Said, Verb
    from controller.settings import STORE
    from controller.trail import say

    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (state / EXPORT).exists() and not (state / STORE).exists():
        raise Unavailable(f"{state / STORE} is gone, though {EXPORT} tells of it. Put it back")
    with contextlib.closing(SqliteStore.open(state / STORE)) as store:
        return say(store, Said(Clock().now(), user(), Verb(verb), why))


@contextlib.contextmanager
def reading(state: Path) -> "Iterator[Store]":
    """The store, opened read-only.

    Raises:
        CliError: there is none, or it can not be read.
    """
    from audit.journal import JournalError
    from audit.stores.sqlite import SqliteStore
    from controller.settings import STORE

    path = state / STORE
    if not path.exists():
        hint = "`auto loop` makes it, or say which with --state"
        raise CliError(f"no trail in {state}", "NoTrail", hint=hint)
    try:
        with contextlib.closing(SqliteStore.open(path, read_only=True)) as store:
            yield store
    except JournalError as error:
        raise CliError(f"{path} can not be read: {error}", type(error).__name__) from error


def read_records(state: Path) -> "Iterator[AnyRecord]":
    """Every record of the trail that this version can read."""
    import msgspec

    from controller.core.records import decode

    with reading(state) as store:
        for stored in store.after(0):
            with contextlib.suppress(msgspec.DecodeError):
                yield decode(stored.body)
