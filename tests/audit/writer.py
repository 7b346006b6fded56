"""A process that appends until it is told or made to stop; prints each acknowledged number after its append returned.

Usage: writer.py DIRECTORY COUNT [actor]
"""

import os
import sys
from pathlib import Path

from audit.journal import Entry
from audit.stores.sqlite import SqliteStore


def main() -> None:
    directory, count, actor = Path(sys.argv[1]), int(sys.argv[2]), (sys.argv[3:] or ["writer"])[0]
    store = SqliteStore(directory / "trail.db")
    os.write(1, b"open\n")
    for number in range(count):
        seq = store.append([Entry(float(number), actor, "Said", "s", b"x" * 700)], epoch=None)
        os.write(1, b"ack %d\n" % seq)


main()
