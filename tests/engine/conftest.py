"""The engine's test extractors in the catalogue, and pools of both kinds over them."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import aioboto3
import pytest

from engine.catalog import CATALOG
from engine.inline_pool import InlinePools
from engine.pools import Pools
from models.embedded.endpoints import Endpoints
from models.embedded.ray import driver_environment
from models.settings import RaySettings, Settings
from tests.extractors import EXTRACTORS
from tests.fixtures.stores import SOURCE_BUCKET, make_settings

RAY_NAMESPACE = "engine-tests"
PutSource = Callable[[str, bytes], Awaitable[str]]


@pytest.fixture(autouse=True)
def test_extractors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the catalogue of this process know the test extractors."""
    for label, path in EXTRACTORS.items():
        monkeypatch.setitem(CATALOG, label, path)


@pytest.fixture(scope="session")
def plugin_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder on the path of Ray's workers, for packages that a test writes."""
    return tmp_path_factory.mktemp("plugins")


@pytest.fixture(scope="session")
def ray_driver(ray_endpoints: Endpoints, plugin_site: Path) -> Iterator[None]:
    """This process as a driver whose workers know the test extractors too."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in driver_environment(ray_endpoints.ray_token or "").items():
            patch.setenv(name, value)
        import ray

        ray.shutdown()  # another test may have connected without the extractors
        ray.init(
            address=ray_endpoints.ray_address,
            namespace=RAY_NAMESPACE,
            runtime_env={
                "worker_process_setup_hook": "tests.extractors.install",
                "env_vars": {"PYTHONPATH": f"{Path(__file__).parents[2]}:{plugin_site}"},
            },
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
        yield
        ray.shutdown()


@pytest.fixture(scope="session")
def ray_settings(settings: Settings, ray_endpoints: Endpoints) -> Settings:
    """The settings of conductors that are the engine tests' own."""
    found = make_settings(ray_endpoints, settings.data)
    mine = RaySettings(address=found.ray.address, token=found.ray.token, namespace=RAY_NAMESPACE)
    return found.model_copy(update={"ray": mine})


@pytest.fixture(params=["inline", pytest.param("ray", marks=pytest.mark.stack)])
def pools(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pools]:
    """Pools of both kinds: whatever is asked of one is asked of the other."""
    if request.param == "inline":
        yield InlinePools(tmp_path)
        return
    request.getfixturevalue("ray_driver")
    from engine.ray_pool import RayPools

    made = RayPools(tmp_path, size=2)
    yield made
    made.close()


@pytest.fixture
def inline(tmp_path: Path) -> InlinePools:
    """Pools in this process."""
    return InlinePools(tmp_path)


@pytest.fixture(scope="session")
async def put_source(settings: Settings) -> AsyncIterator[PutSource]:
    """Store bytes where objects may point to; return their address."""
    secret = settings.s3.secret_key
    async with aioboto3.Session().client(
        "s3",
        endpoint_url=settings.s3.endpoint_url,
        region_name=settings.s3.region,
        aws_access_key_id=settings.s3.access_key,
        aws_secret_access_key=None if secret is None else secret.get_secret_value(),
    ) as client:
        found = await client.list_buckets()
        if SOURCE_BUCKET not in {one["Name"] for one in found["Buckets"]}:
            await client.create_bucket(Bucket=SOURCE_BUCKET)

        async def put(key: str, body: bytes) -> str:
            await client.put_object(Bucket=SOURCE_BUCKET, Key=key, Body=body)
            return f"s3://{SOURCE_BUCKET}/{key}"

        yield put
