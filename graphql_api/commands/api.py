"""`strata api`: the GraphQL server in this process."""

import contextlib
import socket
from collections.abc import Sequence
from typing import Final

import uvicorn

from graphql_api.app import create_app
from models.settings import Settings

WS_MESSAGE_BYTES: Final = 256 * 1024  # operations are text; objects come over HTTP
WS_PING_SECONDS: Final = 20.0
DRAIN_SECONDS: Final = 8


def serve_api(settings: Settings, sockets: Sequence[socket.socket]) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish what is being answered."""
    config = uvicorn.Config(
        create_app(settings),
        ws="websockets-sansio",
        ws_max_size=WS_MESSAGE_BYTES,
        ws_ping_interval=WS_PING_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        log_level="warning",
        access_log=False,
        server_header=False,
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=list(sockets))
