import asyncio

import pytest

from models.api_key import ApiKey, parse_key
from models.errors import InvalidInput, NameTaken
from models.ids import new_id
from models.namespace import Namespace
from models.scope import Scope
from models.stores import Stores
from workers.namespaces import open_namespace


async def test_a_namespace_comes_with_a_key_that_opens_it(stores: Stores) -> None:
    namespace, readable = await open_namespace(stores, new_id("ns"), description="Ours.")

    parts = parse_key(readable)
    assert parts is not None
    key = await Scope(namespace.id).require(ApiKey, parts[0])
    assert key.admits(parts[1])
    assert await Namespace.get(namespace.id) == namespace


async def test_a_name_is_given_once_and_a_refused_one_leaves_no_key(stores: Stores) -> None:
    name = new_id("ns")

    outcomes = await asyncio.gather(
        *(open_namespace(stores, name) for _ in range(6)), return_exceptions=True
    )

    opened = [one for one in outcomes if isinstance(one, tuple)]
    assert [type(one) for one in outcomes].count(NameTaken) == 5
    found = await Namespace.get_pymongo_collection().find({"name": name}).to_list()
    assert [row["_id"] for row in found] == [opened[0][0].id]
    with pytest.raises(NameTaken) as refused:
        await open_namespace(stores, name)
    assert refused.value.path == ("name",)


@pytest.mark.parametrize(
    ("name", "description", "field"), [("", "", "name"), ("ok", "\ud800", "description")]
)
async def test_what_cannot_be_stored_is_refused_by_field(
    stores: Stores, name: str, description: str, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await open_namespace(stores, name, description=description)

    assert refused.value.path == (field,)


async def test_no_key_is_left_behind_by_a_name_that_was_taken(stores: Stores) -> None:
    name = new_id("ns")
    await open_namespace(stores, name)
    before = await ApiKey.get_pymongo_collection().count_documents({})

    with pytest.raises(NameTaken):
        await open_namespace(stores, name)

    assert await ApiKey.get_pymongo_collection().count_documents({}) == before
