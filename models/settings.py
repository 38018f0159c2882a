"""Every setting, as one frozen tree read from `STRATA_...` variables (nested: `STRATA_MONGO__URL`).

Entrances call `load_settings()` and pass the parts down. `strata up` leaves the addresses of its
local servers in `<data>/endpoints.json`, so that other commands find them; the environment wins
over it.
"""

import json
import os
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, SecretStr
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from models.endpoints import EmbeddingEndpoint
from models.logs import LogFormat

ENDPOINTS_FILE = "endpoints.json"
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
BLOB_CACHE_BYTES: Final = 1024**3


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MongoSettings(_Part):
    """The only source of truth; a replica set."""

    url: str | None = None
    database: str = "strata"


class RedisSettings(_Part):
    """Doorbells, pub/sub, mirrors; may be wiped at any time."""

    url: str | None = None
    prefix: str = "strata"


class S3Settings(_Part):
    """Artifacts and source objects. Without `endpoint_url` it is AWS and its credential chain."""

    endpoint_url: str | None = None
    access_key: str | None = None
    secret_key: SecretStr | None = None
    region: str = "us-east-1"
    bucket: str = "strata"
    checksums: Literal["when_supported", "when_required"] = "when_supported"
    source_buckets: tuple[str, ...] = ()  # S3 buckets that objects may point into


class QdrantSettings(_Part):
    """The vector store; rebuildable from the artifacts."""

    url: str | None = None
    api_key: SecretStr | None = None
    prefix: str = "strata"


class RaySettings(_Part):
    """The compute cluster; disposable."""

    address: str | None = None
    token: SecretStr | None = None
    namespace: str = "strata"


class EngineSettings(_Part):
    """How work is cut and held."""

    block_rows: int | None = Field(default=None, ge=1, le=65_536)  # in place of what each asks for
    lease_seconds: float = Field(default=30.0, gt=0)
    max_attempts: int = Field(default=3, ge=1)
    pool_size: int | None = Field(default=None, ge=1)  # at most so many processes an extractor
    blocks_in_flight: int = Field(default=4, ge=1)  # per conductor and batch
    conductor_blocks: int = Field(default=16, ge=1)  # per conductor, shared by the namespaces
    conductors: int = Field(default=1, ge=1)
    in_flight_bytes: int | None = Field(default=None, ge=1)  # sent to extractors at once, on Ray
    max_blob_bytes: int = Field(default=256 * 1024 * 1024, ge=1)  # of one image, film or paper
    blob_cache_bytes: int = Field(default=BLOB_CACHE_BYTES, ge=0)  # on disk, a conductor


class QuotaSettings(_Part):
    """How much each namespace may have at once; no limit where there is none."""

    live_batches: int | None = Field(default=None, ge=1)  # submitted and not ended
    processing_batches: int | None = Field(default=None, ge=1)  # further ones stay QUEUED
    blocks_in_flight: int | None = Field(default=None, ge=1)  # over all conductors
    batch_rows: int | None = Field(default=None, ge=1)  # of one batch, in its first tier
    batch_seconds: float | None = Field(default=None, gt=0)  # one batch may take, once queued
    batch_bytes: int | None = Field(default=None, ge=1)  # of one batch's manifest, as Parquet


class ExtractorSettings(_Part):
    """Which extractors there are besides the built-in ones."""

    plugins: tuple[str, ...] = ()  # name@version, of installed packages; no other is ever imported


class LimitSettings(_Part):
    """How much one operation, and one caller, may ask for."""

    source_characters: int = Field(default=32 * 1024, ge=1)
    tokens: int = Field(default=1000, ge=1)
    comments: int = Field(default=100, ge=0)
    depth: int = Field(default=12, ge=1)  # outside of introspection
    aliases: int = Field(default=30, ge=0)
    directives: int = Field(default=8, ge=0)
    repeats: int = Field(default=100, ge=1)  # of one field: validation compares them in pairs
    selections: int = Field(default=5000, ge=1)  # with every fragment spread out
    root_fields_query: int = Field(default=20, ge=1)
    root_fields_mutation: int = Field(default=10, ge=1)
    cost: int = Field(default=5000, ge=1)  # points of one operation
    cost_bucket: int = Field(default=200_000, ge=1)  # points that a caller may spend at once
    cost_restored: int = Field(default=20_000, ge=1)  # points that come back in a second
    query_seconds: float = Field(default=10.0, gt=0)
    mutation_seconds: float = Field(default=30.0, gt=0)
    operations_per_socket: int = Field(default=50, ge=1)
    streams_per_caller: int = Field(default=20, ge=1)  # sockets and event streams, in one process
    errors: int = Field(default=50, ge=1)  # shown of one answer
    failed_attempts: int = Field(default=60, ge=1)  # to authenticate, of one address


class ApiSettings(_Part):
    """The GraphQL server."""

    host: str = "127.0.0.1"
    port: int = 8000
    graphiql: bool = True
    max_body_bytes: int = 4 * 1024 * 1024
    max_text_bytes: int = 1024 * 1024  # inline; longer text goes to S3
    max_upload_bytes: int = 5 * 1024**3  # S3's own limit for one PUT
    max_import_bytes: int = Field(default=20 * 1024**3, ge=1)  # of one import, unpacked
    max_import_lines: int = Field(default=10_000_000, ge=1)
    max_line_bytes: int = Field(default=2 * 1024 * 1024, ge=1)
    max_line_errors: int = Field(default=10_000, ge=1)  # kept of one import; the rest is counted
    heartbeat_seconds: float = 12.0
    multipart_heartbeat_seconds: float = 5.0
    revalidate_seconds: float = 30.0
    idempotency_hours: float = Field(default=24.0, ge=24.0)
    idempotency_wait_seconds: float = Field(default=10.0, ge=0)  # for the first of equal requests
    drain_seconds: float = 10.0
    body_seconds: float = 30.0  # a request's body has to be here within
    allowed_origins: tuple[str, ...] = ()  # whose pages may open websockets, beside our own
    http_profile: Literal["audit", "draft"] = "audit"  # status codes: as audited, or the draft's
    trusted_documents: Literal["off", "prefer", "only"] = "off"
    trusted_documents_folder: Path | None = None  # *.graphql files, known by their sha256
    limits: LimitSettings = LimitSettings()


class EgressSettings(_Part):
    """Which addresses of users' may be called: webhooks, and objects' URLs."""

    allowed_ranges: tuple[IPvAnyNetwork, ...] = ()  # private ones that may be called all the same
    refused_ranges: tuple[IPvAnyNetwork, ...] = ()  # public ones that may not: own services
    ports: tuple[int, ...] = (443, 8443)
    allow_http: bool = False
    ca_file: Path | None = None  # certificates to trust besides the usual ones


class WebhookSettings(_Part):
    """How webhooks are called."""

    timeout_seconds: float = Field(default=15.0, gt=0, le=30)  # of a whole request


class AnswerSettings(_Part):
    """Answers kept in Redis until what they read has changed."""

    enabled: bool = True
    ttl_seconds: int = Field(default=600, ge=1)
    max_bytes: int = Field(default=256 * 1024, ge=1)  # of one answer, as it is stored
    per_namespace: int = Field(default=1000, ge=1)  # answers; those that end first make room


class MonitorSettings(_Part):
    """Where each process shows its metrics and its health; nowhere without a port."""

    host: str = "127.0.0.1"
    api_port: int | None = Field(default=None, ge=0, le=65_535)
    worker_port: int | None = Field(default=None, ge=0, le=65_535)
    engine_port: int | None = Field(default=None, ge=0, le=65_535)
    conductor_port: int | None = Field(default=None, ge=1, le=65_000)  # of the first; then upward


class TraceSettings(_Part):
    """Where spans are sent; nowhere without an address."""

    endpoint: str | None = None  # OTLP over HTTP, as http://127.0.0.1:4318/v1/traces
    sampled: float = Field(default=1.0, ge=0, le=1)  # of the traces that begin here
    export_seconds: float = Field(default=5.0, gt=0)


class WorkerSettings(_Part):
    """The control plane's rhythm."""

    sweep_seconds: float = Field(default=5.0, gt=0)
    lease_seconds: float = Field(default=30.0, gt=0)
    event_days: float = Field(default=30.0, gt=0)  # how long the log of events goes back
    stuck_seconds: float = Field(default=120.0, gt=0)  # of silence, then a batch counts as stuck
    orphan_hours: float = Field(default=24.0, gt=0)  # how long lost attempts' files are kept


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        env_prefix="STRATA_", env_nested_delimiter="__", frozen=True, extra="ignore"
    )

    data: Path = Path(".strata")
    admin_key: SecretStr | None = None
    sealing_keys: SecretStr | None = None  # separated by spaces; the first seals, each opens
    log_format: LogFormat = "auto"  # JSON unless at a terminal
    log_level: LogLevel | None = None  # in place of what each process writes
    mongo: MongoSettings = MongoSettings()
    redis: RedisSettings = RedisSettings()
    s3: S3Settings = S3Settings()
    qdrant: QdrantSettings = QdrantSettings()
    ray: RaySettings = RaySettings()
    engine: EngineSettings = EngineSettings()
    quotas: QuotaSettings = QuotaSettings()
    extractors: ExtractorSettings = ExtractorSettings()
    worker: WorkerSettings = WorkerSettings()
    answers: AnswerSettings = AnswerSettings()
    monitor: MonitorSettings = MonitorSettings()
    traces: TraceSettings = TraceSettings()
    api: ApiSettings = ApiSettings()
    embeddings: dict[str, EmbeddingEndpoint] = {}  # by the names that collections give
    egress: EgressSettings = EgressSettings()
    webhooks: WebhookSettings = WebhookSettings()

    @property
    def cache(self) -> Path:
        """Where nets and graphs built from weights are kept."""
        return self.data.absolute()


def load_settings(data: Path | None = None) -> Settings:
    """Read the environment, and below it what a running `strata up` left in the data folder."""
    folder = data or Path(os.environ.get("STRATA_DATA", ".strata"))
    source = EnvSettingsSource(Settings)
    left = {name.lower(): value for name, value in _left_by_up(folder).items()}
    source.env_vars = {**left, **source.env_vars}
    return Settings(**{**source(), "data": folder})


def _left_by_up(folder: Path) -> dict[str, str]:
    try:
        found: Any = json.loads((folder / ENDPOINTS_FILE).read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(name): str(value) for name, value in found.items()}
