"""Whose telemetry it is: what a sender says of itself, joined to the targets that the platforms list."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from telemetry.target import Target


@dataclass(frozen=True, slots=True)
class Origin:
    """What a sender says of itself. It is data: it picks one of the targets there are, or none.

    Attributes:
        name: `service.name`.
        namespace: `service.namespace`, empty if it was not said.
        instance: `k8s.pod.uid`, else `service.instance.id`, else `process.pid`; empty if none was said.
        workload: kind, namespace and name of the Kubernetes workload, if said.
    """

    name: str
    namespace: str = ""
    instance: str = ""
    workload: tuple[str, str, str] | None = None


class Join:
    """Finds the target of an origin. A key that more than one target has joins none of them."""

    def __init__(self, targets: Iterable[Target]) -> None:
        self._workloads: dict[tuple[str, str, str], Target | None] = {}
        self._services: dict[tuple[str, str], Target | None] = {}
        self._names: dict[str, Target | None] = {}
        for target in targets:
            _only(self._workloads, (target.kind, target.namespace, target.name), target)
            _only(self._services, (target.namespace, target.name), target)
            _only(self._names, target.name, target)

    def target(self, origin: Origin) -> Target | None:
        """By the workload that was said, else by namespace and name, else by the name where no namespace was said."""
        if origin.workload and (found := self._workloads.get(origin.workload)):
            return found
        if origin.namespace:
            return self._services.get((origin.namespace, origin.name))
        return self._names.get(origin.name)


def _only(index: dict[Any, Target | None], key: object, target: Target) -> None:
    index[key] = None if key in index else target
