"""Runs on a small tmpfs: fill it, be refused, free it, go on. Prints what happened as JSON.

Usage: on_full_disk.py DIRECTORY
"""

import json
import sys
from pathlib import Path

from audit.checkpoint import EXPORT, Signer, save
from audit.journal import Claim, Entry, Full, Spend
from audit.stores.sqlite import SqliteStore
from audit.verify import verify


def main() -> None:
    directory = Path(sys.argv[1])
    ballast = directory / "ballast"
    ballast.write_bytes(bytes(128 << 10))
    store = SqliteStore(directory / "trail.db")
    signer = Signer.open(directory)
    epoch = store.lead("a")
    acknowledged, refusal = 0, None
    for number in range(10_000):
        entry = Entry(float(number), "a", "k", "s", b"x" * 2000)
        try:
            acknowledged = store.append(
                [entry, entry],
                epoch=epoch,
                claims=[Claim(f"o{number}", "h")],
                spends=[Spend(f"b{number}", 1.0, 1, 1, 9.0)],
            )
        except Full as error:
            refusal = str(error)
            break
    head, claims = store.head()[0], len(store.claims())
    while True:  # to the last byte, so that the export has no room either
        try:
            with ballast.open("ab", buffering=0) as file:
                file.write(bytes(64))
        except OSError:
            break
    exported = (directory / EXPORT).exists()
    try:
        save(store, signer, directory, b"state", (head, 1.0))
        checkpoint = "saved"
    except Full:
        checkpoint = "full"
    torn = (directory / EXPORT).exists() and (directory / EXPORT).stat().st_size
    ballast.unlink()
    after = store.append([entry, entry], epoch=epoch, claims=[Claim(f"o{number}", "h")])
    save(store, signer, directory, b"state", (head, 1.0))
    store.close()
    report = verify(directory / "trail.db")
    print(
        json.dumps(
            {
                "acknowledged": acknowledged,
                "refusal": refusal,
                "head": head,
                "claims": claims,
                "after": after,
                "exported before": exported,
                "checkpoint": checkpoint,
                "torn bytes": torn,
                "records": report.records,
                "problem": report.problem,
            }
        )
    )


main()
