"""Where the cluster measures what pods use, it is read; and an autoscaler that wants more than it may says so."""

import pytest

from ...controlplane.build import folder  # noqa: TID252  importlib mode has no package named tests
from ...controlplane.cluster import running  # noqa: TID252
from ...controlplane.metrics import measured  # noqa: TID252
from ...controlplane.workloads import autoscaler, workload  # noqa: TID252
from .watching import watching


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A cluster of its own: an API for usage is one for a whole cluster."""
    with running(folder(), tmp_path_factory.mktemp("own")) as own:
        yield own


@pytest.fixture(scope="module")
def metrics(own, tmp_path_factory):
    with measured(own, tmp_path_factory.mktemp("metrics")) as metrics:
        yield metrics


@pytest.fixture
def namespace(own):
    with own.namespace() as name:
        yield name


def limited(made):
    resources = {"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "100m"}}
    made["spec"]["template"]["spec"]["containers"][0]["resources"] = resources
    return made


def test_use_is_read_against_limits_and_unknown_without_them(own, namespace, metrics):
    for name in ("web", "free"):
        metrics.cpu[namespace, name], metrics.memory[namespace, name] = 450, 64
    own.apply(limited(workload(namespace, "web")), workload(namespace, "free"))
    with watching(own) as watched:
        watched.until(lambda: watched.column("cpu.ratio", "web", namespace) == pytest.approx(0.9), "its CPU")
        assert watched.column("memory.ratio", "web", namespace) == pytest.approx(0.25)
        watched.until(lambda: watched.column("memory.bytes", "free", namespace) == 64 * 2**20, "its memory")
        assert watched.column("cpu.ratio", "free", namespace) is None
        metrics.cpu[namespace, "web"] = 50
        watched.until(lambda: watched.column("cpu.ratio", "web", namespace) == pytest.approx(0.1), "it calms down")


def test_an_autoscaler_that_wants_more_than_its_maximum_says_so_with_its_bounds(own, namespace, metrics):
    metrics.cpu[namespace, "web"] = 80
    own.apply(limited(workload(namespace, "web")), autoscaler(namespace, "web", 2, 3))
    with watching(own) as watched:
        watched.until(lambda: watched.column("k8s.autoscaled", "web", namespace) == 1.0, "the autoscaler is seen")
        assert watched.column("k8s.autoscaler_limited", "web", namespace) == 0.0
        metrics.cpu[namespace, "web"] = 400
        watched.until(lambda: watched.column("k8s.autoscaler_limited", "web", namespace) == 1.0, "it wants more")
        watched.until(lambda: watched.column("replicas.desired", "web", namespace) == 3.0, "it is at its maximum")
        said = f"HorizontalPodAutoscaler {namespace}/web wants more than its maximum: its bounds are 2 to 3"
        assert said in watched.facts("web", namespace).troubles[0]
