"""embed_api@v1: splits a text into pieces and has a service embed each; one document a piece."""

from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import pyarrow as pa
from pydantic import Field

from engine.embedding_client import EmbeddingClient, Refusal
from engine.pieces import INPUTS, OUTPUTS, Pieces, WordSplitParameters, split_rows
from engine.spec import Extraction, Extractor, ExtractorSpec, Parameters, Progress, RowFailure
from engine.vector_columns import dense_column
from models.errors import ExtractorUnavailable, Transient
from models.fields import VectorField
from models.points import Floats, QueryVector

VECTOR: Final = "embedding"


class EmbedApiParameters(WordSplitParameters):
    """How to split, and who embeds."""

    endpoint: str = Field(
        min_length=1, max_length=100,
        description="Name of an embeddings endpoint that the server's operator has set up.",
    )  # fmt: skip
    model: str = Field(min_length=1, max_length=200, description="Model, as the service calls it.")
    dimension: int = Field(ge=1, le=16_384, description="Length of the model's vectors.")
    send_dimension: bool = Field(
        False, description="Whether to ask the service for that length; not every model can."
    )
    text_prefix: str = Field("", max_length=1000, description="Put before each piece.")
    query_prefix: str = Field("", max_length=1000, description="Put before each query.")


def _vectors(parameters: Parameters, _: Path) -> tuple[VectorField, ...]:
    assert isinstance(parameters, EmbedApiParameters)  # the spec's own model
    return (VectorField(name=VECTOR, dimension=parameters.dimension),)


class EmbedApiExtractor(Extractor):
    """Split and have it embedded."""

    spec: ClassVar = ExtractorSpec(
        name="embed_api",
        version="v1",
        description="Splits a text into pieces and has each embedded by a service with an "
        "OpenAI-compatible API.",
        inputs=INPUTS,
        outputs=OUTPUTS,
        parameters=EmbedApiParameters,
        vectors=_vectors,
        position_fields=("chunk_index",),
        cpus=0.1,  # it waits
        memory_mb=256,
    )
    parameters: EmbedApiParameters
    _client: EmbeddingClient

    def require(self) -> None:
        """Ask for the endpoint's name among those of the settings, and for leave to use the model.

        Raises:
            ExtractorUnavailable: the operator has not set it up.
        """
        name, model = self.parameters.endpoint, self.parameters.model
        endpoint = self.endpoints.get(name)
        if endpoint is None:
            raise ExtractorUnavailable(
                f"No embeddings endpoint {name!r} is set up.",
                path=("extractor", "parameters", "endpoint"),
                hint=f"Known: {', '.join(sorted(self.endpoints)) or 'none'}. The operator sets "
                "STRATA_EMBEDDINGS__<NAME>__URL, and its API_KEY.",
            )
        if endpoint.models and model not in endpoint.models:
            raise ExtractorUnavailable(
                f"Endpoint {name!r} is not set up for the model {model!r}.",
                path=("extractor", "parameters", "model"),
                hint=f"Known: {', '.join(endpoint.models)}.",
            )

    def setup(self) -> None:
        """Open the client; the key comes from the settings, never from parameters."""
        self.require()
        self._client = EmbeddingClient(
            self.parameters.endpoint,
            self.endpoints[self.parameters.endpoint],
            model=self.parameters.model,
            dimension=self.parameters.dimension,
            ask_for=self.parameters.send_dimension,
        )

    def extract(self, rows: pa.RecordBatch, progress: Progress) -> Extraction:
        """Split every text and embed the pieces; a row with a piece that failed fails."""
        pieces, failures = split_rows(rows.column("text").to_pylist(), self.parameters)
        prefix = self.parameters.text_prefix
        answers = self._client.embed([prefix + text for text in pieces.texts], on_progress=progress)
        refused = _refused_rows(pieces, answers)
        failures += [_failure(row, refusal) for row, refusal in refused.items()]
        kept = [place for place, row in enumerate(pieces.rows) if row not in refused]
        vectors = [one for place in kept if isinstance(one := answers[place], np.ndarray)]
        stacked = np.array(vectors, np.float32).reshape(-1, self.parameters.dimension)
        columns = pa.table(pieces.columns()).take(pa.array(kept, pa.int64()))
        table = columns.append_column(VECTOR, dense_column(stacked)).cast(self.schema())
        return Extraction(table, failures)

    def encode_query(self, text: str, vector: str) -> QueryVector:
        """Have a query embedded.

        Raises:
            ExtractorUnavailable, Transient: the service refuses it, or does so for now.
        """
        (answer,) = self._client.embed([self.parameters.query_prefix + text])
        if isinstance(answer, Refusal):
            kind = Transient if answer.transient else ExtractorUnavailable
            raise kind(answer.message, hint=answer.hint)
        encoded: Floats = answer
        return encoded


def _refused_rows(pieces: Pieces, answers: list[Floats | Refusal]) -> dict[int, Refusal]:
    """Return the first refusal of each row that has one."""
    refused: dict[int, Refusal] = {}
    for row, answer in zip(pieces.rows, answers, strict=True):
        if isinstance(answer, Refusal):
            refused.setdefault(row, answer)
    return refused


def _failure(row: int, refusal: Refusal) -> RowFailure:
    return RowFailure(
        row,
        refusal.category,
        refusal.message,
        hint=refusal.hint,
        transient=refusal.transient,
        retry_after=refusal.retry_after,
    )
