"""Queries grouped by a payload field.

A plain query is widened until the best groups are full or nothing is left. A point whose field is
a list counts in the group of each value; one without a usable value counts in none.
"""

from typing import Any

from qdrant_edge import EdgeShard

from models.embedded.qdrant_front import encode
from models.embedded.qdrant_front.filters import Json, PointId
from models.embedded.qdrant_front.queries import QueryReader
from models.embedded.qdrant_front.refusals import decoding, engine_errors
from models.embedded.qdrant_front.selection import limit_of, payload_selector, vector_selector
from models.embedded.qdrant_front.store import Store

LIMIT, GROUP_SIZE = 10, 3
WIDENING = 4
ROUNDS = 6  # 4096 times the points of a full answer; groups still short of points stay short

GroupId = PointId  # a group's key, which a lookup takes for a point's id


class Grouping:
    """One request for groups."""

    def __init__(self, shard: EdgeShard, reader: QueryReader, store: Store, body: Json) -> None:
        self._shard = shard
        self._reader = reader
        self._store = store
        self._body = body
        with decoding():
            self._key: str = body["group_by"]
            self._limit = limit_of(body.get("limit"), default=LIMIT)
            self._size = limit_of(body.get("group_size"), default=GROUP_SIZE)

    def groups(self) -> list[Json]:
        best = self._best()
        lookups = self._lookups(list(best))
        return [
            {"id": key, "hits": self._hydrated(hits), "lookup": lookups.get(key)}
            for key, hits in best.items()
        ]

    def _best(self) -> dict[GroupId, list[Any]]:
        """The first groups in the order of their best points, each with its best points."""
        wanted = self._limit * self._size
        for _ in range(ROUNDS):
            hits = self._hits(wanted)
            groups = self._grouped(hits)
            full = len(groups) == self._limit and all(
                len(members) == self._size for members in groups.values()
            )
            if full or len(hits) < wanted:
                break
            wanted *= WIDENING
        return groups

    def _hits(self, wanted: int) -> list[Any]:
        own = {"limit": wanted, "offset": 0, "with_payload": [self._key], "with_vector": False}
        with decoding():
            request = self._reader.request(self._body | own)
        return self._shard.query(request)

    def _grouped(self, hits: list[Any]) -> dict[GroupId, list[Any]]:
        groups: dict[GroupId, list[Any]] = {}
        for hit in hits:
            for key in group_ids(hit.payload, self._key):
                if key not in groups and len(groups) == self._limit:
                    continue
                members = groups.setdefault(key, [])
                if len(members) < self._size:
                    members.append(hit)
        return groups

    def _hydrated(self, hits: list[Any]) -> list[Json]:
        """The members of a group with the payload and the vectors that were asked for."""
        with decoding():
            payload = payload_selector(self._body.get("with_payload"), default=False)
            vector = vector_selector(self._body.get("with_vector"))
        found = self._shard.retrieve([hit.id for hit in hits], payload, vector)
        records = {record.id: encode.record(record) for record in found}
        scores = [encode.scored(hit, with_vector=False) for hit in hits]
        return [score | records.get(score["id"], {}) for score in scores]

    def _lookups(self, keys: list[GroupId]) -> dict[GroupId, Json]:
        """Points of another collection whose ids are the group's keys."""
        lookup = self._body.get("with_lookup")
        if lookup is None:
            return {}
        wanted = {"collection": lookup} if isinstance(lookup, str) else lookup
        with decoding():
            payload = payload_selector(wanted.get("with_payload"), default=True)
            vector = vector_selector(wanted.get("with_vectors"))
            other = self._store.get(wanted["collection"])
        with other.shard() as shard, engine_errors():
            found = shard.retrieve(list(keys), payload, vector)
        return {record.id: encode.record(record) for record in found}


def group_ids(payload: Json | None, path: str) -> list[GroupId]:
    """The distinct group keys of a payload: its strings and integers at the path."""
    values = values_at(payload or {}, path.split("."))
    keys = [one for one in values if isinstance(one, str) or type(one) is int]
    return list(dict.fromkeys(keys))


def values_at(value: Any, path: list[str]) -> list[Any]:
    """Every value at a path; `a[].b` goes through the elements of a list."""
    if not path:
        return value if isinstance(value, list) else [value]
    step, through_list = path[0].removesuffix("[]"), path[0].endswith("[]")
    if not isinstance(value, dict) or step not in value:
        return []
    inner = value[step]
    if through_list and isinstance(inner, list):
        return [found for one in inner for found in values_at(one, path[1:])]
    return values_at(inner, path[1:])
