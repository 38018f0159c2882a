"""`strata api`: the GraphQL server in this process."""

import contextlib
import socket
from collections.abc import Sequence
from typing import Final

import uvicorn

from graphql_api.app import create_app
from graphql_api.commands.serving import DrainingServer
from models.monitor import monitored
from models.settings import Settings

WS_MESSAGE_BYTES: Final = 256 * 1024  # operations are text; objects come over HTTP
WS_PING_SECONDS: Final = 20.0
BACKSTOP_SECONDS: Final = 5  # what draining left


def serve_api(settings: Settings, sockets: Sequence[socket.socket]) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish what is being answered."""
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        ws="websockets-sansio",
        ws_max_size=WS_MESSAGE_BYTES,
        ws_per_message_deflate=False,  # its windows cost a subscriber more than all the rest
        ws_ping_interval=WS_PING_SECONDS,
        timeout_graceful_shutdown=BACKSTOP_SECONDS,
        log_config=None,  # its lines in the form of all others
        access_log=False,
        server_header=False,
    )
    server = DrainingServer(config, app.state.open, settings.api.drain_seconds)
    where = settings.monitor
    with (
        contextlib.suppress(KeyboardInterrupt),
        monitored(where.host, where.api_port, lambda: server.started and not server.should_exit),
    ):
        server.run(sockets=list(sockets))
