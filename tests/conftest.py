"""What holds for every test."""

import signal

import pytest

from tests.controlplane.fixture import cluster, namespace  # noqa: F401  fixtures for all rooms

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell starts background jobs so, and children inherit it: the tests that press Ctrl-C would wait for ever
    signal.signal(signal.SIGINT, signal.default_int_handler)

CLUSTER = {"cluster", "own"}
"""Fixtures that are a control plane."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of long stories first, so that no worker waits for one at the end; those that need a cluster last.

    A control plane takes a share of the processor for as long as it runs, which tests of real time would feel.
    """
    needy = {
        item.path
        for item in items
        if CLUSTER & set(getattr(item, "fixturenames", ())) or item.get_closest_marker("cluster")
    }
    for item in items:
        if item.path in needy:
            item.add_marker("cluster")
    items.sort(key=lambda item: (item.path in needy, item.path.parent.name != "scenarios"))
