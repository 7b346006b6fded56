"""Which right a write needs, as a role would grant it; that the API server agrees is tested with the chart."""

import pytest

from telemetry.sources.kubernetes.client import Write
from telemetry.sources.kubernetes.rights import Right, needs, right_of
from telemetry.target import Target

WEB = Target("kubernetes", "StatefulSet", "shop", "web", "u1")


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("POST", "/api/v1/namespaces/shop/pods/web-1/eviction", "create pods/eviction in shop"),
        ("DELETE", "/api/v1/namespaces/shop/pods/web-1", "delete pods in shop"),
        ("PATCH", "/apis/apps/v1/namespaces/shop/deployments/web/scale", "patch deployments/scale.apps in shop"),
        ("POST", "/apis/events.k8s.io/v1/namespaces/shop/events", "create events.events.k8s.io in shop"),
        (
            "PATCH",
            "/apis/gyrostat.dev/v1alpha1/clusterremediationpolicies/sick/status",
            "patch clusterremediationpolicies/status.gyrostat.dev in every namespace",
        ),
        ("PUT", "/api/v1/namespaces/shop", "update namespaces in every namespace"),
    ],
)
def test_a_write_names_its_right(method: str, path: str, said: str) -> None:
    assert str(right_of(Write(method, path, None))) == said


def test_each_change_of_a_workload_needs_a_right_of_its_own_kind_and_namespace() -> None:
    assert needs(WEB)["desired=*"] == Right("patch", "apps", "statefulsets/scale", "shop")
    assert needs(WEB)["rollout=*"] == Right("patch", "apps", "statefulsets", "shop")
