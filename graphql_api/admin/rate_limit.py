"""What the caller may still spend, as the headers and `extensions.cost` tell it too."""

from datetime import timedelta

import strawberry

from graphql_api.context import Info
from graphql_api.scalars import DateTime
from models.stored import now


@strawberry.type(description="Points of the key in use: one for each object that an answer has.")
class RateLimit:
    """A rate limit as shown."""

    cost: int = strawberry.field(description="Points that this operation took.")
    limit: int = strawberry.field(description="Points that may be spent at once.")
    remaining: int = strawberry.field(description="Points left after this operation.")
    restore_rate: int = strawberry.field(description="Points that come back in a second.")
    reset_at: DateTime = strawberry.field(
        description="When all are back, if nothing more is asked."
    )


@strawberry.type
class RateLimitQuery:
    """What the caller may still spend."""

    @strawberry.field(description="What the key may still spend.")
    async def rate_limit(self, info: Info) -> RateLimit | None:
        """Show it; null where operations are not charged."""
        charge = info.context.charge
        if charge is None:
            return None
        return RateLimit(
            cost=charge.requested,
            limit=charge.limit,
            remaining=charge.remaining,
            restore_rate=charge.restored,
            reset_at=DateTime(now() + timedelta(seconds=charge.full_in)),
        )
