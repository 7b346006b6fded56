"""Whose a field is, by what the API server remembers of its writers. A mark that only says "managed" decides nothing.

The server remembers who wrote a field last (managedFields), not who will write it again. Who declares it does. After
a server-side apply our value would even make the next apply fail with a conflict, a person's as well. A client-side
apply leaves its manifest in an annotation: a program's comes again by itself, a person's `kubectl apply` does not.
"""

from collections.abc import Iterator

import msgspec

from telemetry.inventory import By, Owner
from telemetry.sources.kubernetes.objects import MANAGER, SHARED, Managed, Meta, Workload
from telemetry.sources.kubernetes.pods import epoch

DESIRED, ROLLOUT = "desired", "rollout"
SPEC = "spec"
"""Where `Facts.writers` says who changed anything of the spec last."""
_ADVICE = f"leave spec.replicas out of what is applied, or annotate the workload {SHARED}: replicas"
_CONTROLLERS = frozenset({"kube-controller-manager"})


class _Spec(msgspec.Struct, frozen=True, gc=False):
    replicas: msgspec.Raw | None = None


class _Applied(msgspec.Struct, frozen=True, gc=False):
    spec: _Spec = _Spec()


def owners(workload: Workload) -> dict[str, Owner]:
    """Whose the number of instances is, and the pod template: an operator's that made it, or an applied manifest's."""
    meta = workload.metadata
    maker = next((owner for owner in meta.owner_references if owner.controller), None)
    if maker is not None:  # what it takes back of the template would restart every pod once more
        owner = Owner(By.CONTROLLER, f"{maker.kind} {maker.name} keeps it", "change that object instead")
        return {DESIRED: owner, ROLLOUT: owner}
    if "replicas" in (word.strip() for word in meta.annotations.shared.split(",")):
        return {}
    for entry in meta.managed_fields:
        if entry.operation == "Apply" and entry.manager != MANAGER and _says_replicas(entry):
            return {DESIRED: Owner(By.GITOPS, f"{entry.manager} applies it", _ADVICE)}
    said = next((e.manager for e in _others(meta) if _says_replicas(e)), "")
    if said and not said.startswith("kubectl") and _declares_replicas(meta.annotations.applied or "{}"):
        return {DESIRED: Owner(By.GITOPS, f"{said} applies it", _ADVICE)}
    return {}


def writers(meta: Meta) -> dict[str, str]:
    """Who wrote the number of instances last, and who the spec, as far as the server remembers; never us."""
    found: dict[str, str] = {}
    replicas = [entry for entry in _others(meta) if _says_replicas(entry)]
    if replicas:  # an entry of the subresource carries no time, and takes the field over from the others
        found[DESIRED] = max(replicas, key=lambda e: (e.subresource == "scale", epoch(e.time))).manager
    spec = [entry for entry in _others(meta) if entry.fields_v1.spec is not None and not entry.subresource]
    if spec:
        found[SPEC] = max(reversed(spec), key=lambda entry: epoch(entry.time)).manager  # of one second: the last
    return found


def changed_at(meta: Meta) -> float:
    """When somebody but us wrote the spec; when it was made, if the server does not remember."""
    times = [epoch(e.time) for e in _others(meta) if e.fields_v1.spec is not None and not e.subresource]
    return max(times, default=epoch(meta.creation_timestamp))


def _others(meta: Meta) -> Iterator[Managed]:
    return (e for e in meta.managed_fields if e.manager != MANAGER and e.manager not in _CONTROLLERS | {""})


def _says_replicas(entry: Managed) -> bool:
    spec = entry.fields_v1.spec
    return spec is not None and spec.replicas is not msgspec.UNSET


def _declares_replicas(applied: str) -> bool:
    """Whether a manifest says how many; one that cannot be read may."""
    try:
        return msgspec.json.decode(applied, type=_Applied).spec.replicas is not None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return True
