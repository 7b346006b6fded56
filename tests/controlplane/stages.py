"""What stands for the kubelets: kwok Stages that read nothing but the pod's spec.

A container behaves as the tag of its image says, so that a bad release is a `kubectl set image` like any other, and one
sick pod of a healthy workload is the same on the pod: its replacement has the template's image again.

    :crash         runs a second, exits with 1, CrashLoopBackOff; again, with rising restarts
    :oom           the same, OOMKilled
    :missing       ImagePullBackOff
    :slow          runs at once, is ready after START_AFTER (an environment variable of the container; 5s)
    :never-ready   runs, and its readiness probe never passes
    anything else  runs and is ready; a pod that is not to be restarted (a job's) has succeeded after a second
"""

import json
from typing import Any

FALLING = ("crash", "oom")
UNREADY = (*FALLING, "slow", "never-ready")

_TAGS = '.spec.containers[].image | split(":") | last'
_WAITS = ".status.containerStatuses[].state.waiting.reason"
_READY = '.status.conditions[] | select(.type == "Ready") | .status'
_FALLING = '(.spec.containers[] | select(.image | split(":") | last | IN("crash", "oom")) | .name) as $name'
_STATE = f"{_FALLING} | .status.containerStatuses[] | select(.name == $name)"
_REPLACED = "[.spec.containers[].image] == [.status.containerStatuses[].image]"
_START_AFTER = '.spec.containers[].env[] | select(.name == "START_AFTER") | .value'
_BACK_OFF = f'{_STATE} | [(.restartCount + 1) * 1000, 8000] | min | tostring + "ms"'

_TEMPLATE = """\
{{ $now := Now }}{{ $step := "STEP" }}{{ $old := .status }}{{ $allReady := true }}
{{ if not .status.podIP }}
{{ $ip := PodIPWith .spec.nodeName (or .spec.hostNetwork false) .metadata.uid .metadata.name .metadata.namespace }}
hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
podIP: {{ $ip | Quote }}
podIPs: [{ip: {{ $ip | Quote }}}]
startTime: {{ $now | Quote }}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
{{ $name := .name }}{{ $tag := last (splitList ":" .image) }}
{{ $was := dict }}{{ range $old.containerStatuses }}{{ if eq .name $name }}{{ $was = . }}{{ end }}{{ end }}
{{ $restarts := int (or $was.restartCount 0) }}
{{ $since := $now }}{{ with $was.state }}{{ with .running }}{{ $since = .startedAt }}{{ end }}{{ end }}
{{ $falls := or (eq $tag "crash") (eq $tag "oom") }}{{ $ready := not (or $falls (eq $tag "never-ready")) }}
{{ if and (eq $tag "slow") (ne $step "warm") }}{{ $ready = false }}{{ end }}
{{ if or (and $falls (eq $step "back")) (eq $step "replaced") }}
{{ $restarts = add $restarts 1 }}{{ $since = $now }}
{{ end }}
- name: {{ $name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  restartCount: {{ $restarts }}
{{ if eq $step "missing" }}{{ $ready = false }}
  state: {waiting: {reason: ErrImagePull, message: "{{ .image }}: not found"}}
{{ else if eq $step "still-missing" }}{{ $ready = false }}
  state: {waiting: {reason: ImagePullBackOff, message: "Back-off pulling image {{ .image }}"}}
{{ else if and $falls (eq $step "fall") }}
  state: {waiting: {reason: CrashLoopBackOff, message: "back-off restarting failed container {{ $name }}"}}
{{ else if eq $step "done" }}{{ $ready = false }}
  state: {terminated: {exitCode: 0, reason: Completed, startedAt: {{ $since | Quote }}, finishedAt: {{ $now | Quote }}}}
{{ else }}
  state: {running: {startedAt: {{ $since | Quote }}}}
{{ end }}
{{ if and $falls (eq $step "fall") }}
  lastState:
    terminated:
      exitCode: {{ if eq $tag "oom" }}137{{ else }}1{{ end }}
      reason: {{ if eq $tag "oom" }}OOMKilled{{ else }}Error{{ end }}
      startedAt: {{ $since | Quote }}
      finishedAt: {{ $now | Quote }}
{{ else }}{{ with $was.lastState }}
  lastState: {{ YAML . 2 }}
{{ end }}{{ end }}
  ready: {{ $ready }}
  started: {{ and (not (and $falls (eq $step "fall"))) (not (contains "missing" $step)) }}
{{ if not $ready }}{{ $allReady = false }}{{ end }}
{{ end }}
phase: {{ if contains "missing" $step }}Pending{{ else if eq $step "done" }}Succeeded{{ else }}Running{{ end }}
conditions:
- {type: PodScheduled, status: "True"}
- {type: Initialized, status: "True", lastTransitionTime: {{ $now | Quote }}}
{{ range list "ContainersReady" "Ready" }}
- {type: {{ . }}, status: "{{ if $allReady }}True{{ else }}False{{ end }}", lastTransitionTime: {{ $now | Quote }}}
{{ end }}
"""


_NODE = """\
conditions:
{{ range NodeConditions }}
- type: {{ .type }}
  status: "{{ .status }}"
  reason: {{ .reason }}
  message: {{ .message | Quote }}
  lastTransitionTime: {{ Now | Quote }}
  lastHeartbeatTime: {{ Now | Quote }}
{{ end }}
"""


def _jq(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"jq": {"key": key, "operator": operator} | ({"values": list(values)} if values else {})}


def _stage(step: str, delay_ms: int, *matches: dict[str, Any], delay_from: str = "") -> dict[str, Any]:
    delay: dict[str, Any] = {"durationMilliseconds": delay_ms}
    if delay_from:
        delay["durationFrom"] = {"jq": {"expression": delay_from}}
    living = _jq(".metadata.deletionTimestamp", "DoesNotExist")
    return _document(step, delay, [living, *matches], {"statusTemplate": _TEMPLATE.replace("STEP", step)})


def _document(
    name: str, delay: dict[str, Any], matches: list[dict[str, Any]], then: dict[str, Any], kind: str = "Pod"
) -> dict[str, Any]:
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": kind},
            "selector": {"matchExpressions": matches},
            "delay": delay,
            "next": then,
        },
    }


def stages() -> str:
    """All of them, as documents for `kwok --config`."""
    pending, runs = _jq(".status.phase", "In", "Pending"), _jq(".status.phase", "In", "Running")
    unchanged = _jq(_REPLACED, "In", "true")
    documents = [
        _stage("start", 0, pending, _jq(_TAGS, "NotIn", "missing")),
        _stage("missing", 0, pending, _jq(_TAGS, "In", "missing"), _jq(".status.containerStatuses", "DoesNotExist")),
        _stage("still-missing", 1000, pending, _jq(_WAITS, "In", "ErrImagePull"), _jq(_TAGS, "In", "missing")),
        _stage(
            "warm", 5000, runs, unchanged, _jq(_TAGS, "In", "slow"), _jq(_READY, "In", "False"), delay_from=_START_AFTER
        ),
        _stage("fall", 1000, runs, unchanged, _jq(f"{_STATE} | .state.running.startedAt", "Exists")),
        _stage("back", 1000, runs, unchanged, _jq(f"{_STATE} | .state.waiting.reason", "Exists"), delay_from=_BACK_OFF),
        _stage("replaced", 0, runs, _jq(_REPLACED, "In", "false"), _jq(_TAGS, "NotIn", "missing")),
        _stage("done", 1000, runs, _jq(".spec.restartPolicy", "In", "Never", "OnFailure"), _jq(_READY, "In", "True")),
        _document(
            "delete",
            {"durationMilliseconds": 300},
            [_jq(".metadata.deletionTimestamp", "Exists")],
            {"finalizers": {"empty": True}, "delete": True},
        ),
    ]
    documents.append(_document("node", {}, [_jq(_READY, "NotIn", "True")], {"statusTemplate": _NODE}, "Node"))
    return "---\n".join(json.dumps(document) + "\n" for document in documents)
