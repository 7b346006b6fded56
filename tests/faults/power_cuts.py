"""F3: every moment at which the power may fail, and every state of the disk that it may leave.

`python -m tests.faults.power_cuts N --seed S` tries N states per setting and prints what each setting loses.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from audit.checkpoint import EXPORT, Signer, last_exported, require_exported, save
from audit.journal import Claim, Entry, JournalError, Spend
from audit.keys import KEY
from audit.prune import Wish, prune
from audit.stores import connection, sqlite
from audit.stores.sqlite import SqliteStore
from audit.verify import verify
from tests.faults.disk import Event, Files, after_each, power_cuts
from tests.faults.recording import recording

NAME = "trail.db"
APPENDS = 134
EXTRA = "PRAGMA synchronous = EXTRA"


@dataclass(frozen=True, slots=True)
class Moment:
    """What the store had told by then.

    Attributes:
        head: number of the last acknowledged record.
        epoch: acknowledged.
        signed: record of the last acknowledged checkpoint.
        gone: acknowledged to be pruned up to this record.
        key: the signing key, once it is made.
    """

    head: int = 0
    epoch: int = 0
    signed: int = 0
    gone: int = 0
    key: bytes = b""


@dataclass
class Life:
    """All that a store wrote from its making on, and what it must hold after which transaction.

    Attributes:
        hashes: of the records, from the first on.
        wholes: by the number of the last record of each transaction: claims and number of spends.
        gone: pruned up to this record in the course of it.
    """

    events: list[Event]
    hashes: list[bytes] = field(default_factory=list)
    wholes: dict[int, tuple[Mapping[str, str], int]] = field(default_factory=dict)
    gone: int = 0


def live(directory: Path, pragmas: dict[str, str]) -> Life:
    """A store is made, led, filled, signed, closed, pruned and opened again; everything is recorded."""
    now = Moment()
    with patch.object(sqlite, "PRUNE", 20), recording(directory, pragmas) as recorder:
        life = Life(recorder.events)

        def tell(**news: Any) -> None:
            nonlocal now
            now = Moment(**{name: news.get(name, getattr(now, name)) for name in Moment.__slots__})
            recorder.said(now)

        store = SqliteStore(directory / NAME)
        life.wholes[0] = ({}, 0)
        signer = Signer.open(directory)
        tell(key=(directory / KEY).read_bytes())
        for number in range(APPENDS):
            if number in (0, APPENDS * 5 // 8):
                store.close()
                if number:
                    life.gone = prune(directory / NAME, Wish(float(number), "test", "test"), float(number)).first - 1
                    assert life.gone > 20
                    tell(gone=life.gone)
                store = SqliteStore(directory / NAME)
                tell(epoch=store.lead("test"))
            some = [Entry(float(number), "a", "k", f"s{number}", b"x" * 700)] * (1 + number % 2)
            spends = [Spend(f"b{number % 7}", float(number), 1, 10**6, 3600.0)]
            claims = [Claim(f"o{number}", f"h{number}")]
            store.append(some, epoch=now.epoch, claims=claims, releases=[f"h{number - 5}"], spends=spends)
            head = now.head + len(some)
            tell(head=head)
            life.hashes += [record.hash for record in store.after(head - len(some))]
            life.wholes[head] = (dict(store.claims()), store.fetch("SELECT count(*) FROM spends")[0][0])
            if number % 25 == 24:
                save(store, signer, directory, b"state at %d" % head, (head, float(number)))
                tell(signed=head)
        store.close()
    return life


def lost(told: Moment, files: Files, life: Life, directory: Path) -> Iterator[str]:
    """What the store that starts again on this disk does not hold of what it told."""
    for name, content in files.items():
        (directory / name).write_bytes(content)
        (directory / name).chmod(0o600)
    if told.key and files.get(KEY) != told.key:
        yield "the signing key"
        return
    try:
        if told.head and NAME not in files:
            yield "the whole journal"
            return
        with closing(SqliteStore(directory / NAME)) as store:
            yield from _missing(store, told, life)
            if told.key:
                public = Signer.open(directory).public
                require_exported(store, directory, public)
                exported = last_exported(directory / EXPORT, public)
                if (exported.seq if exported else 0) < told.signed:
                    yield f"exported checkpoint {told.signed}"
            head = store.head()[0]
            if store.append([Entry(1.0, "a", "k", "s", b"after")], epoch=None) != head + 1:
                yield "its count"
        report = verify(directory / NAME)
        if not report.ok:
            yield f"verification: {report.problem}"
    except JournalError as error:
        yield f"half-made: {error}" if "another program" in str(error) else f"unopened: {error}"


def _missing(store: SqliteStore, told: Moment, life: Life) -> Iterator[str]:
    pruned = store.pruned()
    gone = pruned.seq if pruned else 0
    if gone not in (told.gone, life.gone):
        yield f"records up to {gone}, which nobody pruned"
    found = [record.hash for record in store.after(0)]
    head = gone + len(found)
    if found != life.hashes[gone:head]:
        yield "records, for others are there"
    elif head < told.head:
        yield f"records {head + 1} to {told.head}"
    elif head not in life.wholes:
        yield f"half of a transaction: it ends at {head}"
    elif (dict(store.claims()), store.fetch("SELECT count(*) FROM spends")[0][0]) != life.wholes[head]:
        yield f"claims and budgets as they were at record {head}"
    if store.epoch() < told.epoch:
        yield f"epoch {told.epoch}"
    saved = store.checkpoint()
    if (saved.seq if saved else 0) < told.signed:
        yield f"checkpoint {told.signed}"


# --- settings that are compared


@contextmanager
def unsynced_names() -> Iterator[None]:
    """The store without its own syncs of the directory."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(connection, "sync_directory", lambda _: None))
        stack.enter_context(patch.object(sqlite, "ensure", _in_place))
        yield


@contextmanager
def made_in_place() -> Iterator[None]:
    """The store without its draft: the file gets its name first and its content then."""
    with patch.object(sqlite, "ensure", _in_place):
        yield


def _in_place(path: Path) -> None:
    if not path.exists():
        connection._make(path)


@contextmanager
def as_it_is() -> Iterator[None]:
    """The store."""
    yield


@dataclass(frozen=True, slots=True)
class Setting:
    """How durable the store is asked to be."""

    name: str
    synchronous: str
    around: Callable[[], Any] = as_it_is


AS_IT_IS = Setting("as it is: EXTRA", "EXTRA")
SETTINGS = [
    AS_IT_IS,
    Setting("FULL", "FULL"),
    Setting("NORMAL", "NORMAL"),
    Setting("OFF", "OFF"),
    Setting("EXTRA, made in place", "EXTRA", made_in_place),
    Setting("EXTRA, made in place, names never synced", "EXTRA", unsynced_names),
]


@dataclass
class Found:
    """What the states of one setting lost.

    Attributes:
        states: tried.
        losing: of these, that lost something.
        examples: what, by kind of loss.
    """

    setting: str
    states: int = 0
    losing: int = 0
    examples: dict[str, str] = field(default_factory=dict)


WHOLE = slice(None)


def enumerate_cuts(
    setting: Setting, seed: int, states: int, scratch: Path, first: int | None = None, part: slice = WHOLE
) -> Found:
    """Record one life and try its crash states, at most so many, evenly chosen.

    Args:
        setting: of the store.
        seed: of every chance.
        states: to choose.
        scratch: an empty folder.
        first: only of so many events from the beginning.
        part: which of the chosen states to try.
    """
    folder = scratch / "life"
    folder.mkdir()
    with setting.around():
        life = live(folder, {EXTRA: f"PRAGMA synchronous = {setting.synchronous}"})
    found = Found(setting.name)
    cuts = power_cuts(life.events[:first], seed, chances=1 + states // len(life.events))
    chosen = sorted(random.Random(seed).sample(cuts, min(states, len(cuts))), key=lambda cut: cut.at)
    for cut, files in after_each(life.events, chosen[part]):
        with tempfile.TemporaryDirectory(dir=scratch) as place:
            losses = list(lost(cut.said or Moment(), files, life, Path(place)))
        found.states += 1
        found.losing += bool(losses)
        for loss in losses:
            found.examples.setdefault(loss.split(" ")[0].rstrip(":"), f"cut after event {cut.at}: {loss}")
    return found


def main() -> int:
    """Print one JSON line for each setting; 1 if the store as it is lost anything."""
    parser = argparse.ArgumentParser(prog="tests.faults.power_cuts", description=__doc__)
    parser.add_argument("states", type=int, help="for each setting, at most")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--only", help="the setting with this name")
    options = parser.parse_args()
    bad = 0
    for setting in SETTINGS:
        if options.only in (None, setting.name):
            began = time.monotonic()
            with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
                found = enumerate_cuts(setting, options.seed, options.states, Path(scratch))
            bad |= setting is AS_IT_IS and found.losing
            line = {"fault": "F3", "seed": options.seed, **vars(found), "seconds": round(time.monotonic() - began, 1)}
            sys.stdout.write(json.dumps(line) + "\n")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
