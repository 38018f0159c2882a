"""The average recommendation: one query vector out of examples liked and disliked."""

from collections.abc import Sequence
from typing import Any

import numpy
from qdrant_edge import SparseVector

from models.embedded.qdrant_front.refusals import wrong


def mean_query(liked: Sequence[Any], disliked: Sequence[Any]) -> Any:
    """The mean of the liked, moved by its distance from the mean of the disliked."""
    if not liked:
        raise wrong("an average recommendation needs at least one positive example")
    if isinstance(liked[0], SparseVector):
        return _sparse_query(liked, disliked)
    if isinstance(liked[0][0], list):
        raise wrong("an average of multivectors is not defined: use best_score")
    mean = numpy.mean(numpy.asarray(liked, dtype=numpy.float32), axis=0)
    if disliked:
        mean = 2 * mean - numpy.mean(numpy.asarray(disliked, dtype=numpy.float32), axis=0)
    return mean.tolist()


def _sparse_query(liked: Sequence[SparseVector], disliked: Sequence[SparseVector]) -> SparseVector:
    mean = _sparse_mean(liked)
    if disliked:
        away = _sparse_mean(disliked)
        mean = {at: 2 * mean.get(at, 0.0) - away.get(at, 0.0) for at in mean.keys() | away.keys()}
    indices = sorted(mean)
    return SparseVector(indices, [mean[at] for at in indices])


def _sparse_mean(examples: Sequence[SparseVector]) -> dict[int, float]:
    total: dict[int, float] = {}
    for one in examples:
        for at, value in zip(one.indices, one.values, strict=True):
            total[at] = total.get(at, 0.0) + value / len(examples)
    return total
