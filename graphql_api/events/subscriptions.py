"""Subscriptions of a namespace's log."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import strawberry

from graphql_api.context import Info
from graphql_api.events.following import NamespaceFollower
from graphql_api.events.frames import NamespaceFrame


@strawberry.type
class EventSubscription:
    """What can be followed of a namespace."""

    @strawberry.subscription(
        description="Follow everything that happens in the namespace. Without `after`: from now "
        "on. With it: everything past the cursor, then what follows. The log goes back 30 days, "
        "unless the operator says otherwise; what a cursor missed of it is a discontinuity. "
        "Events of a batch that was deleted are gone from the replay."
    )
    async def namespace_events(
        self,
        info: Info,
        types: Annotated[
            list[str] | None,
            strawberry.argument(description="Only events of these types; all when absent."),
        ] = None,
        after: Annotated[
            str | None,
            strawberry.argument(description="Cursor of the last frame received; none for now."),
        ] = None,
    ) -> AsyncGenerator[NamespaceFrame, None]:
        """Follow a namespace."""
        follower = NamespaceFollower(info.context, types or [])
        async with aclosing(follower.frames(info.context.resume_after(after))) as frames:
            async for frame in frames:
                yield frame
