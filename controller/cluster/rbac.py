"""What the controller needs of a cluster's access control, rule by rule: the chart grants this and nothing else.

A default install reads targets and writes its own objects. What an action needs stands with the action, and is granted
only in the namespaces in which the chart enables it.
"""

from actions.action import Permission
from actions.registry import ACTIONS
from controller.cluster.crds import GROUP

_WATCH = ("get", "list", "watch")

READS = (
    Permission("", "pods", _WATCH),
    Permission("apps", "daemonsets", _WATCH),
    Permission("apps", "deployments", _WATCH),
    Permission("apps", "replicasets", _WATCH),
    Permission("apps", "statefulsets", _WATCH),
    Permission("autoscaling", "horizontalpodautoscalers", _WATCH),
    Permission("policy", "poddisruptionbudgets", _WATCH),
    Permission(GROUP, "episodes", _WATCH),
    Permission(GROUP, "remediationpolicies", _WATCH),
)
"""What is watched in every namespace that is looked at."""

WRITES = (
    Permission(GROUP, "episodes", ("create", "delete")),
    Permission(GROUP, "episodes/status", ("patch",)),
    Permission(GROUP, "remediationpolicies/status", ("patch",)),
    Permission("events.k8s.io", "events", ("create", "patch")),
)
"""What is written there whatever is enabled: only what says something, nothing that changes a target."""

CLUSTER = (
    Permission("", "namespaces", _WATCH),
    Permission(GROUP, "clusterremediationpolicies", _WATCH),
    Permission(GROUP, "clusterremediationpolicies/status", ("patch",)),
)
"""What is in no namespace: labels and annotations of namespaces, and the policies that see every one."""

PARTS = {"namespace": READS + WRITES, "cluster": CLUSTER}
"""The rules of a default install by where they hold."""


def rules(permissions: tuple[Permission, ...]) -> list[dict[str, list[str]]]:
    """As a Role says it, one rule per resource."""
    return [{"apiGroups": [p.group], "resources": [p.resource], "verbs": list(p.verbs)} for p in permissions]


def of_actions() -> dict[str, list[dict[str, list[str]]]]:
    """The rules of each action, by its name."""
    return {name: rules(action.permissions) for name, action in ACTIONS.items()}
