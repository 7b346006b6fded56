"""What was really done: the supervisor's effect log held against the controller's trail, both ways. Pure.

The two are written by two processes that do not know of each other's files.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from actions.reason import Reason
from actions.scale import PATH as DESIRED
from controller.core.records import AnyRecord, Closed, Held, Intent, Outcome, Result
from telemetry.verdict import Verdict

CLOCKS = 0.5
"""Seconds by which the clocks of loop and supervisor may differ: one is steered during a run, the other is not."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One line of the effect log.

    Attributes:
        event: `accepted` (a change that was asked for), `started`, `stopped`, `exited`, ...
        service: `namespace/name`.
        intent: id of the intent it serves; empty without one.
        cause: why a process was started or stopped: `asked`, `up`, `crashed`, ...
    """

    at: float
    event: str
    service: str = ""
    intent: str = ""
    path: str = ""
    before: int | str | None = None
    after: int | str | None = None
    cause: str = ""
    incarnation: str = ""


@dataclass(frozen=True, slots=True)
class Hung:
    """A worker that the demo stopped where it stood."""

    service: str
    slot: str
    pid: int
    incarnation: str

    @property
    def path(self) -> str:
        """The field that a restart of it changes."""
        return f"slots/{self.slot}/incarnation"


def read_effects(content: bytes) -> list[Effect]:
    """The lines of an effect log."""
    return [_effect(msgspec.json.decode(line)) for line in content.splitlines()]


def _effect(line: Mapping[str, Any]) -> Effect:
    target = line.get("target", {})
    service = f"{target['namespace']}/{target['name']}" if target else ""
    names = ("intent", "path", "before", "after", "cause", "incarnation")
    return Effect(line["at"], line["event"], service, **{name: line[name] for name in names if name in line})


def accepted(effects: Iterable[Effect]) -> list[Effect]:
    """The changes that the supervisor carried out because somebody asked for them."""
    return [effect for effect in effects if effect.event == "accepted"]


def harm(effects: Sequence[Effect], records: Sequence[AnyRecord], hung: Sequence[Hung]) -> list[str]:
    """Everything that made a target worse, or that nobody can account for; empty when nothing did.

    Args:
        effects: the whole effect log.
        records: the whole trail.
        hung: every worker that was really sick.
    """
    intents = {record.id: record for record in records if isinstance(record, Intent)}
    done = accepted(effects)
    return [
        *(found for effect in done if (found := _unaccounted(effect, intents.get(effect.intent)))),
        *_missing(done, records, intents),
        *_needless(done, hung),
        *_unasked(effects, done),
    ]


def _unaccounted(effect: Effect, intent: Intent | None) -> str:
    """Every accepted effect has an earlier intent that says exactly this change."""
    what = f"{effect.service} {effect.path}: {effect.before} → {effect.after}"
    if intent is None:
        return f"{what} has no intent in the trail ({effect.intent or 'none is named'})"
    if intent.at > effect.at + CLOCKS:
        return f"{what} was done before its intent {intent.id}"
    said = [(c.object.ref, c.path, c.before, c.after) for c in intent.changes]
    if (effect.service, effect.path, effect.before, effect.after) not in said:
        return f"{what} is not what its intent {intent.id} says"
    return ""


def _missing(done: Sequence[Effect], records: Sequence[AnyRecord], intents: Mapping[str, Intent]) -> list[str]:
    """Every outcome that says `written` has its effects, and every one that says `not written` has none."""
    counts = Counter(effect.intent for effect in done)
    found = []
    for outcome in (record for record in records if isinstance(record, Outcome)):
        intent = intents[f"i{outcome.number}"]
        if outcome.result is Verdict.PASS and counts[intent.id] != len(intent.changes):
            found.append(f"{intent.id} says written, and {counts[intent.id]} of {len(intent.changes)} changes were")
        if outcome.result is Verdict.FAIL and counts[intent.id]:
            found.append(f"{intent.id} says not written, and was")
    return found


def _needless(done: Sequence[Effect], hung: Sequence[Hung]) -> list[str]:
    """A restart hits only what is sick, and each sickness once."""
    restarts = Counter((e.service, e.path, e.before) for e in done if e.path != DESIRED)
    sick = {(h.service, h.path, h.incarnation) for h in hung}
    healthy = [
        f"{service} {path}: {before} was healthy"
        for service, path, before in restarts
        if (service, path, before) not in sick
    ]
    twice = [f"{service} {path}: restarted {n} times" for (service, path, _), n in restarts.items() if n > 1]
    return healthy + twice


def _unasked(effects: Sequence[Effect], done: Sequence[Effect]) -> list[str]:
    """A process ends because of an accepted change, or not at all."""
    asked = {effect.intent for effect in done}
    ended = [e for e in effects if e.event in ("stopped", "exited") and (not e.intent or e.intent not in asked)]
    return [f"{e.service} {e.incarnation} {e.event} ({e.cause}): nobody asked for it" for e in ended]


def restarts_of(effects: Iterable[Effect], worker: Hung) -> list[Effect]:
    """The accepted restarts of this very process."""
    return [
        effect
        for effect in accepted(effects)
        if (effect.service, effect.path, effect.before) == (worker.service, worker.path, worker.incarnation)
    ]


def held_reasons(records: Iterable[AnyRecord]) -> dict[str, int]:
    """How often a wish was held, by reason, most first."""
    counts = Counter(record.reason.value for record in records if isinstance(record, Held))
    return dict(counts.most_common())


def held_by_storm(records: Iterable[AnyRecord]) -> set[str]:
    """The targets for which something would have been begun, had it not been for a storm."""
    return {r.key.target.ref for r in records if isinstance(r, Held) and r.reason is Reason.STORM}


def results(records: Iterable[AnyRecord], policy: str) -> Counter[Result]:
    """How the episodes of a policy ended."""
    return Counter(record.result for record in records if isinstance(record, Closed) and record.key.policy == policy)


def open_intents(records: Iterable[AnyRecord]) -> list[Intent]:
    """Intents without an outcome."""
    found: dict[int, Intent] = {}
    for record in records:
        if isinstance(record, Intent):
            found[record.number] = record
        elif isinstance(record, Outcome):
            found.pop(record.number, None)
    return list(found.values())
