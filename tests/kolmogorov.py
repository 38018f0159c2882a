"""Whether two samples may be of one distribution: the two-sample Kolmogorov-Smirnov test.

The statistic is the widest gap between the two empirical distributions. Its probability follows
the limit of N. Smirnov (Table for estimating the goodness of fit of empirical distributions, 1948),
with the correction for finite samples of M. A. Stephens (Use of the Kolmogorov-Smirnov ... without
extensive tables, 1970), which is good from 4 samples on.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

_TERMS: Final = 100  # of a series whose terms fall like exp(-j^2)


def gap(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the statistic, from 0 to 1."""
    left, right = np.sort(one), np.sort(other)
    places = np.concatenate([left, right])
    share_left = np.searchsorted(left, places, side="right") / len(left)
    share_right = np.searchsorted(right, places, side="right") / len(right)
    return float(np.max(np.abs(share_left - share_right)))


def probability(one: Sequence[float], other: Sequence[float]) -> float:
    """Return how probable a gap as wide is for samples of one distribution."""
    root = math.sqrt(len(one) * len(other) / (len(one) + len(other)))
    return smirnov((root + 0.12 + 0.11 / root) * gap(one, other))


def smirnov(scaled: float) -> float:
    """Return the probability of a gap that is wider, scaled by the root of the samples' size."""
    if scaled < 0.2:  # the series converges slowly there, and it is 1 to ten digits
        return 1.0
    terms = [math.exp(-2 * (j * scaled) ** 2) for j in range(1, _TERMS + 1)]
    return min(1.0, max(0.0, 2 * (sum(terms[::2]) - sum(terms[1::2]))))
