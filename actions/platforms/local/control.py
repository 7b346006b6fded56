"""What the control socket offers: the facts, compare-and-set on single fields, fresh reads, reload and down."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from actions.platforms.local.clock import wall
from actions.platforms.local.keeper import Keeper
from actions.platforms.local.probe import ask
from actions.platforms.local.slot import Slot, Why
from actions.restart import NEWER, NEWER_AT_ONCE
from actions.scale import PATH as DESIRED
from telemetry.sources.unix_rpc import Peer
from telemetry.verdict import Verdict

Reply = dict[str, Any]

_SLOT = re.compile(r"slots/(0|[1-9][0-9]{0,4})/([a-z]+)")


class Host(Protocol):
    """The supervisor, as its control socket sees it."""

    def locked(self, work: Callable[[Mapping[str, Keeper]], Reply]) -> Reply:
        """Run `work` on the services, alone."""
        ...

    def accept(self, entry: dict[str, Any]) -> None:
        """Log an effect before it happens; raises OSError where it cannot, and then it must not happen."""
        ...

    def commit(self) -> None:
        """Remember and carry out what was just accepted."""
        ...

    def ping(self) -> Reply:
        """Who answers."""
        ...

    def reload(self) -> Reply:
        """Read the services file again, wholly or not at all."""
        ...

    def down(self, *, at_once: bool) -> Reply:
        """Stop everything, with or without grace, and end."""
        ...


class Control:
    """Answers one request at a time per caller; every answer is given under the supervisor's lock."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def __call__(self, request: dict[str, Any], peer: Peer) -> Reply:
        """The reply to a request."""
        verbs: dict[str, Callable[[], Reply]] = {
            "ping": self._host.ping,
            "list": lambda: self._host.locked(_list),
            "apply": lambda: self._host.locked(lambda keepers: self._apply(keepers, request, peer)),
            "holds": lambda: self._holds(request),
            "reload": self._host.reload,
            "down": lambda: self._host.down(at_once=request.get("atOnce") is True),
        }
        verb = request.get("op")
        if not isinstance(verb, str) or verb not in verbs:
            return {"error": f"{verb!r} is unknown: {', '.join(verbs)}", "handled": False}
        return verbs[verb]()

    def _apply(self, keepers: Mapping[str, Keeper], request: dict[str, Any], peer: Peer) -> Reply:
        keeper = _find(keepers, request.get("target"))
        if keeper is None:
            return _fail("uid", "there is no such service, or it was deleted and created again")
        if keeper.service.protected:
            return _fail("protected", keeper.service.protected)
        path, before, after = request.get("path"), request.get("before"), request.get("after")
        intent = str(request.get("intent", ""))
        if path == DESIRED:
            refused, effect = _scale(keeper, before, after, intent)
        else:
            refused, effect = _restart(keeper, path, before, after, intent)
        if refused:
            return refused
        if not peer.connected():
            return _fail("gone", "who asked does not wait for the answer any more")
        try:
            self._host.accept(
                {"intent": intent, "target": keeper.target, "path": path, "before": before, "after": after}
            )
        except OSError as error:
            return _fail("log", f"the effect log cannot be written: {error.strerror}")
        effect()
        self._host.commit()
        return {"verdict": Verdict.PASS}

    def _holds(self, request: dict[str, Any]) -> Reply:
        path, after = request.get("path"), request.get("after")
        healthy = _slot_of(path, "healthy")
        if healthy is None:
            return self._host.locked(lambda keepers: _in_force(keepers, request))
        asked: list[Callable[[], bool]] = []

        def look(keepers: Mapping[str, Keeper]) -> Reply:
            keeper = _find(keepers, request.get("target"))
            slot = keeper.slots.get(healthy) if keeper else None
            if keeper is None or slot is None or slot.process is None:
                return _fail("before", "no such instance runs")
            probe, address = keeper.service.probe, slot.process.address
            if probe is None or address is None:
                return {"verdict": Verdict.UNKNOWN, "reason": "mechanism", "detail": "the service has no probe"}
            asked.append(lambda: ask(address, probe))
            return {}

        found = self._host.locked(look)
        if found:
            return found
        return {"verdict": Verdict.PASS if int(asked[0]()) == after else Verdict.FAIL}


def _scale(keeper: Keeper, before: Any, after: Any, intent: str) -> tuple[Reply, Callable[[], None]]:
    replicas = keeper.service.replicas
    effect = lambda: keeper.scale(after, Why("asked", intent))  # noqa: E731  read beside its refusals
    if type(before) is not int or before != keeper.desired:
        return _fail("before", f"{keeper.desired} instances are desired, not {before}"), effect
    if type(after) is not int or not replicas.min <= after <= replicas.max:
        return _fail("bounds", f"from {replicas.min} to {replicas.max} instances are allowed, not {after}"), effect
    return {}, effect


def _restart(keeper: Keeper, path: Any, before: Any, after: Any, intent: str) -> tuple[Reply, Callable[[], None]]:
    number = _slot_of(path, "incarnation")
    slot = keeper.slots.get(-1 if number is None else number)
    forceful = after == NEWER_AT_ONCE

    def effect() -> None:
        if slot is not None:
            keeper.restart(slot, Why("asked", intent), forceful=forceful)

    if number is None or after not in (NEWER, NEWER_AT_ONCE):
        return _fail("mechanism", f"nothing writes {after!r} at {path!r}"), effect
    if slot is None or number >= keeper.desired or slot.process is None or slot.incarnation != before:
        return _fail("before", f"{before} does not hold slot {number}"), effect
    if _replacing(slot) and not (forceful and not slot.forceful):
        return _fail("before", f"{before} is being replaced already"), effect
    return {}, effect


def _in_force(keepers: Mapping[str, Keeper], request: dict[str, Any]) -> Reply:
    """Whether `after` holds: a restart does as soon as it is accepted, for then nothing brings `before` back."""
    path, before, after = request.get("path"), request.get("before"), request.get("after")
    keeper = _find(keepers, request.get("target"))
    if keeper is None:
        return _fail("uid", "there is no such service, or it was deleted and created again")
    if path == DESIRED:
        return {"verdict": Verdict.of(true=type(after) is int and keeper.desired == after, false=True)}
    number = _slot_of(path, "incarnation")
    if number is None:
        return _fail("mechanism", f"nothing is at {path!r}")
    slot = keeper.slots.get(number)
    if slot is None or number >= keeper.desired:
        return _fail("before", f"there is no slot {number}")
    if after in (NEWER, NEWER_AT_ONCE):
        return {"verdict": Verdict.of(true=slot.incarnation != before or _replacing(slot), false=True)}
    return {"verdict": Verdict.of(true=slot.incarnation == after and not _replacing(slot), false=True)}


def _replacing(slot: Slot) -> bool:
    return slot.wish is not None or slot.stopping


def _slot_of(path: Any, leaf: str) -> int | None:
    """The slot's number in `slots/<n>/<leaf>`; a field has one name, so no other way to write the number is taken."""
    found = _SLOT.fullmatch(path) if isinstance(path, str) else None
    return int(found[1]) if found is not None and found[2] == leaf else None


def _find(keepers: Mapping[str, Keeper], target: Any) -> Keeper | None:
    if not isinstance(target, dict):
        return None
    keeper = keepers.get(f"{target.get('namespace')}/{target.get('name')}")
    return keeper if keeper is not None and keeper.target == target else None


def _fail(reason: str, detail: str) -> Reply:
    return {"verdict": Verdict.FAIL, "reason": reason, "detail": detail}


def _list(keepers: Mapping[str, Keeper]) -> Reply:
    now = wall()
    return {"at": now, "services": [_facts(keeper, now) for _, keeper in sorted(keepers.items())]}


def _facts(keeper: Keeper, now: float) -> Reply:
    service, replicas = keeper.service, keeper.service.replicas
    slots = [slot for number, slot in sorted(keeper.slots.items()) if number < keeper.desired]
    fields: dict[str, Any] = {DESIRED: keeper.desired}
    fields |= {f"slots/{slot.number}/incarnation": slot.incarnation for slot in slots if slot.process is not None}
    if service.probe is not None:
        fields |= {f"slots/{slot.number}/healthy": _as_int(slot.ready()) for slot in slots}
    return {
        "target": keeper.target,
        "labels": service.labels,
        "desired": keeper.desired,
        "min": replicas.min,
        "max": replicas.max,
        "protected": service.protected or "",
        "changed_at": keeper.changed_at,
        "probed": service.probe is not None,
        "crashes": keeper.crashes,
        "crashes_hour": keeper.recent_crashes(now),
        "limits": {"memory": service.limits.memory, "cpu": service.limits.cpu},
        "fields": fields,
        "ports": keeper.ports(),
        "slots": [_instance(slot) for slot in slots],
    }


def _instance(slot: Slot) -> Reply:
    process, health = slot.process, slot.health
    return {
        "slot": str(slot.number),
        "incarnation": slot.incarnation,
        "pid": process.pid if process else 0,
        "started_at": process.started_at if process else 0.0,
        "replacing": _replacing(slot),
        "ready": slot.ready(),
        "ok": health.ok,
        "failures": health.failures,
        "latency": health.latency,
        "probed_at": health.at,
    }


def _as_int(ready: bool | None) -> int | None:
    return None if ready is None else int(ready)
