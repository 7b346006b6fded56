"""What our account may not do, as the API server itself says: found out when it refuses, asked again until it does not.

Nothing is asked as long as nothing is refused. What is known to be refused is not sent again, so that a right that is
missing is one line in the server's audit log, and not a storm of them.
"""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from telemetry.sources.kubernetes.client import Answer, Write
from telemetry.sources.kubernetes.ownership import DESIRED, ROLLOUT
from telemetry.sources.kubernetes.rollup import MINIMUM
from telemetry.target import Target

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_VERBS = {"POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete"}
FORBIDDEN = 403
ASKED = 10
"""Missing rights that are asked for by one look: there may be some for every namespace."""


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one resource, with its subresource; an empty namespace means every one."""

    verb: str
    group: str
    resource: str
    namespace: str = ""

    def __str__(self) -> str:
        """As a person says it."""
        group = f".{self.group}" if self.group else ""
        return f"{self.verb} {self.resource}{group} in {self.namespace or 'every namespace'}"


class Writer(Protocol):
    """An API server."""

    def write(self, what: Write, audit_id: str = "") -> Answer:
        """Send a write, once."""


class _Allowed(msgspec.Struct):
    allowed: bool = False


class _Review(msgspec.Struct):
    status: _Allowed


def right_of(write: Write) -> Right:
    """The right that a write needs."""
    parts = write.path.strip("/").split("/")
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    return Right(_VERBS[write.method], group, "/".join((rest[0], *rest[2:])), namespace)


def allowed(api: Writer, right: Right) -> bool | None:
    """Whether our account has it; None where the question itself is refused. Asking changes nothing; everybody may.

    Raises:
        OSError: no answer.
    """
    answer = api.write(review(right))
    return answer.decode(_Review).status.allowed if answer.ok else None


def review(right: Right) -> Write:
    """The question."""
    plural, _, sub = right.resource.partition("/")
    asked = {"verb": right.verb, "group": right.group, "resource": plural, "subresource": sub}
    kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    return Write("POST", _REVIEWS, {**kind, "spec": {"resourceAttributes": asked | {"namespace": right.namespace}}})


class Rights:
    """The rights that are missing; may be asked from any thread."""

    def __init__(self, api: Writer) -> None:
        self._api, self._lock = api, threading.Lock()
        self._lacking: frozenset[Right] = frozenset()
        self._next: deque[Right] = deque()  # those that are missing, the one to be asked for next in front

    @property
    def lacking(self) -> frozenset[Right]:
        """All that were refused, and not granted since; the same object while they are the same."""
        return self._lacking

    def lacks(self, write: Write) -> Right | None:
        """The right that a write needs, if it is known that we lack it."""
        right = right_of(write)
        return right if right in self._lacking else None

    def refused(self, write: Write) -> Right | None:
        """A write was answered with 403: the right that is missing, or None where something else said no."""
        right = right_of(write)
        try:
            if allowed(self._api, right) is not False:
                return None  # somebody else said no: admission, or what stands between us and the server
        except OSError:
            return None
        with self._lock:
            if right not in self._lacking:
                self._lacking |= {right}
                self._next.append(right)
        return right

    def look(self) -> None:
        """Ask again for some of what is missing; by one thread."""
        for _ in range(min(ASKED, len(self._next))):
            right = self._next[0]
            try:
                granted = allowed(self._api, right)
            except OSError:
                return
            with self._lock:
                self._next.popleft()
                if granted:
                    self._lacking -= {right}
                else:
                    self._next.append(right)

    def denied(self, target: Target) -> Mapping[str, str]:
        """For `Facts.denied`: which changes of a target need a right that is missing, and which."""
        if not self._lacking:
            return {}
        needed = needs(target)
        return {change: f"needs {right}" for change, right in needed.items() if right in self._lacking}


def needs(target: Target) -> Mapping[str, Right]:
    """The right that each change of a workload needs, as `path=after`."""
    plural, space = f"{target.kind.lower()}s", target.namespace
    return {
        f"{DESIRED}=*": Right("patch", "apps", f"{plural}/scale", space),
        f"{MINIMUM}=*": Right("patch", "autoscaling", "horizontalpodautoscalers", space),
        f"{ROLLOUT}=*": Right("patch", "apps", plural, space),
        "slots/*/incarnation=newer": Right("create", "", "pods/eviction", space),
        "slots/*/incarnation=newer!": Right("delete", "", "pods", space),
    }
