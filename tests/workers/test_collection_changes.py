"""Collections changed in what is safe, and cloned."""

import pytest

from models.collection import Collection, Passthrough, Source
from models.errors import InvalidInput, InvalidParameters, NameTaken, NotFound
from models.filters import Condition, Filter, FilterOperator
from models.scope import Scope
from models.stores import Stores
from tests.fixtures.stores import NamespaceOfTest
from tests.workers.jobs import make_draft
from workers.buckets import open_bucket
from workers.collection_changes import clone_collection, update_collection
from workers.collections import open_collection
from workers.deletions import delete_bucket
from workers.tasks import run_task


@pytest.fixture
async def original(namespace: NamespaceOfTest) -> Collection:
    """A collection with a filter, a mapping and a field that it takes along."""
    scope = namespace.scope
    bucket = await open_bucket(scope, "objects", description="", fields=[])
    above = Filter(condition=Condition(path="number", operator=FilterOperator.GT, value=1))
    source = Source(bucket_id=bucket.id, filter=above)
    passthrough = [Passthrough(path="number", target="n", default=0)]
    return await open_collection(scope, make_draft(source, "original", passthrough=passthrough))


async def test_a_name_and_a_description_are_changed(
    namespace: NamespaceOfTest, original: Collection
) -> None:
    scope = namespace.scope

    renamed = await update_collection(scope, original.id, name="other", description=None)
    described = await update_collection(scope, original.id, name=None, description="A text.")

    assert (renamed.name, renamed.description) == ("other", "")
    assert (described.name, described.description) == ("other", "A text.")
    assert described.index_signature == original.index_signature


async def test_a_change_that_cannot_be_is_refused(
    namespace: NamespaceOfTest, original: Collection
) -> None:
    scope = namespace.scope
    await clone_collection(scope, original.id, name="taken")

    with pytest.raises(NameTaken):
        await update_collection(scope, original.id, name="taken", description=None)
    with pytest.raises(InvalidInput):
        await update_collection(scope, original.id, name="", description=None)
    with pytest.raises(NotFound):
        await update_collection(Scope("ns_other"), original.id, name="x", description=None)


async def test_a_clone_is_alike_and_empty(namespace: NamespaceOfTest, original: Collection) -> None:
    await Collection.get_pymongo_collection().update_one(
        {"_id": original.id}, {"$set": {"document_count": 5, "revision": 3}}
    )

    clone = await clone_collection(namespace.scope, original.id, name="clone")

    kept = ("source", "extractor", "input_mappings", "passthrough", "output_fields", "vectors")
    assert {part: getattr(clone, part) for part in kept} == {
        part: getattr(original, part) for part in kept
    }
    assert (clone.document_count, clone.revision) == (0, 0)
    assert clone.id != original.id


@pytest.mark.parametrize("parameters", [{"unheard_of": 1}, "a text"])
async def test_parameters_of_a_clone_are_checked(
    namespace: NamespaceOfTest, original: Collection, parameters: object
) -> None:
    with pytest.raises((InvalidParameters, InvalidInput)):
        await clone_collection(namespace.scope, original.id, name="c", parameters=parameters)


async def test_a_clone_needs_the_source(
    stores: Stores, namespace: NamespaceOfTest, original: Collection
) -> None:
    assert original.source.bucket_id is not None
    task = await delete_bucket(stores, namespace.scope, original.source.bucket_id)
    await run_task(stores, task.id)

    with pytest.raises(NotFound):
        await clone_collection(namespace.scope, original.id, name="clone")
