import pytest

from models.collection import Collection
from models.stores import Stores
from tests.factories import make_bucket, make_collection


@pytest.fixture
def collection(stores: Stores) -> Collection:
    """A collection; `stores` is asked for since its class is bound there."""
    return make_collection(make_bucket("ns_1"))


def test_a_signature_differs_after_every_write(collection: Collection) -> None:
    revisions = [collection.model_copy(update={"revision": number}) for number in range(100)]

    assert len({one.index_signature for one in revisions}) == 100


def test_a_signature_does_not_depend_on_the_number_of_documents(collection: Collection) -> None:
    """One document written and another deleted must show."""
    more = collection.model_copy(update={"document_count": 5})

    assert more.index_signature == collection.index_signature
    assert len(more.index_signature) == 16


def test_signatures_of_two_collections_differ(collection: Collection) -> None:
    other = make_collection(make_bucket("ns_1"))

    assert other.index_signature != collection.index_signature
