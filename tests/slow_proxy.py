"""A way to a server on which answers come late, while the test says so."""

import asyncio
from dataclasses import dataclass

from tests.tcp_proxy import Talk, TcpProxy


@dataclass
class SlowProxy(TcpProxy):
    """While `slow`, answers wait a little, and the first of so many very long."""

    usual_seconds: float
    late_seconds: float
    late_every: int
    slow: bool = False
    late: int = 0
    _answers: int = 0

    def talk(self) -> Talk:
        """Return a connection that waits as all do."""
        return _Slow(self)

    def delay(self) -> float:
        """Return for how many seconds the next answer waits."""
        place, self._answers = self._answers % self.late_every, self._answers + 1
        if place:
            return self.usual_seconds
        self.late += 1
        return self.late_seconds


@dataclass
class _Slow(Talk):
    proxy: SlowProxy

    async def answered(self, piece: bytes) -> None:
        if self.proxy.slow:
            await asyncio.sleep(self.proxy.delay())
