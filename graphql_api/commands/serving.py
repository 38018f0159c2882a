"""A uvicorn server that ends politely: see `graphql_api.transport.draining`."""

import gc
import socket

import uvicorn

from graphql_api.transport.draining import Open

_COLLECT_AFTER = 50_000  # allocations; at the default of 700 a fan-out stops for the collector


class DrainingServer(uvicorn.Server):
    """Drains what is open before uvicorn closes its connections."""

    def __init__(self, config: uvicorn.Config, opened: Open, seconds: float) -> None:
        super().__init__(config)
        self._open = opened
        self._seconds = seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start; what lives from now to the end is no business of the garbage collector."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        gc.set_threshold(_COLLECT_AFTER, 20, 50)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End operations, sockets and streams, then the server."""
        await self._open.drain(self._seconds)
        await super().shutdown(sockets)
        # uvicorn raises the signals that it caught once more; who was asked to end has ended well.
        self._captured_signals.clear()
