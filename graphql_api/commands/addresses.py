"""Which setting says where each backing service is."""

from models.settings import Settings


def addresses(settings: Settings) -> dict[str, tuple[str, str | None]]:
    """Return, for each service, the variable and the address in it; None where none is set."""
    return {
        "mongo": ("STRATA_MONGO__URL", settings.mongo.url),
        "redis": ("STRATA_REDIS__URL", settings.redis.url),
        "qdrant": ("STRATA_QDRANT__URL", settings.qdrant.url),
        "s3": ("STRATA_S3__ENDPOINT_URL", settings.s3.endpoint_url),
        "ray": ("STRATA_RAY__ADDRESS", settings.ray.address),
    }
