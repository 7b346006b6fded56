"""Objects for tests: what a pod does is the tag of its image (see `stages`)."""

from typing import Any

GROUPS = {
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets",
    "ReplicaSet": "/apis/apps/v1/namespaces/{}/replicasets",
    "Pod": "/api/v1/namespaces/{}/pods",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{}/poddisruptionbudgets",
}


def path(kind: str, namespace: str, name: str = "") -> str:
    """Where objects of a kind are, or one of them."""
    return GROUPS[kind].format(namespace) + (f"/{name}" if name else "")


def workload(
    namespace: str, name: str, tag: str = "1", kind: str = "Deployment", replicas: int = 2, **annotations: str
) -> dict[str, Any]:
    """A Deployment, StatefulSet or DaemonSet of one container; pods are labelled `app: NAME`."""
    container = {"name": "app", "image": f"registry.test/{name}:{tag}"}
    spec: dict[str, Any] = {
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
    }
    if kind != "DaemonSet":
        spec["replicas"] = replicas
    if kind == "StatefulSet":
        spec["podManagementPolicy"] = "Parallel"
    metadata = {"namespace": namespace, "name": name, "annotations": annotations}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}


def budget(namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    """A PodDisruptionBudget over the pods of a workload."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}} | spec,
    }


def autoscaler(namespace: str, name: str, lowest: int, highest: int, kind: str = "Deployment") -> dict[str, Any]:
    """A HorizontalPodAutoscaler over a workload; without metrics it keeps the number within its bounds."""
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": kind, "name": name},
            "minReplicas": lowest,
            "maxReplicas": highest,
            "metrics": [{"type": "Resource", "resource": cpu}],
        },
    }
