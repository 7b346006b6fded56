"""Objects as the API sends them: written down from a real server, cut to what matters and to what could mislead."""

import json
from copy import deepcopy
from datetime import UTC, datetime

NOW = 1_795_334_400.0  # 2026-11-22T08:00:00Z


def at(seconds: float) -> str:
    """A time so many seconds from NOW, as the API writes it."""
    return datetime.fromtimestamp(NOW + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def merged(base, over):
    out = deepcopy(base)
    for key, value in over.items():
        out[key] = merged(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return out


def deployment(name="web", namespace="shop", rv="100", replicas=2, **over):
    base = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"d-{namespace}-{name}",
            "resourceVersion": rv,
            "generation": 1,
            "creationTimestamp": at(-86400),
            "labels": {"app": name, "tier": "front"},
            "annotations": {"deployment.kubernetes.io/revision": "7", "note": "for people"},
            "managedFields": [
                {
                    "manager": "kubectl-create",
                    "operation": "Update",
                    "apiVersion": "apps/v1",
                    "time": at(-86400),
                    "fieldsType": "FieldsV1",
                    "fieldsV1": {
                        "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                        "f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": {"f:spec": {}}},
                    },
                },
                {
                    "manager": "kube-controller-manager",
                    "operation": "Update",
                    "apiVersion": "apps/v1",
                    "time": at(-5),
                    "fieldsType": "FieldsV1",
                    "subresource": "status",
                    "fieldsV1": {"f:status": {"f:replicas": {}, "f:readyReplicas": {}}},
                },
            ],
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "progressDeadlineSeconds": 600,
            "template": {
                "metadata": {"creationTimestamp": None, "labels": {"app": name}},
                "spec": {
                    "containers": [
                        {"name": "app", "image": "web:7", "resources": {"limits": {"memory": "256Mi", "cpu": "500m"}}}
                    ]
                },
            },
        },
        "status": {
            "observedGeneration": 1,
            "replicas": replicas,
            "updatedReplicas": replicas,
            "readyReplicas": replicas,
            "availableReplicas": replicas,
            "conditions": [
                {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
                {
                    "type": "Progressing",
                    "status": "True",
                    "reason": "NewReplicaSetAvailable",
                    "lastTransitionTime": at(-86400),
                },
            ],
        },
    }
    return merged(base, over)


def replicaset(name="web-1", owner="d-shop-web", namespace="shop", rv="101", revision="7", created=-86400):
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"r-{name}",
            "resourceVersion": rv,
            "creationTimestamp": at(created),
            "annotations": {"deployment.kubernetes.io/revision": revision},
            "ownerReferences": [{"kind": "Deployment", "name": "web", "uid": owner, "controller": True}],
        },
        "spec": {"replicas": 2},
    }


def container(name="app", restarts=0, ready=True, state=None, last=None, **over):
    return {
        "name": name,
        "image": "web:7",
        "ready": ready,
        "started": ready,
        "restartCount": restarts,
        "state": state if state is not None else {"running": {"startedAt": at(-3600)}},
        "lastState": last or {},
    } | over


def pod(name="web-1-a", owner="r-web-1", namespace="shop", rv="102", containers=None, **over):
    containers = containers if containers is not None else [container()]
    ready = bool(containers) and all(c["ready"] for c in containers)
    base = {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"p-{name}",
            "resourceVersion": rv,
            "creationTimestamp": at(-3600),
            "labels": {"app": "web"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": owner[2:], "uid": owner, "controller": True}],
        },
        "spec": {"nodeName": "node-1", "containers": [{"name": "app"}]},
        "status": {
            "phase": "Running",
            "startTime": at(-3600),
            "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": at(-3600)},
                {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": at(-3600)},
            ],
            "containerStatuses": containers,
        },
    }
    return merged(base, over)


def waiting(reason, message="", **over):
    return container(ready=False, state={"waiting": {"reason": reason, "message": message}}, **over)


def ended(reason="Error", code=1, ago=30.0):
    return {"terminated": {"reason": reason, "exitCode": code, "finishedAt": at(-ago), "startedAt": at(-ago - 5)}}


def crashing(restarts=5, **over):
    over = {"last": ended()} | over
    return waiting("CrashLoopBackOff", "back-off 5m0s restarting failed container", restarts=restarts, **over)


def page(*items, rv="200", token=""):
    meta = {"resourceVersion": rv} | ({"continue": token} if token else {})
    return json.dumps({"kind": "List", "apiVersion": "v1", "metadata": meta, "items": list(items)}).encode()


def event(kind, thing):
    return json.dumps({"type": kind, "object": thing}).encode()


def bookmark(rv):
    return event("BOOKMARK", {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": rv}})
