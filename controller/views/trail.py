"""The trail as people read it."""

from typing import Any, Protocol

import msgspec

from controller.core.records import AnyRecord, decode
from controller.views.words import instant, sentence


class Stored(Protocol):
    """What the journal gives back: an envelope around opaque bytes."""

    @property
    def seq(self) -> int:
        """Place in the trail."""

    @property
    def at(self) -> float:
        """Epoch seconds."""

    @property
    def epoch(self) -> int | None:
        """Leadership that appended it; None for a statement."""

    @property
    def actor(self) -> str:
        """Who."""

    @property
    def kind(self) -> str:
        """What kind of record."""

    @property
    def subject(self) -> str:
        """About what."""

    @property
    def body(self) -> bytes:
        """The record."""


def trail_row(stored: Stored) -> dict[str, Any]:
    """One entry as a row; a body that this version cannot read is shown by its envelope, never left out."""
    return {
        "seq": stored.seq,
        "at": instant(stored.at),
        "epoch": stored.epoch,
        "actor": stored.actor,
        "kind": stored.kind,
        "subject": stored.subject,
        "text": _text(stored),
    }


def trail_entry(stored: Stored) -> dict[str, Any]:
    """One entry with everything in it."""
    record = _record(stored)
    return trail_row(stored) | {"record": msgspec.to_builtins(record) if record is not None else None}


def _record(stored: Stored) -> AnyRecord | None:
    try:
        return decode(stored.body)
    except msgspec.DecodeError:  # covers ValidationError
        return None


def _text(stored: Stored) -> str:
    record = _record(stored)
    return sentence(record) if record is not None else "(this version cannot read the record)"
