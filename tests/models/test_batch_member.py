from models.batch_member import BatchMember, read_members
from models.ids import new_id
from models.stores import Stores
from tests.factories import store
from tests.fixtures.stores import NamespaceOfTest


async def test_members_come_in_chunks_in_the_order_of_their_ids(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch_id, other_id = new_id("btc"), new_id("btc")
    object_ids = [f"obj_{number:05d}" for number in range(2_001)]
    rows = [
        {"_id": f"{of}/{one}", "namespace_id": namespace.id, "batch_id": of, "object_id": one}
        for of in (other_id, batch_id)
        for one in reversed(object_ids)
    ]
    await BatchMember.get_pymongo_collection().insert_many(rows)

    chunks = [chunk async for chunk in read_members(batch_id)]

    assert [len(chunk) for chunk in chunks] == [1000, 1000, 1]
    assert [one for chunk in chunks for one in chunk] == object_ids


async def test_a_full_chunk_is_not_followed_by_an_empty_one(
    stores: Stores, namespace: NamespaceOfTest
) -> None:
    batch_id = new_id("btc")
    assert [chunk async for chunk in read_members(batch_id)] == []
    await store(
        BatchMember(id="x", namespace_id=namespace.id, batch_id=batch_id, object_id="obj_1")
    )

    assert [chunk async for chunk in read_members(batch_id)] == [["obj_1"]]
