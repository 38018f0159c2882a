"""What extractors of media share: a decoder, and failures that stay with their rows."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from engine.media.decoder import Decoder, Limits
from engine.media.errors import DecodeFailed
from engine.media.spool import DecodedSpool, spool_key
from engine.media.wire import Part
from engine.spec import ROW, Extraction, Extractor, Parameters, Progress, RowFailure
from models.endpoints import Endpoints


@dataclass(frozen=True)
class SourceBlob:
    """A file as it came, with what was said of it."""

    data: bytes
    media_type: str | None = None
    url: str | None = None


class MediaExtractor(Extractor):
    """Makes documents of one blob a row, each file decoded in a process that may be lost."""

    decoder: ClassVar[str]
    limits: ClassVar[Limits] = Limits()

    def __init__(
        self, parameters: Parameters, *, cache: Path, endpoints: Endpoints | None = None
    ) -> None:
        super().__init__(parameters, cache=cache, endpoints=endpoints)
        self._decoder = Decoder(self.decoder, self.limits)
        self._spool: DecodedSpool | None = None

    @abstractmethod
    def request(self, blob: SourceBlob) -> dict[str, Any]:
        """Return what the decoder is asked for, besides the bytes."""

    @abstractmethod
    def documents(self, parts: Iterator[Part]) -> Iterator[dict[str, Any]]:
        """Yield documents, by output and vector, of what the decoder said.

        Raises:
            DecodeFailed: nothing can be made of it.
        """

    def share_decoded(self, spool: DecodedSpool) -> None:
        """Use what another extractor has made a decoder say, and keep for others what ours says."""
        self._spool = spool

    def setup(self) -> None:
        """Start the decoder."""
        self._decoder.start()

    def close(self) -> None:
        """End the decoder; it ends by itself with this process."""
        self._decoder.close()

    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        """Decode row by row."""
        name = self.spec.inputs[0].name
        made: list[dict[str, Any]] = []
        failures: list[RowFailure] = []
        steps = _Steps(progress)
        for row, blob in enumerate(rows.column(name)):
            try:
                found = list(self._of_row(SourceBlob(**blob.as_py()), steps))
            except DecodeFailed as failure:
                failures.append(
                    RowFailure(row, failure.category, failure.message, hint=failure.hint)
                )
            else:
                made += [{ROW: row, **document} for document in found]
            steps.step()
        return Extraction(pa.Table.from_pylist(made, schema=self.schema()), failures)

    def _of_row(self, blob: SourceBlob, steps: "_Steps") -> Iterator[dict[str, Any]]:
        for document in self.documents(steps.count(self._parts(self.request(blob), blob.data))):
            steps.step()
            yield document

    def _parts(self, request: dict[str, Any], data: bytes) -> Iterator[Part]:
        decode = partial(self._decoder.decode, request, data)
        if self._spool is None:
            return decode()
        return self._spool.parts(spool_key(self.decoder, request, data), decode)


class _Steps:
    """Counts what is done, for the lease of the block."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done = 0

    def step(self) -> None:
        self._done += 1
        self._progress(self._done)

    def count(self, parts: Iterator[Part]) -> Iterator[Part]:
        for part in parts:
            self.step()
            yield part
