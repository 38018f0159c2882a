"""What every net offers: texts in, float32 vectors out, in the order given. Runs no net itself."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from engine.nets.tokens import Ids, TokenReader

# On a CPU core 256 to 512 tokens a pass are fastest; from 1,024 on the activations leave the cache.
TOKEN_BUDGET: Final = 512


class Net(ABC):
    """A loaded sentence-embedding net."""

    def __init__(
        self, name: str, *, dimension: int, max_tokens: int, reader: "TokenReader"
    ) -> None:
        self.name = name
        self.dimension = dimension
        self.max_tokens = max_tokens
        self._reader = reader

    def embed(
        self,
        texts: Sequence[str],
        *,
        token_budget: int = TOKEN_BUDGET,
        on_progress: Callable[[int], None] | None = None,
    ) -> "npt.NDArray[np.float32]":
        """Return one vector a text, shape (texts, dimension).

        Sorting by length works over all texts of the call, so pass a whole block at once.
        `on_progress` hears after each pass through the net how many texts are done so far; what
        it raises stops the work.
        """
        import numpy as np

        from engine.nets.batching import plan_batches

        ids = self._reader.read(texts)
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        lengths = np.array([len(row) for row in ids], dtype=np.int64)
        done = 0
        for batch in plan_batches(lengths, token_budget):
            rows = batch.tolist()
            vectors[batch] = self._forward([texts[row] for row in rows], [ids[row] for row in rows])
            done += len(rows)
            if on_progress is not None:
                on_progress(done)
        return vectors

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where each token of a text begins and ends."""
        return self._reader.spans(text)

    @abstractmethod
    def _forward(self, texts: list[str], ids: "list[Ids]") -> "npt.NDArray[np.float32]":
        """Return the vectors of one batch; `ids` are the tokens of `texts`."""
