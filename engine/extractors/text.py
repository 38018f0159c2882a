"""text@v1: splits a text into pieces and embeds each; one document a piece."""

from pathlib import Path
from typing import Any, ClassVar, Final

import pyarrow as pa
from pydantic import Field

from engine.language import LanguageDetector
from engine.nets import DEFAULT_NET, Net, NetError, load_net, net_dimension, require_net
from engine.nets.bm25 import Language, TermWeights, require_bm25
from engine.pieces import INPUTS, OUTPUTS, Pieces, SplitParameters, split_rows
from engine.spec import Extraction, Extractor, ExtractorSpec, OutputSpec, Parameters, Progress
from engine.vector_columns import dense_column, sparse_column
from models.errors import ExtractorUnavailable
from models.fields import FieldType, VectorField, VectorKind
from models.points import Floats, QueryVector

VECTOR: Final = "embedding"
TERMS: Final = "terms"
_AVERAGE_LENGTH: Final = 256.0  # words of a piece, of which BM25 makes little if it is wrong
_K, _B = 1.2, 0.75  # the usual ones


class TextParameters(SplitParameters):
    """How to split, and which net embeds."""

    net: str = Field(
        DEFAULT_NET, description="Sentence-embedding net: a name, or a folder on the server."
    )
    token_budget: int = Field(512, ge=16, le=65_536, description="Tokens in one call of the net.")
    terms: Language | None = Field(
        None,
        description="Language of a second, sparse vector `terms` of BM25 weights, for hybrid "
        "search; none neither stems nor leaves words out. Without it there is no such vector.",
    )
    detect_language: bool = Field(False, description="Whether to fill in `language`.")


def _vectors(parameters: Parameters, cache: Path) -> tuple[VectorField, ...]:
    assert isinstance(parameters, TextParameters)  # the spec's own model
    dense = VectorField(name=VECTOR, dimension=net_dimension(parameters.net, cache=cache))
    if parameters.terms is None:
        return (dense,)
    terms = VectorField(name=TERMS, dimension=0, distance="dot", kind=VectorKind.SPARSE, idf=True)
    return dense, terms


class TextExtractor(Extractor):
    """Split and embed."""

    spec: ClassVar = ExtractorSpec(
        name="text",
        version="v1",
        description="Splits a text into pieces and embeds each with a sentence-embedding net.",
        inputs=INPUTS,
        outputs=(
            *OUTPUTS,
            OutputSpec(
                "language", FieldType.STRING, pa.string(),
                "ISO 639 code of the whole text's language; absent where it cannot be told.",
            ),
        ),
        parameters=TextParameters,
        block_rows=1024,  # sorted by length as one, which is worth more the more there are
        vectors=_vectors,
        position_fields=("chunk_index",),
        memory_mb=1024,
    )  # fmt: skip
    parameters: TextParameters
    _net: Net
    _terms: TermWeights
    _languages: LanguageDetector

    def require(self) -> None:
        """Ask for the net's files, and for BM25's libraries where its vector is wanted."""
        require_net(self.parameters.net, cache=self.cache)
        if self.parameters.terms is not None:
            require_bm25()

    def setup(self) -> None:
        """Load the net, on one thread: a process for each core beats threads in one process.

        Raises:
            ExtractorUnavailable: the net or its library is not on this machine.
        """
        try:
            self._net = load_net(self.parameters.net, cache=self.cache, threads=1)
            if self.parameters.terms is not None:
                self._terms = TermWeights(
                    self.parameters.terms,
                    k=_K,
                    b=_B,
                    average_length=_AVERAGE_LENGTH,
                    cache=self.cache,
                )
        except NetError as error:
            raise ExtractorUnavailable(error.message, hint=error.hint) from error
        if self.parameters.detect_language:
            self._languages = LanguageDetector()

    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        """Split every text, then embed all pieces of the block together, sorted by length."""
        texts = rows.column("text").to_pylist()
        pieces, failures = split_rows(texts, self.parameters, tokens=self._net.spans)
        vectors = self._net.embed(
            pieces.texts, token_budget=self.parameters.token_budget, on_progress=progress
        )
        columns = {
            **pieces.columns(),
            "language": pa.array(self._languages_of(texts, pieces), pa.string()),
            VECTOR: dense_column(vectors),
            **self._term_columns(pieces, lambda done: progress(len(pieces.texts) + done)),
        }
        return Extraction(pa.table(columns, schema=self.schema()), failures)

    def encode_query(self, text: str, vector: str) -> QueryVector:
        """Embed a query as the pieces are embedded, or return its terms."""
        if vector == TERMS:
            return self._terms.weigh_query(text)
        encoded: Floats = self._net.embed([text])[0]
        return encoded

    def _languages_of(self, texts: list[str], pieces: Pieces) -> list[str | None]:
        if not self.parameters.detect_language:
            return [None] * len(pieces.rows)
        found = {row: self._languages.detect(texts[row]) for row in dict.fromkeys(pieces.rows)}
        return [found[row] for row in pieces.rows]

    def _term_columns(self, pieces: Pieces, progress: Progress) -> dict[str, Any]:
        if self.parameters.terms is None:
            return {}
        return {TERMS: sparse_column(self._terms.weigh(pieces.texts, on_progress=progress))}
