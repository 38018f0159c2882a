"""Vectors of many points as NumPy arrays, and what is sent to Qdrant of them.

No number becomes a Python object on the way: the JSON is written from the arrays themselves.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float32]
Offsets: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SparseVector:
    """The weights of some terms; each term once."""

    indices: npt.NDArray[np.uint32]
    values: Floats

    def wire(self) -> dict[str, Any]:
        """Return Qdrant's form."""
        return {"indices": self.indices, "values": self.values}


# What a search compares with: (dimension,) is dense, (tokens, dimension) is multi.
QueryVector: TypeAlias = Floats | SparseVector


@dataclass(frozen=True)
class DenseRows:
    """A vector for each point; shape (points, dimension)."""

    values: Floats

    def __len__(self) -> int:
        return len(self.values)

    def sizes(self) -> Offsets:
        """Return how many numbers each point has."""
        return np.full(len(self), self.values.shape[1], dtype=np.int64)

    def wire(self, start: int, stop: int) -> Any:
        """Return some points in Qdrant's form."""
        return np.ascontiguousarray(self.values[start:stop])


@dataclass(frozen=True)
class SparseRows:
    """Some weights for each point: those from `offsets[point]` to `offsets[point + 1]`."""

    offsets: Offsets
    indices: npt.NDArray[np.uint32]
    values: Floats

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def sizes(self) -> Offsets:
        """Return how many numbers each point has; an index and a weight are two."""
        return np.diff(self.offsets) * 2

    def wire(self, start: int, stop: int) -> Any:
        """Return some points in Qdrant's form."""
        return [
            {"indices": self.indices[part], "values": self.values[part]}
            for part in _parts(self.offsets, start, stop)
        ]


@dataclass(frozen=True)
class MultiRows:
    """Some vectors for each point: the rows from `offsets[point]` to `offsets[point + 1]`."""

    offsets: Offsets
    values: Floats

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def sizes(self) -> Offsets:
        """Return how many numbers each point has."""
        sizes: Offsets = np.diff(self.offsets) * self.values.shape[1]
        return sizes

    def wire(self, start: int, stop: int) -> Any:
        """Return some points in Qdrant's form."""
        return [self.values[part] for part in _parts(self.offsets, start, stop)]


VectorRows: TypeAlias = DenseRows | SparseRows | MultiRows


def _parts(offsets: Offsets, start: int, stop: int) -> Iterator[slice]:
    bounds = offsets[start : stop + 1].tolist()
    return (slice(*pair) for pair in pairwise(bounds))
