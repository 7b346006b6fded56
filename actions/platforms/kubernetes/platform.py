"""The workloads of one cluster, as a Platform: each verb reads afresh, and no write does harm where it comes late.

What an API server answers, and what it means for a write:

    2xx                     Pass
    409, 422                stale: nothing was written; read again, decide again, three times in all
    403                     Denied, where it is a right that our account lacks; it is not asked again until it has it
    other 4xx, not sent     Fail: surely not written
    5xx, 408, no answer     Unknown: only reading back settles it
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from actions.health_check import path as healthy_path
from actions.plan import Change
from actions.platforms import Denied
from actions.platforms.kubernetes.fields import Desired, Field, Healthy, Incarnation, Minimum, Rollout
from actions.platforms.kubernetes.fresh import Fresh
from actions.restart import ROLLOUT
from actions.restart import path as incarnation_path
from actions.scale import MINIMUM
from actions.scale import PATH as DESIRED
from telemetry.sources.kubernetes.client import Answer, Client, Refused, Write
from telemetry.sources.kubernetes.rights import FORBIDDEN, Right, Rights
from telemetry.sources.unix_rpc import NotDelivered
from telemetry.verdict import Verdict

PLATFORM = "kubernetes"
TRIES = 3
_STALE = (409, 422)


class KubernetesPlatform:
    """Writes and reads through one API server; it holds nothing itself.

    Attributes:
        name: `kubernetes`.
    """

    name = PLATFORM

    def __init__(
        self,
        client: Client,
        now: Callable[[], float],
        *,
        trail: str = "",
        forbidden: frozenset[str] = frozenset({"kube-system"}),
        dry_run: bool = False,
        rights: Rights | None = None,
    ) -> None:
        """Nothing is asked yet.

        Args:
            client: of the API server; its timeout is that of one answer.
            now: epoch seconds, for the annotation of a restart.
            trail: stands before each intent's id in the API server's audit log; it tells apart two trails.
            forbidden: namespaces in which nothing is ever written.
            dry_run: the API server goes the whole way, rights and admission included, and keeps nothing.
            rights: knows which of them our account lacks, and may know it from others.
        """
        self._rights = rights if rights is not None else Rights(client)
        self._client, self._now, self._trail, self._dry_run = client, now, trail, dry_run
        self._fresh = Fresh(client, forbidden)

    def apply(self, change: Change, intent_id: str) -> Verdict:
        """Read, compare, and write once; PASS means accepted: controllers converge by themselves from there.

        Raises:
            Denied: our account lacks the right.
        """
        field = self._field(change)
        if field is None:
            return Verdict.FAIL
        audit_id = self._trail + intent_id
        mark = f"{datetime.fromtimestamp(int(self._now()), UTC).isoformat()} {audit_id}"
        for _ in range(TRIES):
            try:
                write = field.prepare(change, self._fresh, mark)
            except (Refused, OSError):
                return Verdict.FAIL  # nothing was sent but questions
            verdict = Verdict.FAIL if write is None else self._write(write, audit_id)
            if verdict is not None:
                return verdict
        return Verdict.FAIL

    def _write(self, write: Write, audit_id: str) -> Verdict | None:
        """What became of it; None: what was read is stale, and nothing was written.

        Raises:
            Denied: our account may not.
        """
        if lacking := self._rights.lacks(write):
            raise _denied(lacking)
        try:
            answer = self._client.write(replace(write, dry_run=self._dry_run), audit_id)
        except NotDelivered:
            return Verdict.FAIL
        except OSError:
            return Verdict.UNKNOWN
        if answer.status == FORBIDDEN and (lacking := self._rights.refused(write)):
            raise _denied(lacking)
        return None if answer.status in _STALE else _verdict(answer)

    def holds(self, change: Change) -> Verdict:
        """Read afresh."""
        field = self._field(change)
        if field is None:
            return Verdict.FAIL
        try:
            return field.in_force(change, self._fresh)
        except (Refused, OSError):
            return Verdict.UNKNOWN

    def _field(self, change: Change) -> Field | None:
        """What a path means; None for one that means nothing here."""
        if change.object.platform != self.name:
            return None
        whole: dict[str, Field] = {DESIRED: Desired(), MINIMUM: Minimum(), ROLLOUT: Rollout()}
        slot = "/".join(change.path.split("/")[1:-1])
        slots: dict[str, Field] = {incarnation_path(slot): Incarnation(slot), healthy_path(slot): Healthy(slot)}
        return whole.get(change.path) or (slots.get(change.path) if slot and "/" not in slot else None)


def _denied(right: Right) -> Denied:
    return Denied(f"forbidden: needs {right}")


def _verdict(answer: Answer) -> Verdict:
    if answer.ok:
        return Verdict.PASS
    return Verdict.of(true=False, false=400 <= answer.status < 500 and answer.status != 408)
