"""Who pays for an operation, and what an answer says about it."""

from typing import Any, Final

from graphql_api.operations.charge import Charge
from graphql_api.operations.rates import LocalBuckets, Rates, SharedBuckets, Size
from graphql_api.permissions import Principal
from models.bus import Bus
from models.settings import LimitSettings

_KEYS_OF_A_NAMESPACE: Final = 4  # may spend all they have at once


class Charging:
    """Takes each operation's points from its key, and from the key's namespace."""

    def __init__(self, bus: Bus, limits: LimitSettings) -> None:
        self._limits = limits
        self._of_keys = _rates(bus, limits, 1, "KEY_COST_RATE")
        self._of_namespaces = _rates(bus, limits, _KEYS_OF_A_NAMESPACE, "NAMESPACE_COST_RATE")

    async def charge(self, principal: Principal | None, address: str, points: int) -> Charge:
        """Take the points; raises Refused when there are too few."""
        limits = self._limits
        charge = Charge(points, limits.cost_bucket, limits.cost_bucket, limits.cost_restored)
        if principal is None:
            charge.remaining = await self._of_keys.spend(f"address:{address}", points)
        elif principal.namespace_id is not None:
            charge.remaining = await self._of_keys.spend(principal.key_id, points)
            await self._of_namespaces.spend(principal.namespace_id, points)
        return charge

    def settle(self, principal: Principal | None, address: str, charge: Charge, data: Any) -> None:
        """Give back what the answer did not need."""
        charge.actual = min(charge.requested, count_objects(data))
        unused = charge.requested - charge.actual
        if principal is None:
            charge.remaining = self._of_keys.give_back(f"address:{address}", unused)
        elif principal.namespace_id is not None:
            charge.remaining = self._of_keys.give_back(principal.key_id, unused)
            self._of_namespaces.give_back(principal.namespace_id, unused)


def _rates(bus: Bus, limits: LimitSettings, times: int, reason: str) -> Rates:
    size = Size(limits.cost_bucket * times, limits.cost_restored * times)
    return Rates(SharedBuckets(bus, size), LocalBuckets(size), size, reason=reason)


def count_objects(value: Any) -> int:
    """Return how many objects an answer has, its root not counted; one at least."""
    return max(1, _count(value) - 1)


def _count(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(_count(child) for child in value.values() if isinstance(child, dict | list))
    if isinstance(value, list):
        return sum(_count(child) for child in value if isinstance(child, dict | list))
    return 0
