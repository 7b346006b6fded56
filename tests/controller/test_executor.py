"""The executor performs what is durable, settles doubt by reading, and repeats nothing."""

from collections.abc import Iterator, Sequence
from threading import Event, Thread

import pytest

from actions.plan import Change, Plan, Undo
from actions.platforms.memory import Fault, MemoryPlatform
from controller import executor as executor_module
from controller.core.records import Intent, Key, Step
from controller.executor import Answer, Committed, Executor
from telemetry.target import Target
from telemetry.verdict import Verdict

PASS, FAIL, UNKNOWN = Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor_module, "SETTLE_WITHIN", 0.2)
    monkeypatch.setattr(executor_module, "SETTLE_EVERY", 0.01)


class Watched:
    """A platform that counts what reaches it."""

    name = "memory"

    def __init__(self, inner: MemoryPlatform) -> None:
        self.inner, self.sent, self.asked = inner, list[tuple[str, Change]](), list[Change]()

    def apply(self, change: Change, intent_id: str) -> Verdict:
        self.sent.append((intent_id, change))
        return self.inner.apply(change, intent_id)

    def holds(self, change: Change) -> Verdict:
        self.asked.append(change)
        return self.inner.holds(change)


class Bench:
    """An executor over two simulated services of three instances each."""

    def __init__(self) -> None:
        self.platform = MemoryPlatform()
        self.web, self.db = (self.platform.add("shop", name, 3, bounds=(0, 10)) for name in ("web", "db"))
        self.hands = Watched(self.platform)
        self.stop = ""
        self.passed: list[str] = []
        self.executor = Executor({"memory": self.hands}, 2, lambda _epoch: self.stop, self.boundary)

    def boundary(self, name: str) -> None:
        self.passed.append(name)

    def perform(self, intent: Intent) -> Answer:
        self.executor.perform(Committed(intent, 1))
        return self.executor.done.get(timeout=5)

    def settle(self, intent: Intent) -> Answer:
        self.executor.settle(Committed(intent, 2))
        return self.executor.done.get(timeout=5)

    def desired(self) -> tuple[int, int]:
        return self.platform.workloads[self.web].desired, self.platform.workloads[self.db].desired

    def restart(self, slot: int) -> Change:
        incarnation = self.platform.workloads[self.web].copies[slot].incarnation
        return Change(self.web, f"slots/{slot}/incarnation", incarnation, "newer!")


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.executor.close()


def scale(target: Target, before: int = 3, after: int = 5) -> Change:
    return Change(target, "desired", before, after)


def intent(
    *changes: Change, undo: Undo = Undo.REVERSIBLE, probes: Sequence[Change] = (), step: Step = Step.DO
) -> Intent:
    plan = Plan(changes, probes=tuple(probes), undo=undo)
    key = Key("p", (changes or tuple(probes))[0].object)
    return Intent(1.0, key, 7, step, 0, "Scale", changes, plan, judge_at=2.0, due=3.0)


def test_every_change_is_written_once_in_order_under_the_intents_id(bench: Bench) -> None:
    made = intent(scale(bench.web), scale(bench.db, 3, 4))
    assert bench.perform(made) == Answer(made, PASS)
    assert bench.desired() == (5, 4)
    assert bench.hands.sent == [("i7", change) for change in made.changes]


def test_every_boundary_is_passed_by_name(bench: Bench) -> None:
    bench.perform(intent(scale(bench.web), scale(bench.db), step=Step.UNDO))
    assert bench.passed == ["precheck Undo", "call Undo", "called Undo"] * 2


@pytest.mark.parametrize(
    ("fault", "result", "desired"),
    [
        (Fault.NONE, PASS, 5),
        (Fault.REFUSED, FAIL, 3),
        (Fault.UNREACHABLE, FAIL, 3),
        (Fault.LOST_BEFORE, FAIL, 3),
        (Fault.LOST_AFTER, PASS, 5),
    ],
)
def test_a_lost_answer_is_settled_by_reading(bench: Bench, fault: Fault, result: Verdict, desired: int) -> None:
    bench.platform.faults.append(fault)
    made = intent(scale(bench.web))
    answer = bench.perform(made)
    assert (answer.result, bench.desired()[0]) == (result, desired)
    assert len(bench.hands.sent) == 1
    assert ("found by reading back" in answer.detail) is (fault is Fault.LOST_AFTER)  # nobody said so to us


@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.LOST_AFTER])
def test_what_nobody_can_tell_stays_unknown_and_is_never_repeated(
    bench: Bench, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.platform.faults.append(fault)
    real = bench.hands.apply

    def then_gone(change: Change, intent_id: str) -> Verdict:
        verdict = real(change, intent_id)
        bench.platform.reachable = False
        return verdict

    monkeypatch.setattr(bench.hands, "apply", then_gone)
    answer = bench.perform(intent(scale(bench.web)))
    assert answer.result is UNKNOWN
    assert "reading back told nothing" in answer.detail
    assert len(bench.hands.sent) == 1
    assert len(bench.hands.asked) > 1  # it asked more than once


def test_an_answer_that_comes_late_is_still_found(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.platform.faults.append(Fault.LOST_AFTER)
    real, silent = bench.hands.holds, iter([UNKNOWN, UNKNOWN])
    monkeypatch.setattr(bench.hands, "holds", lambda change: next(silent, None) or real(change))
    assert bench.perform(intent(scale(bench.web))).result is PASS


def test_what_is_partly_written_is_put_back_so_that_fail_means_nothing_is_left(bench: Bench) -> None:
    bench.platform.faults.extend([Fault.NONE, Fault.REFUSED])
    answer = bench.perform(intent(scale(bench.web), scale(bench.db)))
    assert answer.result is FAIL
    assert "put back" in answer.detail
    assert bench.desired() == (3, 3)
    assert bench.hands.sent[-1] == ("i7", scale(bench.web).inverse())


def test_what_can_not_be_put_back_is_for_a_person(bench: Bench) -> None:
    bench.platform.faults.extend([Fault.NONE, Fault.REFUSED, Fault.REFUSED])
    answer = bench.perform(intent(scale(bench.web), scale(bench.db)))
    assert answer.result is UNKNOWN
    assert "not put back" in answer.detail


def test_an_unknown_change_is_not_tidied_up_by_guessing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.platform.faults.extend([Fault.NONE, Fault.LOST_AFTER])
    monkeypatch.setattr(bench.hands, "holds", lambda change: UNKNOWN)
    assert bench.perform(intent(scale(bench.web), scale(bench.db))).result is UNKNOWN
    assert bench.desired() == (5, 5)


def test_what_can_not_be_undone_says_how_far_it_came(bench: Bench) -> None:
    bench.platform.faults.extend([Fault.NONE, Fault.REFUSED])
    answer = bench.perform(intent(bench.restart(0), bench.restart(1), undo=Undo.TRANSIENT))
    assert answer.result is PASS
    assert answer.detail.startswith("1 of 2 written")


def test_while_nothing_may_be_written_nothing_is_sent(bench: Bench) -> None:
    bench.stop = "frozen by ann"
    answer = bench.perform(intent(scale(bench.web)))
    assert answer.result is FAIL
    assert "frozen by ann" in answer.detail
    assert bench.hands.sent == []


def test_a_freeze_in_the_middle_stops_before_the_next_change(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def freeze_after_the_first(change: Change, intent_id: str) -> Verdict:
        bench.stop = "frozen"
        return Watched.apply(bench.hands, change, intent_id)

    monkeypatch.setattr(bench.hands, "apply", freeze_after_the_first)
    answer = bench.perform(intent(scale(bench.web), scale(bench.db)))
    assert answer.result is UNKNOWN  # written in part, and a freeze lets nobody put it back
    assert len(bench.hands.sent) == 1


def test_a_platform_that_breaks_leaves_an_unknown_and_the_next_intent_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_change: Change, _intent_id: str) -> Verdict:
        raise OSError("broken pipe")

    with monkeypatch.context() as patch:
        patch.setattr(bench.hands, "apply", breaks)
        answer = bench.perform(intent(scale(bench.web)))
    assert answer.result is UNKNOWN
    assert answer.detail == "OSError: broken pipe"
    assert bench.perform(intent(scale(bench.web))).result is PASS


def test_a_look_asks_and_writes_nothing(bench: Bench) -> None:
    bench.platform.sicken(bench.web, 1)
    probes = [Change(bench.web, f"slots/{n}/healthy", None, 1) for n in range(3)]
    answer = bench.perform(intent(probes=probes))
    assert answer.result is PASS
    assert answer.found == (PASS, FAIL, PASS)
    assert bench.hands.sent == []


def test_a_look_at_a_silent_platform_finds_unknown(bench: Bench) -> None:
    bench.platform.reachable = False
    answer = bench.perform(intent(probes=[Change(bench.web, "slots/0/healthy", None, 1)]))
    assert (answer.result, answer.found) == (PASS, (UNKNOWN,))


def test_a_look_that_breaks_has_surely_written_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_change: Change) -> Verdict:
        raise OSError("broken pipe")

    monkeypatch.setattr(bench.hands, "holds", breaks)
    assert bench.perform(intent(probes=[Change(bench.web, "slots/0/healthy", None, 1)])).result is FAIL


# --- settling what a crash left open


def test_settling_only_reads(bench: Bench) -> None:
    made = intent(scale(bench.web))
    answer = bench.settle(made)
    assert (answer.result, answer.settled) == (FAIL, True)
    bench.platform.apply(scale(bench.web), "i7")
    answer = bench.settle(made)
    assert (answer.result, answer.settled) == (PASS, True)
    assert bench.hands.sent == []


def test_settling_puts_back_what_is_written_in_part(bench: Bench) -> None:
    bench.platform.apply(scale(bench.web), "i7")
    answer = bench.settle(intent(scale(bench.web), scale(bench.db)))
    assert (answer.result, answer.settled) == (FAIL, True)
    assert bench.desired() == (3, 3)


def test_settling_writes_nothing_while_frozen(bench: Bench) -> None:
    bench.stop = "frozen"
    bench.platform.apply(scale(bench.web), "i7")
    assert bench.settle(intent(scale(bench.web), scale(bench.db))).result is UNKNOWN
    assert bench.desired() == (5, 3)


def test_a_restart_that_came_half_way_counts_as_done(bench: Bench) -> None:
    first, second = bench.restart(0), bench.restart(1)
    bench.platform.apply(first, "i7")
    answer = bench.settle(intent(first, second, undo=Undo.TRANSIENT))
    assert answer.result is PASS
    assert answer.detail.startswith("1 of 2 written")


def test_a_silent_platform_settles_nothing(bench: Bench) -> None:
    bench.platform.reachable = False
    answer = bench.settle(intent(scale(bench.web)))
    assert (answer.result, answer.settled) == (UNKNOWN, True)


def test_a_look_whose_answer_was_lost_is_over(bench: Bench) -> None:
    answer = bench.settle(intent(probes=[Change(bench.web, "slots/0/healthy", None, 1)]))
    assert (answer.result, answer.settled) == (FAIL, True)
    assert bench.hands.asked == []


# --- threads


def test_a_slow_effect_delays_no_other(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    go = Event()
    real = bench.hands.apply

    def slow(change: Change, intent_id: str) -> Verdict:
        if change.object == bench.web:
            assert go.wait(5)
        return real(change, intent_id)

    monkeypatch.setattr(bench.hands, "apply", slow)
    bench.executor.perform(Committed(intent(scale(bench.web)), 1))
    assert bench.perform(intent(scale(bench.db))).intent.key.target == bench.db
    go.set()
    assert bench.executor.done.get(timeout=5).intent.key.target == bench.web


def test_closing_waits_for_no_silent_platform(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor_module, "SETTLE_WITHIN", 60.0)
    monkeypatch.setattr(executor_module, "SETTLE_EVERY", 30.0)
    bench.platform.reachable = False
    bench.executor.settle(Committed(intent(scale(bench.web)), 2))
    bench.executor.close()
    assert bench.executor.done.get(timeout=1).result is UNKNOWN


@pytest.mark.parametrize("step", [Step.UNDO, Step.RELEASE, Step.REDO])
def test_a_step_that_somebody_else_took_back_says_so(bench: Bench, step: Step) -> None:
    bench.platform.edit(bench.web, 4)
    answer = bench.perform(intent(scale(bench.web, 5, 3), step=step))
    assert (answer.result, answer.taken) == (FAIL, True)
    assert "somebody else changed it" in answer.detail


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.UNREACHABLE, Fault.LOST_BEFORE])
def test_a_platform_that_did_not_write_is_not_somebody_else(bench: Bench, fault: Fault) -> None:
    bench.platform.faults.append(fault)
    answer = bench.perform(intent(scale(bench.web, 3, 5), step=Step.RELEASE))
    assert (answer.result, answer.taken) == (FAIL, False)


def test_what_a_freeze_kept_from_being_written_was_taken_by_nobody(bench: Bench) -> None:
    bench.stop = "hands off"
    bench.platform.edit(bench.web, 4)
    assert bench.perform(intent(scale(bench.web), step=Step.UNDO)).taken is False


def test_a_first_step_that_comes_too_late_accuses_nobody(bench: Bench) -> None:
    bench.platform.edit(bench.web, 4)
    answer = bench.perform(intent(scale(bench.web)))
    assert (answer.result, answer.taken) == (FAIL, False)


def test_no_thread_is_started_once_it_is_made(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where memory is short, starting one fails, or never returns."""

    def refuse(_thread: Thread) -> None:
        raise MemoryError

    monkeypatch.setattr(Thread, "start", refuse)
    for n in range(4):
        assert bench.perform(intent(scale(bench.web, 3 + n, 4 + n))).result is PASS
