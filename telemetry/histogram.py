"""Log buckets: a duration between 0.1 ms and 10 min is told from its bucket with a relative error of at most 2 %.

Bucket i holds (LEAST * GROWTH^(i-1), LEAST * GROWTH^i]; the first holds all that is shorter, the last all
that is longer.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from telemetry.columns import Floats

LEAST = 1e-4
MOST = 600.0
GROWTH = 1.04
BUCKETS = math.ceil(math.log(MOST / LEAST) / math.log(GROWTH)) + 1

_BOUNDS = LEAST * GROWTH ** np.arange(BUCKETS - 1)
_MIDDLES = LEAST * GROWTH ** np.arange(BUCKETS) * 2 / (GROWTH + 1)  # as far, relatively, from either bound
_MIDDLES[0] = LEAST


def bucket_of(seconds: Floats) -> NDArray[np.intp]:
    """The bucket of each duration."""
    return np.searchsorted(_BOUNDS, seconds, side="left")


def quantiles(counts: NDArray[np.integer], shares: Sequence[float]) -> list[Floats]:
    """The smallest duration that at least this share does not exceed, by row; NaN in a row without any.

    Args:
        counts: rows x BUCKETS.
        shares: each over 0 up to 1.
    """
    running = np.cumsum(counts, axis=1, dtype=np.int64)
    total = running[:, -1]
    apart = np.arange(len(counts), dtype=np.int64) << 40  # one sorted line of all rows, so that one search serves all
    line, first = (running + apart[:, None]).reshape(-1), np.arange(len(counts)) * BUCKETS
    found = []
    for share in shares:
        rank = np.maximum(np.ceil(share * total), 1.0).astype(np.int64)
        place = np.minimum(np.searchsorted(line, rank + apart) - first, BUCKETS - 1)
        found.append(np.where(total > 0, _MIDDLES[place], np.nan))
    return found
