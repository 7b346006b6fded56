from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.evaluate import Holds, evaluate, selected, until_verdict
from policies.policy import Policy
from telemetry.columns import Column
from telemetry.snapshot import Snapshot
from telemetry.target import Target
from telemetry.verdict import Verdict

from .make import policy, snapshot, target

NAN = float("nan")
HYSTERESIS = policy(when="cpu.ratio > 0.9", until="cpu.ratio < 0.5", for_="3s")
PLAIN = policy(when="cpu.ratio > 0.9", for_="3s")
AT_ONCE = policy(when="cpu.ratio > 0.9", until="cpu.ratio < 0.5", for_="0s")
ONE = (target("a"),)


def found(made: Policy, *cells: float, step: float = 1.0, start: float = 1_763_784_000.0) -> str:
    """Run one target through these values, one a tick; an `x` for each tick that is a finding."""
    holds = Holds()
    marks = [bool(evaluate(made, snapshot(ONE, cpu_ratio=[v]), holds, start + i * step)) for i, v in enumerate(cells)]
    return "".join("x" if mark else "." for mark in marks)


def test_it_is_found_once_it_lasted_for_as_long_as_the_policy_asks():
    assert found(PLAIN, 1, 1, 1, 1, 1) == "...xx"
    assert found(AT_ONCE, 1, 0, 1) == "x.x"


def test_surely_false_starts_over_as_long_as_it_is_not_active():
    assert found(HYSTERESIS, 1, 1, 0.7, 1, 1, 1, 1) == "......x"


def test_once_active_only_until_ends_it():
    assert found(HYSTERESIS, 1, 1, 1, 1, 0.7, 0.7, 0.4, 0.7, 1) == "...xxx..."
    assert found(PLAIN, 1, 1, 1, 1, 0.7, 1) == "...x.."


def test_unknown_keeps_a_streak_within_the_gap_and_is_no_finding():
    assert found(HYSTERESIS, 1, NAN, 1, 1, 1) == "...xx"
    assert found(HYSTERESIS, 1, 1, 1, 1, NAN, 1) == "...x.x"


def test_unknown_for_longer_than_the_gap_starts_over():
    assert found(HYSTERESIS, 1, 1, 1, 1, NAN, NAN, 1, 1, 1, 1) == "...x.....x"


def test_unknown_alone_is_never_a_finding():
    assert found(AT_ONCE, *[NAN] * 20) == "." * 20


def test_the_gap_follows_the_ticks_so_that_a_slow_loop_finds_too():
    assert found(HYSTERESIS, 1, 1, 1, 1, step=15.0) == "..xx"
    assert found(HYSTERESIS, 1, 1, 1, NAN, 1, step=15.0) == "..x.x"


def test_a_loop_that_stood_still_starts_over():
    holds = Holds()
    times = [0, 1, 2, 3, 4, 604, 605, 606, 607]
    marks = [bool(evaluate(HYSTERESIS, snapshot(ONE, cpu_ratio=[1]), holds, 1e9 + at)) for at in times]
    assert marks == [False, False, False, True, True, False, False, False, True]


def test_a_tick_that_comes_twice_or_earlier_finds_nothing_too_soon():
    holds = Holds()
    times = [100, 100, 99, 100, 101, 102]
    marks = [bool(evaluate(HYSTERESIS, snapshot(ONE, cpu_ratio=[1]), holds, at)) for at in times]
    assert not any(marks)


def test_a_finding_says_what_it_rests_on():
    made = policy(when="cpu.ratio > 0.8 || memory.ratio > 0.5", for_="2s")
    holds = Holds()
    now = snapshot(ONE, cpu_ratio=[0.9], memory_ratio=[NAN])
    cpu = now.columns["cpu.ratio"]
    columns = dict(now.columns) | {"cpu.ratio": Column(cpu.spec, cpu.values, np.array([6.0]), np.array([40.0]))}
    now = replace(now, columns=columns)
    unknown = snapshot(ONE)
    for at, seen in enumerate((now, unknown, now)):
        findings = evaluate(made, seen, holds, 1e9 + at)
    (finding,) = findings
    assert (finding.target, finding.since) == (ONE[0], 1e9)
    assert (finding.ticks_true, finding.ticks_total) == (2, 3)
    assert finding.margin == pytest.approx(0.25)  # 0.1 beyond a threshold whose half is 0.4
    assert finding.coverage_known == 0.5
    assert finding.freshness == pytest.approx(1 - 6 / 30)
    assert finding.samples == 40.0
    assert finding.values == (("cpu.ratio", 0.9),)


def test_a_tick_that_only_until_keeps_active_has_no_margin():
    holds = Holds()
    evaluate(AT_ONCE, snapshot(ONE, cpu_ratio=[1]), holds, 0)
    (finding,) = evaluate(AT_ONCE, snapshot(ONE, cpu_ratio=[0.6]), holds, 1)
    assert (finding.margin, finding.ticks_true, finding.ticks_total) == (0.0, 1, 2)


def test_a_column_of_which_only_known_or_age_is_asked_is_no_missing_support():
    made = policy(when='telemetry.age > duration("1m") && !known(cpu.ratio)', for_="0s")
    (finding,) = evaluate(made, snapshot(ONE, telemetry_age=[90]), Holds(), 0)
    assert (finding.freshness, finding.coverage_known, finding.samples) == (1.0, 1.0, 1.0)
    made = policy(when="(!known(cpu.ratio))", for_="0s")
    (finding,) = evaluate(made, snapshot(ONE), Holds(), 0)
    assert (finding.freshness, finding.coverage_known, finding.samples, finding.values) == (1.0, 1.0, 0.0, ())


def test_only_selected_rows_are_found_and_read():
    targets = [target("a"), target("b", "blog"), target("c"), target("d", kind="Deployment")]
    now = snapshot(targets, cpu_ratio=[1, 1, 1, 1])
    made = policy(when="cpu.ratio > 0.9", for_="0s")
    assert [finding.target.name for finding in evaluate(made, now, Holds(), 0)] == ["a", "c"]
    assert selected(made, now).rows.tolist() == [0, 2]


def test_an_empty_selection_means_nothing():
    made = policy(targets="{names: [nobody]}", when="cpu.ratio > 0.9", for_="0s")
    now = snapshot(ONE, cpu_ratio=[1])
    assert evaluate(made, now, Holds(), 0) == ()
    assert (selected(made, now).rows.tolist(), selected(made, now).refused) == ([], "")
    assert evaluate(made, snapshot(()), Holds(), 0) == ()


def test_a_selection_over_its_maximum_is_refused_whole_with_the_reason():
    targets = [target(name) for name in "abc"]
    made = policy(targets="{allowAll: true, max: 2}", when="cpu.ratio > 0.9", for_="0s")
    holds = Holds()
    assert evaluate(made, snapshot(targets, cpu_ratio=[1, 1, 1]), holds, 0) == ()
    assert holds.selection is not None
    assert holds.selection.refused == "selects 3 targets, targets.max allows 2"
    assert len(evaluate(made, snapshot(targets[:2], cpu_ratio=[1, 1]), holds, 1)) == 2
    assert holds.selection.refused == ""


def test_the_selection_follows_labels_and_targets():
    made = policy(targets="{selector: {matchLabels: {tier: web}}}", when="cpu.ratio > 0.9", for_="0s")
    holds, a, b = Holds(), target("a"), target("b")
    now = snapshot([a, b], labels={a: {"tier": "web"}}, cpu_ratio=[1, 1])
    assert [f.target.name for f in evaluate(made, now, holds, 0)] == ["a"]
    now = snapshot([a, b], labels={b: {"tier": "web"}}, cpu_ratio=[1, 1])
    assert [f.target.name for f in evaluate(made, now, holds, 1)] == ["b"]
    now = snapshot([b], labels={b: {"tier": "web"}}, cpu_ratio=[1])
    assert [f.target.name for f in evaluate(made, now, holds, 2)] == ["b"]


def test_a_streak_follows_its_target_when_others_come_and_go():
    holds, a, b, c = Holds(), target("a"), target("b"), target("c")
    evaluate(HYSTERESIS, snapshot([b, c], cpu_ratio=[1, 0]), holds, 0)
    evaluate(HYSTERESIS, snapshot([a, b, c], cpu_ratio=[0, 1, 0]), holds, 1)
    evaluate(HYSTERESIS, snapshot([c, b], cpu_ratio=[0, 1]), holds, 2)
    (finding,) = evaluate(HYSTERESIS, snapshot([b, a], cpu_ratio=[1, 1]), holds, 3)
    assert (finding.target, finding.since, finding.ticks_total) == (b, 0, 4)


def test_an_object_made_anew_under_the_same_name_starts_over():
    holds = Holds()
    for at in range(3):
        evaluate(HYSTERESIS, snapshot(ONE, cpu_ratio=[1]), holds, at)
    assert evaluate(HYSTERESIS, snapshot([target("a", uid="u2")], cpu_ratio=[1]), holds, 3) == ()


def test_the_memory_holds_only_targets_that_have_a_streak():
    targets = [target(f"t{number:04}") for number in range(400)]
    holds = Holds()
    cells = np.zeros(400)
    cells[[7, 9]] = 1
    evaluate(HYSTERESIS, snapshot(targets, cpu_ratio=cells), holds, 0)
    assert holds.streaks.rows.tolist() == [7, 9]
    evaluate(HYSTERESIS, snapshot(targets, cpu_ratio=np.zeros(400)), holds, 1)
    assert holds.streaks.rows.tolist() == []


def test_the_verdict_of_until_is_that_of_its_row():
    targets = [target("a"), target("b"), target("c")]
    now = snapshot(targets, cpu_ratio=[0.4, 0.6, NAN])
    assert [until_verdict(HYSTERESIS, now, t) for t in targets] == [Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN]
    assert until_verdict(HYSTERESIS, now, target("gone")) is Verdict.UNKNOWN


# --- against a reference machine, one target at a time ---


@dataclass
class Reference:
    """The rules of the module's docstring, written down once more without vectors."""

    delay: float
    streak: tuple[float, float, bool] | None = None  # since, seen, active

    def step(self, now: float, gap: float, cell: float | None) -> bool:
        when, not_when = (cell is not None and cell > 0.9), (cell is not None and not cell > 0.9)
        until, not_until = (cell is not None and cell < 0.5), (cell is not None and not cell < 0.5)
        if self.streak is not None:
            _, seen, active = self.streak
            if now - seen > gap or until or (not_when and not active):
                self.streak = None
        if self.streak is None:
            if not when or until:
                return False
            self.streak = (now, now, self.delay <= 0)
            return self.streak[2]
        since, seen, active = self.streak
        evidence = when or (active and not_until)
        active = active or (when and now - since >= self.delay)
        self.streak = (since, now if evidence else seen, active)
        return active and evidence


_cell = st.sampled_from([None, 0.0, 0.4, 0.7, 1.0, 1.0, 1.0])
_trace = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 1.0, 1.0, 1.0, 2.0, 3.0, 40.0]), st.lists(_cell, min_size=3, max_size=3)),
    max_size=30,
)


def _run(made: Policy, trace: list[tuple[float, list[float | None]]], restart_at: int = -1) -> list[set[Target]]:
    """The findings of each tick; the memory is lost before tick `restart_at`."""
    targets, holds, now, out = [target(name) for name in "abc"], Holds(), 1e9, []
    for number, (step, cells) in enumerate(trace):
        now += step
        holds = Holds() if number == restart_at else holds
        values = [NAN if cell is None else cell for cell in cells]
        out.append({f.target for f in evaluate(made, snapshot(targets, cpu_ratio=values), holds, now)})
    return out


@given(_trace, st.sampled_from([HYSTERESIS, AT_ONCE]))
@settings(max_examples=300, deadline=None)
def test_vectors_find_what_the_rules_say(trace: list[tuple[float, list[float | None]]], made: Policy):
    targets = [target(name) for name in "abc"]
    machines = {t: Reference(made.delay) for t in targets}
    now, expected, ticks = 1e9, [], list[float]()
    for number, (step, cells) in enumerate(trace):
        now += step
        gap = max(2.5, 2.5 * median(ticks[-9:])) if ticks else 2.5
        if number and step:
            ticks.append(step)
        expected.append({t for t, cell in zip(targets, cells, strict=True) if machines[t].step(now, gap, cell)})
    assert _run(made, trace) == expected


@given(_trace, st.integers(0, 30))
@settings(max_examples=300, deadline=None)
def test_losing_the_memory_delays_findings_and_adds_none(
    trace: list[tuple[float, list[float | None]]], restart_at: int
):
    steady = [(1.0, cells) for _, cells in trace]
    with_loss, without = _run(HYSTERESIS, steady, restart_at), _run(HYSTERESIS, steady)
    assert all(some <= every for some, every in zip(with_loss, without, strict=True))


def test_evaluating_changes_nothing_of_the_snapshot():
    now: Snapshot = snapshot(ONE, cpu_ratio=[1])
    before = now.columns["cpu.ratio"].values.copy()
    evaluate(AT_ONCE, now, Holds(), 0)
    assert np.array_equal(now.columns["cpu.ratio"].values, before)
