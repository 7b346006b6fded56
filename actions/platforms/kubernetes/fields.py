"""The fields of a workload that actions change: for each, the write that fits what holds now, and the question.

Every write names the uid and the state that was read just before it, so that the API server refuses one that is late.
"""

from typing import Any, Protocol

from actions.plan import Change
from actions.platforms.kubernetes.fresh import Fresh, autoscaler_path, path, pod_path
from actions.restart import NEWER, NEWER_AT_ONCE
from telemetry.inventory import Value
from telemetry.sources.kubernetes.client import JSON_PATCH, MERGE, Write
from telemetry.sources.kubernetes.marks import bounds
from telemetry.sources.kubernetes.objects import RESTARTED, HorizontalPodAutoscaler, Meta, Pod, PodMeta, Workload
from telemetry.verdict import Verdict

AT_ONCE = 1
"""Seconds of grace of a forceful restart: with 0 the name is free before the process has ended, and two may run."""


class Field(Protocol):
    """One kind of field. Both methods raise Refused or OSError where the API server does not answer a question."""

    def prepare(self, change: Change, fresh: Fresh, mark: str) -> Write | None:
        """The write; None if the change does not fit what holds now. `mark` says who restarted and when."""
        ...

    def in_force(self, change: Change, fresh: Fresh) -> Verdict:
        """Whether `change.after` holds."""
        ...


class Desired:
    """How many instances: through `/scale`, and only where no autoscaler owns the number."""

    def prepare(self, change: Change, fresh: Fresh, mark: str) -> Write | None:  # noqa: ARG002  the protocol's signature
        """A merge patch that names uid and resourceVersion."""
        found = fresh.writable(change.object)
        if found is None or change.object.kind == "DaemonSet" or not _same(found.spec.replicas, change.before):
            return None
        if not _within(change.after, *bounds(found.metadata.annotations)) or fresh.autoscalers(change.object):
            return None
        body = _fence(found.metadata) | {"spec": {"replicas": change.after}}
        return Write("PATCH", path(change.object, "scale"), body, MERGE)

    def in_force(self, change: Change, fresh: Fresh) -> Verdict:
        """By the workload's own spec."""
        found = fresh.workload(change.object)
        return Verdict.of(true=found is not None and _same(found.spec.replicas, change.after), false=True)


class Minimum:
    """The fewest instances that the workload's autoscaler keeps: a number set beside it, it would take back."""

    def prepare(self, change: Change, fresh: Fresh, mark: str) -> Write | None:  # noqa: ARG002  the protocol's signature
        """A merge patch of the autoscaler that names uid and resourceVersion."""
        if fresh.writable(change.object) is None or (found := self._only(change, fresh)) is None:
            return None
        if not _same(_minimum(found), change.before) or not _within(change.after, 1, found.spec.max_replicas):
            return None
        body = _fence(found.metadata) | {"spec": {"minReplicas": change.after}}
        return Write("PATCH", autoscaler_path(change.object, found.metadata.name), body, MERGE)

    def in_force(self, change: Change, fresh: Fresh) -> Verdict:
        """By the autoscaler's own spec."""
        if fresh.workload(change.object) is None or (found := self._only(change, fresh)) is None:
            return Verdict.FAIL
        return Verdict.of(true=_same(_minimum(found), change.after), false=True)

    def _only(self, change: Change, fresh: Fresh) -> HorizontalPodAutoscaler | None:
        """The workload's autoscaler; None where there is not exactly one, or somebody else keeps it (KEDA)."""
        found = fresh.autoscalers(change.object)
        kept = [each for each in found if any(owner.controller for owner in each.metadata.owner_references)]
        return found[0] if len(found) == 1 and not kept else None


class Rollout:
    """All instances anew, at the pace of the workload's own strategy: an annotation of ours on its pods."""

    def prepare(self, change: Change, fresh: Fresh, mark: str) -> Write | None:
        """A JSON patch that tests uid and generation: resourceVersion moves with every status of a sick workload."""
        found = fresh.writable(change.object)
        if found is None or change.after != NEWER or not _same(_restarted(found), change.before):
            return None
        if found.spec.paused or found.spec.update_strategy.type == "OnDelete":
            return None  # the annotation would be there, and every pod would stay
        annotations = "/spec/template/metadata/annotations"
        mine: dict[str, Any] = {"op": "add", "path": f"{annotations}/{RESTARTED.replace('/', '~1')}", "value": mark}
        if found.spec.template.metadata.annotations is None:
            mine = {"op": "add", "path": annotations, "value": {RESTARTED: mark}}
        tests = [
            {"op": "test", "path": "/metadata/uid", "value": found.metadata.uid},
            {"op": "test", "path": "/metadata/generation", "value": found.metadata.generation},
        ]
        return Write("PATCH", path(change.object), [*tests, mine], JSON_PATCH)

    def in_force(self, change: Change, fresh: Fresh) -> Verdict:
        """By the annotation: which incarnations it has led to, the workload's status tells."""
        found = fresh.workload(change.object)
        if found is None:
            return Verdict.FAIL
        now = _restarted(found)
        if change.after in (NEWER, NEWER_AT_ONCE):
            return Verdict.of(true=now is not None and not _same(now, change.before), false=True)
        return Verdict.of(true=_same(now, change.after), false=True)


class Incarnation:
    """One pod anew: evicted, which respects disruption budgets, or deleted at once. Its controller makes the next."""

    def __init__(self, name: str) -> None:
        """`name` of the pod."""
        self._name = name

    def prepare(self, change: Change, fresh: Fresh, mark: str) -> Write | None:  # noqa: ARG002  the protocol's signature
        """An eviction or a deletion whose preconditions name uid and resourceVersion."""
        if change.after not in (NEWER, NEWER_AT_ONCE) or fresh.writable(change.object) is None:
            return None
        pod = fresh.pod(change.object, self._name)
        if pod is None or not _same(pod.metadata.uid, change.before) or not _may_go(pod, change.after):
            return None
        preconditions = {"preconditions": _fence(pod.metadata)["metadata"]}
        if change.after == NEWER_AT_ONCE:
            body = preconditions | {"gracePeriodSeconds": AT_ONCE}
            return Write("DELETE", pod_path(change.object, self._name), body)
        body = {"metadata": {"name": self._name}, "deleteOptions": preconditions}
        return Write("POST", pod_path(change.object, self._name, "eviction"), body)

    def in_force(self, change: Change, fresh: Fresh) -> Verdict:
        """A newer one is in force as soon as the one before is going: from there its controller goes on by itself."""
        if fresh.workload(change.object) is None:
            return Verdict.FAIL
        pod = fresh.pod(change.object, self._name)
        stays = pod.metadata.uid if pod is not None and pod.metadata.deletion_timestamp is None else None
        if change.after in (NEWER, NEWER_AT_ONCE):
            return Verdict.of(true=stays != change.before, false=True)
        return Verdict.of(true=stays is not None and stays == change.after, false=True)


class Healthy:
    """Whether one pod is ready now: only asked, never written."""

    def __init__(self, name: str) -> None:
        """`name` of the pod."""
        self._name = name

    def prepare(self, change: Change, fresh: Fresh, mark: str) -> None:
        """Never."""

    def in_force(self, change: Change, fresh: Fresh) -> Verdict:
        """By its Ready condition; unknown where its node does not tell."""
        if change.after != 1 or fresh.workload(change.object) is None:
            return Verdict.FAIL
        pod = fresh.pod(change.object, self._name)
        if pod is None or pod.metadata.deletion_timestamp is not None:
            return Verdict.FAIL
        ready = next((each.status for each in pod.status.conditions if each.type == "Ready"), "False")
        return Verdict.of(true=ready == "True", false=ready == "False")


def _fence(metadata: Meta | PodMeta) -> dict[str, dict[str, Any]]:
    return {"metadata": {"uid": metadata.uid, "resourceVersion": metadata.resource_version}}


def _minimum(autoscaler: HorizontalPodAutoscaler) -> int:
    """The API's default is one."""
    return 1 if autoscaler.spec.min_replicas is None else autoscaler.spec.min_replicas


def _restarted(workload: Workload) -> str | None:
    annotations = workload.spec.template.metadata.annotations
    return annotations.restarted if annotations is not None else None


def _may_go(pod: Pod, how: Value) -> bool:
    """Whether it still stays, or goes more slowly than is asked for."""
    if pod.metadata.deletion_timestamp is None:
        return True
    return how == NEWER_AT_ONCE and (pod.metadata.deletion_grace_period_seconds or 0) > AT_ONCE


def _within(value: Value, lowest: int, highest: int) -> bool:
    return type(value) is int and lowest <= value <= highest


def _same(one: Value, other: Value) -> bool:
    return type(one) is type(other) and one == other
