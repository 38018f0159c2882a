"""sparse@v1: splits a text into pieces and weighs the terms of each; one document a piece."""

from pathlib import Path
from typing import ClassVar, Final

import pyarrow as pa
from pydantic import Field

from engine.nets import NetError
from engine.nets.bm25 import Language, TermWeights, require_bm25
from engine.nets.token_nets import SpladeNet
from engine.pieces import INPUTS, OUTPUTS, WordSplitParameters, split_rows
from engine.spec import Extraction, Extractor, ExtractorSpec, Parameters, Progress
from engine.vector_columns import sparse_column
from models.errors import ExtractorUnavailable
from models.fields import VectorField, VectorKind
from models.points import QueryVector, SparseVector

VECTOR: Final = "terms"
BM25: Final = "bm25"


class SparseParameters(WordSplitParameters):
    """How to split, and what weighs the terms."""

    net: str = Field(
        BM25,
        description="`bm25`, which counts words, or a SPLADE net: a name that fastembed lists, or "
        "a folder on the server.",
    )
    language: Language = Field(
        "english", description="Stemmer and stop words of BM25; none uses neither."
    )
    k: float = Field(1.2, ge=0, le=10, description="BM25: how soon repetitions stop to count.")
    b: float = Field(0.75, ge=0, le=1, description="BM25: how much the length of a piece counts.")
    average_length: float = Field(
        256, gt=0, le=100_000, description="BM25: words of a piece, on average."
    )
    token_budget: int = Field(512, ge=16, le=65_536, description="Tokens in one call of the net.")


def _vectors(parameters: Parameters, _: Path) -> tuple[VectorField, ...]:
    assert isinstance(parameters, SparseParameters)  # the spec's own model
    counted = parameters.net == BM25  # a net knows by itself which terms say much
    kind = VectorKind.SPARSE
    return (VectorField(name=VECTOR, dimension=0, distance="dot", kind=kind, idf=counted),)


class SparseExtractor(Extractor):
    """Split and weigh."""

    spec: ClassVar = ExtractorSpec(
        name="sparse",
        version="v1",
        description="Splits a text into pieces and weighs the terms of each, by BM25 or a SPLADE "
        "net: finds names, numbers and rare words that embeddings blur.",
        inputs=INPUTS,
        outputs=OUTPUTS,
        parameters=SparseParameters,
        vectors=_vectors,
        position_fields=("chunk_index",),
        requires=("fastembed", "stop_words"),
        extra="fastembed",
    )
    parameters: SparseParameters
    _weights: "_Bm25 | _Splade"

    def require(self) -> None:
        """Ask for the libraries, and for the net's files."""
        if self.parameters.net == BM25:
            require_bm25()
        else:
            SpladeNet.require(self.parameters.net, cache=self.cache)

    def setup(self) -> None:
        """Load what weighs.

        Raises:
            ExtractorUnavailable: the net or a library is not on this machine.
        """
        try:
            counted = self.parameters.net == BM25
            self._weights = (_Bm25 if counted else _Splade)(self.parameters, self.cache)
        except NetError as error:
            raise ExtractorUnavailable(error.message, hint=error.hint) from error

    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        """Split every text, then weigh the terms of all pieces of the block."""
        pieces, failures = split_rows(rows.column("text").to_pylist(), self.parameters)
        vectors = self._weights.weigh(pieces.texts, progress)
        columns = {**pieces.columns(), VECTOR: sparse_column(vectors)}
        return Extraction(pa.table(columns, schema=self.schema()), failures)

    def encode_query(self, text: str, vector: str) -> QueryVector:
        """Return the terms of a query."""
        return self._weights.weigh_query(text)


class _Bm25:
    def __init__(self, parameters: SparseParameters, cache: Path) -> None:
        self._terms = TermWeights(
            parameters.language,
            k=parameters.k,
            b=parameters.b,
            average_length=parameters.average_length,
            cache=cache,
        )

    def weigh(self, texts: list[str], progress: Progress) -> list[SparseVector]:
        return self._terms.weigh(texts, on_progress=progress)

    def weigh_query(self, text: str) -> SparseVector:
        return self._terms.weigh_query(text)


class _Splade:
    def __init__(self, parameters: SparseParameters, cache: Path) -> None:
        self._net = SpladeNet(parameters.net, cache=cache)
        self._budget = parameters.token_budget

    def weigh(self, texts: list[str], progress: Progress) -> list[SparseVector]:
        return self._net.embed(texts, token_budget=self._budget, on_progress=progress)

    def weigh_query(self, text: str) -> SparseVector:
        return self._net.embed_query(text)
