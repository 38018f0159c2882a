"""Failed attempts to authenticate, counted by address for all processes together.

An address that has spent them waits a little before its next unknown key is looked up. Keys that
have been good are not affected: one who guesses cannot lock out others behind the same address.
"""

import time
from collections import OrderedDict
from typing import Final

from graphql_api.errors import Refused
from graphql_api.operations.rates import LocalBuckets, Rates, SharedBuckets, Size
from models.bus import Bus
from models.errors import TooManyAttempts

_RESTORED: Final = 1  # attempts that come back in a second
_ADDRESSES: Final = 10_000


class Attempts:
    """One process's view of who fails too often."""

    def __init__(self, bus: Bus, limit: int) -> None:
        size = Size(limit, _RESTORED)
        self._rates = Rates(
            SharedBuckets(bus, size), LocalBuckets(size), size, reason="FAILED_AUTHENTICATION"
        )
        self._waiting: OrderedDict[str, float] = OrderedDict()

    def require_patience(self, address: str) -> None:
        """Raise TooManyAttempts while an address has to wait."""
        left = self._waiting.get(address, 0.0) - time.monotonic()
        if left > 0:
            raise _refusal(left)
        self._waiting.pop(address, None)

    async def count(self, address: str) -> None:
        """Count a failure; raises TooManyAttempts for one too many."""
        try:
            await self._rates.spend(f"attempts:{address}", 1)
        except Refused as error:
            seconds = error.retry_after or 1.0
            self._waiting[address] = time.monotonic() + seconds
            if len(self._waiting) > _ADDRESSES:
                self._waiting.popitem(last=False)
            raise _refusal(seconds) from error


def _refusal(seconds: float) -> TooManyAttempts:
    error = TooManyAttempts(
        "Too many keys from this address opened nothing.", hint="Check the key, then wait."
    )
    error.retry_after = seconds
    return error
