"""`auto doctor` in a cluster, as the account of the chart: the API server itself says what is missing."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.controlplane.cluster import MERGE, Cluster, kubeconfig

from .installed import API, token

ROLE = "/apis/rbac.authorization.k8s.io/v1/clusterroles/gyrostat"


def doctor(cluster: Cluster, folder: Path, **settings: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and findings."""
    own = folder / "own.kubeconfig"
    own.write_text(kubeconfig(cluster.server, cluster.ca, token(cluster)))
    given = {"kubernetes": str(own), "state": str(folder / "state")} | settings
    variables = {f"GYROSTAT_{name.upper()}": value for name, value in given.items()}
    command = [str(Path(sys.executable).parent / "auto"), "--json", "doctor"]
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode in (0, 3), done.stderr
    return done.returncode, json.loads(done.stdout)["data"]["findings"]


def bad(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in found if row["state"] == "bad"]


def test_a_fresh_install_lacks_nothing(own: Cluster, tmp_path: Path):
    code, found = doctor(own, tmp_path)
    assert bad(found) == []
    assert code == 0
    said = {row["about"]: row["detail"] for row in found}
    assert said["rights"] == "everything that a default install needs, in every namespace"
    assert said["kinds"] == "clusterremediationpolicies, episodes, remediationpolicies of gyrostat.dev/v1alpha1"
    assert said["clock"] == "within 5 s of the API server's"
    assert own.server in said["cluster"]


def test_a_right_that_is_missing_is_named_as_a_rule_would_name_it(own: Cluster, tmp_path: Path):
    rules = own.get(ROLE)["rules"]
    own.do("PATCH", ROLE, {"rules": [rule for rule in rules if "events" not in rule["resources"]]}, MERGE)
    try:
        code, found = doctor(own, tmp_path)
    finally:
        own.do("PATCH", ROLE, {"rules": rules}, MERGE)
    assert code == 3
    assert [row["detail"] for row in bad(found)] == ["create events.events.k8s.io in every namespace"]


def test_a_policy_that_may_act_where_its_account_may_not_is_found(own: Cluster, tmp_path: Path):
    spec = {"mode": "Enforce", "targets": {"names": ["a"]}, "when": "probe.ok", "action": {"type": "Restart"}}
    kind = {"apiVersion": "gyrostat.dev/v1alpha1", "kind": "RemediationPolicy"}
    made = {**kind, "metadata": {"name": "eager", "namespace": "blog"}, "spec": spec}
    own.apply(made)
    try:
        code, found = doctor(own, tmp_path)
    finally:
        own.kubectl("delete", "rmp", "eager", "-n", "blog")
    assert code == 3
    (row,) = bad(found)
    assert row["detail"].startswith("blog/eager may Restart, but the account may not: delete pods in blog; ")
    assert "mayAct.blog={Restart}" in row["hint"]


def test_an_account_of_one_namespace_is_asked_about_that_one(own: Cluster, tmp_path: Path):
    _, found = doctor(own, tmp_path, namespaces="shop")
    assert {row["detail"] for row in found if row["about"] == "rights"} == {
        "everything that a default install needs, in shop"
    }


def test_kinds_that_are_not_installed_are_missed_by_name(cluster: Cluster, tmp_path: Path):
    """In a cluster without the chart, by its administrator."""
    variables = {"GYROSTAT_KUBERNETES": str(cluster.kubeconfig), "GYROSTAT_STATE": str(tmp_path)}
    command = [str(Path(sys.executable).parent / "auto"), "--json", "doctor"]
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False, timeout=240)
    if cluster.call("GET", API)[0] == 200:
        return  # somebody else's tests installed them here
    (row,) = [row for row in json.loads(done.stdout)["data"]["findings"] if row["about"] == "kinds"]
    assert row["state"] == "bad"
    assert "remediationpolicies.gyrostat.dev" in row["detail"]
