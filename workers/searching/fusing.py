"""Several rankings made one, where Qdrant cannot: it fuses only vectors of one collection."""

from collections.abc import Hashable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Final, TypeVar

from models.vector_search import RRF_K, Fusion

_SPREAD: Final = 3.0  # standard deviations to either side of the mean
K = TypeVar("K", bound=Hashable)


def fuse(
    rankings: Sequence[Sequence[tuple[K, float]]], weights: Sequence[float], fusion: Fusion
) -> dict[K, float]:
    """Return the fused score of each key, best first; a ranking names a key once, best first."""
    totals: dict[K, float] = {}
    for ranking, weight in zip(rankings, weights, strict=True):
        scores = _by_place(ranking, weight) if fusion is Fusion.RRF else _by_spread(ranking)
        for key, score in scores.items():
            totals[key] = totals.get(key, 0.0) + score
    return dict(sorted(totals.items(), key=lambda item: -item[1]))


def _by_place(ranking: Sequence[tuple[K, float]], weight: float) -> Mapping[K, float]:
    return {key: 1 / (RRF_K - 1 + (place + 1) / weight) for place, (key, _) in enumerate(ranking)}


def _by_spread(ranking: Sequence[tuple[K, float]]) -> Mapping[K, float]:
    scores = [score for _, score in ranking]
    spread = _SPREAD * stdev(scores) if len(scores) > 1 else 0.0
    if not spread:
        return {key: 0.5 for key, _ in ranking}
    lowest = fmean(scores) - spread
    return {key: (score - lowest) / (2 * spread) for key, score in ranking}
