"""`kubectl gyrostat`, started by a real kubectl, with the rights of whoever asks."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlplane.cluster import MERGE, Cluster, kubeconfig

from .installed import API, policy

HELD = {"policy": "shop/shown", "target": "Deployment/checkout", "state": "held: Mode", "held": "Mode",
        "detail": "the mode is Observe", "opened": "2026-11-22T08:00:00Z", "attempts": 0}  # fmt: skip


def kubectl(cluster: Cluster, *words: str, config: Path | None = None) -> "subprocess.CompletedProcess[str]":
    assert cluster.binaries is not None
    path = f"{Path(sys.executable).parent}{os.pathsep}{cluster.binaries}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "KUBECONFIG": str(config or cluster.kubeconfig)}
    command = [str(cluster.binaries / "kubectl"), "gyrostat", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)


@pytest.fixture(scope="module")
def shown(own: Cluster) -> Iterator[Cluster]:
    """A policy, its status, an Episode and an Event as the controller writes them."""
    own.apply(policy("shown", targets={"names": ["checkout"]}))
    status = {
        "observedGeneration": 1, "open": 1, "wouldAct": 1, "held": [{"reason": "Mode", "count": 1}],
        "recovered": 4, "healed": 2, "undone": 0, "needsHuman": 0,
        "conditions": [{"type": "Ready", "status": "True", "reason": "InForce", "message": "in force",
                        "lastTransitionTime": "2026-11-22T08:00:00Z", "observedGeneration": 1}],
    }  # fmt: skip
    own.do("PATCH", f"{API}/namespaces/shop/remediationpolicies/shown/status", {"status": status}, MERGE)
    episodes = f"{API}/namespaces/shop/episodes"
    for name, more in (("e801", {}), ("e802", {"result": "Healed", "closed": "2026-11-22T09:00:00Z", "held": ""})):
        made = {"apiVersion": "gyrostat.dev/v1alpha1", "kind": "Episode", "metadata": {"name": name}}
        own.do("POST", episodes, made)
        own.do("PATCH", f"{episodes}/{name}/status", {"status": HELD | more}, MERGE)
    own.do("POST", "/apis/events.k8s.io/v1/namespaces/shop/events", {
        "metadata": {"name": "checkout.1"}, "eventTime": "2026-11-22T08:00:01.000000Z", "type": "Normal",
        "reportingController": "gyrostat.dev/controller", "reportingInstance": "me", "action": "Hold",
        "reason": "HeldMode", "note": "held shown on shop/checkout: Mode",
        "regarding": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "checkout"},
    })  # fmt: skip
    yield own
    own.kubectl("delete", "rmp", "shown", "-n", "shop")
    own.kubectl("delete", "episodes", "e801", "e802", "-n", "shop")


def test_status_shows_each_policy_and_its_counts(shown: Cluster):
    done = kubectl(shown, "status", "-n", "shop")
    (line,) = [line.split() for line in done.stdout.splitlines() if line.startswith("shop/shown")]
    assert line == ["shop/shown", "Observe", "True", "1", "1", "2", "0", "4", "0"]
    rows = json.loads(kubectl(shown, "status", "-A", "-o", "json").stdout)["data"]["policies"]
    assert next(row for row in rows if row["policy"] == "shop/shown")["held"] == {"Mode": 1}


def test_a_policy_that_is_not_in_force_is_named_and_the_exit_code_says_so(shown: Cluster):
    shown.apply(policy("unseen"))
    try:
        done = kubectl(shown, "--namespace", "shop", "status")
    finally:
        shown.kubectl("delete", "rmp", "unseen", "-n", "shop")
    assert done.returncode == 3
    assert "shop/unseen: the controller has not looked at it yet" in done.stdout + done.stderr


def test_episodes_are_those_that_are_open_or_all(shown: Cluster):
    assert kubectl(shown, "episodes", "-n", "shop", "-o", "name").stdout.split() == ["e801"]
    assert set(kubectl(shown, "episodes", "--all", "-n", "shop", "-o", "name").stdout.split()) >= {"e801", "e802"}


def test_analyze_says_what_only_a_mode_keeps_from_happening(shown: Cluster):
    done = json.loads(kubectl(shown, "analyze", "-n", "shop", "-o", "json").stdout)["data"]
    assert [row["episode"] for row in done["would_act"]] == ["e801"]
    assert done["held"] == {"Mode": 1}


def test_why_tells_episodes_and_what_was_said_of_a_workload(shown: Cluster):
    text = kubectl(shown, "why", "checkout", "-n", "shop").stdout
    assert "e801 by shop/shown: held: Mode" in text
    assert "the mode is Observe" in text
    assert "HeldMode" in text
    assert "no policy found anything about nobody" in kubectl(shown, "why", "nobody", "-n", "shop").stdout


def test_lint_asks_the_api_server_and_says_what_is_selected_now(shown: Cluster, tmp_path: Path):
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(json.dumps(policy("new", targets={"names": ["checkout", "absent"]})))
    done = kubectl(shown, "policy", "lint", str(good), "-o", "json")
    (row,) = json.loads(done.stdout)["data"]["policies"]
    assert row == {"policy": "shop/new", "targets": ["Deployment shop/checkout"], "server": "would take it"}
    assert shown.call("GET", f"{API}/namespaces/shop/remediationpolicies/new")[0] == 404  # nothing was kept
    bad.write_text(json.dumps(policy("new", when="instances.sik > 0")))
    done = kubectl(shown, "policy", "lint", str(good), str(bad))
    assert done.returncode == 2
    assert "bad.yaml:1:" in done.stderr
    assert "did you mean `instances.sick`" in done.stderr


def test_lint_tells_what_only_the_cluster_knows(shown: Cluster, tmp_path: Path):
    file = tmp_path / "p.yaml"
    file.write_text(json.dumps(policy("new", targets={"allowAll": True, "max": 1, "kinds": ["Deployment"]})))
    shown.kubectl("create", "deployment", "second", "--image=registry.test/second:1", "-n", "shop")
    try:
        done = kubectl(shown, "policy", "lint", str(file))
    finally:
        shown.kubectl("delete", "deployment", "second", "-n", "shop")
    assert done.returncode == 2
    assert "workloads now (max is 1)" in done.stderr
    file.write_text(json.dumps(policy("new", targets={"names": ["nowhere"]})))
    done = kubectl(shown, "policy", "lint", str(file))
    assert done.returncode == 0
    assert "selects nothing now" in done.stdout + done.stderr


def test_explain_says_in_words_what_a_policy_does(shown: Cluster):
    done = kubectl(shown, "policy", "explain", "shown", "-n", "shop")
    assert done.returncode == 0
    assert "shop/shown" in done.stdout
    assert "no policy is called 'other'" in kubectl(shown, "policy", "explain", "other", "-n", "shop").stderr


def test_who_may_see_one_namespace_sees_that_one_and_is_told_of_the_others(shown: Cluster, tmp_path: Path):
    shown.kubectl("create", "serviceaccount", "reader", "-n", "blog")
    shown.kubectl(
        "create", "role", "reader", "--verb=list", "--resource=remediationpolicies.gyrostat.dev", "-n", "blog"
    )
    shown.kubectl("create", "rolebinding", "reader", "--role=reader", "--serviceaccount=blog:reader", "-n", "blog")
    own = tmp_path / "reader.kubeconfig"
    own.write_text(kubeconfig(shown.server, shown.ca, shown.bound_token("blog", "reader")))
    assert kubectl(shown, "status", "-n", "blog", config=own).returncode == 0
    done = kubectl(shown, "status", "-n", "shop", config=own)
    assert done.returncode == 1
    assert "Forbidden" in done.stderr
    assert "-n names a namespace in which you may look" in done.stderr


def test_a_cluster_without_our_kinds_is_said_in_one_line(cluster: Cluster):
    done = kubectl(cluster, "status")
    assert "Traceback" not in done.stderr
    assert done.returncode == 0 or "kinds are not installed" in done.stderr


def test_nobody_sees_a_traceback(own: Cluster, tmp_path: Path):
    for words in (
        ["statu"],
        ["why"],
        ["policy", "lint", "nowhere.yaml"],
        ["--kubeconfig", "nowhere", "status"],
        ["-o"],
    ):
        done = kubectl(own, *words)
        assert done.returncode in (1, 2), words
        assert "Traceback" not in done.stderr
        assert done.stderr.startswith(("error:", "Error:", "usage:")) or "nowhere" in done.stderr


def test_a_look_without_a_loop_sees_the_cluster_and_its_policies(shown: Cluster, tmp_path: Path):
    """`auto` on a person's own machine, with a person's own rights: the same engine, nothing written."""
    auto = [str(Path(sys.executable).parent / "auto"), "--json"]
    environment = os.environ | {"GYROSTAT_KUBERNETES": str(shown.kubeconfig), "GYROSTAT_NAMESPACES": "shop"}
    environment |= {"GYROSTAT_STATE": str(tmp_path / "none")}
    before = len(shown.audit(user="admin"))
    done = subprocess.run([*auto, "why", "shop/checkout"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["data"]
    assert told["target"] == "shop/checkout"
    assert told["health"] in ("ok", "sick")
    holds = {each["policy"]: each["holds"] for each in told["policies"]}
    assert holds["shop/shown"] in ("Pass", "Fail")
    assert len(shown.audit(user="admin")) == before
    assert not (tmp_path / "none").exists()
    environment["GYROSTAT_KUBERNETES"] = "nowhere"
    done = subprocess.run([*auto, "status"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "there is no way to the cluster" in json.loads(done.stderr or done.stdout)["error"]["message"]
