"""`python -m models.embedded.qdrant_front --fd N --data DIR`, with N a listening socket.

The API key comes from STRATA_EMBEDDED_QDRANT_API_KEY; without one every request is let through.
SIGTERM finishes the requests under way, closes every shard and ends with status 0.
"""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path

import uvicorn

from models.embedded.qdrant_front.app import create_app

API_KEY = "STRATA_EMBEDDED_QDRANT_API_KEY"
# Longer than a client's pool keeps a connection, so that it is not closed under a request.
KEEP_ALIVE_SECONDS = 300
STOP_SECONDS = 10


def main() -> None:
    arguments = _arguments()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
    # uvicorn raises the signal that stopped it once more at its end; that shall not kill us.
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: None)
    asyncio.run(_serve(arguments.fd, arguments.data))


async def _serve(fd: int, data: Path) -> None:
    app = create_app(data, os.environ.get(API_KEY) or None)
    config = uvicorn.Config(
        app,
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    listening = socket.socket(fileno=fd)
    await uvicorn.Server(config).serve(sockets=[listening])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="qdrant_front", description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="a listening TCP socket")
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
