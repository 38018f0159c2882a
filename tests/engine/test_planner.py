from functools import cache

import pytest

from engine.planner import plan_batch, plan_tiers
from models.bucket import Bucket
from models.collection import Collection
from models.errors import CollectionCycle, InvalidMapping, NothingToRun
from models.ids import new_id
from tests.factories import make_bucket, make_collection

pytestmark = pytest.mark.usefixtures("stores")  # nothing is stored; Beanie has to know the models


@cache
def bucket() -> Bucket:
    return make_bucket(new_id("ns"))


def reading(*sources: Collection) -> Collection:
    return make_collection(list(sources))


def ids(tiers: list[list[Collection]]) -> list[set[str]]:
    return [{collection.id for collection in tier} for tier in tiers]


def test_a_diamond_has_three_tiers() -> None:
    sources = {"low": set(), "left": {"low"}, "right": {"low"}, "top": {"left", "right"}}

    tiers = plan_tiers({name: frozenset(reads) for name, reads in sources.items()})

    assert tiers == [["low"], ["left", "right"], ["top"]]


def test_a_collection_stands_above_its_highest_source() -> None:
    sources = {"a": set(), "b": {"a"}, "c": {"a", "b"}}

    tiers = plan_tiers({name: frozenset(reads) for name, reads in sources.items()})

    assert tiers == [["a"], ["b"], ["c"]]


def test_refuses_a_circle_and_names_it() -> None:
    sources = {"a": frozenset({"c"}), "b": frozenset({"a"}), "c": frozenset({"b"})}

    with pytest.raises(CollectionCycle) as refused:
        plan_tiers(sources)

    circle = refused.value.message.removeprefix("Collections read one another in a circle: ")
    assert sorted(circle.rstrip(".").split(" -> ")[1:]) == ["a", "b", "c"]


def test_refuses_an_unknown_source_and_names_it() -> None:
    with pytest.raises(InvalidMapping, match="not there: nowhere"):
        plan_tiers({"a": frozenset({"nowhere"})})


def test_a_batch_fans_out_to_everything_fed() -> None:
    first, other = make_collection(bucket()), make_collection(bucket())
    readers = [reading(first) for _ in range(3)]
    top = reading(*readers)
    elsewhere = make_collection(make_bucket(bucket().namespace_id))

    tiers = plan_batch(bucket().id, [top, *readers, elsewhere, other, first])

    assert ids(tiers) == [{first.id, other.id}, {one.id for one in readers}, {top.id}]


def test_a_chain_of_five_has_five_tiers() -> None:
    chain = [make_collection(bucket())]
    while len(chain) < 5:
        chain.append(reading(chain[-1]))

    tiers = plan_batch(bucket().id, reversed(chain))

    assert ids(tiers) == [{collection.id} for collection in chain]


def test_a_source_fed_by_another_bucket_does_not_run() -> None:
    mine, foreign = make_collection(bucket()), make_collection(make_bucket(bucket().namespace_id))
    both = reading(mine, foreign)

    assert ids(plan_batch(bucket().id, [mine, foreign, both])) == [{mine.id}, {both.id}]


def test_refuses_a_batch_that_feeds_nothing() -> None:
    with pytest.raises(NothingToRun, match=bucket().id):
        plan_batch(bucket().id, [make_collection(make_bucket(bucket().namespace_id))])


def test_refuses_a_missing_upstream_and_names_both() -> None:
    first, gone = make_collection(bucket()), make_collection(bucket())
    orphan = make_collection([first, gone], name="orphan")

    with pytest.raises(InvalidMapping, match=f"'orphan' reads {gone.id}"):
        plan_batch(bucket().id, [first, orphan])
