"""Confidence = decisiveness x coverage x reliability, each in 0..1; all three are kept as evidence."""

from math import sqrt

from controller.core.records import Evidence
from controller.core.state import Track

_Z = 1.2815515655446004  # one-sided 90 % quantile of the normal distribution
_PRIOR_HELPED, _PRIOR_FAILED = 9.0, 1.0


def wilson_lower(successes: float, trials: float) -> float:
    """Lower bound of a share at 90 % confidence (Wilson score interval, 1927); 0 without trials."""
    if trials <= 0:
        return 0.0
    share, z2 = successes / trials, _Z * _Z
    spread = _Z * sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
    return max(0.0, (share + z2 / (2 * trials) - spread) / (1 + z2 / trials))


def decisiveness(ticks_true: float, ticks_total: float, margin: float) -> float:
    """How surely the condition holds (share of ticks) and how far beyond its threshold it is (margin, 0..1)."""
    return wilson_lower(ticks_true, ticks_total) * (0.7 + 0.3 * min(1.0, max(0.0, margin)))


def reliability(track: Track) -> float:
    """How well the action did before: posterior mean over prior mean of Beta(9, 1), never above 1."""
    prior = _PRIOR_HELPED / (_PRIOR_HELPED + _PRIOR_FAILED)
    helped, failed = _PRIOR_HELPED + track.helped, _PRIOR_FAILED + track.failed
    return min(1.0, helped / (helped + failed) / prior)


def evidence(
    decisive: float, coverage: float, reliable: float, samples: float, values: tuple[tuple[str, float], ...]
) -> Evidence:
    """The evidence of a wish.

    Args:
        decisive: 0..1, see `decisiveness`.
        coverage: 0..1, share of known cells x freshness.
        reliable: 0..1, see `reliability`.
        samples: fewest samples behind a column that the condition reads.
        values: name and value of each such column.
    """
    return Evidence(
        confidence=round(decisive * coverage * reliable, 4),
        decisiveness=round(decisive, 4),
        coverage=round(coverage, 4),
        reliability=round(reliable, 4),
        samples=samples,
        values=values,
    )
