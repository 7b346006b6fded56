"""The processes of this machine, as a Platform: every verb is one request to the supervisor."""

from pathlib import Path
from typing import Any

import msgspec

from actions.plan import Change
from telemetry.sources.supervisor import PLATFORM, SOCKET
from telemetry.sources.unix_rpc import MaybeDelivered, NotDelivered, call
from telemetry.verdict import Verdict

_PROBE = 10.0  # seconds more; a fresh probe may take its own timeout, 9 s at most


class LocalPlatform:
    """Writes and reads through the supervisor's socket; it holds nothing itself.

    Attributes:
        name: `local`.
    """

    name = PLATFORM

    def __init__(self, state: Path, timeout: float = 5.0) -> None:
        """`state` is the supervisor's directory; `timeout` in seconds: it answers from memory."""
        self._socket, self._timeout = state / SOCKET, timeout

    def apply(self, change: Change, intent_id: str) -> Verdict:
        """Have the supervisor compare and set; PASS means accepted: it converges by itself from there."""
        if change.object.platform != self.name:
            return Verdict.FAIL
        try:
            return _verdict(call(self._socket, {"op": "apply", "intent": intent_id} | _fields(change), self._timeout))
        except NotDelivered:
            return Verdict.FAIL
        except MaybeDelivered:
            return Verdict.UNKNOWN

    def holds(self, change: Change) -> Verdict:
        """Ask the supervisor; a question about `healthy` probes the instance now."""
        if change.object.platform != self.name:
            return Verdict.FAIL
        timeout = self._timeout + (_PROBE if change.path.endswith("/healthy") else 0.0)
        try:
            return _verdict(call(self._socket, {"op": "holds"} | _fields(change), timeout))
        except (NotDelivered, MaybeDelivered):
            return Verdict.UNKNOWN


def _fields(change: Change) -> dict[str, Any]:
    target = change.object
    identity = {"kind": target.kind, "namespace": target.namespace, "name": target.name, "uid": target.uid}
    return {"target": identity, "path": change.path, "before": change.before, "after": change.after}


def _verdict(reply: dict[str, Any]) -> Verdict:
    """The answer's verdict; an answer of another version tells nothing."""
    try:
        return msgspec.convert(reply.get("verdict"), Verdict)
    except msgspec.ValidationError:
        return Verdict.UNKNOWN
