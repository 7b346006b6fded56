"""Stops and looks in a cluster: a freeze that works while the API server is away, and looks that leave no trace."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.controlplane.cluster import Cluster, kubeconfig
from tests.controlplane.workloads import workload
from tests.telemetry.kubernetes.proxy import Proxy

from .installed import ACCOUNT, controller, episodes, events, policy, token, until

QUICK = {"mode": "Enforce", "minConfidencePercent": 10, "verify": {"initialDelay": "1s", "within": "1m"}}


def auto(state: Path, *words: str) -> dict[str, Any]:
    """What `auto --json` says of a state directory; nothing where it refuses, as long as no loop has looked yet."""
    command = [str(Path(sys.executable).parent / "auto"), "--json", *words]
    environment = os.environ | {"GYROSTAT_STATE": str(state)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr
    return dict(json.loads(done.stdout).get("data", {}))


def broken(own: Cluster, name: str) -> str:
    """A workload of two pods, one of which is made to crash; the name of that pod."""
    own.apply(workload("shop", name))
    path = f"/apis/apps/v1/namespaces/shop/deployments/{name}"
    until(lambda: own.get(path)["status"].get("readyReplicas") == 2, "it is well")
    (first, *_) = own.get(f"/api/v1/namespaces/shop/pods?labelSelector=app%3D{name}")["items"]
    pod = str(first["metadata"]["name"])
    own.kubectl("set", "image", f"pod/{pod}", f"app=registry.test/{name}:crash", "-n", "shop")
    return pod


def evicted(own: Cluster, pod: str) -> bool:
    return bool(own.audit(user=ACCOUNT, verb="create/eviction", namespace="shop", name=pod))


def frozen_wish(state: Path) -> bool:
    """A loop that was just started wants to act, and says what keeps it from that."""
    told = auto(state, "why", "shop/frozen")
    return "cold" not in told and "Frozen" in json.dumps(told.get("policies", []))


def held(own: Cluster, name: str) -> set[str]:
    return {str(one.get("held", "")) for one in episodes(own, name)}


@pytest.fixture(autouse=True)
def _leave_no_policy(own: Cluster):
    yield
    own.kubectl("delete", "rmp", "--all", "-n", "shop")


def test_a_freeze_that_is_said_while_the_api_is_down_holds_every_write_also_over_a_kill(own: Cluster, tmp_path: Path):
    proxy = Proxy(own.server)
    way = tmp_path / "through-the-proxy"
    way.write_text(kubeconfig(proxy.server, own.ca, token(own)))
    state = tmp_path / "state"
    own.apply(policy("frozen", targets={"names": ["frozen"]}, **QUICK))
    try:
        with controller(own, tmp_path, kubernetes=str(way)) as process:
            until(lambda: auto(state, "why", "shop/checkout"), "it sees the cluster")
            proxy.refuse()
            auto(state, "freeze", "--why", "the API is down")
            proxy.refuse(refusing=False)
            pod = broken(own, "frozen")
            until(lambda: held(own, "frozen") == {"Frozen"}, "it is held, with the reason")
            assert not evicted(own, pod)
            process.kill()
        with controller(own, tmp_path, kubernetes=str(way)):
            until(lambda: frozen_wish(state), "it sees and holds it again")
            assert not evicted(own, pod)
            auto(state, "unfreeze", "--why", "it is back")
            until(lambda: evicted(own, pod), "what was held is done")
    finally:
        proxy.close()


def test_on_request_the_api_server_rehearses_each_write_and_keeps_nothing(own: Cluster, tmp_path: Path):
    again = {"cooldown": "1s"}  # a crashing pod may change three times while it is read
    own.apply(policy("asked", targets={"names": ["asked"]}, throttle=again, **QUICK))
    with controller(own, tmp_path, dry_run="true", dry_run_server="true"):
        pod = broken(own, "asked")
        until(lambda: re.search(r"\bi\d+ written", (tmp_path / "log").read_text()), "the API server let it pass")
    asked = own.audit(user=ACCOUNT, verb="create/eviction", namespace="shop", name=pod)
    assert {"dryRun=All" in entry["requestURI"] for entry in asked} == {True}
    assert 201 in {entry["responseStatus"]["code"] for entry in asked}
    assert own.call("GET", f"/api/v1/namespaces/shop/pods/{pod}")[0] == 200
    assert episodes(own, "asked") == []


def test_a_dry_run_decides_and_says_nothing_to_the_cluster(own: Cluster, tmp_path: Path):
    """P15: no write of any kind, no status and no Event either, while the log has what would have been done."""
    own.apply(policy("rehearsed", targets={"names": ["rehearsed"]}, **QUICK))
    before = len(own.audit(user=ACCOUNT))
    with controller(own, tmp_path, dry_run="true"):
        broken(own, "rehearsed")
        log = tmp_path / "log"
        until(lambda: "Do Restart on shop/rehearsed" in log.read_text(), "it is decided")
    assert len(own.audit(user=ACCOUNT)) == before
    assert events(own, "rehearsed") == {}
