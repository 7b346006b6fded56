"""What must not be touched, whatever a policy says, because the cluster itself needs it."""

from collections.abc import Mapping

from telemetry.sources.kubernetes.objects import Workload

SYSTEM_NAMESPACES = frozenset(
    {
        *("kube-system", "kube-public", "kube-node-lease", "kube-flannel", "calico-system", "calico-apiserver"),
        *("tigera-operator", "cilium", "gke-managed-system", "local-path-storage"),
    }
)
"""Namespaces of the cluster itself: its control plane, its network, its storage."""
_CRITICAL = frozenset({"system-cluster-critical", "system-node-critical"})
_NAMES = frozenset(
    {
        *("kube-dns", "coredns", "node-local-dns", "kube-proxy", "metrics-server", "gyrostat"),
        *("calico-node", "calico-kube-controllers", "cilium", "cilium-agent", "cilium-operator"),
        *("flannel", "weave-net", "antrea", "kube-router", "aws-node", "azure-cni", "kindnet", "multus"),
    }
)
_NAME_LABELS = ("k8s-app", "app.kubernetes.io/name", "app", "component")


def protected_by_itself(workload: Workload) -> str:
    """Why a workload must not be touched, by what stands on itself; empty if nothing does."""
    meta, template = workload.metadata, workload.spec.template
    if meta.namespace in SYSTEM_NAMESPACES:
        return f"the namespace {meta.namespace} is the cluster's own"
    if template.spec.priority_class_name in _CRITICAL:
        return f"it is {template.spec.priority_class_name}"
    for label in _NAME_LABELS:
        if (name := meta.labels.get(label, "")) in _NAMES:
            return f"its label {label}: {name} names a part of the cluster itself"
    return ""


def matches(selector: Mapping[str, str] | None, labels: Mapping[str, str]) -> bool:
    """Whether a service's selector chooses pods with these labels; one that is empty chooses none."""
    return bool(selector) and all(labels.get(key) == value for key, value in (selector or {}).items())
