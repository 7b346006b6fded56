"""What is followed of a cluster, and which rights that takes: `list` and `watch` on each of these, and no other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from telemetry.sources.kubernetes import bounds, objects
from telemetry.sources.kubernetes.pods import Seen, seen
from telemetry.sources.kubernetes.reflector import Resource
from telemetry.sources.kubernetes.workloads import Generation, Known, generation, known

Followed = tuple[type, Resource[Any]]
"""What is kept of it, and how it is read."""

_APPS = "/apis/apps/v1"
_WORKLOADS = {"Deployment": "deployments", "StatefulSet": "statefulsets", "DaemonSet": "daemonsets"}
_BOUND = (
    (bounds.Scaler, "/apis/autoscaling/v2", "horizontalpodautoscalers.autoscaling", objects.HorizontalPodAutoscaler),
    (bounds.Bound, "/apis/policy/v1", "poddisruptionbudgets.policy", objects.PodDisruptionBudget),
)
_BRIEF: Mapping[type, Callable[[Any], Any]] = {bounds.Scaler: bounds.scaler, bounds.Bound: bounds.bound}
_HOOKS = ("validatingwebhookconfigurations", "mutatingwebhookconfigurations")


def resources(namespaces: Sequence[str] = ()) -> Iterator[Followed]:
    """Everything in the cluster, or in these namespaces only.

    Services and webhooks only say what is protected: where we may not read them, what they say is not known, and
    everything else is.
    """
    for prefix, namespace in [(f"/namespaces/{name}", name) for name in namespaces] or [("", "")]:
        for kind, plural in _WORKLOADS.items():
            yield Known, Resource(f"{plural}.apps", f"{_APPS}{prefix}/{plural}", objects.Workload, known(kind))
        yield Generation, Resource("replicasets.apps", f"{_APPS}{prefix}/replicasets", objects.ReplicaSet, generation)
        yield Seen, Resource("pods", f"/api/v1{prefix}/pods", objects.Pod, seen)
        for brief, group, name, kind_ in _BOUND:
            path = f"{group}{prefix}/{name.partition('.')[0]}"
            yield brief, Resource(name, path, kind_, _BRIEF[brief])
        path = f"/api/v1{prefix}/services"
        yield bounds.Front, Resource("services", path, objects.Service, bounds.front, needed=False)
        fields = f"metadata.name={namespace}" if namespace else ""
        yield bounds.Space, Resource("namespaces", "/api/v1/namespaces", objects.Namespace, bounds.space, fields)
    for name in _HOOKS:
        group = "admissionregistration.k8s.io"
        hooks = Resource(f"{name}.{group}", f"/apis/{group}/v1/{name}", objects.WebhookConfiguration, bounds.asked)
        yield bounds.Asked, Resource(hooks.name, hooks.path, hooks.kind, hooks.brief, needed=False)


OPTIONAL = ("services", *_HOOKS)
"""Plurals of what only says what is protected."""
RULES: tuple[tuple[str, str], ...] = tuple(
    (name.partition(".")[2], name.partition(".")[0]) for name in dict.fromkeys(r.name for _, r in resources())
)
"""API group and plural of everything that is listed and watched."""
USAGE = ("metrics.k8s.io", "pods")
"""What is listed only, every few seconds, where the cluster has it."""
