"""A disk that can lose its power: from what a program wrote and synced, the states in which a cut could leave it.

POSIX promises little. What a file got since its last sync may be there in any subset and any order, a single write may
be torn between two sectors, and a name that was made, changed or removed may be so, or not, until its directory was
synced, even if the file behind it was.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any

SECTOR = 512
"""Bytes that a disk writes whole or not at all."""


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes of a file, by its number: names come and go."""

    file: int
    offset: int
    data: bytes

    def onto(self, image: bytearray) -> None:
        """Do it."""
        if len(image) < self.offset:
            image.extend(bytes(self.offset - len(image)))
        image[self.offset : self.offset + len(self.data)] = self.data

    def torn(self, dice: Random) -> list["Write"]:
        """Some of its sectors only."""
        ends = range(SECTOR - self.offset % SECTOR, len(self.data) + SECTOR, SECTOR)
        edges = [0, *(min(end, len(self.data)) for end in ends)]
        spans = [(a, b) for a, b in pairwise(edges) if a < b]
        kept = [span for span in spans if dice.random() < 0.5]
        return [Write(self.file, self.offset + a, self.data[a:b]) for a, b in kept]


@dataclass(frozen=True, slots=True)
class Resize:
    """A file cut, or grown by zeros."""

    file: int
    size: int

    def onto(self, image: bytearray) -> None:
        """Do it."""
        del image[self.size :]
        image.extend(bytes(self.size - len(image)))


@dataclass(frozen=True, slots=True)
class Name:
    """A name that now means this file (None: nothing), and perhaps another that means nothing any more."""

    name: str
    file: int | None
    instead_of: str = ""

    def onto(self, names: dict[str, int]) -> None:
        """Do it."""
        names.pop(self.instead_of or self.name, None)
        if self.file is not None:
            names[self.name] = self.file


@dataclass(frozen=True, slots=True)
class Sync:
    """All of a file (None: all names of the directory) is on the disk from here on."""

    file: int | None


@dataclass(frozen=True, slots=True)
class Ack:
    """The program told somebody: what it said must be true from here on, whatever happens."""

    said: Any


Event = Write | Resize | Name | Sync | Ack
Change = Write | Resize | Name
Files = Mapping[str, bytes]


def _of(change: Change) -> int | None:
    """What must be synced for it: a file, or the directory."""
    return None if isinstance(change, Name) else change.file


@dataclass
class Disk:
    """What is safe, and what is on its way."""

    safe: dict[int, bytearray] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    pending: list[Change] = field(default_factory=list)

    def take(self, event: Event) -> None:
        """The next thing that the program did."""
        match event:
            case Sync(file):
                self._do([c for c in self.pending if _of(c) == file], self.safe, self.names)
                self.pending = [c for c in self.pending if _of(c) != file]
            case Ack():
                pass
            case _:
                self.pending.append(event)

    def after_a_cut(self, kept: list[Change]) -> Files:
        """The files, if of what was on its way only `kept` arrived, in this order."""
        touched = {change.file for change in kept if not isinstance(change, Name)}
        images = {file: bytearray(image) if file in touched else image for file, image in self.safe.items()}
        names = dict(self.names)
        self._do(kept, images, names)
        return {name: bytes(images.get(file, b"")) for name, file in names.items()}

    @staticmethod
    def _do(changes: list[Change], images: dict[int, bytearray], names: dict[str, int]) -> None:
        for change in changes:
            if isinstance(change, Name):
                change.onto(names)
            else:
                change.onto(images.setdefault(change.file, bytearray()))

    def cuts(self, dice: Random, chances: int) -> Iterator[list[Change]]:
        """What may have arrived: nothing, all, all but one, the last alone, torn writes, and any subset by chance."""
        on_its_way = self.pending
        yield []
        if not on_its_way:
            return
        yield list(on_its_way)
        yield on_its_way[-1:]
        one = dice.randrange(len(on_its_way))
        yield on_its_way[:one] + on_its_way[one + 1 :]
        yield self._torn(on_its_way, len(on_its_way) - 1, dice)
        for _ in range(chances):
            some = [change for change in on_its_way if dice.random() < 0.5]
            if some and dice.random() < 0.5:
                some = self._torn(some, dice.randrange(len(some)), dice)
            elif dice.random() < 0.5:  # nor need they arrive in order: of two writes to one place the older may stay
                dice.shuffle(some)
            yield some

    @staticmethod
    def _torn(changes: list[Change], at: int, dice: Random) -> list[Change]:
        torn = changes[at]
        return [*changes[:at], *(torn.torn(dice) if isinstance(torn, Write) else []), *changes[at + 1 :]]


@dataclass(frozen=True, slots=True)
class Cut:
    """One way in which the power can fail.

    Attributes:
        at: number of events before it.
        said: what had been acknowledged last.
        kept: what had arrived of what was on its way.
    """

    at: int
    said: Any
    kept: list[Change]


def power_cuts(events: list[Event], seed: int, chances: int = 1) -> list[Cut]:
    """Every event may be the last. No state of the disk is given twice for the same acknowledgement."""
    dice, disk, said, syncs = Random(seed), Disk(), None, 0
    given: set[tuple[Any, ...]] = set()
    found = []
    for number, event in enumerate(events, start=1):
        disk.take(event)
        syncs += isinstance(event, Sync)
        said = event.said if isinstance(event, Ack) else said
        for kept in disk.cuts(dice, chances):
            key = (syncs, id(said), *map(_identity, kept))
            if key not in given:
                given.add(key)
                found.append(Cut(number, said, kept))
    return found


def _identity(change: Change) -> tuple[Any, ...]:
    """Which change, and which sectors of it."""
    if isinstance(change, Write):
        return change.file, change.offset, len(change.data), hash(change.data)
    return (change,)


def after_each(events: list[Event], cuts: list[Cut]) -> Iterator[tuple[Cut, Files]]:
    """The files that each cut leaves; the cuts in the order of time."""
    disk, done = Disk(), 0
    for cut in cuts:
        for event in events[done : cut.at]:
            disk.take(event)
        done = cut.at
        yield cut, disk.after_a_cut(cut.kept)
