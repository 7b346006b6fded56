"""A forger: changes one bit of a copied trail, in the file itself, so that no database has a say in it."""

import contextlib
import sqlite3
from pathlib import Path

from controller.core.records import Intent, decode

SMALL = 2_000  # bytes: such a body lies in one piece in the file


def flip(trail: Path, copy: Path) -> tuple[int, str]:
    """Copy a trail and flip the lowest bit of one byte in the middle of an intent's body.

    Args:
        trail: the store, which may be in use.
        copy: file to write.

    Returns:
        Which record, and what the byte became, in words.

    Raises:
        LookupError: the trail holds no intent whose body lies in one piece.
    """
    with contextlib.closing(sqlite3.connect(f"file:{trail}?mode=ro", uri=True)) as source:
        with contextlib.closing(sqlite3.connect(copy)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode=DELETE")  # one file: the copy needs no companion
        rows = source.execute("SELECT seq, body FROM entries WHERE length(body) < ? ORDER BY seq", (SMALL,)).fetchall()
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
