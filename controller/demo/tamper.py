"""A forger: changes one bit of a copied trail, in the file itself, so that no database has a say in it."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

from controller.core.records import Intent, decode

VOUCHERS = ("signing.pub", "checkpoints.jsonl")
"""Beside the trail: the key, and the checkpoints that were exported from it."""
SMALL = 2_000
"""Bytes: such a body lies in one piece in the file."""


def flip(trail: Path, folder: Path) -> tuple[int, str]:
    """Copy a trail, with what vouches for it, and flip the lowest bit of one byte in the middle of an intent's body.

    Args:
        trail: the store, which may be in use.
        folder: where the copy is made; it must not exist yet.

    Returns:
        Which record, and what the byte became, in words.

    Raises:
        LookupError: the trail holds no intent whose body lies in one piece.
    """
    copy = _copy(trail, folder)
    with contextlib.closing(sqlite3.connect(copy)) as store:
        rows = store.execute("SELECT seq, body FROM entries WHERE length(body) < ? ORDER BY seq", (SMALL,)).fetchall()
    content = bytearray(copy.read_bytes())
    for seq, body in rows:
        if not isinstance(decode(body), Intent) or content.count(body) != 1:
            continue
        place = content.index(body) + len(body) // 2
        before = content[place]
        content[place] ^= 1
        copy.write_bytes(content)
        return seq, f"{chr(before)!r} became {chr(content[place])!r}"
    raise LookupError("the trail holds no intent that could be changed")


def _copy(trail: Path, folder: Path) -> Path:
    """A whole copy in one file, as a backup would make it."""
    folder.mkdir()
    for beside in VOUCHERS:
        shutil.copy(trail.with_name(beside), folder)
    copy = folder / trail.name
    with (
        contextlib.closing(sqlite3.connect(f"file:{trail}?mode=ro", uri=True)) as source,
        contextlib.closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
        target.execute("PRAGMA journal_mode=DELETE")  # one file: the copy needs no companion
    return copy
