"""A process that does everything a store does, twice over one journal; prints what it was told, as it was told.

Usage: store_writer.py DIRECTORY. It goes on where the last one ended, however that ended.
"""

import json
import os
import sys
from contextlib import closing
from pathlib import Path

from audit.checkpoint import Signer, require_exported, save
from audit.journal import Claim, Entry, Spend
from audit.prune import Wish, prune
from audit.stores.sqlite import SqliteStore

NAME = "trail.db"
APPENDS = 10


def tell(**said: object) -> None:
    """One line, written at once."""
    os.write(1, json.dumps(said).encode() + b"\n")


def main(directory: Path) -> None:
    """Two leaderships, each with records, claims, budgets, signed checkpoints; pruned in between."""
    for _ in range(2):
        with closing(SqliteStore(directory / NAME)) as store:
            signer = Signer.open(directory)
            require_exported(store, directory, signer.public)
            epoch = store.lead("writer")
            tell(epoch=epoch)
            for number in range(APPENDS):
                name = f"{epoch}-{number}"
                spend = Spend("b", float(number), 1, 10**6, 60.0)
                entries = [Entry(float(number), "a", "k", name, b"x" * 700)] * 2
                first = store.append(entries, epoch=epoch, claims=[Claim(name, name)], spends=[spend])
                tell(head=first + 1, hash=store.head()[1].hex(), claim=name)
                if number % 5 == 4:
                    save(store, signer, directory, b"state", (first + 1, float(number)))
                    tell(signed=first + 1)
        tell(gone=prune(directory / NAME, Wish(1e9, "writer", "test"), 1.0).first - 1)
    tell(done=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
