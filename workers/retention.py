"""How long the log of events goes back: what is older is removed, and whoever missed it is told.

What stays: changes of batches' status, and all events of batches that have not ended.
"""

from datetime import timedelta
from typing import Final

from models.batch import Batch
from models.event_log import EventLog, claim_trim, trim_log
from models.failpoints import Failpoint, reach
from models.namespace import Namespace
from models.scope import Scope
from models.states import FINAL
from models.stored import now
from models.stores import Stores

_AGAIN: Final = timedelta(hours=1)
_AT_ONCE: Final = 20  # logs in one sweep


async def trim_logs(stores: Stores) -> int:
    """Trim some of the logs that are due; return how many entries are gone."""
    removed = 0
    for _ in range(_AT_ONCE):
        log = await claim_trim(again_in=_AGAIN)
        if log is None:
            break
        await reach(Failpoint.LOG_TRIM_CLAIMED)
        removed += await trim(log, days=await _days(log, stores.settings.worker.event_days))
    return removed


async def _days(log: EventLog, longest: float) -> float:
    namespace = await Namespace.get(log.id)
    return longest if namespace is None else namespace.kept_days(longest)


async def trim(log: EventLog, *, days: float) -> int:
    """Trim one log; return how many entries are gone."""
    alive = await Scope(log.id).aggregate(
        Batch, {"status": {"$nin": sorted(FINAL)}}, [{"$project": {"_id": 1}}]
    )
    return await trim_log(
        log, before=now() - timedelta(days=days), kept_batch_ids=[row["_id"] for row in alive]
    )
