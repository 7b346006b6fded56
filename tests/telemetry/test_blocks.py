"""A block of values says what as many samples would say, and that something is no longer known."""

import math
from dataclasses import replace

import numpy as np
import pytest

from telemetry.batch import Batch
from telemetry.inventory import Facts
from telemetry.origins import Origin
from telemetry.processor import Processor
from telemetry.sources import Block, Reading
from telemetry.target import Target

WEB = Target("kubernetes", "Deployment", "shop", "web", "u1")
CART = Target("kubernetes", "Deployment", "shop", "cart", "u2")
BOTH = (WEB, CART)


def reading(at=100.0, targets=BOTH, listed=BOTH, **columns):
    values = {name.replace("_", ".", 1): np.array(of, np.float64) for name, of in columns.items()}
    return Reading(at, "kubernetes", {t: Facts(at, 2, 1) for t in listed}, blocks=[Block(targets, values, at)])


def cell(processor, column, target=WEB, now=100.0):
    snapshot = processor.snapshot(now)
    found, row = snapshot.columns[column], snapshot.rows[target]
    return found.values[row], found.age[row], found.count[row], bool(found.known[row])


@pytest.fixture
def processor():
    return Processor()


def test_a_block_fills_the_cells_of_its_targets(processor):
    processor.ingest(reading(active_count=(3, 4), crashloop=(1, 0)))
    assert cell(processor, "active.count", CART, now=102.0) == (4.0, 2.0, 1.0, True)
    assert cell(processor, "crashloop") == (1.0, 0.0, 1.0, True)
    assert processor.counts()["accepted"] == processor.counts()["received"] == 4


def test_what_nobody_can_tell_any_more_is_unknown_at_once(processor):
    processor.ingest(reading(probe_ok=(1, 1)))
    processor.ingest(reading(101.0, probe_ok=(math.nan, 1)))
    assert not cell(processor, "probe.ok", now=101.0)[3]
    assert cell(processor, "probe.ok", CART, now=101.0)[3]


def test_what_it_can_not_tell_is_left_to_who_can(processor):
    processor.ingest(reading(active_count=(math.nan, 3)))
    processor.take(Batch((Origin("web", workload=("Deployment", "shop", "web"), instance="p1"),), (5,)), 100.0)
    processor.refresh(100.0)
    assert cell(processor, "active.count")[0] == 1.0
    processor.ingest(reading(101.0, active_count=(math.nan, 3)))
    assert cell(processor, "active.count", now=101.0)[0] == 1.0


def test_a_value_once_told_grows_old_with_its_source(processor):
    processor.ingest(reading(crashloop=(1, 0)))
    processor.ingest(replace(reading(140.0), error="the watch is silent", blocks=()))
    assert not cell(processor, "crashloop", now=140.0)[3]


@pytest.mark.parametrize(
    ("columns", "targets", "reason"),
    [
        ({"probe_ok": (0.5, 1)}, BOTH, "value"),
        ({"no_such": (1, math.nan)}, BOTH, "column"),
        ({"replicas_desired": (1, math.nan)}, BOTH, "column"),
        ({"active_count": (1, 2)}, (Target(*"abcde"), CART), "unmatched"),
    ],
)
def test_what_means_nothing_is_refused_and_counted(processor, columns, targets, reason):
    processor.ingest(reading(targets=targets, **columns))
    counts = processor.counts()
    assert counts[reason] == 1
    assert counts["received"] == counts["accepted"] + 1


def test_rows_that_move_are_found_again(processor):
    processor.ingest(reading(active_count=(3, 4)))
    early = Target("kubernetes", "Deployment", "aaa", "first", "u0")
    processor.ingest(reading(101.0, listed=(early, *BOTH), active_count=(5, 6)))
    assert cell(processor, "active.count", WEB, 101.0)[0] == 5.0
    assert cell(processor, "active.count", CART, 101.0)[0] == 6.0
    assert not cell(processor, "active.count", early, 101.0)[3]


def test_the_replicas_of_many_targets_are_their_own(processor):
    facts = {WEB: Facts(90.0, 7, 6, 1, 9), CART: Facts(95.0, 2, 2)}
    processor.ingest(Reading(100.0, "kubernetes", facts))
    assert cell(processor, "replicas.desired") == (7.0, 10.0, math.inf, True)
    assert cell(processor, "replicas.max")[0] == 9.0
    assert cell(processor, "replicas.ready", CART) == (2.0, 5.0, math.inf, True)
