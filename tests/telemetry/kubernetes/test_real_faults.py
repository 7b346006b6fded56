"""The API server restarts, hangs, cuts and forbids: what nobody can tell is unknown, with the reason, and comes back.

Each test has a cluster's API server behind a proxy of its own, so that the shared cluster stays as it is (F5, F7, F29).
"""

import threading
import time

import pytest

from telemetry.sources.kubernetes import reflector, resources, source
from telemetry.sources.kubernetes.access import Access
from telemetry.sources.kubernetes.client import Client

from ...controlplane.build import folder  # noqa: TID252  importlib mode has no package named tests
from ...controlplane.cluster import running  # noqa: TID252
from ...controlplane.workloads import workload  # noqa: TID252
from .proxy import Proxy
from .watching import client, watching

CONVERGES = 10.0


@pytest.fixture
def proxy(cluster):
    proxy = Proxy(cluster.server)
    yield proxy
    proxy.close()


@pytest.fixture
def watched(cluster, proxy):
    with watching(cluster, api=client(cluster, proxy.server)) as watched:
        yield watched


def error(watched):
    watched.look()
    return watched.reading.error


def scaled(cluster, namespace, count):
    cluster.kubectl("scale", "deployment/web", f"--replicas={count}", "-n", namespace)


def desired(watched, namespace):
    return watched.column("replicas.desired", "web", namespace)


def ready(cluster, watched, namespace):
    cluster.apply(workload(namespace, "web"))
    watched.until(lambda: watched.column("probe.ok", "web", namespace) == 1.0, "it is well")


def test_a_server_that_refuses_makes_its_targets_unknown_with_the_reason_and_keeps_them(
    cluster, namespace, proxy, watched
):
    ready(cluster, watched, namespace)
    proxy.refuse()
    began = time.monotonic()
    watched.until(lambda: error(watched), "the reason")
    assert time.monotonic() - began < source.GRACE + source.BEAT + 5
    assert watched.target("web", namespace) is not None
    assert watched.look().silent.keys() == {"kubernetes"}
    watched.until(lambda: watched.column("probe.ok", "web", namespace) is None, "it is unknown")
    age = time.time() - watched.facts("web", namespace).seen_at  # noqa: TID251
    assert age > source.GRACE
    scaled(cluster, namespace, 3)
    proxy.refuse(refusing=False)
    watched.until(lambda: desired(watched, namespace) == 3.0, "it converges", CONVERGES)
    assert error(watched) == ""
    lists = {each.standing.lists for each in watched.source.reflectors}
    assert lists == {1}  # it went on where it was


def test_a_server_that_hangs_is_noticed_by_the_heartbeat_long_before_any_watch_ends(cluster, namespace, proxy, watched):
    ready(cluster, watched, namespace)
    proxy.stall(new_too=True)
    watched.until(lambda: error(watched), "the reason")
    assert "the API server does not answer" in error(watched)
    watched.until(lambda: watched.column("probe.ok", "web", namespace) is None, "it is unknown")
    proxy.heal()
    proxy.cut()
    watched.until(lambda: watched.column("probe.ok", "web", namespace) == 1.0, "it is known again")


def test_watches_that_go_silent_are_noticed_although_the_server_answers(cluster, namespace, proxy, monkeypatch):
    monkeypatch.setattr(reflector, "WATCH", 6.0)
    monkeypatch.setattr(reflector, "SLACK", 2.0)
    with watching(cluster, api=client(cluster, proxy.server)) as watched:
        ready(cluster, watched, namespace)
        proxy.stall()
        scaled(cluster, namespace, 3)
        reasons = set()

        def converged():
            reasons.add(error(watched))
            return desired(watched, namespace) == 3.0

        watched.until(converged, "it converges by a new list", 8 + CONVERGES + source.BEAT)
        pods = next(each for each in watched.source.reflectors if each.resource.name == "deployments.apps")
        assert pods.standing.lists == 2


def test_a_server_that_cuts_every_second_is_followed_all_the_same(cluster, namespace, proxy, watched):
    ready(cluster, watched, namespace)
    over = threading.Event()

    def cutting():
        while not over.wait(1.0):
            proxy.cut()

    thread = threading.Thread(target=cutting)
    thread.start()
    try:
        for count in (3, 1):
            scaled(cluster, namespace, count)
            watched.until(lambda count=count: desired(watched, namespace) == count, f"{count}", CONVERGES)
    finally:
        over.set()
        thread.join()
    assert {each.standing.lists for each in watched.source.reflectors} == {1}
    watched.until(lambda: error(watched) == "", "all of them are back", CONVERGES)


def test_a_server_that_was_killed_and_came_back_is_listed_or_followed_until_all_is_as_it_is(tmp_path):
    with running(folder(), tmp_path) as own, own.namespace() as namespace, watching(own) as watched:
        ready(own, watched, namespace)
        own.kill("kube-apiserver")
        watched.until(lambda: error(watched), "the reason")
        own.start("kube-apiserver")
        own.until_ready()
        back = time.monotonic()
        own.kubectl("delete", "deployment", "web", "-n", namespace)
        own.apply(workload(namespace, "other"))
        watched.until(lambda: watched.target("web", namespace) is None, "what was deleted is gone", 20)
        watched.until(lambda: watched.column("probe.ok", "other", namespace) == 1.0, "what is new is there", 20)
        watched.until(lambda: error(watched) == "", "no trouble is left", 20)
        assert time.monotonic() - back < 2 * CONVERGES
        wait = threading.Event()
        for _ in range(3):  # nothing comes and goes after that
            assert {t.name for t in watched.look().targets if t.namespace == namespace} == {"other"}
            wait.wait(0.5)


# --- rights


def allowed(cluster, namespace, name, rules):
    """A client of an account with exactly these rights in the whole cluster."""
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [{"apiGroups": [g], "resources": [r], "verbs": ["list", "watch"]} for g, r in rules],
    }
    bound = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": namespace}],
    }
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader", "namespace": namespace}}
    cluster.apply(account, role, bound)
    token = cluster.bound_token(namespace, "reader")
    return Client(Access(cluster.server, lambda: f"Bearer {token}", str(cluster.ca)))


@pytest.fixture
def rights(cluster, namespace):
    yield lambda rules: allowed(cluster, namespace, f"reader-{namespace}", rules)
    for kind in ("clusterrolebinding", "clusterrole"):
        cluster.kubectl("delete", kind, f"reader-{namespace}", "--ignore-not-found")


def test_the_rights_that_are_named_are_enough_and_nothing_is_ever_written(cluster, namespace, rights):
    with watching(cluster, api=rights(resources.RULES)) as watched:
        ready(cluster, watched, namespace)
        assert {each.standing.why for each in watched.source.reflectors} == {""}
    assert cluster.audit(user=f"system:serviceaccount:{namespace}:reader") == []  # the log has all but get, list, watch


@pytest.mark.parametrize("missing", [rule for rule in resources.RULES if rule[1] not in resources.OPTIONAL])
def test_a_right_that_is_missing_is_named_and_nothing_is_known(cluster, rights, missing):
    api = rights([rule for rule in resources.RULES if rule != missing])
    unready = source.KubernetesSource(api)
    unready.start()
    try:
        assert unready.wait(1.5)
        reading = unready.read(1.0)
    finally:
        unready.close()
    name = ".".join(filter(None, missing[::-1]))
    assert f"forbidden: needs the verbs list and watch on {name}" in reading.error
    assert reading.facts == {}


def test_what_only_protects_may_be_forbidden_and_everything_else_is_known(cluster, namespace, rights):
    api = rights([rule for rule in resources.RULES if rule[1] not in resources.OPTIONAL])
    with watching(cluster, api=api) as watched:
        ready(cluster, watched, namespace)
        whys = {each.resource.name.partition(".")[0]: each.standing.why for each in watched.source.reflectors}
        assert {name for name, why in whys.items() if "forbidden" in why} == set(resources.OPTIONAL)


def test_one_namespace_is_followed_with_rights_in_that_namespace_only(cluster, namespace):
    inside = [rule for rule in resources.RULES if rule[1] not in (*resources.OPTIONAL, "namespaces")]
    group = "rbac.authorization.k8s.io"
    named = {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": [namespace], "verbs": ["list", "watch"]}
    rules = [{"apiGroups": [g], "resources": [r], "verbs": ["list", "watch"]} for g, r in inside]
    subjects = [{"kind": "ServiceAccount", "name": "reader", "namespace": namespace}]
    meta, wide = {"name": "reader", "namespace": namespace}, {"name": f"reader-{namespace}"}
    version = f"{group}/v1"
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}
    cluster.apply(
        account,
        {"apiVersion": version, "kind": "Role", "metadata": meta, "rules": rules},
        {
            "apiVersion": version,
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "reader"},
            "subjects": subjects,
        },
        {"apiVersion": version, "kind": "ClusterRole", "metadata": wide, "rules": [named]},
        {
            "apiVersion": version,
            "kind": "ClusterRoleBinding",
            "metadata": wide,
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": wide["name"]},
            "subjects": subjects,
        },
    )
    token = cluster.bound_token(namespace, "reader")
    api = Client(Access(cluster.server, lambda: f"Bearer {token}", str(cluster.ca)))
    try:
        with cluster.namespace() as elsewhere, watching(cluster, api=api, namespaces=[namespace]) as watched:
            cluster.apply(workload(elsewhere, "web"))
            ready(cluster, watched, namespace)
            assert {target.namespace for target in watched.look().targets} == {namespace}
    finally:
        for kind in ("clusterrolebinding", "clusterrole"):
            cluster.kubectl("delete", kind, wide["name"])
