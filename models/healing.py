"""What can be wrong between a live batch and its blocks, and how it is put right from the blocks.

The blocks are the truth, the batch's numbers a shortcut to it. All of a repair is one transaction,
which sees the batch and its blocks at one moment: what is at work is never taken for damage.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from pymongo.asynchronous.client_session import AsyncClientSession

from models.batch import Batch, change_batch, complete_tier
from models.block import Block
from models.events import Event, EventType
from models.quotas import count_in_work
from models.states import BLOCK_LIVE, BatchStatus, BlockStatus
from models.stored import LONG_AGO, now, server_time_in

_GONE: Final = "A block that this one reads failed, or is gone."
_HEALABLE: Final = [str(BatchStatus.QUEUED), str(BatchStatus.PROCESSING)]
_LEASED: Final = str(BlockStatus.LEASED)


class Damage(StrEnum):
    """What was wrong."""

    COUNT = "COUNT"  # the batch's numbers of blocks were not those of its blocks
    WAKE_LOST = "WAKE_LOST"  # a block waited for others than those that it reads and are not done
    CANCEL_LOST = "CANCEL_LOST"  # a block waited though one that it reads can never be done
    HOLD = "HOLD"  # blocks were held and their batch was not, or the other way round
    FAR_LEASE = "FAR_LEASE"  # a lease ended later than any lease that is taken
    UNCLAIMED = "UNCLAIMED"  # blocks were ready, and whoever held the batch claimed none


@dataclass(frozen=True)
class Healed:
    """What was wrong with a batch, how often, and the event that says so."""

    event: Event
    found: Mapping[Damage, int]


async def take_quiet_batch(*, quiet_seconds: float) -> str | None:
    """Choose a live batch that nothing has happened to for a while; None when there is none.

    It is marked as looked into, by the server's clock, and not chosen again for as long: many
    workers look into it once.
    """
    limit = server_time_in(-quiet_seconds)
    looked_into = {"$ifNull": ["$looked_into_at", LONG_AGO]}
    row = await Batch.get_pymongo_collection().find_one_and_update(
        {
            "status": {"$in": _HEALABLE},
            "$expr": {
                "$and": [{"$lt": ["$updated_at", limit]}, {"$lt": [looked_into, limit]}],
            },
        },
        [{"$set": {"looked_into_at": "$$NOW"}}],
    )
    return None if row is None else row["_id"]


async def mend_batch(
    session: AsyncClientSession, batch_id: str, *, far_seconds: float, unclaimed_seconds: float
) -> Healed | None:
    """Put a live batch right; None when nothing was wrong.

    No lease that is taken ends later than in `far_seconds`; no block stays ready, with nothing else
    done for its batch, for `unclaimed_seconds`.
    """
    batches = Batch.get_pymongo_collection()
    row = await batches.find_one({"_id": batch_id, "status": {"$in": _HEALABLE}}, session=session)
    if row is None:
        return None
    mending = _Mending(session, Batch.model_validate(row))
    await mending.settle_readers()
    await mending.mend_holds()
    await mending.end_far_leases(far_seconds)
    await mending.recount()
    await mending.give_up_unclaimed(unclaimed_seconds)
    return await mending.write_down()


@dataclass
class _Mending:
    session: AsyncClientSession
    batch: Batch
    found: Counter[Damage] = field(default_factory=Counter)
    values: dict[str, Any] = field(default_factory=dict)  # the batch's own, put right
    canceled: int = 0

    def _blocks(self, **match: Any) -> dict[str, Any]:
        return {"batch_id": self.batch.id, "submission": self.batch.submission, **match}

    async def settle_readers(self) -> None:
        """Let each waiting block know what became of those that it reads, lower tiers first."""
        cursor = Block.get_pymongo_collection().find(
            self._blocks(status=str(BlockStatus.WAITING)),
            sort=[("tier", 1), ("ordinal", 1)],
            session=self.session,
        )
        waiting = [Block.model_validate(row) async for row in cursor]
        states = await self._states() if waiting else {}
        for block in waiting:
            left = [one for one in block.reads if states.get(one) != BlockStatus.DONE]
            if any(states.get(one) not in BLOCK_LIVE for one in left):
                states[block.id] = BlockStatus.CANCELED
                await self._cancel(block)
            elif not left or set(left) != set(block.waits_for):
                await self._wake(block, left)

    async def _states(self) -> dict[str, str]:
        cursor = Block.get_pymongo_collection().find(
            self._blocks(), {"status": 1}, session=self.session
        )
        return {row["_id"]: row["status"] async for row in cursor}

    async def _cancel(self, block: Block) -> None:
        self.found[Damage.CANCEL_LOST] += 1
        self.canceled += 1
        ended = {"status": str(BlockStatus.CANCELED), "error_message": _GONE, "finished_at": now()}
        await self._update({"_id": block.id}, ended)

    async def _wake(self, block: Block, left: list[str]) -> None:
        self.found[Damage.WAKE_LOST] += 1
        status = BlockStatus.WAITING if left else BlockStatus.READY
        await self._update({"_id": block.id}, {"waits_for": left, "status": str(status)})

    async def mend_holds(self) -> None:
        """Let every open block be held exactly when its batch is."""
        held = self.batch.hold is not None
        self.found[Damage.HOLD] += await self._update(
            {"status": {"$in": sorted(BLOCK_LIVE)}, "held": {"$ne": True} if held else True},
            {"held": held},
        )

    async def end_far_leases(self, far_seconds: float) -> None:
        """End leases that were taken by another clock than the present one."""
        far = server_time_in(far_seconds)
        self.found[Damage.FAR_LEASE] += await self._update(
            {"status": _LEASED, "$expr": {"$gt": ["$lease_until", far]}},
            {"lease_until": LONG_AGO},
        )
        match = {"_id": self.batch.id, "$expr": {"$gt": ["$lease_until", far]}}
        if await Batch.get_pymongo_collection().find_one(match, {"_id": 1}, session=self.session):
            self.found[Damage.FAR_LEASE] += 1
            self.values["lease_until"] = LONG_AGO

    async def _update(self, match: Mapping[str, Any], values: Mapping[str, Any]) -> int:
        result = await Block.get_pymongo_collection().update_many(
            self._blocks(**match), {"$set": values}, session=self.session
        )
        return result.modified_count

    async def recount(self) -> None:
        """Give the batch the numbers of its blocks."""
        total = await self._count()
        live = await self._count(status={"$in": sorted(BLOCK_LIVE)})
        wrong = (total, live) != (self.batch.blocks_total, self.batch.blocks_open - self.canceled)
        self.found[Damage.COUNT] += int(wrong)
        if wrong or self.canceled:
            self.values |= {"blocks_total": total, "blocks_open": live}

    async def _count(self, **match: Any) -> int:
        return await Block.get_pymongo_collection().count_documents(
            self._blocks(**match), session=self.session
        )

    async def give_up_unclaimed(self, unclaimed_seconds: float) -> None:
        """End the lease of a batch whose holder leaves alone what it could claim."""
        past = server_time_in(-unclaimed_seconds)
        holder = {
            "_id": self.batch.id,
            "status": str(BatchStatus.PROCESSING),
            "hold": None,
            "$expr": {"$and": [{"$lt": ["$updated_at", past]}, {"$gt": ["$lease_until", "$$NOW"]}]},
        }
        quiet = await Batch.get_pymongo_collection().find_one(
            holder, {"updated_at": 1}, session=self.session
        )
        if quiet is None:
            return
        waited = quiet["updated_at"] + timedelta(seconds=unclaimed_seconds)
        if await self._waits_for_its_turn(waited):
            return
        if await self._count(**_CLAIMABLE):
            self.found[Damage.UNCLAIMED] += 1
            self.values["lease_until"] = LONG_AGO

    async def _waits_for_its_turn(self, waited: datetime) -> bool:
        """Tell whether what the namespace has in work may be all that there is room for.

        What has waited longest is next, so nothing else begins once this batch `waited` enough.
        """
        namespace_id = self.batch.namespace_id
        if not await count_in_work(self.session, namespace_id):
            return False
        later = {
            "namespace_id": namespace_id,
            "status": _LEASED,
            "batch_id": {"$ne": self.batch.id},
            "started_at": {"$gt": waited},
        }
        blocks = Block.get_pymongo_collection()
        return await blocks.find_one(later, {"_id": 1}, session=self.session) is None

    async def write_down(self) -> Healed | None:
        """Change the batch with its event, if anything was wrong."""
        found = dict(+self.found)
        if not found:
            return None
        event = await change_batch(
            self.session,
            {"_id": self.batch.id, "status": str(self.batch.status)},
            {"$set": self.values},
            EventType.BATCH_HEALED,
            {"found": {str(damage): number for damage, number in found.items()}},
        )
        assert event is not None  # of the row that this transaction has read
        if self.canceled:
            event = await self._complete_tiers(event)
        return Healed(event, found)

    async def _complete_tiers(self, event: Event) -> Event:
        for tier in self.batch.tiers:
            if not await self._count(tier=tier.number, status={"$in": sorted(BLOCK_LIVE)}):
                done = await complete_tier(self.session, self.batch.id, tier.number)
                event = done or event
        return event


_CLAIMABLE: Final[Mapping[str, Any]] = {
    "$or": [
        {"status": str(BlockStatus.READY), "$expr": {"$lte": ["$not_before", "$$NOW"]}},
        {"status": _LEASED},
    ]
}
