import asyncio
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from engine import queries
from engine.catalog import CATALOG
from engine.queries import QueryEncoder
from models.points import Floats
from tests.extractors import Failing, choice

setups: list[str | None] = []


class Asked(Failing):
    """Notes each setup and answers with the length of the query."""

    spec: ClassVar = Failing.spec

    def setup(self) -> None:
        setups.append(self.parameters.calls)

    def encode_query(self, text: str, vector: str) -> Floats:
        return np.array([len(text)], np.float32)


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CATALOG, "asked@v1", f"{__name__}:Asked")
    setups.clear()


async def test_an_extractor_is_set_up_once(tmp_path: Path) -> None:
    encoder = QueryEncoder(tmp_path)
    chosen = choice("asked@v1", calls="a")

    asked = (encoder.encode(chosen, "x" * n, "embedding") for n in range(5))
    answers = await asyncio.gather(*asked)

    assert [np.asarray(answer).tolist() for answer in answers] == [[0], [1], [2], [3], [4]]
    assert setups == ["a"]


async def test_only_the_last_few_are_kept(tmp_path: Path) -> None:
    encoder = QueryEncoder(tmp_path)
    names = [str(number) for number in range(queries._KEPT)]
    for name in [*names, names[0], "new", names[0], names[1]]:
        await encoder.encode(choice("asked@v1", calls=name), "x", "embedding")

    assert setups == [*names, "new", names[1]]  # 0 was asked for again, 1 longest ago


async def test_an_extractor_without_vectors_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotImplementedError, match="constant@v1 has no vector to search by"):
        await QueryEncoder(tmp_path).encode(choice("constant@v1"), "x", "embedding")
