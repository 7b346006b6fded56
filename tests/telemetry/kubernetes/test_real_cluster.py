"""A real control plane is seen as it is: every state of the decision table, every owner, every field of a change."""

import json
import time

import pytest

from actions.plan import Change
from actions.platforms.kubernetes.platform import KubernetesPlatform
from telemetry.batch import Batch
from telemetry.inventory import By
from telemetry.origins import Origin
from telemetry.sources.kubernetes import pods
from telemetry.sources.kubernetes.objects import RESTARTED
from telemetry.verdict import Verdict

from ...controlplane.cluster import JSON_PATCH  # noqa: TID252  importlib mode has no package named tests
from ...controlplane.workloads import autoscaler, budget, path, workload  # noqa: TID252
from .watching import client, now, watching


@pytest.fixture(scope="module")
def watched(cluster):
    with watching(cluster, own_namespaces=frozenset({"gyrostat-own"})) as watched:
        yield watched


def with_deadline(made, seconds):
    made["spec"]["progressDeadlineSeconds"] = seconds
    return made


def is_(watched, value, column, name, namespace):
    return watched.until(lambda: watched.column(column, name, namespace) == value, f"{column} of {name} is {value}")


# --- states


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_a_workload_that_is_well(cluster, namespace, watched, kind):
    cluster.apply(workload(namespace, "web", kind=kind))
    count = 3.0 if kind == "DaemonSet" else 2.0  # there are three nodes
    is_(watched, count, "replicas.ready", "web", namespace)
    is_(watched, 0.0, "rollout.progressing", "web", namespace)
    seen = watched.columns("web", namespace)
    told = ("probe.ok", "instances.sick", "active.count", "replicas.desired", "crashloop", "oomkilled", "image.failed")
    assert [seen[name] for name in told] == [1.0, 0.0, count, count, 0.0, 0.0, 0.0]
    assert seen["change.recent"] == 1.0
    assert 0 <= seen["change.age"] < 60
    assert 0 <= seen["up.duration"] < 60
    assert watched.target("web", namespace).kind == kind
    assert watched.facts("web", namespace).troubles == ()


@pytest.mark.parametrize(
    ("tag", "column", "said"),
    [
        ("crash", "crashloop", "CrashLoopBackOff, last end Error, exit code 1"),
        ("oom", "oomkilled", "OOMKilled, exit code 137"),
        ("missing", "image.failed", "ImagePullBackOff: Back-off pulling image registry.test/web:missing"),
    ],
)
def test_what_is_wrong_with_it_is_known_by_column_and_in_words(cluster, namespace, watched, tag, column, said):
    cluster.apply(workload(namespace, "web", tag))
    is_(watched, 1.0, column, "web", namespace)
    watched.until(lambda: said in " ".join(watched.facts("web", namespace).troubles), said)
    assert watched.column("probe.ok", "web", namespace) == 0.0
    assert watched.column("instances.sick", "web", namespace) == 1.0


def test_restarts_are_counted_while_they_rise_and_a_loop_lasts_over_the_moments_in_which_it_runs(
    cluster, namespace, watched
):
    cluster.apply(workload(namespace, "web", "crash", replicas=1))
    watched.until(lambda: (watched.column("restarts.count", "web", namespace) or 0) >= pods.CRASHES, "three restarts")
    values = set()
    deadline = time.monotonic() + 6
    while time.monotonic() < deadline:
        values.add(watched.column("crashloop", "web", namespace))
    assert values == {1.0}
    assert watched.column("restarts.rate", "web", namespace) >= pods.CRASHES


def test_a_slow_start_is_not_known_and_never_sick(cluster, namespace, watched):
    slow = workload(namespace, "web", "slow", replicas=1)
    slow["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "START_AFTER", "value": "3s"}]
    cluster.apply(slow)
    values = []
    watched.until(lambda: values.append(watched.column("probe.ok", "web", namespace)) or values[-1] == 1.0, "ready")
    assert set(values) == {None, 1.0}
    assert watched.column("up.duration", "web", namespace) >= 2.0


def test_what_never_gets_ready_is_sick_after_a_while_although_nothing_happens(cluster, namespace, watched, monkeypatch):
    monkeypatch.setattr(pods, "STARTING", 3.0)
    cluster.apply(workload(namespace, "web", "never-ready", replicas=1))
    watched.until(lambda: watched.facts("web", namespace), "it is seen")
    values = []
    watched.until(lambda: values.append(watched.column("probe.ok", "web", namespace)) or values[-1] == 0.0, "sick")
    assert None in values
    assert watched.facts("web", namespace).instances[0].ready is False


def test_one_sick_pod_of_a_healthy_workload_is_a_share(cluster, namespace, watched):
    cluster.apply(workload(namespace, "web", replicas=4))
    is_(watched, 4.0, "replicas.ready", "web", namespace)
    name = watched.facts("web", namespace).instances[0].slot
    cluster.kubectl("set", "image", f"pod/{name}", "app=registry.test/web:crash", "-n", namespace)
    is_(watched, 0.25, "instances.sick", "web", namespace)


def test_a_rollout_in_progress_and_then_stuck_says_how_far_it_came(cluster, namespace, watched):
    cluster.apply(with_deadline(workload(namespace, "web", replicas=3), 4))
    is_(watched, 3.0, "replicas.ready", "web", namespace)
    is_(watched, 0.0, "rollout.progressing", "web", namespace)
    time.sleep(1.1)  # the server remembers whole seconds
    cluster.kubectl("set", "image", "deployment/web", "app=registry.test/web:crash", "-n", namespace)
    is_(watched, 1.0, "rollout.progressing", "web", namespace)
    said = "of 3 instances have revision 2, 3 are ready"
    watched.until(lambda: watched.facts("web", namespace).rollout.endswith(said), said)
    assert watched.column("rollout.age", "web", namespace) < 30
    is_(watched, 1.0, "rollout.stuck", "web", namespace)
    facts = watched.facts("web", namespace)
    assert facts.rollout == "stuck: 1 of 3 instances have revision 2, 3 are ready"
    assert facts.writers["spec"] == "kubectl-set"
    cluster.kubectl("rollout", "undo", "deployment/web", "-n", namespace)
    is_(watched, 0.0, "rollout.stuck", "web", namespace)
    watched.until(lambda: not watched.facts("web", namespace).rollout, "the rollout is over")


def test_a_rollout_of_a_stateful_set_and_of_a_daemon_set_is_seen_until_it_is_over(cluster, namespace, watched):
    cluster.apply(workload(namespace, "db", kind="StatefulSet"), workload(namespace, "agent", kind="DaemonSet"))
    for name in ("db", "agent"):
        is_(watched, 1.0, "probe.ok", name, namespace)
        is_(watched, 0.0, "rollout.progressing", name, namespace)
    for name, kind in (("db", "statefulset"), ("agent", "daemonset")):
        cluster.kubectl("set", "image", f"{kind}/{name}", f"app=registry.test/{name}:slow", "-n", namespace)
        is_(watched, 1.0, "rollout.progressing", name, namespace)
    for name, kind in (("db", "statefulset"), ("agent", "daemonset")):
        cluster.kubectl("set", "image", f"{kind}/{name}", f"app=registry.test/{name}:2", "-n", namespace)
    for name in ("db", "agent"):
        is_(watched, 0.0, "rollout.progressing", name, namespace)


def test_zero_replicas_are_no_failure(cluster, namespace, watched):
    cluster.apply(workload(namespace, "web", replicas=0))
    is_(watched, 0.0, "replicas.desired", "web", namespace)
    is_(watched, 0.0, "rollout.progressing", "web", namespace)
    assert watched.column("probe.ok", "web", namespace) is None
    assert watched.column("crashloop", "web", namespace) == 0.0


def test_one_deleted_and_created_again_is_another_and_starts_from_nothing(cluster, namespace, watched):
    cluster.apply(workload(namespace, "web", "crash", replicas=1))
    watched.until(lambda: (watched.column("restarts.count", "web", namespace) or 0) >= 2, "it crashes")
    before = watched.target("web", namespace)
    cluster.kubectl("delete", "deployment", "web", "-n", namespace)
    watched.until(lambda: watched.target("web", namespace) is None, "it is gone")
    cluster.apply(workload(namespace, "web", replicas=1))
    is_(watched, 1.0, "probe.ok", "web", namespace)
    assert watched.target("web", namespace).uid != before.uid
    assert watched.column("restarts.count", "web", namespace) == 0.0


# --- whose it is


def held_by(watched, namespace, field="desired"):
    owner = watched.facts("web", namespace).owners.get(field)
    return owner and (owner.by, owner.name)


def test_an_autoscaler_owns_the_number_and_its_minimum_can_be_written_instead(cluster, namespace, watched):
    cluster.apply(workload(namespace, "web"), autoscaler(namespace, "web", 1, 4))
    watched.until(lambda: watched.column("k8s.autoscaled", "web", namespace) == 1.0, "the autoscaler is seen")
    facts = watched.facts("web", namespace)
    assert held_by(watched, namespace) == (By.HPA, f"HorizontalPodAutoscaler {namespace}/web")
    assert "desired" not in facts.fields
    assert facts.fields["autoscaler/minimum"] == 1
    assert (facts.minimum, facts.maximum) == (1, 4)
    assert facts.autoscaler.target.uid
    cluster.kubectl("delete", "hpa", "web", "-n", namespace)
    watched.until(lambda: "desired" in watched.facts("web", namespace).fields, "it is its own again")
    assert held_by(watched, namespace) is None


def test_who_applies_a_manifest_with_replicas_owns_them_and_may_share_them(cluster, namespace, watched):
    made = json.dumps(workload(namespace, "web"))
    apply = ("apply", "--server-side", "--field-manager=argocd-controller", "-f", "-")
    cluster.kubectl(*apply, stdin=made)
    watched.until(lambda: watched.facts("web", namespace), "it is seen")
    assert held_by(watched, namespace) == (By.GITOPS, "argocd-controller applies it")
    cluster.kubectl("annotate", "deployment/web", "gyrostat.dev/may-write=replicas", "-n", namespace)
    watched.until(lambda: held_by(watched, namespace) is None, "it is shared")


def test_a_manifest_without_replicas_owns_none(cluster, namespace, watched):
    made = workload(namespace, "web")
    del made["spec"]["replicas"]
    cluster.kubectl("apply", "--server-side", "--field-manager=argocd-controller", "-f", "-", stdin=json.dumps(made))
    watched.until(lambda: watched.facts("web", namespace), "it is seen")
    assert held_by(watched, namespace) is None


def test_a_person_who_applied_or_scaled_it_once_does_not_own_it_and_is_named(cluster, namespace, watched):
    cluster.apply(workload(namespace, "web"))
    watched.until(lambda: watched.facts("web", namespace), "it is seen")
    assert held_by(watched, namespace) is None
    assert watched.facts("web", namespace).writers["desired"] == "kubectl-client-side-apply"
    cluster.kubectl("scale", "deployment/web", "--replicas=3", "-n", namespace)
    is_(watched, 3.0, "replicas.desired", "web", namespace)
    watched.until(lambda: watched.facts("web", namespace).writers["desired"] == "kubectl", "the last writer")


def test_what_we_write_is_no_change_by_others(cluster, namespace, watched):
    cluster.apply(workload(namespace, "web"))
    is_(watched, 1.0, "probe.ok", "web", namespace)
    before = watched.facts("web", namespace)
    time.sleep(1.1)  # the server remembers whole seconds
    where = path("Deployment", namespace, "web") + "?fieldManager=gyrostat"
    mine = {"op": "add", "path": "/spec/template/metadata/annotations", "value": {RESTARTED: "now"}}
    cluster.do("PATCH", where, [mine], JSON_PATCH)
    watched.until(lambda: watched.facts("web", namespace).fields["rollout"] == "now", "our annotation")
    after = watched.facts("web", namespace)
    assert (after.changed_at, after.writers) == (before.changed_at, before.writers)
    cluster.kubectl("set", "env", "deployment/web", "A=b", "-n", namespace)
    watched.until(lambda: watched.facts("web", namespace).changed_at > before.changed_at, "somebody else's change")


def test_a_paused_workload_says_so(cluster, namespace, watched):
    cluster.apply(workload(namespace, "web"))
    watched.until(lambda: watched.facts("web", namespace), "it is seen")
    assert watched.facts("web", namespace).paused == ""
    cluster.kubectl("rollout", "pause", "deployment/web", "-n", namespace)
    watched.until(lambda: watched.facts("web", namespace).paused, "it is paused")


def test_the_room_of_a_disruption_budget_is_the_clusters_own_count(cluster, namespace, watched):
    cluster.apply(workload(namespace, "web", replicas=3), budget(namespace, "web", minAvailable=2))
    is_(watched, 1.0, "k8s.disruptions_allowed", "web", namespace)
    (found,) = watched.facts("web", namespace).budgets
    assert (found.name, found.room, found.sick_free) == (f"PodDisruptionBudget {namespace}/web", 1, True)
    cluster.kubectl("scale", "deployment/web", "--replicas=2", "-n", namespace)
    is_(watched, 0.0, "k8s.disruptions_allowed", "web", namespace)


# --- what is protected


def protected(watched, name, namespace):
    facts = watched.facts(name, namespace)
    return facts and facts.protected


def test_a_workload_or_its_namespace_opts_out_and_in_again(cluster, namespace, watched):
    cluster.apply(workload(namespace, "web"), workload(namespace, "other"))
    watched.until(lambda: watched.facts("other", namespace), "they are seen")
    assert protected(watched, "web", namespace) == ""
    cluster.kubectl("annotate", "deployment/web", "gyrostat.dev/disabled=the auditors are here", "-n", namespace)
    watched.until(lambda: protected(watched, "web", namespace) == "the auditors are here", "its own words")
    assert protected(watched, "other", namespace) == ""
    cluster.kubectl("annotate", "namespace", namespace, "gyrostat.dev/disabled=true")
    watched.until(lambda: "namespace" in protected(watched, "other", namespace), "the namespace opts out")
    cluster.kubectl("annotate", "namespace", namespace, "gyrostat.dev/disabled-")
    watched.until(lambda: protected(watched, "other", namespace) == "", "and in again")


def test_what_the_cluster_itself_needs_is_protected(cluster, namespace, watched):
    dns = workload(namespace, "dns")
    dns["metadata"]["labels"] = {"k8s-app": "kube-dns"}
    cluster.apply(dns, workload("kube-system", f"agent-{namespace}"))
    try:
        watched.until(lambda: protected(watched, "dns", namespace), "DNS by its label")
        watched.until(lambda: protected(watched, f"agent-{namespace}", "kube-system"), "kube-system")
    finally:
        cluster.kubectl("delete", "deployment", f"agent-{namespace}", "-n", "kube-system")


def test_what_serves_an_admission_webhook_is_protected_while_it_does(cluster, namespace, watched):
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "hook", "namespace": namespace},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 443}]},
    }
    hook = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": f"hook-{namespace}"},
        "webhooks": [
            {
                "name": "hook.test.example",
                "clientConfig": {"service": {"namespace": namespace, "name": "hook"}},
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Ignore",
                "namespaceSelector": {"matchLabels": {"never": "there"}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            }
        ],
    }
    cluster.apply(workload(namespace, "web"), workload(namespace, "other"), service, hook)
    try:
        watched.until(lambda: "admission webhook" in (protected(watched, "web", namespace) or ""), "it serves one")
        assert protected(watched, "other", namespace) == ""
    finally:
        cluster.kubectl("delete", "validatingwebhookconfiguration", f"hook-{namespace}")
    watched.until(lambda: protected(watched, "web", namespace) == "", "it serves none any more")


# --- what others make of it


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_every_field_that_is_told_is_one_that_the_platform_finds_so(cluster, namespace, watched, kind):
    cluster.apply(workload(namespace, "web", kind=kind))
    is_(watched, 1.0, "probe.ok", "web", namespace)
    is_(watched, 3.0 if kind == "DaemonSet" else 2.0, "replicas.ready", "web", namespace)
    target, facts = watched.target("web", namespace), watched.facts("web", namespace)
    platform = KubernetesPlatform(client(cluster), now)
    asked = {path: value for path, value in facts.fields.items() if value is not None}
    assert len(asked) >= 4
    told = {path: platform.holds(Change(target, path, None, value)) for path, value in asked.items()}
    assert set(told.values()) == {Verdict.PASS}, told


def test_telemetry_of_a_pod_joins_its_workload_and_adds_no_target(cluster, namespace, watched):
    cluster.apply(workload(namespace, "web"))
    is_(watched, 1.0, "probe.ok", "web", namespace)
    before = len(watched.look().targets)
    origins = (
        Origin("checkout", workload=("Deployment", namespace, "web"), instance="p1"),
        Origin("checkout", workload=("Deployment", namespace, "nobody"), instance="p1"),
    )
    watched.processor.take(Batch(origins, (7, 5)), now())
    watched.processor.refresh(now())
    assert watched.column("requests.volume", "web", namespace) == 7.0
    assert watched.column("active.count", "web", namespace) == 2.0  # the cluster knows better than who happens to send
    assert len(watched.look().targets) == before
