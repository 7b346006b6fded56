"""The protocol of an action: a new action is one file and one line in the registry."""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict

from actions.plan import Plan, Refusal, Undo
from telemetry.inventory import Facts
from telemetry.target import Target


class Params(BaseModel):
    """Base of every action's parameters: unknown keys are errors, instances are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


@dataclass(frozen=True, slots=True)
class Permission:
    """One rule that the access control of a Kubernetes cluster must grant in the target's namespace.

    Attributes:
        group: API group; empty for the core one.
        resource: in the plural, with its subresource: `deployments/scale`. Never a wildcard.
        verbs: beyond what reading the targets needs anyway.
    """

    group: str
    resource: str
    verbs: tuple[str, ...]


class Action(Protocol):
    """One kind of remedy, saying everything about itself.

    Attributes:
        name: how policies name it, e.g. `Scale`; its params stand under the same name in camelCase (`scale`).
        params: model of its parameters.
        undo: what can be put back.
        writes: patterns (fnmatch) of the paths it may change: the whole of its permissions on a local platform.
        permissions: the whole of them in a cluster: what the chart grants where the action is enabled.
    """

    name: ClassVar[str]
    params: ClassVar[type[Params]]
    undo: ClassVar[Undo]
    writes: ClassVar[frozenset[str]]
    permissions: ClassVar[tuple[Permission, ...]]

    def plan(self, target: Target, params: Any, facts: Facts, hold: float | None) -> Plan | Refusal:
        """Compute what would be changed, purely from facts.

        Args:
            target: what to remedy.
            params: an instance of `self.params`.
            facts: the platform's cached view of the target.
            hold: seconds a success is to be held; None takes the action's own default.
        """
        ...
