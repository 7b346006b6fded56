"""The chart: what it renders is valid, restricted, and grants what the code declares and nothing else."""

import json
import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

from actions.registry import ACTIONS
from controller.cluster.rbac import CLUSTER, READS, WRITES, rules
from controller.instrumentation import Instruments
from controller.settings import Keys, load

from .charts import CHART, NAMESPACE, Refused, helm_python, objects, one, rendered, sdk

FULL: dict[str, Any] = {
    "image": {"digest": "sha256:" + "0" * 64, "repository": "registry.example:5000/gyrostat"},
    "imagePullSecrets": ["pull"],
    "mayAct": {"shop": ["Restart", "Scale", "HealthCheck"], "blog": ["Restart"]},
    "policies": {"slow.yaml": "kind: RemediationPolicy\n"},
    "settings": {"mode_cap": "Approve", "interval": 0.5, "checkpoint_records": 1_000_000, "dry_run": True},
    "existingSecret": "more-settings",
    "metrics": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True},
        "dashboard": {"enabled": True},
    },
    "networkPolicy": {"otlpFrom": [{"podSelector": {"matchLabels": {"telemetry": "yes"}}}]},
    "tolerations": [{"key": "node-role", "operator": "Exists"}],
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "priorityClassName": "system-cluster-critical",
    "persistence": {"storageClass": "fast", "keep": False},
}
VALUES: dict[str, dict[str, Any]] = {
    "default": {},
    "full": FULL,
    "some namespaces": {"watchNamespaces": ["shop", "blog"], "mayAct": {"shop": ["Scale"]}},
    "nothing extra": {
        "crds": {"enabled": False},
        "otlp": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "persistence": {"enabled": False},
        "serviceAccount": {"create": False, "name": "mine"},
    },
    "own disk": {"persistence": {"existingClaim": "there"}, "crds": {"keep": False}, "fullnameOverride": "healer"},
}
NOT_OF_KUBERNETES = {"ServiceMonitor", "PrometheusRule"}
SETS = pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())


def pods(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The spec of every pod that the chart makes."""
    for made in objects(values):
        if made["kind"] == "Deployment":
            yield made["spec"]["template"]["spec"]
        if made["kind"] == "Pod":
            yield made["spec"]


def granted(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [made for made in objects(values) if made["kind"] in ("Role", "ClusterRole")]


def environment(values: dict[str, Any]) -> dict[str, str]:
    (container,) = one("Deployment", values)["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry["value"] for entry in container["env"]}


@SETS
def test_helm_finds_nothing_to_complain_about(values: dict[str, Any]):
    found = sdk().lint(str(CHART), values, strict=True)
    assert found["messages"] == []
    assert found["errors"] == []


@SETS
@pytest.mark.parametrize("version", ["1.29", "1.33", "1.36"])
def test_every_object_is_valid_in_every_supported_version(values: dict[str, Any], version: str):
    found = [made for made in objects(values) if made["kind"] not in NOT_OF_KUBERNETES]
    assert len(found) >= 5
    for made in found:
        kubernetes_validate.validate(made, version, strict=True)


@SETS
def test_no_object_is_made_twice_and_each_is_labelled(values: dict[str, Any]):
    found = objects(values)
    names = [(made["kind"], made["metadata"].get("namespace"), made["metadata"]["name"]) for made in found]
    assert len(set(names)) == len(names)
    for made in found:
        if made["kind"] != "Pod":
            assert made["metadata"]["labels"]["app.kubernetes.io/part-of"] == "gyrostat"


@SETS
def test_a_pod_is_restricted(values: dict[str, Any]):
    """As the Pod Security Standard `restricted` asks, and with a root file system that nobody can write to."""
    found = list(pods(values))
    assert len(found) == 2
    for spec in found:
        assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC", "initContainers", "ephemeralContainers"}
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 65532
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["enableServiceLinks"] is False
        for volume in spec["volumes"]:
            assert not volume.keys() - {"name", "emptyDir", "persistentVolumeClaim", "configMap"}
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "memory" in container["resources"]["limits"]
            assert not any("hostPort" in port for port in container.get("ports", ()))


@SETS
def test_no_wildcard_no_secrets_and_no_exec_can_be_granted(values: dict[str, Any]):
    found = granted(values)
    assert found
    for role in found:
        for rule in role["rules"]:
            assert "*" not in json.dumps(rule)
            assert "nonResourceURLs" not in rule
            for resource in rule["resources"]:
                forbidden = {"secrets", "configmaps", "exec", "attach", "portforward", "proxy", "ephemeralcontainers"}
                assert not forbidden & set(resource.split("/"))
            assert not {"escalate", "bind", "impersonate", "deletecollection"} & set(rule["verbs"])
    assert not [made for made in objects(values) if made["kind"] == "Secret"]
    assert not [probe for probe in rendered(values).values() if re.search(r"^\s*exec:", probe, re.MULTILINE)]


def of(permissions: tuple[Any, ...]) -> list[str]:
    return sorted(json.dumps(rule, sort_keys=True) for rule in rules(permissions))


def said(role: dict[str, Any]) -> list[str]:
    return sorted(json.dumps(rule, sort_keys=True) for rule in role["rules"])


def test_a_default_install_is_granted_what_the_code_declares_and_changes_no_target():
    (role,) = granted({})
    assert role["kind"] == "ClusterRole"
    assert said(role) == of(READS + WRITES + CLUSTER)
    for rule in role["rules"]:
        if set(rule["verbs"]) - {"get", "list", "watch"}:
            assert rule["apiGroups"] in (["gyrostat.dev"], ["events.k8s.io"])


def test_each_action_adds_its_own_role_in_its_namespace_and_nothing_else():
    base = {role["metadata"]["name"] for role in granted({})}
    found = {(r["metadata"]["namespace"], r["metadata"]["labels"]["gyrostat.dev/action"]): r
             for r in granted(FULL) if r["metadata"]["name"] not in base}  # fmt: skip
    assert set(found) == {("shop", "Restart"), ("shop", "Scale"), ("blog", "Restart")}  # HealthCheck writes nothing
    for (_, action), role in found.items():
        assert role["kind"] == "Role"
        assert said(role) == of(ACTIONS[action].permissions)


@pytest.mark.parametrize("name", [name for name, action in ACTIONS.items() if action.permissions])
def test_the_role_of_every_action_is_what_it_declares(name: str):
    (role,) = [role for role in granted({"mayAct": {"shop": [name]}}) if role["kind"] == "Role"]
    assert said(role) == of(ACTIONS[name].permissions)


def test_with_some_namespaces_nothing_is_read_elsewhere():
    found = granted(VALUES["some namespaces"])
    (whole,) = [role for role in found if role["kind"] == "ClusterRole"]
    assert said(whole) == of(CLUSTER)
    inside = {
        r["metadata"]["namespace"]: said(r) for r in found if r["metadata"]["name"] == "gyrostat" and r is not whole
    }
    assert inside == {"shop": of(READS + WRITES), "blog": of(READS + WRITES)}


@SETS
def test_every_role_is_bound_to_the_controllers_own_account_alone(values: dict[str, Any]):
    found = objects(values)
    account = next(pods(values))["serviceAccountName"]
    bindings = [made for made in found if made["kind"].endswith("Binding")]
    assert len(bindings) == len(granted(values))
    for binding in bindings:
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}]
        role = (binding["roleRef"]["kind"], binding["roleRef"]["name"], binding["metadata"].get("namespace"))
        assert role in {(r["kind"], r["metadata"]["name"], r["metadata"].get("namespace")) for r in found}


def test_one_replica_is_replaced_before_the_next_starts_and_no_budget_stands_in_the_way_of_a_drain():
    spec = one("Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert not [made for made in objects(FULL) if made["kind"] == "PodDisruptionBudget"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"replicas": 2}, "/replicas"),
        ({"replica": 1}, "replica"),
        ({"image": {"tag": 1.5}}, "/image/tag"),
        ({"image": {"digest": "sha256:short"}}, "/image/digest"),
        ({"image": {"repository": "a b"}}, "/image/repository"),
        ({"watchNamespaces": "shop"}, "/watchNamespaces"),
        ({"watchNamespaces": ["*"]}, "/watchNamespaces/0"),
        ({"mayAct": {"*": ["Restart"]}}, "/mayAct"),
        ({"mayAct": {"shop": []}}, "/mayAct/shop"),
        ({"mayAct": {"shop": ["restart"]}}, "/mayAct/shop/0"),
        ({"mayAct": ["shop"]}, "/mayAct"),
        ({"settings": {"intervall": 1}}, "intervall"),
        ({"settings": {"attempts": 0}}, "/settings/attempts"),
        ({"settings": {"state": "/tmp"}}, "state"),
        ({"settings": {"mode_cap": "enforce"}}, "/settings/mode_cap"),
        ({"persistence": {"size": "2"}}, "/persistence/size"),
        ({"policies": {"../x.yaml": ""}}, "/policies"),
        ({"crds": {"enabled": "yes"}}, "/crds/enabled"),
        ({"metrics": {"port": 80}}, "/metrics/port"),
        ({"networkPolicy": {"otlpFrom": [{}]}}, "/networkPolicy/otlpFrom/0"),
        ({"networkPolicy": {"apiServerPorts": []}}, "/networkPolicy/apiServerPorts"),
        ({"mayAct": {"shop": ["Scale"]}, "persistence": {"enabled": False}}, "mayAct needs persistence.enabled"),
        ({"mayAct": {"shop": ["Scale"]}, "watchNamespaces": ["blog"]}, "which watchNamespaces does not"),
        ({"mayAct": {"kube-system": ["Scale"]}}, "are never touched"),
        ({"mayAct": {NAMESPACE: ["Scale"]}}, "are never touched"),
        ({"serviceAccount": {"create": False}}, "serviceAccount.name is needed"),
    ],
)
def test_wrong_values_are_refused_and_named(values: dict[str, Any], said: str):
    with pytest.raises(Refused, match=re.escape(said)):
        rendered(values)


@SETS
def test_the_settings_that_the_chart_gives_are_settings_that_load(
    values: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
):
    given = environment(values)
    assert {name.removeprefix("GYROSTAT_").lower() for name in given} <= Keys.model_fields.keys()
    monkeypatch.chdir(tmp_path)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = load()
    assert settings.kubernetes == "in-cluster"
    assert settings.metrics_address is not None
    assert settings.metrics_address[1] == 9464
    for key, value in values.get("settings", {}).items():
        assert getattr(settings, key) == value
    assert settings.namespaces == ",".join(values.get("watchNamespaces", ()))


def test_a_pod_is_probed_at_the_port_at_which_its_settings_serve():
    container = one("Deployment")["spec"]["template"]["spec"]["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert environment({})["GYROSTAT_METRICS"].endswith(f":{ports['metrics']}")
    assert environment({})["GYROSTAT_OTLP"].endswith(f":{ports['otlp-http']}")
    for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        assert container[probe]["httpGet"] == {"path": path, "port": "metrics"}
    for service in (made for made in objects() if made["kind"] == "Service"):
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports.keys()


def test_what_is_written_has_a_volume_of_its_own():
    spec = one("Deployment", FULL)["spec"]["template"]["spec"]
    mounts = {mount["mountPath"]: mount for mount in spec["containers"][0]["volumeMounts"]}
    state = environment(FULL)["GYROSTAT_STATE"]
    assert state.startswith("/var/lib/gyrostat/")  # below the mount, whose mode belongs to the kubelet
    assert mounts["/var/lib/gyrostat"]["name"] == "state"
    assert mounts[environment(FULL)["GYROSTAT_POLICIES"]]["readOnly"] is True
    assert {volume["name"] for volume in spec["volumes"]} == {mount["name"] for mount in mounts.values()}


def test_kinds_are_installed_and_kept_as_the_values_say():
    def kinds(values: dict[str, Any]) -> list[dict[str, Any]]:
        return [made for made in objects(values) if made["kind"] == "CustomResourceDefinition"]

    assert len(kinds({})) == 3
    assert {made["metadata"]["annotations"]["helm.sh/resource-policy"] for made in kinds({})} == {"keep"}
    thrown = kinds({"crds": {"keep": False}})
    assert [made for made in thrown if "annotations" in made["metadata"]] == []
    assert kinds({"crds": {"enabled": False}}) == []


def test_the_trail_outlives_an_uninstall_unless_told_otherwise():
    assert one("PersistentVolumeClaim")["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert "annotations" not in one("PersistentVolumeClaim", {"persistence": {"keep": False}})["metadata"]


def metrics() -> dict[str, set[str]]:
    """The names that /metrics serves, with their labels."""
    registry = Instruments(1.0).registry
    found: dict[str, set[str]] = {}
    for metric in registry.collect():
        labels = set(registry._names_to_collectors[metric.name]._labelnames)
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(metric.type, [""])
        found |= {metric.name + suffix: labels | ({"le"} if suffix == "_bucket" else set()) for suffix in suffixes}
    return found


def expressions() -> dict[str, str]:
    alerts = one("PrometheusRule", FULL)["spec"]["groups"][0]["rules"]
    (board,) = [made for made in objects(FULL) if made["metadata"]["name"] == "gyrostat-dashboard"]
    panels = json.loads(board["data"]["gyrostat.json"])["panels"]
    found = {f"alert {alert['alert']}": alert["expr"] for alert in alerts}
    return found | {f"panel {p['title']} {t['refId']}": t["expr"] for p in panels for t in p["targets"]}


@pytest.mark.parametrize("name", expressions() if helm_python else [])
def test_alerts_and_panels_ask_for_metrics_and_labels_that_exist(name: str):
    expression = expressions()[name]
    known = metrics()
    used = re.findall(r"gyrostat_\w+", expression)
    assert used
    assert set(used) <= known.keys()
    of_these = set().union(*(known[metric] for metric in used))
    asked = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in re.split(r",\s*", group)}
    asked |= {
        label for group in re.findall(r"\{([^}]*)\}", expression) for label in re.findall(r"(\w+)[!=~]+\"", group)
    }
    assert asked <= of_these
    assert expression.count("(") == expression.count(")")


def test_somebody_is_told_when_nobody_decides():
    alerts = {alert["alert"]: alert for alert in one("PrometheusRule", FULL)["spec"]["groups"][0]["rules"]}
    assert "for" not in alerts["GyrostatAlive"]  # it always fires: its end is the alarm
    assert "absent(" in alerts["GyrostatSilent"]["expr"]
    assert all(alert["annotations"]["summary"] and alert["labels"]["severity"] for alert in alerts.values())


def test_a_monitor_finds_the_service_of_the_metrics_and_no_other():
    wanted = one("ServiceMonitor", FULL)["spec"]
    labels = wanted["selector"]["matchLabels"]
    found = [
        made
        for made in objects(FULL)
        if made["kind"] == "Service" and labels.items() <= made["metadata"]["labels"].items()
    ]
    assert [made["metadata"]["name"] for made in found] == ["gyrostat-metrics"]
    assert wanted["endpoints"][0]["port"] in {port["name"] for port in found[0]["spec"]["ports"]}


def test_only_who_is_named_may_send_telemetry():
    rules_of = one("NetworkPolicy", FULL)["spec"]["ingress"]
    senders = {port["port"]: rule["from"] for rule in rules_of for port in rule["ports"]}
    assert senders["otlp-http"] == FULL["networkPolicy"]["otlpFrom"]
    assert senders["metrics"] == [{"namespaceSelector": {}}]


def test_the_notes_tell_the_next_command_and_its_policy_loads(tmp_path: Any):
    from policies.load import load_files

    notes = rendered()["NOTES.txt"]
    assert "It can change nothing yet." in notes
    policy = re.search(r"<<'YAML'\n(.*?)\n  YAML", notes, re.DOTALL)
    assert policy is not None
    path = tmp_path / "notes.yaml"
    path.write_text("\n".join(line[2:] for line in policy[1].splitlines()))
    assert load_files([path]).problems == ()
    assert "shop: Restart, Scale" in rendered(FULL)["NOTES.txt"]
    assert "mode: Enforce" not in rendered(FULL)["NOTES.txt"]


def test_the_versions_of_chart_and_program_are_one():
    import tomllib

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((CHART.parent / "pyproject.toml").read_text())["project"]
    assert chart["appVersion"] == chart["version"] == project["version"]


def test_every_value_is_explained_and_no_other():
    page = (CHART.parent / "docs" / "kubernetes.md").read_text()
    table = page.split("## Values")[1].split("\n## ")[0]
    named = {name.partition(".")[0] for cell in re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
             for name in re.findall(r"`([\w.]+)`", cell)}  # fmt: skip
    assert named == set(yaml.safe_load((CHART / "values.yaml").read_text()))


def test_every_command_of_the_plugin_is_explained_and_no_other():
    import typer

    from controller.cli.plugin import app

    found = set()
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        found |= {f"{name} {inner}" for inner in command.commands} if hasattr(command, "commands") else {name}
    page = (CHART.parent / "docs" / "kubernetes.md").read_text()
    assert set(re.findall(r"^\| `kubectl gyrostat ([a-z ]+?)(?: [A-Z].*)?` \|", page, re.MULTILINE)) == found


def test_who_deletes_the_kinds_as_the_page_says_finds_them():
    kinds = [made for made in objects() if made["kind"] == "CustomResourceDefinition"]
    (label,) = re.findall(r"kubectl delete crd -l (\S+)=(\w+)`", (CHART.parent / "docs" / "kubernetes.md").read_text())
    assert {made["metadata"]["labels"][label[0]] for made in kinds} == {label[1]}
