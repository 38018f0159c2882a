"""Decides the order of collections: who reads whom, in tiers."""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from models.collection import Collection
from models.errors import CollectionCycle, InvalidMapping, NothingToRun


def plan_tiers(sources: Mapping[str, frozenset[str]]) -> list[list[str]]:
    """Group collections into tiers; each reads only from lower ones. Sorted within a tier.

    `sources` maps each collection's id to the ids of the collections that it reads.

    Raises:
        InvalidMapping: one reads a collection that is not among them.
        CollectionCycle: names the circle.
    """
    if unknown := {name for reads in sources.values() for name in reads} - sources.keys():
        raise InvalidMapping(f"Read by a collection but not there: {', '.join(sorted(unknown))}.")
    sorter = TopologicalSorter(sources)
    try:
        sorter.prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise CollectionCycle(f"Collections read one another in a circle: {circle}.") from error
    tiers: list[list[str]] = []
    while ready := sorted(sorter.get_ready()):
        tiers.append(ready)
        sorter.done(*ready)
    return tiers


def plan_batch(bucket_id: str, collections: Iterable[Collection]) -> list[list[Collection]]:
    """Return the tiers of every collection fed by a bucket, directly or through others.

    Raises:
        InvalidMapping: a collection that would run reads one that does not exist.
        CollectionCycle: names the circle.
        NothingToRun: no collection reads the bucket.
    """
    by_id = {collection.id: collection for collection in collections}
    fed = _fed_by(bucket_id, by_id)
    if not fed:
        raise NothingToRun(
            f"No collection reads bucket {bucket_id}.",
            hint="Create a collection whose source is this bucket, then submit again.",
        )
    for collection_id in sorted(fed):
        _require_sources(by_id[collection_id], by_id)
    sources = {
        collection_id: frozenset(by_id[collection_id].source.collection_ids) & fed
        for collection_id in fed
    }
    return [[by_id[collection_id] for collection_id in tier] for tier in plan_tiers(sources)]


def around(collection_id: str, collections: Iterable[Collection]) -> list[Collection]:
    """Return a collection, whatever is made of it, and whatever any of these read."""
    by_id = {collection.id: collection for collection in collections}
    chosen = {collection_id} & by_id.keys()
    while more := {
        one.id for one in by_id.values() if one.id not in chosen
        and chosen & set(one.source.collection_ids)
    }:  # fmt: skip
        chosen |= more
    while more := {
        read for one in chosen for read in by_id[one].source.collection_ids
        if read in by_id and read not in chosen
    }:  # fmt: skip
        chosen |= more
    return [collection for collection in by_id.values() if collection.id in chosen]


def _fed_by(bucket_id: str, by_id: Mapping[str, Collection]) -> frozenset[str]:
    fed = {c.id for c in by_id.values() if c.source.bucket_id == bucket_id}
    while True:
        more = {
            c.id for c in by_id.values() if c.id not in fed and fed & set(c.source.collection_ids)
        }
        if not more:
            return frozenset(fed)
        fed |= more


def _require_sources(collection: Collection, by_id: Mapping[str, Collection]) -> None:
    missing = [found for found in collection.source.collection_ids if found not in by_id]
    if missing:
        raise InvalidMapping(
            f"Collection {collection.name!r} reads {', '.join(missing)}, which does not exist.",
            hint="Delete the collection or create it again with another source.",
        )
