"""One cluster with the chart for all tests of this folder that need one."""

from collections.abc import Iterator

import pytest

from tests.controlplane.build import missing
from tests.controlplane.cluster import Cluster
from tests.needs import need

from .installed import with_chart


@pytest.fixture(scope="package")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of its own with the chart."""
    why = missing()
    need(not why, why)
    with with_chart(tmp_path_factory.mktemp("install")) as cluster:
        yield cluster
