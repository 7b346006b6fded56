"""Holds the supervisor's effect log against the trail, both ways. Pure: it can be shown a lie and must name it.

The two files are written by two processes; what really happened stands in the effect log alone.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from controller.core.records import (
    AnyRecord,
    Closed,
    Failed,
    Intent,
    Key,
    Led,
    Opened,
    Outcome,
    Passed,
    Result,
    Said,
    Step,
    Verb,
)
from controller.core.state import fold
from telemetry.verdict import Verdict

CLOCKS = 0.5
"""Seconds by which the clocks of two processes may differ: one of them is read once per tick."""
SETTLED_WITHIN = 30.0
"""Seconds after the start of a leadership in which what an earlier one left open must be classified."""


def findings(records: Sequence[AnyRecord], effects: Sequence[Mapping[str, Any]]) -> list[str]:
    """Everything that contradicts I1, I2, I3 or the order of recovery; empty when nothing does.

    Args:
        records: the whole trail, when everything is at rest.
        effects: the accepted changes of the whole effect log, without those that the harness asked for itself.
    """
    return [
        *_unaccounted(records, effects),
        *_twice(effects),
        *_misreported(records, effects),
        *_open(records),
        *_overlapping(records),
        *_unsettled(records),
    ]


def _intents(records: Sequence[AnyRecord]) -> dict[str, Intent]:
    return {record.id: record for record in records if isinstance(record, Intent)}


def _unaccounted(records: Sequence[AnyRecord], effects: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """I1: each effect has an earlier intent with this id, target uid, path, before and after."""
    intents = _intents(records)
    for effect in effects:
        intent = intents.get(effect["intent"])
        what = f"I1: {effect['intent']} {effect['path']} {effect['before']} → {effect['after']}"
        if intent is None:
            yield f"{what}: no such intent is in the trail"
            continue
        if intent.at > effect["at"] + CLOCKS:
            yield f"{what}: was done before its intent"
        said = [(_identity(c.object), c.path, c.before, c.after) for c in _permitted(intent)]
        if (dict(effect["target"]), effect["path"], effect["before"], effect["after"]) not in said:
            yield f"{what}: the intent says something else"


def _permitted(intent: Intent) -> list[Any]:
    """What an intent may write: its changes, and of a reversible plan their inverse where only a part was written."""
    inverses = [c.inverse() for c in intent.changes] if intent.plan.undo_changes() and len(intent.changes) > 1 else []
    return [*intent.changes, *inverses]


def _identity(target: Any) -> dict[str, str]:
    return {"kind": target.kind, "namespace": target.namespace, "name": target.name, "uid": target.uid}


def _twice(effects: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    counts = Counter((e["intent"], e["path"], str(e["before"]), str(e["after"])) for e in effects)
    for (intent, path, *_), count in counts.items():
        if count > 1:
            yield f"I1: {intent} {path} was done {count} times"
    restarts = Counter((e["target"]["uid"], e["path"], e["before"]) for e in effects if "incarnation" in e["path"])
    for (_, path, before), count in restarts.items():
        if count > 1:
            yield f"I1: {path} of {before} was restarted {count} times"


def _misreported(records: Sequence[AnyRecord], effects: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Each outcome says what really happened."""
    intents, counts = _intents(records), Counter(effect["intent"] for effect in effects)
    for outcome in (record for record in records if isinstance(record, Outcome)):
        intent = intents.get(f"i{outcome.number}")
        if intent is None:
            yield f"I1: outcome of {outcome.number}, which was never intended"
        elif outcome.result is Verdict.PASS and counts[intent.id] != len(intent.changes):
            yield f"I1: {intent.id} says written; {counts[intent.id]} of {len(intent.changes)} changes were"
        elif outcome.result is Verdict.FAIL and counts[intent.id] % 2:  # written and put back makes two
            yield f"I1: {intent.id} says not written, and was"


def _open(records: Sequence[AnyRecord]) -> Iterator[str]:
    """I2: each intent is terminal, and each episode with one is over."""
    outcomes = {record.number for record in records if isinstance(record, Outcome)}
    for intent in _intents(records).values():
        if intent.number not in outcomes:
            yield f"I2: {intent.id} ({intent.step} of {intent.key}) has no outcome"
    for episode in fold(records).episodes.values():
        if episode.intent is not None:
            yield f"I2: {episode.id} ({episode.key}) is not over"


def _overlapping(records: Sequence[AnyRecord]) -> Iterator[str]:
    """I3: of one object, the attempts of two episodes never overlap."""
    at: dict[str, Key] = {}
    human: dict[str, Key] = {}
    ids: dict[Key, str] = {}
    for record in records:
        match record:
            case Opened():
                ids[record.key] = record.episode
            case Intent():
                for change in record.changes:
                    holder = at.setdefault(str(change.object), record.key)
                    if holder != record.key:
                        yield f"I3: {record.id} of {record.key} touches {change.object}, which {holder} holds"
            case Closed(result=Result.NEEDS_HUMAN):
                human[ids[record.key]] = record.key
            case Passed() | Failed() | Closed():
                at = {name: key for name, key in at.items() if key != record.key}
            case Said(verb=Verb.ACK):
                acked = human.pop(record.about, None)
                at = {name: key for name, key in at.items() if key != acked}


def _unsettled(records: Sequence[AnyRecord]) -> Iterator[str]:
    """After a takeover, what was open is classified in time, and before anything new starts."""
    open_: dict[int, Intent] = {}
    inherited: dict[int, float] = {}
    for record in records:
        match record:
            case Led():
                inherited = dict.fromkeys(open_, record.at)
            case Intent():
                if record.step is Step.DO and inherited:
                    yield f"I2: {record.id} was started before {sorted(inherited)} were settled"
                open_[record.number] = record
            case Outcome():
                open_.pop(record.number, None)
                led_at = inherited.pop(record.number, None)
                if led_at is not None and record.at - led_at > SETTLED_WITHIN:
                    yield f"I2: i{record.number} was settled {record.at - led_at:.1f} s after the start"
