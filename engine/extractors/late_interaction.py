"""late_interaction@v1: splits a text into pieces and keeps a vector of each token (ColBERT)."""

from pathlib import Path
from typing import ClassVar, Final

import pyarrow as pa
from pydantic import Field

from engine.nets import NetError
from engine.nets.token_nets import ColbertNet
from engine.pieces import INPUTS, OUTPUTS, SplitParameters, split_rows
from engine.spec import Extraction, Extractor, ExtractorSpec, Parameters, Progress
from engine.vector_columns import multi_column
from models.errors import ExtractorUnavailable
from models.fields import VectorField, VectorKind
from models.points import QueryVector

VECTOR: Final = "tokens"


class LateInteractionParameters(SplitParameters):
    """How to split, and which net embeds."""

    net: str = Field(
        "answerdotai/answerai-colbert-small-v1",
        description="ColBERT net: a name that fastembed lists, or a folder on the server.",
    )
    dimension: int | None = Field(
        None, ge=1, le=4096, description="Length of a token's vector, of a net in a folder."
    )
    token_budget: int = Field(512, ge=16, le=65_536, description="Tokens in one call of the net.")


def _vectors(parameters: Parameters, cache: Path) -> tuple[VectorField, ...]:
    assert isinstance(parameters, LateInteractionParameters)  # the spec's own model
    dimension = ColbertNet.dimension(parameters.net, cache=cache, given=parameters.dimension)
    return (VectorField(name=VECTOR, dimension=dimension, kind=VectorKind.MULTI),)


class LateInteractionExtractor(Extractor):
    """Split and embed token by token."""

    spec: ClassVar = ExtractorSpec(
        name="late_interaction",
        version="v1",
        description="Splits a text into pieces and keeps a vector of each token: the most exact "
        "ranking, for some hundred times the memory of one vector a piece.",
        inputs=INPUTS,
        outputs=OUTPUTS,
        parameters=LateInteractionParameters,
        vectors=_vectors,
        position_fields=("chunk_index",),
        memory_mb=1024,
        requires=("fastembed",),
        extra="fastembed",
    )
    parameters: LateInteractionParameters
    _net: ColbertNet

    def require(self) -> None:
        """Ask for the net's files."""
        ColbertNet.require(self.parameters.net, cache=self.cache)

    def setup(self) -> None:
        """Load the net.

        Raises:
            ExtractorUnavailable: the net or its library is not on this machine.
        """
        try:
            (vector,) = self.vectors
            self._net = ColbertNet(
                self.parameters.net, dimension=vector.dimension, cache=self.cache
            )
        except NetError as error:
            raise ExtractorUnavailable(error.message, hint=error.hint) from error

    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        """Split every text, then embed all pieces of the block together, sorted by length."""
        texts = rows.column("text").to_pylist()
        pieces, failures = split_rows(texts, self.parameters, tokens=self._net.spans)
        vectors = self._net.embed(
            pieces.texts, token_budget=self.parameters.token_budget, on_progress=progress
        )
        columns = {**pieces.columns(), VECTOR: multi_column(vectors, self.vectors[0].dimension)}
        return Extraction(pa.table(columns, schema=self.schema()), failures)

    def encode_query(self, text: str, vector: str) -> QueryVector:
        """Return a vector of each token of a query."""
        return self._net.embed_query(text)
