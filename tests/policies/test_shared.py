"""Policies that share a program find what each of them finds alone."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.evaluate import Catalog, search
from policies.holds import Holds
from policies.shared import Shared

from .make import policy, snapshot, target

POLICIES = [
    policy(when=when, until=until, for_=delay, **({"targets": targets} if targets else {}))
    for when, until, delay, targets in (
        ("probe.failures > 2", None, "0s", None),
        ("probe.failures > 2 && cpu.ratio > 0.5", "cpu.ratio < 0.2", "2s", None),
        ("cpu.ratio > 0.5 || labels.tier == 'web'", None, "0s", None),
        ("cpu.ratio > 0.5 && target.name.startsWith('a')", None, "1s", None),
        ("probe.failures > 2", None, "0s", "{names: [a1]}"),  # too few targets to share
    )
]
TARGETS = [target(f"{letter}{number}") for letter in "ab" for number in range(4)]
LABELS = {each: {"tier": "web"} for each in TARGETS[::3]}
CELLS = st.sampled_from([float("nan"), 0.0, 0.4, 0.6, 1.0, 3.0])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(CELLS, min_size=16, max_size=16), min_size=1, max_size=5))
def test_sharing_changes_no_finding(ticks):
    shared = Shared()
    alone, together = ([Holds() for _ in POLICIES] for _ in range(2))
    for at, cells in enumerate(ticks):
        seen = snapshot(TARGETS, float(at), LABELS, probe_failures=cells[:8], cpu_ratio=cells[8:])
        catalog = Catalog(seen)
        truths = shared.truths(POLICIES, seen, catalog)
        assert len(truths) == len(POLICIES) - 1
        for each, mine, ours in zip(POLICIES, alone, together, strict=True):
            one = search(each, seen, mine, float(at), catalog)
            other = search(each, seen, ours, float(at), catalog, truths.get(each.hash))
            assert np.array_equal(one.rows, other.rows)
            assert np.array_equal(one.begun, other.begun)


def test_without_policies_nothing_is_computed():
    seen = snapshot(TARGETS)
    assert Shared().truths([], seen, Catalog(seen)) == {}
