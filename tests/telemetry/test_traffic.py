import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.batch import Batch, Fate, Gauge, Requests
from telemetry.groups import MOST_INSTANCES
from telemetry.origins import Join, Origin
from telemetry.traffic import FORGET, MOST_UNLISTED, Traffic
from tests.telemetry.batches import CART, NOW, OTHER_WEB, WEB, facts, gauge, origin, spans

DEPLOYED = WEB.__class__("kubernetes", "Deployment", "shop", "pay", "u9")


@pytest.fixture
def traffic():
    made = Traffic()
    made.follow([WEB, CART])
    return made


def measured(traffic, target=WEB, now=NOW, ready=2):
    """Value and count by column of what is new."""
    found = {}
    for each in traffic.measure(now, {WEB: facts(ready), CART: facts(ready)}.get):
        if target in each.targets:
            place = each.targets.index(target)
            found[each.column] = (float(each.values[place]), float(each.count[place]))
    return found


@pytest.mark.parametrize(
    ("said", "joined"),
    [
        (origin("shop/web"), WEB),
        (origin("auth/web"), OTHER_WEB),
        (origin("web"), None),  # two are called so
        (origin("cart"), CART),
        (origin("elsewhere/cart"), None),  # a namespace that was said counts
        (origin("../../x"), None),
        (Origin("x", workload=("Deployment", "shop", "pay")), DEPLOYED),
        (Origin("cart", workload=("Deployment", "shop", "gone")), CART),
        (Origin("x", workload=("StatefulSet", "shop", "pay")), None),
    ],
)
def test_an_origin_joins_the_one_target_it_names(said, joined):
    assert Join([WEB, CART, OTHER_WEB, DEPLOYED]).target(said) == joined


def test_requests_join_their_target_and_are_measured_once(traffic):
    assert traffic.take(spans(*[0.1] * 12, failed=3, others=5), NOW) == {Fate.ACCEPTED: 17}
    found = measured(traffic)
    assert found["requests.count"] == (12, 12)
    assert found["requests.volume"] == (17, 17)
    assert found["errors.ratio"] == (0.25, 12)
    assert found["active.count"] == (1, 1)
    assert measured(traffic) == {}


def test_what_no_platform_lists_is_shown_and_adds_nothing(traffic):
    assert traffic.take(spans(*[0.2] * 20, of="shop/ghost", failed=5), NOW) == {Fate.UNMATCHED: 20}
    assert list(traffic.measure(NOW, {}.get)) == []
    (ghost,) = traffic.unlisted(NOW)
    assert (ghost.namespace, ghost.name, ghost.errors, ghost.heard) == ("shop", "ghost", 0.25, NOW)
    assert ghost.p99 == pytest.approx(0.2, rel=0.02)
    assert traffic.unlisted(NOW + FORGET + 1) == []


def test_a_service_that_is_listed_later_joins_from_then_on(traffic):
    traffic.take(spans(0.1, of="shop/late"), NOW)
    late = WEB.__class__("local", "Service", "shop", "late", "u7")
    traffic.follow([WEB, late])
    assert traffic.take(spans(0.1, of="shop/late"), NOW) == {Fate.ACCEPTED: 1}
    assert traffic.unlisted(NOW) == []
    assert measured(traffic, late)["requests.count"] == (1, 1)


def test_a_target_that_is_gone_takes_its_requests_with_it(traffic):
    traffic.take(spans(0.1, 0.1), NOW)
    traffic.follow([CART])
    traffic.follow([WEB, CART])
    assert measured(traffic) == {}
    traffic.take(spans(0.1), NOW)
    assert measured(traffic)["requests.count"] == (1, 1)


def test_a_hundred_thousand_names_are_a_hundred_rows_and_a_count(traffic):
    fates = Counter()
    for start in range(0, 100_000, 500):
        names = [Origin(f"s{number}") for number in range(start, start + 500)]
        fates += traffic.take(Batch(names, [1] * 500), NOW)
    assert fates == {Fate.UNMATCHED: MOST_UNLISTED, Fate.SERIES: 100_000 - MOST_UNLISTED}
    assert len(traffic.unlisted(NOW)) == MOST_UNLISTED
    assert traffic.take(spans(0.1), NOW) == {Fate.ACCEPTED: 1}


def test_instances_are_told_apart_up_to_a_bound(traffic):
    for number in range(MOST_INSTANCES + 50):
        traffic.take(spans(0.1, instance=f"i{number}"), NOW)
    assert measured(traffic)["active.count"][0] == MOST_INSTANCES


def test_an_instance_that_is_heard_no_more_is_active_no_more(traffic):
    traffic.take(spans(0.1, instance="a"), NOW)
    traffic.take(spans(0.1, instance="b", at=NOW + 61), NOW + 61)
    assert measured(traffic, now=NOW + 61)["active.count"][0] == 1


@pytest.mark.parametrize(
    ("instances", "requests", "silent"),
    [("ab", 20, 0.0), ("a", 40, 0.5), ("a", 39, math.nan), ("abc", 20, 0.0), ([""], 40, math.nan)],
)
def test_an_instance_is_silent_if_its_siblings_had_requests_enough_for_all(traffic, instances, requests, silent):
    for instance in instances:
        traffic.take(spans(*[0.1] * requests, instance=instance), NOW)
    assert measured(traffic)["instances.silent"][0] == pytest.approx(silent, nan_ok=True)


@pytest.mark.parametrize(
    ("at", "fate"),
    [
        (NOW + 4, None),
        (NOW + 6, Fate.FUTURE),
        (NOW + 3600, Fate.FUTURE),
        (18_446_744_073.0, Fate.FUTURE),  # the last instant of 64 bits
        (NOW - 45, None),
        (NOW - 75, Fate.PAST),
        (1.0, Fate.PAST),
    ],
)
def test_a_request_of_another_time_is_not_taken(traffic, at, fate):
    wanted = {Fate.ACCEPTED: 2} if fate is None else {fate: 2}
    assert traffic.take(spans(0.1, 0.2, at=at), NOW) == wanted
    assert bool(measured(traffic)) is (fate is None)


def test_a_request_that_ended_before_it_began_is_not_taken(traffic):
    ended = np.array([round(NOW * 1e9)], np.uint64)
    backwards = Requests(np.zeros(1, np.int64), ended + np.uint64(1), ended, np.zeros(1, bool))
    assert traffic.take(Batch((origin("web"),), (3,), backwards), NOW) == {Fate.ACCEPTED: 2, Fate.BACKWARDS: 1}
    assert math.isnan(measured(traffic)["requests.count"][0])


@pytest.mark.parametrize(
    ("change", "fate"),
    [
        ({"value": math.nan}, Fate.VALUE),
        ({"value": math.inf}, Fate.VALUE),
        ({"value": -1.0}, Fate.VALUE),
        ({"at": NOW + 60}, Fate.FUTURE),
        ({"at": 0.0}, Fate.PAST),
        ({"temporal": False}, Fate.TEMPORALITY),
    ],
)
def test_a_gauge_that_means_nothing_now_is_not_taken(traffic, change, fate):
    made = {"column": "queue.depth", "value": 1.0} | change
    assert traffic.take(gauge(**made), NOW) == {fate: 1}
    assert measured(traffic) == {}


def test_the_worst_instance_speaks_for_its_target(traffic):
    for instance, depth, limit in (("a", 5, 100), ("b", 30, 40), ("c", 1, 100)):
        traffic.take(gauge("queue.depth", depth, instance=instance), NOW)
        traffic.take(gauge("queue.limit", limit, instance=instance), NOW)
    found = measured(traffic)
    assert (found["queue.depth"], found["queue.limit"]) == ((30, 3), (40, 3))


def test_a_gauge_of_an_instance_that_fell_silent_counts_no_more(traffic):
    traffic.take(gauge("queue.depth", 50.0, instance="a"), NOW)
    traffic.take(gauge("queue.depth", 3.0, instance="b", at=NOW + 200), NOW + 200)
    assert measured(traffic, now=NOW + 200)["queue.depth"] == (3, 1)


ORIGINS = st.sampled_from(
    [origin("web"), origin("shop/cart", "i2"), origin("ghost"), origin("a\nb\x1b[31m"), Origin("")]
)
TIMES = st.one_of(st.integers(0, 2**64 - 1), st.integers(-100, 100).map(lambda s: round((NOW + s) * 1e9)))


@st.composite
def batches(draw):
    origins = draw(st.lists(ORIGINS, max_size=4))
    places = st.integers(0, len(origins) - 1)
    rows = draw(st.lists(st.tuples(places, TIMES, TIMES, st.booleans()), max_size=20)) if origins else []
    items = [sum(row[0] == place for row in rows) + draw(st.integers(0, 3)) for place in range(len(origins))]
    gauges = []
    for place in range(len(origins)):
        for _ in range(draw(st.integers(0, 2))):
            value, at = draw(st.floats()), draw(st.one_of(st.floats(NOW - 300, NOW + 300), st.just(1e300)))
            gauges.append(Gauge(place, "queue.depth", value, at, 1, temporal=draw(st.booleans())))
            items[place] += 1
    columns = [
        np.array([row[n] for row in rows], kind) for n, kind in enumerate((np.int64, np.uint64, np.uint64, bool))
    ]
    return Batch(origins, items, Requests(*columns), gauges)


@given(st.lists(batches(), max_size=6))
def test_every_item_has_one_fate_and_no_value_is_half_known(made):
    traffic = Traffic()
    traffic.follow([WEB, CART])
    for batch in made:
        fates = traffic.take(batch, NOW)
        assert sum(fates.values()) == sum(batch.items)
        assert all(items > 0 for items in fates.values())
    for each in traffic.measure(NOW, {WEB: facts(), CART: facts()}.get):
        assert set(each.targets) <= {WEB, CART}
        assert not np.isinf(each.values).any()
        assert np.isfinite(each.at).all() or each.column not in ("requests.volume", "active.count")
        assert (each.at <= NOW + 5).all()
