"""`strata indexes`: everything that must exist in the stores before anyone writes."""

from models.settings import Settings


async def prepare_stores(settings: Settings) -> None:
    """Build the indexes and the S3 bucket; doing it again changes nothing."""
    from models.stores import open_stores  # seconds to import; `strata up` does so on the side

    async with open_stores(settings, prepare=True):
        return
