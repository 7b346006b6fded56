"""The kinds of the cluster's API, made from the models that files pass: what the chart installs.

The policy kinds have a status that only the controller writes; an Episode has nothing else.
"""

from typing import Any

from controller.cluster.rules import NAME, rules
from controller.cluster.structural import RULES, structural

GROUP, VERSION = "gyrostat.dev", "v1alpha1"
PLURALS = {
    "RemediationPolicy": "remediationpolicies",
    "ClusterRemediationPolicy": "clusterremediationpolicies",
    "Episode": "episodes",
}
"""How each kind is called in paths and in access control."""
_SHORT = {"RemediationPolicy": "rmp", "ClusterRemediationPolicy": "crmp", "Episode": "epi"}
_LONGEST = {"when": 4096, "until": 4096}

_TEXT = {"type": "string", "maxLength": 1024}
_TIME = {"type": "string", "format": "date-time"}


def _count(meaning: str) -> dict[str, Any]:
    return {"type": "integer", "format": "int64", "minimum": 0, "description": meaning}


def crds() -> dict[str, dict[str, Any]]:
    """Every CustomResourceDefinition, by kind."""
    from controller.schemas import schemas  # noqa: PLC0415 - the models are large, and most of the controller needs none

    schema = schemas()["policy"]
    spec = structural({"$ref": "#/$defs/Spec"}, schema["$defs"], rules())
    for key, longest in _LONGEST.items():
        spec["properties"][key] |= {"maxLength": longest, "minLength": 1}
    policy = {"properties": {"spec": spec, "status": _policy_status()}, "required": ["spec"]}
    said = {kind: schema["$defs"][kind]["description"] for kind in ("RemediationPolicy", "ClusterRemediationPolicy")}
    return {
        **{kind: _crd(kind, policy | {RULES: [dict(NAME)]}, _POLICY_COLUMNS, said[kind]) for kind in said},
        "Episode": _crd("Episode", {"properties": {"status": _episode_status()}}, _EPISODE_COLUMNS, _EPISODE),
    }


_EPISODE = "One policy's condition holding for one target. Written by the controller; the trail is the authority."


def _crd(
    kind: str, schema: dict[str, Any], columns: tuple[tuple[str, str, str, int], ...], said: str
) -> dict[str, Any]:
    plural = PLURALS[kind]
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()}
    identity = {"apiVersion": _TEXT_ANY, "kind": _TEXT_ANY, "metadata": {"type": "object"}}
    whole = {"type": "object", "description": said, **schema, "properties": {**identity, **schema["properties"]}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Cluster" if kind.startswith("Cluster") else "Namespaced",
            "names": names | {"shortNames": [_SHORT[kind]], "categories": ["gyrostat"]},
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": whole},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(*column) for column in columns],
                }
            ],
        },
    }


_TEXT_ANY = {"type": "string"}


def _column(name: str, kind: str, path: str, priority: int) -> dict[str, Any]:
    return {"name": name, "type": kind, "jsonPath": path} | ({"priority": priority} if priority else {})


_POLICY_COLUMNS = (
    ("Mode", "string", ".spec.mode", 0),
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', 0),
    ("Open", "integer", ".status.open", 0),
    ("Would act", "integer", ".status.wouldAct", 0),
    ("Healed", "integer", ".status.healed", 0),
    ("Undone", "integer", ".status.undone", 0),
    ("Human", "integer", ".status.needsHuman", 0),
    ("When", "string", ".spec.when", 1),
    ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', 1),
    ("Age", "date", ".metadata.creationTimestamp", 0),
)
_EPISODE_COLUMNS = (
    ("Policy", "string", ".status.policy", 0),
    ("Target", "string", ".status.target", 0),
    ("State", "string", ".status.state", 0),
    ("Action", "string", ".status.action", 0),
    ("Held", "string", ".status.held", 0),
    ("Result", "string", ".status.result", 0),
    ("Detail", "string", ".status.detail", 1),
    ("Age", "date", ".status.opened", 0),
)


_CONDITION = {
    "type": {"type": "string", "maxLength": 316},
    "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
    "observedGeneration": _count("generation of the policy that this is about"),
    "lastTransitionTime": _TIME,
    "reason": {"type": "string", "maxLength": 1024},
    "message": {"type": "string", "maxLength": 32768},
}


def _policy_status() -> dict[str, Any]:
    held = {"reason": _TEXT, "count": _count("open episodes")}
    return {
        "type": "object",
        "description": "What became of it; written by the controller only.",
        "properties": {
            "observedGeneration": _count("generation that the controller last looked at"),
            "hash": _TEXT | {"description": "of the content in force; records of the trail name it"},
            "conditions": {
                "type": "array",
                "maxItems": 8,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
                "items": {
                    "type": "object",
                    "required": ["type", "status", "lastTransitionTime", "reason", "message"],
                    "properties": _CONDITION,
                },
            },
            "open": _count("episodes that are open"),
            "wouldAct": _count("open episodes that only the mode, a window or a person keeps from acting"),
            "held": {
                "type": "array",
                "description": "why nothing is done about open episodes",
                "maxItems": 64,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["reason"],
                "items": {"type": "object", "required": ["reason", "count"], "properties": held},
            },
            "recovered": _count("episodes that ended by themselves: acting would not have been needed"),
            "healed": _count("episodes in which acting helped"),
            "undone": _count("episodes in which acting did not help and was put back"),
            "needsHuman": _count("open episodes that wait for a person"),
        },
    }


def _episode_status() -> dict[str, Any]:
    texts = {
        "policy": "namespace/name, or name of a policy that sees every namespace",
        "target": "Kind/name in this namespace",
        "uid": "of the target",
        "state": "how far it has come",
        "action": "what was last done, or is being done",
        "changes": "what that writes",
        "held": "why it is not acted on",
        "result": "how it ended; empty while it is open",
        "detail": "what a person should know",
    }
    return {
        "type": "object",
        "properties": {name: _TEXT | {"description": meaning} for name, meaning in texts.items()}
        | {
            "opened": _TIME,
            "closed": _TIME,
            "attempts": _count("times something was done"),
            "confidencePercent": _count("when it opened") | {"maximum": 100},
        },
    }
