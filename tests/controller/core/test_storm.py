"""Storms by themselves: who counts as sick or unknown, when a storm begins, and each word that is said of its end."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from controller.core.records import OWN_STORM, AnyRecord, Led, Storm
from controller.core.state import State, fold
from controller.core.storm import DARK_AFTER, SLACK, Census, counts_of, ill_rows, of_target, storms
from controller.core.wish import Limits
from telemetry.columns import COLUMNS, Column
from telemetry.snapshot import Snapshot
from telemetry.target import Target

from .world import NOW, Service, snapshot

LIMITS = Limits(storm_share=0.3, storm_targets=5, storm_calm=600.0, own_failures=3, warmup=10.0)
STALE = COLUMNS["probe.ok"].stale_after


def of(*services: Service, **cells: Mapping[str, tuple[float, float]]) -> Snapshot:
    """Services; `cells` gives, by column (`_` for the dot) and service, a value and its age."""
    seen = snapshot(*services)
    columns = dict(seen.columns)
    for name, rows in cells.items():
        column = columns[name.replace("_", ".", 1)]
        values, age = column.values.copy(), column.age.copy()
        for row, target in enumerate(seen.targets):
            if target.name in rows:
                values[row], age[row] = rows[target.name]
        columns[column.spec.name] = Column(column.spec, values, age, column.count)
    return replace(seen, columns=columns)


WELL, SICK = Service("well"), Service("sick", "---")
BLIND = Service("blind", "???", columns={"probe.ok": None})


@pytest.mark.parametrize(
    ("seen", "counts"),
    [
        (of(WELL), {}),
        (of(SICK), {"memory": (1, 1), "memory/shop": (1, 1)}),
        (of(SICK, WELL), {"memory": (1, 2), "memory/shop": (1, 2)}),
        (of(SICK, replace(WELL, namespace="bill")), {"memory": (1, 2), "memory/shop": (1, 1)}),
        # never known at all: neither sick nor known
        (of(SICK, BLIND), {"memory": (1, 1), "memory/shop": (1, 1)}),
        # stopped on purpose: neither
        (
            of(SICK, replace(WELL, desired=0), Service("off", "---", desired=0)),
            {"memory": (1, 1), "memory/shop": (1, 1)},
        ),
        # a probe that was known and is stale
        (of(WELL, probe_ok={"well": (1.0, STALE)}), {}),
        (of(WELL, probe_ok={"well": (1.0, STALE + 1)}), {"memory": (1, 1), "memory/shop": (1, 1)}),
        (of(WELL, probe_ok={"well": (0.0, STALE + 1)}), {"memory": (1, 1), "memory/shop": (1, 1)}),
        # without a probe it is telemetry that goes dark
        (of(BLIND, telemetry_age={"blind": (DARK_AFTER, 0.0)}), {}),
        (of(BLIND, telemetry_age={"blind": (DARK_AFTER + 1, 0.0)}), {"memory": (1, 1), "memory/shop": (1, 1)}),
        (of(WELL, telemetry_age={"well": (DARK_AFTER + 1, 0.0)}), {}),
        (of(SICK, BLIND, telemetry_age={"blind": (1.0, 0.0)}), {"memory": (1, 2), "memory/shop": (1, 2)}),
    ],
)
def test_sick_is_what_a_probe_says_and_unknown_what_was_known_before(
    seen: Snapshot, counts: Mapping[str, tuple[int, int]]
) -> None:
    assert counts_of(seen, []) == counts


def test_a_condition_that_holds_makes_its_target_count_whatever_else_is_known() -> None:
    seen = of(WELL, BLIND, Service("other", namespace="bill"))
    ill = [WELL.target, BLIND.target, Target("memory", "Service", "shop", "gone", "u9")]
    assert counts_of(seen, ill) == {"memory": (2, 3), "memory/shop": (2, 2)}
    assert ill_rows(seen, ill).tolist() == [target.name in ("well", "blind") for target in seen.targets]


def test_nothing_listed_counts_nothing_and_a_census_follows_the_inventory() -> None:
    census = Census()
    assert census.count(snapshot()) == {}
    assert census.count(of(SICK)) == {"memory": (1, 1), "memory/shop": (1, 1)}
    moved = of(replace(SICK, namespace="bill"), WELL)
    assert census.count(moved) == {"memory": (1, 2), "memory/bill": (1, 1)}
    ill = np.ones(2, np.bool_)
    assert census.count(moved, ill) == {"memory": (2, 2), "memory/bill": (1, 1), "memory/shop": (1, 1)}
    assert ill.all()


def test_columns_that_nobody_has_count_nothing() -> None:
    seen = of(SICK)
    for missing in ("probe.ok", "telemetry.age", "replicas.desired"):
        columns = {name: column for name, column in seen.columns.items() if name != missing}
        found = counts_of(replace(seen, columns=columns), [])
        assert bool(found) is (missing != "probe.ok")


def said(
    counts: Mapping[str, tuple[int, int]], *records: AnyRecord, now: float = NOW, **changes: object
) -> list[Storm]:
    state = fold([Led(NOW - 1000, 1, "a"), *records])
    for name, value in changes.items():
        setattr(state, name, value)
    return list(storms(now, state, counts, LIMITS))


@pytest.mark.parametrize(
    ("sick", "total", "begins"),
    [(4, 4, False), (5, 5, True), (5, 16, True), (5, 17, False), (6, 20, False), (7, 20, True)],
)
def test_a_storm_is_more_than_the_share_and_at_least_some(sick: int, total: int, begins: bool) -> None:
    why = f"{sick} of {total} targets are sick or unknown"
    assert said({"memory": (sick, total)}) == ([Storm(NOW, "memory", why)] if begins else [])


RAGING = Storm(NOW - 500, "memory/shop", "much")
MANY, FEW = {"memory/shop": (9, 9)}, {"memory/shop": (1, 9)}
CALM = "1 of 9 targets are sick or unknown"


def test_a_storm_is_said_once_and_not_of_a_part_of_what_it_was_said_of() -> None:
    assert said(MANY, RAGING) == []
    whole = Storm(NOW - 500, "memory", "much")
    assert said({**MANY, "memory": (9, 9)}, whole) == []
    assert [storm.group for storm in said({**MANY, "memory": (9, 9)})] == ["memory", "memory/shop"]


def test_calm_is_said_with_its_end_and_then_the_end() -> None:
    until = NOW + 600 * (1 + SLACK)
    assert said(FEW, RAGING) == [Storm(NOW, "memory/shop", CALM, until=until)]
    calming = Storm(NOW, "memory/shop", CALM, until=until)
    assert said(FEW, calming, now=until - 1) == []
    assert said(FEW, calming, now=until) == [Storm(until, "memory/shop", CALM, over=True)]
    none = "0 of 0 targets are sick or unknown"
    assert said({}, RAGING) == [Storm(NOW, "memory/shop", none, until=until)]


def test_a_relapse_within_the_slack_is_not_written_and_a_later_one_is() -> None:
    calming = Storm(NOW, "memory/shop", CALM, until=NOW + 660)
    raging = "9 of 9 targets are sick or unknown"
    assert said(MANY, calming, now=NOW + 59) == []
    assert said(MANY, calming, now=NOW + 60) == [Storm(NOW + 60, "memory/shop", raging)]
    assert said(MANY, calming, now=NOW + 61) == [Storm(NOW + 61, "memory/shop", raging)]


def test_after_a_start_calm_is_watched_anew_once_it_is_warm() -> None:
    calming = Storm(NOW - 100, "memory/shop", CALM, until=NOW + 5)
    again = Led(NOW, 2, "b")
    assert said(FEW, calming, again, now=NOW + 9) == []
    assert said(FEW, calming, again, now=NOW + 10) == [
        Storm(NOW + 10, "memory/shop", CALM, until=NOW + 10 + 600 * (1 + SLACK))
    ]
    same = Storm(NOW, "memory/shop", CALM, until=NOW + 5)
    assert said(FEW, again, same, now=NOW + 10) == [Storm(NOW + 10, "memory/shop", CALM, over=True)]


@pytest.mark.parametrize(
    ("results", "begins"), [([False, False], False), ([False, True, False, False, True], True), ([True] * 5, False)]
)
def test_our_own_storm_begins_with_so_many_that_did_not_help(results: list[bool], begins: bool) -> None:
    why = f"3 of our last {len(results)} actions did not help"
    assert said({}, results=results) == ([Storm(NOW, OWN_STORM, why, until=NOW + 600)] if begins else [])


def test_our_own_storm_ends_by_itself_and_is_not_said_again_before() -> None:
    own = Storm(NOW - 600, OWN_STORM, "3 of 5", until=NOW)
    failed = [False] * 5
    assert said({}, own, results=failed) == [Storm(NOW, OWN_STORM, "the calm time is over", over=True)]
    assert said({}, own, now=NOW - 1, results=failed) == []


def test_a_target_is_in_the_storm_of_its_platform_or_of_its_namespace_the_widest_first() -> None:
    platform, namespace = Storm(NOW, "memory", "a"), Storm(NOW, "memory/shop", "b")
    assert of_target(SICK.target, {"memory": platform, "memory/shop": namespace}) is platform
    assert of_target(SICK.target, {"memory/shop": namespace}) is namespace
    assert of_target(SICK.target, {"memory/bill": namespace, "local": platform}) is None


def test_a_storm_that_is_over_is_forgotten_and_only_our_own_forgets_our_results() -> None:
    state = State(results=[False, True])
    for record in (RAGING, Storm(NOW, OWN_STORM, "x", until=NOW + 9)):
        state.apply(record)
    state.apply(Storm(NOW, RAGING.group, "", over=True))
    assert (list(state.storms), state.results) == ([OWN_STORM], [False, True])
    state.apply(Storm(NOW, OWN_STORM, "", over=True))
    assert (state.storms, state.results) == ({}, [])
