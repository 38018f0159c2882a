"""The starter of `s3_front`: S3's interface over SQLite and files."""

from models.embedded.folder import DataFolder
from models.embedded.front import Front


class S3(Front):
    """The object store, on this machine."""

    name = "s3"
    module = "models.embedded.s3_front"
    health = "/-/health"

    def __init__(
        self, folder: DataFolder, *, access_key: str, secret_key: str, durable: bool
    ) -> None:
        super().__init__(folder)
        self.access_key = access_key
        self.secret_key = secret_key
        self._durable = durable

    def environment(self) -> dict[str, str]:
        """Its key pair; without durability a lost power cord may cost the last objects."""
        return {
            "STRATA_EMBEDDED_S3_ACCESS_KEY": self.access_key,
            "STRATA_EMBEDDED_S3_SECRET_KEY": self.secret_key,
            "STRATA_EMBEDDED_S3_FSYNC": str(int(self._durable)),
        }
