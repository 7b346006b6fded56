"""F5, F6: a network and an API server that break, at every request of every write: doubt is settled by reading.

The cluster's own audit log is the witness: an intent that was written is there once, one that was not is not there.
"""

import random
import time

import pytest

from actions import restart
from actions.plan import Change
from actions.platforms.kubernetes.platform import KubernetesPlatform
from actions.restart import NEWER, NEWER_AT_ONCE, ROLLOUT
from actions.scale import MINIMUM
from telemetry.sources.kubernetes.client import Client
from telemetry.verdict import Verdict

from ..controlplane.proxy import (  # noqa: TID252  importlib mode has no package named tests
    HALF,
    HANG_AFTER,
    HANG_BEFORE,
    LOST_AFTER,
    LOST_BEFORE,
    NONE,
    Fault,
    Proxy,
)
from ..controlplane.rig import NOON, KubernetesRig, access  # noqa: TID252
from ..controlplane.workloads import autoscaler, path  # noqa: TID252

PASS, FAIL, UNKNOWN = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN
TIMEOUT = 1.0


class Rig(KubernetesRig):
    """The same workloads, with a platform that reaches them through the proxy."""

    def __init__(self, cluster, namespace, proxy):
        super().__init__(cluster, namespace, "Deployment")
        self.proxy, self.number = proxy, 0
        self.shaky = KubernetesPlatform(
            Client(access(cluster, server=proxy.url), TIMEOUT), lambda: NOON + self.number, trail=f"{namespace}-"
        )

    def intent(self):
        self.number += 1
        return f"i{self.number}"

    def written(self, intent):
        """How often the API server wrote for this intent."""
        entries = self.cluster.audit(id=f"{self.namespace}-{intent}")
        return sum(entry["responseStatus"]["code"] < 300 for entry in entries)


@pytest.fixture(scope="module")
def shared(cluster):
    with cluster.namespace("faults") as namespace, Proxy(cluster) as proxy:
        yield Rig(cluster, namespace, proxy)


@pytest.fixture
def rig(shared):
    shared.settle()
    yield shared
    shared.proxy.rule = lambda method, path: NONE


def scale(rig):
    now = rig.facts().desired
    return Change(rig.target, "desired", now, 3 if now == 2 else 2)


def evict(rig):
    pod = rig.facts().instances[0]
    return Change(rig.target, restart.path(pod.slot), pod.incarnation, NEWER)


def delete(rig):
    pod = rig.facts().instances[0]
    return Change(rig.target, restart.path(pod.slot), pod.incarnation, NEWER_AT_ONCE)


def rollout(rig):
    template = rig.cluster.get(path("Deployment", rig.namespace, "checkout"))["spec"]["template"]
    mark = template["metadata"].get("annotations", {}).get("gyrostat.dev/restarted-at")
    return Change(rig.target, ROLLOUT, mark, NEWER)


WRITES = pytest.mark.parametrize("kind", [scale, evict, delete, rollout])


def on_writes(fault):
    return lambda method, path: NONE if method == "GET" else fault


def on_reads(fault):
    return lambda method, path: fault if method == "GET" else NONE


@WRITES
@pytest.mark.parametrize(
    ("fault", "said", "settled"),
    [
        (LOST_BEFORE, UNKNOWN, FAIL),
        (LOST_AFTER, UNKNOWN, PASS),
        (HANG_BEFORE, UNKNOWN, FAIL),
        (HANG_AFTER, UNKNOWN, PASS),
        (HALF, UNKNOWN, PASS),
        (Fault(delay=0.5), PASS, PASS),
        (Fault(applied=False, status=500), UNKNOWN, FAIL),
        (Fault(applied=False, status=503, retry_after=1), UNKNOWN, FAIL),
        (Fault(status=500), UNKNOWN, PASS),
        (Fault(status=504), UNKNOWN, PASS),
        (Fault(applied=False, status=409), FAIL, FAIL),
        (Fault(applied=False, status=429, retry_after=1), FAIL, FAIL),
        (Fault(applied=False, status=403), FAIL, FAIL),
    ],
    ids=str,
)
def test_doubt_about_a_write_is_said_and_settled_by_reading_and_nothing_is_repeated(rig, kind, fault, said, settled):
    change, intent = kind(rig), rig.intent()
    rig.proxy.rule = on_writes(fault)
    began = time.monotonic()
    rig.proxy.requests.clear()
    assert rig.shaky.apply(change, intent) is said
    assert time.monotonic() - began < TIMEOUT + 5.0
    sent = [path for method, path in rig.proxy.requests if method != "GET"]
    asked = [path for path in sent if "selfsubjectaccessreviews" in path]
    assert len(asked) == (fault.status == 403)  # whether it is a right that lacks; that is not answered here
    assert len(sent) - len(asked) == (3 if fault.status == 409 else 1)
    assert rig.shaky.holds(change) is settled
    assert rig.written(intent) == (settled is PASS)


@WRITES
@pytest.mark.parametrize(
    "fault",
    [LOST_AFTER, HANG_AFTER, HALF, Fault(status=500), Fault(status=429, retry_after=9), Fault(status=403)],
    ids=str,
)
def test_a_question_without_an_answer_writes_nothing_and_tells_nothing(rig, kind, fault):
    change, intent = kind(rig), rig.intent()
    rig.proxy.rule = on_reads(fault)
    rig.proxy.requests.clear()
    assert rig.shaky.apply(change, intent) is FAIL
    assert {method for method, _ in rig.proxy.requests} == {"GET"}
    assert rig.shaky.holds(change) is UNKNOWN
    assert rig.written(intent) == 0


def test_a_question_that_fails_late_is_a_question_all_the_same(rig):
    for number in range(1, 4):
        left = [number]

        def rule(method, path, left=left):
            left[0] -= method == "GET"
            return LOST_AFTER if left[0] == 0 else NONE

        rig.proxy.rule = rule
        assert rig.shaky.apply(scale(rig), rig.intent()) is FAIL
        assert left[0] == 0


def test_an_autoscaler_is_written_with_the_same_care(rig):
    rig.cluster.apply(autoscaler(rig.namespace, "checkout", 2, 4))
    up, intent = Change(rig.target, MINIMUM, 2, 3), rig.intent()
    rig.proxy.rule = on_writes(LOST_AFTER)
    assert rig.shaky.apply(up, intent) is UNKNOWN
    assert rig.shaky.holds(up) is PASS
    assert rig.written(intent) == 1
    rig.cluster.do("DELETE", path("HorizontalPodAutoscaler", rig.namespace, "checkout"))
    rig.other_writer(2)


def test_nobody_there_was_surely_not_told(rig):
    gone = Proxy(rig.cluster)
    gone.close()
    platform = KubernetesPlatform(Client(access(rig.cluster, server=gone.url), TIMEOUT), lambda: NOON)
    assert platform.apply(scale(rig), rig.intent()) is FAIL
    assert platform.holds(scale(rig)) is UNKNOWN


def test_in_a_storm_of_faults_every_change_is_written_once_or_surely_not(rig):
    chance = random.Random(20261122)
    odd = [
        LOST_BEFORE,
        LOST_AFTER,
        Fault(status=504),
        Fault(applied=False, status=503),
        Fault(applied=False, status=429),
    ]
    rates = {"GET": 0.05}
    rig.proxy.rule = lambda method, path: chance.choice(odd) if chance.random() < rates.get(method, 0.5) else NONE
    doubts = writes = 0
    for _ in range(100):
        change, intent = scale(rig), rig.intent()
        verdict = rig.shaky.apply(change, intent)
        doubts += verdict is UNKNOWN
        while verdict is UNKNOWN:
            verdict = rig.shaky.holds(change)
        assert rig.written(intent) == (verdict is PASS)
        assert rig.facts().desired == (change.after if verdict is PASS else change.before)
        writes += verdict is PASS
    assert doubts > 20
    assert writes > 30
    rig.proxy.rule = lambda method, path: NONE
    rig.other_writer(2)


def test_a_write_that_comes_late_does_nothing_once_anybody_else_has_written(rig):
    change, intent = scale(rig), rig.intent()
    rig.proxy.rule = on_writes(Fault(delay=TIMEOUT + 1.0))
    assert rig.shaky.apply(change, intent) is UNKNOWN
    assert rig.shaky.holds(change) is FAIL
    rig.cluster.kubectl("label", "deployment/checkout", f"late={rig.number}", "-n", rig.namespace)
    (entry,) = rig.cluster.until(lambda: rig.cluster.audit(id=f"{rig.namespace}-{intent}"), "its arrival")
    assert entry["responseStatus"]["code"] == 409
    assert rig.facts().desired == change.before


def test_a_server_that_is_killed_and_starts_again_is_asked_again(tmp_path):
    from ..controlplane.build import folder, missing  # noqa: TID252
    from ..controlplane.cluster import running  # noqa: TID252
    from ..needs import need  # noqa: TID252

    why = missing()
    need(not why, why)
    with running(folder(), tmp_path) as own, own.namespace() as namespace:
        rig = KubernetesRig(own, namespace, "Deployment")
        change = scale(rig)
        own.kill("kube-apiserver")
        assert rig.platform.apply(change, "i1") is FAIL
        assert rig.platform.holds(change) is UNKNOWN
        own.start("kube-apiserver")
        own.until_ready()
        own.until(lambda: rig.platform.apply(change, "i2") is PASS, "a write after the restart")
        assert rig.platform.holds(change) is PASS
