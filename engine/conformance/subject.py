"""An extractor under examination, with rows to try it on."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.conformance.rows import NoSamples, Row, as_batch, odd_rows, usual_rows
from engine.spec import Extraction, Extractor
from models.endpoints import Endpoints

__all__ = ["NoSamples", "Row", "Subject"]


class Subject:
    """A class with parameters; `good` rows must be taken, `bad` ones must fail.

    A row maps inputs to values: a string, anything that JSON can say, bytes (or bytes and their
    media type), a list of numbers. Good rows are made up if none are given and no input takes
    files.
    """

    def __init__(
        self,
        kind: type[Extractor],
        parameters: Mapping[str, Any] | None = None,
        *,
        good: Sequence[Row] = (),
        bad: Sequence[Row] = (),
        cache: Path | None = None,
        endpoints: Endpoints | None = None,
    ) -> None:
        self.kind = kind
        self.spec = kind.spec
        try:
            self.parameters = self.spec.parameters.model_validate(dict(parameters or {}))
        except ValidationError as error:
            raise ValueError(f"{self.spec.label}: its parameters: {error}") from error
        self.bad = bad
        self.told: list[int] = []  # as progress, while the good rows were extracted
        self._given = good
        for row in (*good, *bad):
            if unknown := row.keys() - {item.name for item in self.spec.inputs}:
                raise ValueError(f"{self.spec.label} has no input {', '.join(sorted(unknown))}.")
        self._cache = cache or Path()
        self._endpoints = endpoints

    @cached_property
    def good(self) -> Sequence[Row]:
        """Rows that it should take; raises NoSamples when files are needed and none given."""
        return self._given or usual_rows(self.spec, self.parameters)

    @cached_property
    def odd(self) -> Sequence[Row]:
        """Rows that it may take or fail, but must survive."""
        return odd_rows(self.spec, self.parameters, self.good[0])

    def make(self) -> Extractor:
        """Return a fresh one, as another process would have it."""
        made = self.kind(self.parameters, cache=self._cache, endpoints=self._endpoints)
        made.setup()
        return made

    @cached_property
    def extractor(self) -> Extractor:
        """The one that most checks use."""
        return self.make()

    @cached_property
    def usual(self) -> Extraction:
        """What it makes of the good rows."""
        return self.extractor.run(as_batch(self.spec, self.good), self.told.append)

    @cached_property
    def mixed(self) -> Extraction:
        """What it makes of the first good row, then odd and bad ones, then the other good ones."""
        first, *others = self.good
        return self.run([first, *self.odd, *self.bad, *others])

    def run(self, rows: Sequence[Row], extractor: Extractor | None = None) -> Extraction:
        """Extract rows as the engine does, with the checks of the base class."""
        chosen = extractor or self.extractor
        return chosen.run(as_batch(self.spec, rows), lambda _: None)

    def close(self) -> None:
        """End what it holds, where it can be told to."""
        if "extractor" in self.__dict__:
            close(self.extractor)

    @contextmanager
    def another(self) -> Iterator[Extractor]:
        """A fresh one for the length of a block."""
        made = self.make()
        try:
            yield made
        finally:
            close(made)


def close(extractor: Extractor) -> None:
    """Call its `close`, which extractors of media have."""
    ending = getattr(extractor, "close", None)
    if ending is not None:
        ending()
