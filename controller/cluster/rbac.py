"""What the controller needs of a cluster's access control, rule by rule: the chart grants this and nothing else.

A default install reads targets and writes its own objects. What an action needs stands with the action, and is granted
only in the namespaces in which the chart enables it.
"""

from actions.action import Permission
from actions.registry import ACTIONS
from controller.cluster.crds import GROUP
from telemetry.sources.kubernetes.resources import RULES, USAGE

_WATCH = ("get", "list", "watch")
_IN_NO_NAMESPACE = ("namespaces", "validatingwebhookconfigurations", "mutatingwebhookconfigurations")

_FOLLOWED = tuple(Permission(group, plural, _WATCH) for group, plural in RULES)

READS = (
    *(rule for rule in _FOLLOWED if rule.resource not in _IN_NO_NAMESPACE),
    Permission(*USAGE, ("get", "list")),
    Permission(GROUP, "episodes", _WATCH),
    Permission(GROUP, "remediationpolicies", _WATCH),
)
"""What is watched in every namespace that is looked at."""

WRITES = (
    Permission(GROUP, "episodes", ("create", "delete")),
    Permission(GROUP, "episodes/status", ("patch",)),
    Permission(GROUP, "remediationpolicies/status", ("patch",)),
    Permission("events.k8s.io", "events", ("create",)),
)
"""What is written there whatever is enabled: only what says something, nothing that changes a target."""

CLUSTER = (
    *(rule for rule in _FOLLOWED if rule.resource in _IN_NO_NAMESPACE),
    Permission(GROUP, "clusterremediationpolicies", _WATCH),
    Permission(GROUP, "clusterremediationpolicies/status", ("patch",)),
)
"""What is in no namespace: namespaces, who must answer before pods can start, and policies that see every namespace."""

PARTS = {"namespace": READS + WRITES, "cluster": CLUSTER}
"""The rules of a default install by where they hold."""


def rules(permissions: tuple[Permission, ...]) -> list[dict[str, list[str]]]:
    """As a Role says it, one rule per resource."""
    return [{"apiGroups": [p.group], "resources": [p.resource], "verbs": list(p.verbs)} for p in permissions]


def of_actions() -> dict[str, list[dict[str, list[str]]]]:
    """The rules of each action, by its name."""
    return {name: rules(action.permissions) for name, action in ACTIONS.items()}
