"""What is said in a cluster's API about our doing, as plain objects: status of policies, episodes, Events. All pure.

It is said where people look; the trail stays the authority. Each may be late, and is bounded in number and size.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from actions.reason import Reason
from controller.cluster.crds import GROUP, VERSION
from controller.core.records import AnyRecord, Closed, Held, Intent, Outcome, Passed, Result
from controller.core.state import Episode, State
from controller.views.words import changes_in_words, phase, sentence
from policies.policy import Mode, Policy
from telemetry.documents import Problem
from telemetry.target import Target
from telemetry.verdict import Verdict

PLATFORM = "kubernetes"
WOULD_ACT = (Reason.MODE, Reason.NEEDS_APPROVAL)
"""Only the policy's mode, or a missing yes, stands in the way."""
_LONGEST = 1024
_API = {"Deployment": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1", "Pod": "v1"}


@dataclass(frozen=True, slots=True)
class Standing:
    """What became of a policy object.

    Attributes:
        generation: of the object that this is about.
        policy: what is in force of it; None where nothing ever was.
        problems: why the object as it is now is not in force.
    """

    generation: int
    policy: Policy | None
    problems: Sequence[Problem] = ()


def instant(at: float, digits: str = "seconds") -> str:
    """A point in time as the API writes it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec=digits).replace("+00:00", "Z")


def text(of: str) -> str:
    """A text that fits."""
    return of if len(of) <= _LONGEST else of[: _LONGEST - 1] + "…"


def policy_status(
    name: str, standing: Standing, state: State, ended: Mapping[Result, int], before: Mapping[str, Any], now: float
) -> dict[str, Any]:
    """The status of a policy object.

    Args:
        name: of the policy.
        standing: whether the object is in force.
        state: what is open.
        ended: how its episodes ended, over the object's whole life.
        before: its status until now, so that a condition keeps the time of its last change.
        now: epoch seconds.
    """
    mine = [episode for episode in state.episodes.values() if episode.key.policy == name]
    waiting = [episode for episode in mine if episode.intent is None and not episode.needs_human]
    held = Counter(episode.held for episode in waiting if episode.held is not None)
    return {
        "observedGeneration": standing.generation,
        "hash": standing.policy.hash if standing.policy is not None else "",
        "conditions": [_ready(standing, before, now)],
        "open": len(mine),
        "wouldAct": sum(held[reason] for reason in WOULD_ACT),
        "held": [{"reason": reason.value, "count": count} for reason, count in sorted(held.items())],
        "recovered": ended.get(Result.RECOVERED, 0),
        "healed": ended.get(Result.HEALED, 0),
        "undone": ended.get(Result.UNDONE, 0),
        "needsHuman": sum(episode.needs_human for episode in mine),
    }


def _ready(standing: Standing, before: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Whether the object, as it is now, is what the controller goes by."""
    if standing.problems:
        stays = " The last good one stays in force." if standing.policy is not None else ""
        told = "; ".join(str(problem).partition(": ")[2] for problem in standing.problems)
        status, reason, message = "False", "Invalid", f"{text(told)}.{stays}"
    elif standing.policy is None:
        status, reason, message = "Unknown", "NotYet", "it was not looked at yet"
    else:
        mode = standing.policy.mode
        acts = "it writes down what it would do" if mode is Mode.OBSERVE else f"its mode is {mode.label}"
        status, reason, message = "True", "InForce", f"in force: {acts}"
    old: Mapping[str, Any] = next((each for each in before.get("conditions") or () if each.get("type") == "Ready"), {})
    since = old.get("lastTransitionTime") if old.get("status") == status else None
    return {
        "type": "Ready",
        "status": status,
        "observedGeneration": standing.generation,
        "lastTransitionTime": since or instant(now),
        "reason": reason,
        "message": message,
    }


def episode_status(episode: Episode) -> dict[str, Any]:
    """The status of an open episode."""
    intent, target = episode.intent, episode.key.target
    return {
        "policy": episode.key.policy,
        "target": f"{target.kind}/{target.name}",
        "uid": target.uid,
        "state": text(phase(episode)),
        "action": intent.action if intent else "",
        "changes": text(changes_in_words(intent.changes)) if intent else "",
        "held": episode.held.value if episode.held else "",
        "result": Result.NEEDS_HUMAN.value if episode.needs_human else "",
        "detail": text(episode.detail or episode.held_detail),
        "opened": instant(episode.opened_at),
        "attempts": episode.attempts,
        "confidencePercent": round(100 * episode.evidence.confidence),
    }


def ended_status(closed: Closed) -> dict[str, Any]:
    """The status of an episode that ended; one that was short may have had none before."""
    target = closed.key.target
    about = {"policy": closed.key.policy, "target": f"{target.kind}/{target.name}", "uid": target.uid}
    ended = {"result": closed.result.value, "detail": text(closed.detail), "held": "", "closed": instant(closed.at)}
    return about | ended | {"state": f"ended: {closed.result.value}"}


def event(record: AnyRecord, number: int, reporter: str) -> dict[str, Any] | None:
    """A record about a target as an Event on it; None for a record that is about none, or that nobody waits for.

    Args:
        record: what happened.
        number: makes its name unique: that of the record in this process.
        reporter: who says it.
    """
    said = _worth_saying(record)
    if said is None or not isinstance(record, Held | Intent | Outcome | Passed | Closed):
        return None
    target, (kind, reason, action) = record.key.target, said
    if target.platform != PLATFORM:
        return None
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": f"{target.name[:200]}.{int(record.at * 1000):x}.{number:x}",
            "namespace": target.namespace,
        },
        "eventTime": instant(record.at, "microseconds"),
        "reportingController": f"{GROUP}/controller",
        "reportingInstance": reporter[:128],
        "type": kind,
        "reason": reason,
        "action": action,
        "regarding": reference(target),
        "note": text(f"{sentence(record)} [policy {record.key.policy}]"),
    }


def _worth_saying(record: AnyRecord) -> tuple[str, str, str] | None:
    """Kind, reason and action of an Event: intents, outcomes that are not as hoped, ends, and why nothing happens."""
    match record:
        case Intent():
            return "Normal", record.step.value, record.action
        case Outcome() if record.result is not Verdict.PASS:
            return "Warning", f"Outcome{record.result.value}", "Write"
        case Passed():
            return "Normal", "Verified", "Verify"
        case Closed():
            return "Warning" if record.result is Result.NEEDS_HUMAN else "Normal", record.result.value, "Close"
        case Held():
            return "Normal", f"Held{record.reason.value}", "Hold"
        case _:
            return None


def reference(target: Target) -> dict[str, str]:
    """A target as the API names an object."""
    named = {"kind": target.kind, "namespace": target.namespace, "name": target.name, "uid": target.uid}
    return {"apiVersion": _API.get(target.kind, "v1"), **named}


def newest(episodes: Iterable[Episode], most: int) -> list[Episode]:
    """Open episodes of a cluster's targets; those that a person must see first, then the newest."""
    ours = [episode for episode in episodes if episode.key.target.platform == PLATFORM]
    return sorted(ours, key=lambda episode: (not episode.needs_human, -episode.opened_at))[:most]


def episode_object(name: str, namespace: str) -> dict[str, Any]:
    """An Episode without its status: a status is written beside it."""
    labels = {"app.kubernetes.io/managed-by": "gyrostat"}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Episode", "metadata": metadata}
