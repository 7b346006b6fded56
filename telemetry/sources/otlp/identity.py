"""Who a sender says it is, from the attributes of its resource."""

from collections.abc import Mapping

from telemetry.origins import Origin
from telemetry.sources.otlp.limits import NAME

UNNAMED = "unknown_service"
"""What the protocol calls a service that says no name."""
_WORKLOADS = {
    "k8s.deployment.name": "Deployment",
    "k8s.statefulset.name": "StatefulSet",
    "k8s.daemonset.name": "DaemonSet",
}
_INSTANCE = ("k8s.pod.uid", "service.instance.id", "process.pid")
KEYS = frozenset({"service.name", "service.namespace", "k8s.namespace.name", *_WORKLOADS, *_INSTANCE})
"""Attributes that are read; all others are stepped over."""


def origin_of(said: Mapping[str, str]) -> Origin:
    """The origin of what has these attributes, each text of any length."""
    short = {key: _short(value) for key, value in said.items() if value}
    where = short.get("k8s.namespace.name", "")
    workload = next(((kind, where, short[key]) for key, kind in _WORKLOADS.items() if key in short and where), None)
    return Origin(
        name=short.get("service.name", UNNAMED),
        namespace=short.get("service.namespace", ""),
        instance=next((short[key] for key in _INSTANCE if key in short), ""),
        workload=workload,
    )


def _short(text: str) -> str:
    return text if len(text) <= NAME else text[:NAME]
