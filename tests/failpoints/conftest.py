"""Stores that nothing but the stories looks into: the sweeps of a story see all that there is."""

from collections.abc import AsyncIterator, Iterator

import pytest

from engine.catalog import CATALOG
from models.embedded.endpoints import Endpoints
from models.settings import Settings
from models.stores import Stores
from tests.chaos.checker import RawStores
from tests.extractors import EXTRACTORS
from tests.failpoints.verdicts import open_judge
from tests.quiet import make_quiet_settings, stores
from tests.receiver import Receiver, open_receiver
from tests.workers.hooks import reaching

__all__ = ["stores"]
NAME = "failpoints"


@pytest.fixture(scope="package")
def settings(endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The settings of the stories, with names that nobody else uses."""
    return make_quiet_settings(endpoints, tmp_path_factory.mktemp("data"), name=NAME)


@pytest.fixture(scope="package", autouse=True)
def extractors() -> Iterator[None]:
    """Let the catalogue of this process know the test extractors."""
    with pytest.MonkeyPatch.context() as patch:
        for label, path in EXTRACTORS.items():
            patch.setitem(CATALOG, label, path)
        yield


@pytest.fixture(scope="package")
async def receiver() -> AsyncIterator[Receiver]:
    """Who is told."""
    async with open_receiver() as opened:
        yield opened


@pytest.fixture(scope="package")
async def reached(stores: Stores, receiver: Receiver) -> AsyncIterator[Stores]:
    """The stores, with a way out to the receiver."""
    async with reaching(stores, receiver) as changed:
        yield changed


@pytest.fixture(scope="package")
def raw(settings: Settings, endpoints: Endpoints) -> Iterator[RawStores]:
    """The same stores as somebody sees them who knows nothing of the product."""
    opened = open_judge(settings, endpoints.environment())
    yield opened
    opened.close()
