"""Ten faults in `make test-long`, and proof that the checker finds what it is there to find."""

from collections.abc import AsyncIterator

import pytest

from tests.chaos.checker import check_batch, open_raw
from tests.chaos.driver import Chaos, open_chaos
from tests.chaos.faults import FAULTS
from tests.chaos.product import running_product
from tests.chaos.subscriber import Subscriber

pytestmark = [pytest.mark.long, pytest.mark.stack, pytest.mark.timeout(240)]
LEASE_SECONDS = 4.0
BY_NAME = {fault.name: fault for fault in FAULTS}


@pytest.fixture(scope="module")
async def chaos(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Chaos]:
    folder = tmp_path_factory.mktemp("chaos")
    with running_product(folder, lease_seconds=LEASE_SECONDS) as product:
        raw = open_raw(product.endpoints)
        async with open_chaos(product, raw, lease_seconds=LEASE_SECONDS, seed=1) as opened:
            yield opened
        raw.close()


async def survive(chaos: Chaos, name: str, moment: float) -> None:
    outcome = await chaos.run(BY_NAME[name], moment)

    assert outcome.violations == []


@pytest.mark.parametrize(
    ("name", "moment"), [("worker killed", 0.4), ("worker, engine and conductor killed", 0.3)]
)
async def test_s1_workers_die(chaos: Chaos, name: str, moment: float) -> None:
    await survive(chaos, name, moment)


async def test_s4_a_conductor_is_stopped_and_comes_back_unaware(chaos: Chaos) -> None:
    await survive(chaos, "conductor stopped for 1.5 leases", 0.4)


async def test_s7_the_api_dies(chaos: Chaos) -> None:
    await survive(chaos, "API killed", 0.2)


@pytest.mark.parametrize(("name", "moment"), [("Ray head killed", 0.5), ("conductor killed", 0.6)])
async def test_s8_the_cluster_dies(chaos: Chaos, name: str, moment: float) -> None:
    await survive(chaos, name, moment)


async def test_s15_redis_dies_with_its_data(chaos: Chaos) -> None:
    await survive(chaos, "Redis killed, its data lost", 0.2)


async def test_s19_mongodb_dies(chaos: Chaos) -> None:
    await survive(chaos, "mongod killed", 0.5)


async def test_s20_qdrant_dies(chaos: Chaos) -> None:
    await survive(chaos, "Qdrant killed", 0.4)


async def test_s21_s3_dies(chaos: Chaos) -> None:
    await survive(chaos, "S3 store killed", 0.3)


async def test_the_checker_notices_what_is_tampered_with(chaos: Chaos) -> None:
    batch_id = await chaos.rehearse()
    subscriber = Subscriber(chaos.product.base_url, chaos.api.key, batch_id)
    await subscriber.follow()
    assert check_batch(chaos.raw, batch_id, subscriber, expected=chaos.expected) == []
    mongo, match = chaos.raw.mongo, {"batch_id": batch_id}
    lost, other = mongo.documents.find(match, limit=2)

    mongo.documents.delete_one({"_id": lost["_id"]})
    mongo.documents.update_one({"_id": other["_id"]}, {"$set": {"fields.number": -1, "epoch": 9}})
    mongo.events.delete_one({**match, "sequence": 3})
    mongo.blocks.update_one(match, {"$set": {"output.sha256": "0", "attempts": 4}})
    subscriber.ranges.pop()
    found = check_batch(chaos.raw, batch_id, subscriber, expected=chaos.expected)

    assert {wrong.split()[0] for wrong in found} == {"I2", "I3", "I4", "I5", "I8", "I10"}


def test_every_kind_of_process_is_struck() -> None:
    struck = " ".join(BY_NAME)
    for kind in ("worker", "engine", "API", "conductor", "extractor", "raylet", "Ray head", "Redis",
                 "mongod", "S3", "Qdrant"):  # fmt: skip
        assert kind in struck
