"""Confidence = decisiveness x coverage x reliability, each in 0..1; all three are kept as evidence."""

import numpy as np

from controller.core.records import Evidence
from controller.core.state import Track
from policies.evaluate import Support
from telemetry.columns import Floats

_Z = 1.2815515655446004  # one-sided 90 % quantile of the normal distribution
_PRIOR_HELPED, _PRIOR_FAILED = 9.0, 1.0


def wilson_lowers(successes: Floats, trials: Floats) -> Floats:
    """Lower bounds of shares at 90 % confidence (Wilson score interval, 1927); 0 without trials."""
    with np.errstate(divide="ignore", invalid="ignore"):
        share, z2 = successes / trials, _Z * _Z
        spread = _Z * np.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials))
        bound = (share + z2 / (2 * trials) - spread) / (1 + z2 / trials)
    return np.where(trials > 0, np.maximum(bound, 0.0), 0.0)


def wilson_lower(successes: float, trials: float) -> float:
    """One of them."""
    return float(wilson_lowers(np.asarray(successes, np.float64), np.asarray(trials, np.float64)))


def decisivenesses(ticks_true: Floats, ticks_total: Floats, margin: Floats) -> Floats:
    """How surely conditions hold (share of ticks) and how far beyond their thresholds they are (margin, 0..1)."""
    return wilson_lowers(ticks_true, ticks_total) * (0.7 + 0.3 * np.clip(margin, 0.0, 1.0))


def decisiveness(ticks_true: float, ticks_total: float, margin: float) -> float:
    """One of them."""
    return float(decisivenesses(*(np.asarray(part, np.float64) for part in (ticks_true, ticks_total, margin))))


def confidences(support: Support, reliable: float) -> Floats:
    """The confidence of many findings of one policy, to rank them by; `evidence` is what is kept of one."""
    sure = decisivenesses(support.ticks_true, support.ticks_total, support.margin)
    return np.round(sure * support.coverage_known * support.freshness * reliable, 4)


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
