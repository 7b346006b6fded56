"""What people ask of a running loop: checked, turned into statements, answered once they are durable."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

import msgspec

from actions.reason import Reason
from controller.core.records import OWN_STORM, AnyRecord, Loaded, Request, Said, Verb
from controller.core.state import Episode, State
from controller.views import find
from policies.policy import compile_policy
from telemetry.documents import DocumentError
from telemetry.snapshot import Snapshot
from telemetry.target import Target

ACT_EXPIRES = 60.0
"""Seconds after which a request that could not start is dropped: a wish must not wait in the dark."""


class Ask(msgspec.Struct):
    """One request of a person.

    Attributes:
        who: operating-system user, as the kernel says.
        verb, why, about: see `Said`.
        act: for `act`: {target, action: {type, <params>}, hold}.
    """

    who: str
    verb: Verb
    why: str
    about: str = ""
    act: dict[str, Any] | None = None


@dataclass(slots=True)
class Waiting:
    """A request with the place for its answer."""

    ask: Ask
    answer: SimpleQueue[Mapping[str, Any]] = field(default_factory=SimpleQueue)


class Refused(Exception):  # noqa: N818  an answer to a person, not a fault
    """The request cannot be done, and why."""


def statements(ask: Ask, now: float, state: State, snapshot: Snapshot) -> list[AnyRecord]:
    """The records of a request.

    Raises:
        Refused: it names nothing that it could be about, or asks for what cannot be.
    """
    if not ask.why.strip():
        raise Refused("say why: --why must not be empty, it is kept in the trail")
    if ask.verb is Verb.ACT:
        return _act(ask, now, state, snapshot)
    said = Said(now, ask.who, ask.verb, ask.why, ask.about)
    if ask.verb is Verb.ACK and ask.about == OWN_STORM:
        if OWN_STORM not in state.storms:
            raise Refused("there is no storm of our own actions")
        return [said]
    if ask.verb in _NEED_EPISODE:
        episode = state.by_id(ask.about)
        if episode is None:
            open_ = ", ".join(e.id for e in state.episodes.values()) or "none"
            raise Refused(f"no open episode {ask.about!r}; open: {open_}")
        if why_not := _NEED_EPISODE[ask.verb](episode):
            raise Refused(f"episode {episode.id}: {why_not}")
    return [said]


def _not_undoable(episode: Episode) -> str:
    if episode.needs_human:
        return "is over and waits for `auto ack`"
    if episode.intent is None:
        return "nothing was done yet; `auto abort` ends it"
    if not episode.intent.plan.undo_changes():
        return f"a {episode.intent.action} leaves nothing to put back"
    return ""


def _not_abortable(episode: Episode) -> str:
    return "is over and waits for `auto ack`" if episode.needs_human else ""


def _not_approvable(episode: Episode) -> str:
    if episode.held in (Reason.NEEDS_APPROVAL, Reason.IRREVERSIBLE):
        return ""
    return f"does not wait for an approval (held: {episode.held or 'no'})"


def _not_ackable(episode: Episode) -> str:
    if episode.needs_human or episode.held is Reason.ATTEMPTS_EXHAUSTED:
        return ""
    return "does not need a human; only what ended NeedsHuman is acknowledged"


_NEED_EPISODE: Mapping[Verb, Callable[[Episode], str]] = {
    Verb.UNDO: _not_undoable,
    Verb.ABORT: _not_abortable,
    Verb.APPROVE: _not_approvable,
    Verb.ACK: _not_ackable,
}


def _act(ask: Ask, now: float, state: State, snapshot: Snapshot) -> list[AnyRecord]:
    wanted = ask.act or {}
    target = find(str(wanted.get("target", "")), snapshot.targets)
    if isinstance(target, str):
        raise Refused(target)
    action = wanted.get("action", {})
    if not isinstance(action, dict):
        raise Refused("action must be an object: {type, and what the type asks for}")
    name = f"act-{state.said + 1}"
    try:
        policy = compile_policy(json.dumps(_document(name, target, action)))
    except DocumentError as error:
        raise Refused(
            "; ".join(f"{p.path}: {p.message}{f' ({p.hint})' if p.hint else ''}" for p in error.problems)
        ) from error
    request = Request(target, policy.name, policy.hash, now + ACT_EXPIRES)
    return [
        Loaded(now, policy.name, policy.hash, policy.content, once=True),
        Said(now, ask.who, ask.verb, ask.why, request=request),
    ]


_UNTIL = {"Scale": "replicas.ready >= replicas.desired"}
"""How an act is verified; otherwise by the health probe."""


def _document(name: str, target: Target, action: Mapping[str, Any]) -> dict[str, Any]:
    """The policy that a person's act is: it is planned, guarded, verified and undone as every other."""
    return {
        "apiVersion": "gyrostat.dev/v1alpha1",
        "kind": "RemediationPolicy",
        "metadata": {"name": name, "namespace": target.namespace},
        "spec": {
            "mode": "Enforce",
            "targets": {"kinds": [target.kind], "names": [target.name]},
            "when": "replicas.desired >= 0",
            "until": _UNTIL.get(str(action.get("type")), "probe.ok"),
            "action": dict(action),
            "verify": {"initialDelay": "3s", "within": "2m"},
        },
    }
