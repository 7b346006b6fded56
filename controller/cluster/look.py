"""What the objects of a cluster say, for people: read by the API server alone, with whatever rights the reader has."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from controller.cluster.policies import Raw, path
from policies.objects import ObjectsResult, compile_object, load_objects
from policies.policy import Policy
from telemetry.documents import Document, DocumentError
from telemetry.sources.kubernetes.client import Answer, Client, Refused, Write

APPLY = "application/apply-patch+yaml"
WORKLOADS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}
_OURS = "gyrostat.dev/controller"


class _List(msgspec.Struct):
    items: list[Raw] = []


class _Regarding(msgspec.Struct):
    name: str = ""
    kind: str = ""


class _Event(msgspec.Struct, rename="camel"):
    regarding: _Regarding
    reason: str = ""
    note: str = ""
    type: str = ""
    event_time: str | None = None
    reporting_controller: str = ""


class _Events(msgspec.Struct):
    items: list[_Event] = []


class _Meta(msgspec.Struct):
    name: str = ""
    namespace: str = ""


class _Workload(msgspec.Struct):
    metadata: _Meta


class _Workloads(msgspec.Struct):
    items: list[_Workload] = []


class Cluster:
    """One cluster, seen from one namespace or from all."""

    def __init__(self, client: Client, namespace: str = "") -> None:
        """`namespace` empty: every one."""
        self._client, self._namespace = client, namespace

    def objects(self) -> list[Mapping[str, Any]]:
        """Policies: those of the namespace, and those that see every namespace.

        Raises:
            Refused: the reader may not, or the kinds are not installed.
            OSError: nobody answers.
        """
        found: list[Mapping[str, Any]] = []
        for kind, space in (("RemediationPolicy", self._namespace), ("ClusterRemediationPolicy", "")):
            try:
                items = self._client.read(path(kind, space), _List).items
            except Refused as refused:
                if kind == "RemediationPolicy" or refused.status != 403:
                    raise
                continue  # a tenant sees no more than its own
            found += [
                {**msgspec.to_builtins(item), "kind": kind, "apiVersion": item.api_version or _API} for item in items
            ]
        return found

    def policies(self) -> list[dict[str, Any]]:
        """One row for each policy, as its status tells it."""
        return [_policy(made) for made in self.objects()]

    def episodes(self, *, every: bool = False) -> list[dict[str, Any]]:
        """One row for each open episode, or for the latest ended ones too; oldest first.

        Raises:
            Refused: the reader may not, or the kinds are not installed.
            OSError: nobody answers.
        """
        items = self._client.read(path("Episode", self._namespace), _List).items
        rows = [_episode(item) for item in items]
        return sorted((row for row in rows if every or not row["closed"]), key=lambda row: str(row["opened"]))

    def events(self, name: str) -> list[dict[str, Any]]:
        """What the controller said about a target, oldest first."""
        space = f"/namespaces/{self._namespace}" if self._namespace else ""
        items = self._client.read(f"/apis/events.k8s.io/v1{space}/events", _Events).items
        ours = [item for item in items if item.reporting_controller == _OURS and item.regarding.name == name]
        rows = [
            {"time": item.event_time or "", "reason": item.reason, "type": item.type, "note": item.note}
            for item in ours
        ]
        return sorted(rows, key=lambda row: row["time"])

    def matching(self, policy: Policy) -> list[str]:
        """The workloads that a policy selects now, as `Kind namespace/name`."""
        labels = ",".join(f"{key}={value}" for key, value in policy.selector.labels.items())
        space = policy.namespace or ""
        found = []
        for kind, plural in WORKLOADS.items():
            if policy.selector.kinds is not None and kind not in policy.selector.kinds:
                continue
            where = f"/apis/apps/v1{f'/namespaces/{space}' if space else ''}/{plural}"
            items = self._client.read(where, _Workloads, {"labelSelector": labels} if labels else None).items
            names = policy.selector.names
            found += [
                f"{kind} {i.metadata.namespace}/{i.metadata.name}"
                for i in items
                if names is None or i.metadata.name in names
            ]
        return sorted(found)

    def try_out(self, document: Document) -> Answer:
        """What the API server says to a policy; it goes the whole way and keeps nothing.

        Raises:
            OSError: nobody answers.
        """
        data = document.data
        meta = data["metadata"]
        where = path(data["kind"], str(meta.get("namespace") or ""), str(meta["name"]))
        return self._client.write(Write("PATCH", where, data, APPLY, dry_run=True))


_API = "gyrostat.dev/v1alpha1"


def compiled(objects: Iterable[Mapping[str, Any]]) -> ObjectsResult:
    """The policies that objects are."""
    return load_objects(objects)


def named(objects: Iterable[Mapping[str, Any]], name: str) -> Iterator[Policy]:
    """Those of this name, `namespace/name` or `name`.

    Raises:
        DocumentError: one of them is no policy.
    """
    for made in objects:
        meta = made["metadata"]
        if name in (meta.get("name"), f"{meta.get('namespace')}/{meta.get('name')}"):
            yield compile_object(made)


def _policy(made: Mapping[str, Any]) -> dict[str, Any]:
    meta, spec, status = made["metadata"], made.get("spec") or {}, made.get("status") or {}
    ready: Mapping[str, Any] = next((c for c in status.get("conditions") or () if c.get("type") == "Ready"), {})
    space = meta.get("namespace")
    stale = status.get("observedGeneration") != meta.get("generation")
    return {
        "policy": f"{space}/{meta['name']}" if space else meta["name"],
        "mode": spec.get("mode", "Observe"),
        "ready": "Unknown" if stale or not ready else ready.get("status", "Unknown"),
        "message": "the controller has not looked at it yet" if stale or not ready else ready.get("message", ""),
        "open": status.get("open", 0),
        "would_act": status.get("wouldAct", 0),
        "held": {each["reason"]: each["count"] for each in status.get("held") or ()},
        "recovered": status.get("recovered", 0),
        "healed": status.get("healed", 0),
        "undone": status.get("undone", 0),
        "needs_human": status.get("needsHuman", 0),
    }


def _episode(item: Raw) -> dict[str, Any]:
    status = item.status if isinstance(item.status, dict) else {}
    texts = ("policy", "target", "state", "action", "changes", "held", "result", "detail", "opened", "closed")
    row = {key: status.get(key, "") for key in texts}
    return {"episode": item.metadata.get("name", ""), "namespace": item.metadata.get("namespace", ""), **row}


def problems(document: Document) -> list[str]:
    """What is wrong with a policy by itself."""
    from policies.policy import compile_policy  # noqa: PLC0415 - beside it only here
    from telemetry.signals.load import builtin  # noqa: PLC0415

    try:
        compile_policy(document, signals=builtin())
    except DocumentError as error:
        return [str(problem) for problem in error.problems]
    return []
