"""Load is real: an autoscaler follows it, and `kubectl top` shows it."""

import pytest

from .metrics import measured
from .test_cluster import available
from .workloads import autoscaler, path, workload


@pytest.fixture(scope="module")
def metrics(cluster, tmp_path_factory):
    with measured(cluster, tmp_path_factory.mktemp("metrics")) as found:
        yield found


def test_an_autoscaler_follows_the_load_and_says_when_its_maximum_is_too_little(cluster, namespace, metrics):
    made = workload(namespace, "checkout")
    made["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "100m"}}
    metrics.cpu[(namespace, "checkout")] = 80
    cluster.apply(made, autoscaler(namespace, "checkout", 2, 4))
    available(cluster, namespace)
    assert cluster.kubectl("top", "pods", "-n", namespace, "--no-headers").split()[1] == "80m"
    metrics.cpu[(namespace, "checkout")] = 300
    available(cluster, namespace, count=4)

    def limited():
        status = cluster.get(path("HorizontalPodAutoscaler", namespace, "checkout"))["status"]
        return {"ScalingLimited": "True"}.items() <= {c["type"]: c["status"] for c in status["conditions"]}.items()

    cluster.until(limited, "a limited autoscaler")
