"""Follows one collection: as it is, then after each commit that wrote to it, coalesced.

States, not differences: whatever is missed between two looks is in the next state.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from graphql_api.context import Context
from models.collection import Collection

_LOOK_SECONDS: Final = 5.0
_PACE_SECONDS: Final = 0.25


async def follow_collection(
    context: Context, collection_id: str
) -> AsyncGenerator[Collection, None]:
    """Yield a collection again whenever its index signature differs; ends when it is deleted.

    Raises:
        NotFound: no such collection here.
        Unauthenticated: the key was revoked meanwhile.
    """
    bus, told = context.stores.bus, ""
    found = await context.scope.require(Collection, collection_id, path=("collectionId",))
    async with bus.listen(bus.events_channel(context.scope.namespace_id)) as listener:
        while True:
            context.forget()
            present = await context.scope.find(Collection, found.id)
            if present is None:
                return
            if present.index_signature != told:
                told = present.index_signature
                yield present
            await asyncio.sleep(_PACE_SECONDS)
            await listener.wait(_LOOK_SECONDS)
            await context.revalidate_when_due()
