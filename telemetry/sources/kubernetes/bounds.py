"""What bounds a workload from outside, in brief: autoscalers, disruption budgets, namespaces, services."""

from collections.abc import Mapping

import msgspec

from telemetry.sources.kubernetes.marks import opted_out
from telemetry.sources.kubernetes.objects import (
    Annotations,
    Expression,
    HorizontalPodAutoscaler,
    LabelSelector,
    Namespace,
    PodDisruptionBudget,
    Service,
    WebhookConfiguration,
)


class Scaler(msgspec.Struct, frozen=True, gc=False):
    """A HorizontalPodAutoscaler; `kind` and `target` say what it scales, `kept` which controller made it, if any."""

    namespace: str
    name: str
    uid: str
    version: int
    kind: str
    target: str
    minimum: int
    maximum: int
    wants: int
    limited: bool
    kept: str


class Bound(msgspec.Struct, frozen=True, gc=False):
    """A PodDisruptionBudget: how many of the pods it selects may go."""

    namespace: str
    name: str
    uid: str
    version: int
    selector: LabelSelector | None
    room: int
    sick_free: bool
    why: str


class Space(msgspec.Struct, frozen=True, gc=False):
    """A namespace; `opted_out`: why its owner says hands off."""

    name: str
    uid: str
    version: int
    opted_out: str


class Front(msgspec.Struct, frozen=True, gc=False):
    """A service, and which pods stand behind it."""

    namespace: str
    name: str
    uid: str
    version: int
    selector: Mapping[str, str]


class Asked(msgspec.Struct, frozen=True, gc=False):
    """Services, by namespace and name, that the API server asks before it admits anything."""

    uid: str
    version: int
    services: tuple[tuple[str, str], ...]


def scaler(found: HorizontalPodAutoscaler) -> Scaler:
    """An autoscaler in brief."""
    meta, spec, status = found.metadata, found.spec, found.status
    limited = any(
        c.type == "ScalingLimited" and c.status == "True" and c.reason == "TooManyReplicas"
        for c in status.conditions or ()
    )
    return Scaler(
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        version=int(meta.resource_version),
        kind=spec.scale_target_ref.kind,
        target=spec.scale_target_ref.name,
        minimum=1 if spec.min_replicas is None else spec.min_replicas,
        maximum=spec.max_replicas,
        wants=status.desired_replicas,
        limited=limited,
        kept=next((owner.kind for owner in meta.owner_references if owner.controller), ""),
    )


def bound(found: PodDisruptionBudget) -> Bound:
    """A budget in brief: one that its controller has not read yet leaves no room."""
    meta, spec, status = found.metadata, found.spec, found.status
    observed = status.observed_generation >= meta.generation
    healthy = 0 < status.desired_healthy <= status.current_healthy
    return Bound(
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        version=int(meta.resource_version),
        selector=spec.selector,
        room=max(0, status.disruptions_allowed) if observed else 0,
        sick_free=observed and (spec.unhealthy_pod_eviction_policy == "AlwaysAllow" or healthy),
        why="" if observed else "its controller has not counted yet",
    )


def space(found: Namespace) -> Space:
    """A namespace in brief."""
    meta = found.metadata
    return Space(meta.name, meta.uid, int(meta.resource_version), opted_out(Annotations(), meta.annotations))


def front(found: Service) -> Front:
    """A service in brief."""
    meta = found.metadata
    return Front(meta.namespace, meta.name, meta.uid, int(meta.resource_version), found.spec.selector or {})


def asked(found: WebhookConfiguration) -> Asked:
    """The services of a webhook configuration."""
    services = [hook.client_config.service for hook in found.webhooks or ()]
    named = tuple(sorted({(s.namespace, s.name) for s in services if s is not None}))
    return Asked(found.metadata.uid, int(found.metadata.resource_version), named)


def selects(selector: LabelSelector | None, labels: Mapping[str, str]) -> bool:
    """Whether a budget is about pods with these labels: without a selector about none, with an empty one about all."""
    if selector is None:
        return False
    same = all(labels.get(key) == value for key, value in (selector.match_labels or {}).items())
    return same and all(_fits(demand, labels) for demand in selector.match_expressions or ())


def _fits(demand: Expression, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(demand.key), demand.values or ()
    if demand.operator == "In":
        return value in values
    if demand.operator == "NotIn":
        return value not in values
    return (value is not None) is (demand.operator == "Exists")
