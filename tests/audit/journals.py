"""Journals for tests: made by the real store, in real files."""

import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from audit.checkpoint import Signer, save
from audit.journal import Entry
from audit.stores.sqlite import SqliteStore

NAME = "trail.db"


def entry(number: int, body: bytes | None = None) -> Entry:
    return Entry(
        at=1_700_000_000.25 + number,
        actor="controller",
        kind="Intent",
        subject=f"shop/checkout-{number}",
        body=b'{"n":%d}' % number if body is None else body,
    )


def entries(count: int, first: int = 1) -> list[Entry]:
    return [entry(number) for number in range(first, first + count)]


def make_journal(state_dir: Path, records: int, checkpoints: Iterable[int] = ()) -> Path:
    """A cleanly closed journal with effects, checkpoints at these records, key and export beside it."""
    state_dir.mkdir(exist_ok=True)
    signer = Signer.open(state_dir)
    wanted = sorted(checkpoints)
    with closing(SqliteStore(state_dir / NAME)) as store:
        epoch = store.lead("test")
        done = 0
        for end in sorted({*wanted, records}):
            store.append(entries(end - done, done + 1), epoch=epoch)
            done = end
            if end in wanted:
                save(store, signer, state_dir, b"state at %d" % end, (end, 1_700_000_000.0 + end))
    return state_dir / NAME


def copy(state_dir: Path, to: Path) -> Path:
    shutil.copytree(state_dir, to)
    return to / NAME


def tamper(path: Path, *statements: tuple[str, tuple[object, ...]]) -> None:
    """Change the file as somebody with SQLite and no scruples would."""
    with closing(sqlite3.connect(path)) as connection:
        for sql, arguments in statements:
            assert connection.execute(sql, arguments).rowcount != 0, "the attack changed nothing"
        connection.commit()
