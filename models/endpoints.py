"""Services of others that extractors may call: named in the settings, with their keys."""

from collections.abc import Mapping
from typing import TypeAlias

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class EmbeddingEndpoint(BaseModel):
    """A service that embeds texts in the manner of OpenAI; collections name it, never its key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str  # up to and without `/embeddings`
    api_key: SecretStr | None = None
    headers: dict[str, SecretStr] = {}
    models: tuple[str, ...] = ()  # those that collections may ask for; empty: any
    requests_per_minute: float = Field(default=600.0, gt=0)  # of each process that extracts
    texts_per_request: int = Field(default=64, ge=1, le=2048)
    in_flight: int = Field(default=4, ge=1, le=64)  # requests of each process
    timeout_seconds: float = Field(default=30.0, gt=0)
    attempts: int = Field(default=3, ge=1, le=20)  # at one request, while somebody waits for it
    # Waited before an attempt, at most: a longer wait is the engine's, which keeps no process busy.
    patience_seconds: float = Field(default=10.0, ge=0)


Endpoints: TypeAlias = Mapping[str, EmbeddingEndpoint]
