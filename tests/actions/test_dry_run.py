import pytest

from actions import restart
from actions.plan import Change
from actions.platforms.dry_run import DryRun
from actions.platforms.memory import Fault, MemoryPlatform
from actions.registry import ACTIONS
from telemetry.verdict import Verdict

PASS, FAIL, UNKNOWN = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN


@pytest.fixture
def memory():
    return MemoryPlatform()


@pytest.fixture
def target(memory):
    return memory.add("shop", "checkout", 4)


def test_it_goes_the_whole_way_writes_nothing_and_says_what_it_would_have_written(memory, target):
    told = []
    dry = DryRun(memory, lambda change, intent: told.append((change.before, change.after, intent)))
    scale = ACTIONS["Scale"]
    plan = scale.plan(target, scale.params.model_validate({"by": "+2", "releaseStep": 1}), memory.facts()[target], None)
    steps = [*plan.changes, *plan.release]
    for number, change in enumerate(steps):
        assert dry.apply(change, f"i{number}") is PASS
        assert dry.holds(change) is PASS
    assert told == [(4, 6, "i0"), (6, 5, "i1"), (5, 4, "i2")]
    assert [(c, i) for c, i in dry.would] == [(c, f"i{n}") for n, c in enumerate(steps)]
    assert memory.effects == []
    assert memory.facts()[target].desired == 4


@pytest.mark.parametrize(("fault", "said"), [(Fault.NONE, PASS), (Fault.REFUSED, FAIL), (Fault.UNREACHABLE, FAIL)])
def test_what_a_rehearsal_refuses_would_not_be_written(memory, target, fault, said):
    rehearsal = MemoryPlatform()
    double = rehearsal.add("shop", "checkout", 4)
    assert double == target
    rehearsal.faults.append(fault)
    dry, up = DryRun(memory, rehearsal=rehearsal), Change(target, "desired", 4, 6)
    assert dry.apply(up, "i1") is said
    assert [change for change, _ in dry.would] == [up] * (said is PASS)
    assert memory.effects == []
    if said is PASS:  # what is put back was never there: the rehearsal could not know it
        assert dry.apply(up.inverse(), "i2") is PASS
        assert len(rehearsal.effects) == 1


def test_undo_goes_its_way_too(memory, target):
    dry, change = DryRun(memory), Change(target, "desired", 4, 6)
    dry.apply(change, "i1")
    assert dry.apply(change.inverse(), "i2") is PASS
    assert dry.holds(change) is FAIL
    assert dry.apply(change, "i3") is PASS


def test_a_real_writer_ends_the_pretence(memory, target):
    dry, change = DryRun(memory), Change(target, "desired", 4, 6)
    dry.apply(change, "i1")
    memory.edit(target, 5)
    assert dry.holds(change) is FAIL
    assert dry.holds(Change(target, "desired", 4, 5)) is PASS
    assert dry.apply(change.inverse(), "i2") is FAIL
    assert dry.apply(Change(target, "desired", 5, 7), "i3") is PASS


def test_a_restart_counts_as_done_until_the_instance_is_really_replaced(memory, target):
    dry = DryRun(memory)
    before = memory.facts()[target].instances[1].incarnation
    change = Change(target, restart.path("1"), before, restart.NEWER)
    assert dry.apply(change, "i1") is PASS
    assert dry.apply(change, "i2") is FAIL
    assert dry.holds(change) is PASS
    memory.crash(target, 1)
    memory.step(1)
    assert dry.holds(change) is PASS  # it is newer for real now
    assert memory.effects == []


def test_a_platform_that_cannot_be_read_lets_nothing_pass(memory, target):
    dry, change = DryRun(memory), Change(target, "desired", 4, 6)
    memory.reachable = False
    assert dry.apply(change, "i1") is FAIL
    assert dry.holds(change) is UNKNOWN
    memory.reachable = True
    dry.apply(change, "i1")
    memory.reachable = False
    assert dry.holds(change) is PASS  # what is pretended was told by nobody else


def test_nothing_is_ever_applied_inside(memory, target):
    class Forbidden(MemoryPlatform):
        def apply(self, change, intent_id):
            raise AssertionError("a dry run wrote")

    inside = Forbidden()
    target = inside.add("shop", "checkout", 4)
    dry = DryRun(inside)
    assert dry.name == inside.name
    for change in (Change(target, "desired", 4, 6), Change(target, "desired", 6, 4), Change(target, "x", 1, 2)):
        dry.apply(change, "i1")
        dry.holds(change)
    inside.faults.append(Fault.LOST_AFTER)
    assert dry.apply(Change(target, "desired", 4, 5), "i2") is PASS
