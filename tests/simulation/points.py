"""Qdrant as far as a batch uses it: points, written unless a later epoch has, and deleted."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
from httpx import ConnectError
from qdrant_client import models as q

from tests.simulation.errors import Unsupported
from tests.simulation.network import Network

T = TypeVar("T")


@dataclass(frozen=True)
class Answered:
    """An answer over HTTP that all went well."""

    status_code: int = 200

    def raise_for_status(self) -> None:
        """Raise nothing."""


@dataclass
class Points:
    """Every collection's points by id: their payload and vectors."""

    network: Network
    stored: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    async def _call(self, said: str, effect: Callable[[], T]) -> T:
        return await self.network.call("qdrant", said, effect, lambda: ConnectError("lost"))

    async def collection_exists(self, name: str) -> bool:
        """Tell whether a collection is there."""
        return await self._call(f"exists {name}", lambda: name in self.stored)

    async def create_collection(self, name: str, **_: Any) -> None:
        """Make a collection."""
        await self._call(f"create {name}", lambda: self.stored.setdefault(name, {}))

    async def create_payload_index(self, name: str, *_: Any) -> None:
        """Index nothing."""
        await self._call(f"index {name}", lambda: None)

    async def delete(self, name: str, selector: q.PointIdsList) -> None:
        """Remove points."""

        def remove() -> None:
            for one in selector.points:
                self.stored.get(name, {}).pop(str(one), None)

        await self._call(f"delete {name} {len(selector.points)}", remove)

    async def count(self, name: str, *, count_filter: q.Filter, exact: bool) -> q.CountResult:
        """Return how many points a block has written under an epoch."""
        block_id, epoch = written_by(count_filter)

        def count() -> int:
            points = self.stored[name].values()
            return sum(one["block_id"] == block_id and one["epoch"] == epoch for one in points)

        return q.CountResult(count=await self._call(f"count {name}", count))

    async def put(self, url: str, *, content: bytes) -> Answered:
        """Write points as columns, each under the condition that comes with them."""
        name = url.split("/")[2]
        body = orjson.loads(content)
        block_id, epoch = later_epoch(body["update_filter"])

        def write() -> None:
            points = self.stored[name]
            columns = body["batch"]
            for place, one in enumerate(columns["ids"]):
                present = points.get(one)
                if present and present["block_id"] == block_id and present["epoch"] > epoch:
                    continue
                vectors = {key: rows[place] for key, rows in columns["vectors"].items()}
                points[one] = {**columns["payloads"][place], "vectors": vectors}

        await self._call(f"upsert {name} {len(body['batch']['ids'])} epoch {epoch}", write)
        return Answered()


def later_epoch(condition: Any) -> tuple[str, int]:
    """Return the block and the epoch of the one condition that is used."""
    match condition:
        case {"must_not": [{"must": [
            {"key": "block_id", "match": {"value": str(block_id)}},
            {"key": "epoch", "range": {"gt": int(epoch)}},
        ]}]}:  # fmt: skip
            return block_id, epoch
    raise Unsupported(f"the update filter {condition}")


def written_by(condition: q.Filter) -> tuple[str, int]:
    """Return the block and the epoch of the one filter that is counted by."""
    match condition.model_dump(exclude_none=True):
        case {"must": [
            {"key": "block_id", "match": {"value": str(block_id)}},
            {"key": "epoch", "range": {"gte": epoch, "lte": last}},
        ]} if epoch == last:  # fmt: skip
            return block_id, int(epoch)
    raise Unsupported(f"the filter {condition}")
