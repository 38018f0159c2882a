"""Where the servers are and what opens them, as clients and child processes need it."""

from dataclasses import dataclass, field

VARIABLES = {
    "mongo_url": "STRATA_MONGO__URL",
    "redis_url": "STRATA_REDIS__URL",
    "qdrant_url": "STRATA_QDRANT__URL",
    "qdrant_api_key": "STRATA_QDRANT__API_KEY",
    "s3_url": "STRATA_S3__ENDPOINT_URL",
    "s3_access_key": "STRATA_S3__ACCESS_KEY",
    "s3_secret_key": "STRATA_S3__SECRET_KEY",
    "ray_address": "STRATA_RAY__ADDRESS",
    "ray_token": "STRATA_RAY__TOKEN",
    "admin_key": "STRATA_ADMIN_KEY",
    "sealing_key": "STRATA_SEALING_KEYS",
}


@dataclass(frozen=True)
class Endpoints:
    """Addresses, given or ours; a secret is None where the server, and so it, is not ours."""

    mongo_url: str
    redis_url: str
    qdrant_url: str
    s3_url: str
    admin_key: str = field(repr=False)
    sealing_key: str = field(repr=False)
    qdrant_api_key: str | None = field(default=None, repr=False)
    s3_access_key: str | None = field(default=None, repr=False)
    s3_secret_key: str | None = field(default=None, repr=False)
    ray_address: str | None = None
    ray_token: str | None = field(default=None, repr=False)

    def environment(self) -> dict[str, str]:
        """The settings of a child process; what is not ours it finds where we found it."""
        named = {variable: getattr(self, field) for field, variable in VARIABLES.items()}
        return {variable: value for variable, value in named.items() if value is not None}
