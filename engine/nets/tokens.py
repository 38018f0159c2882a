"""Text to token ids: the one place where text is cut and made fit for a tokenizer.

Whatever a Python string can hold is accepted: surrogates are joined to the characters they stand
for where they form a pair, and become U+FFFD where they do not. Of a long text only a window
counts that is far wider than what the net reads, so the cost of a text has a bound.
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from engine.nets.errors import NetInvalid

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SURROGATE: Final = re.compile("[\ud800-\udfff]")
# Characters a token: English has about 5. A text that leaves the net room after USUAL_WIDTH (a
# page of blanks, or one endless word, which is a single unknown token) is read again to MOST_WIDTH.
USUAL_WIDTH: Final = 16
MOST_WIDTH: Final = 256
STRETCH: Final = 65_536  # characters of a text that are cut into tokens at once
CHUNK: Final = 256  # texts a call: what the tokenizer keeps beside the ids is freed between calls

Ids = npt.NDArray[np.int64]


class TokenReader:
    """A tokenizer bound to the number of tokens that its net reads."""

    def __init__(self, tokenizer: "Tokenizer", max_tokens: int) -> None:
        # Its own threads would fight for the cores with the processes beside this one.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_tokens)
        self._tokenizer = tokenizer
        self._usual = max_tokens * USUAL_WIDTH
        self._most = max_tokens * MOST_WIDTH
        self._max_tokens = max_tokens
        self._whole: Tokenizer | None = None  # the same without a limit

    def read(self, texts: Sequence[str]) -> list[Ids]:
        """Return the token ids of each text, cut to what the net reads."""
        ids: list[Ids] = []
        for start in range(0, len(texts), CHUNK):
            ids += self._encode([self._window(text) for text in texts[start : start + CHUNK]])
        for row, text in enumerate(texts):
            if len(text) > self._usual and len(ids[row]) < self._max_tokens:
                ids[row] = self._encode([self.fit(text)])[0]
        return ids

    def fit(self, text: str) -> str:
        """Return all of a text that can ever count, as valid Unicode."""
        return mend(text[: self._most])

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where each token of a whole text begins and ends, whatever its net reads of it."""
        from tokenizers import Tokenizer

        if self._whole is None:
            self._whole = Tokenizer.from_str(self._tokenizer.to_str())
            self._whole.no_truncation()
        for start, end in _stretches(text):
            # One character for one: places must stay those of the text.
            part = SURROGATE.sub("\ufffd", text[start:end])
            for first, last in self._whole.encode(part, add_special_tokens=False).offsets:
                yield start + first, start + last

    def _window(self, text: str) -> str:
        """Return what is nearly always enough of a text, cut between two words if it has any."""
        if len(text) <= self._usual:
            return mend(text)
        head = text[: self._usual]
        end = max(head.rfind(" "), head.rfind("\n"))
        return mend(head[:end] if end > 0 else head)

    def _encode(self, texts: list[str]) -> list[Ids]:
        encodings = self._tokenizer.encode_batch_fast(texts)
        return [np.array(encoding.ids, dtype=np.int64) for encoding in encodings]


def _stretches(text: str) -> Iterator[tuple[int, int]]:
    """Cut a text between words, at most so far apart, so that tokens of little of it are held."""
    start = 0
    while start < len(text):
        end = start + STRETCH
        if end < len(text):
            blank = max(text.rfind(" ", start, end), text.rfind("\n", start, end))
            end = blank if blank > start else end
        yield start, min(end, len(text))
        start = end


def mend(text: str) -> str:
    """Return the text as valid Unicode: pairs of surrogates joined, lone ones U+FFFD."""
    if text.isascii() or not SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def open_tokenizer(path: Path) -> "Tokenizer":
    """Load a `tokenizer.json`."""
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise NetInvalid(f"{path} is not a tokenizer: {error}") from error
