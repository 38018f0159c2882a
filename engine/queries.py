"""Encodes search queries with the extractor of the collection, in the asking process."""

import asyncio
from collections import OrderedDict
from pathlib import Path
from typing import Final

from engine.catalog import make_extractor
from engine.spec import Extractor
from models.endpoints import Endpoints
from models.fields import ExtractorChoice
from models.points import QueryVector

_KEPT: Final = 4  # each holds a net


class QueryEncoder:
    """The extractors last asked for, set up once, each used by one thread at a time."""

    def __init__(self, cache: Path, endpoints: Endpoints | None = None) -> None:
        self._cache = cache
        self._endpoints = endpoints
        self._extractors: OrderedDict[tuple[str, str], Extractor] = OrderedDict()
        self._lock = asyncio.Lock()

    async def encode(self, choice: ExtractorChoice, text: str, vector: str) -> QueryVector:
        """Return what a search for `text` compares the vector of that name with.

        Raises:
            NotImplementedError: the extractor makes no vectors.
        """
        async with self._lock:
            key = (choice.label, choice.parameters_hash)
            if key not in self._extractors:
                extractor = make_extractor(choice, self._cache, self._endpoints)
                await asyncio.to_thread(extractor.setup)
                self._extractors[key] = extractor
                if len(self._extractors) > _KEPT:
                    self._extractors.popitem(last=False)
            self._extractors.move_to_end(key)
            return await asyncio.to_thread(self._extractors[key].encode_query, text, vector)
