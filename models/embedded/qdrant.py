"""The starter of `qdrant_front`: Qdrant's REST interface over its engine as a wheel."""

from models.embedded.binaries import require_package
from models.embedded.folder import DataFolder
from models.embedded.front import Front


class Qdrant(Front):
    """The vector store, on this machine."""

    name = "qdrant"
    module = "models.embedded.qdrant_front"
    health = "/readyz"

    def __init__(self, folder: DataFolder, *, api_key: str) -> None:
        super().__init__(folder)
        require_package("qdrant_edge", setting="STRATA_QDRANT__URL")
        self.api_key = api_key

    def environment(self) -> dict[str, str]:
        """Its key."""
        return {"STRATA_EMBEDDED_QDRANT_API_KEY": self.api_key}
