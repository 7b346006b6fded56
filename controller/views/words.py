"""Records, episodes and numbers as people read them."""

from collections.abc import Iterable
from datetime import UTC, datetime

from actions.plan import Change
from controller.core.records import (
    AnyRecord,
    Closed,
    Crowded,
    Failed,
    Held,
    Intent,
    Key,
    Led,
    Loaded,
    Opened,
    Outcome,
    Passed,
    Said,
    Step,
    Storm,
)
from controller.core.state import Episode
from telemetry.verdict import Verdict

_UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "m"), (1.0, "s"))
_STEPS = {Step.DO: "Do", Step.UNDO: "Undo of", Step.RELEASE: "Release of", Step.REDO: "Redo of"}
_OUTCOMES = {Verdict.PASS: "written", Verdict.FAIL: "not written", Verdict.UNKNOWN: "may have been written"}


def span(seconds: float) -> str:
    """A length of time in at most two units: `2d4h`, `3m20s`, `0s`."""
    left = max(0, int(seconds))
    for i, (size, unit) in enumerate(_UNITS):
        if left >= size:
            count, rest = divmod(left, int(size))
            below = _UNITS[i + 1 : i + 2]
            more = int(rest // below[0][0]) if below else 0
            return f"{count}{unit}" + (f"{more}{below[0][1]}" if more else "")
    return "0s"


def instant(at: float) -> str:
    """A point in time, in UTC to the millisecond, as RFC 3339."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def changes_in_words(changes: Iterable[Change]) -> str:
    """What is written: `restart instance 0, instances 2 → 4`; no more than three are named."""
    named = [_change(change) for change in changes]
    more = f" and {len(named) - 3} more" if len(named) > 3 else ""
    return ", ".join(named[:3]) + more or "nothing is written"


def _change(change: Change) -> str:
    parts = change.path.split("/")
    if len(parts) == 3 and parts[2] == "incarnation":
        how = " at once" if str(change.after).endswith("!") else ""
        return f"restart instance {parts[1]}{how}"
    name = "instances" if change.path == "desired" else change.path
    return f"{name} {change.before} → {change.after}"


def sentence(record: AnyRecord) -> str:
    """A record as one sentence; it names no time and no kind, for those stand beside it."""
    match record:
        case Opened():
            text = f"{record.episode} opened: {on(record.key)} (confidence {record.evidence.confidence:.2f})"
        case Held():
            text = _and(f"held {on(record.key)}: {record.reason}", record.detail)
        case Intent() | Outcome() | Passed() | Failed():
            text = _step(record)
        case Closed():
            text = _and(f"{on(record.key)} ended: {record.result}", record.detail)
        case _:
            text = _statement(record)
    return text


def _step(record: Intent | Outcome | Passed | Failed) -> str:
    match record:
        case Intent():
            what = f"{_STEPS[record.step]} {record.action} on {record.key.target.ref}"
            return f"{record.id} {what}: {changes_in_words(record.changes)}"
        case Outcome():
            settled = ", found by reading back" if record.settled else ""
            return _and(f"i{record.number} {_OUTCOMES[record.result]}{settled}", record.detail)
        case Passed():
            return f"i{record.number} verified: it helped {record.key.target.ref}"
        case Failed():
            return _and(f"i{record.number} did not help {record.key.target.ref}", record.detail)


def _statement(record: Crowded | Storm | Said | Loaded | Led) -> str:
    match record:
        case Crowded():
            return f"{record.count} more targets of {record.policy} are sick than may have an episode"
        case Storm():
            return f"storm in {record.group} is over" if record.over else storm(record)
        case Said():
            about = record.about or (record.request.target.ref if record.request else "")
            return f"{record.who} said {' '.join(filter(None, (record.verb.value, about)))}: {record.why}"
        case Loaded() if not record.hash:
            return f"policy {record.policy} is gone"
        case Loaded():
            why = "for one request" if record.once else "in force"
            return f"policy {record.policy} {why} ({record.hash[:12]})"
        case Led():
            return f"leadership {record.epoch} began: {record.holder}"


def storm(record: Storm) -> str:
    """A storm that is not over: where, why, and until when nothing new starts."""
    until = f"before {instant(record.until)}" if record.until else "until it is calm"
    return f"storm in {record.group}: {record.why}; nothing new {until}"


def on(key: Key) -> str:
    """An episode's key: `restart-hung on shop/checkout`; the namespace is said once where it is the same."""
    return f"{key.policy.removeprefix(key.target.namespace + '/')} on {key.target.ref}"


def count(number: int, one: str, many: str = "") -> str:
    """`1 policy`, `2 policies`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def _and(text: str, detail: str) -> str:
    return f"{text} ({detail})" if detail else text


def phase(episode: Episode) -> str:
    """How far an episode has come, in a few words; the first word says who is to move."""
    intent, outcome = episode.intent, episode.outcome
    if episode.needs_human:
        return "needs human"
    if intent is None:
        return f"held: {episode.held}" if episode.held else "open"
    if outcome is None:
        return f"{_STEPS[intent.step]} {intent.action}".removeprefix("Do ") + " under way"
    if episode.judged == intent.number:
        held = intent.stage < len(intent.plan.release)
        return f"{intent.action} held" if held else f"{intent.action} verified"
    return f"{intent.action} verifying" if intent.step in (Step.DO, Step.REDO) else f"{intent.step} verifying"
