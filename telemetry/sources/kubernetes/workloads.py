"""A workload in brief: what it wants, how far it is, whose it is."""

from collections.abc import Callable, Mapping
from functools import partial
from math import inf

import msgspec

from telemetry.inventory import Owner
from telemetry.sources.kubernetes.marks import bounds, opted_out
from telemetry.sources.kubernetes.objects import Annotations, Condition, Container, ReplicaSet, Workload
from telemetry.sources.kubernetes.ownership import changed_at, owners, writers
from telemetry.sources.kubernetes.pods import epoch
from telemetry.sources.kubernetes.protection import protected_by_itself

DEADLINE = 600.0
"""Seconds without an end after which a rollout is stuck, where the workload's kind has no deadline of its own."""
_DONE, _LATE = "NewReplicaSetAvailable", "ProgressDeadlineExceeded"


class Rollout(msgspec.Struct, frozen=True, gc=False):
    """How far a change of the template is.

    Attributes:
        updated, desired: instances that have it, and that shall have it.
        progressing: it is not complete, and not given up.
        stuck_at: epoch seconds from which it is stuck; inf if nobody can tell or it is not.
        seen: its controller knows of the newest change.
    """

    updated: int = 0
    desired: int = 0
    progressing: bool = False
    stuck_at: float = inf
    seen: bool = True


class Known(msgspec.Struct, frozen=True, gc=False):
    """A workload in brief. Times are epoch seconds.

    Attributes:
        version: its resourceVersion.
        scaled: `spec.replicas`; None where the kind has no such number.
        desired: instances that shall exist.
        said_ready: instances that are ready, as its controller says.
        pod_labels: of its template.
        rolls: its controller replaces pods by itself when the template changes.
        restarted: our annotation on its template.
        memory_limits, cpu_limits: by container, where it has one: bytes, cores.
        bounds: fewest and most instances that its people allow.
        opted_out, protected: why it must not be touched, as its people say, and as the cluster needs it.
        revision: as people name it.
    """

    kind: str
    namespace: str
    name: str
    uid: str
    version: int
    labels: Mapping[str, str]
    scaled: int | None
    desired: int
    said_ready: int
    paused: bool
    rollout: Rollout
    revision: str
    pod_labels: Mapping[str, str]
    rolls: bool
    restarted: str | None
    memory_limits: Mapping[str, float]
    cpu_limits: Mapping[str, float]
    changed_at: float
    owners: Mapping[str, Owner]
    writers: Mapping[str, str]
    bounds: tuple[int, int]
    opted_out: str
    protected: str


class Generation(msgspec.Struct, frozen=True, gc=False):
    """A ReplicaSet in brief: it tells whose the pods are."""

    uid: str
    version: int
    owner: str


def generation(found: ReplicaSet) -> Generation:
    """A ReplicaSet in brief."""
    meta = found.metadata
    owner = next((o.uid for o in meta.owner_references if o.controller and o.kind == "Deployment"), "")
    return Generation(meta.uid, int(meta.resource_version), owner)


def known(kind: str) -> Callable[[Workload], Known]:
    """How to brief workloads of a kind."""
    return partial(_known, kind)


def _known(kind: str, workload: Workload) -> Known:
    meta, spec, status = workload.metadata, workload.spec, workload.status
    daemon = kind == "DaemonSet"
    scaled = None if daemon else 1 if spec.replicas is None else spec.replicas
    containers = spec.template.spec.containers
    annotations = spec.template.metadata.annotations
    return Known(
        kind=kind,
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        version=int(meta.resource_version),
        labels=meta.labels,
        scaled=scaled,
        desired=status.desired_number_scheduled if scaled is None else scaled,
        said_ready=status.number_ready if daemon else status.ready_replicas,
        paused=spec.paused,
        rollout=_rollout(kind, workload, scaled),
        revision=meta.annotations.revision or meta.annotations.generation or status.update_revision,
        pod_labels=spec.template.metadata.labels or {},
        rolls=spec.update_strategy.type != "OnDelete",
        restarted=annotations.restarted if annotations else None,
        memory_limits=_limits(containers, "memory"),
        cpu_limits=_limits(containers, "cpu"),
        changed_at=changed_at(meta),
        owners=owners(workload),
        writers=writers(meta),
        bounds=bounds(meta.annotations),
        opted_out=opted_out(meta.annotations, Annotations()),
        protected=protected_by_itself(workload),
    )


def _limits(containers: tuple[Container, ...], resource: str) -> dict[str, float]:
    found = {c.name: quantity(c.resources.limits.get(resource, "")) for c in containers}
    return {name: value for name, value in found.items() if value}


def _rollout(kind: str, workload: Workload, scaled: int | None) -> Rollout:
    meta, spec, status = workload.metadata, workload.spec, workload.status
    unseen = status.observed_generation < meta.generation
    began = changed_at(meta)
    if kind == "Deployment":
        return _of_deployment(workload, unseen=unseen)
    if spec.update_strategy.type == "OnDelete":
        return Rollout(desired=scaled or status.desired_number_scheduled)
    if scaled is None:
        updated, shall = status.updated_number_scheduled, status.desired_number_scheduled
    else:
        rolling = spec.update_strategy.rolling_update
        shall = max(0, scaled - (rolling.partition or 0 if rolling else 0))
        updated = shall if status.current_revision == status.update_revision else status.updated_replicas
    going = unseen or updated < shall
    return Rollout(updated, shall, going, began + DEADLINE if going else inf, not unseen)


def _of_deployment(workload: Workload, *, unseen: bool) -> Rollout:
    """Its controller says itself when a rollout is complete, and when it is late; what crashes later is no rollout."""
    status, desired = workload.status, workload.spec.replicas
    shall = 1 if desired is None else desired
    told: Condition | None = next((c for c in status.conditions if c.type == "Progressing"), None)
    if told is not None and told.reason == _LATE and not unseen:
        return Rollout(status.updated_replicas, shall, progressing=False, stuck_at=epoch(told.last_transition_time))
    old = status.replicas > status.updated_replicas
    going = unseen or status.updated_replicas < shall or old or (told is not None and told.reason != _DONE)
    return Rollout(status.updated_replicas, shall, going and shall > 0, seen=not unseen)


_UNITS = {
    **dict(zip("num", (1e-9, 1e-6, 1e-3), strict=True)),
    **{letter: 1000.0**power for power, letter in enumerate("kMGTPE", start=1)},
    **{f"{letter}i": 1024.0**power for power, letter in enumerate("KMGTPE", start=1)},
}


def quantity(text: str | float) -> float:
    """A Kubernetes quantity as a number: `250m`, `1Gi`, `2`; 0 for none, and for what is no quantity."""
    said = str(text)
    unit = next((unit for unit in sorted(_UNITS, key=len, reverse=True) if said.endswith(unit)), "")
    try:
        return float(said[: len(said) - len(unit)]) * _UNITS.get(unit, 1.0)
    except ValueError:
        return 0.0
