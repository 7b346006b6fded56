"""Batches as a sender's request makes them."""

import numpy as np

from telemetry.batch import Batch, Gauge, Requests
from telemetry.inventory import Facts
from telemetry.origins import Origin
from telemetry.target import Target

NOW = 1_000_000.0
WEB = Target("local", "Service", "shop", "web", "u1")
CART = Target("local", "Service", "shop", "cart", "u2")
OTHER_WEB = Target("local", "Service", "auth", "web", "u3")


def spans(*took, of="shop/web", instance="i1", at=NOW, failed=0, others=0):
    """A batch of requests of one origin that ended at `at`, the first of them failed, and of other spans."""
    ended = np.full(len(took), round(at * 1e9), np.uint64)
    started = ended - np.array([round(t * 1e9) for t in took], np.uint64)
    requests = Requests(np.zeros(len(took), np.int64), started, ended, np.arange(len(took)) < failed)
    return Batch((origin(of, instance),), (len(took) + others,), requests)


def gauge(column, value, of="shop/web", instance="i1", at=NOW, **more):
    return Batch((origin(of, instance),), (1,), gauges=(Gauge(0, column, value, at, **more),))


def origin(of, instance=""):
    namespace, _, name = of.rpartition("/")
    return Origin(name, namespace, instance)


def facts(ready=2, at=NOW):
    return Facts(seen_at=at, desired=ready, ready=ready)
