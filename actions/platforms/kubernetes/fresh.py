"""What is read of the cluster just before something is written, and to find out whether it was."""

from typing import TypeVar
from urllib.parse import quote

import msgspec

from telemetry.sources.kubernetes.client import Client, Refused
from telemetry.sources.kubernetes.marks import opted_out
from telemetry.sources.kubernetes.objects import (
    HorizontalPodAutoscaler,
    Namespace,
    Pod,
    Reference,
    ReplicaSet,
    Workload,
)
from telemetry.target import Target

WORKLOADS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}
"""Kinds that are targets, and the names of their resources."""

T = TypeVar("T")


class _Autoscalers(msgspec.Struct):
    items: tuple[HorizontalPodAutoscaler, ...] = ()


def path(target: Target, *more: str) -> str:
    """Where a workload is."""
    return _in("/apis/apps/v1", target.namespace, WORKLOADS[target.kind], target.name, *more)


def pod_path(target: Target, name: str, *more: str) -> str:
    """Where a pod of its namespace is."""
    return _in("/api/v1", target.namespace, "pods", name, *more)


def autoscaler_path(target: Target, *name: str) -> str:
    """Where the autoscalers of its namespace are, or one of them."""
    return _in("/apis/autoscaling/v2", target.namespace, "horizontalpodautoscalers", *name)


def _in(group: str, namespace: str, *parts: str) -> str:
    return "/".join((group, "namespaces", *(quote(part, safe="") for part in (namespace, *parts))))


class Fresh:
    """Reads from the API server, never from memory. Each method raises Refused or OSError where it does not answer."""

    def __init__(self, client: Client, forbidden: frozenset[str]) -> None:
        """`forbidden` namespaces are never written to."""
        self._client, self._forbidden = client, forbidden

    def workload(self, target: Target) -> Workload | None:
        """The workload; None if it is gone, or another one has its name."""
        if target.kind not in WORKLOADS or not target.uid:
            return None
        found = self._get(path(target), Workload)
        return found if found is not None and found.metadata.uid == target.uid else None

    def writable(self, target: Target) -> Workload | None:
        """The same; None also where its people, or we, allow no write."""
        if target.namespace in self._forbidden:
            return None
        found = self.workload(target)
        if found is None or found.metadata.deletion_timestamp is not None:
            return None
        namespace = self._get(f"/api/v1/namespaces/{quote(target.namespace, safe='')}", Namespace)
        if namespace is None or opted_out(found.metadata.annotations, namespace.metadata.annotations):
            return None
        return found

    def pod(self, target: Target, name: str) -> Pod | None:
        """A pod that the workload controls; None if there is none of that name."""
        if not name or (pod := self._get(pod_path(target, name), Pod)) is None:
            return None
        owner = _controller(pod.metadata.owner_references)
        if target.kind == "Deployment" and owner is not None and owner.kind == "ReplicaSet":
            between = self._get(_in("/apis/apps/v1", target.namespace, "replicasets", owner.name), ReplicaSet)
            owner = _controller(between.metadata.owner_references) if between is not None else None
        return pod if owner is not None and owner.uid == target.uid else None

    def autoscalers(self, target: Target) -> list[HorizontalPodAutoscaler]:
        """Those that scale the workload."""
        found = self._client.read(autoscaler_path(target), _Autoscalers)
        wanted = (target.kind, target.name)
        refs = ((each, each.spec.scale_target_ref) for each in found.items)
        return [each for each, ref in refs if (ref.kind, ref.name) == wanted]

    def _get(self, where: str, kind: type[T]) -> T | None:
        try:
            return self._client.read(where, kind)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise


def _controller(owners: tuple[Reference, ...]) -> Reference | None:
    return next((owner for owner in owners if owner.controller), None)
