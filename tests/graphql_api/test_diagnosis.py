"""Health and diagnosis as the API shows them."""

from datetime import timedelta

from models.ids import new_id
from models.stored import now
from tests.factories import make_batch, make_block, make_row_error, store
from tests.fixtures.stack import GraphQL
from tests.fixtures.stores import NamespaceOfTest
from tests.graphql_api.batches import run_batch
from tests.graphql_api.calls import call

DIAGNOSE = """query($id: ID!) { diagnoseBatch(id: $id) {
  batch { id health { state summary } } health { state summary }
  findings { category severity summary recommendation collectionId
             evidence { name number at text } }
  failedRows { id category } blocks { waiting ready leased done failed canceled }
  lastProgressAt oldestLeaseAt attemptsLost at } }"""


async def test_a_diagnosis_has_findings_evidence_and_a_sample(
    caller: GraphQL, namespace: NamespaceOfTest
) -> None:
    batch = await run_batch(namespace)
    lease = now() - timedelta(seconds=40)
    block = make_block(
        batch, status="LEASED", lease_until=lease, lost=1, attempts=2, started_at=lease
    )
    error = make_row_error(batch, category="RATE_LIMIT", transient=True)
    await store(block, error)

    found = await call(caller, DIAGNOSE, id=batch.id)

    assert found["batch"]["health"] == found["health"]
    assert found["health"]["state"] == "DEGRADED"
    assert [one["category"] for one in found["findings"]] == [
        "LEASE_LAPSED", "ATTEMPTS_LOST", "RATE_LIMIT",
    ]  # fmt: skip
    number, moment = found["findings"][0]["evidence"]
    assert number == {"name": "blocks", "number": 1.0, "at": None, "text": None}
    assert (moment["name"], moment["at"]) == ("oldestLease", found["oldestLeaseAt"])
    assert found["failedRows"] == [{"id": error.id, "category": "RATE_LIMIT"}]
    assert (found["blocks"]["leased"], found["blocks"]["done"]) == (1, 0)
    assert found["attemptsLost"] == 1


async def test_a_foreign_batch_has_no_diagnosis(caller: GraphQL) -> None:
    batch = make_batch(new_id("ns"))
    await store(batch)

    assert await caller.data(DIAGNOSE, id=batch.id) == {"diagnoseBatch": None}
