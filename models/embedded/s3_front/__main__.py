"""Serves the front on an inherited listening socket until SIGTERM.

    python -m models.embedded.s3_front --fd N --data DIR

The key pair and the durability switch come by environment, so that no secret is on a command
line. The exit status is 0 after SIGTERM, 73 when another process owns the data folder.
"""

import argparse
import asyncio
import fcntl
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, TextIO

import uvicorn

from models.embedded.s3_front.app import Front
from models.embedded.s3_front.store import Store, close_stale_uploads, open_store, sweep_orphans

ACCESS_KEY: Final = "STRATA_EMBEDDED_S3_ACCESS_KEY"
SECRET_KEY: Final = "STRATA_EMBEDDED_S3_SECRET_KEY"
FSYNC: Final = "STRATA_EMBEDDED_S3_FSYNC"
TAKEN: Final = 73  # EX_CANTCREAT
WEEK: Final = 7 * 24 * 3600
THREADS: Final = 16
KEEP_ALIVE: Final = 75  # seconds; clients give up idle connections before, so none is cut in use
FAREWELL: Final = 10  # seconds that requests under way get after SIGTERM

log = logging.getLogger("models.embedded.s3_front")


def main() -> int:
    arguments = parse_arguments()
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    keys = {os.environ[ACCESS_KEY]: os.environ[SECRET_KEY]}
    arguments.data.mkdir(parents=True, exist_ok=True)
    try:
        owner = own(arguments.data)
    except BlockingIOError:
        log.error("another process owns %s", arguments.data)
        return TAKEN
    with owner:
        store = open_store(arguments.data, durable=os.environ.get(FSYNC) == "1")
        close_stale_uploads(store, older_than=arguments.stale_uploads_after)
        sweep_orphans(store)
        asyncio.run(serve(store, keys, socket.socket(fileno=arguments.fd)))
        store.index.close()
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m models.embedded.s3_front")
    parser.add_argument("--fd", type=int, required=True, help="a bound, listening socket")
    parser.add_argument("--data", type=Path, required=True, help="the folder of all state")
    parser.add_argument(
        "--stale-uploads-after",
        type=int,
        default=WEEK,
        metavar="SECONDS",
        help="age at which unfinished uploads are removed at start",
    )
    return parser.parse_args()


def own(data: Path) -> TextIO:
    """Lock the folder: SQLite in WAL mode lets a second server in without a word."""
    file = (data / ".owner").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise
    return file


async def serve(store: Store, keys: Mapping[str, str], listener: socket.socket) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "s3"))
    config = uvicorn.Config(
        Front(store, keys),
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=FAREWELL,
    )
    # uvicorn raises the signal again once it has stopped: that must not end us with its number.
    signal.signal(signal.SIGTERM, lambda *_: None)
    await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        sys.exit(main())
