"""What a client may change about a batch that was submitted and has not ended."""

from collections.abc import Awaitable, Callable
from typing import Final

from models.batch import Batch, Reason
from models.database import Session
from models.errors import IllegalTransition, InvalidInput
from models.events import Event
from models.holding import hold_batch, lift_hold
from models.quotas import pass_gate
from models.scope import Scope
from models.states import HOLDABLE, Hold
from models.stores import Stores
from models.turns import HIGHEST_PRIORITY, LOWEST_PRIORITY, set_priority
from workers.transitions import announce_status

_PAUSED: Final = "Paused: no further block is begun until resumeBatch."


async def pause_batch(stores: Stores, scope: Scope, batch_id: str) -> Batch:
    """Let no further block of a batch begin; one that is paused already answers as it is.

    Raises:
        NotFound: no such batch.
        IllegalTransition: it is a draft, is being canceled, or has ended.
    """
    await _require_steerable(scope, batch_id)

    async def work(session: Session) -> Event | None:
        return await hold_batch(session, batch_id, Reason(code="PAUSED", message=_PAUSED))

    return await _change(stores, scope, batch_id, work)


async def resume_batch(stores: Stores, scope: Scope, batch_id: str) -> Batch:
    """Let a paused batch go on; one that is not paused answers as it is.

    Raises:
        NotFound: no such batch.
        IllegalTransition: it is a draft, is being canceled, or has ended.
    """
    await _require_steerable(scope, batch_id)
    waits = Reason(code="WAITING_FOR_WORKER", message="Resumed; a worker will take it.")

    async def work(session: Session) -> Event | None:
        if stores.settings.quotas.processing_batches is not None:
            # It asks for no room, but whoever is about to take it has to see this one come back.
            await pass_gate(session, scope.namespace_id, "batches")
        return await lift_hold(session, batch_id, waits)

    return await _change(stores, scope, batch_id, work)


async def set_batch_priority(stores: Stores, scope: Scope, batch_id: str, priority: int) -> Batch:
    """Let a batch be handed over, and its blocks be begun, earlier or later than others.

    Raises:
        NotFound: no such batch.
        InvalidInput: no such priority.
        IllegalTransition: it is a draft, is being canceled, or has ended.
    """
    require_priority(priority)
    await _require_steerable(scope, batch_id)

    async def work(session: Session) -> Event | None:
        return await set_priority(session, batch_id, priority)

    return await _change(stores, scope, batch_id, work)


def require_priority(priority: int) -> None:
    """Refuse a priority that there is not; raises InvalidInput."""
    if not LOWEST_PRIORITY <= priority <= HIGHEST_PRIORITY:
        raise InvalidInput(
            f"A priority is {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}, not {priority}.",
            path=("priority",),
            hint="Higher goes first; 0 is usual.",
        )


async def _require_steerable(scope: Scope, batch_id: str) -> Batch:
    batch = await scope.require(Batch, batch_id, path=("batchId",))
    if batch.status not in HOLDABLE:
        raise IllegalTransition(
            f"Batch {batch_id} is {batch.status}; nothing of it waits or runs.",
            path=("batchId",),
            hint=f"Only a batch that is {' or '.join(sorted(HOLDABLE))} can be steered.",
        )
    if batch.hold is Hold.STOPPING:
        raise IllegalTransition(
            f"Batch {batch_id} is being canceled.",
            path=("batchId",),
            hint="It ends when what is in work has ended.",
        )
    return batch


async def _change(
    stores: Stores, scope: Scope, batch_id: str, work: Callable[[Session], Awaitable[Event | None]]
) -> Batch:
    event = await stores.database.transaction(work)
    if event is not None:
        await announce_status(stores, event)
    return await scope.require(Batch, batch_id)
