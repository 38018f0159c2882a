"""The child process that builds an index: `python -m models.embedded.qdrant_front.build FOLDER`.

qdrant-edge 0.9.0 holds Python's global lock through `optimize()`, so inside the server nobody
would be answered until an index is built. Here it works on a copy of the shard. The collection's
config comes on standard input.
"""

import ctypes
import os
import signal
import sys

import orjson
from qdrant_edge import EdgeShard

from models.embedded.qdrant_front.config import edge_config

PR_SET_PDEATHSIG = 1
NICENESS = 5


def main(folder: str) -> None:
    _die_with_the_server()
    os.nice(NICENESS)
    shard = EdgeShard.load(folder, edge_config(orjson.loads(sys.stdin.buffer.read())))
    shard.optimize()
    shard.flush()
    shard.close()


def _die_with_the_server() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1])
