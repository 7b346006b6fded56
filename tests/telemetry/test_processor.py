import math
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.batch import Batch, Requests
from telemetry.columns import COLUMNS
from telemetry.inventory import Facts, Instance, Sample
from telemetry.origins import Origin
from telemetry.processor import Processor
from telemetry.sources import Reading
from telemetry.target import Target

WEB = Target("local", "Service", "shop", "web", "u1")
CART = Target("local", "Service", "shop", "cart", "u2")
AUTH = Target("memory", "Service", "auth", "web", "u3")


def facts(at=100.0, **fields):
    return Facts(**({"seen_at": at, "desired": 2, "ready": 1, "minimum": 1, "maximum": 9} | fields))


def listing(*targets, at=100.0, samples=(), platform="local", error=""):
    return Reading(at, platform, {target: facts(at) for target in targets}, samples, error)


def sample(value=1.0, target=WEB, column="active.count", at=100.0, count=1.0):
    return Sample(target, column, value, at, count)


def cell(processor, column, target=WEB, now=100.0):
    snapshot = processor.snapshot(now)
    found = snapshot.columns[column]
    row = snapshot.rows[target]
    return found.values[row], found.age[row], found.count[row], bool(found.known[row])


@pytest.fixture
def processor():
    return Processor()


def test_a_sample_joins_its_target_with_age_and_count(processor):
    processor.ingest(listing(WEB, samples=[sample(3.0, at=98.0, count=2)]))
    assert cell(processor, "active.count", now=101.0) == (3.0, 3.0, 2.0, True)


def test_a_column_nobody_filled_is_there_and_unknown(processor):
    processor.ingest(listing(WEB))
    snapshot = processor.snapshot(100.0)
    assert snapshot.columns.keys() == COLUMNS.keys()
    value, age, count, known = cell(processor, "cpu.ratio")
    assert math.isnan(value)
    assert (age, count, known) == (math.inf, 0.0, False)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (sample(target=CART), "unmatched"),
        (sample(target=Target("local", "Service", "shop", "web", "u9")), "unmatched"),
        (sample(column="no.such"), "column"),
        (sample(column="telemetry.age"), "column"),
        (sample(column="replicas.desired"), "column"),
        (sample(math.nan), "value"),
        (sample(math.inf), "value"),
        (sample(0.5, column="probe.ok"), "value"),
        (sample(count=math.nan), "value"),
        (sample(count=-1.0), "value"),
        (sample(at=105.1), "time"),
        (sample(at=math.nan), "time"),
        (sample(at=-math.inf), "time"),
    ],
)
def test_a_sample_that_means_nothing_is_refused_and_counted_by_reason(processor, wrong, reason):
    processor.ingest(listing(WEB, samples=[sample(7.0), wrong]))
    counts = processor.counts()
    assert (counts["received"], counts["accepted"], counts[reason]) == (2, 1, 1)
    assert cell(processor, "active.count")[0] == 7.0
    assert processor.snapshot(100.0).targets == (WEB,)


def test_an_older_sample_never_replaces_a_newer_one(processor):
    processor.ingest(listing(WEB, samples=[sample(7.0, at=100.0)]))
    processor.ingest(Reading(101.0, samples=[sample(1.0, at=99.0)]))
    assert cell(processor, "active.count")[0] == 7.0
    assert processor.counts()["older"] == 1


def test_a_little_ahead_of_the_clock_is_now(processor):
    processor.ingest(listing(WEB, samples=[sample(at=104.0)]))
    assert cell(processor, "active.count", now=100.0)[1] == 0.0


def test_rows_are_sorted_so_that_a_namespace_is_one_slice(processor):
    processor.ingest(listing(WEB, CART))
    processor.ingest(listing(AUTH, platform="memory"))
    snapshot = processor.snapshot(100.0)
    assert snapshot.targets == (AUTH, CART, WEB)
    assert snapshot.rows == {AUTH: 0, CART: 1, WEB: 2}
    assert snapshot.facts.keys() == {AUTH, CART, WEB}


def test_rows_that_move_keep_their_cells_and_those_that_vanish_lose_them(processor):
    processor.ingest(listing(WEB, CART, samples=[sample(1.0), sample(2.0, CART)]))
    processor.ingest(listing(AUTH, platform="memory"))
    assert cell(processor, "active.count")[0] == 1.0
    assert cell(processor, "active.count", CART)[0] == 2.0
    processor.ingest(listing(WEB))
    assert CART not in processor.snapshot(100.0).facts
    processor.ingest(listing(WEB, CART))
    assert math.isnan(cell(processor, "active.count", CART)[0])
    assert cell(processor, "active.count")[0] == 1.0


def test_an_answer_that_lists_nothing_means_nothing_is_there(processor):
    processor.ingest(listing(WEB))
    processor.ingest(listing())
    assert processor.snapshot(100.0).targets == ()


def test_a_platform_that_does_not_answer_keeps_its_targets_and_its_cells_grow_old(processor):
    processor.ingest(listing(WEB, samples=[sample(3.0)]))
    processor.ingest(listing(at=105.0, error="nobody answers"))
    snapshot = processor.snapshot(105.0)
    assert (snapshot.targets, snapshot.silent) == ((WEB,), {"local": "nobody answers"})
    assert cell(processor, "active.count", now=105.0) == (3.0, 5.0, 1.0, True)
    assert cell(processor, "active.count", now=111.0)[3] is False
    processor.ingest(listing(WEB, at=106.0))
    assert processor.snapshot(106.0).silent == {}


def test_a_platform_that_never_answered_is_silent_and_has_no_targets(processor):
    processor.ingest(listing(error="nobody answers"))
    assert (processor.snapshot(100.0).targets, processor.snapshot(100.0).silent) == ((), {"local": "nobody answers"})


def test_replicas_come_from_facts_with_the_age_of_facts(processor):
    processor.ingest(Reading(100.0, "local", {WEB: facts(at=97.0)}))
    found = [cell(processor, f"replicas.{name}")[:2] for name in ("desired", "ready", "min", "max")]
    assert found == [(2.0, 3.0), (1.0, 3.0), (1.0, 3.0), (9.0, 3.0)]


def test_how_many_are_ready_is_unknown_while_no_instance_was_asked(processor):
    starting = (Instance("0", "1@1", None), Instance("1", "2@1", None))
    processor.ingest(Reading(100.0, "local", {WEB: facts(instances=starting, ready=0)}))
    assert cell(processor, "replicas.ready")[3] is False
    stopped = facts(instances=(), ready=0, desired=0)
    processor.ingest(Reading(100.0, "local", {WEB: stopped}))
    assert cell(processor, "replicas.ready")[0] == 0.0


def spans(*took, name="web", namespace="shop", instance="i1", at=100.0, failed=0):
    """A batch of requests that ended at `at`."""
    ended = np.full(len(took), round(at * 1e9), np.uint64)
    started = ended - np.array([round(t * 1e9) for t in took], np.uint64)
    wrong = np.arange(len(took)) < failed
    requests = Requests(np.zeros(len(took), np.int64), started, ended, wrong)
    return Batch((Origin(name, namespace, instance),), (len(took),), requests)


def test_telemetry_age_is_since_the_workload_itself_sent_something(processor):
    processor.ingest(listing(WEB, CART, samples=[sample(at=99.0)]))
    assert cell(processor, "telemetry.age")[3] is False  # what the platform or the host measured is no word of its own
    processor.take(spans(0.1), 100.0)
    processor.refresh(100.0)
    assert cell(processor, "telemetry.age", now=105.0)[:2] == (5.0, 0.0)
    assert cell(processor, "telemetry.age", now=105.0)[3] is True
    assert cell(processor, "telemetry.age", CART)[3] is False
    assert cell(processor, "telemetry.age", now=9e9)[3] is True


def test_a_snapshot_is_frozen(processor):
    processor.ingest(listing(WEB, samples=[sample(1.0)]))
    snapshot = processor.snapshot(100.0)
    processor.ingest(listing(WEB, CART, at=101.0, samples=[sample(2.0, at=101.0)]))
    assert snapshot.columns["active.count"].values.tolist() == [1.0]
    assert (snapshot.targets, dict(snapshot.rows)) == ((WEB,), {WEB: 0})
    assert snapshot.facts[WEB].seen_at == 100.0
    with pytest.raises(ValueError, match="read-only"):
        snapshot.columns["active.count"].values[0] = 9.0
    with pytest.raises(TypeError):
        snapshot.facts[CART] = snapshot.facts[WEB]


VALUES = st.one_of(st.floats(), st.sampled_from([0.0, 1.0, math.nan, math.inf]))


@given(
    st.lists(
        st.builds(
            Reading,
            at=st.floats(90, 120),
            platform=st.sampled_from(["", "local"]),
            facts=st.sampled_from([{}, {WEB: facts()}, {WEB: facts(), CART: facts()}]),
            samples=st.lists(
                st.builds(
                    Sample,
                    target=st.sampled_from([WEB, CART, AUTH]),
                    column=st.sampled_from([*COLUMNS, "other"]),
                    value=VALUES,
                    at=st.one_of(st.floats(80, 130), VALUES),
                    count=st.one_of(st.just(1.0), VALUES),
                ),
                max_size=8,
            ),
            error=st.sampled_from(["", "down"]),
        ),
        max_size=8,
    )
)
def test_every_sample_is_counted_once_and_no_cell_is_half_known(readings):
    processor = Processor()
    for reading in readings:
        processor.ingest(reading)
    counts = processor.counts()
    assert counts["received"] == sum(len(reading.samples) for reading in readings)
    assert counts["received"] == sum(counts.values()) - counts["received"]
    snapshot = processor.snapshot(120.0)
    for column in snapshot.columns.values():
        assert column.values.shape == column.age.shape == column.count.shape == (len(snapshot.targets),)
        assert not np.isinf(column.values).any()
        assert (column.age >= 0).all()
    assert snapshot.facts.keys() == set(snapshot.targets) == snapshot.rows.keys()


def test_readers_and_writers_meet_without_tearing():
    """Every snapshot sees a reading whole: both columns of it, or neither."""
    processor, stop = Processor(), threading.Event()
    processor.ingest(listing(WEB))

    def write():
        number = 0.0
        while not stop.is_set():
            number += 1
            both = [sample(number, at=100 + number), sample(number, column="threads.count", at=100 + number)]
            processor.ingest(Reading(100 + number, samples=both))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(300):
            columns = processor.snapshot(100.0).columns
            one, other = columns["active.count"].values[0], columns["threads.count"].values[0]
            assert one == other or (math.isnan(one) and math.isnan(other))
    finally:
        stop.set()
        writer.join()


def test_what_a_workload_sends_fills_its_columns_and_adds_no_target(processor):
    processor.ingest(listing(WEB))
    processor.take(spans(*[0.1] * 10), 100.0)
    processor.take(spans(*[0.1] * 10, name="ghost"), 100.0)
    assert cell(processor, "requests.count")[3] is False  # not measured yet
    processor.refresh(100.0)
    assert cell(processor, "requests.count", now=103.0) == (10.0, 3.0, 10.0, True)
    assert cell(processor, "latency.p99")[0] == pytest.approx(0.1, rel=0.02)
    assert processor.snapshot(100.0).targets == (WEB,)
    assert [service.name for service in processor.unlisted] == ["ghost"]
    assert cell(processor, "requests.count", now=221.0)[3] is False


def test_of_two_sources_the_platform_counts_while_it_speaks(processor):
    processor.ingest(listing(WEB, samples=[sample(2.0)]))
    processor.take(spans(0.1, at=101.0), 101.0)
    processor.refresh(101.0)
    assert cell(processor, "active.count", now=101.0)[0] == 2.0
    processor.take(spans(0.1, at=111.0), 111.0)
    processor.refresh(111.0)
    assert cell(processor, "active.count", now=111.0)[0] == 1.0  # the platform's word is stale by now
    processor.ingest(Reading(111.5, samples=[sample(2.0, at=111.5)]))
    assert cell(processor, "active.count", now=111.5)[0] == 2.0


def minutes(processor, values, start=0, column="cpu.ratio"):
    for minute, value in enumerate(values, start):
        at = 6000.0 + 60 * minute + 1
        processor.ingest(listing(WEB, at=at, samples=[sample(value, column=column, at=at)]))
        processor.refresh(at)
    return at


def test_what_is_usual_is_known_after_ten_minutes(processor):
    at = minutes(processor, [0.2] * 9)
    assert cell(processor, "cpu.ratio_baseline", now=at)[3] is False
    at = minutes(processor, [0.4], 9)
    assert cell(processor, "cpu.ratio_baseline", now=at)[0] == pytest.approx(0.2)
    assert cell(processor, "cpu.ratio_mad", now=at)[0] == pytest.approx(0.01)  # the scale floor
    assert cell(processor, "cpu.ratio_baseline", now=at)[2:] == (10.0, True)


def test_being_sick_does_not_become_usual_however_long_it_takes(processor):
    at = minutes(processor, [0.2] * 12)
    processor.freeze([WEB])
    at = minutes(processor, [0.9] * 90, 12)
    assert cell(processor, "cpu.ratio_baseline", now=at)[0] == pytest.approx(0.2)
    assert cell(processor, "cpu.ratio_baseline", now=at)[3] is True
    processor.freeze([])
    at = minutes(processor, [0.3] * 12, 102)
    assert cell(processor, "cpu.ratio_baseline", now=at)[0] == pytest.approx(0.3)


def test_what_is_usual_of_a_target_that_fell_silent_is_unknown_after_an_hour(processor):
    at = minutes(processor, [0.2] * 12)
    for minute in range(1, 75):
        processor.refresh(at + 60 * minute)
    assert cell(processor, "cpu.ratio_baseline", now=at + 74 * 60)[3] is False


def test_memory_that_grows_has_a_slope(processor):
    at = minutes(processor, [1e9 + 6000 * minute for minute in range(15)], column="memory.bytes")
    assert cell(processor, "memory.slope", now=at)[0] == pytest.approx(100, rel=0.05)
    assert cell(processor, "memory.slope", now=at)[3] is True


def test_what_is_usual_is_learnt_a_column_at_a_time_where_refreshes_are_frequent(processor):
    at = minutes(processor, [0.2] * 9)
    processor.ingest(listing(WEB, at=at + 59, samples=[sample(0.2, column="cpu.ratio", at=at + 59)]))
    known = []
    for second in range(50):
        processor.refresh(at + 58 + second)
        known.append(cell(processor, "cpu.ratio_baseline", now=at + 60)[3])
    assert not any(known[:2])
    assert known[-1]


def test_targets_that_vanish_between_two_looks_do_no_harm(processor):
    at = minutes(processor, [0.2] * 10)
    processor.take(spans(0.1, at=at), at)
    processor.ingest(listing(at=at))
    for second in range(100):
        processor.refresh(at + second)
    assert processor.snapshot(at + 100).targets == ()
    processor.ingest(listing(CART, at=at + 100))
    processor.refresh(at + 100)
    assert cell(processor, "cpu.ratio_baseline", CART, now=at + 100)[3] is False


def test_a_workload_that_sends_only_logs_is_heard_without_a_warning(processor):
    processor.ingest(listing(WEB))
    processor.take(Batch((Origin("web", "shop"),), (5,)), 100.0)
    processor.refresh(100.0)
    assert cell(processor, "requests.volume")[0] == 5.0
