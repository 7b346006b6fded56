"""A namespace in which everything goes wrong that the library knows of, and the library as objects, 60 times faster."""

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import yaml

from policies.library import FOLDER
from tests.controlplane.cluster import JSON_PATCH, Cluster
from tests.controlplane.workloads import autoscaler, budget, path, workload

from .installed import policy

MARKET = "market"
NAMES = ("crash-loop", "bad-revision", "out-of-memory", "stuck-rollout", "overload", "autoscaler-limit")
FASTER = 60
RECENT = 1800 / FASTER
"""Seconds for which a change counts as recent here."""
CPU = 100
"""Millicores that a container may use."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LATE = {"within": "30m", "initialDelay": "1m"}
"""Of policies about CPU: the metrics API is asked every ten seconds, whatever a policy says."""


def library(mode: str) -> list[dict[str, Any]]:
    """The library's policies for a cluster as objects of the namespace, and one that scales where an autoscaler is."""
    made = []
    for name in NAMES:
        spec = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())["spec"]
        made.append(policy(name, MARKET, **_faster(spec), mode=mode))
    raise_ = yaml.safe_load((FOLDER / "overload.yaml").read_text())["spec"]
    raise_ |= {"when": "cpu.ratio > 0.9 && k8s.autoscaled", "targets": {"names": ["scaled"]}}
    return [*made, policy("raise-minimum", MARKET, **_faster(raise_), mode=mode)]


def _faster(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Every time divided, those that are not written included; what is asked stays the same."""
    spec = {"for": "0s", "throttle": {}, **spec}
    spec["throttle"] = {"cooldown": "10m", **spec["throttle"]}
    if "cpu.ratio" in spec["when"]:
        spec["verify"] = _LATE
    if "action" in spec and "hold" in spec["action"]:
        spec["action"] = {**spec["action"], "hold": "10m"}  # a hold only waits: ten seconds of it are as good as thirty
    spec["when"] = spec["when"].replace("change.recent", f"(change.age < duration('{RECENT:g}s'))")
    return {key: _divided(key, value) for key, value in spec.items()}


def _divided(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _divided(name, inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_divided(key, inner) for inner in value]
    timed = key in ("for", "cooldown", "per", "hold", "within", "initialDelay")
    found = re.fullmatch(r"(\d+)([smhd])", value) if timed else None
    return f"{int(found[1]) * _UNITS[found[2]] / FASTER:g}s" if found else value


def workloads() -> list[dict[str, Any]]:
    """All of them, well."""
    plain = [workload(MARKET, name) for name in ("healed", "doomed", "guarded", "leaky", "bad", "absent", "stuck")]
    quiet = workload(MARKET, "quiet", **{"gyrostat.dev/disabled": "the shop team is at it"})
    loaded = [workload(MARKET, name) for name in ("busy", "fought", "scaled", "limited")]
    for each in plain:
        each["spec"]["progressDeadlineSeconds"] = 600 // FASTER
    limits = {each["metadata"]["name"]: {"cpu": f"{CPU}m"} for each in loaded} | {"leaky": {"memory": "64Mi"}}
    made = [*plain, quiet, *loaded]
    for each in made:
        (container,) = each["spec"]["template"]["spec"]["containers"]
        if each["metadata"]["name"] in limits:
            container["resources"] = {"limits": limits[each["metadata"]["name"]]}
    calm = autoscaler(MARKET, "scaled", 2, 3)
    calm["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] = 100  # what it has is enough for it
    return [*made, budget(MARKET, "guarded", minAvailable=2), calm, autoscaler(MARKET, "limited", 1, 2)]


def pods(cluster: Cluster, app: str, namespace: str = MARKET) -> list[dict[str, Any]]:
    """Those that stay."""
    found = cluster.get(f"{path('Pod', namespace)}?labelSelector=app%3D{app}")["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def fall(cluster: Cluster, app: str, tag: str = "crash", most: int = 1, namespace: str = MARKET) -> list[str]:
    """Let so many pods of a workload go wrong, and not the workload; their names."""
    well = [
        pod for pod in pods(cluster, app, namespace) if not pod["spec"]["containers"][0]["image"].endswith(f":{tag}")
    ]
    names = [pod["metadata"]["name"] for pod in well[:most]]
    for name in names:
        image = {"op": "replace", "path": "/spec/containers/0/image", "value": f"registry.test/{app}:{tag}"}
        cluster.call("PATCH", path("Pod", namespace, name), [image], JSON_PATCH)
    return names


@contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """What the world does again and again."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(0.2):
            act()

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def release(cluster: Cluster, app: str, tag: str, number: int) -> None:
    """A new version of a workload, as people bring it out."""
    cluster.kubectl("set", "image", f"deployment/{app}", f"app=registry.test/{app}-v{number}:{tag}", "-n", MARKET)


def replicas(cluster: Cluster, app: str) -> int:
    """How many are asked for."""
    return int(cluster.get(path("Deployment", MARKET, app))["spec"]["replicas"])
