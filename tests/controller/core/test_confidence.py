"""Confidence: monotone in every part, and right where statistics says what is right."""

from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.confidence import decisiveness, evidence, reliability, wilson_lower
from controller.core.state import Track

shares = st.floats(0, 1)
counts = st.integers(0, 1000)


def _score_bound(successes: int, trials: int) -> float:
    """The share below which this outcome would be a 10 % surprise: the score equation, solved by bisection."""
    z2, share = NormalDist().inv_cdf(0.9) ** 2, successes / trials
    low, high = 0.0, share
    for _ in range(200):
        middle = (low + high) / 2
        if (share - middle) ** 2 > z2 * middle * (1 - middle) / trials:
            low = middle
        else:
            high = middle
    return low


@pytest.mark.parametrize(
    ("successes", "trials", "known"),
    [(1, 1, 0.3784), (10, 10, 0.8589), (9, 10, 0.7176), (50, 100, 0.4364), (1000, 1000, 0.9984), (0, 10, 0.0)],
)
def test_the_lower_bound_is_wilsons(successes: int, trials: int, known: float) -> None:
    assert wilson_lower(successes, trials) == pytest.approx(known, abs=5e-5)


@given(counts, counts)
def test_the_lower_bound_solves_the_score_equation(successes: int, others: int) -> None:
    trials = successes + others + 1
    assert wilson_lower(successes, trials) == pytest.approx(_score_bound(successes, trials), abs=1e-9)


def test_without_a_tick_nothing_is_sure() -> None:
    assert wilson_lower(0, 0) == 0.0
    assert decisiveness(0, 0, 1.0) == 0.0


@given(counts, counts, counts)
def test_more_ticks_that_hold_are_surer(true: int, more: int, other: int) -> None:
    total = true + other
    assert 0 <= wilson_lower(true, total) <= 1
    assert wilson_lower(true + more, total + more) >= wilson_lower(true, total) - 1e-12
    assert wilson_lower(true, total + more) <= wilson_lower(true, total) + 1e-12


@given(st.integers(1, 1000), shares, shares)
def test_a_wider_margin_is_surer(ticks: int, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert decisiveness(ticks, ticks, low) <= decisiveness(ticks, ticks, high) <= 1


def test_a_margin_beyond_the_scale_counts_as_the_whole_of_it() -> None:
    assert decisiveness(10, 10, 7.0) == decisiveness(10, 10, 1.0)
    assert decisiveness(10, 10, -7.0) == decisiveness(10, 10, 0.0)


@given(counts, counts, counts)
def test_reliability_can_only_demote(helped: int, failed: int, more: int) -> None:
    now = reliability(Track(helped, failed))
    assert 0 < now <= 1
    assert reliability(Track(helped + more, failed)) >= now
    assert reliability(Track(helped, failed + more)) <= now


def test_an_action_never_tried_is_not_demoted() -> None:
    assert reliability(Track()) == 1.0
    assert reliability(Track(helped=50)) == 1.0
    assert reliability(Track(failed=3)) == pytest.approx(9 / 13 / 0.9)


@given(st.tuples(shares, shares, shares), st.tuples(shares, shares, shares))
def test_confidence_is_monotone_in_each_part(one: tuple[float, ...], other: tuple[float, ...]) -> None:
    low = evidence(*map(min, one, other), 1, ())  # type: ignore[arg-type]
    high = evidence(*map(max, one, other), 1, ())  # type: ignore[arg-type]
    assert 0 <= low.confidence <= high.confidence <= 1


def test_all_three_parts_are_kept_as_evidence() -> None:
    kept = evidence(0.5, 0.4, 0.9, 12, (("cpu.ratio", 0.7),))
    assert (kept.confidence, kept.decisiveness, kept.coverage, kept.reliability) == (0.18, 0.5, 0.4, 0.9)
    assert (kept.samples, kept.values) == (12, (("cpu.ratio", 0.7),))
