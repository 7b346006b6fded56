"""The chart on a real control plane, by a real Helm: its kinds, its rules, its access, its going."""

import json
from pathlib import Path
from typing import Any

import pytest

from actions.action import Permission
from actions.registry import ACTIONS
from controller.cluster.crds import PLURALS
from controller.cluster.rbac import CLUSTER, READS, WRITES
from telemetry.documents import DocumentError, parse
from tests.controller.test_crds import BAD, POLICIES, examples, refusals
from tests.controlplane.cluster import MERGE, Cluster, ClusterError

from .charts import CHART, NAMESPACE
from .installed import API, install, token

DEFAULTS = {"authorization.k8s.io", "authentication.k8s.io"}
"""What everybody may ask about themselves."""

Granted = set[tuple[str, str, str]]


def may(cluster: Cluster, namespace: str) -> Granted:
    """Everything that the controller's account may do in a namespace, as the API server itself lists it."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    status, answer = cluster.call("POST", path, review, token=token(cluster))
    assert status == 201
    assert not answer["status"]["incomplete"]
    return {
        (group, resource, verb)
        for rule in answer["status"]["resourceRules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if group not in DEFAULTS
    }


def declared(*permissions: Permission) -> Granted:
    return {(rule.group, rule.resource, verb) for rule in permissions for verb in rule.verbs}


BASE = declared(*READS, *WRITES, *CLUSTER)


def test_the_kinds_are_structural_and_served(own: Cluster):
    found = own.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")["items"]
    assert {made["metadata"]["name"] for made in found} == {f"{plural}.gyrostat.dev" for plural in PLURALS.values()}
    for made in found:
        conditions = {each["type"]: each["status"] for each in made["status"]["conditions"]}
        assert conditions == {"NamesAccepted": "True", "Established": "True"}  # else there is NonStructuralSchema, too
    for short in ("rmp", "crmp", "epi", "gyrostat"):
        own.kubectl("get", short, "-A")
    assert "what verification asks" in own.kubectl("explain", "rmp.spec.until")


def created(cluster: Cluster, made: dict[str, Any]) -> str:
    """What the API server says to a policy, which it does not keep; empty if it takes it."""
    whole = made["kind"] == "ClusterRemediationPolicy"
    metadata = {"name": "a-policy"} | ({} if whole else {"namespace": "shop"})
    path = f"{API}/clusterremediationpolicies" if whole else f"{API}/namespaces/shop/remediationpolicies"
    query = "?dryRun=All&fieldValidation=Strict"
    status, answer = cluster.call("POST", path + query, {**made, "metadata": metadata})
    assert status in (201, 400, 422), answer
    return "" if status == 201 else str(answer["message"])


@pytest.mark.parametrize("made", [*examples()])
def test_every_policy_that_we_ship_or_show_is_taken(own: Cluster, made: Any):
    assert created(own, made) == ""


def test_the_api_server_refuses_what_our_reading_of_the_schema_refuses(own: Cluster):
    """The schema and each CEL rule mean what the tests of the kinds, which need no cluster, take them to mean."""
    seen = {True: 0, False: 0}
    for path in BAD:
        try:
            made = parse(path.read_bytes(), path.name).data
        except DocumentError:
            continue
        known = isinstance(made, dict) and isinstance(made.get("spec"), dict) and made.get("kind") in POLICIES
        if not known or path.stem.startswith("head-"):
            continue
        said = created(own, made)
        assert bool(said) == bool(refusals(made)), f"{path.stem}: {said}"
        seen[bool(said)] += 1
    assert seen[True] > 50
    assert seen[False] > 20


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mode": "enforce"}, 'spec.mode: Unsupported value: "enforce": supported values: "Observe", "Recommend"'),
        ({"colddown": "1h"}, 'unknown field "spec.colddown"'),
        ({"targets": {}}, "spec.targets: Invalid value: chooses nothing"),
        (
            {"action": {"type": "Restart", "scale": {"by": "+1"}}},
            "spec.action.scale: Invalid value: scale is allowed only",
        ),
        ({"verify": {"initialDelay": "10m"}}, ""),
        (
            {"verify": {"initialDelay": "10m", "within": "5m"}},
            "spec.verify.initialDelay: Invalid value: leaves no time",
        ),
        ({"action": None}, "needs one of action and actions"),
    ],
)
def test_a_mistake_is_told_by_field_when_it_is_applied(own: Cluster, change: dict[str, Any], said: str):
    spec = {"targets": {"names": ["a"]}, "when": "probe.ok", "action": {"type": "Restart"}}
    made = {"apiVersion": "gyrostat.dev/v1alpha1", "kind": "RemediationPolicy", "spec": spec | change}
    if said:
        assert said in created(own, made)
    else:  # with the default of `within` it is the same, so the server's defaults come first, and then the rule
        assert "leaves no time to look" in created(own, made)


def test_a_name_that_no_file_could_have_is_refused(own: Cluster):
    spec = {"targets": {"names": ["a"]}, "when": "probe.ok", "action": {"type": "Restart"}}
    made = {"apiVersion": "gyrostat.dev/v1alpha1", "kind": "RemediationPolicy", "spec": spec}
    for name in ("a.b", "x" * 64):
        path = f"{API}/namespaces/shop/remediationpolicies?dryRun=All"
        status, answer = own.call("POST", path, {**made, "metadata": {"name": name}})
        assert status == 422
        assert "the name of a policy" in answer["message"]


def test_nobody_but_a_writer_of_status_says_how_a_policy_does(own: Cluster):
    spec = {"targets": {"names": ["a"]}, "when": "probe.ok", "action": {"type": "Restart"}}
    made = {"apiVersion": "gyrostat.dev/v1alpha1", "kind": "RemediationPolicy", "metadata": {"name": "forged"}}
    there = f"{API}/namespaces/shop/remediationpolicies"
    stored = own.do("POST", there, {**made, "spec": spec, "status": {"healed": 1000}})
    assert "status" not in stored
    own.do("PATCH", f"{there}/forged/status", {"status": {"healed": 1}}, MERGE)
    assert own.get(f"{there}/forged")["status"] == {"healed": 1}
    own.do("DELETE", f"{there}/forged")


def test_the_account_may_do_what_is_declared_and_nothing_else(own: Cluster):
    assert may(own, "blog") == BASE
    assert may(own, "kube-system") == BASE
    in_shop = declared(*ACTIONS["Restart"].permissions, *ACTIONS["Scale"].permissions)
    assert may(own, "shop") == BASE | in_shop


@pytest.mark.parametrize(
    ("method", "path", "body", "allowed"),
    [
        ("GET", "/apis/apps/v1/deployments", None, True),
        ("GET", "/api/v1/pods", None, True),
        ("GET", "/api/v1/secrets", None, False),
        ("GET", "/api/v1/namespaces/shop/configmaps", None, False),
        ("PATCH", "/apis/apps/v1/namespaces/shop/deployments/checkout/scale", {"spec": {"replicas": 2}}, True),
        ("PATCH", "/apis/apps/v1/namespaces/blog/deployments/checkout/scale", {"spec": {"replicas": 2}}, False),
        ("PATCH", "/apis/apps/v1/namespaces/blog/deployments/checkout", {"metadata": {"labels": {"a": "b"}}}, False),
        ("DELETE", "/apis/apps/v1/namespaces/shop/deployments/checkout", None, False),
        ("DELETE", "/api/v1/namespaces/blog/pods/checkout", None, False),
        ("POST", "/api/v1/namespaces/shop/pods/checkout/exec?command=id", None, False),
        ("POST", "/api/v1/namespaces/shop/pods", {"metadata": {"name": "x"}}, False),
        ("POST", f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/gyrostat/token", {"spec": {}}, False),
        ("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", {"metadata": {"name": "x"}}, False),
        ("PATCH", f"{API}/namespaces/shop/remediationpolicies/x", {"spec": {"mode": "Enforce"}}, False),
        ("POST", f"{API}/namespaces/shop/remediationpolicies", {"metadata": {"name": "x"}}, False),
    ],
)
def test_the_api_server_really_denies_what_is_not_granted(
    own: Cluster, method: str, path: str, body: Any, allowed: bool
):
    kind = MERGE if method == "PATCH" else "application/json"
    status, answer = own.call(method, path, body, kind, token=token(own))
    assert (status != 403) is allowed, answer


def test_an_action_that_is_taken_away_is_gone_and_the_others_stay(own: Cluster):
    install(own, "upgrade", "mayAct.shop={Scale}")
    assert may(own, "shop") == BASE | declared(*ACTIONS["Scale"].permissions)
    install(own, "upgrade", "watchNamespaces={shop}", "mayAct.shop={Scale}")
    assert may(own, "shop") == BASE | declared(*ACTIONS["Scale"].permissions)
    assert may(own, "blog") == declared(*CLUSTER)
    assert own.call("GET", "/apis/apps/v1/deployments", token=token(own))[0] == 403
    assert own.call("GET", "/apis/apps/v1/namespaces/shop/deployments", token=token(own))[0] == 200
    install(own, "upgrade", "mayAct.shop={Restart,Scale}")
    assert may(own, "blog") == BASE


def test_values_that_are_wrong_do_not_reach_the_cluster(own: Cluster):
    before = own.helm("history", "gyrostat", "-n", NAMESPACE)
    for wrong in ("replicas=2", "mayAct.shop={Delete}", "colour=blue", "persistence.enabled=false,mayAct.shop={Scale}"):
        with pytest.raises(ClusterError, match=r"schema|mayAct needs"):
            install(own, "upgrade", wrong)
    assert [line for line in own.helm("history", "gyrostat", "-n", NAMESPACE).splitlines() if "deployed" in line] == [
        line for line in before.splitlines() if "deployed" in line
    ]


def test_real_helm_lints_and_tests_it(own: Cluster, tmp_path: Path):
    values = tmp_path / "values.yaml"
    values.write_text(json.dumps({"mayAct": {"shop": ["Scale"]}, "metrics": {"dashboard": {"enabled": True}}}))
    assert "1 chart(s) linted, 0 chart(s) failed" in own.helm("lint", "--strict", str(CHART), "-f", str(values))
    assert "Phase:          Succeeded" in own.helm("test", "gyrostat", "-n", NAMESPACE, "--timeout", "110s")


def test_z_what_is_uninstalled_leaves_policies_and_trail_and_can_come_back(own: Cluster):
    spec = {"targets": {"names": ["a"]}, "when": "probe.ok", "action": {"type": "Restart"}}
    made = {"apiVersion": "gyrostat.dev/v1alpha1", "kind": "RemediationPolicy", "metadata": {"name": "stays"}}
    own.do("POST", f"{API}/namespaces/shop/remediationpolicies", {**made, "spec": spec})
    own.helm("uninstall", "gyrostat", "-n", NAMESPACE, "--wait", "--timeout", "110s")
    assert own.get(f"{API}/namespaces/shop/remediationpolicies/stays")["spec"]["when"] == "probe.ok"
    claim = f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims/gyrostat"
    assert own.get(claim)["status"]["phase"] == "Bound"
    for kind in ("clusterroles", "clusterrolebindings", "roles", "rolebindings"):
        left = own.get(f"/apis/rbac.authorization.k8s.io/v1/{kind}")["items"]
        assert [made for made in left if made["metadata"]["name"].startswith("gyrostat")] == []
    install(own, "install")
    assert may(own, "shop") == BASE
    install(own, "upgrade", "mayAct.shop={Restart,Scale}")  # as other tests on this cluster expect it
    own.kubectl("delete", "rmp", "stays", "-n", "shop")
