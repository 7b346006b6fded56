import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions import restart
from actions.plan import Change
from actions.platforms.memory import Fault, MemoryPlatform
from telemetry.processor import Processor
from telemetry.verdict import Verdict

PASS, FAIL, UNKNOWN = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN


@pytest.fixture
def memory():
    return MemoryPlatform()


@pytest.fixture
def target(memory):
    return memory.add("shop", "checkout", 3, bounds=(1, 6))


def desired(target, before=3, after=4):
    return Change(target, "desired", before, after)


def restarting(memory, target, slot=0, after=restart.NEWER):
    return Change(target, restart.path(str(slot)), memory.facts()[target].instances[slot].incarnation, after)


def incarnations(memory, target):
    return [instance.incarnation for instance in memory.facts()[target].instances]


def ready(memory, target):
    return [instance.ready for instance in memory.facts()[target].instances]


@pytest.mark.parametrize(
    ("fault", "verdict", "written"),
    [
        (Fault.REFUSED, FAIL, False),
        (Fault.UNREACHABLE, FAIL, False),
        (Fault.LOST_BEFORE, UNKNOWN, False),
        (Fault.LOST_AFTER, UNKNOWN, True),
        (Fault.NONE, PASS, True),
    ],
)
def test_a_fault_meets_one_call_and_reading_settles_it(memory, target, fault, verdict, written):
    memory.faults.append(fault)
    assert memory.apply(desired(target), "i1") is verdict
    assert memory.holds(desired(target)) is (PASS if written else FAIL)
    assert len(memory.effects) == written
    assert memory.apply(desired(target), "i2") is (FAIL if written else PASS)


def test_rates_are_repeatable_by_seed():
    def run(seed):
        memory = MemoryPlatform(seed, {Fault.LOST_BEFORE: 0.3, Fault.LOST_AFTER: 0.3})
        target = memory.add("shop", "checkout", 0)
        return [memory.apply(Change(target, "desired", n % 2, 1 - n % 2), "i") for n in range(200)]

    assert run(1) == run(1) != run(2)
    assert {PASS, FAIL, UNKNOWN} == set(run(1))


def test_time_passes_only_by_steps_and_starting_takes_it(memory, target):
    memory.apply(desired(target), "i1")
    assert len(incarnations(memory, target)) == 3
    memory.step(0.1)
    assert ready(memory, target) == [True, True, True, None]
    memory.step(1.0)
    assert ready(memory, target) == [True] * 4
    memory.apply(desired(target, 4, 2), "i2")
    memory.step(0.1)
    assert len(incarnations(memory, target)) == 2


def test_a_restart_heals_a_sick_instance_and_only_that_one(memory, target):
    memory.sicken(target, 1)
    before = incarnations(memory, target)
    assert ready(memory, target) == [True, False, True]
    memory.apply(restarting(memory, target, 1), "i1")
    memory.step(1)
    memory.step(1)
    after = incarnations(memory, target)
    assert [a == b for a, b in zip(after, before, strict=True)] == [True, False, True]
    assert ready(memory, target) == [True] * 3


def test_a_restart_of_what_is_broken_does_not_help(memory, target):
    memory.workloads[target].broken = True
    memory.sicken(target, 0)
    memory.apply(restarting(memory, target, 0), "i1")
    memory.step(5)
    assert ready(memory, target)[0] is False


def test_ready_instances_are_rolled_one_at_a_time_and_forceful_ones_are_not(memory, target):
    for slot in range(3):
        memory.apply(restarting(memory, target, slot), "i1")
    lowest = []
    for _ in range(10):
        memory.step(0.5)
        lowest.append(ready(memory, target).count(True))
    assert min(lowest) == 2
    for slot in range(3):
        memory.apply(restarting(memory, target, slot, restart.NEWER_AT_ONCE), "i2")
    memory.step(0.1)
    assert ready(memory, target) == [None] * 3


def test_a_crash_is_counted_and_repaired(memory, target):
    memory.crash(target, 2)
    memory.step(1)
    assert ready(memory, target) == [True, True, None]
    memory.step(1)
    assert ready(memory, target) == [True] * 3
    assert memory.workloads[target].crashes == 1


def test_it_is_a_source_whose_silence_keeps_the_facts(memory, target):
    processor = Processor()
    memory.sicken(target, 0)
    processor.ingest(memory.read(10.0))
    memory.reachable = False
    processor.ingest(memory.read(11.0))
    snapshot = processor.snapshot(11.0)
    assert snapshot.silent == {"memory": "unreachable"}
    assert snapshot.columns["instances.sick"].values.tolist() == [1 / 3]
    assert processor.counts()["received"] == processor.counts()["accepted"] > 0


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.sampled_from(list(Fault))), max_size=30))
def test_whatever_is_asked_the_number_stays_in_its_bounds_and_every_write_is_in_the_log(calls):
    memory = MemoryPlatform()
    target = memory.add("shop", "checkout", 3, bounds=(1, 6))
    expected = 3
    for before, after, fault in calls:
        memory.faults.append(fault)
        verdict = memory.apply(desired(target, before, after), "i")
        fits = before == expected and 1 <= after <= 6
        lands = fits and fault in (Fault.NONE, Fault.LOST_AFTER)
        expected = after if lands else expected
        assert memory.facts()[target].desired == expected
        assert verdict is not PASS or lands
        assert verdict is not FAIL or not lands
    assert [e.change.after for e in memory.effects][-1:] in ([], [expected])
